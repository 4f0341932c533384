"""What a check leaves in the folder of a result: ``check/`` with JSON, CSV and figures."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.ticker import NullLocator

from aptstream.grid.verdict import ResultCheck, class_name
from aptstream.io.replace import replacing
from aptstream.report.style import BLUE, GREY, PAGE_MM, STYLE, VERMILLION, blank, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Heading of the table of numbers.
COLUMNS = ("table", "row", "quantity", "value")


def write_check(check: ResultCheck, folder: Path) -> Path:
    """Write ``check.json``, ``check.csv`` and the figures, each as PNG, PDF and SVG.

    Parameters
    ----------
    check : ResultCheck
        From `aptstream.check_result`.
    folder : Path
        Output folder of the run; ``check`` is made in it, or written anew.

    Returns
    -------
    Path
        The folder ``check``.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    out = folder / "check"
    out.mkdir(exist_ok=True)
    with replacing(out / "check.json") as file:
        text = json.dumps(check.as_json(), indent=1, ensure_ascii=False, allow_nan=False)
        file.write((text + "\n").encode())
    with replacing(out / "check.csv") as file:
        file.write(check_csv(check).encode())
    for name, figure in (("reliability", reliability_figure(check)), ("sensitivity", sensitivity_figure(check))):
        save_figure(figure, out / name)
    return out


def check_csv(check: ResultCheck) -> str:
    """Write every number on a line of its own; empty where there is none.

    Parameters
    ----------
    check : ResultCheck
        What is written.

    Returns
    -------
    str
        UTF-8 text with one header line.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((*names, "" if value is None else value) for *names, value in check.flat)
    return text.getvalue()


@rc_context(STYLE)
def reliability_figure(check: ResultCheck) -> Figure:
    """Draw recall and bias against the true radius, and the false particles to expect.

    Parameters
    ----------
    check : ResultCheck
        From `aptstream.check_result`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = blank(PAGE_MM, 62)
    left, middle, right = figure.subplots(1, 3)
    rows = check.recall
    at = np.arange(len(rows))
    for axes, title in ((left, "a   Found, of true particles"), (middle, "b   Found − true radius")):
        axes.set_title(title)
        axes.set_xlabel("True radius (nm)")
        names = [class_name(row.low_nm, row.high_nm).replace(" nm and more", "–").removesuffix(" nm") for row in rows]
        axes.set_xticks(at, names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_xlim(-0.6, max(len(rows), 1) - 0.4)
    if rows:
        scores = [row.recall for row in rows]
        _bars(left, at, [(100 * s.value, 100 * s.low, 100 * s.high) for s in scores])
        for x, score in zip(at, scores, strict=True):
            left.annotate(f"{score.n}", (x, 104), ha="center", va="bottom", color=GREY, fontsize=6)
        _bars(middle, at, [(row.bias_nm, row.bias_nm - row.sd_nm, row.bias_nm + row.sd_nm) for row in rows])
    else:
        _state(left, "No twin with particles")
    left.set_ylim(-3, 112)
    left.set_yticks(range(0, 101, 20))
    left.set_ylabel("Share (%); 95 % interval; number there")
    middle.axhline(0, color=GREY, linewidth=0.6)
    middle.set_ylabel("Mean and s.d. (nm)")
    right.set_title("c   False particles to expect")
    names = [row.control.replace(" without", "\nwithout") for row in check.false]
    heights = np.arange(len(check.false))[::-1]
    _bars(right, heights, [(s.number.value, s.number.low, s.number.high) for s in check.false], along_x=True)
    right.axvline(check.n_found, color=VERMILLION, linewidth=0.9, linestyle=(0, (4, 2)), label=f"{check.n_found} found")
    right.set_xscale("symlog", linthresh=1, linscale=0.6)
    right.set_xlim(left=-0.15)
    right.xaxis.set_major_formatter("{x:g}")
    right.xaxis.set_minor_locator(NullLocator())
    right.set_yticks(heights, names)
    right.set_ylim(-0.7, len(heights) - 0.1)
    right.set_xlabel("In the whole result; 95 % interval")
    right.legend(loc="upper right")
    return figure


@rc_context(STYLE)
def sensitivity_figure(check: ResultCheck) -> Figure:
    """Draw number, mean radius and volume fraction with cut, cubes and blur changed.

    Parameters
    ----------
    check : ResultCheck
        From `aptstream.check_result`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = check.sensitivity
    figure = blank(PAGE_MM, 22 + 5 * len(rows))
    panels = figure.subplots(1, 3, sharey=True)
    heights = -np.arange(len(rows), dtype=np.float64)
    groups = list(dict.fromkeys(row.changed for row in rows))
    heights -= np.array([0.8 * groups.index(row.changed) for row in rows])
    series = (
        ("a   Particles", "Number", [float(row.n) for row in rows]),
        ("b   Mean radius", "nm", [row.mean_radius_nm for row in rows]),
        ("c   Volume fraction", "%", [100 * row.volume_fraction for row in rows]),
    )
    for axes, (title, unit, values) in zip(panels, series, strict=True):
        for group in groups:
            mine = [k for k, row in enumerate(rows) if row.changed == group]
            first = values[mine[0]]
            axes.plot([first, first], heights[[mine[0], mine[-1]]], color=GREY, linewidth=0.6, linestyle=(0, (2, 2)))
            axes.plot([values[k] for k in mine], heights[mine], "o", color=BLUE, markersize=4)
        axes.set_title(title)
        axes.set_xlabel(unit)
        known = [value for value in values if np.isfinite(value)]
        axes.set_xlim(0, 1.12 * max(known, default=0) or 1)
        axes.grid(axis="x", color="#e0e0e0", linewidth=0.4)
    panels[0].set_yticks(heights, [f"{row.changed}: {row.to}" for row in rows])
    return figure


def _bars(
    axes: Axes,
    at: npt.NDArray[np.number],
    values: Sequence[tuple[float, float, float]],
    *,
    along_x: bool = False,
) -> None:
    """Draw values with the ends of their intervals, where they have one."""
    middle, low, high = np.array(values, dtype=np.float64).reshape(-1, 3).T
    ends = np.nan_to_num(np.stack([middle - low, high - middle]))
    x, y, of_x, of_y = (middle, at, ends, None) if along_x else (at, middle, None, ends)
    axes.errorbar(x, y, xerr=of_x, yerr=of_y, fmt="o", color=BLUE, markersize=4, elinewidth=0.9, capsize=2)


def _state(axes: Axes, sentence: str) -> None:
    axes.text(0.5, 0.5, sentence, transform=axes.transAxes, ha="center", va="center", color=GREY, fontsize=8)
