"""The gate of the ion kernels: every array that enters ``aptstream._ions`` is checked and shaped here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream import _ions

FloatArray = npt.NDArray[np.float32]

#: Larger coordinates (nm) or m/q (Da) than this are damage, not data.
LARGEST = np.float32(1e6)

#: One record of a POS file: x, y, z, m/q as big-endian float32.
POS_BYTES = 16

#: One record of an ePOS file: the same, then seven columns of four bytes.
EPOS_BYTES = 44

#: Cells of a whole brick.
CELLS_PER_BRICK = 16**3

#: The key of an ion that lies in no brick.
_NOWHERE = 2**32 - 1


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
class BinnedIons:
    """Ions of a block, gathered by brick.

    Parameters
    ----------
    row : ndarray of uint32, (n, 4 + n_columns)
        The bits of x, y, z, m/q and the further columns; by brick, then in the order they came in.
    offset : ndarray of uint32, (n_bricks + 1,)
        First row of every brick, and the number of rows.
    """

    row: npt.NDArray[np.uint32]
    offset: npt.NDArray[np.uint32]


def bin_ions(
    position: FloatArray,
    mass_to_charge: FloatArray,
    columns: Sequence[npt.NDArray[Any]] = (),
    *,
    origin_nm: tuple[float, ...],
    shape_bricks: tuple[int, ...],
) -> BinnedIons:
    """Gather ions by brick: a stable counting sort.

    Parameters
    ----------
    position : ndarray of float32, (n, 3)
        x, y, z in nm.
    mass_to_charge : ndarray of float32, (n,)
        m/q in Da.
    columns : sequence of ndarray, (n,)
        Further numbers of every ion, four bytes each.
    origin_nm : tuple of float
        Low corner of the lattice in nm, whole numbers.
    shape_bricks : tuple of int
        Bricks of 16³ cells along x, y, z; fewer than 2³² - 1.

    Returns
    -------
    BinnedIons
        Without the ions that lie outside the lattice or have a number that is not finite or beyond 1e6.

    Raises
    ------
    ValueError
        If the shapes disagree, or there are 2³² ions or more.

    Examples
    --------
    >>> position = np.array([[17, 0, 0], [1, 0, 0], [np.nan, 0, 0]], "f4")
    >>> binned = bin_ions(position, np.ones(3, "f4"), origin_nm=(0, 0, 0), shape_bricks=(2, 1, 1))
    >>> binned.row.view("f4"), binned.offset
    (array([[ 1.,  0.,  0.,  1.],
           [17.,  0.,  0.,  1.]], dtype=float32), array([0, 1, 2], dtype=uint32))
    """
    points, mass = np.ascontiguousarray(position, np.float32), np.ascontiguousarray(mass_to_charge, np.float32)
    n, n_bricks = len(mass), math.prod(shape_bricks)
    if mass.ndim != 1 or points.shape != (n, 3) or not 0 < n_bricks < _NOWHERE or n > _NOWHERE:
        raise ValueError(f"Ions are (n, 3) positions and (n,) m/q, found {points.shape}, {mass.shape}, {shape_bricks}.")
    further = np.empty((len(columns), n), np.uint32)
    for to, column in zip(further, columns, strict=True):
        if column.shape != (n,) or column.dtype.itemsize != 4:
            raise ValueError(f"A column has four bytes for each of {n} ions, found {column.dtype} of {column.shape}.")
        to[:] = np.ascontiguousarray(column).view(np.uint32)
    offset = np.zeros(n_bricks + 1, np.uint32)
    if not n:
        return BinnedIons(np.empty((0, 4 + len(columns)), np.uint32), offset)
    key, count, origin = np.empty(n, np.uint32), np.zeros(n_bricks, np.uint32), np.array(origin_nm, np.float64)
    limit = int(LARGEST.view(np.uint32))
    kept = _ions.bricks(points, mass, limit, origin, np.array(shape_bricks, np.int64), _NOWHERE, key, count)
    np.cumsum(count, out=offset[1:])
    row = np.empty((kept, 4 + len(columns)), np.uint32)
    if kept:
        _ions.scatter(key, _NOWHERE, offset[:-1].copy(), points.view("u4"), mass.view("u4"), further, row)
    return BinnedIons(row, offset)


@dataclass(frozen=True)
class SortedBrick:
    """The ions of one brick in the order of a point store.

    Parameters
    ----------
    position : ndarray of float32, (n, 3)
        x, y, z in nm.
    mass_to_charge : ndarray of float32, (n,)
        m/q in Da.
    further : ndarray of uint32, (n, n_columns)
        The bits of further columns.
    cell_offset : ndarray of uint32, (4097,)
        First row of every cell, and the number of rows.
    """

    position: FloatArray
    mass_to_charge: FloatArray
    further: npt.NDArray[np.uint32]
    cell_offset: npt.NDArray[np.uint32]


def sort_brick(row: npt.NDArray[np.uint32], *, origin_nm: tuple[float, ...], low_cell: tuple[int, ...]) -> SortedBrick:
    """Sort the ions of a brick by 1 nm cell, those of a cell as they came.

    Parameters
    ----------
    row : ndarray of uint32, (n, 4 + n_columns)
        The bits of x, y, z, m/q and further columns.
    origin_nm : tuple of float
        Low corner of the lattice in nm, whole numbers.
    low_cell : tuple of int
        First cell of the brick along x, y, z.

    Returns
    -------
    SortedBrick

    Raises
    ------
    ValueError
        If the rows are of another shape, or an ion does not lie in the brick.

    Examples
    --------
    >>> row = np.array([[0.5, 0, 9, 27], [0.5, 0, 1, 7]], "f4").view("u4")
    >>> sort_brick(row, origin_nm=(0, 0, 0), low_cell=(0, 0, 0)).mass_to_charge
    array([ 7., 27.], dtype=float32)
    """
    if row.ndim != 2 or row.shape[1] < 4 or row.dtype != np.uint32 or len(row) > _NOWHERE:
        raise ValueError(f"Ions of a brick are rows of at least four words, found {row.dtype} of {row.shape}.")
    n, width = row.shape
    position, mass = np.empty((n, 3), np.float32), np.empty(n, np.float32)
    further, cell_offset = np.empty((n, width - 4), np.uint32), np.zeros(CELLS_PER_BRICK + 1, np.uint32)
    if n:
        row = np.ascontiguousarray(row)
        key, count = np.empty(n, np.uint16), np.zeros(CELLS_PER_BRICK, np.uint32)
        first = _ions.cells(row, np.array(origin_nm, np.float64), np.array(low_cell, np.float64), key, count)
        if first >= 0:
            raise ValueError(
                f"Ion {first} lies at {row[first, :3].view('f4')} nm, outside the brick of cell {low_cell}."
            )
        np.cumsum(count, out=cell_offset[1:])
        _ions.arrange(row, key, cell_offset[:-1].copy(), position.view("u4"), mass.view("u4"), further)
    return SortedBrick(position, mass, further, cell_offset)


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
