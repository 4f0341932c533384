"""What a task costs before it is done: seconds and bytes, from its cells and the density of the ions.

The factors were measured on one core with AVX-512 (`bench/bench_scale.py` prints them anew); another machine is a few
times slower or faster, which changes how well work is spread, and never the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from aptstream.errors import PlanError

if TYPE_CHECKING:
    from distributed import Client

#: Seconds for a cube, at no density, and for each (ion per nm³)² of it: pairs grow with its square.
CUBE_S, CUBE_PAIRS_S = 25e-6, 38e-9
#: Seconds for an ion that is read, and for a cell and an ion of the order field.
READ_S, FIELD_CELL_S, FIELD_ION_S = 0.12e-6, 1e-6, 0.06e-6
#: A task shorter than this is mostly overhead; one longer than that loses much when its worker dies.
SHORTEST_S, LONGEST_S = 0.5, 5.0
#: Bytes of a worker before it reads anything, and for each ion read, each ion counted, each cell and ion of the field.
LIBRARIES_B, READ_B, COUNTED_B, FIELD_CELL_B, FIELD_ION_B = 220 << 20, 40, 70, 208, 20

#: Share of a worker's memory limit that a plan may use: above it Dask slows the worker down.
USABLE = 0.8


@dataclass(frozen=True)
class Load:
    """What a task works on, at most.

    Parameters
    ----------
    n_cubes : int
        Cubes that it judges.
    n_counted : int
        Cells that its cubes cover.
    n_read : int
        Cells that it reads.
    density : float
        Ions in a nm³.
    has_field : bool
        Whether it computes the order field.
    """

    n_cubes: int
    n_counted: int
    n_read: int
    density: float
    has_field: bool

    @property
    def seconds(self) -> float:
        """CPU time in s."""
        seconds = self.n_cubes * (CUBE_S + CUBE_PAIRS_S * self.density**2) + READ_S * self.density * self.n_read
        return seconds + (self.n_read * (FIELD_CELL_S + FIELD_ION_S * self.density) if self.has_field else 0)

    @property
    def parts(self) -> dict[str, int]:
        """Memory of the worker that does it, in bytes, by what takes it."""
        ions = self.n_read * self.density
        parts = {
            "Python and libraries": float(LIBRARIES_B),
            "ions that are read": READ_B * ions,
            "maps that are counted": COUNTED_B * self.n_counted * self.density,
        }
        if self.has_field:
            parts["order field"] = FIELD_CELL_B * self.n_read + FIELD_ION_B * ions
        return {name: round(size) for name, size in parts.items()}

    @property
    def n_bytes(self) -> int:
        """Memory of the worker that does it, in bytes."""
        return sum(self.parts.values())


def load_of(task: Sequence[int], shape: Sequence[int], halo: tuple[int, int], density: float) -> Load:
    """Say what the largest of the tasks of one size works on.

    Parameters
    ----------
    task : sequence of int
        Edges of a task in cells.
    shape : sequence of int
        Cells of the specimen.
    halo : tuple of int
        Cells beyond the task that its cubes cover, and that its order field depends on, on either side; 0 for none.
    density : float
        Ions in a nm³, at most.

    Returns
    -------
    Load

    Examples
    --------
    >>> load = load_of((32, 32, 32), (200, 200, 200), (3, 14), 33.0)
    >>> load.n_cubes, load.n_counted, load.n_read, round(load.seconds, 1)
    (32768, 42875, 216000, 3.7)
    """
    for_cubes, for_field = halo
    inside = [min(t, n) for t, n in zip(task, shape, strict=True)]
    counted = prod(min(t + for_cubes, n) for t, n in zip(inside, shape, strict=True))
    read = prod(min(t + 2 * for_field, n) for t, n in zip(inside, shape, strict=True)) if for_field else counted
    return Load(prod(inside), counted, max(read, counted), density, for_field > 0)


def require_memory(load: Load, limit_bytes: int) -> None:
    """Refuse a plan whose tasks do not fit into a worker.

    Parameters
    ----------
    load : Load
        Of one task.
    limit_bytes : int
        What a worker may take.

    Raises
    ------
    PlanError
        If it needs more, naming the largest part.
    """
    if load.n_bytes <= limit_bytes:
        return
    name, largest = max(load.parts.items(), key=lambda part: part[1])
    raise PlanError(
        f"A worker would need {load.n_bytes / 2**20:,.0f} MiB for the smallest task, and may take "
        f"{limit_bytes / 2**20:,.0f} MiB; the largest part are {name}: {largest / 2**20:,.0f} MiB at "
        f"{load.density:.0f} ions/nm³. Take fewer workers with --workers, or a machine with more memory."
    )


def worker_memory(client: Client | None) -> int:
    """Say how much memory a plan may use in a worker, in bytes.

    Parameters
    ----------
    client : distributed.Client, optional
        Its workers; this process where it is not given.

    Returns
    -------
    int
    """
    import psutil

    if client is None:
        return int(USABLE * psutil.virtual_memory().available)
    limits = [int(worker["memory_limit"]) for worker in client.scheduler_info(n_workers=-1)["workers"].values()]
    known = [limit for limit in limits if limit > 0]
    return int(USABLE * min(known)) if known else int(USABLE * psutil.virtual_memory().total / max(len(limits), 1))
