"""How clearly planes can be seen in small cubes along the axis of a pole, before and after they are flattened."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptstream.cloud.store import PointStore
from aptstream.pole.alignment import Alignment
from aptstream.pole.phase import MOST_POINTS, STEP_NM, PhaseField
from aptstream.progress import Progress, silent
from aptstream.regions import Cylinder

Floats = npt.NDArray[np.float64]

#: Edge of a cube, and fewest ions in one that counts.
CUBE_NM, MIN_IONS = 4.0, 100
#: How far a grid round the axis reaches, in radii of the pole, and at most, in nm.
_WIDER, _WIDEST_NM = 1.5, 16.0


@dataclass(frozen=True)
class PlanePower:
    """Power of the planes of a pole, mean over 4 nm cubes along its axis: |Σ exp(2πi planes)|² / n.

    It is 1 for ions that stand anywhere, and n times the squared visibility of the planes for n ions on planes.

    Parameters
    ----------
    turned : float
        When the planes are only turned.
    flattened : float
        When their dome is flattened too.
    aligned : float
        When everything is done that the alignment knows of; the same where it has no phase field.
    n_cubes : int
        Cubes with at least 100 ions.
    """

    turned: float
    flattened: float
    aligned: float
    n_cubes: int


def plane_power(store: PointStore, alignment: Alignment, *, progress: Progress = silent) -> PlanePower:
    """Measure how clearly the planes of a pole can be seen, before and after they are flattened.

    Parameters
    ----------
    store : PointStore
        The reconstruction in which the pole was found. An aligned store can be asked with `plane_signal`.
    alignment : Alignment
        What flattens the planes.
    progress : Progress
        Told of the stage ``flatten``, in ions.

    Returns
    -------
    PlanePower
        Not a number where no cube has enough ions.

    Raises
    ------
    StoreError
        If the store is damaged.
    """
    cubes = _fill(store, alignment, alignment.pole.region, progress)
    power = cubes.power()
    n_cubes = power.shape[1]
    means = power.mean(axis=1).tolist() if n_cubes else 3 * [math.nan]
    return PlanePower(means[0], means[1], means[2], n_cubes)


@dataclass(frozen=True)
class DepthPower:
    """Power of the planes of a pole in 4 nm cubes, mean over each layer of cubes across its axis.

    Parameters
    ----------
    z_nm : ndarray of float64, (n,)
        Where the middle of each layer meets the axis, in the reconstruction.
    turned, flattened, aligned : ndarray of float64, (n,)
        As in `PlanePower`; not a number where no cube has enough ions.
    """

    z_nm: Floats
    turned: Floats
    flattened: Floats
    aligned: Floats


def power_along_depth(store: PointStore, alignment: Alignment, *, progress: Progress = silent) -> DepthPower:
    """Measure along the whole axis of a pole how clearly its planes can be seen, before and after they are flattened.

    Parameters
    ----------
    store : PointStore
        The reconstruction in which the pole was found.
    alignment : Alignment
        What flattens the planes.
    progress : Progress
        Told of the stage ``flatten``, in ions.

    Returns
    -------
    DepthPower
        From one end of the specimen to the other.

    Raises
    ------
    StoreError
        If the store is damaged.
    """
    pole = alignment.pole
    ends = [pole.on_axis_nm(z) for z in (store.box.low[2], store.box.high[2])]
    cubes = _fill(store, alignment, Cylinder(ends[0], ends[1], pole.radius_nm), progress)
    layers = [cubes.layer(k) for k in range(cubes.shape[2])]
    power = np.array([layer.mean(axis=1) if layer.size else np.full(3, np.nan) for layer in layers])
    # On the axis the planes follow each other evenly: there the heights of both frames differ by a factor.
    by = float(np.dot((*pole.drift, 1.0), pole.wave_per_nm)) * alignment.spacing_nm
    return DepthPower(pole.centre_nm[2] + cubes.heights_nm / by, *power.T)


def _fill(store: PointStore, alignment: Alignment, region: Cylinder, progress: Progress) -> Cubes:
    """Sum the ions of a region in cubes, their planes counted turned, flattened and aligned."""
    pole, dome = alignment.pole, alignment.without_field()
    grid = grid_round(alignment, region)
    cubes = Cubes.of(grid, 3)
    for position in positions_round(store, region, progress):
        flat = dome.forward(position)
        turned = (position - pole.centre_nm) @ pole.wave_per_nm
        flattened = flat[:, 2] / alignment.spacing_nm
        moved = flattened
        if alignment.field is not None:
            moved = flattened + alignment.field.at(*flat.T) / alignment.spacing_nm
        cubes.add(grid.place(*flat.T), (turned, flattened, moved))
    return cubes


def positions_round(store: PointStore, region: Cylinder, progress: Progress) -> Iterator[Floats]:
    """Read the positions in a region block by block, (n, 3) as float64."""
    done = 0
    for cloud in store.blocks(region, columns=()):
        done += len(cloud)
        progress("flatten", min(done, store.n_ions - 1), store.n_ions, "ions")
        yield cloud.position.astype(np.float64)
    progress("flatten", store.n_ions, store.n_ions, "ions")


def grid_round(alignment: Alignment, region: Cylinder | None = None) -> PhaseField:
    """Lay an empty phase field round the axis of a pole, as far as its planes are seen, and half as wide again."""
    region = region or alignment.pole.region
    ends = [region.start, region.end]
    low, high = sorted(alignment.without_field().forward(ends)[:, 2].tolist())
    half = math.ceil(min(_WIDER * alignment.pole.radius_nm, _WIDEST_NM))
    wide, tall = 2 * half + 1, int((high - low) / STEP_NM[2]) + 1
    tall = min(tall, MOST_POINTS // wide**2)
    middle = (high + low) / 2
    bottom = middle - STEP_NM[2] * (tall - 1) / 2
    return PhaseField.of(np.zeros((wide, wide, tall)), (-half, -half, bottom), alignment.axis_slope)


@dataclass(frozen=True)
class Cubes:
    """Sums over the ions of cubes on a grid that follows the axis of a pole.

    Parameters
    ----------
    shape : tuple of int
        Cubes along x, y and z.
    sums : ndarray of float64, (k, 2, n_cubes)
        Cosines and sines of k ways to count planes, and last the ions.
    low_nm : float
        Height at which they begin.
    """

    shape: tuple[int, int, int]
    sums: Floats
    low_nm: float

    @staticmethod
    def of(grid: PhaseField, n_ways: int) -> Cubes:
        """Divide a grid into cubes of 4 nm."""
        x, y, z = (max(int(n * step / CUBE_NM), 1) for n, step in zip(grid.shape, STEP_NM, strict=True))
        return Cubes((x, y, z), np.zeros((n_ways + 1, 2, x * y * z)), grid.low_nm[2] - STEP_NM[2] / 2)

    @property
    def heights_nm(self) -> Floats:
        """Middles of the layers in the frame of the planes, (z,)."""
        return np.asarray(self.low_nm + CUBE_NM * (np.arange(self.shape[2]) + 0.5))

    def layer(self, number: int) -> Floats:
        """Return the power of the cubes of one layer across the axis; see `power`."""
        sums = self.sums.reshape(*self.sums.shape[:2], *self.shape)[..., number]
        return Cubes((*self.shape[:2], 1), sums.reshape(*sums.shape[:2], -1), self.low_nm).power()

    def add(self, place: Floats, planes: Sequence[Floats]) -> None:
        """Add ions: their places on the grid (3, n), and the planes that each way counts, (n,)."""
        cube = np.floor((place + 0.5) * (np.array(STEP_NM) / CUBE_NM)[:, None]).astype(np.int64)
        inside = ((cube >= 0) & (cube < np.array(self.shape)[:, None])).all(axis=0)
        number = np.ravel_multi_index(tuple(cube[:, inside]), self.shape)
        n_cubes = self.sums.shape[2]
        for sums, counted in zip(self.sums[:-1], planes, strict=True):
            phase = 2 * np.pi * counted[inside]
            sums[0] += np.bincount(number, np.cos(phase), n_cubes)
            sums[1] += np.bincount(number, np.sin(phase), n_cubes)
        self.sums[-1, 0] += np.bincount(number, minlength=n_cubes)

    def power(self) -> Floats:
        """Return |Σ exp(2πi planes)|² / n of the cubes with enough ions, (k, n_cubes)."""
        n_ions = self.sums[-1, 0]
        enough = n_ions >= MIN_IONS
        found: Floats = (self.sums[:-1] ** 2).sum(axis=1)[:, enough] / n_ions[enough]
        return found
