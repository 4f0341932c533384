"""What an SDM looks at: which offsets, in which bins, between which roles.

The definition, exact to the integer, that every counter in this package follows:

1. An ion has whole-number coordinates ``q = floor((position - origin) * 256 / bin)``, 256 units to a bin on each axis,
   with one origin for the whole specimen, in float64.
2. Every unordered pair is counted once, in the direction in which its offset along z is not negative:
   ``0 <= dz``, row ``dz // 256``, below `bins_z`.
3. Kinds ``rhoz`` and ``z``: column ``floor(sqrt(dx² + dy²) / 256)``, below `bins_lateral` (1 for ``z``).
   Kind ``zx``: column ``floor((dx + 128 * bins_lateral) / 256)`` from 0 to below `bins_lateral`; a pair in one plane
   (dz = 0) is taken in the direction in which dx >= 0.
4. Channel = role of one ion + role of the other: 0 host–host, 1 host–solute, 2 solute–solute.

The other half of the map, dz < 0, is the same image turned by 180° (an SDM is centro-symmetric), see `full_image`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from aptstream.errors import PlanError

Kind = Literal["rhoz", "z", "zx"]

#: Units of a fine coordinate in one bin.
UNITS = 256
#: float32 is exact for whole numbers up to here, and the square root needed by kind rhoz up to 15 columns.
MAX_UNITS, MAX_RADIAL_BINS = 2**24, 15
CHANNELS = ("host-host", "host-solute", "solute-solute")


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

    def __post_init__(self) -> None:
        lengths = (self.half_z_nm, self.half_lateral_nm)
        if not all(np.isfinite(v) and 0 < v <= 8 for v in lengths):
            raise PlanError(f"SDM half-widths must lie between 0 and 8 nm, found {lengths} nm.")
        most = {"rhoz": MAX_RADIAL_BINS, "z": 1, "zx": 1024}.get(self.kind)
        if most is None:
            raise PlanError(f"SDM kind {self.kind!r} is not known: choose rhoz, z or zx.")
        if not (1 <= self.bins_z <= 1024 and 1 <= self.bins_lateral <= most):
            raise PlanError(
                f"An SDM of kind {self.kind} takes 1–1024 rows and 1–{most} columns, "
                f"found {self.bins_z} and {self.bins_lateral}."
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

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, for a model file."""
        return asdict(self)


def full_image(half: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
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
