"""A few ions that stand for all: evenly spread over the specimen, the same ones every time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aptstream.cloud.store import PointStore
from aptstream.points import PointCloud


def fair_shares(n: Sequence[int] | npt.NDArray[np.integer], most: int) -> npt.NDArray[np.int64]:
    """Share out places: everyone gets as many as everyone else, or all that they can fill.

    Parameters
    ----------
    n : sequence of int, (k,)
        How many each could fill.
    most : int
        Places there are.

    Returns
    -------
    ndarray of int64, (k,)
        Places each gets, at most `most` in all.

    Examples
    --------
    >>> fair_shares([900_000, 60_000, 500], 20_500)
    array([10000, 10000,   500])
    """
    wanted = np.asarray(n, dtype=np.int64)
    shares, left = np.zeros_like(wanted), most
    order = np.argsort(wanted, kind="stable")
    for place, which in enumerate(order):
        shares[which] = min(int(wanted[which]), left // (len(order) - place))
        left -= int(shares[which])
    return shares


def sample_ions(store: PointStore, most: int = 60_000) -> PointCloud:
    """Pick ranged ions evenly: of every species each n-th in stored order, so that no place is left out.

    Rare species keep all their ions, frequent ones share the places that remain: densities of different species cannot
    be compared in the sample.

    Parameters
    ----------
    store : PointStore
        All ions.
    most : int
        Ions in all.

    Returns
    -------
    PointCloud
        At most `most` ions, in stored order; m/q is not read.

    Raises
    ------
    StoreError
        If a chunk is missing or damaged.

    Examples
    --------
    >>> import tempfile
    >>> from aptstream.cloud import ingest
    >>> from aptstream.io import write_pos
    >>> from aptstream.points import Range, RangeTable
    >>> table = RangeTable((Range(26, 28, (("Al", 1),)), Range(6, 8, (("Li", 1),))))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_pos(f"{folder}/a.pos", np.random.default_rng(1).random((99, 3)) * 9, [27] * 95 + [7] * 4)
    ...     np.bincount(sample_ions(ingest(f"{folder}/a.pos", ranges=table, out=f"{folder}/a.zarr"), 20).species)
    array([ 0, 16,  4])
    """
    counts = list(store.species_counts().values())
    total = np.array([0, *counts[1:]], dtype=np.int64)  # unranged ions are left out
    taken, seen = fair_shares(total, most), np.zeros_like(total)
    position, species = [np.empty((0, 3), np.float32)], [np.empty(0, np.uint8)]
    for cloud in store.blocks(columns=()):
        picked = np.zeros(len(cloud), np.bool_)
        for number in np.flatnonzero(taken):
            mine = np.flatnonzero(cloud.species == number)
            before = (seen[number] + np.arange(len(mine) + 1)) * taken[number] // total[number]
            picked[mine] = np.diff(before) > 0
            seen[number] += len(mine)
        position.append(cloud.position[picked])
        species.append(cloud.species[picked])
    chosen = np.concatenate(species)
    mass = np.full(len(chosen), np.nan, np.float32)
    return PointCloud(np.concatenate(position), mass, chosen, store.species_names)
