"""Text files of ions (``.csv``, ``.txt``, ``.tsv``): x, y, z in nm and m/q in Da, an ion a line, with or without names.

Separator, decimal mark and columns are found out once, from the first lines; all others must keep to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from aptstream.errors import FileFormatError
from aptstream.io.ions import IonBlock, IonFile
from aptstream.io.read import file_size, read_bytes
from aptstream.io.text import LONGEST_LINE, Layout, Lines, index_table, is_data, line_of, parse_table, too_long

_HEAD = 1 << 18
_SAMPLE_LINES = 100
_MOST_COLUMNS = 1000
_WANTED = ("x", "y", "z", "m/q")
_UNITS = {"x": ("nm",), "y": ("nm",), "z": ("nm",), "m/q": ("da", "u", "amu", "da/e", "dalton")}
_NAMES = {
    **{
        name: axis
        for axis in "xyz"
        for word in ("", "pos", "position", "coord", "coordinate", "reconstructed")
        for name in (axis + word, word + axis)
    },
    **dict.fromkeys(("m", "mq", "mz", "mn", "mc", "mtoc", "mass", "masstocharge", "masstochargeratio"), "m/q"),
    **dict.fromkeys(("masstochargestate", "masstochargestateratio"), "m/q"),
}
#: A number with a decimal point; no part of it can match in two ways.
_NUMBER = re.compile(rb"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|nan|inf)", re.IGNORECASE)


class _Line(NamedTuple):
    begin: int
    number: int
    text: bytes


def open_table(file: Path) -> IonFile:
    r"""Look at a text file of ions.

    Parameters
    ----------
    file : Path
        The file. Separators are tabs, semicolons, commas or spaces; decimal commas are read unless commas separate.
        Lines that begin with # are comments. Numbers are rounded to float64, then to float32.

    Returns
    -------
    IonFile

    Raises
    ------
    FileFormatError
        If there is no such file, it holds no ion, or its first lines do not tell where x, y, z and m/q stand.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.csv")
    ...     _ = path.write_text("m/q (Da);x (nm);y (nm);z (nm)\n26,98;1,5;-2,5;0\n")
    ...     open_table(path).read(0, 1).position
    array([[ 1.5, -2.5,  0. ]], dtype=float32)
    """
    head = _read_head(file)
    lines = list(_head_lines(file, head, file_size(file, "text file") > len(head)))
    data = [line for line in lines if is_data(line.text)]
    if not data:
        raise FileFormatError(
            f"The text file {file.name} holds no ion in its first 256 kB. Expected an ion a line, x, y, z, m/q: "
            f"check that it is the right file."
        )
    first = next((line for line in data[:2] if _guess_separator(line.text)), None)
    if first is None:
        raise _no_numbers(file, data[-1] if len(data) == 1 else data[1])
    header = data[0] if first is not data[0] else None
    separator = _guess_separator(first.text)
    n_columns = len(_split(first.text, separator))
    comments = [line.text for line in lines if line.number < first.number and line.text.strip()[:1] == b"#"]
    names = _names(file, header, comments[-1] if comments else b"", (separator, n_columns))
    target = _targets(names, n_columns)
    sample = [_split(line.text, separator) for line in data if line.number >= first.number]
    mark = _decimal_mark(file, sample[:_SAMPLE_LINES], target, (separator, header is None))
    layout = Layout(separator.decode(), mark, target, first.begin, first.number - 1)
    read = _ReadTable(file, layout, index_table(file, layout))
    return IonFile(file, "text", read.lines.n_data, read, notes=_notes(names, target), locate=read.locate)


@dataclass(frozen=True)
class _ReadTable:
    file: Path
    layout: Layout
    lines: Lines

    def __call__(self, start: int, stop: int) -> IonBlock:
        return IonBlock(*parse_table(self.file, self.layout, self.lines, start, stop))

    def locate(self, row: int) -> str:
        return f"line {line_of(self.file, self.lines, row)}"


def _read_head(file: Path) -> bytes:
    """Read the first lines; refuse what is no text of one byte a character."""
    head = read_bytes(file, 0, min(file_size(file, "text file"), _HEAD))
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in head:
        raise FileFormatError(
            f"The file {file.name} is not plain text: it holds bytes of UTF-16 or of a binary format. Expected an "
            f"ion a line in UTF-8 or Latin-1: save it as CSV, or give a binary file its own suffix."
        )
    if b"\r" in head.rstrip(b"\r") and b"\n" not in head:
        raise FileFormatError(
            f"The lines of the text file {file.name} end with CR alone. Expected LF or CR LF: save it with these."
        )
    return head


def _head_lines(file: Path, head: bytes, goes_on: bool) -> Iterator[_Line]:
    """Yield the whole lines of the head."""
    at, number = (3 if head.startswith(b"\xef\xbb\xbf") else 0), 1
    while at < len(head):
        end = head.find(b"\n", at)
        if (end if end >= 0 else len(head)) - at > LONGEST_LINE:
            raise too_long(file, number)
        if end < 0 and goes_on:
            return
        end = end if end >= 0 else len(head)
        yield _Line(at, number, head[at:end])
        at, number = end + 1, number + 1


def _split(line: bytes, separator: bytes) -> list[bytes]:
    """Split a line into columns."""
    text = line.removesuffix(b"\r")
    if separator == b" ":
        return text.split()
    return [field.strip(b" \t") if separator != b"\t" else field.strip(b" ") for field in text.split(separator)]


def _is_number(field: bytes, mark: bytes = b".") -> bool:
    other = b"," if mark == b"." else b"."
    return len(field) < 64 and other not in field and _NUMBER.fullmatch(field.replace(mark, b".")) is not None


def _guess_separator(line: bytes) -> bytes:
    """Find what separates at least four numbers, or nothing: then the line holds names."""
    for separator in (b"\t", b";", b",", b" "):
        fields = _split(line, separator)
        marks = (b".",) if separator == b"," else (b".", b",")
        if max(sum(_is_number(field, mark) for field in fields) for mark in marks) >= 4:
            return separator
    return b""


def _names(file: Path, header: _Line | None, comment: bytes, form: tuple[bytes, int]) -> list[str]:
    """Find the names of the columns, in the header or, where there is none, in the comment above the data."""
    separator, n_columns = form
    line = header.text if header else comment.strip().lstrip(b"#")
    found: list[str] = []
    for candidate in dict.fromkeys((separator, b",", b";", b"\t", b" ")):
        # With spaces between columns, "x (nm)" is one name.
        spaced = line.replace(b" (", b"(").replace(b" [", b"[") if candidate == b" " else line
        found = [_decode(field) for field in _split(spaced, candidate)]
        if len(found) == n_columns:
            break
    quantities = [_quantity(name)[0] for name in found]
    known = len(found) == n_columns and all(quantities.count(wanted) == 1 for wanted in _WANTED)
    if header and not known:
        raise FileFormatError(
            f"Line {header.number} of the text file {file.name} does not tell where x, y, z and m/q stand: found "
            f"{_shorten(_decode(line))}, above lines of {n_columns} columns. Expected each of x, y, z, m/q once, as in "
            f"'x (nm), y (nm), z (nm), m/q (Da)': rename the columns, or remove the line if they stand in this order."
        )
    if not known:
        return []
    for name, (quantity, unit) in zip(found, map(_quantity, found), strict=True):
        if quantity and unit and unit not in _UNITS[quantity]:
            raise FileFormatError(
                f"The text file {file.name} gives {quantity} in a unit that is not read: found {_shorten(name)}. "
                f"Expected nm for x, y, z and Da for m/q: convert the column, then name its new unit."
            )
    return found


def _quantity(name: str) -> tuple[str, str]:
    """Split a name such as ``x (nm)`` or ``x_nm`` into quantity and unit, empty where they are not known."""
    text = name.strip().strip("\"'").lower()
    bracket = max(text.rfind("("), text.rfind("["))
    if bracket > 0 and text[-1] in ")]":
        text, unit = text[:bracket], text[bracket + 1 : -1].strip()
    else:
        stem, _, last = text.replace("_", " ").rpartition(" ")
        text, unit = (stem, last) if stem and last in ("nm", "da", "amu", "u") else (text, "")
    return _NAMES.get("".join(letter for letter in text if letter.isalnum()), ""), unit


def _targets(names: Sequence[str], n_columns: int) -> tuple[int, ...]:
    """Tell which column is x, y, z, m/q; where there are no names, the first four."""
    if not names:
        return tuple(column if column < 4 else -1 for column in range(n_columns))
    quantities = [_quantity(name)[0] for name in names]
    return tuple(_WANTED.index(quantity) if quantity else -1 for quantity in quantities)


def _decimal_mark(
    file: Path, sample: Sequence[Sequence[bytes]], target: Sequence[int], form: tuple[bytes, bool]
) -> str:
    """Find the decimal mark of the first lines; refuse commas that may be either."""
    separator, nameless = form
    if len(target) > _MOST_COLUMNS:
        raise FileFormatError(
            f"The text file {file.name} has {len(target)} columns. Expected at most {_MOST_COLUMNS}, of which x, y, z "
            f"and m/q are read: export these four."
        )
    fields = [field for line in sample for field, wanted in zip(line, target, strict=False) if wanted >= 0]
    if separator != b",":
        mixed = next((field for field in fields if (b"." in field) != (b"," in field)), b".")
        return "," if b"," in mixed else "."
    if nameless and len(target) >= 8 and not any(b"." in field for field in fields):
        raise FileFormatError(
            f"The commas of the text file {file.name} can be read in two ways: its lines hold {len(target)} whole "
            f"numbers, or half as many with decimal commas. Expected another separator beside decimal commas: "
            f"export it with semicolons or tabs, or with decimal points."
        )
    return "."


def _notes(names: Sequence[str], target: Sequence[int]) -> tuple[str, ...]:
    """Say which columns are not read."""
    left = [column for column, wanted in enumerate(target) if wanted < 0]
    if not left:
        return ()
    called = [names[column] if names else str(column + 1) for column in left]
    return (f"Columns that are not read: {_shorten(', '.join(called))}.",)


def _no_numbers(file: Path, line: _Line) -> FileFormatError:
    return FileFormatError(
        f"Line {line.number} of the text file {file.name} does not hold four numbers: found "
        f"{_shorten(_decode(line.text))}. Expected x, y, z in nm and m/q in Da, separated by commas, semicolons, tabs "
        f"or spaces, below at most one line of names: put # before other lines."
    )


def _shorten(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "…")


def _decode(field: bytes) -> str:
    try:
        return field.decode("utf-8").strip()
    except UnicodeDecodeError:
        return field.decode("latin-1").strip()
