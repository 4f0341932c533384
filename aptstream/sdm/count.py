"""The gate of the SDM kernel: from ions to pair histograms, of free regions and of all overlapping cubes.

Kernel and bin rule: ``ext/sdm_kernel.c``; the definition in words and integers: `aptstream.sdm.window`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from aptstream import _sdm
from aptstream.errors import PlanError
from aptstream.points import NEITHER, PointCloud, Roles, Triple
from aptstream.sdm.window import CHANNELS, MAX_UNITS, SdmWindow

Counts = npt.NDArray[np.uint32]

#: A cube of more ions could hold more than 2³² − 1 pairs, the largest number that a counter can show.
MAX_IONS_PER_CUBE = 92_681
#: z slices in a cell: partners are looked for in whole slices.
SLICES = 8
#: Memory of one tile of unfinished cubes; small enough to stay near the processor.
TILE_BYTES = 24 << 20


@dataclass(frozen=True)
class Cubes:
    """The lattice of overlapping cubes in a box of cells.

    Parameters
    ----------
    origin_nm : tuple of float
        Low corner of cell (0, 0, 0) of the whole specimen in nm: one origin for all boxes, so that counts do not
        depend on how a specimen is cut into boxes.
    low : tuple of int
        First cell of the box.
    shape : tuple of int
        Cells of the box on each axis.
    edge : int
        Cube edge in cells.
    stride_nm : float
        Cell width, which is the stride of the cubes, in nm.
    """

    origin_nm: Triple
    low: tuple[int, int, int]
    shape: tuple[int, int, int]
    edge: int
    stride_nm: float = 1.0

    @property
    def n_cubes(self) -> tuple[int, int, int]:
        """Cubes that fit into the box on each axis."""
        x, y, z = (max(n - self.edge + 1, 0) for n in self.shape)
        return x, y, z


@dataclass(frozen=True)
class Batch:
    """Finished SDMs of the cubes ``[x, y0:y0+ny, z0:z0+nz]`` of a box.

    Parameters
    ----------
    place : tuple of (int, slice, slice)
        Index of these cubes in an array over all cubes of the box.
    counts : ndarray of uint32, (ny, nz, 3, bins_z, bins_lateral)
        Channels host–host, host–solute, solute–solute.
    """

    place: tuple[int, slice, slice]
    counts: Counts


class SdmScan:
    """SDMs of all cubes of a box, every pair of ions counted once. Iterate over it for `Batch` objects.

    Parameters
    ----------
    cloud : PointCloud
        Ions; those outside the box and those of neither role are left out.
    roles : Roles
        Which species are host and solute.
    window : SdmWindow
        Offsets and bins.
    cubes : Cubes
        The lattice of cubes.

    Attributes
    ----------
    n_host, n_solute : ndarray of int64, ``cubes.n_cubes``
        Ions of each role in every cube.

    Raises
    ------
    PlanError
        If the box is smaller than a cube, too long for exact coordinates, or a cube holds more than 92 681 ions.

    References
    ----------
    .. [1] Moody et al., Microsc. Microanal. 15, 146 (2009): spatial distribution maps.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> cloud = PointCloud(rng.random((500, 3), "f4") * 5, np.ones(500, "f4"), rng.integers(1, 3, 500).astype("u1"),
    ...                    ("unranged", "Al", "Li"))
    >>> window, cubes = SdmWindow("z", 1.5, 75, 3.0, 1), Cubes((0, 0, 0), (0, 0, 0), (5, 5, 5), 4)
    >>> scan = SdmScan(cloud, Roles(("Al",), ("Li",)), window, cubes)
    >>> [batch.counts.shape for batch in scan]
    [(2, 2, 3, 75, 1), (2, 2, 3, 75, 1)]
    """

    def __init__(self, cloud: PointCloud, roles: Roles, window: SdmWindow, cubes: Cubes) -> None:
        if min(cubes.n_cubes) < 1:
            size = " x ".join(f"{n * cubes.stride_nm:g}" for n in cubes.shape)
            raise PlanError(
                f"No cube of {cubes.edge * cubes.stride_nm:g} nm fits into the volume of {size} nm: "
                f"every axis must be at least as long as a cube."
            )
        if max(np.array(cubes.shape) * cubes.stride_nm * window.units_per_nm) >= MAX_UNITS:
            raise PlanError(f"The box of {cubes.shape} cells is too long for bins this fine: scan it in shorter boxes.")
        self.window, self.cubes = window, cubes
        position, role = _with_role(cloud, roles)
        per_nm = 1 / cubes.stride_nm
        scale = np.array([per_nm, per_nm, per_nm * SLICES])
        cell = _floor(position, cubes.origin_nm, scale)
        cell[:, 2] -= cubes.low[2] * SLICES
        cell[:, :2] -= cubes.low[:2]
        inside = ((cell >= 0) & (cell < np.array(cubes.shape) * (1, 1, SLICES))).all(axis=1)
        if not inside.all():
            position, role, cell = position[inside], role[inside], cell[inside]
        self._volume = self._prepare(position, role, cell)
        self.n_host, self.n_solute = (self._per_cube(cell[role == r]) for r in (0, 1))
        most = int((self.n_host + self.n_solute).max())
        if most > MAX_IONS_PER_CUBE:
            raise PlanError(
                f"A cube holds {most:,} ions; at most {MAX_IONS_PER_CUBE:,} can be counted without overflow. "
                f"Check the units of the file (nm expected) and for duplicated ions, or take smaller cubes."
            )

    def _prepare(
        self, position: npt.NDArray[np.float32], role: npt.NDArray[np.uint8], cell: npt.NDArray[np.int64]
    ) -> _sdm.Volume:
        """Sort the ions for the kernel."""
        nx, ny, nz = self.cubes.shape
        fine = _floor(position, self.cubes.origin_nm, self.window.units_per_nm)
        if len(fine):
            fine -= fine.min(axis=0)
        slice_of = (cell[:, 0] * ny + cell[:, 1]) * (nz * SLICES) + cell[:, 2]
        start = np.zeros(nx * ny * nz * SLICES + 1, dtype=np.int64)
        order = np.empty(len(fine), dtype=np.int64)
        _sdm.sort_slices(slice_of, fine, start, order)
        bins = self.window.bins_z * self.window.bins_lateral
        tag = (cell[:, 2] // SLICES) * (len(CHANNELS) * bins) + role * np.int64(bins)
        reach = ceil(self.window.half_z_nm / self.cubes.stride_nm * SLICES) + 1
        lateral = self._extent(self.window.half_lateral_nm)
        across = self.cubes.edge - 1 if self.window.kind == "zx" else lateral  # zx looks through the whole cube
        extent = (lateral, across, self._extent(self.window.half_z_nm))
        numbers = (SLICES, reach, self.cubes.edge, *extent, *_image_numbers(self.window))
        columns = [_padded(fine[order, axis], np.float32) for axis in range(3)]
        return _sdm.Volume(*columns, _padded(tag[order], np.int32), start, (nx, ny, nz), numbers)

    def _extent(self, half_nm: float) -> int:
        """How many cells apart the ions of a pair can be, inside one cube and inside the window."""
        return min(self.cubes.edge - 1, ceil(half_nm / self.cubes.stride_nm))

    def _per_cube(self, cell: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Count ions in every cube."""
        shape = self.cubes.shape
        flat = (cell[:, 0] * shape[1] + cell[:, 1]) * shape[2] + cell[:, 2] // SLICES
        counts = np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape)
        for axis, n in enumerate(self.cubes.n_cubes):
            counts = np.add.reduce([counts.take(range(k, k + n), axis) for k in range(self.cubes.edge)])
        return counts

    def __iter__(self) -> Iterator[Batch]:
        _, n_y, n_z = self.cubes.n_cubes
        image = len(CHANNELS) * self.window.bins_z * self.window.bins_lateral
        edge = max(int((TILE_BYTES / (4 * image * (self.cubes.edge + 1))) ** 0.5), 4)
        for y0 in range(0, n_y, edge):
            for z0 in range(0, n_z, edge):
                yield from self._scan_tile((y0, min(edge, n_y - y0), z0, min(edge, n_z - z0)))

    def _scan_tile(self, tile: tuple[int, int, int, int]) -> Iterator[Batch]:
        """Move along x over one tile of cubes."""
        y0, ty, z0, tz = tile
        side, shape = self.cubes.edge, (ty, tz, len(CHANNELS), *self.window.shape)
        image = int(np.prod(shape[2:]))
        extents = self._extent(self.window.half_z_nm) + 1
        ring = np.zeros((side, ty * tz * image), dtype=np.uint32)
        plane = np.empty(ty * tz * image, dtype=np.uint32)
        row = np.empty(ty * extents * image, dtype=np.uint32)
        hook = np.empty(extents * image + _sdm.PAD, dtype=np.uint32)
        for x_cell in range(self.cubes.shape[0]):
            self._volume.step(tile, ring.reshape(-1), plane, row, hook, x_cell)
            x = x_cell - (side - 1)
            if x >= 0:
                finished = ring[x % side]
                yield Batch((x, slice(y0, y0 + ty), slice(z0, z0 + tz)), finished.reshape(shape).copy())
                finished[:] = 0


