"""All the ways in which an ordered structure can lie on its parent's lattice: translation and orientation variants.

A variant is what a symmetry operation of the parent makes of the ordered structure. The operations are found from the
parent's cell and sites alone, so a new structure needs no list of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod

import numpy as np
import numpy.typing as npt

from aptstream.crystal.structures import STRUCTURES, Structure

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Variants:
    """Roles of the parent's sites in every variant.

    Parameters
    ----------
    repeat : tuple of int
        Parent cells along each cell vector after which the roles repeat in every variant.
    roles : ndarray of int64, (n_variants, repeat cells, sites of the parent)
        0 = host site, 1 = solute site; cells with the last index fastest. Variant 0 is the structure as its table
        states it.
    """

    repeat: tuple[int, int, int]
    roles: Integers

    def __len__(self) -> int:
        return len(self.roles)


@lru_cache(maxsize=64)
def variants_of(label: str) -> Variants:
    """Find the variants of a structure on its parent's lattice.

    Parameters
    ----------
    label : str
        Key of `STRUCTURES`.

    Returns
    -------
    Variants
        One for a parent itself. Axial ratios are taken as ideal: a lattice strained to another ratio keeps the variants
        that it had before.

    Examples
    --------
    >>> [len(variants_of(label)) for label in ("FCC", "L12", "L10", "D022", "B2", "D03", "D019")]
    [1, 4, 6, 12, 2, 4, 4]
    """
    structure = STRUCTURES[label]
    parent = STRUCTURES[structure.parent]
    rotations = _rotations(parent)
    own = np.array(parent.cell) @ np.linalg.inv(
        structure.cell
    )  # parent cell vectors in fractions of the structure's cell
    repeat = _repeat(rotations, own)
    cells = np.array(list(np.ndindex(repeat)))
    sites = np.array(parent.sites)
    positions = (cells[:, None] + sites).reshape(-1, 3)
    found: dict[tuple[int, ...], None] = {}
    for rotation, shift in _operations(rotations, sites, cells):
        # What stands at r in the variant stood at the inverse image of r in the structure.
        before = (positions - shift) @ np.linalg.inv(rotation)
        found.setdefault(tuple(_roles_at(before @ own, structure)))
    table = np.array(list(found), dtype=np.int64).reshape(len(found), prod(repeat), len(sites))
    table.setflags(write=False)
    return Variants(repeat, table)


@lru_cache(maxsize=256)
def equivalent_poles(label: str, pole: tuple[int, int, int]) -> tuple[tuple[int, int, int], ...]:
    """List the poles that the symmetry of the parent lattice makes of one.

    Parameters
    ----------
    label : str
        Key of `STRUCTURES`.
    pole : tuple of int
        Miller indices (hkl) in the parent's cell.

    Returns
    -------
    tuple of tuple of int
        With both signs, sorted.

    Examples
    --------
    >>> [len(equivalent_poles("L12", pole)) for pole in ((0, 0, 1), (0, 1, 1), (1, 1, 1))]
    [6, 12, 8]
    >>> equivalent_poles("HCP", (0, 0, 1))
    ((0, 0, -1), (0, 0, 1))
    """
    parent = STRUCTURES[STRUCTURES[label].parent]
    turned = [(rotation @ np.array(pole)).tolist() for rotation in _rotations(parent)]
    return tuple(sorted({(first, second, third) for first, second, third in turned}))


def _rotations(parent: Structure) -> list[Integers]:
    """Turn the parent's lattice into itself: matrices for row vectors of fractions, the identity first."""
    cell = np.array(parent.cell) * (1, 1, parent.c_over_a)
    metric = cell @ cell.T
    rows = [np.array(row) for row in product((-1, 0, 1), repeat=3)]
    by_axis = [[row for row in rows if np.isclose(row @ metric @ row, metric[k, k])] for k in range(3)]
    found = [
        matrix
        for matrix in (np.stack(choice) for choice in product(*by_axis))
        if np.allclose(matrix @ metric @ matrix.T, metric)
    ]
    return sorted(found, key=lambda matrix: -int(np.trace(matrix)))


def _operations(rotations: list[Integers], sites: Floats, cells: Integers) -> Iterator[tuple[Integers, Floats]]:
    """Rotations with the translations that bring the parent's sites onto sites."""
    for rotation in rotations:
        turned = sites @ rotation
        for start in sites - turned[0]:
            image = turned + start
            apart = image[:, None] - sites
            if np.allclose(np.abs(apart - np.rint(apart)).sum(axis=2).min(axis=1), 0, atol=1e-6):
                for cell in cells:
                    yield rotation, start + cell


def _repeat(rotations: list[Integers], own: Floats) -> tuple[int, int, int]:
    """Parent cells along each axis that are whole translations of the structure, however it is turned."""
    longest = []
    for axis in np.eye(3):
        images = np.array([axis @ np.linalg.inv(rotation) @ own for rotation in rotations])
        longest.append(next(n for n in range(1, 100) if np.allclose(n * images, np.rint(n * images), atol=1e-6)))
    return longest[0], longest[1], longest[2]


def _roles_at(fractions: Floats, structure: Structure) -> Integers:
    """Role of the structure's site at each position, (n,), given in fractions of its cell."""
    apart = fractions[:, None] - np.array(structure.sites)
    which = np.abs(apart - np.rint(apart)).sum(axis=2).argmin(axis=1)
    roles: Integers = np.array(structure.roles)[which]
    return roles
