"""What a report says of the planes: where they stand, how they were brought normal to z, and what was scanned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import atan2, degrees, isfinite

import numpy as np
import numpy.typing as npt

from aptstream.cloud.store import PointStore
from aptstream.crystal import Crystal
from aptstream.pole import Alignment, DepthPower, Pole, PoleSearch, power_along_depth
from aptstream.regions import Box, Cylinder, Region, Sphere

Floats = npt.NDArray[np.float64]

#: A dome of a larger radius cannot be told from flat planes.
FLAT_NM = 1e4


@dataclass(frozen=True)
class PoleStory:
    """A search for the planes of a reconstruction, and what was made of it.

    Parameters
    ----------
    reconstruction : PointStore
        Where the planes were looked for.
    search : PoleSearch
        What was found.
    crystal : Crystal, optional
        What the specimen consists of; its own pole does not matter.
    alignment : Alignment, optional
        How the planes of a pole were brought normal to z; None where the specimen was left as it was reconstructed.
    hkl : tuple of int, optional
        Miller indices of those planes, where they are known: then they were brought to the spacing of the crystal.
    region : Region, optional
        The part of the reconstruction that was scanned; all of it where none is given.
    """

    reconstruction: PointStore
    search: PoleSearch
    crystal: Crystal | None = None
    alignment: Alignment | None = None
    hkl: tuple[int, ...] | None = None
    region: Region | None = None

    @property
    def poles(self) -> tuple[Pole, ...]:
        """The poles of the search, and the one that was aligned if it came from elsewhere."""
        aligned = self.alignment.pole if self.alignment is not None else None
        return self.search.poles if self._was_found else (*self.search.poles, *([aligned] if aligned else []))

    @property
    def names(self) -> tuple[str, ...]:
        """What the poles are called: by their planes where these are known, else A, B and so on."""
        return tuple(self._name(number, pole) for number, pole in enumerate(self.poles))

    @property
    def orientation(self) -> Floats | None:
        """How the crystal lies, (3, 3), where that is known."""
        identity = self.search.identity
        return identity.orientation if identity is not None else None

    @cached_property
    def power(self) -> DepthPower | None:
        """Power of the aligned planes along the axis of their pole."""
        return power_along_depth(self.reconstruction, self.alignment) if self.alignment is not None else None

    @property
    def sentence(self) -> str:
        """What was found and what was done with it."""
        return f"{self.search.verdict} {self._done}"

    @property
    def warnings(self) -> list[str]:
        """What must be known before the answer is believed."""
        if self.alignment is None:
            return [self._unaligned]
        if self.alignment.pole.status == "candidate":
            return [
                "The planes that the specimen was aligned to are a candidate, not confirmed: they may be none. Then "
                "this result says nothing about order."
            ]
        return []

    def facts(self, n_scanned: int | None = None) -> dict[str, str]:
        """Labels and values with units.

        Parameters
        ----------
        n_scanned : int, optional
            Ions that were scanned.

        Returns
        -------
        dict of str to str
        """
        pole = self.alignment.pole if self.alignment is not None else self.search.best
        rows = self._of_pole(pole) if pole is not None else {"planes": "none found"}
        others = [
            f"{name}, {other.tilt_deg:.1f}° from z, {other.spacing_nm:.4f} nm, strength {other.strength:.1f}"
            for name, other in zip(self.names, self.poles, strict=True)
            if other != pole
        ]
        if others:
            rows["further poles"] = "; ".join(others)
        if n_scanned is not None:
            share = n_scanned / self.reconstruction.n_ions
            rows["region scanned"] = _in_words(self.region)
            rows["ions scanned"] = f"{n_scanned:,} of {self.reconstruction.n_ions:,} ({share:.1%})"
        return rows

    def as_json(self) -> dict[str, float | int | str | None]:
        """Return the numbers for machines."""
        pole = self.alignment.pole if self.alignment is not None else self.search.best
        values: dict[str, float | int | str | None] = {
            "n_poles": len(self.search.poles),
            "aligned": self.alignment is not None,
            "pole": pole.status if pole is not None else "none",
        }
        if pole is not None:
            radius = pole.dome_radius_nm
            values |= {
                "pole_planes": self._name(self.poles.index(pole), pole),
                "pole_tilt_deg": pole.tilt_deg,
                "pole_spacing_nm": pole.spacing_nm,
                "pole_dome_radius_nm": radius if isfinite(radius) else None,
                "pole_strength": pole.strength,
            }
        if self.alignment is not None:
            values["aligned_spacing_nm"] = self.alignment.spacing_nm
        return values

    def _of_pole(self, pole: Pole) -> dict[str, str]:
        """Say what is known of one pole."""
        azimuth = degrees(atan2(pole.direction[1], pole.direction[0])) % 360
        rows = {
            "planes": self._planes_of(pole),
            "direction of their normal": f"{pole.tilt_deg:.2f}° from z, towards {azimuth:.0f}° from x",
            "spacing as reconstructed": f"{pole.spacing_nm:.4f} nm",
        }
        if self.alignment is not None and self.hkl is not None:
            off = pole.spacing_nm / self.alignment.spacing_nm - 1
            rows["spacing of the crystal"] = f"{self.alignment.spacing_nm:.4f} nm: reconstructed {_off(off)}"
        rows |= {
            "radius of the dome": _dome(pole.dome_radius_nm),
            "strength": f"{pole.strength:.1f} in {pole.n_regions} regions: {pole.status}",
            "seen": f"within {pole.radius_nm:.1f} nm of the axis, z = {_span(*pole.depth_nm)}",
        }
        if self.power is not None and np.isfinite(self.power.aligned).any():
            turned, aligned = (float(np.nanmean(power)) for power in (self.power.turned, self.power.aligned))
            rows["power in 4 nm cubes"] = f"{turned:.1f} when turned, {aligned:.1f} when aligned (chance: 1)"
        return rows

    def _planes_of(self, pole: Pole) -> str:
        """Name the planes, and say how sure that is."""
        number = self.poles.index(pole)
        name = self._name(number, pole)
        if not name.startswith("("):
            return f"pole {name}, which planes is not known"
        crystal = f" of {self.crystal.parent.label}" if self.crystal is not None else ""
        identity = self.search.identity
        if identity is None or number >= len(identity.families) or name != identity.name(number):
            return f"{name}{crystal}"
        return f"{name}{crystal}, {_sure(identity.posterior)} if the crystal is the right one"

    @property
    def _was_found(self) -> bool:
        """Whether what was aligned is one of the poles of the search."""
        return self.alignment is not None and self.alignment.pole in self.search.poles

    @property
    def _done(self) -> str:
        """What was done with what was found."""
        if self.alignment is None:
            return self._unaligned
        pole = self.alignment.pole
        name = self._name(self.poles.index(pole), pole)
        which = f"The planes {name}" if name.startswith("(") else f"The planes of pole {name}"
        given = "" if self._was_found else f", {pole.tilt_deg:.1f}° from z, which the search did not find,"
        to = "brought to the spacing of the crystal" if self.hkl is not None else "left at their spacing"
        scanned = "a part" if self.region is not None else "all"
        return f"{which}{given} were turned normal to z, flattened and {to}; {scanned} of the specimen was scanned."

    @property
    def _unaligned(self) -> str:
        """What it means that nothing was aligned."""
        return (
            "The specimen was scanned as it was reconstructed, without alignment: order can only be seen where planes "
            "happen to stand normal to z. That no particles are found elsewhere does not mean that there are none."
        )

    def _name(self, number: int, pole: Pole) -> str:
        if self.alignment is not None and pole == self.alignment.pole and self.hkl is not None:
            return f"({' '.join(map(str, self.hkl))})"
        identity = self.search.identity
        if identity is not None and number < min(len(identity.families), len(self.search.poles)):
            return identity.name(number)
        return chr(ord("A") + number)


def _sure(posterior: float) -> str:
    return f"{posterior:.1%} sure" if posterior < 0.999 else "more than 99.9% sure"


def _dome(radius_nm: float) -> str:
    if not abs(radius_nm) < FLAT_NM:
        return "flat"
    return f"{radius_nm:.0f} nm" if radius_nm > 0 else f"{-radius_nm:.0f} nm, hollow towards the tip"


def _span(low: float, high: float) -> str:
    return f"{round(low)} to {round(high)} nm".replace("-", "\N{MINUS SIGN}")


def _off(off: float) -> str:
    """Say by how much a spacing is too large."""
    return f"{abs(off):.1%} too {'large' if off > 0 else 'small'}" if abs(off) >= 5e-4 else "right to 0.1%"


def _in_words(region: Region | None) -> str:
    """Describe a region of the reconstruction."""
    if region is None:
        return "all of the reconstruction"
    if isinstance(region, Cylinder):
        length = float(np.linalg.norm(np.subtract(region.end, region.start)))
        z = _span(*sorted((region.start[2], region.end[2])))
        return f"cylinder of {region.radius_nm:.1f} nm radius and {length:.0f} nm length, z = {z}"
    if isinstance(region, Sphere):
        return f"sphere of {region.radius_nm:.1f} nm radius, z = {_span(region.bounds.low[2], region.bounds.high[2])}"
    size = " × ".join(f"{edge:.0f}" for edge in region.bounds.size_nm)
    kind = "box" if isinstance(region, Box) else "turned box, which lies in one"
    return f"{kind} of {size} nm, z = {_span(region.bounds.low[2], region.bounds.high[2])}"
