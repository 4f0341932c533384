/* Which bin a pair of ions falls into: THE BIN RULE, once in plain C and once in AVX-512, and nothing else.
 *
 * z is a whole number, 256 to a bin; x and y are the same in bins, so that every step below is exact in float32:
 *   row     dz >> 8, for dz_min <= dz < 256 n_z. dz_min is 0, or 1 where the opposite order has counted the ties.
 *   column  kind rho-z: floor(sqrt(dx^2 + dy^2)), below n_lat;
 *           kind zx:    floor(dx + n_lat / 2), 0 <= column < n_lat. A pair in one plane (dz = 0) is taken in the direction
 *                       in which dx >= 0.
 *   limits  |dy| < y_limit; floor(16 |dx|)^2 + floor(16 |dy|)^2 + floor(|dz| / 16)^2 < radius2 (where radius2 is not 0).
 *   channel what the tags of both ions add, or table[label i + label j].
 * The bins of all pairs that pass are appended to a sink, which adds them to its counters when it is full.
 */
#ifndef APTSTREAM_SDM_PAIRS_H
#define APTSTREAM_SDM_PAIRS_H
#include "sdm_kernel.h"

#include <math.h>
#include <stdlib.h>

#define INLINE static inline __attribute__((always_inline))
enum { BLOCK = 16, SINK = 2048, ROOM = 1536 }; /* a sink of SINK bins is full; ROOM more can still be appended */

typedef struct {
    int32_t bins[SINK + ROOM];
    int32_t *end;
    void *counters;
    void (*empty)(void *counters, const int32_t *bins, const int32_t *end);
} sdm_sink;

INLINE int32_t *drained(sdm_sink *sink, int32_t *end) {
    if (end - sink->bins < SINK) return end;
    sink->empty(sink->counters, sink->bins, end);
    return sink->bins;
}

/* Ions i0 .. i1 - 1 below, ions j0 .. j1 - 1 above; self: both are one column, and j > i. base: cell tag of the ions i. */
typedef struct {
    int64_t i0, i1, j0, j1;
    int self, base;
    int dz_min;
} sdm_range;

INLINE void count_plain(const sdm_volume *v, sdm_sink *sink, const sdm_range *r, const int kind) {
    const float columns = v->n_lat, shift = kind == SDM_ZX ? 32768 + 0.5f * v->n_lat : 0, y_limit = v->y_limit;
    const int n_lat = v->n_lat, sets = v->n_sets, step = 2 * v->n_z * v->n_lat;
    const unsigned dz_min = (unsigned)r->dz_min, dz_span = 256u * v->n_z - dz_min;
    int32_t *out = sink->end;
    for (int64_t i = r->i0; i < r->i1; i++) {
        const float x = v->x[i], y = v->y[i];
        const int z = v->z[i], label = v->label[i], tag = v->tag[i] - r->base;
        for (int64_t j = r->self ? i + 1 : r->j0; j < r->j1; j += BLOCK) {
            const float *xs = v->x + j, *ys = v->y + j;
            const int32_t *zs = v->z + j, *tags = v->tag + j, *labels = v->label + j;
            int bin[BLOCK], inside[BLOCK];
            for (int k = 0; k < BLOCK; k++) {
                float dx = xs[k] - x, dy = ys[k] - y, column;
                int dz = zs[k] - z, c;
                if (kind == SDM_RHOZ) {
                    column = sqrtf(dx * dx + dy * dy);
                    c = (int)column;
                } else { /* the shift keeps 8 bits behind the point and makes the truncation a floor */
                    column = (dz == 0 ? fabsf(dx) : dx) + shift;
                    c = (int)column - 32768;
                    column -= 32768;
                }
                inside[k] = ((unsigned)dz - dz_min < dz_span) & (column >= 0) & (column < columns) & (fabsf(dy) < y_limit);
                bin[k] = (dz >> 8) * n_lat + c + tags[k] + tag;
            }
            if (v->radius2 > 0)
                for (int k = 0; k < BLOCK; k++) {
                    float a = (float)(int)(fabsf(xs[k] - x) * 16), b = (float)(int)(fabsf(ys[k] - y) * 16);
                    float c = (float)(abs(zs[k] - z) >> 4);
                    inside[k] &= a * a + b * b + c * c < v->radius2;
                }
            const int live = r->j1 - j < BLOCK ? (int)(r->j1 - j) : BLOCK;
            if (sets)
                for (int k = 0; k < live; k++) {
                    if (!inside[k]) continue;
                    const int either = label | labels[k], both = label & labels[k];
                    *out++ = bin[k];
                    for (int p = 0, first = bin[k] + step / 2; either >> p; p++, first += step)
                        if (either >> p & 1) *out++ = first + (both >> p & 1) * (step / 2);
                    out = drained(sink, out);
                }
            else if (v->by_table)
                for (int k = 0; k < live; k++) {
                    const int channel = v->table[label + labels[k]];
                    *out = bin[k] + channel;
                    out += inside[k] & (channel >= 0);
                }
            else
                for (int k = 0; k < live; k++) {
                    *out = bin[k];
                    out += inside[k];
                }
            out = drained(sink, out);
        }
    }
    sink->end = out;
}

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_X86 1
#include <immintrin.h>
#define FOR_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vbmi,popcnt")))

