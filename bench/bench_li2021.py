"""The publication's network trained on its own library and on an honest one: what blur alone can look like.

Both are tested on simulated pictures of other seeds: the publication's own (Table 1), the same with the σz ranges of
the two classes exchanged, and honest cubes, whose two phases have one range of blur.

    OMP_NUM_THREADS=1 python bench/bench_li2021.py [--images 3000] [--epochs 3] [--test 1000]

prints one JSON object a line: the share of pictures on the right side of 1/2, and the area under the ROC curve. The
published size is --images 18416 --epochs 7 (hours on one core).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from aptstream.model.modelfile import CubeJudge
from aptstream.model.presets import get_preset, make_library
from aptstream.model.training import train
from aptstream.reproduce.judging import CUBES, hidden_tests, picture_scores
from aptstream.sdm.li2021 import EDGE_NM

#: What is printed of each test.
QUANTITIES = ("accuracy", "unordered_called_ordered", "ordered_called_unordered", "auc")


def judge_of(preset_name: str, folder: Path, n_images: int, epochs: int) -> CubeJudge:
    """Make a library and train on it."""
    preset = replace(get_preset(preset_name), epochs={EDGE_NM: epochs})
    size = n_images if preset.library == "li2021" else -(-n_images // CUBES)
    start = time.process_time()
    library = make_library(preset, folder / f"{preset_name}.zarr", seed=1, size=size)
    model = train(preset, library, seed=1, progress=lambda *row: print(*row, file=sys.stderr))
    print(f"{preset_name}: {time.process_time() - start:.0f} s of CPU", file=sys.stderr)
    return model.judges[0]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--test", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        published = judge_of("li2021", folder, arguments.images, arguments.epochs)
        honest = judge_of("li2021-matched", folder, arguments.images, arguments.epochs)
        for test, samples in hidden_tests(folder, arguments.test):
            rows = [picture_scores(judge, samples) for judge in (published, honest)]
            for quantity in QUANTITIES:
                value, rival = (round(row[quantity], 4) for row in rows)
                line = {"name": f"li2021.{test}.{quantity}", "value": value, "unit": "1"}
                line |= {"rival": "same network, honest library", "rival_value": rival, "ratio": None}
                print(json.dumps(line | {"n": int(np.size(samples.fraction))}), flush=True)


if __name__ == "__main__":
    main()
