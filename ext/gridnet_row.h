/* One row of voxels of one convolution, for one kind of processor: included once for each, with
 *   NAME(x)  a name of its own,    TARGET  the instructions,
 *   LANES    floats in a register, TILE    voxels whose sums fit in the registers beside three weights (at most 24). */
#define PARTS (GROUP / LANES)
typedef float NAME(lanes) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t NAME(bits) __attribute__((vector_size(4 * LANES)));
#define LOAD(from) (*(const NAME(lanes) *)(from))

/* `voxels` neighbours along z (`step` floats apart: the dilation), GROUP filters. A weight is loaded once for all of the
 * voxels and a value once for all taps along z, and no sum leaves its register. A sum takes its terms in the same order
 * whatever `voxels` is, so it has the same bits wherever a row is cut. */
TARGET static inline __attribute__((always_inline)) void NAME(tile)(const row *r, int64_t z, const int voxels, const int edge) {
    NAME(lanes) sum[TILE][PARTS];
    const int64_t step = r->dilation * GROUP;
    const float *w = r->weights;
    UNROLL for (int t = 0; t < voxels; t++)
        UNROLL for (int p = 0; p < PARTS; p++) sum[t][p] = LOAD(r->bias + p * LANES);
    for (int n = 0; n < r->n_inputs; n++) {
        const float *from = r->input[n] + z * GROUP, *end = from + r->channels[n];
        for (; from < end; from++, w += edge * GROUP) {
            NAME(lanes) weight[3][PARTS];
            const float *value = from;
            UNROLL for (int tap = 0; tap < edge; tap++)
                UNROLL for (int p = 0; p < PARTS; p++) weight[tap][p] = LOAD(w + tap * GROUP + p * LANES);
            UNROLL for (int k = 0; k < voxels + edge - 1; k++, value += step)
                UNROLL for (int tap = 0; tap < edge; tap++)
                    UNROLL for (int p = 0; p < PARTS; p++)
                        if (0 <= k - tap && k - tap < voxels) sum[k - tap][p] += weight[tap][p] * *value;
        }
    }
    float *to = r->out + z * GROUP;
    if (r->relu) /* not a number stays what it is, for the caller to see */
        UNROLL for (int t = 0; t < voxels; t++)
            UNROLL for (int p = 0; p < PARTS; p++) sum[t][p] = (NAME(lanes))((NAME(bits))sum[t][p] & ~(sum[t][p] < 0));
    UNROLL for (int t = 0; t < voxels; t++)
        UNROLL for (int p = 0; p < PARTS; p++) *(NAME(lanes) *)(to + t * step + p * LANES) = sum[t][p];
}

/* A row in tiles of nearly equal length (a short last one would wait for its own sums); with a dilation d, every d-th voxel
 * is a row of its own. */
TARGET static void NAME(convolve)(const row *r) {
    for (int64_t first = 0; first < r->dilation && first < r->nz; first++) {
        const int64_t length = (r->nz - first + r->dilation - 1) / r->dilation, n_tiles = (length + TILE - 1) / TILE;
        for (int64_t k = 0; k < n_tiles; k++) {
            const int64_t begin = k * length / n_tiles, z = first + begin * r->dilation;
            const int64_t voxels = (k + 1) * length / n_tiles - begin;
#define CASE(n)                                                                    \
    case n:                                                                        \
        if (r->edge == 1) NAME(tile)(r, z, n <= TILE ? n : 1, 1);                  \
        else NAME(tile)(r, z, n <= TILE ? n : 1, 3);                               \
        break;
            switch (voxels) {
                CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10)
                CASE(11) CASE(12) CASE(13) CASE(14) CASE(15) CASE(16) CASE(17) CASE(18) CASE(19) CASE(20)
                CASE(21) CASE(22) CASE(23) CASE(24)
            }
#undef CASE
        }
    }
}

/* Standardise a row of features: (nz, channels) -> (groups, nz, 16), groups `stride` floats apart; whether all are finite.
 * Sixteen at a time, be it into the next voxel's, as long as they are in front of `end`. */
TARGET static int NAME(enter)(const float *from, const float *end, int64_t nz, int channels, const float *mean,
                              const float *scale, float *to, int64_t stride) {
    int strange = 0;
    for (int64_t k = 0; k < nz * channels; k++) strange |= !(from[k] >= -FLT_MAX && from[k] <= FLT_MAX);
    for (int64_t z = 0; z < nz; z++, from += channels)
        for (int g = 0; g < channels; g += GROUP) {
            const float *in = from + g;
            float *out = to + g / GROUP * stride + z * GROUP;
            if (end - in >= GROUP)
                for (int c = 0; c < GROUP; c += LANES)
                    *(NAME(lanes) *)(out + c) = (LOAD(in + c) - LOAD(mean + g + c)) * LOAD(scale + g + c);
            else
                for (int c = 0; c < end - in; c++) out[c] = (in[c] - mean[g + c]) * scale[g + c];
        }
    return !strange;
}
#undef PARTS
#undef LOAD
#undef NAME
#undef TARGET
#undef LANES
#undef TILE
