"""Is a point store as it was written? Everything is read, in blocks, and held against what must be true of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aptstream.cloud.lattice import BRICK_CELLS
from aptstream.cloud.ranging import apply_ranges
from aptstream.errors import StoreError
from aptstream.io.arrays import CheckedArray, damaged
from aptstream.io.digest import Rows, content_digest, digest_by_runs
from aptstream.progress import Progress, silent

if TYPE_CHECKING:
    from aptstream.cloud.store import PointStore

_BLOCK_ROWS = 1 << 18
_NAMED = 20


def verify_arrays(
    arrays: dict[str, CheckedArray],
    attributes: dict[str, Any],
    progress: Progress = silent,
    *,
    digest: Callable[[Mapping[str, Rows], Mapping[str, object]], str] = content_digest,
) -> str:
    """Read arrays and hash what they mean.

    Parameters
    ----------
    arrays : dict of str to CheckedArray
        By name, at least one.
    attributes : dict
        JSON values that give them their meaning.
    progress : Progress
        Told of the stage ``read``, in bytes.
    digest : callable
        Reads every row and hashes arrays and attributes, such as `aptstream.io.digest.content_digest`.

    Returns
    -------
    str
        What `digest` makes of them.

    Raises
    ------
    StoreError
        Naming every chunk file that is missing or damaged, the first twenty one by one.
    """
    reading = _Reading(progress, sum(_n_bytes(array) for array in arrays.values()))
    found = digest({name: _Noted(arrays[name], reading) for name in sorted(arrays)}, attributes)
    if reading.damage:
        named = [f"array '{name}' in its chunk file {key} ({why})" for (name, key), why in reading.damage.items()]
        more = f"; and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        what = f"{len(named)} of its files: {'; '.join(named[:_NAMED])}{more}"
        raise damaged(next(iter(arrays.values())).folder, what, "whole chunk files")
    return found


def verify_points(store: PointStore, progress: Progress = silent) -> None:
    """Check a point store: see `PointStore.verify`.

    Parameters
    ----------
    store : PointStore
        What to read.
    progress : Progress
        Told of the stages ``read``, in bytes, and ``check``, in ions.

    Raises
    ------
    StoreError
        Naming what is damaged.
    """
    digest = verify_arrays(dict(store.arrays), store.manifest.defining(), progress, digest=digest_by_runs)
    for number, brick in enumerate(np.ndindex(store.lattice.shape_bricks)):
        store.index.counts(number, brick)
    n_unranged = 0
    for start in range(0, store.n_ions, _BLOCK_ROWS):
        stop = min(start + _BLOCK_ROWS, store.n_ions)
        n_unranged += _check_species(store, start, stop)
        _check_positions(store, start, stop)
        progress("check", stop, store.n_ions, "ions")
    if n_unranged != store.n_ions - store.manifest.n_ranged:
        raise _wrong(store, f"{n_unranged} ions are unranged, which is not what it promises")
    if digest != store.attrs["content_digest"]:
        raise _wrong(store, "its content has another SHA-256 than it was written with")


@dataclass
class _Reading:
    """How far the reading has come, and what was found damaged: why, by array and file."""

    progress: Progress
    total: int
    done: int = 0
    damage: dict[tuple[str, str], str] = field(default_factory=dict)


class _Noted:
    """An array that notes its damage and goes on."""

    def __init__(self, array: CheckedArray, reading: _Reading) -> None:
        self._array, self._reading = array, reading
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, rows: slice, /) -> npt.NDArray[Any]:
        start, stop, _ = rows.indices(self.shape[0])
        try:
            found = self._array[start:stop]
        except StoreError:
            found = np.zeros((stop - start, *self.shape[1:]), self.dtype)
            self._note(start, stop)
        self._reading.done += found.nbytes
        self._reading.progress("read", self._reading.done, self._reading.total, "bytes")
        return found

    def _note(self, start: int, stop: int) -> None:
        """Read file by file to see which it is."""
        step = self._array.shard_rows
        for first in range(start // step * step, stop, step):
            part = slice(max(first, start), min(first + step, stop))
            try:
                _ = self._array[part]
            except StoreError as error:
                keys = ", ".join(self._array.keys(part.start, part.stop))
                self._reading.damage.setdefault((self._array.name, keys), str(error.__cause__ or error))


def _n_bytes(array: CheckedArray) -> int:
    return int(np.prod(array.shape, dtype=np.int64)) * array.dtype.itemsize


def _check_species(store: PointStore, start: int, stop: int) -> int:
    """Check that every ion has the species of its m/q; count the unranged ones."""
    species = store.arrays["species"][start:stop]
    if species.max() >= len(store.species_names):
        raise _wrong(store, f"array 'species' holds an unknown index in rows {start} to {stop - 1}")
    other = species != apply_ranges(store.arrays["mass_to_charge"][start:stop], store.ranges)
    if other.any():
        row = start + int(other.argmax())
        raise _wrong(store, f"array 'species' and array 'mass_to_charge' contradict each other from row {row} on")
    return int(np.count_nonzero(species == 0))


def _check_positions(store: PointStore, start: int, stop: int) -> None:
    """Check that the ions of some rows lie in their cells."""
    position, offsets = store.arrays["positions"][start:stop], store.index.brick_offset
    first, last = (int(np.searchsorted(offsets, row, side="right")) - 1 for row in (start, stop - 1))
    for number in range(first, last + 1):
        low, high = (int(np.clip(offset, start, stop)) for offset in offsets[number : number + 2])
        if low == high:
            continue
        brick = np.unravel_index(number, store.lattice.shape_bricks)
        # The origin first, as ingest does: another rounding may put an ion beside its cell.
        place = position[low - start : high - start].astype(np.float64) - store.origin_nm
        cell = np.floor(place) - BRICK_CELLS * np.array(brick)
        cells = np.clip(store.index.offsets(number).astype(np.int64) + offsets[number], low, high)
        expected = np.repeat(np.arange(len(cells) - 1), np.diff(cells))
        inside = ((cell >= 0) & (cell < BRICK_CELLS)).all()
        if not inside or (cell @ np.array([BRICK_CELLS**2, BRICK_CELLS, 1]) != expected).any():
            raise _wrong(store, f"array 'positions' has ions outside their cells in brick {number}")


def _wrong(store: PointStore, found: str) -> StoreError:
    return damaged(store.address, found, "what was written")
