"""The point store: all ions of a reconstruction on disk, sorted so that any region is a few row ranges.

One Zarr v3 group. Rows are sorted by 16 nm brick (x slowest, z fastest), then by 1 nm cell inside the brick
(the same way), then in source order. ``brick_offset`` and ``cell_offset`` say where each begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aptstream.cloud.index import CellIndex, windows
from aptstream.cloud.lattice import BRICK_CELLS, CELLS_PER_BRICK, Cell, Lattice
from aptstream.cloud.manifest import Manifest, read_manifest
from aptstream.errors import StoreError
from aptstream.io.arrays import CheckedArray, damaged
from aptstream.io.digest import digest_by_runs
from aptstream.io.folder import LocalFolder, folder_of
from aptstream.io.ions import COLUMNS
from aptstream.points import PointCloud, RangeTable
from aptstream.progress import Progress, silent
from aptstream.regions import Box, Region, Triple
from aptstream.showing import show_store

if TYPE_CHECKING:
    from aptstream.cloud.lazy import LazyIons

#: Rows read at a time by whatever walks through the whole store.
STREAM_ROWS = 1 << 20

_MASS = "mass_to_charge"


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
    path : path or str
        Folder that `ingest` made, or the URL of one in an object store, such as ``s3://bucket/specimen.zarr``:
        whatever fsspec reaches, with the credentials that it finds in its configuration or the environment.

    Returns
    -------
    PointStore

    Raises
    ------
    StoreError
        If there is none, it cannot be reached, it is damaged, incomplete, or of an unknown version.
    MissingPackageError
        If the package for such a URL is not installed.
    """
    return PointStore(path)


