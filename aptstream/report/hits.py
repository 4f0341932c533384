"""Where the ions of a specimen hit the detector, and where its poles lie there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, pi, sqrt

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_erosion, binary_fill_holes, gaussian_filter, percentile_filter

from aptstream.cloud.store import PointStore
from aptstream.points import PointCloud
from aptstream.pole import Pole
from aptstream.regions import Cylinder

Floats = npt.NDArray[np.float64]

#: Columns of a store that say where an ion hit.
DETECTOR: tuple[str, ...] = ("det_x_mm", "det_y_mm")
#: Bins along an edge of the map: few enough that each holds some hundred ions, within bounds.
IONS_PER_BIN, FEWEST_BINS, MOST_BINS = 60, 40, 240
#: Share of the hits that the map is drawn to: numbers of a file may lie anywhere.
WITHIN = 0.999
#: Places as shares of the radius are drawn up to here.
BEYOND = 1.12
#: Ions so near to the axis of a pole, in nm, say where it hits.
ON_AXIS_NM = 1.5
#: A cell of the specimen holds at least this share of what most do; layers along depth over which its radius is taken.
FILLED, LAYERS = 0.25, 21

_LOG_RADIUS = np.linspace(-3, 6, 1801)


@dataclass(frozen=True)
class HitMap:
    """How many ions hit where.

    Parameters
    ----------
    counts : ndarray of int64, (n, n)
        Ions by place along x and y.
    half : float
        The map reaches from −half to half.
    unit : str
        ``"mm"`` on the detector; empty where places are shares of the specimen's radius.
    poles : tuple of ((float, float) or None)
        Where the axis of each pole lies; None where no ion is near it.
    """

    counts: npt.NDArray[np.int64]
    half: float
    unit: str
    poles: tuple[tuple[float, float] | None, ...]

    @cached_property
    def density(self) -> Floats:
        """Ions of each bin over those of the median one, smoothed by a bin; NaN where there is no specimen."""
        hit = self._hit
        if not hit.any():
            return np.full(hit.shape, np.nan)
        # What the window takes from beyond the edge is not missing inside.
        smooth = gaussian_filter(np.where(hit, self.counts, 0.0), 1.0) / np.maximum(
            gaussian_filter(1.0 * hit, 1.0), 0.1
        )
        return np.where(hit, smooth / np.median(smooth[hit]), np.nan)

    @property
    def limits(self) -> tuple[float, float]:
        """Densities that are told apart: nearly all but the highest, and those at the edge."""
        inner = self.density[binary_erosion(self._hit, iterations=4)]
        if not inner.size:
            return 0.5, 1.5
        low, high = np.percentile(inner, (0.5, 98)).tolist()
        return min(low, 0.9), max(high, 1.1)

    @cached_property
    def _hit(self) -> npt.NDArray[np.bool_]:
        """Bins of the specimen."""
        some = self.counts[self.counts > 0]
        full = self.counts > 0.15 * np.median(some) if some.size else self.counts > 0
        return np.asarray(binary_fill_holes(full), bool)


def hit_map(store: PointStore, poles: Sequence[Pole] = ()) -> HitMap:
    """Count where ions hit: on the detector where the store says so, else from where they lie in the specimen.

    A reconstruction spreads the detector over the specimen: the place on it is about the distance from the middle as a
    share of the specimen's radius at that depth.

    Parameters
    ----------
    store : PointStore
        The reconstruction; it is read by blocks.
    poles : sequence of Pole
        Their axes are looked up.

    Returns
    -------
    HitMap

    Raises
    ------
    StoreError
        If the store is damaged.
    """
    places: Callable[[PointCloud], Floats]
    if set(DETECTOR) <= set(store.columns):
        columns, unit, half, places = DETECTOR, "mm", _half_mm(store), _hits_mm
    else:
        columns, unit, half, places = (), "", BEYOND, _Shares.of(store)
    n_bins = min(max(ceil(sqrt(store.n_ions / IONS_PER_BIN)), FEWEST_BINS), MOST_BINS)
    counts = np.zeros((n_bins, n_bins), np.int64)
    for cloud in store.blocks(columns=columns):
        counts += _count(places(cloud), half, n_bins)
    found = []
    for pole in poles:
        total, n = np.zeros(2), 0
        for cloud in store.blocks(_axis(pole), columns=columns):
            total += places(cloud).sum(axis=0)
            n += len(cloud)
        found.append((float(total[0] / n), float(total[1] / n)) if n else None)
    return HitMap(counts, half, unit, tuple(found))


def _count(place: Floats, half: float, n_bins: int) -> npt.NDArray[np.int64]:
    """Count places in bins of a square, (n_bins, n_bins)."""
    scaled = (place + half) * (n_bins / (2 * half))
    inside = ((scaled >= 0) & (scaled < n_bins)).all(axis=1)
    number = np.ravel_multi_index(tuple(scaled[inside].astype(np.int64).T), (n_bins, n_bins))
    return np.bincount(number, minlength=n_bins**2).reshape(n_bins, n_bins)


def _axis(pole: Pole) -> Cylinder:
    low, high = pole.depth_nm
    return Cylinder(pole.on_axis_nm(low - 1), pole.on_axis_nm(high + 1), ON_AXIS_NM)


def _hits_mm(cloud: PointCloud) -> Floats:
    return np.column_stack([cloud.columns[name] for name in DETECTOR]).astype(np.float64)


def _half_mm(store: PointStore) -> float:
    """Half the edge of a square that nearly all hits lie in; wild numbers do not stretch it."""
    counts = np.zeros(len(_LOG_RADIUS) - 1, np.int64)
    for cloud in store.blocks(columns=DETECTOR):
        farthest = np.abs(_hits_mm(cloud)).max(axis=1)
        counts += np.histogram(np.log10(np.maximum(farthest, 1.1e-3)), _LOG_RADIUS)[0]
    within = int(np.searchsorted(np.cumsum(counts), WITHIN * counts.sum()))
    return float(10 ** _LOG_RADIUS[min(within + 2, len(counts))])


@dataclass(frozen=True)
class _Shares:
    """Places across the specimen as shares of its radius at each depth."""

    z_nm: Floats
    centre_nm: Floats
    radius_nm: Floats

    @classmethod
    def of(cls, store: PointStore) -> Callable[[PointCloud], Floats]:
        """Measure the specimen by the ions in its cells, layer by layer."""
        counts = store.cell_counts()
        filled = counts >= max(1.0, FILLED * float(np.median(counts[counts > 0])))
        area = filled.sum(axis=(0, 1))
        x, y = (start + np.arange(n) + 0.5 for start, n in zip(store.origin_nm[:2], counts.shape[:2], strict=True))
        layers = np.flatnonzero(area)
        share = area[layers].astype(np.float64)
        centre = np.column_stack(
            [(filled.sum(axis=1).T @ x)[layers] / share, (filled.sum(axis=0).T @ y)[layers] / share]
        )
        # The cap at the tip is narrower than the specimen was when its ions flew.
        radius = percentile_filter(np.sqrt(share / pi), 80, size=min(LAYERS, len(layers)), mode="nearest")
        smooth = np.column_stack([percentile_filter(column, 50, size=min(LAYERS, len(layers))) for column in centre.T])
        return cls(np.asarray(store.origin_nm[2] + layers + 0.5, np.float64), smooth, radius)

    def __call__(self, cloud: PointCloud) -> Floats:
        x, y, z = cloud.position.T.astype(np.float64)
        centre = [np.interp(z, self.z_nm, column) for column in self.centre_nm.T]
        radius = np.interp(z, self.z_nm, self.radius_nm)
        return np.column_stack([(x - centre[0]) / radius, (y - centre[1]) / radius])
