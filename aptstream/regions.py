"""Regions of interest: `Box`, `Sphere`, `Cylinder`, `OrientedBox`.

Every region has `bounds`, a box round it, `contains`, which tells the positions inside, compared in float64, and
`touches`, which tells the boxes that may hold some; lengths in nm. Boxes are half-open, ``low <= position < high``,
along their own axes; what is round is closed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Triple = tuple[float, float, float]
Axes = tuple[Triple, Triple, Triple]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: Squares of what is farther away overflow; no specimen is.
FARTHEST_NM = 1e100

_EPSILON = 1e-12  # of a length: more than rounding makes of it
_ORTHONORMAL = 1e-6  # of an axis: what float32 leaves of a rotation


@dataclass(frozen=True)
class Box:
    """A half-open box, ``low <= position < high``.

    Parameters
    ----------
    low, high : tuple of float
        Corners in nm.

    Raises
    ------
    ValueError
        If a corner is not finite or ``high < low`` on an axis.

    Examples
    --------
    >>> Box((0, 0, 0), (4, 4, 4)).volume_nm3
    64.0
    """

    low: Triple
    high: Triple

    def __post_init__(self) -> None:
        low, high = _triple(self.low), _triple(self.high)
        if low is None or high is None or high[0] < low[0] or high[1] < low[1] or high[2] < low[2]:
            raise ValueError(
                f"A box needs two finite corners of three numbers with low <= high in nm, "
                f"found low {self.low} and high {self.high}."
            )
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    @property
    def bounds(self) -> Box:
        """The box itself."""
        return self

    @property
    def size_nm(self) -> Triple:
        """Edge lengths in nm."""
        x, y, z = (high - low for low, high in zip(self.low, self.high, strict=True))
        return x, y, z

    @property
    def volume_nm3(self) -> float:
        """Volume in nm³."""
        return float(np.prod(self.size_nm))

    def contains(self, position: npt.ArrayLike) -> Bools:
        """Tell which positions lie inside.

        Parameters
        ----------
        position : array_like, (n, 3)
            Positions in nm.

        Returns
        -------
        ndarray of bool, (n,)
        """
        points = np.asarray(position)
        inside = np.ones(points.shape[:-1], bool)
        for axis in range(3):
            place = points[..., axis].astype(np.float64)
            inside &= (place >= self.low[axis]) & (place < self.high[axis])
        return inside

    def touches(self, low: npt.ArrayLike, high: npt.ArrayLike) -> Bools:
        """Tell which closed boxes may hold a position inside.

        Parameters
        ----------
        low, high : array_like, (n, 3)
            Corners in nm.

        Returns
        -------
        ndarray of bool, (n,)
            Never False for a box that holds one.
        """
        return np.asarray(((np.asarray(high) >= self.low) & (np.asarray(low) < self.high)).all(axis=-1))


@dataclass(frozen=True)
class Sphere:
    """A closed ball, ``|position - centre| <= radius``.

    Parameters
    ----------
    centre : tuple of float
        Centre in nm.
    radius_nm : float
        Radius in nm, not negative.

    Raises
    ------
    ValueError
        If a number is not finite or beyond 1e100 nm, or the radius is negative.

    Examples
    --------
    >>> Sphere((0, 0, 0), 2).bounds
    Box(low=(-2.0, -2.0, -2.0), high=(2.0, 2.0, 2.0))
    """

    centre: Triple
    radius_nm: float

    def __post_init__(self) -> None:
        centre = _triple(self.centre)
        radius = float(self.radius_nm)
        if centre is None or not _near(*centre, radius) or radius < 0:
            raise ValueError(
                f"A sphere needs a centre within 1e100 nm and a radius of at least 0 nm, "
                f"found centre {self.centre} and radius {self.radius_nm}."
            )
        object.__setattr__(self, "centre", centre)
        object.__setattr__(self, "radius_nm", radius)

    @property
    def bounds(self) -> Box:
        """The smallest box around it (whose high faces are open)."""
        low = tuple(c - self.radius_nm for c in self.centre)
        high = tuple(c + self.radius_nm for c in self.centre)
        return Box(low, high)  # type: ignore[arg-type]

    def contains(self, position: npt.ArrayLike) -> Bools:
        """Tell which positions lie inside.

        Parameters
        ----------
        position : array_like, (n, 3)
            Positions in nm.

        Returns
        -------
        ndarray of bool, (n,)
        """
        return np.asarray(_squares(_offsets(position, self.centre)) <= self.radius_nm * self.radius_nm)

    def touches(self, low: npt.ArrayLike, high: npt.ArrayLike) -> Bools:
        """Tell which closed boxes may hold a position inside; see `Box.touches`."""
        near = _outside(np.array(self.centre), np.asarray(low, np.float64), np.asarray(high, np.float64))
        return np.asarray(_squares(near) <= self.radius_nm * self.radius_nm)


@dataclass(frozen=True)
class Cylinder:
    """A closed cylinder, from one end of its axis to the other.

    Parameters
    ----------
    start, end : tuple of float
        The ends of the axis in nm, which must differ.
    radius_nm : float
        Radius in nm, not negative.

    Raises
    ------
    ValueError
        If a number is not finite or beyond 1e100 nm, the ends coincide, or the radius is negative.

    Examples
    --------
    >>> rod = Cylinder((0, 0, 0), (0, 0, 4), 1)
    >>> rod.contains([[1, 0, 4], [1, 1, 2]])
    array([ True, False])
    """

    start: Triple
    end: Triple
    radius_nm: float

    def __post_init__(self) -> None:
        start, end = _triple(self.start), _triple(self.end)
        radius = float(self.radius_nm)
        if start is None or end is None or not _near(*start, *end, radius) or radius < 0 or not math.dist(start, end):
            raise ValueError(
                f"A cylinder needs an axis between two different points within 1e100 nm and a radius of at least "
                f"0 nm, found start {self.start}, end {self.end} and radius {self.radius_nm}."
            )
        object.__setattr__(self, "start", start)
        object.__setattr__(self, "end", end)
        object.__setattr__(self, "radius_nm", radius)

    @property
    def length_nm(self) -> float:
        """Length of the axis in nm."""
        return math.dist(self.start, self.end)

    @property
    def axis(self) -> Triple:
        """Unit vector from `start` to `end`."""
        length = self.length_nm
        x, y, z = ((b - a) / length for a, b in zip(self.start, self.end, strict=True))
        return x, y, z

    @property
    def bounds(self) -> Box:
        """The smallest box around it (whose high faces are open)."""
        reach = [self.radius_nm * math.sqrt(max(0.0, 1 - a * a)) for a in self.axis]
        ends = list(zip(self.start, self.end, reach, strict=True))
        low = tuple(min(a, b) - r for a, b, r in ends)
        high = tuple(max(a, b) + r for a, b, r in ends)
        return Box(low, high)  # type: ignore[arg-type]

    def contains(self, position: npt.ArrayLike) -> Bools:
        """Tell which positions lie inside.

        Parameters
        ----------
        position : array_like, (n, 3)
            Positions in nm.

        Returns
        -------
        ndarray of bool, (n,)
        """
        axis = self.axis
        offset = _offsets(position, self.start)
        along = _along(offset, axis)
        across = _squares(offset - np.moveaxis(np.multiply.outer(np.array(axis), along), 0, -1))
        return np.asarray((along >= 0) & (along <= self.length_nm) & (across <= self.radius_nm * self.radius_nm))

    def touches(self, low: npt.ArrayLike, high: npt.ArrayLike) -> Bools:
        """Tell which closed boxes may hold a position inside, and a few that pass a rim closely; see `Box.touches`."""
        low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
        axis, start, length = np.array(self.axis), np.array(self.start), self.length_nm
        middle, half = _along((low + high) / 2 - start, self.axis), _along((high - low) / 2, np.abs(axis))
        margin = _EPSILON * (np.abs(low) + np.abs(high)).sum(axis=-1) + _EPSILON * (np.abs(start).sum() + length)
        ends = (middle - half <= length + margin) & (middle + half >= -margin)
        # How far a box is from a point of the axis is a convex function of the point: halve towards its foot.
        first, last = np.zeros(len(low)), np.full(len(low), length)
        for _ in range(60):
            at = (first + last) / 2
            falling = _along(_outside(start + at[:, None] * axis, low, high), self.axis) < 0
            first, last = np.where(falling, at, first), np.where(falling, last, at)
        distance = np.sqrt(_squares(_outside(start + ((first + last) / 2)[:, None] * axis, low, high)))
        return np.asarray(ends & (distance <= self.radius_nm + margin))


@dataclass(frozen=True)
class OrientedBox:
    """A box along axes of its own, half-open along each of them.

    Parameters
    ----------
    centre : tuple of float
        Centre in nm.
    axes : array_like, (3, 3)
        Its axes as rows: three unit vectors at right angles, right- or left-handed.
    size_nm : tuple of float
        Edge lengths in nm along these axes, not negative.

    Raises
    ------
    ValueError
        If a number is not finite or beyond 1e100 nm, an edge is negative, or the axes are not orthonormal to 1e-6.

    Examples
    --------
    >>> from math import sqrt
    >>> half = sqrt(0.5)
    >>> tilted = OrientedBox((0, 0, 0), ((half, half, 0), (-half, half, 0), (0, 0, 1)), (2, 1, 1))
    >>> tilted.contains([[0.6, 0.6, 0], [0.6, -0.6, 0]])
    array([ True, False])
    """

    centre: Triple
    axes: Axes
    size_nm: Triple

    def __post_init__(self) -> None:
        centre, size = _triple(self.centre), _triple(self.size_nm)
        if centre is None or size is None or not _near(*centre, *size) or min(size) < 0:
            raise ValueError(
                f"An oriented box needs a centre within 1e100 nm and three edges of at least 0 nm, "
                f"found centre {self.centre} and edges {self.size_nm}."
            )
        axes = np.array(self.axes, np.float64)
        if axes.shape != (3, 3) or not (np.abs(axes @ axes.T - np.eye(3)) <= _ORTHONORMAL).all():
            raise ValueError(
                f"The axes of an oriented box are three unit vectors at right angles, as the rows of a (3, 3) array; "
                f"found {axes.tolist()}. Divide each by its length, or take the columns of a rotation matrix."
            )
        object.__setattr__(self, "centre", centre)
        object.__setattr__(self, "axes", tuple(map(tuple, axes.tolist())))
        object.__setattr__(self, "size_nm", size)

    @property
    def bounds(self) -> Box:
        """The smallest box around it (whose high faces are open)."""
        reach = np.abs(np.linalg.inv(self.axes)) @ np.array(self.size_nm) / 2
        return Box(tuple(self.centre - reach), tuple(self.centre + reach))

    def contains(self, position: npt.ArrayLike) -> Bools:
        """Tell which positions lie inside.

        Parameters
        ----------
        position : array_like, (n, 3)
            Positions in nm.

        Returns
        -------
        ndarray of bool, (n,)
        """
        offset = _offsets(position, self.centre)
        inside = np.ones(offset.shape[:-1], bool)
        for axis, size in zip(self.axes, self.size_nm, strict=True):
            along = _along(offset, axis)
            inside &= (along >= -size / 2) & (along < size / 2)
        return inside

    def touches(self, low: npt.ArrayLike, high: npt.ArrayLike) -> Bools:
        """Tell which closed boxes may hold a position inside; see `Box.touches`."""
        low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
        middle, half = (low + high) / 2 - self.centre, (high - low) / 2
        own, edges = np.array(self.axes), np.linalg.inv(self.axes).T * np.array(self.size_nm)[:, None] / 2
        scale = (np.abs(low) + np.abs(high)).sum(axis=-1) + np.abs(self.centre).sum() + np.abs(edges).sum()
        found = np.ones(len(low), bool)
        # Two boxes are apart if and only if they are along a face normal of one, or a common normal of two edges.
        for normal in (*np.eye(3), *own, *np.cross(np.eye(3)[:, None], own[None]).reshape(9, 3)):
            reach = _along(half, np.abs(normal)) + np.abs(edges @ normal).sum()
            found &= np.abs(_along(middle, normal)) <= reach + _EPSILON * scale
        return found


#: Whatever can be asked of a tree or a point store.
Region = Box | Sphere | Cylinder | OrientedBox


def _triple(values: Sequence[float]) -> Triple | None:
    """Three finite numbers, or nothing."""
    if len(values) != 3:
        return None
    x, y, z = values
    x, y, z = float(x), float(y), float(z)
    return (x, y, z) if math.isfinite(x) and math.isfinite(y) and math.isfinite(z) else None


def _near(*values: float) -> bool:
    return all(abs(value) <= FARTHEST_NM for value in values)


# Written out, axis by axis: NumPy's own products may sum in another order, and the tree's kernel must agree to the bit.


def _offsets(position: npt.ArrayLike, origin: Triple) -> Floats:
    # One axis after the other in memory, as they are worked on.
    found: Floats = np.asarray(position).astype(np.float64, order="F") - np.array(origin)
    return found


def _along(offset: Floats, axis: Triple | Floats) -> Floats:
    found: Floats = offset[..., 0] * axis[0] + offset[..., 1] * axis[1] + offset[..., 2] * axis[2]
    return found


def _squares(offset: Floats) -> Floats:
    square = offset * offset
    found: Floats = square[..., 0] + square[..., 1] + square[..., 2]
    return found


def _outside(point: Floats, low: Floats, high: Floats) -> Floats:
    """Vector from the nearest position of a box to a point."""
    found: Floats = point - np.minimum(np.maximum(point, low), high)
    return found
