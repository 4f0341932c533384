"""Pairs of ions in a phase, streamed: tile by tile with a halo, every pair counted once.

A tile counts the pairs within it and those with ions in tiles that come later (x slowest, z fastest), as the pairs of
tile and halo together less those of the halo alone. So the sum over all tiles is the count of the whole phase, to the
integer, and memory does not grow with the specimen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, product
from math import ceil

import numpy as np
import numpy.typing as npt

from aptstream.cloud.lattice import BRICK_CELLS
from aptstream.cloud.store import PointStore
from aptstream.phases.phasemap import PhaseMap
from aptstream.points import PointCloud
from aptstream.progress import Progress, silent
from aptstream.sdm.count import count_sdm
from aptstream.sdm.kernel import MAX_IONS_PER_CUBE
from aptstream.sdm.planes import Planes
from aptstream.sdm.window import Channels, SdmWindow

Totals = npt.NDArray[np.int64]

#: Cells of a tile: narrow, because ions are sorted by depth, and as high as a brick.
TILE_CELLS = (8, 8, BRICK_CELLS)
#: Parts that the tiles of a phase are put into, one of which is left out at a time to see how sure a number is.
N_PARTS = 48
#: Share of the golden ratio: tiles k with frac(k φ) < share are evenly spread, whatever the share.
_GOLDEN = 0.6180339887498949
#: Steepest slope of planes along an axis: a little more than is believed of a tilt.
_STEEPEST = 0.07


@dataclass(frozen=True)
class PairCounts:
    """Counted pairs of one phase.

    Parameters
    ----------
    species : tuple of str
        Species whose pairs were counted, each with each.
    windows : tuple of SdmWindow
        Offsets and bins of each kind of map.
    maps : tuple of ndarray of int64, (n_parts, n_pairs, bins_z, bins_lateral)
        Pairs by part of the phase and pair of species, in the order of `pairs`; for each window.
    n_ions : ndarray of int64, (n_species,)
        Ions of each species in the tiles that were counted; in all tiles, unless they were too many.
    share : float
        Share of the tiles of the phase that was counted.
    """

    species: tuple[str, ...]
    windows: tuple[SdmWindow, ...]
    maps: tuple[Totals, ...]
    n_ions: Totals
    share: float

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The pairs of species."""
        return tuple(combinations_with_replacement(self.species, 2))

    def of(self, first: Sequence[str], second: Sequence[str], window: int = 0) -> Totals:
        """Add the pairs of one species of the first group with one of the second.

        Parameters
        ----------
        first, second : sequence of str
            Groups of species: the same, or without overlap.
        window : int
            Which of the windows.

        Returns
        -------
        ndarray of int64, (n_parts, bins_z, bins_lateral)
        """
        wanted = {tuple(sorted((a, b))) for a in first for b in second}
        chosen = [k for k, pair in enumerate(self.pairs) if tuple(sorted(pair)) in wanted]
        return np.asarray(self.maps[window][:, chosen].sum(axis=1))


@dataclass(frozen=True)
class Wanted:
    """What is to be counted.

    Parameters
    ----------
    species : tuple of str
        Species whose pairs are counted, each with each; other ions are left out.
    windows : tuple of SdmWindow
        Offsets and bins.
    most_ions : int
        If a phase holds more ions, only an even choice of its tiles is counted, always the same one.
    """

    species: tuple[str, ...]
    windows: tuple[SdmWindow, ...]
    most_ions: int


@dataclass(frozen=True)
class Tile:
    """A box of cells, and which part of the phase it is."""

    low: tuple[int, int, int]
    part: int


