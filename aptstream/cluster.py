"""Worker processes on this machine, for the command line and for notebooks."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Client


def usable_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def local_client(n_workers: int) -> Iterator[Client]:
    """Start worker processes, one thread each, that listen on the loopback address only and end with the context.

    Parameters
    ----------
    n_workers : int
        Worker processes.

    Yields
    ------
    distributed.Client
    """
    from distributed import Client, LocalCluster

    with _children_ignore_interrupts():
        cluster = LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            silence_logs=logging.ERROR,
        )
    with cluster, Client(cluster, set_as_default=False) as client:
        yield client


@contextmanager
def _children_ignore_interrupts() -> Iterator[None]:
    """Let processes that start now ignore Ctrl-C, which a terminal sends to all: they are ended by this process.

    This process does not hear it either for that second.
    """
    if threading.current_thread() is not threading.main_thread():  # no other may change it
        yield
        return
    kept = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, kept)
