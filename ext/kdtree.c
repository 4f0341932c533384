/* A tree of sixteens: ions in blocks of 16, blocks in groups of 16, these again in groups of 16, up to one.
 *
 * Nothing but the order of the ions makes the tree. Block b holds ions 16 b .. 16 b + 15 of it, a group the 16 blocks or
 * groups that follow one another, and each has the box of its ions. So a node is a run of the order, wherever the order
 * comes from, and its place in memory follows from its number:
 *
 *      level 0    | block | block | ...                 16 ions; boxes of 16 blocks side by side: one group
 *      level 1    | group of 16 blocks | ...           256 ions
 *      level 2    | group of 16 groups | ...         4 096 ions
 *
 * A point store sorts its ions by brick, column and cell, which is such an order: a tree over it moves nothing, and rows
 * come out ascending. For ions in any other order `kdtree_arrange` makes a KD-tree's: the ions are cut at a middle row of
 * their longest axis, again and again, at rows where blocks and groups end. How often depends on the number of ions alone,
 * so coincident or collinear ions do not deepen it.
 *
 * Sixteen nodes are judged, and sixteen ions tested, at a time. All comparisons come out as in float64. For a box a float x
 * is at least the double `low` exactly if it is at least the smallest float that is: faces are rounded up once, and lanes
 * compared as floats. For a ball, node and ion distances are doubles summed in one order, and rounding is monotone: a node
 * judged wholly inside or outside never disagrees with its ions, not even by the last bit. Slanted regions are judged
 * with a margin for rounding, and only their ions exactly. */
#include "kdtree.h"

#include <float.h>
#include <math.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_X86
#include <immintrin.h>
#endif
#if defined(__GNUC__)
#define INLINE static inline __attribute__((always_inline))
#else
#define INLINE static inline
#endif

#define ALL 0xFFFFu
/* 64 units of the last place of what is added: several times what a projection can lose. */
#define ROUNDING (64 * DBL_EPSILON)

/* A region as the walks want it. */
typedef struct {
    float face[6]; /* of a box: rounded up to floats */
    const double *number;
} query;

/* The k nearest ions so far. A few are collected without order, with more until there is no room, and ranked then; many
 * are a heap with the worst on top, in the caller's arrays. What is beyond `worst` no longer matters. */
enum { FEW = 128, SPARE = 32, COLLECTED = FEW + SPARE + KDTREE_LANES };
typedef struct {
    int64_t k, own_block, n;
    double worst, *square;
    int64_t worst_row, *row;
    double few_square[COLLECTED];
    int64_t few_row[COLLECTED];
} ranking;

typedef struct {
    const double *square;
    int64_t *count;
    int low, high; /* radii that are not settled yet */
} tallies;

/* Blocks near a block, nearest first, with their boxes. */
enum { MOST_NEAR = 256 };
typedef struct {
    int n;
    int64_t block[MOST_NEAR];
    double near2[MOST_NEAR];
    float bounds[6 * MOST_NEAR];
} vicinity;

enum { GROUP = KDTREE_LANES * KDTREE_LANES };

INLINE double larger(double a, double b) { return a > b ? a : b; }
INLINE double magnitude(double a) { return a < 0 ? -a : a; }
INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

#if defined(__GNUC__)
INLINE int lowest(uint32_t mask) { return __builtin_ctz(mask); }
INLINE int bits(uint32_t mask) { return __builtin_popcount(mask); }
#else
INLINE int lowest(uint32_t mask) {
    int n = 0;
    while (!(mask >> n & 1)) n++;
    return n;
}
INLINE int bits(uint32_t mask) {
    int n = 0;
    for (; mask; mask &= mask - 1) n++;
    return n;
}
#endif

/* Lanes in use: all but in the last block or group of a level. */
INLINE uint32_t lanes(int64_t left) { return left < KDTREE_LANES ? ~(ALL << left) & ALL : ALL; }
INLINE uint32_t ions_of(const kdtree *tree, int64_t block) { return lanes(tree->n_ions - KDTREE_LANES * block); }
INLINE uint32_t nodes_of(const kdtree *tree, int level, int64_t group) {
    return lanes(tree->n_nodes[level] - KDTREE_LANES * group);
}
INLINE int64_t ions_in(const kdtree *tree, int level, int64_t node) {
    const int64_t size = (int64_t)KDTREE_LANES << 4 * level;
    return smaller(size, tree->n_ions - size * node);
}

