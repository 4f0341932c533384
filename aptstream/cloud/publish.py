"""Copies of a point store, on this disk or in an object store: the manifest goes last, so that half a copy is none."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path

from aptstream.cloud.store import PointStore, open_store
from aptstream.errors import StoreError
from aptstream.io.arrays import damaged
from aptstream.io.folder import Folder, LocalFolder, folder_of
from aptstream.io.replace import discard
from aptstream.progress import Progress, silent

_BLOCK_BYTES = 8 << 20
_MANIFEST = "zarr.json"


def publish(store: PointStore, to: str | PathLike[str], *, progress: Progress = silent) -> PointStore:
    """Copy a point store to a path or a URL, such as ``s3://bucket/specimen.zarr``.

    Files are copied as they are; the manifest goes last, so that a copy that was cut short is no store. Begun again, it
    starts over. What was copied is not read again: `PointStore.verify` does that.

    Parameters
    ----------
    store : PointStore
        What to copy, from this disk or from an object store.
    to : path or str
        Path or URL where nothing stands yet, but perhaps what an earlier copy left that was cut short. A path appears
        complete or not at all.
    progress : Progress
        Told of the stage ``copy``, in bytes.

    Returns
    -------
    PointStore
        The copy.

    Raises
    ------
    StoreError
        If something stands there, it cannot be written, or a file of the store is missing or damaged in size.
    MissingPackageError
        If the package for such a URL is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from aptstream.cloud import ingest
    >>> from aptstream.io import write_pos
    >>> from aptstream.points import Range, RangeTable
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_pos(f"{folder}/a.pos", [[0.5, 0.5, -2.5]], [27])
    ...     table = RangeTable((Range(26, 28, (("Al", 1),)),))
    ...     store = ingest(f"{folder}/a.pos", ranges=table, out=f"{folder}/a.zarr")
    ...     publish(store, "memory://example/a.zarr").digest() == store.digest()
    True
    """
    target = folder_of(to)
    if isinstance(target, LocalFolder):
        _copy_here(store, target.path, progress)
    else:
        _refuse_others(store, target)
        try:
            _copy_files(store, target, progress)
        except OSError as error:
            raise _failed(target, error) from error
    return open_store(target.address)


def check_target(to: str | PathLike[str]) -> None:
    """Refuse a path or URL where a point store stands, before work for it starts.

    Parameters
    ----------
    to : path or str
        Where a store is to be.

    Raises
    ------
    StoreError
        If one stands there, or it cannot be reached.
    MissingPackageError
        If the package for such a URL is not installed.
    """
    target = folder_of(to)
    if target.exists() and _MANIFEST in target.sizes():
        raise _in_the_way(target)


def _copy_here(store: PointStore, target: Path, progress: Progress) -> None:
    """Copy under a temporary name, then rename."""
    if target.exists() or target.is_symlink():
        raise _in_the_way(target)
    building = target.with_name(f".{target.name}.building-{secrets.token_hex(4)}")
    try:
        _copy_files(store, LocalFolder(building), progress)
        building.rename(target)
    except OSError as error:
        raise _failed(target, error) from error
    finally:
        discard(building)


def _copy_files(store: PointStore, target: Folder, progress: Progress) -> None:
    """Copy all files, and the manifest when their sizes there are right."""
    source = folder_of(store.address)
    files = {key: size for array in store.arrays.values() for key, size in array.files.items()}
    done, total = 0, sum(files.values())

    def tell(n_bytes: int) -> None:
        nonlocal done
        done += n_bytes
        progress("copy", done, total, "bytes")

    for key, size in files.items():
        target.write(key, _blocks(source, key, size, tell))
    for name in store.arrays:
        there = target.sizes(name)
        for key, size in files.items():
            folder, _, file = key.partition("/")
            if folder == name and there.get(file) != size:
                raise damaged(target, f"{key} has {there.get(file)} bytes after it was copied", f"{size} bytes")
    target.write(_MANIFEST, [source.read(_MANIFEST)])


def _blocks(source: Folder, key: str, size: int, tell: Callable[[int], None]) -> Iterator[bytes]:
    """Read a file in blocks."""
    for start in range(0, size, _BLOCK_BYTES):
        stop = min(start + _BLOCK_BYTES, size)
        block = source.read(key, start, stop)
        if len(block) != stop - start:
            raise damaged(source, f"its file {key} ended early", f"{size} bytes")
        yield block
        tell(len(block))


def _refuse_others(store: PointStore, target: Folder) -> None:
    """Refuse a URL where a store, or anything that is no part of this one, stands."""
    if not target.exists():
        return
    ours = {key for array in store.arrays.values() for key in array.files}
    found = set(target.sizes())
    for name in store.arrays:
        try:
            found |= {f"{name}/{file}" for file in target.sizes(name)}
        except FileNotFoundError:
            continue
    if found - ours:
        raise _in_the_way(target)


def _in_the_way(target: object) -> StoreError:
    return StoreError(
        f"Something stands at {target} already. Expected a new name: choose another, or remove what is there. "
        f"Nothing was changed."
    )


def _failed(target: object, error: OSError) -> OSError:
    """Say of an error of the system what was being done; ours say it themselves."""
    if isinstance(error, StoreError):
        return error
    return StoreError(
        f"The store could not be copied to {target}: {error.strerror or error}. There is no store there now. "
        f"Expected a place with enough room where you may write: make room, or choose another, and start again."
    )
