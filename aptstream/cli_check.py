"""The verb `check`: how far a result can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aptstream.cli_parts import ModelOfRun, Seed, in_a_folder, say_page, stderr, stdout, verb
from aptstream.display import StageDisplay, write_json

if TYPE_CHECKING:
    from aptstream.grid.verdict import ResultCheck


def add_check_verbs(app: typer.Typer) -> None:
    """Add the verb of this module to the command line."""
    app.command()(verb(check))


def check(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="Output folder of aptstream run.")],
    shuffles: Annotated[int, typer.Option(min=1, help="How often species are shuffled.")] = 5,
    twins: Annotated[int, typer.Option(min=1, help="Twins with particles that are simulated.")] = 2,
    model: ModelOfRun = None,
    seed: Seed = 1,
    json_to: Annotated[
        Path | None,
        typer.Option("--json", help="Write the numbers as JSON to this file; - for stdout.", callback=in_a_folder),
    ] = None,
) -> None:
    """Say how far a result can be trusted, by shuffles and simulated twins.

    Writes tables and figures to RESULT/check; the result itself stays as it is.

    Example: `aptstream check R5096 --shuffles 10`
    """
    from aptstream.checking import CheckSettings, check_result
    from aptstream.grid.files import open_grid
    from aptstream.model.modelfile import load_model
    from aptstream.report.beside import save_section, stamp_of
    from aptstream.report.check import write_check
    from aptstream.report.trust import CAPTIONS, check_section
    from aptstream.scan import open_scan

    settings = CheckSettings(n_shuffles=shuffles, n_twins=twins, seed=seed)
    with StageDisplay(stderr) as stages:
        chosen = load_model(model) if model is not None else None
        found = check_result(result, settings, model=chosen, stages=stages)
        stages.finish()
        out = write_check(found, result)
        stamp = stamp_of(open_scan(result / "scan.zarr"), open_grid(result))
        save_section(out, check_section(found), captions=CAPTIONS, stamp=stamp)
    if json_to is not None:
        write_json({**found.as_json(), "seconds": stages.seconds, "folder": str(out)}, json_to)
    if json_to is None or str(json_to) != "-":
        show_check(stdout, found)
        stdout.print(f"written to {escape(str(out))}", highlight=False, soft_wrap=True)
        say_page(result, out)


def show_check(console: Console, check: ResultCheck) -> None:
    """Show the tables of a check.

    Parameters
    ----------
    console : rich.console.Console
        Where to draw.
    check : ResultCheck
        From `aptstream.check_result`.
    """
    from aptstream.grid.verdict import class_name
    from aptstream.report.trust import TOLD, told_number, told_recall, told_score

    c = check.conditions
    console.print(
        f"{check.n_found} particles: {check.rule}.\nTwins have {c.density_per_nm3:.1f} ions/nm³ of host and solute, "
        f"planes blurred by {c.sigma_z_nm:.3f} nm along z and {c.sigma_xy_nm:.2f} nm laterally, "
        f"{100 * c.matrix:.1f} at.% solute in the matrix and {100 * c.particles:.1f} at.% in particles; twins "
        f"and the block that is scanned again are {' × '.join(f'{edge:g}' for edge in check.size_nm)} nm large.",
        highlight=False,
        markup=False,
    )
    false = [
        (row.control, f"{row.n_voxels:,}", told_score(row.number, 1, 1), told_score(row.volume, 100, 3))
        for row in check.false
    ]
    names = ("control", "judged (nm³)", "false particles", "of the volume (%)")
    _table(console, "to expect where nothing is ordered", names, false)
    _table(console, "twins: by true radius", TOLD, told_recall(check))
    radii: list[tuple[str, ...]] = [
        (
            class_name(row.low_nm, row.high_nm),
            str(row.n),
            told_number(row.found_nm, ".2f"),
            told_number(row.true_nm, ".2f"),
            told_number(row.sd_nm, ".2f"),
            str(row.n_false),
        )
        for row in check.radii
    ]
    _table(
        console,
        "twins: by found radius (correction, not applied)",
        ("radius", "n", "found (nm)", "true (nm)", "s.d. (nm)", "false"),
        radii,
    )
    if check.scores:
        error = check.scores["volume_fraction_error"]
        console.print(f"volume fraction, found / true − 1: {told_score(error, 100, 1)} %", highlight=False)
    changed: list[tuple[str, ...]] = [
        (
            row.changed,
            row.to,
            str(row.n),
            told_number(row.mean_radius_nm, ".2f"),
            told_number(100 * row.volume_fraction, ".2f"),
        )
        for row in check.sensitivity
    ]
    of_result = ("changed", "to", "particles", "radius (nm)", "volume (%)")
    _table(console, "sensitivity", of_result, changed)
    console.print(escape(check.sentence), style="bold", highlight=False)
    for note in check.notes:
        stderr.print(f"[yellow]note:[/] {escape(note)}", highlight=False)


def _table(console: Console, title: str, headings: tuple[str, ...], rows: list[Any]) -> None:
    """Show a table; nothing where it has no row."""
    if not rows:
        return
    console.print()
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for k, heading in enumerate(headings):
        left = k == 0 or heading == "to"
        table.add_column(heading, justify="left" if left else "right", no_wrap=not left)
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)