/* ---- ranking ------------------------------------------------------------------------------------------------------ */

INLINE int ahead(double a, int64_t row_a, double b, int64_t row_b) { return a < b || (a == b && row_a < row_b); }

/* Ions beyond `limit` (squared) are known not to matter. */
static void empty_ranking(ranking *best, double limit, int64_t n_ions) {
    best->n = 0;
    best->worst = limit;
    best->worst_row = n_ions;
    for (int64_t i = 0; i < best->k; i++) {
        best->square[i] = INFINITY;
        best->row[i] = n_ions;
    }
}

/* Put an entry on top of a heap of n and let it sink. */
static void sink(ranking *best, int64_t n, double square, int64_t row) {
    int64_t at = 0;
    for (int64_t child = 1; child < n; child = 2 * at + 1) {
        if (child + 1 < n && ahead(best->square[child], best->row[child], best->square[child + 1], best->row[child + 1]))
            child++;
        if (!ahead(square, row, best->square[child], best->row[child])) break;
        best->square[at] = best->square[child];
        best->row[at] = best->row[child];
        at = child;
    }
    best->square[at] = square;
    best->row[at] = row;
}

static void offer(ranking *best, double square, int64_t row) {
    if (!ahead(square, row, best->square[0], best->row[0])) return;
    sink(best, best->k, square, row);
    if (best->square[0] < best->worst) best->worst = best->square[0];
    if (best->square[0] == best->worst) best->worst_row = best->row[0];
}

static void sort_heap(ranking *best) {
    for (int64_t n = best->k - 1; n > 0; n--) {
        const double square = best->square[n];
        const int64_t row = best->row[n];
        best->square[n] = best->square[0];
        best->row[n] = best->row[0];
        sink(best, n, square, row);
    }
}

/* ---- vicinity ----------------------------------------------------------------------------------------------------- */

static int list_block(vicinity *near, int64_t block, double near2) {
    int at = near->n;
    if (at == MOST_NEAR) return 0;
    for (; at > 0 && near2 < near->near2[at - 1]; at--) {
        near->near2[at] = near->near2[at - 1];
        near->block[at] = near->block[at - 1];
    }
    near->near2[at] = near2;
    near->block[at] = block;
    near->n++;
    return 1;
}

/* Copy the boxes of the listed blocks into groups of 16; spare lanes repeat the last one. */
static void box_vicinity(const kdtree *tree, vicinity *near) {
    for (int i = 0; i < (near->n + KDTREE_LANES - 1) / KDTREE_LANES * KDTREE_LANES; i++) {
        const int64_t block = near->block[i < near->n ? i : near->n - 1];
        const float *box = tree->bounds + 96 * (block / KDTREE_LANES) + block % KDTREE_LANES;
        float *copy = near->bounds + 96 * (i / KDTREE_LANES) + i % KDTREE_LANES;
        for (int side = 0; side < 6; side++) copy[16 * side] = box[16 * side];
    }
}

/* The ion of a block that is nearest to the mean of all. */
static int middle_ion(const float *at, int n) {
    double mean[3] = {0, 0, 0}, least = INFINITY;
    int middle = 0;
    for (int i = 0; i < 3 * n; i++) mean[i / n] += at[16 * (i / n) + i % n] / (double)n;
    for (int i = 0; i < n; i++) {
        const double x = at[i] - mean[0], y = at[16 + i] - mean[1], z = at[32 + i] - mean[2];
        const double square = x * x + y * y + z * z;
        if (square < least) {
            least = square;
            middle = i;
        }
    }
    return middle;
}

/* ---- lanes: the same sixteen comparisons for each kind of processor, chosen at run time --------------------------- */