/* floor(sqrt(n)) for n below 128, looked up by byte: n = floor(dx^2 + dy^2) decides the column exactly. */
static uint8_t ROOT[128];
enum { MAX_ROOT_COLUMNS = 11 };

FOR_AVX512 static inline __attribute__((always_inline)) __m512 sixteenth(__m512 d) {
    const int down = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
    return _mm512_roundscale_ps(_mm512_mul_ps(_mm512_abs_ps(d), _mm512_set1_ps(16)), down);
}

/* channels: 0 as the tags say, 1 by table, 2 label sets; a constant, so that each has a loop of its own */
FOR_AVX512 static inline __attribute__((always_inline)) void count_avx512(const sdm_volume *v, sdm_sink *sink,
                                                                          const sdm_range *r, const int kind,
                                                                          const int channels, const int limits) {
    const __m512i dz_min = _mm512_set1_epi32(r->dz_min), dz_span = _mm512_set1_epi32(256 * v->n_z - r->dz_min);
    const __m512i columns = _mm512_set1_epi32(v->n_lat), base = _mm512_set1_epi32(r->base), n_lat = columns;
    const __m512 middle = _mm512_set1_ps(0.5f * v->n_lat), rho2 = _mm512_set1_ps((float)v->n_lat * v->n_lat);
    const __m512i root0 = _mm512_loadu_si512(ROOT), root1 = _mm512_loadu_si512(ROOT + 64), table = _mm512_loadu_si512(v->table);
    const __m512 y_limit = _mm512_set1_ps(v->y_limit), radius2 = _mm512_set1_ps(v->radius2);
    const int by_root = v->n_lat <= MAX_ROOT_COLUMNS, image = v->n_z * v->n_lat, sets = v->n_sets;
    const float *X = v->x, *Y = v->y;
    const int32_t *Z = v->z, *TAG = v->tag, *LABEL = v->label;
    const int64_t i0 = r->i0, i1 = r->i1, j1 = r->j1;
    const int self = r->self;
    int32_t *out = sink->end;
    for (int64_t j = self ? i0 : r->j0; j < j1; j += BLOCK) {
        out = drained(sink, out);
        const __mmask16 live = j1 - j >= BLOCK ? 0xffff : (__mmask16)((1u << (j1 - j)) - 1);
        const __m512 xs = _mm512_loadu_ps(X + j), ys = _mm512_loadu_ps(Y + j);
        const __m512i zs = _mm512_sub_epi32(_mm512_loadu_si512(Z + j), dz_min), labels = _mm512_loadu_si512(LABEL + j);
        const __m512i tags = _mm512_sub_epi32(_mm512_loadu_si512(TAG + j), base);
        for (int64_t i = i0; i < i1; i++) {
            __mmask16 m = live;
            if (self && i >= j) { /* only j > i */
                if (i >= j + BLOCK - 1) break;
                m &= (__mmask16)(0xffff << (i - j + 1));
            }
            const __m512i above = _mm512_sub_epi32(zs, _mm512_set1_epi32(Z[i])), dz = _mm512_add_epi32(above, dz_min);
            m = _mm512_mask_cmplt_epu32_mask(m, above, dz_span);
            const __m512 dx = _mm512_sub_ps(xs, _mm512_set1_ps(X[i])), dy = _mm512_sub_ps(ys, _mm512_set1_ps(Y[i]));
            __m512i column;
            if (kind == SDM_RHOZ) {
                const __m512 d2 = _mm512_fmadd_ps(dx, dx, _mm512_mul_ps(dy, dy));
                m = _mm512_mask_cmp_ps_mask(m, d2, rho2, _CMP_LT_OQ);
                if (by_root) column = _mm512_permutex2var_epi8(root0, _mm512_cvttps_epi32(d2), root1);
                else column = _mm512_cvttps_epi32(_mm512_sqrt_ps(d2));
            } else {
                const __m512 d = _mm512_mask_abs_ps(dx, _mm512_testn_epi32_mask(dz, dz), dx);
                column = _mm512_cvt_roundps_epi32(_mm512_add_ps(d, middle), _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
                m = _mm512_mask_cmplt_epu32_mask(m, column, columns);
            }
            if (limits) {
                m = _mm512_mask_cmp_ps_mask(m, _mm512_abs_ps(dy), y_limit, _CMP_LT_OQ);
                if (limits > 1) {
                    const __m512 a = sixteenth(dx), b = sixteenth(dy), c = _mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_abs_epi32(dz), 4));
                    const __m512 d2 = _mm512_add_ps(_mm512_add_ps(_mm512_mul_ps(a, a), _mm512_mul_ps(b, b)), _mm512_mul_ps(c, c));
                    m = _mm512_mask_cmp_ps_mask(m, d2, radius2, _CMP_LT_OQ);
                }
            }
            const __m512i row = _mm512_madd_epi16(_mm512_srli_epi32(dz, 8), n_lat); /* a product of 16 bits each */
            __m512i bin = _mm512_add_epi32(_mm512_add_epi32(row, column), _mm512_add_epi32(tags, _mm512_set1_epi32(TAG[i])));
            if (channels == 1) {
                const __m512i channel = _mm512_permutexvar_epi32(_mm512_add_epi32(labels, _mm512_set1_epi32(LABEL[i])), table);
                m = _mm512_mask_cmpge_epi32_mask(m, channel, _mm512_setzero_si512());
                bin = _mm512_add_epi32(bin, channel);
            }
            _mm512_storeu_si512(out, _mm512_maskz_compress_epi32(m, bin));
            out += __builtin_popcount(m);
            if (channels == 2)
                for (int p = 0; p < sets; p++) {
                    const __mmask16 solute = _mm512_test_epi32_mask(labels, _mm512_set1_epi32(1 << p));
                    const __mmask16 both = LABEL[i] >> p & 1 ? solute : 0, either = LABEL[i] >> p & 1 ? 0xffff : solute;
                    bin = _mm512_add_epi32(bin, _mm512_set1_epi32(p ? 2 * image : image));
                    const __m512i place = _mm512_mask_add_epi32(bin, both, bin, _mm512_set1_epi32(image));
                    _mm512_storeu_si512(out, _mm512_maskz_compress_epi32(m & either, place));
                    out += __builtin_popcount(m & either);
                }
        }
    }
    sink->end = out;
}

FOR_AVX512 static inline __attribute__((always_inline)) void choose_avx512(const sdm_volume *v, sdm_sink *s,
                                                                           const sdm_range *r, const int kind) {
    /* few ions at a time: what they can add for one block of upper ions must fit behind a sink that is not full */
    const int channels = v->n_sets ? 2 : v->by_table, limits = v->radius2 > 0 ? 2 : v->y_limit < INFINITY;
    const int64_t most = ROOM / (BLOCK * (1 + v->n_sets)) - 1;
    sdm_range part = *r;
    for (part.i0 = r->i0; part.i0 < r->i1; part.i0 = part.i1) {
        part.i1 = r->i1 - part.i0 < most ? r->i1 : part.i0 + most;
        if (limits) count_avx512(v, s, &part, kind, channels, limits);
        else if (channels == 2) count_avx512(v, s, &part, kind, 2, 0);
        else if (channels == 1) count_avx512(v, s, &part, kind, 1, 0);
        else count_avx512(v, s, &part, kind, 0, 0);
    }
}
#endif
#endif
