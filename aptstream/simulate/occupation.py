"""Which atom stands on which site, and where it comes in the mass spectrum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptstream.crystal import Crystal
from aptstream.errors import PlanError
from aptstream.simulate.alloy import Alloy
from aptstream.simulate.lattice import PlaneLattice
from aptstream.simulate.particles import Particles
from aptstream.simulate.settings import Settings

Singles = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

#: Standard deviation of m/q around a peak in Da.
PEAK_DA = 0.04


@dataclass(frozen=True)
class Occupation:
    """Draws the species of atoms from where they stand.

    Parameters
    ----------
    lattice : PlaneLattice
        Sites.
    particles : Particles
        What was put in.
    settings : Settings
        Alloy, structure, and how much solute the particles hold on which sites.
    matrix : tuple of float
        Atomic fraction of each solute in the matrix.
    """

    lattice: PlaneLattice
    particles: Particles
    settings: Settings
    matrix: tuple[float, ...]

    def species(
        self, rng: np.random.Generator, steps: Integers, seen: Integers, owner: Integers
    ) -> npt.NDArray[np.intp]:
        """Species of atoms: 0 host, 1 … solutes.

        Parameters
        ----------
        rng : numpy.random.Generator
            Source of randomness.
        steps : ndarray of int64, (n_cells, 3)
            Cells.
        seen : ndarray of int64, (n,)
            Which of their sites, counted through.
        owner : ndarray of int64, (n,)
            The particle that each lies in, −1 for none.

        Returns
        -------
        ndarray of intp, (n,)
        """
        settings, particles, matrix = self.settings, self.particles, np.array(self.matrix)
        chance = rng.random(len(seen), dtype=np.float32)
        if settings.shuffle:
            mean = np.array(settings.alloy.fraction) if settings.has_contrast else matrix
            return np.asarray((chance < mean.sum()).astype(np.intp) + ((chance >= mean[0]) & (chance < mean.sum())))
        solute = np.full(len(seen), matrix.sum(), dtype=np.float32)
        first = np.full(len(seen), matrix[0], dtype=np.float32)
        rows = np.flatnonzero(owner >= 0)
        mine = owner[rows]
        cell, site = np.divmod(seen[rows], len(self.lattice.sites_nm))
        variants = settings.crystal.variants
        table = self.lattice.site_of(steps[cell], site, variants.repeat)
        probability = settings.site_solute(particles.order)
        on_solute_site = variants.roles.reshape(len(variants), -1)[particles.variant[mine], table] == 1
        solute[rows] = np.where(on_solute_site, probability.solute_sites[mine], probability.host_sites[mine])
        first[rows] = solute[rows] * np.float32(settings.alloy.share[0])
        is_solute = chance < solute
        return np.asarray(is_solute.astype(np.intp) + (is_solute & (chance >= first)))


def check_variants(particles: Particles, crystal: Crystal) -> None:
    """Refuse particles of a variant that a structure has not.

    Parameters
    ----------
    particles : Particles
        What to put in.
    crystal : Crystal
        The structure.

    Raises
    ------
    PlanError
        If there are any.
    """
    n_variants = len(crystal.variants)
    if len(particles) and not 0 <= particles.variant.min() <= particles.variant.max() < n_variants:
        raise PlanError(
            f"{crystal.label} has {n_variants} variants, numbered from 0; found particles of variant "
            f"{particles.variant.min()} to {particles.variant.max()}. Place them for this structure."
        )


def matrix_fractions(share: float, settings: Settings) -> tuple[float, ...]:
    """Atomic fraction of each solute in the matrix, such that the whole specimen has the alloy's composition.

    Parameters
    ----------
    share : float
        Of the particles on the volume.
    settings : Settings
        Alloy and content of the particles.

    Returns
    -------
    tuple of float

    Raises
    ------
    PlanError
        If the particles hold more of a solute than the alloy has.

    Examples
    --------
    >>> matrix_fractions(0.0, Settings())
    (0.0679, 0.0518)
    """
    alloy = settings.alloy
    inside = settings.particle_solute * np.array(alloy.share)
    if not settings.has_contrast:
        return tuple(inside.tolist())
    left = np.array(alloy.fraction) - share * inside
    if share >= 1 or left.min() < 0 or left.sum() > 1 - share:
        scarce = int(left.argmin())
        raise PlanError(
            f"Particles of {share:.1%} of the volume take {share * inside[scarce]:.1%} of the atoms as "
            f"{alloy.solutes[scarce]}, the alloy has {alloy.fraction[scarce]:.1%}. "
            f"Choose a smaller volume fraction, a richer alloy or another share of the solutes."
        )
    return tuple((left / (1 - share)).tolist())


def peak_masses(rng: np.random.Generator, alloy: Alloy, species: npt.NDArray[np.intp]) -> Singles:
    """m/q of atoms in Da, (n,), scattered around the peaks of their species: 0 host, 1 … solutes."""
    mass = np.array(alloy.mass_da, dtype=np.float32)[species]
    mass += np.float32(PEAK_DA) * rng.standard_normal(len(mass), dtype=np.float32)
    return mass


def stray_masses(rng: np.random.Generator, alloy: Alloy, n: int) -> Singles:
    """m/q of ions without a site in Da, (n,): every second one of the alloy, the others anywhere from 1 to 60 Da."""
    fraction = alloy.fraction
    peak = rng.choice(len(alloy.mass_da), n, p=[1 - sum(fraction), *fraction])
    mass = np.array(alloy.mass_da)[peak] + PEAK_DA * rng.standard_normal(n)
    mass[::2] = rng.uniform(1, 60, len(mass[::2]))
    return mass.astype(np.float32)