#define PLAIN_LANES                                                                                                \
    TARGET INLINE uint32_t NAME(at_most)(const double *value, double limit) {                                      \
        uint32_t mask = 0;                                                                                         \
        for (int i = 0; i < KDTREE_LANES; i++) mask |= (uint32_t)(value[i] <= limit) << i;                         \
        return mask;                                                                                               \
    }                                                                                                              \
    TARGET INLINE uint32_t NAME(below)(const double *value, double limit) {                                        \
        uint32_t mask = 0;                                                                                         \
        for (int i = 0; i < KDTREE_LANES; i++) mask |= (uint32_t)(value[i] < limit) << i;                          \
        return mask;                                                                                               \
    }                                                                                                              \
    TARGET INLINE void NAME(distances)(const float *at, const double *point, double *square) {                     \
        for (int i = 0; i < KDTREE_LANES; i++) {                                                                   \
            const double x = at[i] - point[0], y = at[16 + i] - point[1], z = at[32 + i] - point[2];               \
            square[i] = x * x + y * y + z * z;                                                                     \
        }                                                                                                          \
    }                                                                                                              \
    TARGET INLINE void NAME(reach)(const float *bounds, const double *point, double *near2, double *far2) {         \
        for (int i = 0; i < KDTREE_LANES; i++) near2[i] = 0;                                                       \
        for (int i = 0; far2 && i < KDTREE_LANES; i++) far2[i] = 0;                                                \
        for (int axis = 0; axis < 3; axis++)                                                                       \
            for (int i = 0; i < KDTREE_LANES; i++) {                                                               \
                const double low = bounds[16 * axis + i] - point[axis], high = bounds[16 * axis + 48 + i] - point[axis]; \
                const double out = larger(larger(low, -high), 0), low2 = low * low, high2 = high * high;           \
                near2[i] += out * out;                                                                             \
                if (far2) far2[i] += larger(low2, high2);                                                          \
            }                                                                                                      \
    }                                                                                                              \
    TARGET INLINE uint32_t NAME(in_box)(const float *high, const float *low, const float *face) {                  \
        uint32_t mask = 0;                                                                                         \
        for (int i = 0; i < KDTREE_LANES; i++) {                                                                   \
            const int x = (high[i] >= face[0]) & (low[i] < face[3]), y = (high[16 + i] >= face[1]) & (low[16 + i] < face[4]); \
            mask |= (uint32_t)(x & y & (high[32 + i] >= face[2]) & (low[32 + i] < face[5])) << i;                  \
        }                                                                                                          \
        return mask;                                                                                               \
    }                                                                                                              \
    TARGET INLINE void NAME(collect)(uint32_t mask, const double *square, const int32_t *row, ranking *best) {     \
        for (int i = 0; i < KDTREE_LANES; i++) {                                                                   \
            best->few_square[best->n] = square[i];                                                                 \
            best->few_row[best->n] = row[i];                                                                       \
            best->n += mask >> i & 1;                                                                              \
        }                                                                                                          \
    }                                                                                                              \
    TARGET INLINE int64_t NAME(within)(const ranking *best, double limit) {                                        \
        int64_t n = 0;                                                                                             \
        for (int64_t i = 0; i < best->n; i++) n += best->few_square[i] <= limit;                                   \
        return n;                                                                                                  \
    }                                                                                                              \
    TARGET INLINE int64_t NAME(place)(const ranking *best, double square, int64_t row) {                           \
        int64_t n = 0;                                                                                             \
        for (int64_t i = 0; i < best->n; i++)                                                                      \
            n += (best->few_square[i] < square) | ((best->few_square[i] == square) & (best->few_row[i] < row));    \
        return n;                                                                                                  \
    }                                                                                                              \
    TARGET INLINE void NAME(keep)(uint32_t mask, const int32_t *row, int32_t *out) {                               \
        for (int i = 0; i < KDTREE_LANES; i++) {                                                                   \
            *out = row[i];                                                                                         \
            out += mask >> i & 1;                                                                                  \
        }                                                                                                          \
    }

