"""A structure with a lattice parameter, seen along a pole."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np
import numpy.typing as npt

from aptstream.crystal.structures import STRUCTURES, Structure
from aptstream.errors import PlanError


@dataclass(frozen=True)
class Crystal:
    """A cubic crystal with a pole along z.

    Parameters
    ----------
    label : str
        Key of `STRUCTURES`, such as ``"FCC"`` or ``"L12"``.
    a_nm : float
        Lattice parameter in nm.
    pole : tuple of int
        Direction [hkl] along z.

    Raises
    ------
    PlanError
        If the structure is unknown, or the lattice parameter or the pole is impossible.

    Examples
    --------
    >>> crystal = Crystal("L12", 0.405)
    >>> round(crystal.plane_spacing_nm, 4), round(crystal.period_nm, 4)
    (0.1432, 0.2864)
    """

    label: str
    a_nm: float
    pole: tuple[int, int, int] = (0, 1, 1)

    def __post_init__(self) -> None:
        if self.label not in STRUCTURES:
            raise PlanError(f"Structure {self.label!r} is not known: choose one of {', '.join(STRUCTURES)}.")
        if not 0.1 <= self.a_nm <= 2:
            raise PlanError(f"A lattice parameter lies between 0.1 and 2 nm, found {self.a_nm} nm.")
        if not any(self.pole):
            raise PlanError("The pole [000] is no direction.")
        divisor = gcd(*self.pole)
        object.__setattr__(self, "pole", tuple(v // divisor for v in self.pole))

    @property
    def structure(self) -> Structure:
        """Sites and roles."""
        return STRUCTURES[self.label]

    @property
    def parent(self) -> Crystal:
        """The matrix it is coherent with: the same lattice and pole, one role only."""
        return Crystal(self.structure.parent, self.a_nm, self.pole)

    @property
    def frame(self) -> npt.NDArray[np.float64]:
        """Rotation that turns crystal axes into x, y, z with the pole along z: rows are the images, (3, 3).

        x is [100] where that is perpendicular to the pole, else the cube axis farthest from it, turned until it is.
        """
        z = np.array(self.pole) / np.linalg.norm(self.pole)
        start = np.eye(3)[int(np.argmin(np.abs(z)))]
        x = start - (start @ z) * z
        x /= np.linalg.norm(x)
        return np.stack([x, np.cross(z, x), z])

    @property
    def _planes(self) -> list[list[int]]:
        """Roles on each distinct plane within one cell repeat along the pole, lowest first.

        Heights are site · pole in units of a / |pole|; the lattice translations step them by whole numbers, because the
        greatest common divisor of h, k, l is 1.
        """
        planes: dict[float, list[int]] = {}
        for site, role in zip(self.structure.sites, self.structure.roles, strict=True):
            height = round(float(np.dot(site, self.pole)) % 1.0, 6) % 1.0
            planes.setdefault(height, []).append(role)
        return [sorted(planes[height]) for height in sorted(planes)]

    @property
    def plane_spacing_nm(self) -> float:
        """Distance of neighbouring planes along the pole, whatever stands on them, in nm."""
        return self._repeat_nm / len(self._planes)

    @property
    def period_nm(self) -> float:
        """Distance along the pole after which the planes repeat with their roles, in nm."""
        planes = self._planes
        return self._repeat_nm if any(plane != planes[0] for plane in planes) else self.plane_spacing_nm

    @property
    def _repeat_nm(self) -> float:
        return self.a_nm / float(np.linalg.norm(self.pole))

    @property
    def density_per_nm3(self) -> float:
        """Atoms in a nm³."""
        return len(self.structure.sites) / self.a_nm**3
