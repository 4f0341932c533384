"""Scores with intervals: what another specimen of the same kind would have scored.

Neighbouring voxels and the halves of one particle rise and fall together, so whole *units* are drawn again, with
replacement: blocks of voxels, or particles with whatever was found on them. A draw is a row of weights, and a score
that is a ratio of sums becomes two products of matrices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: Draws, and the share of them that an interval holds.
N_DRAWS, COVERAGE = 400, 0.95


@dataclass(frozen=True)
class Score:
    """A score and the interval that draws of other units put it in.

    Parameters
    ----------
    value : float
        The score; NaN if there is nothing to score.
    low, high : float
        Bounds of the central 95 % of the draws; NaN if there are fewer than two units.
    n : int
        How many it rests on: particles or voxels.
    """

    value: float
    low: float
    high: float
    n: int

    def as_json(self) -> dict[str, float | int | None]:
        """Return plain numbers for machines, NaN as null."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        return {**{name: float(v) if np.isfinite(v) else None for name, v in numbers.items()}, "n": self.n}


def draw_weights(n_units: int, rng: np.random.Generator, *, n_draws: int = N_DRAWS) -> Floats:
    """Draw how often each unit occurs when as many are drawn as there are, with replacement.

    Parameters
    ----------
    n_units : int
        Number of units.
    rng : numpy.random.Generator
        Source of randomness.
    n_draws : int
        How many times all of them are drawn.

    Returns
    -------
    ndarray of float64, (n_draws, n_units)
        Rows sum to `n_units`. No row if there are fewer than two units: draws of one unit say nothing.

    Examples
    --------
    >>> draw_weights(5, np.random.default_rng(0), n_draws=2).sum(axis=1)
    array([5., 5.])
    """
    if n_units < 2:
        return np.zeros((0, n_units))
    return rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=n_draws).astype(np.float64)


def with_interval(value: float, draws: Floats, n: int) -> Score:
    """Put an interval around a score: the central 95 % of the draws that gave one.

    Parameters
    ----------
    value : float
        The score of what was measured.
    draws : ndarray of float64, (n_draws,)
        The score of every draw; NaN where a draw had nothing to score.
    n : int
        How many the score rests on.

    Returns
    -------
    Score
    """
    known = draws[np.isfinite(draws)]
    if not np.isfinite(value) or n < 2 or not len(known):
        return Score(float(value), float("nan"), float("nan"), n)
    low, high = np.quantile(known, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return Score(float(value), float(low), float(high), n)


def ratio(above: Floats, below: Floats, weights: Floats, *, n: int) -> Score:
    """Score a ratio of sums over units.

    Parameters
    ----------
    above, below : ndarray of float64, (n_units,)
        What each unit adds to the numerator and to the denominator.
    weights : ndarray of float64, (n_draws, n_units)
        From `draw_weights`: the same ones for all scores, so that they belong together.
    n : int
        How many the score rests on.

    Returns
    -------
    Score
        NaN where the denominator is 0.

    Examples
    --------
    >>> found, there = np.array([1.0, 0, 1, 1]), np.ones(4)
    >>> score = ratio(found, there, draw_weights(4, np.random.default_rng(0)), n=4)
    >>> score.value, 0 <= score.low <= 0.75 <= score.high <= 1
    (0.75, True)
    """
    total = float(below.sum())
    value = float(above.sum()) / total if total else float("nan")
    drawn = weights @ below
    draws = np.divide(weights @ above, drawn, out=np.full(len(weights), np.nan), where=drawn != 0)
    return with_interval(value, draws, n)


def share(chosen: Floats, there: Floats, weights: Floats, *, n: int) -> Score:
    """Score a share of things that are each one or the other, such as particles that were found or not.

    Where all are alike, draws cannot tell how sure that is: the far bound is then that of Wilson's interval.

    Parameters
    ----------
    chosen, there : ndarray of float64, (n_units,)
        How many each unit adds to the share, and to the whole.
    weights : ndarray of float64, (n_draws, n_units)
        From `draw_weights`.
    n : int
        How many there are in all.

    Returns
    -------
    Score

    References
    ----------
    .. [1] Wilson, J. Am. Stat. Assoc. 22, 209 (1927).

    Examples
    --------
    >>> score = share(np.ones(30), np.ones(30), draw_weights(30, np.random.default_rng(0)), n=30)
    >>> score.value, round(score.low, 2), score.high
    (1.0, 0.89, 1.0)
    """
    score = ratio(chosen, there, weights, n=n)
    reach = 1.96**2 / (n + 1.96**2)
    if score.value == 1:
        return Score(1.0, 1 - reach, 1.0, n)
    return Score(0.0, 0.0, reach, n) if score.value == 0 else score