#ifdef HAVE_X86
#define NAME(x) x##_avx512
#define TARGET __attribute__((target("avx512f,avx512dq,avx512bw,avx512vl,popcnt,bmi")))
TARGET INLINE uint32_t at_most_avx512(const double *value, double limit) {
    const __m512d bound = _mm512_set1_pd(limit);
    const uint32_t low = _mm512_cmp_pd_mask(_mm512_loadu_pd(value), bound, _CMP_LE_OQ);
    return low | (uint32_t)_mm512_cmp_pd_mask(_mm512_loadu_pd(value + 8), bound, _CMP_LE_OQ) << 8;
}
TARGET INLINE uint32_t below_avx512(const double *value, double limit) {
    const __m512d bound = _mm512_set1_pd(limit);
    const uint32_t low = _mm512_cmp_pd_mask(_mm512_loadu_pd(value), bound, _CMP_LT_OQ);
    return low | (uint32_t)_mm512_cmp_pd_mask(_mm512_loadu_pd(value + 8), bound, _CMP_LT_OQ) << 8;
}
TARGET INLINE void distances_avx512(const float *at, const double *point, double *square) {
    for (int half = 0; half < KDTREE_LANES; half += 8) {
        __m512d d = _mm512_sub_pd(_mm512_cvtps_pd(_mm256_loadu_ps(at + half)), _mm512_set1_pd(point[0]));
        __m512d sum = _mm512_mul_pd(d, d);
        d = _mm512_sub_pd(_mm512_cvtps_pd(_mm256_loadu_ps(at + 16 + half)), _mm512_set1_pd(point[1]));
        sum = _mm512_add_pd(sum, _mm512_mul_pd(d, d));
        d = _mm512_sub_pd(_mm512_cvtps_pd(_mm256_loadu_ps(at + 32 + half)), _mm512_set1_pd(point[2]));
        _mm512_storeu_pd(square + half, _mm512_add_pd(sum, _mm512_mul_pd(d, d)));
    }
}
TARGET INLINE void reach_avx512(const float *bounds, const double *point, double *near2, double *far2) {
    for (int half = 0; half < KDTREE_LANES; half += 8) {
        __m512d near_sum = _mm512_setzero_pd(), far_sum = near_sum;
        for (int axis = 0; axis < 3; axis++) {
            const __m512d at = _mm512_set1_pd(point[axis]);
            const __m512d low = _mm512_sub_pd(_mm512_cvtps_pd(_mm256_loadu_ps(bounds + 16 * axis + half)), at);
            const __m512d past = _mm512_sub_pd(at, _mm512_cvtps_pd(_mm256_loadu_ps(bounds + 16 * axis + 48 + half)));
            const __m512d out = _mm512_max_pd(_mm512_max_pd(low, past), _mm512_setzero_pd());
            near_sum = _mm512_add_pd(near_sum, _mm512_mul_pd(out, out));
            if (far2) far_sum = _mm512_add_pd(far_sum, _mm512_max_pd(_mm512_mul_pd(low, low), _mm512_mul_pd(past, past)));
        }
        _mm512_storeu_pd(near2 + half, near_sum);
        if (far2) _mm512_storeu_pd(far2 + half, far_sum);
    }
}
TARGET INLINE uint32_t in_box_avx512(const float *high, const float *low, const float *face) {
    __mmask16 mask = (__mmask16)ALL;
    for (int axis = 0; axis < 3; axis++) {
        const __m512 a = _mm512_loadu_ps(high + 16 * axis), b = _mm512_loadu_ps(low + 16 * axis);
        mask = _mm512_mask_cmp_ps_mask(mask, a, _mm512_set1_ps(face[axis]), _CMP_GE_OQ);
        mask = _mm512_mask_cmp_ps_mask(mask, b, _mm512_set1_ps(face[3 + axis]), _CMP_LT_OQ);
    }
    return mask;
}
TARGET INLINE void collect_avx512(uint32_t mask, const double *square, const int32_t *row, ranking *best) {
    for (int half = 0; half < KDTREE_LANES; half += 8) {
        const __mmask8 some = (__mmask8)(mask >> half);
        const __m512i wide = _mm512_cvtepi32_epi64(_mm256_loadu_si256((const __m256i *)(row + half)));
        _mm512_storeu_pd(best->few_square + best->n, _mm512_maskz_compress_pd(some, _mm512_loadu_pd(square + half)));
        _mm512_storeu_si512(best->few_row + best->n, _mm512_maskz_compress_epi64(some, wide));
        best->n += bits(some);
    }
}
TARGET INLINE int64_t within_avx512(const ranking *best, double limit) {
    int64_t n = 0;
    for (int64_t i = 0; i < best->n; i += 8) {
        const __mmask8 used = (__mmask8)lanes(best->n - i);
        n += bits(_mm512_mask_cmp_pd_mask(used, _mm512_loadu_pd(best->few_square + i), _mm512_set1_pd(limit), _CMP_LE_OQ));
    }
    return n;
}
TARGET INLINE int64_t place_avx512(const ranking *best, double square, int64_t row) {
    const __m512d here = _mm512_set1_pd(square);
    int64_t n = 0;
    for (int64_t i = 0; i < best->n; i += 8) {
        const __mmask8 used = (__mmask8)lanes(best->n - i);
        const __m512d other = _mm512_loadu_pd(best->few_square + i);
        const __mmask8 tied = _mm512_mask_cmp_pd_mask(used, other, here, _CMP_EQ_OQ);
        const __m512i rows = _mm512_loadu_si512(best->few_row + i);
        n += bits(_mm512_mask_cmp_pd_mask(used, other, here, _CMP_LT_OQ));
        n += bits(_mm512_mask_cmp_epi64_mask(tied, rows, _mm512_set1_epi64(row), _MM_CMPINT_LT));
    }
    return n;
}
/* In registers first: compressing straight to memory is slow on some processors. */
TARGET INLINE void keep_avx512(uint32_t mask, const int32_t *row, int32_t *out) {
    _mm512_storeu_si512(out, _mm512_maskz_compress_epi32((__mmask16)mask, _mm512_loadu_si512(row)));
}
#include "kdtree_walk.h"
#define NAME(x) x##_avx2
#define TARGET __attribute__((target("avx2,popcnt,bmi")))
PLAIN_LANES
#include "kdtree_walk.h"
#else
#define gather_avx512 gather_plain
#define gather_avx2 gather_plain
#define nearest_avx512 nearest_plain
#define nearest_avx2 nearest_plain
#define nearest_of_block_avx512 nearest_of_block_plain
#define nearest_of_block_avx2 nearest_of_block_plain
#define pairs_avx512 pairs_plain
#define pairs_avx2 pairs_plain
#endif
#define NAME(x) x##_plain
#define TARGET
PLAIN_LANES
#include "kdtree_walk.h"

