"""Thin face of the grid net's kernel (gridnet.c). Trusts its caller, which is aptstream/model/gridnet.py alone."""

import numpy as np

from libc.stdint cimport int64_t

cdef extern from "gridnet.h" nogil:
    enum:
        GRIDNET_MAX_LAYERS
        GRIDNET_MAX_CHANNELS

    ctypedef struct gridnet_layer:
        int edge, dilation, channels, filters
        const float *kernel
        const float *bias

    ctypedef struct gridnet:
        int n_layers, instructions
        gridnet_layer layer[GRIDNET_MAX_LAYERS]
        const float *mean
        const float *scale
        int64_t nx, ny, nz

    int gridnet_best_instructions() noexcept
    int64_t gridnet_scratch(const gridnet *net) noexcept
    int gridnet_run(const gridnet *net, const float *features, float *scratch, float *out) noexcept


MAX_LAYERS = GRIDNET_MAX_LAYERS
MAX_CHANNELS = GRIDNET_MAX_CHANNELS
BEST_INSTRUCTIONS = gridnet_best_instructions()


def run(const float[:, :, :, ::1] features, const int[:, ::1] layers, const float[::1] weights,
        const float[:, ::1] standard, float[:, :, ::1] out, int instructions):
    """Logits of a grid that is not empty; whether all features were finite.

    Rows of layers: edge, dilation, filters; weights: kernel and bias of each layer in turn; standard: mean and
    1 / (standard deviation) of each channel.
    """
    cdef gridnet net
    cdef int k, finite, channels = <int>features.shape[3]
    cdef const float *weight = &weights[0]
    cdef float[::1] scratch
    net.n_layers, net.instructions = <int>layers.shape[0], instructions
    net.nx, net.ny, net.nz = features.shape[0], features.shape[1], features.shape[2]
    net.mean, net.scale = &standard[0, 0], &standard[1, 0]
    for k in range(net.n_layers):
        net.layer[k].edge, net.layer[k].dilation, net.layer[k].filters = layers[k, 0], layers[k, 1], layers[k, 2]
        net.layer[k].channels = channels
        net.layer[k].kernel = weight
        weight += layers[k, 0] * layers[k, 0] * layers[k, 0] * channels * layers[k, 2]
        net.layer[k].bias = weight
        weight += layers[k, 2]
        channels = layers[k, 2]
    scratch = np.zeros(gridnet_scratch(&net), dtype=np.float32)
    with nogil:
        finite = gridnet_run(&net, &features[0, 0, 0, 0], &scratch[0], &out[0, 0, 0])
    return bool(finite)
