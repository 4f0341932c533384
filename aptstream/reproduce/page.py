"""What a reproduction leaves for people: one page, one table, one file of numbers."""

from __future__ import annotations

import csv
import io
import json
import platform
from pathlib import Path
from typing import Any

from aptstream import __version__
from aptstream.io.replace import replacing
from aptstream.model.networks import start_tensorflow, versions
from aptstream.report.html import Page, Section, write_page
from aptstream.report.tables import ParticleTable
from aptstream.reproduce.drawing import Drawn, figures_of
from aptstream.reproduce.ledger import carry_out, without_nan
from aptstream.reproduce.li2021 import Reproduction, Tools
from aptstream.reproduce.rows import COLUMNS, Row, table_rows

#: What is written beside the products of the steps.
PAGE, TABLE, NUMBERS = "reproduction.html", "table.csv", "reproduction.json"
#: Figures of more bytes as SVG are shown as PNG on the page.
MOST_SVG_BYTES = 250_000
_SENTENCES = {
    "library and network": "Crystals of FCC and L1₂ with the noise of Table 1, their grey Al–Al maps, and the network "
    "that learns them; beside it the same network on honest cubes, whose two phases share one range of blur.",
    "tests on images": "What the networks say of images that they have not learned.",
    "specimen with known truth": "A simulated specimen is scanned with cubes of 4 nm at 1 nm stride; both of its "
    "phases have the same blur, and where its particles are is known.",
    "planes of both phases": "Species-specific z-SDMs of the ions inside the particles and outside.",
}


def write_reproduction(done: Reproduction, tools: Tools) -> dict[str, Any]:
    """Draw the figures, and write page, table and numbers.

    Parameters
    ----------
    done : Reproduction
        All steps done.
    tools : Tools
        What is told of the figures.

    Returns
    -------
    dict
        What stands in ``reproduction.json``.
    """
    drawn = figures_of(done)
    notes = {figure.name: carry_out(figure.step(), done.folder, tools.stages.begin).facts["note"] for figure in drawn}
    tools.stages.begin("page")
    rows = table_rows(done)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(row.cells for row in rows)
    with replacing(done.folder / TABLE) as stream:
        stream.write(text.getvalue().encode())
    numbers = _numbers(done, rows)
    with replacing(done.folder / NUMBERS) as stream:
        stream.write((json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())
    write_page(done.folder / PAGE, _page(done, rows, drawn, notes))
    return numbers


def _numbers(done: Reproduction, rows: list[Row]) -> dict[str, Any]:
    steps = {
        name: {"seconds": record.seconds, "cpu_seconds": record.cpu_seconds, **record.facts}
        for name, record in done.records.items()
    }
    made_with = {**versions(start_tensorflow(done.threads)[0]), "machine": platform.machine(), "threads": done.threads}
    table = [dict(zip(COLUMNS, row.cells, strict=True)) for row in rows]
    numbers: dict[str, Any] = without_nan(
        {"recipe": "li2021", "settings": done.recipe.as_dict(), "made_with": made_with, "table": table, "steps": steps}
    )
    return numbers


def _page(done: Reproduction, rows: list[Row], drawn: list[Drawn], notes: dict[str, str | None]) -> Page:
    sections = []
    for part, sentence in _SENTENCES.items():
        cells = tuple(row.cells[1:-1] for row in rows if row.part == part)
        figures = [(figure.caption, _image(done.folder, figure.name)) for figure in drawn if figure.part == part]
        table = ParticleTable(COLUMNS[1:-1], cells)
        sections.append(Section(part.capitalize(), sentence, figures=figures, table=table))
    remarks = {row.quantity.partition(" (")[0]: row.remark for row in rows if row.remark}
    sections.append(Section("What fails in the recipe, and why", "Remarks on the lines of the tables.", remarks))
    warnings = [f"Figure {name}: {note}" for name, note in notes.items() if note is not None]
    if done.facts("experiment")["simulated"]:
        warnings.insert(
            0,
            "The publication's measured data are not public: its experimental images and its specimen are simulated "
            "here, so its numbers and ours are of different specimens.",
        )
    return Page(
        title="Li et al. (2021), reproduced",
        sentence=_answer(done),
        warnings=warnings,
        numbers=_highlights(done),
        sections=sections,
        settings={name: str(value) for name, value in done.recipe.as_dict().items()},
        provenance={
            "publication": "Li et al., npj Computational Materials 7, 8 (2021), doi 10.1038/s41524-020-00472-7",
            "aptstream": __version__,
            "steps": ", ".join(f"{name} {record.seconds:.0f} s" for name, record in done.records.items()),
        },
    )


def _answer(done: Reproduction) -> str:
    """Sum up in two sentences."""
    tests, results = done.facts("tests"), done.facts("results")
    own, swapped = (100 * tests[kind]["case 1"]["accuracy"] for kind in ("table_1", "table_1_swapped_sigma_z"))
    rerun, ours = (row["recall_1.5"] for row in (results["published"], done.facts("scan-order")))
    said = (
        f"The recipe is right on {own:.0f} % of new images of its own library, and on {swapped:.0f} % once the blur of "
        f"its two classes is exchanged."
    )
    if rerun is None or ours is None:  # a small specimen may hold no particle so large
        return said
    return (
        f"{said} Where the truth is known, its cut at 62 of 64 votes finds {100 * rerun:.0f} % of the particles with "
        f"radii from 1.5 nm on, our default {100 * ours:.0f} %."
    )


def _highlights(done: Reproduction) -> list[tuple[str, str]]:
    """Name what a reader looks for first."""
    models = done.facts("tests")["experimental"]["models"]
    auc = {name: row["auc"] for name, row in models.items() if row["auc"] is not None}
    return [
        ("weights of the network", f"{done.facts('case-1')['n_parameters']:,}"),
        ("images", f"{done.facts('dictionary')['n_images']:,} in {done.records['dictionary'].seconds:.0f} s"),
        ("training", f"{done.records['case-1'].seconds / 60:.1f} min"),
        *((f"AUC, {name}", f"{value:.3f}") for name, value in auc.items()),
    ]


def _image(folder: Path, name: str) -> bytes:
    """Return a figure for the page: SVG, or PNG where that would be too large."""
    drawn = (folder / "figures" / f"{name}.svg").read_bytes()
    return drawn if len(drawn) <= MOST_SVG_BYTES else (folder / "figures" / f"{name}.png").read_bytes()
