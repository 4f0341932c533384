"""Whole shards of an array that is still being made: written, brought to disk, and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream.io.arrays import READ_ERRORS
from aptstream.io.replace import sync

#: End of a shard of one chunk: where the chunk lies, its length, a checksum.
_INDEX_BYTES = 20


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
    >>> from aptstream.io.arrays import create_array
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
    others = ".0" * (values.ndim - 1)
    files = [folder / name / f"c.{shard}{others}" for shard in range(start // rows, -(-stop // rows))]
    for file in files:  # Zarr reads what stands there before it writes the last shard, damaged or not
        file.unlink(missing_ok=True)
    array[start:stop] = values
    for file in files:
        sync(file)


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
    except READ_ERRORS:
        return None


def require_chunk(file: Path, n_bytes: int) -> None:
    """See that the one chunk of a file unpacks to what it should, before Blosc takes the memory that it asks for.

    Parameters
    ----------
    file : Path
        A shard of one chunk, as `create_array` packs it.
    n_bytes : int
        Bytes of the chunk, unpacked.

    Raises
    ------
    ValueError
        If the file is larger than such a chunk can be, or its chunk is of another size.
    OSError
        If it cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> from aptstream.io.arrays import create_array
    >>> with tempfile.TemporaryDirectory() as name:
    ...     array = create_array(Path(name), "a", shape=(5,), dtype="uint8", chunk=(5,))
    ...     write_rows(Path(name), "a", 0, np.arange(5, dtype=np.uint8))
    ...     require_chunk(Path(name, "a", "c.0"), 5)
    """
    size = file.stat().st_size
    # Blosc adds 16 bytes to what it cannot pack, each checksum is 4, the index 16 bytes.
    if not _INDEX_BYTES <= size <= n_bytes + 20 + _INDEX_BYTES:
        raise ValueError(f"a file of {size} bytes for a chunk of {n_bytes}")
    with file.open("rb") as stream:
        stream.seek(size - _INDEX_BYTES)
        start = int.from_bytes(stream.read(8), "little")
        stream.seek(min(start, size) + 4)
        unpacked = int.from_bytes(stream.read(4), "little")  # as Blosc tells it in its header
    if unpacked != n_bytes:
        raise ValueError(f"a chunk of another size: {unpacked} bytes instead of {n_bytes}")
