"""Where the bytes of an HDF5 dataset lie, and its rows from them.

Contiguous data, and chunks that are plain or went through gzip, shuffle and Fletcher's checksum. No chunk is unpacked
to more bytes than its shape has, and threads do not wait for one another.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from aptstream.errors import FileFormatError
from aptstream.io.decode import FloatArray
from aptstream.io.hdf5 import EXTERNAL, FILTERS, LAYOUT, NOWHERE, SPACE, TYPE, DamagedError, Hdf5, Message
from aptstream.io.read import read_bytes

#: A larger chunk is not unpacked, nor one beyond the second size that shrank to less than a tenth.
LARGEST_CHUNK_BYTES = 64 << 20
TRUSTED_CHUNK_BYTES = 8 << 20
_GZIP, _SHUFFLE, _FLETCHER = 1, 2, 3
_CHECKSUM_BYTES = 4
_WORDS = 256
_SLICE_BYTES = 1 << 20


@dataclass(frozen=True)
class StoredArray:
    """A dataset of (rows, columns) floating-point numbers in a file.

    Parameters
    ----------
    file : Path
        The file.
    name : str
        Path of the dataset.
    dtype : str
        Type of its numbers, such as ``"<f4"``.
    rows, columns : int
        Its shape.
    chunk : tuple of int
        Rows and columns of a chunk; the whole dataset where it is contiguous.
    filters : tuple of int
        Codes of what its chunks went through, in this order.
    place : ndarray of int64, (chunks along rows, chunks along columns, 3)
        First byte, bytes, and mask of filters that were left out, of every chunk.
    """

    file: Path
    name: str
    dtype: str
    rows: int
    columns: int
    chunk: tuple[int, int]
    filters: tuple[int, ...]
    place: npt.NDArray[np.int64]

    def read(self, start: int, stop: int) -> FloatArray:
        """Read some rows.

        Parameters
        ----------
        start, stop : int
            First row, and the one behind the last.

        Returns
        -------
        ndarray of float32, (n, columns)
            Larger numbers than float32 holds become infinite.

        Raises
        ------
        FileFormatError
            If the file has become shorter, or a chunk is damaged.
        """
        out = np.empty((stop - start, self.columns), np.float32)
        high, wide = self.chunk
        for i in range(start // high, -(-stop // high)):
            first, last = max(start, i * high), min(stop, (i + 1) * high)
            for j in range(self.place.shape[1]):
                values = self._piece(i, j, first - i * high, last - i * high)
                left = j * wide
                with np.errstate(over="ignore", invalid="ignore"):
                    out[first - start : last - start, left : left + wide] = values[:, : self.columns - left]
        return out

    def _piece(self, i: int, j: int, first: int, last: int) -> npt.NDArray[Any]:
        """Return some rows of a chunk."""
        begin, size, mask = self.place[i, j].tolist()
        row_bytes = self.chunk[1] * np.dtype(self.dtype).itemsize
        if not self.filters:
            raw = read_bytes(self.file, begin + first * row_bytes, (last - first) * row_bytes)
            return np.frombuffer(raw, self.dtype).reshape(-1, self.chunk[1])
        data = read_bytes(self.file, begin, size)
        for number, code in reversed(list(enumerate(self.filters))):
            if not mask >> number & 1:
                data = self._undo(code, data, row_bytes * self.chunk[0])
        if len(data) != row_bytes * self.chunk[0]:
            raise self._damaged(f"has {len(data)} bytes", f"{row_bytes * self.chunk[0]}")
        return np.frombuffer(data, self.dtype).reshape(-1, self.chunk[1])[first:last]

    def _undo(self, code: int, data: bytes, most: int) -> bytes:
        """Undo one filter."""
        if code == _SHUFFLE:
            item = np.dtype(self.dtype).itemsize
            whole = len(data) // item * item
            planes = np.frombuffer(data[:whole], np.uint8).reshape(item, -1)
            return planes.T.tobytes() + data[whole:]
        if code == _FLETCHER:
            content = data[:-_CHECKSUM_BYTES]
            if int.from_bytes(data[-_CHECKSUM_BYTES:], "little") != fletcher32(content):
                raise self._damaged("has another checksum than its content", "the content that was written")
            return content
        unpacker = zlib.decompressobj()
        try:
            content = unpacker.decompress(data, most + _CHECKSUM_BYTES + 1)
        except zlib.error as error:
            raise self._damaged(f"cannot be unpacked ({error})", "what gzip packed") from error
        if not unpacker.eof:
            raise self._damaged("unpacks to more or less than its shape has", "what gzip packed")
        return content

    def _damaged(self, found: str, expected: str) -> FileFormatError:
        return FileFormatError(
            f"The HDF5 file {self.file.name} is damaged: a chunk of {self.name} {found}. Expected {expected}. "
            f"Copy or export it again."
        )


def locate_array(file: Path, hdf5: Hdf5, name: str, messages: list[Message]) -> StoredArray:
    """Find the bytes of a dataset.

    Parameters
    ----------
    file : Path
        The file.
    hdf5 : Hdf5
        The same, open.
    name : str
        Path of the dataset.
    messages : list of Message
        Its header.

    Returns
    -------
    StoredArray

    Raises
    ------
    FileFormatError
        If it is of another type or shape, virtual, in other files, packed in other ways, or not wholly written.
    DamagedError
        If its structures are damaged.
    """
    header = dict(messages)
    shape, dtype = _shape(header.get(SPACE, b"")), _dtype(header.get(TYPE, b""))
    if not dtype or len(shape) not in (1, 2) or not prod(shape):
        raise _refused(file, name, f"has the shape {shape} and no type that is read", "n rows of float32 or float64")
    rows, columns = shape[0], prod(shape[1:])
    layout, item = header[LAYOUT], np.dtype(dtype).itemsize
    if EXTERNAL in header or layout[:2] == b"\4\3":
        raise _refused(file, name, "has its data elsewhere (virtual or external)", "data in the file itself")
    if layout[0] not in (3, 4) or layout[1] not in (1, 2):
        raise _refused(file, name, f"is stored in the form {layout[0]}.{layout[1]}", "contiguous or chunked data")
    # What the header says is not believed before it fits the file: nothing is set aside for more.
    if layout[1] == 1:
        begin, n_bytes = struct.unpack_from("<Q", layout, 2)[0], rows * columns * item
        if begin + n_bytes > hdf5.size:
            raise _refused(file, name, f"promises {n_bytes} bytes that are not there", "data that was written")
        place = np.array([[[begin, n_bytes, 0]]], np.int64)
        return StoredArray(file, name, dtype, rows, columns, (rows, columns), (), place)
    filters = _filters(header.get(FILTERS, b""))
    if not set(filters) <= {_GZIP, _SHUFFLE, _FLETCHER}:
        raise _refused(file, name, f"is packed by HDF5 filters {filters}", "gzip, shuffle, fletcher32 (1, 2, 3)")
    chunk, index = _chunk_shape(layout, len(shape))
    plain = chunk[0] * chunk[1] * item
    if plain > LARGEST_CHUNK_BYTES:
        raise _refused(file, name, f"has chunks of {plain} bytes", "at most 64 MiB")
    grid = (-(-rows // chunk[0]), -(-columns // chunk[1]))
    # A chunk that is not written takes no space, but its entry does.
    if prod(grid) > hdf5.size // 8:
        raise _refused(file, name, f"says that it has {prod(grid)} chunks", "no more than fit into the file")
    form = _Chunks(len(shape), chunk, grid, plain, bool(filters))
    place = _places(file, name, hdf5.size, index(hdf5, form), form)
    return StoredArray(file, name, dtype, rows, columns, chunk, filters, place)


class _Chunks(NamedTuple):
    """What the indices of chunks need to know: rank, edges, their number along both axes, bytes, and if packed."""

    rank: int
    chunk: tuple[int, int]
    grid: tuple[int, int]
    plain: int
    packed: bool


_Place = tuple[tuple[int, int], tuple[int, int, int]]
_Index = Callable[[Hdf5, _Chunks], Iterator[_Place]]


def _places(file: Path, name: str, size: int, listed: Iterator[_Place], form: _Chunks) -> npt.NDArray[np.int64]:
    """Find every chunk, inside the file."""
    place = np.full((*form.grid, 3), -1, np.int64)
    for at, where in listed:
        if at[0] >= form.grid[0] or at[1] >= form.grid[1] or sum(where[:2]) > size:
            raise _refused(file, name, "has chunks that lie outside", "chunks inside the file and the shape")
        place[at] = where
    if not (place[..., 1] > 0).all():
        missing = int((place[..., 1] <= 0).sum())
        raise _refused(file, name, f"lacks {missing} of its {prod(form.grid)} chunks", "data that is wholly written")
    if not form.packed and not (place[..., 1] == form.plain).all():
        raise _refused(file, name, "has chunks of other sizes than it says", f"{form.plain} bytes each")
    if form.plain > TRUSTED_CHUNK_BYTES and (10 * place[..., 1] < form.plain).any():
        found = f"packs {form.plain} bytes into {place[..., 1].min()}"
        raise _refused(file, name, found, "numbers of a measurement, or chunks of at most 8 MiB")
    return place


def _chunk_shape(layout: bytes, rank: int) -> tuple[tuple[int, int], _Index]:
    """Return the extents of a chunk, and what lists the chunks."""
    if layout[2 if layout[0] == 3 else 3] != rank + 1 or (layout[0] == 4 and layout[2] & 1):
        raise DamagedError("holds chunks of another form than its shape")
    if layout[0] == 3:
        address, *edges = struct.unpack_from(f"<Q{rank}I", layout, 3)
        index: _Index = partial(_tree_chunks, address)
    else:
        width = layout[4]
        if not 1 <= width <= 8:
            raise DamagedError(f"holds chunks whose extents take {width} bytes")
        edges = [int.from_bytes(layout[5 + width * axis : 5 + width * (axis + 1)], "little") for axis in range(rank)]
        at = 5 + width * (rank + 1)
        index = partial(_listed_chunks, layout[at], layout[at + 1 :], layout[2])
    if not all(edges):
        raise DamagedError("holds chunks without extent")
    return (edges[0], edges[1] if rank == 2 else 1), index


def _tree_chunks(address: int, hdf5: Hdf5, form: _Chunks) -> Iterator[_Place]:
    """List the chunks of the usual index, a B-tree."""
    # Without any chunk there is no tree.
    leaves = hdf5.leaves(address, 1, 8 + 8 * (form.rank + 1)) if address != NOWHERE else ()
    for leaf in leaves:
        size, mask, *offset = struct.unpack_from(f"<II{form.rank}Q", leaf.key)
        row, column = (*offset, 0)[:2]
        yield (row // form.chunk[0], column // form.chunk[1]), (leaf.child, size, mask)


def _listed_chunks(kind: int, rest: bytes, flags: int, hdf5: Hdf5, form: _Chunks) -> Iterator[_Place]:
    """List the chunks of newer files: one chunk, chunks in a row, or an array of places."""
    if kind == 1:
        size, mask = struct.unpack_from("<QI", rest) if flags & 2 else (form.plain, 0)
        yield (0, 0), (struct.unpack_from("<Q", rest, 12 if flags & 2 else 0)[0], size, mask)
        return
    cells = ((row, column) for row in range(form.grid[0]) for column in range(form.grid[1]))
    if kind == 2:
        (begin,) = struct.unpack_from("<Q", rest)
        yield from ((at, (begin + form.plain * k, form.plain, 0)) for k, at in enumerate(cells))
        return
    if kind != 3:
        raise DamagedError(f"lists its chunks in the newer form {kind}, which is not read")
    (header,) = struct.unpack_from("<Q", rest, 1)
    head = hdf5.take(header, 24)
    entry, page_bits = head[6], head[7]
    (block,) = struct.unpack_from("<Q", head, 16)
    if head[:4] != b"FAHD" or entry < (13 if form.packed else 8) or page_bits > 30:
        raise DamagedError(f"holds no list of chunks at byte {header}")
    n_cells, per_page = prod(form.grid), 1 << page_bits
    at = block + 14
    if n_cells > per_page:  # in pages, after a mask of those that are written and its checksum
        n_pages = -(-n_cells // per_page)
        at += -(-n_pages // 8) + 4
    for first in range(0, n_cells, per_page):
        count = min(per_page, n_cells - first)
        page = hdf5.take(at, entry * count)
        at += entry * count + 4
        for k, cell in zip(range(count), cells, strict=False):
            item = page[entry * k : entry * (k + 1)]
            size = int.from_bytes(item[8:-4], "little") if form.packed else form.plain
            mask = int.from_bytes(item[-4:], "little") if form.packed else 0
            yield cell, (int.from_bytes(item[:8], "little"), size, mask)


def _shape(space: bytes) -> tuple[int, ...]:
    """Read the extents of a dataset."""
    if len(space) < 4 or space[0] not in (1, 2):
        return ()
    return struct.unpack_from(f"<{space[1]}Q", space, 8 if space[0] == 1 else 4)


def _dtype(kind: bytes) -> str:
    """Read a floating-point type of IEEE; empty if it is another."""
    if len(kind) < 20 or kind[0] & 15 != 1 or kind[1] & 0x40:
        return ""
    size, *form = struct.unpack_from("<IHHBBBBI", kind, 4)
    known = {4: [0, 32, 23, 8, 0, 23, 127], 8: [0, 64, 52, 11, 0, 52, 1023]}
    return f"{'>' if kind[1] & 1 else '<'}f{size}" if form == known.get(size) else ""


def _filters(pipeline: bytes) -> tuple[int, ...]:
    """Read the codes of the filters, in the order of writing."""
    if not pipeline:
        return ()
    version, count = pipeline[:2]
    at, codes = 8 if version == 1 else 2, []
    for _ in range(count):
        (code,) = struct.unpack_from("<H", pipeline, at)
        named = version == 1 or code >= 256
        length = struct.unpack_from("<H", pipeline, at + 2)[0] if named else 0
        at += 4 if named else 2
        (values,) = struct.unpack_from("<H", pipeline, at + 2)
        pad = 4 * (values % 2) if version == 1 else 0
        at += 4 + (-(-length // 8) * 8 if version == 1 else length) + 4 * values + pad
        codes.append(code)
    return tuple(codes)


def fletcher32(data: bytes) -> int:
    """Compute Fletcher's checksum as HDF5 does, over big-endian words of two bytes.

    Parameters
    ----------
    data : bytes
        What to check; padded with a zero byte where their number is odd.

    Returns
    -------
    int
        32 bits.

    Examples
    --------
    >>> hex(fletcher32(b"abcde"))
    '0x4ff029c7'
    """
    low = high = 0
    for start in range(0, len(data), _SLICE_BYTES):
        part = data[start : start + _SLICE_BYTES]
        total, weighted = _sums(part)
        # Every sum so far is added once more for each word that follows.
        high += weighted + -(-len(part) // 2) * low
        low += total
    # HDF5 folds carries in instead of dividing: a multiple of 65535 stays 65535.
    low, high = (number % 65535 or (65535 if low else 0) for number in (low, high))
    return high << 16 | low


def _sums(data: bytes) -> tuple[int, int]:
    """Add up words, and the sums after every word, as one product of matrices of doubles, which are exact here."""
    n_words = -(-len(data) // 2)
    padded = data + b"\0" * (-len(data) % (2 * _WORDS))
    words = np.frombuffer(padded, ">u2").reshape(-1, _WORDS).astype(np.float64)
    weights = np.stack([np.ones(_WORDS), np.arange(_WORDS, 0, -1.0)], axis=1)
    total, weighted = (words @ weights).astype(np.int64).T
    behind = _WORDS * np.arange(len(words) - 1, -1, -1)
    # The words of the padding add to the second sum only.
    extra = words.size - n_words
    return int(total.sum()), int(weighted.sum() + (total * behind).sum()) - extra * int(total.sum())


def _refused(file: Path, name: str, found: str, expected: str) -> FileFormatError:
    return FileFormatError(
        f"The HDF5 file {file.name} cannot be read: {name} {found}. Expected {expected}. "
        f"Repack it with gzip (h5repack -f GZIP=4), or export the reconstruction again."
    )
