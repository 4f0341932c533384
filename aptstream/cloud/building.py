"""Where a point store is built: a hidden folder beside its name, for one ingest at a time, that a rerun goes on with.

It holds a lease and one folder for the plan that is carried out. What was planned otherwise is never taken over.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aptstream.errors import FileFormatError, RangingError, StoreError
from aptstream.io.digest import canonical_json
from aptstream.io.lease import LEASE, building_of, leased
from aptstream.io.replace import discard, replacing

_PLAN_DIGITS = 16
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Layout:
    """Sizes that the result does not depend on.

    Parameters
    ----------
    block_ions : int
        Ions that are read and gathered by brick at a time.
    chunk_rows, shard_chunks : int
        Rows of a chunk and chunks of a shard in the arrays of ions.
    offset_rows : int
        Bricks in a chunk of cell offsets.
    """

    block_ions: int = 1 << 20
    chunk_rows: int = 1 << 16
    shard_chunks: int = 16
    offset_rows: int = 64


class RefusedInputError(StoreError):
    """The ions cannot be stored as they are: there is nothing to go on with."""


def check_target(target: Path) -> None:
    """Refuse a name that is taken, or that lies in no folder.

    Parameters
    ----------
    target : Path
        Folder that is to appear.

    Raises
    ------
    StoreError
    """
    if target.exists() or target.is_symlink():
        raise StoreError(
            f"Something stands at {target} already. Expected a new name: choose another, or remove what is "
            f"there. Nothing was changed."
        )
    if not target.parent.is_dir():
        raise StoreError(f"There is no folder {target.parent} for {target.name}. Expected one that exists: make it.")


def check_space(target: Path, needed_bytes: int) -> None:
    """Refuse to start where the disk is too small; what an earlier run left counts as room.

    Parameters
    ----------
    target : Path
        Folder that is to appear.
    needed_bytes : int
        Room that the building takes at its largest.

    Raises
    ------
    StoreError
    """
    kept = 0
    for parent, _, files in os.walk(building_of(target)):
        kept += sum(_allocated(Path(parent, name)) for name in files)
    free = shutil.disk_usage(target.parent).free
    if free + kept < needed_bytes:
        raise StoreError(
            f"The disk of {target.parent} has {(free + kept) / 1e9:.2f} GB free. Expected {needed_bytes / 1e9:.2f} GB "
            f"for {target.name} and its making: make room, or choose a folder on another disk. Nothing was begun."
        )


@contextmanager
def building(target: Path, plan: Mapping[str, Any]) -> Iterator[Path]:
    """Hold the folder in which a store is built.

    It goes when the store is finished or its input is refused. After any other error it stays, and the same plan
    finds there what was done.

    Parameters
    ----------
    target : Path
        Folder that is to appear; inside the context nobody else makes it.
    plan : mapping of str to JSON value
        What is to be built, from what and how.

    Yields
    ------
    Path
        Folder for the parts.

    Raises
    ------
    StoreError
        If another process builds the same store, or the disk refuses.
    """
    root = building_of(target)
    try:
        with leased(root):
            check_target(target)
            folder = _folder_of(root, plan)
            try:
                yield folder
            except BaseException as error:
                if _is_refusal(error):
                    discard(root)
                else:
                    error.add_note(
                        f"What was done is kept in {root}: the same command goes on from there. To give it up, "
                        f"remove that folder."
                    )
                raise
            discard(root)
    except (StoreError, FileFormatError, RangingError):
        raise
    except OSError as error:
        stopped = StoreError(
            f"The store {target} could not be written: {error.strerror or error}. It does not exist yet. Expected a "
            f"disk with room that may be written to: make room, or choose another folder."
        )
        for note in getattr(error, "__notes__", ()):
            stopped.add_note(note)
        raise stopped from error


def _folder_of(root: Path, plan: Mapping[str, Any]) -> Path:
    """Make or find the folder of a plan; remove those of others."""
    content = canonical_json(dict(plan))
    folder = root / hashlib.sha256(content).hexdigest()[:_PLAN_DIGITS]
    for other in root.iterdir():
        if other.name in (LEASE, folder.name):
            continue
        if len(other.name) != _PLAN_DIGITS or other.is_symlink() or not other.is_dir():
            raise StoreError(
                f"The folder {root} holds {other.name}, which no ingest put there. Expected a folder of its own to "
                f"build in: remove {root}, or choose another name. Nothing was changed."
            )
        _log.warning("An unfinished ingest in %s had other settings, another source or version: starting over.", root)
        discard(other)
    folder.mkdir(exist_ok=True)
    with replacing(folder / "plan.json") as stream:
        stream.write(content)
    return folder


def _is_refusal(error: BaseException) -> bool:
    """Tell whether the input is at fault, not the machine."""
    if isinstance(error, RefusedInputError):
        return True
    return isinstance(error, FileFormatError | RangingError) and not isinstance(error.__cause__, OSError)


def _allocated(file: Path) -> int:
    """Count the bytes that a file takes on disk: files of parts have holes."""
    try:
        found = file.lstat()
    except FileNotFoundError:
        return 0
    return 512 * found.st_blocks if stat.S_ISREG(found.st_mode) else 0
