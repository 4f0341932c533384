"""Particles: connected regions of the order map, with sizes and compositions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from aptstream.errors import PlanError
from aptstream.regions import Triple
from aptstream.showing import show_particles

FloatColumn = npt.NDArray[np.float64]

#: Which neighbours of a voxel belong to its particle: those across a face, also across an edge, also across a corner.
Neighbours = Literal[6, 18, 26]

#: Planes along x in which distances are computed at a time.
SLAB = 32
#: A particle whose order map nowhere reaches this is flagged as uncertain.
CERTAIN = 0.8


@dataclass(frozen=True)
class Precipitates:
    """Particles found in a specimen, one entry a particle in every column.

    Parameters
    ----------
    labels : ndarray of int32, (nx, ny, nz)
        Particle number of each voxel, 1 …; 0 = matrix.
    origin_nm : tuple of float
        Low corner of voxel [0, 0, 0] in nm, in the coordinates of the input file.
    voxel_nm : float
        Voxel edge in nm.
    centroid_nm : ndarray of float64, (n, 3)
        Mean of the voxel centres in nm.
    n_voxels : ndarray of int64, (n,)
        Number of voxels.
    mean_order : ndarray of float64, (n,)
        Mean of the order map over the voxels, 0 … 1.
    touches_edge : ndarray of bool, (n,)
        Whether a voxel lies at the border of what could be judged: the particle may be cut off there.
    ions : dict of str to ndarray of int64, (n,)
        Ions of each species inside; empty until counted (`aptstream.grid.composition`).
    expected_nm3 : ndarray of float64, (n,), optional
        Volume as the sum of probabilities in nm³, where particles were made by `expected_precipitates`.
    peak : ndarray of float64, (n,)
        Largest value of the order map in each particle; empty where it was not looked for.
    """

    labels: npt.NDArray[np.int32]
    origin_nm: Triple
    voxel_nm: float
    centroid_nm: FloatColumn
    n_voxels: npt.NDArray[np.int64]
    mean_order: FloatColumn
    touches_edge: npt.NDArray[np.bool_]
    ions: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    expected_nm3: FloatColumn | None = None
    peak: FloatColumn = field(default_factory=lambda: np.zeros(0))

    _repr_html_ = show_particles

    def __len__(self) -> int:
        return len(self.n_voxels)

    @property
    def volume_nm3(self) -> FloatColumn:
        """Volume of each particle in nm³, (n,): the sum of probabilities where it was taken, else whole voxels."""
        if self.expected_nm3 is not None:
            return self.expected_nm3
        return self.n_voxels.astype(np.float64) * self.voxel_nm**3

    @property
    def radius_nm(self) -> FloatColumn:
        """Radius of the sphere of equal volume in nm, (n,)."""
        radius: FloatColumn = np.cbrt(3 * self.volume_nm3 / (4 * np.pi))
        return radius

    @property
    def uncertain(self) -> npt.NDArray[np.bool_]:
        """Whether the order map nowhere in the particle reaches `CERTAIN`, (n,): a third of such may be false."""
        return self.peak < CERTAIN if len(self.peak) else np.zeros(len(self), dtype=np.bool_)

    @property
    def mean_radius_nm(self) -> float:
        """Mean equivalent radius in nm; NaN without particles."""
        return float(self.radius_nm.mean()) if len(self) else float("nan")


def find_precipitates(
    order: npt.NDArray[np.float32],
    *,
    cut: float,
    min_voxels: int,
    origin_nm: Triple,
    voxel_nm: float = 1.0,
    neighbours: Neighbours = 6,
) -> Precipitates:
    """Find particles: connected voxels whose order reaches a cut.

    A particle touches the edge if one of its voxels has a neighbour across a
    face that lies outside the volume or could not be judged.

    Parameters
    ----------
    order : ndarray of float32, (nx, ny, nz)
        Order map, 0 … 1; NaN where nothing could be judged.
    cut : float
        Smallest order of a particle's voxel.
    min_voxels : int
        Smaller particles are dropped.
    origin_nm : tuple of float
        Low corner of voxel [0, 0, 0] in nm.
    voxel_nm : float
        Voxel edge in nm.
    neighbours : {6, 18, 26}
        Voxels are connected across faces, also across edges, or also across corners.

    Returns
    -------
    Precipitates
        Numbered from 1 in descending volume; ties by position.

    Raises
    ------
    PlanError
        If it is none of these.

    Examples
    --------
    >>> order = np.zeros((6, 6, 6), "f4"); order[1:3, 1:3, 1:3] = 0.9; order[5, 5, 5] = 0.9
    >>> found = find_precipitates(order, cut=0.5, min_voxels=4, origin_nm=(0, 0, -6))
    >>> len(found), found.centroid_nm[0], round(found.mean_radius_nm, 2)
    (1, array([ 2.,  2., -4.]), 1.24)
    """
    judged = np.isfinite(order)
    raw, n = ndimage.label(judged & (order >= cut), structure=connected(neighbours))
    sizes = np.bincount(raw.ravel(), minlength=n + 1)[1:]
    numbers = np.flatnonzero(sizes >= min_voxels) + 1
    numbers = numbers[np.argsort(-sizes[numbers - 1], kind="stable")]
    return describe(_renumbered(raw, numbers), order, origin_nm, voxel_nm)


def connected(neighbours: Neighbours) -> npt.NDArray[np.bool_]:
    """Say which voxels around one are its neighbours.

    Parameters
    ----------
    neighbours : {6, 18, 26}
        How many there are.

    Returns
    -------
    ndarray of bool, (3, 3, 3)

    Raises
    ------
    PlanError
        If it is none of these.

    Examples
    --------
    >>> int(connected(18).sum())  # with the voxel itself
    19
    """
    if neighbours not in (6, 18, 26):
        raise PlanError(f"A voxel has 6, 18 or 26 neighbours (across faces, edges, corners), found {neighbours}.")
    return np.asarray(ndimage.generate_binary_structure(3, {6: 1, 18: 2, 26: 3}[neighbours]), dtype=np.bool_)


@dataclass(frozen=True)
class BoundaryRule:
    """Where a particle ends, from calibrated probabilities: its volume is their sum.

    Connected voxels that reach `core` are a particle if one of them reaches `peak`. Every voxel within `reach_nm`
    belongs to the nearest particle; the volume is the sum of the probabilities there, and the particle's voxels are the
    most probable ones, as many as make up that volume.

    Parameters
    ----------
    core, peak : float
        Probabilities that the voxels of a particle, and its best one, reach.
    reach_nm : float
        How far beyond its core voxels belong to a particle, in nm.
    min_volume_nm3 : float
        Smaller particles are dropped.
    neighbours : {6, 18, 26}
        Core voxels are connected across faces, also across edges, or also across corners.
    """

    core: float = 0.3
    peak: float = 0.5
    reach_nm: float = 2.5
    min_volume_nm3: float = 1.0
    neighbours: Neighbours = 6


def expected_precipitates(
    order: npt.NDArray[np.float32], rule: BoundaryRule, *, origin_nm: Triple, voxel_nm: float = 1.0
) -> Precipitates:
    """Find particles in a map of calibrated probabilities.

    A cut on a blurred map makes particles too small or too large, by as much as the blur; the sum of probabilities does
    not, as long as they are calibrated: of voxels with p = 0.3, three in ten are ordered.

    Parameters
    ----------
    order : ndarray of float32, (nx, ny, nz)
        Probability that a voxel is ordered, 0 … 1; NaN where nothing could be judged.
    rule : BoundaryRule
        What makes a particle.
    origin_nm : tuple of float
        Low corner of voxel [0, 0, 0] in nm.
    voxel_nm : float
        Voxel edge in nm.

    Returns
    -------
    Precipitates
        Numbered from 1 in descending volume; ties by position.

    Examples
    --------
    >>> order = np.zeros((9, 9, 9), "f4"); order[3:6, 3:6, 3:6] = 0.4; order[4, 4, 4] = 0.9
    >>> found = expected_precipitates(order, BoundaryRule(), origin_nm=(0, 0, 0))
    >>> len(found), found.volume_nm3.round(1), found.n_voxels
    (1, array([11.3]), array([11]))
    """
    basins = _basins(np.nan_to_num(order, nan=0.0), rule, voxel_nm)
    return precipitates_in(basins, order, min_volume_nm3=rule.min_volume_nm3, origin_nm=origin_nm, voxel_nm=voxel_nm)


def precipitates_in(
    basins: npt.NDArray[np.int32],
    share: npt.NDArray[np.float32],
    *,
    min_volume_nm3: float,
    origin_nm: Triple,
    voxel_nm: float = 1.0,
) -> Precipitates:
    """Make particles of regions in which every voxel belongs to its particle with a share of its volume.

    Parameters
    ----------
    basins : ndarray of int32, (nx, ny, nz)
        Number of the particle that each voxel may belong to; 0 = none.
    share : ndarray of float32, (nx, ny, nz)
        Share of each voxel that does, 0 … 1; NaN where nothing could be judged.
    min_volume_nm3 : float
        Smaller particles are dropped.
    origin_nm : tuple of float
        Low corner of voxel [0, 0, 0] in nm.
    voxel_nm : float
        Voxel edge in nm.

    Returns
    -------
    Precipitates
        Volumes are sums of shares; the voxels of a particle are those of the largest shares, as many as make up its
        volume. Numbered from 1 in descending volume; ties by position.

    Examples
    --------
    >>> share = np.array([[[0.2, 0.8, 0.9, 0.1]]], "f4")
    >>> found = precipitates_in(np.full((1, 1, 4), 5, "i4"), share, min_volume_nm3=1, origin_nm=(0, 0, 0))
    >>> found.volume_nm3.round(1), found.labels.tolist()
    (array([2.]), [[[0, 1, 1, 0]]])
    """
    probable = np.nan_to_num(share, nan=0.0)
    sums: FloatColumn = np.bincount(basins.ravel(), probable.ravel(), minlength=1).astype(np.float64)
    volume = sums * voxel_nm**3
    numbers = np.flatnonzero(volume[1:] >= min_volume_nm3) + 1
    numbers = numbers[np.argsort(-volume[numbers], kind="stable")]
    labels = _most_probable(_renumbered(basins, numbers), probable, volume[numbers] / voxel_nm**3)
    return replace(describe(labels, share, origin_nm, voxel_nm), expected_nm3=volume[numbers])


def _basins(probable: npt.NDArray[np.float32], rule: BoundaryRule, voxel_nm: float) -> npt.NDArray[np.int32]:
    """Share the voxels out among the particles: number of each voxel, 0 = none."""
    cores, n = ndimage.label(probable >= rule.core, structure=connected(rule.neighbours))
    peak = np.zeros(n + 1)
    np.maximum.at(peak, cores.ravel(), probable.ravel())
    seen = np.flatnonzero(peak[1:] >= rule.peak) + 1
    cores = _renumbered(cores, seen)
    return nearest_particle(cores, rule.reach_nm, voxel_nm) if cores.any() else cores


def nearest_particle(labels: npt.NDArray[np.int32], reach_nm: float, voxel_nm: float = 1.0) -> npt.NDArray[np.int32]:
    """Give every voxel the number of the nearest particle within reach.

    Goes slab by slab, for distances take much memory.

    Parameters
    ----------
    labels : ndarray of int32, (nx, ny, nz)
        Particle number of each voxel; 0 = none.
    reach_nm : float
        Largest distance between centres of voxels, in nm.
    voxel_nm : float
        Voxel edge in nm.

    Returns
    -------
    ndarray of int32, (nx, ny, nz)
        0 beyond reach of all particles.

    Examples
    --------
    >>> line = np.zeros((7, 1, 1), "i4"); line[0], line[5] = 1, 2
    >>> nearest_particle(line, 1.5).ravel()
    array([1, 1, 0, 0, 2, 2, 2], dtype=int32)
    """
    nearby, halo = np.zeros_like(labels), int(reach_nm / voxel_nm) + 1
    for low in range(0, len(labels), SLAB):
        start = max(low - halo, 0)
        slab = labels[start : low + SLAB + halo]
        if slab.any():
            distance, nearest = ndimage.distance_transform_edt(slab == 0, sampling=voxel_nm, return_indices=True)
            near = np.where(distance <= reach_nm, slab[tuple(nearest)], 0)
            nearby[low : low + SLAB] = near[low - start : low - start + SLAB]
    return nearby


def _most_probable(
    basins: npt.NDArray[np.int32], probable: npt.NDArray[np.float32], voxels: FloatColumn
) -> npt.NDArray[np.int32]:
    """Keep the most probable voxels of each basin, as many as its volume has."""
    flat = basins.ravel()
    members = np.flatnonzero(flat)
    members = members[np.lexsort((members, -probable.ravel()[members], flat[members]))]
    first = np.searchsorted(flat[members], np.arange(1, len(voxels) + 1))
    rank = np.arange(len(members)) - first[flat[members] - 1]
    kept = members[rank < np.maximum(np.round(voxels), 1)[flat[members] - 1]]
    labels = np.zeros_like(flat)
    labels[kept] = flat[kept]
    return labels.reshape(basins.shape)


def _renumbered(raw: npt.NDArray[np.signedinteger[Any]], numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    """Give the regions of these numbers the numbers 1 …, in this order, and all others 0."""
    renumber = np.zeros(int(raw.max(initial=0)) + 1, dtype=np.int32)
    renumber[numbers] = np.arange(1, len(numbers) + 1)
    renumbered: npt.NDArray[np.int32] = renumber[raw]
    return renumbered


def describe(
    labels: npt.NDArray[np.int32], order: npt.NDArray[np.float32], origin_nm: Triple, voxel_nm: float = 1.0
) -> Precipitates:
    """Describe particles that are labelled already, such as those of a grid on disk; volumes are whole voxels.

    Parameters
    ----------
    labels : ndarray of int32, (nx, ny, nz)
        Particle number of each voxel, 1 … without a gap; 0 = matrix.
    order : ndarray of float32, (nx, ny, nz)
        Order map; NaN where nothing could be judged.
    origin_nm : tuple of float
        Low corner of voxel [0, 0, 0] in nm.
    voxel_nm : float
        Voxel edge in nm.

    Returns
    -------
    Precipitates
    """
    index = np.arange(1, int(labels.max(initial=0)) + 1)
    centre = np.array(ndimage.center_of_mass(labels > 0, labels, index)).reshape(len(index), 3)
    inside = ndimage.binary_erosion(np.isfinite(order))  # all six neighbours are judged and exist
    rim = np.unique(labels[~inside])
    return Precipitates(
        labels=labels,
        origin_nm=origin_nm,
        voxel_nm=voxel_nm,
        centroid_nm=(centre + 0.5) * voxel_nm + np.array(origin_nm),
        n_voxels=np.bincount(labels.ravel(), minlength=len(index) + 1)[1:],
        mean_order=np.array(ndimage.mean(order, labels, index), dtype=np.float64).reshape(len(index)),
        touches_edge=np.isin(index, rim),
        peak=np.array(ndimage.maximum(order, labels, index), dtype=np.float64).reshape(len(index)),
    )
