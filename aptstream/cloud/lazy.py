"""A point store as Dask arrays: lazy, one chunk for a run of whole bricks, addresses in the graph and no data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aptstream.cloud.manifest import read_manifest
from aptstream.errors import StoreError
from aptstream.io.arrays import CheckedArray
from aptstream.io.folder import folder_of

if TYPE_CHECKING:
    import dask.array as da

    from aptstream.cloud.store import PointStore

#: Ions in a chunk, about.
CHUNK_ROWS = 1 << 20


@dataclass(frozen=True)
class LazyIons:
    """All ions of a point store as Dask arrays in stored order; all have the same chunks along the ions.

    Parameters
    ----------
    position : dask.array.Array of float32, (n, 3)
        x, y, z in nm.
    species : dask.array.Array of uint8, (n,)
        Index into `species_names`; 0 = unranged.
    mass_to_charge : dask.array.Array of float32, (n,)
        m/q in Da.
    species_names : tuple of str
        Names; index 0 is ``"unranged"``.
    bricks : tuple of range
        Numbers of the bricks in each chunk, z fastest: no brick is shared by two chunks.
    columns : mapping of str to dask.array.Array, (n,)
        Further numbers of every ion, by names of `aptstream.io.ions.COLUMNS`.
    """

    position: da.Array
    species: da.Array
    mass_to_charge: da.Array
    species_names: tuple[str, ...]
    bricks: tuple[range, ...]
    columns: Mapping[str, da.Array] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredRows:
    """The rows of one array of a point store, by address: what the tasks carry.

    Parameters
    ----------
    address : str
        Path or URL of the store.
    content_digest : str
        What it must hold.
    name : str
        Name of the array.
    shape : tuple of int
        Its extents.
    dtype : str
        Its type.
    """

    address: str
    content_digest: str
    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, key: tuple[slice, ...]) -> npt.NDArray[Any]:
        """Read some rows.

        Raises
        ------
        StoreError
            If the store has changed since the task was made, or a chunk is missing or damaged.
        """
        rows, *others = key
        folder = folder_of(self.address)
        _, attributes = read_manifest(folder)
        if attributes["content_digest"] != self.content_digest:
            raise StoreError(
                f"The point store {self.address} has changed since its arrays were made: found "
                f"{attributes['content_digest'][:12]}, expected {self.content_digest[:12]}. Open it again."
            )
        array = CheckedArray(folder, self.name, shape=self.shape, dtype=self.dtype)
        start, stop, step = rows.indices(self.shape[0])
        if step < 1:
            return array[stop + 1 : start + 1][::step][(slice(None), *others)]
        return array[start:stop][(slice(None, None, step), *others)]


def lazy_ions(store: PointStore, chunk_rows: int = CHUNK_ROWS) -> LazyIons:
    """Return all ions as Dask arrays.

    Parameters
    ----------
    store : PointStore
        The ions.
    chunk_rows : int
        Ions in a chunk, about: a chunk holds whole bricks, at least one.

    Returns
    -------
    LazyIons
    """
    import dask.array as da

    edges = store.index.edges(chunk_rows)
    sizes = tuple(np.diff(store.index.brick_offset[edges]).tolist())

    def lazy(name: str) -> da.Array:
        array = store.arrays[name]
        rows = StoredRows(store.address, store.attrs["content_digest"], name, array.shape, array.dtype.name)
        chunks = (sizes, *((n,) for n in array.shape[1:]))
        found: da.Array = da.from_array(rows, chunks=chunks, fancy=False, meta=np.empty((0,) * rows.ndim, array.dtype))
        return found

    return LazyIons(
        lazy("positions"),
        lazy("species"),
        lazy("mass_to_charge"),
        store.species_names,
        tuple(range(a, b) for a, b in pairwise(edges)),
        {name: lazy(name) for name in store.columns},
    )
