"""The publication's network trained on its own library and on an honest one: what blur alone can look like.

Both are tested on simulated pictures of other seeds: the publication's own (Table 1), the same with the σz ranges of
the two classes exchanged, and honest cubes, whose two phases have one range of blur.

    OMP_NUM_THREADS=1 python bench/bench_li2021.py [--images 3000] [--epochs 3] [--test 1000]

prints one JSON object a line: the share of pictures on the right side of 1/2, and the area under the ROC curve. The
published size is --images 18416 --epochs 7 (hours on one core).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from lines import read, show

from aptstream.model.modelfile import Model
from aptstream.model.presets import get_preset, make_library
from aptstream.model.training import train
from aptstream.reproduce.judging import CUBES, hidden_tests, picture_scores
from aptstream.sdm.li2021 import EDGE_NM

#: What is printed of each test.
QUANTITIES = ("accuracy", "unordered_called_ordered", "ordered_called_unordered", "auc")


def trained(preset_name: str, folder: Path, n_images: int, epochs: int) -> Model:
    """Make a library and train on it."""
    preset = replace(get_preset(preset_name), epochs={EDGE_NM: epochs})
    size = n_images if preset.library == "li2021" else -(-n_images // CUBES)
    start = time.process_time()
    library = make_library(preset, folder / f"{preset_name}.zarr", seed=1, size=size)
    model = train(preset, library, seed=1, progress=lambda *row: print(*row, file=sys.stderr))
    print(f"{preset_name}: {time.process_time() - start:.0f} s of CPU", file=sys.stderr)
    return model


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--test", type=int, default=1000)
    arguments = read(parser, {"images": 160, "epochs": 1, "test": 100})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        published, honest = (
            trained(preset, folder, arguments.images, arguments.epochs).judges[0]
            for preset in ("li2021", "li2021-matched")
        )
        for test, samples in hidden_tests(folder, arguments.test):
            rows = [picture_scores(judge, samples) for judge in (published, honest)]
            for quantity in QUANTITIES:
                value, theirs = (row[quantity] for row in rows)
                better = "less" if "called" in quantity else "more"
                rival = ("same network, honest library", theirs)
                n = int(np.size(samples.fraction))
                if np.isfinite(value):  # few honest cubes may have none that are ordered
                    show(f"li2021.{test}.{quantity}", value, "1", rival=rival, better=better, n=n)


if __name__ == "__main__":
    main()
