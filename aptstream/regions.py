"""Regions of interest: `Box` and `Sphere`.

Every region has `bounds`, a box round it, and `contains`, which tells the positions inside; lengths in nm. Boxes are
half-open, ``low <= position < high``; what is round is closed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Triple = tuple[float, float, float]


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
        corners = np.array([self.low, self.high], dtype=np.float64)
        if corners.shape != (2, 3) or not np.isfinite(corners).all() or (corners[1] < corners[0]).any():
            raise ValueError(
                f"A box needs two finite corners of three numbers with low <= high in nm, "
                f"found low {self.low} and high {self.high}."
            )
        object.__setattr__(self, "low", tuple(map(float, corners[0])))
        object.__setattr__(self, "high", tuple(map(float, corners[1])))

    @property
    def size_nm(self) -> Triple:
        """Edge lengths in nm."""
        x, y, z = (high - low for low, high in zip(self.low, self.high, strict=True))
        return x, y, z

    @property
    def volume_nm3(self) -> float:
        """Volume in nm³."""
        return float(np.prod(self.size_nm))

    def contains(self, position: npt.ArrayLike) -> npt.NDArray[np.bool_]:
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
        return np.asarray(((points >= self.low) & (points < self.high)).all(axis=-1))


@dataclass(frozen=True)
class Sphere:
    """A closed ball, ``|position - centre| <= radius``.

    Parameters
    ----------
    centre : tuple of float
        Centre in nm.
    radius_nm : float
        Radius in nm, not negative.

    Examples
    --------
    >>> Sphere((0, 0, 0), 2).bounds
    Box(low=(-2.0, -2.0, -2.0), high=(2.0, 2.0, 2.0))
    """

    centre: Triple
    radius_nm: float

    def __post_init__(self) -> None:
        if not np.isfinite([*self.centre, self.radius_nm]).all() or self.radius_nm < 0:
            raise ValueError(
                f"A sphere needs a finite centre and a radius of at least 0 nm, "
                f"found centre {self.centre} and radius {self.radius_nm}."
            )

    @property
    def bounds(self) -> Box:
        """The smallest box around it (whose high faces are open)."""
        low = tuple(c - self.radius_nm for c in self.centre)
        high = tuple(c + self.radius_nm for c in self.centre)
        return Box(low, high)  # type: ignore[arg-type]

    def contains(self, position: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Tell which positions lie inside.

        Parameters
        ----------
        position : array_like, (n, 3)
            Positions in nm.

        Returns
        -------
        ndarray of bool, (n,)
        """
        offset = np.asarray(position, np.float64) - self.centre
        return np.asarray((offset**2).sum(axis=-1) <= self.radius_nm**2)
