"""A simulated twin of a specimen: its density, blur, bow and composition, and a truth that is known.

What is found in a twin without particles is false; a twin with particles of the sizes that were found tells how many
of such are found, and how far their radii are off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from aptstream.cloud.store import PointStore
from aptstream.grid.answer import Answer
from aptstream.grid.composition import Composition
from aptstream.points import NEITHER, RangeTable
from aptstream.regions import Triple
from aptstream.scan.plan import Cell
from aptstream.scan.results import ScanStore
from aptstream.sdm.kernel import CellBox
from aptstream.sdm.sharpness import plane_blur
from aptstream.simulate import Alloy, Particles, Population, Settings, place_particles, plan_specimen
from aptstream.simulate.distortion import Distortion
from aptstream.simulate.populations import LARGEST_NM
from aptstream.simulate.specimen import SpecimenPlan

#: The twin's species: the solutes count as one, as they do in a scan.
HOST, SOLUTE, MASS_DA = "Al", "Li", (13.49, 7.02)
#: Lateral blur where the particles do not tell it, in nm, and most background that a twin is given.
USUAL_BLUR_NM, MOST_BACKGROUND = 0.4, 0.5
#: Share of the simulator's background that falls into the ranges of the twin.
IN_RANGE = 0.5 + 0.5 * 1.2 / 59
#: The measured specimen order of particles, times this, is the difference between the contents of their sites: measured
#: on specimens of known order 0.5, 0.75 and 1, see docs/order.md.
ORDER_SCALE = 0.88
#: Particles of a twin: at least so many, in at most this share of the volume; and further ones of 0.5–1.5 nm.
FEWEST, MOST_VOLUME, N_SMALL = 12, 0.25, 10
#: What is looked for where nothing was found: mean and standard deviation of the radius in nm, share of the volume.
ASSUMED = (2.0, 0.5, 0.05)


@dataclass(frozen=True)
class Conditions:
    """What a specimen is like where its particles are looked for, as far as it tells.

    Parameters
    ----------
    density_per_nm3 : float
        Ions of host and solute in a nm³.
    efficiency : float
        Share of the atoms of the crystal that this is, background apart.
    background : float
        Ions without a lattice site / ions with one, from the share of unranged ions.
    sigma_z_nm, sigma_xy_nm : float
        Blur across and along the planes in nm.
    coherence : float
        κ of the planes.
    slope : float
        Root mean square of the slope of the planes against their mean, nm a nm: their bow.
    matrix, particles : float
        Solute fraction of the atoms of host and solute in the matrix and in particles.
    order : float
        Long-range order parameter of the particles.
    notes : tuple of str
        What could not be told, and what was taken instead.
    """

    density_per_nm3: float
    efficiency: float
    background: float
    sigma_z_nm: float
    sigma_xy_nm: float
    coherence: float
    slope: float
    matrix: float
    particles: float
    order: float
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return plain names and numbers."""
        return {**asdict(self), "notes": list(self.notes)}


