"""The planes of a pole, before and after: along depth, from the side, and by the distances of ions along z."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from aptstream.cloud.store import PointStore
from aptstream.points import PointCloud
from aptstream.pole import Alignment, DepthPower
from aptstream.regions import Sphere
from aptstream.report.style import BLUE, GREY, PAGE_MM, STYLE, VERMILLION, blank
from aptstream.sdm.count import zsdm
from aptstream.sdm.window import Channels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

#: Half the width and half the height of the side view, and half the thickness of its slab, in nm.
HALF_WIDE_NM, HALF_HIGH_NM, HALF_THICK_NM = 6.0, 1.5, 2.0
#: Its bins, and the standard deviations of the window that they are smoothed with, across and along the normal.
BINS_NM, SMOOTH_NM = (0.2, 0.02), (1.0, 0.02)
#: Column of ions on the axis whose distances are counted: edge and height in nm.
COLUMN_NM, COLUMN_HIGH_NM = 4.0, 16.0
#: Largest distance along z that is counted, width of its bins, and largest distance across, in nm.
FARTHEST_NM, STEP_NM, LATERAL_NM = 1.0, 0.0125, 0.5
#: Ions within this distance of a point on the axis are all that the pictures need; and most whose pairs are counted.
RADIUS_NM, MOST_IONS = 9.0, 60_000


@dataclass(frozen=True)
class NearAxis:
    """Ions round a point on the axis of a pole, where a reconstruction puts them and where an alignment does.

    Parameters
    ----------
    cloud : PointCloud
        In the reconstruction.
    turned, aligned : ndarray of float64, (n, 3)
        From that point in nm, z along the normal of the planes: turned only, and as aligned.
    z_nm : float
        Where the point lies.
    """

    cloud: PointCloud
    turned: Floats
    aligned: Floats
    z_nm: float

    @classmethod
    def of(cls, store: PointStore, alignment: Alignment, z_nm: float) -> NearAxis:
        """Read the ions within 9 nm of the point on the axis at a height."""
        pole = alignment.pole
        point = np.array(pole.on_axis_nm(z_nm))
        cloud = store.query(Sphere((point[0], point[1], point[2]), RADIUS_NM), columns=())
        position = cloud.position.astype(np.float64)
        aligned = alignment.forward(position) - alignment.forward([point])
        turned = np.column_stack([aligned[:, :2], (position - point) @ pole.direction])
        return cls(cloud, turned, aligned, z_nm)


@rc_context(STYLE)
def plane_views(store: PointStore, alignment: Alignment, power: DepthPower, *, scaled: bool) -> Figure:
    """Draw the planes of a pole in the reconstruction, and after they were turned and flattened.

    Parameters
    ----------
    store : PointStore
        The reconstruction.
    alignment : Alignment
        What flattens the planes.
    power : DepthPower
        Of the same.
    scaled : bool
        Whether the spacing that they were aligned to is a crystal's.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    StoreError
        If the store is damaged.
    """
    figure = blank(PAGE_MM, 100)
    upper, lower = np.asarray(figure.subfigures(2, 1)).ravel()
    ions = NearAxis.of(store, alignment, strongest_nm(power, alignment))
    sides = upper.subplots(1, 2)
    _draw_sides(sides, ions, alignment)
    left, right = lower.subplots(1, 2)
    _draw_depth(left, power, alignment)
    _draw_distances(right, ions, alignment, "crystal" if scaled else "planes")
    return figure


def strongest_nm(power: DepthPower, alignment: Alignment) -> float:
    """Height at which the axis of a pole passes the layer with the clearest planes; its centre where none is known."""
    low, high = alignment.pole.depth_nm
    seen = np.where((power.z_nm >= low) & (power.z_nm <= high), power.aligned, np.nan)
    return float(power.z_nm[np.nanargmax(seen)]) if np.isfinite(seen).any() else alignment.pole.centre_nm[2]


def side_view(position: Floats) -> Floats:
    """Count the ions of a thin slab seen from the side, smoothed, over their mean at the same distance from the axis.

    Parameters
    ----------
    position : ndarray of float64, (n, 3)
        z along the normal of the planes, in nm.

    Returns
    -------
    ndarray of float64, (60, 150)
        Density in bins of 0.2 nm by 0.02 nm; 1 where there are no ions.
    """
    from scipy.ndimage import gaussian_filter

    slab = position[np.abs(position[:, 1]) < HALF_THICK_NM]
    halves = (HALF_WIDE_NM, HALF_HIGH_NM)
    n_bins = [round(2 * half / step) for half, step in zip(halves, BINS_NM, strict=True)]
    counts = np.histogram2d(slab[:, 0], slab[:, 2], bins=n_bins, range=[(-half, half) for half in halves])[0]
    smooth = gaussian_filter(counts, [sigma / step for sigma, step in zip(SMOOTH_NM, BINS_NM, strict=True)])
    mean = smooth.mean(axis=1, keepdims=True)
    return np.asarray(np.divide(smooth, mean, out=np.ones_like(smooth), where=mean > 0))


def _draw_sides(panels: Any, ions: NearAxis, alignment: Alignment) -> None:
    """Draw both slabs from the side to one scale, and one of the planes as the pole describes it."""
    views = [side_view(position) for position in (ions.turned, ions.aligned)]
    titles = ("a   Reconstruction, turned only", "b   Aligned")
    most = max(0.2, *(float(np.percentile(np.abs(view - 1), 98)) for view in views))
    across = np.linspace(-HALF_WIDE_NM, HALF_WIDE_NM, 61)
    for axes, view, title, curve in zip(panels, views, titles, _plane(alignment, ions, across), strict=True):
        image = axes.imshow(
            view.T,
            aspect="auto",
            cmap=mpl.colormaps["Blues"],
            extent=(-HALF_WIDE_NM, HALF_WIDE_NM, -HALF_HIGH_NM, HALF_HIGH_NM),
            interpolation="none",
            origin="lower",
            vmax=1 + most,
            vmin=1 - most,
        )
        axes.plot(across, curve, color="white", lw=1.8)
        axes.plot(across, curve, color=VERMILLION, lw=1.0, ls=(0, (5, 2)))
        axes.set_xlim(-HALF_WIDE_NM, HALF_WIDE_NM)
        axes.set_ylim(-HALF_HIGH_NM, HALF_HIGH_NM)
        axes.spines[:].set_visible(True)
        axes.set_title(
            f"{title}; {2 * HALF_THICK_NM:g} nm slab at z = {ions.z_nm:.0f} nm".replace("-", "\N{MINUS SIGN}")
        )
        axes.set_xlabel("Distance from the axis of the pole (nm)")
        axes.set_ylabel("Along the normal (nm)")
    bar = axes.figure.colorbar(image, ax=list(panels), fraction=0.02, pad=0.01)
    bar.set_label("Density of ions (mean: 1)")
    bar.outline.set_linewidth(0.4)


def _plane(alignment: Alignment, ions: NearAxis, across: Floats) -> tuple[Floats, Floats]:
    """Height of the plane nearest to the point on the axis: turned only, and aligned."""
    inner = ions.aligned[(np.abs(ions.aligned) < (COLUMN_NM / 2, COLUMN_NM / 2, HALF_HIGH_NM)).all(axis=1), 2]
    wave = np.exp(2j * np.pi * inner / alignment.spacing_nm).sum()
    height = float(np.angle(wave)) / (2 * np.pi) * alignment.spacing_nm
    point = np.array(alignment.pole.on_axis_nm(ions.z_nm))
    flat = np.column_stack([across, 0 * across, 0 * across + height]) + alignment.forward([point])
    turned = (alignment.inverse(flat) - point) @ alignment.pole.direction
    return np.asarray(turned), 0 * across + height


def _draw_depth(axes: Axes, power: DepthPower, alignment: Alignment) -> None:
    """Draw the power of the planes over the depth."""
    low, high = alignment.pole.depth_nm
    axes.axvspan(low, high, color="#e9eef3", lw=0, zorder=0)
    axes.axhline(1, color=GREY, lw=0.6, ls=":")
    axes.plot(power.z_nm, power.turned, color=GREY, lw=1, ls=(0, (4, 1.5)), label="turned only")
    if alignment.field is not None:
        axes.plot(power.z_nm, power.flattened, color=VERMILLION, lw=1, label="dome flattened")
    axes.plot(power.z_nm, power.aligned, color=BLUE, lw=1.3, label="aligned")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_title("c   Planes along the axis of the pole, mean of 4 nm cubes")
    axes.set_xlabel("z in the reconstruction (nm); shaded: where the planes are seen")
    axes.set_ylabel("Power of the planes (chance: 1)")
    low, high = axes.get_ylim()
    axes.set_ylim(min(low, 0.7), high * (high / min(low, 0.7)) ** 0.2)
    axes.legend(loc="upper right", handlelength=2.2, ncols=3)


def _draw_distances(axes: Axes, ions: NearAxis, alignment: Alignment, whose: str) -> None:
    """Draw the z-SDM of the ions on the axis along z as reconstructed, and as aligned."""
    half = (COLUMN_NM / 2, COLUMN_NM / 2, COLUMN_HIGH_NM / 2)
    column = (np.abs(ions.aligned) < half).all(axis=1)
    before, after = (z_distances(position[column]) for position in (ions.cloud.position, ions.aligned.astype("f4")))
    axes.plot(*before, color=GREY, label="along z of the reconstruction", ls=(0, (4, 1.5)), lw=1)
    axes.plot(*after, color=BLUE, label="aligned", lw=1.3)
    ticks = np.arange(1, int(FARTHEST_NM / alignment.spacing_nm) + 1) * alignment.spacing_nm
    for tick in ticks:
        axes.axvline(tick, color=VERMILLION, lw=0.5, ls=":", zorder=0)
    axes.xaxis.set_major_locator(FixedLocator([0, *ticks.tolist()]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3f}" if value else "0"))
    axes.set_xlim(0, FARTHEST_NM)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.22 * (high - low))
    axes.set_title(f"d   z-SDM of {COLUMN_NM:g} × {COLUMN_NM:g} × {COLUMN_HIGH_NM:g} nm on the axis")
    axes.set_xlabel(f"Distance along z (nm); ticks: spacing of the {whose}, {alignment.spacing_nm:.4f} nm")
    axes.set_ylabel(f"Pairs per ion and {STEP_NM:g} nm")
    axes.legend(loc="upper right", handlelength=2.2, ncols=2)


def z_distances(position: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Count the distances along z of all pairs of ions that stand within 0.5 nm above each other.

    Parameters
    ----------
    position : ndarray of float32, (n, 3)
        In nm.

    Returns
    -------
    offset_nm, pairs_per_ion : ndarray of float64, (80,)
        Middle of each bin, and pairs in it over the number of ions.
    """
    some = position[:: len(position) // MOST_IONS + 1]
    n = len(some)
    every = PointCloud(some, np.full(n, np.nan, np.float32), np.ones(n, np.uint8), ("unranged", "any"))
    channels, bins = Channels((("any",),), ((0, 0),)), round(FARTHEST_NM / STEP_NM)
    offset, counts = zsdm(every, channels, half_z_nm=FARTHEST_NM, bins_z=bins, lateral_nm=LATERAL_NM)
    return offset, counts[0] / max(1, n)
