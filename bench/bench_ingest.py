"""How fast a POS file of any size becomes a point store, in how much memory, beside plain numpy reading the same file.

``python bench/bench_ingest.py [--ions N] [--workers W] [--folder F]`` prints one JSON line per figure. CPU time of the
whole process counts, all threads together; every ingest runs in a process of its own. The folder needs 45 bytes per
ion. With ``--workers`` the wall time of that many worker processes is held against that of one.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from lines import median_cpu, read, show

from aptstream.cloud import ingest, open_store
from aptstream.cluster import local_client
from aptstream.io import open_ions
from aptstream.io.pos import write_pos_blocks
from aptstream.points import Range, RangeTable
from aptstream.regions import Box

TABLE = RangeTable(
    (
        Range(6.9, 7.2, (("Li", 1),)),
        Range(11.9, 12.2, (("Mg", 1),)),
        Range(13.4, 13.7, (("Al", 1),)),
        Range(23.9, 26.2, (("Mg", 1),)),
        Range(26.8, 27.2, (("Al", 1),)),
    )
)
#: Wall times are medians of so many ingests, one and many workers in turn.
TURNS = 3
LINES_DA, SHARES = [7.02, 11.99, 13.49, 23.99, 26.98, 18.0], [0.06, 0.02, 0.6, 0.02, 0.28, 0.02]


def simulate(n_ions: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give ions as an instrument does: layer by layer, 25 per nm³, in a specimen as high as it is wide."""
    rng = np.random.default_rng(7)
    edge = (n_ions / 25) ** (1 / 3)
    for start in range(0, n_ions, 1 << 20):
        n = min(n_ions - start, 1 << 20)
        position = rng.uniform(-edge / 2, edge / 2, (n, 3))
        depth = np.sort(rng.uniform(start, start + n, n)) / n_ions
        position[:, 2] = edge * (depth - 0.5) + rng.normal(0, 0.5, n)
        yield position, rng.choice(LINES_DA, n, p=SHARES) + rng.exponential(0.03, n)


def peak_mib() -> float:
    """Largest memory of this process, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # elsewhere the peak of the parent may show
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(pos: Path, out: Path, workers: int) -> dict[str, Any]:
    """Ingest in this process or on workers; return wall and CPU seconds, by stage too, and the peak of memory."""
    ends: dict[str, float] = {}

    def progress(stage: str, _done: int, _total: int, _unit: str) -> None:
        ends[stage] = time.process_time() - cpu

    if workers:
        with local_client(workers) as client:
            wall, cpu = time.perf_counter(), time.process_time()
            ingest(pos, ranges=TABLE, out=out, client=client, progress=progress)
            wall = time.perf_counter() - wall
    else:
        wall, cpu = time.perf_counter(), time.process_time()
        ingest(pos, ranges=TABLE, out=out, progress=progress)
        wall = time.perf_counter() - wall
    return {"wall": wall, "cpu": time.process_time() - cpu, "ends": ends, "peak": peak_mib()}


def apart(pos: Path, out: Path, workers: int) -> dict[str, Any]:
    """Measure in a process of its own."""
    command = [sys.executable, __file__, "--measure", str(pos), str(out), "--workers", str(workers)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def run(folder: Path, n: int, workers: int) -> None:
    """Run all figures."""
    pos, out, million = folder / "ions.pos", folder / "ions.zarr", n / 1e6
    write_pos_blocks(pos, simulate(n))
    parts = [min(1 << 24, 4 * n - start) for start in range(0, 4 * n, 1 << 24)]

    def plain() -> None:
        with pos.open("rb") as stream:
            for part in parts:
                np.fromfile(stream, ">f4", part).astype("f4")

    rate, works = "M ions/s (CPU)", [plain, lambda: [len(block) for block in open_ions(pos).blocks()]]
    reading, blocks = (million / seconds for seconds in median_cpu(works, 7))
    show("ingest.read_blocks", blocks, rate, rival=("numpy fromfile", reading))
    found = apart(pos, out, 0)
    show("ingest.pos_to_store", million / found["cpu"], rate, rival=("numpy fromfile", reading))
    begun = 0.0
    for stage, end in [*found["ends"].items(), ("complete", found["cpu"])]:
        show(f"ingest.cpu_of_{stage}", (end - begun) / n * 1e9, "ns per ion")
        begun = end
    show("ingest.peak_memory", found["peak"], "MiB", file_mib=16 * n / 2**20)
    if workers:
        turns = [[apart(pos, folder / f"{turn}-{k}.zarr", k)["wall"] for k in (1, workers)] for turn in range(TURNS)]
        one, many = (float(seconds) for seconds in np.median(turns, axis=0))  # they swing with what else a machine does
        show("ingest.workers", many, "s (wall)", rival=("one worker", one), better="less", workers=workers)
    store = open_store(out)
    task = Box((-8.0, -8.0, -8.0), (11.0, 11.0, 11.0))
    inside = len(store.query(task)) / 1e6
    (seconds,) = median_cpu([lambda: store.query(task)], 1)
    show("ingest.query_19nm_box", inside / seconds, rate)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ions", type=int, default=2_000_000)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--measure", type=Path, nargs=2, help=argparse.SUPPRESS)
    given = read(parser, {"ions": 400_000})
    if given.measure:
        print(json.dumps(measure(*given.measure, given.workers)))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        run(Path(name), given.ions, given.workers)


if __name__ == "__main__":
    main()