def conditions_of(answer: Answer, scan: ScanStore, store: PointStore, block: tuple[Cell, Cell]) -> Conditions:
    """Measure what a twin needs to know.

    Parameters
    ----------
    answer : Answer
        What was found: it tells the compositions, the lateral blur and the order.
    scan : ScanStore
        It tells roles, crystal and planes.
    store : PointStore
        The ions.
    block : tuple of (tuple of int, tuple of int)
        Cells, half-open, in which density and blur are measured.

    Returns
    -------
    Conditions
    """
    notes: list[str] = []
    low, high = block
    cloud = store.read(low, high, columns=())
    role = scan.roles.of(store.species_names)[cloud.species]
    counts = store.cell_counts()[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    filled = counts >= 0.5 * np.median(counts[counts > 0])
    density = float((role != NEITHER).mean() * counts[filled].mean())
    background = _background(float((cloud.species == 0).mean()), notes)
    stray = background * IN_RANGE / (1 + background * IN_RANGE)
    efficiency = density * (1 - stray) / scan.crystal.density_per_nm3
    if efficiency > 1:
        notes.append(
            f"{density:.1f} ions a nm³ are more than the crystal has sites ({scan.crystal.density_per_nm3:.1f}): the "
            f"twin has all of these."
        )
    x, y, z = (b - a for a, b in zip(low, high, strict=True))
    box = CellBox(store.origin_nm, low, (x, y, z))
    blur = plane_blur(cloud, role, scan.planes, box=box, doubling=scan.crystal.doubling, astray=stray)
    matrix, particles = (
        _solute(made, scan, store.ranges) for made in (answer.measures.matrix, answer.measures.particles)
    )
    return Conditions(
        density_per_nm3=density,
        efficiency=min(efficiency, 1.0),
        background=background,
        sigma_z_nm=blur.sigma_nm,
        sigma_xy_nm=_lateral(answer, notes),
        coherence=blur.coherence,
        slope=blur.slope,
        matrix=_known(matrix, float((role == 1).sum() / max((role != NEITHER).sum(), 1)), "matrix", notes),
        particles=_known(particles, Settings(crystal=scan.crystal).particle_solute, "particles", notes),
        order=_order(answer, notes) * (1 + background * IN_RANGE),
        notes=tuple(notes),
    )


def _background(unranged: float, notes: list[str]) -> float:
    """Ions without a site for each with one, such that as many are unranged."""
    outside = 1 - IN_RANGE
    background = unranged / (outside - unranged) if unranged < outside else np.inf
    if background > MOST_BACKGROUND:
        notes.append(
            f"{unranged:.0%} of the ions are unranged: the twin has {MOST_BACKGROUND:g} ions of background for each "
            f"with a site, and fewer unranged ones."
        )
    return float(min(background, MOST_BACKGROUND))


def _lateral(answer: Answer, notes: list[str]) -> float:
    if len(answer.found) and answer.measures.blur_nm > 0:
        return answer.measures.blur_nm
    notes.append(f"The lateral blur could not be measured: {USUAL_BLUR_NM:g} nm was taken.")
    return USUAL_BLUR_NM


def _order(answer: Answer, notes: list[str]) -> float:
    """Order parameter of the particles times the full difference between their sites, as it was measured."""
    if answer.refined is not None and len(answer.found):
        return answer.refined.order.order * ORDER_SCALE
    notes.append("The order in the particles was not measured: full order was taken.")
    return float("inf")


def _known(value: float, otherwise: float, of: str, notes: list[str]) -> float:
    if np.isfinite(value) and 0 < value < 1:
        return value
    notes.append(f"The composition of the {of} could not be measured: a solute fraction of {otherwise:.3f} was taken.")
    return otherwise


def _solute(made: Composition, scan: ScanStore, table: RangeTable) -> float:
    """Solute fraction of the atoms of host and solute; NaN where it is not known."""
    atoms = dict(table.atoms)
    hosts, solutes = (
        {element for name in names for element, _ in atoms.get(name, ())}
        for names in (scan.roles.host, scan.roles.solute)
    )
    solute, host = (
        sum(float(made.percent[element][0]) for element in elements if element in made.percent)
        for elements in (solutes - hosts, hosts)
    )
    return solute / (solute + host) if solute + host > 0 else float("nan")


def population_of(answer: Answer, size_nm: Triple) -> tuple[Population, tuple[str, ...]]:
    """Say which particles a twin gets: those that were found, as far as the box can hold them.

    Parameters
    ----------
    answer : Answer
        What was found.
    size_nm : tuple of float
        Size of the twin in nm.

    Returns
    -------
    population : Population
        Sizes and volume fraction of what was found, and some further particles of 0.5–1.5 nm.
    notes : tuple of str
        What had to be changed.
    """
    found, told, notes = answer.found, answer.statistics, []
    if len(found):
        mean, sd, share = told.mean_radius_nm.value, told.sd_radius_nm.value, answer.volume_fraction
        mean = mean if np.isfinite(mean) else found.mean_radius_nm
        sd = sd if np.isfinite(sd) else 0.25 * mean
    else:
        mean, sd, share = ASSUMED
        notes.append(f"Nothing was found: the twin has particles of {mean:g} ± {sd:g} nm in {share:.0%} of its volume.")
    largest = min(LARGEST_NM, min(size_nm) / 4)
    if mean > largest:
        notes.append(
            f"The particles, of {mean:.2f} nm on average, are too large for the twin: it has some of {largest:g} nm."
        )
        mean, sd = largest, min(sd, 0.25 * largest)
    volume = float(np.prod(size_nm))
    least = FEWEST * 4 / 3 * np.pi * mean**3 / volume
    wanted = float(np.clip(share, least, MOST_VOLUME)) if least < MOST_VOLUME else MOST_VOLUME
    if not 0.99 * wanted < share < 1.01 * wanted:
        notes.append(
            f"The particles fill {share:.2%} of the volume, those of the twin {wanted:.1%}, to be neither too few nor "
            f"too many."
        )
    return Population(wanted, mean, sd, N_SMALL), tuple(notes)


def twin_plan(
    conditions: Conditions,
    scan: ScanStore,
    rng: np.random.Generator,
    *,
    size_nm: Triple,
    populations: Sequence[Population] = (),
) -> SpecimenPlan:
    """Plan a twin.

    Parameters
    ----------
    conditions : Conditions
        Of the specimen.
    scan : ScanStore
        It tells crystal and planes of the specimen.
    rng : numpy.random.Generator
        Source of all randomness.
    size_nm : tuple of float
        Size in nm.
    populations : sequence of Population
        Particles; none in a twin that is all matrix.

    Returns
    -------
    SpecimenPlan
        Planes tilted, bowed and spaced as those of the specimen; species `HOST` and `SOLUTE`.
    """
    crystal, planes = scan.crystal, scan.planes
    particles = place_particles(rng, size_nm, populations, n_variants=len(crystal.variants))
    full = Settings(crystal=crystal, alloy=_alloy(conditions.particles), solute=conditions.particles)
    high, low = full.site_solute()
    contrast = float(high - low)
    share = float(particles.inside_nm3(size_nm).sum() / np.prod(size_nm))
    overall = (1 - share) * conditions.matrix + share * conditions.particles
    settings = replace(
        full,
        size_nm=size_nm,
        alloy=_alloy(overall),
        order=float(np.clip(conditions.order / contrast, 0, 1)) if contrast > 0 else 1.0,
        sigma_xy_nm=conditions.sigma_xy_nm,
        sigma_z_nm=conditions.sigma_z_nm,
        efficiency=conditions.efficiency,
        background=conditions.background,
    )
    axis = (size_nm[0] / 2, size_nm[1] / 2)
    # Over a box of these edges, the slopes b x and b y of a dome scatter by b √(Lx² + Ly²) / √12.
    bow = conditions.slope / float(np.hypot(*size_nm[:2]) / np.sqrt(12))
    bent = Distortion(axis, planes.slope, bow, planes.period_nm / crystal.period_nm)
    return replace(plan_specimen(rng, particles, settings), distortion=bent)


def _alloy(solute: float) -> Alloy:
    return Alloy(HOST, (SOLUTE,), (solute,), (1.0,), MASS_DA)


def true_particles(plan: SpecimenPlan) -> Particles:
    """Return the particles of a twin that a search for order should find, where its ions are."""
    return plan.ordered_particles


def densest_block(store: PointStore, size_nm: tuple[int, int, int]) -> tuple[Cell, Cell]:
    """Choose the block of a specimen that holds most material, of those that are as full the most central one.

    Parameters
    ----------
    store : PointStore
        The ions.
    size_nm : tuple of int
        Its edges in nm, at most.

    Returns
    -------
    low, high : tuple of int
        Cells, half-open.
    """
    counts = store.cell_counts()
    filled = counts >= 0.5 * np.median(counts[counts > 0])
    sums = np.zeros(tuple(n + 1 for n in filled.shape), dtype=np.int32 if filled.size < 2**31 else np.int64)
    sums[1:, 1:, 1:] = filled
    for axis in range(3):
        np.cumsum(sums, axis=axis, out=sums)
    edges = tuple(min(n, edge) for n, edge in zip(filled.shape, size_nm, strict=True))
    starts = [
        np.unique(np.linspace(0, n - e, (n - e) // 5 + 2).astype(int)) for n, e in zip(filled.shape, edges, strict=True)
    ]
    held = np.zeros(tuple(map(len, starts)), dtype=np.int64)
    for corner in np.ndindex(2, 2, 2):
        place = np.ix_(*(start + edge * at for start, edge, at in zip(starts, edges, corner, strict=True)))
        held += sums[place] * (-1) ** (3 - sum(corner))
    off = sum(
        ((start + edge / 2 - n / 2) ** 2).reshape([-1 if axis == k else 1 for k in range(3)])
        for axis, (start, edge, n) in enumerate(zip(starts, edges, filled.shape, strict=True))
    )
    best = np.argwhere(held >= 0.999 * held.max())
    chosen = best[np.argmin(np.broadcast_to(off, held.shape)[tuple(best.T)])]
    a, b, c = (int(start[k]) for start, k in zip(starts, chosen, strict=True))
    x, y, z = edges
    return (a, b, c), (a + x, b + y, c + z)
