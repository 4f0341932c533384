"""A result held against the known truth of a simulated specimen: all scores of voxels and particles in one place."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from aptstream.errors import PlanError
from aptstream.grid.compare import MIN_RADIUS_NM, Comparison, compare_volumes, particle_scores
from aptstream.grid.files import GridFile, open_grid
from aptstream.grid.truth import true_volumes
from aptstream.model.bootstrap import Floats, Score
from aptstream.model.calibration import Reliability, Uncertainty, reliability, uncertainty
from aptstream.model.curves import CutCurve, JudgedVoxels, Ranking, judge_voxels, voxel_scores
from aptstream.simulate import Particles

#: Label, unit and name of every score, in the order in which they are read.
PARTICLE_LABELS = (
    ("found, true radius ≥ 1.5 nm", "%", "recall_1.5"),
    ("found, 1–1.5 nm", "%", "recall_1_1.5"),
    ("found, 0.5–1 nm", "%", "recall_0.5_1"),
    ("right, of those found", "%", "precision"),
    ("several true ones in one, of those found", "%", "merged"),
    ("one true one in pieces, of those found", "%", "split"),
    ("radius¹, mean error", "nm", "radius_bias_nm"),
    ("radius¹, root-mean-square error", "nm", "radius_rmse_nm"),
    ("number density¹, relative error", "%", "number_density_error"),
    ("volume fraction, relative error", "%", "volume_fraction_error"),
)
VOXEL_LABELS = (
    ("called ordered where nothing is", "%", "false_volume"),
    ("overlap with the truth (Dice)", "", "dice"),
    ("  with the best cut of this map", "", "best_dice"),
    ("  with the best of all masks", "", "dice_ceiling"),
    ("average precision", "", "average_precision"),
    ("area under the ROC curve", "", "auc"),
)
NOTE = f"¹ of particles with a radius of at least {MIN_RADIUS_NM:g} nm; the radius of those found whole and one to one."


@dataclass(frozen=True)
class Evaluation:
    """How right a result is.

    Parameters
    ----------
    scores : dict of str to Score
        What `aptstream.model.curves.voxel_scores` and `aptstream.grid.compare.particle_scores` return; the false volume
        is that of the voxels.
    comparison : Comparison
        Found particles and true ones.
    voxels : JudgedVoxels
        Every voxel, its judgement and its truth.
    """

    scores: dict[str, Score]
    comparison: Comparison
    voxels: JudgedVoxels

    @property
    def curve(self) -> CutCurve:
        """ROC and precision–recall curve of the map."""
        return Ranking(self.voxels).curve()

    @property
    def reliability(self) -> Reliability:
        """Whether the probabilities of the map mean what they say."""
        return reliability(self.voxels)

    @property
    def uncertainty(self) -> Uncertainty:
        """Whether voxels near one half are those that are wrong."""
        return uncertainty(self.voxels)

    @property
    def table(self) -> list[tuple[str, str, str, str]]:
        """Rows for people: what, value with unit, 95 % interval, and how many it rests on; sections have no value."""
        rows = []
        for section, labels in (("particles", PARTICLE_LABELS), ("1 nm voxels", VOXEL_LABELS)):
            rows.append((section, "", "", ""))
            for label, unit, name in labels:
                score = self.scores[name]
                rows.append(
                    (f"  {label}", _text(score.value, unit, name), _interval(score, unit, name), f"{score.n:,}")
                )
        error = self.reliability.expected_error
        return [*rows, ("  probability, calibration error (ECE)", f"{error:.3f}", "", f"{len(self.voxels):,}")]

    def as_json(self) -> dict[str, Any]:
        """Return all numbers for machines, NaN as null."""
        found, doubt = self.reliability, self.uncertainty
        bins = zip(found.mean_p.tolist(), found.mean_truth.tolist(), found.n.tolist(), strict=True)
        return {
            "n_true": int(self.comparison.considered.sum()),
            "n_found": len(self.comparison.correct),
            "true_volume_fraction": self.comparison.volume_fraction,
            "scores": {name: score.as_json() for name, score in self.scores.items()},
            "expected_calibration_error": _number(found.expected_error),
            "reliability": [{"mean_p": _number(p), "mean_truth": _number(t), "n": n} for p, t, n in bins],
            "error_by_quarter_of_doubt": [_number(error) for error in doubt.error_by_quarter],
            "auc_of_wrong": _number(doubt.auc_of_wrong),
        }


def evaluate_grid(
    grid: GridFile, truth: Particles, *, rng: np.random.Generator, volume_nm3: Floats | None = None
) -> Evaluation:
    """Hold a result against the truth.

    Parameters
    ----------
    grid : GridFile
        The 1 nm grid of a result: its map is read as a probability, its labels say what was called a particle.
    truth : Particles
        What is there, in the same coordinates.
    rng : numpy.random.Generator
        Source of randomness of the intervals.
    volume_nm3 : ndarray of float64, (n,), optional
        Volume of every found particle, by label; the number of its voxels where it is not given.

    Returns
    -------
    Evaluation

    Raises
    ------
    PlanError
        If there are true particles, and none of them lies in the grid.

    See Also
    --------
    evaluate_run : The same for files.
    """
    nx, ny, nz = grid.labels.shape
    volumes = true_volumes(truth, (nx, ny, nz), grid.votes.origin_nm)
    if len(truth) and not len(volumes.share):
        raise PlanError(
            f"None of the {len(truth)} true particles lies in the grid ({nx} × {ny} × {nz} nm from "
            f"{grid.votes.origin_nm} nm). Expected the truth of the specimen that was scanned: give that file."
        )
    counted = np.bincount(grid.labels.ravel())[1:].astype(np.float64)
    comparison = compare_volumes(grid.labels, counted if volume_nm3 is None else volume_nm3, volumes)
    voxels = judge_voxels(grid.order, volumes.total, grid.labels > 0)
    scores = {**particle_scores(comparison, rng), **voxel_scores(voxels, rng)}
    return Evaluation(scores, comparison, voxels)


def evaluate_run(path: str | PathLike[str], truth: Particles, *, rng: np.random.Generator) -> Evaluation:
    """Hold the output of a run against the truth.

    Parameters
    ----------
    path : path
        Output folder of ``aptstream run``, ``find`` or ``demo``, or its ``grid.zarr``. Where the folder holds
        ``particles.csv``, the volumes of the particles are read from it.
    truth : Particles
        From `aptstream.simulate.read_truth`.
    rng : numpy.random.Generator
        Source of randomness of the intervals.

    Returns
    -------
    Evaluation

    Raises
    ------
    StoreError
        If there is no grid, or it is damaged.
    PlanError
        If the truth is that of another specimen.
    """
    grid = open_grid(path)
    return evaluate_grid(grid, truth, rng=rng, volume_nm3=_volumes(Path(path, "particles.csv"), grid))


def _volumes(file: Path, grid: GridFile) -> Floats | None:
    """Read the volumes of the particles from their table, if it is there and fits."""
    if not file.is_file():
        return None
    with file.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    try:
        volumes = {int(row["id"]): float(row["volume_nm3"]) for row in rows}
    except (KeyError, TypeError, ValueError) as error:
        raise PlanError(f"The table {file} has no volume of every particle: remove it, or write it again.") from error
    numbers = np.arange(1, int(grid.labels.max(initial=0)) + 1)
    if sorted(volumes) != numbers.tolist():
        raise PlanError(
            f"The table {file} lists {len(volumes)} particles, the grid beside it holds {len(numbers)}: they belong to "
            f"different runs. Remove the table, or run aptstream find again."
        )
    return np.array([volumes[number] for number in numbers.tolist()], dtype=np.float64)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _text(value: float, unit: str, name: str) -> str:
    """Write a score with its unit."""
    return f"{_digits(value, unit, name)} {unit}".rstrip() if np.isfinite(value) else "–"


def _digits(value: float, unit: str, name: str) -> str:
    signed = "+" if name.endswith(("_error", "bias_nm")) else ""
    if unit == "%":
        return f"{100 * value:{signed}.{3 if name == 'false_volume' else 1}f}"
    return f"{value:{signed}.{2 if unit else 3}f}"


def _interval(score: Score, unit: str, name: str) -> str:
    ends = (score.low, score.high)
    return " … ".join(_digits(end, unit, name) for end in ends) if np.isfinite(ends).all() else ""
