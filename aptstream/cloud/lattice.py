"""Where an ion is kept: bricks of 16 nm, and in each of them cells of 1 nm."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptstream.errors import StoreError
from aptstream.regions import Box, Region, Triple

#: Edge of a cell and of a brick in nm.
CELL_NM = 1.0
BRICK_NM = 16.0

#: Cells along an edge of a brick, and in a whole one.
BRICK_CELLS = 16
CELLS_PER_BRICK = BRICK_CELLS**3

#: An ion may be counted to a cell that it lies beside by a rounding.
MARGIN_NM = 1e-6

_LARGEST_OFFSETS = 1 << 30
Cell = tuple[int, int, int]


@dataclass(frozen=True)
class Lattice:
    """The cells of a specimen.

    Parameters
    ----------
    origin_nm : tuple of float
        Low corner of cell (0, 0, 0), in whole nm.
    shape_cells : tuple of int
        Cells along x, y, z.

    Raises
    ------
    StoreError
        If the specimen is so large that its index would take more than 1 GiB.

    Examples
    --------
    >>> lattice = Lattice.around((0.5, -3.2, 0), (20, 1, 2))
    >>> lattice.origin_nm, lattice.shape_cells, lattice.n_bricks
    ((0.0, -4.0, 0.0), (21, 6, 3), 2)
    """

    origin_nm: Triple
    shape_cells: Cell

    def __post_init__(self) -> None:
        if 4 * self.n_bricks * (CELLS_PER_BRICK + 1) > _LARGEST_OFFSETS:
            extents = " by ".join(str(n) for n in self.shape_cells)
            raise StoreError(
                f"The ions span {extents} nm, which is {self.n_bricks} bricks of 16 nm. Expected at most "
                f"65 519 bricks, which index 268 million nm³. Are single ions far away from the specimen, or "
                f"positions not in nm? Cut the file, or scale it."
            )

    @classmethod
    def around(cls, low: tuple[float, ...], high: tuple[float, ...]) -> Lattice:
        """Lay the cells round all ions.

        Parameters
        ----------
        low, high : tuple of float
            Smallest and largest x, y, z of the ions in nm.

        Returns
        -------
        Lattice
        """
        ox, oy, oz = (float(math.floor(a)) for a in low)
        nx, ny, nz = (math.floor(float(b) - o) + 1 for o, b in zip((ox, oy, oz), high, strict=True))
        return cls((ox, oy, oz), (nx, ny, nz))

    @property
    def shape_bricks(self) -> Cell:
        """Bricks along x, y, z."""
        x, y, z = (-(-n // BRICK_CELLS) for n in self.shape_cells)
        return x, y, z

    @property
    def n_bricks(self) -> int:
        """Bricks in all."""
        return math.prod(self.shape_bricks)

    @property
    def box(self) -> Box:
        """The volume of all cells, in nm."""
        x, y, z = (o + n for o, n in zip(self.origin_nm, self.shape_cells, strict=True))
        return Box(self.origin_nm, (x, y, z))

    def clip(self, low_cell: tuple[float, ...], high_cell: tuple[float, ...]) -> tuple[Cell, Cell]:
        """Cut a box of cells to those that exist.

        Parameters
        ----------
        low_cell, high_cell : tuple of int or float
            Half-open corners in cells; floats may be infinite.

        Returns
        -------
        low, high : tuple of int
            Corners inside the lattice; ``high <= low`` on some axis where nothing is left.
        """
        lx, ly, lz = (int(min(max(c, 0), n)) for c, n in zip(low_cell, self.shape_cells, strict=True))
        hx, hy, hz = (int(min(max(c, 0), n)) for c, n in zip(high_cell, self.shape_cells, strict=True))
        return (lx, ly, lz), (hx, hy, hz)

    def cells_of(self, low: Triple, high: Triple) -> tuple[Cell, Cell]:
        """Find the cells that a closed box touches, half-open and clipped.

        Parameters
        ----------
        low, high : tuple of float
            Corners in nm.

        Returns
        -------
        low, high : tuple of int
        """
        first = tuple(float(np.floor(a - o)) for a, o in zip(low, self.origin_nm, strict=True))
        last = tuple(float(np.floor(b - o)) + 1 for b, o in zip(high, self.origin_nm, strict=True))
        return self.clip(first, last)

    def cells_round(self, region: Region) -> tuple[Cell, Cell]:
        """Find the cells that may hold ions inside a region, half-open and clipped.

        Parameters
        ----------
        region : Box, Sphere, Cylinder or OrientedBox
            In nm.

        Returns
        -------
        low, high : tuple of int
        """
        if isinstance(region, Box):
            return self.cells_of(region.low, region.high)
        # A little more than its bounds, which are rounded and whose high faces are open.
        low, high = np.array(region.bounds.low), np.array(region.bounds.high)
        margin = MARGIN_NM + 1e-12 * np.maximum(np.abs(low), np.abs(high))
        return self.cells_of(tuple(low - margin), tuple(high + margin))

    def brick_shape(self, brick: Cell) -> npt.NDArray[np.int64]:
        """Count the cells of a brick that lie inside the lattice, along x, y, z.

        Parameters
        ----------
        brick : tuple of int
            Index of the brick along x, y, z.

        Returns
        -------
        ndarray of int64, (3,)
        """
        left: npt.NDArray[np.int64] = np.array(self.shape_cells) - BRICK_CELLS * np.array(brick)
        return np.minimum(left, BRICK_CELLS)
