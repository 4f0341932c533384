"""Three orthogonal slices through a map of the specimen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path

from aptstream.report.style import COLUMN_MM, GREY, MM_PER_INCH, NOT_JUDGED, PAGE_MM, STYLE, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

    from aptstream.regions import Triple

Grid = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.integer[Any]]

# Room around and between the panels in mm: labels left and below, titles and legend above, colour bar right.
LEFT_MM, BETWEEN_MM, RIGHT_MM, BELOW_MM, ABOVE_MM = 11.0, 13.0, 15.0, 9.0, 11.0
BAR_MM = 2.5
#: The tallest panel; a needle-shaped specimen is drawn to a smaller scale instead of filling the page.
TALLEST_MM = 110.0


@rc_context(STYLE)
def grid_slices(
    values: Grid,
    labels: Labels,
    *,
    origin_nm: Triple,
    voxel_nm: float,
    title_unit: str,
) -> Figure:
    """Draw three orthogonal slices through a map, with the outlines of the particles found.

    The slices pass through the middle of the largest particle, or of the volume where there is none.

    Parameters
    ----------
    values : ndarray of float, (nx, ny, nz)
        The map, 0 … 1; NaN where nothing could be judged.
    labels : ndarray of int, (nx, ny, nz)
        Particle number of each voxel; 0 = matrix.
    origin_nm : tuple of float
        Low corner of voxel [0, 0, 0] in nm.
    voxel_nm : float
        Voxel edge in nm.
    title_unit : str
        What the map shows, such as ``"Probability of order"``.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If the two grids differ in shape, or hold no voxel.

    Examples
    --------
    >>> figure = grid_slices(
    ...     np.zeros((3, 4, 5)), np.zeros((3, 4, 5), int), origin_nm=(0, 0, 0), voxel_nm=1, title_unit="Order"
    ... )
    >>> [axes.get_title(loc="left") for axes in figure.axes[:3]]
    ['y = 2.5 nm', 'x = 1.5 nm', 'z = 2.5 nm']
    """
    if values.ndim != 3 or values.shape != labels.shape or not values.size:
        raise ValueError(
            f"Slices need a map and labels of one shape (nx, ny, nz), found {values.shape} and {labels.shape}."
        )
    size = np.array(values.shape) * voxel_nm
    low = np.array(origin_nm, dtype=np.float64)
    cut = _cut_voxel(labels)
    figure, panels, bar = _slice_layout(size)
    for axes, (normal, across, up) in zip(panels, ((1, 0, 2), (0, 1, 2), (2, 0, 1)), strict=True):
        # The remaining axes stay in order: the transpose puts the vertical one first, as imshow wants.
        extent = (low[across], low[across] + size[across], low[up], low[up] + size[up])
        image = axes.imshow(
            values.take(cut[normal], axis=normal).T,
            cmap=_white_to_blue(),
            extent=extent,
            interpolation="none",
            origin="lower",
            vmax=1,
            vmin=0,
        )
        ends = outline(labels.take(cut[normal], axis=normal)) * voxel_nm + low[[across, up]]
        axes.add_patch(stroke(ends))
        at = low + (cut + 0.5) * voxel_nm
        _show_other_planes(axes, at[across], at[up])
        axes.spines[:].set_visible(True)
        axes.set_title(f"{'xyz'[normal]} = {at[normal]:.4g} nm".replace("-", "\N{MINUS SIGN}"))
        axes.set_xlabel(f"{'xyz'[across]} (nm)")
        axes.set_ylabel(f"{'xyz'[up]} (nm)")
    figure.colorbar(image, cax=bar).set_label(title_unit)
    _slice_legend(figure, labels, values)
    return figure


def _cut_voxel(labels: Labels) -> npt.NDArray[np.intp]:
    """Find the voxel that the slices pass through, (3,)."""
    n_voxels = np.bincount(labels.ravel())
    if len(n_voxels) < 2 or not n_voxels[1:].any():
        return np.array(labels.shape, dtype=np.intp) // 2
    inside = np.argwhere(labels == 1 + int(np.argmax(n_voxels[1:])))
    middle: npt.NDArray[np.intp] = np.rint(inside.mean(axis=0)).astype(np.intp)
    return middle


def _slice_layout(size_nm: npt.NDArray[np.float64]) -> tuple[Figure, list[Axes], Axes]:
    """Place the xz, yz and xy panels and the colour bar, all to one scale."""
    x, y, z = size_nm
    spare = PAGE_MM - LEFT_MM - 2 * BETWEEN_MM - RIGHT_MM
    scale = min(spare / (2 * x + y), TALLEST_MM / max(y, z))
    tall = max(y, z) * scale
    width = max(COLUMN_MM, PAGE_MM - spare + (2 * x + y) * scale)
    height = BELOW_MM + tall + ABOVE_MM
    figure = Figure(figsize=(width / MM_PER_INCH, height / MM_PER_INCH))

    def place(left: float, wide: float, high: float) -> Axes:
        return figure.add_axes((left / width, BELOW_MM / height, wide / width, high / height))

    panels, left = [], LEFT_MM
    for wide, high in ((x, z), (y, z), (x, y)):
        panels.append(place(left, wide * scale, high * scale))
        left += wide * scale + BETWEEN_MM
    return figure, panels, place(left - BETWEEN_MM + 3, BAR_MM, min(tall, 45.0))


def _white_to_blue() -> Colormap:
    return mpl.colormaps["Blues"].with_extremes(bad=NOT_JUDGED)


def outline(labels: Labels) -> npt.NDArray[np.float64]:
    """Find the voxel edges between two labels: end points in voxels, (2 · n, 2), two rows an edge."""
    padded = np.pad(labels, 1)
    across = np.argwhere(padded[1:] != padded[:-1]).astype(np.float64)
    upward = np.argwhere(padded[:, 1:] != padded[:, :-1]).astype(np.float64)
    vertical = np.stack([across - (0, 1), across], axis=1)
    horizontal = np.stack([upward - (1, 0), upward], axis=1)
    return np.concatenate([vertical, horizontal]).reshape(-1, 2)


def stroke(ends: npt.NDArray[np.float64], colour: str = VERMILLION, width: float = 0.8) -> PathPatch:
    """Make one drawing of all edges, which keeps vector files small."""
    codes = np.resize(np.array([Path.MOVETO, Path.LINETO], dtype=Path.code_type), len(ends))
    path = Path(ends, codes if len(ends) else None)
    return PathPatch(path, capstyle="projecting", edgecolor=colour, fill=False, linewidth=width)


def _show_other_planes(axes: Axes, across_nm: float, up_nm: float) -> None:
    axes.axvline(across_nm, color=GREY, linewidth=0.4, linestyle=":")
    axes.axhline(up_nm, color=GREY, linewidth=0.4, linestyle=":")


def _slice_legend(figure: Figure, labels: Labels, values: Grid) -> None:
    """Explain only what can be seen."""
    entries = [Patch(facecolor="none", edgecolor=VERMILLION, label="particle")] if labels.any() else []
    if np.isnan(values).any():
        entries.append(Patch(facecolor=NOT_JUDGED, label="not judged"))
    lines = Line2D([], [], color=GREY, linewidth=0.6, linestyle=":", label="other slices")
    figure.legend(handles=[*entries, lines], loc="upper right", ncols=3, handlelength=1.4, borderaxespad=0.2)
