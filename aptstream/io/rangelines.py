"""What the readers of range files share: numbered lines, numbers, and the checks that need the whole table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

from aptstream.errors import RangingError
from aptstream.io.elements import SYMBOLS, read_formula
from aptstream.points import Atoms, Range, RangeTable

_LARGEST_FILE = 4 << 20
_LARGEST_DA = 1e6
_LONGEST_NAME = 32


@dataclass(frozen=True)
class RangeLines:
    """The lines of a range file; knows the number of each, so that what is wrong can be named by it.

    Parameters
    ----------
    name : str
        Name of the file, for messages.
    lines : tuple of (int, str)
        Number and text of every line that is not empty, without white space around it.
    """

    name: str
    lines: tuple[tuple[int, str], ...]

    def error(self, line: int, found: str, expected: str) -> RangingError:
        """Say what is wrong in a line."""
        return RangingError(
            f"The range file {self.name} is wrong in line {line}: found {found}. "
            f"Expected {expected}. Correct the line, or export the ranges again."
        )

    def number(self, line: int, text: str, what: str) -> float:
        """Read a number that is not negative, with a decimal point or comma."""
        plain = text.replace(",", ".")
        try:
            value = float(plain) if plain.isascii() and "_" not in plain else math.nan
        except ValueError:
            value = math.nan
        if not 0 <= value <= _LARGEST_DA:
            raise self.error(line, f"'{short(text)}' for {what}", "a number from 0 to 1e6, such as 22.86")
        return value

    def bounds(self, line: int, texts: Sequence[str]) -> tuple[float, float]:
        """Read the lower and the upper bound of a range in Da."""
        if len(texts) != 2:
            raise self.error(line, f"{len(texts)} bounds", "a lower and an upper bound in Da")
        low, high = (self.number(line, text, "a bound") for text in texts)
        if not low < high:
            raise self.error(line, f"bounds {low} and {high} Da", "the lower bound first, the upper above it")
        return low, high

    def colour(self, line: int, texts: Sequence[str]) -> str:
        """Turn shares of red, green and blue into six hexadecimal digits."""
        shares = [self.number(line, text, "a share of a colour") for text in texts]
        if len(shares) != 3 or max(shares) > 1:
            found = f"the colour '{short(' '.join(texts))}'"
            raise self.error(line, found, "shares of red, green and blue from 0 to 1, or none")
        return "".join(f"{round(255 * share):02X}" for share in shares)

    def atoms(self, line: int, symbol: str, count: str) -> tuple[str, int]:
        """Read an element and how many atoms of it an ion has."""
        if symbol not in SYMBOLS:
            raise self.error(line, f"the unknown element '{short(symbol)}'", "a symbol such as Al")
        if not is_count(count) or len(count) > 3 or int(count) < 1:
            raise self.error(line, f"'{short(count)}' atoms of {symbol}", "a count from 1 to 999")
        return symbol, int(count)

    def ion(self, line: int, text: str) -> tuple[Atoms, str]:
        """Read a formula; what is none names an ion whose atoms are not known, such as ``Hyd``.

        Signs that cannot be typed as part of a name become ``_``.
        """
        formula = read_formula(text)
        if formula is not None:
            return formula, ""
        name = "".join(sign if sign.isascii() and (sign.isalnum() or sign in "+-.") else "_" for sign in text)
        if not name or len(name) > _LONGEST_NAME or name.lower() == "unranged":
            expected = f"a formula such as CrO2, or a name of 1 to {_LONGEST_NAME} signs other than 'unranged'"
            raise self.error(line, f"an ion called '{short(text)}'", expected)
        return (), name

    def table(self, found: Sequence[tuple[int, Range]], example: str) -> RangeTable:
        """Make the table of ranges that were found in some lines; ions of the same atoms get one name.

        Parameters
        ----------
        found : sequence of (int, Range)
            Line numbers and ranges in the order of the file.
        example : str
            What a range looks like in such a file.

        Returns
        -------
        RangeTable

        Raises
        ------
        RangingError
            If there is no range, or ranges overlap.
        """
        if not found:
            raise RangingError(
                f"The range file {self.name} holds no range. Expected {example}: check which file it is."
            )
        overlaps = list(_overlaps(found))
        if overlaps:
            (line, b), (other, a) = overlaps[0]
            more = ", ".join(str(number) for (number, _), _ in overlaps[1:5])
            more = f" (and so in line {more}{' and others' if len(overlaps) > 5 else ''})" if more else ""
            text = (
                f"the range of {b.ion} from {b.low_da} to {b.high_da} Da, which overlaps "
                f"that of {a.ion} from {a.low_da} to {a.high_da} Da in line {other}{more}"
            )
            raise self.error(line, text, "every m/q in one range at most")
        spelling: dict[frozenset[tuple[str, int]], Atoms] = {}
        spelled = (replace(r, atoms=spelling.setdefault(frozenset(r.atoms), r.atoms)) for _, r in found)
        return RangeTable(tuple(spelled))


def read_lines(path: str | PathLike[str]) -> RangeLines:
    """Read the lines of a range file, of any encoding that ASCII is part of and with any line end.

    Parameters
    ----------
    path : path
        File to read, at most 4 MB.

    Returns
    -------
    RangeLines

    Raises
    ------
    RangingError
        If the file is missing or too large.
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
    text = data.removeprefix(b"\xef\xbb\xbf").decode("latin-1").replace("\r\n", "\n").replace("\r", "\n")
    stripped = ((number, line.strip()) for number, line in enumerate(text.split("\n"), start=1))
    return RangeLines(file.name, tuple((number, line) for number, line in stripped if line))


def is_count(text: str) -> bool:
    """Tell a plain count; long ones are refused before they become numbers."""
    return text.isascii() and text.isdigit() and len(text) <= 9


def short(text: str) -> str:
    """Cut what is quoted in a message, and make it printable."""
    return ascii(text[:40])[1:-1] + ("…" if len(text) > 40 else "")


def _overlaps(found: Sequence[tuple[int, Range]]) -> Iterator[tuple[tuple[int, Range], tuple[int, Range]]]:
    """Find every range that begins below the end of one that begins earlier."""
    highest: tuple[int, Range] | None = None
    for line, r in sorted(found, key=lambda pair: (pair[1].low_da, pair[1].high_da)):
        if highest is not None and r.low_da < highest[1].high_da:
            yield (line, r), highest
        if highest is None or r.high_da > highest[1].high_da:
            highest = (line, r)
