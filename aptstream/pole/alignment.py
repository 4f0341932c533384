"""The map that brings the planes of a pole normal to z and flat, and the way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream.crystal import Crystal
from aptstream.errors import FileFormatError, PlanError
from aptstream.pole.bend import FARTHEST_NM, STEEPEST, Bend
from aptstream.pole.members import members, number
from aptstream.pole.phase import PhaseField
from aptstream.pole.pole import Pole
from aptstream.pole.poleform import pole_as_json, pole_from_json
from aptstream.regions import Cylinder, Triple

Floats = npt.NDArray[np.float64]

#: How far the planes may be stretched to those of the crystal: a reconstruction is right to some per cent.
ALLOWED_STRETCH = 0.25

_FORMAT, _VERSION = "aptstream-alignment", 1
_NAMES = ("format", "version", "pole", "spacing_nm", "reach_nm", "field")
#: Ions that are moved at a time: their coordinates stay in the cache.
_BLOCK = 1 << 14
#: Steps in which ions beyond the reach of the dome are brought back: each halves the rest at least.
_STEPS, _CLOSE = 64, 1e-13


@dataclass(frozen=True)
class Alignment:
    """A map from a reconstruction to coordinates in which the planes of a pole stand normal to z, flat and equidistant.

    Its z counts planes: z = spacing · (wave · d + ½ dᵀ bend d), with d from the centre of the pole, which comes to the
    origin; its x and y are components of d along two directions in the planes. So nothing is scaled across the
    normal, and the frame is turned on the shortest way: planes that are normal to z already keep their x and y.

    Far from the axis no planes are seen, and a parabola would fold: beyond `reach_nm` the dome stays as high as it is
    there in the same direction. Everywhere the map is continuous and one to one.

    Parameters
    ----------
    pole : Pole
        The planes in the reconstruction.
    spacing_nm : float
        Their distance when they are aligned, in nm.
    reach_nm : float
        Distance from the axis of the pole, at the same z, up to which the dome is followed, in nm.
    field : PhaseField, optional
        What the planes are still off, where that was measured.

    Raises
    ------
    PlanError
        If a number is out of bounds, or the map is not one to one.

    Examples
    --------
    >>> bend = ((0.05, 0, 0), (0, 0.05, 0), (0, 0, 0))
    >>> domed = Pole((0, 0, 40), (0, 0, 5), bend, (0, 0), 9, (5, 75), 40, 60, "found")
    >>> alignment = Alignment.of(domed, Crystal("FCC", 0.41, (0, 0, 1)))
    >>> aligned = alignment.forward([[0, 0, 40], [4, 0, 40], [0, 3, 42]])
    >>> aligned.round(6)
    array([[0.      , 0.      , 0.      ],
           [4.      , 0.      , 0.082   ],
           [0.      , 3.      , 2.096125]])
    >>> alignment.inverse(aligned).round(6)
    array([[ 0.,  0., 40.],
           [ 4.,  0., 40.],
           [ 0.,  3., 42.]])
    """

    pole: Pole
    spacing_nm: float
    reach_nm: float
    field: PhaseField | None = None

    def __post_init__(self) -> None:
        Bend.of(self.pole)
        stretch = self.spacing_nm / self.pole.spacing_nm
        if not abs(stretch - 1) <= ALLOWED_STRETCH:
            raise PlanError(
                f"The planes of the pole are {self.pole.spacing_nm:.4g} nm apart, and are to be brought to "
                f"{self.spacing_nm:.4g} nm. Expected a reconstruction that is right to {ALLOWED_STRETCH:.0%}: these "
                f"are other planes, or another crystal. Name the planes of the pole."
            )
        if not (self.pole.radius_nm <= self.reach_nm <= FARTHEST_NM and self._bend.steepest <= STEEPEST + 1e-9):
            raise PlanError(
                f"A dome cannot be followed {self.reach_nm:g} nm from the axis of this pole. Expected "
                f"{self.pole.radius_nm:g} to {Bend.of(self.pole).reach_nm:.4g} nm."
            )

    @classmethod
    def of(cls, pole: Pole, crystal: Crystal | None = None) -> Alignment:
        """Turn the planes of a pole normal to z and flatten their dome.

        Parameters
        ----------
        pole : Pole
            The planes.
        crystal : Crystal, optional
            Whose planes they are: z is scaled to their spacing. They keep their own where it is not given.

        Returns
        -------
        Alignment

        Raises
        ------
        PlanError
            If the planes fold within the radius of the pole, or their spacing is more than 25 % from the crystal's.
        """
        spacing = pole.spacing_nm if crystal is None else crystal.plane_spacing_nm
        return cls(pole, spacing, Bend.of(pole).reach_nm)

    @property
    def region(self) -> Cylinder:
        """The region that is recommended for a scan, where the planes are seen: in aligned coordinates."""
        region = self.pole.region
        start, end = self.forward([region.start, region.end]).tolist()
        return Cylinder(start, end, region.radius_nm)

    @property
    def axis_slope(self) -> tuple[float, float]:
        """How far the axis of the pole moves along the new x and y on one nm along the new z."""
        axis = np.array((*self.pole.drift, 1.0))
        x, y = (_along(side, *axis) for side in self._frame)
        z = float(axis @ self.pole.wave_per_nm) * self.spacing_nm
        return float(x / z), float(y / z)

    def forward(self, position: npt.ArrayLike) -> Floats:
        """Bring positions from the reconstruction into the frame of the planes.

        Parameters
        ----------
        position : array_like of float, (n, 3)
            In nm.

        Returns
        -------
        ndarray of float64, (n, 3)
            In nm. Each follows from its own position alone, to the bit.

        Raises
        ------
        ValueError
            If the shape is another.
        """
        return _in_blocks(self._forward, position)

    def inverse(self, aligned: npt.ArrayLike) -> Floats:
        """Bring positions back into the reconstruction.

        Parameters
        ----------
        aligned : array_like of float, (n, 3)
            In nm; what `forward` gave, or any other.

        Returns
        -------
        ndarray of float64, (n, 3)
            In nm.

        Raises
        ------
        ValueError
            If the shape is another.
        """
        return _in_blocks(self._inverse, aligned)

    def without_field(self) -> Alignment:
        """Return the same map as far as the pole alone gives it."""
        return Alignment(self.pole, self.spacing_nm, self.reach_nm)

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON values, from which `from_json` makes it again."""
        field = self.field.as_json() if self.field is not None else None
        sizes = {"spacing_nm": float(self.spacing_nm), "reach_nm": float(self.reach_nm)}
        return {"format": _FORMAT, "version": _VERSION, "pole": pole_as_json(self.pole), **sizes, "field": field}

    @classmethod
    def from_json(cls, found: object) -> Alignment:
        """Make it from JSON values, which are not trusted.

        Parameters
        ----------
        found : JSON value
            As `as_json` returns them.

        Returns
        -------
        Alignment

        Raises
        ------
        FileFormatError
            If they are anything else, or describe a map that is not one to one.
        """
        try:
            kind, version, pole, spacing, reach, field = members(found, _NAMES)
            if (kind, version) != (_FORMAT, _VERSION) or type(version) is not int:
                raise ValueError(f"format {ascii(kind)[:80]} version {ascii(version)[:80]}")
            phase = None if field is None else PhaseField.from_json(field)
            return cls(pole_from_json(pole), number(spacing), number(reach), phase)
        except (TypeError, ValueError, OverflowError, PlanError) as error:
            raise FileFormatError(
                f"An alignment cannot be right: {error}. Expected what aptstream writes of one, version {_VERSION}: "
                f"align the store it came from again."
            ) from error

    def _forward(self, x: Floats, y: Floats, z: Floats) -> tuple[Floats, Floats, Floats]:
        cx, cy, cz = self.pole.centre_nm
        x, y, z = x - cx, y - cy, z - cz
        u, v = (_along(axis, x, y, z) for axis in self._frame)
        w = (_along(self.pole.wave_per_nm, x, y, z) + self._bend.rise(x, y, z)) * self.spacing_nm
        if self.field is not None:
            w += self.field.at(u, v, w)
        return u, v, w

    def _inverse(self, u: Floats, v: Floats, w: Floats) -> tuple[Floats, Floats, Floats]:
        (ux, uy, uz), (vx, vy, vz) = self._frame
        nx, ny, nz = self.pole.direction
        if self.field is not None:
            w = self.field.before(u, v, w)
        planes = w / self.spacing_nm
        x, y, z = ux * u + vx * v, uy * u + vy * v, uz * u + vz * v

        def at(height: Floats) -> tuple[Floats, Floats, Floats]:
            return x + nx * height, y + ny * height, z + nz * height

        height = self._on_parabola(x, y, z, planes)
        beyond = ~self._bend.holds(*at(height))
        if beyond.any():
            height[beyond] = self._by_steps(x[beyond], y[beyond], z[beyond], planes[beyond])
        cx, cy, cz = self.pole.centre_nm
        x, y, z = at(height)
        return x + cx, y + cy, z + cz

    def _on_parabola(self, x: Floats, y: Floats, z: Floats, planes: Floats) -> Floats:
        """Height along the normal above a point of the plane of the centre; right within the reach."""
        bend = np.array(self.pole.bend_per_nm2, dtype=np.float64)
        nx, ny, nz = self.pole.direction
        turned = [_along(row, x, y, z) for row in bend.tolist()]
        curve = float(np.array(self.pole.direction) @ bend @ self.pole.direction)
        slope = 1 / self.pole.spacing_nm + nx * turned[0] + ny * turned[1] + nz * turned[2]
        missing = 0.5 * (x * turned[0] + y * turned[1] + z * turned[2]) - planes
        # The branch on which planes rise along the normal, in the form that does not cancel.
        with np.errstate(invalid="ignore", divide="ignore"):
            root = np.sqrt(slope * slope - 2 * curve * missing)
            found = np.where(slope > 0, -2 * missing / (slope + root), (root - slope) / (curve or 1.0))
        return np.asarray(found)

    def _by_steps(self, x: Floats, y: Floats, z: Floats, planes: Floats) -> Floats:
        """Solve for the same height anywhere: the bend changes by less than half of what the wave does."""
        spacing, (nx, ny, nz) = self.pole.spacing_nm, self.pole.direction
        height = planes * spacing
        for _ in range(_STEPS):
            rise = self._bend.rise(x + nx * height, y + ny * height, z + nz * height)
            before, height = height, (planes - rise) * spacing
            if not (np.abs(height - before) > _CLOSE * (1 + np.abs(height))).any():
                break
        return height

    @cached_property
    def _bend(self) -> Bend:
        return Bend(self.pole, self.reach_nm)

    @cached_property
    def _frame(self) -> tuple[Triple, Triple]:
        """Images of the new x and y in the reconstruction: turned from z to the normal on the shortest way."""
        x, y, z = self.pole.direction
        return (1 - x * x / (1 + z), -x * y / (1 + z), -x), (-x * y / (1 + z), 1 - y * y / (1 + z), -y)


def _in_blocks(move: Callable[..., tuple[Floats, Floats, Floats]], position: npt.ArrayLike) -> Floats:
    given = np.asarray(position)
    if given.ndim != 2 or given.shape[1] != 3:
        raise ValueError(f"Positions have the shape (n, 3), found {given.shape}.")
    found = np.empty(given.shape)
    for start in range(0, len(given), _BLOCK):
        rows = slice(start, start + _BLOCK)
        found[rows, 0], found[rows, 1], found[rows, 2] = move(*np.array(given[rows].T, dtype=np.float64, order="C"))
    return found


# Axis by axis: products of matrices may sum in another order for other numbers of ions.
def _along(axis: Sequence[float], x: Floats, y: Floats, z: Floats) -> Floats:
    return axis[0] * x + axis[1] * y + axis[2] * z
