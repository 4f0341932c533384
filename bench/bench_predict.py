"""Networks that judge cubes: LiteRT, which scans use, beside TensorFlow on the same weights and images.

    OMP_NUM_THREADS=1 python bench/bench_predict.py [--images 4096] [--pictures 256] [--repeats 5]

prints one JSON object a line: images a second of CPU, one thread, for both networks of the model `cubes` and for the
publication's (150 × 150 grey pictures; weights as they were drawn, since they do not change the time). TensorFlow is a
compiled graph at the fastest of several batches; `keras predict` is what most people write. `predict.start` is the CPU
time of a process of its own until its first batch is judged. Needs TensorFlow (the extra `train`).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import numpy as np
from lines import median_cpu, read, show

from aptstream.model.fitting import convert, rebuild
from aptstream.model.modelfile import CubeJudge, load_model
from aptstream.model.networks import require_tensorflow
from aptstream.model.predict import Predictor
from aptstream.model.presets import get_preset
from aptstream.sdm.image import View

FIRST_BATCH = """
import numpy, resource
from aptstream.model.modelfile import load_model
from aptstream.model.predict import Predictor
judge = load_model("cubes").judges[0]
Predictor(judge, {runtime!r})(numpy.zeros((512, *judge.view.shape), numpy.float32))
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime)
"""


def judges() -> dict[str, CubeJudge]:
    """Networks that are measured: those of cubes of 4 and 2 nm, and the publication's without any training."""
    named = {f"cubes_{judge.edge_nm}nm": judge for judge in load_model("cubes").judges}
    preset = get_preset("li2021")
    ((edge, window),) = preset.windows.items()
    shape = View(window, preset.form).shape
    network = preset.net.build(shape)
    weights = tuple(np.asarray(values) for values in network.get_weights())
    flatbuffer = convert(network, preset.net, shape)
    return {**named, "li2021": CubeJudge(edge, window, preset.net, 0, flatbuffer, weights, preset.form)}


def tensorflow_ways(judge: CubeJudge, images: np.ndarray) -> dict[str, Callable[[], np.ndarray]]:
    """Logits by a compiled graph in batches of several sizes, and by `keras.Model.predict`."""
    tf, network = require_tensorflow(), rebuild(judge)
    graph, usual = tf.function(network, reduce_retracing=True), judge.net.prediction_batch(judge.view.shape)

    def in_batches(n: int) -> np.ndarray:
        parts = [graph(tf.constant(images[start : start + n])).numpy() for start in range(0, len(images), n)]
        return np.concatenate(parts)[:, 0]

    batches = [n for n in (usual // 4, usual, 4 * usual) if 0 < n <= len(images)] or [len(images)]
    ways = {f"tensorflow, batches of {n}": partial(in_batches, n) for n in batches}
    return ways | {"keras predict": lambda: network.predict(images, batch_size=usual, verbose=0)[:, 0]}


def measure(name: str, judge: CubeJudge, n: int, repeats: int) -> None:
    """Judge the same images by all of them, and compare."""
    images = np.random.default_rng(0).standard_normal((n, *judge.view.shape)).astype(np.float32)
    ours, ways = Predictor(judge), tensorflow_ways(judge, images)
    mine = ours.logits(images)
    for way in ways.values():  # the first call compiles
        np.testing.assert_allclose(way(), mine, rtol=1e-3, atol=1e-3)
    seconds = median_cpu([partial(ours.logits, images), *ways.values()], repeats)
    value, *rates = (n / one for one in seconds)
    theirs = dict(zip(ways, rates, strict=True))
    usual = theirs.pop("keras predict")
    fastest = max(theirs, key=lambda way: theirs[way])
    show(f"predict.{name}", value, "images/s (CPU)", rival=("tensorflow", theirs[fastest]), how=fastest)
    show(f"predict.{name}", value, "images/s (CPU)", rival=("keras predict", usual))


def start(runtime: str) -> float:
    """CPU seconds of a new process until its first batch is judged."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-P", "-c", FIRST_BATCH.format(runtime=runtime)]
    ended = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return float(ended.stdout)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4096, help="of cubes")
    parser.add_argument("--pictures", type=int, default=256, help="of 150 x 150 bins")
    parser.add_argument("--repeats", type=int, default=5)
    given = read(parser, {"images": 1024, "pictures": 16, "repeats": 3})
    threading = require_tensorflow().config.threading
    threading.set_intra_op_parallelism_threads(1)
    threading.set_inter_op_parallelism_threads(1)
    for name, judge in judges().items():
        measure(name, judge, given.pictures if name == "li2021" else given.images, given.repeats)
    show("predict.start", start("litert"), "s (CPU)", rival=("tensorflow", start("tensorflow")), better="less")


if __name__ == "__main__":
    main()