class PointStore:
    """All ions of a reconstruction on disk; read-only, safe to use from several threads, cheap to pickle.

    Parameters
    ----------
    path : path or str
        Folder that `ingest` made, or its URL.

    Attributes
    ----------
    address : str
        What opens it again anywhere: an absolute path, or a URL.
    manifest : Manifest
        What it says of itself, checked.
    lattice : Lattice
        Its cells and bricks.
    ranges : RangeTable
        The ranges that gave the ions their species.
    n_ions : int
        Ions in all, ranged or not.
    attrs : mapping
        Everything it says of itself, as JSON values.
    arrays : mapping of str to CheckedArray
        What it consists of.
    index : CellIndex
        Where bricks and cells begin.

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
    >>> from aptstream.regions import Sphere
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_pos(f"{folder}/a.pos", [[0.5, 0.5, -2.5], [7.5, 0.5, 0.5]], [27, 99])
    ...     table = RangeTable((Range(26, 28, (("Al", 1),)),))
    ...     store = ingest(f"{folder}/a.pos", ranges=table, out=f"{folder}/a.zarr")
    ...     store.box, store.species_counts(), len(store.query(Sphere((7, 0, 0), 2)))
    (Box(low=(0.0, 0.0, -3.0), high=(8.0, 1.0, 1.0)), {'unranged': 1, 'Al': 1}, 1)
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self._folder = folder_of(path)
        self.address = self._folder.address
        self.manifest, attributes = read_manifest(self._folder)
        self.attrs = MappingProxyType(attributes)
        self.lattice: Lattice = self.manifest.lattice
        self.ranges: RangeTable = self.manifest.ranges
        self.n_ions: int = self.manifest.n_ions
        self.arrays = MappingProxyType(
            {
                name: CheckedArray(self._folder, name, shape=shape, dtype=dtype)
                for name, (shape, dtype) in array_shapes(self.manifest).items()
            }
        )
        self.index = CellIndex(self.lattice, self.arrays, self.n_ions)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as an address: tasks open the store where they run."""
        return open_store, (self.address,)

    def __repr__(self) -> str:
        x, y, z = self.shape_cells
        return f"PointStore({str(self._folder)!r}: {self.n_ions} ions, {x} by {y} by {z} nm)"

    _repr_html_ = show_store

    @property
    def path(self) -> Path:
        """Its folder on this disk.

        Raises
        ------
        StoreError
            If it lies elsewhere.
        """
        if not isinstance(self._folder, LocalFolder):
            raise StoreError(
                f"The store {self.address} is no folder on this disk. Expected a local one: copy it here first with "
                f"aptstream copy, or use its address."
            )
        return self._folder.path

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the further numbers of every ion; see `aptstream.io.ions.COLUMNS`."""
        return self.manifest.columns

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

    def read(self, low_cell: Cell, high_cell: Cell, columns: Sequence[str] = (_MASS,)) -> PointCloud:
        """Read the ions of a box of cells.

        Parameters
        ----------
        low_cell, high_cell : tuple of int
            Half-open corners; what lies outside the lattice is cut off.
        columns : sequence of str
            What is read beside positions and species: ``"mass_to_charge"`` and names of `columns`. Without m/q it
            goes faster; then `PointCloud.mass_to_charge` is NaN.

        Returns
        -------
        PointCloud
            In stored order.

        Raises
        ------
        StoreError
            If a chunk that is needed is missing or damaged, or there is no such column.
        """
        return self._read_rows(self.index.rows(*self.lattice.clip(low_cell, high_cell)), columns)

    def blocks(self, region: Region | None = None, columns: Sequence[str] = (_MASS,)) -> Iterator[PointCloud]:
        """Walk through the ions in stored order, about a million at a time, so that memory stays bounded.

        Parameters
        ----------
        region : Box, Sphere, Cylinder or OrientedBox, optional
            Only ions inside; all where none is given.
        columns : sequence of str
            As in `read`.

        Yields
        ------
        PointCloud
            At least one ion.

        Raises
        ------
        StoreError
            As `read`.
        """
        names = self._names(columns)
        runs: Iterator[tuple[int, int]] = iter([(0, self.n_ions)])
        if region is not None:
            runs = self.index.runs(*self.lattice.cells_round(region))
        for start, stop in runs:
            for first in range(start, stop, STREAM_ROWS):
                rows = slice(first, min(first + STREAM_ROWS, stop))
                cloud = self._cloud({name: self.arrays[name][rows] for name in names})
                cloud = cloud if region is None else cloud[region.contains(cloud.position)]
                if len(cloud):
                    yield cloud

    def to_dask(self) -> LazyIons:
        """Return all ions as Dask arrays, whose chunks are runs of whole bricks with about a million ions.

        Returns
        -------
        LazyIons
            Positions, species, m/q and further columns; nothing is read yet.
        """
        from aptstream.cloud.lazy import lazy_ions

        return lazy_ions(self)

    def query(self, region: Region, columns: Sequence[str] = (_MASS,)) -> PointCloud:
        """Read the ions inside a free region; of the store, only the cells that it touches.

        Parameters
        ----------
        region : Box, Sphere, Cylinder or OrientedBox
            In nm.
        columns : sequence of str
            As in `read`.

        Returns
        -------
        PointCloud
            Exactly the ions inside, in stored order.

        Raises
        ------
        StoreError
            If a chunk that is needed is missing or damaged, or there is no such column.
        """
        around = self.lattice.cells_round(region)
        cloud = self._read_rows(self.index.rows(*around, None if isinstance(region, Box) else region), columns)
        return cloud[region.contains(cloud.position)]

    def brick_counts(self) -> npt.NDArray[np.int64]:
        """Count the ions of every brick, (n_bricks,), in the order of bricks: x slowest, z fastest."""
        return np.diff(self.index.brick_offset)

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
            place = tuple(slice(BRICK_CELLS * b, BRICK_CELLS * (b + 1)) for b in brick)
            counts[place] = self.index.counts(number, brick)
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
            counts += np.bincount(self.arrays["species"][start : start + STREAM_ROWS], minlength=256)
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
        return digest_by_runs(self.arrays, self.manifest.defining())

    def verify(self, progress: Progress = silent) -> None:
        """Read everything and check that it is as it was written and that every ion lies in its cell.

        Parameters
        ----------
        progress : Progress
            Told of the stages ``read``, in bytes, and ``check``, in ions.

        Raises
        ------
        StoreError
            Naming what is damaged.
        """
        from aptstream.cloud.verify import verify_points

        verify_points(self, progress)

    def _read_rows(self, rows: npt.NDArray[np.int64], columns: Sequence[str]) -> PointCloud:
        """Read some rows, ascending."""
        arrays = {name: self.arrays[name] for name in self._names(columns)}
        found = {name: np.empty((len(rows), *array.shape[1:]), array.dtype) for name, array in arrays.items()}
        for start, stop in windows(rows, self.arrays["positions"].chunk_rows, STREAM_ROWS):
            first, last = int(rows[start]), int(rows[stop - 1])
            # Without a gap the rows are a slice, and need no second copy.
            gapless = last - first + 1 == stop - start
            pick = slice(None) if gapless else rows[start:stop] - first
            for name, array in arrays.items():
                found[name][start:stop] = array[first : last + 1][pick]
        return self._cloud(found)

    def _names(self, columns: Sequence[str]) -> list[str]:
        """List the arrays that are read for some columns."""
        unknown = [name for name in columns if name not in (_MASS, *self.columns)]
        if unknown:
            raise StoreError(
                f"The store {self._folder} has no column {', '.join(unknown)}. It has: "
                f"{', '.join((_MASS, *self.columns))}. Ingest a file that holds it, such as ePOS."
            )
        return ["positions", "species", *columns]

    def _cloud(self, found: dict[str, npt.NDArray[Any]]) -> PointCloud:
        """Make ions of what was read."""
        position, species = found.pop("positions"), found.pop("species")
        mass = found.pop(_MASS) if _MASS in found else np.broadcast_to(np.float32(np.nan), len(species))
        try:
            return PointCloud(position, mass, species, self.species_names, found)
        except ValueError as error:
            raise self._damaged(f"array 'species' holds an unknown index ({error})") from error

    def _damaged(self, found: str) -> StoreError:
        return damaged(self._folder, found, "what was written")