def count_sdm(cloud: PointCloud, roles: Roles, window: SdmWindow, *, origin_nm: Triple = (0.0, 0.0, 0.0)) -> Counts:
    """Count the SDM of all ions of a cloud, whatever the shape of the region they were taken from.

    Parameters
    ----------
    cloud : PointCloud
        Ions of the region.
    roles : Roles
        Which species are host and solute; other ions are not counted.
    window : SdmWindow
        Offsets and bins.
    origin_nm : tuple of float
        Origin of the whole-number coordinates in nm.

    Returns
    -------
    ndarray of uint32, (3, bins_z, bins_lateral)
        Pairs in the channels host–host, host–solute, solute–solute.

    Raises
    ------
    PlanError
        If the region holds more than 92 681 ions, or is too long for bins this fine.

    Examples
    --------
    >>> cloud = PointCloud(np.array([[0, 0, 0], [0.1, 0, 0.29]], "f4"), np.ones(2, "f4"), np.array([1, 2], "u1"),
    ...                    ("unranged", "Al", "Li"))
    >>> counts = count_sdm(cloud, Roles(("Al",), ("Li",)), SdmWindow("rhoz", 1.5, 75, 2.0, 10))
    >>> [tuple(map(int, place)) for place in np.argwhere(counts)]       # channel, row of 0.02 nm, column of 0.2 nm
    [(1, 14, 0)]
    """
    position, role = _with_role(cloud, roles)
    if len(position) > MAX_IONS_PER_CUBE:
        raise PlanError(
            f"The region holds {len(position):,} ions; at most {MAX_IONS_PER_CUBE:,} can be counted at once. "
            f"Take a smaller region, or scan it in cubes."
        )
    fine = _floor(position, origin_nm, window.units_per_nm)
    if len(fine):
        fine -= fine.min(axis=0)
        if fine.max() >= MAX_UNITS:
            raise PlanError("The region is too long for bins this fine: take a smaller region.")
    order = np.argsort(fine[:, 2], kind="stable")
    bins = window.bins_z * window.bins_lateral
    columns = [_padded(fine[order, axis], np.float32) for axis in range(3)]
    numbers = (1, 1, 1, 0, 0, 0, *_image_numbers(window))
    volume = _sdm.Volume(
        *columns, _padded(role[order].astype(np.int64) * bins, np.int32), np.zeros(2, np.int64), (1, 1, 1), numbers
    )
    image = np.zeros(len(CHANNELS) * bins + _sdm.PAD, dtype=np.uint32)
    volume.count(len(fine), image)
    return image[: len(CHANNELS) * bins].reshape(len(CHANNELS), *window.shape)


