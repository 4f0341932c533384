"""The specimen as it was reconstructed: its ions by species, where they hit, and a slice in which planes are seen."""

from __future__ import annotations

from itertools import product
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from aptstream.errors import PlanError
from aptstream.regions import Box, Triple
from aptstream.report.colours import ion_colours
from aptstream.report.hits import hit_map
from aptstream.report.pole_map import draw_hits
from aptstream.report.style import BLUE, GREY, PAGE_MM, STYLE, VERMILLION, blank

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from aptstream.cloud.store import PointStore

Floats = npt.NDArray[np.float64]

#: Ions of a species that a projection shows, at most: those of the most frequent one, and of any other.
MOST_OF_HOST, MOST_OF_OTHERS = 9_000, 2_500
#: A slice: width along x, thickness along y and height along z in nm; the bins of its profile in nm.
SLICE_NM: Triple = (10.0, 4.0, 3.0)
PROFILE_NM = 0.02
#: Height of the projections in mm: of a specimen as tall as it is wide, and of the tallest.
LOWEST_MM, HIGHEST_MM = 40.0, 140.0


@rc_context(STYLE)
def specimen_figure(store: PointStore) -> Figure:
    """Draw a specimen seen along y and along x, ion by ion in the colours of the range file, and where ions hit.

    Parameters
    ----------
    store : PointStore
        The reconstruction; it is read by blocks.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    StoreError
        If the store is damaged.

    References
    ----------
    .. [1] Li et al., npj Comput. Mater. 7, 8 (2021), Fig. 1a–c.
    """
    colours, counts = ion_colours(store.ranges), store.species_counts()
    order = sorted((name for name in colours if counts.get(name)), key=lambda name: -counts[name])
    steps = {name: ceil(counts[name] / (MOST_OF_OTHERS if place else MOST_OF_HOST)) for place, name in enumerate(order)}
    shown = _thinned(store, steps)
    x, y, z = np.subtract(store.box.high, store.box.low).tolist()
    figure = blank(PAGE_MM, float(np.clip(LOWEST_MM * z / max(x, y), LOWEST_MM, HIGHEST_MM)) + 26)
    panels = figure.subplots(1, 3, width_ratios=(1, 1, 1.4))
    for axes, across, letter, along in zip(panels, (0, 1), "ab", "yx", strict=False):
        for name in order:
            place = shown[name]
            axes.plot(
                *(place[:, across], place[:, 2]),
                color=colours[name],
                ls="none",
                marker="o",
                mew=0,
                ms=0.7 if name == order[0] else 1.0,
                rasterized=True,
            )
        axes.set_aspect("equal")
        axes.set_ylim(store.box.low[2] - 0.03 * z, store.box.high[2] + 0.03 * z)
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
        axes.set_title(f"{letter}   Seen along {along}")
        axes.set_xlabel(f"{'xy'[across]} (nm)")
        axes.set_ylabel("z (nm)")
    hits = hit_map(store)
    draw_hits(panels[2], hits, letter="c")
    entries = [
        Line2D([], [], color=colours[name], label=_share(name, steps[name]), ls="none", marker="o", ms=4)
        for name in order
    ]
    figure.legend(handles=entries, loc="outside lower left", ncols=min(len(entries), 6), handletextpad=0.2)
    return figure


