"""Ions in free regions, nearest ions and pairs: a tree over the positions of ions.

For cubes on a regular grid the scan uses cells, which are faster; the tree serves regions that follow no grid.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream import _kdtree
from aptstream.points import PointCloud
from aptstream.regions import Box, Cylinder, OrientedBox, Region, Sphere

Rows = npt.NDArray[np.intp]
Floats = npt.NDArray[np.float64]
_Arrays = tuple[npt.NDArray[np.float32], npt.NDArray[np.int32], npt.NDArray[np.float32], npt.NDArray[np.int32]]

#: Kinds of processor instructions that this machine runs, slowest first; all give the same answers.
INSTRUCTIONS = ("plain", "avx2", "avx512")[: _kdtree.BEST_INSTRUCTIONS + 1]

#: Rows are kept in 32 bits.
MOST_IONS = 2**31 - 17

_LANES, _GROUP = 16, 256
_ROOM = 4096  # rows that a query has room for at first: a cube of 4 nm fits
_BLOCKS_AT_A_TIME = 1 << 14  # so that the keyboard can interrupt

# A region for the kernel: its kind, and its numbers as kdtree.h lists them.
_NUMBERS: dict[type[Any], tuple[int, Callable[[Any], tuple[float, ...]]]] = {
    Box: (_kdtree.BOX, lambda r: r.low + r.high),
    Sphere: (_kdtree.BALL, lambda r: (*r.centre, r.radius_nm * r.radius_nm)),
    Cylinder: (_kdtree.CYLINDER, lambda r: (*r.start, *r.axis, r.length_nm, r.radius_nm, r.radius_nm * r.radius_nm)),
    OrientedBox: (
        _kdtree.ORIENTED,
        lambda r: (*r.centre, *itertools.chain(*r.axes), *(size / 2 for size in r.size_nm)),
    ),
}


class PointTree:
    """A tree over the positions of ions.

    The positions are copied, so changing the array afterwards does no harm. Queries change nothing and
    release the interpreter lock: any number of threads may share one tree. It takes about 18 bytes per ion.

    Positions are compared in float64 with what is asked: boxes are half-open, spheres and cylinders closed, just as
    their `contains` says.

    Parameters
    ----------
    position : array_like, (n, 3)
        x, y, z in nm; kept as float32. May be empty. `PointTree.of` takes ions in the order of a point store.

    Raises
    ------
    ValueError
        If the shape is not (n, 3), a coordinate is not finite in float32, or there are 2³¹ − 16 ions or more.

    Examples
    --------
    >>> tree = PointTree([[0, 0, 0], [1, 1, 1], [2, 2, 2], [2, 0, 0]])
    >>> tree.query(Box((0, 0, 0), (2, 2, 2)))
    array([0, 1])
    >>> tree.count(Sphere((0, 0, 0), 2))
    3
    """

    def __init__(self, position: npt.ArrayLike) -> None:
        ions = _checked(position)
        _kdtree.arrange(ions)
        self._take(ions)

    @classmethod
    def of(cls, cloud: PointCloud) -> PointTree:
        """Build a tree over ions whose order already keeps neighbours together; nothing is moved.

        Parameters
        ----------
        cloud : PointCloud
            As `PointStore.read` and `PointStore.query` give it. Any other order is served as exactly, but slowly.
            For the nearest ions of all ions, `PointTree` is twice as fast: its blocks are rounder than cells' are.

        Returns
        -------
        PointTree
            Its rows are the cloud's.

        Raises
        ------
        ValueError
            As for `PointTree`.

        Examples
        --------
        >>> cloud = PointCloud(np.zeros((2, 3), "f4"), np.ones(2, "f4"), np.ones(2, "u1"), ("unranged", "Al"))
        >>> len(PointTree.of(cloud))
        2
        """
        tree = cls.__new__(cls)
        tree._take(_checked(cloud.position))
        return tree

    def _take(self, ions: npt.NDArray[np.float32]) -> None:
        """Fill the tree with ions in its order."""
        n_blocks, n_groups = max(-(-len(ions) // _LANES), 1), max(_kdtree.n_groups(len(ions)), 1)
        position = _lanes(n_blocks, 3).view(np.float32)
        row = _lanes(n_blocks, 1)[:, 0]
        bounds = _lanes(n_groups, 6).view(np.float32)
        bounds[:, :3], bounds[:, 3:] = np.inf, -np.inf
        first = _lanes(n_groups, 1)[:, 0]
        first[...] = np.iinfo(np.int32).max
        _kdtree.pack(ions, position, row, bounds, first)
        rows = row.ravel()[: len(ions)]
        self._hold((position, row, bounds, first), len(ions), bool((rows[1:] > rows[:-1]).all()))

    def _hold(self, arrays: _Arrays, n_ions: int, ascending: bool) -> None:
        for array in arrays:
            array.flags.writeable = False
        self._state, self._ascending = (arrays, n_ions, ascending), ascending
        self._tree = _kdtree.Tree(*arrays, n_ions, len(INSTRUCTIONS) - 1)

    def __getstate__(self) -> tuple[_Arrays, int, bool]:
        return self._state

    def __setstate__(self, state: tuple[_Arrays, int, bool]) -> None:
        self._hold(*state)

    def __len__(self) -> int:
        return self._state[1]

    def __repr__(self) -> str:
        return f"<PointTree of {len(self)} ions>"

    def query(self, region: Region) -> Rows:
        """Find the ions in a region.

        Parameters
        ----------
        region : Box, Sphere, Cylinder or OrientedBox
            In nm.

        Returns
        -------
        ndarray of intp, (m,)
            Rows of the given positions, ascending.

        Raises
        ------
        TypeError
            If `region` is none of these.

        Examples
        --------
        >>> PointTree([[3, 0, 0], [1, 0, 0], [2, 0, 0]]).query(Sphere((1.5, 0, 0), 0.5))
        array([1, 2])
        """
        kind, numbers = _numbers(region)
        found = np.empty(_ROOM, np.int32)
        n = self._tree.gather(kind, numbers, found)
        if n < 0:
            found = np.empty(self._tree.tally(kind, numbers) + _GROUP, np.int32)
            n = self._tree.gather(kind, numbers, found)
        rows = found[:n]
        if not self._ascending:
            rows.sort()
        return rows.astype(np.intp)

    def query_many(self, regions: Sequence[Region]) -> list[Rows]:
        """Find the ions in each of many regions, with less overhead than one by one.

        Parameters
        ----------
        regions : sequence of Box, Sphere, Cylinder or OrientedBox
            In nm; they may overlap.

        Returns
        -------
        list of ndarray of intp
            As `query` gives them. They are parts of common arrays: copy those that are kept for long.

        Raises
        ------
        TypeError
            If one is no region.

        Examples
        --------
        >>> tree = PointTree([[3, 0, 0], [1, 0, 0], [2, 0, 0]])
        >>> tree.query_many([Sphere((1, 0, 0), 1), Box((3, 0, 0), (4, 1, 1))])
        [array([1, 2]), array([0])]
        """
        found: list[Rows] = []
        for kind_of, run in itertools.groupby(regions, type):
            some = list(run)
            if kind_of not in _NUMBERS:
                raise _no_region(some[0])
            kind, write = _NUMBERS[kind_of]
            numbers = np.array([write(region) for region in some], np.float64)
            done, room = 0, _ROOM * len(numbers)
            while done < len(numbers):
                ends, rows = np.empty(len(numbers) - done, np.int64), np.empty(room, np.int32)
                n = self._tree.gather_many(kind, numbers[done:], ends, rows)
                found += self._parts(rows, ends[:n].tolist())
                done += n
                if done < len(numbers):
                    room = max(room, self._tree.tally(kind, numbers[done]) + _GROUP)
        return found

    def _parts(self, rows: npt.NDArray[np.int32], ends: list[int]) -> list[Rows]:
        """Cut rows where regions end."""
        if not ends:
            return []
        places = list(itertools.pairwise([0, *ends]))
        if not self._ascending:
            for start, stop in places:
                rows[start:stop].sort()
        wide = rows[: ends[-1]].astype(np.intp)
        return [wide[start:stop] for start, stop in places]

    def count(self, region: Region) -> int:
        """Count the ions in a region, without listing them.

        Parameters
        ----------
        region : Box, Sphere, Cylinder or OrientedBox
            In nm, as in `query`.

        Returns
        -------
        int

        Raises
        ------
        TypeError
            If `region` is none of these.

        Examples
        --------
        >>> PointTree([[0, 0, 0], [1, 0, 0]]).count(Box((0, 0, 0), (1, 1, 1)))
        1
        """
        return self._tree.tally(*_numbers(region))

    def nearest(self, points: npt.ArrayLike, k: int) -> tuple[Floats, Rows]:
        """Find the ions nearest to each of some points.

        Parameters
        ----------
        points : array_like, (m, 3)
            Positions in nm, compared in float64. A point that is an ion finds itself, at a distance of 0.
        k : int
            How many ions, at least 1.

        Returns
        -------
        distance : ndarray of float64, (m, k)
            In nm, ascending; infinite where the tree has fewer than k ions.
        rows : ndarray of intp, (m, k)
            Rows of these ions; ``len(tree)`` where there is none. Of ions at the same distance (equal squares in
            float64) those with the smallest rows are taken, in ascending order.

        Raises
        ------
        ValueError
            If the shape is not (m, 3), a point is not finite, or `k` is below 1.

        Examples
        --------
        >>> distance, rows = PointTree([[3, 0, 0], [1, 0, 0], [2, 0, 0]]).nearest([[2.25, 0, 0]], 2)
        >>> distance.tolist(), rows.tolist()
        ([[0.25, 0.75]], [[2, 0]])
        """
        at = np.array(points, np.float64, order="C")
        if at.ndim != 2 or at.shape[1] != 3 or not np.isfinite(at).all():
            raise ValueError(f"Nearest ions need finite points of shape (m, 3) in nm, found shape {at.shape}.")
        square, row = _ranks(len(at), k)
        if len(at):
            self._tree.nearest(at, square, row)
        return np.sqrt(square, out=square), row.astype(np.intp, copy=False)

    def nearest_to_ions(self, k: int) -> tuple[Floats, Rows]:
        """Find the ions nearest to every ion of the tree: `nearest` of its own positions, but faster.

        Parameters
        ----------
        k : int
            How many ions, at least 1. An ion is its own nearest neighbour: for 10 others, ask for 11.

        Returns
        -------
        distance : ndarray of float64, (n, k)
            As `nearest` gives them, in the order of the given positions.
        rows : ndarray of intp, (n, k)
            As `nearest` gives them.

        Raises
        ------
        ValueError
            If `k` is below 1.

        Examples
        --------
        >>> PointTree([[3, 0, 0], [1, 0, 0], [2.5, 0, 0]]).nearest_to_ions(2)[1]
        array([[0, 2],
               [1, 2],
               [2, 0]])
        """
        square, row = _ranks(len(self), k)
        n_blocks = -(-len(self) // _LANES)
        for start in range(0, n_blocks, _BLOCKS_AT_A_TIME):
            self._tree.nearest_of_blocks(start, min(start + _BLOCKS_AT_A_TIME, n_blocks), square, row)
        return np.sqrt(square, out=square), row.astype(np.intp, copy=False)

    def pair_counts(self, radii_nm: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Count the pairs of ions within each of some distances.

        Parameters
        ----------
        radii_nm : array_like, (m,)
            Distances in nm, not negative, in any order; pairs exactly as far apart count.

        Returns
        -------
        ndarray of int64, (m,)
            Unordered pairs of different ions: each pair counts once, and no ion is a pair with itself.

        Raises
        ------
        ValueError
            If a radius is negative or not a number, or there is more than one axis.

        Examples
        --------
        >>> PointTree([[0, 0, 0], [1, 0, 0], [3, 0, 0]]).pair_counts([1, 2, 10])
        array([1, 2, 3])
        """
        radii = np.array(radii_nm, np.float64)
        if radii.ndim != 1 or not (radii >= 0).all():
            raise ValueError(f"Pairs need a list of distances of at least 0 nm, found {radii.tolist()}.")
        # No two ions are farther apart than squares can tell.
        squares, place = np.unique(np.minimum(radii, 1e100) ** 2, return_inverse=True)
        counts = np.zeros(len(squares), np.int64)
        if len(squares):
            self._tree.pairs(squares, counts)
        return counts[place]


