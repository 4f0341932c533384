"""RNG: the range list of PoSAP and IVAS, a table with a column for every ion, and its polyatomic extension.

A first line counts ions and ranges. Two lines an ion follow: its long name; its symbol and shares of red, green and
blue. Below a line ``----- Al Mg`` stands one line a range, ``. 13.35 13.90 1 0``: bounds in Da and how many of each
ion it holds. Behind ``--- polyatomic extension`` a second table of the same form names the molecular ions among the
ranges, and gives them colours. The format has no volumes. See Miller & Forbes, *Atom-Probe Tomography* (2014),
doi 10.1007/978-1-4899-7430-3, appendix, and Larson et al., *Local Electrode Atom Probe Tomography* (2013).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from os import PathLike
from typing import NamedTuple

from aptstream.io.elements import read_formula
from aptstream.io.rangelines import RangeLines, is_count, read_lines, short
from aptstream.points import Atoms, Range, RangeTable

_EXAMPLE = "lines like '. 13.4 13.6 1 0' below the names of the ions"


def read_rng(path: str | PathLike[str]) -> RangeTable:
    r"""Read an RNG file.

    Parameters
    ----------
    path : path
        File to read, at most 4 MB.

    Returns
    -------
    RangeTable
        Bounds in Da, volumes 0: the format has none. An ion whose symbol is no formula, such as ``unknown``, is an
        ion of that name, without atoms.

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
    ...     path = Path(folder, "a.rng")
    ...     _ = path.write_text("1 1\nAluminium\nAl 0.2 1 1\n------ Al\n. 13.4 13.6 1\n")
    ...     read_rng(path).ranges
    (Range(low_da=13.4, high_da=13.6, atoms=(('Al', 1),), volume_nm3=0.0, colour='33FFFF', name=''),)
    """
    cursor = _Cursor(read_lines(path))
    ions, rows = _read_section(cursor)
    found = [(row.line, _as_range(cursor.lines, ions, row)) for row in rows]
    if not cursor.at_end:
        number, line = cursor.next("")
        if "polyatomic extension" not in line.lower():
            raise cursor.lines.error(number, f"'{short(line)}' behind the {len(rows)} ranges", "the end of the file")
        _extend(found, cursor)
    for number, r in found:
        if not r.ion:
            raise cursor.lines.error(number, "a range without an ion", "at least one ion in one of its columns")
    return cursor.lines.table(found, _EXAMPLE)


class _Ion(NamedTuple):
    """A column of the table."""

    symbol: str
    long_name: str
    atoms: Atoms
    name: str
    colour: str


class _Row(NamedTuple):
    """A line of the table: its number, bounds in Da, and how many of each ion."""

    line: int
    low_da: float
    high_da: float
    counts: tuple[int, ...]


@dataclass
class _Cursor:
    """Walks through the lines that are no comments."""

    lines: RangeLines
    at: int = 0

    def __post_init__(self) -> None:
        self._rest = [(number, line) for number, line in self.lines.lines if not line.startswith("#")]

    @property
    def at_end(self) -> bool:
        return self.at >= len(self._rest)

    def next(self, expected: str) -> tuple[int, str]:
        """Take a line, which must be there."""
        if self.at_end:
            last = self._rest[-1][0] if self._rest else 1
            raise self.lines.error(last, "the end of the file", f"{expected} behind it" if self._rest else expected)
        self.at += 1
        return self._rest[self.at - 1]


def _read_section(cursor: _Cursor) -> tuple[list[_Ion], list[_Row]]:
    """Read counts, ions and ranges."""
    error = cursor.lines.error
    number, line = cursor.next("two counts: ions and ranges")
    counts = line.split()
    if len(counts) != 2 or not all(is_count(count) for count in counts):
        raise error(number, f"'{short(line)}'", "two counts: ions and ranges, such as '3 8'")
    n_ions, n_ranges = (int(count) for count in counts)
    ions: list[_Ion] = []
    for i in range(n_ions):
        long_number, long_name = cursor.next(f"{n_ions} ions, as line {number} says")
        if long_name.startswith("---"):
            raise error(long_number, f"the table after {i} ions", f"{n_ions} ions, as line {number} says")
        ions.append(_read_ion(cursor.lines, long_name, *cursor.next(f"symbol and colour of {short(long_name)}")))
    _check_header(cursor, ions)
    rows = []
    for i in range(n_ranges):
        row_number, row = cursor.next(f"{n_ranges} ranges, as line {number} says, not {i},")
        rows.append(_read_row(cursor.lines, row_number, row.split(), n_ions))
    return ions, rows


def _read_ion(lines: RangeLines, long_name: str, number: int, line: str) -> _Ion:
    """Read ``Al 0.20 1.00 1.00``."""
    symbol, *shares = line.split()
    if symbol.startswith("---"):
        raise lines.error(number, "the table", f"symbol and colour of {short(long_name)} before it")
    colour = lines.colour(number, shares) if shares else ""
    return _Ion(symbol, long_name, *lines.ion(number, symbol), colour)


def _check_header(cursor: _Cursor, ions: list[_Ion]) -> None:
    """Refuse columns that are headed by other ions than were listed above; other words are only decoration."""
    number, line = cursor.next("the line '----- Al Mg …' above the ranges")
    rule, *labels = line.split()
    if not rule.startswith("---"):
        raise cursor.lines.error(number, f"'{short(line)}' behind {len(ions)} ions", "the line '----- Al Mg …'")
    if len(labels) != len(ions):
        raise cursor.lines.error(number, f"{len(labels)} columns for {len(ions)} ions", "one for each ion")
    for label, ion in zip(labels, ions, strict=True):
        if label in (ion.symbol, ion.long_name):
            continue
        if read_formula(label) is not None or any(label == other.symbol for other in ions):
            found = f"a column of {short(label)} where the list above has {short(ion.symbol)}"
            raise cursor.lines.error(number, found, "the same ions in the same order")


def _read_row(lines: RangeLines, number: int, words: list[str], n_ions: int) -> _Row:
    """Read ``. 13.35 13.90 1 0``."""
    if words[0] != ".":
        found = f"'{short(' '.join(words))}' where a range should stand"
        raise lines.error(number, found, "a dot, two bounds and counts; is the number of ranges right?")
    counts = words[3:]
    if len(counts) != n_ions:
        raise lines.error(number, f"{len(counts)} counts for {n_ions} ions", "two bounds and a count for each ion")
    if not all(is_count(count) and int(count) < 1000 for count in counts):
        raise lines.error(number, f"the counts '{short(' '.join(counts))}'", "whole numbers from 0 to 999")
    low, high = lines.bounds(number, words[1:3])
    return _Row(number, low, high, tuple(int(count) for count in counts))


def _as_range(lines: RangeLines, ions: list[_Ion], row: _Row) -> Range:
    """Sum the atoms of the ions of a range; none where all counts are zero, which an extension may mend."""
    held = [(ion, count) for ion, count in zip(ions, row.counts, strict=True) if count]
    atoms: dict[str, int] = {}
    for ion, count in held:
        if ion.name and (len(held) > 1 or count > 1):
            raise lines.error(row.line, f"{ion.name} beside other atoms", f"{ion.name} alone: its atoms are not known")
        for symbol, number in ion.atoms:
            atoms[symbol] = atoms.get(symbol, 0) + number * count
    if any(number > 999 for number in atoms.values()):
        raise lines.error(row.line, f"{max(atoms.values())} atoms of an element", "a count from 1 to 999")
    alone = len(held) == 1 and sum(row.counts) == 1
    colour, name = (held[0][0].colour, held[0][0].name) if alone else ("", "")
    return Range(row.low_da, row.high_da, tuple(atoms.items()), 0.0, colour, name)


def _extend(found: list[tuple[int, Range]], cursor: _Cursor) -> None:
    """Read the polyatomic extension: molecular ions of ranges that stand in the first table, mostly."""
    ions, rows = _read_section(cursor)
    if not cursor.at_end:
        number, line = cursor.next("")
        raise cursor.lines.error(number, f"'{short(line)}' behind the {len(rows)} ranges", "the end of the file")
    place = {(r.low_da, r.high_da): i for i, (_, r) in enumerate(found)}
    for row in rows:
        molecule = _as_range(cursor.lines, ions, row)
        i = place.get((row.low_da, row.high_da))
        if i is None:
            found.append((row.line, molecule))
            continue
        number, first = found[i]
        if first.ion and (set(first.atoms), first.name) != (set(molecule.atoms), molecule.name):
            expected = f"{first.ion}, as line {number} says of this range"
            raise cursor.lines.error(row.line, f"{molecule.ion or 'no ion'} in the extension", expected)
        found[i] = (number, replace(molecule, colour=molecule.colour or first.colour))