@rc_context(STYLE)
def lattice_slice(store: PointStore, spacing_nm: float, centre_nm: Triple | None = None) -> Figure:
    """Draw the ions of a thin slice through the lattice planes, 10 nm wide, 4 nm thick and 3 nm high; z is stretched.

    Parameters
    ----------
    store : PointStore
        A reconstruction whose planes stand normal to z.
    spacing_nm : float
        Distance of the planes in nm, such as `aptstream.Crystal.plane_spacing_nm`.
    centre_nm : tuple of float, optional
        Middle of the slice; of 27 places in the specimen the one with the clearest planes where it is not given.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    PlanError
        If there are no ranged ions in the slice.
    StoreError
        If the store is damaged.

    References
    ----------
    .. [1] Li et al., npj Comput. Mater. 7, 8 (2021), Fig. 1d.
    """
    middle = centre_nm if centre_nm is not None else clearest_place(store, spacing_nm)
    cloud = store.query(_slice_box(middle), columns=())
    cloud = cloud[cloud.species > 0]
    if not len(cloud):
        raise PlanError(f"There are no ranged ions round {middle} nm: give a place inside of the specimen.")
    place = cloud.position.astype(np.float64) - middle
    figure = blank(PAGE_MM, 78)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(4.2, 1))
    names, colours = cloud.species_names, ion_colours(store.ranges)
    numbers = sorted(np.unique(cloud.species).tolist(), key=lambda k: -int((cloud.species == k).sum()))
    for number in numbers:
        of = place[cloud.species == number]
        style = {"marker": "o", "mec": "#404040", "mew": 0.1, "ms": 1.7 if number == numbers[0] else 2.5}
        left.plot(
            of[:, 0], of[:, 2], color=colours[names[number]], label=names[number], ls="none", rasterized=True, **style
        )
    wide, thick, high = SLICE_NM
    left.set_xlim(-wide / 2, wide / 2)
    left.set_ylim(-high / 2, high / 2)
    at = ", ".join(f"{value:.1f}" for value in middle).replace("-", "\N{MINUS SIGN}")
    left.set_title(f"a   Slice {thick:g} nm thick, middle at ({at}) nm; z stretched")
    left.set_xlabel("x from the middle (nm)")
    left.set_ylabel("z from the middle (nm)")
    left.legend(
        loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=5, handletextpad=0.1, columnspacing=0.8, borderaxespad=0.1
    )
    _draw_profile(right, place[:, 2], spacing_nm)
    return figure


def clearest_place(store: PointStore, spacing_nm: float) -> Triple:
    """Find where a slice shows planes of a spacing most clearly, of 27 places spread over the specimen.

    Parameters
    ----------
    store : PointStore
        The reconstruction.
    spacing_nm : float
        Distance of the planes in nm.

    Returns
    -------
    tuple of float
        x, y, z in nm.

    Raises
    ------
    StoreError
        If the store is damaged.
    """
    low, high = np.array(store.box.low), np.array(store.box.high)
    best, strongest = tuple(((low + high) / 2).tolist()), -1.0
    for share in product((0.25, 0.5, 0.75), repeat=3):
        x, y, z = (low + share * (high - low)).tolist()
        height = store.query(_slice_box((x, y, z)), columns=()).position[:, 2].astype(np.float64)
        power = abs(np.exp(2j * np.pi * height / spacing_nm).sum()) ** 2 / max(len(height), 1)
        if power > strongest:
            best, strongest = (x, y, z), float(power)
    return best


def _slice_box(middle: Triple) -> Box:
    x, y, z = middle
    half_x, half_y, half_z = (size / 2 for size in SLICE_NM)
    return Box((x - half_x, y - half_y, z - half_z), (x + half_x, y + half_y, z + half_z))


def _draw_profile(axes: Axes, z_nm: Floats, spacing_nm: float) -> None:
    """Draw how many ions stand at each height, and ticks where planes of the spacing fit best."""
    half = SLICE_NM[2] / 2
    counts, edges = np.histogram(z_nm, np.arange(-half, half + PROFILE_NM / 2, PROFILE_NM))
    axes.stairs(counts, edges, baseline=0, color=BLUE, fill=True, orientation="horizontal")
    phase = float(np.angle(np.exp(2j * np.pi * z_nm / spacing_nm).sum())) / (2 * np.pi)
    number = np.arange(ceil(-half / spacing_nm - phase), int(np.floor(half / spacing_nm - phase)) + 1)
    axes.plot(
        np.full(len(number), 1.03),
        (number + phase) * spacing_nm,
        clip_on=False,
        color=VERMILLION,
        ls="none",
        marker="_",
        ms=4,
        transform=axes.get_yaxis_transform(),
    )
    axes.set_title(f"b   Ticks: {spacing_nm:.4f} nm")
    axes.set_xlabel(f"Ions per {PROFILE_NM:g} nm")
    axes.tick_params(labelleft=False)
    axes.spines["left"].set_color(GREY)


def _thinned(store: PointStore, steps: dict[str, int]) -> dict[str, Floats]:
    """Every n-th ion of each species, from the whole specimen."""
    found: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in steps}
    seen = dict.fromkeys(steps, 0)
    for cloud in store.blocks(columns=()):
        for name, step in steps.items():
            of = cloud.position[cloud.species == cloud.species_names.index(name)]
            found[name].append(of[-seen[name] % step :: step])
            seen[name] += len(of)
    return {name: np.concatenate(parts).astype(np.float64) for name, parts in found.items()}


def _share(name: str, step: int) -> str:
    return name if step == 1 else f"{name} (1 in {step})"
