/* Spatial distribution maps of all overlapping cubes, every pair of ions counted once.
 *
 * An SDM is additive over pairs, so cubes can share their work. Space is cut into cells as wide as the stride; a cube of
 * edge S covers S cells on each axis and is named by its low corner. Take one axis, and a pair of ions whose smaller cell
 * is m and whose cells are e apart. The pair lies in cube c exactly when the cube holds both cells:
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
 * Cubes of several edges share the hook. Extents beyond the histogram's window hold no pair: only ext_x, ext_y, ext_z are
 * ever scattered. Adding images is what costs, so counters have 16 bits where that is safe. A hook holds the pairs that have
 * one ion in the y cell it began with and the other in a row of S cells from there on, in four ways: lower and upper ion in
 * either x cell, the ion in the first y cell being the lower or the upper one. So with at most C ions in a cell and R in a
 * row none of its counters exceeds 4 C R, which the gate checks. Sums of hooks are added with saturation, and a finished
 * counter that shows 65 535 makes the gate count that tile again with 32 bits, which hold the n (n - 1) / 2 pairs of a cube
 * of fewer than 92 682 ions (the gate checks). */
#include "sdm_kernel.h"
#include "sdm_pairs.h"

#include <string.h>

static int smaller(int a, int b) { return a < b ? a : b; }
static int larger(int a, int b) { return a > b ? a : b; }
static int extents(const sdm_volume *v, const sdm_tile *t) { return smaller(t->side - 1, v->ext_z) + 1; }

/* ---- instructions: the same loops for each kind of processor, chosen at run time ------------------------------------ */

#ifdef HAVE_X86
#define FOR_AVX2 __attribute__((target("avx2")))
FOR_AVX2 static void rhoz_avx2(const sdm_volume *v, sdm_sink *s, const sdm_range *r) { count_plain(v, s, r, SDM_RHOZ); }
FOR_AVX2 static void zx_avx2(const sdm_volume *v, sdm_sink *s, const sdm_range *r) { count_plain(v, s, r, SDM_ZX); }
FOR_AVX512 static void rhoz_avx512(const sdm_volume *v, sdm_sink *s, const sdm_range *r) { choose_avx512(v, s, r, SDM_RHOZ); }
FOR_AVX512 static void zx_avx512(const sdm_volume *v, sdm_sink *s, const sdm_range *r) { choose_avx512(v, s, r, SDM_ZX); }
#else
#define rhoz_avx2 rhoz_plain
#define rhoz_avx512 rhoz_plain
#define zx_avx2 zx_plain
#define zx_avx512 zx_plain
#endif
static void rhoz_plain(const sdm_volume *v, sdm_sink *s, const sdm_range *r) { count_plain(v, s, r, SDM_RHOZ); }
static void zx_plain(const sdm_volume *v, sdm_sink *s, const sdm_range *r) { count_plain(v, s, r, SDM_ZX); }

typedef void (*pair_counter)(const sdm_volume *, sdm_sink *, const sdm_range *);
static const pair_counter PAIRS[2][3] = {{rhoz_plain, rhoz_avx2, rhoz_avx512}, {zx_plain, zx_avx2, zx_avx512}};

int sdm_best_instructions(void) {
#ifdef HAVE_X86
    for (int n = 0, root = 0; n < 128; n++) {
        while ((root + 1) * (root + 1) <= n) root++;
        ROOT[n] = (uint8_t)root;
    }
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return SDM_AVX512;
    if (__builtin_cpu_supports("avx2")) return SDM_AVX2;
#endif
    return SDM_PLAIN;
}

/* 16-bit sums that stop at 65 535: adding images is memory traffic, so the widest registers win */
static void add_tail(uint16_t *a, const uint16_t *b, int64_t k, int64_t n) {
    for (; k < n; k++) a[k] = (uint16_t)smaller(a[k] + b[k], 65535);
}
#ifdef HAVE_X86
#define ADD_16(NAME, TARGET, REGISTER, LANES, LOAD, STORE, SUM)                                       \
    TARGET static void NAME(uint16_t *a, const uint16_t *b, int64_t n) {                              \
        int64_t k = 0;                                                                                \
        for (; k + LANES <= n; k += LANES)                                                            \
            STORE((REGISTER *)(a + k), SUM(LOAD((const REGISTER *)(a + k)), LOAD((const REGISTER *)(b + k)))); \
        add_tail(a, b, k, n);                                                                         \
    }
ADD_16(add_16_plain, , __m128i, 8, _mm_loadu_si128, _mm_storeu_si128, _mm_adds_epu16)
ADD_16(add_16_avx2, FOR_AVX2, __m256i, 16, _mm256_loadu_si256, _mm256_storeu_si256, _mm256_adds_epu16)
ADD_16(add_16_avx512, FOR_AVX512, __m512i, 32, _mm512_loadu_si512, _mm512_storeu_si512, _mm512_adds_epu16)
#else
static void add_16_plain(uint16_t *restrict a, const uint16_t *restrict b, int64_t n) { add_tail(a, b, 0, n); }
#define add_16_avx2 add_16_plain
#define add_16_avx512 add_16_plain
#endif
static void (*const ADD_16_BY[3])(uint16_t *, const uint16_t *, int64_t) = {add_16_plain, add_16_avx2, add_16_avx512};

static void add_32(void *into, const void *from, int64_t n) {
    uint32_t *restrict a = into;
    const uint32_t *restrict b = from;
    for (int64_t k = 0; k < n; k++) a[k] += b[k];
}

