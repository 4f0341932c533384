"""Simulated specimens without any lattice, and with all that could be taken for one: what a search must not find.

Density waves, shells of higher density along former surfaces, edges, and the ray of real data: ions that were detected
together lie beside each other at the same depth, on the surface that the reconstruction assumed. That puts power on
the normal of that surface at every wavelength, where planes put it at one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from aptstream.cloud.ranging import apply_ranges
from aptstream.errors import PlanError
from aptstream.points import PointCloud
from aptstream.regions import Triple
from aptstream.simulate.alloy import Alloy
from aptstream.simulate.cone import Cone
from aptstream.simulate.occupation import peak_masses
from aptstream.simulate.specimen import by_depth
from aptstream.simulate.waves import DensityWaves, draw_waves

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

#: Ions made at a time.
BLOCK = 500_000


class Shell(NamedTuple):
    """More or fewer ions between two spheres.

    Parameters
    ----------
    centre_nm : tuple of float
        Their centre in nm.
    radius_nm, thickness_nm : float
        Radius of the middle and distance of both in nm.
    density : float
        Relative to what is elsewhere.
    """

    centre_nm: Triple
    radius_nm: float
    thickness_nm: float
    density: float


class Ray(NamedTuple):
    """Ions that were detected together.

    On a real reconstruction of Si, 12 ions in a nm³, power along the normal of a surface of 36 nm radius is 2.3 times
    that of chance at 4/nm and 1.6 times at 7/nm, half of it is left at 3° from the normal and nothing at 9°.

    Parameters
    ----------
    share : float
        Ions that get partners / ions.
    partners : float
        How many they get in the mean, at least 1: a geometric distribution.
    reach_nm : tuple of float
        Nearest and farthest partner, along the surface, in nm.
    scatter_nm : float
        Standard deviation of a partner's place normal to the surface in nm.
    tilt : tuple of float
        Direction of the normal of the surface at the axis: its x and y.
    surface_radius_nm : float
        Radius of the surface in nm.
    """

    share: float
    partners: float
    reach_nm: tuple[float, float]
    scatter_nm: float
    tilt: tuple[float, float]
    surface_radius_nm: float

    def normal(self, position: npt.NDArray[np.floating]) -> Singles:
        """Tell the normal of the surface at positions (n, 3): unit vectors, (n, 3)."""
        normal = np.ones(position.shape, dtype=np.float32)
        normal[:, :2] = position[:, :2] / self.surface_radius_nm + np.array(self.tilt)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        return normal


@dataclass(frozen=True)
class Disorder:
    """All that makes a specimen uneven.

    Parameters
    ----------
    waves : DensityWaves
        Waves of density.
    shells : tuple of Shell
        Shells of other density; where two cross, the later one counts.
    void_nm : tuple of float
        x, y, z and radius of a sphere without ions.
    wedge_deg : tuple of float
        Azimuth between whose bounds there are no ions: from, and how far.
    ray : Ray
        Ions that were detected together.
    """

    waves: DensityWaves
    shells: tuple[Shell, ...]
    void_nm: tuple[float, float, float, float]
    wedge_deg: tuple[float, float]
    ray: Ray

    def density(self, position: npt.NDArray[np.floating]) -> Singles:
        """Density at positions (n, 3) relative to that of an even specimen, (n,)."""
        density = np.ones(len(position), dtype=np.float32)
        for shell in self.shells:
            apart = np.abs(_distance(position, shell.centre_nm) - np.float32(shell.radius_nm))
            density[apart < shell.thickness_nm / 2] = shell.density
        density *= self.waves.density(position)
        density[_distance(position, self.void_nm[:3]) < self.void_nm[3]] = 0
        begin, width = self.wedge_deg
        density[(np.rad2deg(np.arctan2(position[:, 1], position[:, 0])) - begin) % 360 < width] = 0
        return density

    @property
    def highest(self) -> float:
        """Bound of the density."""
        return self.waves.highest * max(1.0, *(shell.density for shell in self.shells), 0)


class Structureless(NamedTuple):
    """A simulated specimen without lattice.

    Parameters
    ----------
    cloud : PointCloud
        Ions, sorted by z.
    disorder : Disorder
        What was drawn.
    """

    cloud: PointCloud
    disorder: Disorder


def draw_disorder(rng: np.random.Generator, cone: Cone) -> Disorder:
    """Draw all that makes a specimen uneven.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    cone : Cone
        Shape of the specimen.

    Returns
    -------
    Disorder
        One to four density waves of 2 to 30 nm, shells, a void and a wedge in every other specimen each, and partners
        for up to a quarter of the ions.
    """
    radius, height = cone.tip_radius_nm, cone.height_nm
    waves = draw_waves(rng, int(rng.integers(1, 5)), 0.2, (2.0, 30.0))
    shells = []
    for _ in range(int(rng.integers(1, 9)) * int(rng.integers(0, 2))):
        # The centre lies so deep that the shell cuts the axis at a depth of the specimen.
        bow, depth = rng.uniform(radius, 8 * radius), rng.uniform(0, height)
        aside = rng.uniform(-0.5, 0.5, 2) * radius
        centre = (float(aside[0]), float(aside[1]), float(depth + bow))
        shells.append(Shell(centre, float(bow), float(rng.uniform(1, 3)), float(rng.choice([0.4, 0.7, 1.5, 2]))))
    place = cone.scatter(rng, 1)[0]
    void = float(rng.uniform(0.15, 0.5) * radius * rng.integers(0, 2))
    wedge = float(rng.uniform(20, 120) * rng.integers(0, 2))
    angle, azimuth = np.deg2rad(rng.uniform(0, 20)), rng.uniform(0, 2 * np.pi)
    ray = Ray(
        share=float(rng.uniform(0, 0.25)),
        partners=float(rng.uniform(1, 4)),
        reach_nm=(0.3, float(rng.uniform(0.6, 1.5))),
        scatter_nm=float(rng.uniform(0.01, 0.06)),
        tilt=(float(np.tan(angle) * np.cos(azimuth)), float(np.tan(angle) * np.sin(azimuth))),
        surface_radius_nm=float(rng.uniform(1.5, 6) * radius),
    )
    x, y, z = map(float, place)
    return Disorder(waves, tuple(shells), (x, y, z, void), (float(rng.uniform(-180, 180)), wedge), ray)


def simulate_structureless(
    rng: np.random.Generator,
    cone: Cone | None = None,
    *,
    density_per_nm3: float = 30.0,
    alloy: Alloy | None = None,
    disorder: Disorder | None = None,
) -> Structureless:
    """Simulate the reconstruction of a needle that has no lattice, but waves, shells, edges and a ray.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of all randomness.
    cone : Cone, optional
        Shape; that of a needle by default.
    density_per_nm3 : float
        Ions in a nm³ before waves, shells and edges, without partners.
    alloy : Alloy, optional
        Species and amounts, drawn anew for every ion.
    disorder : Disorder, optional
        What makes it uneven; drawn where it is not given.

    Returns
    -------
    Structureless

    Raises
    ------
    PlanError
        If the density is not above 0 and up to 200.

    Examples
    --------
    >>> specimen = simulate_structureless(np.random.default_rng(1), Cone(4, 0, 8))
    >>> len(specimen.cloud) > 1000, specimen.disorder.ray.share < 0.25
    (True, True)
    """
    if not 0 < density_per_nm3 <= 200:
        raise PlanError(f"A specimen has more than 0 and up to 200 ions in a nm³; found {density_per_nm3}.")
    cone, alloy = cone or Cone(), alloy or Alloy()
    disorder = disorder or draw_disorder(rng, cone)
    left = rng.poisson(density_per_nm3 * cone.volume_nm3 * disorder.highest)
    blocks = [np.zeros((0, 3), dtype=np.float32)]
    while left > 0:
        position = cone.scatter(rng, min(left, BLOCK))
        left -= len(position)
        chance = rng.random(len(position), dtype=np.float32) * np.float32(disorder.highest)
        position = position[chance < disorder.density(position)]
        partners = _partners(rng, position, disorder.ray)
        blocks += [position, partners[cone.contains(partners)]]
    position = np.concatenate(blocks)
    species = rng.choice(len(alloy.mass_da), len(position), p=[1 - sum(alloy.fraction), *alloy.fraction])
    mass = peak_masses(rng, alloy, species)
    cloud = PointCloud(position, mass, apply_ranges(mass, alloy.ranges), alloy.ranges.species)
    return Structureless(by_depth(cloud), disorder)


def _partners(rng: np.random.Generator, position: Singles, ray: Ray) -> Singles:
    """Ions that were detected together with some of those at positions (n, 3), (m, 3)."""
    first = position[rng.random(len(position), dtype=np.float32) < ray.share]
    first = np.repeat(first, rng.geometric(1 / ray.partners, len(first)), axis=0)
    normal = ray.normal(first)
    aside = np.cross(normal, np.array([1, 0, 0], dtype=np.float32))
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    turn = rng.random(len(first), dtype=np.float32) * np.float32(2 * np.pi)
    low, high = ray.reach_nm
    reach = np.sqrt(low**2 + (high**2 - low**2) * rng.random(len(first), dtype=np.float32))
    scatter = np.float32(ray.scatter_nm) * rng.standard_normal(len(first), dtype=np.float32)
    along = np.cos(turn)[:, None] * aside + np.sin(turn)[:, None] * np.cross(normal, aside)
    partners: Singles = (first + reach[:, None] * along + scatter[:, None] * normal).astype(np.float32)
    return partners


def _distance(position: npt.NDArray[np.floating], centre: tuple[float, ...]) -> npt.NDArray[np.floating]:
    apart = position - np.array(centre, dtype=position.dtype)
    return np.asarray(np.sqrt((apart * apart).sum(axis=1)))
