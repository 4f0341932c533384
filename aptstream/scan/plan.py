"""Plan of a scan: pure geometry and bytes, decided before any work starts.

A *task* is a box of whole bricks. It writes the cubes whose low corner lies in the box, and the order field of its
voxels. To do so it reads more than the box: ``edge - 1`` cells on the high side of each axis for the cubes, and for the
field as far as its Gaussian windows reach on either side. There is a halo on the read side only, so no two tasks write
the same cube or voxel.

::

        written           |<--- task --->|
        read, cubes       |<--- task --->|<edge-1>|     a cube is named by its low corner
        read, field   |<h>|<--- task --->|<h>|
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from math import ceil, prod

import numpy as np

from aptstream.cloud.lattice import BRICK_CELLS
from aptstream.cloud.planes import plane_signal
from aptstream.cloud.store import PointStore
from aptstream.crystal import Crystal
from aptstream.errors import PlanError
from aptstream.model.modelfile import Model
from aptstream.model.networks import Runtime
from aptstream.model.predict import choose_runtime
from aptstream.points import NEITHER, Roles
from aptstream.scan.costs import LONGEST_S, SHORTEST_S, Load, load_of, require_memory
from aptstream.sdm.field import HALO_CELLS
from aptstream.sdm.planes import Planes, fit_planes

Cell = tuple[int, int, int]

#: Edges of a task in bricks that the planner tries.
TASK_BRICKS = (1, 2, 3, 4)
#: Fewest ions in a nm³ of the box around a specimen: with less the file is not in nm. A needle in its box has about 5,
#: and 0.6 a real set of which all but a few regions were cut away.
MIN_DENSITY = 0.05
#: Largest relative error of the depth scale that is believed; somewhat more is searched.
LARGEST_STRETCH = 0.078
#: The planes are measured in the middle of a specimen, in a box of so many cells.
PLANES_BOX = (32, 32, 48)


@dataclass(frozen=True)
class Task:
    """One box of cubes to judge: an address, never data.

    Parameters
    ----------
    low, high : tuple of int
        Cells whose cubes are written, half-open.
    read_low, read_high : tuple of int
        Cells that are read, half-open.
    """

    low: Cell
    high: Cell
    read_low: Cell
    read_high: Cell

    @property
    def shape(self) -> Cell:
        """Cells that are written on each axis."""
        x, y, z = (b - a for a, b in zip(self.low, self.high, strict=True))
        return x, y, z


@dataclass(frozen=True)
class ScanPlan:
    """What every task of a scan needs to know.

    Parameters
    ----------
    store_path, model_path : str
        Where ions and networks are; the ions perhaps in an object store.
    store_digest, model_digest : str
        What they must be.
    roles : Roles
        Host and solute species.
    shape : tuple of int
        Cells, and voxels, of the specimen.
    task_cells : tuple of int
        Edges of a task in cells: also the chunk of the result.
    edges : tuple of int
        Cube edges in nm that are judged.
    crystal : Crystal
        What is looked for.
    planes : Planes
        Period and tilt of the specimen's own planes.
    field_halo : int
        Cells around a task that its order field depends on; 0 where none is computed.
    runtime : {"litert", "tensorflow"}
        What the networks run on.
    """

    store_path: str
    model_path: str
    store_digest: str
    model_digest: str
    roles: Roles
    shape: Cell
    task_cells: Cell
    edges: tuple[int, ...]
    crystal: Crystal
    planes: Planes
    field_halo: int = 0
    runtime: Runtime = "litert"

    @property
    def n_tasks(self) -> Cell:
        """Tasks on each axis."""
        x, y, z = (ceil(n / t) for n, t in zip(self.shape, self.task_cells, strict=True))
        return x, y, z

    @property
    def n_cubes(self) -> int:
        """Cubes of the first edge, judged or invalid."""
        return prod(n - self.edges[0] + 1 for n in self.shape)

    def task(self, index: Sequence[int]) -> Task:
        """Return the task at an index along x, y, z."""
        low = tuple(i * t for i, t in zip(index, self.task_cells, strict=True))
        high = tuple(min(a + t, n) for a, t, n in zip(low, self.task_cells, self.shape, strict=True))
        halo = max(max(self.edges) - 1, self.field_halo)
        read_low = tuple(max(a - self.field_halo, 0) for a in low)
        read_high = tuple(min(b + halo, n) for b, n in zip(high, self.shape, strict=True))
        return Task(low, high, read_low, read_high)  # type: ignore[arg-type]

    def indices(self) -> Iterator[Cell]:
        """Yield the indices of all tasks, z fastest."""
        nx, ny, nz = self.n_tasks
        yield from product(range(nx), range(ny), range(nz))

    def tasks(self) -> list[Task]:
        """Return all tasks, z fastest."""
        return [self.task(index) for index in self.indices()]

    def n_cubes_of(self, index: Sequence[int]) -> int:
        """Count the cubes of the first edge that begin in a task."""
        task, edge = self.task(index), self.edges[0]
        ends = (max(min(b, n - edge + 1) - a, 0) for a, b, n in zip(task.low, task.high, self.shape, strict=True))
        return prod(ends)


def plan_scan(
    store: PointStore,
    model: Model,
    roles: Roles,
    *,
    n_workers: int = 1,
    worker_bytes: int | None = None,
) -> ScanPlan:
    """Decide which boxes of cubes are judged together.

    Parameters
    ----------
    store : PointStore
        The ions.
    model : Model
        Its judges say which cubes.
    roles : Roles
        Host and solute species.
    n_workers : int
        Workers that will share the tasks. It changes how the volume is cut, never the result.
    worker_bytes : int, optional
        Memory that each of them may take; as much as a task needs where it is not given.

    Returns
    -------
    ScanPlan

    Raises
    ------
    PlanError
        If the specimen is smaller than a cube, or so thin that the file cannot be in nm, or if the order of the crystal
        does not show along its pole, or if no task fits into the memory of a worker.
    RangingError
        If a role names a species that the store has not.
    """
    roles.of(store.species_names)
    edges = tuple(judge.edge_nm for judge in model.judges)
    if min(store.shape_cells) < max(edges):
        size = " x ".join(str(n) for n in store.shape_cells)
        raise PlanError(
            f"The ions fill {size} nm: too small for a cube of {max(edges)} nm. "
            f"At least {max(edges)} nm are needed on every axis; is the file in nm?"
        )
    density = store.n_ions / prod(store.shape_cells)
    if density < MIN_DENSITY:
        size = " x ".join(str(n) for n in store.shape_cells)
        raise PlanError(
            f"The {store.n_ions:,} ions are spread over {size} nm: {density:.3g} ions/nm³, where a metal gives 20–60. "
            f"Is the file in nm? Positions in ångström must be divided by ten."
        )
    crystal = model.crystal
    check_crystal(crystal)
    halo = HALO_CELLS if model.refiner is not None else 0
    loads = partial(load_of, shape=store.shape_cells, halo=(max(edges) - 1, halo), density=largest_density(store))
    return ScanPlan(
        store_path=store.address,
        model_path=model.path,
        store_digest=str(store.attrs["content_digest"]),
        model_digest=model.digest,
        roles=roles,
        shape=store.shape_cells,
        task_cells=choose_task(store.shape_cells, loads, n_workers, worker_bytes),
        edges=edges,
        crystal=crystal,
        planes=measure_planes(store, roles, crystal),
        field_halo=halo,
        runtime=choose_runtime(model.runtime),
    )


def check_crystal(crystal: Crystal) -> None:
    """Refuse a crystal whose order does not show.

    Parameters
    ----------
    crystal : Crystal
        Ordered structure and pole.

    Raises
    ------
    PlanError
        If all planes along its pole hold the same species.
    """
    if crystal.doubling < 2:
        raise PlanError(
            f"Order of {crystal.label} does not show along {crystal.pole}: all planes hold the same species. "
            f"Choose another pole with --pole, one along which planes of different species alternate."
        )


def measure_planes(store: PointStore, roles: Roles, crystal: Crystal) -> Planes:
    """Measure period and tilt of the planes in the middle of a specimen.

    Parameters
    ----------
    store : PointStore
        The ions.
    roles : Roles
        Host and solute species.
    crystal : Crystal
        What is expected.

    Returns
    -------
    Planes
        Those of the crystal, normal to z, where no planes are visible: none at all, stronger ones of another spacing,
        or only such whose period or tilt lies at the end of what was searched.
    """
    middle = [max((n - edge) // 2, 0) for n, edge in zip(store.shape_cells, PLANES_BOX, strict=True)]
    x, y, z = middle
    cloud = store.read((x, y, z), (x + PLANES_BOX[0], y + PLANES_BOX[1], z + PLANES_BOX[2]), columns=())
    role = roles.of(cloud.species_names)[cloud.species]
    if (role != NEITHER).any():
        planes = fit_planes(cloud, roles, crystal.period_nm, doubling=crystal.doubling)
        signal = plane_signal(store, planes.period_nm / crystal.doubling, planes.slope)
        near = abs(planes.period_nm / crystal.period_nm - 1) < LARGEST_STRETCH
        sure = signal.visible and near and not planes.at_bound
        found = planes if sure else Planes(crystal.period_nm, visible=False)
        return replace(found, strength=round(signal.strength, 4), strongest_nm=round(signal.spacing_nm, 5))
    return Planes(crystal.period_nm, visible=False)


def load_of_plan(plan: ScanPlan, store: PointStore) -> Load:
    """Say what the largest of the tasks of a plan works on.

    Parameters
    ----------
    plan : ScanPlan
        What is judged.
    store : PointStore
        The ions.

    Returns
    -------
    Load
    """
    halo = (max(plan.edges) - 1, plan.field_halo)
    return load_of(plan.task_cells, plan.shape, halo, largest_density(store))


def largest_density(store: PointStore) -> float:
    """Return the largest density of all bricks, in ions per nm³: what a task may meet everywhere."""
    cells = [prod(store.lattice.brick_shape(brick).tolist()) for brick in np.ndindex(store.lattice.shape_bricks)]
    return float((store.brick_counts() / cells).max())


def choose_task(shape: Cell, loads: Callable[[Cell], Load], n_workers: int, worker_bytes: int | None = None) -> Cell:
    """Choose the task that ends the scan first: a large one wastes less halo, a small one keeps all workers busy.

    Parameters
    ----------
    shape : tuple of int
        Cells of the specimen.
    loads : callable
        Returns what a task of given edges works on.
    n_workers : int
        Workers.
    worker_bytes : int, optional
        Memory that each of them may take.

    Returns
    -------
    tuple of int
        Edges in cells, multiples of a brick: of those that fit into the memory and take 0.5–5 s, if there are any.

    Raises
    ------
    PlanError
        If even one brick needs more memory than a worker may take.

    Examples
    --------
    >>> def loads(task):
    ...     return load_of(task, (200, 200, 200), (3, 14), 33.0)
    >>> choose_task((200, 200, 200), loads, 2)
    (32, 32, 32)
    """

    def cost(task: Cell) -> tuple[bool, float, int]:
        load = loads(task)
        n_tasks = prod(ceil(n / t) for n, t in zip(shape, task, strict=True))
        off = load.seconds > LONGEST_S or load.seconds < SHORTEST_S
        return off, ceil(n_tasks / n_workers) * load.seconds, prod(task)

    tasks: list[Cell] = [(x, y, z) for x, y, z in product((BRICK_CELLS * b for b in TASK_BRICKS), repeat=3)]
    if worker_bytes is not None:
        fitting = [task for task in tasks if loads(task).n_bytes <= worker_bytes]
        if not fitting:
            require_memory(loads(tasks[0]), worker_bytes)
        tasks = fitting
    return min(tasks, key=cost)
