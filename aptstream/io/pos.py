"""POS files: four big-endian float32 per ion, x, y, z in nm and m/q in Da, without a header."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aptstream.errors import FileFormatError
from aptstream.io.decode import LARGEST, POS_BYTES, FloatArray, decode_pos
from aptstream.io.read import read_bytes
from aptstream.io.replace import replacing


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


def read_pos_rows(path: str | PathLike[str], start: int, stop: int) -> tuple[FloatArray, FloatArray]:
    """Read a run of ions of a POS file, unchecked.

    Parameters
    ----------
    path : path
        File to read.
    start, stop : int
        First ion, and the one behind the last.

    Returns
    -------
    position : ndarray of float32, (n, 3)
        x, y, z in nm.
    mass_to_charge : ndarray of float32, (n,)
        m/q in Da.

    Raises
    ------
    FileFormatError
        If the file cannot be read, or ends before `stop`.
    """
    raw = read_bytes(path, POS_BYTES * start, POS_BYTES * (stop - start))
    return decode_pos(np.frombuffer(raw, np.uint8))


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
