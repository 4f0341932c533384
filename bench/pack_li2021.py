"""The shipped networks that judge images from an instrument, packed from a reproduction: weights in half precision.

    python bench/pack_li2021.py REPRODUCTION [--out FOLDER]

takes the output folder of ``aptstream reproduce li2021``, rounds the 1 666 881 weights of each network to half
precision (half of the bytes), and prints how far that moves its probabilities of the images that it is tested on. Needs
TensorFlow.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from lines import HOUSE, show

from aptstream.model.fitting import convert, rebuild
from aptstream.model.modelfile import CubeJudge, Model, load_model, save_model
from aptstream.model.predict import Predictor
from aptstream.reproduce.experiment import read_experiment
from aptstream.reproduce.li2021 import NETWORKS


def rounded(model: Model) -> Model:
    """Round all weights of a model of one network to half precision."""
    (judge,) = model.judges
    weights = tuple(weight.astype(np.float16).astype(np.float32) for weight in judge.weights)
    half = replace(judge, weights=weights)
    flatbuffer = convert(rebuild(half), half.net, half.view.shape)
    provenance = {**model.provenance, "weights": "rounded to half precision by bench/pack_li2021.py"}
    return replace(model, judges=(replace(half, flatbuffer=flatbuffer),), provenance=provenance)


def main() -> None:
    """Pack all three."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reproduction", type=Path, help="output folder of aptstream reproduce li2021")
    parser.add_argument("--out", type=Path, default=HOUSE / "aptstream" / "data" / "li2021")
    given = parser.parse_args()
    given.out.mkdir(exist_ok=True)
    grey = read_experiment(given.reproduction / "experiment").pictures.grey

    def judged(judge: CubeJudge) -> np.ndarray:
        return Predictor(judge)(grey)

    for stem in NETWORKS.values():
        model = load_model(given.reproduction / "models" / f"{stem}.aptmodel")
        packed = rounded(model)
        path = save_model(given.out / f"{stem}.aptmodel", packed)
        moved = float(np.abs(judged(packed.judges[0]) - judged(model.judges[0])).max())
        show(f"pack.{stem}.largest_change_of_p", moved, "1", n=len(grey))
        show(f"pack.{stem}.size", path.stat().st_size / 1e6, "MB")


if __name__ == "__main__":
    main()
