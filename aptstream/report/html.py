"""The result as one self-contained page: opens from a file, prints, and asks nothing of the network.

A content-security policy forbids whatever is not in the page: only the one style and the one script whose
hashes it names, and images that the page itself holds. All text is escaped; the script shows what it reads as text.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from aptstream.io.replace import replacing
from aptstream.report.page_parts import SCRIPT, STYLE
from aptstream.report.scene_html import View, view_section
from aptstream.report.tables import ParticleTable

#: Rows of the table on the page; the file particles.csv holds them all.
MOST_ROWS = 500
#: A page stays small enough to be sent by mail; figures beyond this are left to the folder.
MOST_FIGURE_BYTES = 8_000_000

#: Figures of a larger ratio of width to height take the whole width.
WIDE = 1.6

HEADINGS = {
    "id": "No.",
    "x_nm": "x (nm)",
    "y_nm": "y (nm)",
    "z_nm": "z (nm)",
    "radius_nm": "radius (nm)",
    "n_voxels": "voxels",
    "volume_nm3": "volume (nm³)",
    "mean_order": "mean order",
    "touches_edge": "at edge",
    "uncertain": "uncertain",
    "n_ions": "ions",
    "radius_sd_nm": "± (nm)",
    "semi_axis_a_nm": "a (nm)",
    "semi_axis_b_nm": "b (nm)",
    "semi_axis_c_nm": "c (nm)",
    "nearest_nm": "nearest (nm)",
    "reconstruction_x_nm": "x before (nm)",
    "reconstruction_y_nm": "y before (nm)",
    "reconstruction_z_nm": "z before (nm)",
}
#: Columns that only the file has, by their ends.
ONLY_IN_FILE = ("guinier_nm", "_inside_at_pct", "_inside_sd_at_pct")
_INTERVAL = re.compile(r" \((\d+%: [^()]*)\)")


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading of its own.

    Parameters
    ----------
    title, sentence : str
        Heading, and what it comes to.
    facts : mapping of str to object
        Labels and values with their units.
    figures : sequence of (str, bytes)
        Captions and images, SVG or PNG.
    table : ParticleTable
        Rows of text under named columns.
    """

    title: str
    sentence: str
    facts: Mapping[str, object] = field(default_factory=dict)
    figures: Sequence[tuple[str, bytes]] = ()
    table: ParticleTable = field(default_factory=ParticleTable)


@dataclass(frozen=True)
class Page:
    """What the page says.

    Parameters
    ----------
    title : str
        What was analysed, such as the name of the specimen.
    sentence : str
        The answer in one sentence.
    warnings : sequence of str
        What the reader must know before believing the answer.
    numbers : sequence of (str, str)
        Labels and values with their units.
    figures : sequence of (str, bytes)
        Captions and images, SVG or PNG.
    sections : sequence of Section
        What follows the figures.
    view : View, optional
        The particles in 3D.
    particles : ParticleTable
        All particles; the page shows the largest.
    settings, provenance : mapping of str to str
        What was asked for, and what it was made from.
    """

    title: str
    sentence: str
    warnings: Sequence[str] = ()
    numbers: Sequence[tuple[str, str]] = ()
    figures: Sequence[tuple[str, bytes]] = ()
    sections: Sequence[Section] = ()
    view: View | None = None
    particles: ParticleTable = field(default_factory=ParticleTable)
    settings: Mapping[str, object] = field(default_factory=dict)
    provenance: Mapping[str, object] = field(default_factory=dict)


def write_page(path: str | os.PathLike[str], page: Page) -> None:
    """Write the page; it appears whole or not at all.

    Parameters
    ----------
    path : path
        The file to write.
    page : Page
        What it says.

    Raises
    ------
    ValueError
        If a figure is neither SVG nor PNG.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_page(folder + "/report.html", Page("R <1>", "No ordered particles were found."))
    ...     "<h1>R &lt;1&gt;</h1>" in Path(folder, "report.html").read_text(encoding="utf-8")
    True
    """
    text = render(page)
    with replacing(path) as file:
        file.write(text.encode("utf-8"))


