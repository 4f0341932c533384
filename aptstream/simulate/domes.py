"""How a reconstruction bends the planes round the poles of a needle, and where that puts atoms and planes.

A reconstruction takes the surface for a cap that is a little too flat or too round, so that planes that were flat come
out as domes round the axis of their pole. The axis of a pole runs where the detector shows the pole: through the
specimen from tip to foot, always at the same share of its radius. The dome is counted from the axis at the same height.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptstream.pole import Pole
from aptstream.regions import Triple
from aptstream.simulate.cone import Cone

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Floating = npt.NDArray[np.floating]

#: Square of the distance from the axis beyond which a dome goes on level, in nm².
LEVEL_NM2 = 400.0
#: Most steps to find the way back, each of which leaves less than half of the error, and what is near enough in nm.
STEPS, CLOSE_NM = 40, 1e-11


@dataclass(frozen=True)
class Domes:
    """Planes of poles, each bent to a dome round the axis of its pole; depths scaled at last.

    A place belongs to the pole whose axis is nearest. It moves along the direction p of that pole by −|e|² / (2 dome
    radius), where e is the offset from the axis at the same z, without its part along p.

    Parameters
    ----------
    cone : Cone
        The specimen before.
    field_deg : float
        Angle between the axis and what the detector shows at the rim of the specimen.
    directions : tuple of (float, float, float)
        Unit vectors along the normals of the planes of each pole.
    dome_radius_nm : float
        Radius of the domes; infinite for planes that stay flat.
    z_scale : float
        Factor on depths.

    Examples
    --------
    >>> domes = Domes(Cone(17, 0, 80), 40, ((0, 0, 1),), 100, 1.02)
    >>> domes.apply(np.array([[0.0, 0, 50], [10, 0, 50]])).round(3).tolist()
    [[0.0, 0.0, 51.0], [10.0, 0.0, 50.49]]
    """

    cone: Cone
    field_deg: float
    directions: tuple[Triple, ...]
    dome_radius_nm: float
    z_scale: float = 1.0

    @property
    def per_radius(self) -> float:
        """Distance of a pole's axis from the middle is this, times the radius there, times the sine of its tilt."""
        return float(1 / np.sin(np.deg2rad(self.field_deg)))

    def nearest(self, position: Floating) -> Integers:
        """Tell which pole each position (n, 3) belongs to, (n,)."""
        squares = [self.squared_offset(position, k) for k in range(len(self.directions))]
        return np.asarray(np.argmin(squares, axis=0))

    def squared_offset(self, position: Floating, pole: int) -> Floating:
        """Squared distance from the axis of a pole, measured normal to its direction, in nm², (n,)."""
        u, v, along = self._across(position, pole)
        return np.asarray(u * u + v * v - along * along)

    def lift_nm(self, position: Floating, pole: int) -> Floating:
        """How far positions (n, 3) move along the direction of a pole, in nm, (n,)."""
        return -np.minimum(self.squared_offset(position, pole), LEVEL_NM2) / (2 * self.dome_radius_nm)

    def apply(self, position: Floats) -> Floats:
        """Move positions (n, 3) in nm from the specimen into the reconstruction."""
        moved = position + self._lift(position, self.nearest(position))
        moved[:, 2] *= self.z_scale
        return moved

    def undo(self, position: Floats) -> Floats:
        """Move positions (n, 3) in nm back; near the border between two poles they belong to where they are now.

        Examples
        --------
        >>> domes = Domes(Cone(17, 5, 80), 40, ((0.48, 0, 0.88),), 60, 0.97)
        >>> where = np.array([[3.0, 4, 50]])
        >>> np.allclose(domes.undo(domes.apply(where)), where)
        True
        """
        target = position / (1, 1, self.z_scale)
        which = self.nearest(target)
        before = target
        for _ in range(STEPS):
            last, before = before, target - self._lift(before, which)
            if np.allclose(before, last, rtol=0, atol=CLOSE_NM):
                break
        return np.asarray(before)

    def slopes(self, position: Floats) -> Floats:
        """Linear map near positions (n, 3) in the specimen for row vectors, (n, 3, 3)."""
        which = self.nearest(position)
        linear = np.zeros((len(position), 3, 3)) + np.eye(3)
        for k, direction in enumerate(self.directions):
            u, v, along = self._across(position, k)
            px, py, _ = direction
            gradient = np.stack([u - along * px, v - along * py, np.zeros(len(u))], axis=1)
            gradient[:, 2] = -self.per_radius * self.cone.widening * (px * gradient[:, 0] + py * gradient[:, 1])
            gradient[u * u + v * v - along * along >= LEVEL_NM2] = 0
            linear[which == k] -= (gradient[:, :, None] * np.array(direction) / self.dome_radius_nm)[which == k]
        linear[:, :, 2] *= self.z_scale
        return linear

    def _across(self, position: Floating, pole: int) -> tuple[Floating, Floating, Floating]:
        """Offset from the axis at the same z along x and y, and its part along the direction."""
        px, py, _ = self.directions[pole]
        reach = (self.cone.tip_radius_nm + self.cone.widening * position[:, 2]) * self.per_radius
        u, v = position[:, 0] - px * reach, position[:, 1] - py * reach
        return u, v, u * px + v * py

    def _lift(self, position: Floats, which: Integers) -> Floats:
        lift = np.zeros_like(position)
        for k, direction in enumerate(self.directions):
            rows = which == k
            lift[rows] = self.lift_nm(position[rows], k)[:, None] * np.array(direction)
        return lift


