"""The gate of the ion kernels: every array that enters ``aptstream._ions`` is checked and shaped here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream import _ions

FloatArray = npt.NDArray[np.float32]

#: Blocks of ions: positions (nm), m/q (Da), species.
Blocks = list[tuple[FloatArray, FloatArray, npt.NDArray[np.uint8]]]

#: Larger coordinates (nm) or m/q (Da) than this are damage, not data.
LARGEST = np.float32(1e6)

#: One record of a POS file: x, y, z, m/q as big-endian float32.
POS_BYTES = 16

#: One record of an ePOS file: the same, then seven columns of four bytes.
EPOS_BYTES = 44

#: Cells along one edge of a brick, and in a whole one.
BRICK_CELLS = 16
CELLS_PER_BRICK = BRICK_CELLS**3
_CELL_BITS = 12


@dataclass(frozen=True)
class Checked:
    """What was seen in a block of ions.

    Parameters
    ----------
    low, high : ndarray of float32, (4,)
        Smallest and largest x, y, z (nm) and m/q (Da).
    first_bad : int
        First ion with a number that is not finite or beyond 1e6, or -1.
    """

    low: FloatArray
    high: FloatArray
    first_bad: int


def decode_pos(record: npt.NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
    """Decode the records of a POS file.

    Parameters
    ----------
    record : ndarray of uint8, (16 * n,)
        Bytes as the file holds them.

    Returns
    -------
    position : ndarray of float32, (n, 3)
        x, y, z in nm.
    mass_to_charge : ndarray of float32, (n,)
        m/q in Da.

    Raises
    ------
    ValueError
        If the bytes are not whole records.

    Examples
    --------
    >>> decode_pos(np.array([1, 2, 3, 27], ">f4").view("u1"))
    (array([[1., 2., 3.]], dtype=float32), array([27.], dtype=float32))
    """
    if record.ndim != 1 or record.dtype != np.uint8 or record.size % POS_BYTES:
        raise ValueError(f"POS records are a row of bytes, 16 per ion; found {record.dtype} of shape {record.shape}.")
    n = record.size // POS_BYTES
    position, mass_to_charge = np.empty((n, 3), np.float32), np.empty(n, np.float32)
    if n:
        _ions.decode(np.ascontiguousarray(record), position, mass_to_charge)
    return position, mass_to_charge


def check_ions(position: FloatArray, mass_to_charge: FloatArray) -> Checked:
    """Look for numbers that cannot be right, and for the bounds of all.

    Parameters
    ----------
    position : ndarray of float32, (n, 3)
        x, y, z in nm.
    mass_to_charge : ndarray of float32, (n,)
        m/q in Da.

    Returns
    -------
    Checked

    Raises
    ------
    ValueError
        If the shapes disagree.

    Examples
    --------
    >>> check_ions(np.array([[1, 2, 3], [4, 5, np.nan]], "f4"), np.array([27, 7], "f4")).first_bad
    1
    """
    points, mass = np.ascontiguousarray(position, np.float32), np.ascontiguousarray(mass_to_charge, np.float32)
    if mass.ndim != 1 or points.shape != (len(mass), 3):
        raise ValueError(f"Ions are (n, 3) positions and (n,) m/q, found {points.shape} and {mass.shape}.")
    low, high = np.full(4, np.inf, np.float32), np.full(4, -np.inf, np.float32)
    first_bad = _ions.check(points, mass, int(LARGEST.view(np.uint32)), low, high) if len(mass) else -1
    return Checked(low, high, int(first_bad))


def range_ions(
    mass_to_charge: FloatArray, bounds_da: npt.NDArray[np.float64], *, indices: npt.NDArray[np.uint8]
) -> npt.NDArray[np.uint8]:
    """Give every m/q the species of the range that holds it.

    Parameters
    ----------
    mass_to_charge : ndarray of float32, (n,)
        m/q in Da, compared as float64.
    bounds_da : ndarray of float64, (n_ranges, 2)
        Ascending ranges without overlap; inclusive below, exclusive above.
    indices : ndarray of uint8, (n_ranges,)
        Species of each range.

    Returns
    -------
    ndarray of uint8, (n,)
        Species, 0 where no range holds the ion.

    Raises
    ------
    ValueError
        If shapes or order are not as stated.

    Examples
    --------
    >>> range_ions(np.array([6.9, 7, 8], "f4"), np.array([[7.0, 8.0]]), indices=np.array([1], "u1"))
    array([0, 1, 0], dtype=uint8)
    """
    n_ranges = len(indices)
    edges = np.asarray(bounds_da, np.float64)
    if n_ranges == 0 or edges.shape != (n_ranges, 2) or not (np.diff(edges.ravel()) >= 0).all():
        raise ValueError(f"Ranges must ascend without overlap, one index each; found {edges.shape} bounds.")
    mass = np.ascontiguousarray(mass_to_charge, np.float32)
    if mass.ndim != 1:
        raise ValueError(f"m/q must be one number per ion, found shape {mass.shape}.")
    species = np.empty(len(mass), np.uint8)
    if len(mass):
        low, high = (np.ascontiguousarray(edges[:, side]) for side in (0, 1))
        _ions.find(mass, low, high, np.ascontiguousarray(indices, np.uint8), species)
    return species


@dataclass(frozen=True)
class SortedIons:
    """Ions in the order of a point store.

    Parameters
    ----------
    position : ndarray of float32, (n, 3)
        x, y, z in nm.
    mass_to_charge : ndarray of float32, (n,)
        m/q in Da.
    species : ndarray of uint8, (n,)
        Index into the species table.
    brick_offset : ndarray of int64, (n_bricks + 1,)
        First row of every brick, and the number of ions.
    cell_offset : ndarray of uint32, (n_bricks, 4097)
        First row of every cell, relative to the brick's.
    """

    position: FloatArray
    mass_to_charge: FloatArray
    species: npt.NDArray[np.uint8]
    brick_offset: npt.NDArray[np.int64]
    cell_offset: npt.NDArray[np.uint32]


class CellSort:
    """Stable counting sort by brick and 1 nm cell, fed block by block.

    Parameters
    ----------
    origin_nm : tuple of float
        Low corner of the lattice in nm.
    shape_bricks : tuple of int
        Bricks of 16³ cells along x, y, z.
    n_ions : int
        How many ions will come, fewer than 2³².

    Raises
    ------
    ValueError
        If there are 2³² ions or more, or an ion lies outside the lattice.

    Examples
    --------
    >>> sort = CellSort((0, 0, 0), (1, 1, 1), n_ions=2)
    >>> position = np.array([[2, 0, 0], [1, 0, 0]], "f4")
    >>> sort.count(position)
    >>> sort.scatter([(position, np.array([7, 27], "f4"), np.array([1, 2], "u1"))]).species
    array([2, 1], dtype=uint8)
    """

    def __init__(self, origin_nm: tuple[float, ...], shape_bricks: tuple[int, ...], *, n_ions: int) -> None:
        if not 0 < n_ions < 2**32:
            raise ValueError(f"This sort takes 1 to 2³² - 1 ions, found {n_ions}.")
        self._origin = np.array(origin_nm, np.float64)
        self._bricks = tuple(shape_bricks)
        self._high = self._origin + BRICK_CELLS * np.array(shape_bricks)
        self._key = np.empty(n_ions, np.uint32)
        self._count = np.zeros(int(np.prod(shape_bricks)) * CELLS_PER_BRICK, np.uint32)
        self._counted = 0

    def count(self, position: FloatArray) -> None:
        """Find the cell of every ion of a block.

        Parameters
        ----------
        position : ndarray of float32, (n, 3)
            x, y, z in nm; blocks follow one another in source order.
        """
        stop = self._counted + len(position)
        if stop > len(self._key) or not len(position):
            raise ValueError(f"Expected {len(self._key)} ions in all and no empty block, found {stop}.")
        # Column by column: numpy is ten times slower along the short axis of all three at once.
        low = np.array([position[:, axis].min() for axis in range(3)])
        high = np.array([position[:, axis].max() for axis in range(3)])
        if not ((low >= self._origin).all() and (high < self._high).all()):
            raise ValueError(f"Ions at {low} … {high} nm lie outside {self._origin} … {self._high} nm.")
        _, bricks_y, bricks_z = self._bricks
        key = self._key[self._counted : stop]
        block = np.ascontiguousarray(position, np.float32)
        _ions.count(block, self._origin, bricks_y, bricks_z, key, self._count)
        self._counted = stop

    def scatter(self, blocks: Blocks) -> SortedIons:
        """Move all ions to their rows.

        Parameters
        ----------
        blocks : list of (position, mass_to_charge, species)
            The blocks that were counted, in the same order. The list is emptied to free them early.

        Returns
        -------
        SortedIons
            All ions, sorted by brick, then by cell, then in source order.
        """
        n = len(self._key)
        if self._counted != n or sum(len(block[0]) for block in blocks) != n:
            raise ValueError(f"Expected {n} ions, counted {self._counted}.")
        count = self._count.reshape(-1, CELLS_PER_BRICK)
        cell_offset = np.zeros((len(count), CELLS_PER_BRICK + 1), np.uint32)
        np.cumsum(count, axis=1, out=cell_offset[:, 1:])
        brick_offset = np.zeros(len(count) + 1, np.int64)
        np.cumsum(cell_offset[:, -1], out=brick_offset[1:])
        key: npt.NDArray[np.uint32]
        key, *arrays = self._scatter_to_bricks(blocks, brick_offset)
        for brick in np.flatnonzero(np.diff(brick_offset)):
            rows = slice(brick_offset[brick], brick_offset[brick + 1])
            cell = key[rows] & np.uint32(CELLS_PER_BRICK - 1)
            _sort_brick(cell, cell_offset[brick, :-1], [array[rows] for array in arrays])
        return SortedIons(arrays[0], arrays[1], arrays[2], brick_offset, cell_offset)

    def _scatter_to_bricks(self, blocks: Blocks, brick_offset: npt.NDArray[np.int64]) -> list[Any]:
        """Gather every brick's ions first: going straight to the cells would miss the cache at every ion."""
        n = len(self._key)
        key = np.empty(n, np.uint32)
        position, mass_to_charge = np.empty((n, 3), np.float32), np.empty(n, np.float32)
        species = np.empty(n, np.uint8)
        cursor = brick_offset[:-1].astype(np.uint32)
        start = 0
        blocks.reverse()
        while blocks:
            block = blocks.pop()
            points, mass = (np.ascontiguousarray(column, np.float32) for column in block[:2])
            kind = np.ascontiguousarray(block[2], np.uint8)
            of_block = self._key[start : start + len(mass)]
            if not points.shape == (len(of_block), 3) or not mass.shape == kind.shape == of_block.shape:
                raise ValueError(f"A block holds {points.shape}, {mass.shape}, {kind.shape} numbers.")
            _ions.scatter(of_block, _CELL_BITS, cursor, points, mass, kind, key, position, mass_to_charge, species)
            start += len(mass)
        return [key, position, mass_to_charge, species]