def render(page: Page) -> str:
    """Compose the page.

    Parameters
    ----------
    page : Page
        What it says.

    Returns
    -------
    str
        HTML.

    Raises
    ------
    ValueError
        If a figure is neither SVG nor PNG.

    Examples
    --------
    >>> render(Page("Si", "No ordered particles were found."))[:15]
    '<!doctype html>'
    """
    every = [*page.figures, *(figure for section in page.sections for figure in section.figures)]
    figures, left_out = _within_budget(every)
    warnings = [*page.warnings, *([_left_out_note(left_out)] if left_out else [])]
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_digest(STYLE)}'; script-src '{_digest(SCRIPT)}'"
    )
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{escape(page.title)}</title>",
        '<link rel="icon" href="data:,">',
        f"<style>{STYLE}</style>",
        "</head>",
        "<body>",
        "<main>",
        f"<h1>{escape(page.title)}</h1>",
        f'<p class="answer">{escape(page.sentence)}</p>',
        *_warnings(warnings),
        *_numbers(page.numbers),
        *view_section(page.view),
        *_particles(page.particles),
        *_results(figures, len(page.figures)),
        *_sections(page.sections, figures, len(page.figures)),
        *_facts("Settings", page.settings),
        *_facts("Provenance", page.provenance),
        "</main>",
        f"<script>{SCRIPT}</script>",
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _within_budget(
    figures: Sequence[tuple[str, bytes]],
) -> tuple[list[tuple[int, str, bytes]], list[int]]:
    """Split the numbered figures into those that fit and the numbers of those that do not."""
    kept, left_out, total = [], [], 0
    for number, (caption, data) in enumerate(figures, 1):
        if total + len(data) > MOST_FIGURE_BYTES:
            left_out.append(number)
        else:
            total += len(data)
            kept.append((number, caption, data))
    return kept, left_out


def _left_out_note(numbers: Sequence[int]) -> str:
    which = ", ".join(map(str, numbers))
    return f"Too large for this page, to be found in the folder of figures: figure {which}."


def _warnings(warnings: Sequence[str]) -> list[str]:
    if not warnings:
        return []
    items = [f"<li>{escape(warning)}</li>" for warning in warnings]
    return ['<aside class="warnings">', "<strong>Please note</strong>", "<ul>", *items, "</ul>", "</aside>"]


def _numbers(numbers: Sequence[tuple[str, str]]) -> list[str]:
    if not numbers:
        return []
    items = [f"<div><dt>{escape(label)}</dt><dd>{_with_interval(value)}</dd></div>" for label, value in numbers]
    return ['<dl class="numbers">', *items, "</dl>"]


def _with_interval(value: str) -> str:
    """Write a number, and its interval in small type below."""
    found = _INTERVAL.search(value)
    if found is None:
        return escape(value)
    return f"{escape(_INTERVAL.sub('', value, count=1))} <small>{escape(found[1])}</small>"


def _results(figures: Sequence[tuple[int, str, bytes]], n_first: int) -> list[str]:
    own = [figure for figure in figures if figure[0] <= n_first]
    return ["<h2>Figures</h2>", *_figures(own)] if own else []


def _sections(sections: Sequence[Section], figures: Sequence[tuple[int, str, bytes]], n_before: int) -> Iterator[str]:
    """Write sections, whose figures are counted on from those before."""
    for section in sections:
        n_after = n_before + len(section.figures)
        yield f"<h2>{escape(section.title)}</h2>"
        yield f"<p>{escape(section.sentence)}</p>"
        yield from _list(section.facts)
        yield from _table(section.table)
        yield from _figures([figure for figure in figures if n_before < figure[0] <= n_after])
        n_before = n_after


