"""What the command line shows: the progress of stages, tables of facts, the answer, and JSON for machines."""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

if TYPE_CHECKING:
    from aptstream.grid.evaluate import Evaluation
    from aptstream.model.modelfile import Model
    from aptstream.points import RangeTable, Roles
    from aptstream.report import Summary


class _Told(logging.Handler):
    """Prints what the library tells on the way, such as tasks that are skipped or failed."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self.console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message."""
        self.console.print(record.getMessage(), highlight=False, markup=False, soft_wrap=True)


class StageDisplay:
    """Draws what the library tells of its progress: a bar for the stage that runs, a line for each that is done.

    Use it as a context manager.

    Parameters
    ----------
    console : rich.console.Console
        Where to draw; bars only on a terminal, lines everywhere.

    Attributes
    ----------
    seconds : dict of str to float
        Wall time of each finished stage in s.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.seconds: dict[str, float] = {}
        self._bars = Bars(
            TextColumn("{task.description:>28}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._stage, self._start, self._last = "", 0.0, ("", 0)
        self._told = _Told(console)

    def __enter__(self) -> StageDisplay:
        self._bars.start()
        logging.getLogger("aptstream").addHandler(self._told)
        logging.getLogger("aptstream").setLevel(logging.INFO)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish()
        logging.getLogger("aptstream").removeHandler(self._told)
        self._bars.stop()

    def begin(self, stage: str) -> None:
        """Start a stage: what is told before the next `begin` counts towards it.

        Parameters
        ----------
        stage : str
            Its name.
        """
        self.finish()
        self._stage, self._start, self._last = stage, time.perf_counter(), ("", 0)
        self._task = self._bars.add_task(stage, total=None, rate="")

    def __call__(self, stage: str, done: int, total: int, unit: str) -> None:
        """Show progress within the stage that runs; see `aptstream.progress.Progress`."""
        if self._task is None:
            self.begin(stage)
        elapsed = max(time.perf_counter() - self._start, 1e-9)
        rate = f"{done:,} of {total:,} {unit}, {_short(done / elapsed)} {unit}/s"
        name = self._stage if stage == self._stage else f"{self._stage}: {stage}"
        self._last = (unit, total)
        self._bars.update(self._task or TaskID(0), description=name, completed=done, total=total, rate=rate)

    def note(self, text: str) -> None:
        """Say what was decided on the way, after the stage that led to it."""
        self.finish()
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def finish(self) -> None:
        """End the stage that runs and say how long it took."""
        if self._task is None:
            return
        seconds = time.perf_counter() - self._start
        self.seconds[self._stage] = round(self.seconds.get(self._stage, 0) + seconds, 3)
        unit, total = self._last
        work = f"{total:>12,} {unit:<9} {_short(total / max(seconds, 1e-9)):>6} {unit}/s" if unit else ""
        self._bars.remove_task(self._task)
        self.console.print(f"{self._stage:>12} {seconds:7.1f} s  {work}", highlight=False)
        self._task = None


def _short(number: float) -> str:
    """Write a rate with three digits: 950, 12.3 k, 4.56 M."""
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"


def say_decisions(console: Console, model: Model, roles: Roles | None) -> None:
    """Say what was decided for the user, before the work starts."""
    crystal = model.crystal
    chosen = "host and solute to be guessed from the ions"
    if roles is not None:
        chosen = f"host {', '.join(roles.host)}; solute {', '.join(roles.solute)} (as one)"
    console.print(
        f"model {model.name}: {crystal.label} in {crystal.structure.parent}, a = {crystal.a_nm:g} nm, "
        f"{crystal.planes_name} normal to z; {chosen}",
        highlight=False,
        markup=False,
    )


def show_facts(console: Console, facts: dict[str, Any]) -> None:
    """Show names and values as a table."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        table.add_row(escape(str(name)), escape(text))
    console.print(table)


def show_ranges(console: Console, table: RangeTable) -> None:
    """Show the ranges as a table, in the colours of the file."""
    shown = Table(box=None, pad_edge=False, header_style="dim")
    shown.add_column("ion")
    for heading in ("from (Da)", "to (Da)", "volume (nm³)"):
        shown.add_column(heading, justify="right", no_wrap=True)
    shown.add_column("colour")
    for r in table.ranges:
        colour = f"[#{r.colour}]■[/] {r.colour}" if r.colour else ""
        volume = f"{r.volume_nm3:.5f}" if r.volume_nm3 else ""
        shown.add_row(escape(r.ion), f"{r.low_da:.4f}", f"{r.high_da:.4f}", volume, colour)
    console.print(shown)


def show_summary(summary: Summary, folder: Path, seconds: dict[str, float], json_to: Path | None) -> None:
    """Show the answer of a run, for people or for machines.

    Parameters
    ----------
    summary : Summary
        The answer.
    folder : Path
        Where its report was written.
    seconds : dict of str to float
        Wall time of every stage in s.
    json_to : Path, optional
        File for the numbers as JSON. With ``-`` they go to stdout, and nothing else does.
    """
    page = folder / "report.html"
    if json_to is not None:
        write_json({**summary.as_json(), "seconds": seconds, "report": str(page)}, json_to)
    if json_to is None or str(json_to) != "-":
        stdout, stderr = Console(), Console(stderr=True)
        show_facts(stdout, dict(summary.numbers))
        for warning in summary.warnings:
            stderr.print(f"[yellow]note:[/] {escape(warning)}", highlight=False)
        stdout.print(escape(summary.sentence), style="bold", highlight=False)
        stdout.print(f"report: {escape(str(page))}", highlight=False, soft_wrap=True)


def show_evaluation(console: Console, evaluation: Evaluation, json_to: Path | None) -> None:
    """Show how right a result is: a table of scores with their intervals, or JSON.

    Parameters
    ----------
    console : rich.console.Console
        Where to draw.
    evaluation : Evaluation
        From `aptstream.grid.evaluate`.
    json_to : Path, optional
        File for the numbers as JSON. With ``-`` they go to stdout, and nothing else does.
    """
    from aptstream.grid.evaluate import NOTE

    if json_to is not None:
        write_json(evaluation.as_json(), json_to)
    if json_to is not None and str(json_to) == "-":
        return
    comparison = evaluation.comparison
    console.print(
        f"{len(comparison.correct)} particles found, {int(comparison.considered.sum())} are there "
        f"({comparison.volume_fraction:.2%} of the volume).",
        style="bold",
        highlight=False,
    )
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    for heading in ("value", "95 % interval", "of"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in evaluation.table:
        table.add_row(*map(escape, row))
    console.print(table)
    console.print(NOTE, style="dim", highlight=False)


def write_json(values: dict[str, Any], to: Path) -> None:
    """Write JSON to a file, or to stdout if its name is ``-``."""
    from aptstream.io.replace import replacing

    text = json.dumps(values, indent=1, ensure_ascii=False) + "\n"
    if str(to) == "-":
        sys.stdout.write(text)
    else:
        with replacing(to) as stream:
            stream.write(text.encode())
