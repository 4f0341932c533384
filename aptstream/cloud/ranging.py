"""Ranging: which ion each m/q stands for, and which of the ions are likely host and solute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aptstream.errors import RangingError
from aptstream.io.decode import range_ions
from aptstream.io.elements import NON_METALS, RESIDUAL_GASES
from aptstream.points import Roles

if TYPE_CHECKING:
    from aptstream.cloud.store import PointStore
    from aptstream.points import RangeTable

#: Metals of at least this share of the atoms are taken for solutes.
LEAST_SOLUTE = 0.005

#: Focused ion beams leave gallium in specimens that hold none.
_CONTAMINANTS = NON_METALS | {"Ga"}


def apply_ranges(mass_to_charge: npt.ArrayLike, table: RangeTable) -> npt.NDArray[np.uint8]:
    """Give every ion the species of the range that holds its m/q.

    Parameters
    ----------
    mass_to_charge : array_like, (n,)
        m/q in Da; rounded to float32, then compared exactly.
    table : RangeTable
        Ranges, inclusive below, exclusive above.

    Returns
    -------
    ndarray of uint8, (n,)
        Index into ``table.species``; 0 = unranged.

    Examples
    --------
    >>> from aptstream.points import Range, RangeTable
    >>> table = RangeTable((Range(13, 14, (("Al", 1),)), Range(7, 8, (("Li", 1),))))
    >>> apply_ranges([7, 8, 13.5], table)
    array([2, 0, 1], dtype=uint8)
    """
    mass = np.asarray(mass_to_charge, np.float32)
    return range_ions(mass, table.bounds_da, indices=table.indices)


def count_atoms(counts: Mapping[str, int], table: RangeTable) -> dict[str, int]:
    """Take ions apart into atoms.

    Parameters
    ----------
    counts : mapping of str to int
        Ions of each species; unranged ones and ions without known atoms do not count.
    table : RangeTable
        Says what each ion is made of.

    Returns
    -------
    dict of str to int
        Atoms of each element, in the order of the table.

    Examples
    --------
    >>> from aptstream.points import Range, RangeTable
    >>> table = RangeTable((Range(83, 86, (("Cr", 1), ("O", 2))), Range(15, 17, (("O", 1),))))
    >>> count_atoms({"unranged": 7, "CrO2": 3, "O": 1}, table)
    {'O': 7, 'Cr': 3}
    """
    atoms: dict[str, int] = {}
    for ion, parts in table.atoms.items():
        for element, number in parts:
            atoms[element] = atoms.get(element, 0) + number * counts.get(ion, 0)
    return atoms


@dataclass(frozen=True)
class Balance:
    """Where the ions of a file went: read = ranged + unranged + rejected.

    Parameters
    ----------
    n_read, n_ranged, n_unranged, n_rejected : int
        Ions in the file; those in a range, in none, and those with damaged numbers, which the store leaves out.
    """

    n_read: int
    n_ranged: int
    n_unranged: int
    n_rejected: int

    def __str__(self) -> str:
        """Say it as a sum."""
        parts = f"{self.n_ranged:,} ranged + {self.n_unranged:,} unranged + {self.n_rejected:,} rejected"
        return f"{self.n_read:,} = {parts}"


def balance(store: PointStore) -> Balance:
    """Account for every ion of the file that a store was made from.

    Parameters
    ----------
    store : PointStore
        The ions.

    Returns
    -------
    Balance
    """
    attrs = store.attrs
    return Balance(attrs["n_read"], attrs["n_ranged"], attrs["n_unranged"], attrs.get("n_rejected", 0))


@dataclass(frozen=True)
class RolesGuess:
    """Roles that nobody chose, and why these.

    Parameters
    ----------
    roles : Roles
        Host and solute species.
    reason : str
        What led to them, with the shares of the elements.
    """

    roles: Roles
    reason: str

    def __str__(self) -> str:
        """Say what was guessed, why, and what to do about it."""
        host, solute = ", ".join(self.roles.host), ", ".join(self.roles.solute)
        return f"host {host}; solute {solute} (as one) — guessed: {self.reason}; give --host and --solute to choose"


def guess_roles(store: PointStore) -> Roles:
    """Guess host and solute of a reconstruction from what it is made of; look at the guess before you believe it.

    Parameters
    ----------
    store : PointStore
        The ions.

    Returns
    -------
    Roles
        See `explain_roles`.

    Raises
    ------
    RangingError
        If fewer than two elements could play a role.

    Examples
    --------
    >>> import tempfile
    >>> from aptstream.cloud import ingest
    >>> from aptstream.io import write_pos
    >>> from aptstream.points import Range, RangeTable
    >>> table = RangeTable((Range(26, 28, (("Al", 1),)), Range(6, 8, (("Li", 1),)), Range(1, 2, (("H", 1),))))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_pos(f"{folder}/a.pos", [[0, 0, 0]] * 6, [27, 27, 27, 7, 1, 1])
    ...     guess_roles(ingest(f"{folder}/a.pos", ranges=table, out=f"{folder}/a.zarr"))
    Roles(host=('Al',), solute=('Li',))
    """
    return explain_roles(store.species_counts(), store.ranges).roles


def explain_roles(counts: Mapping[str, int], table: RangeTable) -> RolesGuess:
    """Guess host and solute from the ions of every species, and say why.

    The host is the metal or semimetal with most atoms in ions of its own, the solutes are the others of at least
    0.5 at.%, or the next one where none has as much. Non-metals and gallium are taken for contaminants unless fewer
    than two other elements are there; then all but the residual gases may play a role, metals first. An ion belongs
    to an element if it holds no other, hydrogen aside.

    Parameters
    ----------
    counts : mapping of str to int
        Ions of each species.
    table : RangeTable
        Says what each ion is made of.

    Returns
    -------
    RolesGuess

    Raises
    ------
    RangingError
        If fewer than two elements could play a role.

    Examples
    --------
    >>> from aptstream.points import Range, RangeTable
    >>> atoms = ((("Ni", 1),), (("Al", 1),), (("Al", 1), ("H", 1)), (("O", 1),))
    >>> table = RangeTable(tuple(Range(i, i + 1, a) for i, a in enumerate(atoms)))
    >>> guess = explain_roles({"Ni": 80, "Al": 12, "AlH": 4, "O": 3}, table)
    >>> guess.roles
    Roles(host=('Ni',), solute=('Al', 'AlH'))
    >>> guess.reason
    'of all atoms, in ions of their own, Ni has 78 %, Al 16 %; left out: H, O'
    """
    ions = {name: _element(parts) for name, parts in table.atoms.items() if counts.get(name, 0) > 0}
    # Atoms in ions of other elements say nothing about where a species stands: an oxide is neither host nor solute.
    own: dict[str, int] = {}
    for name, element in ions.items():
        if element:
            own[element] = own.get(element, 0) + counts[name] * dict(table.atoms[name])[element]
    present = sorted(own, key=lambda element: (-own[element], element))
    candidates = [element for element in present if element not in _CONTAMINANTS]
    if len(candidates) < 2:
        candidates = sorted(
            (element for element in present if element not in RESIDUAL_GASES), key=NON_METALS.__contains__
        )
    if len(candidates) < 2:
        raise RangingError(
            f"Host and solute cannot be guessed: found ions of {', '.join(present) or 'no known element'}. Expected at "
            f"least two elements beside residual gases. Choose --host and --solute from the species: "
            f"{', '.join(table.species[1:])}."
        )
    atoms = count_atoms(counts, table)
    total = sum(atoms.values())
    host, *others = candidates
    solutes = [element for element in others if own[element] >= LEAST_SOLUTE * total] or others[:1]
    shares = ", ".join(
        f"{element} {'has ' if element == host else ''}{100 * own[element] / total:.2g} %"
        for element in (host, *solutes)
    )
    left = sorted(element for element, n in atoms.items() if n and element not in (host, *solutes))
    reason = f"of all atoms, in ions of their own, {shares}" + (f"; left out: {', '.join(left)}" if left else "")
    return RolesGuess(
        Roles(
            tuple(name for name, element in ions.items() if element == host),
            tuple(name for element in solutes for name, of in ions.items() if of == element),
        ),
        reason,
    )


def _element(parts: tuple[tuple[str, int], ...]) -> str:
    """Name the one element of an ion, hydrogen aside; nothing where there are several or none."""
    elements = [symbol for symbol, _ in parts if symbol != "H"] or [symbol for symbol, _ in parts]
    return elements[0] if len(elements) == 1 else ""
