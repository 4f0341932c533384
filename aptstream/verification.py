"""Is what we wrote still whole? For ``aptstream verify``."""

from __future__ import annotations

from pathlib import Path

from aptstream.cloud import open_store
from aptstream.errors import StoreError
from aptstream.grid.files import FORMAT as GRID
from aptstream.grid.files import open_grid
from aptstream.inspection import POINTS, kind_of
from aptstream.io.folder import is_url
from aptstream.pole import alignment_of
from aptstream.progress import Progress, silent
from aptstream.scan.results import FORMAT as SCAN
from aptstream.scan.results import open_scan


def verify(path: str | Path, progress: Progress = silent) -> str:
    """Read a point store, scan, grid or output folder whole, and check that it is as it was written.

    Parameters
    ----------
    path : path or str
        What to check; a point store may be a URL.
    progress : Progress
        Told of what is read, in bytes, and of what is checked, in ions.

    Returns
    -------
    str
        What it is, in words.

    Raises
    ------
    StoreError
        Naming every damaged file, or what else contradicts; or if it is nothing that can be checked.
    """
    kind = kind_of(path)
    if kind == POINTS or is_url(path):
        store = open_store(path)
        alignment_of(store)
        store.verify(progress)
        return "point store"
    if kind == SCAN:
        open_scan(path).verify(progress)
        return "scan"
    if kind == GRID:
        open_grid(path)
        return "1 nm grid"
    if kind == "run":
        parts = [verify(Path(path, name), progress) for name in ("points.zarr", "scan.zarr", "grid.zarr")]
        return f"output folder ({', '.join(parts)})"
    raise StoreError(f"{path} cannot be verified. Expected a point store, a scan, a grid or an output folder.")
