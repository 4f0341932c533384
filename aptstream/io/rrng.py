"""RRNG: m/q intervals and the ions they stand for, as sections of ``key=value`` lines.

What files by different programs have taught: fields come in any order; ``Name:``, a missing ``Color:``,
decimal commas, Latin-1 bytes and either line end occur. Whatever contradicts itself is refused by the number
of its line.
"""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike

from aptstream.io.elements import read_formula
from aptstream.io.rangelines import RangeLines, is_count, read_lines, short
from aptstream.io.replace import replacing
from aptstream.points import Range, RangeTable

_EXAMPLE = "a section [Ranges] with lines like 'Range1=13.4 13.6 Vol:0.01661 Al:1 Color:33FFFF'"


def read_rrng(path: str | PathLike[str]) -> RangeTable:
    r"""Read an RRNG file.

    Parameters
    ----------
    path : path
        File to read, at most 4 MB.

    Returns
    -------
    RangeTable
        Bounds in Da, volumes in nm³. Ions with the same atoms are one species, however a line orders them. A range
        that has a ``Name:`` in place of atoms is an ion of that name.

    Raises
    ------
    RangingError
        If the file is missing or too large, or a line is not understood or contradicts another: unknown
        elements, swapped bounds, overlaps, counts that do not match, no range at all. The message names the
        line.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.rrng")
    ...     _ = path.write_text("[Ranges]\nRange1=13,4 13,6 Al:1 Vol:0,01661\n")
    ...     read_rrng(path).ranges
    (Range(low_da=13.4, high_da=13.6, atoms=(('Al', 1),), volume_nm3=0.01661, colour='', name=''),)
    """
    lines = read_lines(path)
    parser = _Parser(lines)
    for number, line in lines.lines:
        parser.take(number, line)
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
        atoms = " ".join(f"{symbol}:{count}" for symbol, count in r.atoms) or f"Name:{r.name}"
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
    """Takes line by line."""

    def __init__(self, lines: RangeLines) -> None:
        self._lines = lines
        self._error = lines.error
        self._sections: dict[str, _Section] = {}
        self._open = ""
        self._named: list[tuple[int, str]] = []
        self._ranges: list[tuple[int, Range]] = []

    def take(self, number: int, line: str) -> None:
        """Read one line."""
        if line[0] in "#;":
            return
        if line.startswith("["):
            self._open = line.strip("[] \t").lower()
            if self._open in self._sections:
                raise self._error(number, f"a second section {short(line)}", "one section of each name")
            self._sections[self._open] = _Section()
        elif self._open in ("ions", "ranges"):
            self._take_entry(number, line)
        elif not self._open:
            raise self._error(number, f"'{short(line)}' before any section", "[Ions] or [Ranges] first")

    def _take_entry(self, number: int, line: str) -> None:
        """Read ``Number=…``, ``Ion…=…`` or ``Range…=…``."""
        section = self._sections[self._open]
        left, equals, value = (part.strip() for part in line.partition("="))
        key = left.lower()
        word = self._open[:-1]
        if equals and key == "number" and is_count(value):
            if section.promised is not None:
                raise self._error(number, "a second Number=", "one in each section")
            section.promised, section.promised_line = int(value), number
        elif equals and key.startswith(word) and is_count(key.removeprefix(word)):
            # The number behind the word is often edited by hand and means nothing: lines are counted.
            section.entries += 1
            if word == "range":
                self._ranges.append((number, self._read_range(number, value)))
            elif read_formula(value) is None:
                self._named.append((number, value))
        else:
            expected = f"Number=… or {word.capitalize()}1=…"
            raise self._error(number, f"'{short(line)}'", expected)

    def _read_range(self, number: int, value: str) -> Range:
        """Read ``22.8 23.1 Vol:0.016 Mo:1 Color:FF0033``, fields in any order."""
        bare: list[str] = []
        name: list[str] = []
        atoms: dict[str, int] = {}
        volume, colour = 0.0, ""
        # A name may hold spaces, and bounds come first: what follows a name belongs to it.
        words = bare
        for token in value.split():
            left, colon, right = token.partition(":")
            if not colon:
                words.append(token)
                continue
            field_name = left.lower()
            words = name if field_name == "name" else bare
            if field_name == "name":
                name = words = [right] if right else []
            elif field_name in ("vol", "volume"):
                volume = self._lines.number(number, right, "the volume")
            elif field_name in ("color", "colour"):
                colour = self._read_colour(number, right)
            else:
                symbol, count = self._lines.atoms(number, left, right)
                atoms[symbol] = atoms.get(symbol, 0) + count
        low, high = self._lines.bounds(number, bare)
        if not atoms and not name:
            raise self._error(number, "a range without an element", "what it stands for, such as Al:1")
        ion, called = (tuple(atoms.items()), "") if atoms else self._lines.ion(number, " ".join(name))
        return Range(low, high, ion, volume, colour, called)

    def _read_colour(self, number: int, text: str) -> str:
        if text and (len(text) != 6 or any(digit not in "0123456789abcdefABCDEF" for digit in text)):
            raise self._error(number, f"the colour '{short(text)}'", "six hexadecimal digits, or none")
        return text.upper()

    def finish(self) -> RangeTable:
        """Check what only the whole file shows."""
        names = {r.name for _, r in self._ranges}
        for number, value in self._named:
            if not value or self._lines.ion(number, value)[1] not in names:
                expected = "such as Al or CrO, or the name of a range"
                raise self._error(number, f"the unknown element '{short(value)}'", expected)
        for title, section in self._sections.items():
            found = section.entries
            if section.promised is not None and section.promised != found:
                raise self._error(
                    section.promised_line, f"Number={section.promised} but {found} {title}", "the same number"
                )
        return self._lines.table(self._ranges, _EXAMPLE)
