"""Second opinions for people: one figure, and tables for other programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from aptstream.io.replace import replacing
from aptstream.report.slices import outline, stroke
from aptstream.report.style import GREY, NOT_JUDGED, PAGE_MM, STYLE, blank, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

    from aptstream.peers.opinions import Opinion, SecondOpinions

# Okabe and Ito's colours; order is black, as it is what the others are held against.
_ORDER = "black"
_FIXED = "#d55e00"
_COLOURS = {"isocomposition, tuned": "#0072b2", "maximum separation": "#009e73", "DBSCAN": "#cc79a7"}
_SHARES = {
    "dice": "overlap\nwith order (Dice)",
    "order_seen": "ordered\nparticles seen",
    "volume_ordered": "own volume\nthat is ordered",
}
#: Rows of maps are at most this tall, in mm.
_TALLEST_MM = 75.0


@rc_context(STYLE)
def opinions_figure(opinions: SecondOpinions) -> Figure:
    """Draw what every method sees: the same slice, sizes, agreement with order, and profiles across surfaces.

    Parameters
    ----------
    opinions : SecondOpinions
        From `aptstream.peers.second_opinions`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    told = [opinion for opinion in opinions.others if opinion.found is not None]
    x, _, z = opinions.composition.at_percent.shape
    wide = (PAGE_MM - 15) / max(len(told), 1)
    tall = float(np.clip((wide - 8) * z / x, 30, _TALLEST_MM))
    figure = blank(PAGE_MM, tall + 30 + 62)
    upper, lower = np.ravel(np.array(figure.subfigures(2, 1, height_ratios=(tall + 30, 62))))
    colours = {opinion.method: _COLOURS.get(opinion.method, _FIXED) for opinion in told}
    _maps(upper, opinions, told, colours)
    sizes, shares, profile = lower.subplots(1, 3, width_ratios=(1, 1.1, 1))
    _sizes(sizes, [opinions.order, *told], colours)
    _shares(shares, opinions, colours)
    _profiles(profile, opinions, colours)
    return figure


def _maps(upper: SubFigure, opinions: SecondOpinions, told: Sequence[Opinion], colours: dict[str, str]) -> None:
    """Draw the content of the solute in one slice for every method, with its outlines and those of order."""
    composition, order = opinions.composition, opinions.order.found
    values, voxel = composition.at_percent, composition.voxel_nm
    low, size = np.array(composition.origin_nm), np.array(values.shape) * voxel
    cut = values.shape[1] // 2
    if order is not None and len(order):
        cut = int((order.centroid_nm[int(np.argmax(order.n_voxels)), 1] - low[1]) / voxel)
    at = f"{low[1] + (cut + 0.5) * voxel:.4g}".replace("-", "\N{MINUS SIGN}")
    extent = (low[0], low[0] + size[0], low[2], low[2] + size[2])
    panels = np.atleast_1d(upper.subplots(1, max(len(told), 1), sharex=True, sharey=True))
    greys = mpl.colormaps["Greys"].with_extremes(bad=NOT_JUDGED)
    top = float(np.nanquantile(values, 0.999)) * 1.4  # leaves the outlines visible
    for axes in panels:
        image = axes.imshow(
            values[:, cut].T, cmap=greys, extent=extent, interpolation="none", origin="lower", vmin=0, vmax=top
        )
        axes.spines[:].set_visible(True)
        axes.set_xlabel("x (nm)")
        if order is not None:
            axes.add_patch(stroke(outline(order.labels[:, cut]) * voxel + low[[0, 2]], _ORDER, 1.6))
    for axes, opinion in zip(panels, told, strict=False):
        axes.set_title(opinion.method.replace(", ", ",\n"), color=colours[opinion.method])
        if opinion.found is not None:
            ends = outline(opinion.found.labels[:, cut]) * voxel + low[[0, 2]]
            axes.add_patch(stroke(ends, colours[opinion.method], 0.8))
    panels[0].set_ylabel("z (nm)")
    upper.colorbar(image, ax=panels.tolist(), shrink=0.7, pad=0.01).set_label(f"{composition.words} (at.%)")
    lines = [Line2D([], [], color=_ORDER, linewidth=1.6, label="ordered particle")]
    lines.append(Line2D([], [], color=GREY, linewidth=0.8, label="particle of the method named above"))
    upper.legend(handles=lines, loc="outside lower left", ncols=2, title=f"a   slice at y = {at} nm", alignment="left")


def _sizes(axes: Axes, all_told: Sequence[Opinion], colours: dict[str, str]) -> None:
    """Draw the radii that every method finds, as steps over each other."""
    radii = {opinion.method: opinion.found.radius_nm for opinion in all_told if opinion.found is not None}
    largest = max([1.0, *(float(r.max()) for r in radii.values() if len(r))])
    edges = np.linspace(0, largest * 1.001, 17)
    for method, radius in radii.items():
        counts = np.histogram(radius, edges)[0]
        axes.stairs(counts, edges, color=colours.get(method, _ORDER), linewidth=1.4 if method == "order" else 0.9)
    axes.set_title("b   sizes, colours as in a and c")
    axes.set_xlabel("Equivalent radius (nm)")
    axes.set_ylabel("Number of particles")
    axes.set_xlim(0, edges[-1])
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))


