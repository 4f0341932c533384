"""Tasks carried out, here or on workers: each comes back as done or with the error that it ended with."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aptstream.cloud.workers import IN_FLIGHT, n_threads
from aptstream.errors import StoreError, WorkerError
from aptstream.io.lease import LEASE
from aptstream.io.replace import discard
from aptstream.model.modelfile import Model, load_model
from aptstream.scan.ledger import load_plan, mark_done, plan_digest
from aptstream.scan.plan import Cell, ScanPlan
from aptstream.scan.results import write_scores
from aptstream.scan.score import score_brick

if TYPE_CHECKING:
    from distributed import Client, Future


@dataclass(frozen=True)
class Outcome:
    """How a task ended.

    Parameters
    ----------
    index : tuple of int
        The task.
    error : Exception, optional
        What went wrong; nothing if it is done.
    retried : bool
        Whether workers died on it before.
    """

    index: Cell
    error: Exception | None = None
    retried: bool = False


def run_task(folder: str, digest: str, index: Cell) -> None:
    """Judge one task, write its chunks, and mark it as done.

    Parameters
    ----------
    folder : str
        Where the scan grows; it holds the plan.
    digest : str
        SHA-256 of the plan.
    index : tuple of int
        The task.
    """
    plan = _plan(folder, digest)
    scores = score_brick(plan, plan.task(index))
    group, lease = Path(folder, "zarr.json"), Path(folder, LEASE)
    try:
        _require_plan(folder, digest)
        write_scores(folder, plan.task(index).low, scores)
        _require_plan(folder, digest)
        mark_done(Path(folder), plan, index)
    except Exception:
        if group.exists() or lease.exists():
            raise
    if not group.exists() and not lease.exists():  # the scan was given up meanwhile: nobody waits for this task
        discard(Path(folder))  # which may just have brought a part of its folder back


@functools.lru_cache(2)
def _plan(folder: str, digest: str) -> ScanPlan:
    """Read the plan once in every process."""
    _require_plan(folder, digest)
    return load_plan(Path(folder))[0]


def _require_plan(folder: str, digest: str) -> None:
    """See that the scan is still the one that the task belongs to."""
    if plan_digest(Path(folder)) != digest:
        raise StoreError(f"The scan in {folder} was begun anew meanwhile. Nothing is to be done.")


def warm_up(client: Client | None, model: Model) -> list[Future[None]]:
    """Let workers import what they need while the scan is still being planned.

    Parameters
    ----------
    client : distributed.Client, optional
        Whose workers; none where it is not given.
    model : Model
        What they will judge with.

    Returns
    -------
    list of distributed.Future
        One for each worker. Whoever drops them does not wait for them, nor learns whether they failed.
    """
    workers = [] if client is None else list(client.nthreads())
    return [client.submit(_import, model.path, workers=[name], pure=False) for name in workers if client is not None]


def _import(model_path: str) -> None:
    """Load a model; all that judges is imported with this module."""
    load_model(model_path)


def outcomes(folder: Path, digest: str, pending: Sequence[Cell], client: Client | None) -> Iterator[Outcome]:
    """Carry out tasks, and tell of each when it has ended.

    Parameters
    ----------
    folder : Path
        Where the scan grows.
    digest : str
        SHA-256 of its plan.
    pending : sequence of tuple of int
        What is to be done.
    client : distributed.Client, optional
        Where; in this process where it is not given.

    Yields
    ------
    Outcome

    Raises
    ------
    WorkerError
        If the scheduler is lost.
    """
    if client is not None:
        yield from _on_workers(str(folder.resolve()), digest, pending, client)
        return
    for index in pending:
        try:
            run_task(str(folder), digest, index)
            yield Outcome(index)
        except Exception as error:  # whatever it is: it is told, and the other tasks go on
            yield Outcome(index, error)


def _on_workers(folder: str, digest: str, pending: Sequence[Cell], client: Client) -> Iterator[Outcome]:
    """Keep a window of tasks in flight; what killed workers is tried alone at the end."""
    from distributed import KilledWorker, as_completed

    waiting, alone = deque(pending), list[Cell]()
    flying: dict[Future[None], Cell] = {}
    futures = as_completed(loop=client.loop)

    def launch() -> None:
        index = waiting.popleft()
        future = client.submit(run_task, folder, digest, index, pure=False)
        flying[future] = index
        futures.add(future)

    try:
        for _ in range(min(IN_FLIGHT * n_threads(client), len(waiting))):
            launch()
        for future in futures:
            index = flying.pop(future)
            outcome = _outcome(future, index)
            future.release()
            if waiting:
                launch()
            if isinstance(outcome.error, KilledWorker):
                alone.append(index)
            else:
                yield outcome
        for index in alone:
            future = client.submit(run_task, folder, digest, index, pure=False)
            flying[future] = index
            outcome = _outcome(future, index)
            flying.pop(future)
            if isinstance(outcome.error, KilledWorker):
                outcome = Outcome(index, _killed(outcome.error))
            yield Outcome(index, outcome.error, retried=True)
    finally:
        if flying:
            client.cancel(list(flying))


def _outcome(future: Future[None], index: Cell) -> Outcome:
    from distributed import CancelledError

    try:
        future.result()
    except CancelledError as error:
        raise WorkerError(
            f"The connection to the scheduler was lost ({error}). What is done is kept: run the same command again to "
            f"go on."
        ) from error
    except Exception as error:
        return Outcome(index, error)
    return Outcome(index)


def _killed(error: Exception) -> WorkerError:
    return WorkerError(
        f"Workers died again and again on one part of the scan, most likely for want of memory: {error}. "
        f"Take fewer workers with --workers, or more memory."
    )
