"""Both phases in spatial distribution maps: species by species along z, and in z and x."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib import rc_context

from aptstream.phases.amplitudes import Ruler, flattened
from aptstream.phases.sites import Sites
from aptstream.phases.species import ZX_WINDOW, Phase, Phases, PhaseSdm, z_offsets
from aptstream.report.phase_tables import concise, sigmas
from aptstream.report.style import BLUE, GREY, PAGE_MM, STYLE, VERMILLION, blank, grouped, save_figure
from aptstream.sdm.window import full_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Pairs that are drawn at most; all are in the table.
MOST_DRAWN = 8
#: Largest offset along z that is drawn in nm, height of a row in mm, and colours of the phases.
SHOWN_NM, ROW_MM, COLOURS = 1.3, 17.0, {"particles": VERMILLION, "matrix": BLUE}
#: Largest offsets in z and x that are drawn of the maps in nm: the publication's.
MAP_NM = 0.7
_TICKS = tuple(digit * 10**power for power in range(1, 8) for digit in (1, 2, 5))


def phase_figures(phases: Phases, sites: Sites, folder: str | os.PathLike[str]) -> list[Path]:
    """Draw ``phase_zsdm``, ``phase_zxsdm`` and ``sites``, each as PNG, PDF and SVG.

    Parameters
    ----------
    phases : Phases
        Both phases.
    sites : Sites
        Sites and order of the particles.
    folder : path
        Where to; it is made.

    Returns
    -------
    list of Path
        The PNG files.
    """
    drawn = {"phase_zsdm": zsdm_figure(phases), "phase_zxsdm": zxsdm_figure(phases), "sites": sites_figure(sites)}
    for name, figure in drawn.items():
        save_figure(figure, Path(folder, name))
    return [Path(folder, f"{name}.png") for name in drawn]


def drawn_pairs(phases: Phases) -> list[str]:
    """Name the pairs that figures show: element by element where that was counted, at most eight."""
    sdms = phases.particles.sdms
    single = [sdm.name for sdm in sdms if len(sdm.first) == len(sdm.second) == 1]
    return (single or [sdm.name for sdm in sdms])[:MOST_DRAWN]


@rc_context(STYLE)
def zsdm_figure(phases: Phases) -> Figure:
    """Draw the z-SDMs of both phases side by side, a row a pair of species, over their smooth envelope.

    Parameters
    ----------
    phases : Phases
        Both phases.

    Returns
    -------
    matplotlib.figure.Figure
    """
    names = drawn_pairs(phases)
    figure = blank(PAGE_MM, 16 + ROW_MM * len(names))
    panels = figure.subplots(len(names), 2, sharex=True, squeeze=False)
    for column, phase in enumerate(phases.both):
        for axes, name in zip(panels[:, column], names, strict=True):
            _draw_zsdm(axes, phase, phase.sdm(name), phases)
        panels[0, column].set_title(f"{'ab'[column]}   {_about(phase)}", pad=14)
        panels[-1, column].set_xlabel("Offset along z (nm)")
    figure.supylabel("Pairs of ions over their envelope (mean: 1)", fontsize=7)
    return figure


def _draw_zsdm(axes: Axes, phase: Phase, sdm: PhaseSdm, phases: Phases) -> None:
    """Draw one z-SDM with its mirror image, the planes, and what was measured."""
    spacing, n = _spacing_nm(phase, phases), phases.frame.crystal.doubling
    offset = z_offsets()
    height = flattened(sdm.counts, Ruler(offset, spacing, n, spacing / 2))
    fair = offset >= spacing / 2  # below, an ion would have to make a pair with itself
    last = int(SHOWN_NM / spacing)
    for k in range(-last, last + 1):
        axes.axvline(k * spacing, color=GREY, lw=0.5, ls="-" if k % n == 0 else (0, (1, 2)), zorder=0)
    for sign in (-1, 1):
        axes.plot(sign * offset, height, color=COLOURS[phase.name], lw=0.5, alpha=0.5)
        axes.plot(sign * offset[fair], height[fair], color=COLOURS[phase.name], lw=1.0)
    shown = height[fair & (offset < SHOWN_NM)]
    margin = 0.15 * float(np.ptp(shown)) + 0.01
    axes.set_xlim(-SHOWN_NM, SHOWN_NM)
    axes.set_ylim(float(shown.min()) - margin, float(shown.max()) + margin)
    axes.text(0, 1.03, f"{sdm.name}   {_measured(sdm)}", fontsize=6, transform=axes.transAxes)


def _spacing_nm(phase: Phase, phases: Phases) -> float:
    """Distance of the planes: the fitted one, else that of the whole specimen."""
    if phase.spacing_nm is not None:
        return phase.spacing_nm.value
    return phases.frame.planes.period_nm / phases.frame.crystal.doubling


def _about(phase: Phase) -> str:
    """Name a phase, and say how far apart its planes are."""
    planes = "planes not seen" if phase.spacing_nm is None else f"planes {concise(phase.spacing_nm)} nm apart"
    return f"{phase.name.capitalize()}: {grouped(sum(phase.n_ions.values()))} ions, {planes}"


def _measured(sdm: PhaseSdm) -> str:
    """Say what was measured of a pair."""
    waves = sdm.waves
    if waves.doubled is None:
        return "too few pairs"
    planes = "" if waves.spacing_nm is None else f"d = {concise(waves.spacing_nm)} nm; "
    return f"{planes}doubled period {concise(waves.doubled)}, {sigmas(waves.doubled)} σ"


@rc_context(STYLE)
def zxsdm_figure(phases: Phases) -> Figure:
    """Draw the zx-SDMs of both phases, a row a phase, a column a pair of species.

    Parameters
    ----------
    phases : Phases
        Both phases.

    Returns
    -------
    matplotlib.figure.Figure
    """
    names = drawn_pairs(phases)
    figure = blank(PAGE_MM, 30 + 2 * 150 / max(len(names), 4))
    panels = figure.subplots(2, len(names), sharex=True, sharey=True, squeeze=False)
    reach = ZX_WINDOW.half_z_nm
    for row, phase in zip(panels, phases.both, strict=True):
        for axes, name in zip(row, names, strict=True):
            image = full_image(phase.sdm(name).zx.astype(np.uint32))
            axes.imshow(
                _scaled(image),
                cmap=mpl.colormaps["Blues"],
                extent=(-reach, reach, -reach, reach),
                interpolation="none",
                origin="lower",
                vmin=0,
                vmax=1,
            )
            axes.set_xlim(-MAP_NM, MAP_NM)
            axes.set_ylim(-MAP_NM, MAP_NM)
            axes.spines[:].set_visible(True)
            axes.set_title(name)
        row[0].set_ylabel(f"{phase.name.capitalize()}\noffset along z (nm)")
    for axes in panels[-1]:
        axes.set_xlabel("along x (nm)")
    figure.supxlabel("Pairs of ions; each map from its 1st (white) to its 99th percentile (blue)", fontsize=6.5)
    return figure


def _scaled(image: npt.NDArray[np.uint32]) -> npt.NDArray[np.float64]:
    """Scale what is drawn of a map from its 1st to its 99th percentile."""
    rows, columns = (
        round(n * (1 - MAP_NM / half) / 2)
        for n, half in zip(image.shape, (ZX_WINDOW.half_z_nm, ZX_WINDOW.half_lateral_nm), strict=True)
    )
    shown = image[rows : len(image) - rows, columns : image.shape[1] - columns]
    low, high = np.percentile(shown, (1, 99))
    return np.asarray(np.clip((image - low) / max(high - low, 1.0), 0, 1))


@rc_context(STYLE)
def sites_figure(sites: Sites) -> Figure:
    """Draw the share of each species on the planes of the solute, and the order of the particles.

    Parameters
    ----------
    sites : Sites
        Sites and order of the particles.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = blank(PAGE_MM, 62)
    left, right = figure.subplots(1, 2)
    _draw_shares(left, sites)
    _draw_order(right, sites)
    return figure


