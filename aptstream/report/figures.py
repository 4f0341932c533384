"""Figures that go into a paper as they are: vector, labelled with units, safe for the colour-blind.

Every function returns a figure of its own and leaves matplotlib as it found it: no pyplot, no window, no
global style. Widths are those of a journal's column (89 mm) or page (183 mm).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.ticker import LogLocator, MaxNLocator

from aptstream.report.slices import grid_slices
from aptstream.report.style import (
    BLUE,
    COLUMN_MM,
    GREY,
    PAGE_MM,
    STYLE,
    VERMILLION,
    blank,
    figure_bytes,
    grouped,
    label_decades,
    save_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from aptstream.grid.statistics import Statistics
    from aptstream.grid.vote import VoxelGrid

__all__ = [
    "cube_probability_histogram",
    "figure_bytes",
    "grid_slices",
    "save_figure",
    "size_distribution",
    "vote_histogram",
]

FloatColumn = npt.NDArray[np.floating[Any]]

#: The publication calls a voxel ordered from a sum of 62 of its 64 cubes on.
PUBLISHED_CUT = 62 / 64


@rc_context(STYLE)
def cube_probability_histogram(p: FloatColumn, n_invalid: int, *, edge_nm: float) -> Figure:
    """Draw how sure the network was of the cubes.

    Parameters
    ----------
    p : ndarray of float, any shape
        Probability of order, 0 … 1; NaN is left out.
    n_invalid : int
        Cubes that held too few ions to be judged.
    edge_nm : float
        Cube edge in nm.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> figure = cube_probability_histogram(np.array([0.1, 0.9, np.nan]), 7, edge_nm=4)
    >>> figure.axes[0].get_title(loc="left")
    '2 cubes of 4 nm edge; 7 more had too few ions'
    """
    valid = p[np.isfinite(p)]
    axes = blank(COLUMN_MM, 58).add_subplot()
    log_histogram(axes, valid, np.linspace(0, 1, 51))
    axes.set_title(f"{grouped(valid.size)} cubes of {edge_nm:g} nm edge; {grouped(n_invalid)} more had too few ions")
    axes.set_xlabel("Probability of order")
    axes.set_ylabel("Number of cubes")
    if not valid.size:
        _state(axes, "No cube held enough ions")
    return _parent(axes)


@rc_context(STYLE)
def vote_histogram(grid: VoxelGrid) -> Figure:
    """Draw the publication's histogram: sums of cube probabilities over voxels.

    Left, voxels that all cubes cover, with the publication's cut at 62 of 64. Right, voxels near an edge,
    which fewer cubes cover and which therefore cannot reach the cut: they are judged by their mean.

    Parameters
    ----------
    grid : VoxelGrid
        The votes.

    Returns
    -------
    matplotlib.figure.Figure

    References
    ----------
    .. [1] Li et al., npj Comput. Mater. 7, 8 (2021), Fig. 5.

    Examples
    --------
    >>> from aptstream.grid.vote import VoxelGrid
    >>> one = np.ones((2, 2, 2))
    >>> figure = vote_histogram(VoxelGrid(64 * one.astype("f4"), 64 * one.astype("u2"), 4, (0, 0, 0)))
    >>> figure.axes[0].get_title(loc="left")
    'a   8 voxels covered by all 64 cubes'
    """
    most = grid.cube_voxels**3
    full = grid.total[grid.count == most]
    edge = grid.mean[(grid.count > 0) & (grid.count < most)]
    figure = blank(PAGE_MM, 60)
    left, right = figure.subplots(1, 2, width_ratios=(1.7, 1))
    log_histogram(left, full, np.linspace(0, most, 65))
    left.set_title(f"a   {grouped(full.size)} voxels covered by all {most} cubes")
    left.set_xlabel("Sum of cube probabilities")
    left.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 4, 8, 10]))
    _mark_cut(left, PUBLISHED_CUT * most, int((full >= PUBLISHED_CUT * most).sum()))
    log_histogram(right, edge, np.linspace(0, 1, 33))
    right.set_title(f"b   {grouped(edge.size)} edge voxels, fewer cubes")
    right.set_xlabel("Mean of cube probabilities")
    _mark_cut(right, PUBLISHED_CUT, int((edge >= PUBLISHED_CUT).sum()))
    for axes, values in ((left, full), (right, edge)):
        axes.set_ylabel("Number of voxels")
        if not values.size:
            _state(axes, "No such voxel")
    return figure


@rc_context(STYLE)
def size_distribution(told: Statistics, truth_radius_nm: FloatColumn | None = None) -> Figure:
    """Draw the size distribution of the particles, and that of the truth where it is known.

    Parameters
    ----------
    told : Statistics
        Number densities of size classes, with intervals.
    truth_radius_nm : ndarray of float, (m,), optional
        Radii of the particles that are really there; they are drawn to the scale of the mean number density.

    Returns
    -------
    matplotlib.figure.Figure

    References
    ----------
    .. [1] Li et al., npj Comput. Mater. 7, 8 (2021), Fig. S4.
    """
    axes = blank(COLUMN_MM, 58).add_subplot()
    borders, scale = told.class_nm, 1e24
    if told.n_whole:
        density = told.class_number_per_m3 / scale
        axes.stairs(density, borders, fill=True, color=BLUE, label=_moments(told))
        middle, some = (borders[1:] + borders[:-1]) / 2, density > 0
        ends = told.class_low_per_m3[some] / scale, told.class_high_per_m3[some] / scale
        axes.vlines(middle[some], *ends, color="black", linewidth=0.7)
    else:
        _state(axes, "No whole ordered particle was found")
    if truth_radius_nm is not None and len(truth_radius_nm):
        share = np.histogram(truth_radius_nm, borders)[0] / len(truth_radius_nm)
        number = told.number_per_m3.value / scale
        spread = f", s.d. {truth_radius_nm.std(ddof=1):.2f} nm" if len(truth_radius_nm) > 1 else " nm"
        label = f"True: mean {truth_radius_nm.mean():.2f}{spread}"
        axes.stairs(share * number, borders, color=VERMILLION, label=label, linewidth=1.2)
    axes.set_xlim(0, borders[-1])
    axes.set_xlabel("Radius of the sphere of equal volume (nm)")
    axes.set_ylabel("Particles in a class of 0.25 nm (10²⁴ m⁻³)")
    axes.yaxis.set_major_locator(MaxNLocator(5))
    if axes.get_legend_handles_labels()[0]:
        axes.set_ylim(bottom=0)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, ncols=1)
    else:
        axes.set_ylim(0, 1)
    return _parent(axes)


def _parent(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    if figure is None:  # only axes taken off their figure have none
        raise RuntimeError("The axes belong to no figure.")
    return figure


def _state(axes: Axes, sentence: str) -> None:
    """Say in the middle of empty axes why they are empty."""
    axes.text(0.5, 0.5, sentence, transform=axes.transAxes, ha="center", va="center", color=GREY, fontsize=8)


def _moments(told: Statistics) -> str:
    """Say how many whole particles there are, and how large."""
    mean, sd = told.mean_radius_nm.value, told.sd_radius_nm.value
    spread = f", s.d. {sd:.2f} nm" if np.isfinite(sd) else " nm"
    return f"Found: {grouped(told.n_whole)} whole, mean {mean:.2f}{spread}"


def log_histogram(axes: Axes, values: FloatColumn, edges: npt.NDArray[np.float64]) -> None:
    """Draw counts on a logarithmic axis that begins below one, so that single counts stay visible.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where to.
    values : ndarray of float, (n,)
        What is counted.
    edges : ndarray of float64, (n_bins + 1,)
        Borders of the bins.
    """
    counts, _ = np.histogram(values, edges)
    axes.stairs(counts, edges, baseline=0.5, fill=True, color=BLUE)
    axes.set_yscale("log")
    axes.set_ylim(0.5, max(10, int(counts.max())) * 2)
    axes.yaxis.set_major_locator(LogLocator(10, numticks=6))
    label_decades(axes.yaxis)
    axes.set_xlim(edges[0], edges[-1])


def _mark_cut(axes: Axes, at: float, n_above: int) -> None:
    axes.axvline(at, color=VERMILLION, linestyle=(0, (4, 2)), linewidth=0.9)
    axes.annotate(
        f"published cut {at:.4g}\n{grouped(n_above)} voxels above",
        (at, 0.97),
        xycoords=axes.get_xaxis_transform(),
        xytext=(-4, 0),
        textcoords="offset points",
        color=VERMILLION,
        fontsize=6.5,
        ha="right",
        va="top",
    )
