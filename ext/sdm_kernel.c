/* Spatial distribution maps of all overlapping cubes, every pair of ions counted once.
 *
 * An SDM is additive over pairs, so cubes can share their work. Space is cut into cells as wide as the stride; a cube
 * of edge S covers S cells on each axis and is named by its low corner. Take one axis, and a pair of ions whose smaller
 * cell is m and whose cells are e apart. The pair lies in cube c exactly when the cube holds both cells:
 *
 *      cells      . . m . m+e . .            m + e - (S - 1)  <=  c  <=  m
 *      cube c         [ c ........ c+S-1 ]
 *
 * Let L_t(m) be the image of all pairs with smaller cell m and extent e <= t. Then the SDM of cube c is
 *
 *      SDM(c) = sum over t = 0 .. S-1 of  L_t(c + S - 1 - t)
 *
 * because a pair (m, e) with c <= m is in the term t = c + S - 1 - m if and only if e <= t. So S images are added per
 * axis instead of counting each pair up to S^3 times. The same is done on the three axes, one inside the other:
 *
 *      pairs --scatter--> hook  (one x cell, y cell, z cell; one image for each z extent)
 *      hook  --y window-> row   (one x cell, z cell; all cubes in y)
 *      row   --z window-> plane (one x cell; all cubes in y and z)
 *      plane --x window-> ring  (S x planes of cubes; a cube is finished when x leaves it)
 *
 * Extents beyond the histogram's window hold no pair: only ext_x, ext_y, ext_z are ever scattered.
 *
 * Counters are 32 bits wide: a cube of n ions holds n (n - 1) / 2 pairs, which fits below 92 682 ions. The gate checks.
 */
#include "sdm_kernel.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__linux__)
#define FOR_EACH_CPU __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define FOR_EACH_CPU
#endif
#define INLINE static inline __attribute__((always_inline))

enum { BLOCK = 16 };

/* THE BIN RULE, in one place. Offsets are differences of whole numbers (256 to a bin), so every step is exact:
 * the row is floor(dz / 256) for 0 <= dz < 256 n_z; the column is floor(sqrt(dx^2 + dy^2) / 256) below n_lat (kind rho-z),
 * or floor((dx + 128 n_lat) / 256) for -128 n_lat <= dx < 128 n_lat (kind zx), where a pair in one plane (dz = 0) is
 * taken in the direction in which dx >= 0. Counts the pairs of ion i with ions j0 .. j1 - 1; dz must be at least
 * dz_min (0, or 1 where the opposite order has counted the ties). */
INLINE void count_pairs(const sdm_volume *v, uint32_t *h, int64_t i, int64_t j0, int64_t j1, float dz_min, int base,
                        int trash, const int kind) {
    const float x = v->x[i], y = v->y[i], z = v->z[i], dz_end = 256.0f * v->n_z, per_bin = 1 / 256.0f;
    const float columns = v->n_lat, middle = 0.5f * v->n_lat;
    const int n_lat = v->n_lat, tag = v->tag[i] - base;
    for (int64_t j = j0; j < j1; j += BLOCK) {
        const float *xs = v->x + j, *ys = v->y + j, *zs = v->z + j;
        const int32_t *tags = v->tag + j;
        int bin[BLOCK];
        for (int k = 0; k < BLOCK; k++) {
            float dx = xs[k] - x, dy = ys[k] - y, dz = zs[k] - z, column;
            if (kind == SDM_RHOZ) column = sqrtf(dx * dx + dy * dy) * per_bin;
            else column = (dz == 0 ? fabsf(dx) : dx) * per_bin + middle;
            int inside = (dz >= dz_min) & (dz < dz_end) & (column >= 0) & (column < columns);
            int place = (int)(dz * per_bin) * n_lat + (int)column + tags[k] + tag;
            bin[k] = inside ? place : trash + k;
        }
        const int live = j1 - j < BLOCK ? (int)(j1 - j) : BLOCK;
        for (int k = 0; k < live; k++) h[bin[k]]++;
    }
}