def _table(table: ParticleTable) -> list[str]:
    """Write a table of a section: the first column and what is no number stand left."""
    if not table.rows:
        return []
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    rows = ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows]
    return [
        '<div class="scroll words" tabindex="0">',
        f"<table><thead><tr>{heads}</tr></thead>",
        *("<tbody>", *rows, "</tbody>", "</table>", "</div>"),
    ]


def _figures(figures: Sequence[tuple[int, str, bytes]]) -> list[str]:
    if not figures:
        return []
    parts = ['<div class="figures">']
    for number, caption, data in figures:
        title = escape(caption.split(". ")[0].rstrip("."))
        media_type, aspect = _image_kind(data, number)
        source = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
        parts += [
            f'<figure class="{"wide" if aspect > WIDE else "narrow"}">',
            f'<div class="image"><img src="{source}" alt="Figure {number}: {title}"></div>',
            f"<figcaption><b>Figure {number}.</b> {escape(caption)}</figcaption>",
            "</figure>",
        ]
    return [*parts, "</div>"]


def _image_kind(data: bytes, number: int) -> tuple[str, float]:
    """Return the media type of an image, and its width over its height."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return "image/png", width / max(1, height)
    if b"<svg" in data[:2000]:
        box = re.search(rb"viewBox=\"\S+ \S+ ([0-9.]+) ([0-9.]+)\"", data[:2000])
        return "image/svg+xml", float(box[1]) / float(box[2]) if box else 1.0
    raise ValueError(f"A figure must be SVG or PNG, found that figure {number} begins with {data[:8]!r}.")


def _particles(table: ParticleTable) -> list[str]:
    if not table.rows:
        return []
    kept = [k for k, name in enumerate(table.columns) if not name.endswith(ONLY_IN_FILE)]
    rows = tuple(tuple(row[k] for k in kept) for row in table.rows)
    table = ParticleTable(tuple(table.columns[k] for k in kept), rows)
    if "n_voxels" in table.columns:
        column = table.columns.index("n_voxels")
        rows = tuple(sorted(rows, key=lambda row: -int(row[column])))
    shown = rows[:MOST_ROWS]
    headings = "".join(f'<th scope="col">{escape(_heading(name))}</th>' for name in table.columns)
    return [
        "<h2>Particles</h2>",
        f'<p class="note">{_table_note(len(shown), len(rows))}</p>',
        '<div class="scroll" tabindex="0">',
        '<table class="sortable">',
        f"<thead><tr>{headings}</tr></thead>",
        "<tbody>",
        *(_row(table.columns, row) for row in shown),
        "</tbody>",
        "</table>",
        "</div>",
    ]


def _row(columns: Sequence[str], row: Sequence[str]) -> str:
    """Write a row; the 3D view knows it by the number of its particle."""
    number = f' data-particle="{escape(row[columns.index("id")])}"' if "id" in columns else ""
    return f"<tr{number}>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"


def _heading(name: str) -> str:
    if name.endswith("_sd_at_pct"):
        return "± (at.%)"
    if name.endswith("_at_pct"):
        return f"{name.removesuffix('_at_pct')} (at.%)"
    return HEADINGS.get(name, name)


def _table_note(n_shown: int, n_all: int) -> str:
    if n_shown < n_all:
        return f"The {n_shown} largest of {n_all} particles; all of them, with more columns, are in particles.csv."
    return f"All {n_all} particles, largest first; with more columns in particles.csv."


def _facts(title: str, facts: Mapping[str, object]) -> list[str]:
    return [f"<h2>{title}</h2>", *_list(facts)] if facts else []


def _list(facts: Mapping[str, object]) -> list[str]:
    items = [f"<dt>{escape(str(name))}</dt><dd>{escape(str(value))}</dd>" for name, value in facts.items()]
    return ['<dl class="facts">', *items, "</dl>"] if items else []
