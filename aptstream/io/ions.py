"""Files of ions, whatever their format: how many ions there are, and any run of them on request.

A format is a function that looks at a file and returns an `IonFile`; `open_ions` chooses it by the suffix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream.errors import FileFormatError
from aptstream.io.decode import LARGEST, FloatArray, check_ions
from aptstream.io.pos import count_pos, read_pos_rows

#: Ions read at a time where nothing else is asked.
BLOCK_IONS = 1 << 18

#: Columns that a file may hold beside x, y, z and m/q, by the names and types they have in a point store. They are
#: those of ePOS: time of flight (ns), DC and pulse voltage (V), place on the detector (mm), pulses since the last
#: ion that was detected, ions on the pulse.
COLUMNS: Mapping[str, str] = {
    **dict.fromkeys(("tof_ns", "dc_v", "pulse_v", "det_x_mm", "det_y_mm"), "float32"),
    **dict.fromkeys(("delta_pulse", "ions_per_pulse"), "uint32"),
}

_NAMES = ("x", "y", "z", "m/q")


@dataclass(frozen=True)
class IonBlock:
    """A run of ions of a file, as they stand there.

    Parameters
    ----------
    position : ndarray of float32, (n, 3)
        x, y, z in nm.
    mass_to_charge : ndarray of float32, (n,)
        m/q in Da.
    columns : mapping of str to ndarray, (n,)
        Further numbers of every ion, by names of `COLUMNS`.
    """

    position: FloatArray
    mass_to_charge: FloatArray
    columns: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.mass_to_charge)


@dataclass(frozen=True)
class IonFile:
    """A file of ions; holds no open file, can be pickled and read from several threads.

    Parameters
    ----------
    path : Path
        The file.
    kind : str
        Name of its format, such as ``"POS"``.
    n_ions : int
        Ions in it, at least 1.
    read : callable
        ``read(start, stop)`` returns the `IonBlock` of these ions as the file holds them, unchecked.
    columns : tuple of str
        Names of `COLUMNS` that its blocks have.
    notes : tuple of str
        What the user should know, such as sections that were skipped.
    locate : callable or None
        Says where an ion stands in the file, such as ``"line 14"``; None where its number says it all.
    provenance : mapping of str to JSON value
        What a point store of these ions keeps among its attributes, such as how they were moved.
    state : mapping of str to int, optional
        `file_state` of the file before it was looked at: who reads it later can tell whether it has changed.
    """

    path: Path
    kind: str
    n_ions: int
    read: Callable[[int, int], IonBlock]
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    locate: Callable[[int], str] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, int] | None = None

    def blocks(self, start: int = 0, stop: int | None = None, rows: int = BLOCK_IONS) -> Iterator[IonBlock]:
        """Read ions in blocks, so that memory does not grow with the file.

        Parameters
        ----------
        start, stop : int
            First ion, and the one behind the last; to the end where none is given.
        rows : int
            Ions at a time, at least 1.

        Yields
        ------
        IonBlock
            All numbers are finite and at most 1e6.

        Raises
        ------
        FileFormatError
            If the file ends too early, or a number is not finite or too large, naming the ion.
        ValueError
            If `rows` is less than 1.
        """
        if rows < 1:
            raise ValueError(f"A block holds at least 1 ion, found {rows}.")
        end = self.n_ions if stop is None else min(stop, self.n_ions)
        for first in range(start, end, rows):
            block = self.read(first, min(first + rows, end))
            checked = check_ions(block.position, block.mass_to_charge)
            if checked.first_bad >= 0:
                raise _bad_ion(self, block, first, checked.first_bad)
            _check_columns(self, block, first)
            yield block


def open_ions(path: str | PathLike[str]) -> IonFile:
    """Look at a file of ions.

    Parameters
    ----------
    path : path
        File whose suffix tells its format, in any case: ``.pos``, ``.epos``, ``.apt`` (AP Suite 6), ``.csv``, ``.txt``,
        ``.tsv``, or ``.nxs``, ``.h5``, ``.hdf5`` (NXapm).

    Returns
    -------
    IonFile

    Raises
    ------
    FileFormatError
        If the suffix is not known, or the file is missing, empty, or not whole.

    Examples
    --------
    >>> import tempfile
    >>> from aptstream.io import write_pos
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_pos(f"{folder}/a.pos", [[0, 1, -2]], [27])
    ...     file = open_ions(f"{folder}/a.pos")
    ...     file.kind, file.n_ions, file.read(0, 1).position
    ('POS', 1, array([[ 0.,  1., -2.]], dtype=float32))
    """
    file = Path(path)
    formats = _formats()
    suffix = file.suffix.lower()
    if suffix not in formats:
        raise FileFormatError(
            f"The file {file.name} has the suffix '{file.suffix}', which is not read. "
            f"Expected one of {', '.join(formats)}: export the reconstruction as one of these, or correct the name."
        )
    state = file_state(file) if file.is_file() else None  # if it is none, that format says so
    return replace(formats[suffix](file), state=state)


def file_state(file: Path) -> dict[str, int]:
    """Tell a file from others, and from itself after it was written to.

    Parameters
    ----------
    file : Path
        The file.

    Returns
    -------
    dict of str to int
        Its size, number, and times; that of its last change cannot be set back.
    """
    found = file.stat()
    times = {"mtime_ns": found.st_mtime_ns, "ctime_ns": found.st_ctime_ns}
    return {"size": found.st_size, "inode": found.st_ino, **times}


def _formats() -> dict[str, Callable[[Path], IonFile]]:
    """List the formats; imported when first asked for, since each of them speaks of `IonFile`."""
    from aptstream.io.apt import open_apt
    from aptstream.io.epos import open_epos
    from aptstream.io.nexus import open_nxapm
    from aptstream.io.table import open_table

    return {
        ".pos": open_pos,
        ".epos": open_epos,
        ".apt": open_apt,
        **dict.fromkeys((".csv", ".txt", ".tsv"), open_table),
        **dict.fromkeys((".nxs", ".h5", ".hdf5"), open_nxapm),
    }


def read_ions(path: str | PathLike[str]) -> tuple[FloatArray, FloatArray]:
    """Read a whole file of ions.

    Parameters
    ----------
    path : path
        File of any format that `open_ions` knows.

    Returns
    -------
    position : ndarray of float32, (n, 3)
        x, y, z in nm.
    mass_to_charge : ndarray of float32, (n,)
        m/q in Da.

    Raises
    ------
    FileFormatError
        As `open_ions`, and if a number is not finite or too large.

    Examples
    --------
    >>> import tempfile
    >>> from aptstream.io import write_pos
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_pos(f"{folder}/a.pos", [[0, 1, -2]], [27])
    ...     read_ions(f"{folder}/a.pos")
    (array([[ 0.,  1., -2.]], dtype=float32), array([27.], dtype=float32))
    """
    file = open_ions(path)
    position, mass_to_charge = np.empty((file.n_ions, 3), np.float32), np.empty(file.n_ions, np.float32)
    start = 0
    for block in file.blocks():
        stop = start + len(block)
        position[start:stop], mass_to_charge[start:stop] = block.position, block.mass_to_charge
        start = stop
    return position, mass_to_charge


def open_pos(file: Path) -> IonFile:
    """Look at a POS file.

    Parameters
    ----------
    file : Path
        The file.

    Returns
    -------
    IonFile

    Raises
    ------
    FileFormatError
        As `count_pos`.
    """
    return IonFile(file, "POS", count_pos(file), _ReadPos(file))


@dataclass(frozen=True)
class _ReadPos:
    file: Path

    def __call__(self, start: int, stop: int) -> IonBlock:
        return IonBlock(*read_pos_rows(self.file, start, stop))


def _check_columns(file: IonFile, block: IonBlock, first: int) -> None:
    """Refuse columns with numbers that cannot be right; counts can hold any."""
    for name, column in block.columns.items():
        if column.dtype.kind == "f" and not (good := np.abs(column) <= LARGEST).all():
            row = int(np.argmin(good))
            raise _cannot_be_right(file, first + row, name, f"{column[row]:g}")


def _bad_ion(file: IonFile, block: IonBlock, first: int, row: int) -> FileFormatError:
    """Say which number of which ion cannot be right."""
    numbers = [*block.position[row].tolist(), float(block.mass_to_charge[row])]
    column = next(i for i, number in enumerate(numbers) if not abs(number) <= LARGEST)
    unit = "Da" if column == 3 else "nm"
    return _cannot_be_right(file, first + row, _NAMES[column], f"{numbers[column]:g} {unit}")


def _cannot_be_right(file: IonFile, ion: int, what: str, found: str) -> FileFormatError:
    where = f", {file.locate(ion)}" if file.locate else ""
    return FileFormatError(
        f"The {file.kind} file {file.path.name} holds a number that cannot be right: {what} of ion "
        f"{ion} (counted from 0{where}) is {found}. Expected finite numbers of at most 1e6. "
        f"The file is damaged, or not of this format: export it again."
    )
