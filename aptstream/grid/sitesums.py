"""Sums over pairs of ions within each particle, streamed brick by brick: what `aptstream.grid.sites` is made from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from aptstream.cloud.lattice import BRICK_CELLS
from aptstream.cloud.store import PointStore
from aptstream.grid.phasemap import PhaseMap
from aptstream.grid.phases import OrderFrame
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
    waves : ndarray of float64, (n + 1, 3)
        Sums of w w cos, of cos of the planes, and of the window.
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
    """Add up the pairs of ions within each particle; see `aptstream.grid.sites` for what they mean.

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
    job = _Job(store, frame, judged, number, len(names))
    ions = np.zeros((phases.n_particles + 1, len(names)), dtype=np.int64)
    for voxels in job.bricks(0, "cores", progress):
        np.add.at(ions, voxels.labels, voxels.count)
    total = np.maximum(ions.sum(axis=1), 1)
    fraction = ions[:, solute].sum(axis=1) / total
    weight = solute - fraction[:, None]  # of each species in each particle
    n = len(ions)
    zeros = (np.zeros((n, 3)), np.zeros((n, len(names), 2)), np.zeros((n, 3)))
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
    """What the judged voxels of a brick and its halo hold.

    Parameters
    ----------
    labels : ndarray of int32, (nx, ny, nz)
        Particle of each voxel.
    own : tuple of slice
        The brick without its halo.
    count : ndarray of int64, (nx, ny, nz, species)
        Ions.
    wave : ndarray of complex128, (nx, ny, nz, species)
        Sum of e^{iφ}.
    planes : ndarray of complex128, (nx, ny, nz)
        Sum of e^{inφ} over ions of all species.
    """

    labels: npt.NDArray[np.int32]
    own: tuple[slice, slice, slice]
    count: Integers
    wave: npt.NDArray[np.complex128]
    planes: npt.NDArray[np.complex128]


@dataclass(frozen=True)
class _Job:
    """Reads what is judged, brick by brick."""

    store: PointStore
    frame: OrderFrame
    judged: npt.NDArray[np.int32]
    number: npt.NDArray[np.signedinteger[npt.NBitBase]]
    n_species: int

    def bricks(self, halo: int, stage: str, progress: Progress) -> Iterator[_Voxels]:
        """Give every brick that holds something to judge, with a halo."""
        shape = self.store.shape_cells
        bricks = list(product(*(range(0, n, BRICK_CELLS) for n in shape)))
        for done, brick in enumerate(bricks, start=1):
            if self.judged[tuple(slice(b, b + BRICK_CELLS) for b in brick)].any():
                low = tuple(max(b - halo, 0) for b in brick)
                high = tuple(min(b + BRICK_CELLS + halo, n) for b, n in zip(brick, shape, strict=True))
                own = tuple(slice(b - a, b - a + BRICK_CELLS) for a, b in zip(low, brick, strict=True))
                yield self._read(low, high, own)
            progress(stage, done, len(bricks), "bricks")

    def _read(self, low: tuple[int, ...], high: tuple[int, ...], own: tuple[slice, ...]) -> _Voxels:
        (lx, ly, lz), (hx, hy, hz), (ox, oy, oz) = low, high, own
        cloud = self.store.read((lx, ly, lz), (hx, hy, hz), columns=())
        labels = self.judged[lx:hx, ly:hy, lz:hz]
        position = cloud.position.astype(np.float64)
        cell = np.floor(position - self.store.origin_nm).astype(np.int64) - low
        kind = self.number[cloud.species]
        use = (kind >= 0) & (labels[tuple(cell.T)] > 0)
        planes, n = self.frame.planes, self.n_species
        height = position[use, 2] - position[use, :2] @ np.array(planes.slope)
        phase = 2 * np.pi / planes.period_nm * height
        place = np.ravel_multi_index(tuple(cell[use].T), labels.shape)
        at, bins = place * n + kind[use], labels.size * n
        count = np.bincount(at, minlength=bins).reshape(*labels.shape, n)
        wave = np.bincount(at, np.cos(phase), bins) + 1j * np.bincount(at, np.sin(phase), bins)
        of_planes = self.frame.crystal.doubling * phase
        sums = [np.bincount(place, part, labels.size) for part in (np.cos(of_planes), np.sin(of_planes))]
        return _Voxels(
            labels, (ox, oy, oz), count, wave.reshape(*labels.shape, n), (sums[0] + 1j * sums[1]).reshape(labels.shape)
        )


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
        _add_particle(
            sums,
            (label, weight[label]),
            replace(_cut(voxels, part, mine), labels=np.where(mine & own, voxels.labels[part], 0)),
        )


def _cut(voxels: _Voxels, part: tuple[slice, ...], mine: npt.NDArray[np.bool_]) -> _Voxels:
    """Cut out the voxels of one particle; all others are empty."""
    wave, count = (np.where(mine[..., None], some[part], 0) for some in (voxels.wave, voxels.count))
    return replace(voxels, wave=wave, count=count, planes=np.where(mine, voxels.planes[part], 0))


def _add_particle(sums: PairSums, particle: tuple[int, Floats], voxels: _Voxels) -> None:
    """Add the pairs of one particle whose first ion lies in the voxels that are labelled."""
    label, weight = particle
    first = voxels.labels > 0
    order, every = voxels.wave @ weight, voxels.count.sum(axis=-1)
    around, planes = _smooth(order), _smooth(voxels.planes)
    near = ndimage.gaussian_filter(every.astype(np.float64), WINDOW_NM, mode="constant", radius=REACH_CELLS)
    # What an ion adds to the window at its own place is taken away: pairs are of two ions.
    count, wave = voxels.count[first], voxels.wave[first]
    x = (order[first] * np.conj(around[first])).real - OWN_WEIGHT * (count @ weight**2)
    y = every[first] * near[first] - OWN_WEIGHT * every[first]
    of_planes = (voxels.planes[first] * np.conj(planes[first])).real - OWN_WEIGHT * every[first]
    sums.waves[label] += [x.sum(), of_planes.sum(), y.sum()]
    sums.spread[label] += [x @ x, x @ y, y @ y]
    n = count.sum(axis=0)
    cosine = (wave * np.conj(around[first])[:, None]).real.sum(axis=0) - OWN_WEIGHT * weight * n
    sums.species[label] += np.stack([cosine, near[first] @ count - OWN_WEIGHT * n], axis=1)


def _smooth(wave: npt.NDArray[np.complex128]) -> npt.NDArray[np.complex128]:
    """Sum over the window of neighbours."""
    parts = [
        ndimage.gaussian_filter(part, WINDOW_NM, mode="constant", radius=REACH_CELLS) for part in (wave.real, wave.imag)
    ]
    return np.asarray(parts[0] + 1j * parts[1])


def _window_at_centre() -> float:
    """Weight of the window at its middle."""
    point = np.zeros((2 * REACH_CELLS + 1,) * 3)
    point[(REACH_CELLS,) * 3] = 1
    return float(ndimage.gaussian_filter(point, WINDOW_NM, mode="constant", radius=REACH_CELLS).max())


#: What an ion adds to the window at its own place.
OWN_WEIGHT = _window_at_centre()
