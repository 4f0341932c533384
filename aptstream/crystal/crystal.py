"""A structure with a lattice parameter, seen along a pole."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd

import numpy as np
import numpy.typing as npt

from aptstream.crystal.structures import STRUCTURES, Structure
from aptstream.crystal.variants import Variants, variants_of
from aptstream.errors import PlanError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Crystal:
    """A crystal with a pole along z.

    Parameters
    ----------
    label : str
        Key of `STRUCTURES`, such as ``"FCC"`` or ``"L12"``.
    a_nm : float
        Lattice parameter of the parent lattice in nm: that of BCC for D03, which is half of the one in tables.
    pole : tuple of int
        Miller indices (hkl) of the planes normal to z, in the parent's cell; for cubic crystals that is also the
        direction [hkl]. Hexagonal crystals take (hkl) or (hkil) with i = −h − k, never a direction [uvtw]; what is kept
        is (hkl).
    c_over_a : float, optional
        Axial ratio of the parent's cell; that of the structure's table entry where it is not given.

    Raises
    ------
    PlanError
        If the structure is unknown, or the lattice parameter, the axial ratio or the pole is impossible.

    Examples
    --------
    >>> crystal = Crystal("L12", 0.405)
    >>> round(crystal.plane_spacing_nm, 4), round(crystal.period_nm, 4), crystal.order_amplitude
    (0.1432, 0.2864, 0.25)
    >>> round(Crystal("HCP", 0.3209, (0, 0, 0, 1), 1.624).plane_spacing_nm, 4)
    0.2606
    """

    label: str
    a_nm: float
    pole: tuple[int, ...] = (0, 1, 1)
    c_over_a: float | None = None

    def __post_init__(self) -> None:
        if self.label not in STRUCTURES:
            raise PlanError(f"Structure {self.label!r} is not known: choose one of {', '.join(STRUCTURES)}.")
        if not 0.1 <= self.a_nm <= 2:
            raise PlanError(f"A lattice parameter lies between 0.1 and 2 nm, found {self.a_nm} nm.")
        if self.c_over_a is not None and not 0.2 <= self.c_over_a <= 5:
            raise PlanError(f"An axial ratio c/a lies between 0.2 and 5, found {self.c_over_a}.")
        object.__setattr__(self, "pole", _three_indices(self.pole, self.structure))

    @property
    def structure(self) -> Structure:
        """Sites and roles."""
        return STRUCTURES[self.label]

    @property
    def indices(self) -> tuple[int, int, int]:
        """The Miller indices (hkl) of the pole."""
        h, k, l = self.pole  # noqa: E741  (as everybody writes them)
        return h, k, l

    @property
    def planes_name(self) -> str:
        """The planes of the pole in words, such as "(0 1 1) planes"."""
        return f"({' '.join(map(str, self.pole))}) planes"

    @property
    def parent(self) -> Crystal:
        """The matrix it is coherent with: the same lattice and pole, one role only."""
        return Crystal(self.structure.parent, self.a_nm, self.pole, self.c_over_a)

    @property
    def axial_ratio(self) -> float:
        """Ratio c/a of the parent's cell."""
        return self.structure.c_over_a if self.c_over_a is None else self.c_over_a

    @property
    def cell_nm(self) -> Floats:
        """Cell vectors as rows, in nm and in the crystal's own Cartesian axes, (3, 3)."""
        return np.array(self.structure.cell) * (1, 1, self.axial_ratio) * self.a_nm

    @property
    def frame(self) -> Floats:
        """Rotation that turns crystal axes into x, y, z with the pole along z: rows are the images, (3, 3).

        x is the first Cartesian axis of the crystal where that lies in the planes, else the one that comes closest to
        it, turned until it does. In cubic crystals these are the cube axes; in hexagonal ones a₁ is the first of them
        and c the last.
        """
        z = self._normal / np.linalg.norm(self._normal)
        start = np.eye(3)[int(np.argmin(np.abs(z)))]
        x = start - (start @ z) * z
        x /= np.linalg.norm(x)
        return np.stack([x, np.cross(z, x), z])

    @property
    def plane_spacing_nm(self) -> float:
        """Distance along the pole after which the planes repeat, whatever stands on them, in nm.

        Planes that do not follow each other at one distance, such as (1 0 -1 0) of HCP, count as one corrugated plane.
        """
        return self._stack.spacing / float(np.linalg.norm(self._normal))

    @property
    def period_nm(self) -> float:
        """Distance along the pole after which the planes repeat with their roles, in nm.

        That of the variants which show most of their order: tetragonal structures have variants that do not show any
        along some poles.
        """
        return self._stack.period / float(np.linalg.norm(self._normal))

    @property
    def doubling(self) -> int:
        """Period in plane spacings: 2 for L1₂ along [011] and [001], 1 along [111], where order does not show."""
        return round(self._stack.period / self._stack.spacing)

    @property
    def order_amplitude(self) -> float:
        """Amplitude of full order per atom, |1/n Σ role · exp(2πi z / period)|; 0 where order does not show.

        The structure factor of the roles at the period of the planes with their roles.
        """
        return self._stack.amplitude

    @property
    def variant_amplitude(self) -> Floats:
        """The amplitude of full order at the period for each variant, (n_variants,)."""
        return np.array(self._stack.amplitudes)

    @property
    def variants(self) -> Variants:
        """All translation and orientation variants on the parent lattice."""
        return variants_of(self.label)

    @property
    def density_per_nm3(self) -> float:
        """Atoms in a nm³."""
        return len(self.structure.sites) / float(np.linalg.det(self.cell_nm))

    @property
    def _normal(self) -> Floats:
        """Reciprocal lattice vector of the pole, in 1/nm: its length is one over the distance of lattice planes."""
        cell = np.array(STRUCTURES[self.structure.parent].cell) * (1, 1, self.axial_ratio) * self.a_nm
        return np.asarray(np.linalg.inv(cell) @ self.pole, dtype=np.float64)

    @property
    def _stack(self) -> _Stack:
        return _stack_of(self.label, self.pole)