int kdtree_best_instructions(void) {
#ifdef HAVE_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("bmi"))
        return KDTREE_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi")) return KDTREE_AVX2;
#endif
    return KDTREE_PLAIN;
}

/* ---- queries ------------------------------------------------------------------------------------------------------ */

/* The smallest float that is at least a double: the floats on either side of both are the same. */
static float at_least(double value) {
    if (value > FLT_MAX) return INFINITY;
    if (value < -FLT_MAX) return -FLT_MAX;
    const float nearest = (float)value;
    return (double)nearest < value ? nextafterf(nearest, INFINITY) : nearest;
}

int64_t kdtree_gather(const kdtree *tree, int kind, const double *numbers, int32_t *out, int64_t room) {
    query q = {{0}, numbers};
    if (kind == KDTREE_BOX)
        for (int i = 0; i < 6; i++) q.face[i] = at_least(numbers[i]);
    if (tree->instructions == KDTREE_AVX512) return gather_avx512(tree, kind, &q, out, room);
    if (tree->instructions == KDTREE_AVX2) return gather_avx2(tree, kind, &q, out, room);
    return gather_plain(tree, kind, &q, out, room);
}

void kdtree_nearest(const kdtree *tree, const double *point, int64_t k, double *square, int64_t *row) {
    ranking best;
    best.k = k;
    best.own_block = -1;
    best.square = square;
    best.row = row;
    if (tree->instructions == KDTREE_AVX512)
        nearest_avx512(tree, point, &best);
    else if (tree->instructions == KDTREE_AVX2)
        nearest_avx2(tree, point, &best);
    else
        nearest_plain(tree, point, &best);
}

void kdtree_nearest_of_blocks(const kdtree *tree, int64_t start, int64_t stop, int64_t k, double *square, int64_t *row) {
    for (int64_t block = start; block < stop; block++)
        if (tree->instructions == KDTREE_AVX512)
            nearest_of_block_avx512(tree, block, k, square, row);
        else if (tree->instructions == KDTREE_AVX2)
            nearest_of_block_avx2(tree, block, k, square, row);
        else
            nearest_of_block_plain(tree, block, k, square, row);
}

void kdtree_pairs(const kdtree *tree, const double *square, int n_squares, int64_t *count) {
    const tallies all = {square, count, 0, n_squares};
    const int top = tree->n_levels - 1;
    if (!n_squares) return;
    if (tree->instructions == KDTREE_AVX512)
        pairs_avx512(tree, top, 0, 0, &all);
    else if (tree->instructions == KDTREE_AVX2)
        pairs_avx2(tree, top, 0, 0, &all);
    else
        pairs_plain(tree, top, 0, 0, &all);
}

/* ---- building ----------------------------------------------------------------------------------------------------- */

int64_t kdtree_lay_out(kdtree *tree) {
    int64_t groups = 0, nodes = (tree->n_ions + KDTREE_LANES - 1) / KDTREE_LANES;
    tree->n_blocks = nodes;
    for (tree->n_levels = 0; !tree->n_levels || nodes > 1; tree->n_levels++) {
        tree->begin[tree->n_levels] = groups;
        tree->n_nodes[tree->n_levels] = nodes;
        nodes = (nodes + KDTREE_LANES - 1) / KDTREE_LANES;
        groups += nodes;
    }
    return groups;
}

