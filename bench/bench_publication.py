"""The publication's scan: 98 175 cubes of 4 nm at a stride of 1 nm, from the store to the voxel map, and whole runs.

    OMP_NUM_THREADS=1 python bench/bench_publication.py [--size-nm 38 54 58] [--sample 64] [--parts votes default ...]

prints one JSON object a line. The specimen (32 detected ions/nm³) is simulated. Every job runs in a process of its own,
imports included; its CPU time is that of all processes that it starts, workers too. The rivals are measured in this
run, on so many of the same cubes, one thread, and taken times the number of cubes: the publication's own way as
`lineage.py` has it, and a careful user of SciPy and LiteRT. Parts:

* votes: the 4 nm contrast votes alone;
* default: all that a run with the model `order` computes, shuffled control included; without and with ingest;
* network: the publication's network (weights as they were drawn) on its 150 × 150 pictures, two workers, wall time;
* run: `aptstream run` from the POS file to the report as a user starts it; time of its stages, peak memory of each of
  its processes, size of the page. With `--size-nm 125 125 125` and `--parts run`, for 63 M ions.

Needs TensorFlow (the extra `train`) but for `--parts run`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from lineage import Seconds, carefully, plainly
from lines import read, show

from aptstream.cloud import ingest, open_store
from aptstream.cloud.store import PointStore
from aptstream.cluster import local_client
from aptstream.grid import find, vote
from aptstream.model.fitting import convert
from aptstream.model.modelfile import CubeJudge, Model, load_model, save_model
from aptstream.model.networks import start_tensorflow
from aptstream.model.presets import get_preset
from aptstream.points import Roles
from aptstream.scan import run_scan
from aptstream.simulate import Settings, draw_particles, plan_specimen, write_specimen

ROLES = Roles(("Al",), ("Li", "Mg"))
PARTS = ("votes", "default", "network", "run")
#: So many of the atoms are detected that 32 ions lie in a nm³.
EFFICIENCY = 0.52
#: What was asked of each figure.
ASKED = {"votes_cpu": 10, "votes_times": 1200, "default_cpu": 45, "network_wall": 600, "run_wall": 60, "run_page": 15}


def say(name: str, value: float, unit: str, **more: Any) -> None:
    """Print one figure; less of it is better."""
    show(f"publication.{name}", value, unit, better="less", **more)


def children_cpu() -> float:
    """CPU time in s of all processes that this one has started and seen end, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def make_specimen(folder: Path, size_nm: tuple[float, float, float]) -> None:
    """Write an Al-Li-Mg specimen with L1₂ particles."""
    rng, settings = np.random.default_rng(1), Settings(size_nm=size_nm, efficiency=EFFICIENCY)
    particles = draw_particles(rng, size_nm, volume_fraction=0.08)
    write_specimen(plan_specimen(rng, particles, settings), folder)


def take_in(folder: Path) -> PointStore:
    """Make the point store."""
    return ingest(folder / "specimen.pos", ranges=folder / "specimen.rrng", out=folder / "points.zarr")


def votes_alone() -> Model:
    """Keep the judge of 4 nm cubes of the model that votes by contrast."""
    model = load_model("cubes")
    return replace(model, judges=model.judges[:1])


def untrained() -> tuple[Model, Any]:
    """Make the publication's network with its weights as they are drawn, for us and for Keras."""
    start_tensorflow(1)
    preset = get_preset("li2021")
    ((edge, view),) = preset.views.items()
    network = preset.net.build(view.shape)
    weights = tuple(np.asarray(values) for values in network.get_weights())
    flatbuffer = convert(network, preset.net, view.shape)
    judge = CubeJudge(edge, view.window, preset.net, 400, flatbuffer, weights, view.form)
    return Model("untrained", preset.crystal, (judge,), preset.cut, preset.min_voxels, {}, {}), network


def scan_and_vote(folder: Path, model: str, workers: int) -> None:
    """Scan, and sum the votes."""
    store = open_store(folder / "points.zarr")
    if workers:
        with local_client(workers) as client:
            done = run_scan(store, load_model(model), ROLES, out=folder / "network.zarr", client=client)
    else:
        done = run_scan(store, load_model(model), ROLES, out=folder / "votes.zarr")
    vote(done)


def scan_and_find(folder: Path) -> None:
    """Do all that a run does between ingest and report."""
    store, model = open_store(folder / "points.zarr"), load_model("order")
    find(run_scan(store, model, ROLES, out=folder / "order.zarr"), store, model)


#: What a process of its own does.
JOBS: dict[str, Callable[[Path], object]] = {
    "ingest": take_in,
    "votes": lambda folder: scan_and_vote(folder, str(folder / "votes.aptmodel"), 0),
    "default": scan_and_find,
    "network": lambda folder: scan_and_vote(folder, str(folder / "network.aptmodel"), 2),
}


def apart(job: str, folder: Path) -> tuple[float, float]:
    """Do a job in a process of its own; wall and CPU time in s, those of processes that it starts included."""
    begin, before = time.perf_counter(), children_cpu()
    subprocess.run([sys.executable, __file__, "--job", job, "--folder", str(folder)], check=True)
    return time.perf_counter() - begin, children_cpu() - before


