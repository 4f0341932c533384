"""Ranging: which ion each m/q stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aptstream.io.decode import range_ions

if TYPE_CHECKING:
    from aptstream.points import RangeTable


def apply_ranges(mass_to_charge: npt.ArrayLike, table: RangeTable) -> npt.NDArray[np.uint8]:
    """Give every ion the species of the range that holds its m/q.

    Parameters
    ----------
    mass_to_charge : array_like, (n,)
        m/q in Da; rounded to float32, then compared exactly.
    table : RangeTable
        Ranges, inclusive below, exclusive above.

    Returns
    -------
    ndarray of uint8, (n,)
        Index into ``table.species``; 0 = unranged.

    Examples
    --------
    >>> from aptstream.points import Range, RangeTable
    >>> table = RangeTable((Range(13, 14, (("Al", 1),)), Range(7, 8, (("Li", 1),))))
    >>> apply_ranges([7, 8, 13.5], table)
    array([2, 0, 1], dtype=uint8)
    """
    mass = np.asarray(mass_to_charge, np.float32)
    return range_ions(mass, table.bounds_da, indices=table.indices)
