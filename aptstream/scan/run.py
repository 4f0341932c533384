"""The runner: every task judged and written once, on this process or on the workers of a Dask client.

Whatever dies, what is done stays done: the same call goes on where it was stopped, and ends with the same bytes.
"""

from __future__ import annotations

import errno
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from aptstream import __version__
from aptstream.cloud.store import PointStore
from aptstream.cloud.workers import n_threads
from aptstream.errors import AptstreamError, StoreError, WorkerError
from aptstream.io.folder import local_path
from aptstream.io.lease import LEASE, building_of, leased
from aptstream.io.replace import discard
from aptstream.model.modelfile import Model
from aptstream.model.predict import choose_runtime
from aptstream.points import Roles
from aptstream.progress import Progress, silent
from aptstream.scan.costs import require_memory, worker_memory
from aptstream.scan.ledger import (
    MARKS,
    PLAN,
    TASKS,
    close_ledger,
    damaged_tasks,
    done_tasks,
    load_plan,
    require_same,
    save_plan,
    task_cells_of,
    tidy,
)
from aptstream.scan.outcomes import Outcome, outcomes, warm_up
from aptstream.scan.plan import Cell, ScanPlan, load_of_plan, plan_scan
from aptstream.scan.results import FIELD, ScanStore, chunk_files, create_scan, open_scan, restore_metadata

if TYPE_CHECKING:
    from distributed import Client

#: So many tasks may fail, none having succeeded, before the rest is not tried any more.
HOPELESS = 8

logger = logging.getLogger(__name__)


def run_scan(
    store: PointStore,
    model: Model,
    roles: Roles,
    *,
    out: str | PathLike[str],
    client: Client | None = None,
    progress: Progress = silent,
) -> ScanStore:
    """Judge all overlapping cubes of a specimen and write the judgements; go on where an earlier call was stopped.

    Parameters
    ----------
    store : PointStore
        The ions.
    model : Model
        What judges them.
    roles : Roles
        Host and solute species.
    out : path
        Folder to make. It appears when it is complete; until then what is done stands in a hidden folder beside it,
        from which the same call goes on. A complete scan of the same question is returned as it is.
    client : distributed.Client, optional
        Where to run; in this process where it is not given. The result is the same to the bit.
    progress : Progress
        Told of the tasks, in cubes of the first edge.

    Returns
    -------
    ScanStore

    Raises
    ------
    ResumeError
        If a scan was made or begun at `out` with other ions, another model, other settings or another version.
    StoreError
        If something else stands at `out`, another run is writing it, or the disk is full.
    WorkerError
        If tasks failed or workers died; the others are done.
    PlanError, RangingError, ModelError
        As `plan_scan`.
    """
    target = local_path(out)
    meanwhile = warm_up(client, model)
    plan = plan_scan(store, model, roles, n_workers=n_threads(client), worker_bytes=worker_memory(client))
    if target.exists() or target.is_symlink():
        return _finished(target, plan)
    with leased(building_of(target)) as folder:
        try:
            plan, pending = _begin(folder, plan, store)
            require_memory(load_of_plan(plan, store), worker_memory(client))
            del meanwhile
            _carry_out(folder, plan, pending, client, progress)
            close_ledger(folder, plan)
            open_scan(folder)
            _publish(folder, target)
        finally:
            _drop_if_nothing_is_done(folder)
    return open_scan(target)


def discard_scan(out: str | PathLike[str]) -> None:
    """Forget a scan that was begun and not finished.

    Parameters
    ----------
    out : path
        Where it would have appeared.

    Raises
    ------
    StoreError
        If another run is writing it.
    """
    folder = building_of(Path(out))
    if folder.exists():
        with leased(folder):
            _require_ours(folder)
            _empty(folder)
        discard(folder)


