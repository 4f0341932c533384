"""The point store: all ions of a reconstruction on disk, sorted so that any region is a few row ranges.

One Zarr v3 group. Rows are sorted by 16 nm brick (x slowest, z fastest), then by 1 nm cell inside the brick
(the same way), then in source order. ``brick_offset`` and ``cell_offset`` say where each begins.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aptstream.cloud.lattice import BRICK_CELLS, CELLS_PER_BRICK, Cell, Lattice
from aptstream.cloud.manifest import Manifest, read_manifest
from aptstream.io.arrays import CheckedArray, damaged
from aptstream.io.digest import digest_by_runs
from aptstream.io.ions import COLUMNS
from aptstream.points import PointCloud, RangeTable
from aptstream.regions import Box, Sphere, Triple

if TYPE_CHECKING:
    from aptstream.errors import StoreError

#: Rows read at a time by whatever walks through the whole store.
STREAM_ROWS = 1 << 20

_CACHED_BLOCKS = 64


def array_shapes(manifest: Manifest) -> dict[str, tuple[tuple[int, ...], str]]:
    """Tell which arrays a point store has.

    Parameters
    ----------
    manifest : Manifest
        What it says of itself.

    Returns
    -------
    dict of str to (shape, dtype)
    """
    n, n_bricks = manifest.n_ions, manifest.lattice.n_bricks
    return {
        "positions": ((n, 3), "float32"),
        "species": ((n,), "uint8"),
        "mass_to_charge": ((n,), "float32"),
        "brick_offset": ((n_bricks + 1,), "int64"),
        "cell_offset": ((n_bricks, CELLS_PER_BRICK + 1), "uint32"),
        **{name: ((n,), COLUMNS[name]) for name in manifest.columns},
    }


def open_store(path: str | PathLike[str]) -> PointStore:
    """Open a point store for reading.

    Parameters
    ----------
    path : path
        Folder that `ingest` made.

    Returns
    -------
    PointStore

    Raises
    ------
    StoreError
        If there is none, it is damaged, incomplete, or of an unknown version.
    """
    return PointStore(path)


class PointStore:
    """All ions of a reconstruction on disk; read-only, safe to use from several threads, cheap to pickle.

    Parameters
    ----------
    path : path
        Folder that `ingest` made.

    Attributes
    ----------
    path : Path
        Its folder.
    lattice : Lattice
        Its cells and bricks.
    ranges : RangeTable
        The ranges that gave the ions their species.
    n_ions : int
        Ions in all, ranged or not.
    attrs : mapping
        Everything it says of itself, as JSON values.

    Raises
    ------
    StoreError
        If there is none, it is damaged, incomplete, or of an unknown version.

    Examples
    --------
    >>> import tempfile
    >>> from aptstream.cloud import ingest
    >>> from aptstream.io import write_pos
    >>> from aptstream.points import Range
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_pos(f"{folder}/a.pos", [[0.5, 0.5, -2.5], [7.5, 0.5, 0.5]], [27, 99])
    ...     table = RangeTable((Range(26, 28, (("Al", 1),)),))
    ...     store = ingest(f"{folder}/a.pos", ranges=table, out=f"{folder}/a.zarr")
    ...     store.box, store.species_counts(), len(store.query(Sphere((7, 0, 0), 2)))
    (Box(low=(0.0, 0.0, -3.0), high=(8.0, 1.0, 1.0)), {'unranged': 1, 'Al': 1}, 1)
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self._manifest, attributes = read_manifest(self.path)
        self.attrs = MappingProxyType(attributes)
        self.lattice: Lattice = self._manifest.lattice
        self.ranges: RangeTable = self._manifest.ranges
        self.n_ions: int = self._manifest.n_ions
        self._arrays = {
            name: CheckedArray(self.path, name, shape=shape, dtype=dtype)
            for name, (shape, dtype) in array_shapes(self._manifest).items()
        }
        self._brick_offset = self._arrays["brick_offset"][:]
        ends = (int(self._brick_offset[0]), int(self._brick_offset[-1]))
        if ends != (0, self.n_ions) or (np.diff(self._brick_offset) < 0).any():
            raise self._damaged("array 'brick_offset' does not ascend from 0 to the number of ions")
        self._block = functools.lru_cache(_CACHED_BLOCKS)(self._read_block)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as a path: tasks open the store where they run."""
        return open_store, (str(self.path),)

    def __repr__(self) -> str:
        x, y, z = self.shape_cells
        return f"PointStore({str(self.path)!r}: {self.n_ions} ions, {x} by {y} by {z} nm)"

    @property
    def species_names(self) -> tuple[str, ...]:
        """Names of the species; index 0 is ``"unranged"``."""
        return self.ranges.species

    @property
    def origin_nm(self) -> Triple:
        """Low corner of cell (0, 0, 0) in nm, whole numbers."""
        return self.lattice.origin_nm

    @property
    def shape_cells(self) -> Cell:
        """Cells of 1 nm along x, y, z."""
        return self.lattice.shape_cells

    @property
    def box(self) -> Box:
        """The volume of all cells, which holds every ion, in nm."""
        return self.lattice.box

    def read(self, low_cell: Cell, high_cell: Cell) -> PointCloud:
        """Read the ions of a box of cells.

        Parameters
        ----------
        low_cell, high_cell : tuple of int
            Half-open corners; what lies outside the lattice is cut off.

        Returns
        -------
        PointCloud
            In stored order.

        Raises
        ------
        StoreError
            If a chunk that is needed is missing or damaged.
        """
        rows = self._rows(*self.lattice.clip(low_cell, high_cell))
        names = ("positions", "mass_to_charge", "species")
        arrays = [self._arrays[name] for name in names]
        found = [np.empty((len(rows), *array.shape[1:]), array.dtype) for array in arrays]
        for start, stop in self._windows(rows):
            first, last = int(rows[start]), int(rows[stop - 1])
            # Without a gap the rows are a slice, and need no second copy.
            gapless = last - first + 1 == stop - start
            pick = slice(None) if gapless else rows[start:stop] - first
            for array, out in zip(arrays, found, strict=True):
                out[start:stop] = array[first : last + 1][pick]
        try:
            return PointCloud(found[0], found[1], found[2], self.species_names)
        except ValueError as error:
            raise self._damaged(f"array 'species' holds an unknown index ({error})") from error

    def query(self, region: Box | Sphere) -> PointCloud:
        """Read the ions inside a free region.

        Parameters
        ----------
        region : Box or Sphere
            A half-open box or a closed ball, in nm.

        Returns
        -------
        PointCloud
            Exactly the ions inside, in stored order.

        Raises
        ------
        StoreError
            If a chunk that is needed is missing or damaged.
        """
        if isinstance(region, Box):
            cloud = self.read(*self.lattice.cells_of(region.low, region.high))
            return cloud[region.contains(cloud.position)]
        # One millionth of a nm more than the ball: its bounds are rounded.
        bounds = Sphere(region.centre, region.radius_nm + 1e-6).bounds
        cloud = self.read(*self.lattice.cells_of(bounds.low, bounds.high))
        offset = cloud.position.astype(np.float64) - region.centre
        return cloud[(offset**2).sum(axis=1) <= region.radius_nm**2]

    def cell_counts(self) -> npt.NDArray[np.uint32]:
        """Count the ions of every cell.

        Returns
        -------
        ndarray of uint32, (nx, ny, nz)

        Raises
        ------
        StoreError
            If the offsets are damaged.
        """
        counts = np.empty(self.shape_cells, np.uint32)
        for number, brick in enumerate(np.ndindex(self.lattice.shape_bricks)):
            in_brick = np.diff(self._offsets(number)).reshape(3 * (BRICK_CELLS,))
            x, y, z = self.lattice.brick_shape(brick)
            if in_brick.sum() != in_brick[:x, :y, :z].sum():
                raise self._damaged(f"array 'cell_offset' has ions outside the lattice in brick {number}")
            place = tuple(slice(BRICK_CELLS * b, BRICK_CELLS * (b + 1)) for b in brick)
            counts[place] = in_brick[:x, :y, :z]
        return counts

    def species_counts(self) -> dict[str, int]:
        """Count the ions of every species, unranged ones first.

        Returns
        -------
        dict of str to int

        Raises
        ------
        StoreError
            If the array of species is damaged.
        """
        counts = np.zeros(256, np.int64)
        for start in range(0, self.n_ions, STREAM_ROWS):
            counts += np.bincount(self._arrays["species"][start : start + STREAM_ROWS], minlength=256)
        if counts[len(self.species_names) :].any():
            raise self._damaged("array 'species' holds an unknown index")
        return dict(zip(self.species_names, counts.tolist(), strict=False))

    def digest(self) -> str:
        """Hash what the store means: its arrays and the attributes that define them, not how it is laid out.

        Returns
        -------
        str
            SHA-256, 64 hexadecimal digits.

        Raises
        ------
        StoreError
            If a chunk is missing or damaged.
        """
        return digest_by_runs(self._arrays, self._manifest.defining())

    def verify(self) -> None:
        """Read everything and check that it is as it was written and that every ion lies in its cell.

        Raises
        ------
        StoreError
            Naming what is damaged.
        """
        self.cell_counts()
        counts = self.species_counts()
        if counts["unranged"] != self.n_ions - self._manifest.n_ranged:
            raise self._damaged(f"{counts['unranged']} ions are unranged, which is not what it promises")
        origin = np.array(self.origin_nm)
        for number, brick in enumerate(np.ndindex(self.lattice.shape_bricks)):
            position = self._arrays["positions"][slice(*self._brick_offset[number : number + 2].tolist())]
            cell = np.floor(position.astype(np.float64) - origin) - BRICK_CELLS * np.array(brick)
            flat = cell @ np.array([BRICK_CELLS**2, BRICK_CELLS, 1])
            expected = np.repeat(np.arange(CELLS_PER_BRICK), np.diff(self._offsets(number)))
            if not (((cell >= 0) & (cell < BRICK_CELLS)).all() and (flat == expected).all()):
                raise self._damaged(f"array 'positions' has ions outside their cells in brick {number}")
        if self.digest() != self.attrs["content_digest"]:
            raise self._damaged("its content has another SHA-256 than it was written with")

    def _rows(self, low: Cell, high: Cell) -> npt.NDArray[np.int64]:
        """List the rows of a clipped box of cells, ascending."""
        starts, stops = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for number, inside in self._bricks(low, high):
            (x0, x1), (y0, y1), (z0, z1) = inside
            offsets = self._offsets(number).astype(np.int64) + self._brick_offset[number]
            # Cells that differ in z only follow one another: one run of rows per x and y.
            run = BRICK_CELLS * (BRICK_CELLS * np.arange(x0, x1)[:, None] + np.arange(y0, y1)).ravel()
            starts.append(offsets[run + z0])
            stops.append(offsets[run + z1])
        start, stop = np.concatenate(starts), np.concatenate(stops)
        length = stop - start
        ends = np.cumsum(length)
        rows: npt.NDArray[np.int64] = np.repeat(stop - ends, length) + np.arange(length.sum())
        return rows

    def _bricks(self, low: Cell, high: Cell) -> Iterator[tuple[int, list[tuple[int, int]]]]:
        """Name the bricks that a box of cells touches, and the cells of each that lie inside, per axis."""
        _, ny, nz = self.lattice.shape_bricks
        corners = list(zip(low, high, strict=True))
        spans = (range(a // BRICK_CELLS, -(-b // BRICK_CELLS) if b > a else 0) for a, b in corners)
        for brick in itertools.product(*spans):
            inside = [
                (max(a - BRICK_CELLS * at, 0), min(b - BRICK_CELLS * at, BRICK_CELLS))
                for (a, b), at in zip(corners, brick, strict=True)
            ]
            yield (brick[0] * ny + brick[1]) * nz + brick[2], inside

    def _windows(self, rows: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
        """Cut ascending rows where a whole chunk can be skipped, and where too much would be read at once."""
        if not len(rows):
            return
        gaps = np.flatnonzero(np.diff(rows) > self._arrays["positions"].chunk_rows) + 1
        for start, stop in itertools.pairwise([0, *gaps.tolist(), len(rows)]):
            at = start
            while at < stop:
                end = int(np.searchsorted(rows[at:stop], rows[at] + STREAM_ROWS)) + at
                yield at, end
                at = end

    def _offsets(self, brick: int) -> npt.NDArray[np.uint32]:
        """Return where the cells of a brick begin, relative to the brick, (4097,)."""
        block, row = divmod(brick, self._arrays["cell_offset"].chunk_rows)
        found: npt.NDArray[np.uint32] = self._block(block)[row]
        return found

    def _read_block(self, block: int) -> npt.NDArray[np.uint32]:
        """Read and check one chunk of cell offsets."""
        array = self._arrays["cell_offset"]
        first = block * array.chunk_rows
        offsets: npt.NDArray[np.uint32] = array[first : first + array.chunk_rows]
        ions = np.diff(self._brick_offset[first : first + len(offsets) + 1])
        ascending = (offsets[:, 1:] >= offsets[:, :-1]).all()
        if not ascending or offsets[:, 0].any() or (offsets[:, -1] != ions).any():
            raise self._damaged(f"array 'cell_offset' contradicts 'brick_offset' from brick {first} on")
        return offsets

    def _damaged(self, found: str) -> StoreError:
        return damaged(self.path, found, "what was written")
