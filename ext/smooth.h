/* Gaussian smoothing of a grid in single precision: three passes, one along each axis, zero outside.
 *
 * Every pass adds whole rows along z (the contiguous axis), so the inner loops have no branches and vectorise. The taps of a
 * voxel are always added in the same order, nearest first: the same bits for any size of the grid. */
#ifndef APTSTREAM_SMOOTH_H
#define APTSTREAM_SMOOTH_H
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__GLIBC__)
#define EACH_PROCESSOR __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define EACH_PROCESSOR
#endif

/* out[k] += weight * in[k] */
EACH_PROCESSOR static void add_row(float *restrict out, const float *restrict in, float weight, int64_t n) {
    for (int64_t k = 0; k < n; k++) out[k] += weight * in[k];
}

/* half[0 .. reach]: the kernel from its middle to one end. grid and scratch: nx * ny * nz; the result is in grid. */
static void smooth(float *grid, float *scratch, int64_t nx, int64_t ny, int64_t nz, const float *half, int64_t reach) {
    const int64_t plane = ny * nz, all = nx * plane;
    memset(scratch, 0, (size_t)all * sizeof *scratch);
    for (int64_t r = 0; r < nx * ny; r++) { /* along z, row by row */
        const float *in = grid + r * nz;
        float *out = scratch + r * nz;
        add_row(out, in, half[0], nz);
        for (int64_t t = 1; t <= reach && t < nz; t++) {
            add_row(out + t, in, half[t], nz - t);
            add_row(out, in + t, half[t], nz - t);
        }
    }
    memset(grid, 0, (size_t)all * sizeof *grid);
    for (int64_t i = 0; i < nx; i++) /* along y */
        for (int64_t j = 0; j < ny; j++) {
            float *out = grid + i * plane + j * nz;
            const float *in = scratch + i * plane + j * nz;
            add_row(out, in, half[0], nz);
            for (int64_t t = 1; t <= reach; t++) {
                if (t <= j) add_row(out, in - t * nz, half[t], nz);
                if (j + t < ny) add_row(out, in + t * nz, half[t], nz);
            }
        }
    memset(scratch, 0, (size_t)all * sizeof *scratch);
    for (int64_t j = 0; j < ny; j++) /* along x */
        for (int64_t i = 0; i < nx; i++) {
            float *out = scratch + i * plane + j * nz;
            const float *in = grid + i * plane + j * nz;
            add_row(out, in, half[0], nz);
            for (int64_t t = 1; t <= reach; t++) {
                if (t <= i) add_row(out, in - t * plane, half[t], nz);
                if (i + t < nx) add_row(out, in + t * plane, half[t], nz);
            }
        }
    memcpy(grid, scratch, (size_t)all * sizeof *grid);
}
#endif