def repair_scan(
    path: str | PathLike[str],
    store: PointStore,
    model: Model,
    *,
    client: Client | None = None,
    progress: Progress = silent,
) -> int:
    """Do again what is damaged of a finished scan, and nothing else.

    Parameters
    ----------
    path : path
        What `run_scan` wrote.
    store, model : PointStore, Model
        What it was made from.
    client : distributed.Client, optional
        Where to run; in this process where it is not given.
    progress : Progress
        Told of the tasks, in cubes of the first edge.

    Returns
    -------
    int
        Tasks that were done again.

    Raises
    ------
    StoreError
        If the description of the scan or its list of digests is damaged, or what is computed now differs from what was
        written then.
    ResumeError
        If store or model are not those that it was made from.
    """
    folder = Path(path)
    scan = ScanStore(folder)
    asked = replace(model.looking_for(scan.crystal), runtime=scan.attrs["runtime"])
    plan = replace(plan_scan(store, asked, scan.roles), task_cells=task_cells_of(folder))
    require_same(
        (_plan_of(scan, plan), __version__), plan, folder, "Give the store and the model that it was made from."
    )
    with leased(folder):
        restore_metadata(folder, plan, store.origin_nm)
        damaged = damaged_tasks(folder, plan)
        if damaged:
            save_plan(folder, plan)
            (folder / MARKS).mkdir(exist_ok=True)
            _carry_out(folder, plan, damaged, client, progress)
            if damaged_tasks(folder, plan):
                raise StoreError(
                    f"The damaged parts of {folder} were done again, but came out otherwise than they were written: "
                    "found other digests, expected those of then. Another processor or library? Scan anew."
                )
        tidy(folder)
    open_scan(folder)
    return len(damaged)


def _publish(folder: Path, target: Path) -> None:
    """Give a complete scan its name, then remove what its making needed; what fails leaves it to be gone on with."""
    if target.exists() or target.is_symlink():
        raise StoreError(
            f"Something has appeared at {target} meanwhile. The scan is complete in {folder}: make way, and run the "
            f"same command again to give it its name."
        )
    try:
        folder.rename(target)
    except OSError as error:
        raise StoreError(
            f"The scan cannot get its name {target}: {error.strerror}. It is complete in {folder}: run the same "
            f"command again when the way is free."
        ) from error
    (target / LEASE).unlink(missing_ok=True)
    tidy(target)


def _finished(target: Path, plan: ScanPlan) -> ScanStore:
    """Return a scan that is complete already, if it is of the same question."""
    if not (target / "zarr.json").is_file():
        raise StoreError(f"{target} exists and is no scan. Give the scan another name with --out, or remove it first.")
    scan = open_scan(target)
    made_from = (_plan_of(scan, plan), str(scan.attrs["version"]))
    require_same(made_from, plan, target, "It is complete. Give another name with --out, or remove it first.")
    logger.info("%s is complete already: nothing was to be done", target)
    return scan


def _plan_of(scan: ScanStore, plan: ScanPlan) -> ScanPlan:
    """Say what a finished scan was made from, as a plan; how it was cut does not matter."""
    return replace(
        plan,
        store_digest=str(scan.attrs["store_digest"]),
        model_digest=str(scan.attrs["model_digest"]),
        roles=scan.roles,
        shape=scan.shape,
        edges=scan.edges,
        crystal=scan.crystal,
        planes=scan.planes,
        field_halo=plan.field_halo if scan.has_field else 0,
        runtime=choose_runtime(scan.attrs["runtime"]),
    )


def _begin(folder: Path, plan: ScanPlan, store: PointStore) -> tuple[ScanPlan, list[Cell]]:
    """Lay the arrays out, or take up what was begun; return the plan and what is to be done."""
    if not (folder / PLAN).is_file():
        _require_ours(folder)
        _empty(folder)
        create_scan(folder, plan, store.origin_nm)
        (folder / MARKS).mkdir()
        save_plan(folder, plan)
        return plan, list(plan.indices())
    begun = load_plan(folder)
    plan = replace(plan, task_cells=begun[0].task_cells)  # other workers would cut it otherwise
    require_same(
        begun,
        plan,
        folder,
        "Go on with what it was begun with, give another name with --out, or discard it with --fresh.",
    )
    save_plan(folder, plan)
    restore_metadata(folder, plan, store.origin_nm)
    whole = dict(done_tasks(folder, plan))
    pending = [index for index in plan.indices() if not whole.get(index)]
    logger.info(
        "going on: %d of %d tasks are done, %d of them damaged and done again",
        *(len(whole), prod(plan.n_tasks), len(whole) - sum(whole.values())),
    )
    return plan, pending


