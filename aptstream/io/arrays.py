"""Zarr arrays that can be trusted: our codecs only, every chunk with a checksum, no chunk missing unnoticed.

A chunk that is not there reads as zeros, a flipped bit passes through compression, and metadata may promise
gigabytes: everything is checked before Zarr sees it, and damage is named. The same holds on this disk and in an object
store.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream.errors import StoreError
from aptstream.io.folder import LINK, Folder, folder_of

#: No chunk and no shard of ours is larger, unpacked.
LARGEST_CHUNK_BYTES = 64 << 20

_LARGEST_METADATA = 16 << 20
_NEVER_WRITTEN = 2**64 - 1
_KEYS = {"name": "default", "configuration": {"separator": "."}}
#: What Zarr raises where a chunk or its description is damaged.
READ_ERRORS = (ValueError, RuntimeError, OSError, LookupError, TypeError, ArithmeticError, MemoryError)


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


def load_metadata(store: str | PathLike[str] | Folder, name: str = "") -> dict[str, Any]:
    """Read the ``zarr.json`` of a group or of one of its arrays.

    Parameters
    ----------
    store : path, str or Folder
        Folder or URL of the group.
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
    return _load_metadata(folder_of(store), name)[0]


def damaged(store: str | PathLike[str] | Folder, found: str, expected: str) -> StoreError:
    """Make the error for a store that is not as it was written.

    Parameters
    ----------
    store : path, str or Folder
        Folder or URL of the group.
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


def _load_metadata(folder: Folder, name: str) -> tuple[dict[str, Any], bytes]:
    """Read a ``zarr.json``: its content, and its bytes."""
    key = f"{name}/zarr.json" if name else "zarr.json"
    what = f"array '{name}'" if name else "manifest"
    try:
        data = folder.read(key, 0, _LARGEST_METADATA + 1)
        if len(data) > _LARGEST_METADATA:
            raise damaged(folder, f"the zarr.json of its {what} is larger than 16 MB", "a short description")
        loaded = json.loads(data)
    except FileNotFoundError as error:
        raise damaged(folder, f"its {what} has no zarr.json of its own", "a regular file") from error
    except (ValueError, RecursionError, PermissionError) as error:
        raise damaged(folder, f"the zarr.json of its {what} cannot be read ({error})", "JSON") from error
    if not isinstance(loaded, dict):
        raise damaged(folder, f"the zarr.json of its {what} is no JSON object", "a JSON object")
    return loaded, data


class CheckedArray:
    """A Zarr array on disk or in an object store, opened for reading after it was checked.

    Parameters
    ----------
    store : path, str or Folder
        Folder or URL of the group.
    name : str
        Name of the array.
    shape : tuple of int
        The shape it must have.
    dtype : str
        The type it must have, such as ``"float32"``.

    Raises
    ------
    StoreError
        If its description differs from what `create_array` writes, or a chunk file is missing, a symbolic link, or of
        a size that cannot be.
    """

    def __init__(self, store: str | PathLike[str] | Folder, name: str, *, shape: tuple[int, ...], dtype: str) -> None:
        from aptstream.io.strict import open_strict

        self.folder, self.name = folder_of(store), name
        self.shape, self.dtype = shape, np.dtype(dtype)
        metadata, raw = _load_metadata(self.folder, name)
        self._shard, self._chunk = self._check(metadata)
        #: Rows in one chunk: what is decoded for a single row.
        self.chunk_rows = self._chunk[0]
        self._per_shard = tuple(s // c for s, c in zip(self._shard, self._chunk, strict=True))
        # A shard ends with an index, 16 bytes per chunk, and its checksum.
        self._index_bytes = 16 * math.prod(self._per_shard) + 4
        self._sizes = self._check_members()
        self._offsets: dict[str, list[int]] = {}
        try:
            self._array: Any = open_strict(raw, self._read_file)
        except READ_ERRORS as error:
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
        try:
            found: npt.NDArray[Any] = np.asarray(self._array[start:stop])
        except (*READ_ERRORS, ExceptionGroup) as caught:
            error: Exception = caught
            while isinstance(error, ExceptionGroup):  # what failed while several chunks were read at once
                error = error.exceptions[0]
            if isinstance(error, StoreError):
                raise error from caught.__cause__
            files = ", ".join(itertools.islice(self.keys(start, stop), 3))
            where = f"in rows {start} to {stop - 1}, chunk file {files}"
            raise self._damaged(f"is damaged {where} ({error})", "whole chunks") from error
        return found

    @property
    def shard_rows(self) -> int:
        """Rows in one file."""
        return self._shard[0]

    @property
    def files(self) -> dict[str, int]:
        """Bytes of each file that the array consists of, by key in the group."""
        keys = ("zarr.json", *self.keys(0, self.shape[0]))
        return {f"{self.name}/{key}": self._sizes[key] for key in keys}

    def keys(self, start: int, stop: int) -> Iterator[str]:
        """Name the files that hold rows `start` to `stop` - 1."""
        first, last = start // self._shard[0], (stop - 1) // self._shard[0]
        others = [-(-n // edge) for n, edge in zip(self.shape[1:], self._shard[1:], strict=True)]
        each = math.prod(others)
        for number in range(first * each, (last + 1) * each):  # one by one: a shape may promise more than memory holds
            index, rest = list[int](), number
            for n in reversed(others):
                rest, i = divmod(rest, n)
                index.append(i)
            yield "c." + ".".join(map(str, (rest, *reversed(index))))

    def _read_file(self, key: str, start: int, stop: int | None) -> bytes:
        """Read a part of a chunk file for Zarr; a negative start counts from its end."""
        size = self._sizes[key]
        first, end = start + size if start < 0 else start, size if stop is None else stop
        try:
            if not 0 <= first <= end <= size:
                raise self._damaged(f"has an index in its chunk file {key} that points beyond it", "an intact index")
            found = self.folder.read(f"{self.name}/{key}", first, end)
        except FileNotFoundError:
            found = b""
        if len(found) != end - first:
            raise self._damaged(f"has lost its chunk file {key}, or its end", "all of them, whole")
        if stop is None:
            self._check_index(key, found)
        self._check_chunks(key, first, found)
        return found

    def _check_index(self, key: str, end: bytes) -> None:
        """Refuse a chunk file in which a chunk was never written: Zarr would read it as zeros."""
        entries = np.frombuffer(end[-self._index_bytes : -4], "<u8").reshape(*self._per_shard, 2)
        self._offsets[key] = [offset for offset in entries[..., 0].ravel().tolist() if offset != _NEVER_WRITTEN]
        numbers = zip(key.split(".")[1:], self.shape, self._shard, self._chunk, strict=True)
        # Chunks behind the end of the array are never written.
        inside = tuple(slice(-(-min(n - int(i) * shard, shard) // chunk)) for i, n, shard, chunk in numbers)
        if (entries[inside] == _NEVER_WRITTEN).any():
            raise self._damaged(f"lacks chunks in its chunk file {key}", "all of them")

    def _check_chunks(self, key: str, first: int, found: bytes) -> None:
        """Refuse chunks that would unpack to more than a chunk holds, before Blosc takes the memory for it."""
        expected = math.prod(self._chunk) * self.dtype.itemsize
        for offset in self._offsets.get(key, []):
            # Blosc tells the size of what it packed in bytes 4 to 8.
            header = found[offset - first + 4 : offset - first + 8] if offset >= first else b""
            if len(header) == 4 and int.from_bytes(header, "little") != expected:
                raise self._damaged(f"has a chunk of another size in its chunk file {key}", f"{expected} bytes")

    def _check_members(self) -> dict[str, int]:
        """Look through the folder once: cheaper than asking for every file."""
        try:
            sizes = self.folder.sizes(self.name)
        except StoreError:
            raise
        except OSError as error:
            raise self._damaged(f"cannot be listed ({error.strerror})", "a readable folder") from error
        # Blosc adds 16 bytes to what it cannot pack, the checksum 4.
        chunk_bytes = math.prod(self._chunk) * self.dtype.itemsize + 20
        largest = math.prod(self._per_shard) * chunk_bytes + self._index_bytes
        for key, size in sizes.items():
            if size == LINK:
                raise self._damaged(f"has a symbolic link in place of {key}", "files of its own")
        for key in self.keys(0, self.shape[0]):
            if key not in sizes:
                raise self._damaged(f"lacks its chunk file {key}", "all of them")
            if sizes[key] < self._index_bytes:
                raise self._damaged(f"has lost the end of its chunk file {key}", "whole files")
            if sizes[key] > largest:
                raise self._damaged(f"has a chunk file {key} of {sizes[key]} bytes", f"at most {largest}")
        return sizes

    def _check(self, metadata: dict[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Compare the description with what `create_array` writes; return the shapes of shards and chunks."""
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
        return tuple(shard), tuple(chunk)

    def _damaged(self, found: str, expected: str) -> StoreError:
        return damaged(self.folder, f"array '{self.name}' {found}", expected)


def _short(value: object) -> str:
    return ascii(value)[:80]
