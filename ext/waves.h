/* Plane waves of the ions of a region, and the stack of such spectra; see aptstream/pole/waves.py. */
#ifndef WAVES_H
#define WAVES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "each_processor.h"

enum { WAVES_AT_ONCE = LANES / 2, WAVES_BLOCK = 256 };

/* cos(2 pi t) to 3e-7, for |t| up to a few turns: without the whole turns, a polynomial, which vectorises. */
static inline float waves_cos(float t)
{
    const float whole = (t + 12582912.0f) - 12582912.0f; /* rounded: there is no room for a fraction */
    const float w = 0.25f - fabsf(t - whole), s = w * w;
    return w * (6.283185f + s * (-41.341656f + s * (81.601006f + s * (-76.54978f + s * 39.536705f))));
}

/* Turns without the whole ones. */
static inline float waves_turn(double turns)
{
    return (float)(turns - ((turns + 6755399441055744.0) - 6755399441055744.0));
}

/* An ion in a window: its cell of the lateral grid, height and weight. */
typedef struct {
    int32_t cell;
    float z, weight;
} waves_ion;

/* Find the ions in a window, and order them by cell. found, ordered: room for n ions; end: of n_side^2 cells, behind the
 * last ion of each. numbers: centre x, y, z; lateral and axial standard deviation of the window; where it ends, in them;
 * edge of a cell. Returns the sum of the squared weights. */
static double waves_window(const float *position, int64_t n, const double *numbers, int64_t n_side, waves_ion *found,
                           waves_ion *ordered, int32_t *end)
{
    const float cx = (float)numbers[0], cy = (float)numbers[1], cz = (float)numbers[2];
    const float per_lateral = (float)(1 / numbers[3]), per_axial = (float)(1 / numbers[4]);
    const float limit = (float)(numbers[5] * numbers[5]), per_cell = (float)(1 / numbers[6]);
    double squares = 0;
    int64_t count = 0;
    memset(end, 0, (size_t)(n_side * n_side) * sizeof *end);
    for (int64_t i = 0; i < n; i++) {
        const float x = position[3 * i] - cx, y = position[3 * i + 1] - cy, z = position[3 * i + 2] - cz;
        const float u = x * per_lateral, v = y * per_lateral, s = z * per_axial, square = u * u + v * v + s * s;
        if (!(square < limit))
            continue;
        const int64_t ix = (int64_t)floorf(x * per_cell + 0.5f) + n_side / 2;
        const int64_t iy = (int64_t)floorf(y * per_cell + 0.5f) + n_side / 2;
        if (ix < 0 || ix >= n_side || iy < 0 || iy >= n_side)
            continue;
        const float weight = expf(-0.5f * square);
        squares += (double)weight * weight;
        found[count++] = (waves_ion){(int32_t)(ix * n_side + iy), z, weight};
        end[ix * n_side + iy]++;
    }
    int32_t before = 0;
    for (int64_t cell = 0; cell < n_side * n_side; cell++) {
        const int32_t here = end[cell];
        end[cell] = before;
        before += here;
    }
    for (int64_t i = 0; i < count; i++)
        ordered[end[found[i].cell]++] = found[i];
    return squares;
}

/* Sum w exp(-2 pi i q z) of the ions of each cell, for n_q wave numbers from `low` on, `step` apart; n_q is a multiple
 * of 8. ion, end: as ordered by waves_window; out: (n_cells, n_q) complex. */
