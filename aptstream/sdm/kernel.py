"""The gate of the SDM kernel: ions become whole numbers in sorted order, and nothing else passes.

Kernel and bin rule: ``ext/sdm_kernel.c`` and ``ext/sdm_pairs.h``; the definition in words: `aptstream.sdm.window`.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream import _sdm
from aptstream.errors import PlanError
from aptstream.regions import Triple
from aptstream.sdm.window import LABELS, MAX_UNITS, UNITS, Channels, SdmWindow

Counts = npt.NDArray[np.uint32]
Bytes = npt.NDArray[np.uint8]

#: A cube of more ions could hold more than 2³² − 1 pairs, the largest number that a counter can show.
MAX_IONS_PER_CUBE = 92_681
#: The largest number that a 16-bit counter can show.
MAX_16_BIT = 65_535
#: z slices in a cell: partners are looked for in whole slices.
SLICES = 8
#: Largest stride in nm; and largest number of bins of all cubes of a column of cells, which a bin number must hold.
MAX_STRIDE_NM, MAX_COLUMN_BINS = 16, 2**29
#: Largest number of label sets counted together: a label has 32 bits.
MAX_SETS = 30
#: Largest number of cube edges counted together.
MAX_EDGES = _sdm.MAX_EDGES
#: Ways to count, slowest first; all give the same counts. The fastest that the processor has is used.
INSTRUCTIONS = ("plain", "avx2", "avx512")[: _sdm.BEST_INSTRUCTIONS + 1]


@dataclass(frozen=True)
class CellBox:
    """A box of cells; cubes are made of whole cells and named by the one at their low corner.

    Parameters
    ----------
    origin_nm : tuple of float
        Low corner of cell (0, 0, 0) of the whole specimen in nm: one origin for all boxes, so that counts do not
        depend on how a specimen is cut into boxes.
    low : tuple of int
        First cell of the box.
    shape : tuple of int
        Cells of the box on each axis.
    stride_nm : float
        Cell width, which is the stride of the cubes, in nm.

    Raises
    ------
    PlanError
        If a number of cells is not whole or not positive, or the origin or the stride is impossible.
    """

    origin_nm: Triple
    low: tuple[int, int, int]
    shape: tuple[int, int, int]
    stride_nm: float = 1.0

    def __post_init__(self) -> None:
        whole = all(isinstance(n, (int, np.integer)) for n in (*self.low, *self.shape))
        if not whole or len(self.low) != 3 or len(self.shape) != 3 or min(self.shape) < 1:
            raise PlanError(f"A box has whole numbers of cells, at least one an axis, found {self.low}, {self.shape}.")
        if not (np.isfinite([self.stride_nm, *self.origin_nm]).all() and 0 < self.stride_nm <= MAX_STRIDE_NM):
            raise PlanError(
                f"A box needs a finite origin and a stride between 0 and {MAX_STRIDE_NM} nm, "
                f"found {self.origin_nm} and {self.stride_nm} nm."
            )

    def n_cubes(self, edge: int) -> tuple[int, int, int]:
        """Count the cubes of an edge (in cells) that fit, on each axis."""
        x, y, z = (max(n - edge + 1, 0) for n in self.shape)
        return x, y, z


@dataclass(frozen=True)
class Tags:
    """How the kernel makes channels of the ions' labels.

    Parameters
    ----------
    label : ndarray of int32, (n,)
        0, 1, 3 or 7 for the group; with `n_sets`, bit p tells whether the ion is solute in label set p.
    added : ndarray of int32, (8,) or (0,)
        What a label adds to the bin of a pair; empty where the channel is looked up.
    table : ndarray of int32, (16,)
        First bin of the channel of two labels by their sum.
    n_channels : int
        Images of a cube.
    n_sets : int
        Label sets counted together; 0 for channels of groups.
    """

    label: npt.NDArray[np.int32]
    added: npt.NDArray[np.int32]
    table: npt.NDArray[np.int32]
    n_channels: int
    n_sets: int = 0

    @property
    def by_table(self) -> bool:
        """Whether the channel of a pair must be looked up."""
        return not self.n_sets and not len(self.added)


#: Channels whose number is the sum of the numbers of the two groups: adding is quicker than looking up.
_BY_ADDING = (((0, 0),), ((0, 0), (0, 1), (1, 1)))


def tags_of_groups(group: npt.NDArray[np.int8], channels: Channels, window: SdmWindow) -> Tags:
    """Tag ions by their group of species, (n,); −1 = none."""
    bins = window.bins_z * window.bins_lateral
    adding = channels.pairs in _BY_ADDING and len(channels.groups) == channels.pairs[-1][0] + 1
    added = np.array([0, bins] + [0] * 6 if adding else [], dtype=np.int32)
    label = np.array((*LABELS, 0), dtype=np.int32)[group]
    return Tags(label, added, channels.table(bins), len(channels.pairs))


def tags_of_sets(solute: npt.NDArray[np.bool_]) -> Tags:
    """Tag ions by label sets: channels are all pairs, then for each set one-solute and two-solute pairs, (n, sets)."""
    n_sets = solute.shape[1]
    if not 1 <= n_sets <= MAX_SETS:
        raise PlanError(f"1 to {MAX_SETS} label sets can be counted together, found {n_sets}.")
    bits = (solute @ (1 << np.arange(n_sets))).astype(np.int32)
    none = np.zeros(0, dtype=np.int32)
    return Tags(bits, none, np.full(_sdm.TABLE, -1, dtype=np.int32), 1 + 2 * n_sets, n_sets)


@dataclass(frozen=True)
class SortedIons:
    """Ions of a box in the kernel's order.

    Parameters
    ----------
    order : ndarray of int64, (m,)
        Rows of the ions that lie in the box and have a group.
    key : ndarray of int64, (n,)
        Slice of every ion, −1 for those left out.
    fine : ndarray of int32, (n, 3)
        Whole-number coordinates, from the corner of the box on.
    start : ndarray of int64, (slices + 1,)
        First ion of every slice.
    """

    order: npt.NDArray[np.int64]
    key: npt.NDArray[np.int64]
    fine: npt.NDArray[np.int32]
    start: npt.NDArray[np.int64]


def sort_ions(
    position: npt.NDArray[np.float32], group: npt.NDArray[np.int8], window: SdmWindow, box: CellBox
) -> SortedIons:
    """Turn positions into whole numbers, and sort the ions of a box.

    Raises
    ------
    PlanError
        If a position is no finite number, or the box is too long for exact coordinates.
    """
    if (np.array(box.shape) * box.stride_nm * window.units_per_nm).max() >= MAX_UNITS - UNITS:
        raise PlanError(f"The box of {box.shape} cells is too long for bins this fine: scan it in shorter boxes.")
    first, shape = np.array(box.low) * (1, 1, SLICES), np.array(box.shape) * (1, 1, SLICES)
    corner = np.floor(np.array(box.low) * box.stride_nm * window.units_per_nm) - 1
    frame = np.array([box.origin_nm, np.array([1.0, 1.0, SLICES]) / box.stride_nm, window.units_per_nm])
    key, fine = _place(position, group, frame, np.concatenate([first, corner]), shape)
    start = np.zeros(int(np.prod(shape)) + 1, dtype=np.int64)
    order = np.empty(int((key >= 0).sum()), dtype=np.int64)
    _sdm.sort_slices(key, fine, start, order)
    return SortedIons(order, key, fine, start)


def sort_by_depth(
    position: npt.NDArray[np.float32], group: npt.NDArray[np.int8], window: SdmWindow, origin_nm: Triple
) -> SortedIons:
    """Turn the positions of a free region into whole numbers, and sort its ions by z.

    Raises
    ------
    PlanError
        If a position is no finite number, or the region is too long for exact coordinates.
    """
    kept = position[group >= 0].astype(np.float64) - origin_nm
    low, high = kept.min(axis=0) * window.units_per_nm, kept.max(axis=0) * window.units_per_nm
    if np.isfinite(high - low).all() and (high - low).max() >= MAX_UNITS - UNITS:
        raise PlanError("The region is too long for bins this fine: take a smaller region.")
    frame = np.array([origin_nm, (0.0, 0.0, 0.0), window.units_per_nm])  # one cell holds all
    key, fine = _place(position, group, frame, np.concatenate([np.zeros(3), np.floor(low) - 1]), np.ones(3))
    order = np.flatnonzero(key >= 0)
    order = order[np.argsort(fine[order, 2], kind="stable")]
    return SortedIons(order, np.zeros_like(key), fine, np.zeros(2, dtype=np.int64))


def _place(
    position: npt.NDArray[np.float32],
    group: npt.NDArray[np.int8],
    frame: npt.NDArray[np.float64],
    low: npt.NDArray[np.float64],
    shape: npt.NDArray[Any],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Slice and whole-number coordinates of every ion."""
    key, fine = np.empty(len(position), dtype=np.int64), np.zeros((len(position), 3), dtype=np.int32)
    whole = (np.nan_to_num(low).astype(np.int64), shape.astype(np.int64))
    if _sdm.place(np.ascontiguousarray(position), group, frame, *whole, key, fine):
        raise PlanError("Some positions are not finite numbers: remove those ions first.")
    return key, fine


