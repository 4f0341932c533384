"""Simulated specimens: a crystal with ordered particles, as an imperfect detector would report it.

The two phases share one lattice, one blur and one detection efficiency unless told otherwise: only the occupation of
the sites differs. So nothing but order (and, unless it is switched off, composition) tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptstream.points import PointCloud
from aptstream.simulate.distortion import Distortion, Movement, draw_distortion
from aptstream.simulate.occupation import check_variants, matrix_fractions
from aptstream.simulate.particles import Particles
from aptstream.simulate.settings import Settings
from aptstream.simulate.slabs import SlabMaker


@dataclass(frozen=True)
class SpecimenPlan:
    """A specimen that is made slab by slab, whenever it is asked for, and always the same.

    Parameters
    ----------
    particles : Particles
        What was put in, in the coordinates of the crystal.
    settings : Settings
        How it is made.
    distortion : Distortion
        How the planes are tilted, bowed and stretched.
    entropy : tuple of int
        Seed of all further randomness.
    matrix : tuple of float
        Atomic fraction of each solute in the matrix.
    """

    particles: Particles
    settings: Settings
    distortion: Distortion
    entropy: tuple[int, ...]
    matrix: tuple[float, ...]

    @property
    def ordered_particles(self) -> Particles:
        """The particles that a search for order should find, where the ions are.

        None if they are clusters or the species are shuffled.
        """
        return ordered(self.particles, self.settings, self.distortion)

    @property
    def n_slabs(self) -> int:
        """How many blocks there are."""
        return len(SlabMaker(self).slabs)

    def blocks(self, slabs: int = 1) -> Iterator[PointCloud]:
        """Make the ions in the order of depth, in memory that does not grow with the specimen.

        Parameters
        ----------
        slabs : int
            Slabs of the crystal at a time, at least 1. It changes how many ions a block has, not what they are.

        Yields
        ------
        PointCloud
            Some million ions at most. z does not fall within a block, nor from one to the next.
        """
        maker = SlabMaker(self)
        held = maker.nothing
        for start in range(0, len(maker.slabs), slabs):
            made = [maker.make(slab) for slab in maker.slabs[start : start + slabs]]
            held = join([held, *made])
            final = held.position[:, 2] < maker.final_below_nm(min(start + slabs, len(maker.slabs)))
            yield by_depth(held[final])
            held = held[~final]


@dataclass(frozen=True)
class Specimen:
    """A simulated specimen in memory, and its truth.

    Parameters
    ----------
    cloud : PointCloud
        Ions, sorted by depth as they would evaporate.
    plan : SpecimenPlan
        How it was made.
    """

    cloud: PointCloud
    plan: SpecimenPlan

    @property
    def particles(self) -> Particles:
        """What was put in, in the coordinates of the crystal."""
        return self.plan.particles

    @property
    def settings(self) -> Settings:
        """How it was made."""
        return self.plan.settings

    @property
    def ordered_particles(self) -> Particles:
        """The particles that a search for order should find, where the ions are; see `SpecimenPlan`."""
        return self.plan.ordered_particles


def plan_specimen(rng: np.random.Generator, particles: Particles, settings: Settings) -> SpecimenPlan:
    """Decide all about a specimen but its single ions.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    particles : Particles
        What to put in, in the coordinates of the crystal; an empty set gives a random solid solution.
    settings : Settings
        Crystal, alloy, blur, efficiency and distortions.

    Returns
    -------
    SpecimenPlan

    Raises
    ------
    PlanError
        If the particles hold more of a solute than the alloy has, or are of a variant that the structure has not.

    Examples
    --------
    >>> plan = plan_specimen(np.random.default_rng(1), Particles(np.zeros((0, 3)), np.zeros(0), np.zeros(0, int)),
    ...                      Settings(size_nm=(20, 20, 60)))
    >>> sum(len(block) for block in plan.blocks()) > 600_000
    True
    """
    check_variants(particles, settings.crystal)
    share = float(particles.inside_nm3(settings.size_nm).sum() / np.prod(settings.size_nm))
    matrix = matrix_fractions(share, settings)
    distortion = draw_distortion(rng, settings)
    entropy = tuple(int(word) for word in rng.integers(0, 2**32, 4))
    return SpecimenPlan(particles, settings, distortion, entropy, matrix)


def simulate_specimen(rng: np.random.Generator, particles: Particles, settings: Settings) -> Specimen:
    """Simulate the ions of a specimen in memory.

    Parameters
    ----------
    rng, particles, settings
        See `plan_specimen`, whose plan makes the same ions in blocks.

    Returns
    -------
    Specimen

    Raises
    ------
    PlanError
        If the particles hold more of a solute than the alloy has, or are of a variant that the structure has not.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> particles = Particles(np.full((1, 3), 3.0), np.array([2.0]), np.array([0]))
    >>> specimen = simulate_specimen(rng, particles, Settings(size_nm=(6, 6, 6)))
    >>> 0.45 < len(specimen.cloud) / (216 * 60.2) < 0.65             # detected share of the atoms
    True
    """
    plan = plan_specimen(rng, particles, settings)
    return Specimen(join(list(plan.blocks())), plan)


def ordered(particles: Particles, settings: Settings, movement: Movement) -> Particles:
    """Choose the particles that a search for order should find, and move them to where the ions are."""
    if not settings.is_ordered:
        return particles[:0]
    return particles[particles.order > 0].moved(movement)


def join(clouds: list[PointCloud]) -> PointCloud:
    """Put blocks of one specimen together, in their order."""
    return PointCloud(
        np.concatenate([cloud.position for cloud in clouds]),
        np.concatenate([cloud.mass_to_charge for cloud in clouds]),
        np.concatenate([cloud.species for cloud in clouds]),
        clouds[0].species_names,
    )


def by_depth(cloud: PointCloud) -> PointCloud:
    """Sort ions by z, those of equal z in the order in which they were made."""
    # Bits of a float32 are ordered as its value is once the sign is turned, and with it all others below 0; with the
    # row behind them all keys differ, and the fastest sort will do.
    bits = (cloud.position[:, 2] + np.float32(0)).view(np.uint32)
    ordered = bits ^ np.where(bits >> np.uint32(31), np.uint32(0xFFFFFFFF), np.uint32(0x80000000))
    keys: npt.NDArray[np.uint64] = (ordered.astype(np.uint64) << np.uint64(32)) | np.arange(len(cloud), dtype=np.uint64)
    keys.sort()
    return cloud[(keys & np.uint64(0xFFFFFFFF)).astype(np.int64)]