def count_pairs(
    store: PointStore,
    phases: PhaseMap,
    planes: Planes,
    wanted: Wanted,
    progress: Progress = silent,
) -> dict[int, PairCounts]:
    """Count the pairs of species inside each phase; both ions of a pair lie in that phase.

    Heights are measured from the planes: z − slope · (x, y).

    Parameters
    ----------
    store : PointStore
        The ions.
    phases : PhaseMap
        Which voxel belongs to which phase.
    planes : Planes
        Tilt of the planes.
    wanted : Wanted
        Species, windows, and how many ions at most.
    progress : Progress
        Told of the stage ``pairs``, in bricks.

    Returns
    -------
    dict of int to PairCounts
        By the number of the phase.

    Raises
    ------
    PlanError
        If a nm³ holds more ions than can be counted.
    StoreError
        If grid and store do not belong together, or the store is damaged.
    """
    phases.require(store)
    species, windows = wanted.species, wanted.windows
    cells = store.cell_counts()
    chosen = {number: _choose(np.where(phases.phase == number, cells, 0), wanted.most_ions) for number in (1, 2)}
    n_pairs = len(species) * (len(species) + 1) // 2
    maps = {
        number: tuple(np.zeros((n_parts, n_pairs, *window.shape), dtype=np.int64) for window in windows)
        for number, (_, n_parts, _) in chosen.items()
    }
    n_ions = {number: np.zeros(len(species), dtype=np.int64) for number in chosen}
    passes = _passes(species)
    halo = _halo(windows)
    bricks = list(product(*(range(0, n, BRICK_CELLS) for n in store.shape_cells)))
    for done, brick in enumerate(bricks, start=1):
        tiles = {number: list(_tiles_of(brick, found)) for number, (found, _, _) in chosen.items()}
        if any(tiles.values()):
            low, high = (
                tuple(b + s * h + (BRICK_CELLS if s > 0 else 0) for b, h in zip(brick, halo, strict=True))
                for s in (-1, 1)
            )
            ions = _Ions.read(store, phases, planes, (low, high))
            for number, tile in ((number, tile) for number, some in tiles.items() for tile in some):
                own, later = _own_and_later(ions, number, tile.low, halo)
                index = {name: k for k, name in enumerate(store.species_names)}
                n_ions[number] += [int((ions.cloud.species[own] == index[name]).sum()) for name in species]
                for window, total in zip(windows, maps[number], strict=True):
                    for channels, places in passes:
                        total[tile.part, places] += _owned(ions.cloud, own, later, (channels, window))
        progress("pairs", done, len(bricks), "bricks")
    return {
        number: PairCounts(tuple(species), tuple(windows), maps[number], n_ions[number], share)
        for number, (_, _, share) in chosen.items()
    }


@dataclass(frozen=True)
class _Ions:
    """Ions of a brick and its halo, heights measured from the planes."""

    cloud: PointCloud
    cell: npt.NDArray[np.int64]
    phase: npt.NDArray[np.uint8]

    @classmethod
    def read(cls, store: PointStore, phases: PhaseMap, planes: Planes, box: tuple[tuple[int, ...], ...]) -> _Ions:
        """Read a box of cells, cut to those that exist."""
        (lx, ly, lz), (hx, hy, hz) = box
        cloud = store.read((lx, ly, lz), (hx, hy, hz), columns=())
        position = cloud.position.astype(np.float64)
        cell = np.floor(position - store.origin_nm).astype(np.int64)
        phase = phases.phase[tuple(cell.T)]
        position[:, 2] -= position[:, :2] @ np.array(planes.slope)
        level = PointCloud(position.astype(np.float32), cloud.mass_to_charge, cloud.species, cloud.species_names)
        return cls(level, cell, phase)


def _choose(counts: npt.NDArray[np.uint32], most_ions: int) -> tuple[dict[tuple[int, ...], int], int, float]:
    """Choose the tiles of a phase that are counted; return the part of each, how many parts, and their share."""
    shape = [ceil(n / t) for n, t in zip(counts.shape, TILE_CELLS, strict=True)]
    padded = np.zeros([n * t for n, t in zip(shape, TILE_CELLS, strict=True)], dtype=np.uint32)
    padded[tuple(slice(n) for n in counts.shape)] = counts
    ions = padded.reshape(np.column_stack([shape, TILE_CELLS]).ravel().tolist()).sum(axis=(1, 3, 5), dtype=np.int64)
    filled = np.argwhere(ions > 0)
    share = min(1.0, most_ions / max(int(ions.sum()), 1))
    even = (np.arange(1, len(filled) + 1) * _GOLDEN) % 1 < share
    if len(filled) and not even.any():
        even[0] = True
    filled = filled[even]
    held = ions[tuple(filled.T)]
    n_parts = min(N_PARTS, len(filled))
    # Parts of about equally many ions: the tile that holds the middle of a part belongs to it.
    part = ((np.cumsum(held) - held / 2) / max(int(held.sum()), 1) * n_parts).astype(np.int64)
    _, part = np.unique(part, return_inverse=True)
    found = {
        tuple(int(i * t) for i, t in zip(tile, TILE_CELLS, strict=True)): int(p)
        for tile, p in zip(filled, part, strict=True)
    }
    counted = len(found) / int((ions > 0).sum()) if found else 0.0
    return found, (int(part.max()) + 1 if len(part) else 0), counted


