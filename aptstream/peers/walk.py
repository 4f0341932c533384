"""Ions brick by brick, with what lies around each brick: how everything in this room reads a specimen of any size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptstream.cloud.lattice import BRICK_CELLS
from aptstream.cloud.store import PointStore
from aptstream.cloud.tree import PointTree
from aptstream.points import PointCloud
from aptstream.progress import Progress, silent
from aptstream.regions import Sphere, Triple

Rows = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]
Cell = tuple[int, int, int]

#: Points whose neighbours are listed at a time.
_POINTS = 1 << 15


@dataclass(frozen=True)
class Brick:
    """The ions of a brick, and of a halo around it.

    Parameters
    ----------
    low, shape : tuple of int
        First cell of the brick, and its cells along x, y, z; without the halo.
    cloud : PointCloud
        The ions of both.
    own : ndarray of bool, (n,)
        Whether an ion lies in the brick itself.
    voxel : ndarray of int64, (n, 3)
        Cell of each ion in the specimen.
    """

    low: Cell
    shape: Cell
    cloud: PointCloud
    own: npt.NDArray[np.bool_]
    voxel: npt.NDArray[np.int64]

    @property
    def place(self) -> tuple[slice, slice, slice]:
        """Where the brick lies in a grid of the specimen."""
        x, y, z = (slice(a, a + n) for a, n in zip(self.low, self.shape, strict=True))
        return x, y, z

    def flat(self, rows: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Return the numbers of the voxels of some ions of the brick itself, counted through the brick."""
        x, y, z = (self.voxel[rows] - self.low).T
        flat: npt.NDArray[np.int64] = (x * self.shape[1] + y) * self.shape[2] + z
        return flat


def bricks_of(store: PointStore, stage: str, halo: int = 0, progress: Progress = silent) -> Iterator[Brick]:
    """Walk through the bricks of a store that hold ions.

    Parameters
    ----------
    store : PointStore
        The ions.
    stage : str
        What the progress is told, in bricks.
    halo : int
        Cells that are read around each brick.
    progress : Progress
        Told after each brick.

    Yields
    ------
    Brick
    """
    counts, lattice = store.brick_counts(), store.lattice
    origin, last = np.array(store.origin_nm), np.array(store.shape_cells) - 1
    for done, brick in enumerate(np.ndindex(lattice.shape_bricks)):
        if counts[done]:
            x, y, z = (BRICK_CELLS * b for b in brick)
            p, q, r = (int(n) for n in lattice.brick_shape(brick))
            cloud = store.read((x - halo, y - halo, z - halo), (x + p + halo, y + q + halo, z + r + halo), columns=())
            # A rounding may put an ion beside its cell; never beside the specimen.
            voxel = np.clip(np.floor(cloud.position.astype(np.float64) - origin).astype(np.int64), 0, last)
            own = ((voxel >= (x, y, z)) & (voxel < (x + p, y + q, z + r))).all(axis=1)
            yield Brick((x, y, z), (p, q, r), cloud, own, voxel)
        progress(stage, done + 1, len(counts), "bricks")


def neighbours(tree: PointTree, points: npt.NDArray[np.floating], radius_nm: float) -> Iterator[tuple[Rows, Rows]]:
    """List the ions within a distance of each of some points, some ten thousand points at a time.

    Parameters
    ----------
    tree : PointTree
        The ions.
    points : ndarray of float, (m, 3)
        Positions in nm.
    radius_nm : float
        Ions exactly as far away count.

    Yields
    ------
    points, ions : ndarray of intp, (n_pairs,)
        Rows of the points, ascending, and of the ions beside each.

    Examples
    --------
    >>> tree = PointTree([[0, 0, 0], [1, 0, 0], [3, 0, 0]])
    >>> [(p.tolist(), i.tolist()) for p, i in neighbours(tree, np.array([[0.0, 0, 0], [3, 0, 0]]), 1.0)]
    [([0, 0, 1], [0, 1, 2])]
    """
    for start in range(0, len(points), _POINTS):
        some = points[start : start + _POINTS].tolist()
        found = tree.query_many([Sphere(_triple(point), radius_nm) for point in some])
        yield np.repeat(np.arange(start, start + len(some)), [len(rows) for rows in found]), np.concatenate(found)


def _triple(point: list[float]) -> Triple:
    x, y, z = point
    return x, y, z
