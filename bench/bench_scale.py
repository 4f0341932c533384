"""How time and memory grow with the specimen: simulate, ingest, scan and find, each in a process of its own.

    OMP_NUM_THREADS=1 python bench/bench_scale.py [--millions 1 4 16] [--largest] [--folder F] [--model order]
    OMP_NUM_THREADS=1 python bench/bench_scale.py --plan-only        a plan for 1 G ions, which are not there
    OMP_NUM_THREADS=1 python bench/bench_scale.py --maps-only        memory of find on maps of that size
    OMP_NUM_THREADS=1 python bench/bench_scale.py --tasks 100000     memory of scheduler and client over many tasks
    OMP_NUM_THREADS=1 python bench/bench_scale.py --workers 2        so many workers against one

Prints one JSON object a line. Memory is the largest resident set of the stage's process (VmHWM). Beside what a scan
took stands what its plan said (`aptstream.scan.costs`). A folder needs 60 bytes an ion.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any, cast

import numpy as np
from lines import read, row, show

import aptstream
from aptstream.cloud import ingest, open_store
from aptstream.cloud.lattice import Lattice
from aptstream.cloud.store import PointStore
from aptstream.cloud.workers import n_threads
from aptstream.cluster import local_client
from aptstream.crystal import Crystal
from aptstream.grid import find, vote
from aptstream.grid.control import PEAK_BOUNDS
from aptstream.grid.precipitates import BoundaryRule, expected_precipitates
from aptstream.grid.refine import refine
from aptstream.model.gridnet import GridNet, TrainedGridNet
from aptstream.model.modelfile import load_model
from aptstream.model.refiner import N_FIRST, N_SECOND, Refiner
from aptstream.points import PointCloud, Roles
from aptstream.scan import ScanStore, open_scan, outcomes, run_scan
from aptstream.scan.costs import worker_memory
from aptstream.scan.ledger import save_plan
from aptstream.scan.plan import load_of_plan, plan_scan
from aptstream.scan.results import create_scan
from aptstream.sdm.darkfield import N_MAPS, OrderField
from aptstream.simulate import Settings, draw_particles, plan_specimen, write_specimen

ROLES = Roles(("Al",), ("Li", "Mg"))
#: Detected ions in a nm³ of the simulated alloy.
DENSITY = 33.1
STAGES = ("simulate", "ingest", "scan", "find")


def peak_mib() -> float:
    """Largest resident set of this process since it began, in MiB; that of its parent is not in it, as in ru_maxrss."""
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def resident_mib() -> float:
    """Resident set of this process now, in MiB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def simulate(folder: Path, millions: float, _: str) -> dict[str, Any]:
    """Write a specimen as wide as it is deep."""
    edge = (millions * 1e6 / DENSITY) ** (1 / 3)
    rng, settings = np.random.default_rng(1), Settings(size_nm=(edge, edge, edge))
    particles = draw_particles(rng, settings.size_nm, volume_fraction=0.08)
    write_specimen(plan_specimen(rng, particles, settings), folder)
    return {"particles": len(particles)}


def take_in(folder: Path, _millions: float, _: str) -> dict[str, Any]:
    """Make the point store."""
    store = ingest(folder / "specimen.pos", ranges=folder / "specimen.rrng", out=folder / "points.zarr")
    return {"ions": store.n_ions}


def scan(folder: Path, _millions: float, model_name: str) -> dict[str, Any]:
    """Judge all cubes in this process; tell what the plan said too."""
    ends = [time.process_time()]
    store, model = open_store(folder / "points.zarr"), load_model(model_name)
    plan = plan_scan(store, model, ROLES, worker_bytes=worker_memory(None))
    load = load_of_plan(plan, store)
    ends.append(time.process_time())
    run_scan(store, model, ROLES, out=folder / "scan.zarr", progress=lambda *_: ends.append(time.process_time()))
    tasks = np.diff(ends[1:])
    tasks[0] -= ends[1] - ends[0]  # it was planned once more
    return {
        "plan_seconds": ends[1] - ends[0],
        "tasks": len(tasks),
        "task_cells": plan.task_cells,
        "task_seconds": float(np.median(tasks)),
        "longest_task_seconds": float(tasks.max()),
        "predicted_task_seconds": load.seconds,
        "predicted_mib": load.n_bytes / 2**20,
        "planes_visible": plan.planes.visible,
    }