/* ---- pairs of cells ------------------------------------------------------------------------------------------------ */

/* All pairs with the lower ion in cell m of column a and the upper one in column b. Ties (dz = 0) of two columns are seen
 * from both: in one slice they are left out where `strict`; in two slices, which an edge amid a unit can part, they are seen
 * from the lower slice only. */
static void count_columns(const sdm_volume *v, sdm_sink *sink, int64_t a, int64_t b, int m, int strict) {
    const int64_t n = (int64_t)v->nz * v->slices, *A = v->start + a * n, *B = v->start + b * n;
    sdm_range r = {.self = a == b, .base = 2 * m * v->n_image};
    for (int64_t s = (int64_t)m * v->slices; s < (int64_t)(m + 1) * v->slices; s++) {
        /* partners at most ext_z cells up: higher ones share no cube with cell m */
        int64_t last = s + v->reach, limit = (int64_t)(m + v->ext_z + 1) * v->slices;
        if (last > limit) last = limit;
        if (last > n) last = n;
        r.i0 = A[s], r.i1 = A[s + 1], r.j0 = B[s], r.j1 = B[last], r.dz_min = 0;
        if (r.i0 == r.i1) continue;
        if (strict) {
            r.dz_min = 1;
            if (v->parted) {
                r.j1 = B[s + 1];
                if (r.j0 < r.j1) PAIRS[v->kind][v->instructions](v, sink, &r);
                r.j0 = B[s + 1], r.j1 = B[last], r.dz_min = 0;
            }
        }
        if (r.j0 < r.j1) PAIRS[v->kind][v->instructions](v, sink, &r);
    }
}

/* All pairs whose smaller cells are (x, y, m) and whose lateral extents are exactly (ex, ey). */
static void count_cells(const sdm_volume *v, sdm_sink *sink, int x, int y, int m, int ex, int ey) {
    const int64_t a = (int64_t)x * v->ny + y, b = (int64_t)(x + ex) * v->ny + y + ey;
    count_columns(v, sink, a, b, m, 0);
    if (a != b) count_columns(v, sink, b, a, m, 1);
    if (ex && ey) { /* the other diagonal of the rectangle of columns */
        const int64_t c = a + ey, d = b - ey;
        count_columns(v, sink, c, d, m, 0);
        count_columns(v, sink, d, c, m, 1);
    }
}

/* ---- window sums, for both widths of counter ----------------------------------------------------------------------- */

#define COUNTER uint16_t
#define NAME(x) x##_16
#define ADD(into, from, n) ADD_16_BY[v->instructions](into, from, n)
#include "sdm_windows.h"
#undef COUNTER
#undef NAME
#undef ADD
#define COUNTER uint32_t
#define NAME(x) x##_32
#define ADD(into, from, n) add_32(into, from, n)
#include "sdm_windows.h"

void sdm_scan_step(const sdm_volume *v, const sdm_tile *tiles, int n_tiles, void *hook, int x_cell, int wide) {
    if (wide) scan_step_32(v, tiles, n_tiles, hook, x_cell);
    else scan_step_16(v, tiles, n_tiles, hook, x_cell);
}

int sdm_take(void *counters, int64_t n, uint32_t *out, int wide) {
    uint32_t most = 0;
    if (wide) memcpy(out, counters, (size_t)n * sizeof *out);
    else
        for (int64_t k = 0; k < n; k++) {
            out[k] = ((const uint16_t *)counters)[k];
            most = out[k] > most ? out[k] : most;
        }
    memset(counters, 0, (size_t)n * (wide ? 4 : 2));
    return most == 65535;
}

/* ---- free regions -------------------------------------------------------------------------------------------------- */

void sdm_count(const sdm_volume *v, int64_t n, uint32_t *image) {
    enum { LOWER = 16 };
    sdm_sink sink;
    sink.end = sink.bins;
    sink.counters = image;
    sink.empty = empty_32;
    int64_t end = 0;
    for (int64_t i = 0; i < n; i += LOWER) { /* a few lower ions at a time: the upper ones are loaded once for all */
        const int64_t stop = i + LOWER < n ? i + LOWER : n;
        while (end < n && v->z[end] - v->z[stop - 1] < 256 * v->n_z) end++;
        const sdm_range own = {.i0 = i, .i1 = stop, .j0 = i, .j1 = stop, .self = 1};
        const sdm_range above = {.i0 = i, .i1 = stop, .j0 = stop, .j1 = end};
        PAIRS[v->kind][v->instructions](v, &sink, &own);
        if (stop < end) PAIRS[v->kind][v->instructions](v, &sink, &above);
    }
    empty_32(image, sink.bins, sink.end);
}

/* ---- network input ------------------------------------------------------------------------------------------------- */

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

void sdm_standardise(const uint32_t *counts, int64_t n, int n_z, int n_lat, float *out) {
    const int64_t bins = (int64_t)n_z * n_lat;
    for (int64_t image = 0; image < n; image++, counts += bins, out += bins)
        for (int r = 0; r < n_lat; r++) {
            double sum = 0;
            for (int64_t k = r; k < bins; k += n_lat) sum += counts[k];
            const float mean = (float)(sum / n_z), scale = (float)(1 / sqrt(sum / n_z + 1));
            for (int64_t k = r; k < bins; k += n_lat) out[k] = ((float)counts[k] - mean) * scale;
        }
}
