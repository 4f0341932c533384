"""The verb `compare`: the same specimen seen by the established methods."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from aptstream.cli_parts import in_a_folder, say_page, stderr, stdout, verb
from aptstream.display import StageDisplay, show_facts, write_json

if TYPE_CHECKING:
    from aptstream.peers.opinions import SecondOpinions


def add_compare_verbs(app: typer.Typer) -> None:
    """Add the verbs of this module to the command line."""
    app.command()(verb(compare))


def compare(
    result: Annotated[Path, typer.Argument(help="Output folder of a run.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for tables and figures. Default: RESULT/compare.", callback=in_a_folder)
    ] = None,
    solute_at_pct: Annotated[
        float | None,
        typer.Option(
            "--solute-at-pct",
            help="Cut of an isocomposition surface of all solutes in at.%. Default: the publication's 8 at.% of Li, "
            "where there is Li. One with a cut chosen from the specimen is always drawn.",
        ),
    ] = None,
    delocalisation_nm: Annotated[
        float, typer.Option("--delocalisation-nm", help="Standard deviation of the Gaussian of compositions in nm.")
    ] = 1.0,
    json_to: Annotated[
        Path | None,
        typer.Option("--json", help="Write the numbers as JSON to this file; - for stdout.", callback=in_a_folder),
    ] = None,
) -> None:
    """Compare the ordered particles with what established methods see.

    Example: `aptstream compare R5096 --solute-at-pct 12`
    """
    from aptstream.grid.files import open_grid
    from aptstream.peers.opinions import Wanted, second_opinions
    from aptstream.report.beside import save_section, stamp_of
    from aptstream.report.opinions import CAPTIONS, opinions_section
    from aptstream.report.peers import opinions_as_json, write_opinions
    from aptstream.runresult import store_of
    from aptstream.scan import open_scan

    grid, scan = open_grid(result), open_scan(result / "scan.zarr")
    store, wanted = store_of(result, scan), Wanted(solute_at_pct, delocalisation_nm, scan.crystal)
    folder = result / "compare" if out is None else out
    with StageDisplay(stderr) as stages:
        stages.begin("compare")
        found = second_opinions(store, scan.roles, grid, wanted, progress=stages)
        stages.begin("figures")
        write_opinions(found, folder)
        save_section(folder, opinions_section(found), captions=CAPTIONS, stamp=stamp_of(scan, grid))
    if json_to is not None:
        write_json(opinions_as_json(found), json_to)
    if json_to is None or str(json_to) != "-":
        show_opinions(found)
        stdout.print(f"tables and figure: {escape(str(folder))}", highlight=False, soft_wrap=True)
        say_page(result, folder)


def show_opinions(found: SecondOpinions) -> None:
    """Show the table of methods, and what the disagreement means."""
    from aptstream.report.opinions import TOLD, arrangement_words, told_row

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(TOLD[0], overflow="fold")
    for heading in TOLD[1:]:
        table.add_column(heading, justify="right")
    for row in found.rows:
        table.add_row(*map(escape, told_row(row, found.composition.elements)))
    stdout.print(table)
    for row in found.rows:
        if row.note:
            stderr.print(f"[yellow]note:[/] {escape(row.method)}: {escape(row.note)}", highlight=False)
    show_facts(stdout, arrangement_words(found.arrangement))
    stdout.print(escape(found.sentence), style="bold", highlight=False)
