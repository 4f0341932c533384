"""How a reconstruction tilts, bows and stretches the planes of the crystal, and the way back.

The same map moves ions and particles, so that the truth stands where the ions are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from aptstream.simulate.settings import Settings

Floats = npt.NDArray[np.float64]


class Movement(Protocol):
    """Leads from where atoms stood to where a reconstruction puts them."""

    def apply(self, position: Floats) -> Floats:
        """Move positions (n, 3) in nm."""

    def slopes(self, position: Floats) -> Floats:
        """Linear map near positions (n, 3) for row vectors, (n, 3, 3)."""


@dataclass(frozen=True)
class Distortion:
    """z → stretch · z + tilt · (x, y) + ½ bow · (x² + y²), x and y counted from an axis and unchanged.

    Parameters
    ----------
    axis_nm : tuple of float
        x and y of the axis in nm.
    tilt : tuple of float
        Slope of the planes along x and y.
    bow : float
        Their curvature on the axis in 1/nm.
    stretch : float
        Factor on depths.
    """

    axis_nm: tuple[float, float] = (0.0, 0.0)
    tilt: tuple[float, float] = (0.0, 0.0)
    bow: float = 0.0
    stretch: float = 1.0

    def lift_nm(self, x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
        """How far the planes are lifted at x, y, in nm; in the shape that x and y broadcast to."""
        u, v = x - x.dtype.type(self.axis_nm[0]), y - y.dtype.type(self.axis_nm[1])
        lift: npt.NDArray[np.floating] = self.tilt[0] * u + self.tilt[1] * v + 0.5 * self.bow * (u * u + v * v)
        return lift

    def lift_range_nm(self, low: tuple[float, float], high: tuple[float, float]) -> tuple[float, float]:
        """Bounds of the lift over a rectangle in x and y, in nm."""
        bounds = np.zeros(2)
        for axis in (0, 1):
            ends = np.array([low[axis], high[axis]]) - self.axis_nm[axis]
            turn = np.array([-self.tilt[axis] / self.bow]) if self.bow else np.zeros(0)
            u = np.concatenate([ends, turn[(turn > ends[0]) & (turn < ends[1])]])
            lift = self.tilt[axis] * u + 0.5 * self.bow * u * u
            bounds += lift.min(), lift.max()
        return float(bounds[0]), float(bounds[1])

    def apply(self, position: Floats) -> Floats:
        """Move positions (n, 3) in nm from the crystal into the reconstruction."""
        moved = position.copy()
        moved[:, 2] = self.stretch * position[:, 2] + self.lift_nm(position[:, 0], position[:, 1])
        return moved

    def undo(self, position: Floats) -> Floats:
        """Move positions (n, 3) in nm from the reconstruction back into the crystal.

        Examples
        --------
        >>> bent = Distortion((5, 5), (0.01, -0.02), 0.001, 1.01)
        >>> np.allclose(bent.undo(bent.apply(np.array([[1.0, 2, 3]]))), [[1, 2, 3]])
        True
        """
        moved = position.copy()
        moved[:, 2] = (position[:, 2] - self.lift_nm(position[:, 0], position[:, 1])) / self.stretch
        return moved

    def slopes(self, position: Floats) -> Floats:
        """Linear map near positions (n, 3) for row vectors: shear and stretch, (n, 3, 3)."""
        linear = np.zeros((len(position), 3, 3))
        linear[:, 0, 0] = linear[:, 1, 1] = 1
        linear[:, 2, 2] = self.stretch
        for axis in (0, 1):
            linear[:, axis, 2] = self.tilt[axis] + self.bow * (position[:, axis] - self.axis_nm[axis])
        return linear


def draw_distortion(rng: np.random.Generator, settings: Settings) -> Distortion:
    """Draw a distortion about the middle of a specimen.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    settings : Settings
        Size, and the largest tilt, bow and stretch.

    Returns
    -------
    Distortion
    """
    x, y = settings.size_nm[0] / 2, settings.size_nm[1] / 2
    tilt = np.tan(np.deg2rad(rng.uniform(-settings.tilt_deg, settings.tilt_deg, 2)))
    bow = float(np.tan(np.deg2rad(rng.uniform(-settings.bow_deg, settings.bow_deg))) / x)
    stretch = float(1 + rng.uniform(-settings.stretch, settings.stretch))
    return Distortion((x, y), (float(tilt[0]), float(tilt[1])), bow, stretch)
