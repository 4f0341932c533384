"""Voxel scores: a map of order held against the ordered share of every voxel that is known to be true.

A voxel without any ordered volume is *disordered*, one with at least half of it is *ordered*; those between, which the
face of a particle cuts, count for neither where a yes or no is asked, and with their share everywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from aptstream.errors import PlanError
from aptstream.model.bootstrap import Floats, Score, draw_weights, ratio, with_interval

#: Edge of the blocks of voxels that are drawn as a whole: more than a particle's diameter is seldom correlated.
BLOCK_VOXELS = 5
#: A voxel with at least this true share is ordered.
ORDERED_SHARE = 0.5


@dataclass(frozen=True)
class JudgedVoxels:
    """Voxels of one or of several specimens, each with its judgement and its truth.

    Parameters
    ----------
    score : ndarray of float64, (n,)
        Value of the map; more means more order. A voxel that was not judged has −inf.
    truth : ndarray of float64, (n,)
        Share of the voxel's volume that is ordered, 0 … 1.
    called : ndarray of bool, (n,)
        Whether the method says that the voxel belongs to a particle.
    block : ndarray of int64, (n,)
        Block that the voxel lies in, 0 ….
    """

    score: Floats
    truth: Floats
    called: npt.NDArray[np.bool_]
    block: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.score)

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return int(self.block.max(initial=-1)) + 1

    @property
    def probability(self) -> Floats:
        """The map read as a probability, (n,): a voxel that was not judged has 0."""
        return np.where(np.isfinite(self.score), self.score, 0.0)

    def by_block(self, values: npt.NDArray[Any]) -> Floats:
        """Sum values over the voxels of every block, (n_blocks,)."""
        return np.bincount(self.block, values, minlength=self.n_blocks).astype(np.float64)


def judge_voxels(
    score: npt.NDArray[np.floating[Any]],
    truth: npt.NDArray[np.floating[Any]],
    called: npt.NDArray[np.bool_],
    *,
    block_voxels: int = BLOCK_VOXELS,
) -> JudgedVoxels:
    """Hold a map against the truth, voxel by voxel.

    Parameters
    ----------
    score : ndarray, (nx, ny, nz)
        The map; NaN where nothing could be judged.
    truth : ndarray, (nx, ny, nz)
        True ordered share of every voxel, 0 … 1.
    called : ndarray of bool, (nx, ny, nz)
        Voxels that the method calls ordered.
    block_voxels : int
        Edge of the blocks that bootstrap draws as a whole.

    Returns
    -------
    JudgedVoxels

    Raises
    ------
    PlanError
        If the three do not have one shape, or a true share is no share.
    """
    if not score.shape == truth.shape == called.shape or score.ndim != 3:
        raise PlanError(
            f"A map, its truth and its mask must lie on one grid of three axes: found shapes {score.shape}, "
            f"{truth.shape} and {called.shape}. Compute the truth on the grid of the map."
        )
    if not ((truth >= 0) & (truth <= 1)).all():
        raise PlanError("The true ordered share of a voxel lies between 0 and 1; found other numbers in the truth.")
    blocks = [np.arange(n) // block_voxels for n in score.shape]
    counts = [int(b.max(initial=-1)) + 1 for b in blocks]
    block = (blocks[0][:, None, None] * counts[1] + blocks[1][:, None]) * counts[2] + blocks[2]
    values = np.where(np.isnan(score), -np.inf, score).astype(np.float64)
    return JudgedVoxels(values.ravel(), truth.astype(np.float64).ravel(), called.ravel(), block.ravel())


def pool_voxels(parts: Sequence[JudgedVoxels]) -> JudgedVoxels:
    """Put the voxels of several specimens together; their blocks stay apart.

    Parameters
    ----------
    parts : sequence of JudgedVoxels
        At least one.

    Returns
    -------
    JudgedVoxels
    """
    first = np.cumsum([0, *(part.n_blocks for part in parts)])
    return JudgedVoxels(
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.called for part in parts]),
        np.concatenate([part.block + start for part, start in zip(parts, first, strict=False)]),
    )


@dataclass(frozen=True)
class CutCurve:
    """What every possible cut would call ordered: the ROC curve and the precision–recall curve in one.

    Parameters
    ----------
    cut : ndarray of float64, (k,)
        Every distinct value of the map, descending: voxels that reach it are called ordered.
    true, false : ndarray of float64, (k,)
        Ordered and disordered voxels among them.
    """

    cut: Floats
    true: Floats
    false: Floats

    @property
    def recall(self) -> Floats:
        """Share of the ordered voxels that are called ordered (true-positive rate), (k,)."""
        return share_of(self.true, self.true[-1:])

    @property
    def false_positive_rate(self) -> Floats:
        """Share of the disordered voxels that are called ordered, (k,)."""
        return share_of(self.false, self.false[-1:])

    @property
    def precision(self) -> Floats:
        """Share of the voxels called ordered that are, (k,); NaN where none is called."""
        return share_of(self.true, self.true + self.false)

    @property
    def auc(self) -> float:
        """Area under the ROC curve; NaN if a class is empty."""
        if not len(self.cut) or not self.true[-1] or not self.false[-1]:
            return float("nan")
        step, recall = np.diff(self.false_positive_rate, prepend=0.0), self.recall
        return float((step * (recall + np.concatenate([[0.0], recall[:-1]])) / 2).sum())

    @property
    def average_precision(self) -> float:
        """Precision averaged over recall, in steps, without interpolation; NaN without ordered voxels."""
        if not len(self.cut) or not self.true[-1]:
            return float("nan")
        return float(np.nansum(np.diff(self.recall, prepend=0.0) * self.precision))


class Ranking:
    """Voxels sorted once by their score, so that curves of any weights take only sums.

    Parameters
    ----------
    voxels : JudgedVoxels
        What is ranked.

    Examples
    --------
    >>> score, truth = np.array([0.9, 0.8, 0.7, 0.1]).reshape(4, 1, 1), np.array([1, 0, 0.6, 0]).reshape(4, 1, 1)
    >>> ranking = Ranking(judge_voxels(score, truth, score > 0.5))
    >>> curve = ranking.curve()
    >>> curve.auc, round(curve.average_precision, 3), ranking.best_dice()
    (0.75, 0.833, (0.769..., 0.9))
    """

    def __init__(self, voxels: JudgedVoxels) -> None:
        self._order = np.argsort(-voxels.score, kind="stable")
        ranked = voxels.score[self._order]
        last = np.ones(len(ranked), dtype=bool)
        last[:-1] = ranked[1:] != ranked[:-1]
        self._end, self._truth = np.flatnonzero(last), voxels.truth[self._order]
        self._cut = ranked[self._end]
        self._ordered = (self._truth >= ORDERED_SHARE).astype(np.float64)
        self._disordered = (self._truth == 0).astype(np.float64)

    def curve(self, weight: Floats | None = None) -> CutCurve:
        """Follow all cuts from the strictest down.

        Parameters
        ----------
        weight : ndarray of float64, (n,), optional
            How often each voxel counts; once each where it is not given.

        Returns
        -------
        CutCurve
        """
        return CutCurve(self._cut, self._sums(self._ordered, weight), self._sums(self._disordered, weight))

    def best_dice(self, weight: Floats | None = None) -> tuple[float, float]:
        """Find the cut whose mask overlaps best with the truth.

        Parameters
        ----------
        weight : ndarray of float64, (n,), optional
            As for `curve`.

        Returns
        -------
        dice, cut : float
            NaN without ordered volume.
        """
        inside, size = self._sums(self._truth, weight), self._sums(np.ones(len(self._truth)), weight)
        if not len(inside) or not inside[-1]:
            return float("nan"), float("nan")
        dice = 2 * inside / (size + inside[-1])
        best = int(dice.argmax())
        return float(dice[best]), float(self._cut[best])

    def _sums(self, values: Floats, weight: Floats | None) -> Floats:
        """Sum over all voxels that reach each cut."""
        weighted = values if weight is None else values * weight[self._order]
        total: Floats = np.cumsum(weighted)[self._end]
        return total


def dice_ceiling(truth: npt.NDArray[np.floating[Any]]) -> float:
    """Return the largest Dice that any mask can reach: voxels are whole, the faces of particles cut through them.

    Parameters
    ----------
    truth : ndarray
        True ordered share of every voxel.

    Returns
    -------
    float
        NaN without ordered volume.

    Examples
    --------
    >>> dice_ceiling(np.array([1.0, 1.0, 0.5, 0.0]))
    0.909...
    """
    share = -np.sort(-truth.ravel().astype(np.float64))
    total = float(share.sum())
    if not total:
        return float("nan")
    return float((2 * np.cumsum(share) / (np.arange(1, len(share) + 1) + total)).max())


def voxel_scores(voxels: JudgedVoxels, rng: np.random.Generator, *, n_draws: int = 200) -> dict[str, Score]:
    """Score a map whatever its unit, with intervals from blocks of voxels drawn again.

    Parameters
    ----------
    voxels : JudgedVoxels
        Map, truth and what was called ordered.
    rng : numpy.random.Generator
        Source of randomness of the intervals.
    n_draws : int
        Draws of the blocks.

    Returns
    -------
    dict of str to Score
        ``auc``, ``average_precision``: of the map. ``dice``: overlap 2·ΣT(called)/(n(called) + ΣT) of what was called
        with the true shares T; ``best_dice``: the same for the best cut of this map, ``dice_ceiling``: for the best of
        all masks. ``false_volume``: called voxels without any order / all voxels.
    """
    ranking, weights = Ranking(voxels), draw_weights(voxels.n_blocks, rng, n_draws=n_draws)
    n, truth, called = len(voxels), voxels.truth, voxels.called

    def drawn(of: Callable[[Floats | None], float]) -> Score:
        value = of(None)
        draws = [of(row[voxels.block]) for row in weights] if np.isfinite(value) else []
        return with_interval(value, np.array(draws, dtype=np.float64), n)

    overlap = (voxels.by_block(2 * truth * called), voxels.by_block(called + truth))
    wrong = (voxels.by_block(called & (truth == 0)), voxels.by_block(np.ones(n)))
    dice = ratio(*overlap, weights, n=n) if truth.any() else Score(float("nan"), float("nan"), float("nan"), n)
    return {
        "auc": drawn(lambda weight: ranking.curve(weight).auc),
        "average_precision": drawn(lambda weight: ranking.curve(weight).average_precision),
        "dice": dice,
        "best_dice": drawn(lambda weight: ranking.best_dice(weight)[0]),
        "dice_ceiling": Score(dice_ceiling(truth), float("nan"), float("nan"), n),
        "false_volume": ratio(*wrong, weights, n=n),
    }


def auc(positive: npt.NDArray[np.floating[Any]], negative: npt.NDArray[np.floating[Any]]) -> float:
    """Area under the ROC curve (Mann–Whitney statistic; ties count half).

    Parameters
    ----------
    positive, negative : ndarray
        Scores of the two classes.

    Returns
    -------
    float
        NaN if a class is empty.

    Examples
    --------
    >>> auc(np.array([0.9, 0.6]), np.array([0.5, 0.6]))
    0.875
    """
    n, m = len(positive), len(negative)
    if not n or not m:
        return float("nan")
    ranks = rankdata(np.concatenate([positive, negative]))
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def share_of(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> Floats:
    """Divide element by element; NaN where there is nothing to divide by.

    Parameters
    ----------
    part : ndarray, (n,)
        What is divided.
    whole : ndarray, (n,) or (1,)
        By what.

    Returns
    -------
    ndarray of float64, (n,)
    """
    out = np.full(len(part), np.nan)
    np.divide(part, whole, out=out, where=np.broadcast_to(whole != 0, out.shape))
    return out
