"""The same function for many tasks: here, or on the workers of a Dask client, a window of them in flight."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from aptstream.errors import WorkerError

if TYPE_CHECKING:
    from distributed import Client

Result = TypeVar("Result")

#: Tasks in flight for every worker thread: enough to keep it busy, few enough to hold back.
IN_FLIGHT = 3


def n_threads(client: Client | None) -> int:
    """Count the tasks that run at the same time.

    Parameters
    ----------
    client : distributed.Client, optional
        None for this process.

    Returns
    -------
    int
        At least 1.
    """
    return max(sum(client.nthreads().values()), 1) if client is not None else 1


def run_tasks(
    function: Callable[..., Result], tasks: Sequence[tuple[Any, ...]], client: Client | None
) -> Iterator[Result]:
    """Call a function once for every task.

    Parameters
    ----------
    function : callable
        May be called twice for the same task where a worker dies.
    tasks : sequence of tuple
        Its arguments.
    client : distributed.Client, optional
        Where to run; in this process where it is not given.

    Yields
    ------
    object
        The results: in the order of tasks in this process, as they come on workers.

    Raises
    ------
    WorkerError
        If workers die on one task again and again.
    """
    if client is None:
        for task in tasks:
            yield function(*task)
        return
    from distributed import KilledWorker, as_completed

    waiting = iter(tasks)
    window = islice(waiting, IN_FLIGHT * n_threads(client))
    running = {client.submit(function, *task, pure=False) for task in window}
    futures = as_completed(list(running), loop=client.loop)
    try:
        for future in futures:
            running.discard(future)
            try:
                result = future.result()
            except KilledWorker as error:
                raise WorkerError(
                    f"Workers died again and again on one part of the work, most likely for want of memory: {error}. "
                    f"Take fewer workers with --workers, or more memory."
                ) from error
            future.release()
            following = next(waiting, None)
            if following is not None:
                added = client.submit(function, *following, pure=False)
                running.add(added)
                futures.add(added)
            yield result
    finally:
        if running:
            client.cancel(list(running))