def contrast(counts: Counts, fraction: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Contrast images of many cubes: the compiled half of `aptstream.sdm.image.contrast_images`.

    Parameters
    ----------
    counts : ndarray of uint32, (n, 3, bins_z, bins_lateral)
        Channels host–host, host–solute, solute–solute.
    fraction : ndarray of float32, (n,)
        Solute fraction of each cube.

    Returns
    -------
    ndarray of float32, (n, bins_z, bins_lateral)
    """
    out = np.empty((len(counts), *counts.shape[2:]), dtype=np.float32)
    _sdm.contrast(np.ascontiguousarray(counts), np.ascontiguousarray(fraction), out)
    return out


def _image_numbers(window: SdmWindow) -> tuple[int, int, int, int]:
    """Kind, rows, columns and bins of all channels, as the kernel wants them."""
    kind = _sdm.ZX if window.kind == "zx" else _sdm.RHOZ
    return kind, *window.shape, len(CHANNELS) * window.bins_z * window.bins_lateral


def _with_role(cloud: PointCloud, roles: Roles) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Positions and roles of the ions that play one."""
    role = roles.of(cloud.species_names)[cloud.species]
    keep = role != NEITHER
    position = cloud.position[keep]
    if not np.isfinite(position).all():
        raise PlanError("Some positions are not finite numbers: remove those ions first.")
    return position, role[keep]


def _floor(
    position: npt.NDArray[np.float32], origin_nm: Triple, per_nm: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """``floor((position - origin) * per_nm)`` in float64, (n, 3)."""
    out = np.empty(position.shape, dtype=np.int64)
    _sdm.cells(np.ascontiguousarray(position), np.array(origin_nm, dtype=np.float64), per_nm, out)
    return out


def _padded(values: npt.NDArray[np.int64], dtype: type[np.float32] | type[np.int32]) -> npt.NDArray[np.generic]:
    """Copy with room behind the last value for the kernel's blocks."""
    out = np.zeros(len(values) + _sdm.PAD, dtype=dtype)
    out[: len(values)] = values
    return out
