"""POS files: four big-endian float32 per ion, x, y, z in nm and m/q in Da, without a header."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from io import FileIO
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aptstream.errors import FileFormatError
from aptstream.io.decode import LARGEST, POS_BYTES, Decoded, FloatArray, decode_pos
from aptstream.io.replace import replacing

_COLUMNS = ("x", "y", "z", "m/q")


def count_pos(path: str | PathLike[str]) -> int:
    """Tell how many ions a POS file holds, by its size.

    Parameters
    ----------
    path : path
        File to look at.

    Returns
    -------
    int
        Number of ions, at least 1.

    Raises
    ------
    FileFormatError
        If there is no such file, it is empty, or its size is not a multiple of 16 bytes.
    """
    file = Path(path)
    if not file.is_file():
        raise FileFormatError(f"There is no POS file {file}. Expected the path of a file: check its name.")
    size = file.stat().st_size
    if size == 0 or size % POS_BYTES:
        found = "is empty" if size == 0 else f"has {size} bytes, {size % POS_BYTES} after its last whole ion"
        raise FileFormatError(
            f"The POS file {file.name} is not complete: it {found}. Expected 16 bytes per ion "
            f"(x, y, z, m/q). Copy or export it again; if it is not a POS file, give it its own suffix."
        )
    return size // POS_BYTES


def iter_blocks(path: str | PathLike[str], block: int = 1 << 18) -> Iterator[tuple[bytes, Decoded]]:
    """Read and decode a POS file in blocks, with the raw bytes of each for hashing.

    Parameters
    ----------
    path : path
        File to read.
    block : int
        Ions at a time, at least 1.

    Yields
    ------
    raw : bytes
        The block as the file holds it.
    decoded : Decoded
        Its ions and bounds; all numbers are finite and at most 1e6.

    Raises
    ------
    FileFormatError
        As `count_pos`, and for numbers that are not finite or too large, naming the ion.
    ValueError
        If `block` is less than 1.
    """
    if block < 1:
        raise ValueError(f"A block holds at least 1 ion, found {block}.")
    n_ions = count_pos(path)
    with _open(Path(path)) as stream:
        for start in range(0, n_ions, block):
            raw = _read_exactly(stream.fileno(), POS_BYTES * min(block, n_ions - start), Path(path).name)
            decoded = decode_pos(np.frombuffer(raw, np.uint8))
            if decoded.first_bad >= 0:
                _refuse_ion(Path(path).name, start + decoded.first_bad, decoded)
            yield raw, decoded


def iter_pos(path: str | PathLike[str], block: int = 1 << 18) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Read a POS file in blocks, so that memory does not grow with the file.

    Parameters
    ----------
    path : path
        File to read.
    block : int
        Ions at a time, at least 1.

    Yields
    ------
    position : ndarray of float32, (n, 3)
        x, y, z in nm.
    mass_to_charge : ndarray of float32, (n,)
        m/q in Da.

    Raises
    ------
    FileFormatError
        If the file is missing, empty or cut short, or a number is not finite or too large.
    """
    for _, decoded in iter_blocks(path, block):
        yield decoded.position, decoded.mass_to_charge


def read_pos(path: str | PathLike[str]) -> tuple[FloatArray, FloatArray]:
    """Read a whole POS file.

    Parameters
    ----------
    path : path
        File to read.

    Returns
    -------
    position : ndarray of float32, (n, 3)
        x, y, z in nm.
    mass_to_charge : ndarray of float32, (n,)
        m/q in Da.

    Raises
    ------
    FileFormatError
        If the file is missing, empty or cut short, or a number is not finite or too large.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_pos(f"{folder}/a.pos", [[0, 1, -2]], [27])
    ...     read_pos(f"{folder}/a.pos")
    (array([[ 0.,  1., -2.]], dtype=float32), array([27.], dtype=float32))
    """
    n_ions = count_pos(path)
    position, mass_to_charge = np.empty((n_ions, 3), np.float32), np.empty(n_ions, np.float32)
    start = 0
    for block_position, block_mass in iter_pos(path):
        stop = start + len(block_mass)
        position[start:stop], mass_to_charge[start:stop] = block_position, block_mass
        start = stop
    return position, mass_to_charge


def write_pos(path: str | PathLike[str], position: npt.ArrayLike, mass_to_charge: npt.ArrayLike) -> None:
    """Write a POS file, whole or not at all.

    Parameters
    ----------
    path : path
        File to write; one that stands there is replaced.
    position : array_like, (n, 3)
        x, y, z in nm, rounded to float32.
    mass_to_charge : array_like, (n,)
        m/q in Da, rounded to float32.

    Raises
    ------
    ValueError
        If there is no ion, shapes disagree, or a number is not finite or beyond 1e6.
    """
    points, mass = np.asarray(position), np.asarray(mass_to_charge)
    if points.shape != (mass.size, 3) or mass.ndim != 1 or not mass.size:
        raise ValueError(f"POS needs (n, 3) positions and n m/q, found {points.shape} and {mass.shape}.")
    slices = (slice(start, start + (1 << 18)) for start in range(0, len(mass), 1 << 18))
    write_pos_blocks(path, ((points[rows], mass[rows]) for rows in slices))


def write_pos_blocks(
    path: str | PathLike[str], blocks: Iterable[tuple[npt.NDArray[np.number], npt.NDArray[np.number]]]
) -> None:
    """Write a POS file block by block, whole or not at all.

    Parameters
    ----------
    path : path
        File to write; one that stands there is replaced.
    blocks : iterable of (ndarray (n, 3), ndarray (n,))
        x, y, z in nm and m/q in Da, rounded to float32.

    Raises
    ------
    ValueError
        If there is no ion, or a number is not finite or beyond 1e6.
    """
    written = 0
    with replacing(path) as stream:
        for position, mass in blocks:
            for name, numbers in (("positions", position), ("m/q", mass)):
                if not (np.abs(numbers) <= LARGEST).all():
                    raise ValueError(f"A POS file holds finite numbers of at most 1e6, found others in the {name}.")
            record = np.empty((len(mass), 4), ">f4")
            record[:, :3], record[:, 3] = position, mass
            stream.write(record.data)
            written += len(mass)
        if not written:
            raise ValueError("A POS file needs at least one ion, found none.")


def _open(file: Path) -> FileIO:
    try:
        return file.open("rb", buffering=0)
    except OSError as error:
        raise FileFormatError(
            f"The POS file {file} cannot be read: {error.strerror}. Expected a file that you may read."
        ) from error


def _read_exactly(descriptor: int, size: int, name: str) -> bytes:
    """Read `size` bytes, which the size of the file has promised."""
    parts, missing = [], size
    while missing:
        part = os.read(descriptor, missing)
        if not part:
            raise FileFormatError(
                f"The POS file {name} ended {missing} bytes before the end it had when it was opened. "
                f"Expected a file that nobody changes meanwhile: read it again when it is complete."
            )
        parts.append(part)
        missing -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _refuse_ion(name: str, ion: int, decoded: Decoded) -> None:
    """Say which number of which ion cannot be right."""
    row = decoded.first_bad
    numbers = [*decoded.position[row].tolist(), float(decoded.mass_to_charge[row])]
    column = next(i for i, number in enumerate(numbers) if not abs(number) <= LARGEST)
    unit = "Da" if column == 3 else "nm"
    raise FileFormatError(
        f"The POS file {name} holds a number that cannot be right: {_COLUMNS[column]} of ion {ion} "
        f"(counted from 0) is {numbers[column]:g} {unit}. Expected finite numbers of at most 1e6. "
        f"The file is damaged, or not a POS file: export it again."
    )
