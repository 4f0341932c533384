"""Probabilities held against the truth: do they mean what they say, and do they know where they are wrong.

Both questions are asked of the true ordered *share* of each voxel, not of a yes or no.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptstream.errors import PlanError
from aptstream.model.bootstrap import Floats
from aptstream.model.curves import ORDERED_SHARE, JudgedVoxels, auc, share_of


@dataclass(frozen=True)
class Reliability:
    """Whether a probability means what it says: voxels in bins of equal width of p.

    Parameters
    ----------
    mean_p, mean_truth : ndarray of float64, (bins,)
        Mean probability and mean true ordered share; NaN in empty bins.
    n : ndarray of int64, (bins,)
        Voxels.
    """

    mean_p: Floats
    mean_truth: Floats
    n: npt.NDArray[np.int64]

    @property
    def expected_error(self) -> float:
        """Expected calibration error (ECE): mean of |p − truth| of the bins, weighted by their voxels."""
        known = self.n > 0
        gap = np.abs(self.mean_p[known] - self.mean_truth[known])
        return float(np.average(gap, weights=self.n[known])) if known.any() else float("nan")


def reliability(voxels: JudgedVoxels, *, bins: int = 10) -> Reliability:
    """Hold probabilities against the ordered share that voxels of like probability really have.

    Parameters
    ----------
    voxels : JudgedVoxels
        Their scores are probabilities.
    bins : int
        Number of bins between 0 and 1.

    Returns
    -------
    Reliability

    Raises
    ------
    PlanError
        If a score is no probability.
    """
    p = _probabilities(voxels)
    which = np.minimum((p * bins).astype(np.int64), bins - 1)
    n = np.bincount(which, minlength=bins)
    sums = (np.bincount(which, values, minlength=bins) for values in (p, voxels.truth))
    mean_p, mean_truth = (share_of(total, n) for total in sums)
    return Reliability(mean_p, mean_truth, n)


@dataclass(frozen=True)
class Uncertainty:
    """Whether voxels that are flagged as uncertain are those that are wrong.

    Parameters
    ----------
    error_by_quarter : tuple of float
        Mean |p − truth| of the quarters of the voxels, the surest (smallest p(1 − p)) first.
    auc_of_wrong : float
        Probability that a voxel on the wrong side of one half ranks as less certain than one on the right side.
    """

    error_by_quarter: tuple[float, ...]
    auc_of_wrong: float


def uncertainty(voxels: JudgedVoxels) -> Uncertainty:
    """Ask whether p(1 − p) ranks errors.

    Parameters
    ----------
    voxels : JudgedVoxels
        Their scores are probabilities.

    Returns
    -------
    Uncertainty

    Raises
    ------
    PlanError
        If a score is no probability.
    """
    p = _probabilities(voxels)
    doubt, error = p * (1 - p), np.abs(p - voxels.truth)
    quarters = np.array_split(error[np.argsort(doubt, kind="stable")], 4)
    wrong = (p >= ORDERED_SHARE) != (voxels.truth >= ORDERED_SHARE)
    means = tuple(float(quarter.mean()) if len(quarter) else float("nan") for quarter in quarters)
    return Uncertainty(means, auc(doubt[wrong], doubt[~wrong]))


def _probabilities(voxels: JudgedVoxels) -> Floats:
    """Return the scores as probabilities, or refuse."""
    p = voxels.probability
    if not ((p >= 0) & (p <= 1)).all():
        raise PlanError(
            f"Calibration asks whether a probability is right, and this map runs from {p.min():g} to {p.max():g}: "
            f"give a map of probabilities."
        )
    return p
