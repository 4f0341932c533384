"""Grids of weighted ions, and their smoothing. Trusts its caller; the only importer is aptstream/sdm/field.py."""

from libc.math cimport floor
from libc.stdint cimport int32_t, int64_t

cdef extern from "smooth.h" nogil:
    void c_smooth "smooth"(float *grid, float *scratch, float *row, int64_t nx, int64_t ny, int64_t nz,
                           const float *half, int64_t reach) noexcept


def smooth(float[:, :, ::1] grid, float[:, :, ::1] scratch, float[::1] row, const float[::1] half):
    """Smooth a grid in place; half: the kernel from its middle to one end; row: room for a row and two halves."""
    with nogil:
        c_smooth(&grid[0, 0, 0], &scratch[0, 0, 0], &row[0], grid.shape[0], grid.shape[1], grid.shape[2], &half[0],
                 half.shape[0] - 1)


def locate(const float[:, ::1] position, const signed char[::1] role, const double[::1] corner,
           const int64_t[::1] shape, double per_nm, double period, const double[::1] slope, int32_t[::1] cell,
           float[::1] phase):
    """Cell of the fine grid (-1 outside or without a role) and phase of the tilted planes, from -pi to pi."""
    cdef Py_ssize_t i
    cdef int axis, inside
    cdef int64_t index, number
    cdef double turns
    with nogil:
        for i in range(position.shape[0]):
            inside = role[i] < 2
            number = 0
            for axis in range(3):
                index = <int64_t>floor((position[i, axis] - corner[axis]) * per_nm)
                inside &= 0 <= index < shape[axis]
                number = number * shape[axis] + index
            cell[i] = <int32_t>number if inside else -1
            turns = (position[i, 2] - slope[0] * position[i, 0] - slope[1] * position[i, 1]) / period
            phase[i] = <float>(6.283185307179586 * (turns - floor(turns + 0.5)))


def count(const int32_t[::1] cell, const signed char[::1] role, float[::1] every, float[::1] solutes):
    """Count ions, and solute ions (role 1), in the cells of a grid."""
    cdef Py_ssize_t i
    with nogil:
        for i in range(cell.shape[0]):
            if cell[i] >= 0:
                every[cell[i]] += 1
                solutes[cell[i]] += role[i]


def deposit(const int32_t[::1] cell, const signed char[::1] role, const float[::1] cosine, const float[::1] sine,
            const float[::1] fraction, float[:, ::1] out):
    """Sum w cos, w sin and w^2 in the cells of a grid, with w = (is solute) - (solute fraction of the cell)."""
    cdef Py_ssize_t i
    cdef float weight
    with nogil:
        for i in range(cell.shape[0]):
            if cell[i] >= 0:
                weight = role[i] - fraction[cell[i]]
                out[0, cell[i]] += weight * cosine[i]
                out[1, cell[i]] += weight * sine[i]
                out[2, cell[i]] += weight * weight


def wave(const int32_t[::1] cell, const float[::1] cosine, const float[::1] sine, float[:, ::1] out):
    """Sum cos and sin in the cells of a grid."""
    cdef Py_ssize_t i
    with nogil:
        for i in range(cell.shape[0]):
            if cell[i] >= 0:
                out[0, cell[i]] += cosine[i]
                out[1, cell[i]] += sine[i]


def voxels(const float[:, :, ::1] fine, float[:, :, ::1] out):
    """Means over the eight cells of each voxel."""
    cdef Py_ssize_t i, j, k, a, b
    cdef float total
    with nogil:
        for i in range(out.shape[0]):
            for j in range(out.shape[1]):
                for k in range(out.shape[2]):
                    total = 0
                    for a in range(2 * i, 2 * i + 2):
                        for b in range(2 * j, 2 * j + 2):
                            total += fine[a, b, 2 * k] + fine[a, b, 2 * k + 1]
                    out[i, j, k] = 0.125 * total
