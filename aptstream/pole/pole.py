"""A pole: a set of lattice planes where a reconstruction shows them, tilted and domed as they came out."""

from __future__ import annotations

from dataclasses import dataclass
from math import acos, degrees, hypot, isfinite, sqrt
from typing import Literal

import numpy as np
import numpy.typing as npt

from aptstream.errors import PlanError
from aptstream.regions import Cylinder, Triple

Floats = npt.NDArray[np.float64]
Status = Literal["found", "candidate"]


@dataclass(frozen=True)
class Pole:
    """A set of lattice planes in the coordinates of a reconstruction.

    The planes are counted by a function of the place, wave · d + ½ dᵀ bend d with d = r − centre, which is whole on
    the planes but for a constant. Its second part is their dome, and how the dome follows the axis of the pole.

    Parameters
    ----------
    centre_nm : tuple of float
        A point on the axis of the pole: the middle of the ions in which the planes are seen.
    wave_per_nm : tuple of float
        Normal of the planes at the centre, with z above 0, divided by their distance.
    bend_per_nm2 : tuple of tuple of float
        Symmetric: change of the wave along x, y and z.
    drift : tuple of float
        How far the axis of the pole moves along x and y on one nm along z: it follows the specimen, not the planes.
    radius_nm : float
        Distance from the axis at which a third of the amplitude of the planes is left.
    depth_nm : tuple of float
        z of the lowest and the highest region in which the planes are seen.
    strength : float
        Signal of planes in the ions that did not take part in the search, over its scatter without planes.
    n_regions : int
        Overlapping regions along the axis in which those ions were asked.
    status : {"found", "candidate"}
        Whether it can be relied on.

    Raises
    ------
    PlanError
        If a number is not finite, the wave does not rise along z, or the bend is not symmetric.

    Examples
    --------
    >>> bend = ((0.05, 0, 0), (0, 0.032, 0), (0, 0, 0))
    >>> tilted = Pole((0, 0, 40), (0, 3, 4), bend, (0, 0.1), 9, (5, 75), 40, 60, "found")
    >>> tilted.spacing_nm, round(tilted.tilt_deg, 2), round(tilted.dome_radius_nm, 6)
    (0.2, 36.87, 100.0)
    >>> tilted.planes([[0, 0, 40], [0, 0, 41], [2, 0, 40]])
    array([0. , 4. , 0.1])
    """

    centre_nm: Triple
    wave_per_nm: Triple
    bend_per_nm2: tuple[Triple, Triple, Triple]
    drift: tuple[float, float]
    radius_nm: float
    depth_nm: tuple[float, float]
    strength: float
    n_regions: int
    status: Status

    def __post_init__(self) -> None:
        bend = np.array(self.bend_per_nm2, dtype=np.float64)
        numbers = (*self.centre_nm, *self.wave_per_nm, *self.drift, self.radius_nm, *self.depth_nm, self.strength)
        if not (all(map(isfinite, numbers)) and np.isfinite(bend).all() and self.wave_per_nm[2] > 0):
            raise PlanError(f"A pole needs finite numbers and a wave that rises along z; found {self}.")
        if bend.shape != (3, 3) or not np.allclose(bend, bend.T):
            raise PlanError(f"The bend of a pole is a symmetric 3 by 3 matrix; found {self.bend_per_nm2}.")

    @property
    def spacing_nm(self) -> float:
        """Distance of the planes at the centre, as reconstructed, in nm."""
        return 1 / sqrt(sum(q * q for q in self.wave_per_nm))

    @property
    def direction(self) -> Triple:
        """Unit vector along the normal of the planes at the centre."""
        x, y, z = (float(q * self.spacing_nm) for q in self.wave_per_nm)
        return x, y, z

    @property
    def tilt_deg(self) -> float:
        """Angle between the normal of the planes and z in degrees."""
        return degrees(acos(min(1.0, self.direction[2])))

    @property
    def dome_radius_nm(self) -> float:
        """Radius of the dome of the planes in nm: positive where they fall outwards; may be infinite."""
        bend = np.array(self.bend_per_nm2)
        curvature = float(bend[0, 0] + bend[1, 1]) * self.spacing_nm / (2 - hypot(*self.direction[:2]) ** 2)
        return 1 / curvature if curvature else float("inf")

    @property
    def region(self) -> Cylinder:
        """Where the planes are seen: a cylinder round the axis of the pole."""
        low, high = (self.on_axis_nm(z) for z in self.depth_nm)
        return Cylinder(low, high, self.radius_nm)

    def on_axis_nm(self, z_nm: float) -> Triple:
        """Point on the axis of the pole at a height."""
        x, y, z = self.centre_nm
        return x + self.drift[0] * (z_nm - z), y + self.drift[1] * (z_nm - z), float(z_nm)

    def planes(self, position: npt.ArrayLike) -> Floats:
        """Count planes from the centre to positions.

        Parameters
        ----------
        position : array_like of float, (n, 3)
            In nm.

        Returns
        -------
        ndarray of float64, (n,)
            Planes; not whole, as the centre lies anywhere between two.
        """
        d = np.asarray(position, dtype=np.float64) - self.centre_nm
        bend = np.array(self.bend_per_nm2)
        return np.asarray(d @ np.array(self.wave_per_nm) + 0.5 * np.einsum("ni,ij,nj->n", d, bend, d))