@dataclass(frozen=True)
class BoxShape:
    """How far apart the ions of a counted pair can be, in cells and slices.

    Parameters
    ----------
    extent_x, extent_y, extent_z : int
        Largest distance in cells: inside the largest cube and inside the window.
    reach : int
        Slices in which an upper partner may lie.
    parted : bool
        Whether an edge of two slices can lie amid a unit, and so part ions of equal z.
    """

    extent_x: int
    extent_y: int
    extent_z: int
    reach: int
    parted: bool

    @classmethod
    def of(cls, window: SdmWindow, stride_nm: float, largest_edge: int) -> BoxShape:
        """Derive it from a window, the stride and the largest cube."""

        def extent(half_nm: float) -> int:
            return min(largest_edge - 1, ceil(half_nm / stride_nm))

        # The first column of a zx map begins at exactly -half: where cells do not begin with a unit, the ions of such a
        # pair can be up to a unit farther apart than that.
        units = stride_nm * float(window.units_per_nm[0])
        unit_nm = 1 / float(window.units_per_nm[0]) if window.kind == "zx" and units != round(units) else 0.0
        lateral = window.half_lateral_nm + unit_nm
        across = None if window.kind == "zx" else lateral  # a zx map looks through the whole cube along y
        limits = [limit for limit in (across, window.y_limit_nm, window.radius_nm) if limit is not None]
        y = extent(min(limits)) if limits else largest_edge - 1
        reach = ceil(window.half_z_nm / stride_nm * SLICES) + 1
        slice_units = stride_nm / SLICES * float(window.units_per_nm[2])
        parted = slice_units != round(slice_units)
        return cls(extent(lateral), y, extent(window.half_z_nm), reach, parted)


