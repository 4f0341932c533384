"""Thin face of the SDM kernel (sdm_kernel.c). Trusts its caller; the only importer is aptstream/sdm/kernel.py."""

from libc.math cimport floor
from libc.stdint cimport int32_t, int64_t, uint32_t

cdef extern from "sdm_kernel.h" nogil:
    enum:
        SDM_PAD
        SDM_RHOZ
        SDM_ZX
        SDM_TABLE
        SDM_MAX_EDGES

    ctypedef struct sdm_volume:
        int nx, ny, nz, slices, reach, ext_x, ext_y, ext_z, kind, n_z, n_lat, n_image
        int instructions, n_sets, by_table, parted
        float y_limit, radius2
        int32_t table[SDM_TABLE]
        const float *x
        const float *y
        const int32_t *z
        const int32_t *label
        const int32_t *tag
        const int64_t *start

    ctypedef struct sdm_tile:
        int side, y0, ty, z0, tz
        void *ring
        void *plane
        void *row

    int sdm_best_instructions() noexcept
    void sdm_scan_step(const sdm_volume *v, const sdm_tile *tiles, int n_tiles, void *hook, int x_cell,
                       int wide) noexcept
    int sdm_take(void *counters, int64_t n, uint32_t *out, int wide) noexcept
    void sdm_count(const sdm_volume *v, int64_t n, uint32_t *image) noexcept
    void sdm_contrast(const uint32_t *counts, const float *fraction, int64_t n, int n_z, int n_lat,
                      float *out) noexcept
    void sdm_standardise(const uint32_t *counts, int64_t n, int n_z, int n_lat, float *out) noexcept

PAD = SDM_PAD
RHOZ = SDM_RHOZ
ZX = SDM_ZX
TABLE = SDM_TABLE
MAX_EDGES = SDM_MAX_EDGES
BEST_INSTRUCTIONS = sdm_best_instructions()


def place(const float[:, ::1] position, const signed char[::1] group, const double[:, ::1] frame,
          const int64_t[::1] low, const int64_t[::1] shape, int64_t[::1] key, int32_t[:, ::1] fine):
    """The one place where nm become whole numbers: floor((position - origin) * per_nm), in float64.

    frame: origin, cells per nm (slices per nm along z), fine units per nm; low: first cell (slice along z), and first
    fine unit; shape: cells (slices along z). key: number of the slice, -1 for ions of no group or outside. Returns
    whether a coordinate was no finite number.
    """
    cdef Py_ssize_t i
    cdef int axis, inside, broken = 0
    cdef double offset
    cdef int64_t cell, number
    with nogil:
        for i in range(position.shape[0]):
            key[i] = -1
            if group[i] < 0:
                continue
            inside = 1
            number = 0
            for axis in range(3):
                offset = <double>position[i, axis] - frame[0, axis]
                if not (-1e9 < offset < 1e9):
                    broken = 1
                    inside = 0
                    break
                cell = <int64_t>floor(offset * frame[1, axis]) - low[axis]
                inside &= 0 <= cell < shape[axis]
                number = number * shape[axis] + cell
                fine[i, axis] = <int32_t>(<int64_t>floor(offset * frame[2, axis]) - low[3 + axis])
            if inside:
                key[i] = number
    return bool(broken)


def sort_slices(const int64_t[::1] key, const int32_t[:, ::1] fine, int64_t[::1] start, int64_t[::1] order):
    """Order of the ions with a key by slice, by fine z inside a slice, else as they come; `start` (n_slices + 1)."""
    cdef Py_ssize_t n_slices = start.shape[0] - 1, i, j, s, n
    cdef int64_t ion
    cdef int32_t z
    with nogil:
        for i in range(key.shape[0]):
            if key[i] >= 0:
                start[key[i] + 1] += 1
        for s in range(n_slices):
            start[s + 1] += start[s]
        n = start[n_slices]
        for i in range(key.shape[0] - 1, -1, -1):   # backwards and from the ends: stable
            if key[i] >= 0:
                start[key[i] + 1] -= 1
                order[start[key[i] + 1]] = i
        for s in range(n_slices):                   # start[s + 1] now holds the first ion of slice s
            start[s] = start[s + 1]
        start[n_slices] = n
        for s in range(n_slices):
            for i in range(start[s] + 1, start[s + 1]):
                ion = order[i]
                z = fine[ion, 2]
                j = i
                while j > start[s] and fine[order[j - 1], 2] > z:
                    order[j] = order[j - 1]
                    j -= 1
                order[j] = ion


