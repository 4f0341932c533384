"""The planes of a specimen as it was reconstructed: their spacing and their tilt, fitted to the ions themselves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite

import numpy as np
import numpy.typing as npt

from aptstream.errors import PlanError
from aptstream.points import NEITHER, PointCloud, Roles

#: Columns over which waves are added first, in nm on x, y, z: as deep as to show planes blurred by half their spacing.
COLUMN_NM = (1.0, 1.0, 10.0)
#: Steps in which the height of ions is counted, in nm.
HEIGHT_NM = 0.01
#: Largest tilt about either axis that is believed.
LARGEST_TILT_DEG = 3.4
#: Tilt is searched in tiles of so many columns on an edge, over so many degrees, in steps of so many.
TILT_SEARCH = ((5, 3.5, 0.25), (10, 0.4, 0.05))
_BLOCK = 1 << 17  # ions at a time


@dataclass(frozen=True)
class Planes:
    """Where the planes of one specimen lie: z − slope · (x, y) repeats with the period.

    Parameters
    ----------
    period_nm : float
        Distance along z after which planes repeat with their species: the doubled period, in nm.
    slope : tuple of (float, float)
        Rise of the planes along x and y, nm a nm.
    visible : bool
        Whether they could be seen; if not, they are what was expected, and say nothing about the specimen.
    strength : float
        Signal of the strongest planes around, see `aptstream.cloud.planes.plane_signal`; 0 where it was not measured.
    strongest_nm : float
        Their spacing in nm; 0 where it was not measured.

    Raises
    ------
    PlanError
        If the period is not positive or a number is not finite.
    """

    period_nm: float
    slope: tuple[float, float] = (0.0, 0.0)
    visible: bool = True
    strength: float = 0.0
    strongest_nm: float = 0.0

    def __post_init__(self) -> None:
        if not (all(map(isfinite, (self.period_nm, *self.slope))) and self.period_nm > 0):
            raise PlanError(
                f"Planes need a positive period and finite slopes; found {self.period_nm} nm and {self.slope}."
            )

    @property
    def at_bound(self) -> bool:
        """Whether the tilt lies where the search for it ends: then it is none that was found."""
        return bool(max(map(abs, self.slope)) > np.tan(np.deg2rad(LARGEST_TILT_DEG)))

    @property
    def tilt_deg(self) -> float:
        """Angle between the normal of the planes and z in degrees."""
        return float(np.rad2deg(np.arctan(np.hypot(*self.slope))))


def fit_planes(
    cloud: PointCloud, roles: Roles, period_nm: float, *, doubling: int = 2, stretch: float = 0.08
) -> Planes:
    """Fit period and tilt to the specimen's own planes, which are sharper than its order.

    The waves of the planes are summed over columns 1 nm wide and 10 nm deep; the period whose power is largest is
    searched on a coarse and then a fine ladder, then the tilt that brings neighbouring columns into step, then the
    period again along the tilted planes.

    Parameters
    ----------
    cloud : PointCloud
        Ions of one piece of the specimen, some ten nm wide.
    roles : Roles
        Ions of other species are left out.
    period_nm : float
        Expected doubled period in nm.
    doubling : int
        Planes in a doubled period.
    stretch : float
        Largest relative deviation of the period that is looked for.

    Returns
    -------
    Planes

    Raises
    ------
    PlanError
        If there is no ion to fit to, or a position is no number.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> position = rng.uniform(0, 12, (20_000, 3))
    >>> position[:, 2] = np.round(position[:, 2] / 0.15) * 0.15 + 0.02 * position[:, 0]
    >>> mass, species = np.ones(20_000, "f4"), np.ones(20_000, "u1")
    >>> cloud = PointCloud(position.astype("f4"), mass, species, ("unranged", "Al", "Li"))
    >>> planes = fit_planes(cloud, Roles(("Al",), ("Li",)), 0.29)
    >>> round(planes.period_nm, 3), round(planes.tilt_deg)
    (0.3, 1)
    """
    role = roles.of(cloud.species_names)[cloud.species]
    position = cloud.position[role != NEITHER]
    if not len(position):
        raise PlanError("The period cannot be fitted: there is no ion of host or solute.")
    if not np.isfinite(position).all():
        raise PlanError("Some positions are not finite numbers: remove those ions first.")
    columns = _columns(position)
    spacing = _fit_spacing(columns, period_nm / doubling, stretch)
    slope = _fit_slope(columns, spacing)
    period = doubling * _fit_spacing(_columns(position, slope), spacing, 0.004)
    # Rounded, because the last bits of a product of matrices depend on the processor and its threads.
    return Planes(round(period, 7), (round(slope[0], 7), round(slope[1], 7)))


@dataclass(frozen=True)
class _Columns:
    """How many ions stand at which height in every column; heights are counted from the foot of the column.

    Parameters
    ----------
    count : ndarray of float64, (n_columns, n_heights)
        Ions.
    shape : tuple of int
        Columns on each axis, z fastest.
    """

    count: npt.NDArray[np.float64]
    shape: tuple[int, ...]

    def waves(self, spacings_nm: npt.NDArray[np.float64]) -> npt.NDArray[np.complex128]:
        """Sum exp(2πi z / spacing) over the ions of every column, (n_columns, n_spacings)."""
        heights = (np.arange(self.count.shape[1]) + 0.5) * HEIGHT_NM
        phase = 2 * np.pi * heights[:, None] / spacings_nm
        return (self.count @ np.cos(phase)) + 1j * (self.count @ np.sin(phase))


def _columns(position: npt.NDArray[np.float32], slope: tuple[float, float] = (0.0, 0.0)) -> _Columns:
    """Sort ions into columns by their height above planes of a slope; some at a time, which bounds the memory."""

    def level() -> Iterator[npt.NDArray[np.float64]]:
        for start in range(0, len(position), _BLOCK):
            # A row for each axis: numpy goes through long rows several times faster than through many short ones.
            block = position[start : start + _BLOCK].T.astype(np.float64, order="C")
            block[2] -= np.array(slope) @ block[:2]
            yield block

    ends = np.array([(block.min(axis=1), block.max(axis=1)) for block in level()])
    low, high = ends[:, 0].min(axis=0), ends[:, 1].max(axis=0)
    shape = tuple(int(n) for n in np.floor((high - low) / COLUMN_NM) + 1)
    n_heights = round(COLUMN_NM[2] / HEIGHT_NM)
    count = np.zeros(int(np.prod(shape)) * n_heights)
    for block in level():
        place = (block - low[:, None]) / np.reshape(COLUMN_NM, (3, 1))
        column = np.floor(place).astype(np.int64)
        height = np.minimum(((place[2] - column[2]) * n_heights).astype(np.int64), n_heights - 1)
        np.add.at(count, np.ravel_multi_index(tuple(column), shape) * n_heights + height, 1.0)
    return _Columns(count.reshape(-1, n_heights), shape)


def _fit_spacing(columns: _Columns, spacing_nm: float, stretch: float) -> float:
    """Spacing of the planes with the largest power within a relative deviation."""

    def power(factors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        waves = columns.waves(spacing_nm * factors)
        return np.asarray((waves.real**2 + waves.imag**2).sum(axis=0, dtype=np.float64))

    coarse = np.arange(1 - stretch, 1 + stretch + 1e-9, 0.002)
    best = coarse[int(power(coarse).argmax())]
    fine = best + np.arange(-0.0025, 0.00251, 0.0005)
    powers = power(fine)
    top = int(np.clip(powers.argmax(), 1, len(fine) - 2))
    a, b, _ = np.polyfit(fine[top - 1 : top + 2] - fine[top], powers[top - 1 : top + 2], 2)
    shift = -b / (2 * a) if a < 0 else 0.0
    return float(spacing_nm * (fine[top] + np.clip(shift, -0.0005, 0.0005)))


def _fit_slope(columns: _Columns, spacing_nm: float) -> tuple[float, float]:
    """Slope of the planes along x and y."""
    shape = columns.shape
    wave = columns.waves(np.array([spacing_nm]))[:, 0].reshape(shape)
    x, y = (np.arange(n) + 0.5 - n / 2 for n in shape[:2])
    found = np.zeros(2)
    for tile, span, step in TILT_SEARCH:
        nx, ny = (min(tile, n) for n in shape[:2])
        whole = wave[: shape[0] // nx * nx, : shape[1] // ny * ny]
        tried = np.tan(np.deg2rad(np.arange(-span, span + 1e-9, step)))
        turn_x, turn_y = (
            np.exp(-2j * np.pi / spacing_nm * np.outer(start + tried, at[: n // m * m]))
            for start, at, n, m in zip(found, (x, y), shape, (nx, ny), strict=False)
        )
        best, at_best = -1.0, (0, 0)
        for i, along_x in enumerate(turn_x):
            rows = (whole * along_x[:, None, None]).reshape(-1, nx, *whole.shape[1:]).sum(axis=1)
            for j, along_y in enumerate(turn_y):
                tiles = (rows * along_y[None, :, None]).reshape(len(rows), -1, ny, shape[2]).sum(axis=2)
                power = float((tiles.real**2 + tiles.imag**2).sum())
                if power > best:
                    best, at_best = power, (i, j)
        found += tried[list(at_best)]
    return float(found[0]), float(found[1])
