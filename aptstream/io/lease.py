"""The lease on a folder that is being made: one process writes it, and the system ends the lease with that process."""

from __future__ import annotations

import fcntl
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aptstream.errors import StoreError

#: Name of the file that is locked.
LEASE = "lease.json"


def building_of(target: Path) -> Path:
    """Name the hidden folder in which something is made before it gets its name.

    Parameters
    ----------
    target : Path
        Folder that is to appear.

    Returns
    -------
    Path

    Examples
    --------
    >>> building_of(Path("R5096.zarr")).name
    '.R5096.zarr.building'
    """
    return target.with_name(f".{target.name}.building")


@contextmanager
def leased(folder: Path) -> Iterator[Path]:
    """Hold the lease on a folder; it is made where there is none.

    Parameters
    ----------
    folder : Path
        The folder; its parent must exist.

    Yields
    ------
    Path
        The folder.

    Raises
    ------
    StoreError
        If another process holds the lease, naming it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent, leased(Path(parent, "a")) as folder:
    ...     folder.is_dir()
    True
    """
    descriptor = _locked(folder)
    try:
        about = json.dumps({"process": os.getpid(), "machine": platform.node()})
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, about.encode(), 0)
        yield folder
    finally:
        _drop(descriptor, folder)


def _locked(folder: Path) -> int:
    """Open and lock the file; whoever held it before may just have removed or renamed the folder."""
    while True:
        if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
            raise StoreError(f"{folder} is no folder. Expected a name that is free to build in: remove it.")
        folder.mkdir(exist_ok=True)
        try:
            descriptor = os.open(folder / LEASE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise StoreError(
                f"Another run is writing {folder} at this moment{holder}. Expected one at a time: wait until it has "
                f"ended, or give another name with --out."
            ) from error
        if _is_still(descriptor, folder):
            return descriptor
        os.close(descriptor)


def _drop(descriptor: int, folder: Path) -> None:
    """Remove the file while it is still locked, so that nobody waits on a name that is gone."""
    try:
        if _is_still(descriptor, folder):
            (folder / LEASE).unlink()
    finally:
        os.close(descriptor)


def _is_still(descriptor: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), (folder / LEASE).lstat())
    except OSError:
        return False


def _holder(descriptor: int) -> str:
    """Say who holds the lease, as far as it can be read."""
    try:
        about = json.loads(os.pread(descriptor, 1000, 0))
        return f" (process {int(about['process'])} on {ascii(str(about['machine']))[1:-1][:80]})"
    except (OSError, ValueError, LookupError, TypeError):
        return ""
