"""Table of structures: adding one is one entry and no code.

Strukturbericht labels; sites in fractions of the conventional cell; role 0 = host site, 1 = solute site.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Structure:
    """Sites of a cubic unit cell.

    Parameters
    ----------
    label : str
        Strukturbericht label or common name.
    parent : str
        Structure with the same sites and one role only; its own label for a parent.
    sites : tuple of (float, float, float)
        Positions in fractions of the cell, in the order of the parent's sites.
    roles : tuple of int
        0 = host site, 1 = solute site, one a site.
    """

    label: str
    parent: str
    sites: tuple[tuple[float, float, float], ...]
    roles: tuple[int, ...]


_FCC = ((0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))

STRUCTURES: dict[str, Structure] = {
    s.label: s
    for s in (
        Structure("FCC", "FCC", _FCC, (0, 0, 0, 0)),
        Structure("L12", "FCC", _FCC, (1, 0, 0, 0)),
    )
}
