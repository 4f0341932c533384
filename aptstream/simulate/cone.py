"""The shape of a specimen in the microscope: a truncated cone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptstream.errors import PlanError

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

#: Corners of the polygon that stands for a circle where a hull is needed.
CORNERS = 48


@dataclass(frozen=True)
class Cone:
    """A truncated cone along z, from z = 0 with the smaller end to z = height.

    Parameters
    ----------
    tip_radius_nm : float
        Radius at z = 0 in nm.
    shank_deg : float
        Half angle of the cone: 0 is a cylinder.
    height_nm : float
        In nm.

    Raises
    ------
    PlanError
        If a number is out of bounds.

    Examples
    --------
    >>> Cone(3, 0, 10).volume_nm3.__round__(1)
    282.7
    """

    tip_radius_nm: float = 17.0
    shank_deg: float = 5.0
    height_nm: float = 80.0

    def __post_init__(self) -> None:
        for name, low, high in (("tip_radius_nm", 1, 500), ("shank_deg", 0, 30), ("height_nm", 1, 2000)):
            if not low <= getattr(self, name) <= high:
                raise PlanError(f"{name} of a needle lies between {low} and {high}; found {getattr(self, name)}.")

    @property
    def widening(self) -> float:
        """By how much the radius grows on one nm along z."""
        return float(np.tan(np.deg2rad(self.shank_deg)))

    @property
    def foot_radius_nm(self) -> float:
        """Radius at the far end in nm."""
        return self.tip_radius_nm + self.widening * self.height_nm

    @property
    def volume_nm3(self) -> float:
        """Volume in nm³."""
        a, b = self.tip_radius_nm, self.foot_radius_nm
        return float(np.pi / 3 * self.height_nm * (a * a + a * b + b * b))

    def contains(self, position: npt.NDArray[np.floating], margin_nm: float = 0.0) -> npt.NDArray[np.bool_]:
        """Tell whether positions (n, 3) lie inside, or no more than about a margin outside."""
        x, y, z = position[:, 0], position[:, 1], position[:, 2]
        radius = self.tip_radius_nm + margin_nm * (1 + self.widening) + self.widening * z
        inside = (z >= -margin_nm) & (z <= self.height_nm + margin_nm)
        inside &= x * x + y * y <= radius * radius
        return inside

    def scatter(self, rng: np.random.Generator, n: int) -> Singles:
        """Draw positions evenly from the inside, (n, 3)."""
        a, b = self.tip_radius_nm, self.foot_radius_nm
        share, turn = rng.random(n), rng.random(n) * 2 * np.pi
        z = share * self.height_nm
        if self.widening:  # the volume up to a height grows as the cube of the radius there
            z = (np.cbrt(a**3 + share * (b**3 - a**3)) - a) / self.widening
        radius = np.sqrt(rng.random(n)) * (a + self.widening * z)
        position = np.empty((n, 3), dtype=np.float32)
        position[:, 0], position[:, 1], position[:, 2] = radius * np.cos(turn), radius * np.sin(turn), z
        return position

    def between(self, normal: Floats, low: float, high: float) -> Floats:
        """Corners of a polyhedron round the part of the cone with low ≤ normal · position ≤ high, (n, 3)."""
        turn = np.arange(CORNERS) * 2 * np.pi / CORNERS
        circle = np.stack([np.cos(turn), np.sin(turn)], axis=1) / np.cos(np.pi / CORNERS)
        ends = ((self.tip_radius_nm, 0.0), (self.foot_radius_nm, self.height_nm))
        rims = [np.column_stack([circle * radius, np.full(CORNERS, z)]) for radius, z in ends]
        start = np.concatenate([*rims, rims[0]])
        stop = np.concatenate([*(np.roll(rim, -1, axis=0) for rim in rims), rims[1]])
        from_level, to_level = start @ normal, stop @ normal
        corners = [start[(from_level >= low) & (from_level <= high)]]
        for level in (low, high):
            across = (from_level < level) != (to_level < level)
            share = (level - from_level[across]) / (to_level[across] - from_level[across])
            corners.append(start[across] + share[:, None] * (stop[across] - start[across]))
        return np.concatenate(corners)
