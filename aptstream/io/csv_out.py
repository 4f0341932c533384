"""Ions as text for other programs: one line an ion, a heading with units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream.io.replace import replacing

#: Lines made at a time.
_LINES = 1 << 16


def write_csv(path: str | PathLike[str], blocks: Iterable[Mapping[str, npt.NDArray[Any]]]) -> None:
    """Write a table of numbers and words as CSV, whole or not at all.

    Parameters
    ----------
    path : path
        File to write; one that stands there is replaced.
    blocks : iterable of mapping of str to ndarray, (n,)
        Columns by heading, the same in every block. Numbers are written with as few digits as give them back exactly.

    Raises
    ------
    ValueError
        If there is no block, headings differ, lengths differ, or a word or heading holds a comma, a quote or a line
        break.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_csv(f"{folder}/a.csv", [{"x_nm": np.array([0.1, -2], "f4"), "species": np.array(["Al", "Li"])}])
    ...     print(Path(folder, "a.csv").read_text())
    x_nm,species
    0.1,Al
    -2.0,Li
    <BLANKLINE>
    """
    headings: list[str] | None = None
    with replacing(path) as stream:
        for block in blocks:
            if headings is None:
                headings = [_plain(heading) for heading in block]
                stream.write((",".join(headings) + "\n").encode())
            if list(block) != headings or len({len(column) for column in block.values()}) != 1:
                sizes = {heading: len(column) for heading, column in block.items()}
                raise ValueError(f"CSV needs the columns {headings} of one length in every block, found {sizes}.")
            n = len(next(iter(block.values())))
            for start in range(0, n, _LINES):
                columns = [_as_text(column[start : start + _LINES]) for column in block.values()]
                stream.write(("\n".join(map(",".join, zip(*columns, strict=True))) + "\n").encode())
        if headings is None:
            raise ValueError("A CSV file needs at least one row, found none.")


def _as_text(column: npt.NDArray[Any]) -> list[str]:
    if column.dtype.kind == "U":
        words = {word: _plain(word) for word in np.unique(column).tolist()}
        return [words[word] for word in column.tolist()]
    text: list[str] = column.astype(str).tolist()
    return text


def _plain(word: str) -> str:
    if any(sign in word for sign in ',"\r\n'):
        raise ValueError(f"A CSV file of ours holds plain words, found {word!r}.")
    return word
