/* Gaussian smoothing of a grid in single precision: three passes, one along each axis, zero outside.
 *
 * Every pass works along z (the contiguous axis), so the inner loops have no branches and vectorise. The taps of a voxel
 * are always added in the same order, nearest first: the same bits for any size of the grid. */
#ifndef APTSTREAM_SMOOTH_H
#define APTSTREAM_SMOOTH_H
#include <stdint.h>
#include <string.h>

#include "each_processor.h"

/* out[k] = sum over taps of half[t] * in[k +- t * step]; on the low side `low` taps exist, on the high side `high`. Sixteen
 * sums at a time stay in registers; the last sixteen may be done twice, with the same result. */
EACH_PROCESSOR static void weigh(float *restrict out, const float *restrict in, int64_t step, const float *restrict half,
                                 int64_t low, int64_t high, int64_t n) {
    const int64_t both = low < high ? low : high;
    for (int64_t k = 0; k < n && n >= LANES; k += LANES) {
        if (k > n - LANES) k = n - LANES;
        const float *at = in + k;
        lanes sum = half[0] * load(at);
        for (int64_t t = 1; t <= both; t++) sum += half[t] * (load(at - t * step) + load(at + t * step));
        for (int64_t t = both + 1; t <= low; t++) sum += half[t] * load(at - t * step);
        for (int64_t t = both + 1; t <= high; t++) sum += half[t] * load(at + t * step);
        store(out + k) = sum;
    }
    for (int64_t k = 0; k < n && n < LANES; k++) {
        const float *at = in + k;
        float sum = half[0] * at[0];
        for (int64_t t = 1; t <= both; t++) sum += half[t] * (at[-t * step] + at[t * step]);
        for (int64_t t = both + 1; t <= low; t++) sum += half[t] * at[-t * step];
        for (int64_t t = both + 1; t <= high; t++) sum += half[t] * at[t * step];
        out[k] = sum;
    }
}

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }

/* half[0 .. reach]: the kernel from its middle to one end. grid and scratch: nx * ny * nz; row: nz + 2 * reach zeros. The
 * result is in grid. */
static void smooth(float *grid, float *scratch, float *row, int64_t nx, int64_t ny, int64_t nz, const float *half,
                   int64_t reach) {
    const int64_t plane = ny * nz;
    for (int64_t r = 0; r < nx * ny; r++) { /* along z, through a row with zeros at both ends */
        memcpy(row + reach, grid + r * nz, (size_t)nz * sizeof *row);
        weigh(scratch + r * nz, row + reach, 1, half, reach, reach, nz);
    }
    for (int64_t i = 0; i < nx; i++) /* along y */
        for (int64_t j = 0; j < ny; j++) {
            const int64_t at = i * plane + j * nz;
            weigh(grid + at, scratch + at, nz, half, least(reach, j), least(reach, ny - 1 - j), nz);
        }
    for (int64_t i = 0; i < nx; i++) /* along x */
        for (int64_t j = 0; j < ny; j++) {
            const int64_t at = i * plane + j * nz;
            weigh(scratch + at, grid + at, plane, half, least(reach, i), least(reach, nx - 1 - i), nz);
        }
    memcpy(grid, scratch, (size_t)(nx * plane) * sizeof *grid);
}
#endif
