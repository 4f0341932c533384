"""Zarr arrays that can be trusted: our codecs only, every chunk with a checksum, no chunk missing unnoticed.

A chunk that is not there reads as zeros, a flipped bit passes through compression, and metadata may promise
gigabytes: everything is checked before Zarr sees it, and damage is named.
"""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream.errors import StoreError
from aptstream.io.replace import sync

#: No chunk and no shard of ours is larger, unpacked.
LARGEST_CHUNK_BYTES = 64 << 20

_LARGEST_METADATA = 16 << 20
_KEYS = {"name": "default", "configuration": {"separator": "."}}
_READ_ERRORS = (ValueError, RuntimeError, OSError, LookupError, TypeError, ArithmeticError, MemoryError)


def create_array(
    folder: Path,
    name: str,
    *,
    shape: tuple[int, ...],
    dtype: str,
    chunk: tuple[int, ...],
    shard_chunks: int = 1,
) -> Any:
    """Create a Zarr array: blosc-zstd with bit shuffle, crc32c last, all chunks written, in shards.

    Parameters
    ----------
    folder : Path
        The group's folder.
    name : str
        Name of the array, which becomes a folder.
    shape : tuple of int
        Extents.
    dtype : str
        Name of the type, such as ``"float32"``.
    chunk : tuple of int
        Extents of a chunk; at most the whole first axis.
    shard_chunks : int
        Chunks along the first axis in one file, at most; fewer where the array is short.

    Returns
    -------
    zarr.Array
        Open for writing; write whole shards.
    """
    import zarr
    from zarr.codecs import BloscCodec, Crc32cCodec

    rows = min(chunk[0], shape[0])
    per_shard = min(shard_chunks, -(-shape[0] // rows))
    return zarr.create_array(
        str(folder),
        name=name,
        shape=shape,
        dtype=dtype,
        chunks=(rows, *chunk[1:]),
        shards=(rows * per_shard, *chunk[1:]),
        filters=None,
        compressors=[BloscCodec(cname="zstd", clevel=2, shuffle="bitshuffle"), Crc32cCodec()],
        fill_value=0,
        chunk_key_encoding={"name": "default", "separator": "."},
        config={"write_empty_chunks": True},
    )


def write_rows(folder: Path, name: str, start: int, values: npt.NDArray[Any]) -> None:
    """Write whole shards of an array that `create_array` made, and bring them to disk.

    Parameters
    ----------
    folder : Path
        The group's folder.
    name : str
        Name of the array.
    start : int
        First row.
    values : ndarray
        The rows; nobody else may write to their shards.

    Raises
    ------
    ValueError
        If the rows are not whole shards, or of another type or shape than the array's.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as name:
    ...     _ = create_array(Path(name), "a", shape=(5,), dtype="uint8", chunk=(2,), shard_chunks=2)
    ...     write_rows(Path(name), "a", 4, np.array([7], np.uint8))
    ...     stored_rows(Path(name), "a", 3, 5)
    array([0, 7], dtype=uint8)
    """
    import zarr

    with zarr.config.set({"array.write_empty_chunks": True}):  # not kept with the array
        array: Any = zarr.open_array(str(folder / name), mode="r+", zarr_format=3)
    rows, stop = array.shards[0], start + len(values)
    if start % rows or (stop % rows and stop != array.shape[0]) or values.dtype != array.dtype:
        raise ValueError(
            f"Rows {start} to {stop} of {values.dtype} are no whole shards of {rows} rows of {array.dtype}."
        )
    array[start:stop] = values
    others = ".0" * (values.ndim - 1)
    for shard in range(start // rows, -(-stop // rows)):
        sync(folder / name / f"c.{shard}{others}")


def stored_rows(folder: Path, name: str, start: int, stop: int) -> npt.NDArray[Any] | None:
    """Read rows of an array that is still being written.

    Parameters
    ----------
    folder : Path
        The group's folder.
    name : str
        Name of the array.
    start, stop : int
        First row, and the one behind the last.

    Returns
    -------
    ndarray or None
        Zeros where nothing was written; None where what was written is damaged.
    """
    import zarr

    try:
        array: Any = zarr.open_array(str(folder / name), mode="r", zarr_format=3)
        return np.asarray(array[start:stop])
    except _READ_ERRORS:
        return None


def load_metadata(store: Path, name: str = "") -> dict[str, Any]:
    """Read the ``zarr.json`` of a group or of one of its arrays.

    Parameters
    ----------
    store : Path
        Folder of the group.
    name : str
        Name of the array; empty for the group itself.

    Returns
    -------
    dict

    Raises
    ------
    StoreError
        If the file is missing, a symbolic link, larger than 16 MB, or not a JSON object.
    """
    file = store / name / "zarr.json"
    what = f"array '{name}'" if name else "manifest"
    try:
        if file.is_symlink() or not file.is_file() or (name and file.parent.is_symlink()):
            raise damaged(store, f"its {what} has no zarr.json of its own", "a regular file")
        with file.open("rb") as stream:
            data = stream.read(_LARGEST_METADATA + 1)
        if len(data) > _LARGEST_METADATA:
            raise damaged(store, f"the zarr.json of its {what} is larger than 16 MB", "a short description")
        loaded = json.loads(data)
    except (ValueError, RecursionError, PermissionError) as error:
        raise damaged(store, f"the zarr.json of its {what} cannot be read ({error})", "JSON") from error
    if not isinstance(loaded, dict):
        raise damaged(store, f"the zarr.json of its {what} is no JSON object", "a JSON object")
    return loaded


def damaged(store: Path, found: str, expected: str) -> StoreError:
    """Make the error for a store that is not as it was written.

    Parameters
    ----------
    store : Path
        Folder of the group.
    found, expected : str
        What is there, and what should be.

    Returns
    -------
    StoreError
    """
    return StoreError(
        f"The store {store} is damaged or of another kind: {found}. Expected {expected}. "
        f"Make it again from its source, or restore a copy."
    )


class CheckedArray:
    """A Zarr array on a local disk, opened for reading after its description and its chunks were checked.

    Parameters
    ----------
    store : Path
        Folder of the group.
    name : str
        Name of the array.
    shape : tuple of int
        The shape it must have.
    dtype : str
        The type it must have, such as ``"float32"``.

    Raises
    ------
    StoreError
        If its description differs from what `create_array` writes, or a chunk is missing or a symbolic link.
    """

    def __init__(self, store: Path, name: str, *, shape: tuple[int, ...], dtype: str) -> None:
        import zarr

        self.store, self.name = store, name
        self.shape, self.dtype = shape, np.dtype(dtype)
        metadata = load_metadata(store, name)
        self._shard = self._check(metadata)
        #: Rows in one chunk: what is decoded for a single row.
        self.chunk_rows = int(metadata["codecs"][0]["configuration"]["chunk_shape"][0])
        # A shard ends with an index, 16 bytes per chunk, and its checksum.
        self._smallest_file = 16 * (self._shard[0] // self.chunk_rows) + 4
        self._check_members()
        try:
            self._array: Any = zarr.open_array(str(store / name), mode="r", zarr_format=3)
        except _READ_ERRORS as error:
            raise self._damaged(f"cannot be opened ({error})", "a Zarr array") from error

    def __getitem__(self, rows: slice, /) -> npt.NDArray[Any]:
        """Read some rows.

        Raises
        ------
        StoreError
            If a chunk is missing or fails its checksum.
        """
        start, stop, _ = rows.indices(self.shape[0])
        if stop <= start:
            return np.empty((0, *self.shape[1:]), self.dtype)
        for key in self._keys(start, stop):
            file = self.store / self.name / key
            # Zarr gives back whatever was in memory where a shard file is empty.
            if not file.is_file() or file.stat().st_size < self._smallest_file:
                raise self._damaged(f"has lost its chunk file {key}, or its end", "all of them, whole")
        try:
            found: npt.NDArray[Any] = np.asarray(self._array[start:stop])
        except _READ_ERRORS as error:
            raise self._damaged(f"is damaged in rows {start} to {stop - 1} ({error})", "whole chunks") from error
        return found

    def _keys(self, start: int, stop: int) -> Iterator[str]:
        """Name the files that hold rows `start` to `stop` - 1."""
        first, last = start // self._shard[0], (stop - 1) // self._shard[0]
        others = (range(-(-n // edge)) for n, edge in zip(self.shape[1:], self._shard[1:], strict=True))
        for index in itertools.product(range(first, last + 1), *others):
            yield "c." + ".".join(map(str, index))

    def _check_members(self) -> None:
        """Look through the folder once: cheaper than asking for every file."""
        try:
            with os.scandir(self.store / self.name) as entries:
                members = {entry.name: entry for entry in entries}
        except OSError as error:
            raise self._damaged(f"cannot be listed ({error.strerror})", "a readable folder") from error
        for key, entry in members.items():
            if entry.is_symlink():
                raise self._damaged(f"has a symbolic link in place of {key}", "files of its own")
        for key in self._keys(0, self.shape[0]):
            if key not in members or not members[key].is_file(follow_symlinks=False):
                raise self._damaged(f"lacks its chunk file {key}", "all of them")
            if members[key].stat().st_size < self._smallest_file:
                raise self._damaged(f"has lost the end of its chunk file {key}", "whole files")

    def _check(self, metadata: dict[str, Any]) -> tuple[int, ...]:
        """Compare the description with what `create_array` writes; return the shape of a shard."""
        endian = {"configuration": {"endian": "little"}}
        for key, expected in (
            ("zarr_format", 3),
            ("node_type", "array"),
            ("shape", list(self.shape)),
            ("data_type", self.dtype.name),
            ("chunk_key_encoding", _KEYS),
            ("fill_value", 0),
            ("storage_transformers", []),
        ):
            if metadata.get(key, []) != expected:
                raise self._damaged(f"has {key} {_short(metadata.get(key))}", str(expected))
        try:
            shard = metadata["chunk_grid"]["configuration"]["chunk_shape"]
            (sharding,) = metadata["codecs"]
            inner = sharding["configuration"]
            named = [codec["name"] for codec in (*inner["codecs"], *inner["index_codecs"])]
            bytes_codec, index_codec = inner["codecs"][0], inner["index_codecs"][0]
            kind = (metadata["chunk_grid"]["name"], sharding["name"], inner["index_location"])
            chunk = inner["chunk_shape"]
        except (LookupError, TypeError, ValueError) as error:
            raise self._damaged("does not describe its chunks", "chunks in shards") from error
        if (
            kind != ("regular", "sharding_indexed", "end")
            or named != ["bytes", "blosc", "crc32c", "bytes", "crc32c"]
            or index_codec != {"name": "bytes", **endian}
            or bytes_codec != {"name": "bytes", **(endian if self.dtype.itemsize > 1 else {})}
        ):
            raise self._damaged(f"is packed by {_short(named)}", "blosc with a crc32c checksum, in shards")
        for edges in (shard, chunk):
            whole = isinstance(edges, list) and len(edges) == len(self.shape)
            if not whole or not all(type(edge) is int and edge > 0 for edge in edges):
                raise self._damaged(f"has chunks of {_short(edges)}", "an edge above 0 for every axis")
            if math.prod(edges) * self.dtype.itemsize > LARGEST_CHUNK_BYTES:
                raise self._damaged(f"has chunks of {_short(edges)}", "chunks of at most 64 MiB")
        if any(a % b for a, b in zip(shard, chunk, strict=True)):
            raise self._damaged(f"has chunks of {chunk} in shards of {shard}", "whole chunks in every shard")
        return tuple(shard)

    def _damaged(self, found: str, expected: str) -> StoreError:
        return damaged(self.store, f"array '{self.name}' {found}", expected)


def _short(value: object) -> str:
    return ascii(value)[:80]