def watched(command: list[str]) -> tuple[float, float, list[float]]:
    """Run a command; wall and CPU time in s, and the largest resident set of each of its processes in MiB."""
    begin, before, peaks = time.perf_counter(), children_cpu(), {}
    process = psutil.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        for one in (process, *_children(process)):
            try:
                peak = Path(f"/proc/{one.pid}/status").read_text().partition("VmHWM:")[2].split()
            except OSError:  # it has just ended
                continue
            if peak:
                peaks[one.pid] = int(peak[0]) / 1024
        time.sleep(0.1)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    spent = time.perf_counter() - begin, children_cpu() - before
    return *spent, sorted((round(peak, 1) for peak in peaks.values()), reverse=True)


def _children(process: psutil.Popen) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def run_part(folder: Path) -> None:
    """Run from POS to report as a user does, without any setting of threads."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.pop(name, None)
    out, told = folder / "run", folder / "run.json"
    ions = [str(folder / "specimen.pos"), "--ranges", str(folder / "specimen.rrng")]
    what = ["--host", "Al", "--solute", "Li,Mg", "--out", str(out), "--json", str(told)]
    wall, cpu, peaks = watched([sys.executable, "-P", "-m", "aptstream.cli", "run", *ions, *what])
    answer = json.loads(told.read_text())
    stages = {name: round(seconds, 2) for name, seconds in answer["seconds"].items()}
    say("run_wall", wall, "s (wall)", rival=("asked", ASKED["run_wall"]), stages=stages)
    say("run_cpu", cpu, "s (CPU)")
    say("run_peak", peaks[0], "MiB", every_process=peaks)
    say("run_page", (out / "report.html").stat().st_size / 1e6, "MB", rival=("asked", ASKED["run_page"]))


def rivals(store: PointStore, network: Any, judge: CubeJudge, sample: int, folder: Path) -> dict[str, Seconds]:
    """Judge cubes drawn from all, both ways."""
    cloud = store.read((0, 0, 0), store.shape_cells, columns=())
    place = cloud.position.astype(np.float64) - store.origin_nm
    host = place[ROLES.of(cloud.species_names)[cloud.species] == 0]
    rng, highest = np.random.default_rng(2), np.array(store.shape_cells) - 3
    lows = rng.integers(0, highest, (sample, 3))
    plainly(host, lows[:1], network, folder)  # what is loaded once is not counted
    carefully(host, lows[:1], judge)
    return {
        "publication's way": plainly(host, lows, network, folder),
        "cKDTree + bincount + LiteRT": carefully(host, lows, judge),
    }


def scan_parts(folder: Path, parts: list[str], sample: int, taking_in: float) -> None:
    """Measure all parts that judge cubes, beside the rivals."""
    store = open_store(folder / "points.zarr")
    n = prod(edge - 3 for edge in store.shape_cells)
    model, network = untrained()
    save_model(folder / "network.aptmodel", model)
    save_model(folder / "votes.aptmodel", votes_alone())
    spent = rivals(store, network, model.judges[0], sample, folder)
    for name, seconds in spent.items():
        ms = {part: round(1e3 * value, 2) for part, value in vars(seconds).items()}
        say("way", n * seconds.all / 3600, "h (CPU)", way=name, cubes=n, sample=sample, ms_a_cube=ms)
    cost = {name: n * seconds.all for name, seconds in spent.items()}
    about = {"cubes": n, "ions": store.n_ions, "density": store.n_ions / prod(store.shape_cells)}
    for part in ("votes", "default"):
        if part in parts:
            wall, cpu = apart(part, folder)
            asked = {key: ASKED[f"{part}_{key}"] for key in ("cpu", "times") if f"{part}_{key}" in ASKED}
            for rival in cost.items():
                say(f"{part}_cpu", cpu, "s (CPU)", rival=rival, asked=asked, wall=wall, **about)
    if "default" in parts:
        for rival in cost.items():
            say("default_with_ingest_cpu", cpu + taking_in, "s (CPU)", rival=rival, ingest=taking_in, **about)
    if "network" in parts:
        wall, cpu = apart("network", folder)
        for rival, theirs in cost.items():
            say("network_cpu", cpu, "s (CPU)", rival=(rival, theirs), **about)
        say("network_wall", wall, "s (wall)", rival=("asked", ASKED["network_wall"]), workers=2, **about)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-nm", type=float, nargs=3, default=[38.0, 54.0, 58.0], help="of the specimen")
    parser.add_argument("--sample", type=int, default=64, help="cubes that the rivals judge")
    parser.add_argument("--parts", choices=PARTS, nargs="+", default=PARTS)
    parser.add_argument("--folder", type=Path, help="where the specimen is written; a temporary folder")
    parser.add_argument("--job", choices=JOBS, help=argparse.SUPPRESS)
    given = read(parser, {"size_nm": [12.0, 12.0, 14.0], "sample": 1})
    if given.job:
        JOBS[given.job](given.folder)
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        make_specimen(folder, tuple(given.size_nm))
        if "run" in given.parts:
            run_part(folder)
        if set(given.parts) - {"run"}:
            _, taking_in = apart("ingest", folder)
            os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
            scan_parts(folder, list(given.parts), given.sample, taking_in)


if __name__ == "__main__":
    main()
