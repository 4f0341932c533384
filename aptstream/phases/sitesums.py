"""Sums over pairs of ions within each particle, streamed brick by brick: what `aptstream.phases.sites` is made from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from aptstream.cloud.lattice import BRICK_CELLS
from aptstream.cloud.store import PointStore
from aptstream.phases.phasemap import PhaseMap
from aptstream.phases.species import OrderFrame
from aptstream.points import NEITHER, SOLUTE
from aptstream.progress import Progress

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: Standard deviation of the window of neighbours, in voxels of 1 nm, and where it is cut.
WINDOW_NM, REACH_CELLS = 1.0, 4
#: A particle is judged by its core if that has so many voxels.
CORE_VOXELS = 8


@dataclass(frozen=True)
class PairSums:
    """Sums over pairs of ions of each particle; the first axis is its number, the pairs are ordered ones.

    Parameters
    ----------
    names : list of str
        The species of host and solute.
    in_core : ndarray of bool, (n + 1,)
        Which particles are judged by their core; the others by all their voxels.
    ions : ndarray of int64, (n + 1, species)
        Judged ions.
    waves : ndarray of float64, (n + 1, 2)
        Sums of w w cos, and of the window.
    planes : ndarray of float64, (n + 1, 2)
        Sums of cos of the planes, and of the window, over the ions of all voxels: planes do not end at a rim.
    species : ndarray of float64, (n + 1, species, 2)
        Sums of w cos, and of the window, over the pairs whose first ion is of a species.
    spread : ndarray of float64, (n + 1, 3)
        Σ x², Σ x y, Σ y² over voxels, with x the sum of w w cos and y that of the window over pairs that begin there.
    variance : ndarray of float64, (n + 1,)
        Mean of w² over the judged ions.
    """

    names: list[str]
    in_core: npt.NDArray[np.bool_]
    ions: Integers
    waves: Floats
    planes: Floats
    species: Floats
    spread: Floats
    variance: Floats

    def error(self, labels: int | Integers, t: float) -> float:
        """Error of the sum of w w cos − t · window over particles; voxels are taken as independent.

        Each takes part in pairs from both sides, hence the factor 2.
        """
        xx, xy, yy = self.spread[np.atleast_1d(labels)].sum(axis=0)
        return float(2 * np.sqrt(max(xx - 2 * t * xy + t**2 * yy, 0.0)))


def pair_sums(phases: PhaseMap, store: PointStore, frame: OrderFrame, progress: Progress) -> PairSums:
    """Add up the pairs of ions within each particle; see `aptstream.phases.sites` for what they mean.

    Parameters
    ----------
    phases : PhaseMap
        Which voxel belongs to which particle.
    store : PointStore
        The ions.
    frame : OrderFrame
        Planes, crystal and roles.
    progress : Progress
        Told of the stages ``cores`` and ``sites``, in bricks.

    Returns
    -------
    PairSums

    Raises
    ------
    RangingError
        If a species is not among the ranged ones.
    StoreError
        If grid and store do not belong together, or the store is damaged.
    """
    phases.require(store)
    role = frame.roles.of(store.species_names)
    names = [name for name, r in zip(store.species_names, role, strict=True) if r != NEITHER]
    solute = np.array([r == SOLUTE for r in role if r != NEITHER])
    judged, in_core = _judged(phases)
    number = np.full(len(role), -1)
    number[role != NEITHER] = np.arange(len(names))
    job = _Job(store, frame, (phases.labels, judged), number, len(names))
    ions = np.zeros((phases.n_particles + 1, len(names)), dtype=np.int64)
    for voxels in job.bricks(0, "cores", progress):
        np.add.at(ions, voxels.labels, voxels.count)  # 0 outside of what is judged
    total = np.maximum(ions.sum(axis=1), 1)
    fraction = ions[:, solute].sum(axis=1) / total
    weight = solute - fraction[:, None]  # of each species in each particle
    n = len(ions)
    zeros = (np.zeros((n, 2)), np.zeros((n, 2)), np.zeros((n, len(names), 2)), np.zeros((n, 3)))
    sums = PairSums(names, in_core, ions, *zeros, fraction * (1 - fraction))
    for voxels in job.bricks(REACH_CELLS, "sites", progress):
        _add_brick(sums, voxels, weight)
    return sums


def _judged(phases: PhaseMap) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Labels of the voxels that are judged, and which particles are judged by their core."""
    labels = phases.labels
    core = labels > 0
    for axis in range(3):
        edge = np.moveaxis(core, axis, 0)
        same = np.moveaxis(labels, axis, 0)
        differ = same[1:] != same[:-1]
        edge[1:][differ] = False
        edge[:-1][differ] = False
        edge[[0, -1]] = False
    n_core = np.bincount(labels[core], minlength=phases.n_particles + 1)
    in_core = n_core >= CORE_VOXELS
    in_core[0] = False
    return np.where(core | ~in_core[labels], labels, 0).astype(np.int32), in_core


