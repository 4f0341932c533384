"""Ingest: from a file of ions and a range file to a point store, in which no ion is lost.

Three passes over ions that need not fit into memory: look at every one, gather them by brick block by block, sort and
write run by run. Order and content of the store follow from the source alone, not from blocks, workers or kills.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aptstream.cloud.arrange import Arrangement, arrange, complete
from aptstream.cloud.building import Layout, RefusedInputError, building, check_space, check_target
from aptstream.cloud.gather import Job, OnBad, Survey, changed, gather, survey
from aptstream.cloud.lattice import Lattice
from aptstream.cloud.manifest import Manifest, ranges_as_json, read_manifest, software
from aptstream.cloud.store import PointStore, open_store
from aptstream.cloud.stored import KIND, group_of, stored_ions
from aptstream.cloud.workers import n_threads, run_tasks
from aptstream.errors import FileFormatError, RangingError, StoreError
from aptstream.io import digest
from aptstream.io.digest import FileHash, canonical_json, content_digest, file_sha256
from aptstream.io.folder import folder_of
from aptstream.io.ions import IonFile, file_state, open_ions
from aptstream.io.ranges import read_ranges
from aptstream.io.replace import replacing, sync
from aptstream.points import RangeTable
from aptstream.progress import Progress, silent

if TYPE_CHECKING:
    from distributed import Client

#: Sizes of what is read, sorted and written at a time.
LAYOUT = Layout()

#: No solid comes near: diamond has 721 000 atoms in a brick of 16 nm.
LARGEST_BRICK = 1 << 21

#: What a store takes for every ion, offsets included, and for every further column of it.
_STORED_BYTES, _STORED_COLUMN_BYTES = 13, 4

#: Blocks and runs of a task at most: seconds of work.
_TASK_BLOCKS, _TASK_RUNS = 8, 4

logger = logging.getLogger(__name__)


def ingest(
    source: str | PathLike[str] | IonFile,
    *,
    ranges: str | PathLike[str] | RangeTable,
    out: str | PathLike[str],
    on_bad: OnBad = "refuse",
    client: Client | None = None,
    progress: Progress = silent,
) -> PointStore:
    """Read a file of ions, range and sort them, and write a point store.

    Memory stays bounded whatever the size of the file. An ingest that was interrupted or ran out of disk goes on
    where it was when it is called again in the same way.

    Parameters
    ----------
    source : path or IonFile
        File of ions, as `open_ions` reads them, or a point store to be ranged anew. Its columns are kept; of an
        `IonFile` those that it names: ``replace(open_ions(path), columns=())`` leaves them out.
    ranges : path or RangeTable
        Range file, or its content.
    out : path
        Folder to make; nothing may stand there. It appears complete or not at all.
    on_bad : {"refuse", "skip"}
        Ions with a number that is not finite or beyond 1e6: refuse the file, naming the first, or leave them out and
        count them.
    client : distributed.Client, optional
        Where to work; in this process where it is not given. The result is the same to the bit.
    progress : Progress
        Told of the stages ``read``, ``sort`` and ``write``, in ions.

    Returns
    -------
    PointStore
        With all ions that were read, but the rejected ones: those that no range holds are species 0.

    Raises
    ------
    FileFormatError
        If the source is of no known format, not whole, changes meanwhile, or holds a number that cannot be right.
    RangingError
        If the range file is wrong, or no ion of the source lies in a range.
    StoreError
        If something stands at `out`, another ingest is writing it, the disk is too small or fails, or the ions span
        an absurd volume or have an absurd density.

    Examples
    --------
    >>> import tempfile
    >>> from aptstream.io import write_pos
    >>> from aptstream.points import Range
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_pos(f"{folder}/a.pos", [[0.5, 0.5, -2.5], [7.5, 0.5, 0.5]], [27, 99])
    ...     table = RangeTable((Range(26, 28, (("Al", 1),)),))
    ...     first = ingest(f"{folder}/a.pos", ranges=table, out=f"{folder}/a.zarr").species_counts()
    ...     wider = RangeTable((Range(26, 100, (("Al", 1),)),))
    ...     first, ingest(f"{folder}/a.zarr", ranges=wider, out=f"{folder}/b.zarr").species_counts()
    ({'unranged': 1, 'Al': 1}, {'unranged': 0, 'Al': 2})
    """
    target = Path(out).absolute()  # workers may run elsewhere
    check_target(target)
    file = source if isinstance(source, IonFile) else _open(Path(source).absolute())
    table = ranges if isinstance(ranges, RangeTable) else read_ranges(ranges)
    before = _identity(file)
    plan = _plan(file, table, on_bad, before)
    check_space(target, _needed_bytes(file))
    for note in file.notes:
        logger.info("%s: %s", file.path.name, note)
    with building(target, plan) as folder, _origin_of(file) as origin:
        job = Job(folder, file, table, on_bad, LAYOUT, digest.RUN_ROWS)
        passes = _Passes(job, client, progress)
        manifest = passes.read()
        what = Arrangement(job, manifest)
        what.create(passes.sort(manifest))
        passes.write(what)
        n_ranged, hashes = complete(what)
        manifest = replace(manifest, n_ranged=n_ranged)
        provenance = {
            "range_file": None,
            **file.provenance,
            "content_digest": content_digest(hashes, manifest.defining()),
            **origin(),
        }
        if not isinstance(ranges, RangeTable):
            provenance["range_file"] = {"name": Path(ranges).name, "sha256": file_sha256(ranges)}
        if _identity(file) != before:
            raise changed(file)
        _publish(what.store, target, manifest.attributes(provenance))
    return open_store(out)


def _open(source: Path) -> IonFile:
    return stored_ions(source) if source.is_dir() else open_ions(source)


def _plan(file: IonFile, table: RangeTable, on_bad: OnBad, identity: Mapping[str, Any]) -> dict[str, Any]:
    """Say what is to be built: with any other plan nothing of it can be used."""
    return {
        "source": {"kind": file.kind, "n_ions": file.n_ions, "columns": list(file.columns), **identity},
        "provenance": dict(file.provenance),
        "ranges": ranges_as_json(table),
        "on_bad": on_bad,
        "layout": vars(LAYOUT),
        "run_rows": digest.RUN_ROWS,
        "software": software(),
    }


def _identity(file: IonFile) -> dict[str, Any]:
    """Tell a source from others, if it is still what it was when it was opened."""
    state = file_state(group_of(file.path) if file.kind == KIND else file.path)
    if file.state is not None and file.state != state:
        raise changed(file)
    return {"path": str(file.path.resolve()), **state}


@contextmanager
def _origin_of(file: IonFile) -> Iterator[Callable[[], dict[str, Any]]]:
    """Find out where the ions come from first of all, beside the other work; ask when it is done."""
    if file.kind == KIND:
        first = read_manifest(folder_of(file.path))[1]["source"]
        yield lambda: {"source": first}
        return
    size, sha256 = file.path.stat().st_size, FileHash(file.path)
    try:
        yield lambda: {"source": {"name": file.path.name, "size": size, "sha256": sha256.result()}}
    finally:
        sha256.give_up()


def _needed_bytes(file: IonFile) -> int:
    n_columns = len(file.columns)
    return file.n_ions * (4 * (4 + n_columns) + _STORED_BYTES + _STORED_COLUMN_BYTES * n_columns)


@dataclass(frozen=True)
class _Passes:
    """The three passes, each of them in tasks."""

    job: Job
    client: Client | None
    progress: Progress

    def read(self) -> Manifest:
        """Look at every ion; return what the store will be, without the number of ranged ions."""
        job, note = self.job, self.job.folder / "survey.json"
        n = job.file.n_ions
        if note.exists():
            seen = Survey(**json.loads(note.read_bytes()))
            self.progress("read", n, n, "ions")
        else:
            seen, done = Survey(), 0
            for part in run_tasks(
                survey, [(job, *span) for span in self._spans(job.n_blocks, _TASK_BLOCKS)], self.client
            ):
                seen += part
                done += part.n_ions + part.n_rejected
                self.progress("read", done, n, "ions")
            _check_survey(job, seen)
            with replacing(note) as stream:
                stream.write(canonical_json(vars(seen)))
        try:
            lattice = Lattice.around(seen.low[:3], seen.high[:3])
        except StoreError as error:
            raise RefusedInputError(str(error)) from error
        rejected = seen.n_rejected
        if job.file.kind == KIND:  # those that were rejected first stay so
            rejected += read_manifest(folder_of(job.file.path))[0].n_rejected
        return Manifest(lattice, job.table, seen.n_ions, 0, n_rejected=rejected, columns=job.file.columns)

    def sort(self, manifest: Manifest) -> npt.NDArray[np.int64]:
        """Gather the ions by brick; return how many there are in each."""
        job, lattice, n = self.job, manifest.lattice, self.job.file.n_ions
        log = job.log(lattice)
        log.create()
        read = found = 0
        tasks = [(job, lattice, *span) for span in self._spans(job.n_blocks, _TASK_BLOCKS)]
        for n_read, n_ions in run_tasks(gather, tasks, self.client):
            read, found = read + n_read, found + n_ions
            self.progress("sort", read, n, "ions")
        counts = log.counts()
        if found != manifest.n_ions or counts.sum() != found:
            raise changed(job.file)
        if counts.max() > LARGEST_BRICK:
            raise RefusedInputError(
                f"{job.file.path.name} has {counts.max()} ions in a cube of 16 nm, which is {counts.max() / 4096:.0f} "
                f"per nm³. Expected at most {LARGEST_BRICK / 4096:.0f}, three times what diamond has. Are the "
                f"positions in nm? Scale them."
            )
        return counts

    def write(self, what: Arrangement) -> None:
        """Write the rows of the store."""
        done = 0
        tasks = [(what, *span) for span in self._spans(what.n_runs, _TASK_RUNS)]
        for n_rows in run_tasks(arrange, tasks, self.client):
            done += n_rows
            self.progress("write", done, what.manifest.n_ions, "ions")

    def _spans(self, n: int, largest: int) -> Sequence[tuple[int, int]]:
        """Cut 0 to n into spans: a few for every worker, none longer than the largest."""
        size = min(largest, max(1, n // (4 * n_threads(self.client))))
        return [(start, min(start + size, n)) for start in range(0, n, size)]


def _check_survey(job: Job, seen: Survey) -> None:
    """Refuse a source of which nothing would be found in the store."""
    name = job.file.path.name
    if not seen.n_ions:
        raise FileFormatError(
            f"All {seen.n_rejected} ions of {name} have numbers that are not finite or beyond 1e6. Expected a file "
            f"with ions: export it again."
        )
    if not seen.any_ranged:
        bounds = job.table.bounds_da
        raise RangingError(
            f"The ranges name none of the {seen.n_ions} ions of {name}: its m/q run from {seen.low[3]:g} to "
            f"{seen.high[3]:g} Da, the ranges from {bounds[0, 0]:g} to {bounds[-1, 1]:g} Da. Expected the range "
            f"file that belongs to this reconstruction: check which one it is."
        )


def _publish(store: Path, target: Path, attributes: dict[str, Any]) -> None:
    """Write the manifest, with which the folder is a store, and let the store appear."""
    _sync_tree(store)
    _write_group(store, attributes)
    sync(store)
    for large in ("log", "index"):  # were this process to end after the store appears, nobody would look for them
        (store.parent / large).unlink()
    check_target(target)
    store.rename(target)
    sync(target.parent)


def _write_group(store: Path, attributes: dict[str, Any]) -> None:
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    with replacing(store / "zarr.json") as stream:
        stream.write(json.dumps(group, indent=1, allow_nan=False).encode("ascii"))


def _sync_tree(folder: Path) -> None:
    """Bring every file to disk before the name appears that promises them."""
    for parent, _, files in os.walk(folder):
        for name in files:
            sync(Path(parent, name))
        sync(Path(parent))
