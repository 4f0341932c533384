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

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import ceil, prod

from aptstream.cloud.lattice import BRICK_CELLS
from aptstream.cloud.planes import plane_signal
from aptstream.cloud.store import PointStore
from aptstream.crystal import Crystal
from aptstream.errors import PlanError
from aptstream.model.modelfile import Model
from aptstream.points import NEITHER, Roles
from aptstream.sdm.field import HALO_CELLS
from aptstream.sdm.planes import Planes, fit_planes

Cell = tuple[int, int, int]

#: Edges of a task in bricks that the planner tries.
TASK_BRICKS = (1, 2, 3, 4)
#: Fewest ions in a nm³ of the box around a specimen: with less the file is not in nm. A needle in its box has about 5,
#: and 0.6 a real set of which all but a few regions were cut away.
MIN_DENSITY = 0.05
#: Cells that a task may read: a few seconds of work at usual densities. With a halo for the field more is worth it.
MAX_CELLS, MAX_CELLS_WITH_FIELD = 64_000, 300_000
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

    def tasks(self) -> list[Task]:
        """Return all tasks, z fastest."""
        return [self.task(index) for index in product(*(range(n) for n in self.n_tasks))]


def plan_scan(store: PointStore, model: Model, roles: Roles, *, n_workers: int = 1) -> ScanPlan:
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

    Returns
    -------
    ScanPlan

    Raises
    ------
    PlanError
        If the specimen is smaller than a cube, or so thin that the file cannot be in nm, or if the order of the crystal
        does not show along its pole.
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
    return ScanPlan(
        store_path=store.address,
        model_path=model.path,
        store_digest=str(store.attrs["content_digest"]),
        model_digest=model.digest,
        roles=roles,
        shape=store.shape_cells,
        task_cells=choose_task(store.shape_cells, (max(edges) - 1, 2 * halo)[halo > 0], n_workers),
        edges=edges,
        crystal=crystal,
        planes=measure_planes(store, roles, crystal),
        field_halo=halo,
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


def choose_task(shape: Cell, halo: int, n_workers: int) -> Cell:
    """Choose the task that ends the scan first: a large one wastes less halo, a small one keeps all workers busy.

    Parameters
    ----------
    shape : tuple of int
        Cells of the specimen.
    halo : int
        Cells read beyond those written.
    n_workers : int
        Workers.

    Returns
    -------
    tuple of int
        Edges in cells, multiples of a brick.

    Examples
    --------
    >>> choose_task((30, 30, 40), 3, 1), choose_task((30, 30, 40), 3, 2), choose_task((200, 200, 200), 3, 2)
    ((32, 32, 48), (16, 32, 48), (32, 32, 32))
    """
    most = MAX_CELLS if halo < BRICK_CELLS else MAX_CELLS_WITH_FIELD

    def cost(bricks: tuple[int, ...]) -> tuple[float, int]:
        edges = [b * BRICK_CELLS for b in bricks]
        n_tasks = prod(ceil(n / e) for n, e in zip(shape, edges, strict=True))
        cells = prod(min(e + halo, n) for n, e in zip(shape, edges, strict=True))
        return ceil(n_tasks / n_workers) * cells * (1 if cells <= most else 1e6), prod(edges)

    x, y, z = (b * BRICK_CELLS for b in min(product(TASK_BRICKS, repeat=3), key=cost))
    return x, y, z
