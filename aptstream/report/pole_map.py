"""The map of the poles: where ions hit, and in which directions planes were looked for and seen."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.colors import LogNorm
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, ScalarFormatter

from aptstream.report.hits import HitMap, hit_map
from aptstream.report.stereo import LowIndexPole, at_angle, low_index_poles, stereographic, zone_lines
from aptstream.report.style import GREY, PAGE_MM, STYLE, VERMILLION, blank

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from aptstream.pole import Pole
    from aptstream.report.story import PoleStory

Floats = npt.NDArray[np.float64]

#: Directions that are shown reach so far from z, a little beyond those that are looked at.
FIELD_DEG = 44.0
RINGS_DEG = (10, 20, 30, 40)
#: Without any planes the columns reach this strength.
NOISE = 6
#: A low-index pole so near to one that was found needs no label.
BESIDE_DEG = 5.0

_HALO = [withStroke(linewidth=1.8, foreground="white")]


@rc_context(STYLE)
def pole_map(story: PoleStory) -> Figure:
    """Draw where ions hit, with the poles, and the directions in which something stands out.

    Parameters
    ----------
    story : PoleStory
        What was looked for, and what was found.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    StoreError
        If the store is damaged.
    """
    figure = blank(PAGE_MM, 92)
    figure.set_layout_engine("constrained", h_pad=0.055)
    figure.suptitle(fill(story.search.verdict, 125), x=0.01, ha="left", fontsize=7.5, linespacing=1.3)
    left, right = figure.subplots(1, 2)
    names = story.names
    draw_hits(left, hit_map(story.reconstruction, story.poles), story.poles, names)
    _draw_directions(right, story)
    _legend(figure, story)
    return figure


def _legend(figure: Figure, story: PoleStory) -> None:
    """Explain only what can be seen."""
    found = [pole.status == "found" for pole in story.poles]
    entries = [_ring_entry("pole found", 1.3)] if any(found) else []
    if not all(found):
        entries.append(_ring_entry("candidate, not confirmed (dashed)", 0.7))
    if story.orientation is not None and story.crystal is not None:
        label = f"zone lines and low-index poles of {story.crystal.parent.label}"
        entries.append(Line2D([], [], color=GREY, label=label, lw=0.6, marker="D", ms=2.6))
    if entries:
        figure.legend(handles=entries, loc="outside lower center", ncols=3, handlelength=1.8)


def _ring_entry(label: str, width: float) -> Line2D:
    return Line2D([], [], color=VERMILLION, label=label, ls="none", marker="o", mew=width, mfc="none", ms=7)


def draw_hits(
    axes: Axes, hits: HitMap, poles: Sequence[Pole] = (), names: Sequence[str] = (), *, letter: str = "a"
) -> None:
    """Map densities, dark where many ions hit, with a ring round every pole.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where to.
    hits : HitMap
        Made for the same poles.
    poles : sequence of Pole
        What is ringed.
    names : sequence of str
        What is written beside the rings.
    letter : str
        Of the panel.
    """
    low, high = hits.limits
    image = axes.imshow(
        hits.density.T,
        cmap=mpl.colormaps["Blues"].with_extremes(bad="white"),
        extent=(-hits.half, hits.half, -hits.half, hits.half),
        interpolation="none",
        origin="lower",
        vmax=high,
        vmin=low,
    )
    for pole, name, at in zip(poles, names, hits.poles, strict=True):
        if at is not None:
            _mark(axes, at, pole, name)
    axes.spines[:].set_visible(True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    where = f"({hits.unit})" if hits.unit else "(radii of the specimen)"
    axes.set_title(f"{letter}   Desorption map{'' if hits.unit else ', from lateral positions'}")
    axes.set_xlabel(f"{'Detector ' if hits.unit else ''}x {where}")
    axes.set_ylabel(f"{'Detector ' if hits.unit else ''}y {where}")
    bar = axes.figure.colorbar(image, ax=axes, fraction=0.04, pad=0.02, shrink=0.7)
    bar.set_label("Density of ions (median: 1)")
    bar.outline.set_linewidth(0.4)


def _mark(axes: Axes, at: tuple[float, float], pole: Pole, name: str) -> None:
    """Put a ring and a name where a pole lies; dashed where it is a candidate."""
    style = "solid" if pole.status == "found" else (0, (2, 1.2))
    for colour, width, line in (("white", 2.6, "solid"), (VERMILLION, 1.3, style)):
        axes.scatter(*at, s=110, facecolors="none", edgecolors=colour, linewidths=width, linestyles=[line], zorder=5)
    axes.annotate(
        name,
        at,
        xytext=(5, 5),
        textcoords="offset points",
        color=VERMILLION,
        fontsize=7.5,
        fontweight="bold",
        ha="left",
        path_effects=_HALO,
        va="bottom",
        zorder=6,
    )


def _draw_directions(axes: Axes, story: PoleStory) -> None:
    """Project the strongest wave of every column, with the crystal's poles and zones where they are known."""
    limit = at_angle(FIELD_DEG)
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.set_xlim(-1.03 * limit, 1.03 * limit)
    axes.set_ylim(-1.03 * limit, 1.03 * limit)
    for angle in RINGS_DEG:
        axes.add_patch(Circle((0, 0), at_angle(angle), ec="#d5d8dc", fill=False, lw=0.5, zorder=0))
        axes.text(
            0, -at_angle(angle), f"{angle}°", color=GREY, fontsize=6, ha="center", va="center", path_effects=_HALO
        )
    _draw_crystal(axes, story)
    waves = sorted(story.search.candidates, key=lambda candidate: candidate.strength)
    if waves:
        strength = np.array([candidate.strength for candidate in waves])
        place = stereographic([candidate.wave_per_nm for candidate in waves])
        points = axes.scatter(
            place[:, 0],
            place[:, 1],
            c=strength,
            cmap="Blues",
            edgecolors="#7d8794",
            linewidths=0.25,
            norm=LogNorm(NOISE / 2, max(float(strength.max()), 2 * NOISE)),
            s=7 + 14 * (strength > NOISE),
            zorder=2,
        )
        bar = axes.figure.colorbar(points, ax=axes, fraction=0.04, pad=0.02, shrink=0.7, format=ScalarFormatter())
        bar.ax.yaxis.set_major_locator(FixedLocator([3, 5, 10, 20, 50, 100, 200, 500]))
        bar.ax.yaxis.set_minor_locator(NullLocator())
        bar.set_label(f"Strength in a column (noise: up to {NOISE:g})")
        bar.outline.set_linewidth(0.4)
    for pole, name in zip(story.poles, story.names, strict=True):
        x, y = stereographic([pole.direction])[0]
        _mark(axes, (float(x), float(y)), pole, name)
    axes.set_title("b   Directions of the strongest wave in each column")


def _draw_crystal(axes: Axes, story: PoleStory) -> None:
    """Draw zone lines and low-index poles of the crystal as it lies."""
    orientation, crystal = story.orientation, story.crystal
    if orientation is None or crystal is None:
        return
    for line in zone_lines(crystal, orientation, FIELD_DEG):
        axes.plot(*line.T, color=GREY, lw=0.5, zorder=1)
    for low in low_index_poles(crystal, orientation, FIELD_DEG):
        at = stereographic([low.direction])[0]
        axes.plot(*at, marker="D", ms=2.6, color=GREY, mec="white", mew=0.4, zorder=3)
        if not _is_found(low, story.poles):
            axes.annotate(
                low.label,
                at,
                xytext=(3, 3),
                textcoords="offset points",
                color=GREY,
                fontsize=6,
                path_effects=_HALO,
            )


def _is_found(low: LowIndexPole, poles: Sequence[Pole]) -> bool:
    nearest = max((float(low.direction @ pole.direction) for pole in poles), default=0.0)
    return nearest > float(np.cos(np.deg2rad(BESIDE_DEG)))