EACH_PROCESSOR static void waves_spread(const waves_ion *ion, const int32_t *end, int64_t n_cells, double low,
                                        double step, int64_t n_q, float *out)
{
    int64_t i = 0;
    for (int64_t cell = 0; cell < n_cells; cell++, out += 2 * n_q) {
        memset(out, 0, (size_t)(2 * n_q) * sizeof *out);
        for (; i < end[cell]; i++) {
            const float start = waves_turn(low * ion[i].z), by = (float)(step * ion[i].z);
            float first[LANES], ahead[LANES]; /* real and imaginary part of eight waves, and of the eight before them */
            for (int lane = 0; lane < LANES; lane++) {
                const float t = start + (float)(lane / 2) * by + 0.25f * (float)(lane % 2);
                first[lane] = ion[i].weight * waves_cos(t);
                ahead[lane] = ion[i].weight * waves_cos(t - WAVES_AT_ONCE * by);
            }
            const float twice = 2 * waves_cos(WAVES_AT_ONCE * by);
            lanes now = load(first), before = load(ahead);
            for (int64_t q = 0; q < 2 * n_q; q += LANES) {
                store(out + q) = load(out + q) + now;
                const lanes next = twice * now - before; /* cos(a + b) = 2 cos(a) cos(b) - cos(a - b), and so sin */
                before = now;
                now = next;
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
EACH_PROCESSOR static void waves_add_log(const float *restrict spectrum, int64_t n, float scale, float *restrict out)
{
    for (int64_t i = 0; i < n; i++) {
        const float re = spectrum[2 * i], im = spectrum[2 * i + 1];
        out[i] += waves_log1p((re * re + im * im) * scale);
    }
}

/* out[q] = sum over n rows of share * row[q], for q from `start` to `stop`; the last sixteen may be done twice. */
static inline void waves_weigh(float *out, const float *const *row, const float *share, int64_t n, int64_t start,
                               int64_t stop)
{
    for (int64_t q = start; q < stop && stop - start >= LANES; q += LANES) {
        q = q > stop - LANES ? stop - LANES : q;
        lanes sum = share[0] * load(row[0] + q);
        for (int64_t k = 1; k < n; k++)
            sum += share[k] * load(row[k] + q);
        store(out + q) = sum;
    }
    for (int64_t q = start; q < stop && stop - start < LANES; q++) {
        out[q] = 0;
        for (int64_t k = 0; k < n; k++)
            out[q] += share[k] * row[k][q];
    }
}

/* Best contrast of stacked spectra.
 * spectrum: n pointers to (n_side, n_side, n_q) maps, lateral wave numbers in the order of the FFT; share: of each;
 * shift: (n, 4, 2) lateral shift in cells, 0 to n_side - 1, of each map in each quarter of the wave numbers along z;
 * low, high: (n_side, n_side) first wave number along z that counts and the one behind the last;
 * near, far: side bands lie between so many cells below and above, and there are `far` below `low` and above `high`;
 * row: room for n pointers; room: 2 (n_q + 16) floats.
 * best: contrast, x, y, z cell, where the contrast of stacked power against its side bands is largest. */
EACH_PROCESSOR static void waves_stack(const float *const *spectrum, const float *share, const int32_t *shift, int64_t n,
                                       int64_t n_side, int64_t n_q, const int32_t *low, const int32_t *high,
                                       int64_t near, int64_t far, const float **row, float *room, double *best)
{
    float *sum = room, *contrast = room + n_q + LANES;
    const float per_side = 1 / (float)(2 * (far - near + 1));
    float most = -1e30f;
    for (int64_t ix = 0; ix < n_side; ix++)
        for (int64_t iy = 0; iy < n_side; iy++) {
            const int64_t from = low[ix * n_side + iy], to = high[ix * n_side + iy];
            if (to <= from)
                continue;
            for (int64_t part = 0; part < 4; part++) {
                const int64_t start = part * n_q / 4 > from - far ? part * n_q / 4 : from - far;
                const int64_t stop = (part + 1) * n_q / 4 < to + far ? (part + 1) * n_q / 4 : to + far;
                for (int64_t k = 0; k < n && start < stop; k++) {
                    const int64_t x = ix + shift[8 * k + 2 * part], y = iy + shift[8 * k + 2 * part + 1];
                    row[k] = spectrum[k] + ((x < n_side ? x : x - n_side) * n_side + (y < n_side ? y : y - n_side)) * n_q;
                }
                waves_weigh(sum, row, share, n, start, stop);
            }
            for (int64_t q = from; q < to; q += LANES) { /* whatever stands behind the last is not looked at */
                lanes beside = load(sum + q - near) + load(sum + q + near);
                for (int64_t off = near + 1; off <= far; off++)
                    beside += load(sum + q - off) + load(sum + q + off);
                store(contrast + q) = load(sum + q) - beside * per_side;
            }
            for (int64_t q = from; q < to; q++)
                if (contrast[q] > most) {
                    most = contrast[q];
                    best[1] = (double)ix;
                    best[2] = (double)iy;
                    best[3] = (double)q;
                }
        }
    best[0] = most;
}

/* Sum exp(-2 pi i planes) of ions, and their number, in the cells of a grid.
 * numbers: centre x, y, z; wave; bend xx, xy, xz, yy, yz, zz; low corner; edges of a cell. */
EACH_PROCESSOR static void waves_sum(const float *position, int64_t n, const double *numbers, const int64_t *shape,
                                     float *waves, float *ions)
{
    const double *centre = numbers, *wave = numbers + 3, *bend = numbers + 6, *low = numbers + 12;
    const double per[3] = {1 / numbers[15], 1 / numbers[16], 1 / numbers[17]};
    for (int64_t first = 0; first < n; first += WAVES_BLOCK, position += 3 * WAVES_BLOCK) {
        const int64_t count = n - first < WAVES_BLOCK ? n - first : WAVES_BLOCK;
        float turn[WAVES_BLOCK], re[WAVES_BLOCK], im[WAVES_BLOCK];
        for (int64_t i = 0; i < count; i++) {
            const double x = position[3 * i] - centre[0], y = position[3 * i + 1] - centre[1];
            const double z = position[3 * i + 2] - centre[2];
            turn[i] = waves_turn(x * (wave[0] + 0.5 * bend[0] * x + bend[1] * y + bend[2] * z) +
                                 y * (wave[1] + 0.5 * bend[3] * y + bend[4] * z) + z * (wave[2] + 0.5 * bend[5] * z));
        }
        for (int64_t i = 0; i < count; i++) {
            re[i] = waves_cos(turn[i]);
            im[i] = waves_cos(turn[i] + 0.25f);
        }
        for (int64_t i = 0; i < count; i++) {
            int64_t cell = 0;
            int inside = 1;
            for (int axis = 0; axis < 3; axis++) {
                const double place = ((double)position[3 * i + axis] - low[axis]) * per[axis];
                inside &= place >= 0 && place < (double)shape[axis];
                cell = cell * shape[axis] + (inside ? (int64_t)place : 0);
            }
            if (!inside)
                continue;
            waves[2 * cell] += re[i];
            waves[2 * cell + 1] += im[i];
            ions[cell] += 1;
        }
    }
}

/* Sum n cubic splines of given weights (n, shape), each at a place of its own, in cells, inside by one. */
EACH_PROCESSOR static double waves_splines(const float *weights, const double *at, int64_t n, const int64_t *shape)
{
    double all = 0;
    for (int64_t i = 0; i < n; i++, at += 3, weights += shape[0] * shape[1] * shape[2]) {
        double share[3][4], along[4] = {0, 0, 0, 0};
        int64_t base[3];
        for (int axis = 0; axis < 3; axis++) {
            base[axis] = (int64_t)at[axis] - 1;
            const double t = at[axis] - floor(at[axis]), u = 1 - t;
            share[axis][0] = u * u * u / 6;
            share[axis][1] = (4 + t * t * (3 * t - 6)) / 6;
            share[axis][2] = (4 + u * u * (3 * u - 6)) / 6;
            share[axis][3] = t * t * t / 6;
        }
        for (int x = 0; x < 4; x++)
            for (int y = 0; y < 4; y++) {
                const float *row = weights + ((base[0] + x) * shape[1] + base[1] + y) * shape[2] + base[2];
                const double both = share[0][x] * share[1][y];
                for (int z = 0; z < 4; z++)
                    along[z] += both * row[z];
            }
        for (int z = 0; z < 4; z++)
            all += along[z] * share[2][z];
    }
    return all;
}

#endif
