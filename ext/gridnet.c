/* Small 3D convolution networks on a grid, one plane of x at a time.
 *
 * All layers go through the volume together. A layer that reaches p voxels needs planes x - p .. x + p of its input, so its
 * input is a ring of 2 p + 1 planes, and a plane is computed as soon as its last neighbour is there:
 *
 *      features --standardise--> ring 0 --layer 0--> ring 1 --layer 1--> ... --last layer--> one plane --> out
 *
 * Scratch grows with ny * nz, never with nx. Channels are kept in groups of 16, the lanes of one AVX-512 register: a plane
 * is (group, y, z, 16), its rows have p zeros at both ends, and rows outside the volume are one row of zeros, so that the
 * inner loops know nothing of edges. Spare lanes of a last group hold numbers that nobody reads.
 *
 * A voxel's sum takes its terms in one order: group of channels, tap in x, tap in y, channel, tap in z. Zeros beyond an
 * edge are added like any other number. So a value depends, to the bit, on what the layers reach and on nothing else: parts
 * of a volume with a margin give what the whole gives. (Winograd's forms would save a third of the products, but tie a
 * voxel's bits to its place in a tile.) */
#include "gridnet.h"

#include <float.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_X86
#endif
#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

enum { GROUP = 16, MAX_GROUPS = GRIDNET_MAX_CHANNELS / GROUP, MAX_INPUTS = 9 * MAX_GROUPS };

/* One row of one group of filters: the rows it reads begin at the lowest tap in z. */
typedef struct {
    int n_inputs, edge, dilation, relu;
    int channels[MAX_INPUTS];
    const float *input[MAX_INPUTS], *weights, *bias;
    float *out;
    int64_t nz;
} row;

#ifdef HAVE_X86
#define NAME(x) x##_avx512
#define TARGET __attribute__((target("avx512f")))
#define LANES 16
#define TILE 24
#include "gridnet_row.h"
#define NAME(x) x##_avx2
#define TARGET __attribute__((target("avx2,fma")))
#define LANES 8
#define TILE 6
#include "gridnet_row.h"
#else
#define convolve_avx512 convolve_plain
#define convolve_avx2 convolve_plain
#define enter_avx512 enter_plain
#define enter_avx2 enter_plain
#endif
#define NAME(x) x##_plain
#define TARGET
#define LANES 4
#ifdef __aarch64__
#define TILE 6
#else
#define TILE 3
#endif
#include "gridnet_row.h"

static void (*const CONVOLVE[3])(const row *) = {convolve_plain, convolve_avx2, convolve_avx512};
static int (*const ENTER[3])(const float *, const float *, int64_t, int, const float *, const float *, float *,
                             int64_t) = {enter_plain, enter_avx2, enter_avx512};

int gridnet_best_instructions(void) {
#ifdef HAVE_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f")) return GRIDNET_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return GRIDNET_AVX2;
#endif
    return GRIDNET_PLAIN;
}

static int smaller(int a, int b) { return a < b ? a : b; }
static int groups(int channels) { return (channels + GROUP - 1) / GROUP; }
static int reach(const gridnet_layer *l) { return l->edge / 2 * l->dilation; }

/* Where a layer's input, weights and bias lie in the scratch, in floats. After the last layer: its output, one plane. */
typedef struct {
    int64_t ring, plane, row, weights, bias;
    int planes, pad, groups;
} room;

static int64_t lay_out(const gridnet *net, room *rooms) {
    int64_t at = 0, longest = 0;
    for (int k = 0; k <= net->n_layers; k++) {
        const gridnet_layer *l = &net->layer[k];
        const int last = k == net->n_layers, channels = last ? net->layer[k - 1].filters : l->channels;
        room *r = &rooms[k];
        r->pad = last ? 0 : reach(l), r->planes = 2 * r->pad + 1, r->groups = groups(channels);
        r->row = (net->nz + 2 * r->pad) * GROUP, r->plane = r->groups * net->ny * r->row;
        if (r->row > longest) longest = r->row;
        if (!last) {
            r->weights = at, at += (int64_t)l->edge * l->edge * l->edge * l->channels * groups(l->filters) * GROUP;
            r->bias = at, at += groups(l->filters) * GROUP;
        }
        r->ring = at, at += r->planes * r->plane;
    }
    rooms[net->n_layers].weights = at, at += longest; /* there: the row of zeros, */
    rooms[net->n_layers].bias = at;                   /* and means and scales of the features */
    return at + 2 * rooms[0].groups * GROUP;
}

int64_t gridnet_scratch(const gridnet *net) {
    room rooms[GRIDNET_MAX_LAYERS + 1];
    return lay_out(net, rooms) + GROUP; /* to begin at a multiple of 64 bytes */
}

