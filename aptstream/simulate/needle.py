"""Simulated needles: a crystal in any orientation, as a reconstruction shows it, with the truth about its poles.

Planes stand sharp near the axis of a pole and fade away from it, tilted as the crystal lies and bent to domes. So do
reconstructions of real needles look before anybody has turned and flattened them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import combinations
from math import isinf

import numpy as np
import numpy.typing as npt

from aptstream.cloud.ranging import apply_ranges
from aptstream.crystal import Crystal, equivalent_poles
from aptstream.errors import PlanError
from aptstream.points import PointCloud
from aptstream.simulate.alloy import Alloy
from aptstream.simulate.cone import Cone
from aptstream.simulate.domes import Domes, TruePole
from aptstream.simulate.lattice import plane_lattice
from aptstream.simulate.occupation import Occupation, check_variants, matrix_fractions, peak_masses, stray_masses
from aptstream.simulate.particles import Particles
from aptstream.simulate.settings import Settings
from aptstream.simulate.specimen import by_depth, join, ordered
from aptstream.simulate.waves import draw_waves

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

NOTHING = Particles(np.zeros((0, 3)), np.zeros(0), np.zeros(0, dtype=np.int64))
#: Sites of a slab: as many planes as hold no more, but at least one.
SLAB_SITES = 1_000_000
#: Other poles are seen if they lie at least this far inside the field of view, and apart from the first.
INSIDE_DEG, APART_DEG = 4.0, 3.0
#: Ions that are missing on the axis of a pole, that are too many around it, and that are missing on zone lines.
CORE, RIM, LINE = 0.43, 0.14, 0.2
#: Where the first two end, in nm, and half the width of a zone line as a share of the needle's radius over its field.
CORE_NM, RIM_NM, LINE_WIDTH = 2.0, 3.5, 0.015
#: Density waves of a needle, and their shortest and longest wavelength in nm.
N_WAVES, WAVES_NM = 3, (8.0, 30.0)


@dataclass(frozen=True)
class NeedleSettings:
    """Everything about a simulated needle but its particles.

    Parameters
    ----------
    crystal : Crystal
        Structure and the pole that `tilt_deg` is about. An ordered structure for particles; the matrix is its parent.
    tilt_deg, azimuth_deg : float
        Direction of the normal of the pole's planes: angle from z, and of its projection from x.
    spin_deg : float
        Turn of the crystal about that normal.
    others : tuple of tuple of int
        Further poles (hkl) whose planes are seen: of each, all that symmetry makes of it within the field of view.
    cone : Cone
        Shape of the needle.
    field_deg : float
        Angle between the axis of the needle and what the detector shows at its rim.
    dome_radius_nm : float
        Radius to which the planes are bent; infinite for flat ones.
    fade_nm : float
        Distance from the axis of a pole at which its planes have faded.
    sigma_normal_nm, sigma_outside_nm : float
        Blur normal to the planes near the axis, and added to it (in squares) where the planes have faded.
    sigma_lateral_nm : float
        Blur along the planes.
    z_scale : float
        Factor on depths: how far off the reconstruction is.
    efficiency : float
        Share of the atoms that are detected.
    background : float
        Ions without a lattice site / ions with one, evenly in the needle; half of them fall into a range.
    density_wave : float
        Relative amplitude of each of three slow waves of the efficiency.
    depletion : float
        Strength of the pattern on the detector: few ions on the axes of poles, more around them, few on zone lines
        between them.
    alloy : Alloy
        Species and amounts.
    occupancy, antisite, order : float
        Solute on the solute and on the host sites of ordered particles, and their order, see `Settings`.

    Raises
    ------
    PlanError
        If a number is out of bounds, or the pole is not within the field of view.

    Examples
    --------
    >>> NeedleSettings(Crystal("FCC", 0.405, (0, 0, 1)), tilt_deg=10).directions[0][1].round(3).tolist()
    [0.174, 0.0, 0.985]
    """

    crystal: Crystal = field(default_factory=lambda: Crystal("FCC", 0.405))
    tilt_deg: float = 10.0
    azimuth_deg: float = 0.0
    spin_deg: float = 0.0
    others: tuple[tuple[int, int, int], ...] = ()
    cone: Cone = field(default_factory=Cone)
    field_deg: float = 40.0
    dome_radius_nm: float = 100.0
    fade_nm: float = 11.0
    sigma_normal_nm: float = 0.04
    sigma_outside_nm: float = 0.15
    sigma_lateral_nm: float = 0.4
    z_scale: float = 1.0
    efficiency: float = 0.5
    background: float = 0.05
    density_wave: float = 0.05
    depletion: float = 1.0
    alloy: Alloy = field(default_factory=Alloy)
    occupancy: float = 0.9
    antisite: float = 0.03
    order: float = 1.0

    def __post_init__(self) -> None:
        for name, (low, high) in _BOUNDS.items():
            value = getattr(self, name)
            if not low <= value <= high and not (name == "dome_radius_nm" and isinf(value) and value > 0):
                raise PlanError(f"{name} of a simulated needle lies between {low:g} and {high:g}; found {value}.")
        if self.tilt_deg >= self.field_deg:
            raise PlanError(
                f"A pole is seen at less than field_deg from the axis of a needle; found a tilt of {self.tilt_deg}° "
                f"and a field of {self.field_deg}°. Tilt it less."
            )
        for pole in self.others:
            replace(self.crystal, pole=pole)

    @property
    def turn(self) -> Floats:
        """Rotation that leads from the frame of `Crystal.frame`, with the planes of the pole normal to z, (3, 3)."""
        azimuth, tilt, spin = np.deg2rad((self.azimuth_deg, self.tilt_deg, self.spin_deg))
        return _about_z(azimuth) @ _about_y(tilt) @ _about_z(spin)

    @property
    def directions(self) -> list[tuple[tuple[int, ...], Floats]]:
        """Indices of the poles whose planes are seen, the settings' own one first, and unit vectors along normals."""
        highest, apart = np.cos(np.deg2rad((self.field_deg - INSIDE_DEG, APART_DEG)))
        seen = [(self.crystal.pole, self.turn[:, 2])]
        for family in self.others:
            for pole in equivalent_poles(self.crystal.label, family):
                crystal = replace(self.crystal, pole=pole)
                direction = self.turn @ self.crystal.frame @ crystal.frame[2]
                if direction[2] > highest and all(direction @ known < apart for _, known in seen):
                    seen.append((crystal.pole, direction))
        return seen

    @property
    def domes(self) -> Domes:
        """What leads from the crystal to its reconstruction."""
        directions = tuple((float(x), float(y), float(z)) for _, (x, y, z) in self.directions)
        return Domes(self.cone, self.field_deg, directions, self.dome_radius_nm, self.z_scale)

    @property
    def poles(self) -> tuple[TruePole, ...]:
        """The poles whose planes are seen, the settings' own one first."""
        domes = self.domes
        return tuple(
            TruePole(hkl, direction, replace(self.crystal, pole=hkl).plane_spacing_nm, self.fade_nm, domes)
            for (hkl, _), direction in zip(self.directions, domes.directions, strict=True)
        )

    @property
    def chemistry(self) -> Settings:
        """What the sites hold."""
        return Settings(
            alloy=self.alloy,
            crystal=self.crystal,
            occupancy=self.occupancy,
            antisite=self.antisite,
            order=self.order,
        )


