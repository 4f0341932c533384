"""Proximity histograms: composition against the distance from a surface, whatever its shape."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.optimize import curve_fit
from scipy.special import erf

from aptstream.cloud.store import PointStore
from aptstream.errors import PlanError
from aptstream.grid.precipitates import Precipitates
from aptstream.peers.atoms import atoms_per_ion, elements_in
from aptstream.peers.delocalised import CompositionMap
from aptstream.peers.inside import require_same_grid
from aptstream.peers.surface import signed_distance_nm
from aptstream.peers.walk import Brick, bricks_of
from aptstream.progress import Progress, silent
from aptstream.regions import Triple

Floats = npt.NDArray[np.float64]

#: Voxels beyond the reach within which the map is looked at: splines and surfaces need them.
_MARGIN = 3
#: From 10 to 90 % of a step that is blurred by a Gaussian, in its standard deviations.
_TEN_TO_NINETY = 2.5631


@dataclass(frozen=True)
class LevelSurface:
    """Where a map passes a level.

    Parameters
    ----------
    values : ndarray of float, (nx, ny, nz)
        A value for the middle of every 1 nm voxel; NaN where there is none.
    level : float
        What lies at or above it is inside.
    origin_nm : tuple of float
        Low corner of voxel [0, 0, 0] in nm.
    """

    values: npt.NDArray[np.floating[Any]]
    level: float
    origin_nm: Triple

    @classmethod
    def of_composition(cls, composition: CompositionMap, at_percent: float) -> LevelSurface:
        """Take the isocomposition surface of a map at a content in at.%."""
        return cls(composition.at_percent, at_percent, composition.origin_nm)

    @classmethod
    def of_particles(cls, found: Precipitates) -> LevelSurface:
        """Take the outlines of particles; in steps of voxels, which blurs what is measured from them by half of one."""
        return cls((found.labels > 0).astype(np.float32), 0.5, found.origin_nm)


@dataclass(frozen=True)
class Proxigram:
    """Composition against distance from a surface; bins with too few ions are left out.

    Parameters
    ----------
    distance_nm : ndarray of float64, (n,)
        Middle of each bin in nm; positive inside.
    n_ions : ndarray of int64, (n,)
        Ions of known atoms in each bin.
    at_percent, error : dict of str to ndarray of float64, (n,)
        Content of each element, and its binomial standard error, in at.%.
    bin_nm : float
        Width of the bins in nm.
    """

    distance_nm: Floats
    n_ions: npt.NDArray[np.int64]
    at_percent: dict[str, Floats]
    error: dict[str, Floats]
    bin_nm: float

    def content(self, elements: tuple[str, ...]) -> tuple[Floats, Floats]:
        """Add up some elements: their content and its binomial error in at.%."""
        content = np.sum([self.at_percent[element] for element in elements], axis=0)
        return content, _error(content, self.n_ions)


def proxigram(
    store: PointStore,
    surface: LevelSurface,
    *,
    bin_nm: float = 0.2,
    reach_nm: float = 4.0,
    min_ions: int = 50,
    progress: Progress = silent,
) -> Proxigram:
    """Measure the composition in shells along a surface.

    Parameters
    ----------
    store : PointStore
        The ions; read brick by brick.
    surface : LevelSurface
        On the voxels of the store: of an order map at a level, a composition, or particles.
    bin_nm : float
        Width of the bins in nm.
    reach_nm : float
        Ions farther from the surface do not count.
    min_ions : int
        Bins with fewer ions of known atoms are left out.
    progress : Progress
        Told of the stage ``proxigram``, in bricks.

    Returns
    -------
    Proxigram
        Molecular ions count as their atoms; the errors take the ions for independent of each other.

    Raises
    ------
    StoreError
        If the surface and the store do not belong together.
    PlanError
        If there is no surface, no bin with enough ions, or the bins are no lengths.

    References
    ----------
    .. [1] Hellman et al., Microsc. Microanal. 6, 437 (2000).

    Examples
    --------
    >>> import tempfile
    >>> from aptstream.cloud import ingest
    >>> from aptstream.io import write_pos
    >>> from aptstream.points import Range, RangeTable
    >>> table = RangeTable((Range(26, 28, (("Al", 1),)), Range(6, 8, (("Li", 1),))))
    >>> rng = np.random.default_rng(1)
    >>> position = rng.uniform(0, 6, (4000, 3)).astype("f4")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_pos(f"{folder}/a.pos", position, np.where(position[:, 0] > 3, 7, 27))
    ...     store = ingest(f"{folder}/a.pos", ranges=table, out=f"{folder}/a.zarr")
    ...     x = np.broadcast_to(np.arange(6.0)[:, None, None], (6, 6, 6)) + 0.5
    ...     proxigram(store, LevelSurface(x, 3.0, (0, 0, 0)), bin_nm=1).at_percent["Li"].round(2)
    array([  0.,   0.,   0., 100., 100., 100.])
    """
    require_same_grid(surface.values.shape, surface.origin_nm, store)
    if not 0 < bin_nm <= reach_nm <= 100:
        raise PlanError(f"A proxigram needs bins and a reach in nm, found bins of {bin_nm} and a reach of {reach_nm}.")
    n_side, n_species = math.ceil(reach_nm / bin_nm - 1e-9), len(store.species_names)
    counts = np.zeros((2 * n_side, n_species), dtype=np.int64)
    for brick in bricks_of(store, "proxigram", progress=progress):
        distance, species = _distances(brick, surface, n_side * bin_nm)
        number = np.floor(distance / bin_nm).astype(np.int64) + n_side
        inside = (number >= 0) & (number < 2 * n_side)
        flat = number[inside] * n_species + species[inside]
        counts += np.bincount(flat, minlength=counts.size).reshape(counts.shape)
    middle: Floats = (np.arange(-n_side, n_side, dtype=np.float64) + 0.5) * bin_nm
    return _composed(store, middle, counts, min_ions, bin_nm)


def _composed(
    store: PointStore, middle: Floats, counts: npt.NDArray[np.int64], min_ions: int, bin_nm: float
) -> Proxigram:
    """Turn ions of each species in each bin into contents."""
    elements = elements_in(store.ranges)
    every = atoms_per_ion(store.ranges, elements)
    n_ions = counts[:, every > 0].sum(axis=1)
    kept = n_ions >= max(min_ions, 1)
    if not kept.any():
        raise PlanError(
            f"No bin of the proxigram holds {min_ions} ions; the fullest has {int(n_ions.max(initial=0))}. Is there a "
            f"surface at this level? Take wider bins, or another level."
        )
    total = counts[kept] @ every
    percent = {e: 100 * (counts[kept] @ atoms_per_ion(store.ranges, (e,))) / total for e in elements}
    error = {element: _error(content, n_ions[kept]) for element, content in percent.items()}
    return Proxigram(middle[kept], n_ions[kept], percent, error, bin_nm)


def _error(percent: Floats, n: npt.NDArray[np.int64]) -> Floats:
    """Binomial standard error of a content in at.%."""
    error: Floats = np.sqrt(np.clip(percent * (100 - percent), 0, None) / n)
    return error


def _distances(brick: Brick, surface: LevelSurface, reach_nm: float) -> tuple[Floats, npt.NDArray[np.uint8]]:
    """Measure how deep the ions of a brick lie, of those that may be within reach; and their species."""
    halo = math.ceil(reach_nm) + _MARGIN
    low = np.maximum(np.array(brick.low) - halo, 0)
    high = np.minimum(np.array(brick.low) + brick.shape + halo, surface.values.shape)
    part = surface.values[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    known = np.isfinite(part)
    above = known & (part >= surface.level)
    if not above.any() or above[known].all():
        return np.zeros(0), np.zeros(0, np.uint8)
    to_other = [np.asarray(ndimage.distance_transform_edt(side)) for side in (above, ~above)]
    near = np.maximum(*to_other) <= reach_nm + _MARGIN
    rows = np.flatnonzero(brick.own)
    rows = rows[near[tuple((brick.voxel[rows] - low).T)]]
    x, y, z = (np.array(surface.origin_nm) + low).tolist()
    distance = signed_distance_nm(part, surface.level, brick.cloud.position[rows], origin_nm=(x, y, z))
    told = np.isfinite(distance)
    return distance[told], brick.cloud.species[rows[told]]


@dataclass(frozen=True)
class Interface:
    """A step in a profile, blurred by a Gaussian.

    Parameters
    ----------
    outside_at_percent, inside_at_percent : float
        Contents far from the surface, in at.%.
    position_nm : float
        Where the step is, in nm; positive inside the surface.
    width_nm : float
        From 10 to 90 % of the step, in nm.
    error : tuple of float
        Standard errors of these four.
    """

    outside_at_percent: float
    inside_at_percent: float
    position_nm: float
    width_nm: float
    error: tuple[float, float, float, float]


def fit_interface(profile: Proxigram, elements: tuple[str, ...]) -> Interface:
    """Fit a blurred step to the content of some elements across a surface.

    Parameters
    ----------
    profile : Proxigram
        With at least 6 bins, on both sides.
    elements : tuple of str
        Elements, together.

    Returns
    -------
    Interface

    Raises
    ------
    PlanError
        If there are too few bins on a side, or no step can be fitted.

    Examples
    --------
    >>> x = np.linspace(-3, 3, 31)
    >>> content = 5 + 15 * (1 + erf(x / np.sqrt(2) / 0.6)) / 2
    >>> found = fit_interface(Proxigram(x, np.full(31, 9999), {"Li": content}, {"Li": content}, 0.2), ("Li",))
    >>> round(found.inside_at_percent, 3), round(found.width_nm, 3)
    (20.0, 1.538)
    """
    x, (content, error) = profile.distance_nm, profile.content(elements)
    if len(x) < 6 or not (x < 0).any() or not (x > 0).any():
        raise PlanError(f"A step needs at least 6 bins on both sides of the surface, found {len(x)} bins.")
    start = (float(content[0]), float(content[-1]), 0.0, 0.5)
    floor = np.maximum(error, 100 / profile.n_ions)
    bounds = ((0, 0, float(x[0]), 1e-3), (100, 100, float(x[-1]), float(x[-1] - x[0])))
    try:
        best, covariance = curve_fit(_step, x, content, p0=start, sigma=floor, absolute_sigma=True, bounds=bounds)
    except (RuntimeError, ValueError) as found:
        raise PlanError(f"No step can be fitted to the profile of {' + '.join(elements)}: {found}.") from found
    low, high, place, sigma = best.tolist()
    spread = np.sqrt(np.diag(covariance)) * (1, 1, 1, _TEN_TO_NINETY)
    a, b, c, d = spread.tolist()
    return Interface(low, high, place, sigma * _TEN_TO_NINETY, (a, b, c, d))


def _step(x: Floats, low: float, high: float, place: float, sigma: float) -> Floats:
    risen: Floats = low + (high - low) * (1 + erf((x - place) / (math.sqrt(2) * sigma))) / 2
    return risen
