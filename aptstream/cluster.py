"""Workers: processes on this machine, or a Dask scheduler elsewhere that is reached through TLS."""

from __future__ import annotations

import ipaddress
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aptstream import __version__
from aptstream.errors import WorkerError

if TYPE_CHECKING:
    from distributed import Client

#: Workers may die so often on one task before it is given up: batch systems end workers that did nothing wrong.
ALLOWED_FAILURES = 20
#: How long a scheduler may take to answer, and workers to come, in s.
PATIENCE_S = 30
#: Names of tasks that a scheduler of ours remembers.
KNOWN_NAMES = 1000
#: How a local cluster treats its workers. Dask would never replace one that was not back within 15 s, as on a machine
#: with much other work, and a scan would wait for ever.
_LASTING = {
    "distributed.scheduler.allowed-failures": ALLOWED_FAILURES,
    "distributed.deploy.lost-worker-timeout": "365d",
    # A worker is one core: packing chunks in threads beside it only makes workers push each other off theirs.
    "distributed.nanny.environ.ZARR_THREADING__MAX_WORKERS": 1,
}


@dataclass(frozen=True)
class Scheduler:
    """A Dask scheduler that runs already, and what proves who is who.

    Parameters
    ----------
    address : str
        Such as ``tls://10.0.0.7:8786``.
    ca, certificate, key : Path, optional
        Files in PEM format: of the authority that signed all certificates, and of this client.
    insecure : bool
        Whether an address without TLS is allowed beyond this machine.

    Raises
    ------
    WorkerError
        If the address is not one, TLS is asked for without its files, or it is not asked for where it must be.

    Examples
    --------
    >>> Scheduler("tcp://127.0.0.1:8786").address
    'tcp://127.0.0.1:8786'
    """

    address: str
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False

    def __post_init__(self) -> None:
        parts = urlsplit(self.address)
        if parts.scheme not in ("tcp", "tls") or not parts.hostname:
            raise WorkerError(
                f"{self.address!a} is no address of a scheduler. Expected tls://HOST:PORT, as 'dask scheduler' "
                f"prints it."
            )
        files = (self.ca, self.certificate, self.key)
        missing = [str(file) for file in files if file is not None and not file.is_file()]
        if missing:
            raise WorkerError(f"There is no file {', '.join(missing)}. Expected certificates and key in PEM format.")
        if parts.scheme == "tls" and None in files:
            raise WorkerError(
                f"{self.address} asks for TLS: give --tls-ca, --tls-cert and --tls-key, the files that the scheduler "
                f"was started with or others of the same authority."
            )
        if parts.scheme == "tcp" and not self.insecure and not _is_loopback(parts.hostname):
            raise WorkerError(
                f"{self.address} is not on this machine and has no TLS: whoever reaches it can run programs as you. "
                f"Start scheduler and workers with --tls-ca-file, --tls-cert and --tls-key and give tls://…, or allow "
                f"it with --insecure in a network where you trust every machine."
            )


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
    import dask
    from distributed import Client, LocalCluster
    from distributed.scheduler import DEFAULT_EXTENSIONS

    with dask.config.set(_LASTING):
        with _children_ignore_interrupts():
            cluster = LocalCluster(
                n_workers=n_workers,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                dashboard_address=None,
                scheduler_kwargs={
                    "dashboard_address": "127.0.0.1:0",  # else two runs want the same port
                    "extensions": {**DEFAULT_EXTENSIONS, "spans": _forgetful_spans},
                },
                silence_logs=logging.ERROR,
            )
        with cluster, Client(cluster, set_as_default=False) as client:
            yield client


@contextmanager
def remote_client(scheduler: Scheduler) -> Iterator[Client]:
    """Use the workers of a scheduler that runs already.

    Parameters
    ----------
    scheduler : Scheduler
        Where it is.

    Yields
    ------
    distributed.Client

    Raises
    ------
    WorkerError
        If it does not answer, refuses the certificate, has no workers, or these have another version of aptstream.
    """
    from distributed import Client, Security

    security = None
    if scheduler.address.startswith("tls"):
        security = Security(
            tls_ca_file=str(scheduler.ca),
            tls_client_cert=str(scheduler.certificate),
            tls_client_key=str(scheduler.key),
            require_encryption=True,
        )
    quiet = logging.getLogger("distributed")
    level = quiet.level
    quiet.setLevel(logging.CRITICAL)  # what matters is raised, once
    try:
        client = Client(scheduler.address, security=security, timeout=PATIENCE_S, set_as_default=False)
    except (OSError, TimeoutError, RuntimeError, ValueError) as error:
        raise WorkerError(
            f"The scheduler at {scheduler.address} cannot be used: {error}. Is it running there, does a firewall stand "
            f"between, and are certificates and key those of the same authority?"
        ) from error
    finally:
        quiet.setLevel(level)
    with client:
        require_workers(client, scheduler.address)
        yield client


def require_workers(client: Client, address: str) -> None:
    """Wait for the first workers, and see that they run this version.

    Parameters
    ----------
    client : distributed.Client
        Connected.
    address : str
        Where to, for messages.

    Raises
    ------
    WorkerError
        If none come, or they have another version of aptstream, or none.
    """
    try:
        client.wait_for_workers(1, timeout=PATIENCE_S)
    except TimeoutError as error:
        raise WorkerError(
            f"The scheduler at {address} has no workers. Start some with: dask worker {address} --nthreads 1"
        ) from error
    versions = client.run(_version, on_error="return")
    others = {worker: found for worker, found in versions.items() if found != __version__}
    if others:
        worker, found = next(iter(others.items()))
        raise WorkerError(
            f"{len(others)} of {len(versions)} workers cannot take part: {worker} has "
            f"{found if isinstance(found, str) else f'no aptstream ({found})'}, expected aptstream {__version__}. "
            f"Install the same version for all workers."
        )


def _forgetful_spans(scheduler: Any) -> Any:
    """Let a scheduler group tasks as ever, but keep nothing of every single one.

    Dask would note for each that it was one, 0.5 kB that are never freed, and remember 100 000 names, 25 MB.
    """
    from dask.utils import key_split
    from distributed.spans import SpansSchedulerExtension

    spans: Any = SpansSchedulerExtension(scheduler)
    observe = spans.observe_tasks

    def forget(tasks: Any, **about: Any) -> Any:
        if key_split.cache_info().currsize > KNOWN_NAMES:
            key_split.cache_clear()
        return observe(tasks, **{**about, "span_metadata": None})

    spans.observe_tasks = forget
    return spans


def _version() -> str:
    """Say which version a worker has; runs there."""
    from aptstream import __version__ as found

    return found


def _is_loopback(host: str) -> bool:
    """Tell whether a name leads to this machine and nowhere else."""
    try:
        found = {entry[4][0] for entry in socket.getaddrinfo(host, None)}
    except OSError:
        return False  # a name that is not known is not this machine
    return bool(found) and all(ipaddress.ip_address(str(address).split("%")[0]).is_loopback for address in found)


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
