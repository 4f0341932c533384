/* Plane waves of the ions of a region, and the stack of such spectra; see aptstream/pole/waves.py. */
#ifndef WAVES_H
#define WAVES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { WAVES_LANES = 8 };

/* Add w exp(-2 pi i q z) of every ion to the nearest cell of a lateral grid, for n_q wave numbers along z.
 * numbers: centre x, y, z; lateral and axial standard deviation of the window; where it ends, in them; edge of a cell;
 * lowest wave number and their distance. out: (n_side, n_side, n_q) complex. sums: ions, sum w, sum w^2. */
static void waves_spread(const float *position, int64_t n, const double *numbers, int64_t n_side, int64_t n_q,
                         float *out, double *sums)
{
    const float cx = (float)numbers[0], cy = (float)numbers[1], cz = (float)numbers[2];
    const float per_lateral = (float)(1 / numbers[3]), per_axial = (float)(1 / numbers[4]);
    const float end = (float)(numbers[5] * numbers[5]), per_cell = (float)(1 / numbers[6]);
    const double two_pi = 6.283185307179586;
    for (int64_t i = 0; i < n; i++) {
        const float x = position[3 * i] - cx, y = position[3 * i + 1] - cy, z = position[3 * i + 2] - cz;
        const float u = x * per_lateral, v = y * per_lateral, s = z * per_axial, square = u * u + v * v + s * s;
        if (!(square < end))
            continue;
        const int64_t ix = (int64_t)floorf(x * per_cell + 0.5f) + n_side / 2;
        const int64_t iy = (int64_t)floorf(y * per_cell + 0.5f) + n_side / 2;
        if (ix < 0 || ix >= n_side || iy < 0 || iy >= n_side)
            continue;
        const float weight = expf(-0.5f * square);
        sums[0] += 1;
        sums[1] += weight;
        sums[2] += (double)weight * weight;
        float re[WAVES_LANES], im[WAVES_LANES];
        for (int lane = 0; lane < WAVES_LANES; lane++) {
            const double turn = (numbers[7] + lane * numbers[8]) * z;
            const float angle = (float)(-two_pi * (turn - floor(turn + 0.5)));
            re[lane] = weight * cosf(angle);
            im[lane] = weight * sinf(angle);
        }
        const double step = WAVES_LANES * numbers[8] * z;
        const float turn = (float)(-two_pi * (step - floor(step + 0.5)));
        const float c = cosf(turn), d = sinf(turn);
        float *row = out + 2 * (ix * n_side + iy) * n_q;
        for (int64_t q = 0; q + WAVES_LANES <= n_q; q += WAVES_LANES) {
            for (int lane = 0; lane < WAVES_LANES; lane++) {
                row[2 * (q + lane)] += re[lane];
                row[2 * (q + lane) + 1] += im[lane];
            }
            for (int lane = 0; lane < WAVES_LANES; lane++) {
                const float turned = re[lane] * c - im[lane] * d;
                im[lane] = re[lane] * d + im[lane] * c;
                re[lane] = turned;
            }
        }
    }
}

/* log(1 + x) for x >= 0, to 1e-4: exponent and a polynomial, which vectorises. */
static inline float waves_log1p(float x)
{
    union {
        float f;
        int32_t i;
    } y = {1 + x};
    const int32_t exponent = (y.i - 0x3f3504f3) >> 23;
    y.i -= exponent << 23;
    const float t = y.f - 1; /* from -0.293 to 0.414 */
    const float p = t * (1 + t * (-0.4999975f + t * (0.3334150f + t * (-0.2505750f + t * (0.2020000f - t * 0.1400000f)))));
    return p + 0.69314718f * (float)exponent;
}

/* Add log(1 + |f|^2 scale) to out, for n complex numbers. */
static void waves_add_log(const float *spectrum, int64_t n, float scale, float *out)
{
    for (int64_t i = 0; i < n; i++) {
        const float re = spectrum[2 * i], im = spectrum[2 * i + 1];
        out[i] += waves_log1p((re * re + im * im) * scale);
    }
}