@dataclass(frozen=True)
class Needle:
    """A simulated needle and its truth.

    Parameters
    ----------
    cloud : PointCloud
        Ions as the reconstruction puts them, sorted by z.
    particles : Particles
        What was put in, in the coordinates of the specimen before: x and y from its axis, z from 0 to its height.
    settings : NeedleSettings
        How it was made.
    """

    cloud: PointCloud
    particles: Particles
    settings: NeedleSettings

    @property
    def domes(self) -> Domes:
        """Leads from the specimen (`apply`) to the reconstruction and back (`undo`)."""
        return self.settings.domes

    @property
    def poles(self) -> tuple[TruePole, ...]:
        """The poles whose planes are seen, the settings' own one first."""
        return self.settings.poles

    @property
    def ordered_particles(self) -> Particles:
        """The particles that a search for order should find, where the ions are."""
        return ordered(self.particles, self.settings.chemistry, self.domes)


def simulate_needle(rng: np.random.Generator, settings: NeedleSettings, particles: Particles = NOTHING) -> Needle:
    """Simulate the reconstruction of a needle.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    settings : NeedleSettings
        Crystal and its orientation, shape, distortions, blur and efficiency.
    particles : Particles
        What to put in, in the coordinates of the specimen: x and y from its axis, z from 0 to its height. None by
        default: a random solid solution.

    Returns
    -------
    Needle

    Raises
    ------
    PlanError
        If the particles hold more of a solute than the alloy has, or are of a variant that the structure has not.

    Examples
    --------
    >>> needle = simulate_needle(np.random.default_rng(1), NeedleSettings(cone=Cone(5, 0, 8)))
    >>> 0.4 < len(needle.cloud) / (60.2 * needle.settings.cone.volume_nm3) < 0.6
    True
    >>> needle.poles[0].hkl, [round(x, 3) for x in needle.poles[0].on_axis_nm(4)]
    ((0, 1, 1), [1.351, 0.0, 4.0])
    """
    check_variants(particles, settings.crystal)
    maker = _NeedleMaker(rng, settings, particles)
    blocks = [maker.strays(), *maker.slabs()]
    return Needle(by_depth(join(blocks)), particles, settings)


