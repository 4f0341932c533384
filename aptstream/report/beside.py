"""What other verbs found out beside a result: each leaves a section of the page in a folder, which `report` reads.

A section says which result it belongs to: one of another is not shown. Nothing in the folder is trusted.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import category

from aptstream.grid.files import GridFile
from aptstream.io.digest import file_sha256
from aptstream.io.folder import LocalFolder
from aptstream.io.replace import replacing
from aptstream.pole.members import members
from aptstream.report.html import Section
from aptstream.report.tables import ParticleTable
from aptstream.scan.results import ScanStore

#: Verbs that leave a section, in the order of the page; the folder has the name of the verb.
VERBS = ("phases", "compare", "check")
SECTION = "section.json"

_FORMAT, _VERSION = "aptstream-section", 1
_NAMES = ("format", "version", "of", "title", "sentence", "warnings", "facts", "table", "figures")
#: Nothing of ours is larger: bytes of the file and of a figure, letters of a text, entries of a list.
_MOST_JSON, _MOST_FIGURE, _MOST_TEXT, _MOST_ENTRIES = 1 << 20, 4 << 20, 2000, 200
_FIGURE = re.compile(r"(?:[a-z_]{1,40}/)?[a-z_]{1,40}\.png")
_PNG = b"\x89PNG\r\n\x1a\n"


def stamp_of(scan: ScanStore, grid: GridFile) -> dict[str, str]:
    """Name a result by what is in it.

    Parameters
    ----------
    scan : ScanStore
        Its scan.
    grid : GridFile
        Its grid.

    Returns
    -------
    dict of str to str
        Digests of both.
    """
    return {"scan_sha256": scan.digest(), "grid_sha256": grid.digest}


def save_section(folder: Path, section: Section, *, captions: Mapping[str, str], stamp: Mapping[str, str]) -> None:
    """Leave a section for the page.

    Parameters
    ----------
    folder : Path
        Where the verb wrote what it found.
    section : Section
        What it comes to, without figures.
    captions : mapping of str to str
        Captions of PNG files in the folder, by their names.
    stamp : mapping of str to str
        The result that it belongs to: see `stamp_of`.
    """
    told = {
        "format": _FORMAT,
        "version": _VERSION,
        "of": dict(stamp),
        "title": section.title,
        "sentence": section.sentence,
        "warnings": list(section.warnings),
        "facts": {name: str(value) for name, value in section.facts.items()},
        "table": {"columns": list(section.table.columns), "rows": [list(row) for row in section.table.rows]},
        "figures": [
            {"file": name, "caption": caption, "sha256": file_sha256(folder / name)}
            for name, caption in captions.items()
        ],
    }
    with replacing(folder / SECTION) as stream:
        stream.write((json.dumps(told, indent=1, ensure_ascii=False) + "\n").encode())


@dataclass(frozen=True)
class Beside:
    """What verbs left beside a result.

    Parameters
    ----------
    sections : tuple of Section
        What belongs to it.
    not_shown : tuple of str
        What is there all the same, and why it is not shown.
    """

    sections: tuple[Section, ...] = ()
    not_shown: tuple[str, ...] = ()


NOTHING = Beside()


def read_sections(result: Path, stamp: Mapping[str, str]) -> Beside:
    """Read what verbs left beside a result.

    Parameters
    ----------
    result : Path
        Output folder of a run.
    stamp : mapping of str to str
        What is in it: see `stamp_of`.

    Returns
    -------
    Beside
    """
    sections, warnings = [], []
    for verb in VERBS:
        if not (result / verb).is_dir():
            continue
        again = f"Run aptstream {verb} again to see it here."
        try:
            of, section = _read(LocalFolder(result / verb))
        except FileNotFoundError:
            warnings.append(f"What aptstream {verb} left was made by an older version and is not shown. {again}")
        except (OSError, ValueError, TypeError, RecursionError) as error:
            warnings.append(f"What aptstream {verb} left is damaged ({error}) and is not shown. {again}")
        else:
            if of == dict(stamp):
                sections.append(section)
            else:
                warnings.append(f"What aptstream {verb} left belongs to another result and is not shown. {again}")
    return Beside(tuple(sections), tuple(warnings))


def _read(folder: LocalFolder) -> tuple[dict[str, Any], Section]:
    """Read a section, and what it belongs to."""
    data = folder.read(SECTION, 0, _MOST_JSON + 1)
    if len(data) > _MOST_JSON:
        raise ValueError(f"{SECTION} is larger than 1 MB")
    kind, version, of, title, sentence, warnings, facts, table, figures = members(json.loads(data), _NAMES)
    if (kind, version) != (_FORMAT, _VERSION) or type(version) is not int:
        raise ValueError(f"format {ascii(kind)[:80]} version {ascii(version)[:80]}")
    if not isinstance(of, dict) or not isinstance(facts, dict):
        raise TypeError("no objects where some should be")
    columns, rows = members(table, ("columns", "rows"))
    heads = _texts(columns)
    cells = tuple(_texts(row) for row in _list(rows))
    if any(len(row) != len(heads) for row in cells):
        raise ValueError("a row that is longer or shorter than its heading")
    named = dict(zip(_texts(list(facts)), _texts(list(facts.values())), strict=True))
    drawn = [_figure(folder, figure) for figure in _list(figures)]
    first, second = _texts([title, sentence])
    return of, Section(first, second, named, drawn, warnings=_texts(warnings), table=ParticleTable(heads, cells))


def _figure(folder: LocalFolder, found: object) -> tuple[str, bytes]:
    name, caption, digest = members(found, ("file", "caption", "sha256"))
    if not isinstance(name, str) or not _FIGURE.fullmatch(name):
        raise ValueError(f"{ascii(name)[:80]} for the name of a figure")
    try:
        data = folder.read(name, 0, _MOST_FIGURE + 1)
    except FileNotFoundError as error:
        raise ValueError(f"its figure {name} is missing") from error
    if not 24 < len(data) <= _MOST_FIGURE or not data.startswith(_PNG) or hashlib.sha256(data).hexdigest() != digest:
        raise ValueError(f"its figure {name} is not the one that was written")
    return _texts([caption])[0], data


def _list(found: object) -> Sequence[Any]:
    if not isinstance(found, list) or len(found) > _MOST_ENTRIES:
        raise TypeError(f"{ascii(found)[:80]} instead of a list of at most {_MOST_ENTRIES}")
    return found


def _texts(found: object) -> tuple[str, ...]:
    for text in _list(found):
        if not isinstance(text, str) or len(text) > _MOST_TEXT or any(category(sign) in ("Cc", "Cs") for sign in text):
            raise TypeError(f"{ascii(text)[:80]} instead of a text of at most {_MOST_TEXT} letters on a line")
    return tuple(_list(found))