/* Weights in the order in which they are used: group of filters, group of channels, tap in x and y, channel, tap in z. */
static void pack(const gridnet_layer *l, float *weights, float *bias) {
    memcpy(bias, l->bias, (size_t)l->filters * sizeof *bias);
    for (int f = 0; f < l->filters; f += GROUP)
        for (int g = 0; g < l->channels; g += GROUP)
            for (int column = 0; column < l->edge * l->edge; column++)
                for (int c = g; c < smaller(g + GROUP, l->channels); c++)
                    for (int tap = 0; tap < l->edge; tap++, weights += GROUP) {
                        const int64_t from = ((column * l->edge + tap) * l->channels + c) * (int64_t)l->filters + f;
                        memcpy(weights, l->kernel + from, (size_t)smaller(GROUP, l->filters - f) * sizeof *weights);
                    }
}

typedef struct {
    const gridnet *net;
    const room *rooms;
    float *scratch, *out;
    int64_t ready[GRIDNET_MAX_LAYERS + 1], done[GRIDNET_MAX_LAYERS]; /* planes of a layer's input, and of its output */
} state;

static float *plane_of(const state *s, int k, int64_t x) {
    const room *r = &s->rooms[k];
    return s->scratch + r->ring + x % r->planes * r->plane;
}

/* Plane x of a layer's output, into the next ring. */
static void compute(state *s, int k, int64_t x) {
    const gridnet *net = s->net;
    const gridnet_layer *l = &net->layer[k];
    const room *from = &s->rooms[k], *to = &s->rooms[k + 1];
    const float *zeros = s->scratch + s->rooms[net->n_layers].weights;
    const int d = l->dilation, half = l->edge / 2, size = l->edge * l->edge * l->edge * l->channels * GROUP;
    row r = {.edge = l->edge, .dilation = d, .relu = k + 1 < net->n_layers, .nz = net->nz};
    for (int64_t y = 0; y < net->ny; y++) {
        r.n_inputs = 0;
        for (int g = 0; g < from->groups; g++)
            for (int64_t i = x - half * d; i <= x + half * d; i += d)
                for (int64_t j = y - half * d; j <= y + half * d; j += d, r.n_inputs++) {
                    const int inside = 0 <= i && i < net->nx && 0 <= j && j < net->ny;
                    r.input[r.n_inputs] = inside ? plane_of(s, k, i) + (g * net->ny + j) * from->row : zeros;
                    r.channels[r.n_inputs] = smaller(GROUP, l->channels - g * GROUP);
                }
        for (int f = 0; f < to->groups; f++) {
            r.weights = s->scratch + from->weights + f * (int64_t)size;
            r.bias = s->scratch + from->bias + f * GROUP;
            r.out = plane_of(s, k + 1, x) + (f * net->ny + y) * to->row + to->pad * GROUP;
            CONVOLVE[net->instructions](&r);
        }
    }
}

/* A plane has been added to the input of layer k: compute all that can be computed now. Each new plane is used by the layers
 * after it before the next one is made, so no ring overflows. */
static void advance(state *s, int k) {
    const gridnet *net = s->net;
    const int64_t x = s->ready[k]++;
    if (k == net->n_layers) {
        const float *from = plane_of(s, k, x);
        float *to = s->out + x * net->ny * net->nz;
        for (int64_t v = 0; v < net->ny * net->nz; v++) to[v] = from[v * GROUP];
        return;
    }
    while (s->done[k] < net->nx && (s->ready[k] == net->nx || s->done[k] + s->rooms[k].pad < s->ready[k])) {
        compute(s, k, s->done[k]++);
        advance(s, k + 1);
    }
}

/* Standardise plane x of the features into the first ring; whether all of them are finite. */
static int begin(const state *s, const float *features, int64_t x) {
    const gridnet *net = s->net;
    const room *r = &s->rooms[0];
    const int64_t channels = net->layer[0].channels, n_rows = net->nx * net->ny;
    const float *end = features + n_rows * net->nz * channels, *mean = s->scratch + s->rooms[net->n_layers].bias;
    int finite = 1;
    for (int64_t y = 0; y < net->ny && finite; y++)
        finite = ENTER[net->instructions](features + (x * net->ny + y) * net->nz * channels, end, net->nz, (int)channels, mean,
                                          mean + r->groups * GROUP, plane_of(s, 0, x) + y * r->row + r->pad * GROUP,
                                          net->ny * r->row);
    return finite;
}

int gridnet_run(const gridnet *net, const float *features, float *scratch, float *out) {
    room rooms[GRIDNET_MAX_LAYERS + 1];
    lay_out(net, rooms);
    while ((uintptr_t)scratch % (GROUP * sizeof *scratch)) scratch++;
    state s = {.net = net, .rooms = rooms, .scratch = scratch, .out = out};
    for (int k = 0; k < net->n_layers; k++) pack(&net->layer[k], scratch + rooms[k].weights, scratch + rooms[k].bias);
    float *mean = scratch + rooms[net->n_layers].bias;
    memcpy(mean, net->mean, (size_t)net->layer[0].channels * sizeof *mean);
    memcpy(mean + rooms[0].groups * GROUP, net->scale, (size_t)net->layer[0].channels * sizeof *mean);
    for (int64_t x = 0; x < net->nx; x++) {
        if (!begin(&s, features, x)) return 0;
        advance(&s, 0);
    }
    return 1;
}
