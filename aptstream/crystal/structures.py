"""Table of structures: adding one is one entry and no code.

Strukturbericht labels; role 0 = host site, 1 = solute site. All lengths are in units of the *parent's* lattice
parameter, so that an ordered structure and its matrix share one `a` and one set of Miller indices: the cell of D0₃ is
two BCC cells long on every axis, that of D0₂₂ two FCC cells along c, that of D0₁₉ two HCP cells along a₁ and a₂.
Sites: Villars & Calvert, *Pearson's Handbook*; International Tables for Crystallography, vol. A.
"""

from __future__ import annotations

from dataclasses import dataclass

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Structure:
    """Cell and sites.

    Parameters
    ----------
    label : str
        Strukturbericht label or common name.
    parent : str
        Structure on whose sites it orders; its own label for a parent, whose roles are all 0.
    cell : tuple of (float, float, float)
        Cell vectors in units of the parent's a; their third component in units of the parent's c.
    sites : tuple of (float, float, float)
        Positions in fractions of the cell, all of them sites of the parent.
    roles : tuple of int
        0 = host site, 1 = solute site, one a site.
    c_over_a : float
        Axial ratio of the parent's cell where a crystal states none.
    """

    label: str
    parent: str
    cell: tuple[Vector, Vector, Vector]
    sites: tuple[Vector, ...]
    roles: tuple[int, ...]
    c_over_a: float = 1.0

    @property
    def is_hexagonal(self) -> bool:
        """Whether its planes are named by four indices (hkil)."""
        return self.cell[1][0] != 0


def _block(x: float, y: float, z: float) -> tuple[Vector, Vector, Vector]:
    return (x, 0.0, 0.0), (0.0, y, 0.0), (0.0, 0.0, z)


def _hexagonal(a: float) -> tuple[Vector, Vector, Vector]:
    return (a, 0.0, 0.0), (-a / 2, a * 3**0.5 / 2, 0.0), (0.0, 0.0, 1.0)


_IDEAL = (8 / 3) ** 0.5  # touching spheres in HCP
_FCC = ((0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))
_BCC = ((0.0, 0.0, 0.0), (0.5, 0.5, 0.5))
_HCP = ((2 / 3, 1 / 3, 0.25), (1 / 3, 2 / 3, 0.75))
_D022 = (
    *((0.0, 0.0, 0.0), (0.5, 0.5, 0.5)),
    *((0.5, 0.5, 0.0), (0.0, 0.0, 0.5)),
    *((0.0, 0.5, 0.25), (0.5, 0.0, 0.25), (0.0, 0.5, 0.75), (0.5, 0.0, 0.75)),
)
_D03 = (
    *_FCC,
    *((0.5, 0.5, 0.5), (0.5, 0.0, 0.0), (0.0, 0.5, 0.0), (0.0, 0.0, 0.5)),
    *((0.25, 0.25, 0.25), (0.25, 0.75, 0.75), (0.75, 0.25, 0.75), (0.75, 0.75, 0.25)),
    *((0.75, 0.75, 0.75), (0.75, 0.25, 0.25), (0.25, 0.75, 0.25), (0.25, 0.25, 0.75)),
)
_D019 = (
    *((1 / 3, 2 / 3, 0.25), (2 / 3, 1 / 3, 0.75)),
    *((5 / 6, 2 / 3, 0.25), (1 / 3, 1 / 6, 0.25), (5 / 6, 1 / 6, 0.25)),
    *((1 / 6, 1 / 3, 0.75), (2 / 3, 5 / 6, 0.75), (1 / 6, 5 / 6, 0.75)),
)

STRUCTURES: dict[str, Structure] = {
    s.label: s
    for s in (
        Structure("FCC", "FCC", _block(1, 1, 1), _FCC, (0, 0, 0, 0)),
        Structure("L12", "FCC", _block(1, 1, 1), _FCC, (1, 0, 0, 0)),
        Structure("L10", "FCC", _block(1, 1, 1), _FCC, (1, 0, 0, 1)),
        Structure("D022", "FCC", _block(1, 1, 2), _D022, (1, 1, 0, 0, 0, 0, 0, 0)),
        Structure("BCC", "BCC", _block(1, 1, 1), _BCC, (0, 0)),
        Structure("B2", "BCC", _block(1, 1, 1), _BCC, (1, 0)),
        Structure("D03", "BCC", _block(2, 2, 2), _D03, (1, 1, 1, 1) + 12 * (0,)),
        Structure("HCP", "HCP", _hexagonal(1), _HCP, (0, 0), _IDEAL),
        Structure("D019", "HCP", _hexagonal(2), _D019, (1, 1) + 6 * (0,), _IDEAL),
    )
}
