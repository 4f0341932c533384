"""Where planes are looked for: regions one above the other in columns, and the waves of their ions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from aptstream.cloud.store import PointStore
from aptstream.errors import PlanError
from aptstream.pole.waves import WINDOW_END, WaveGrid, mean_log_power
from aptstream.regions import Box

Floats = npt.NDArray[np.float64]
Halves = npt.NDArray[np.float16]

#: Distance of columns along x and y, smallest distance of regions along z in nm, and most regions of a column.
PITCH_NM, STEP_NM, MOST_REGIONS = 4.0, 9.0, 12
#: A region needs so much of what the fullest have (their 90th percentile), and at least so many ions.
WELL_FILLED, MIN_IONS = 0.6, 500
#: A column needs so much of the regions that it could have.
TALL_ENOUGH = 0.25
#: Edge of the tile whose columns are read at a time, in nm: more would be held at once, less be read twice.
TILE_NM = 16.0


@dataclass(frozen=True)
class Column:
    """Regions one above the other.

    Parameters
    ----------
    x_nm, y_nm : float
        Where.
    z_nm : tuple of float
        Middles of the regions, ascending.
    """

    x_nm: float
    y_nm: float
    z_nm: tuple[float, ...]


def plan_columns(store: PointStore, grid: WaveGrid) -> list[Column]:
    """Choose the regions that are filled well enough; only the numbers of ions in the cells of the store are read.

    Parameters
    ----------
    store : PointStore
        The ions.
    grid : WaveGrid
        Windows of the regions.

    Returns
    -------
    list of Column
        Ordered by tile.

    Raises
    ------
    PlanError
        If no region holds enough ions.
    StoreError
        If the offsets are damaged.
    """
    counts = store.cell_counts()
    reach = np.ceil(WINDOW_END * grid.window_nm).astype(int)
    filled = [np.flatnonzero(counts.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    low, high = np.array([(cells[0], cells[-1] + 1) for cells in filled]).T
    x, y = (np.arange(low[axis] + PITCH_NM / 2, high[axis], PITCH_NM) for axis in (0, 1))
    z = _heights(float(low[2]), float(high[2]), grid.axial_nm)
    number = _ions_round(counts, reach, (x, y, z), grid.window_nm)
    if number.max(initial=0) < MIN_IONS:
        raise PlanError(
            f"Planes cannot be looked for: the fullest ellipsoid of {2 * reach[0]} by {2 * reach[1]} by {2 * reach[2]} "
            f"nm holds {number.max(initial=0):.0f} of the {store.n_ions} ions, at least {MIN_IONS} are needed. "
            f"Expected a reconstruction some 10 nm wide with 5 ions per nm³ or more: are its positions in nm?"
        )
    enough = number >= max(MIN_IONS, WELL_FILLED * float(np.percentile(number[number >= MIN_IONS], 90)))
    tall = enough.sum(axis=2) >= max(1.0, TALL_ENOUGH * len(z))
    start = np.array(store.origin_nm)
    columns = [
        Column(float(start[0] + x[i]), float(start[1] + y[j]), tuple((start[2] + z[enough[i, j]]).tolist()))
        for i, j in np.argwhere(tall)
    ]
    return sorted(columns, key=_tile)


def _heights(low: float, high: float, axial_nm: float) -> Floats:
    """Spread the middles of regions over a depth."""
    reach = WINDOW_END * axial_nm
    first, last = low + 0.8 * reach, high - 0.8 * reach
    n = min(int((last - first) / STEP_NM) + 1, MOST_REGIONS)
    return np.linspace(first, last, n) if last > first and n > 1 else np.array([(low + high) / 2])


def _ions_round(
    counts: npt.NDArray[np.uint32], reach: npt.NDArray[np.int64], places: Sequence[Floats], window_nm: Floats
) -> Floats:
    """Count the ions of the cells in an ellipsoid round every place, (nx, ny, nz)."""
    padded = np.pad(counts, [(r, r) for r in reach])
    steps = np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij")
    inside = sum((step / width) ** 2 for step, width in zip(steps, window_nm, strict=True)) < WINDOW_END**2
    number = np.zeros(tuple(map(len, places)))
    for index in np.ndindex(number.shape):
        corner = [int(place[i]) for place, i in zip(places, index, strict=True)]
        piece = tuple(slice(c, c + 2 * r + 1) for c, r in zip(corner, reach, strict=True))
        number[index] = padded[piece][inside].sum()
    return number


def _tile(column: Column) -> tuple[int, int]:
    return int(column.x_nm // TILE_NM), int(column.y_nm // TILE_NM)


def tiles_of(columns: Sequence[Column]) -> list[tuple[int, list[Column]]]:
    """Put columns that are read together into one task: the number of the first, and all of them."""
    tiles: list[tuple[int, list[Column]]] = []
    start = 0
    for _, group in groupby(columns, key=_tile):
        tiles.append((start, list(group)))
        start += len(tiles[-1][1])
    return tiles


def tile_power(store: PointStore, start: int, columns: Sequence[Column], grid: WaveGrid) -> tuple[int, list[Halves]]:
    """Average the log power of the regions of each column of a tile.

    Parameters
    ----------
    store : PointStore
        The ions.
    start : int
        Number of the first column; returned as it is.
    columns : sequence of Column
        Of one tile.
    grid : WaveGrid
        Wave vectors and windows.

    Returns
    -------
    start : int
    power : list of ndarray of float16
        One map a column, see `mean_log_power`.

    Raises
    ------
    StoreError
        If a chunk is missing or damaged.
    """
    reach = WINDOW_END * grid.window_nm
    places = np.array([(column.x_nm, column.y_nm, z) for column in columns for z in column.z_nm])
    box = Box(tuple(places.min(axis=0) - reach), tuple(places.max(axis=0) + reach))
    position = store.query(box, columns=()).position
    position = position[np.argsort(position[:, 2], kind="stable")]
    found = []
    for column in columns:
        centres = np.array([(column.x_nm, column.y_nm, z) for z in column.z_nm])
        found.append(mean_log_power(position, centres, grid).astype(np.float16))
    return start, found
