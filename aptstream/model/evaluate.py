"""How well networks judge cubes whose truth is known; without TensorFlow, through the runtime that scans use."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aptstream.errors import ModelError
from aptstream.model.curves import auc
from aptstream.model.modelfile import CubeJudge, Model
from aptstream.model.predict import Predictor
from aptstream.sdm.dictionary import Samples, open_dictionary

__all__ = ["auc", "evaluate", "fitting_samples", "held_out", "score"]

#: Share of the specimens that training does not see.
HELD_OUT = 0.1


def evaluate(model: Model, dictionary: Path) -> dict[int, dict[str, float]]:
    """Score the networks of a model on all cubes of a training library, such as one made with another seed.

    Parameters
    ----------
    model : Model
        Its judges.
    dictionary : Path
        What `aptstream.sdm.dictionary.make_dictionary` wrote, with the windows of the model.

    Returns
    -------
    dict of int to dict
        For each cube edge in nm what `score` returns.

    Raises
    ------
    ModelError
        If the dictionary was made for other windows.
    StoreError
        If it cannot be read.
    """
    samples = fitting_samples(model, dictionary)
    return {judge.edge_nm: score(judge, samples[judge.edge_nm]) for judge in model.judges}


def fitting_samples(model: Model, dictionary: Path) -> dict[int, Samples]:
    """Read a training library, if it holds what the networks of a model read.

    Parameters
    ----------
    model : Model
        Its judges.
    dictionary : Path
        What `aptstream.sdm.dictionary.make_dictionary` wrote, with the windows of the model.

    Returns
    -------
    dict of int to Samples
        By cube edge in nm.

    Raises
    ------
    ModelError
        If the dictionary was made for other windows.
    StoreError
        If it cannot be read.
    """
    samples, attributes = open_dictionary(dictionary)
    for judge in model.judges:
        if attributes["windows"].get(str(judge.edge_nm)) != judge.window.as_dict():
            raise ModelError(
                f"The dictionary {dictionary} holds other windows than model {model.name!r} reads for "
                f"{judge.edge_nm} nm cubes: make one with aptstream dictionary --preset {model.name}."
            )
    return samples


def held_out(samples: Samples) -> tuple[Samples, Samples]:
    """Split by specimen: training, held out (the last ones)."""
    first = int(np.ceil((int(samples.specimen.max()) + 1) * (1 - HELD_OUT)))
    late = samples.specimen >= first
    parts = [Samples(samples.image[s], samples.fraction[s], samples.specimen[s]) for s in (~late, late)]
    return parts[0], parts[1]


def score(judge: CubeJudge, samples: Samples) -> dict[str, float]:
    """Score a network on labelled cubes, through the runtime that scans use.

    Parameters
    ----------
    judge : CubeJudge
        The network.
    samples : Samples
        Cubes that training has not seen.

    Returns
    -------
    dict of str to float
        ``auc``: probability that a cube with at least half of its volume ordered is ranked above one without any;
        ``mean_error``: mean of probability − fraction; ``rmse``; ``n`` cubes.
    """
    p = Predictor(judge)(samples.image)
    difference = p.astype(np.float64) - samples.fraction
    return {
        "auc": round(auc(p[samples.fraction >= 0.5], p[samples.fraction == 0]), 5),
        "mean_error": round(float(difference.mean()), 5),
        "rmse": round(float(np.sqrt((difference**2).mean())), 5),
        "n": len(samples),
    }
