"""Train the shipped models anew from the commands that they record, and hold the scores against the shipped ones.

    python bench/retrain.py [--model cubes --model order --model joint] [--out FOLDER]

prints one JSON line a model and score: shipped, anew, difference, and whether it lies within `TOLERANCE`. On the same
kind of processor with the same versions the weights are the same to the bit, and `identical` says so. Needs TensorFlow.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from lines import row, show

from aptstream.model.modelfile import Model, load_model

#: Largest difference of a score that other processors and versions may make.
TOLERANCE = {
    "auc": 0.005,
    "rmse": 0.01,
    "mean_error": 0.01,
    "average_precision": 0.01,
    "volume_error": 0.05,
    "expected_calibration_error": 0.005,
}
#: In this order: the nets on the 1 nm grid are trained apart from the judges of cubes that they are shipped with.
MODELS = ("cubes", "order", "joint")


def commands(model: Model, folder: Path) -> list[list[str]]:
    """Commands that a model records, with names in a folder; a library that stands there already is not made again."""
    names = {"DICTIONARY": "dictionary.zarr", "LIBRARY": "library.zarr", "MODEL": f"{model.name}.aptmodel"}
    steps = []
    for step in str(model.provenance["command"]).split(" && "):
        words = [str(folder / names[word]) if word in names else word for word in step.split()]
        made = Path(words[words.index("--out") + 1])
        if not made.exists():
            steps.append([sys.executable, "-P", "-m", "aptstream.cli", *words[1:]])
    return steps


def same_weights(one: Model, other: Model) -> bool:
    """Whether two models compute the same."""
    pairs = [(a.weights, b.weights) for a, b in zip(one.judges, other.judges, strict=True)]
    if one.refiner is not None and other.refiner is not None:
        nets = [(*model.first, *model.second) for model in (one.refiner, other.refiner)]
        pairs += [(a.weights, b.weights) for a, b in zip(*nets, strict=True)]
    return all(np.array_equal(a, b) for left, right in pairs for a, b in zip(left, right, strict=True))


def compared(shipped: Model, anew: Model) -> bool:
    """Print the scores of two models, and tell whether all lie within their tolerance."""
    good = True
    for part, scores in shipped.scores.items():
        for name in TOLERANCE.keys() & scores.keys():
            old, new = scores[name], anew.scores[part][name]
            within = abs(new - old) <= TOLERANCE[name]
            good &= within
            show(f"retrain.{shipped.name}.{part}.{name}", new, "1", rival=("shipped", old), within=within)
    return good


def main() -> None:
    """Retrain and compare; exit code 1 if a score lies outside its tolerance."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, action="append", help="may be given again; all where it is not")
    parser.add_argument("--out", type=Path, help="folder for libraries and models. Default: a temporary one")
    given = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.out or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in given.model or MODELS:
            shipped, start = load_model(name), time.perf_counter()
            for command in commands(shipped, folder):
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            anew = load_model(folder / f"{name}.aptmodel")
            good &= compared(shipped, anew)
            seconds = time.perf_counter() - start
            row(f"retrain.{name}", identical=same_weights(shipped, anew), seconds=seconds)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
