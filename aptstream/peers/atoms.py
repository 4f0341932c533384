"""Elements and atoms of the species that play a role: molecular ions count as the atoms they are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from aptstream.cloud.store import PointStore
from aptstream.errors import RangingError
from aptstream.grid.composition import atoms_per_ion as atoms_of_each
from aptstream.peers.walk import bricks_of
from aptstream.points import RangeTable, Roles
from aptstream.progress import Progress, silent

Grids = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


def solute_elements(roles: Roles, table: RangeTable) -> tuple[str, ...]:
    """Name the elements of the solute species that are neither hydrogen nor of the host.

    Parameters
    ----------
    roles : Roles
        Host and solute species.
    table : RangeTable
        Says what each species is made of.

    Returns
    -------
    tuple of str
        In the order of the table.

    Raises
    ------
    RangingError
        If a species is not in the table, or no such element is left.

    Examples
    --------
    >>> from aptstream.points import Range
    >>> atoms = ((("Al", 1),), (("Li", 1), ("H", 1)), (("Mg", 1),))
    >>> table = RangeTable(tuple(Range(i, i + 1, a) for i, a in enumerate(atoms)))
    >>> solute_elements(Roles(("Al",), ("LiH", "Mg")), table)
    ('Li', 'Mg')
    """
    roles.of(table.species)
    of_host = {element for name in roles.host for element, _ in table.atoms[name]}
    of_solute = (element for name in roles.solute for element, _ in table.atoms[name])
    found = tuple(dict.fromkeys(element for element in of_solute if element not in of_host | {"H"}))
    if not found:
        raise RangingError(
            f"The solute species {', '.join(roles.solute)} hold no element beside hydrogen and those of the host "
            f"({', '.join(sorted(of_host)) or 'none known'}): no composition tells them apart. Choose other species."
        )
    return found


def elements_in(table: RangeTable) -> tuple[str, ...]:
    """Name all elements of a range table, in its order.

    Parameters
    ----------
    table : RangeTable
        Ranges.

    Returns
    -------
    tuple of str
    """
    return tuple(dict.fromkeys(element for parts in table.atoms.values() for element, _ in parts))


def atoms_per_ion(table: RangeTable, elements: Iterable[str]) -> Floats:
    """Count the atoms of some elements in an ion of each species.

    Parameters
    ----------
    table : RangeTable
        Says what each species is made of.
    elements : iterable of str
        Elements, together.

    Returns
    -------
    ndarray of float64, (n_species,)
        In the order of ``table.species``; 0 for unranged ions, and ions whose atoms are not known.

    Raises
    ------
    RangingError
        If an element is in no species.

    Examples
    --------
    >>> from aptstream.points import Range
    >>> table = RangeTable((Range(83, 85, (("Cr", 1), ("O", 2))), Range(15, 17, (("O", 1),))))
    >>> atoms_per_ion(table, ("O",))
    array([0., 2., 1.])
    """
    wanted, known = set(elements), atoms_of_each(table.species, table)
    missing = sorted(wanted - set(known))
    if missing or not wanted:
        raise RangingError(
            f"Found no species that holds {', '.join(missing) or 'no element at all'}. Expected elements among "
            f"{', '.join(known)}: choose from these."
        )
    total: Floats = np.sum([known[element] for element in wanted], axis=0)
    return total


def count_in_voxels(
    store: PointStore, weights: Sequence[Floats], stage: str = "composition", progress: Progress = silent
) -> list[Grids]:
    """Add up weights of the ions in each 1 nm voxel.

    Parameters
    ----------
    store : PointStore
        The ions.
    weights : sequence of ndarray of float64, (n_species,)
        One grid is made of each: what an ion of each species weighs.
    stage : str
        What the progress is told, in bricks.
    progress : Progress
        Told after each brick.

    Returns
    -------
    list of ndarray of float32, (nx, ny, nz)
    """
    grids = [np.zeros(store.shape_cells, np.float32) for _ in weights]
    for brick in bricks_of(store, stage, progress=progress):
        flat, species = brick.flat(brick.own), brick.cloud.species[brick.own]
        for grid, weight in zip(grids, weights, strict=True):
            counted = np.bincount(flat, weight[species], minlength=int(np.prod(brick.shape)))
            grid[brick.place] = counted.reshape(brick.shape)
    return grids
