"""ePOS files: eleven big-endian columns per ion, without a header.

x, y, z in nm, m/q in Da, time of flight in ns, DC and pulse voltage in V, detector x and y in mm as float32; pulses
since the last ion and ions on the pulse as uint32.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aptstream.errors import FileFormatError
from aptstream.io.decode import EPOS_BYTES, LARGEST, decode_epos
from aptstream.io.ions import COLUMNS, IonBlock, IonFile
from aptstream.io.read import file_size, read_bytes
from aptstream.io.replace import replacing

EPOS_FIELDS = ("x", "y", "z", "mass_to_charge", "tof_ns", "dc_v", "pulse_v", "det_x_mm", "det_y_mm")
EPOS_COUNTS = ("delta_pulse", "ions_per_pulse")
#: A record of 44 bytes.
EPOS = np.dtype([*((name, ">f4") for name in EPOS_FIELDS), *((name, ">u4") for name in EPOS_COUNTS)])


def open_epos(file: Path) -> IonFile:
    """Look at an ePOS file.

    Parameters
    ----------
    file : Path
        The file.

    Returns
    -------
    IonFile
        With all columns of `COLUMNS`.

    Raises
    ------
    FileFormatError
        If there is no such file, it is empty, or its size is not a multiple of 44 bytes.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_epos(f"{folder}/a.epos", [np.zeros(3, EPOS)])
    ...     open_epos(Path(folder, "a.epos")).n_ions
    3
    """
    size = file_size(file, "ePOS file")
    if size % EPOS_BYTES:
        raise FileFormatError(
            f"The ePOS file {file.name} is not complete: it has {size} bytes, {size % EPOS_BYTES} after its last "
            f"whole ion. Expected 44 bytes per ion (x, y, z, m/q and seven columns more). Copy or export it again; "
            f"if it is not an ePOS file, give it its own suffix."
        )
    return IonFile(file, "ePOS", size // EPOS_BYTES, _ReadEpos(file), tuple(COLUMNS))


@dataclass(frozen=True)
class _ReadEpos:
    file: Path

    def __call__(self, start: int, stop: int) -> IonBlock:
        raw = read_bytes(self.file, EPOS_BYTES * start, EPOS_BYTES * (stop - start))
        position, mass_to_charge, others = decode_epos(np.frombuffer(raw, np.uint8))
        columns = {name: row.view(COLUMNS[name]) for name, row in zip(COLUMNS, others, strict=True)}
        return IonBlock(position, mass_to_charge, columns)


def write_epos(path: str | PathLike[str], blocks: Iterable[npt.NDArray[np.void]]) -> None:
    """Write an ePOS file block by block, whole or not at all.

    Parameters
    ----------
    path : path
        File to write; one that stands there is replaced.
    blocks : iterable of ndarray of `EPOS`
        Ions.

    Raises
    ------
    ValueError
        If there is no ion, a block is of another type, or a number is not finite or beyond 1e6.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_epos(f"{folder}/a.epos", [np.zeros(3, EPOS), np.zeros(2, EPOS)])
    ...     os.path.getsize(f"{folder}/a.epos") == 5 * 44
    True
    """
    written = 0
    with replacing(path) as stream:
        for block in blocks:
            if block.dtype != EPOS or block.ndim != 1:
                raise ValueError(f"ePOS is written from records of {EPOS}, (n,); found {block.dtype}, {block.shape}.")
            for name in EPOS_FIELDS:
                if not (np.abs(block[name]) <= LARGEST).all():
                    raise ValueError(f"An ePOS file holds finite numbers of at most 1e6, found others in {name}.")
            stream.write(np.ascontiguousarray(block).data)
            written += len(block)
        if not written:
            raise ValueError("An ePOS file needs at least one ion, found none.")