def find_particles(folder: Path, _millions: float, model_name: str) -> dict[str, Any]:
    """Find the particles of the scan."""
    answer = find(open_scan(folder / "scan.zarr"), open_store(folder / "points.zarr"), load_model(model_name))
    return {"found": len(answer.found)}


JOBS: dict[str, Callable[[Path, float, str], dict[str, Any]]] = {
    "simulate": simulate,
    "ingest": take_in,
    "scan": scan,
    "find": find_particles,
}


def measure(stage: str, folder: Path, millions: float, model: str) -> dict[str, Any]:
    """Run one stage in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = JOBS[stage](folder, millions, model)
    seconds = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    return {**seconds, "peak_mib": peak_mib(), **found}


def apart(stage: str, folder: Path, millions: float, model: str) -> dict[str, Any]:
    """Run one stage in a process of its own."""
    command = [sys.executable, __file__, "--stage", stage, "--folder", str(folder), "--millions", str(millions)]
    ended = subprocess.run([*command, "--model", model], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def grow(folder: Path, sizes: list[float], model: str) -> None:
    """Run all stages on specimens of some sizes, and fit the exponents of growth."""
    rows: list[dict[str, dict[str, Any]]] = []
    for millions in sizes:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            rows.append({})
            for stage in STAGES:
                rows[-1][stage] = apart(stage, Path(name), millions, model)
                figures = dict(rows[-1][stage])
                show(f"scale.{stage}.{millions:g}M", figures.pop("cpu_seconds"), "s (CPU)", **figures)
    if len(sizes) < 2:
        return
    ions = [stages["ingest"]["ions"] for stages in rows]
    for stage in (*STAGES, "all"):
        counted = STAGES[1:] if stage == "all" else [stage]
        cpu = [sum(stages[s]["cpu_seconds"] for s in counted) for stages in rows]
        steps = np.diff(np.log(cpu)) / np.diff(np.log(ions))
        fitted = float(np.polyfit(np.log(ions), np.log(cpu), 1)[0])
        show(f"scale.exponent_of_{stage}", fitted, "exponent", rival=("asked", 1.05), better="less", steps=steps)


class Billion:
    """All that a plan asks a point store of 1 G ions for; ions are drawn where they are read."""

    def __init__(self) -> None:
        self.lattice = Lattice((0.0, 0.0, 0.0), (240, 240, 525))
        self.shape_cells, self.origin_nm = self.lattice.shape_cells, self.lattice.origin_nm
        bricks = np.ndindex(self.lattice.shape_bricks)
        self.counts = np.array([DENSITY * prod(self.lattice.brick_shape(b).tolist()) for b in bricks], np.int64)
        self.n_ions, self.address = int(self.counts.sum()), "/simulated/points.zarr"
        self.attrs, self.species_names = {"content_digest": "0" * 64}, ("unranged", "Al", "Li", "Mg")

    def brick_counts(self) -> np.ndarray:
        """Ions of every brick."""
        return self.counts

    def read(self, low: tuple[int, ...], high: tuple[int, ...], columns: tuple[str, ...]) -> PointCloud:
        """Draw ions on planes normal to z, 0.2025 nm apart."""
        low, high = self.lattice.clip(low, high)
        rng = np.random.default_rng(low)
        place = rng.uniform(low, high, (int(DENSITY * prod(np.subtract(high, low).tolist())), 3))
        place[:, 2] = np.clip(
            (place[:, 2] // 0.2025) * 0.2025 + rng.normal(0, 0.03, len(place)), low[2], high[2] - 0.01
        )
        species = rng.choice(np.array([1, 2, 3], np.uint8), len(place), p=[0.9, 0.08, 0.02])
        return PointCloud(place.astype("f4"), np.zeros(len(place), "f4"), species, self.species_names)


def plan_a_billion(model_name: str) -> None:
    """Plan for 1 G ions, make the Dask graph and the runner's folder and list of tasks."""
    begin, store, model = time.process_time(), cast(PointStore, Billion()), load_model(model_name)
    plan = plan_scan(store, model, ROLES, n_workers=64, worker_bytes=2 << 30)
    planned = time.process_time()
    judged = aptstream.scan(store, model, ROLES)
    graph = dict(judged.__dask_graph__())
    n_bytes = len(pickle.dumps(graph))
    made = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        create_scan(Path(folder), plan, (0.0, 0.0, 0.0))
        save_plan(Path(folder), plan)
        pending = list(plan.indices())
    show(
        "scale.plan_only",
        time.process_time() - begin,
        "s (CPU)",
        ions=store.n_ions,
        tasks=len(pending),
        task_cells=plan.task_cells,
        predicted_task_seconds=load_of_plan(plan, store).seconds,
        plan_seconds=planned - begin,
        graph_seconds=made - planned,
        graph_tasks=len(graph),
        graph_bytes_per_task=n_bytes / len(graph),
        layout_seconds=time.process_time() - made,
        peak_mib=peak_mib(),
    )


