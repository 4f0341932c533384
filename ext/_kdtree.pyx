"""Thin face of the tree's kernel (kdtree.c). Trusts its caller, which is aptstream/cloud/tree.py alone.

Layouts
-------
ions : float32, (n, 4): x, y, z in nm, and the bits of an int32, the ion's row.
position : float32, (n_blocks, 3, 16); row : int32, (n_blocks, 16): blocks of the tree's order.
bounds : float32, (n_groups, 6, 16); first : int32, (n_groups, 16): see kdtree.h.
"""

from libc.stdint cimport int32_t, int64_t

cdef extern from "kdtree.h" nogil:
    enum:
        KDTREE_BOX
        KDTREE_BALL
        KDTREE_CYLINDER
        KDTREE_ORIENTED

    ctypedef struct kdtree_ion:
        pass

    ctypedef struct kdtree:
        int64_t n_ions, n_blocks
        int instructions
        const float *position
        const int32_t *row
        const float *bounds
        const int32_t *first

    int kdtree_best_instructions() noexcept
    int64_t kdtree_lay_out(kdtree *tree) noexcept
    void kdtree_arrange(kdtree_ion *ion, int64_t n_ions) noexcept
    void kdtree_pack(const kdtree *tree, const kdtree_ion *ion, float *position, int32_t *row, float *bounds,
                     int32_t *first) noexcept
    int64_t kdtree_gather(const kdtree *tree, int kind, const double *numbers, int32_t *out, int64_t room) noexcept
    void kdtree_nearest(const kdtree *tree, const double *point, int64_t k, double *square, int64_t *row) noexcept
    void kdtree_nearest_of_blocks(const kdtree *tree, int64_t start, int64_t stop, int64_t k, double *square,
                                  int64_t *row) noexcept
    void kdtree_pairs(const kdtree *tree, const double *square, int n_squares, int64_t *count) noexcept


BEST_INSTRUCTIONS = kdtree_best_instructions()
BOX, BALL, CYLINDER, ORIENTED = KDTREE_BOX, KDTREE_BALL, KDTREE_CYLINDER, KDTREE_ORIENTED


def arrange(float[:, ::1] ions):
    """Put ions that are neighbours next to each other, in place."""
    if ions.shape[0]:
        with nogil:
            kdtree_arrange(<kdtree_ion *> &ions[0, 0], ions.shape[0])


def n_groups(int64_t n_ions):
    """Groups of all levels of a tree."""
    cdef kdtree tree
    tree.n_ions = n_ions
    return kdtree_lay_out(&tree)


def pack(const float[:, ::1] ions, float[:, :, ::1] position, int32_t[:, ::1] row, float[:, :, ::1] bounds,
         int32_t[:, ::1] first):
    """Fill a tree; bounds come empty (inf, -inf), rows as large as they can be."""
    cdef kdtree tree
    tree.n_ions = ions.shape[0]
    kdtree_lay_out(&tree)
    if tree.n_ions:
        with nogil:
            kdtree_pack(&tree, <const kdtree_ion *> &ions[0, 0], &position[0, 0, 0], &row[0, 0], &bounds[0, 0, 0],
                        &first[0, 0])


cdef class Tree:
    """Arrays that `pack` filled, held for queries; at least one block and one group, even without ions."""

    cdef const float[:, :, ::1] position
    cdef const int32_t[:, ::1] row
    cdef const float[:, :, ::1] bounds
    cdef const int32_t[:, ::1] first
    cdef kdtree tree

    def __cinit__(self, const float[:, :, ::1] position, const int32_t[:, ::1] row, const float[:, :, ::1] bounds,
                  const int32_t[:, ::1] first, int64_t n_ions, int instructions):
        self.position, self.row, self.bounds, self.first = position, row, bounds, first
        self.tree.n_ions = n_ions
        self.tree.instructions = instructions
        kdtree_lay_out(&self.tree)
        self.tree.position, self.tree.row = &position[0, 0, 0], &row[0, 0]
        self.tree.bounds, self.tree.first = &bounds[0, 0, 0], &first[0, 0]

    def gather(self, int kind, const double[::1] numbers, int32_t[::1] out):
        """Write the rows inside a region in the tree's order; return how many, or -1 without room for 256 more."""
        cdef int64_t found
        with nogil:
            found = kdtree_gather(&self.tree, kind, &numbers[0], &out[0], out.shape[0])
        return found

    def tally(self, int kind, const double[::1] numbers):
        """Count the ions inside a region."""
        cdef int64_t found
        with nogil:
            found = kdtree_gather(&self.tree, kind, &numbers[0], NULL, 0)
        return found

    def gather_many(self, int kind, const double[:, ::1] numbers, int64_t[::1] ends, int32_t[::1] out):
        """Regions one after another, as long as there is room; where each ends, and how many were done."""
        cdef int64_t done, found = 0, more
        with nogil:
            for done in range(numbers.shape[0]):
                more = kdtree_gather(&self.tree, kind, &numbers[done, 0], &out[0] + found, out.shape[0] - found)
                if more < 0:
                    break
                found += more
                ends[done] = found
            else:
                done = numbers.shape[0]
        return done

    def nearest(self, const double[:, ::1] points, double[:, ::1] square, int64_t[:, ::1] row):
        """Rank the nearest ions of every point."""
        cdef int64_t at
        with nogil:
            for at in range(points.shape[0]):
                kdtree_nearest(&self.tree, &points[at, 0], square.shape[1], &square[at, 0], &row[at, 0])

    def nearest_of_blocks(self, int64_t start, int64_t stop, double[:, ::1] square, int64_t[:, ::1] row):
        """Rank the nearest ions of the ions of some blocks, each at its own row."""
        with nogil:
            kdtree_nearest_of_blocks(&self.tree, start, stop, square.shape[1], &square[0, 0], &row[0, 0])

    def pairs(self, const double[::1] square, int64_t[::1] count):
        """Add the pairs within ascending squared distances."""
        with nogil:
            kdtree_pairs(&self.tree, &square[0], <int> square.shape[0], &count[0])
