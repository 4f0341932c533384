"""SHA-256 of files and of what a store means, whatever its layout."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

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
        row_bytes = stored.itemsize * int(np.prod(shape[1:], dtype=np.int64))
        step = max(1, _BLOCK_BYTES // max(1, row_bytes))
        for start in range(0, shape[0], step):
            rows: npt.NDArray[Any] = np.ascontiguousarray(array[start : start + step], dtype=stored)
            digest.update(rows.view(np.uint8).data)
    digest.update(canonical_json(dict(attributes)))
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