/* Best contrast of stacked spectra.
 * spectrum: n pointers to (n_side, n_side, n_q) maps, lateral wave numbers in the order of the FFT; weight: of each;
 * shift: (n, 4, 2) lateral shift in cells of each map in each quarter of the wave numbers along z;
 * low, high: (n_side, n_side) first wave number along z that counts and the one behind the last;
 * near, far: side bands lie between so many cells below and above; room: 3 n_q floats.
 * best: contrast, x, y, z cell, where the contrast of stacked power against its side bands is largest. */
static void waves_stack(const float *const *spectrum, const double *weight, const int32_t *shift, int64_t n,
                        int64_t n_side, int64_t n_q, const int32_t *low, const int32_t *high, int64_t near, int64_t far,
                        float *room, double *best)
{
    float *sum = room;
    double *below = (double *)(room + 2 * n_q); /* running sum */
    best[0] = -1e30;
    for (int64_t ix = 0; ix < n_side; ix++)
        for (int64_t iy = 0; iy < n_side; iy++) {
            const int64_t from = low[ix * n_side + iy], to = high[ix * n_side + iy];
            if (to <= from)
                continue;
            const int64_t first = from > far ? from - far : 0, last = to + far < n_q ? to + far : n_q;
            memset(sum + first, 0, (size_t)(last - first) * sizeof *sum);
            for (int64_t k = 0; k < n; k++)
                for (int64_t part = 0; part < 4; part++) {
                    const int64_t start = part * n_q / 4 > first ? part * n_q / 4 : first;
                    const int64_t stop = (part + 1) * n_q / 4 < last ? (part + 1) * n_q / 4 : last;
                    const int64_t x = ix + shift[8 * k + 2 * part], y = iy + shift[8 * k + 2 * part + 1];
                    const float *row = spectrum[k] + (((x % n_side + n_side) % n_side) * n_side +
                                                      (y % n_side + n_side) % n_side) * n_q;
                    const float share = (float)weight[k];
                    for (int64_t q = start; q < stop; q++)
                        sum[q] += share * row[q];
                }
            below[first] = 0;
            for (int64_t q = first; q < last; q++)
                below[q + 1] = below[q] + sum[q];
            for (int64_t q = from; q < to; q++) {
                const int64_t a = q - far > first ? q - far : first, b = q - near + 1 > first ? q - near + 1 : first;
                const int64_t c = q + near < last ? q + near : last, d = q + far + 1 < last ? q + far + 1 : last;
                const int64_t side = b - a + d - c;
                if (side < far - near)
                    continue;
                const double contrast = sum[q] - (below[b] - below[a] + below[d] - below[c]) / (double)side;
                if (contrast > best[0]) {
                    best[0] = contrast;
                    best[1] = (double)ix;
                    best[2] = (double)iy;
                    best[3] = (double)q;
                }
            }
        }
}

/* Sum exp(-2 pi i planes) of ions, and their number, in the cells of a grid.
 * numbers: centre x, y, z; wave; bend xx, xy, xz, yy, yz, zz; low corner; edges of a cell. */
static void waves_sum(const float *position, int64_t n, const double *numbers, const int64_t *shape, float *waves,
                      float *ions)
{
    const double *centre = numbers, *wave = numbers + 3, *bend = numbers + 6, *low = numbers + 12;
    const double two_pi = 6.283185307179586, per[3] = {1 / numbers[15], 1 / numbers[16], 1 / numbers[17]};
    for (int64_t i = 0; i < n; i++) {
        const double at[3] = {position[3 * i], position[3 * i + 1], position[3 * i + 2]};
        int64_t cell = 0;
        int inside = 1;
        for (int axis = 0; axis < 3; axis++) {
            const double place = (at[axis] - low[axis]) * per[axis];
            inside &= place >= 0 && place < (double)shape[axis];
            cell = cell * shape[axis] + (inside ? (int64_t)place : 0);
        }
        if (!inside)
            continue;
        const double x = at[0] - centre[0], y = at[1] - centre[1], z = at[2] - centre[2];
        const double planes = x * (wave[0] + 0.5 * bend[0] * x + bend[1] * y + bend[2] * z) +
                              y * (wave[1] + 0.5 * bend[3] * y + bend[4] * z) + z * (wave[2] + 0.5 * bend[5] * z);
        const float angle = (float)(-two_pi * (planes - floor(planes + 0.5)));
        waves[2 * cell] += cosf(angle);
        waves[2 * cell + 1] += sinf(angle);
        ions[cell] += 1;
    }
}

#endif
