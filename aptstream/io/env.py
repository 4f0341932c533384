"""ENV: the environment file of the Rouen atom probes, of which the ions and the ranges are read.

Lines that begin with ``#`` are comments. Behind the version stand the numbers of ions and ranges, one line an ion
(name, shares of red, green and blue), and one line a range: ion, bounds in Da, volume in Å³, increment for
concentrations. What follows describes the instrument. There is no published description; this is what the files say
of themselves.
"""

from __future__ import annotations

from os import PathLike

from aptstream.io.rangelines import RangeLines, is_count, read_lines, short
from aptstream.points import Range, RangeTable

_EXAMPLE = "lines like 'Al 13.4 13.6 16.6 1.0' below the names of the ions"
_NM3_PER_A3 = 1e-3


def read_env(path: str | PathLike[str]) -> RangeTable:
    r"""Read the ranges of an ENV file.

    Parameters
    ----------
    path : path
        File to read, at most 4 MB.

    Returns
    -------
    RangeTable
        Bounds in Da, volumes in nm³. An ion whose name is no formula, such as ``Hyd``, is an ion of that name,
        without atoms. The increment for concentrations is not used: ions count as their atoms.

    Raises
    ------
    RangingError
        If the file is missing or too large, or a line is not understood or contradicts another: ions that are not in
        the list, swapped bounds, overlaps, counts that do not match, no range at all. The message names the line.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.env")
    ...     _ = path.write_text("Rev_2.0\n1 1\n# ions\nAl 0.2 1 1\n# ranges\nAl 13.4 13.6 16.61 1\n")
    ...     read_env(path).ranges
    (Range(low_da=13.4, high_da=13.6, atoms=(('Al', 1),), volume_nm3=0.01661, colour='33FFFF', name=''),)
    """
    lines = read_lines(path)
    rest = [(number, line.split()) for number, line in lines.lines if not line.startswith("#")]
    if rest and rest[0][1][0].lower().startswith("rev"):
        rest = rest[1:]
    last = lines.lines[-1][0] if lines.lines else 1
    number, words = rest[0] if rest else (last, ["nothing"])
    if len(words) != 2 or not all(is_count(word) for word in words):
        raise lines.error(number, f"'{short(' '.join(words))}'", "the numbers of elements and ranges, such as '12 26'")
    n_ions, n_ranges = (int(word) for word in words)
    listed, ranged, behind = rest[1 : 1 + n_ions], rest[1 + n_ions :][:n_ranges], rest[1 + n_ions + n_ranges :]
    colours = _read_ions(lines, listed)
    found = [(line, _read_range(lines, line, fields, colours)) for line, fields in ranged]
    # A count that is too small leaves lines of the same form behind: names among the numbers of the instrument.
    extra = next((line for line, fields in behind if fields[0] in colours), None)
    if len(listed) < n_ions or len(ranged) < n_ranges or extra is not None:
        counted = f"the count of {n_ions} elements and {n_ranges} ranges"
        met = f", and another range in line {extra}" if extra is not None else f", and the end in line {last}"
        raise lines.error(number, counted + met, "as many lines as the counts say")
    return lines.table(found, _EXAMPLE)


def _read_ions(lines: RangeLines, listed: list[tuple[int, list[str]]]) -> dict[str, str]:
    """Read names and colours: ``Mn 0.0 0.5 1.0``."""
    colours: dict[str, str] = {}
    for number, (name, *shares) in listed:
        if len(shares) not in (0, 3):
            found = f"'{short(' '.join((name, *shares)))}' among the elements"
            raise lines.error(number, found, "a name and shares of red, green and blue; are the counts right?")
        if name in colours:
            raise lines.error(number, f"{short(name)} a second time", "every element once")
        lines.ion(number, name)
        colours[name] = lines.colour(number, shares) if shares else ""
    return colours


def _read_range(lines: RangeLines, number: int, fields: list[str], colours: dict[str, str]) -> Range:
    """Read ``Mn 27.330 27.950 11.660 1.000``."""
    name = fields[0]
    if name not in colours:
        found = f"a range of '{short(name)}'"
        raise lines.error(number, found, "one of the elements that are listed above; are the counts right?")
    if len(fields) not in (3, 4, 5):
        raise lines.error(number, f"{len(fields)} fields", "name, lower and upper bound, volume, increment")
    low, high = lines.bounds(number, fields[1:3])
    volume = lines.number(number, fields[3], "the volume") * _NM3_PER_A3 if len(fields) > 3 else 0.0
    atoms, called = lines.ion(number, name)
    return Range(low, high, atoms, round(volume, 9), colours[name], called)
