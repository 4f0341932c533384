"""The verb `compare`: the same specimen seen by the established methods."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from aptstream.cli_parts import in_a_folder, stderr, stdout, verb
from aptstream.display import StageDisplay, show_facts, write_json

if TYPE_CHECKING:
    from aptstream.peers.arrangement import Arrangement
    from aptstream.peers.opinions import Row, SecondOpinions


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
    if json_to is not None:
        write_json(opinions_as_json(found), json_to)
    if json_to is None or str(json_to) != "-":
        show_opinions(found)
        stdout.print(f"tables and figure: {escape(str(folder))}", highlight=False, soft_wrap=True)


def show_opinions(found: SecondOpinions) -> None:
    """Show the table of methods, and what the disagreement means."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("method", overflow="fold")
    headings = ("particles", "mean r (nm)", "volume (%)", "solute (at.%)", "Dice", "order seen (%)", "ordered (%)")
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in found.rows:
        table.add_row(*map(escape, _cells(row, found.composition.elements)))
    stdout.print(table)
    for row in found.rows:
        if row.note:
            stderr.print(f"[yellow]note:[/] {escape(row.method)}: {escape(row.note)}", highlight=False)
    show_facts(stdout, arrangement_words(found.arrangement))
    stdout.print(escape(found.sentence), style="bold", highlight=False)


def arrangement_words(found: Arrangement) -> dict[str, str]:
    """Say how the solute ions are arranged as a whole.

    Parameters
    ----------
    found : Arrangement
        From `aptstream.peers.arrangement`.

    Returns
    -------
    dict of str to str
    """
    near, table, pairs = found.nearest, found.shells, found.correlation
    words = {
        "solute neighbours": f"the {near.k}th at {near.mean_nm:.3f} nm, {near.random_mean_nm:.3f} nm where labels are "
        f"permuted; Pearson {near.pearson:.2f} (0 is random)",
    }
    if len(pairs.g):
        words["solute pairs"] = f"{pairs.g[-1]:.2f} × random at {pairs.distance_nm[-1]:.2f} nm"
    unit = " nm" if found.by_distance else ""
    for a, name in enumerate(table.groups):
        shell = f"to {table.edges[1]:.2f}{unit}" if found.by_distance else f"up to neighbour {table.edges[1] - 1:.0f}"
        shares = zip(table.groups, table.warren_cowley[a, :, 0], table.ratio_error[a, :, 0], strict=True)
        told = [f"{other} {alpha:+.3f} ± {error:.3f}" for other, alpha, error in shares if isfinite(alpha)]
        words[f"Warren–Cowley α of {name}"] = f"{', '.join(told)} ({shell})"
    return words


def _cells(row: Row, elements: tuple[str, ...]) -> list[str]:
    """Write a row of the table; empty where nothing is defined."""
    content = [row.at_percent[element] for element in elements if row.at_percent and element in row.at_percent]
    return [
        row.method,
        "" if row.n_particles is None else str(row.n_particles),
        _fixed(row.mean_radius_nm, 2),
        _fixed(row.volume_fraction, 2, 100),
        _fixed(sum(content) if content else None, 1),
        _fixed(row.dice, 3),
        _fixed(row.order_seen, 0, 100),
        _fixed(row.volume_ordered, 0, 100),
    ]


def _fixed(value: float | None, digits: int, times: float = 1.0) -> str:
    return "" if value is None else f"{value * times:.{digits}f}"