class _NeedleMaker:
    """Makes the ions of a needle, some planes of the crystal at a time."""

    def __init__(self, rng: np.random.Generator, settings: NeedleSettings, particles: Particles) -> None:
        self._rng, self._settings, self._domes = rng, settings, settings.domes
        self._lattice = plane_lattice(settings.crystal)
        self._particles = particles
        matrix = matrix_fractions(_share(particles, settings.cone), settings.chemistry)
        self._occupation = Occupation(self._lattice, particles, settings.chemistry, matrix)
        self._turn = settings.turn
        # Where in a cell the middle of the specimen lies is left to chance.
        middle = np.array([0, 0, settings.cone.height_nm / 2])
        self._origin = middle - rng.random(3) @ self._lattice.steps_nm @ self._turn.T
        self._waves = draw_waves(rng, N_WAVES, settings.density_wave, WAVES_NM)

    def slabs(self) -> Iterator[PointCloud]:
        """Ions of the crystal."""
        settings, spacing, normal = self._settings, self._lattice.spacing_nm, self._turn[:, 2]
        level = float(self._origin @ normal)
        corners = settings.cone.between(normal, -np.inf, np.inf) @ normal - level
        first, last = int(np.floor(corners.min() / spacing)) - 1, int(np.ceil(corners.max() / spacing)) + 1
        area = (2 * settings.cone.foot_radius_nm) ** 2 / normal[2]
        planes = max(1, int(SLAB_SITES / (settings.crystal.density_per_nm3 * area * spacing)))
        for start in range(first, last, planes):
            stop = min(start + planes, last)
            inside = settings.cone.between(normal, level + start * spacing, level + stop * spacing)
            if len(inside):
                yield self._slab((inside - self._origin) @ self._turn[:, :2], start, stop)

    def strays(self) -> PointCloud:
        """Ions without a site."""
        settings = self._settings
        mean = settings.background * settings.efficiency * settings.crystal.density_per_nm3 * settings.cone.volume_nm3
        position = settings.cone.scatter(self._rng, self._rng.poisson(mean))
        position[:, 2] *= np.float32(settings.z_scale)
        return self._ranged(position, stray_masses(self._rng, settings.alloy, len(position)))

    def _slab(self, corners: Floats, first: int, last: int) -> PointCloud:
        steps, seen, position = self._detected(corners, first, last)
        owner = self._particles.owner_of(position)
        species = self._occupation.species(self._rng, steps, seen, owner)
        which = self._domes.nearest(position)
        for k in range(len(self._domes.directions)):
            rows = which == k
            position[rows] = self._reconstructed(position[rows], k)
        return self._ranged(position, peak_masses(self._rng, self._settings.alloy, species))

    def _detected(self, corners: Floats, first: int, last: int) -> tuple[Integers, Integers, Singles]:
        """List cells, and of their sites, counted through, those whose atoms are detected, and where they were."""
        settings, lattice = self._settings, self._lattice
        back = self._turn.T.astype(np.float32)
        sites = lattice.sites_nm.astype(np.float32) @ back
        steps, corner = lattice.cells(corners.min(axis=0), corners.max(axis=0), first, last)
        corner = corner @ back + self._origin.astype(np.float32)
        near = np.flatnonzero(settings.cone.contains(corner, float(np.linalg.norm(sites, axis=1).max())))
        steps, corner = steps[near], corner[near]
        chance = self._rng.random((len(steps), len(sites)), dtype=np.float32).ravel()
        highest = settings.efficiency * (1 + RIM * settings.depletion) * self._waves.highest
        seen = np.flatnonzero(chance < highest)
        cell, site = np.divmod(seen, len(sites))
        position = corner[cell] + sites[site]
        kept = settings.cone.contains(position)
        kept &= chance[seen] < settings.efficiency * self._waves.density(position) * self._pattern(position)
        return steps, seen[kept], position[kept]

    def _pattern(self, position: Singles) -> Singles:
        """Density that the detector shows round poles and on lines between them, relative to what is elsewhere."""
        strength = np.float32(self._settings.depletion)
        squares = np.min([self._domes.squared_offset(position, k) for k in range(len(self._domes.directions))], axis=0)
        density = np.where(squares < RIM_NM**2, 1 + np.float32(RIM) * strength, np.float32(1))
        density[squares < CORE_NM**2] = 1 - np.float32(CORE) * strength
        cone = self._settings.cone
        reach = (cone.tip_radius_nm + cone.widening * position[:, 2]) * self._domes.per_radius
        for (x, y, _), (to_x, to_y, _) in combinations(self._domes.directions, 2):
            length = np.hypot(to_x - x, to_y - y)
            across = (position[:, 0] / reach - x) * (to_y - y) - (position[:, 1] / reach - y) * (to_x - x)
            density[np.abs(across) < LINE_WIDTH * length] *= 1 - np.float32(LINE) * strength
        return np.asarray(density)

    def _reconstructed(self, position: Singles, pole: int) -> Singles:
        """Blur the places of atoms that belong to a pole, and put them where the reconstruction does."""
        settings, rng = self._settings, self._rng
        normal = np.array(self._domes.directions[pole], dtype=np.float32)
        weight = np.exp(-((self._domes.squared_offset(position, pole) / settings.fade_nm**2) ** 3))
        sigma = np.sqrt(settings.sigma_normal_nm**2 + (1 - weight) * settings.sigma_outside_nm**2)
        blur = rng.standard_normal(position.shape, dtype=np.float32)
        blur *= np.float32(settings.sigma_lateral_nm)
        along = sigma * rng.standard_normal(len(position), dtype=np.float32) - blur @ normal
        moved = position + blur + along[:, None] * normal
        moved += self._domes.lift_nm(moved, pole)[:, None] * normal
        moved[:, 2] *= np.float32(settings.z_scale)
        return np.asarray(moved)

    def _ranged(self, position: Singles, mass: Singles) -> PointCloud:
        table = self._settings.alloy.ranges
        return PointCloud(position, mass, apply_ranges(mass, table), table.species)


