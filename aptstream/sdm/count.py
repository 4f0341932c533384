"""Pair histograms of free regions and of all overlapping cubes of a box.

The definition, exact to the integer: `aptstream.sdm.window`. The kernel behind it: `aptstream.sdm.kernel`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptstream.cloud.store import PointStore
from aptstream.errors import PlanError
from aptstream.points import PointCloud
from aptstream.regions import Box, Triple
from aptstream.sdm.kernel import (
    INSTRUCTIONS,
    MAX_16_BIT,
    MAX_EDGES,
    MAX_IONS_PER_CUBE,
    SLICES,
    BoxShape,
    Bytes,
    CellBox,
    Counts,
    make_volume,
    sort_by_depth,
    sort_ions,
    tags_of_groups,
    tags_of_sets,
    take,
)
from aptstream.sdm.window import Channels, SdmWindow

#: Memory of one tile of unfinished cubes; small enough to stay near the processor.
TILE_BYTES = 32 << 20


@dataclass(frozen=True)
class Batch:
    """Finished SDMs of the cubes ``[x, y0:y0+ny, z0:z0+nz]`` of a box.

    Parameters
    ----------
    edge : int
        Cube edge in cells.
    place : tuple of (int, slice, slice)
        Index of these cubes in an array over all cubes of this edge.
    counts : ndarray of uint32, (ny, nz, channels, bins_z, bins_lateral)
        Pairs in each channel. With label sets: (ny, nz, sets, 3, bins_z, bins_lateral).
    """

    edge: int
    place: tuple[int, slice, slice]
    counts: Counts


class SdmScan:
    """SDMs of all cubes of a box, every pair of ions counted once. Iterate over it for `Batch` objects.

    Parameters
    ----------
    cloud : PointCloud
        Ions; those outside the box and those of no group are left out.
    channels : Channels
        Which pairs are counted.
    window : SdmWindow
        Offsets and bins.
    box : CellBox
        The cells that cubes are made of.
    edges : sequence of int
        Cube edges in cells, counted together: they share the work of finding the pairs.
    sets : ndarray of bool, (n, k), optional
        Label sets counted together instead of the groups: whether each ion of the cloud is a solute in each of k sets,
        such as random permutations of the true one. All other ions of a group count as host.

    Attributes
    ----------
    instructions : str
        How to count, one of `aptstream.sdm.kernel.INSTRUCTIONS`: the fastest, unless a subclass says otherwise. The
        counts are the same.

    Raises
    ------
    PlanError
        If the box is smaller than a cube, too long for exact coordinates, or a cube holds more than 92 681 ions.

    References
    ----------
    .. [1] Moody et al., Microsc. Microanal. 15, 146 (2009): spatial distribution maps.

    Examples
    --------
    >>> from aptstream.points import Roles
    >>> rng = np.random.default_rng(0)
    >>> cloud = PointCloud(rng.random((500, 3), "f4") * 5, np.ones(500, "f4"), rng.integers(1, 3, 500).astype("u1"),
    ...                    ("unranged", "Al", "Li"))
    >>> channels, window = Channels.of_roles(Roles(("Al",), ("Li",))), SdmWindow("z", 1.5, 75, 3.0, 1)
    >>> scan = SdmScan(cloud, channels, window, box=CellBox((0, 0, 0), (0, 0, 0), (5, 5, 5)), edges=[4])
    >>> [batch.counts.shape for batch in scan]
    [(2, 2, 3, 75, 1), (2, 2, 3, 75, 1)]
    """

    instructions = INSTRUCTIONS[-1]

    def __init__(
        self,
        cloud: PointCloud,
        channels: Channels,
        window: SdmWindow,
        *,
        box: CellBox,
        edges: Sequence[int],
        sets: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        self.edges = tuple(sorted(set(edges), reverse=True))
        self.window, self.box = window, box
        _check_edges(self.edges, box)
        group = channels.group_of(cloud.species_names)[cloud.species]
        if sets is not None and (sets.shape[:1] != (len(cloud),) or sets.ndim != 2 or sets.dtype != np.bool_):
            raise PlanError(
                f"Label sets are truth values of shape (ions, sets), here ({len(cloud)}, …); "
                f"found {sets.dtype} of shape {sets.shape}."
            )
        self._tags = tags_of_groups(group, channels, window) if sets is None else tags_of_sets(sets)
        self._shape = BoxShape.of(window, box.stride_nm, self.edges[0])
        ions = sort_ions(cloud.position, group, window, box)
        self._cell, self._group = ions.key[ions.order] // SLICES, group[ions.order]
        self._solute = None if sets is None else sets[ions.order]
        every = self._cell_counts(slice(None))
        most = int(_windows(every, (self.edges[0],) * 3).max())
        if most > MAX_IONS_PER_CUBE:
            raise PlanError(
                f"A cube holds {most:,} ions; at most {MAX_IONS_PER_CUBE:,} can be counted without overflow. "
                f"Check the units of the file (nm expected) and for duplicated ions, or take smaller cubes."
            )
        # what one hook of the kernel can hold: see ext/sdm_kernel.c
        self._wide = 4 * int(every.max()) * int(_windows(every, (1, self.edges[0], 1)).max()) > MAX_16_BIT
        self._volume = make_volume(
            ions, self._tags, window, cells=box.shape, shape=self._shape, instructions=self.instructions
        )
        self._channels = channels

    @property
    def has_contrast(self) -> bool:
        """Whether the channels are those of two roles: host–host, host–solute, solute–solute."""
        return self._channels.pairs == ((0, 0), (0, 1), (1, 1)) and self._solute is None

    def n_ions(self, edge: int) -> npt.NDArray[np.int64]:
        """Count the ions of each group in every cube of an edge; with label sets, the solutes of each set.

        Returns
        -------
        ndarray of int64, (groups or sets, cubes in x, in y, in z)
        """
        groups = [self._group == g for g in range(len(self._channels.groups))]
        members = groups if self._solute is None else list(self._solute.T)
        return np.stack([_windows(self._cell_counts(member), (edge,) * 3) for member in members])

    def _cell_counts(self, member: npt.NDArray[np.bool_] | slice) -> npt.NDArray[np.int64]:
        """Count ions in every cell of the box."""
        return np.bincount(self._cell[member], minlength=int(np.prod(self.box.shape))).reshape(self.box.shape)

    def __iter__(self) -> Iterator[Batch]:
        _, n_y, n_z = self.box.n_cubes(self.edges[-1])
        image = self._tags.n_channels * self.window.bins_z * self.window.bins_lateral
        bytes_per_cube = (4 if self._wide else 2) * image * sum(edge + 1 for edge in self.edges)
        tile = max(int((TILE_BYTES / bytes_per_cube) ** 0.5), 1)
        for y0 in range(0, n_y, tile):
            for z0 in range(0, n_z, tile):
                yield from self._scan_tile((y0, z0, tile), wide=self._wide)

    def _scan_tile(self, tile: tuple[int, int, int], *, wide: bool, first: int = 0) -> Iterator[Batch]:
        """Move along x over one tile of cubes; batches before x cell `first` are not given again."""
        y0, z0, size = tile
        image = self._tags.n_channels * self.window.bins_z * self.window.bins_lateral
        tiles, buffers = [], []
        for edge in self.edges:
            _, n_y, n_z = self.box.n_cubes(edge)
            ty, tz = min(size, n_y - y0), min(size, n_z - z0)
            if ty > 0 and tz > 0:
                tiles.append((edge, y0, ty, z0, tz))
                buffers.append(self._buffers(edge, ty, tz * image * (4 if wide else 2), image * (4 if wide else 2)))
        hook = np.empty((self._shape.extent_z + 1) * image * (4 if wide else 2), dtype=np.uint8)
        for x_cell in range(self.box.shape[0]):
            self._volume.step(tiles, [[b.reshape(-1) for b in part] for part in buffers], hook, x_cell, wide)
            finished, full = [], False
            for (edge, _, ty, _, tz), (ring, _, _) in zip(tiles, buffers, strict=True):
                x = x_cell - (edge - 1)
                if x >= 0:
                    counts = np.empty(ty * tz * image, dtype=np.uint32)
                    full |= take(ring[x % edge], counts, wide)
                    place = (x, slice(y0, y0 + ty), slice(z0, z0 + tz))
                    finished.append(Batch(edge, place, self._in_channels(counts.reshape(ty, tz, -1))))
            if full:  # a 16-bit counter has stopped: this tile again, with 32 bits, from here on
                yield from self._scan_tile(tile, wide=True, first=x_cell)
                return
            if x_cell >= first:
                yield from finished

    def _buffers(self, edge: int, ty: int, row_of_cubes: int, cube: int) -> tuple[Bytes, Bytes, Bytes]:
        """Unfinished images of the cubes of one edge: ring, plane and row."""
        extents = min(edge - 1, self._shape.extent_z) + 1
        return (
            np.zeros((edge, ty * row_of_cubes), dtype=np.uint8),
            np.empty(ty * row_of_cubes, dtype=np.uint8),
            np.empty(ty * extents * cube, dtype=np.uint8),
        )

    def _in_channels(self, counts: Counts) -> Counts:
        """Give the counts of a plane their shape; label sets become three channels each."""
        ty, tz, _ = counts.shape
        counts = counts.reshape(ty, tz, self._tags.n_channels, *self.window.shape)
        if not self._tags.n_sets:
            return counts
        every, some = counts[:, :, :1], counts[:, :, 1:].reshape(ty, tz, self._tags.n_sets, 2, *self.window.shape)
        neither = every[:, :, :, None] - some.sum(axis=3, keepdims=True, dtype=np.uint32)
        return np.concatenate([neither, some], axis=3)


def count_sdm(
    cloud: PointCloud,
    channels: Channels,
    window: SdmWindow,
    *,
    origin_nm: Triple = (0.0, 0.0, 0.0),
    instructions: str = INSTRUCTIONS[-1],
) -> Counts:
    """Count the SDM of all ions of a cloud, whatever the shape of the region they were taken from.

    Parameters
    ----------
    cloud : PointCloud
        Ions of the region.
    channels : Channels
        Which pairs are counted; other ions are left out.
    window : SdmWindow
        Offsets and bins.
    origin_nm : tuple of float
        Origin of the whole-number coordinates in nm.
    instructions : str
        How to count: one of `aptstream.sdm.kernel.INSTRUCTIONS`; the counts are the same.

    Returns
    -------
    ndarray of uint32, (channels, bins_z, bins_lateral)
        Pairs in each channel.

    Raises
    ------
    PlanError
        If the region holds more than 92 681 ions, or is too long for bins this fine.

    Examples
    --------
    >>> from aptstream.points import Roles
    >>> cloud = PointCloud(np.array([[0, 0, 0], [0.1, 0, 0.29]], "f4"), np.ones(2, "f4"), np.array([1, 2], "u1"),
    ...                    ("unranged", "Al", "Li"))
    >>> channels = Channels.of_roles(Roles(("Al",), ("Li",)))
    >>> counts = count_sdm(cloud, channels, SdmWindow("rhoz", 1.5, 75, 2.0, 10))
    >>> [tuple(map(int, place)) for place in np.argwhere(counts)]       # channel, row of 0.02 nm, column of 0.2 nm
    [(1, 14, 0)]
    """
    group = channels.group_of(cloud.species_names)[cloud.species]
    n = int((group >= 0).sum())
    if n > MAX_IONS_PER_CUBE:
        raise PlanError(
            f"The region holds {n:,} ions; at most {MAX_IONS_PER_CUBE:,} can be counted at once. "
            f"Take a smaller region, or scan it in cubes."
        )
    tags = tags_of_groups(group, channels, window)
    image = np.zeros(tags.n_channels * window.bins_z * window.bins_lateral, dtype=np.uint32)
    if n:
        ions = sort_by_depth(cloud.position, group, window, origin_nm)
        shape = BoxShape(0, 0, 0, 1, parted=False)
        volume = make_volume(ions, tags, window, cells=(1, 1, 1), shape=shape, instructions=instructions)
        volume.count(n, image)
    return image.reshape(tags.n_channels, *window.shape)


def zsdm(
    cloud: PointCloud, channels: Channels, *, half_z_nm: float = 1.5, bins_z: int = 75, lateral_nm: float = 0.5
) -> tuple[npt.NDArray[np.float64], Counts]:
    """Count the one-dimensional map along z: offsets of all pairs that stand nearly above each other.

    Parameters
    ----------
    cloud : PointCloud
        Ions of the region.
    channels : Channels
        Which pairs are counted.
    half_z_nm : float
        Largest offset along z in nm.
    bins_z : int
        Number of bins.
    lateral_nm : float
        Largest lateral distance of a pair in nm.

    Returns
    -------
    offset_nm : ndarray of float64, (bins_z,)
        Middle of each bin in nm.
    counts : ndarray of uint32, (channels, bins_z)
        Pairs.

    Raises
    ------
    PlanError
        As `count_sdm`.

    Examples
    --------
    >>> z = np.arange(40) * 0.25
    >>> cloud = PointCloud(np.stack([0 * z, 0 * z, z], axis=1).astype("f4"), np.ones(40, "f4"), np.ones(40, "u1"),
    ...                    ("unranged", "Al"))
    >>> offset, counts = zsdm(cloud, Channels((("Al",),), ((0, 0),)), half_z_nm=1.0, bins_z=5)
    >>> counts[0]
    array([ 0, 39, 38, 37,  0], dtype=uint32)
    """
    window = SdmWindow("z", half_z_nm, bins_z, lateral_nm, 1)
    offset = np.linspace(0, half_z_nm, bins_z, endpoint=False, dtype=np.float64) + half_z_nm / bins_z / 2
    return offset, count_sdm(cloud, channels, window)[:, :, 0]


def scan_sdms(
    store: PointStore, channels: Channels, window: SdmWindow, *, region: Box | None = None, edges: Sequence[int] = (4,)
) -> SdmScan:
    """Read a region of a point store and count the SDMs of all cubes in it, batch by batch.

    Parameters
    ----------
    store : PointStore
        The ions.
    channels : Channels
        Which pairs are counted.
    window : SdmWindow
        Offsets and bins.
    region : Box, optional
        Part of the specimen in nm; all cells that it touches are read. The whole specimen where it is not given.
    edges : sequence of int
        Cube edges in nm; the stride is 1 nm.

    Returns
    -------
    SdmScan
        Iterate over it for `Batch` objects.

    Raises
    ------
    PlanError
        As `SdmScan`.
    StoreError
        If the store is damaged.
    """
    low, high = (0, 0, 0), store.shape_cells
    if region is not None:
        low, high = store.lattice.cells_of(region.low, region.high)
    x, y, z = (b - a for a, b in zip(low, high, strict=True))
    box = CellBox(store.origin_nm, low, (x, y, z))
    return SdmScan(store.read(low, high, columns=()), channels, window, box=box, edges=edges)


def _check_edges(edges: tuple[int, ...], box: CellBox) -> None:
    """Refuse cubes that do not fit."""
    whole = all(isinstance(edge, (int, np.integer)) and edge >= 1 for edge in edges)
    if not 1 <= len(edges) <= MAX_EDGES or not whole:
        raise PlanError(f"One to {MAX_EDGES} cube edges in whole cells are needed, found {edges}.")
    if min(box.n_cubes(edges[0])) < 1:
        size = " x ".join(f"{n * box.stride_nm:g}" for n in box.shape)
        raise PlanError(
            f"No cube of {edges[0] * box.stride_nm:g} nm fits into the volume of {size} nm: "
            f"every axis must be at least as long as a cube."
        )


def _windows(counts: npt.NDArray[np.int64], lengths: tuple[int, int, int]) -> npt.NDArray[np.int64]:
    """Sum every window of so many cells on each axis."""
    for axis, length in enumerate(lengths):
        n = counts.shape[axis] - length + 1
        counts = np.add.reduce([counts.take(range(k, k + n), axis) for k in range(length)])
    return counts
