"""Thin face of the SDM kernel (sdm_kernel.c). Trusts its caller; the only importer is aptstream/sdm/count.py."""

from libc.math cimport floor
from libc.stdint cimport int32_t, int64_t, uint32_t

cdef extern from "sdm_kernel.h" nogil:
    enum:
        SDM_PAD
        SDM_RHOZ
        SDM_ZX

    ctypedef struct sdm_volume:
        int nx, ny, nz, slices, reach, side, ext_x, ext_y, ext_z, kind, n_z, n_lat, n_image
        const float *x
        const float *y
        const float *z
        const int32_t *tag
        const int64_t *start

    ctypedef struct sdm_tile:
        int y0, ty, z0, tz
        uint32_t *ring
        uint32_t *plane
        uint32_t *row
        uint32_t *hook

    void sdm_scan_step(const sdm_volume *v, const sdm_tile *t, int x_cell) noexcept
    void sdm_count(const sdm_volume *v, int64_t n, uint32_t *image) noexcept
    void sdm_contrast(const uint32_t *counts, const float *fraction, int64_t n, int n_z, int n_lat, float *out) noexcept

PAD = SDM_PAD
RHOZ = SDM_RHOZ
ZX = SDM_ZX


def cells(const float[:, ::1] position, const double[::1] origin, const double[::1] per_nm, int64_t[:, ::1] out):
    """out = floor((position - origin) * per_nm), in float64: the one place where nm become whole numbers."""
    cdef Py_ssize_t i
    cdef int axis
    with nogil:
        for i in range(position.shape[0]):
            for axis in range(3):
                out[i, axis] = <int64_t>floor((<double>position[i, axis] - origin[axis]) * per_nm[axis])


def sort_slices(const int64_t[::1] slice_of, const int64_t[:, ::1] fine, int64_t[::1] start, int64_t[::1] order):
    """Order of the ions by slice, and by fine z inside a slice. `start` (n_slices + 1) is filled too."""
    cdef Py_ssize_t n = slice_of.shape[0], n_slices = start.shape[0] - 1, i, j, s
    cdef int64_t ion, z
    with nogil:
        for i in range(n):
            start[slice_of[i] + 1] += 1
        for s in range(n_slices):
            start[s + 1] += start[s]
        for i in range(n - 1, -1, -1):          # backwards and from the ends: stable
            s = slice_of[i]
            start[s + 1] -= 1
            order[start[s + 1]] = i
        for s in range(n_slices):               # start[s + 1] now holds the first ion of slice s
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


cdef class Volume:
    """Ions of a box, ready to be scanned: keeps the arrays alive that the kernel points into."""

    cdef sdm_volume v
    cdef object arrays

    def __init__(self, const float[::1] x, const float[::1] y, const float[::1] z, const int32_t[::1] tag,
                 const int64_t[::1] start, shape, numbers):
        self.arrays = (x, y, z, tag, start)
        self.v.x = &x[0]
        self.v.y = &y[0]
        self.v.z = &z[0]
        self.v.tag = &tag[0]
        self.v.start = &start[0]
        self.v.nx, self.v.ny, self.v.nz = shape
        (self.v.slices, self.v.reach, self.v.side, self.v.ext_x, self.v.ext_y, self.v.ext_z,
         self.v.kind, self.v.n_z, self.v.n_lat, self.v.n_image) = numbers

    def step(self, tile, uint32_t[::1] ring, uint32_t[::1] plane, uint32_t[::1] row, uint32_t[::1] hook, int x_cell):
        """Add all pairs with smaller x cell `x_cell` to the cubes of the ring."""
        cdef sdm_tile t
        t.y0, t.ty, t.z0, t.tz = tile
        t.ring = &ring[0]
        t.plane = &plane[0]
        t.row = &row[0]
        t.hook = &hook[0]
        with nogil:
            sdm_scan_step(&self.v, &t, x_cell)

    def count(self, int64_t n, uint32_t[::1] image):
        """Count all pairs of the n ions, which must be sorted by z."""
        with nogil:
            sdm_count(&self.v, n, &image[0])


def contrast(const uint32_t[:, :, :, ::1] counts, const float[::1] fraction, float[:, :, ::1] out):
    """Contrast images (n, nz, nlat) of counts (n, 3, nz, nlat)."""
    if counts.shape[0]:
        with nogil:
            sdm_contrast(&counts[0, 0, 0, 0], &fraction[0], counts.shape[0], counts.shape[2], counts.shape[3],
                         &out[0, 0, 0])
