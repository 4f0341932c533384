"""The nouns that every room passes on: `Range`, `RangeTable`, `PointCloud`, `Roles`.

Conventions, stated once: columns are x, y, z in nm; z is the pole axis and may be negative; grids index
``[ix, iy, iz]``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream.errors import RangingError

FloatArray = npt.NDArray[np.float32]

#: Element symbols and how many of each, such as ``(("Cr", 1), ("O", 2))``.
Atoms = tuple[tuple[str, int], ...]

#: The role of an ion in an SDM: 0 host, 1 solute, 2 neither (not counted).
HOST, SOLUTE, NEITHER = 0, 1, 2


@dataclass(frozen=True)
class Range:
    """One interval of the mass spectrum, ``low_da <= m/q < high_da``, and the ion it stands for.

    Parameters
    ----------
    low_da, high_da : float
        Bounds in Da, inclusive below, exclusive above.
    atoms : tuple of (str, int)
        Element symbols and how many of each, such as ``(("Cr", 1), ("O", 2))``; empty where they are not known.
    volume_nm3 : float
        Ionic volume in nm³; 0 where the file gives none.
    colour : str
        Six hexadecimal digits, or an empty string where the file gives none.
    name : str
        What an ion without known atoms is called, such as ``Hyd``; empty where `atoms` say it.
    """

    low_da: float
    high_da: float
    atoms: Atoms
    volume_nm3: float = 0.0
    colour: str = ""
    name: str = ""

    @property
    def ion(self) -> str:
        """Name of the ion, such as ``CrO2``."""
        return self.name or "".join(symbol + (str(count) if count > 1 else "") for symbol, count in self.atoms)


@dataclass(frozen=True)
class RangeTable:
    """All ranges of a reconstruction, and the species table that follows from them.

    Parameters
    ----------
    ranges : tuple of Range
        Free of overlaps; sorted by `low_da` on construction.

    Attributes
    ----------
    species : tuple of str
        Ion names in order of first appearance in the file. Index 0 is ``"unranged"``.

    Raises
    ------
    RangingError
        If there is no range, if bounds are swapped, if two ranges overlap, or if a range names no ion.

    Examples
    --------
    >>> table = RangeTable((Range(13.4, 13.6, (("Al", 1),)), Range(6.9, 7.1, (("Li", 1),))))
    >>> table.species
    ('unranged', 'Al', 'Li')
    >>> table.bounds_da
    array([[ 6.9,  7.1],
           [13.4, 13.6]])
    """

    ranges: tuple[Range, ...]
    species: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        if not self.ranges:
            raise RangingError("The range table holds no range: at least one is needed to name an ion.")
        names = dict.fromkeys(r.ion for r in self.ranges)
        object.__setattr__(self, "species", ("unranged", *names))
        if len(names) > 255:
            raise RangingError(
                f"The range table names {len(names)} species: at most 255 fit beside the unranged ions. "
                f"Remove ranges of ions that do not matter."
            )
        ordered = tuple(sorted(self.ranges, key=lambda r: (r.low_da, r.high_da)))
        for r in ordered:
            if not 0 <= r.low_da < r.high_da < np.inf:
                raise RangingError(
                    f"The range of {r.ion} runs from {r.low_da} to {r.high_da} Da: "
                    f"the lower bound must be at least 0 and below the upper one."
                )
            if bool(r.atoms) == bool(r.name) or r.name == "unranged":
                raise RangingError(
                    f"The range from {r.low_da} to {r.high_da} Da has the atoms {r.atoms} and the name '{r.name}': "
                    f"it needs either atoms, or a name other than 'unranged'."
                )
        for a, b in pairwise(ordered):
            if b.low_da < a.high_da:
                raise RangingError(
                    f"Two ranges overlap: {a.ion} {a.low_da}–{a.high_da} Da and {b.ion} {b.low_da}–{b.high_da} Da. "
                    f"Every m/q must belong to one ion at most: move a bound in the range file."
                )
        object.__setattr__(self, "ranges", ordered)

    @property
    def bounds_da(self) -> npt.NDArray[np.float64]:
        """Bounds in Da, (n, 2), ascending."""
        return np.array([(r.low_da, r.high_da) for r in self.ranges], dtype=np.float64)

    @property
    def indices(self) -> npt.NDArray[np.uint8]:
        """Species index of each range, (n,)."""
        return np.array([self.species.index(r.ion) for r in self.ranges], dtype=np.uint8)

    @property
    def atoms(self) -> dict[str, Atoms]:
        """Atoms of each species: ``{"CrO2": (("Cr", 1), ("O", 2)), …}``; none of those that have only a name."""
        return {r.ion: r.atoms for r in self.ranges}

    @property
    def colours(self) -> dict[str, str]:
        """First colour that the file gives each species, six hexadecimal digits."""
        found: dict[str, str] = {}
        for r in self.ranges:
            if r.colour:
                found.setdefault(r.ion, r.colour)
        return found


@dataclass(frozen=True)
class PointCloud:
    """Ions in memory.

    Parameters
    ----------
    position : ndarray of float32, (n, 3)
        x, y, z in nm.
    mass_to_charge : ndarray of float32, (n,)
        m/q in Da; NaN where it was not read.
    species : ndarray of uint8, (n,)
        Index into `species_names`; 0 = unranged.
    species_names : tuple of str
        Names; index 0 is ``"unranged"``.
    columns : mapping of str to ndarray, (n,)
        Further numbers of every ion, by names of `aptstream.io.ions.COLUMNS`.

    Raises
    ------
    ValueError
        If the lengths or shapes disagree, or a species index has no name.

    Examples
    --------
    >>> cloud = PointCloud(np.zeros((2, 3), "f4"), np.ones(2, "f4"), np.array([0, 1], "u1"), ("unranged", "Al"))
    >>> len(cloud)
    2
    """

    position: FloatArray
    mass_to_charge: FloatArray
    species: npt.NDArray[np.uint8]
    species_names: tuple[str, ...]
    columns: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.position)
        shapes = [self.mass_to_charge.shape, self.species.shape, *(column.shape for column in self.columns.values())]
        if self.position.shape != (n, 3) or any(shape != (n,) for shape in shapes):
            raise ValueError(
                f"A point cloud needs positions of shape (n, 3) and all other arrays of shape (n,), "
                f"found {self.position.shape} and {shapes}."
            )
        if n and int(self.species.max()) >= len(self.species_names):
            raise ValueError(
                f"Species index {int(self.species.max())} has no name: only {len(self.species_names)} are given."
            )

    def __len__(self) -> int:
        return len(self.position)

    def __getitem__(self, rows: npt.NDArray[np.intp] | npt.NDArray[np.bool_] | slice) -> PointCloud:
        """Return the ions of some rows."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        return PointCloud(
            self.position[rows], self.mass_to_charge[rows], self.species[rows], self.species_names, columns
        )


