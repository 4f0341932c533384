"""The runner: every task judged and written once, on this process or on the workers of a Dask client."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from aptstream.cloud.store import PointStore
from aptstream.errors import StoreError, WorkerError
from aptstream.io.replace import discard
from aptstream.model.modelfile import Model
from aptstream.points import Roles
from aptstream.progress import Progress, silent
from aptstream.scan.plan import ScanPlan, Task, plan_scan
from aptstream.scan.results import ScanStore, create_scan, open_scan, write_scores
from aptstream.scan.score import score_brick

if TYPE_CHECKING:
    from distributed import Client

#: Tasks in flight for every worker thread: enough to keep it busy, few enough to hold back.
IN_FLIGHT = 3


def run_scan(
    store: PointStore,
    model: Model,
    roles: Roles,
    *,
    out: str | PathLike[str],
    client: Client | None = None,
    progress: Progress = silent,
) -> ScanStore:
    """Judge all overlapping cubes of a specimen and write the judgements.

    Parameters
    ----------
    store : PointStore
        The ions.
    model : Model
        What judges them.
    roles : Roles
        Host and solute species.
    out : path
        Folder to make; nothing may stand there. It appears complete or not at all.
    client : distributed.Client, optional
        Where to run; in this process where it is not given. The result is the same to the bit.
    progress : Progress
        Told of the stage ``scan``, in cubes of the first edge.

    Returns
    -------
    ScanStore

    Raises
    ------
    StoreError
        If something stands at `out`.
    PlanError, RangingError, ModelError
        As `plan_scan`.
    """
    target = Path(out)
    if target.exists():
        raise StoreError(f"{target} exists. Give the scan another name with --out, or remove it first.")
    n_workers = sum(client.nthreads().values()) if client is not None else 1
    plan = plan_scan(store, model, roles, n_workers=max(n_workers, 1))
    building = target.with_name(f".{target.name}.building-{secrets.token_hex(4)}")
    try:
        create_scan(building, plan, store.origin_nm)
        done = 0
        for n_cubes in _results(plan, str(building.resolve()), client, n_workers):
            done += n_cubes
            progress("scan", done, plan.n_cubes, "cubes")
        open_scan(building)
        building.rename(target)
    finally:
        (building / "zarr.json").unlink(missing_ok=True)  # first: it tells tasks that still run that the scan is over
        discard(building)
    return open_scan(target)


def run_task(plan: ScanPlan, task: Task, folder: str) -> int:
    """Judge one task and write its chunks.

    Parameters
    ----------
    plan : ScanPlan
        What is judged.
    task : Task
        The box.
    folder : str
        The scan's Zarr group.

    Returns
    -------
    int
        Cubes of the first edge that begin in the box.
    """
    scores = score_brick(plan, task)
    try:
        write_scores(folder, task.low, scores)
    except Exception:
        if Path(folder, "zarr.json").exists():
            raise
    if not Path(folder, "zarr.json").exists():  # the scan was given up meanwhile: nobody waits for this task
        discard(Path(folder))  # which may just have brought a part of its folder back
        return 0
    n = 1
    for a, b, end in zip(task.low, task.high, plan.shape, strict=True):
        n *= max(min(b, end - plan.edges[0] + 1) - a, 0)
    return n


def _results(plan: ScanPlan, folder: str, client: Client | None, n_workers: int) -> Iterator[int]:
    """Run all tasks, a window of them in flight at a time."""
    tasks = plan.tasks()
    if client is None:
        for task in tasks:
            yield run_task(plan, task, folder)
        return
    from distributed import KilledWorker, as_completed

    waiting = iter(tasks)
    first = [client.submit(run_task, plan, task, folder, pure=False) for task in islice(waiting, IN_FLIGHT * n_workers)]
    futures = as_completed(first, loop=client.loop)
    for future in futures:
        try:
            yield future.result()
        except KilledWorker as error:
            raise WorkerError(
                f"Workers died again and again on one part of the scan, most likely for want of memory: {error}. "
                f"Take fewer workers with --workers, or more memory."
            ) from error
        future.release()
        following = next(waiting, None)
        if following is not None:
            futures.add(client.submit(run_task, plan, following, folder, pure=False))