def _shares(axes: Axes, opinions: SecondOpinions, colours: dict[str, str]) -> None:
    """Draw how far every method agrees with order."""
    rows = [row for row in opinions.rows if row.method in colours]
    height = 0.8 / max(len(rows), 1)
    for k, row in enumerate(rows):
        for group, name in enumerate(_SHARES):
            share = getattr(row, name)
            at = group + (k - (len(rows) - 1) / 2) * height
            axes.barh(at, 100 * (share or 0), height * 0.85, color=colours[row.method])
            axes.text(100 * (share or 0) + 1, at, "–" if share is None else f"{100 * share:.0f}", va="center", size=5.5)
    axes.set_yticks(range(len(_SHARES)), list(_SHARES.values()))
    axes.invert_yaxis()
    axes.set_xlim(0, 112)
    axes.set_xticks(range(0, 101, 25))
    axes.set_xlabel("Share (%)")
    axes.set_title("c   agreement with order")


def _profiles(axes: Axes, opinions: SecondOpinions, colours: dict[str, str]) -> None:
    """Draw the content of the solute against the distance from each surface, with binomial errors."""
    for name, profile in opinions.profiles.items():
        content, error = profile.proxigram.content(opinions.composition.elements)
        colour = colours.get(name, _ORDER)
        x = profile.proxigram.distance_nm
        axes.errorbar(x, content, error, color=colour, linewidth=0.8, marker="o", markersize=1.6, elinewidth=0.5)
    axes.axvline(0, color=GREY, linewidth=0.4, linestyle=":")
    axes.set_title("d   across the surfaces of")
    axes.set_xlabel("Depth inside the surface (nm)")
    axes.set_ylabel(f"{opinions.composition.words} (at.%)")
    names = [Line2D([], [], color=colours.get(name, _ORDER), label=name) for name in opinions.profiles]
    if names:
        axes.legend(handles=names, loc="upper left")
    else:
        axes.text(0.5, 0.5, "No surface", transform=axes.transAxes, ha="center", va="center", color=GREY)


def write_opinions(opinions: SecondOpinions, folder: Path) -> Path:
    """Write ``compare.csv``, ``compare.json``, ``verdicts.csv`` and ``figures/compare`` as PNG, PDF and SVG.

    Parameters
    ----------
    opinions : SecondOpinions
        From `aptstream.peers.second_opinions`.
    folder : Path
        Where to; it is made.

    Returns
    -------
    Path
        The table of methods.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_figure(opinions_figure(opinions), folder / "figures" / "compare")
    facts = json.dumps(opinions_as_json(opinions), indent=1, ensure_ascii=False) + "\n"
    _write(folder / "compare.json", facts.encode())
    _write(folder / "verdicts.csv", _csv(_verdict_rows(opinions)))
    _write(folder / "compare.csv", _csv(table_rows(opinions)))
    return folder / "compare.csv"


def table_rows(opinions: SecondOpinions) -> list[list[str]]:
    """Write the table of methods as text: a heading with units, a line a method, empty where nothing is defined.

    Parameters
    ----------
    opinions : SecondOpinions
        From `aptstream.peers.second_opinions`.

    Returns
    -------
    list of list of str
    """
    elements = sorted({element for row in opinions.rows for element in row.at_percent or {}})
    heading = ["method", "n_particles", "mean_radius_nm", "volume_fraction", "number_density_per_m3"]
    heading += [f"{element}_at_pct" for element in elements]
    heading += ["dice_with_order", "share_of_order_seen", "share_of_volume_ordered", "n_without_order", "rule", "note"]
    lines = [heading]
    for row in opinions.rows:
        content = row.at_percent or {}
        numbers = [row.n_particles, row.mean_radius_nm, row.volume_fraction, row.number_density_per_m3]
        numbers += [content.get(element) for element in elements]
        numbers += [row.dice, row.order_seen, row.volume_ordered, row.n_without_order]
        lines.append([row.method, *map(_text, numbers), row.rule, row.note])
    return lines


def opinions_as_json(opinions: SecondOpinions) -> dict[str, Any]:
    """Return all numbers for machines: plain names with units, what is not defined is null.

    Parameters
    ----------
    opinions : SecondOpinions
        From `aptstream.peers.second_opinions`.

    Returns
    -------
    dict of str to object
    """
    profiles = {}
    for name, profile in opinions.profiles.items():
        found = profile.proxigram
        profiles[name] = {
            "distance_nm": found.distance_nm.round(6).tolist(),
            "n_ions": found.n_ions.tolist(),
            "at_percent": {element: content.tolist() for element, content in found.at_percent.items()},
            "error_at_percent": {element: error.tolist() for element, error in found.error.items()},
            "step": None if profile.step is None else vars(profile.step),
        }
    return {
        "answer": opinions.sentence,
        "solute_elements": list(opinions.composition.elements),
        "n_judged_voxels": int(opinions.judged.sum()),
        "methods": [vars(row) for row in opinions.rows],
        "order_verdicts": list(opinions.order_verdicts),
        "profiles": profiles,
        "arrangement": opinions.arrangement.as_json(),
    }


def _verdict_rows(opinions: SecondOpinions) -> list[list[str]]:
    """Write what the disagreement means for each particle of each method."""
    lines = [["method", "id", "x_nm", "y_nm", "z_nm", "radius_nm", "verdict"]]
    for opinion in (opinions.order, *opinions.others):
        if opinion.found is not None:
            verdicts = opinions.order_verdicts if opinion is opinions.order else opinions.verdicts(opinion)
            centres: npt.NDArray[np.float64] = np.reshape(opinion.found.centroid_nm, (-1, 3))
            numbers = zip(centres.tolist(), opinion.found.radius_nm.tolist(), verdicts, strict=True)
            for number, (centre, radius, verdict) in enumerate(numbers, start=1):
                places = [f"{length:.3f}" for length in (*centre, radius)]
                lines.append([opinion.method, str(number), *places, verdict])
    return lines


def _text(value: float | None) -> str:
    return "" if value is None or not np.isfinite(value) else f"{value:.6g}"


def _csv(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as stream:
        stream.write(content)