@dataclass(frozen=True)
class TruePole:
    """Planes of a needle and where its reconstruction shows them.

    Parameters
    ----------
    hkl : tuple of int
        Miller indices.
    direction : tuple of float
        Unit vector along the normal of the planes in the specimen.
    plane_spacing_nm : float
        Their distance in the crystal.
    fade_nm : float
        Distance from the axis at which they fade away.
    domes : Domes
        Leads from the specimen to the reconstruction.
    """

    hkl: tuple[int, ...]
    direction: Triple
    plane_spacing_nm: float
    fade_nm: float
    domes: Domes

    @property
    def dome_radius_nm(self) -> float:
        """Radius of the dome in nm."""
        return self.domes.dome_radius_nm

    @property
    def drift(self) -> tuple[float, float]:
        """How far the axis moves along x and y on one nm along z of the reconstruction."""
        by = self.domes.cone.widening * self.domes.per_radius / self.domes.z_scale
        return by * self.direction[0], by * self.direction[1]

    def on_axis_nm(self, z_nm: float) -> Triple:
        """Point on the axis at a height of the reconstruction."""
        cone = self.domes.cone
        reach = (cone.tip_radius_nm + cone.widening * z_nm / self.domes.z_scale) * self.domes.per_radius
        return reach * self.direction[0], reach * self.direction[1], float(z_nm)

    def from_axis_nm(self, position: npt.ArrayLike) -> Floats:
        """Distance of positions (n, 3) of the reconstruction from the axis, normal to the direction, in nm, (n,)."""
        before = self.domes.undo(np.asarray(position, dtype=np.float64))
        index = self.domes.directions.index(self.direction)
        return np.asarray(np.sqrt(np.maximum(self.domes.squared_offset(before, index), 0)))

    def wave_per_nm(self, position: npt.ArrayLike) -> Floats:
        """Tell the normal of the planes divided by their distance, at positions of the reconstruction.

        Parameters
        ----------
        position : array_like of float, (n, 3)
            In nm; they belong to this pole.

        Returns
        -------
        ndarray of float64, (n, 3)
            In 1/nm: the gradient of what counts the planes.

        Examples
        --------
        >>> domes = Domes(Cone(17, 0, 80), 40, ((0, 0, 1),), 100, 1.02)
        >>> wave = TruePole((0, 0, 1), (0, 0, 1), 0.2025, 11, domes).wave_per_nm([[0.0, 0, 50], [10, 0, 50]])
        >>> (wave * 0.2025).round(4).tolist()
        [[0.0, 0.0, 0.9804], [0.1, 0.0, 0.9804]]
        """
        before = self.domes.undo(np.asarray(position, dtype=np.float64))
        back = np.linalg.inv(self.domes.slopes(before))
        return np.asarray(back @ np.array(self.direction) / self.plane_spacing_nm)

    @property
    def pole(self) -> Pole:
        """The same as if it had been found, about the middle of its axis; of no strength, as nobody searched."""
        domes, p = self.domes, np.array(self.direction)
        depth = domes.cone.height_nm * domes.z_scale
        centre = self.on_axis_nm(depth / 2)
        # The offset e as a linear function of the place: its square over twice the radius is the dome.
        across = np.diag([1.0, 1, 0])
        across[:2, 2] = np.multiply(self.drift, -1)
        across = (np.eye(3) - np.outer(p, p)) @ across
        bend = across.T @ across / (self.dome_radius_nm * self.plane_spacing_nm)
        wave = self.wave_per_nm([centre])[0]
        radius = self.fade_nm * float(np.log(2) ** (1 / 6))
        rows = [(float(a), float(b), float(c)) for a, b, c in (bend + bend.T) / 2]
        return Pole(
            centre,
            (float(wave[0]), float(wave[1]), float(wave[2])),
            (rows[0], rows[1], rows[2]),
            self.drift,
            radius,
            (0.0, depth),
            strength=0.0,
            n_regions=0,
            status="found",
        )
