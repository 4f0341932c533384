"""The gate of the text kernels: lines of text in, the numbers of ions out, in pieces that bound the memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aptstream import _text
from aptstream.errors import FileFormatError
from aptstream.io.decode import FloatArray
from aptstream.io.read import read_bytes

#: A longer line is no line of a table.
LONGEST_LINE = 1 << 16

_PIECE = 1 << 20
#: The place of every so many lines with data is kept.
_STRIDE = 1 << 14
_WRONG = {1: "holds no number", 2: "has too few columns", 3: "has too many columns"}


@dataclass(frozen=True)
class Layout:
    """How the lines of a table are to be read.

    Parameters
    ----------
    separator, decimal_mark : str
        One character each; a space stands for any run of spaces and tabs.
    target : tuple of int
        For every column of a line: 0, 1, 2, 3 for x, y, z, m/q, or -1 where it is not wanted.
    first_byte, first_line : int
        Where the first line with data begins, and how many lines stand before it.
    """

    separator: str
    decimal_mark: str
    target: tuple[int, ...]
    first_byte: int
    first_line: int


@dataclass(frozen=True)
class Lines:
    """Where the lines of a table stand.

    Parameters
    ----------
    n_data : int
        Lines that hold data: neither empty nor comments.
    place : ndarray of int64, (n, 2)
        Of every 16 384th of them: its first byte, and how many lines stand before it.
    size : int
        Bytes of the file.
    """

    n_data: int
    place: npt.NDArray[np.int64]
    size: int


def index_table(path: Path, layout: Layout) -> Lines:
    """Count the lines of a table, and remember where some begin.

    Parameters
    ----------
    path : Path
        The file.
    layout : Layout
        Where its data begins.

    Returns
    -------
    Lines

    Raises
    ------
    FileFormatError
        If the file cannot be read, or a line is longer than 64 kB.
    """
    size = path.stat().st_size
    count = np.zeros(4, np.int64)
    count[0] = layout.first_line
    found = []
    for base, piece in _whole_lines(path, layout.first_byte, size, layout.first_line):
        text = np.frombuffer(piece, np.uint8)
        # No line with data is shorter than two bytes with its end, but for the last.
        place = np.empty((len(text) // 2 // _STRIDE + 2, 2), np.int64)
        count[2] = 0
        _text.index_lines(text, base, _STRIDE, LONGEST_LINE, count, place)
        if count[3]:
            raise too_long(path, int(count[0]) + 1)
        found.append(place[: count[2]].copy())
    return Lines(int(count[1]), np.concatenate(found or [np.empty((0, 2), np.int64)]), size)


def parse_table(path: Path, layout: Layout, lines: Lines, start: int, stop: int) -> tuple[FloatArray, FloatArray]:
    """Read some lines of a table.

    Parameters
    ----------
    path : Path
        The file.
    layout : Layout
        How its lines are read.
    lines : Lines
        Where they stand.
    start, stop : int
        First line with data, counted from 0, and the one behind the last.

    Returns
    -------
    position : ndarray of float32, (n, 3)
        x, y, z in nm: the decimal numbers rounded to float64, then to float32.
    mass_to_charge : ndarray of float32, (n,)
        m/q in Da, rounded alike.

    Raises
    ------
    FileFormatError
        If a line does not hold these numbers, naming it, or the file has changed.
    """
    position, mass_to_charge = np.empty((stop - start, 3), np.float32), np.empty(stop - start, np.float32)
    if not len(mass_to_charge):
        return position, mass_to_charge
    target = np.array(layout.target, np.int64)
    first_byte, first_line = lines.place[start // _STRIDE].tolist()
    count = np.array([start % _STRIDE, first_line, 0, 0, 0, 0], np.int64)
    for _, piece in _whole_lines(path, first_byte, lines.size, first_line):
        text = np.frombuffer(piece, np.uint8)
        _text.parse_lines(
            text, ord(layout.separator), ord(layout.decimal_mark), target, count, position, mass_to_charge
        )
        if count[3]:
            raise _bad_line(path, layout, count.tolist(), piece)
        if count[2] == len(mass_to_charge):
            return position, mass_to_charge
    raise FileFormatError(
        f"The text file {path.name} has fewer lines than when it was opened. "
        f"Expected a file that nobody changes meanwhile: read it again when it is complete."
    )


def line_of(path: Path, lines: Lines, row: int) -> int:
    """Tell on which line an ion stands.

    Parameters
    ----------
    path : Path
        The file.
    lines : Lines
        Where its lines stand.
    row : int
        The ion, counted from 0.

    Returns
    -------
    int
        Number of the line, counted from 1.
    """
    first_byte, number = lines.place[row // _STRIDE].tolist()
    missing = row % _STRIDE
    for _, piece in _whole_lines(path, first_byte, lines.size, number):
        for line in piece.removesuffix(b"\n").split(b"\n"):
            number += 1
            if not is_data(line):
                continue
            if not missing:
                return int(number)
            missing -= 1
    return int(number)


def is_data(line: bytes) -> bool:
    """Tell whether a line holds data: it is neither empty nor a comment."""
    first = line.removesuffix(b"\r").strip(b" \t")[:1]
    return first not in (b"", b"#")


def too_long(path: Path, number: int) -> FileFormatError:
    """Say which line is too long."""
    return FileFormatError(
        f"Line {number} of the text file {path.name} is longer than 64 kB. Expected an ion a line, its numbers "
        f"separated by commas, semicolons, tabs or spaces: check that it is a text file with line ends."
    )


def _whole_lines(path: Path, start: int, stop: int, before: int) -> Iterator[tuple[int, bytes]]:
    """Yield pieces that end with a line, and where they begin; `before` lines stand before `start`."""
    carried = b""
    at = start
    while at < stop:
        piece = carried + read_bytes(path, at, min(_PIECE, stop - at))
        base, at = at - len(carried), at + len(piece) - len(carried)
        cut = piece.rfind(b"\n") + 1 if at < stop else len(piece)
        if len(piece) - cut > LONGEST_LINE:
            raise too_long(path, before + piece[:cut].count(b"\n") + 1)
        before += piece[:cut].count(b"\n")
        carried = piece[cut:]
        if cut:
            yield base, piece[:cut]


def _bad_line(path: Path, layout: Layout, count: list[int], piece: bytes) -> FileFormatError:
    """Say what is wrong with which line."""
    _, passed, _, wrong, column, begin = count
    line = piece[begin : begin + LONGEST_LINE].split(b"\n", 1)[0].decode("latin-1").strip()
    shown = line if len(line) <= 60 else line[:57] + "…"
    where = f" in column {column + 1}" if wrong == 1 else ""
    separated = {" ": "spaces", ",": "commas", ";": "semicolons", "\t": "tabs"}[layout.separator]
    mark = {".": "point", ",": "comma"}[layout.decimal_mark]
    return FileFormatError(
        f"Line {passed + 1} of the text file {path.name} {_WRONG[wrong]}{where}: found {shown!r}. "
        f"Expected {len(layout.target)} columns separated by {separated}, numbers with a decimal {mark}, as in the "
        f"lines before. Correct the line, or put # before it."
    )
