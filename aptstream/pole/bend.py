"""The dome of a pole, continued beyond the place where it was measured so that no two ions come to one place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from aptstream.errors import PlanError
from aptstream.pole.pole import Pole

Floats = npt.NDArray[np.float64]

#: How far from the axis the dome is followed at most, and how far above and below the planes that were seen, in nm.
FARTHEST_NM, BEYOND_NM = 25.0, 5.0
#: How much the dome may change the distance of the planes along their normal, at most, anywhere: a half.
STEEPEST = 0.5
#: Cosine between the axis of a pole and the normal of its planes, at least: a specimen is seen up to 60° off its axis.
_UPRIGHT = 0.3


@dataclass(frozen=True)
class Bend:
    """What the planes of a pole rise above flat ones, in planes: ½ dᵀ bend d within its reach.

    Farther from the axis it stays what it is at the reach in the same direction; above and below the planes that were
    seen, its change along the axis stops. So it is continuous, and nowhere changes by more than a bounded part of a
    plane for each plane.

    Parameters
    ----------
    pole : Pole
        The planes.
    reach_nm : float
        Distance from the axis, at the same z, up to which the bend is followed.
    """

    pole: Pole
    reach_nm: float

    @staticmethod
    def of(pole: Pole) -> Bend:
        """Follow the bend of a pole as far as the planes stay one above the other, 25 nm at most.

        Raises
        ------
        PlanError
            If they do not even where they are seen, or the axis lies almost within them.
        """
        if pole.radius_nm <= 0 or pole.depth_nm[0] >= pole.depth_nm[1]:
            raise PlanError(
                f"The planes of a pole fill a volume: found a radius of {pole.radius_nm:g} nm and depths of "
                f"{pole.depth_nm[0]:g} to {pole.depth_nm[1]:g} nm. Expected a radius above 0 and depths that ascend."
            )
        along = Bend(pole, 0.0)
        axis = np.array((*pole.drift, 1.0))
        if axis @ pole.direction < _UPRIGHT * np.linalg.norm(axis):
            raise PlanError(
                f"The axis of the pole moves by {pole.drift} nm on one nm along z, which lies almost within its planes "
                f"of normal {pole.direction}. Expected one within 72° of the normal: check the pole."
            )
        left = STEEPEST - along.steepest
        per_nm = Bend(pole, 1.0).steepest - along.steepest
        reach = min(FARTHEST_NM, left / per_nm) if per_nm > 0 else FARTHEST_NM * (left >= 0)
        if reach < pole.radius_nm:
            raise PlanError(
                f"The planes of the pole bend so strongly (dome radius {pole.dome_radius_nm:.3g} nm, tilt "
                f"{pole.tilt_deg:.3g}°) that they fold {max(reach, 0.0):.3g} nm from its axis, though they are said to "
                f"be seen up to {pole.radius_nm:.3g} nm. Expected planes that stay one above the other: check the "
                f"bend, or take a smaller radius."
            )
        return Bend(pole, reach)

    @cached_property
    def steepest(self) -> float:
        """Bound on the rise of the bend along the normal, in planes a plane."""
        (_, across), along, twice = self._parts
        height = max(map(abs, self._heights_nm))
        normal = np.array(self.pole.direction)
        aside = float(np.linalg.norm(normal[:2] - normal[2] * np.array(self.pole.drift)))
        turn = float(np.linalg.norm(along))
        by_place = (across * self.reach_nm + turn * height) * aside
        by_height = (turn * self.reach_nm + abs(twice) * height) * abs(normal[2])
        return float((by_place + by_height) * self.pole.spacing_nm)

    def rise(self, x: Floats, y: Floats, z: Floats) -> Floats:
        """Planes that the bend adds.

        Parameters
        ----------
        x, y, z : ndarray of float64, (n,)
            From the centre of the pole, in nm.

        Returns
        -------
        ndarray of float64, (n,)
        """
        ((xx, xy, yy), _), (along_x, along_y), twice = self._parts
        # Axis by axis: the same for every ion whatever stands beside it, so that a store does not depend on blocks.
        aside_x, aside_y = self._aside(x, y, z)
        far = np.sqrt(aside_x * aside_x + aside_y * aside_y)
        within = np.divide(self.reach_nm, far, out=np.ones_like(far), where=far > self.reach_nm)
        aside_x *= within
        aside_y *= within
        found: Floats = aside_x * (0.5 * xx * aside_x + xy * aside_y) + 0.5 * yy * aside_y * aside_y
        if along_x or along_y or twice:
            height = np.clip(z, *self._heights_nm)
            found += height * (along_x * aside_x + along_y * aside_y + 0.5 * twice * height)
        return found

    def holds(self, x: Floats, y: Floats, z: Floats) -> npt.NDArray[np.bool_]:
        """Tell where the bend is followed, and not continued; parameters as in `rise`."""
        aside_x, aside_y = self._aside(x, y, z)
        low, high = self._heights_nm
        near = aside_x * aside_x + aside_y * aside_y <= self.reach_nm * self.reach_nm
        return np.asarray(near & (z >= low) & (z <= high))

    def _aside(self, x: Floats, y: Floats, z: Floats) -> tuple[Floats, Floats]:
        """Offset from the axis at the same z."""
        return x - self.pole.drift[0] * z, y - self.pole.drift[1] * z

    @property
    def _heights_nm(self) -> tuple[float, float]:
        """Where the bend changes along the axis, from the centre."""
        low, high = (z - self.pole.centre_nm[2] for z in self.pole.depth_nm)
        return min(low - BEYOND_NM, 0.0), max(high + BEYOND_NM, 0.0)

    @cached_property
    def _parts(self) -> tuple[tuple[tuple[float, float, float], float], tuple[float, float], float]:
        """Bend across the axis and its largest value, change of the wave along the axis, and bend along it."""
        bend = np.array(self.pole.bend_per_nm2, dtype=np.float64)
        axis = np.array((*self.pole.drift, 1.0))
        x, y, _ = (bend @ axis).tolist()
        across = float(np.abs(np.linalg.eigvalsh(bend[:2, :2])).max())
        return ((bend[0, 0].item(), bend[0, 1].item(), bend[1, 1].item()), across), (x, y), float(axis @ bend @ axis)
