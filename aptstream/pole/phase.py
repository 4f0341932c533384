"""What planes are still off when their dome is flat, on a grid that follows the axis of the pole."""

from __future__ import annotations

import base64
import binascii
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream.errors import PlanError
from aptstream.pole.members import count, items, members, numbers

Floats = npt.NDArray[np.float64]

#: Steps of the grid along x, y and z in nm, and of what it holds: far below what can be measured.
STEP_NM, UNIT_NM = (1.0, 1.0, 2.0), 1e-4
#: Points of a grid at most: 1 MiB. A pole that is seen over 500 nm has half of them.
MOST_POINTS = 1 << 19
#: How much of the height the displacement may take back, at most: it stays one to one.
STEEPEST = 0.5

_STEPS, _CLOSE_NM = 64, 1e-13


@dataclass(frozen=True)
class PhaseField:
    """Displacement along z of planes that are flat but for it: between the points of a grid linear, beyond it constant.

    The grid leans with the axis of the pole: its point (i, j, k) lies at low + (i, j, 2 k) nm, moved by slope times z.

    Parameters
    ----------
    low_nm : tuple of float
        The first point, at z = 0 if it leans.
    shape : tuple of int
        Points along x, y and z.
    slope : tuple of float
        How far it moves along x and y on one nm along z.
    steps : bytes
        What is added to z at each point, in 1e-4 nm, as little-endian int16; z fastest.

    Raises
    ------
    PlanError
        If the size is another, numbers are not finite, or the field is so steep that the order of ions would change.

    Examples
    --------
    >>> flat = PhaseField.of(np.full((2, 2, 2), 0.05), (-1, -1, 0), (0.5, 0))
    >>> flat.at(np.array([0.3]), np.array([9.0]), np.array([1.0]))
    array([0.05])
    """

    low_nm: tuple[float, float, float]
    shape: tuple[int, int, int]
    slope: tuple[float, float]
    steps: bytes

    def __post_init__(self) -> None:
        n_points = math.prod(self.shape)
        if min(self.shape) < 1 or not n_points <= MOST_POINTS or len(self.steps) != 2 * n_points:
            raise PlanError(
                f"A phase field has 1 to {MOST_POINTS} points of 2 bytes; found {self.shape} points and "
                f"{len(self.steps)} bytes."
            )
        if not all(map(math.isfinite, (*self.low_nm, *self.slope))) or not self.steepest <= STEEPEST:
            raise PlanError(
                f"A phase field lies somewhere and changes by at most {STEEPEST} nm a nm along z; found {self.low_nm}, "
                f"{self.slope} and {self.steepest:.3g}."
            )

    @classmethod
    def of(
        cls, displacement_nm: npt.NDArray[np.floating], low_nm: tuple[float, float, float], slope: tuple[float, float]
    ) -> PhaseField:
        """Make it of displacements (nx, ny, nz) in nm, at most 3.2767."""
        x, y, z = displacement_nm.shape
        return cls(low_nm, (x, y, z), slope, (displacement_nm / UNIT_NM).round().astype("<i2").tobytes())

    @property
    def steepest(self) -> float:
        """Bound on its change along z at fixed x and y."""
        along = [
            float(np.abs(np.diff(self.displacement_nm, axis=axis)).max(initial=0)) / step
            for axis, step in enumerate(STEP_NM)
        ]
        return abs(self.slope[0]) * along[0] + abs(self.slope[1]) * along[1] + along[2]

    @cached_property
    def displacement_nm(self) -> Floats:
        """What is added to z at each point, (nx, ny, nz), in nm."""
        return np.frombuffer(self.steps, "<i2").reshape(self.shape) * UNIT_NM

    def at(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """Displacement of planes that stand at x, y, z.

        Parameters
        ----------
        x, y, z : ndarray of float64, (n,)
            In the frame of the planes, in nm.

        Returns
        -------
        ndarray of float64, (n,)
            In nm.
        """
        from scipy.ndimage import map_coordinates

        place = self.place(x, y, z)
        return np.asarray(map_coordinates(self.displacement_nm, place, order=1, mode="nearest"))

    def place(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """Where positions lie on the grid, (3, n), in points."""
        low, step = self.low_nm, STEP_NM
        return np.stack(
            [
                (x - self.slope[0] * z - low[0]) / step[0],
                (y - self.slope[1] * z - low[1]) / step[1],
                (z - low[2]) / step[2],
            ]
        )

    def before(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """Height of which z is made when the displacement there is added; parameters and result as those of `at`."""
        height = z
        for _ in range(_STEPS):  # each halves the rest at least
            before, height = height, z - self.at(x, y, height)
            if not (np.abs(height - before) > _CLOSE_NM * (1 + np.abs(height))).any():
                break
        return height

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values, from which `from_json` makes it again."""
        return {
            "low_nm": [float(x) for x in self.low_nm],
            "shape": list(self.shape),
            "slope": [float(x) for x in self.slope],
            "int16": base64.b64encode(self.steps).decode("ascii"),
        }

    @classmethod
    def from_json(cls, found: object) -> PhaseField:
        """Make it from JSON values, which are not trusted.

        Parameters
        ----------
        found : JSON value
            As `as_json` returns them.

        Returns
        -------
        PhaseField

        Raises
        ------
        TypeError, ValueError, OverflowError, PlanError
            If they are anything else.
        """
        low, shape, slope, text = members(found, ("low_nm", "shape", "slope", "int16"))
        if not isinstance(text, str) or len(text) > 3 * MOST_POINTS:
            raise TypeError("a phase field whose content is no short text")
        try:
            steps = base64.b64decode(text, validate=True)
        except binascii.Error as error:
            raise ValueError(f"a phase field whose content is not base64 ({error})") from error
        x, y, z = map(count, items(shape, 3))
        return cls(numbers(low, 3), (x, y, z), numbers(slope, 2), steps)
