/* Small 3D convolution networks on a grid; see gridnet.c. */
#ifndef APTSTREAM_GRIDNET_H
#define APTSTREAM_GRIDNET_H
#include <stdint.h>

enum { GRIDNET_PLAIN, GRIDNET_AVX2, GRIDNET_AVX512 };
enum { GRIDNET_MAX_LAYERS = 16, GRIDNET_MAX_CHANNELS = 128 };

/* One convolution with an edge of 1 or 3 voxels; kernel (edge, edge, edge, channels, filters) as Keras keeps it. */
typedef struct {
    int edge, dilation, channels, filters;
    const float *kernel, *bias;
} gridnet_layer;

typedef struct {
    int n_layers, instructions;
    gridnet_layer layer[GRIDNET_MAX_LAYERS];
    const float *mean, *scale; /* channel c enters as (value - mean[c]) * scale[c] */
    int64_t nx, ny, nz;
} gridnet;

int gridnet_best_instructions(void);

/* Floats of scratch that gridnet_run needs. */
int64_t gridnet_scratch(const gridnet *net);

/* features (nx, ny, nz, channels) -> out (nx, ny, nz): the last layer's first filter. scratch: zeros. Returns whether all
 * features were finite numbers; if not, it stops early and out is worth nothing. */
int gridnet_run(const gridnet *net, const float *features, float *scratch, float *out);
#endif