/* All pairs with the lower ion in cell m of column a and the upper one in column b. */
INLINE void count_columns(const sdm_volume *v, uint32_t *h, int64_t a, int64_t b, int m, float dz_min, const int kind) {
    const int64_t n = (int64_t)v->nz * v->slices, *A = v->start + a * n, *B = v->start + b * n;
    const int base = 2 * m * v->n_image, trash = (v->ext_z + 1) * v->n_image;
    for (int64_t s = (int64_t)m * v->slices; s < (int64_t)(m + 1) * v->slices; s++) {
        /* partners at most ext_z cells up: higher ones share no cube with cell m */
        int64_t last = s + v->reach, limit = (int64_t)(m + v->ext_z + 1) * v->slices;
        if (last > limit) last = limit;
        if (last > n) last = n;
        for (int64_t i = A[s]; i < A[s + 1]; i++)
            count_pairs(v, h, i, a == b ? i + 1 : B[s], B[last], dz_min, base, trash, kind);
    }
}

/* All pairs whose smaller cells are (x, y, m) and whose lateral extents are exactly (ex, ey). */
INLINE void count_cells(const sdm_volume *v, uint32_t *h, int x, int y, int m, int ex, int ey, const int kind) {
    const int64_t a = (int64_t)x * v->ny + y, b = (int64_t)(x + ex) * v->ny + y + ey;
    count_columns(v, h, a, b, m, 0, kind);
    if (a != b) count_columns(v, h, b, a, m, 1, kind);
    if (ex && ey) { /* the other diagonal of the rectangle of columns */
        const int64_t c = a + ey, d = b - ey;
        count_columns(v, h, c, d, m, 0, kind);
        count_columns(v, h, d, c, m, 1, kind);
    }
}

FOR_EACH_CPU static void count_cells_rhoz(const sdm_volume *v, uint32_t *h, int x, int y, int m, int ex, int ey) {
    count_cells(v, h, x, y, m, ex, ey, SDM_RHOZ);
}

FOR_EACH_CPU static void count_cells_zx(const sdm_volume *v, uint32_t *h, int x, int y, int m, int ex, int ey) {
    count_cells(v, h, x, y, m, ex, ey, SDM_ZX);
}

FOR_EACH_CPU static void add(uint32_t *restrict into, const uint32_t *restrict from, int64_t n) {
    for (int64_t k = 0; k < n; k++) into[k] += from[k];
}

static int smaller(int a, int b) { return a < b ? a : b; }

/* The y window: fills t->row with the cubes in y of all pairs of x cells (x, x + ex) and smaller z cell m. */
static void sum_along_y(const sdm_volume *v, const sdm_tile *t, int x, int ex, int m) {
    const int S = v->side, end = smaller(t->y0 + t->ty + S - 1, v->ny);
    const int64_t n = (int64_t)(v->ext_z + 1) * v->n_image;
    memset(t->row, 0, (size_t)t->ty * n * sizeof *t->row);
    for (int y = t->y0; y < end; y++) {
        memset(t->hook, 0, (size_t)n * sizeof *t->hook);
        for (int ey = 0; ey < S && y + ey < end; ey++) {
            if (ey <= v->ext_y)
                (v->kind == SDM_ZX ? count_cells_zx : count_cells_rhoz)(v, t->hook, x, y, m, ex, ey);
            const int c = y - (S - 1 - ey) - t->y0;
            if (c >= 0 && c < t->ty) add(t->row + c * n, t->hook, n);
        }
    }
}

