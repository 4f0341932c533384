"""The first two passes of an ingest: look at every ion, then gather the ions of each block by brick.

The corner of the lattice follows from all ions: no brick is known before the source was read to its end. So it is
read twice, which for binary files costs little beside the sort, and needs no second copy on disk.
"""

from __future__ import annotations

import ctypes
import sys
from dataclasses import dataclass
from functools import cache, reduce
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from aptstream.cloud.building import Layout
from aptstream.cloud.lattice import Lattice
from aptstream.cloud.log import IonLog
from aptstream.cloud.ranging import apply_ranges
from aptstream.errors import FileFormatError
from aptstream.io.decode import LARGEST, bin_ions, check_ions
from aptstream.io.ions import COLUMNS, IonBlock, IonFile
from aptstream.points import RangeTable

#: Ions that are looked at a time: few enough to stay in the cache.
_LOOK_IONS = 1 << 16

#: What the GNU library is told to keep, and the numbers of its two limits in <malloc.h>.
_KEPT_BYTES, _TRIM_THRESHOLD, _MMAP_THRESHOLD = 64 << 20, -1, -3

OnBad = Literal["refuse", "skip"]


@dataclass(frozen=True)
class Job:
    """What every task of an ingest has to know: addresses and settings, no data.

    Parameters
    ----------
    folder : Path
        Where the parts are put.
    file : IonFile
        The source.
    table : RangeTable
        Ranges.
    on_bad : {"refuse", "skip"}
        What to do with ions that have a number that cannot be right.
    layout : Layout
        Sizes of blocks, chunks and shards.
    run_rows : int
        Rows of the store that are hashed as one run: whole shards.
    """

    folder: Path
    file: IonFile
    table: RangeTable
    on_bad: OnBad
    layout: Layout
    run_rows: int

    @property
    def n_blocks(self) -> int:
        """Blocks of the source."""
        return -(-self.file.n_ions // self.layout.block_ions)

    def log(self, lattice: Lattice) -> IonLog:
        """Return the scatter log."""
        n_words = 4 + len(self.file.columns)
        return IonLog(self.folder, self.n_blocks, self.layout.block_ions, lattice.n_bricks, n_words)

    def rows_of(self, block: int) -> tuple[int, int]:
        """Return the first ion of a block and the one behind its last."""
        start = block * self.layout.block_ions
        return start, min(start + self.layout.block_ions, self.file.n_ions)


@dataclass(frozen=True)
class Survey:
    """What the first pass saw.

    Parameters
    ----------
    n_ions, n_rejected : int
        Ions to keep, and ions with a number that cannot be right.
    low, high : tuple of float
        Smallest and largest x, y, z (nm) and m/q (Da) of the ions to keep; infinite where there is none.
    any_ranged : bool
        Whether a range holds any of them.

    Examples
    --------
    >>> (Survey(2, 0, (0, 0, 0, 7), (9, 9, 9, 27)) + Survey(1, 1, (-1, 5, 5, 13), (2, 5, 5, 13), True)).low
    (-1, 0, 0, 7)
    """

    n_ions: int = 0
    n_rejected: int = 0
    low: tuple[float, ...] = 4 * (np.inf,)
    high: tuple[float, ...] = 4 * (-np.inf,)
    any_ranged: bool = False

    def __add__(self, other: Survey) -> Survey:
        """Return what was seen by both."""
        return Survey(
            self.n_ions + other.n_ions,
            self.n_rejected + other.n_rejected,
            tuple(map(min, self.low, other.low)),
            tuple(map(max, self.high, other.high)),
            self.any_ranged or other.any_ranged,
        )


def survey(job: Job, first: int, last: int) -> Survey:
    """Look at the ions of some blocks of the source.

    Parameters
    ----------
    job : Job
        The ingest.
    first, last : int
        First block, and the one behind the last.

    Returns
    -------
    Survey

    Raises
    ------
    FileFormatError
        If the source cannot be read, or an ion has a number that cannot be right and is not to be skipped.
    """
    reuse_memory()
    start, stop = job.rows_of(first)[0], job.rows_of(last - 1)[1]
    starts = range(start, stop, _LOOK_IONS)
    return reduce(lambda seen, at: _look(job, at, min(at + _LOOK_IONS, stop), seen), starts, Survey())


def gather(job: Job, lattice: Lattice, first: int, last: int) -> tuple[int, int]:
    """Write some blocks of the source to the scatter log; those that are there already are kept.

    Parameters
    ----------
    job : Job
        The ingest.
    lattice : Lattice
        Cells round all ions.
    first, last : int
        First block, and the one behind the last.

    Returns
    -------
    n_read, n_ions : int
        Ions of the blocks, and how many of them are in the log.

    Raises
    ------
    FileFormatError
        If the source holds other ions than in the first pass.
    """
    reuse_memory()
    log, n_ions = job.log(lattice), 0
    for number in range(first, last):
        there = log.n_rows(number)
        n_ions += there if there is not None else _gather_block(job, lattice, log, number)
    return job.rows_of(last - 1)[1] - job.rows_of(first)[0], n_ions


@cache
def reuse_memory() -> None:
    """Let this process keep the memory of one block for the next.

    The GNU library returns to the system what is freed beyond a limit, which is twice the largest piece that was freed
    so far, or on workers of Dask 64 KiB: to get it back page by page costs an eighth of an ingest on one process, a
    third on workers. Elsewhere this does nothing.
    """
    if sys.platform == "linux":
        library = ctypes.CDLL(None)
        if hasattr(library, "mallopt"):
            library.mallopt(_MMAP_THRESHOLD, _KEPT_BYTES // 2)
            library.mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)


def changed(file: IonFile) -> FileFormatError:
    """Make the error for a source that was written to after it was opened."""
    return FileFormatError(
        f"The {file.kind} file {file.path.name} changed while it was read, or since it was opened. Expected a "
        f"file that nobody writes to: open it again when it is complete."
    )


def _look(job: Job, start: int, stop: int, seen: Survey) -> Survey:
    block = job.file.read(start, stop)
    position, mass, n_rejected = block.position, block.mass_to_charge, 0
    checked = check_ions(position, mass)
    if checked.first_bad >= 0 or not all(_is_right(column).all() for column in block.columns.values()):
        good = _good(job, block, start, stop)
        position, mass, n_rejected = position[good], mass[good], len(good) - int(good.sum())
        checked = check_ions(position, mass)
    any_ranged = seen.any_ranged or bool(apply_ranges(mass, job.table).any())
    low, high = tuple(checked.low.tolist()), tuple(checked.high.tolist())
    return seen + Survey(len(mass), n_rejected, low, high, any_ranged)


def _good(job: Job, block: IonBlock, start: int, stop: int) -> npt.NDArray[np.bool_]:
    """Tell which ions of a block have numbers that can be right, or refuse the others."""
    if job.on_bad == "refuse":
        for _ in job.file.blocks(start, stop, stop - start):  # it names the ion
            raise changed(job.file)
    good: npt.NDArray[np.bool_] = np.abs(block.mass_to_charge) <= LARGEST
    for axis in range(3):
        good &= np.abs(block.position[:, axis]) <= LARGEST
    for column in block.columns.values():
        good &= _is_right(column)
    return good


def _is_right(column: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Tell which numbers of a column can be right; counts can be any."""
    good: npt.NDArray[np.bool_] = np.abs(column) <= LARGEST if column.dtype.kind == "f" else np.ones(len(column), bool)
    return good


def _gather_block(job: Job, lattice: Lattice, log: IonLog, number: int) -> int:
    start, stop = job.rows_of(number)
    block = job.file.read(start, stop)
    columns: list[npt.NDArray[Any]] = [np.asarray(block.columns[name], COLUMNS[name]) for name in job.file.columns]
    mass = block.mass_to_charge
    for column in block.columns.values():
        mass = np.where(_is_right(column), mass, np.float32(np.nan))  # which belongs nowhere
    ions = bin_ions(
        block.position,
        mass,
        columns,
        origin_nm=lattice.origin_nm,
        shape_bricks=lattice.shape_bricks,
    )
    if job.on_bad == "refuse" and len(ions.row) < stop - start:
        raise changed(job.file)
    log.write(number, ions)
    return len(ions.row)
