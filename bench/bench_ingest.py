"""How fast a POS file becomes a point store, beside plain numpy reading the same file.

``python bench/bench_ingest.py [--ions N]`` prints one JSON line per figure. CPU time of the whole process
counts, all threads together.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from aptstream.cloud import ingest, open_store
from aptstream.io import read_ions, write_pos
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


def simulate(path: Path, n_ions: int) -> None:
    """Write ions as an instrument does: layer by layer, 25 per nm³, in a specimen as high as it is wide."""
    rng = np.random.default_rng(7)
    edge = (n_ions / 25) ** (1 / 3)
    position = rng.uniform(-edge / 2, edge / 2, (n_ions, 3)).astype("f4")
    position[:, 2] = np.sort(position[:, 2]) + rng.normal(0, 0.5, n_ions)
    line = rng.choice([7.02, 11.99, 13.49, 23.99, 26.98, 18.0], n_ions, p=[0.06, 0.02, 0.6, 0.02, 0.28, 0.02])
    write_pos(path, position, line + rng.exponential(0.03, n_ions))


def cpu_seconds(job: Callable[[], object]) -> float:
    """CPU time of a job, in seconds, all threads of the process."""
    start = time.process_time()
    job()
    return time.process_time() - start


def report(name: str, value: float, rival: str, rival_value: float) -> None:
    """Print one figure; more is better."""
    ratio = value / rival_value
    figure = {"name": name, "value": value, "unit": "M ions/s (CPU)", "rival": rival}
    figures = {**figure, "rival_value": rival_value, "ratio": ratio}
    print(json.dumps({k: round(v, 3) if isinstance(v, float) else v for k, v in figures.items()}))


def main() -> None:
    """Run all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ions", type=int, default=2_000_000)
    n = parser.parse_args().ions
    with tempfile.TemporaryDirectory() as name:
        pos, out = Path(name, "ions.pos"), Path(name, "ions.zarr")
        simulate(pos, n)
        million = n / 1e6
        plain = million / cpu_seconds(lambda: np.fromfile(pos, ">f4").astype("f4").reshape(-1, 4))
        report("ingest.read_ions", million / cpu_seconds(lambda: read_ions(pos)), "numpy fromfile", plain)
        seconds = cpu_seconds(lambda: ingest(pos, ranges=TABLE, out=out))
        report("ingest.pos_to_store", million / seconds, "numpy fromfile", plain)
        store = open_store(out)
        everything = cpu_seconds(lambda: store.read((0, 0, 0), store.shape_cells))
        report("ingest.read_store", million / everything, "numpy fromfile", plain)
        position, _ = read_ions(pos)
        task = Box((-8.0, -8.0, -8.0), (11.0, 11.0, 11.0))
        inside = int(task.contains(position).sum())
        mask = inside / 1e6 / cpu_seconds(lambda: position[task.contains(position)])
        ours = inside / 1e6 / cpu_seconds(lambda: store.query(task))
        report("ingest.query_19nm_box", ours, "numpy mask in memory", mask)


if __name__ == "__main__":
    main()
