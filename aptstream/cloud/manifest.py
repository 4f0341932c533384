"""The manifest of a point store: what gives its arrays their meaning, and where they came from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from aptstream.cloud.lattice import BRICK_NM, CELL_NM, Lattice
from aptstream.errors import RangingError, StoreError
from aptstream.io.arrays import damaged
from aptstream.io.digest import canonical_json
from aptstream.io.folder import Folder
from aptstream.io.ions import COLUMNS
from aptstream.io.seal import load_sealed, sealed
from aptstream.points import Range, RangeTable

FORMAT = "aptstream-points"
FORMAT_VERSION = 2

#: Attributes that a store may have beside those that every store has: they stay with its ions when it is copied, or
#: ranged anew.
KEPT = ("alignment",)


@dataclass(frozen=True)
class Manifest:
    """What a point store says of itself.

    Parameters
    ----------
    lattice : Lattice
        Its cells.
    ranges : RangeTable
        The ranges that gave the ions their species.
    n_ions, n_ranged : int
        Ions in the store, and those of them that lie in a range.
    pole : tuple of float
        Direction of the pole axis in the store's coordinates.
    n_rejected : int
        Ions of the source that are not in the store, because a number of theirs cannot be right.
    columns : tuple of str
        Names of `aptstream.io.ions.COLUMNS` that the store keeps for every ion.
    """

    lattice: Lattice
    ranges: RangeTable
    n_ions: int
    n_ranged: int
    pole: tuple[float, ...] = (0.0, 0.0, 1.0)
    n_rejected: int = 0
    columns: tuple[str, ...] = ()

    def defining(self) -> dict[str, Any]:
        """Return the attributes that take part in the content digest, as JSON values."""
        species = self.ranges.species
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "n_ions": self.n_ions,
            "n_read": self.n_ions + self.n_rejected,
            "n_rejected": self.n_rejected,
            "n_ranged": self.n_ranged,
            "n_unranged": self.n_ions - self.n_ranged,
            "species": list(species),
            "ranges": ranges_as_json(self.ranges),
            "origin_nm": list(self.lattice.origin_nm),
            "shape_cells": list(self.lattice.shape_cells),
            "brick_nm": BRICK_NM,
            "cell_nm": CELL_NM,
            "pole": [float(x) for x in self.pole],
            "columns": list(self.columns),
        }

    def attributes(self, provenance: dict[str, Any]) -> dict[str, Any]:
        """Return all attributes, sealed against accidental change.

        Parameters
        ----------
        provenance : dict
            JSON values that do not define the content: `content_digest`, `source`, `range_file`.

        Returns
        -------
        dict
        """
        return sealed({**self.defining(), **provenance, "software": software()})


def read_manifest(store: Folder) -> tuple[Manifest, dict[str, Any]]:
    """Read and check the attributes of a point store.

    Parameters
    ----------
    store : Folder
        Where it lies.

    Returns
    -------
    manifest : Manifest
    attributes : dict
        All attributes as they stand in the file.

    Raises
    ------
    StoreError
        If there is no point store of a known version, or its attributes contradict each other or their seal.
    """
    if not store.exists():
        raise StoreError(f"There is no point store {store}. Expected the folder that 'ingest' made: check its name.")
    attributes = load_sealed(store, kind=(FORMAT, FORMAT_VERSION), made_by="aptstream ingest")
    try:
        manifest = _rebuild(attributes)
        # Compared as JSON: true is not 1 there, and neither is 1.0.
        written, rebuilt = {key: attributes[key] for key in manifest.defining()}, manifest.defining()
        same = canonical_json(written) == canonical_json(rebuilt)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError, StoreError) as error:
        raise damaged(store, f"its attributes cannot be right ({error})", "those of a point store") from error
    if not same:
        raise damaged(store, "its attributes contradict each other", "the attributes it was written with")
    return manifest, attributes


def ranges_as_json(table: RangeTable) -> list[list[Any]]:
    """Return a range table as JSON values.

    Parameters
    ----------
    table : RangeTable
        Ranges.

    Returns
    -------
    list
        For every range: bounds in Da, atoms, volume in nm³, colour.
    """
    # Species are numbered by first appearance: ranges in their order give the same numbers again.
    return [_as_json(r) for r in sorted(table.ranges, key=lambda r: table.species.index(r.ion))]


def _as_json(r: Range) -> list[Any]:
    atoms = [[symbol, int(count)] for symbol, count in r.atoms]
    # Only ions without known atoms have a name of their own.
    return [float(r.low_da), float(r.high_da), atoms, float(r.volume_nm3), r.colour, *([r.name] if r.name else [])]


def _rebuild(attributes: dict[str, Any]) -> Manifest:
    """Make the manifest that the attributes describe; what does not fit raises."""
    ranges = RangeTable(
        tuple(
            Range(
                _number(low),
                _number(high),
                tuple(_atom(*atom) for atom in atoms),
                _number(volume),
                str(colour),
                *map(str, name),
            )
            for low, high, atoms, volume, colour, *name in attributes["ranges"]
        )
    )
    ox, oy, oz = (_number(value) for value in attributes["origin_nm"])
    nx, ny, nz = (_count(value) for value in attributes["shape_cells"])
    px, py, pz = (_number(value) for value in attributes["pole"])
    if any(origin != math.floor(origin) or abs(origin) > 2e6 for origin in (ox, oy, oz)):
        raise ValueError(f"origin {(ox, oy, oz)} nm")
    n_ions, n_ranged = _count(attributes["n_ions"]), _count(attributes["n_ranged"])
    n_rejected = _count(attributes["n_rejected"], least=0)
    columns = tuple(attributes["columns"])
    if columns != tuple(name for name in COLUMNS if name in columns):
        raise ValueError(f"columns {ascii(columns)[:80]}")
    if n_ranged > n_ions:
        raise RangingError(f"{n_ranged} of {n_ions} ions ranged")
    digest = attributes["content_digest"]
    if not isinstance(digest, str) or len(digest) != 64:
        raise ValueError("no content digest")
    return Manifest(Lattice((ox, oy, oz), (nx, ny, nz)), ranges, n_ions, n_ranged, (px, py, pz), n_rejected, columns)


def _atom(symbol: object, count: object) -> tuple[str, int]:
    if not isinstance(symbol, str) or not symbol.isalpha():
        raise TypeError(f"element {symbol!r}")
    return symbol, _count(count)


def _number(value: object) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):  # type: ignore[arg-type]
        raise TypeError(f"{value!r} for a number")
    return float(value)  # type: ignore[arg-type]


def _count(value: object, least: int = 1) -> int:
    if type(value) is not int or not least <= value < 2**48:
        raise TypeError(f"{value!r} for a count")
    return value


def software() -> str:
    """Return name and version of this software."""
    try:
        return f"aptstream {metadata.version('aptstream')}"
    except metadata.PackageNotFoundError:
        return "aptstream of unknown version"
