"""Range files by their suffix: RRNG, RNG and ENV."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike
from pathlib import Path

from aptstream.errors import RangingError
from aptstream.io.env import read_env
from aptstream.io.rng import read_rng
from aptstream.io.rrng import read_rrng
from aptstream.points import RangeTable

#: The reader of each suffix.
READERS: dict[str, Callable[[str | PathLike[str]], RangeTable]] = {
    ".rrng": read_rrng,
    ".rng": read_rng,
    ".env": read_env,
}


def read_ranges(path: str | PathLike[str]) -> RangeTable:
    """Read a range file by its suffix.

    Parameters
    ----------
    path : path
        File ending in ``.rrng``, ``.rng`` or ``.env`` (in any case).

    Returns
    -------
    RangeTable

    Raises
    ------
    RangingError
        If the suffix is not known, or as `read_rrng`, `read_rng` and `read_env`.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in READERS:
        raise RangingError(
            f"The range file {Path(path).name} has the suffix '{suffix}', which is not read. "
            f"Expected one of {', '.join(READERS)}: export the ranges as RRNG."
        )
    return READERS[suffix](path)
