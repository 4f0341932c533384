"""The verbs `scan` and `repair`: the judgements of all cubes, made, gone on with, and mended."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aptstream.cli_cluster import (
    Insecure,
    SchedulerAt,
    TlsCa,
    TlsCert,
    TlsKey,
    Workers,
    scheduler_of,
    workers_for,
)
from aptstream.cli_parts import (
    Host,
    JsonTo,
    LatticeParameter,
    ModelName,
    Pole,
    RuntimeName,
    Solute,
    Structure,
    facts,
    model_for,
    roles_of,
    stderr,
    stdout,
    tell,
    verb,
)
from aptstream.cli_store import StoreName
from aptstream.display import StageDisplay, say_decisions, write_json

if TYPE_CHECKING:
    from aptstream.cloud.store import PointStore
    from aptstream.scan.plan import ScanPlan


def add_scan_verbs(app: typer.Typer) -> None:
    """Add the verbs of this module to the command line."""
    app.command()(verb(scan))
    app.command()(verb(repair))


def scan(
    store: StoreName,
    out: Annotated[Path, typer.Option(help="Scan to make, or to go on with.")],
    host: Host = None,
    solute: Solute = None,
    model: ModelName = "order",
    structure: Structure = None,
    a_nm: LatticeParameter = None,
    pole: Pole = None,
    runtime: RuntimeName = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Discard an unfinished scan at OUT first.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show tasks and memory, and do nothing.")] = False,
    workers: Workers = None,
    scheduler: SchedulerAt = None,
    tls_ca: TlsCa = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    insecure: Insecure = False,
    json_to: JsonTo = None,
) -> None:
    """Judge all overlapping cubes of a point store.

    The same command goes on with what was stopped.

    Example: `aptstream scan R5096.zarr --host Al --solute Li,Mg --out R5096-scan.zarr`
    """
    from aptstream.cloud import open_store
    from aptstream.cloud.ranging import explain_roles
    from aptstream.cloud.workers import n_threads
    from aptstream.scan import discard_scan, run_scan
    from aptstream.scan.costs import worker_memory
    from aptstream.scan.plan import plan_scan

    elsewhere = scheduler_of(scheduler, tls_ca, tls_cert, tls_key, insecure=insecure)
    with StageDisplay(stderr) as stages:
        points, roles = open_store(store), roles_of(host, solute)
        judges = model_for(model, structure, a_nm, pole, runtime=runtime)
        say_decisions(stderr, judges, roles)
        if roles is None:
            guess = explain_roles(points.species_counts(), points.ranges)
            stages.note(str(guess))
            roles = guess.roles
        with workers_for(stages, workers, elsewhere) as client:
            if dry_run:
                n_workers, limit = n_threads(client), worker_memory(client)
                plan = plan_scan(points, judges, roles, n_workers=n_workers, worker_bytes=limit)
                stages.finish()
                tell(plan_facts(plan, points, n_workers, limit), json_to)
                return
            if fresh:
                discard_scan(out)
            stages.begin("scan")
            run_scan(points, judges, roles, out=out, client=client, progress=stages)
    tell(facts(out), json_to)


def repair(
    scan_path: Annotated[Path, typer.Argument(metavar="SCAN", help="Scan to look through.")],
    store: StoreName,
    model: ModelName = "order",
    workers: Workers = None,
    scheduler: SchedulerAt = None,
    tls_ca: TlsCa = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    insecure: Insecure = False,
    json_to: JsonTo = None,
) -> None:
    """Find what is damaged of a scan, and do that again and nothing else.

    Example: `aptstream repair R5096/scan.zarr R5096/points.zarr`
    """
    from aptstream.cloud import open_store
    from aptstream.scan import repair_scan

    elsewhere = scheduler_of(scheduler, tls_ca, tls_cert, tls_key, insecure=insecure)
    with StageDisplay(stderr) as stages:
        points, judges = open_store(store), model_for(model, None, None, None)
        with workers_for(stages, workers, elsewhere) as client:
            stages.begin("repair")
            n_again = repair_scan(scan_path, points, judges, client=client, progress=stages)
    if json_to is not None:
        write_json({"tasks_done_again": n_again}, json_to)
        return
    stdout.print(f"{n_again} tasks were damaged and done again." if n_again else "Nothing is damaged.", highlight=False)


def plan_facts(plan: ScanPlan, store: PointStore, n_workers: int, limit_bytes: int) -> dict[str, Any]:
    """Say what a scan would do and need, for `--dry-run`."""
    from aptstream.scan.plan import load_of_plan

    load = load_of_plan(plan, store)
    n_tasks, edges = prod(plan.n_tasks), " × ".join(map(str, plan.task_cells))
    per_voxel = 8 * len(plan.edges) + (4 * 26 if plan.field_halo else 0)
    return {
        "ions": f"{store.n_ions:,}",
        "cubes": f"{plan.n_cubes:,} of {plan.edges[0]} nm",
        "tasks": f"{n_tasks:,} of {edges} nm, about {load.seconds:.1f} s each at most",
        "time": f"about {n_tasks * load.seconds / n_workers / 60:.1f} min with {n_workers} workers, at most",
        "memory a worker": f"{load.n_bytes / 2**20:,.0f} MiB at most; it may take {limit_bytes / 2**20:,.0f} MiB",
        **{f"  {name}": f"{size / 2**20:,.0f} MiB" for name, size in load.parts.items()},
        "disk": f"{per_voxel * prod(plan.shape) / 2**20:,.0f} MiB at most",
        "networks run on": plan.runtime,
    }
