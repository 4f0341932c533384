"""Histograms of judgements with the maps of cubes that stand for their zones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context

from aptstream.errors import PlanError
from aptstream.report.figures import log_histogram
from aptstream.report.sdm_pictures import cube_maps, draw_zx
from aptstream.report.style import GREY, PAGE_MM, STYLE, VERMILLION, blank, grouped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from aptstream.cloud.lattice import Cell
    from aptstream.cloud.store import PointStore
    from aptstream.grid.vote import VoxelGrid
    from aptstream.points import Roles

Grid = npt.NDArray[np.floating[Any]]

#: Zones of which an example is shown, as shares of the largest possible value.
VOTE_ZONES = ((0.0, 1 / 8), (7 / 16, 9 / 16), (7 / 8, 1.0))
CUBE_ZONES = ((0.0, 0.1), (0.25, 0.35), (0.6, 0.7), (0.9, 1.0))


@rc_context(STYLE)
def vote_zones(store: PointStore, roles: Roles, votes: VoxelGrid) -> Figure:
    """Draw the histogram of votes, with maps of cubes round voxels near 0, in the middle, and near the most.

    Parameters
    ----------
    store : PointStore
        The ions that were scanned.
    roles : Roles
        Host and solute species.
    votes : VoxelGrid
        The sums of the cubes' probabilities.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    PlanError
        If no voxel is covered by all its cubes.
    StoreError
        If the store is damaged.

    References
    ----------
    .. [1] Li et al., npj Comput. Mater. 7, 8 (2021), Fig. 5.
    """
    edge = votes.cube_voxels
    most = edge**3
    total = np.where(votes.count == most, votes.total, np.nan)
    places = _places(total, [most * (low + high) / 2 for low, high in _outward(VOTE_ZONES)])
    corners = []
    for place in places:
        low = np.clip(np.array(place) - edge // 2, 0, np.array(total.shape) - edge).tolist()
        corners.append((low[0], low[1], low[2]))
    figure, axes, panels = _layout(len(VOTE_ZONES))
    log_histogram(axes, total[np.isfinite(total)], np.linspace(0, most, 65))
    n = grouped(int(np.isfinite(total).sum()))
    axes.set_title(f"a   {n} voxels covered by all {most} cubes")
    axes.set_xlabel("Sum of cube probabilities")
    axes.set_ylabel("Number of voxels")
    _shade(axes, VOTE_ZONES, most)
    for number, (panel, place, corner) in enumerate(zip(panels, places, corners, strict=True), 1):
        draw_zx(panel, cube_maps(store, roles, corner, edge), _title(number, VOTE_ZONES, float(total[place]), most))
    return figure


@rc_context(STYLE)
def cube_zones(store: PointStore, roles: Roles, p: Grid, *, edge_nm: int) -> Figure:
    """Draw the histogram of the cubes' probabilities, with maps of cubes at four of them.

    Parameters
    ----------
    store : PointStore
        The ions that were scanned.
    roles : Roles
        Host and solute species.
    p : ndarray of float, (nx, ny, nz)
        Probability of order of the cube with this low corner; NaN where there is none.
    edge_nm : int
        Cube edge in nm.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    PlanError
        If no cube was judged.
    StoreError
        If the store is damaged.

    References
    ----------
    .. [1] Li et al., npj Comput. Mater. 7, 8 (2021), Fig. S3.
    """
    places = _places(p, [(low + high) / 2 for low, high in _outward(CUBE_ZONES)])
    figure, axes, panels = _layout(len(CUBE_ZONES))
    log_histogram(axes, p[np.isfinite(p)], np.linspace(0, 1, 51))
    axes.set_title(f"a   {grouped(int(np.isfinite(p).sum()))} cubes of {edge_nm} nm edge")
    axes.set_xlabel("Probability of order")
    axes.set_ylabel("Number of cubes")
    _shade(axes, CUBE_ZONES, 1)
    for number, (panel, place) in enumerate(zip(panels, places, strict=True), 1):
        draw_zx(panel, cube_maps(store, roles, place, edge_nm), _title(number, CUBE_ZONES, float(p[place]), 1))
    return figure


def _outward(zones: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
    """Zones at the ends stand for their outer ends."""
    outer = [(low, low) if low == 0 else (low, high) for low, high in zones]
    return [(high, high) if high == 1 else (low, high) for low, high in outer]


def _places(values: Grid, wanted: list[float]) -> list[Cell]:
    """Where a value lies nearest to each that is wanted; the first of several."""
    if not np.isfinite(values).any():
        raise PlanError("Nothing was judged: there is no example to show. Check the roles and the planes of the scan.")
    found = []
    for value in wanted:
        x, y, z = np.unravel_index(int(np.nanargmin(np.abs(values - value))), values.shape)
        found.append((int(x), int(y), int(z)))
    return found


def _title(number: int, zones: tuple[tuple[float, float], ...], value: float, most: int) -> str:
    """Name the zone of an example, or say that there is nothing in it."""
    low, high = zones[number - 1]
    where = f"Zone {number}: " if low <= value / most <= high else f"Zone {number} is empty; nearest: "
    return f"{'abcdef'[number]}   {where}{value:.{2 if most > 1 else 3}f}"


def _layout(n: int) -> tuple[Figure, Axes, list[Axes]]:
    """Make room for a histogram over a row of maps."""
    figure = blank(PAGE_MM, 62 + 150 / n)
    upper, lower = np.asarray(figure.subfigures(2, 1, height_ratios=(50, 12 + 150 / n))).ravel()
    return figure, upper.subplots(), list(lower.subplots(1, n))


def _shade(axes: Axes, zones: tuple[tuple[float, float], ...], most: float) -> None:
    for number, (low, high) in enumerate(zones, 1):
        axes.axvspan(low * most, high * most, color="#f3dfd0", lw=0, zorder=0)
        axes.text(
            *((low + high) / 2 * most, 0.97),
            str(number),
            color=VERMILLION,
            fontweight="bold",
            ha="center",
            transform=axes.get_xaxis_transform(),
            va="top",
        )
    axes.spines["bottom"].set_color(GREY)
