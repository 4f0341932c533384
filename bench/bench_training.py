"""The publication's library made and its network trained, in wall time at full size: 18 416 images, 7 epochs.

    OMP_NUM_THREADS=2 python bench/bench_training.py [--images 18416] [--epochs 7] [--threads 2]

prints one JSON object a line. The rival is the publication's own statement, on a processor of eight cores; needs
TensorFlow. With fewer images or epochs the time of the whole is extrapolated from them, and the line says so.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from lines import read, show

from aptstream.model.presets import get_preset, make_library
from aptstream.model.training import TrainingOptions, train
from aptstream.reproduce.recipe import EPOCHS
from aptstream.sdm.li2021 import EDGE_NM, N_IMAGES

#: What the publication states for its training, in s.
PUBLISHED_S = 14 * 60.0


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=N_IMAGES)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--threads", type=int, default=2)
    given = read(parser, {"images": 200, "epochs": 1, "threads": 1})
    preset = replace(get_preset("li2021"), epochs={EDGE_NM: given.epochs})
    told: list[float] = []

    def tell(stage: str, done: int, total: int, _unit: str) -> None:
        told.append(time.perf_counter())
        print(stage, done, total, file=sys.stderr)

    with tempfile.TemporaryDirectory() as name:
        start = time.perf_counter()
        library = make_library(preset, Path(name, "d.zarr"), seed=1, size=given.images, threads=given.threads)
        made = time.perf_counter() - start
        options = TrainingOptions(threads=given.threads)
        cpu, start = time.process_time(), time.perf_counter()
        train(preset, library, seed=1, options=options, progress=tell)
        cpu = time.process_time() - cpu
    part = N_IMAGES / given.images
    whole = part * EPOCHS / given.epochs
    about = {"images": given.images, "epochs": given.epochs, "threads": given.threads}
    show("training.dictionary", made * part, "s (wall)", better="less", **about)
    rival = ("publication, eight cores", PUBLISHED_S)
    show("training.7_epochs", (told[-1] - start) * whole, "s (wall)", rival=rival, better="less", **about)
    show("training.7_epochs_cpu", cpu * whole, "s (CPU)", better="less", **about)


if __name__ == "__main__":
    main()
