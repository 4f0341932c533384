"""Name the planes: which {hkl} of a crystal they are, from spacings and the angles between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import exp, gcd

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from aptstream.crystal import Crystal, equivalent_poles
from aptstream.pole.pole import Pole

Floats = npt.NDArray[np.float64]

#: Standard deviations of what a reconstruction gets wrong: the common scale, single spacings, and angles in degrees.
SCALE, SPACING, ANGLE_DEG = 0.05, 0.012, 2.0
#: Spacings that can be seen at all, in nm, and the largest index that is tried.
SEEN_NM, LARGEST_INDEX, MOST_POLES = (0.1, 0.3), 3, 5
#: No reconstruction is farther off in scale.
WORST_SCALE = 0.12
_LIKE = 0.1  # largest difference of the cosines of two angles that are taken to be the same


@dataclass(frozen=True)
class Identity:
    """Names of the planes of some poles.

    Parameters
    ----------
    families : tuple of tuple of int
        Miller indices (hkl), one a pole, in the crystal's parent cell: one of its equivalents.
    posterior : float
        Probability among all names that could be, given that the crystal is the right one.
    scale : float
        Spacings of the crystal over those of the reconstruction.
    orientation : ndarray of float64, (3, 3), optional
        Turns vectors in the crystal's Cartesian axes into the reconstruction's, as columns; from two poles on.
    """

    families: tuple[tuple[int, int, int], ...]
    posterior: float
    scale: float
    orientation: Floats | None

    def name(self, pole: int) -> str:
        """Name the planes of a pole in words, such as "(0 1 1)"."""
        return f"({' '.join(map(str, self.families[pole]))})"


def identify(poles: Sequence[Pole], crystal: Crystal) -> Identity | None:
    """Name the planes of poles that belong to one crystal.

    All combinations of visible families are weighed: how well one common scale explains the spacings, and equivalents
    the angles between poles. Families of low indices are likelier before anything was measured, 1 / (1 + h² + k² + l²).

    Parameters
    ----------
    poles : sequence of Pole
        One or more; at most five.
    crystal : Crystal
        What it consists of; its own pole does not matter.

    Returns
    -------
    Identity or None
        None where no combination comes within 12 % of the scale and four standard deviations of each number.

    Examples
    --------
    >>> bend = ((0.05, 0, 0), (0, 0.05, 0), (0, 0, 0))
    >>> planes = Pole((0, 0, 40), (0, 0, 1 / 0.145), bend, (0, 0), 9, (5, 75), 40, 60, "found")
    >>> identity = identify([planes], Crystal("FCC", 0.405))
    >>> identity.name(0), round(identity.posterior, 2), round(identity.scale, 3)
    ('(0 1 1)', 1.0, 0.988)
    """
    used = list(poles)[:MOST_POLES]
    families = _families(crystal.parent)
    spacing = np.array([pole.spacing_nm for pole in used])
    normals = np.array([pole.direction for pole in used])
    weighed: list[tuple[float, float, tuple[int, ...], float]] = []
    for names in product(range(len(families)), repeat=len(used)):
        ratio = np.array([families[name].spacing_nm for name in names]) / spacing
        scale = (ratio.sum() / SPACING**2 + 1 / SCALE**2) / (len(used) / SPACING**2 + 1 / SCALE**2)
        square = float((((ratio - scale) / SPACING) ** 2).sum() + ((scale - 1) / SCALE) ** 2)
        for i, j in combinations(range(len(used)), 2):
            angle = _between_deg(normals[i], normals[j])
            possible = families[names[i]].angles_deg(families[names[j]])
            square += float((np.abs(possible - angle).min(initial=180.0) / ANGLE_DEG) ** 2)
        prior = float(np.prod([1 / (1 + sum(index**2 for index in families[name].indices)) for name in names]))
        weighed.append((exp(-0.5 * square) * prior, square, names, float(scale)))
    weight, square, names, scale = max(weighed)
    if weight == 0 or abs(scale - 1) > WORST_SCALE or square > 16 * (2 * len(used) - 1):
        return None
    chosen = tuple(families[name].indices for name in names)
    posterior = weight / sum(each[0] for each in weighed)
    return Identity(chosen, posterior, scale, _orientation(normals, [families[name].normals for name in names]))


@dataclass(frozen=True)
class _Family:
    """Equivalent planes."""

    indices: tuple[int, int, int]
    spacing_nm: float
    normals: Floats

    def angles_deg(self, other: _Family) -> Floats:
        """Angles at which a plane of this family can stand to a different one of another, without repetition."""
        angles = [_between_deg(self.normals[0], normal) for normal in other.normals]
        return np.array([angle for angle in angles if angle > 1])


def _between_deg(one: Floats, other: Floats) -> float:
    return float(np.degrees(np.arccos(min(1.0, abs(float(one @ other))))))


def _families(parent: Crystal) -> list[_Family]:
    """All families of planes far enough apart to be seen, lowest indices first."""
    span = range(LARGEST_INDEX + 1)
    inverse, found = np.linalg.inv(parent.cell_nm), []
    seen: set[tuple[int, ...]] = set()
    for indices in sorted(product(span, span, span), key=lambda hkl: (sum(hkl), hkl)):
        if not any(indices) or gcd(*indices) > 1 or indices in seen:
            continue
        alike = equivalent_poles(parent.label, indices)
        seen |= set(alike)
        spacing = Crystal(parent.label, parent.a_nm, indices, parent.c_over_a).plane_spacing_nm
        if SEEN_NM[0] <= spacing <= SEEN_NM[1]:
            normals = np.array(alike) @ inverse.T
            found.append(_Family(indices, spacing, normals / np.linalg.norm(normals, axis=1)[:, None]))
    return found


def _orientation(normals: Floats, equivalents: Sequence[Floats]) -> Floats | None:
    """Turn the crystal such that one plane of each family stands where the poles stand."""
    if len(normals) < 2:
        return None
    best, least = None, np.inf
    for choice in product(*([family[0]] if not number else family for number, family in enumerate(equivalents))):
        if not np.allclose(np.array(choice) @ np.array(choice).T, normals @ normals.T, atol=_LIKE):
            continue  # these equivalents stand at another angle
        turn, error = Rotation.align_vectors(normals, np.array(choice))
        if error < least - 1e-9:
            best, least = turn, error
    return best.as_matrix() if best is not None else None
