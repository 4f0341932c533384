"""Simulating a specimen as a stream: ions a second, and memory that does not grow with the specimen.

    OMP_NUM_THREADS=1 python bench/bench_simulate.py [--depth-nm 100] [--ions pos]

writes a specimen of 80 x 80 nm (21 M ions at 100 nm) and prints one JSON object a line. Memory is the largest resident
set of this process, beside what the ions alone would take in memory.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
from pathlib import Path
from time import process_time

import numpy as np

from aptstream.simulate import Settings, draw_particles, plan_specimen, write_specimen

#: A position, m/q and a species.
BYTES_PER_ION = 17


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth-nm", type=float, default=100.0)
    parser.add_argument("--ions", choices=("pos", "epos"), default="pos")
    arguments = parser.parse_args()
    rng, settings = np.random.default_rng(1), Settings(size_nm=(80.0, 80.0, arguments.depth_nm))
    begin = process_time()
    particles = draw_particles(rng, settings.size_nm, volume_fraction=0.08, n_small=100)
    plan = plan_specimen(rng, particles, settings)
    n = sum(len(block) for block in plan.blocks())
    made = process_time()
    show("simulate.made", n / (made - begin) / 1e6, "M ions/s (CPU)")
    with tempfile.TemporaryDirectory() as folder:
        write_specimen(plan, Path(folder), ions=arguments.ions)
    show(f"simulate.written_as_{arguments.ions}", n / (process_time() - made) / 1e6, "M ions/s (CPU)")
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    show("simulate.peak_memory", peak, f"MB for {n / 1e6:.1f} M ions", "the ions in memory", n * BYTES_PER_ION / 1e6)


def show(name: str, value: float, unit: str, rival: str | None = None, rival_value: float | None = None) -> None:
    """Print one figure."""
    line = {
        "name": name,
        "value": round(value, 3),
        "unit": unit,
        "rival": rival,
        "rival_value": None if rival_value is None else round(rival_value, 3),
        "ratio": None if rival_value is None else round(rival_value / value, 2),
    }
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
