"""The third pass of an ingest: every run of rows of the store is gathered from the scatter log, sorted and written.

A run is as long as what is hashed at once and consists of whole shards: no two tasks write to the same file. A brick
across a border is sorted for both runs.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from aptstream.cloud.gather import Job, reuse_memory
from aptstream.cloud.lattice import BRICK_CELLS, CELLS_PER_BRICK
from aptstream.cloud.manifest import Manifest
from aptstream.cloud.ranging import apply_ranges
from aptstream.cloud.store import array_shapes
from aptstream.io.arrays import create_array
from aptstream.io.decode import SortedBrick, sort_brick
from aptstream.io.digest import run_sha256, runs_of
from aptstream.io.replace import replacing, sync
from aptstream.io.shards import stored_rows, write_rows

#: Arrays with a row for every brick; all others have one for every ion.
OFFSETS = ("brick_offset", "cell_offset")

_CELL_BYTES = 4 * (CELLS_PER_BRICK + 1)


@dataclass(frozen=True)
class Arranged:
    """A run of rows that is on disk.

    Parameters
    ----------
    n_rows, n_ranged : int
        Its ions, and those of them that lie in a range.
    sha256 : dict of str to str
        Hash of the rows of every array.
    cells_crc32 : int
        Checksum over the cell offsets of the bricks that begin in it.
    """

    n_rows: int
    n_ranged: int
    sha256: dict[str, str]
    cells_crc32: int


@dataclass(frozen=True)
class Arrangement:
    """What the tasks of this pass have to know beside the job.

    Parameters
    ----------
    job : Job
        The ingest.
    manifest : Manifest
        The store; ranged ions are not counted yet.
    """

    job: Job
    manifest: Manifest

    @property
    def store(self) -> Path:
        """Folder that becomes the store."""
        return self.job.folder / "store"

    @property
    def n_runs(self) -> int:
        """Runs of rows in all."""
        return -(-self.manifest.n_ions // self.job.run_rows)

    def rows_of(self, run: int) -> tuple[int, int]:
        """Return the first row of a run and the one behind its last."""
        start = run * self.job.run_rows
        return start, min(start + self.job.run_rows, self.manifest.n_ions)

    def brick_offset(self) -> npt.NDArray[np.int64]:
        """Read the first row of every brick, and the number of ions."""
        return np.fromfile(self.job.folder / "bricks", np.int64)

    def marker(self, run: int) -> Path:
        """Name the file that says that a run is on disk."""
        return self.job.folder / f"run-{run:06d}.json"

    def create(self, counts: npt.NDArray[np.int64]) -> None:
        """Make what tasks write to, where it is not there yet.

        Parameters
        ----------
        counts : ndarray of int64, (n_bricks,)
            Ions of every brick.
        """
        with replacing(self.job.folder / "bricks") as stream:
            offset = np.zeros(len(counts) + 1, np.int64)
            np.cumsum(counts, out=offset[1:])
            stream.write(offset.data)
        with (self.job.folder / "cells").open("ab") as stream:
            stream.truncate(_CELL_BYTES * len(counts))  # bricks without ions stay zero
        self.store.mkdir(exist_ok=True)
        layout = self.job.layout
        for name, (shape, dtype) in array_shapes(self.manifest).items():
            if (self.store / name / "zarr.json").exists():
                for partial in (self.store / name).glob("*.partial"):  # of a shard that was being written
                    partial.unlink()
                continue
            rows = layout.offset_rows if name == "cell_offset" else layout.chunk_rows
            chunk = (rows, *shape[1:])
            create_array(self.store, name, shape=shape, dtype=dtype, chunk=chunk, shard_chunks=layout.shard_chunks)


def arrange(what: Arrangement, first: int, last: int) -> int:
    """Write some runs of rows; those that are there already are kept.

    Parameters
    ----------
    what : Arrangement
        The store.
    first, last : int
        First run, and the one behind the last.

    Returns
    -------
    int
        Rows of the runs.
    """
    reuse_memory()
    offset = what.brick_offset()
    missing = [run for run in range(first, last) if not _is_done(what, run, offset)]
    while missing:  # neighbours together: a brick between them is sorted once
        n = next((i for i, run in enumerate(missing) if run != missing[0] + i), len(missing))
        _write_runs(what, offset, missing[0], missing[0] + n)
        missing = missing[n:]
    return what.rows_of(last - 1)[1] - what.rows_of(first)[0]


def complete(what: Arrangement) -> tuple[int, dict[str, npt.NDArray[np.uint8]]]:
    """Write the offsets of bricks and cells, when all runs are there.

    Parameters
    ----------
    what : Arrangement
        The store.

    Returns
    -------
    n_ranged : int
        Ions that lie in a range.
    hashes : dict of str to ndarray of uint8, (n_runs, 32)
        Of every array, for `aptstream.io.digest.content_digest`.
    """
    layout, run_rows, offset = what.job.layout, what.job.run_rows, what.brick_offset()
    runs = [_load(what.marker(run)) for run in range(what.n_runs)]
    hashes = {name: runs_of(bytes.fromhex(run.sha256[name]) for run in runs) for name in runs[0].sha256}
    with (what.job.folder / "cells").open("rb") as stream:
        cells = _Cells(stream, len(offset) - 1)
        for name, rows, chunk in (
            ("brick_offset", offset, layout.chunk_rows),
            ("cell_offset", cells, layout.offset_rows),
        ):
            n = rows.shape[0]
            per_shard = chunk * layout.shard_chunks
            for start in range(0, n, per_shard):
                write_rows(what.store, name, start, rows[start : start + per_shard])
            hashes[name] = runs_of(run_sha256(rows, start, start + run_rows) for start in range(0, n, run_rows))
    return sum(run.n_ranged for run in runs), hashes


def _write_runs(what: Arrangement, offset: npt.NDArray[np.int64], first: int, last: int) -> None:
    """Write runs that follow one another."""
    start, stop = what.rows_of(first)[0], what.rows_of(last - 1)[1]
    run = _Run(what, first)
    with (what.job.folder / "cells").open("r+b", buffering=0) as cells:
        for number, brick in _sorted_bricks(what, offset, start, stop):
            begin = int(offset[number])
            if begin >= start:
                cells.seek(_CELL_BYTES * number)
                cells.write(brick.cell_offset.data)
            at, end = max(begin, start), min(begin + len(brick.position), stop)
            while at < end:
                if begin == at:
                    run.cells_crc32 = zlib.crc32(brick.cell_offset.data, run.cells_crc32)
                part = min(end, run.stop)
                run.take(at, part, brick, begin)
                if part == run.stop:
                    sync(what.job.folder / "cells")
                    run.write()
                    run = _Run(what, run.number + 1) if part < stop else run
                at = part


class _Run:
    """A run of rows in memory, filled brick by brick."""

    def __init__(self, what: Arrangement, number: int) -> None:
        self.what, self.number, self.cells_crc32 = what, number, 0
        self.start, self.stop = what.rows_of(number)
        self.values: dict[str, npt.NDArray[Any]] = {
            name: np.empty((self.stop - self.start, *shape[1:]), dtype)
            for name, (shape, dtype) in array_shapes(what.manifest).items()
            if name not in OFFSETS
        }

    def take(self, start: int, stop: int, brick: SortedBrick, begin: int) -> None:
        """Take rows `start` to `stop` from a brick whose first row is `begin`."""
        to, of = slice(start - self.start, stop - self.start), slice(start - begin, stop - begin)
        self.values["positions"][to] = brick.position[of]
        self.values["mass_to_charge"][to] = brick.mass_to_charge[of]
        for column, name in enumerate(self.what.manifest.columns):
            values = self.values[name]
            values[to] = brick.further[of, column].view(values.dtype)

    def write(self) -> None:
        """Bring the rows to disk, and then the marker that says so."""
        species = apply_ranges(self.values["mass_to_charge"], self.what.job.table)
        self.values["species"] = species
        sha256 = {name: run_sha256(values, 0, len(values)).hex() for name, values in self.values.items()}
        for name, values in self.values.items():
            write_rows(self.what.store, name, self.start, values)
        done = Arranged(self.stop - self.start, int(np.count_nonzero(species)), sha256, self.cells_crc32)
        with replacing(self.what.marker(self.number)) as stream:
            stream.write(json.dumps(vars(done)).encode("ascii"))


def _sorted_bricks(
    what: Arrangement, offset: npt.NDArray[np.int64], start: int, stop: int
) -> Iterator[tuple[int, SortedBrick]]:
    """Read and sort the bricks that have any of some rows."""
    lattice = what.manifest.lattice
    first = int(np.searchsorted(offset, start, side="right")) - 1
    last = int(np.searchsorted(offset, stop, side="left"))
    for number, row in what.job.log(lattice).bricks(first, last):
        brick = np.unravel_index(number, lattice.shape_bricks)
        low_cell = tuple(BRICK_CELLS * int(b) for b in brick)
        yield number, sort_brick(row, origin_nm=lattice.origin_nm, low_cell=low_cell)


def _is_done(what: Arrangement, run: int, offset: npt.NDArray[np.int64]) -> bool:
    """Tell whether a run is on disk as its marker says: a file that is there is no evidence."""
    if not what.marker(run).exists():
        return False
    start, stop = what.rows_of(run)
    try:
        done = _load(what.marker(run))
    except (ValueError, TypeError):
        return False
    for name, (shape, dtype) in array_shapes(what.manifest).items():
        if name in OFFSETS:
            continue
        rows = stored_rows(what.store, name, start, stop)
        if rows is None or rows.shape != (stop - start, *shape[1:]) or rows.dtype != dtype:
            return False
        if run_sha256(rows, 0, len(rows)).hex() != done.sha256.get(name):
            return False
        if name == "species" and np.count_nonzero(rows) != done.n_ranged:
            return False
    return done.n_rows == stop - start and _cells_crc32(what, offset, start, stop) == done.cells_crc32


def _cells_crc32(what: Arrangement, offset: npt.NDArray[np.int64], start: int, stop: int) -> int:
    begins = (offset[:-1] >= start) & (offset[:-1] < stop) & (np.diff(offset) > 0)
    checksum = 0
    with (what.job.folder / "cells").open("rb") as stream:
        cells = _Cells(stream, len(offset) - 1)
        for number in np.flatnonzero(begins).tolist():
            checksum = zlib.crc32(cells[number : number + 1].data, checksum)
    return checksum


def _load(marker: Path) -> Arranged:
    return Arranged(**json.loads(marker.read_bytes()))


class _Cells:
    """The cell offsets of all bricks in a file, sliced like an array."""

    def __init__(self, stream: BinaryIO, n_bricks: int) -> None:
        self._stream, self.shape, self.dtype = stream, (n_bricks, CELLS_PER_BRICK + 1), np.dtype(np.uint32)

    def __getitem__(self, rows: slice, /) -> npt.NDArray[np.uint32]:
        start, stop, _ = rows.indices(self.shape[0])
        self._stream.seek(_CELL_BYTES * start)
        found = np.frombuffer(self._stream.read(_CELL_BYTES * (stop - start)), np.uint32)
        return found.reshape(stop - start, self.shape[1])
