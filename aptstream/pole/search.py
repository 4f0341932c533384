"""Search for planes: wave vectors at which neighbouring columns agree, as the planes of a dome would have it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aptstream.cloud.store import PointStore
from aptstream.cloud.workers import run_tasks
from aptstream.pole.columns import Column, plan_columns, tile_power, tiles_of
from aptstream.pole.waves import Singles, WaveGrid, strongest
from aptstream.progress import Progress

if TYPE_CHECKING:
    from distributed import Client

Floats = npt.NDArray[np.float64]

#: Columns that are stacked lie so near, in nm; the curvatures of the dome that are tried, per nm.
STACK_NM, CURVATURES = 6.0, (-1 / 110, 0.0, 1 / 150, 1 / 90, 1 / 55)
_HELD = 32  # maps in memory, 3 MB each


@dataclass(frozen=True)
class Candidate:
    """What stands out most round one column.

    Parameters
    ----------
    strength : float
        Contrast of the stacked power, in standard deviations of chance: about 6 at most without any planes.
    wave_per_nm : ndarray of float64, (3,)
        Wave vector, to the cell of the grid.
    curvature_per_nm : float
        Of the dome with which the neighbours agree best.
    x_nm, y_nm : float
        The column.
    n_regions : int
        Regions of the stack.
    """

    strength: float
    wave_per_nm: Floats
    curvature_per_nm: float
    x_nm: float
    y_nm: float
    n_regions: int


def search(store: PointStore, grid: WaveGrid, client: Client | None, progress: Progress) -> list[Candidate]:
    """Look at all wave vectors in all columns.

    Parameters
    ----------
    store : PointStore
        The ions.
    grid : WaveGrid
        Wave vectors and windows.
    client : distributed.Client or None
        Where to work.
    progress : Progress
        Told of the stage ``search``, in columns.

    Returns
    -------
    list of Candidate
        One a column, strongest first.

    Raises
    ------
    PlanError
        If the specimen is too small or too thin.
    StoreError
        If the store is damaged.
    """
    columns = plan_columns(store, grid)
    shape = (grid.n_side, grid.n_side, len(grid.axial_per_nm))
    size = 2 * int(np.prod(shape))
    with tempfile.TemporaryFile() as shelf:  # some megabytes a column, of which a few are looked at together
        tasks = [(store, start, group, grid) for start, group in tiles_of(columns)]
        done = 0
        for start, maps in run_tasks(tile_power, tasks, client):
            shelf.seek(start * size)
            for power in maps:
                shelf.write(power.tobytes())
            done += len(maps)
            progress("search", done, len(columns), "columns")

        @lru_cache(maxsize=_HELD)
        def power_of(number: int) -> Singles:
            shelf.seek(number * size)
            return np.frombuffer(shelf.read(size), np.float16).reshape(shape).astype(np.float32)

        found = []
        for number in range(len(columns)):
            found.append(_best_round(number, columns, power_of, grid))
            progress("compare", number + 1, len(columns), "columns")
    return sorted(found, key=lambda candidate: -candidate.strength)


def _best_round(
    number: int, columns: Sequence[Column], power_of: Callable[[int], Singles], grid: WaveGrid
) -> Candidate:
    """Stack a column with its neighbours."""
    centre = columns[number]
    away = np.array([(column.x_nm - centre.x_nm, column.y_nm - centre.y_nm) for column in columns])
    near = np.flatnonzero((away**2).sum(axis=1) <= STACK_NM**2 + 1e-6)
    n_regions = np.array([len(columns[int(k)].z_nm) for k in near])
    maps = [power_of(int(k)) for k in near]
    stacks = [(*strongest(maps, n_regions, away[near], curvature, grid), curvature) for curvature in CURVATURES]
    strength, cell, curvature = max(stacks, key=lambda stack: stack[0])
    return Candidate(strength, grid.wave(cell), curvature, centre.x_nm, centre.y_nm, int(n_regions.sum()))
