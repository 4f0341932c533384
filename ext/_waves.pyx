"""Plane waves of ions and their stacks. Trusts its caller; the only importer is aptstream/pole/waves.py."""

from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc

cdef extern from "waves.h" nogil:
    ctypedef struct waves_ion:
        pass
    double waves_window(const float *position, int64_t n, const double *numbers, int64_t n_side, waves_ion *found,
                        waves_ion *ordered, int32_t *end) noexcept
    void waves_spread(const waves_ion *ion, const int32_t *end, int64_t n_cells, double low, double step, int64_t n_q,
                      float *out) noexcept
    void waves_add_log(const float *spectrum, int64_t n, float scale, float *out) noexcept
    void waves_stack(const float *const *spectrum, const float *share, const int32_t *shift, int64_t n,
                     int64_t n_side, int64_t n_q, const int32_t *low, const int32_t *high, int64_t near, int64_t far,
                     const float **row, float *room, double *best) noexcept
    void waves_sum(const float *position, int64_t n, const double *numbers, const int64_t *shape, float *waves,
                   float *ions) noexcept
    double waves_splines(const float *weights, const double *at, int64_t n, const int64_t *shape) noexcept


def spread(const float[:, ::1] position, const double[::1] numbers, double low, double step, float[:, :, :, ::1] out):
    """Fill a grid (n_side, n_side, n_q, 2) with the waves of the ions in a window; return their squared weights."""
    cdef int64_t n = position.shape[0], n_cells = out.shape[0] * out.shape[1]
    cdef waves_ion *found = <waves_ion *>malloc((2 * n + 1) * sizeof(waves_ion))
    cdef int32_t *end = <int32_t *>malloc(n_cells * sizeof(int32_t))
    cdef double squares
    try:
        if found == NULL or end == NULL:
            raise MemoryError
        with nogil:
            squares = waves_window(&position[0, 0] if n else NULL, n, &numbers[0], out.shape[0], found, found + n, end)
            waves_spread(found + n, end, n_cells, low, step, out.shape[2], &out[0, 0, 0, 0])
    finally:
        free(found)
        free(end)
    return squares


def add_log(const float[:, :, :, ::1] spectrum, float scale, float[:, :, ::1] out):
    """Add log(1 + scale |f|^2) of a spectrum (n_side, n_side, n_q, 2)."""
    cdef int64_t n = spectrum.shape[0] * spectrum.shape[1] * spectrum.shape[2]
    with nogil:
        waves_add_log(&spectrum[0, 0, 0, 0], n, scale, &out[0, 0, 0])


def stack(list spectra, const float[::1] share, const int32_t[:, :, ::1] shift, const int32_t[:, ::1] low,
          const int32_t[:, ::1] high, int64_t near, int64_t far, float[::1] room, double[::1] best):
    """Find the best contrast of stacked maps (n_side, n_side, n_q); room: 2 (n_q + 16) floats."""
    cdef int64_t n = len(spectra), k
    cdef const float[:, :, ::1] view
    cdef const float **pointers = <const float **>malloc(2 * n * sizeof(float *))
    cdef int64_t n_side = low.shape[0], n_q = 0
    if pointers == NULL:
        raise MemoryError
    try:
        for k in range(n):
            view = spectra[k]
            pointers[k] = &view[0, 0, 0]
            n_q = view.shape[2]
        with nogil:
            waves_stack(pointers, &share[0], &shift[0, 0, 0], n, n_side, n_q, &low[0, 0], &high[0, 0], near, far,
                        pointers + n, &room[0], &best[0])
    finally:
        free(pointers)


def sum_waves(const float[:, ::1] position, const double[::1] numbers, float[:, :, :, ::1] waves,
              float[:, :, ::1] ions):
    """Add the waves of ions to a grid (nx, ny, nz, 2) with the phase of bent planes, and count them."""
    cdef int64_t shape[3]
    shape[0], shape[1], shape[2] = ions.shape[0], ions.shape[1], ions.shape[2]
    if position.shape[0] == 0:
        return
    with nogil:
        waves_sum(&position[0, 0], position.shape[0], &numbers[0], shape, &waves[0, 0, 0, 0], &ions[0, 0, 0])


def sum_splines(const float[:, :, :, ::1] weights, const double[:, ::1] at):
    """Sum cubic splines of given weights (n, nx, ny, nz), each at a place (n, 3) of its own, inside by a cell."""
    cdef int64_t shape[3]
    cdef double found
    shape[0], shape[1], shape[2] = weights.shape[1], weights.shape[2], weights.shape[3]
    if at.shape[0] == 0:
        return 0.0
    with nogil:
        found = waves_splines(&weights[0, 0, 0, 0], &at[0, 0], at.shape[0], shape)
    return found
