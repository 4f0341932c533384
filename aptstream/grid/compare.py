"""Particles held against the truth of a simulated specimen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from aptstream.grid.precipitates import Precipitates
from aptstream.grid.truth import TrueVolumes, true_volumes
from aptstream.model.bootstrap import N_DRAWS, Floats, Score, draw_weights, ratio, share
from aptstream.simulate import Particles

#: A true particle counts as found if this share of its volume lies in found particles; one found particle that holds
#: this share of it is its partner.
FOUND_SHARE = 0.25
#: A found particle counts as correct if its centroid, or this share of its volume, lies in true particles: one of a
#: few voxels at the face of the volume may be right with less.
CORRECT_SHARE = 0.5
#: Sizes and numbers are compared for particles of at least this radius in nm.
MIN_RADIUS_NM = 1.5
#: Bands of the true radius in nm for which recall is stated.
BANDS_NM = ((0.5, 1.0), (1.0, 1.5), (1.5, np.inf))


@dataclass(frozen=True)
class Comparison:
    """How well particles were found.

    Parameters
    ----------
    found : ndarray of bool, (n_true,)
        Whether each true particle was found: `FOUND_SHARE` of its volume.
    touched : ndarray of bool, (n_true,)
        Whether any of it was found, as recall is counted elsewhere.
    considered : ndarray of bool, (n_true,)
        Whether the centre of each true particle lies inside the volume: only those enter the recall.
    correct : ndarray of bool, (n_found,)
        Whether each found particle is correct.
    radius_nm : ndarray of float64, (n_true,)
        True radii in nm; of other shapes than spheres, of the sphere of equal volume.
    volume_fraction : float
        True ordered volume / volume.
    volume_nm3 : float
        Volume of the grid in nm³.
    true_volume_nm3, found_volume_nm3 : ndarray of float64, (n_true,), (n_found,)
        True volume inside the grid, and found volume, of each particle in nm³.
    whole : ndarray of bool, (n_true,)
        Whether each true particle lies wholly inside the grid.
    partner : ndarray of int64, (n_true,)
        The found particle that is this true one and no other, counted from 0; −1 where there is none.
    split : ndarray of bool, (n_true,)
        Whether several found particles lie mostly in this true one.
    merged : ndarray of bool, (n_found,)
        Whether each found particle holds several true ones.
    beyond : ndarray of bool, (n_found,)
        Whether each found particle is the inner part of a true one whose centre lies outside the grid.
    unit_of_true, unit_of_found : ndarray of int64, (n_true,), (n_found,)
        Particles that touch each other, true or found, form a unit: the intervals of scores draw whole units.
    """

    found: npt.NDArray[np.bool_]
    touched: npt.NDArray[np.bool_]
    considered: npt.NDArray[np.bool_]
    correct: npt.NDArray[np.bool_]
    radius_nm: Floats
    volume_fraction: float
    volume_nm3: float
    true_volume_nm3: Floats
    found_volume_nm3: Floats
    whole: npt.NDArray[np.bool_]
    partner: npt.NDArray[np.int64]
    split: npt.NDArray[np.bool_]
    merged: npt.NDArray[np.bool_]
    beyond: npt.NDArray[np.bool_]
    unit_of_true: npt.NDArray[np.int64]
    unit_of_found: npt.NDArray[np.int64]

    def recall(self, min_radius_nm: float, max_radius_nm: float = np.inf) -> float:
        """Share of the true particles with a radius in this half-open band that were found; NaN if there is none."""
        chosen = self.considered & (self.radius_nm >= min_radius_nm) & (self.radius_nm < max_radius_nm)
        return float(self.found[chosen].mean()) if chosen.any() else float("nan")

    @property
    def precision(self) -> float:
        """Share of the found particles that are correct; NaN if none was found."""
        return float(self.correct.mean()) if len(self.correct) else float("nan")

    @property
    def mean_radius_nm(self) -> float:
        """Mean radius of the true particles whose centre lies inside, in nm; NaN if there is none."""
        return float(self.radius_nm[self.considered].mean()) if self.considered.any() else float("nan")

    @property
    def found_radius_nm(self) -> Floats:
        """Radius of the sphere of equal volume of every found particle in nm, (n_found,)."""
        return np.asarray(np.cbrt(3 * self.found_volume_nm3 / (4 * np.pi)))


def compare_with_truth(precipitates: Precipitates, truth: Particles) -> Comparison:
    """Hold found particles against true ones.

    Parameters
    ----------
    precipitates : Precipitates
        What was found.
    truth : Particles
        What is there, in the same coordinates.

    Returns
    -------
    Comparison

    Examples
    --------
    >>> from aptstream.grid.precipitates import find_precipitates
    >>> from aptstream.simulate import voxel_fraction
    >>> truth = Particles(np.array([[5.0, 5, 5], [5, 5, 15]]), np.array([2.0, 1.0]), np.array([0, 0]))
    >>> order = voxel_fraction(truth, (10, 10, 20)); order[..., 12:] = 0
    >>> comparison = compare_with_truth(find_precipitates(order, cut=0.5, min_voxels=4, origin_nm=(0, 0, 0)), truth)
    >>> comparison.recall(0.5), comparison.recall(2.0), comparison.precision
    (0.5, 1.0, 1.0)
    """
    nx, ny, nz = precipitates.labels.shape
    volumes = true_volumes(truth, (nx, ny, nz), precipitates.origin_nm)
    return compare_volumes(precipitates.labels, precipitates.volume_nm3, volumes)


def compare_volumes(labels: npt.NDArray[np.int32], volume_nm3: Floats, truth: TrueVolumes) -> Comparison:
    """Hold found particles against true ones of any shape.

    Parameters
    ----------
    labels : ndarray of int32, (nx, ny, nz)
        Found particle in each voxel of 1 nm, 1 …; 0 = matrix.
    volume_nm3 : ndarray of float64, (n_found,)
        Volume of each found particle in nm³: it need not be the number of its voxels.
    truth : TrueVolumes
        What is there, on the same grid.

    Returns
    -------
    Comparison
    """
    n_found, n_true = len(volume_nm3), len(truth.radius_nm)
    size = np.bincount(labels.ravel(), minlength=n_found + 1)[1:]
    number = labels.ravel()[truth.voxel]
    inside = np.bincount(truth.particle, truth.share, minlength=n_true).astype(np.float64)
    covered = np.bincount(truth.particle, truth.share * (number > 0), minlength=n_true)
    hit = number > 0
    shared = sparse.coo_array(
        (truth.share[hit], (truth.particle[hit], number[hit] - 1)), shape=(n_true, n_found)
    ).tocsr()  # entries of one pair are added up
    pair = shared.tocoo()
    k, c, overlap = pair.coords[0], pair.coords[1], pair.data
    holds, lies_in = overlap >= FOUND_SHARE * inside[k], overlap >= CORRECT_SHARE * size[c]
    partners, owned = np.bincount(k[holds], minlength=n_true), np.bincount(c[holds], minlength=n_found)
    partner = np.full(n_true, -1, dtype=np.int64)
    alone = holds & (partners[k] == 1) & (owned[c] == 1)
    partner[k[alone]] = c[alone]
    true_volume = np.bincount(labels.ravel(), truth.total.ravel(), minlength=n_found + 1)[1:]
    considered = truth.centre_inside
    unit = _units(k, c, n_true, n_found)
    return Comparison(
        found=(inside > 0) & (covered >= FOUND_SHARE * inside),
        touched=covered > 0,
        considered=considered,
        correct=(true_volume >= CORRECT_SHARE * size) | truth.holds(_centroids(labels, n_found) + truth.origin_nm),
        radius_nm=truth.radius_nm,
        volume_fraction=float(truth.total.mean()),
        volume_nm3=float(labels.size),
        true_volume_nm3=inside,
        found_volume_nm3=volume_nm3,
        whole=truth.whole,
        partner=partner,
        split=np.bincount(k[lies_in], minlength=n_true) > 1,
        merged=owned > 1,
        beyond=_beyond(shared, considered),
        unit_of_true=unit[:n_true],
        unit_of_found=unit[n_true:],
    )


def _units(k: npt.NDArray[Any], c: npt.NDArray[Any], n_true: int, n_found: int) -> npt.NDArray[np.int64]:
    """Give each group of particles that touch a number: true ones k, then found ones c, (n_true + n_found,)."""
    n = n_true + n_found
    if not n:
        return np.zeros(0, dtype=np.int64)
    touching = sparse.coo_array((np.ones(len(k)), (k, n_true + c)), shape=(n, n)).tocsr()
    return np.asarray(connected_components(touching, directed=False)[1], dtype=np.int64)


def _centroids(labels: npt.NDArray[np.int32], n: int) -> Floats:
    """Mean of the voxel centres of every particle, relative to the low corner of the grid, (n, 3)."""
    voxel = np.flatnonzero(labels)
    number = labels.ravel()[voxel] - 1
    size = np.maximum(np.bincount(number, minlength=n), 1)
    axes = np.unravel_index(voxel, labels.shape)
    return np.stack([np.bincount(number, axis + 0.5, minlength=n) / size for axis in axes], axis=1)


def _beyond(shared: sparse.csr_array, considered: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Tell which found particles overlap only with true ones whose centre lies outside, (n_found,)."""
    outer, inner = ((shared > 0).T @ chosen.astype(np.int64) for chosen in (~considered, considered))
    return np.asarray((outer > 0) & (inner == 0))


