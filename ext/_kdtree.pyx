"""KD-tree kernels; called by ``aptstream.cloud.tree`` only, which validates, allocates and names units.

The ions are reordered until every node of the tree is one run of rows. A node is split at the middle
*row* of its longest axis, so the shape of the tree depends on the number of ions alone: coincident or
collinear ions cannot deepen it, and the depth is log2(n / leaf_size). Nodes stand in preorder, and each
knows where its subtree ends: a query walks the list from left to right and jumps over what it need not
see, without a stack and without recursion. Queries write to their own output only, so any number of
threads may share one tree.

A region is the part of a half-open box that lies in a closed ball. A plain box has an infinite ball, a
plain sphere an infinite box: one walk serves both. All comparisons are made in float64. Rounding is
monotone, and the distances of nodes and of ions are summed in the same order, so a node judged wholly
inside or outside never disagrees with its ions, not even by the last bit.

Layouts
-------
node_bounds : float32, (n_nodes, 6): lowest x, y, z, highest x, y, z of the ions of a node (both attained).
node_rows : int64, (n_nodes, 3): first row, last row + 1, next node outside the subtree.
region : float64, (10,): low x, y, z, high x, y, z, centre x, y, z, squared radius.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    OUTSIDE = 0
    CUT = 1
    INSIDE = 2

cdef struct Tree:
    float* position
    int64_t* order
    float* node_bounds
    int64_t* node_rows
    int64_t leaf_size


def n_nodes(int64_t n_ions, int64_t leaf_size):
    """Number of nodes of a tree."""
    return subtree_size(n_ions, leaf_size)


def build(float[:, ::1] position, int64_t[::1] order, float[:, ::1] node_bounds, int64_t[:, ::1] node_rows,
          int64_t leaf_size):
    """Reorder `position` and `order` in place and fill the nodes."""
    cdef Tree tree
    if position.shape[0] == 0:
        return
    tree = Tree(&position[0, 0], &order[0], &node_bounds[0, 0], &node_rows[0, 0], leaf_size)
    with nogil:
        build_node(&tree, 0, 0, position.shape[0])


def reach(const float[:, ::1] node_bounds, const int64_t[:, ::1] node_rows, const double[::1] region):
    """Upper bound of the ions in a region, from the nodes alone: what `gather` needs room for."""
    cdef int64_t node = 0, total = 0
    with nogil:
        while node < node_rows.shape[0]:
            if judge(&node_bounds[node, 0], &region[0]) == CUT and node_rows[node, 2] > node + 1:
                node += 1
                continue
            if judge(&node_bounds[node, 0], &region[0]) != OUTSIDE:
                total += node_rows[node, 1] - node_rows[node, 0]
            node = node_rows[node, 2]
    return total


def gather(const float[:, ::1] position, const int64_t[::1] order, const float[:, ::1] node_bounds,
           const int64_t[:, ::1] node_rows, const double[::1] region, int64_t[::1] out):
    """Write the original rows of the ions in a region to `out`, in tree order; return how many."""
    cdef int64_t node = 0, found = 0, row, size
    cdef int verdict
    with nogil:
        while node < node_rows.shape[0]:
            verdict = judge(&node_bounds[node, 0], &region[0])
            if verdict == CUT and node_rows[node, 2] > node + 1:
                node += 1
                continue
            if verdict == INSIDE:
                size = node_rows[node, 1] - node_rows[node, 0]
                memcpy(&out[found], &order[node_rows[node, 0]], size * sizeof(int64_t))
                found += size
            elif verdict == CUT:
                # Written always, kept if inside: no branch to mispredict. `reach` counted the whole leaf.
                for row in range(node_rows[node, 0], node_rows[node, 1]):
                    out[found] = order[row]
                    found += holds(&position[row, 0], &region[0])
            node = node_rows[node, 2]
    return found


def tally(const float[:, ::1] position, const float[:, ::1] node_bounds, const int64_t[:, ::1] node_rows,
          const double[::1] region):
    """Count the ions in a region."""
    cdef int64_t node = 0, found = 0, row
    cdef int verdict
    with nogil:
        while node < node_rows.shape[0]:
            verdict = judge(&node_bounds[node, 0], &region[0])
            if verdict == CUT and node_rows[node, 2] > node + 1:
                node += 1
                continue
            if verdict == INSIDE:
                found += node_rows[node, 1] - node_rows[node, 0]
            elif verdict == CUT:
                for row in range(node_rows[node, 0], node_rows[node, 1]):
                    found += holds(&position[row, 0], &region[0])
            node = node_rows[node, 2]
    return found


cdef int64_t subtree_size(int64_t n_ions, int64_t leaf_size) noexcept nogil:
    """Nodes of a subtree; halves are at most log2(n) deep."""
    if n_ions <= leaf_size:
        return n_ions > 0
    return 1 + subtree_size(n_ions // 2, leaf_size) + subtree_size(n_ions - n_ions // 2, leaf_size)


cdef int64_t build_node(Tree* tree, int64_t node, int64_t start, int64_t stop) noexcept nogil:
    """Build the subtree of rows start … stop - 1 at `node`; return the next free node."""
    cdef float* bounds = tree.node_bounds + 6 * node
    cdef int64_t* rows = tree.node_rows + 3 * node
    cdef int64_t middle = start + (stop - start) // 2
    cdef int64_t free = node + 1
    cdef int axis = 0
    measure(tree.position, start, stop, bounds)
    if stop - start > tree.leaf_size:
        if bounds[4] - bounds[1] > bounds[3] - bounds[0]:
            axis = 1
        if bounds[5] - bounds[2] > bounds[3 + axis] - bounds[axis]:
            axis = 2
        split(tree.position, tree.order, start, stop, middle, axis)
        free = build_node(tree, free, start, middle)
        free = build_node(tree, free, middle, stop)
    rows[0] = start
    rows[1] = stop
    rows[2] = free
    return free


cdef void measure(const float* position, int64_t start, int64_t stop, float* bounds) noexcept nogil:
    """Find the bounding box of rows start … stop - 1."""
    cdef int axis
    cdef int64_t row
    cdef float value
    for axis in range(3):
        bounds[axis] = bounds[3 + axis] = position[3 * start + axis]
    for row in range(start + 1, stop):
        for axis in range(3):
            value = position[3 * row + axis]
            bounds[axis] = value if value < bounds[axis] else bounds[axis]
            bounds[3 + axis] = value if value > bounds[3 + axis] else bounds[3 + axis]


cdef void split(float* position, int64_t* order, int64_t start, int64_t stop, int64_t middle,
                int axis) noexcept nogil:
    """Quickselect: no row before `middle` exceeds a later one on `axis`.

    Pivots come from a fixed pseudo-random sequence: the same tree every time, and no order of ions that
    is likely to occur in a file makes it slow. Equal values are swapped, so they fall into halves.
    """
    cdef uint64_t state = 88172645463325252ULL
    cdef int64_t low, high
    cdef float pivot
    while stop - start > 1:
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        pivot = median3(position[3 * start + axis], position[3 * (stop - 1) + axis],
                        position[3 * (start + <int64_t>(state % <uint64_t>(stop - start))) + axis])
        low = start
        high = stop - 1
        while low <= high:
            while position[3 * low + axis] < pivot:
                low += 1
            while position[3 * high + axis] > pivot:
                high -= 1
            if low <= high:
                swap(position, order, low, high)
                low += 1
                high -= 1
        if middle <= high:
            stop = high + 1
        elif middle >= low:
            start = low
        else:
            return


cdef inline float median3(float a, float b, float c) noexcept nogil:
    """Middle one of three values."""
    if a > b:
        a, b = b, a
    if c < a:
        return a
    return b if c > b else c


cdef inline void swap(float* position, int64_t* order, int64_t a, int64_t b) noexcept nogil:
    """Exchange two rows."""
    cdef int axis
    for axis in range(3):
        position[3 * a + axis], position[3 * b + axis] = position[3 * b + axis], position[3 * a + axis]
    order[a], order[b] = order[b], order[a]


cdef inline int judge(const float* bounds, const double* region) noexcept nogil:
    """Tell whether a node lies outside, across the surface of, or inside a region."""
    cdef double low, high, below, above, nearest, near2 = 0, far2 = 0
    cdef bint inside = True
    cdef int axis
    for axis in range(3):
        low = bounds[axis]
        high = bounds[3 + axis]
        if high < region[axis] or low >= region[3 + axis]:
            return OUTSIDE
        inside = inside & (low >= region[axis]) & (high < region[3 + axis])
        below = low - region[6 + axis]
        above = high - region[6 + axis]
        nearest = below if below > 0 else (above if above < 0 else 0.0)
        near2 = near2 + nearest * nearest
        below = below * below
        above = above * above
        far2 = far2 + (below if below > above else above)
    if near2 > region[9]:
        return OUTSIDE
    return INSIDE if inside and far2 <= region[9] else CUT


cdef inline bint holds(const float* point, const double* region) noexcept nogil:
    """Tell whether an ion lies in a region, without a branch."""
    cdef double x = point[0], y = point[1], z = point[2]
    cdef double dx = x - region[6], dy = y - region[7], dz = z - region[8]
    return ((x >= region[0]) & (x < region[3]) & (y >= region[1]) & (y < region[4])
            & (z >= region[2]) & (z < region[5]) & (dx * dx + dy * dy + dz * dz <= region[9]))
