"""The verb that draws figures for papers: ``figure``."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aptstream.cli_complete import complete_figure, complete_source
from aptstream.cli_parts import JsonTo, Seed, stderr, stdout, verb
from aptstream.display import write_json

if TYPE_CHECKING:
    from aptstream.regions import Triple


def add_figure_verb(app: typer.Typer) -> None:
    """Add the verb of this module to the command line."""
    app.command()(figure)


@verb
def figure(
    name: Annotated[
        str | None, typer.Argument(help="Name of the figure: see --list.", autocompletion=complete_figure)
    ] = None,
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="What it is drawn from, such as the output folder of a run.", autocompletion=complete_source
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File to write (.png, .pdf, .svg), or a folder for all three.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="Place in the specimen in nm, such as 8.5,5,12.")] = None,
    seed: Seed = 1,
    show_list: Annotated[bool, typer.Option("--list", help="Name all figures, one line each.")] = False,
    json_to: JsonTo = None,
) -> None:
    """Draw a figure for a paper: labelled with units, safe for the colour-blind.

    Example: `aptstream figure votes R5096 --out votes.pdf`
    """
    if show_list:
        _list(json_to)
        return
    if name is None:
        raise typer.BadParameter("give the name of a figure, or --list to see all", param_hint="NAME")
    if out is None:
        raise typer.BadParameter("say where to write the figure, such as figure.pdf or a folder", param_hint="--out")
    from aptstream.drawings import Sources
    from aptstream.gallery import draw
    from aptstream.report.style import figure_paths, write_figure

    figure_paths(out, name)  # a wrong ending is refused before the work
    drawn, caption = draw(name, Sources(tuple(sources or ()), _place(at), seed))
    written = write_figure(drawn, out, name)
    if json_to is not None:
        write_json({"name": name, "caption": caption, "files": [str(path) for path in written]}, json_to)
    if json_to is None or str(json_to) != "-":
        stdout.print(caption, highlight=False, markup=False, soft_wrap=True)
    for path in written:
        stderr.print(f"wrote {path}", highlight=False, markup=False, soft_wrap=True)


def _list(json_to: Path | None) -> None:
    from aptstream.gallery import DRAWINGS

    if json_to is not None:
        facts = {name: {"takes": d.takes, "shows": d.shows, "caption": d.caption} for name, d in DRAWINGS.items()}
        write_json({"figures": facts}, json_to)
        return
    for name, drawing in DRAWINGS.items():
        line = f"{name:<11} {drawing.takes:<18} {drawing.shows}"
        stdout.print(line, highlight=False, markup=False, soft_wrap=True)


def _place(text: str | None) -> Triple | None:
    """Read a place, such as 8.5,5,12."""
    if text is None:
        return None
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError:
        x = y = z = float("nan")
    if not (isfinite(x) and isfinite(y) and isfinite(z)):
        raise typer.BadParameter(
            f"found {text!r}, expected three numbers with commas between them, such as 8.5,5,12", param_hint="--at"
        )
    return x, y, z
