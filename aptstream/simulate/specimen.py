"""Simulated specimens: a crystal with ordered particles, as an imperfect detector would report it.

The two phases share one lattice, one blur and one detection efficiency: only the occupation of the sites differs. So
nothing but order (and, unless it is switched off, composition) tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from aptstream.crystal import STRUCTURES, Crystal
from aptstream.errors import PlanError
from aptstream.points import PointCloud, Range, RangeTable, Triple
from aptstream.simulate.particles import Particles

Kind = Literal["ordered", "clusters", "no-contrast", "weak"]
Floats = npt.NDArray[np.float64]


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


@dataclass(frozen=True)
class Settings:
    """Everything about a simulated specimen but its particles.

    Parameters
    ----------
    size_nm : tuple of float
        The specimen fills 0 … size in nm.
    kind : {"ordered", "clusters", "no-contrast", "weak"}
        What the particles are: ordered and rich in solute; rich in solute but random; ordered in a matrix of the same
        composition; or ordered only as far as the alloy's composition allows, without contrast.
    crystal : Crystal
        The ordered structure of the particles; the matrix is its parent, with the same lattice and pole.
    occupancy, antisite : float
        Probability of a solute atom on a solute site and on a host site of a particle.
    sigma_xy_nm, sigma_z_nm : float
        Standard deviation of the positions in nm, the same in both phases.
    efficiency : float
        Share of the atoms that are detected.
    background : float
        Ions without a lattice site / ions with one. Half of them fall into a range, as the tails of the alloy's own
        peaks do, half anywhere between 1 and 60 Da.
    tilt_deg, bow_deg, stretch : float
        Largest tilt of the planes, slope of their curvature at the rim, and relative error of the depth scale; drawn
        evenly between plus and minus the given value.
    density_wave : float
        Relative amplitude of slow variations of the detection efficiency.
    shuffle : bool
        Whether to permute the species over the ions: no order is left, composition and positions stay.

    Raises
    ------
    PlanError
        If the size is out of bounds.
    """

    size_nm: Triple = (30.0, 30.0, 40.0)
    kind: Kind = "ordered"
    alloy: Alloy = field(default_factory=Alloy)
    crystal: Crystal = field(default_factory=lambda: Crystal("L12", 0.405))
    occupancy: float = 0.9
    antisite: float = 0.03
    sigma_xy_nm: float = 0.3
    sigma_z_nm: float = 0.03
    efficiency: float = 0.55
    background: float = 0.02
    tilt_deg: float = 0.5
    bow_deg: float = 1.0
    stretch: float = 0.005
    density_wave: float = 0.12
    shuffle: bool = False

    def __post_init__(self) -> None:
        if not all(1 <= edge <= 1000 for edge in self.size_nm):
            raise PlanError(
                f"The size of a simulated specimen is 1 to 1000 nm on every axis; found {tuple(self.size_nm)} nm. "
                f"Choose another size."
            )


@dataclass(frozen=True)
class Specimen:
    """A simulated specimen and its truth.

    Parameters
    ----------
    cloud : PointCloud
        Ions, sorted by depth as they would evaporate.
    particles : Particles
        The spheres that were put in.
    settings : Settings
        How it was made.
    """

    cloud: PointCloud
    particles: Particles
    settings: Settings

    @property
    def ordered_particles(self) -> Particles:
        """The particles that a search for order should find: none if they are clusters or the species are shuffled."""
        if self.settings.kind != "clusters" and not self.settings.shuffle:
            return self.particles
        return Particles(np.zeros((0, 3)), np.zeros(0), np.zeros(0, dtype=np.int64))


def simulate_specimen(rng: np.random.Generator, particles: Particles, settings: Settings) -> Specimen:
    """Simulate the ions of a specimen.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    particles : Particles
        Ordered spheres; an empty set gives a random solid solution.
    settings : Settings
        Crystal, alloy, blur, efficiency and distortions.

    Returns
    -------
    Specimen

    Raises
    ------
    PlanError
        If the particles hold more of a solute than the alloy has.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> particles = Particles(np.full((1, 3), 3.0), np.array([2.0]), np.array([0]))
    >>> specimen = simulate_specimen(rng, particles, Settings(size_nm=(6, 6, 6)))
    >>> 0.45 < len(specimen.cloud) / (216 * 60.2) < 0.65             # detected share of the atoms
    True
    """
    position, species = [], []
    matrix = _matrix_fractions(particles, settings)
    wave = rng.uniform(0, 2 * np.pi, 3)
    for site_position, site in _lattice(settings):
        seen = rng.random(len(site), dtype=np.float32) < _efficiency(site_position, wave, settings)
        atoms, sites = site_position[seen], site[seen]
        position.append(atoms)
        species.append(_occupy(rng, atoms, sites, particles, matrix, settings))
    kinds = np.concatenate(species)
    if settings.shuffle:
        kinds = rng.permutation(kinds)
    placed = _distort(rng, np.concatenate(position), settings)
    inside = ((placed >= 0) & (placed < settings.size_nm)).all(axis=1)
    cloud = _detect(rng, placed[inside], kinds[inside], settings)
    return Specimen(cloud, particles, settings)


def _lattice(settings: Settings) -> Iterator[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]:
    """Sites in and around the box, in slabs of cells: positions (n, 3) in nm and the site of the cell (n,)."""
    crystal, margin = settings.crystal.parent, _margin_nm(settings)
    size = np.array(settings.size_nm)
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * (size + 2 * margin) - margin
    cells = corners @ crystal.frame / crystal.a_nm  # rows of the frame are images: x = frame · r
    low, high = np.floor(cells.min(axis=0)).astype(int) - 1, np.ceil(cells.max(axis=0)).astype(int) + 1
    sites = np.array(crystal.structure.sites)
    j, k = (a.ravel() for a in np.meshgrid(np.arange(low[1], high[1]), np.arange(low[2], high[2]), indexing="ij"))
    for start in range(low[0], high[0], 8):
        i = np.arange(start, min(start + 8, high[0]))
        cell = np.stack(np.broadcast_arrays(i[:, None], j, k), axis=-1)  # layers: too small to wake the threads of BLAS
        for index, site in enumerate(sites):
            position = ((cell + site) * crystal.a_nm @ crystal.frame.T).astype(np.float32).reshape(-1, 3)
            near = ((position > -margin) & (position < size + margin)).all(axis=1)
            yield position[near], np.full(int(near.sum()), index)


def _margin_nm(settings: Settings) -> float:
    """How far outside the box a site can lie and yet show inside it."""
    x, y, z = settings.size_nm
    tilt, bow = np.tan(np.deg2rad([settings.tilt_deg, settings.bow_deg]))
    lifted = tilt * (x + y) / 2 + bow * (x * x + y * y) / (4 * x) + settings.stretch * z
    blur = 3 * max(settings.sigma_xy_nm, settings.sigma_z_nm)
    return float(max(1.0, 1.1 * lifted) + blur)  # 1.1: each distortion acts on what the others have moved


def _efficiency(position: npt.NDArray[np.float32], wave: Floats, settings: Settings) -> Floats:
    """Vary the detection efficiency from place to place: waves 13, 17 and 25 nm long."""
    x, y, z = (2 * np.pi * position[:, axis] / length for axis, length in enumerate((13.0, 17.0, 25.0)))
    swing = np.sin(x + wave[0]) * np.cos(y + wave[1]) - 0.3 * np.cos(z + wave[2])
    efficiency: Floats = settings.efficiency * (1 + settings.density_wave * swing)
    return efficiency


def _solute_in_particle(settings: Settings) -> float:
    """Solute fraction of a particle."""
    if settings.kind == "weak":
        return sum(settings.alloy.fraction)
    solute_sites = np.mean(settings.crystal.structure.roles)
    return float(solute_sites * settings.occupancy + (1 - solute_sites) * settings.antisite)


def _matrix_fractions(particles: Particles, settings: Settings) -> Floats:
    """Atomic fraction of each solute in the matrix, such that the whole specimen has the alloy's composition."""
    alloy = settings.alloy
    inside = _solute_in_particle(settings) * np.array(alloy.share)
    if settings.kind in ("no-contrast", "weak"):
        return inside
    share = float(particles.volume_nm3.sum() / np.prod(settings.size_nm))
    left = np.array(alloy.fraction) - share * inside
    if share >= 1 or left.min() < 0:
        scarce = int(left.argmin())
        raise PlanError(
            f"Particles of {share:.1%} of the volume take {share * inside[scarce]:.1%} of the atoms as "
            f"{alloy.solutes[scarce]}, the alloy has {alloy.fraction[scarce]:.1%}. "
            f"Choose a smaller volume fraction, a richer alloy or another share of the solutes."
        )
    return left / (1 - share)