@dataclass
class _Tally:
    """How many tasks ended how."""

    done: int = 0
    retried: int = 0
    failed: list[Outcome] = field(default_factory=list)

    def words(self, n_skipped: int, n_tasks: int) -> str:
        """Say it for a progress bar."""
        parts = [f"{self.done + n_skipped}/{n_tasks} tasks"]
        parts += [f"{self.retried} retried"] if self.retried else []
        parts += [f"{len(self.failed)} failed"] if self.failed else []
        return ", ".join(parts)


def _carry_out(
    folder: Path, plan: ScanPlan, pending: Sequence[Cell], client: Client | None, progress: Progress
) -> None:
    """Do all that is to be done, and tell of it."""
    tally, n_tasks = _Tally(), prod(plan.n_tasks)
    n_skipped = n_tasks - len(pending)
    cubes = plan.n_cubes - sum(plan.n_cubes_of(index) for index in pending)
    for index in pending:
        for file in chunk_files(folder, plan, index):  # Zarr reads what stands there before it writes, damaged or not
            file.unlink(missing_ok=True)
    # The largest first: at the end, when a worker has nothing more to do, the others have little.
    largest_first = sorted(pending, key=lambda index: -prod(plan.task(index).shape))
    for outcome in outcomes(folder, save_plan(folder, plan), largest_first, client):
        tally.retried += outcome.retried
        if outcome.error is None:
            tally.done += 1
            cubes += plan.n_cubes_of(outcome.index)
        else:
            tally.failed.append(outcome)
            logger.warning("%s failed: %s", _where(plan, outcome.index), outcome.error)
            _raise_if_full(folder, outcome.error)
            if not tally.done and len(tally.failed) >= HOPELESS:
                break
        progress(tally.words(n_skipped, n_tasks), cubes, plan.n_cubes, "cubes")
    if n_skipped or tally.retried or tally.failed:
        logger.info(
            "%d tasks done, %d done before, %d after workers had died, %d failed",
            *(tally.done, n_skipped, tally.retried, len(tally.failed)),
        )
    if tally.failed:
        _raise_failures(plan, tally)


def _raise_failures(plan: ScanPlan, tally: _Tally) -> None:
    """Raise what went wrong, in the words of the first error."""
    first, where = tally.failed[0].error, _where(plan, tally.failed[0].index)
    message = (
        f"{len(tally.failed)} of {prod(plan.n_tasks)} tasks failed, first {where}: {first} "
        f"{tally.done} tasks were done now and are kept: the same command tries the others again."
    )
    kind = type(first) if isinstance(first, AptstreamError) else WorkerError
    raise kind(message) from first


def _raise_if_full(folder: Path, error: Exception) -> None:
    """Stop at once where no task can be written any more."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(folder).free / 2**20
        raise StoreError(
            f"The disk is full: {free:.0f} MiB are free where {folder.parent} lies. What was written before is kept: "
            f"make room, and run the same command again to go on."
        ) from error


def _where(plan: ScanPlan, index: Cell) -> str:
    task = plan.task(index)
    return f"task {'.'.join(map(str, index))}, cells {task.low} to {task.high}"


def _drop_if_nothing_is_done(folder: Path) -> None:
    """Remove a folder without any mark: nothing is lost with it."""
    marks = folder / MARKS
    if folder.exists() and not (marks.is_dir() and any(marks.iterdir())) and not _foreign(folder):
        (folder / "zarr.json").unlink(missing_ok=True)  # first: it tells tasks that still run that the scan is over
        discard(folder)


def _require_ours(folder: Path) -> None:
    """Refuse to clear a folder that something else than a scan is being made in."""
    foreign = _foreign(folder)
    if foreign:
        raise StoreError(
            f"{folder} holds {foreign[0]}, which no scan has put there: is a point store being made under this name? "
            f"Give the scan another name with --out, or remove that folder."
        )


def _foreign(folder: Path) -> list[str]:
    """Name what no scan makes."""
    known = ("zarr.json", PLAN, MARKS, TASKS, LEASE, FIELD)
    return [path.name for path in folder.iterdir() if path.name not in known and path.name[:2] not in ("p_", "n_")]


def _empty(folder: Path) -> None:
    """Remove all but the lease."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != LEASE:
            path.unlink()
