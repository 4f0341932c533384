"""A grid net by our kernel, beside LiteRT and TensorFlow on the same weights and grid: CPU time, one run, one thread.

    OMP_NUM_THREADS=1 python bench/bench_gridnet.py [--size 40] [--channels 30] [--repeats 5]

prints one JSON object a line. Needs TensorFlow (the extra `train`). LiteRT has no dilated 3D convolution, so
`gridnet.undilated` is the same network with a dilation of 1: as many products. `gridnet.portable_…` is our kernel with
fewer instructions against all that this processor has; `gridnet.memory` is measured on a grid of twice the edge.
"""

from __future__ import annotations

import argparse
import resource
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from lines import median_cpu, read, show

from aptstream.model.gridnet import INSTRUCTIONS, GridNet, TrainedGridNet
from aptstream.model.networks import require_tensorflow

if TYPE_CHECKING:
    import keras


def peak_bytes() -> int:
    """Peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def with_tensorflow(net: keras.Model, features: np.ndarray) -> Callable[[], np.ndarray]:
    """Logits by a compiled graph."""
    tf = require_tensorflow()
    call, tensor = tf.function(net), tf.constant(features[None])
    return lambda: call(tensor).numpy()[0, ..., 0]


def with_litert(net: keras.Model, features: np.ndarray) -> Callable[[], np.ndarray]:
    """Logits by TensorFlow's light runtime."""
    with redirect_stdout(sys.stderr):  # the converter talks
        flatbuffer = require_tensorflow().lite.TFLiteConverter.from_keras_model(net).convert()
    lite = Interpreter(model_content=flatbuffer, num_threads=1)
    entry, end = lite.get_input_details()[0]["index"], lite.get_output_details()[0]["index"]
    lite.resize_tensor_input(entry, (1, *features.shape))
    lite.allocate_tensors()

    def logits() -> np.ndarray:
        lite.set_tensor(entry, features[None])
        lite.invoke()
        return lite.get_tensor(end)[0, ..., 0]

    return logits


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=40, help="edge of the grid in voxels")
    parser.add_argument("--channels", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = read(parser, {"size": 24, "repeats": 3})
    rng, channels, unit = np.random.default_rng(0), arguments.channels, "M voxels/s (CPU)"
    features = rng.standard_normal((*(arguments.size,) * 3, channels)).astype(np.float32)
    large = rng.standard_normal((*(2 * arguments.size,) * 3, channels)).astype(np.float32)
    threading = require_tensorflow().config.threading
    threading.set_intra_op_parallelism_threads(1)
    threading.set_inter_op_parallelism_threads(1)

    def rates(*works: Callable[[], object]) -> list[float]:
        return [arguments.size**3 / 1e6 / seconds for seconds in median_cpu(works, arguments.repeats)]

    dilated = GridNet(channels)
    undilated = GridNet(channels, tuple((edge, 1, filters) for edge, _, filters in dilated.layers))
    rivals = {"tensorflow": with_tensorflow, "litert": with_litert}
    for name, net, who in (("logits", dilated, ["tensorflow"]), ("undilated", undilated, ["litert", "tensorflow"])):
        keras_net = net.build()
        one, none = np.ones(channels, np.float32), np.zeros(channels, np.float32)
        ours = TrainedGridNet(net, none, one, tuple(keras_net.get_weights()))
        if net is dilated:
            before = peak_bytes()
            ours.logits(large)
            memory = (peak_bytes() - before) / large[..., 0].size
        for rival in who:
            theirs = rivals[rival](keras_net, features)
            np.testing.assert_allclose(ours.logits(features), theirs(), rtol=1e-5, atol=1e-5)
            mine, other = rates(partial(ours.logits, features), theirs)
            show(f"gridnet.{name}", mine, unit, rival=(rival, other))
        if net is dilated:
            for how in INSTRUCTIONS[:-1]:
                value, best = rates(partial(ours.logits, features, instructions=how), partial(ours.logits, features))
                show(f"gridnet.portable_{how}", value, unit, rival=(INSTRUCTIONS[-1], best))
    show("gridnet.memory", memory, "bytes/voxel beside the features, logits included")


if __name__ == "__main__":
    main()
