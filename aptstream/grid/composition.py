"""What particles are made of: the ions inside their voxels, counted through the KD-tree brick by brick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from aptstream.cloud.lattice import BRICK_CELLS
from aptstream.cloud.store import PointStore
from aptstream.cloud.tree import PointTree
from aptstream.errors import StoreError
from aptstream.grid.precipitates import Precipitates
from aptstream.points import RangeTable
from aptstream.progress import Progress, silent
from aptstream.regions import Box


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
    if found.labels.shape != store.shape_cells or found.origin_nm != store.origin_nm:
        raise StoreError(
            f"The grid ({found.labels.shape} voxels from {found.origin_nm} nm) and the store "
            f"({store.shape_cells} cells from {store.origin_nm} nm) do not belong together: scan this store."
        )
    names = store.species_names
    counts = np.zeros((len(found) + 1, len(names)), dtype=np.int64)
    bricks = list(product(*(range(0, n, BRICK_CELLS) for n in store.shape_cells)))
    for done, low in enumerate(bricks):
        labels = found.labels[tuple(slice(a, a + BRICK_CELLS) for a in low)]
        if labels.any():
            _count_brick(counts, labels, low, store)
        progress("composition", done + 1, len(bricks), "bricks")
    return replace(found, ions={name: counts[1:, k] for k, name in enumerate(names)})


def _count_brick(
    counts: npt.NDArray[np.int64], labels: npt.NDArray[np.int32], low: tuple[int, ...], store: PointStore
) -> None:
    """Add the ions of the particles in one brick."""
    x, y, z = low
    cloud = store.read((x, y, z), (x + BRICK_CELLS, y + BRICK_CELLS, z + BRICK_CELLS), columns=())
    tree = PointTree(cloud.position)
    corner = np.array(store.origin_nm) + low
    for label, part in enumerate(ndimage.find_objects(labels), start=1):
        if part is None:
            continue
        first, last = (corner + [getattr(s, end) for s in part] for end in ("start", "stop"))
        rows = tree.query(Box(tuple(first), tuple(last)))
        voxel = np.floor(cloud.position[rows].astype(np.float64) - corner).astype(int)
        inside = rows[labels[tuple(voxel.T)] == label]
        counts[label] += np.bincount(cloud.species[inside], minlength=counts.shape[1])


def atomic_percent(found: Precipitates, table: RangeTable) -> dict[str, npt.NDArray[np.float64]]:
    """Composition of every particle; molecular ions count as their atoms, unranged ions do not count.

    Parameters
    ----------
    found : Precipitates
        With counted ions.
    table : RangeTable
        Says what each ion is made of.

    Returns
    -------
    dict of str to ndarray of float64, (n,)
        at.% of each element; NaN for particles without ranged ions.

    Examples
    --------
    >>> from aptstream.points import Range
    >>> table = RangeTable((Range(1, 2, (("Cr", 1), ("O", 2))), Range(3, 4, (("Si", 1),))))
    >>> column = np.array([1])
    >>> found = Precipitates(np.zeros((1, 1, 1), "i4"), (0, 0, 0), 1.0, np.zeros((1, 3)), column, column, column == 1,
    ...                      {"unranged": column * 9, "CrO2": column, "Si": column})
    >>> {element: float(percent[0]) for element, percent in atomic_percent(found, table).items()}
    {'Cr': 25.0, 'O': 50.0, 'Si': 25.0}
    """
    return _percent(found.ions, table)


def overall_percent(ions: Mapping[str, int], table: RangeTable) -> dict[str, float]:
    """Composition of a set of ions in at.%; see `atomic_percent`.

    Parameters
    ----------
    ions : mapping of str to int
        Ions of each species.
    table : RangeTable
        Says what each ion is made of.

    Returns
    -------
    dict of str to float
    """
    columns = {name: np.array([count]) for name, count in ions.items()}
    return {element: float(percent[0]) for element, percent in _percent(columns, table).items()}


def _percent(ions: Mapping[str, npt.NDArray[np.int64]], table: RangeTable) -> dict[str, npt.NDArray[np.float64]]:
    atoms: dict[str, npt.NDArray[np.float64]] = {}
    for ion, parts in table.atoms.items():
        for element, number in parts:
            atoms[element] = atoms.get(element, 0) + number * ions[ion].astype(np.float64)
    total = np.sum(list(atoms.values()), axis=0)
    with np.errstate(invalid="ignore"):
        return {element: 100 * count / total for element, count in atoms.items()}