@dataclass(frozen=True)
class _Stack:
    """What follows from the heights of the planes; lengths in distances of the parent's lattice planes."""

    spacing: float
    period: float
    amplitude: float
    amplitudes: tuple[float, ...]


@lru_cache(maxsize=256)
def _stack_of(label: str, pole: tuple[int, ...]) -> _Stack:
    """Look at the planes along a pole: (hkl) · site is the height of a site above the plane through the origin."""
    variants = variants_of(label)
    sites = np.array(STRUCTURES[STRUCTURES[label].parent].sites)
    repeat = gcd(*(n * index for n, index in zip(variants.repeat, pole, strict=True)))
    cells = np.array(list(np.ndindex(variants.repeat)))
    height = ((cells[:, None] + sites) @ np.array(pole)).ravel() % repeat
    plane_height, plane = np.unique(np.round(height, 9) % repeat, return_inverse=True)
    atoms = np.bincount(plane)
    spacing = _shortest(plane_height, [atoms], repeat)
    periods, contrasts = [], []
    for roles in variants.roles.reshape(len(variants), -1):
        periods.append(_shortest(plane_height, [atoms, np.bincount(plane, roles)], repeat))
        contrasts.append(np.bincount(plane, roles - roles.mean()) / len(height))
    period = max(periods)
    wave = np.exp(2j * np.pi / period * plane_height)
    amplitudes = tuple(round(float(abs((contrast * wave).sum())), 12) for contrast in contrasts)
    return _Stack(spacing, period, max(amplitudes), amplitudes)


def _shortest(height: Floats, contents: list[npt.NDArray[np.generic]], repeat: int) -> float:
    """Shortest shift along the pole that brings every plane onto one with the same contents."""
    n = len(height)
    for parts in range(n, 1, -1):
        step, rest = divmod(n, parts)
        shifted = np.roll(height, -step)
        shifted[n - step :] += repeat
        if (
            not rest
            and np.allclose(shifted - height, repeat / parts, atol=1e-5)
            and all(np.allclose(content, np.roll(content, -step)) for content in contents)
        ):
            return repeat / parts
    return float(repeat)


def _three_indices(pole: tuple[int, ...], structure: Structure) -> tuple[int, ...]:
    """Miller indices without a common divisor; the third of four hexagonal ones is dropped."""
    if len(pole) == 4 and structure.is_hexagonal and pole[2] == -pole[0] - pole[1]:
        pole = (pole[0], pole[1], pole[3])
    if len(pole) != 3:
        four = " or four (hkil) with i = -h - k" if structure.is_hexagonal else ""
        raise PlanError(f"A pole of {structure.label} has three indices (hkl){four}; found {pole}.")
    if not any(pole):
        raise PlanError("The pole [000] is no direction.")
    divisor = gcd(*pole)
    return tuple(index // divisor for index in pole)
