"""Particles held against the truth of a simulated specimen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptstream.grid.precipitates import Precipitates
from aptstream.simulate import Particles, voxel_fraction

#: A true particle counts as found if this share of its volume lies in found particles.
FOUND_SHARE = 0.25
#: A found particle counts as correct if its centroid, or this share of its volume, lies in true particles: one of a
#: few voxels at the face of the volume may be right with less.
CORRECT_SHARE = 0.5


@dataclass(frozen=True)
class Comparison:
    """How well particles were found.

    Parameters
    ----------
    found : ndarray of bool, (n_true,)
        Whether each true particle was found.
    considered : ndarray of bool, (n_true,)
        Whether the centre of each true particle lies inside the volume: only those enter the recall.
    correct : ndarray of bool, (n_found,)
        Whether each found particle is correct.
    radius_nm : ndarray of float64, (n_true,)
        True radii in nm.
    volume_fraction : float
        True ordered volume / volume.
    """

    found: npt.NDArray[np.bool_]
    considered: npt.NDArray[np.bool_]
    correct: npt.NDArray[np.bool_]
    radius_nm: npt.NDArray[np.float64]
    volume_fraction: float

    def recall(self, min_radius_nm: float) -> float:
        """Share of the true particles of at least this radius that were found; NaN if there is none."""
        chosen = self.considered & (self.radius_nm >= min_radius_nm)
        return float(self.found[chosen].mean()) if chosen.any() else float("nan")

    @property
    def precision(self) -> float:
        """Share of the found particles that are correct; NaN if none was found."""
        return float(self.correct.mean()) if len(self.correct) else float("nan")

    @property
    def mean_radius_nm(self) -> float:
        """Mean radius of the true particles whose centre lies inside, in nm; NaN if there is none."""
        return float(self.radius_nm[self.considered].mean()) if self.considered.any() else float("nan")


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
    >>> truth = Particles(np.array([[5.0, 5, 5], [5, 5, 15]]), np.array([2.0, 1.0]), np.array([0, 0]))
    >>> order = voxel_fraction(truth, (10, 10, 20)); order[..., 12:] = 0
    >>> comparison = compare_with_truth(find_precipitates(order, cut=0.5, min_voxels=4, origin_nm=(0, 0, 0)), truth)
    >>> comparison.recall(0.5), comparison.recall(2.0), comparison.precision
    (0.5, 1.0, 1.0)
    """
    labels = precipitates.labels
    nx, ny, nz = labels.shape
    shape, origin = (nx, ny, nz), np.array(precipitates.origin_nm)
    everything = voxel_fraction(truth, shape, origin_nm=precipitates.origin_nm)
    true_volume = np.bincount(labels.ravel(), everything.ravel(), minlength=len(precipitates) + 1)[1:]
    found = np.zeros(len(truth), dtype=bool)
    for k in range(len(truth)):
        reach = np.array([truth.centre_nm[k] - truth.radius_nm[k], truth.centre_nm[k] + truth.radius_nm[k]]) - origin
        low, high = (np.clip(corner, 0, shape).astype(int) for corner in (np.floor(reach[0]), np.ceil(reach[1])))
        if (high <= low).any():
            continue
        one = Particles(truth.centre_nm[k : k + 1], truth.radius_nm[k : k + 1], truth.variant[k : k + 1])
        fraction = voxel_fraction(one, tuple(high - low), origin_nm=tuple(origin + low))
        nearby = labels[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] > 0
        inside = float(fraction.sum())
        found[k] = inside > 0 and float(fraction[nearby].sum()) >= FOUND_SHARE * inside
    return Comparison(
        found=found,
        considered=np.asarray(((truth.centre_nm >= origin) & (truth.centre_nm < origin + labels.shape)).all(axis=1)),
        correct=(true_volume >= CORRECT_SHARE * precipitates.n_voxels) | _inside(precipitates.centroid_nm, truth),
        radius_nm=truth.radius_nm,
        volume_fraction=float(everything.mean()),
    )


def _inside(position_nm: npt.NDArray[np.float64], truth: Particles) -> npt.NDArray[np.bool_]:
    """Tell which positions lie in a true particle, (n,)."""
    distance = np.linalg.norm(position_nm[:, None] - truth.centre_nm[None], axis=2)
    return np.asarray((distance <= truth.radius_nm).any(axis=1))