def pool(comparisons: Sequence[Comparison]) -> Comparison:
    """Put the particles of several specimens together.

    Parameters
    ----------
    comparisons : sequence of Comparison
        At least one.

    Returns
    -------
    Comparison
        Partners and units are renumbered; the volume fraction is that of all volumes together.
    """
    first_found = np.cumsum([0, *(len(c.correct) for c in comparisons)])
    first_unit = np.cumsum([0, *(_n_units(c) for c in comparisons)])
    joined = {
        name: np.concatenate([getattr(c, name) for c in comparisons])
        for name in (
            *("found", "touched", "considered", "correct", "radius_nm", "true_volume_nm3", "found_volume_nm3"),
            *("whole", "split", "merged", "beyond"),
        )
    }
    partner = [
        np.where(c.partner >= 0, c.partner + start, -1) for c, start in zip(comparisons, first_found, strict=False)
    ]
    volume = sum(c.volume_nm3 for c in comparisons)
    return Comparison(
        **joined,
        volume_fraction=sum(c.volume_fraction * c.volume_nm3 for c in comparisons) / volume,
        volume_nm3=volume,
        partner=np.concatenate(partner),
        unit_of_true=np.concatenate([c.unit_of_true + u for c, u in zip(comparisons, first_unit, strict=False)]),
        unit_of_found=np.concatenate([c.unit_of_found + u for c, u in zip(comparisons, first_unit, strict=False)]),
    )


