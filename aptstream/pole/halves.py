"""Two halves of the ions: one is asked, the other proves what the first said."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def first_half(position: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_]:
    """Share ions out at random, but always in the same way: by the bits of their places.

    Parameters
    ----------
    position : ndarray of float, (n, 3)
        In nm.

    Returns
    -------
    ndarray of bool, (n,)
        Whether an ion belongs to the first half, whatever other ions are looked at.

    Examples
    --------
    >>> float(first_half(np.random.default_rng(1).random((100_000, 3))).mean().round(2))
    0.5
    """
    bits = np.ascontiguousarray(position, np.float32).view(np.uint32)
    mixed = bits[:, 0] * np.uint32(2654435761) ^ bits[:, 1] * np.uint32(2246822519) ^ bits[:, 2] * np.uint32(3266489917)
    mixed = (mixed ^ (mixed >> np.uint32(15))) * np.uint32(2246822519)
    return np.asarray(mixed >> np.uint32(31) == 0)