class DrawnScan(ScanStore):
    """What `find` reads of a finished scan; drawn where it is read, one cube of 5 nm in twelve full of order."""

    def __init__(self, shape: tuple[int, int, int], crystal: Crystal) -> None:
        self.shape, self.edges, self.origin_nm, self.crystal = shape, (2, 4), (0.0, 0.0, 0.0), crystal

    def p(self, edge_nm: int, low: int = 0, high: int | None = None) -> np.ndarray:
        """Draw judgements of cubes."""
        planes = len(range(*slice(low, high).indices(self.shape[0])))
        return np.random.default_rng((edge_nm, low)).random((planes, *self.shape[1:]), np.float32)

    def field(self, low: int = 0, high: int | None = None) -> OrderField:
        """Draw an order field."""
        x, y, z = (slice(low, high).indices(self.shape[0])[:2], *self.shape[1:])
        stacked = np.random.default_rng(x[0]).random((N_MAPS, x[1] - x[0], y, z), np.float32)
        for k, plane in enumerate(range(*x)):
            cubes = np.random.default_rng(plane // 5).random((-(-y // 5), -(-z // 5)), np.float32)
            stacked[0, k] = cubes.repeat(5, axis=0)[:y].repeat(5, axis=1)[:, :z]
        stacked[-4] = DENSITY
        return OrderField.unstack(np.ascontiguousarray(stacked))


def _seeing(channel: int, channels: int) -> TrainedGridNet:
    """Make a net of the usual reach that calls ordered where a power of order is larger than in eleven of twelve."""
    net = GridNet(channels, ((1, 1, 1), (3, 1, 1), (3, 1, 1), (3, 2, 1), (1, 1, 1)))
    weights = [np.zeros(shape, np.float32) for shape in net.weight_shapes()]
    weights[0][..., channel, 0] = 1
    for kernel in weights[2:8:2]:
        kernel[1, 1, 1] = 1
    weights[8][:], weights[9][:] = 60, -60 * np.log(0.3 + 11 / 12)
    return TrainedGridNet(net, np.zeros(channels, np.float32), np.ones(channels, np.float32), tuple(weights))


def find_in_a_billion(model_name: str) -> None:
    """Run all steps of `find` that hold whole maps; what is left out (control, ions) works on blocks."""
    begin, model = time.process_time(), load_model(model_name)
    model = replace(model, refiner=Refiner((_seeing(0, N_FIRST),), (_seeing(1, N_SECOND),)))
    scan = DrawnScan((240, 240, 525), model.crystal)
    votes, order = vote(scan), vote(scan, 2).mean
    row("scale.maps_votes", peak_mib=peak_mib())
    refined = refine(scan, model)
    row("scale.maps_refine", peak_mib=peak_mib())
    order = np.where(np.isfinite(order), refined.p, np.float32(np.nan))
    found = expected_precipitates(order, BoundaryRule(peak=PEAK_BOUNDS[0]), origin_nm=votes.origin_nm)
    seconds = time.process_time() - begin
    show("scale.maps_only", peak_mib(), "MiB", voxels=order.size, found=len(found), cpu_seconds=seconds)


def many_tasks(n_tasks: int) -> None:
    """Run trivial tasks through the runner's window; scheduler and client live in this process."""

    def nothing(_folder: str, _digest: str, _index: tuple[int, ...]) -> None:
        return None

    outcomes.run_task = nothing
    with local_client(1) as client:
        scheduler, most, begin = client.cluster.scheduler, 0, time.perf_counter()
        pending = [(i, 0, 0) for i in range(n_tasks)]
        for done, outcome in enumerate(outcomes.outcomes(Path(), "", pending, client), 1):
            if outcome.error is not None:
                raise outcome.error
            most = max(most, len(scheduler.tasks), len(client.futures))
            if done % max(n_tasks // 10, 1) == 0 or done == max(n_tasks // 100, 1):
                seconds = time.perf_counter() - begin
                show(f"scale.many_tasks.{done}", resident_mib(), "MiB", seconds=seconds, known_tasks_at_most=most)


def _worker_cpu() -> float:
    return time.process_time()


def against_one(folder: Path, millions: float, model_name: str, n_workers: int) -> None:
    """Scan one specimen with one worker and with more."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        here, model = Path(name), load_model(model_name)
        for stage in STAGES[:2]:
            apart(stage, here, millions, model_name)
        walls, busiest = [], []
        for n in (1, n_workers):
            with local_client(n) as client:
                before, begin = client.run(_worker_cpu), time.perf_counter()
                run_scan(open_store(here / "points.zarr"), model, ROLES, out=here / f"{n}.zarr", client=client)
                walls.append(time.perf_counter() - begin)
                busiest.append(max(spent - before[w] for w, spent in client.run(_worker_cpu).items()))
                workers = n_threads(client)
            row("scale.workers", workers=workers, seconds=walls[-1], busiest_worker_cpu_seconds=busiest[-1])
        told = {"millions": millions, "workers": n_workers, "load_average": os.getloadavg()[0]}
        for what, unit, (one, more) in (("wall", "s (wall)", walls), ("busiest_worker", "s (CPU)", busiest)):
            show(f"scale.speedup.{what}", more, unit, rival=("one worker", one), better="less", **told)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--millions", type=float, nargs="+", default=[1, 4, 16], help="ions of each specimen")
    parser.add_argument("--largest", action="store_true", help="64 M ions too")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--model", default="order")
    parser.add_argument("--plan-only", action="store_true")
    parser.add_argument("--maps-only", action="store_true")
    parser.add_argument("--tasks", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    given = read(parser, {"millions": [0.05, 0.1]})
    if given.stage:
        print(json.dumps(measure(given.stage, given.folder, given.millions[0], given.model)))
    elif given.plan_only:
        plan_a_billion(given.model)
    elif given.maps_only:
        find_in_a_billion(given.model)
    elif given.tasks:
        many_tasks(given.tasks)
    elif given.workers:
        against_one(given.folder, given.millions[-1], given.model, given.workers)
    else:
        grow(given.folder, given.millions + [64.0] * given.largest, given.model)


if __name__ == "__main__":
    main()