def _checked(position: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Copy positions into the only form that the kernel takes, with their rows, or say why they cannot be taken."""
    with np.errstate(over="ignore"):  # what overflows float32 is reported below, with its row
        points = np.asarray(position, dtype=np.float32)
    if points.shape == (0,):
        points = points.reshape(0, 3)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"A tree needs positions of shape (n, 3) in nm, found shape {points.shape}.")
    if len(points) > MOST_IONS:
        raise ValueError(f"A tree holds at most {MOST_IONS} ions, found {len(points)}. Build it over a part of them.")
    ions = np.empty((len(points), 4), np.float32)
    ions[:, :3] = points
    finite = np.isfinite(ions[:, :3]).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise ValueError(
            f"A tree needs finite positions, found {len(ions) - int(finite.sum())} of {len(ions)} "
            f"that are not, the first in row {row}: {ions[row, :3].tolist()}. Remove these ions first."
        )
    ions.view(np.int32)[:, 3] = np.arange(len(ions), dtype=np.int32)
    return ions


def _lanes(n: int, rows: int) -> npt.NDArray[np.int32]:
    """Make zeros, (n, rows, 16), that begin where a cache line does: else every access would take two of them."""
    memory = np.zeros(n * rows * _LANES + _LANES, np.int32)
    start = -memory.ctypes.data % 64 // 4
    return memory[start : start + n * rows * _LANES].reshape(n, rows, _LANES)


def _numbers(region: Region) -> tuple[int, Floats]:
    """Write a region for the kernel."""
    try:
        kind, write = _NUMBERS[type(region)]
    except KeyError:
        raise _no_region(region) from None
    return kind, np.array(write(region))


def _no_region(found: object) -> TypeError:
    return TypeError(f"A region is a Box, a Sphere, a Cylinder or an OrientedBox, found {type(found).__name__}.")


def _ranks(n: int, k: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Make room for the k nearest ions of n points."""
    if k < 1:
        raise ValueError(f"At least 1 nearest ion can be asked for, found k = {k}.")
    return np.empty((n, k), np.float64), np.empty((n, k), np.int64)
