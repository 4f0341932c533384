"""The ions of a simulated specimen, one slab of the crystal at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aptstream.cloud.ranging import apply_ranges
from aptstream.points import PointCloud
from aptstream.simulate.lattice import plane_lattice
from aptstream.simulate.occupation import Occupation, peak_masses, stray_masses

if TYPE_CHECKING:
    from aptstream.simulate.specimen import SpecimenPlan

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

#: Sites of a slab: as many planes as hold no more, but at least one.
SLAB_SITES = 500_000
#: Standard deviation of the column around the axis of the pole where ions are missing, in nm.
POLE_NM = 2.0
#: Wave lengths of efficiency and blur along x, y and z in nm, and the largest swing of one wave.
DENSITY_NM, BLUR_NM, SWING = (13.0, 17.0, 25.0), (19.0, 23.0, 29.0), 1.3
#: Blur along z ends here, in standard deviations: an ion in 500 million would be farther off.
BLUR_END = 6.0


class SlabMaker:
    """Makes the ions of a plan; every slab has a stream of random numbers of its own.

    Parameters
    ----------
    plan : SpecimenPlan
        What to make.
    """

    def __init__(self, plan: SpecimenPlan) -> None:
        self.plan, settings = plan, plan.settings
        self.lattice = plane_lattice(settings.crystal)
        self._occupation = Occupation(self.lattice, plan.particles, settings, plan.matrix)
        self._size = np.array(settings.size_nm)
        widest = max(1.0, settings.precipitate_blur) * (1 + SWING * settings.blur_wave)
        self._lateral = 3 * settings.sigma_xy_nm * widest + 0.5
        self._lift = plan.distortion.lift_range_nm(
            (-self._lateral, -self._lateral),
            (float(self._size[0]) + self._lateral, float(self._size[1]) + self._lateral),
        )
        self._blur_z = BLUR_END * settings.sigma_z_nm * widest
        self._wave = np.random.default_rng(self._seed(0)).uniform(0, 2 * np.pi, (2, 3))
        self.slabs = self._slabs()

    @property
    def nothing(self) -> PointCloud:
        """A cloud without ions."""
        none = np.zeros(0, dtype=np.float32)
        return PointCloud(none.reshape(0, 3), none, none.astype(np.uint8), self.plan.settings.alloy.ranges.species)

    def _slabs(self) -> list[tuple[int, int, int]]:
        """Cut the planes into slabs, from below the box to above it: number, first and last plane (not included)."""
        spacing, settings = self.lattice.spacing_nm, self.plan.settings
        area = float(np.prod(self._size[:2] + 2 * self._lateral))
        planes = max(1, int(SLAB_SITES / (settings.crystal.density_per_nm3 * area * spacing)))
        low = (0 - self._lift[1] - self._blur_z) / self.plan.distortion.stretch
        high = (self._size[2] - self._lift[0] + self._blur_z) / self.plan.distortion.stretch
        # The background fills the box from 0 on, whatever the planes do.
        first, last = int(np.floor(min(low, 0) / spacing)) - 1, int(np.ceil(max(high, self._size[2]) / spacing)) + 1
        starts = range(first, last, planes)
        return [(k + 1, start, min(start + planes, last)) for k, start in enumerate(starts)]

    def final_below_nm(self, done: int) -> float:
        """Depth above which no ion will come any more once some slabs are made, in nm."""
        if done == len(self.slabs):
            return float("inf")
        height = self.slabs[done][1] * self.lattice.spacing_nm
        return min(height, self.plan.distortion.stretch * height + self._lift[0] - self._blur_z) - 1e-3

    def make(self, slab: tuple[int, int, int]) -> PointCloud:
        """Make the ions of a slab that lie in the box, unsorted.

        Parameters
        ----------
        slab : tuple of int
            One of `slabs`.

        Returns
        -------
        PointCloud
        """
        number, first, last = slab
        rng, settings, distortion = np.random.default_rng(self._seed(number)), self.plan.settings, self.plan.distortion
        steps, seen, position = self._detected(rng, first, last)
        owner = self.plan.particles.owner_of(position)
        species = self._occupation.species(rng, steps, seen, owner)
        blur = self._blur(rng, position, owner)
        position[:, 2] *= np.float32(distortion.stretch)
        position[:, 2] += distortion.lift_nm(position[:, 0], position[:, 1])
        position += blur
        mass = peak_masses(rng, settings.alloy, species)
        spacing = self.lattice.spacing_nm
        strays, stray_mass = self._background(rng, first * spacing, last * spacing)
        position, mass = np.concatenate([position, strays]), np.concatenate([mass, stray_mass])
        inside = np.ones(len(position), dtype=np.bool_)
        for axis, edge in enumerate(self._size.astype(np.float32)):
            inside &= (position[:, axis] >= 0) & (position[:, axis] < edge)
        table = settings.alloy.ranges
        return PointCloud(position[inside], mass[inside], apply_ranges(mass[inside], table), table.species)

    def _seed(self, number: int) -> np.random.SeedSequence:
        return np.random.SeedSequence(self.plan.entropy, spawn_key=(number,))

    def _detected(self, rng: np.random.Generator, first: int, last: int) -> tuple[Integers, Integers, Singles]:
        """List cells, and of their sites, counted through, those whose atoms are detected, and where they are."""
        settings, sites = self.plan.settings, self.lattice.sites_nm.astype(np.float32)
        steps, corner = self.lattice.cells(np.full(2, -self._lateral), self._size[:2] + self._lateral, first, last)
        chance = rng.random((len(steps), len(sites)), dtype=np.float32).ravel()
        highest = settings.efficiency * (1 + SWING * settings.density_wave)
        seen = np.flatnonzero(chance < highest)
        cell, site = np.divmod(seen, len(sites))
        position = corner[cell] + sites[site]
        x, y = position[:, 0], position[:, 1]
        kept = (x > -self._lateral) & (x < self._size[0] + self._lateral)
        kept &= (y > -self._lateral) & (y < self._size[1] + self._lateral)
        if settings.density_wave or settings.pole_depletion:
            kept &= chance[seen] < self._efficiency(position)
        return steps, seen[kept], position[kept]

    def _efficiency(self, position: Singles) -> Singles:
        """Vary the detection efficiency from place to place."""
        settings = self.plan.settings
        efficiency = np.float32(settings.efficiency) * (
            1 + np.float32(settings.density_wave) * _swing(position, DENSITY_NM, self._wave[0])
        )
        if settings.pole_depletion:
            squared = ((position[:, :2] - (self._size[:2] / 2).astype(np.float32)) ** 2).sum(axis=1)
            efficiency *= 1 - np.float32(settings.pole_depletion) * np.exp(squared * np.float32(-0.5 / POLE_NM**2))
        return efficiency

    def _blur(self, rng: np.random.Generator, position: Singles, owner: Integers) -> Singles:
        """Error of the positions, (n, 3) in nm."""
        settings = self.plan.settings
        error = rng.standard_normal(position.shape, dtype=np.float32)
        np.clip(error[:, 2], -BLUR_END, BLUR_END, out=error[:, 2])
        error *= np.array([settings.sigma_xy_nm, settings.sigma_xy_nm, settings.sigma_z_nm], dtype=np.float32)
        if settings.blur_wave:
            error *= (1 + np.float32(settings.blur_wave) * _swing(position, BLUR_NM, self._wave[1])).clip(0)[:, None]
        if settings.precipitate_blur != 1:
            error[owner >= 0] *= np.float32(settings.precipitate_blur)
        return error

    def _background(self, rng: np.random.Generator, low_nm: float, high_nm: float) -> tuple[Singles, Singles]:
        """Ions without a site between two depths: positions and m/q."""
        settings = self.plan.settings
        low, high = (min(max(z, 0.0), float(self._size[2])) for z in (low_nm, high_nm))
        volume = float(self._size[0] * self._size[1]) * (high - low)
        n = rng.poisson(settings.background * settings.efficiency * settings.crystal.density_per_nm3 * volume)
        position = rng.random((n, 3), dtype=np.float32)
        position *= np.array([self._size[0], self._size[1], high - low], dtype=np.float32)
        position[:, 2] += np.float32(low)
        return position, stray_masses(rng, settings.alloy, n)


def _swing(position: Singles, length_nm: tuple[float, float, float], phase: Floats) -> Singles:
    """Slow wave in space, between −1.3 and 1.3, (n,)."""
    x, y, z = (
        position[:, axis] * np.float32(2 * np.pi / length_nm[axis]) + np.float32(phase[axis]) for axis in range(3)
    )
    swing: Singles = np.sin(x) * np.cos(y) - np.float32(0.3) * np.cos(z)
    return swing
