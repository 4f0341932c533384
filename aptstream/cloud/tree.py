"""Ions in a free region: a KD-tree for boxes and spheres at any place.

For cubes on a regular grid the scan uses cells, which are faster;
the tree serves regions that follow no grid.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aptstream import _kdtree
from aptstream.regions import Box, Sphere

Rows = npt.NDArray[np.intp]

NO_LOWER_LIMIT = (-np.inf, -np.inf, -np.inf)
NO_UPPER_LIMIT = (np.inf, np.inf, np.inf)


class PointTree:
    """A KD-tree over the positions of ions.

    The positions are copied, so changing the array afterwards does no harm. Queries change nothing and
    release the interpreter lock: any number of threads may share one tree. It takes about 24 bytes per ion.

    Parameters
    ----------
    position : array_like, (n, 3)
        x, y, z in nm; kept as float32. May be empty.
    leaf_size : int
        Most ions in a leaf, at least 1.

    Raises
    ------
    ValueError
        If the shape is not (n, 3), a coordinate is not finite in float32, or `leaf_size` is below 1.

    Examples
    --------
    >>> tree = PointTree([[0, 0, 0], [1, 1, 1], [2, 2, 2], [2, 0, 0]])
    >>> tree.query(Box((0, 0, 0), (2, 2, 2)))
    array([0, 1])
    >>> tree.count(Sphere((0, 0, 0), 2))
    3
    """

    def __init__(self, position: npt.ArrayLike, leaf_size: int = 32) -> None:
        points = _checked(position)
        if leaf_size < 1:
            raise ValueError(f"A leaf must have room for at least 1 ion, found leaf_size {leaf_size}.")
        n_nodes = _kdtree.n_nodes(len(points), leaf_size)
        self._position = points
        self._order = np.arange(len(points), dtype=np.int64)
        self._bounds = np.empty((n_nodes, 6), dtype=np.float32)
        self._rows = np.empty((n_nodes, 3), dtype=np.int64)
        _kdtree.build(self._position, self._order, self._bounds, self._rows, leaf_size)
        for array in (self._position, self._order, self._bounds, self._rows):
            array.flags.writeable = False

    def __len__(self) -> int:
        return len(self._position)

    def __repr__(self) -> str:
        return f"<PointTree of {len(self)} ions>"

    def query(self, region: Box | Sphere) -> Rows:
        """Find the ions in a region.

        Parameters
        ----------
        region : Box or Sphere
            In nm. Boxes are half-open, spheres closed; positions are compared in float64.

        Returns
        -------
        ndarray of intp, (m,)
            Rows of the given positions, ascending.

        Raises
        ------
        TypeError
            If `region` is neither a box nor a sphere.

        Examples
        --------
        >>> PointTree([[3, 0, 0], [1, 0, 0], [2, 0, 0]]).query(Sphere((1.5, 0, 0), 0.5))
        array([1, 2])
        """
        limits = _limits(region)
        found = np.empty(_kdtree.reach(self._bounds, self._rows, limits), dtype=np.int64)
        n = _kdtree.gather(self._position, self._order, self._bounds, self._rows, limits, found)
        rows: Rows = np.sort(found[:n]).astype(np.intp, copy=False)
        return rows

    def count(self, region: Box | Sphere) -> int:
        """Count the ions in a region, without listing them.

        Parameters
        ----------
        region : Box or Sphere
            In nm, as in `query`.

        Returns
        -------
        int

        Raises
        ------
        TypeError
            If `region` is neither a box nor a sphere.

        Examples
        --------
        >>> PointTree([[0, 0, 0], [1, 0, 0]]).count(Box((0, 0, 0), (1, 1, 1)))
        1
        """
        return _kdtree.tally(self._position, self._bounds, self._rows, _limits(region))


def _checked(position: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Copy positions into the only form that the kernel takes, or say why they cannot be taken."""
    with np.errstate(over="ignore"):  # what overflows float32 is reported below, with its row
        points: npt.NDArray[np.float32] = np.array(position, dtype=np.float32, order="C")
    if points.shape == (0,):
        points = points.reshape(0, 3)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"A tree needs positions of shape (n, 3) in nm, found shape {points.shape}.")
    finite = np.isfinite(points).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise ValueError(
            f"A tree needs finite positions, found {len(points) - int(finite.sum())} of {len(points)} "
            f"that are not, the first in row {row}: {points[row].tolist()}. Remove these ions first."
        )
    return points


def _limits(region: Box | Sphere) -> npt.NDArray[np.float64]:
    """Write a region for the kernel: a half-open box, then a closed ball as centre and squared radius."""
    match region:
        case Box():
            return np.array((*region.low, *region.high, 0.0, 0.0, 0.0, np.inf))
        case Sphere():
            square = region.radius_nm * region.radius_nm
            return np.array((*NO_LOWER_LIMIT, *NO_UPPER_LIMIT, *region.centre, square))
    raise TypeError(f"A region is a Box or a Sphere, found {type(region).__name__}.")