@dataclass(frozen=True)
class Roles:
    """Which species play host and which play solute when order is judged.

    Parameters
    ----------
    host, solute : tuple of str
        Species names. Several solutes count as one role.

    Raises
    ------
    RangingError
        If a role is empty, or a species is named twice.

    Examples
    --------
    >>> Roles(("Al",), ("Li", "Mg")).of(("unranged", "Li", "Al", "H", "Mg"))
    array([2, 1, 0, 2, 1], dtype=uint8)
    """

    host: tuple[str, ...]
    solute: tuple[str, ...]

    def __post_init__(self) -> None:
        named = (*self.host, *self.solute)
        if not self.host or not self.solute or len(set(named)) < len(named):
            raise RangingError(
                f"Order needs at least one host and one solute species, each named once; "
                f"found host {', '.join(self.host) or 'none'} and solute {', '.join(self.solute) or 'none'}."
            )

    def of(self, species_names: Sequence[str]) -> npt.NDArray[np.uint8]:
        """Return the role of every species: 0 host, 1 solute, 2 neither.

        Parameters
        ----------
        species_names : sequence of str
            The species table.

        Returns
        -------
        ndarray of uint8, (len(species_names),)

        Raises
        ------
        RangingError
            If a species is not in the table.
        """
        check_species((*self.host, *self.solute), species_names)
        role = np.full(len(species_names), NEITHER, dtype=np.uint8)
        for index, name in enumerate(species_names):
            if name in self.host:
                role[index] = HOST
            elif name in self.solute:
                role[index] = SOLUTE
        return role


def check_species(wanted: Sequence[str], species_names: Sequence[str]) -> None:
    """Refuse species that were not ranged.

    Parameters
    ----------
    wanted : sequence of str
        Species that are asked for.
    species_names : sequence of str
        The species table, ``"unranged"`` first.

    Raises
    ------
    RangingError
        If one is missing.
    """
    missing = [name for name in wanted if name not in species_names[1:]]
    if missing:
        raise RangingError(
            f"Species {', '.join(missing)} not among the ranged species. "
            f"Found: {', '.join(species_names[1:])}. Choose --host and --solute from these."
        )
