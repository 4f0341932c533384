"""SHA-256 of files and of what a store means, whatever its layout."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

#: Rows that are hashed as one run where the digest of an array is made of runs.
RUN_ROWS = 1 << 20

_BLOCK_BYTES = 8 << 20


class Rows(Protocol):
    """What can be hashed: a numpy array, a Zarr array, or anything that is sliced like one."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Extent along every axis."""

    @property
    def dtype(self) -> Any:
        """Type of the items."""

    def __getitem__(self, rows: slice, /) -> Any:
        """Return some rows as a numpy array."""


def canonical_json(value: object) -> bytes:
    r"""Write JSON in one way only: sorted keys, no spaces, ASCII, no NaN.

    Parameters
    ----------
    value : object
        Dictionaries with string keys, lists, strings, numbers, booleans, None.

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        If a number is NaN or infinite.

    Examples
    --------
    >>> canonical_json({"b": 1.0, "a": ["ö"]})
    b'{"a":["\\u00f6"],"b":1.0}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def content_digest(arrays: Mapping[str, Rows], attributes: Mapping[str, object]) -> str:
    """Hash arrays and the attributes that define them; chunks, compression and file names do not matter.

    Parameters
    ----------
    arrays : mapping of str to array
        By name; read in blocks along the first axis.
    attributes : mapping of str to JSON value
        Only those that give the arrays their meaning.

    Returns
    -------
    str
        SHA-256, 64 hexadecimal digits: over every array in the order of names (name, dtype, shape, then
        its little-endian bytes in C order), then over the attributes as canonical JSON.

    Examples
    --------
    >>> grid = np.arange(6, dtype="f4").reshape(2, 3)
    >>> content_digest({"grid": grid}, {"origin_nm": [0.0]}) == content_digest(
    ...     {"grid": np.asfortranarray(grid.astype(">f4"))}, {"origin_nm": [0.0]}
    ... )
    True
    """
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        shape = tuple(int(extent) for extent in array.shape)
        stored = np.dtype(array.dtype).newbyteorder("<")
        header = canonical_json([name, stored.str, list(shape)])
        digest.update(len(header).to_bytes(8, "little") + header)
        _update(digest, array, 0, shape[0])
    digest.update(canonical_json(dict(attributes)))
    return digest.hexdigest()


def run_sha256(array: Rows, start: int, stop: int) -> bytes:
    """Hash a run of rows of an array.

    Parameters
    ----------
    array : array
        Read in blocks along the first axis.
    start, stop : int
        First row, and the one behind the last.

    Returns
    -------
    bytes
        SHA-256 of their little-endian bytes in C order, 32 bytes.
    """
    digest = hashlib.sha256()
    _update(digest, array, start, min(stop, int(array.shape[0])))
    return digest.digest()


def runs_of(digests: Iterable[bytes]) -> npt.NDArray[np.uint8]:
    """Put the hashes of all runs of an array together.

    Parameters
    ----------
    digests : iterable of bytes
        What `run_sha256` gave for every `RUN_ROWS` rows, in order.

    Returns
    -------
    ndarray of uint8, (n_runs, 32)
    """
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)


def digest_by_runs(arrays: Mapping[str, Rows], attributes: Mapping[str, object]) -> str:
    """Hash long arrays run by run: `content_digest` of the hashes of every `RUN_ROWS` rows.

    Unlike a hash over the whole it can be made of runs that were hashed where they were written, on any machine and
    in any order. Extent and type of the arrays must follow from the attributes.

    Parameters
    ----------
    arrays : mapping of str to array
        By name; one run in memory at a time.
    attributes : mapping of str to JSON value
        Those that give the arrays their meaning.

    Returns
    -------
    str
        SHA-256, 64 hexadecimal digits.

    Examples
    --------
    >>> grid = np.arange(6, dtype="f4").reshape(2, 3)
    >>> by_hand = {"grid": runs_of([run_sha256(grid, 0, 2)])}
    >>> digest_by_runs({"grid": grid}, {"n": 2}) == content_digest(by_hand, {"n": 2})
    True
    """
    return content_digest(
        {
            name: runs_of(run_sha256(array, start, start + RUN_ROWS) for start in range(0, array.shape[0], RUN_ROWS))
            for name, array in arrays.items()
        },
        attributes,
    )


class FileHash:
    """Hash a file in a thread of its own, beside other work on it.

    Parameters
    ----------
    path : path
        File to read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     FileHash(file.name).result() == file_sha256(file.name)
    True
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._path, self._given_up = Path(path), threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._digest = self._pool.submit(self._run)
        self._pool.shutdown(wait=False)

    def result(self) -> str:
        """Wait for the SHA-256 and return it, 64 hexadecimal digits."""
        return self._digest.result()

    def give_up(self) -> None:
        """Stop reading: nobody waits for the result."""
        self._given_up.set()

    def _run(self) -> str:
        digest = hashlib.sha256()
        with self._path.open("rb", buffering=0) as stream:
            while not self._given_up.is_set() and (part := stream.read(_BLOCK_BYTES // 8)):
                digest.update(part)
        return digest.hexdigest()


def file_sha256(path: str | PathLike[str]) -> str:
    """Hash a file.

    Parameters
    ----------
    path : path
        File to read.

    Returns
    -------
    str
        SHA-256, 64 hexadecimal digits.
    """
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _update(digest: hashlib._Hash, array: Rows, start: int, stop: int) -> None:
    """Hash rows as little-endian bytes in C order, some megabytes at a time."""
    stored = np.dtype(array.dtype).newbyteorder("<")
    row_bytes = stored.itemsize * int(np.prod(array.shape[1:], dtype=np.int64))
    # A power of two: blocks end where chunks end, and no chunk is decoded twice.
    step = 1 << max(0, (_BLOCK_BYTES // max(1, row_bytes)).bit_length() - 1)
    for first in range(start, stop, step):
        rows: npt.NDArray[Any] = np.ascontiguousarray(array[first : min(first + step, stop)], dtype=stored)
        digest.update(rows.view(np.uint8).data)
