"""What both phases look like in spatial distribution maps: species by species, inside the particles and outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from aptstream.cloud.store import PointStore
from aptstream.crystal import Crystal
from aptstream.errors import PlanError
from aptstream.phases.amplitudes import NOTHING, Estimate, Ruler, Waves, fit_spacing, fit_waves
from aptstream.phases.pairs import PairCounts, Wanted, count_pairs
from aptstream.phases.phasemap import PHASES, PhaseMap
from aptstream.points import Roles, check_species
from aptstream.progress import Progress, silent
from aptstream.scan.results import ScanStore
from aptstream.sdm.planes import Planes
from aptstream.sdm.window import SdmWindow

Pair = tuple[tuple[str, ...], tuple[str, ...]]

#: Offsets of the z-SDM, and of the zx-SDM.
Z_WINDOW = SdmWindow("z", 2.0, 200, 1.0, 1)
ZX_WINDOW = SdmWindow("zx", 1.0, 50, 1.0, 100, y_limit_nm=1.0)
#: Ions of a phase above which an even choice of it is counted.
MOST_IONS = 20_000_000


@dataclass(frozen=True)
class OrderFrame:
    """What order is measured by.

    Parameters
    ----------
    planes : Planes
        Period and tilt of the specimen's planes.
    crystal : Crystal
        What the particles are: says how many planes make a period, and what full order is.
    roles : Roles
        Host and solute species.

    Raises
    ------
    PlanError
        If no planes are visible, or order does not show along the pole of the crystal.
    """

    planes: Planes
    crystal: Crystal
    roles: Roles

    def __post_init__(self) -> None:
        if self.crystal.doubling < 2:
            raise PlanError(
                f"Along the pole of the {self.crystal.planes_name} of {self.crystal.label} all planes have the same "
                f"composition: order does not show. Choose another pole, such as 0,1,1 for L12."
            )
        if not self.planes.visible:
            raise PlanError(
                "No lattice planes are visible along z, so neither their distance nor a doubled period can be "
                "measured: look for a pole with aptstream pole, and run again with the aligned ions."
            )

    @classmethod
    def of(cls, scan: ScanStore) -> OrderFrame:
        """Take it from a scan."""
        return cls(scan.planes, scan.crystal, scan.roles)


@dataclass(frozen=True)
class PhaseSdm:
    """Spatial distribution maps of one pair of species in one phase; both ions of a pair lie in it.

    Parameters
    ----------
    first, second : tuple of str
        Species of the two ions.
    counts : ndarray of int64, (bins,)
        Unordered pairs by their offset along z, in bins of `Z_WINDOW`.
    zx : ndarray of int64, (rows, columns)
        Unordered pairs by their offsets along z and x, in bins of `ZX_WINDOW`: the half with offsets along z ≥ 0.
    waves : Waves
        What the z-SDM says of planes.
    """

    first: tuple[str, ...]
    second: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    zx: npt.NDArray[np.int64]
    waves: Waves

    @property
    def name(self) -> str:
        """Both species, such as ``Li–Li``; several of one role are joined by ``+``."""
        return f"{'+'.join(self.first)}–{'+'.join(self.second)}"


@dataclass(frozen=True)
class Phase:
    """One phase of a specimen.

    Parameters
    ----------
    name : str
        ``"particles"`` or ``"matrix"``.
    n_voxels : int
        Its volume in voxels of 1 nm³.
    n_ions : dict of str to int
        Ions of each species that were counted.
    share : float
        Share of its tiles (8 by 8 by 16 nm) that was counted; 1 unless it holds too many ions.
    spacing_nm : Estimate or None
        Distance of its planes in nm, fitted to the pairs of all species; None where they are not seen.
    sdms : tuple of PhaseSdm
        One a pair of species.
    """

    name: str
    n_voxels: int
    n_ions: dict[str, int]
    share: float
    spacing_nm: Estimate | None
    sdms: tuple[PhaseSdm, ...]

    def sdm(self, name: str) -> PhaseSdm:
        """Return the maps of a pair by its name, such as ``Li–Li``.

        Raises
        ------
        PlanError
            If it was not asked for.
        """
        for found in self.sdms:
            if found.name == name:
                return found
        raise PlanError(f"There is no pair {name}: counted were {', '.join(sdm.name for sdm in self.sdms)}.")


@dataclass(frozen=True)
class Phases:
    """Both phases of a specimen.

    Parameters
    ----------
    particles, matrix : Phase
        Inside the particles, and outside of them and of a shell around them.
    shell_nm : float
        Thickness of that shell in nm.
    frame : OrderFrame
        Planes, crystal and roles.
    """

    particles: Phase
    matrix: Phase
    shell_nm: float
    frame: OrderFrame

    @property
    def both(self) -> tuple[Phase, Phase]:
        """Particles and matrix."""
        return self.particles, self.matrix


@dataclass(frozen=True)
class Look:
    """What is looked at, and how closely.

    Parameters
    ----------
    pairs : tuple of (tuple of str, tuple of str)
        Pairs of groups of species; those of `default_pairs` where none is given.
    most_ions : int
        If a phase holds more ions, an even choice of its tiles is counted, the same one every time.

    Raises
    ------
    PlanError
        If fewer than 1000 ions are allowed.
    """

    pairs: tuple[Pair, ...] = field(default=())
    most_ions: int = MOST_IONS

    def __post_init__(self) -> None:
        if self.most_ions < 1000:
            raise PlanError(f"At least 1000 ions of a phase are needed for a map, found a limit of {self.most_ions}.")


def default_pairs(roles: Roles) -> tuple[Pair, ...]:
    """List the pairs that both roles make, as roles and element by element.

    Parameters
    ----------
    roles : Roles
        Host and solute species.

    Returns
    -------
    tuple of (tuple of str, tuple of str)

    Examples
    --------
    >>> ["–".join("+".join(group) for group in pair) for pair in default_pairs(Roles(("Al",), ("Li", "Mg")))]
    ['Al–Al', 'Al–Li+Mg', 'Li+Mg–Li+Mg', 'Al–Li', 'Al–Mg', 'Li–Li', 'Li–Mg', 'Mg–Mg']
    """
    host, solute = roles.host, roles.solute
    single = [(name,) for name in solute]
    pairs = [(host, host), (host, solute), (solute, solute), *((host, one) for one in single)]
    pairs += [(a, b) for k, a in enumerate(single) for b in single[k:]]
    return tuple(dict.fromkeys(pairs))


def phase_sdms(
    phases: PhaseMap,
    store: PointStore,
    frame: OrderFrame,
    *,
    look: Look | None = None,
    progress: Progress = silent,
) -> Phases:
    """Count and measure the species-specific SDMs of the ions in the particles and in the matrix.

    Only pairs with both ions in the phase are counted, each once; heights are measured from the tilted planes. How the
    numbers are made from the counts: `aptstream.phases.amplitudes`.

    Parameters
    ----------
    phases : PhaseMap
        Which voxel belongs to which phase.
    store : PointStore
        The ions.
    frame : OrderFrame
        Planes, crystal and roles.
    look : Look, optional
        Which pairs, and of how many ions.
    progress : Progress
        Told of the stage ``pairs``, in bricks.

    Returns
    -------
    Phases

    Raises
    ------
    PlanError
        If there is no particle or no matrix, or a pair shares some species.
    RangingError
        If a species is not among the ranged ones.
    StoreError
        If grid and store do not belong together, or the store is damaged.
    """
    look, roles, period = Look() if look is None else look, frame.roles, frame.planes.period_nm
    check_phases(phases)
    pairs, both = look.pairs or default_pairs(roles), (*roles.host, *roles.solute)
    _check_pairs(pairs)
    species = tuple(dict.fromkeys((*both, *(name for pair in pairs for group in pair for name in group))))
    check_species(species, store.species_names)
    wanted = Wanted(species, (Z_WINDOW, ZX_WINDOW), look.most_ions)
    counted = count_pairs(store, phases, frame.planes, wanted, progress)
    doubling = frame.crystal.doubling
    ruler = Ruler(z_offsets(), period / doubling, doubling, period / doubling / 2)
    particles, matrix = (
        _measured(number, phases.n_voxels(number), counted[number], (pairs, both, ruler)) for number in PHASES
    )
    return Phases(particles, matrix, phases.shell_nm, frame)


def z_offsets() -> npt.NDArray[np.float64]:
    """Middle of each bin of the z-SDMs in nm, (bins,)."""
    step = Z_WINDOW.half_z_nm / Z_WINDOW.bins_z
    return (np.arange(Z_WINDOW.bins_z, dtype=np.float64) + 0.5) * step


def check_phases(phases: PhaseMap) -> None:
    """Refuse what has not two phases.

    Parameters
    ----------
    phases : PhaseMap
        Which voxel belongs to which phase.

    Raises
    ------
    PlanError
        If there is no particle or no matrix.
    """
    if not phases.n_particles:
        raise PlanError("There are no particles, so there is nothing inside them: lower the cut, or look at the scan.")
    if not phases.n_voxels(2):
        raise PlanError(
            f"There is no matrix: of {phases.labels.size:,} voxels {phases.n_voxels(1):,} lie in particles, and the "
            f"rest within {phases.shell_nm:g} nm of them or could not be judged. Choose a thinner shell or another cut."
        )


def _check_pairs(pairs: Sequence[Pair]) -> None:
    """Refuse pairs of groups that share some species, but not all."""
    for first, second in pairs:
        if not first or not second or (set(first) != set(second) and set(first) & set(second)):
            raise PlanError(
                f"A pair takes twice the same species or two without overlap, found {'+'.join(first)} and "
                f"{'+'.join(second)}."
            )


def _measured(
    number: int, n_voxels: int, counts: PairCounts, how: tuple[Sequence[Pair], tuple[str, ...], Ruler]
) -> Phase:
    """Measure the maps of one phase."""
    pairs, both, ruler = how
    every = counts.of(both, both)[:, :, 0]
    spacing = fit_spacing(every, ruler) if len(every) else None
    if spacing is not None:
        ruler = ruler.at(spacing.value)
    sdms = []
    for first, second in pairs:
        found = counts.of(first, second)[:, :, 0]
        waves = fit_waves(found, every, ruler) if len(every) else NOTHING
        zx = counts.of(first, second, 1).sum(axis=0)
        sdms.append(PhaseSdm(first, second, found.sum(axis=0), zx, waves))
    n_ions = dict(zip(counts.species, counts.n_ions.tolist(), strict=True))
    return Phase(PHASES[number], n_voxels, n_ions, counts.share, spacing, tuple(sdms))
