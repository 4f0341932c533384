"""Spatial distribution maps of single cubes: of matrix and particle, of the zones of a histogram, of one voxel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.ticker import FixedLocator, MaxNLocator

from aptstream.cloud.lattice import Cell
from aptstream.cloud.store import PointStore
from aptstream.errors import PlanError
from aptstream.model.explain import cube_round
from aptstream.points import Roles
from aptstream.regions import Box, Triple
from aptstream.report.style import BLUE, GREY, PAGE_MM, STYLE, VERMILLION, blank, grouped
from aptstream.scan.results import ScanStore
from aptstream.sdm.count import count_sdm, zsdm
from aptstream.sdm.image import grey_images
from aptstream.sdm.li2021 import VIEW
from aptstream.sdm.window import Channels, full_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

    from aptstream.grid.files import GridFile

Floats = npt.NDArray[np.float64]
Grid = npt.NDArray[np.floating[Any]]

#: Largest offset along z of a z-SDM and width of its bins, and largest distance across, in nm.
FARTHEST_NM, STEP_NM, LATERAL_NM = 1.0, 0.02, 0.5
#: Pixels of the publication's picture that are put together on an edge: a cube of 4 nm fills few.
TOGETHER = 2


@dataclass(frozen=True)
class CubeMaps:
    """The maps of one cube.

    Parameters
    ----------
    box : Box
        The cube in nm.
    n_host, n_solute : int
        Its ions.
    zx : ndarray of int64, (75, 75)
        Host–host pairs at most 1.5 nm apart by offset along z (rows) and x, −0.7 … 0.7 nm.
    offset_nm : ndarray of float64, (50,)
        Offsets of the z-SDMs in nm.
    host, solute : ndarray of float64, (50,)
        Host–host and solute–solute pairs at most 0.5 nm apart across, by offset along z, each over its mean.
    """

    box: Box
    n_host: int
    n_solute: int
    zx: npt.NDArray[np.int64]
    offset_nm: Floats
    host: Floats
    solute: Floats


def cube_maps(store: PointStore, roles: Roles, corner: Cell, edge_nm: int = 4) -> CubeMaps:
    """Count the maps of a cube.

    Parameters
    ----------
    store : PointStore
        The ions.
    roles : Roles
        Host and solute species.
    corner : tuple of int
        Its low corner, in cells of the store.
    edge_nm : int
        Its edge in nm.

    Returns
    -------
    CubeMaps

    Raises
    ------
    StoreError
        If the store is damaged.
    """
    x, y, z = corner
    cloud = store.read(corner, (x + edge_nm, y + edge_nm, z + edge_nm), columns=())
    channels = Channels.of_roles(roles)
    group = channels.group_of(cloud.species_names)[cloud.species]
    full = full_image(count_sdm(cloud, channels, VIEW.window, origin_nm=store.origin_nm)[0]).astype(np.int64)
    n = full.shape[0] // TOGETHER
    offset, counts = zsdm(
        cloud, channels, half_z_nm=FARTHEST_NM, bins_z=round(FARTHEST_NM / STEP_NM), lateral_nm=LATERAL_NM
    )
    host, solute = (row / max(float(row.mean()), 1e-9) for row in counts[[0, 2]])
    low = tuple(a + b for a, b in zip(store.origin_nm, corner, strict=True))
    box = Box(low, tuple(v + edge_nm for v in low))  # type: ignore[arg-type]  # three each
    pairs = full.reshape(n, TOGETHER, n, TOGETHER).sum(axis=(1, 3))
    return CubeMaps(box, int((group == 0).sum()), int((group == 1).sum()), pairs, offset, host, solute)


def grey_cubes(store: PointStore, scan: ScanStore, rng: np.random.Generator, *, n_most: int) -> npt.NDArray[np.uint8]:
    """Make the publication's grey pictures of cubes of 4 nm drawn at random from those that were judged.

    Parameters
    ----------
    store : PointStore
        The ions that were scanned.
    scan : ScanStore
        Their scan.
    rng : numpy.random.Generator
        Source of randomness.
    n_most : int
        Cubes, at most.

    Returns
    -------
    ndarray of uint8, (n, 150, 150)

    Raises
    ------
    PlanError
        If no cube was judged.
    StoreError
        If the store is damaged.
    """
    edge = max(scan.edges)
    judged = np.argwhere(np.isfinite(scan.p(edge)))
    if not len(judged):
        raise PlanError("The scan judged no cube: there are no pictures of this specimen.")
    channels, found = VIEW.channels(scan.roles), []
    for x, y, z in rng.permutation(judged)[:n_most].tolist():
        cloud = store.read((x, y, z), (x + edge, y + edge, z + edge), columns=())
        found.append(count_sdm(cloud, channels, VIEW.window, origin_nm=store.origin_nm)[0])
    return grey_images(np.array(found))


@rc_context(STYLE)
def sdm_examples(store: PointStore, roles: Roles, grid: GridFile, *, spacing_nm: float) -> Figure:
    """Draw the maps of a cube of 4 nm in the middle of the largest particle, and of one in the matrix.

    The cube in the matrix touches no particle; of such cubes it is the one with the least order.

    Parameters
    ----------
    store : PointStore
        The ions that were scanned.
    roles : Roles
        Host and solute species.
    grid : GridFile
        The answer on the 1 nm grid.
    spacing_nm : float
        Distance of the planes in nm: drawn as lines.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    PlanError
        If there is no particle, or no cube without any.
    StoreError
        If the store is damaged.

    References
    ----------
    .. [1] Li et al., npj Comput. Mater. 7, 8 (2021), Fig. 1e, f.
    """
    edge = grid.votes.cube_voxels
    corners = (_cube_of_matrix(grid, edge), _cube_of_particle(grid, edge))
    figure = blank(PAGE_MM, 68)
    left, right = np.asarray(figure.subfigures(1, 2, width_ratios=(1.6, 1))).ravel()
    maps_of = [cube_maps(store, roles, corner, edge) for corner in corners]
    for axes, letter, name, maps in zip(left.subplots(1, 2), "ab", ("Matrix", "Particle"), maps_of, strict=True):
        image = draw_zx(axes, maps, f"{letter}   {name}: {_ions(maps)}")
        finish_bar(left.colorbar(image, ax=axes, location="bottom", shrink=0.9, fraction=0.05, pad=0.02))
    upper, lower = right.subplots(2, 1, sharex=True)
    draw_z(upper, maps_of[0], spacing_nm, "c   Matrix: z-SDM")
    draw_z(lower, maps_of[1], spacing_nm, "d   Particle: z-SDM")
    upper.set_xlabel("")
    right.legend(*lower.get_legend_handles_labels(), loc="outside lower right", ncols=2, handlelength=2)
    return figure


@rc_context(STYLE)
def voxel_sdm(store: PointStore, roles: Roles, grid: GridFile, position: Triple, *, spacing_nm: float) -> Figure:
    """Draw the maps of the cube round one voxel, and say what the voxel was given.

    Parameters
    ----------
    store : PointStore
        The ions that were scanned.
    roles : Roles
        Host and solute species.
    grid : GridFile
        The answer on the 1 nm grid.
    position : tuple of float
        x, y, z in nm.
    spacing_nm : float
        Distance of the planes in nm: drawn as lines.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    PlanError
        If the position lies outside of the specimen.
    StoreError
        If the store is damaged.

    References
    ----------
    .. [1] Li et al., npj Comput. Mater. 7, 8 (2021), Fig. S5.
    """
    edge = grid.votes.cube_voxels
    corner = cube_round(store, position, edge)
    voxel = tuple(np.floor(np.subtract(position, store.origin_nm)).astype(int).tolist())
    maps = cube_maps(store, roles, corner, edge)
    figure = blank(PAGE_MM * 0.75, 62)
    figure.suptitle(_judgement(grid, voxel, position), x=0.01, ha="left", fontsize=7)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.3))
    image = draw_zx(left, maps, f"a   zx-SDM: {_ions(maps)}")
    finish_bar(figure.colorbar(image, ax=left, fraction=0.05, pad=0.02))
    draw_z(right, maps, spacing_nm, "b   z-SDM")
    low, high = right.get_ylim()
    right.set_ylim(low, high + 0.18 * (high - low))
    right.legend(loc="upper right", ncols=2, handlelength=1.4)
    return figure


def _judgement(grid: GridFile, voxel: Cell, position: Triple) -> str:
    """Say what the votes and the order map make of a voxel."""
    at = ", ".join(f"{v:g}" for v in position).replace("-", "\N{MINUS SIGN}")
    n, order, label = int(grid.votes.count[voxel]), float(grid.order[voxel]), int(grid.labels[voxel])
    votes = f"sum of {n} cubes {grid.votes.total[voxel]:.2f}" if n else "covered by no cube that could be judged"
    judged = f"order {order:.2f}" if np.isfinite(order) else "order not judged"
    return f"Voxel at ({at}) nm: {votes}; {judged}; {f'particle {label}' if label else 'no particle'}"


def draw_zx(axes: Axes, maps: CubeMaps, title: str) -> AxesImage:
    """Draw a zx-SDM from white, no pairs, to blue, the most.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where to.
    maps : CubeMaps
        Of a cube.
    title : str
        Of the panel.

    Returns
    -------
    matplotlib.image.AxesImage
    """
    half = VIEW.window.half_z_nm
    extent = (-half, half, -half, half)
    image = axes.imshow(maps.zx, cmap="Blues", extent=extent, interpolation="none", origin="lower", vmin=0)
    axes.spines[:].set_visible(True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator([-0.5, 0, 0.5]))
    axes.set_title(title)
    axes.set_xlabel("Δx (nm)")
    axes.set_ylabel("Δz (nm)")
    return image


def finish_bar(bar: Any) -> None:
    """Label the colour bar of a zx-SDM.

    Parameters
    ----------
    bar : matplotlib.colorbar.Colorbar
        The bar.
    """
    width = 2 * VIEW.window.half_z_nm / (VIEW.window.bins_lateral / TOGETHER)
    bar.set_label(f"Host–host pairs per ({width:.4f} nm)²")
    bar.locator = MaxNLocator(4, integer=True)
    bar.update_ticks()
    bar.outline.set_linewidth(0.4)


def draw_z(axes: Axes, maps: CubeMaps, spacing_nm: float, title: str) -> None:
    """Draw both z-SDMs of a cube, with lines where planes stand; every second one is dark.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where to.
    maps : CubeMaps
        Of a cube.
    spacing_nm : float
        Distance of the planes in nm.
    title : str
        Of the panel.
    """
    for number in range(1, int(FARTHEST_NM / spacing_nm) + 1):
        style: dict[str, Any] = {"color": GREY, "ls": (0, (1, 1.5))} if number % 2 else {"color": GREY, "ls": "-"}
        axes.axvline(number * spacing_nm, lw=0.5, zorder=0, **style)
    axes.plot(maps.offset_nm, maps.host, color=BLUE, label="host–host", lw=1)
    axes.plot(maps.offset_nm, maps.solute, color=VERMILLION, label="solute–solute", ls=(0, (4, 1.2)), lw=1)
    axes.set_xlim(0, FARTHEST_NM)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.set_title(title)
    axes.set_xlabel("Δz (nm)")
    axes.set_ylabel("Pairs (mean: 1)")


def _ions(maps: CubeMaps) -> str:
    return f"{grouped(maps.n_host)} host ions"


def _cube_of_particle(grid: GridFile, edge: int) -> Cell:
    """Cube round the middle of the largest particle."""
    size = np.bincount(grid.labels.ravel())[1:]
    if not size.any():
        raise PlanError("No particle was found: there is no SDM of one to show. Look at single voxels instead.")
    middle = np.argwhere(grid.labels == 1 + int(size.argmax())).mean(axis=0)
    low = np.clip(np.rint(middle - edge / 2).astype(int), 0, np.array(grid.labels.shape) - edge)
    return int(low[0]), int(low[1]), int(low[2])


def _cube_of_matrix(grid: GridFile, edge: int) -> Cell:
    """Cube of judged voxels without any particle, with the least order; the first of several."""
    order = np.where(grid.labels == 0, grid.order, np.nan).astype(np.float64)
    if min(order.shape) < edge:
        raise PlanError(f"The specimen of {order.shape} voxels is too small for a cube of {edge} nm.")
    total = np.lib.stride_tricks.sliding_window_view(order, (edge,) * 3).sum(axis=(3, 4, 5))
    if not np.isfinite(total).any():
        raise PlanError(f"Particles touch every cube of {edge} nm: there is no SDM of the matrix to show.")
    low = np.unravel_index(int(np.nanargmin(total)), total.shape)
    return int(low[0]), int(low[1]), int(low[2])