def _share(particles: Particles, cone: Cone) -> float:
    """Share of the needle that lies in particles, counted on some hundred thousand points."""
    if not len(particles):
        return 0.0
    step = (cone.volume_nm3 / 400_000) ** (1 / 3)
    radius = cone.foot_radius_nm
    across, along = np.arange(-radius + step / 2, radius, step), np.arange(step / 2, cone.height_nm, step)
    points = np.stack(np.meshgrid(across, across, along, indexing="ij"), axis=-1).reshape(-1, 3)
    return float((particles.owner_of(points[cone.contains(points)]) >= 0).mean())


def _about_z(angle: float) -> Floats:
    return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])


def _about_y(angle: float) -> Floats:
    return np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])


_BOUNDS: dict[str, tuple[float, float]] = {
    "tilt_deg": (0, 60),
    "azimuth_deg": (-360, 360),
    "spin_deg": (-360, 360),
    "field_deg": (10, 80),
    "dome_radius_nm": (30, 1e9),
    "fade_nm": (1, 1000),
    **dict.fromkeys(("sigma_normal_nm", "sigma_outside_nm", "sigma_lateral_nm"), (0, 5)),
    "z_scale": (0.5, 2),
    "efficiency": (0.01, 1),
    "background": (0, 10),
    "density_wave": (0, 0.3),
    "depletion": (0, 1),
    **dict.fromkeys(("occupancy", "antisite", "order"), (0, 1)),
}
