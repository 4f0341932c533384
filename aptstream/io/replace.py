"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: str | PathLike[str]) -> Iterator[BinaryIO]:
    """Write to a temporary sibling and put it in place at the end.

    Parameters
    ----------
    path : path
        File to write. What stood there stays untouched until the new one is complete and on disk.

    Yields
    ------
    binary file
        Open for writing.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder, "a")) as stream:
    ...         _ = stream.write(b"whole")
    ...     Path(folder, "a").read_bytes()
    b'whole'
    """
    final = Path(path)
    temporary = final.with_name(f".{final.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(final)
    finally:
        temporary.unlink(missing_ok=True)


def discard(folder: Path) -> None:
    """Remove a folder that was being written, if it is still there.

    After an error or an interruption a thread of Zarr may still finish a file in it and bring it back: so, while one is
    being handled, it is looked for again a moment later.

    Parameters
    ----------
    folder : Path
        What to remove; it need not exist.
    """
    for _ in range(10):
        if not folder.exists():
            return
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists() or sys.exception() is not None:
            time.sleep(0.1)


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to disk.

    Parameters
    ----------
    path : Path
        File or folder.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