def _n_units(comparison: Comparison) -> int:
    units = (comparison.unit_of_true, comparison.unit_of_found)
    return int(max(unit.max(initial=-1) for unit in units)) + 1


def particle_scores(
    comparison: Comparison,
    rng: np.random.Generator,
    *,
    min_radius_nm: float = MIN_RADIUS_NM,
    bands_nm: Sequence[tuple[float, float]] = BANDS_NM,
    n_draws: int = N_DRAWS,
) -> dict[str, Score]:
    """Score found particles, with intervals from particles drawn again.

    Parameters
    ----------
    comparison : Comparison
        Of one specimen, or of several from `pool`.
    rng : numpy.random.Generator
        Source of randomness of the intervals.
    min_radius_nm : float
        Sizes and numbers are compared for particles of at least this radius.
    bands_nm : sequence of (float, float)
        Bands of the true radius, half-open.
    n_draws : int
        Draws of the particles.

    Returns
    -------
    dict of str to Score
        ``recall_<low>_<high>`` for each band (``recall_<low>`` without an upper end): true particles found;
        ``touched_…`` of which any voxel was found.
        ``precision``: found particles that are correct. ``radius_bias_nm``, ``radius_rmse_nm``: found − true radius of
        whole particles that were found one to one. ``volume_fraction_error``: found / true volume − 1.
        ``number_density_error``: found / true number − 1, each of at least `min_radius_nm` in its own radius.
        ``false_volume``: volume of wrong particles / volume. ``merged``, ``split``: share of the found particles that
        hold several true ones, and of the found true ones that lie in several pieces.
    """
    c, weights = comparison, draw_weights(_n_units(comparison), rng, n_draws=n_draws)

    def of_true(values: npt.ArrayLike) -> Floats:
        return _sums(c.unit_of_true, values, weights.shape[1])

    def of_found(values: npt.ArrayLike) -> Floats:
        return _sums(c.unit_of_found, values, weights.shape[1])

    scores = {}
    for low, high in bands_nm:
        there = c.considered & (c.radius_nm >= low) & (c.radius_nm < high)
        name = f"{low:g}_{high:g}" if np.isfinite(high) else f"{low:g}"
        for kind, hit in (("recall", c.found), ("touched", c.touched)):
            scores[f"{kind}_{name}"] = share(of_true(there & hit), of_true(there), weights, n=int(there.sum()))
    ones = np.ones(len(c.correct))
    scores["precision"] = share(of_found(c.correct), of_found(ones), weights, n=len(ones))
    paired = (c.partner >= 0) & c.whole & (c.radius_nm >= min_radius_nm)
    error = np.zeros(len(c.radius_nm))
    error[paired] = c.found_radius_nm[c.partner[paired]] - c.radius_nm[paired]
    n_paired = int(paired.sum())
    scores["radius_bias_nm"] = ratio(of_true(error), of_true(paired), weights, n=n_paired)
    square = ratio(of_true(error**2), of_true(paired), weights, n=n_paired)
    scores["radius_rmse_nm"] = Score(square.value**0.5, square.low**0.5, square.high**0.5, n_paired)
    volumes = (of_found(c.found_volume_nm3), of_true(c.true_volume_nm3))
    scores["volume_fraction_error"] = _less_one(ratio(*volumes, weights, n=len(c.radius_nm)))
    large = c.considered & (c.radius_nm >= min_radius_nm)
    counted = (c.found_radius_nm >= min_radius_nm) & ~c.beyond
    scores["number_density_error"] = _less_one(ratio(of_found(counted), of_true(large), weights, n=int(large.sum())))
    scores["false_volume"] = _of_volume(of_found(c.found_volume_nm3 * ~c.correct), weights, c)
    scores["merged"] = share(of_found(c.merged), of_found(ones), weights, n=len(ones))
    scores["split"] = share(of_true(c.split & c.found), of_true(c.found), weights, n=int(c.found.sum()))
    return scores


def _sums(unit: npt.NDArray[np.int64], values: npt.ArrayLike, n_units: int) -> Floats:
    """Sum values over the particles of every unit, (n_units,)."""
    return np.bincount(unit, np.asarray(values, dtype=np.float64), minlength=n_units).astype(np.float64)


def _less_one(score: Score) -> Score:
    return Score(score.value - 1, score.low - 1, score.high - 1, score.n)


def _of_volume(volume: Floats, weights: Floats, comparison: Comparison) -> Score:
    """Score a volume against that of the grid, which no draw changes."""
    whole = np.full(len(volume), comparison.volume_nm3 / max(len(volume), 1))
    if not len(volume):
        return Score(0.0, float("nan"), float("nan"), 0)
    return ratio(volume, whole, weights, n=len(comparison.correct))
