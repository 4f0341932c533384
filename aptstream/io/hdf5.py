"""Where the bytes of an HDF5 dataset lie, and its rows from them, without the HDF5 library.

Contiguous data, and chunks that are plain or went through gzip, shuffle and Fletcher's checksum. Chunks are unpacked
here, since the library gives a packed chunk as much memory as it asks for, and keeps one lock for all threads.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream.errors import FileFormatError
from aptstream.io.decode import FloatArray
from aptstream.io.read import read_bytes

#: A larger chunk is not unpacked.
LARGEST_CHUNK_BYTES = 64 << 20
_GZIP, _SHUFFLE, _FLETCHER = 1, 2, 3
_CHECKSUM_BYTES = 4


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
            raise self._damaged(i, f"has {len(data)} bytes", f"{row_bytes * self.chunk[0]}")
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
                raise self._damaged(0, "has another checksum than its content", "the content that was written")
            return content
        unpacker = zlib.decompressobj()
        try:
            content = unpacker.decompress(data, most + _CHECKSUM_BYTES + 1)
        except zlib.error as error:
            raise self._damaged(0, f"cannot be unpacked ({error})", "what gzip packed") from error
        return content

    def _damaged(self, row: int, found: str, expected: str) -> FileFormatError:
        return FileFormatError(
            f"The HDF5 file {self.file.name} is damaged: a chunk of {self.name} {found}. Expected {expected}. "
            f"Copy or export it again."
        )


def locate_array(file: Path, dataset: Any) -> StoredArray:
    """Find the bytes of a dataset.

    Parameters
    ----------
    file : Path
        The file.
    dataset : h5py.Dataset
        Of shape (n,) or (n, columns), open.

    Returns
    -------
    StoredArray

    Raises
    ------
    FileFormatError
        If it is of another type or shape, virtual, in other files, packed in other ways, or not wholly written.
    """
    import h5py

    name, shape, dtype = dataset.name, dataset.shape, dataset.dtype
    if (
        dtype.kind != "f"
        or dtype.itemsize not in (4, 8)
        or shape is None
        or len(shape) not in (1, 2)
        or not prod(shape)
    ):
        raise _refused(file, name, f"holds {dtype} of shape {shape}", "float32 or float64, an ion a row")
    rows, columns = shape[0], prod(shape[1:])
    form = dataset.id.get_create_plist()
    layout = form.get_layout()
    if layout == h5py.h5d.VIRTUAL or form.get_external_count():
        raise _refused(file, name, "has its data elsewhere (virtual or external)", "data in the file itself")
    # What HDF5 says is not believed before it fits the file: nothing is set aside for more.
    size = file.stat().st_size
    if layout == h5py.h5d.CONTIGUOUS:
        begin, n_bytes = dataset.id.get_offset(), rows * columns * dtype.itemsize
        if begin is None or begin + n_bytes > size:
            raise _refused(file, name, f"promises {n_bytes} bytes that are not there", "data that was written")
        place = np.array([[[begin, n_bytes, 0]]], np.int64)
        return StoredArray(file, name, dtype.str, rows, columns, (rows, columns), (), place)
    if layout != h5py.h5d.CHUNKED:
        raise _refused(file, name, "is stored in a header (compact)", "contiguous or chunked data")
    high, wide = (*form.get_chunk(), 1)[:2]
    if high * wide * dtype.itemsize > LARGEST_CHUNK_BYTES:
        raise _refused(file, name, f"has chunks of {high * wide * dtype.itemsize} bytes", "at most 64 MiB")
    filters = tuple(form.get_filter(number)[0] for number in range(form.get_nfilters()))
    if not set(filters) <= {_GZIP, _SHUFFLE, _FLETCHER}:
        raise _refused(file, name, f"is packed by HDF5 filters {filters}", "gzip, shuffle, fletcher32 (1, 2, 3)")
    place = _chunks(file, dataset, (rows, columns), (high, wide))
    plain = high * wide * dtype.itemsize
    if not filters and not (place[..., 1] == plain).all():
        raise _refused(file, name, "has chunks of other sizes than it says", f"{plain} bytes each")
    return StoredArray(file, name, dtype.str, rows, columns, (high, wide), filters, place)


def _chunks(file: Path, dataset: Any, shape: tuple[int, int], chunk: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Find every chunk, once, inside the file."""
    grid = tuple(-(-extent // edge) for extent, edge in zip(shape, chunk, strict=True))
    size = file.stat().st_size
    n_chunks = dataset.id.get_num_chunks()
    if prod(grid) != n_chunks or n_chunks > size:
        raise _refused(file, dataset.name, f"has {n_chunks} of its {prod(grid)} chunks", "data that is wholly written")
    place = np.full((*grid, 3), -1, np.int64)

    def note(info: Any) -> None:
        at = tuple(offset // edge for offset, edge in zip((*info.chunk_offset, 0)[:2], chunk, strict=True))
        place[at] = info.byte_offset, info.size, info.filter_mask

    dataset.id.chunk_iter(note)
    if not ((place >= 0).all() and (place[..., 1] <= size).all() and (place[..., 0] <= size - place[..., 1]).all()):
        raise _refused(file, dataset.name, "has chunks that lie outside the file", "chunks that were written")
    return place


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
    words = np.frombuffer(data + b"\0" * (len(data) % 2), ">u2").astype(np.uint64)
    weight = np.arange(len(words), 0, -1, dtype=np.uint64) % np.uint64(65535)
    sums = int(words.sum()), int((words * weight).sum())
    # HDF5 folds carries in instead of dividing: a multiple of 65535 stays 65535.
    low, high = (total % 65535 or (65535 if total else 0) for total in sums)
    return high << 16 | low


def _refused(file: Path, name: str, found: str, expected: str) -> FileFormatError:
    return FileFormatError(
        f"The HDF5 file {file.name} cannot be read: {name} {found}. Expected {expected}. "
        f"Repack it with gzip (h5repack -f GZIP=4), or export the reconstruction again."
    )
