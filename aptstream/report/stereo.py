"""Directions in stereographic projection: low-index poles and zone lines of a crystal as it lies."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import gcd

import numpy as np
import numpy.typing as npt

from aptstream.crystal import Crystal, equivalent_poles

Floats = npt.NDArray[np.float64]

#: Largest sum of squared indices of the poles that are shown.
MOST_SQUARES = 6


def stereographic(direction: npt.ArrayLike) -> Floats:
    """Project directions onto the plane: equal angles stay equal, great circles become circles.

    Parameters
    ----------
    direction : array_like of float, (n, 3)
        Of any length, none along −z.

    Returns
    -------
    ndarray of float64, (n, 2)
        z comes to the middle, what is normal to it lies at distance 1.

    Examples
    --------
    >>> stereographic([[0, 0, 2], [3, 0, 0], [0, 1, 1]]).round(3)
    array([[0.   , 0.   ],
           [1.   , 0.   ],
           [0.   , 0.414]])
    """
    vector = np.asarray(direction, dtype=np.float64)
    unit = vector / np.linalg.norm(vector, axis=1)[:, None]
    return np.asarray(unit[:, :2] / (1 + unit[:, 2:]))


def at_angle(angle_deg: float) -> float:
    """Distance from the middle at which directions so far from z lie.

    Examples
    --------
    >>> at_angle(90)
    1.0
    """
    return float(np.tan(np.deg2rad(angle_deg) / 2).round(12))


@dataclass(frozen=True)
class LowIndexPole:
    """Normal of a set of planes.

    Parameters
    ----------
    family : tuple of int
        Indices (hkl) of the family that it belongs to: equivalents have the same.
    direction : ndarray of float64, (3,)
        Unit vector in the reconstruction.
    """

    family: tuple[int, int, int]
    direction: Floats

    @property
    def label(self) -> str:
        """Indices without brackets, such as "012"."""
        return "".join(map(str, self.family))


def low_index_poles(crystal: Crystal, orientation: Floats, within_deg: float) -> list[LowIndexPole]:
    """List the low-index poles near z.

    Parameters
    ----------
    crystal : Crystal
        What the specimen consists of; its own pole does not matter.
    orientation : ndarray of float64, (3, 3)
        Turns vectors in the crystal's Cartesian axes into the reconstruction's.
    within_deg : float
        Largest angle from z.

    Returns
    -------
    list of LowIndexPole
        Lowest indices first.

    Examples
    --------
    >>> [pole.label for pole in low_index_poles(Crystal("FCC", 0.405), np.eye(3), 30)]
    ['001', '012', '012', '012', '012']
    """
    inverse, found = np.linalg.inv(crystal.parent.cell_nm), []
    for indices in product(range(-2, 3), repeat=3):
        if not any(indices) or sum(index**2 for index in indices) > MOST_SQUARES or gcd(*indices) > 1:
            continue
        normal = orientation @ inverse @ indices
        normal /= np.linalg.norm(normal)
        if normal[2] >= np.cos(np.deg2rad(within_deg)):
            found.append(LowIndexPole(_family(crystal.label, indices), normal))
    return sorted(found, key=lambda pole: (sum(index**2 for index in pole.family), pole.family))


def zone_lines(crystal: Crystal, orientation: Floats, within_deg: float) -> list[Floats]:
    """Draw the zones of low-index directions: all normals at right angles to one lie on a line.

    Parameters
    ----------
    crystal, orientation, within_deg
        As in `low_index_poles`.

    Returns
    -------
    list of ndarray of float64, (n, 2)
        Lines in stereographic projection, within that angle from z.

    Examples
    --------
    >>> [len(line) > 2 for line in zone_lines(Crystal("FCC", 0.405), np.eye(3), 30)]
    [True, True, True, True]
    """
    lines = []
    turn = np.linspace(-np.pi / 2, np.pi / 2, 361)
    for indices in product(range(-1, 2), repeat=3):
        if indices <= (0, 0, 0):  # of two opposite directions one
            continue
        axis = orientation @ (np.array(indices) @ crystal.parent.cell_nm)
        axis /= np.linalg.norm(axis)
        across = np.hypot(axis[0], axis[1])
        if across < np.cos(np.deg2rad(within_deg)):
            continue
        level = np.array([-axis[1], axis[0], 0]) / across
        upwards = np.cross(axis, level)
        arc = np.outer(np.sin(turn), level) + np.outer(np.cos(turn), upwards)
        lines.append(stereographic(arc[arc[:, 2] >= np.cos(np.deg2rad(within_deg))]))
    return lines


def _family(label: str, indices: tuple[int, ...]) -> tuple[int, int, int]:
    """Name a family by one of its equivalents: without minus signs if it can be, smallest first."""
    h, k, m = indices
    return min(equivalent_poles(label, (h, k, m)), key=lambda hkl: (sum(index < 0 for index in hkl), hkl))
