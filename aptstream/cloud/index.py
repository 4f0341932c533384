"""Where bricks and cells begin in a point store: from a box of cells to its rows."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from aptstream.cloud.lattice import BRICK_CELLS, MARGIN_NM, Cell, Lattice
from aptstream.errors import StoreError
from aptstream.io.arrays import CheckedArray, damaged
from aptstream.regions import Region

_CACHED_BLOCKS = 64


class CellIndex:
    """The offsets of a point store; cell offsets are read when they are needed, and checked then.

    Parameters
    ----------
    lattice : Lattice
        Cells and bricks.
    arrays : mapping of str to CheckedArray
        The arrays of the store.
    n_ions : int
        Rows in it.

    Attributes
    ----------
    brick_offset : ndarray of int64, (n_bricks + 1,)
        First row of every brick, and the end.

    Raises
    ------
    StoreError
        If the offsets of the bricks do not ascend from 0 to the number of ions.
    """

    def __init__(self, lattice: Lattice, arrays: Mapping[str, CheckedArray], n_ions: int) -> None:
        self._lattice, self._array = lattice, arrays["cell_offset"]
        self.brick_offset: npt.NDArray[np.int64] = arrays["brick_offset"][:]
        ends = (int(self.brick_offset[0]), int(self.brick_offset[-1]))
        if ends != (0, n_ions) or (np.diff(self.brick_offset) < 0).any():
            raise self._damaged("array 'brick_offset' does not ascend from 0 to the number of ions")
        self._block = functools.lru_cache(_CACHED_BLOCKS)(self._read_block)

    def rows(self, low: Cell, high: Cell, region: Region | None = None) -> npt.NDArray[np.int64]:
        """List the rows of a box of cells that lies inside the lattice, ascending.

        Parameters
        ----------
        low, high : tuple of int
            Half-open corners.
        region : Region, optional
            Only cells that it touches.

        Returns
        -------
        ndarray of int64, (n,)

        Raises
        ------
        StoreError
            If the offsets are damaged.
        """
        starts, stops = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for number, inside in self._bricks(low, high):
            if region is not None and not self._touched(region, number, np.array([[[0] * 3, [BRICK_CELLS] * 3]]))[0]:
                continue
            (x0, x1), (y0, y1), (z0, z1) = inside
            offsets = self.offsets(number).astype(np.int64) + self.brick_offset[number]
            # Cells that differ in z only follow one another: one run of rows per x and y.
            run = BRICK_CELLS * (BRICK_CELLS * np.arange(x0, x1)[:, None] + np.arange(y0, y1)).ravel()
            if region is None:
                starts.append(offsets[run + z0])
                stops.append(offsets[run + z1])
                continue
            cells = (run[:, None] + np.arange(z0, z1)).ravel()
            corner = np.stack(np.unravel_index(cells, 3 * (BRICK_CELLS,)), axis=-1)
            cells = cells[self._touched(region, number, np.stack([corner, corner + 1], axis=1))]
            starts.append(offsets[cells])
            stops.append(offsets[cells + 1])
        start, stop = np.concatenate(starts), np.concatenate(stops)
        length = stop - start
        ends = np.cumsum(length)
        rows: npt.NDArray[np.int64] = np.repeat(stop - ends, length) + np.arange(length.sum())
        return rows

    def runs(self, low: Cell, high: Cell) -> Iterator[tuple[int, int]]:
        """Cover a box of cells by runs of whole bricks.

        Parameters
        ----------
        low, high : tuple of int
            Half-open corners.

        Yields
        ------
        start, stop : int
            Rows, half-open and ascending.
        """
        start = stop = 0
        for number, _ in self._bricks(low, high):
            first, last = self.brick_offset[number : number + 2].tolist()
            if first != stop:
                if stop > start:
                    yield start, stop
                start = first
            stop = last
        if stop > start:
            yield start, stop

    def edges(self, rows: int) -> list[int]:
        """Cut the bricks into runs of about so many rows.

        Parameters
        ----------
        rows : int
            Rows of a run; more only where a single brick holds more.

        Returns
        -------
        list of int
            First brick of every run, and the end; no run is without rows.
        """
        edges = [0]
        while self.brick_offset[edges[-1]] < self.brick_offset[-1]:
            start = self.brick_offset[edges[-1]]
            # A run ends behind the empty bricks that follow it.
            end = np.searchsorted(self.brick_offset, start + rows, side="right") - 1
            if self.brick_offset[end] == start:
                end = np.searchsorted(self.brick_offset, start, side="right")
            edges.append(int(end))
        edges[-1] = self._lattice.n_bricks
        return edges

    def counts(self, number: int, brick: Cell) -> npt.NDArray[np.uint32]:
        """Count the ions in the cells of a brick.

        Parameters
        ----------
        number : int
            Its number, z fastest.
        brick : tuple of int
            Its index along x, y, z.

        Returns
        -------
        ndarray of uint32, (nx, ny, nz)
            Only cells inside the lattice.

        Raises
        ------
        StoreError
            If the offsets are damaged, or ions lie outside the lattice.
        """
        in_brick = np.diff(self.offsets(number)).reshape(3 * (BRICK_CELLS,))
        x, y, z = self._lattice.brick_shape(brick)
        counts: npt.NDArray[np.uint32] = in_brick[:x, :y, :z]
        if in_brick.sum() != counts.sum():
            raise self._damaged(f"array 'cell_offset' has ions outside the lattice in brick {number}")
        return counts

    def offsets(self, brick: int) -> npt.NDArray[np.uint32]:
        """Return where the cells of a brick begin, relative to the brick.

        Parameters
        ----------
        brick : int
            Number of the brick, z fastest.

        Returns
        -------
        ndarray of uint32, (4097,)

        Raises
        ------
        StoreError
            If they are damaged.
        """
        block, row = divmod(brick, self._array.chunk_rows)
        found: npt.NDArray[np.uint32] = self._block(block)[row]
        return found

    def _touched(self, region: Region, brick: int, corners: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Tell which boxes of cells of a brick may hold ions inside a region; corners: (n, 2, 3)."""
        place = np.array(np.unravel_index(brick, self._lattice.shape_bricks))
        box = corners + BRICK_CELLS * place + np.array(self._lattice.origin_nm)
        return region.touches(box[:, 0] - MARGIN_NM, box[:, 1] + MARGIN_NM)

    def _bricks(self, low: Cell, high: Cell) -> Iterator[tuple[int, list[tuple[int, int]]]]:
        """Name the bricks that a box of cells touches, and the cells of each that lie inside, per axis."""
        _, ny, nz = self._lattice.shape_bricks
        corners = list(zip(low, high, strict=True))
        spans = (range(a // BRICK_CELLS, -(-b // BRICK_CELLS) if b > a else 0) for a, b in corners)
        for brick in itertools.product(*spans):
            inside = [
                (max(a - BRICK_CELLS * at, 0), min(b - BRICK_CELLS * at, BRICK_CELLS))
                for (a, b), at in zip(corners, brick, strict=True)
            ]
            yield (brick[0] * ny + brick[1]) * nz + brick[2], inside

    def _read_block(self, block: int) -> npt.NDArray[np.uint32]:
        """Read and check one chunk of cell offsets."""
        first = block * self._array.chunk_rows
        offsets: npt.NDArray[np.uint32] = self._array[first : first + self._array.chunk_rows]
        ions = np.diff(self.brick_offset[first : first + len(offsets) + 1])
        ascending = (offsets[:, 1:] >= offsets[:, :-1]).all()
        if not ascending or offsets[:, 0].any() or (offsets[:, -1] != ions).any():
            raise self._damaged(f"array 'cell_offset' contradicts 'brick_offset' from brick {first} on")
        return offsets

    def _damaged(self, found: str) -> StoreError:
        return damaged(self._array.folder, found, "what was written")


def windows(rows: npt.NDArray[np.int64], gap: int, most: int) -> Iterator[tuple[int, int]]:
    """Cut ascending rows where a whole chunk can be skipped, and where too much would be read at once.

    Parameters
    ----------
    rows : ndarray of int64, (n,)
        Rows that are wanted.
    gap : int
        Rows in a chunk: where more are not wanted it pays to read anew.
    most : int
        Largest span of rows that is read at once.

    Yields
    ------
    start, stop : int
        Half-open places in `rows`.

    Examples
    --------
    >>> list(windows(np.array([0, 1, 2, 3, 50, 52]), 10, 3))
    [(0, 3), (3, 4), (4, 6)]
    """
    if not len(rows):
        return
    gaps = np.flatnonzero(np.diff(rows) > gap) + 1
    for start, stop in itertools.pairwise([0, *gaps.tolist(), len(rows)]):
        at = start
        while at < stop:
            end = int(np.searchsorted(rows[at:stop], rows[at] + most)) + at
            yield at, end
            at = end