static float middle_of(float a, float b, float c) {
    const float low = a < b ? a : b, high = a < b ? b : a;
    return c < low ? low : (c > high ? high : c);
}

/* Quickselect: no ion before `middle` exceeds a later one on `axis`. Pivots come from a fixed pseudo-random sequence: the
 * same tree every time, and no order of ions that is likely to occur in a file makes it slow. Equal values are swapped, so
 * they fall into halves. */
static void split(kdtree_ion *ion, int64_t start, int64_t stop, int64_t middle, int axis) {
    uint64_t state = 88172645463325252ULL;
    while (stop - start > 1) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        const float pivot = middle_of(ion[start].at[axis], ion[stop - 1].at[axis],
                                      ion[start + (int64_t)(state % (uint64_t)(stop - start))].at[axis]);
        int64_t low = start, high = stop - 1;
        while (low <= high) {
            while (ion[low].at[axis] < pivot) low++;
            while (ion[high].at[axis] > pivot) high--;
            if (low <= high) {
                const kdtree_ion other = ion[low];
                ion[low++] = ion[high];
                ion[high--] = other;
            }
        }
        if (middle <= high)
            stop = high + 1;
        else if (middle >= low)
            start = low;
        else
            return;
    }
}

static int longest_axis(const kdtree_ion *ion, int64_t n) {
    float low[3], high[3];
    int axis = 0;
    memcpy(low, ion->at, sizeof low);
    memcpy(high, ion->at, sizeof high);
    for (int64_t i = 1; i < n; i++)
        for (int k = 0; k < 3; k++) {
            low[k] = ion[i].at[k] < low[k] ? ion[i].at[k] : low[k];
            high[k] = ion[i].at[k] > high[k] ? ion[i].at[k] : high[k];
        }
    for (int k = 1; k < 3; k++)
        if ((double)high[k] - low[k] > (double)high[axis] - low[axis]) axis = k;
    return axis;
}

void kdtree_arrange(kdtree_ion *ion, int64_t n_ions) {
    int64_t unit = KDTREE_LANES;
    if (n_ions <= unit) return;
    while (KDTREE_LANES * unit < n_ions) unit *= KDTREE_LANES;
    /* Half of the nodes one level down: cuts fall where nodes of every level end. */
    const int64_t middle = ((n_ions + unit - 1) / unit + 1) / 2 * unit;
    split(ion, 0, n_ions, middle, longest_axis(ion, n_ions));
    kdtree_arrange(ion, middle);
    kdtree_arrange(ion + middle, n_ions - middle);
}

/* What blocks and groups are to the level above. */
static void measure(float *bounds, int32_t *first, int64_t node, const float *low, const float *high, int32_t row) {
    float *box = bounds + 96 * (node / KDTREE_LANES) + node % KDTREE_LANES;
    int32_t *least = first + node;
    for (int axis = 0; axis < 3; axis++) {
        box[16 * axis] = low[axis] < box[16 * axis] ? low[axis] : box[16 * axis];
        box[16 * (axis + 3)] = high[axis] > box[16 * (axis + 3)] ? high[axis] : box[16 * (axis + 3)];
    }
    *least = row < *least ? row : *least;
}

void kdtree_pack(const kdtree *tree, const kdtree_ion *ion, float *position, int32_t *row, float *bounds, int32_t *first) {
    for (int64_t i = 0; i < tree->n_ions; i++) {
        float *at = position + 48 * (i / KDTREE_LANES) + i % KDTREE_LANES;
        for (int axis = 0; axis < 3; axis++) at[16 * axis] = ion[i].at[axis];
        row[i] = ion[i].row;
        measure(bounds, first, i / KDTREE_LANES, ion[i].at, ion[i].at, ion[i].row);
    }
    for (int level = 0; level + 1 < tree->n_levels; level++)
        for (int64_t node = 0; node < tree->n_nodes[level]; node++) {
            const float *box = bounds + 96 * (tree->begin[level] + node / KDTREE_LANES) + node % KDTREE_LANES;
            const float low[3] = {box[0], box[16], box[32]}, high[3] = {box[48], box[64], box[80]};
            const int64_t above = tree->begin[level + 1];
            measure(bounds + 96 * above, first + 16 * above, node / KDTREE_LANES, low, high,
                    first[16 * tree->begin[level] + node]);
        }
}
