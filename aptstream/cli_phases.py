"""The verb `phases`: what the ions inside and outside of the particles look like, and where each species sits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from aptstream.cli_parts import in_a_folder, say_page, stderr, stdout, verb
from aptstream.display import StageDisplay, write_json

if TYPE_CHECKING:
    from aptstream.phases.sites import Sites
    from aptstream.phases.species import Pair, Phases


def add_phase_verbs(app: typer.Typer) -> None:
    """Add the verbs of this module to the command line."""
    app.command()(verb(phases))


def phases(
    result: Annotated[Path, typer.Argument(help="Output folder of a run.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for tables and figures. Default: RESULT/phases.", callback=in_a_folder),
    ] = None,
    shell_nm: Annotated[
        float, typer.Option("--shell", help="Leave out of the matrix what lies so near to a particle, in nm.")
    ] = 1.0,
    pairs: Annotated[
        str | None,
        typer.Option("--pairs", help="Pairs of species, such as Al-Al,Al-Li+Mg. Default: all of host and solute."),
    ] = None,
    most_ions: Annotated[
        int, typer.Option("--most-ions", min=1000, help="Count an even choice of a phase with more ions.")
    ] = 20_000_000,
    json_to: Annotated[
        Path | None,
        typer.Option("--json", help="Write the numbers as JSON to this file; - for stdout.", callback=in_a_folder),
    ] = None,
) -> None:
    """Show particles and matrix species by species: planes, sites, order.

    Example: `aptstream phases R5096 --shell 1.5`
    """
    import numpy as np

    from aptstream.grid.files import open_grid
    from aptstream.phases.phasemap import PhaseMap
    from aptstream.phases.sites import site_occupancy
    from aptstream.phases.species import Look, OrderFrame, phase_sdms
    from aptstream.report.beside import save_section, stamp_of
    from aptstream.report.phase_tables import CAPTIONS, phases_as_json, phases_section, write_phase_tables
    from aptstream.report.phases import phase_figures
    from aptstream.runresult import store_of
    from aptstream.scan import open_scan

    grid, scan = open_grid(result), open_scan(result / "scan.zarr")
    store, frame = store_of(result, scan), OrderFrame.of(scan)
    look = Look(pairs_of(pairs), most_ions)
    where = PhaseMap(grid.labels, np.isfinite(grid.order), grid.votes.origin_nm, shell_nm)
    folder = result / "phases" if out is None else out
    with StageDisplay(stderr) as stages:
        stages.begin("phases")
        found = phase_sdms(where, store, frame, look=look, progress=stages)
        stages.begin("sites")
        sites = site_occupancy(where, store, frame, progress=stages)
        stages.begin("figures")
        folder.mkdir(exist_ok=True)
        write_phase_tables(found, sites, folder)
        numbers = phases_as_json(found, sites)
        write_json(numbers, folder / "phases.json")
        phase_figures(found, sites, folder)
        save_section(folder, phases_section(found, sites), captions=CAPTIONS, stamp=stamp_of(scan, grid))
        stages.finish()
    if json_to is not None:
        write_json(numbers, json_to)
    if json_to is None or str(json_to) != "-":
        show_phases(found, sites)
        stdout.print(f"tables and figures: {escape(str(folder))}", highlight=False, soft_wrap=True)
        say_page(result, folder)


def pairs_of(text: str | None) -> tuple[Pair, ...]:
    """Read pairs of groups of species, such as Al-Al,Al-Li+Mg."""
    if text is None:
        return ()
    pairs = []
    for one in text.split(","):
        groups = [tuple(name.strip() for name in group.split("+")) for group in one.replace("–", "-").split("-")]
        if len(groups) != 2 or not all(name for group in groups for name in group):
            raise typer.BadParameter(
                f"found {one!r}, expected two species with a dash between them, such as Al-Li, or Al-Li+Mg",
                param_hint="--pairs",
            )
        pairs.append((groups[0], groups[1]))
    return tuple(pairs)


def show_phases(found: Phases, sites: Sites) -> None:
    """Show both phases and the sites as tables for people."""
    from aptstream.report.phase_tables import TOLD, concise, told_waves

    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("", *TOLD):
        table.add_column(heading, justify="left" if not heading else "right", no_wrap=True)
    for phase in found.both:
        part = "" if phase.share == 1 else f" ({phase.share:.0%})"
        table.add_row(f"[bold]{phase.name}[/]{part}")
        for sdm in phase.sdms:
            table.add_row(escape(sdm.name), *told_waves(sdm))
    stdout.print(table)
    if not sites.shares:
        stdout.print("Sites and order: the signal does not allow to tell.", highlight=False)
        return
    for share in sites.shares:
        if share.on_solute_planes is not None:
            told = f"{concise(share.on_solute_planes)} of its ions on planes of the solute"
        else:
            told = f"mean cosine to the wave of the solute {concise(share.mean_cosine)}"
        stdout.print(f"{escape(share.species)}: {told}", highlight=False)
    n_seen = sum(one.order is not None for one in sites.particles)
    stdout.print(
        f"order parameter S = {concise(sites.order)} from {sites.n_pooled} particles; seen in {n_seen} of "
        f"{len(sites.particles)} one by one",
        style="bold",
        highlight=False,
    )
