"""What the benchmark draws: lattices with their poles, populations of particles, and every case at two levels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from aptstream.points import Range, RangeTable, Roles


def _mod_l12(i, j, k):
    """FCC sublattice 0 … 3 of sites in half cells: simple cubic each."""
    return (i & 1) * 2 + (j & 1)


def _mod_l10(i, j, k):
    """Alternate planes along c = z."""
    return k & 1


def _mod_b2(i, j, k):
    """BCC sublattice 0, 1: corners and centres."""
    return i & 1


def _mod_d03(i, j, k):
    """BCC in four FCC sublattices with twice the edge."""
    return (i & 1) * 2 + (((i >> 1) + (j >> 1) + (k >> 1)) & 1)


@dataclass(frozen=True)
class Lattice:
    """A parent lattice, its pole along z, and how the ordered phase divides its sites.

    `steps` are lattice vectors in half cells: two in the plane normal to the pole, one to the next plane. `sublattice`
    numbers the sites 0 … n_variants − 1; variant v has its solute on sublattice v.
    """

    half_nm: float
    pole: tuple[int, int, int]
    steps: tuple[tuple[int, int, int], ...]
    sublattice: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    n_variants: int
    structure: str = "L12"

    @property
    def solute_sites(self) -> float:
        """Share of the sites that belong to the solute."""
        return 1 / self.n_variants

    @property
    def plane_nm(self) -> float:
        """Distance of neighbouring planes along the pole."""
        pole = np.array(self.pole) / np.linalg.norm(self.pole)
        return float(self.half_nm * (np.array(self.steps[2]) @ pole))

    @property
    def period_nm(self) -> float:
        """The doubled period."""
        return 2 * self.plane_nm


FCC_001 = ((1, 1, 0), (1, -1, 0), (1, 0, 1))
BCC_001 = ((2, 0, 0), (0, 2, 0), (1, 1, 1))
AL_L12 = Lattice(0.405 / 2, (0, 1, 1), ((2, 0, 0), (0, 1, -1), (1, 1, 0)), _mod_l12, 4)
NI_L12 = Lattice(0.357 / 2, (0, 0, 1), FCC_001, _mod_l12, 4)
CU_L10 = Lattice(0.386 / 2, (0, 0, 1), FCC_001, _mod_l10, 2, "L10")
FE_B2 = Lattice(0.289 / 2, (0, 0, 1), BCC_001, _mod_b2, 2, "B2")
FE_D03 = Lattice(0.289 / 2, (0, 0, 1), BCC_001, _mod_d03, 4, "D03")


@dataclass(frozen=True)
class Population:
    """Radii: lognormal with mean and standard deviation, and further small ones of 0.5–1.5 nm."""

    mean_nm: float = 2.5
    sd_nm: float = 0.6
    fraction: float = 0.12  # a sixth of it sticks out of the box
    n_small: int = 0
    scattered: bool = False  # at random, as many as chance has it: a window cut out of an endless alloy


MIXED = Population(sd_nm=0.9, n_small=50)
LARGE = Population()
SMALL = Population(1.25, 0.37, 0.04)
NONE = Population(fraction=0.0)


@dataclass(frozen=True)
class Case:
    """One kind of specimen; lengths in nm, contents as atomic fractions."""

    population: Population = LARGE
    kind: str = "ordered"  # or "clusters", "shuffled"
    axes: tuple[float, float, float] = (1.0, 1.0, 1.0)  # half axes in units of the radius
    lattice: Lattice = AL_L12
    species: tuple[str, ...] = ("Al", "Li", "Mg")
    mass_da: tuple[float, ...] = (13.49, 7.02, 11.99)
    solute: tuple[float, ...] = (0.068, 0.052)  # of the whole specimen
    share: tuple[float, ...] = (0.8, 0.2)  # of the solutes in a particle
    occupancy: float = 0.9
    antisite: float = 0.03
    weakest: float = 1.0  # order of the weakest particle / of the strongest
    contrast: bool = True  # False: the matrix has the composition of the particles
    size_nm: tuple[float, float, float] = (30.0, 30.0, 40.0)
    sigma_xy_nm: float = 0.3
    sigma_z_nm: float = 0.03
    efficiency: float = 0.55
    background: float = 0.02
    tilt_deg: float = 0.5
    bow_deg: float = 0.8
    stretch: float = 0.003
    low_nm: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def roles(self) -> Roles:
        """Host and solutes."""
        return Roles(self.species[:1], self.species[1:])

    @property
    def ranges(self) -> RangeTable:
        """± 0.3 Da around each peak."""
        return RangeTable(
            tuple(Range(m - 0.3, m + 0.3, ((n, 1),)) for n, m in zip(self.species, self.mass_da, strict=True))
        )

    @property
    def rich(self) -> float:
        """Solute fraction of a fully ordered particle."""
        sites = self.lattice.solute_sites
        return sites * self.occupancy + (1 - sites) * self.antisite


LEVELS = {"good": {}, "hard": {"sigma_xy_nm": 0.5, "sigma_z_nm": 0.05, "efficiency": 0.45}}
WEAK = Case(solute=(0.096, 0.024), occupancy=0.48, antisite=0.0, contrast=False)
FE_AL = Case(species=("Fe", "Al"), mass_da=(27.97, 13.49), solute=(0.22,), share=(1.0,), occupancy=0.95)
NI_AL = Case(
    lattice=NI_L12,
    species=("Ni", "Al"),
    mass_da=(28.97, 13.49),
    solute=(0.14,),
    share=(1.0,),
    occupancy=0.86,
    antisite=0.02,
)
CU_AU = Case(
    lattice=CU_L10,
    species=("Cu", "Au"),
    mass_da=(62.93, 98.48),
    solute=(0.35,),
    share=(1.0,),
    occupancy=0.95,
    antisite=0.05,
)
#: Name → what is drawn; `LEVELS` changes blur and efficiency, what a case sets on purpose stays.
CASES = {
    "mixed": Case(MIXED),
    "large": Case(),
    "small": Case(SMALL),
    "clusters": Case(kind="clusters"),
    "matrix": Case(NONE),
    "shuffled": Case(kind="shuffled"),
    "no_contrast": WEAK,
    "ni_al": NI_AL,
    "ellipsoids": Case(Population(fraction=0.08), axes=(0.7, 1.0, 1 / 0.7)),
    "plates": Case(Population(fraction=0.06), axes=(1.6, 1.6, 1 / 2.56)),
    "strengths": Case(weakest=0.35),
    "solute_4": Case(Population(fraction=0.08), solute=(0.025, 0.015)),
    "solute_25": Case(Population(fraction=0.08), solute=(0.15, 0.10)),
    "efficiency_35": Case(efficiency=0.35),
    "efficiency_80": Case(efficiency=0.80),
    "sigma_z_65": Case(sigma_z_nm=0.065),
    "depth": Case(low_nm=(-15.3, -14.8, -88.6)),
    "z_scale": Case(stretch=0.06),
    "tilt": Case(tilt_deg=2.5),
    "background": Case(background=0.10),
    "l10": CU_AU,
    "b2": replace(FE_AL, lattice=FE_B2, solute=(0.35,)),
    "d03": replace(FE_AL, lattice=FE_D03),
}


def case_of(name: str, level: str) -> Case:
    """Return a case at a level: what the case changes on purpose wins over the level."""
    case, plain = CASES[name], Case()
    blur = {key: value for key, value in LEVELS[level].items() if getattr(case, key) == getattr(plain, key)}
    return replace(case, **blur)


def alloy_of(name: str) -> str:
    """Name the first case of the same alloy: rivals are tuned once for each."""

    def alloy(case: Case) -> tuple[object, ...]:
        return case.lattice, case.species, case.solute, case.contrast

    return next(other for other in CASES if alloy(CASES[other]) == alloy(CASES[name]))
