"""The lines that every benchmark prints, how times are taken, and the sizes that only show that a script runs.

A line is one JSON object. `show` prints a figure: `name`, `value`, `unit`, and a `rival` on the same data in the same
run with its `rival_value` and the `ratio`, above 1 where we are better. `row` prints a row of a table that has no
single figure. Both add what it was measured with: `script`, `options`, `versions`, `machine`, `commit` and `date`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy

import aptstream
from aptstream.sdm.kernel import INSTRUCTIONS

HOUSE = Path(__file__).resolve().parents[1]
#: What a figure depends on: a change of anything else leaves its commit as it is.
MEASURED = ("aptstream", "ext", "setup.py", "bench/*.py")
#: Packages that rivals come from, told where a script has loaded them.
RIVALS = ("h5py", "tensorflow")


def read(parser: argparse.ArgumentParser, toy: dict[str, Any]) -> argparse.Namespace:
    """Read the command line of a script, with `--toy` for the sizes of the smoke test."""
    parser.add_argument("--toy", action="store_true", help=f"so small that it shows only that the script runs: {toy}")
    given = parser.parse_args()
    unknown = toy.keys() - vars(given).keys()
    if unknown:
        raise ValueError(f"Toy sizes are those of options; found {sorted(unknown)}.")
    if given.toy:
        parser.set_defaults(**toy)
        given = parser.parse_args()
    return given


def show(
    name: str,
    value: float,
    unit: str,
    *,
    rival: tuple[str, float] | None = None,
    better: Literal["more", "less"] = "more",
    **more: Any,
) -> None:
    """Print a figure, the rival's, and how many times better ours is: more of it, or less."""
    if not math.isfinite(value):
        raise ValueError(f"{name}: a figure is a finite number, found {value}.")
    called, theirs = rival or (None, None)
    ratio = None
    if theirs is not None:
        mine, other = (value, theirs) if better == "more" else (theirs, value)
        ratio = mine / other if mine >= 0 and 0 < other < math.inf else None
    row(name, value=value, unit=unit, rival=called, rival_value=theirs, ratio=ratio, **more)


def row(name: str, **figures: Any) -> None:
    """Print a row of figures under one name; what is not finite is null."""
    line = {"name": name, **{key: short(value) for key, value in figures.items()}, **about()}
    sys.stdout.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()


def short(value: Any) -> Any:
    """Write five digits of a number, of all numbers in a list or table; null for one that is not finite."""
    if isinstance(value, dict):
        return {key: short(one) for key, one in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [short(one) for one in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def about() -> dict[str, Any]:
    """Tell what a figure was measured with."""
    loaded = {name: str(getattr(sys.modules[name], "__version__", "")) for name in RIVALS if name in sys.modules}
    versions = {"aptstream": aptstream.__version__, "numpy": np.__version__, "scipy": scipy.__version__}
    return {
        "script": Path(sys.argv[0]).name,
        "options": " ".join(Path(word).name for word in sys.argv[1:]),
        "versions": {**versions, "python": platform.python_version(), **loaded},
        "machine": machine(),
        "commit": commit(),
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
    }


@cache
def machine() -> dict[str, str | int]:
    """Tell the processor, its cores that this process may use, and the instructions that our kernels use of it."""
    cpuinfo = Path("/proc/cpuinfo")
    models = [text for text in cpuinfo.read_text().splitlines() if "model name" in text] if cpuinfo.exists() else []
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    model = models[0].partition(":")[2].strip() if models else platform.processor()
    return {"cpu": model, "cores": cores, "instructions": f"{platform.machine()} {INSTRUCTIONS[-1]}"}


@cache
def commit() -> str:
    """Tell the commit of what is measured, with a ``+`` if it was changed since; empty outside of a repository."""

    def git(*words: str) -> str:
        ended = subprocess.run(["git", *words], cwd=HOUSE, capture_output=True, text=True, check=False)
        return ended.stdout.strip()

    try:
        return git("rev-parse", "--short=10", "HEAD") + "+" * bool(git("status", "--porcelain", "--", *MEASURED))
    except FileNotFoundError:
        return ""


def median_cpu(works: Sequence[Callable[[], object]], repeats: int) -> list[float]:
    """Median process CPU time in s of each work; they take turns, so that a busy moment falls on all of them."""
    seconds = np.empty((repeats, len(works)))
    for turn in range(repeats):
        for at, work in enumerate(works):
            begin = time.process_time()
            work()
            seconds[turn, at] = time.process_time() - begin
    return [float(value) for value in np.median(seconds, axis=0)]