def _tiles_of(brick: tuple[int, ...], chosen: dict[tuple[int, ...], int]) -> Iterator[Tile]:
    """Name the chosen tiles of a brick."""
    for offset in product(*(range(0, BRICK_CELLS, t) for t in TILE_CELLS)):
        x, y, z = (b + o for b, o in zip(brick, offset, strict=True))
        if (x, y, z) in chosen:
            yield Tile((x, y, z), chosen[x, y, z])


def _halo(windows: Sequence[SdmWindow]) -> tuple[int, int, int]:
    """Cells around a tile in which partners may lie; planes may be tilted by four degrees."""
    reach = np.max([_reach(window) for window in windows], axis=0)
    x, y, z = (ceil(r) for r in reach + np.array([0, 0, _STEEPEST * (reach[0] + reach[1])]))
    return x, y, z


def _reach(window: SdmWindow) -> npt.NDArray[np.float64]:
    """Largest offsets of a pair along x, y, z."""
    lateral = window.half_lateral_nm
    return np.array([lateral, lateral if window.y_limit_nm is None else window.y_limit_nm, window.half_z_nm])


def _own_and_later(
    ions: _Ions, number: int, low: tuple[int, int, int], halo: tuple[int, int, int]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Rows of the ions of a phase in a tile, and of those around it in tiles that come later."""
    place = ions.cell - low
    beyond = (place >= TILE_CELLS).astype(np.int8) - (place < 0)  # −1 before, 0 within, 1 after, on each axis
    near = (ions.phase == number) & (place >= np.negative(halo)).all(axis=1)
    near &= (place < np.add(TILE_CELLS, halo)).all(axis=1)
    order = beyond @ np.array([9, 3, 1], dtype=np.int8)  # the sign of the first that is not 0
    return np.flatnonzero(near & (order == 0)), np.flatnonzero(near & (order > 0))


def _owned(
    cloud: PointCloud,
    own: npt.NDArray[np.int64],
    later: npt.NDArray[np.int64],
    what: tuple[Channels, SdmWindow],
) -> Totals:
    """Count the pairs with at least one own ion; in halves where there are too many ions at once."""
    channels, window = what
    if not len(own):
        return np.zeros((len(channels.pairs), *window.shape), dtype=np.int64)
    later = later[_in_reach(cloud.position[later], cloud.position[own], window)]
    if len(own) + len(later) > MAX_IONS_PER_CUBE and len(own) > 1:
        own = own[np.argsort(cloud.position[own, 2], kind="stable")]
        lower, upper = own[: len(own) // 2], own[len(own) // 2 :]
        return _owned(cloud, lower, np.concatenate([upper, later]), what) + _owned(cloud, upper, later, what)
    every = count_sdm(cloud[np.concatenate([own, later])], channels, window).astype(np.int64)
    return every - count_sdm(cloud[later], channels, window) if len(later) else every


def _in_reach(
    position: npt.NDArray[np.float32], own: npt.NDArray[np.float32], window: SdmWindow
) -> npt.NDArray[np.bool_]:
    """Tell which ions may be partners of own ones."""
    reach = _reach(window) + 0.01
    return np.asarray(((position >= own.min(axis=0) - reach) & (position <= own.max(axis=0) + reach)).all(axis=1))


def _passes(species: Sequence[str]) -> list[tuple[Channels, list[int]]]:
    """Cover all pairs of species by counts of at most four species each; with each, which pairs it counts."""
    number = {pair: k for k, pair in enumerate(combinations_with_replacement(species, 2))}
    twos = [tuple(species[k : k + 2]) for k in range(0, len(species), 2)]
    blocks = [(twos[i], twos[j]) for i, j in product(range(len(twos)), repeat=2) if i < j] or [(twos[0], ())]
    found, done = [], set[int]()
    for first, second in blocks:
        group = (*first, *second)
        pairs = [(a, b) for a, b in combinations_with_replacement(range(len(group)), 2)]
        fresh = [(a, b) for a, b in pairs if number[group[a], group[b]] not in done]
        places = [number[group[a], group[b]] for a, b in fresh]
        done.update(places)
        found.append((Channels(tuple((name,) for name in group), tuple(fresh)), places))
    return found