def _draw_shares(axes: Axes, sites: Sites) -> None:
    shares = [(one.species, one.on_solute_planes) for one in sites.shares if one.on_solute_planes is not None]
    axes.set_title("a   Which species sits with which plane")
    axes.set_ylabel("Share of its ions on planes of the solute")
    axes.set_ylim(0, 1.05)
    axes.axhline(0.5, color=GREY, lw=0.6, ls=":")
    if not shares:
        axes.text(0.5, 0.8, "The signal does not allow to tell.", ha="center", transform=axes.transAxes)
        axes.set_xticks([])
        return
    for place, (_, share) in enumerate(shares):
        axes.errorbar(place, share.value, yerr=2 * share.sigma, fmt="o", color=BLUE, ms=4, capsize=3, lw=1)
        axes.annotate(f"{share.value:.3f}", (place, share.value), (7, 0), textcoords="offset points", va="center")
    axes.set_xticks(range(len(shares)), [species for species, _ in shares])
    axes.set_xlim(-0.6, len(shares) - 0.2)
    axes.set_xlabel("Species (bars: two standard errors; dotted: no preference)")


def _draw_order(axes: Axes, sites: Sites) -> None:
    axes.set_title("b   Long-range order of the particles")
    axes.set_xlabel("Ions judged in the particle")
    axes.set_ylabel("Order parameter S")
    seen = [(one.n_ions, one.order, one.in_core) for one in sites.particles if one.order is not None]
    if not seen:
        axes.text(0.5, 0.8, "The signal does not allow to tell.", ha="center", transform=axes.transAxes)
        axes.set_xticks([])
        axes.set_yticks([])
        return
    axes.set_xscale("log")
    for core, colour, label in ((True, BLUE, "by its core"), (False, VERMILLION, "rim included: reads low")):
        some = [(n, order) for n, order, in_core in seen if in_core is core]
        if some:
            n_ions, value = [n for n, _ in some], [order.value for _, order in some]
            error = [order.sigma for _, order in some]
            marker = "o" if core else "^"
            axes.errorbar(n_ions, value, yerr=error, fmt=marker, color=colour, ms=3, lw=0.7, label=label)
    if sites.order is not None:
        axes.axhline(sites.order.value, color=GREY, lw=0.8)
        text = f"S = {concise(sites.order)}"
        axes.annotate(text, (1, sites.order.value), (-2, 3), ("axes fraction", "data"), "offset points", ha="right")
    ends = min(n for n, _, _ in seen), max(n for n, _, _ in seen)
    ticks = [n for n in _TICKS if ends[0] / 2.5 < n < ends[1] * 2.5]
    axes.set_xticks(ticks, [grouped(n) for n in ticks])
    axes.set_xticks([], minor=True)
    axes.set_ylim(0, max(1.05, *(order.value + order.sigma for _, order, _ in seen)))
    axes.legend(loc="lower right")
