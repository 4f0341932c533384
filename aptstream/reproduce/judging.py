"""What networks say of pictures, and how well that tells order from none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream.errors import ModelError
from aptstream.io.pictures import Pictures
from aptstream.model.curves import JudgedVoxels, Ranking, auc
from aptstream.model.evaluate import score
from aptstream.model.fitting import accuracy_of
from aptstream.model.modelfile import CubeJudge, Model
from aptstream.model.predict import Predictor
from aptstream.model.presets import get_preset, make_library
from aptstream.sdm.li2021 import EDGE_NM, VIEW, NoiseTable, make_li2021
from aptstream.sdm.library import Samples, open_dictionary
from aptstream.sdm.matched import SPECIMEN_NM

Floats = npt.NDArray[np.float32]

#: Honest cubes of one specimen.
CUBES = (SPECIMEN_NM - EDGE_NM + 1) ** 3


@dataclass(frozen=True)
class Judgement:
    """Probabilities of order of pictures, by several networks.

    Parameters
    ----------
    names : tuple of str
        Pictures.
    p : dict of str to ndarray of float32, (n,)
        Probabilities of each network.
    label : ndarray of float32, (n,)
        Ordered share of each picture; NaN where it is not known.
    """

    names: tuple[str, ...]
    p: dict[str, Floats]
    label: Floats = field(default_factory=lambda: np.zeros(0, dtype=np.float32))

    @property
    def n_classes(self) -> tuple[int, int]:
        """Pictures known to be without order, and at least half ordered."""
        return int((self.label == 0).sum()), int((self.label >= 0.5).sum())

    def auc(self, name: str) -> float:
        """Area under the ROC curve of a network; NaN where a class is empty."""
        return auc(self.p[name][self.label >= 0.5], self.p[name][self.label == 0])

    def roc(self, name: str) -> list[tuple[float, float]]:
        """ROC curve of a network: false-positive and true-positive rate at every cut; empty where a class is empty."""
        known = np.isfinite(self.label)
        p = self.p[name][known].astype(np.float64)
        curve = Ranking(
            JudgedVoxels(p, self.label[known].astype(np.float64), p >= 0.5, np.zeros(len(p), np.int64))
        ).curve()
        if not np.isfinite(curve.auc):
            return []
        return [(0.0, 0.0), *zip(curve.false_positive_rate.tolist(), curve.recall.tolist(), strict=True)]

    def as_json(self) -> dict[str, Any]:
        """Return all numbers for machines, NaN as null."""
        rows = [
            {
                "image": name,
                "label": _number(label),
                "p": {model: float(f"{p[k]:.6g}") for model, p in self.p.items()},  # tiny ones keep their order
            }
            for k, (name, label) in enumerate(zip(self.names, self._labels.tolist(), strict=True))
        ]
        n_matrix, n_ordered = self.n_classes
        models = {
            name: {"auc": _number(self.auc(name)), "n_ordered": int((p >= 0.5).sum()), "roc": self.roc(name)}
            for name, p in self.p.items()
        }
        return {"n": len(self.names), "n_matrix": n_matrix, "n_ordered": n_ordered, "models": models, "images": rows}

    @property
    def _labels(self) -> Floats:
        return self.label if len(self.label) else np.full(len(self.names), np.nan, dtype=np.float32)


def judge_pictures(pictures: Pictures, models: Mapping[str, Model], label: Floats) -> Judgement:
    """Let networks judge grey pictures.

    Parameters
    ----------
    pictures : Pictures
        In the publication's form: 150 × 150 over ±0.7 nm, scaled by their own maximum.
    models : mapping of str to Model
        Networks that read such pictures, by name.
    label : ndarray of float32, (n,)
        Ordered share of each picture; NaN where it is not known.

    Returns
    -------
    Judgement

    Raises
    ------
    ModelError
        If a model reads something else than such pictures.
    """
    return Judgement(
        pictures.names, {name: Predictor(picture_judge(model))(pictures.grey) for name, model in models.items()}, label
    )


def picture_judge(model: Model) -> CubeJudge:
    """Return the network of a model, if it reads the publication's pictures.

    Raises
    ------
    ModelError
        If it reads something else.
    """
    judge = model.judges[0]
    if judge.view != VIEW:
        raise ModelError(
            f"Model {model.name!r} reads {judge.form} images of {judge.window}, not grey pictures of 150 × 150 pixels "
            f"over ±0.7 nm: give one of preset li2021 or li2021-matched, or the folder of aptstream reproduce."
        )
    return judge


def hidden_tests(folder: Path, n: int, seed: int = 1) -> Iterator[tuple[str, Samples]]:
    """Make pictures that no training has seen: other crystals, the same with their blur exchanged, honest cubes.

    Parameters
    ----------
    folder : Path
        An existing folder to work in.
    n : int
        Pictures of each kind.
    seed : int
        Seed of the training; other ones are taken.

    Yields
    ------
    name : str
        ``table_1``: the publication's library; ``table_1_swapped_sigma_z``: with the two ranges of σz exchanged;
        ``honest``: cubes whose two phases have one range of blur.
    samples : Samples
    """
    own = make_li2021(folder / "own.zarr", seed=seed + 100, n_images=n)
    yield "table_1", open_dictionary(own)[0][EDGE_NM]
    swapped = make_li2021(folder / "swapped.zarr", seed=seed + 101, n_images=n, table=NoiseTable().swapped())
    yield "table_1_swapped_sigma_z", open_dictionary(swapped)[0][EDGE_NM]
    preset = get_preset("li2021-matched")
    honest = make_library(preset, folder / "honest.zarr", seed=seed + 102, size=max(n // CUBES, 1))
    yield "honest", open_dictionary(honest)[0][EDGE_NM]


def picture_scores(judge: CubeJudge, samples: Samples) -> dict[str, float]:
    """Score a network on labelled pictures.

    Parameters
    ----------
    judge : CubeJudge
        The network.
    samples : Samples
        Pictures that training has not seen.

    Returns
    -------
    dict of str to float
        ``accuracy``: share on the right side of 1/2; ``unordered_called_ordered``, ``ordered_called_unordered``: errors
        of each class; ``loss``: binary cross-entropy; and what `aptstream.model.evaluate.score` returns.
    """
    p = Predictor(judge)(samples.image)
    ordered, none = samples.fraction >= 0.5, samples.fraction == 0
    inside = np.clip(p.astype(np.float64), 1e-12, 1 - 1e-12)
    loss = -(samples.fraction * np.log(inside) + (1 - samples.fraction) * np.log1p(-inside))
    return {
        "accuracy": accuracy_of(p, samples.fraction),
        "unordered_called_ordered": float((p[none] >= 0.5).mean()),
        "ordered_called_unordered": float((p[ordered] < 0.5).mean()),
        "loss": float(loss.mean()),
        **score(judge, samples),
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