def _occupy(
    rng: np.random.Generator,
    position: npt.NDArray[np.float32],
    site: npt.NDArray[np.int64],
    particles: Particles,
    matrix: Floats,
    settings: Settings,
) -> npt.NDArray[np.uint8]:
    """Species of the atoms: 0 host, 1 … solutes."""
    solute = np.full(len(position), matrix.sum())
    first_share = np.full(len(position), matrix[0] / max(matrix.sum(), 1e-12))
    order = np.argsort(position[:, 0], kind="stable")
    sorted_x = position[order, 0]
    roles = _variant_roles(settings)
    for centre, radius, variant in zip(particles.centre_nm, particles.radius_nm, particles.variant, strict=True):
        first, last = np.searchsorted(sorted_x, [centre[0] - radius, centre[0] + radius])
        near = order[first:last]
        near = near[((position[near] - centre) ** 2).sum(axis=1) < radius**2]
        first_share[near] = settings.alloy.share[0]
        if settings.kind == "clusters":
            solute[near] = _solute_in_particle(settings)
        else:
            high, low = settings.occupancy, settings.antisite
            if settings.kind == "weak":
                high, low = min(_solute_in_particle(settings) / float(np.mean(roles[0])), 1.0), 0.0
            solute[near] = np.where(roles[variant, site[near]] == 1, high, low)
    is_solute = rng.random(len(position)) < solute
    is_second = rng.random(len(position)) >= first_share
    return np.where(is_solute, np.where(is_second, 2, 1), 0).astype(np.uint8)