/* The z window: adds the rows of smaller z cell m to the cubes of t->plane. */
static void sum_along_z(const sdm_volume *v, const sdm_tile *t, int m) {
    const int S = v->side, E = v->ext_z, n = v->n_image;
    for (int y = 0; y < t->ty; y++)
        for (int ez = 0; ez <= E; ez++) {
            uint32_t *image = t->row + ((int64_t)y * (E + 1) + ez) * n; /* becomes L_ez: extents up to ez */
            if (ez) add(image, image - n, n);
            for (int e = ez; e <= (ez == E ? S - 1 : ez); e++) {
                const int c = m - (S - 1 - e) - t->z0;
                if (c >= 0 && c < t->tz) add(t->plane + ((int64_t)y * t->tz + c) * n, image, n);
            }
        }
}

/* Add all pairs whose smaller x cell is x to the cubes of the ring that hold them. Afterwards the cubes with low corner
 * x - (S - 1) are finished: the caller takes them from ring slot (x - (S - 1)) % S and clears it. */
void sdm_scan_step(const sdm_volume *v, const sdm_tile *t, int x) {
    const int S = v->side, z_end = smaller(t->z0 + t->tz + S - 1, v->nz);
    const int64_t n = (int64_t)t->ty * t->tz * v->n_image;
    memset(t->plane, 0, (size_t)n * sizeof *t->plane);
    for (int ex = 0; ex <= v->ext_x && x + ex < v->nx; ex++) {
        for (int m = t->z0; m < z_end; m++) {
            sum_along_y(v, t, x, ex, m);
            sum_along_z(v, t, m);
        }
        for (int e = ex; e <= (ex == v->ext_x ? S - 1 : ex); e++) {
            const int c = x - (S - 1 - e);
            if (c >= 0 && c <= v->nx - S) add(t->ring + (c % S) * n, t->plane, n);
        }
    }
}

FOR_EACH_CPU static void count_all_rhoz(const sdm_volume *v, int64_t i, int64_t end, uint32_t *image) {
    count_pairs(v, image, i, i + 1, end, 0, 0, v->n_image, SDM_RHOZ);
}

FOR_EACH_CPU static void count_all_zx(const sdm_volume *v, int64_t i, int64_t end, uint32_t *image) {
    count_pairs(v, image, i, i + 1, end, 0, 0, v->n_image, SDM_ZX);
}

void sdm_count(const sdm_volume *v, int64_t n, uint32_t *image) {
    int64_t end = 0;
    for (int64_t i = 0; i < n; i++) {
        while (end < n && v->z[end] - v->z[i] < 256.0f * v->n_z) end++;
        (v->kind == SDM_ZX ? count_all_zx : count_all_rhoz)(v, i, end, image);
    }
}

void sdm_contrast(const uint32_t *counts, const float *fraction, int64_t n, int n_z, int n_lat, float *out) {
    const int64_t bins = (int64_t)n_z * n_lat;
    for (int64_t cube = 0; cube < n; cube++, counts += 3 * bins, out += bins) {
        const uint32_t *aa = counts, *ax = counts + bins, *xx = counts + 2 * bins;
        const float c = fraction[cube], b = 1 - c;
        const float k_aa = c * c, k_ax = -c * b, k_xx = b * b;
        for (int r = 0; r < n_lat; r++) {
            double sum_aa = 0, sum_ax = 0, sum_xx = 0;
            for (int64_t k = r; k < bins; k += n_lat) sum_aa += aa[k], sum_ax += ax[k], sum_xx += xx[k];
            const double mean = (k_aa * sum_aa + k_ax * sum_ax + k_xx * sum_xx) / n_z;
            const double variance = (k_aa * k_aa * sum_aa + k_ax * k_ax * sum_ax + k_xx * k_xx * sum_xx) / n_z;
            const float scale = (float)(1 / sqrt(variance + 1)), shift = (float)mean;
            for (int64_t k = r; k < bins; k += n_lat)
                out[k] = (k_aa * (float)aa[k] + k_ax * (float)ax[k] + k_xx * (float)xx[k] - shift) * scale;
        }
    }
}
