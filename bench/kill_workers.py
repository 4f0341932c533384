"""A scan whose processes are killed at random ends with the bytes of one that nobody disturbed.

    OMP_NUM_THREADS=1 python bench/kill_workers.py --seeds 20 [--first 0] [--model order] [--folder F]

For each seed, a scan on two worker processes that are killed (kill -9) at random moments, and one of which client,
scheduler and workers are all killed together at a random moment, and which the same call then takes up. One JSON object
a line, ``same`` if all digests are equal; ends with 1 if one was not.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from lines import read, row, show

from aptstream.cloud import ingest, open_store
from aptstream.cluster import local_client
from aptstream.io.lease import building_of
from aptstream.model.modelfile import load_model
from aptstream.points import Roles
from aptstream.scan import ScanStore, open_scan, run_scan
from aptstream.scan import plan as planning
from aptstream.scan.ledger import MARKS
from aptstream.simulate import Settings, draw_particles, plan_specimen, write_specimen

ROLES = Roles(("Al",), ("Li", "Mg"))
SIZE_NM = (32.0, 32.0, 48.0)


def specimen_in(folder: Path) -> Path:
    """Make the point store that all scans read."""
    rng, settings = np.random.default_rng(1), Settings(size_nm=SIZE_NM)
    plan = plan_specimen(rng, draw_particles(rng, SIZE_NM, volume_fraction=0.08), settings)
    files = write_specimen(plan, folder)
    return ingest(files.pos, ranges=files.rrng, out=folder / "points.zarr").path


def scan(points: Path, model: str, out: Path, killer: Killer | None = None) -> ScanStore:
    """Scan on two workers, in tasks of one brick, so that many moments differ."""
    planning.choose_task = lambda *_: (16, 16, 16)
    with local_client(2) as client:
        if killer is not None:
            killer.start(client)
        try:
            return run_scan(open_store(points), load_model(model), ROLES, out=out, client=client)
        finally:
            if killer is not None:
                killer.stop()


class Killer:
    """Kills some workers one after another, at moments that a seed gives.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of the moments.
    seconds : float
        Within which they lie.
    """

    def __init__(self, rng: np.random.Generator, seconds: float) -> None:
        self.killed: list[int] = []
        self._rng, self._over = rng, threading.Event()
        # Few: while most of the time a new worker is being started, no scan would end.
        self._waits_s = np.diff(np.sort(rng.uniform(0, seconds, rng.integers(1, 6))), prepend=0.0)

    def start(self, client: Any) -> None:
        """Begin, in a thread."""
        self._thread = threading.Thread(target=self._kill, args=(client,))
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._over.set()
        self._thread.join()

    def _kill(self, client: Any) -> None:
        for wait_s in self._waits_s:
            if self._over.wait(wait_s):
                return
            running = [nanny.pid for nanny in list(client.cluster.workers.values()) if nanny.pid is not None]
            if running:  # else all are just being started
                self.killed.append(int(self._rng.choice(running)))
                with suppress(ProcessLookupError):
                    os.kill(self.killed[-1], signal.SIGKILL)


def kill_all(points: Path, model: str, out: Path, after_s: float) -> int:
    """Scan in a group of processes, kill all of it, and return how many tasks had been done by then."""
    command = [sys.executable, __file__, "--scan", str(points), str(out), "--model", model]
    group = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        group.wait(after_s)
    except subprocess.TimeoutExpired:
        os.killpg(group.pid, signal.SIGKILL)
        group.wait()
    marks = building_of(out) / MARKS
    return len(list(marks.iterdir())) if marks.is_dir() else 0


def one_seed(seed: int, folder: Path, points: Path, model: str, wanted: tuple[str, float]) -> bool:
    """Disturb two scans; print what happened, and tell whether both ended with the same bytes."""
    rng, (digest, seconds) = np.random.default_rng(seed), wanted
    workers, client = folder / f"workers{seed}.zarr", folder / f"client{seed}.zarr"
    killer, begin = Killer(rng, seconds), time.perf_counter()
    digests = [scan(points, model, workers, killer).digest()]
    middle = time.perf_counter()
    done = kill_all(points, model, client, rng.uniform(0.2, 1) * seconds)
    ended = client.exists()
    digests.append(scan(points, model, client).digest())
    same = digests == [digest, digest]
    row(
        "kill_workers.seed",
        seed=seed,
        same=same,
        workers_killed=len(killer.killed),
        tasks_done_when_client_was_killed="all" if ended else done,
        seconds=[middle - begin, time.perf_counter() - middle],
    )
    return same


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--model", default="order")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--scan", type=Path, nargs=2, help=argparse.SUPPRESS)
    given = read(parser, {"seeds": 1, "model": "cubes"})
    if given.scan:
        scan(given.scan[0], given.model, given.scan[1])
        return 0
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        points, begin = specimen_in(folder), time.perf_counter()
        scan(points, given.model, folder / "undisturbed.zarr")
        wanted = open_scan(folder / "undisturbed.zarr").digest(), time.perf_counter() - begin
        row("kill_workers.undisturbed", digest=wanted[0], seconds=wanted[1])
        seeds = range(given.first, given.first + given.seeds)
        same = [one_seed(seed, folder, points, given.model, wanted) for seed in seeds]  # all of them, whatever fails
        show("kill_workers.same_bytes", sum(same) / len(same), "share", n=len(same))
        return int(not all(same))


if __name__ == "__main__":
    sys.exit(main())