def gather(const int64_t[::1] order, const int64_t[::1] key, const int32_t[:, ::1] fine, const int32_t[::1] label,
           const int32_t[::1] added, numbers, float[:, ::1] xy, int32_t[:, ::1] z_tags):
    """Sorted columns for the kernel: x, y in bins; z in units, tag, label.

    added: what a label adds to the bin of a pair. numbers: slices in a column and in a cell, bins of a cube.
    """
    cdef Py_ssize_t k
    cdef int64_t ion, column, slices, image
    column, slices, image = numbers
    with nogil:
        for k in range(order.shape[0]):
            ion = order[k]
            xy[0, k] = fine[ion, 0] * <float>(1 / 256.0)
            xy[1, k] = fine[ion, 1] * <float>(1 / 256.0)
            z_tags[0, k] = fine[ion, 2]
            z_tags[1, k] = <int32_t>(key[ion] % column // slices * image)
            if added.shape[0]:
                z_tags[1, k] += added[label[ion]]
            z_tags[2, k] = label[ion]


cdef class Volume:
    """Ions of a box, ready to be counted: keeps the arrays alive that the kernel points into.

    `numbers` gives the fields of sdm_volume from nx to n_sets, by_table and parted.
    """

    cdef sdm_volume v
    cdef object arrays

    def __init__(self, const float[:, ::1] xy, const int32_t[:, ::1] z_tags, const int64_t[::1] start,
                 const int32_t[::1] table, numbers, limits):
        cdef int k
        self.arrays = (xy, z_tags, start)
        self.v.x = &xy[0, 0]
        self.v.y = &xy[1, 0]
        self.v.z = &z_tags[0, 0]
        self.v.tag = &z_tags[1, 0]
        self.v.label = &z_tags[2, 0]
        self.v.start = &start[0]
        for k in range(SDM_TABLE):
            self.v.table[k] = table[k]
        (self.v.nx, self.v.ny, self.v.nz, self.v.slices, self.v.reach, self.v.ext_x, self.v.ext_y, self.v.ext_z,
         self.v.kind, self.v.n_z, self.v.n_lat, self.v.n_image,
         self.v.instructions, self.v.n_sets, self.v.by_table, self.v.parted) = numbers
        self.v.y_limit, self.v.radius2 = limits

    def step(self, tiles, buffers, unsigned char[::1] hook, int x_cell, bint wide):
        """Add all pairs with smaller x cell `x_cell` to the cubes of the rings.

        tiles: (side, y0, ty, z0, tz) for each edge; buffers: (ring, plane, row), as bytes, for each edge.
        """
        cdef sdm_tile t[SDM_MAX_EDGES]
        cdef unsigned char[::1] ring, plane, row
        cdef int k, n = len(tiles)
        for k in range(n):
            t[k].side, t[k].y0, t[k].ty, t[k].z0, t[k].tz = tiles[k]
            ring, plane, row = buffers[k]
            t[k].ring = &ring[0]
            t[k].plane = &plane[0]
            t[k].row = &row[0]
        with nogil:
            sdm_scan_step(&self.v, t, n, &hook[0], x_cell, wide)

    def count(self, int64_t n, uint32_t[::1] image):
        """Count all pairs of the n ions, which must be sorted by z."""
        with nogil:
            sdm_count(&self.v, n, &image[0])


def take(unsigned char[::1] counters, uint32_t[::1] out, bint wide):
    """Take finished counters out as 32 bits and clear them; True if one may have stopped at its end."""
    cdef int full
    with nogil:
        full = sdm_take(&counters[0], out.shape[0], &out[0], wide)
    return bool(full)


def contrast(const uint32_t[:, :, :, ::1] counts, const float[::1] fraction, float[:, :, ::1] out):
    """Contrast images (n, nz, nlat) of counts (n, 3, nz, nlat)."""
    if counts.shape[0]:
        with nogil:
            sdm_contrast(&counts[0, 0, 0, 0], &fraction[0], counts.shape[0], <int>counts.shape[2],
                         <int>counts.shape[3], &out[0, 0, 0])


def standardise(const uint32_t[:, :, ::1] counts, float[:, :, ::1] out):
    """(c - mean) / sqrt(mean + 1) with means over the rows, of images (n, nz, nlat)."""
    if counts.shape[0]:
        with nogil:
            sdm_standardise(&counts[0, 0, 0], counts.shape[0], <int>counts.shape[1], <int>counts.shape[2],
                            &out[0, 0, 0])
