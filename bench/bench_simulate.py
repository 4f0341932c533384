"""Simulating a specimen as a stream: ions a second, and memory that does not grow with the specimen.

    OMP_NUM_THREADS=1 python bench/bench_simulate.py [--depth-nm 100] [--ions pos]

writes a specimen of 80 x 80 nm (21 M ions at 100 nm) and prints one JSON object a line. Memory is the largest resident
set of this process, beside what the ions alone would take in memory.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from pathlib import Path
from time import process_time

import numpy as np
from lines import read, show

from aptstream.simulate import Settings, draw_particles, plan_specimen, write_specimen

#: A position, m/q and a species.
BYTES_PER_ION = 17


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth-nm", type=float, default=100.0)
    parser.add_argument("--ions", choices=("pos", "epos"), default="pos")
    parser.add_argument("--width-nm", type=float, default=80.0)
    arguments = read(parser, {"depth_nm": 20.0, "width_nm": 20.0})
    width = arguments.width_nm
    rng, settings = np.random.default_rng(1), Settings(size_nm=(width, width, arguments.depth_nm))
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
    in_memory = ("the ions in memory", n * BYTES_PER_ION / 1e6)
    show("simulate.peak_memory", peak, "MB", rival=in_memory, better="less", millions=n / 1e6)


if __name__ == "__main__":
    main()
