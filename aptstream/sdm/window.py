"""What an SDM looks at: which offsets, in which bins, between which roles.

The definition, exact to the integer, that every counter in this package follows:

1. An ion has whole-number coordinates ``q = floor((position - origin) * 256 / bin)``, 256 units to a bin on each axis,
   with one origin for the whole specimen, in float64.
2. Every unordered pair is counted once, in the direction in which its offset along z is not negative:
   ``0 <= dz``, row ``dz // 256``, below `bins_z`.
3. Kinds ``rhoz`` and ``z``: column ``floor(sqrt(dx² + dy²) / 256)``, below `bins_lateral` (1 for ``z``).
   Kind ``zx``: column ``floor((dx + 128 * bins_lateral) / 256)`` from 0 to below `bins_lateral`; a pair in one plane
   (dz = 0) is taken in the direction in which dx >= 0.
4. Optional limits: ``|dy| < y_limit_nm``, in whole units; and a distance in 3D, in whole sixteenths of a bin.
5. Which pairs are counted into which channel is told by `Channels`, such as host–host, host–solute, solute–solute.

The other half of the map, dz < 0, is the same image turned by 180° (an SDM is centro-symmetric), see `full_image`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from aptstream.errors import PlanError
from aptstream.points import Roles, check_species

Kind = Literal["rhoz", "z", "zx"]
Pixel = TypeVar("Pixel", bound=np.generic)

#: Units of a fine coordinate in one bin.
UNITS = 256
#: Largest limit on |dy| or on the distance, in nm; and on the distance in bins, below which float32 squares are exact.
MAX_LIMIT_NM, MAX_RADIUS_BINS = 16, 256
#: float32 keeps 8 bits behind the point of up to 2¹⁵ bins, and the square root needed by kind rhoz up to 15 columns.
MAX_UNITS, MAX_RADIAL_BINS = 2**23, 15
#: Labels of groups of species: sums of two tell which two.
LABELS = (0, 1, 3, 7)


@dataclass(frozen=True)
class SdmWindow:
    """Which offsets an SDM holds.

    Parameters
    ----------
    kind : {"rhoz", "z", "zx"}
        Lateral axis: distance from the z axis; none (all pairs within `half_lateral_nm` of it); or signed offset in x.
    half_z_nm : float
        Largest offset along z in nm.
    bins_z : int
        Rows, over 0 … `half_z_nm`.
    half_lateral_nm : float
        Largest lateral offset in nm.
    bins_lateral : int
        Columns, over 0 … `half_lateral_nm` (rhoz, z) or −`half_lateral_nm` … `half_lateral_nm` (zx).
    y_limit_nm : float, optional
        Pairs count only if their offset along y is smaller, in nm.
    radius_nm : float, optional
        Pairs count only if their distance is smaller, in nm: 1.5 in the publication. Rows and columns must then be
        equally wide.

    Raises
    ------
    PlanError
        If a length is not positive and finite, or the number of bins is out of bounds.

    Examples
    --------
    >>> SdmWindow("rhoz", half_z_nm=1.5, bins_z=75, half_lateral_nm=2.0, bins_lateral=10).shape
    (75, 10)
    """

    kind: Kind
    half_z_nm: float
    bins_z: int
    half_lateral_nm: float
    bins_lateral: int
    y_limit_nm: float | None = None
    radius_nm: float | None = None

    def __post_init__(self) -> None:
        lengths = (self.half_z_nm, self.half_lateral_nm)
        if not all(np.isfinite(v) and 0 < v <= 8 for v in lengths):
            raise PlanError(f"SDM half-widths must lie between 0 and 8 nm, found {lengths} nm.")
        most = {"rhoz": MAX_RADIAL_BINS, "z": 1, "zx": 1024}.get(self.kind)
        if most is None:
            raise PlanError(f"SDM kind {self.kind!r} is not known: choose rhoz, z or zx.")
        whole = isinstance(self.bins_z, int) and isinstance(self.bins_lateral, int)
        if not (whole and 1 <= self.bins_z <= 1024 and 1 <= self.bins_lateral <= most):
            raise PlanError(
                f"An SDM of kind {self.kind} takes 1–1024 rows and 1–{most} columns, "
                f"found {self.bins_z} and {self.bins_lateral}."
            )
        limits = [limit for limit in (self.y_limit_nm, self.radius_nm) if limit is not None]
        if not all(np.isfinite(limit) and 0 < limit <= MAX_LIMIT_NM for limit in limits):
            raise PlanError(f"Limits of an SDM must lie between 0 and {MAX_LIMIT_NM} nm, found {limits} nm.")
        if self.radius_nm is not None and self.radius_nm * self.units_per_nm[2] > MAX_RADIUS_BINS * UNITS:
            raise PlanError(
                f"A limit on the 3D distance spans at most {MAX_RADIUS_BINS} bins, found {self.radius_nm} nm: "
                f"take wider bins."
            )
        if self.radius_nm is not None and self.units_per_nm[0] != self.units_per_nm[2]:
            raise PlanError(
                f"A limit on the 3D distance needs rows and columns of equal width, found "
                f"{UNITS / self.units_per_nm[2]:.4g} and {UNITS / self.units_per_nm[0]:.4g} nm."
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Rows (offset along z) and columns (lateral offset) of one channel."""
        return self.bins_z, self.bins_lateral

    @property
    def units_per_nm(self) -> npt.NDArray[np.float64]:
        """Fine units in a nm on the axes x, y, z."""
        width = self.half_lateral_nm * (2 if self.kind == "zx" else 1)
        lateral = UNITS * self.bins_lateral / width
        return np.array([lateral, lateral, UNITS * self.bins_z / self.half_z_nm])

    @property
    def limits(self) -> tuple[float, float]:
        """What the kernel compares with: the largest |dy| in bins, and the squared distance in sixteenths of a bin.

        Infinity and 0 where there is no limit.
        """
        per_nm = float(self.units_per_nm[0])
        y_limit = np.inf if self.y_limit_nm is None else float(np.floor(self.y_limit_nm * per_nm)) / UNITS
        radius = 0.0 if self.radius_nm is None else float(np.floor(self.radius_nm * per_nm / 16))
        return y_limit, radius**2

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, for a model file."""
        return asdict(self)


@dataclass(frozen=True)
class Channels:
    """Which pairs of species are counted, and into which image.

    Parameters
    ----------
    groups : tuple of tuple of str
        One to four groups of species; ions of other species are not counted.
    pairs : tuple of (int, int)
        For every channel the two groups of its pairs.

    Raises
    ------
    PlanError
        If there are no or too many groups or channels, a species is in two groups, or a pair is named twice.

    Examples
    --------
    >>> Channels((("Al",), ("Li", "Mg")), ((0, 0), (1, 1))).table(bins=750)[:3]
    array([  0,  -1, 750], dtype=int32)
    """

    groups: tuple[tuple[str, ...], ...]
    pairs: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        species = [name for group in self.groups for name in group]
        if not 1 <= len(self.groups) <= len(LABELS) or not all(self.groups) or len(set(species)) < len(species):
            raise PlanError(
                f"An SDM takes one to {len(LABELS)} groups of species without overlap, found {self.groups}."
            )
        named = {tuple(sorted(pair)) for pair in self.pairs}
        if (
            not self.pairs
            or len(named) < len(self.pairs)
            or not all(0 <= g < len(self.groups) for p in named for g in p)
        ):
            raise PlanError(f"Channels name each pair of groups once, by number, found {self.pairs}.")

    @classmethod
    def of_roles(cls, roles: Roles) -> Channels:
        """Host–host, host–solute, solute–solute: what the contrast is made of."""
        return cls((roles.host, roles.solute), ((0, 0), (0, 1), (1, 1)))

    def group_of(self, species_names: Sequence[str]) -> npt.NDArray[np.int8]:
        """Return the group of every species, −1 for those that are not counted.

        Parameters
        ----------
        species_names : sequence of str
            The species table.

        Returns
        -------
        ndarray of int8, (len(species_names),)

        Raises
        ------
        RangingError
            If a group names a species that is not in the table.
        """
        for group in self.groups:
            check_species(group, species_names)
        number = {name: k for k, group in enumerate(self.groups) for name in group}
        return np.array([number.get(name, -1) for name in species_names], dtype=np.int8)

    def table(self, bins: int) -> npt.NDArray[np.int32]:
        """Return the first bin of the channel of each sum of two labels, −1 where none is counted, (16,).

        Parameters
        ----------
        bins : int
            Bins of one channel.
        """
        table = np.full(16, -1, dtype=np.int32)
        for channel, (a, b) in enumerate(self.pairs):
            table[LABELS[a] + LABELS[b]] = channel * bins
        return table


def full_image(half: npt.NDArray[Pixel]) -> npt.NDArray[Pixel]:
    """Both halves of an SDM: the counted one below its own rotation by 180°.

    Parameters
    ----------
    half : ndarray, (…, bins_z, bins_lateral)
        Counts of a window of kind ``zx``.

    Returns
    -------
    ndarray, (…, 2 * bins_z, bins_lateral)
        Row 0 is the most negative offset along z.

    Examples
    --------
    >>> full_image(np.array([[1, 2], [3, 4]], "u4"))
    array([[4, 3],
           [2, 1],
           [1, 2],
           [3, 4]], dtype=uint32)
    """
    return np.concatenate([half[..., ::-1, ::-1], half], axis=-2)
