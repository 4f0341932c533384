"""Alloys to simulate: species, amounts, and places in the mass spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from aptstream.crystal import Crystal
from aptstream.errors import PlanError
from aptstream.points import Range, RangeTable


@dataclass(frozen=True)
class Alloy:
    """Species, their amounts and their place in the mass spectrum.

    Parameters
    ----------
    host : str
        Host element.
    solutes : tuple of str
        Solute elements, one or two.
    fraction : tuple of float
        Overall atomic fraction of each solute.
    share : tuple of float
        Share of each solute on the solute atoms of a particle; sums to 1.
    mass_da : tuple of float
        m/q of host and solutes in Da.

    Raises
    ------
    PlanError
        If the numbers do not belong together.
    """

    host: str = "Al"
    solutes: tuple[str, ...] = ("Li", "Mg")
    fraction: tuple[float, ...] = (0.0679, 0.0518)
    share: tuple[float, ...] = (0.8, 0.2)
    mass_da: tuple[float, ...] = (13.49, 7.02, 11.99)

    def __post_init__(self) -> None:
        n = len(self.solutes)
        if n not in (1, 2) or (len(self.fraction), len(self.share), len(self.mass_da)) != (n, n, n + 1):
            raise PlanError(
                f"An alloy has one or two solutes, each with a fraction, a share and an m/q beside the host's; found "
                f"solutes {self.solutes}, fraction {self.fraction}, share {self.share}, mass_da {self.mass_da}."
            )
        positive = all(v >= 0 for v in (*self.fraction, *self.share))
        if not (positive and sum(self.fraction) < 1 and np.isclose(sum(self.share), 1)):
            raise PlanError(
                f"The fractions of the solutes sum to less than 1 and their shares to 1, none of them negative; found "
                f"fraction {self.fraction}, share {self.share}."
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Host and solutes."""
        return (self.host, *self.solutes)

    @property
    def ranges(self) -> RangeTable:
        """Ranges of ± 0.3 Da around each peak."""
        return RangeTable(
            tuple(Range(m - 0.3, m + 0.3, ((n, 1),)) for n, m in zip(self.names, self.mass_da, strict=True))
        )


class Material(NamedTuple):
    """An alloy and the ordered structure of its particles."""

    alloy: Alloy
    crystal: Crystal


#: What the command line knows by name: δ′, γ′, and Fe, Ti and Cu with B2, D0₁₉ and L1₀ particles.
MATERIALS: dict[str, Material] = {
    "Al-Li-Mg": Material(Alloy(), Crystal("L12", 0.405)),
    "Ni-Al": Material(Alloy("Ni", ("Al",), (0.15,), (1.0,), (28.97, 26.98)), Crystal("L12", 0.357, (0, 0, 1))),
    "Fe-Al": Material(Alloy("Fe", ("Al",), (0.2,), (1.0,), (27.97, 26.98)), Crystal("B2", 0.2866, (0, 0, 1))),
    "Ti-Al": Material(
        Alloy("Ti", ("Al",), (0.15,), (1.0,), (23.97, 26.98)), Crystal("D019", 0.2951, (1, 1, -2, 0), 1.587)
    ),
    "Cu-Au": Material(Alloy("Cu", ("Au",), (0.25,), (1.0,), (62.93, 98.48)), Crystal("L10", 0.3859, (0, 0, 1))),
}