@dataclass(frozen=True)
class _Voxels:
    """What the voxels of a brick and its halo hold.

    Parameters
    ----------
    labels : ndarray of int32, (nx, ny, nz)
        Particle of each voxel.
    own : tuple of slice
        The brick without its halo.
    count : ndarray of int64, (nx, ny, nz, species)
        Ions, where they are judged.
    wave : ndarray of complex128, (nx, ny, nz, species)
        Sum of e^{iφ} over them.
    every : ndarray of int64, (nx, ny, nz)
        Ions of all species in particles, judged or not.
    planes : ndarray of complex128, (nx, ny, nz)
        Sum of e^{inφ} over them.
    """

    labels: npt.NDArray[np.int32]
    own: tuple[slice, slice, slice]
    count: Integers
    wave: npt.NDArray[np.complex128]
    every: Integers
    planes: npt.NDArray[np.complex128]


@dataclass(frozen=True)
class _Job:
    """Reads particles, brick by brick: the labels of all their voxels, and of those that are judged."""

    store: PointStore
    frame: OrderFrame
    labels: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]
    number: npt.NDArray[np.signedinteger[npt.NBitBase]]
    n_species: int

    def bricks(self, halo: int, stage: str, progress: Progress) -> Iterator[_Voxels]:
        """Give every brick that holds particles, with a halo."""
        shape = self.store.shape_cells
        bricks = list(product(*(range(0, n, BRICK_CELLS) for n in shape)))
        for done, brick in enumerate(bricks, start=1):
            if self.labels[0][tuple(slice(b, b + BRICK_CELLS) for b in brick)].any():
                low = tuple(max(b - halo, 0) for b in brick)
                high = tuple(min(b + BRICK_CELLS + halo, n) for b, n in zip(brick, shape, strict=True))
                own = tuple(slice(b - a, b - a + BRICK_CELLS) for a, b in zip(low, brick, strict=True))
                yield self._read(low, high, own)
            progress(stage, done, len(bricks), "bricks")

    def _read(self, low: tuple[int, ...], high: tuple[int, ...], own: tuple[slice, ...]) -> _Voxels:
        (lx, ly, lz), (hx, hy, hz), (ox, oy, oz) = low, high, own
        cloud = self.store.read((lx, ly, lz), (hx, hy, hz), columns=())
        labels, judged = (some[lx:hx, ly:hy, lz:hz] for some in self.labels)
        position = cloud.position.astype(np.float64)
        cell = np.floor(position - self.store.origin_nm).astype(np.int64) - low
        kind = self.number[cloud.species]
        use = (kind >= 0) & (labels[tuple(cell.T)] > 0)
        planes, n, shape = self.frame.planes, self.n_species, labels.shape
        height = position[use, 2] - position[use, :2] @ np.array(planes.slope)
        phase = 2 * np.pi / planes.period_nm * height
        place = np.ravel_multi_index(tuple(cell[use].T), shape)
        every, of_planes = _waves(place, self.frame.crystal.doubling * phase, labels.size)
        inner = judged.ravel()[place] > 0
        count, wave = _waves((place * n + kind[use])[inner], phase[inner], labels.size * n)
        return _Voxels(
            labels=labels,
            own=(ox, oy, oz),
            count=count.reshape(*shape, n),
            wave=wave.reshape(*shape, n),
            every=every.reshape(shape),
            planes=of_planes.reshape(shape),
        )


