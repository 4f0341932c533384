"""The ions inside particles, counted brick by brick."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aptstream.cloud.store import PointStore
from aptstream.errors import StoreError
from aptstream.grid.precipitates import Precipitates
from aptstream.peers.walk import bricks_of
from aptstream.progress import Progress, silent


def count_ions(found: Precipitates, store: PointStore, progress: Progress = silent) -> Precipitates:
    """Count the ions of every species inside every particle.

    Parameters
    ----------
    found : Precipitates
        Particles on the 1 nm voxels of this store.
    store : PointStore
        The ions.
    progress : Progress
        Told of the stage ``composition``, in bricks.

    Returns
    -------
    Precipitates
        The same particles with `ions` filled in.

    Raises
    ------
    StoreError
        If the grid and the store do not belong together.
    """
    require_same_grid(found.labels.shape, found.origin_nm, store)
    n_species = len(store.species_names)
    counts = np.zeros((len(found) + 1) * n_species, dtype=np.int64)
    for brick in bricks_of(store, "composition", progress=progress):
        labels = found.labels[brick.place].ravel()
        if labels.any():
            flat = labels[brick.flat(brick.own)].astype(np.int64) * n_species + brick.cloud.species[brick.own]
            keys, n = np.unique(flat, return_counts=True)
            counts[keys] += n
    columns = counts.reshape(-1, n_species)[1:].T
    return replace(found, ions=dict(zip(store.species_names, columns, strict=True)))


def require_same_grid(shape: tuple[int, ...], origin_nm: tuple[float, ...], store: PointStore) -> None:
    """Refuse a grid that does not lie on the 1 nm voxels of a store.

    Parameters
    ----------
    shape : tuple of int
        Voxels along x, y, z.
    origin_nm : tuple of float
        Low corner of voxel [0, 0, 0] in nm.
    store : PointStore
        The ions.

    Raises
    ------
    StoreError
        If it does not.
    """
    if shape != store.shape_cells or tuple(origin_nm) != store.origin_nm:
        raise StoreError(
            f"The grid ({shape} voxels from {tuple(origin_nm)} nm) and the store ({store.shape_cells} cells from "
            f"{store.origin_nm} nm) do not belong together: give the ions that were scanned."
        )
