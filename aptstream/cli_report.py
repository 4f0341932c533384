"""The verb `report`: the page, figures and tables of a result, drawn anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aptstream.cli_parts import JsonTo, ModelOfRun, stderr, verb
from aptstream.display import StageDisplay, show_summary


def add_report_verb(app: typer.Typer) -> None:
    """Add the verb of this module to the command line."""
    app.command()(verb(report))


def report(
    result: Annotated[Path, typer.Argument(metavar="RESULT", help="Output folder of aptstream run or demo.")],
    model: ModelOfRun = None,
    json_to: JsonTo = None,
) -> None:
    """Draw page, figures and tables of a result anew, without a scan.

    What `phases`, `compare` and `check` left in the folder gets a section of the page.

    Example: `aptstream report R5096`
    """
    from aptstream.model.modelfile import load_model
    from aptstream.redraw import redraw_report

    with StageDisplay(stderr) as stages:
        summary = redraw_report(result, model=load_model(model) if model is not None else None, stages=stages)
        stages.finish()
        show_summary(summary, result, stages.seconds, json_to)