def _sort_brick(
    cell: npt.NDArray[np.uint32], cell_offset: npt.NDArray[np.uint32], arrays: list[npt.NDArray[Any]]
) -> None:
    """Sort the ions of one brick in place."""
    position, mass_to_charge, species = (array.copy() for array in arrays)
    _ions.scatter(cell, 0, cell_offset.copy(), position, mass_to_charge, species, np.empty_like(cell), *arrays)


def decode_epos(record: npt.NDArray[np.uint8]) -> tuple[FloatArray, FloatArray, npt.NDArray[np.uint32]]:
    """Decode the records of an ePOS file.

    Parameters
    ----------
    record : ndarray of uint8, (44 * n,)
        Bytes as the file holds them.

    Returns
    -------
    position : ndarray of float32, (n, 3)
        x, y, z in nm.
    mass_to_charge : ndarray of float32, (n,)
        m/q in Da.
    others : ndarray of uint32, (7, n)
        The columns that follow, as bits: five of float32, two of uint32.

    Raises
    ------
    ValueError
        If the bytes are not whole records.

    Examples
    --------
    >>> position, mass, others = decode_epos(np.arange(11, dtype=">f4").view("u1"))
    >>> others[:5, 0].view("f4")
    array([4., 5., 6., 7., 8.], dtype=float32)
    """
    if record.ndim != 1 or record.dtype != np.uint8 or record.size % EPOS_BYTES:
        raise ValueError(f"ePOS records are a row of bytes, 44 per ion; found {record.dtype} of shape {record.shape}.")
    n = record.size // EPOS_BYTES
    position, mass_to_charge = np.empty((n, 3), np.float32), np.empty(n, np.float32)
    others = np.empty((7, n), np.uint32)
    if n:
        _ions.decode_wide(np.ascontiguousarray(record), position, mass_to_charge, others)
    return position, mass_to_charge, others
