"""Range files: RRNG, the list of m/q intervals and the ions they stand for.

What files by different programs have taught: fields come in any order; ``Name:``, a missing ``Color:``,
decimal commas, Latin-1 bytes and either line end occur. Whatever contradicts itself is refused by the number
of its line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from os import PathLike
from pathlib import Path

from aptstream.errors import RangingError
from aptstream.io.elements import SYMBOLS, read_formula
from aptstream.io.replace import replacing
from aptstream.points import Range, RangeTable

_LARGEST_FILE = 4 << 20
_LARGEST_DA = 1e6
Atoms = tuple[tuple[str, int], ...]


def read_ranges(path: str | PathLike[str]) -> RangeTable:
    """Read a range file by its suffix.

    Parameters
    ----------
    path : path
        File ending in ``.rrng`` (in any case).

    Returns
    -------
    RangeTable

    Raises
    ------
    RangingError
        If the suffix is not known, or as `read_rrng`.
    """
    suffix = Path(path).suffix.lower()
    if suffix != ".rrng":
        raise RangingError(
            f"The range file {Path(path).name} has the suffix '{suffix}', which is not read. "
            f"Expected a .rrng file: export the ranges as RRNG."
        )
    return read_rrng(path)


def read_rrng(path: str | PathLike[str]) -> RangeTable:
    r"""Read an RRNG file.

    Parameters
    ----------
    path : path
        File to read, at most 4 MB.

    Returns
    -------
    RangeTable
        Bounds in Da, volumes in nm³. Ions with the same atoms are one species, however a line orders them.

    Raises
    ------
    RangingError
        If the file is missing or too large, or a line is not understood or contradicts another: unknown
        elements, swapped bounds, overlaps, counts that do not match, no range at all. The message names the
        line.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.rrng")
    ...     _ = path.write_text("[Ranges]\nRange1=13,4 13,6 Al:1 Vol:0,01661\n")
    ...     read_rrng(path).ranges
    (Range(low_da=13.4, high_da=13.6, atoms=(('Al', 1),), volume_nm3=0.01661, colour=''),)
    """
    file = Path(path)
    try:
        with file.open("rb") as stream:
            data = stream.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise RangingError(
            f"The range file {file} cannot be read: {error.strerror}. Expected the path of a file."
        ) from error
    if len(data) > _LARGEST_FILE:
        raise RangingError(
            f"The range file {file.name} is larger than 4 MB. Expected a list of ranges: check the name."
        )
    parser = _Parser(file.name)
    text = data.removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        parser.take(number, line.strip())
    return parser.finish()


def write_rrng(path: str | PathLike[str], table: RangeTable) -> None:
    """Write an RRNG file, whole or not at all.

    Parameters
    ----------
    path : path
        File to write; one that stands there is replaced.
    table : RangeTable
        Ranges; reading the file gives an equal table, species in the same order.
    """
    symbols = dict.fromkeys(symbol for atoms in table.atoms.values() for symbol, _ in atoms)
    ions = [f"Ion{i}={symbol}" for i, symbol in enumerate(symbols, start=1)]
    ranges = []
    # Species are numbered by first appearance: writing them in their order keeps the numbers.
    for i, r in enumerate(sorted(table.ranges, key=lambda r: table.species.index(r.ion)), start=1):
        atoms = " ".join(f"{symbol}:{count}" for symbol, count in r.atoms)
        colour = f" Color:{r.colour}" if r.colour else ""
        ranges.append(f"Range{i}={r.low_da!r} {r.high_da!r} Vol:{r.volume_nm3!r} {atoms}{colour}")
    lines = ["[Ions]", f"Number={len(ions)}", *ions, "[Ranges]", f"Number={len(ranges)}", *ranges, ""]
    with replacing(path) as stream:
        stream.write("\r\n".join(lines).encode("ascii"))


@dataclass
class _Section:
    """What was found under ``[Ions]`` or ``[Ranges]``."""

    entries: int = 0
    promised: int | None = None
    promised_line: int = 0


class _Parser:
    """Takes line by line; knows the number of each, so that it can name it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._sections: dict[str, _Section] = {}
        self._open = ""
        self._ranges: list[tuple[int, Range]] = []
        self._spelling: dict[frozenset[tuple[str, int]], Atoms] = {}

    def take(self, number: int, line: str) -> None:
        """Read one line."""
        if not line or line[0] in "#;":
            return
        if line.startswith("["):
            self._open = line.strip("[] \t").lower()
            if self._open in self._sections:
                raise self._error(number, f"a second section {line}", "one section of each name")
            self._sections[self._open] = _Section()
        elif self._open in ("ions", "ranges"):
            self._take_entry(number, line)
        elif not self._open:
            raise self._error(number, f"'{_short(line)}' before any section", "[Ions] or [Ranges] first")

    def _take_entry(self, number: int, line: str) -> None:
        """Read ``Number=…``, ``Ion…=…`` or ``Range…=…``."""
        section = self._sections[self._open]
        left, equals, value = (part.strip() for part in line.partition("="))
        key = left.lower()
        word = self._open[:-1]
        if equals and key == "number" and _is_digits(value):
            if section.promised is not None:
                raise self._error(number, "a second Number=", "one in each section")
            section.promised, section.promised_line = int(value), number
        elif equals and key.startswith(word) and _is_digits(key.removeprefix(word)):
            # The number behind the word is often edited by hand and means nothing: lines are counted.
            section.entries += 1
            if word == "range":
                self._ranges.append((number, self._read_range(number, value)))
            elif read_formula(value) is None:
                raise self._error(number, f"the unknown element '{_short(value)}'", "such as Al or CrO")
        else:
            expected = f"Number=… or {word.capitalize()}1=…"
            raise self._error(number, f"'{_short(line)}'", expected)

    def _read_range(self, number: int, value: str) -> Range:
        """Read ``22.8 23.1 Vol:0.016 Mo:1 Color:FF0033``, fields in any order."""
        bare: list[str] = []
        atoms: dict[str, int] = {}
        volume, colour, name = 0.0, "", ""
        in_name = False
        for token in value.split():
            left, colon, right = token.partition(":")
            if not colon:
                # A name may hold spaces, and bounds come first: what follows a name belongs to it.
                bare += [] if in_name else [token]
                continue
            field_name = left.lower()
            in_name = field_name == "name"
            if in_name:
                name = right
            elif field_name in ("vol", "volume"):
                volume = self._read_number(number, right, "the volume")
            elif field_name in ("color", "colour"):
                colour = self._read_colour(number, right)
            else:
                atoms[left] = atoms.get(left, 0) + self._read_count(number, left, right)
        low, high = self._read_bounds(number, bare)
        ion = tuple(atoms.items()) or read_formula(name)
        if not ion:
            raise self._error(number, "a range without an element", "what it stands for, such as Al:1")
        ion = self._spelling.setdefault(frozenset(ion), ion)
        return Range(low, high, ion, volume, colour)

    def _read_bounds(self, number: int, bare: list[str]) -> tuple[float, float]:
        if len(bare) != 2:
            raise self._error(number, f"{len(bare)} bounds", "a lower and an upper bound in Da")
        low, high = (self._read_number(number, text, "a bound") for text in bare)
        if not low < high:
            raise self._error(number, f"bounds {low} and {high} Da", "the lower bound first, the upper above it")
        return low, high

    def _read_number(self, number: int, text: str, what: str) -> float:
        """Read a number that is not negative, with a decimal point or comma."""
        plain = text.replace(",", ".")
        try:
            value = float(plain) if plain.isascii() and "_" not in plain else math.nan
        except ValueError:
            value = math.nan
        if not 0 <= value <= _LARGEST_DA:
            raise self._error(number, f"'{_short(text)}' for {what}", "a number from 0 to 1e6, such as 22.86")
        return value

    def _read_colour(self, number: int, text: str) -> str:
        if text and (len(text) != 6 or any(digit not in "0123456789abcdefABCDEF" for digit in text)):
            raise self._error(number, f"the colour '{_short(text)}'", "six hexadecimal digits, or none")
        return text.upper()

    def _read_count(self, number: int, symbol: str, text: str) -> int:
        if symbol not in SYMBOLS:
            raise self._error(number, f"the unknown element '{_short(symbol)}'", "a symbol such as Al")
        if not _is_digits(text) or len(text) > 3 or int(text) < 1:
            raise self._error(number, f"'{_short(text)}' atoms of {symbol}", "a count from 1 to 999")
        return int(text)

    def finish(self) -> RangeTable:
        """Check what only the whole file shows."""
        for title, section in self._sections.items():
            found = section.entries
            if section.promised is not None and section.promised != found:
                raise self._error(
                    section.promised_line, f"Number={section.promised} but {found} {title}", "the same number"
                )
        if not self._ranges:
            raise RangingError(
                f"The range file {self._name} holds no range. Expected a section [Ranges] with lines like "
                f"'Range1=13.4 13.6 Vol:0.01661 Al:1 Color:33FFFF': check which file it is."
            )
        by_mass = sorted(self._ranges, key=lambda pair: (pair[1].low_da, pair[1].high_da))
        for (line_a, a), (line_b, b) in pairwise(by_mass):
            if b.low_da < a.high_da:
                overlap = (
                    f"the range of {b.ion} from {b.low_da} to {b.high_da} Da, which overlaps "
                    f"that of {a.ion} from {a.low_da} to {a.high_da} Da in line {line_a}"
                )
                raise self._error(line_b, overlap, "every m/q in one range at most")
        return RangeTable(tuple(r for _, r in self._ranges))

    def _error(self, number: int, found: str, expected: str) -> RangingError:
        return RangingError(
            f"The range file {self._name} is wrong in line {number}: found {found}. "
            f"Expected {expected}. Correct the line, or export the ranges again."
        )


def _is_digits(text: str) -> bool:
    """Tell a plain count; long ones are refused before they become numbers."""
    return text.isascii() and text.isdigit() and len(text) <= 9


def _short(text: str) -> str:
    """Cut what is quoted in a message, and make it printable."""
    return ascii(text[:40])[1:-1] + ("…" if len(text) > 40 else "")
