"""Plane waves of ions and their stacks. Trusts its caller; the only importer is aptstream/pole/waves.py."""

from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free, malloc

cdef extern from "waves.h" nogil:
    void waves_spread(const float *position, int64_t n, const double *numbers, int64_t n_side, int64_t n_q, float *out,
                      double *sums) noexcept
    void waves_add_log(const float *spectrum, int64_t n, float scale, float *out) noexcept
    void waves_stack(const float *const *spectrum, const double *weight, const int32_t *shift, int64_t n,
                     int64_t n_side, int64_t n_q, const int32_t *low, const int32_t *high, int64_t near, int64_t far,
                     float *room, double *best) noexcept
    void waves_sum(const float *position, int64_t n, const double *numbers, const int64_t *shape, float *waves,
                   float *ions) noexcept


def spread(const float[:, ::1] position, const double[::1] numbers, float[:, :, :, ::1] out, double[::1] sums):
    """Add the waves of ions to a grid (n_side, n_side, n_q, 2); n_q is a multiple of 8."""
    if position.shape[0] == 0:
        return
    with nogil:
        waves_spread(&position[0, 0], position.shape[0], &numbers[0], out.shape[0], out.shape[2], &out[0, 0, 0, 0],
                     &sums[0])


def add_log(const float[:, :, :, ::1] spectrum, float scale, float[:, :, ::1] out):
    """Add log(1 + scale |f|^2) of a spectrum (n_side, n_side, n_q, 2)."""
    cdef int64_t n = spectrum.shape[0] * spectrum.shape[1] * spectrum.shape[2]
    with nogil:
        waves_add_log(&spectrum[0, 0, 0, 0], n, scale, &out[0, 0, 0])


def stack(list spectra, const double[::1] weight, const int32_t[:, :, ::1] shift, const int32_t[:, ::1] low,
          const int32_t[:, ::1] high, int64_t near, int64_t far, float[::1] room, double[::1] best):
    """Find the best contrast of stacked maps (n_side, n_side, n_q); room: 4 n_q + 4 floats."""
    cdef int64_t n = len(spectra), k
    cdef const float[:, :, ::1] view
    cdef const float **pointers = <const float **>malloc(n * sizeof(float *))
    cdef int64_t n_side = low.shape[0], n_q = 0
    if pointers == NULL:
        raise MemoryError
    try:
        for k in range(n):
            view = spectra[k]
            pointers[k] = &view[0, 0, 0]
            n_q = view.shape[2]
        with nogil:
            waves_stack(pointers, &weight[0], &shift[0, 0, 0], n, n_side, n_q, &low[0, 0], &high[0, 0], near, far,
                        &room[0], &best[0])
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