def make_volume(
    ions: SortedIons, tags: Tags, window: SdmWindow, *, cells: tuple[int, int, int], shape: BoxShape, instructions: str
) -> Any:
    """Hand sorted ions to the kernel.

    Parameters
    ----------
    ions : SortedIons
        Of the box.
    tags : Tags
        Labels of all ions, sorted or not.
    window : SdmWindow
        Offsets and bins.
    cells : tuple of int
        Cells of the box on each axis.
    shape : BoxShape
        Extents.
    instructions : str
        One of `INSTRUCTIONS`.

    Returns
    -------
    aptstream._sdm.Volume
    """
    bins, n = tags.n_channels * window.bins_z * window.bins_lateral, len(ions.order)
    if cells[2] * bins > MAX_COLUMN_BINS:
        raise PlanError(
            f"{bins:,} bins for each of {cells[2]} cubes above each other are more than can be numbered: "
            f"take fewer bins or channels, or a shorter box."
        )
    if instructions not in INSTRUCTIONS:
        raise PlanError(f"This processor counts by {', '.join(INSTRUCTIONS)}, not by {instructions!r}.")
    xy, z_tags = np.zeros((2, n + _sdm.PAD), dtype=np.float32), np.zeros((3, n + _sdm.PAD), dtype=np.int32)
    column = (cells[2] * SLICES, SLICES, bins)
    _sdm.gather(ions.order, ions.key, ions.fine, tags.label, tags.added, column, xy, z_tags)
    kind = _sdm.ZX if window.kind == "zx" else _sdm.RHOZ
    extents = (shape.reach, shape.extent_x, shape.extent_y, shape.extent_z)
    how = INSTRUCTIONS.index(instructions)
    numbers = (*cells, SLICES, *extents, kind, *window.shape, bins, how, tags.n_sets, tags.by_table, shape.parted)
    return _sdm.Volume(xy, z_tags, ions.start, tags.table, numbers, window.limits)


def take(counters: Bytes, out: Counts, wide: bool) -> bool:
    """Take finished counters out as 32 bits and clear them; True if one may have stopped at its end."""
    return _sdm.take(counters, out, wide)


def contrast(counts: Counts, fraction: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Contrast images of many cubes: the compiled half of `aptstream.sdm.image.contrast_images`."""
    if counts.ndim != 4 or counts.shape[1] != 3 or fraction.shape != counts.shape[:1]:
        raise PlanError(
            f"Contrast needs counts (n, 3, rows, columns) and a number a cube (n,), "
            f"found {counts.shape} and {fraction.shape}."
        )
    out = np.empty((len(counts), *counts.shape[2:]), dtype=np.float32)
    _sdm.contrast(np.ascontiguousarray(counts, dtype=np.uint32), np.ascontiguousarray(fraction), out)
    return out


def standardise(counts: Counts) -> npt.NDArray[np.float32]:
    """Standardised images (n, rows, columns): the compiled half of `aptstream.sdm.image.standardised_images`."""
    out = np.empty(counts.shape, dtype=np.float32)
    _sdm.standardise(np.ascontiguousarray(counts, dtype=np.uint32), out)
    return out
