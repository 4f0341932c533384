"""Where the particles of a simulated specimen lie, how large they are and of which shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from aptstream.errors import PlanError
from aptstream.regions import Triple
from aptstream.simulate.particles import Particles, within_shape

Floats = npt.NDArray[np.float64]

#: Largest radius that is drawn, in nm.
LARGEST_NM = 6.0
#: Places that are tried for a particle before it is left out.
_TRIES = 400


@dataclass(frozen=True)
class Population:
    """Particles of one kind.

    Parameters
    ----------
    volume_fraction : float
        Volume of all of them / volume of the box.
    mean_nm, sd_nm : float
        Mean and standard deviation of the lognormal distribution of their radii in nm; of a particle that is no sphere,
        the radius of a sphere of its volume.
    n_small : int
        Further ones with radii of 0.5–1.5 nm, wholly inside. They count towards the volume.
    shape : {"ellipsoid", "plate"}
        Plates are discs with flat faces.
    axes : tuple of float
        Ratio of the half axes; that of a plate along its normal comes last. Equal ones make a sphere.
    order : float
        Long-range order parameter, 0 … 1.

    Raises
    ------
    PlanError
        If a number is out of bounds.
    """

    volume_fraction: float
    mean_nm: float = 2.5
    sd_nm: float = 0.6
    n_small: int = 0
    shape: Literal["ellipsoid", "plate"] = "ellipsoid"
    axes: Triple = (1.0, 1.0, 1.0)
    order: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.volume_fraction <= 1 and 0 <= self.order <= 1 and self.n_small >= 0):
            raise PlanError(
                f"The volume fraction and the order of a population lie between 0 and 1, and its number of small "
                f"particles is not negative; found {self.volume_fraction}, {self.order}, {self.n_small}."
            )
        if not (self.mean_nm > 0 and self.sd_nm >= 0 and all(0.02 <= a <= 50 for a in self.axes)):
            raise PlanError(
                f"The radii of a population are positive and its half axes 0.02 to 50 of each other; found mean "
                f"{self.mean_nm} nm, standard deviation {self.sd_nm} nm, axes {self.axes}."
            )
        if self.shape == "plate" and self.axes[0] != self.axes[1]:
            raise PlanError(f"A plate is round: its first two half axes are equal; found {self.axes}.")

    @property
    def unit_axes(self) -> Triple:
        """Half axes of a particle whose radius is 1."""
        scale = float(np.cbrt(np.prod(self.axes) * (1.5 if self.shape == "plate" else 1.0)))
        x, y, z = (axis / scale for axis in self.axes)
        return x, y, z


def draw_particles(
    rng: np.random.Generator,
    size_nm: Triple,
    *,
    volume_fraction: float,
    mean_nm: float = 2.5,
    sd_nm: float = 0.6,
    n_small: int = 0,
) -> Particles:
    """Draw spheres of L1₂, of which there are four variants, at least 0.8 nm apart.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    size_nm : tuple of float
        Size of the box 0 … size in nm; see `place_particles`.
    volume_fraction, mean_nm, sd_nm, n_small
        See `Population`.

    Returns
    -------
    Particles

    Examples
    --------
    >>> particles = draw_particles(np.random.default_rng(0), (30, 30, 40), volume_fraction=0.1)
    >>> bool(particles.radius_nm.min() > 0.5)
    True
    """
    return place_particles(rng, size_nm, [Population(volume_fraction, mean_nm, sd_nm, n_small)], n_variants=4)


def place_particles(
    rng: np.random.Generator,
    size_nm: Triple,
    populations: Sequence[Population],
    *,
    n_variants: int,
    gap_nm: float = 0.8,
) -> Particles:
    """Draw the particles of some populations and place them at random, the largest first.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    size_nm : tuple of float
        Size of the box 0 … size in nm. Centres may lie a little outside, so that particles are cut by its faces as in a
        measured volume.
    populations : sequence of Population
        What to draw.
    n_variants : int
        Variants of the ordered structure, such as ``len(crystal.variants)``; drawn evenly.
    gap_nm : float
        Smallest distance of two surfaces in nm; a negative one lets them overlap so far.

    Returns
    -------
    Particles
        Turned at random; those that found no room are left out.

    Examples
    --------
    >>> plates = Population(0.03, shape="plate", axes=(4, 4, 1))
    >>> found = place_particles(np.random.default_rng(0), (20, 20, 20), [plates], n_variants=12)
    >>> bool(found.plate.all()), len(found) > 0
    (True, True)
    """
    size = np.array(size_nm, dtype=np.float64)
    drawn = [
        (radius, population)
        for population in populations
        for radius in _draw_radii(rng, population, float(size.prod()))
    ]
    drawn.sort(key=lambda pair: -pair[0])
    room = _Room(gap_nm, len(drawn))
    for radius, population in drawn:
        axes = radius * np.diag(population.unit_axes)
        if len(set(population.axes)) > 1:
            axes = axes @ _random_rotation(rng)
        margin = -0.2 * radius if radius > 1.5 else radius * max(population.unit_axes)
        for _ in range(_TRIES if (size >= 2 * margin).all() else 0):
            centre = rng.uniform(margin, size - margin)
            if room.is_free(centre, axes, population.shape == "plate"):
                room.add(centre, axes, radius, population)
                break
    n = room.n
    return Particles(
        room.centre[:n],
        room.radius[:n],
        rng.integers(0, n_variants, n),
        room.axes[:n],
        room.plate[:n],
        room.order[:n],
    )


def _draw_radii(rng: np.random.Generator, population: Population, volume_nm3: float) -> list[float]:
    """Radii until the volume fraction is reached, in nm."""
    wanted = population.volume_fraction * volume_nm3
    sigma = np.sqrt(np.log(1 + (population.sd_nm / population.mean_nm) ** 2))
    radii: list[float] = rng.uniform(0.5, 1.5, population.n_small).tolist()
    volume = sum(4 / 3 * np.pi * r**3 for r in radii)
    while volume < wanted:
        radii.append(min(rng.lognormal(np.log(population.mean_nm) - sigma**2 / 2, sigma), LARGEST_NM))
        volume += 4 / 3 * np.pi * radii[-1] ** 3
    return radii


class _Room:
    """Particles that have found a place, and whether there is room for another."""

    def __init__(self, gap_nm: float, most: int) -> None:
        self.gap_nm, self.n = gap_nm, 0
        self.centre, self.axes = np.zeros((most, 3)), np.zeros((most, 3, 3))
        self.radius, self.order, self._reach = np.zeros(most), np.zeros(most), np.zeros(most)
        self.plate, self._round = np.zeros(most, dtype=np.bool_), np.zeros(most, dtype=np.bool_)

    def is_free(self, centre: Floats, axes: Floats, plate: bool) -> bool:
        """Whether a particle here would keep its distance from all others."""
        reach, is_round = _reach(axes, plate)
        distance = np.linalg.norm(self.centre[: self.n] - centre, axis=1)
        close = np.flatnonzero(distance <= self._reach[: self.n] + reach + self.gap_nm)
        if is_round and self._round[close].all():
            return not len(close)
        surface = centre + _surface(plate) @ axes
        return not any(
            self._touches(surface, self.centre[k], self.axes[k], bool(self.plate[k]))
            or self._touches(self.centre[k] + _surface(bool(self.plate[k])) @ self.axes[k], centre, axes, plate)
            for k in close
        )

    def _touches(self, points: Floats, centre: Floats, axes: Floats, plate: bool) -> bool:
        """Whether a point lies in a particle that is thicker by the gap all around."""
        length = np.linalg.norm(axes, axis=1)
        thicker = np.maximum(length + self.gap_nm, 1e-3)
        squares = ((points - centre) @ (axes / length[:, None]).T / thicker) ** 2
        return bool(within_shape(squares[:, 0] + squares[:, 1], squares[:, 2], plate).any())

    def add(self, centre: Floats, axes: Floats, radius: float, population: Population) -> None:
        """Put a particle here."""
        k, plate = self.n, population.shape == "plate"
        self.centre[k], self.axes[k], self.plate[k], self.order[k] = centre, axes, plate, population.order
        self.radius[k] = radius
        self._reach[k], self._round[k] = _reach(axes, plate)
        self.n += 1


def _reach(axes: Floats, plate: bool) -> tuple[float, bool]:
    """Radius of the sphere around a particle in nm, and whether it is one itself."""
    lengths = np.linalg.norm(axes, axis=1)
    if plate:
        return float(np.hypot(lengths[0], lengths[2])), False
    return float(lengths.max()), bool(np.allclose(lengths, lengths[0], rtol=1e-12))


def _surface(plate: bool) -> Floats:
    """Points on the unit sphere, or on rim and faces of the unit disc, (n, 3)."""
    k = np.arange(200)
    turn, height = k * np.pi * (3 - 5**0.5), 1 - (2 * k + 1) / 200  # Fibonacci's spiral
    across = np.sqrt(1 - height**2)
    points = np.stack([across * np.cos(turn), across * np.sin(turn), height], axis=1)
    return points / np.maximum(across, np.abs(height))[:, None] if plate else points


def _random_rotation(rng: np.random.Generator) -> Floats:
    """Rotation drawn evenly from all, (3, 3), from a random quaternion (Shoemake 1992)."""
    w, x, y, z = (q := rng.standard_normal(4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