def _waves(place: Integers, phase: Floats, n: int) -> tuple[Integers, npt.NDArray[np.complex128]]:
    """Count ions at each of n places, and add their waves."""
    wave = np.bincount(place, np.cos(phase), n) + 1j * np.bincount(place, np.sin(phase), n)
    return np.bincount(place, minlength=n), wave


def _add_brick(sums: PairSums, voxels: _Voxels, weight: Floats) -> None:
    """Add the pairs whose first ion lies in one brick."""
    present, place = np.unique(voxels.labels[voxels.own], return_inverse=True)
    found = ndimage.find_objects(place.reshape(voxels.labels[voxels.own].shape) + 1)
    for label, box in zip(present.tolist(), found, strict=True):
        if not label:
            continue
        inner = [(s.start + o.start, s.stop + o.start) for s, o in zip(box, voxels.own, strict=True)]
        part = tuple(
            slice(max(a - REACH_CELLS, 0), min(b + REACH_CELLS, n))
            for (a, b), n in zip(inner, voxels.labels.shape, strict=True)
        )
        mine = voxels.labels[part] == label
        own = np.zeros_like(mine)
        own[tuple(slice(a - p.start, b - p.start) for (a, b), p in zip(inner, part, strict=True))] = True
        _add_particle(sums, (label, weight[label]), _cut(voxels, part, mine), mine & own)


def _cut(voxels: _Voxels, part: tuple[slice, ...], mine: npt.NDArray[np.bool_]) -> _Voxels:
    """Cut out the voxels of one particle; all others are empty."""
    wave, count = (np.where(mine[..., None], some[part], 0) for some in (voxels.wave, voxels.count))
    every, planes = (np.where(mine, some[part], 0) for some in (voxels.every, voxels.planes))
    return replace(voxels, wave=wave, count=count, every=every, planes=planes)


def _add_particle(sums: PairSums, particle: tuple[int, Floats], voxels: _Voxels, first: npt.NDArray[np.bool_]) -> None:
    """Add the pairs of one particle whose first ion lies in some of its voxels."""
    label, weight = particle
    # What an ion adds to the window at its own place is taken away: pairs are of two ions.
    every = voxels.every[first]
    of_planes = (voxels.planes * np.conj(_smooth(voxels.planes))).real[first] - OWN_WEIGHT * every
    around = every * _smooth_real(voxels.every)[first] - OWN_WEIGHT * every
    sums.planes[label] += [of_planes.sum(), around.sum()]
    order, judged = voxels.wave @ weight, voxels.count.sum(axis=-1)
    field, near = _smooth(order)[first], _smooth_real(judged)[first]
    count, wave = voxels.count[first], voxels.wave[first]
    x = (order[first] * np.conj(field)).real - OWN_WEIGHT * (count @ weight**2)
    y = judged[first] * near - OWN_WEIGHT * judged[first]
    sums.waves[label] += [x.sum(), y.sum()]
    sums.spread[label] += [x @ x, x @ y, y @ y]
    n = count.sum(axis=0)
    cosine = (wave * np.conj(field)[:, None]).real.sum(axis=0) - OWN_WEIGHT * weight * n
    sums.species[label] += np.stack([cosine, near @ count - OWN_WEIGHT * n], axis=1)


def _smooth_real(grid: npt.NDArray[Any]) -> Floats:
    """Sum over the window of neighbours."""
    smooth = ndimage.gaussian_filter(grid.astype(np.float64), WINDOW_NM, mode="constant", radius=REACH_CELLS)
    return np.asarray(smooth)


def _smooth(wave: npt.NDArray[np.complex128]) -> npt.NDArray[np.complex128]:
    """Sum waves over the window of neighbours."""
    smooth: npt.NDArray[np.complex128] = _smooth_real(wave.real) + 1j * _smooth_real(wave.imag)
    return smooth


def _window_at_centre() -> float:
    """Weight of the window at its middle."""
    point = np.zeros((2 * REACH_CELLS + 1,) * 3)
    point[(REACH_CELLS,) * 3] = 1
    return float(_smooth_real(point).max())


#: What an ion adds to the window at its own place.
OWN_WEIGHT = _window_at_centre()
