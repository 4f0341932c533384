"""Where the work is done: the options of the verbs that can use workers, and the workers themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from distributed import Client

    from aptstream.cluster import Scheduler
    from aptstream.display import StageDisplay

_GROUP = "Workers"

Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", min=0, help="Worker processes here; 0 = none. Default: one a core.", rich_help_panel=_GROUP
    ),
]
SchedulerAt = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        help="Of Dask, at tls://…; --tls-ca, --tls-cert, --tls-key name PEM files (--insecure: none). See "
        "docs/cluster.md.",
        rich_help_panel=_GROUP,
    ),
]
# Not listed by --help one by one, which is to fit a screen: the help of --scheduler, which they belong to, names them.
TlsCa = Annotated[Path | None, typer.Option("--tls-ca", help="Certificate of the authority (PEM).", hidden=True)]
TlsCert = Annotated[Path | None, typer.Option("--tls-cert", help="Own certificate (PEM).", hidden=True)]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", help="Its key (PEM).", hidden=True)]
Insecure = Annotated[
    bool,
    typer.Option("--insecure", help="Allow a scheduler without TLS: only on a trusted network.", hidden=True),
]


def scheduler_of(
    address: str | None, ca: Path | None, certificate: Path | None, key: Path | None, *, insecure: bool
) -> Scheduler | None:
    """Return the scheduler that the options name, checked; nothing where they name none."""
    from aptstream.cluster import Scheduler

    if address is None:
        given = [
            name for name, value in (("--tls-ca", ca), ("--tls-cert", certificate), ("--tls-key", key)) if value
        ] + insecure * ["--insecure"]
        if given:
            raise typer.BadParameter(f"{', '.join(given)} belong to a scheduler: give --scheduler too")
        return None
    return Scheduler(address, ca, certificate, key, insecure)


@contextmanager
def workers_for(stages: StageDisplay, workers: int | None, scheduler: Scheduler | None) -> Iterator[Client | None]:
    """Start worker processes on this machine, reachable from it only, or use those of a scheduler."""
    from aptstream.cluster import local_client, remote_client, usable_cores

    n = usable_cores() if workers is None else workers
    if n == 0 and scheduler is None:
        yield None
        return
    stages.begin("workers")
    with remote_client(scheduler) if scheduler is not None else local_client(n) as client:
        yield client