def _variant_roles(settings: Settings) -> npt.NDArray[np.int64]:
    """Role of every site in every translation variant, (variants, sites): the cell started on each parent site."""
    sites = np.array(STRUCTURES[settings.crystal.structure.parent].sites)
    roles = np.array(settings.crystal.structure.roles)
    shifted = (sites[None] - sites[:, None]) % 1.0
    which = np.abs(shifted[:, :, None] - sites[None, None]).sum(axis=3).argmin(axis=2)
    assigned: npt.NDArray[np.int64] = roles[which]
    return assigned


def _distort(rng: np.random.Generator, position: npt.NDArray[np.float32], settings: Settings) -> Floats:
    """Blur, tilt, bow and stretch the planes."""
    size = np.array(settings.size_nm)
    tilt = np.tan(np.deg2rad(rng.uniform(-settings.tilt_deg, settings.tilt_deg, 2)))
    bow = np.tan(np.deg2rad(rng.uniform(-settings.bow_deg, settings.bow_deg))) / (size[0] / 2)
    stretch = 1 + rng.uniform(-settings.stretch, settings.stretch)
    out = position.astype(np.float64)
    x, y = out[:, 0] - size[0] / 2, out[:, 1] - size[1] / 2
    out[:, 2] = out[:, 2] * stretch + tilt[0] * x + tilt[1] * y + 0.5 * bow * (x * x + y * y)
    blur = (settings.sigma_xy_nm, settings.sigma_xy_nm, settings.sigma_z_nm)
    out += rng.standard_normal(out.shape) * blur
    return out


def _detect(rng: np.random.Generator, position: Floats, kinds: npt.NDArray[np.uint8], settings: Settings) -> PointCloud:
    """Mass-to-charge ratios, background, and the order of evaporation."""
    alloy = settings.alloy
    n = round(settings.background * len(position))
    everywhere = rng.random((n, 3)) * settings.size_nm
    likely = [1 - sum(alloy.fraction), *alloy.fraction]
    stray = rng.choice(len(likely), n, p=likely)
    mass = np.array(alloy.mass_da)[np.concatenate([kinds, stray])] + rng.normal(0, 0.04, len(position) + n)
    mass[len(position) :: 2] = rng.uniform(1, 60, len(mass[len(position) :: 2]))
    positions = np.concatenate([position, everywhere]).astype(np.float32)
    positions = np.minimum(positions, np.nextafter(np.array(settings.size_nm, dtype=np.float32), np.float32(0)))
    order = np.argsort(positions[:, 2], kind="stable")
    species = _species_of(mass.astype(np.float32), alloy)
    return PointCloud(positions[order], mass.astype(np.float32)[order], species[order], alloy.ranges.species)


def _species_of(mass: npt.NDArray[np.float32], alloy: Alloy) -> npt.NDArray[np.uint8]:
    """Index into the species table of the alloy's ranges."""
    table = alloy.ranges
    species = np.zeros(len(mass), dtype=np.uint8)
    for (low, high), index in zip(table.bounds_da, table.indices, strict=True):
        species[(mass >= low) & (mass < high)] = index
    return species
