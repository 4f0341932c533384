"""Run every benchmark, add all lines to the history, and tell what has become slower or faster.

    python bench/run_all.py [--toy] [--only bench_sdm ...] [--no-record] [--history FILE]

Each script runs in a process of its own, one after another, on one thread. One that fails does not stop the others:
it is named at the end, and the exit code is 1. The table shows the ratio to each rival that was recorded last with the
same options on a processor with the same instructions, the ratio now, and how it has changed. Without `--toy` this
takes hours of CPU time. Some scripts need TensorFlow.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import history

import aptstream

HERE = Path(__file__).resolve().parent
#: Options of runs that a script makes beside its usual one; not with toy sizes.
FURTHER = {
    "bench_ingest": [["--ions", "20000000", "--workers", "2"]],
    "bench_recognition": [["--only", "large", "--specimens", "1", "--li2021-images", "3000"]],
    "bench_publication": [["--size-nm", "125.5", "125.5", "125.5", "--parts", "run"]],
    "bench_scale": [["--plan-only"], ["--maps-only"], ["--tasks", "100000"], ["--millions", "16", "--workers", "2"]],
}


def scripts() -> list[str]:
    """Name all benchmarks."""
    return [*sorted(path.stem for path in HERE.glob("bench_*.py")), "kill_workers"]


def runs_of(script: str, toy: bool) -> list[list[str]]:
    """Options of the runs of a script."""
    return [["--toy"]] if toy else [[], *FURTHER.get(script, [])]


def run(script: str, options: list[str]) -> tuple[list[history.Line], str]:
    """Run a script; return its lines, and what went wrong."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    measured = {"PYTHONPATH": str(Path(aptstream.__file__).parents[1])}  # the same aptstream as in this process
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, **threads, **measured}
    command = [sys.executable, str(HERE / f"{script}.py"), *options]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment)
    texts = ended.stdout.splitlines()
    lines = [json.loads(text) for text in texts if text.startswith("{")]
    other = [f"printed what is no line: {text[:60]!r}" for text in texts if not text.startswith("{")]
    wrong = [f"exit code {ended.returncode}"] * bool(ended.returncode) + other + ["printed nothing"] * (not texts)
    return lines, wrong[0] if wrong else ""


def table(changes: list[history.Change]) -> str:
    """Write what has changed, the worst first."""
    order = sorted(changes, key=lambda change: change.now / change.last if change.last else float("inf"))
    rows = [("claim", "rival", "last ratio", "ratio now", "")]
    rows += [(c.name, c.rival, _number(c.last), _number(c.now), c.verdict) for c in order]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def main() -> int:
    """Run, record and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=scripts(), nargs="+", help="some of them")
    parser.add_argument("--toy", action="store_true", help="so small that they show only that they run")
    parser.add_argument("--history", type=Path, default=history.FILE)
    parser.add_argument("--no-record", action="store_true", help="compare, and leave the history as it is")
    given = parser.parse_args()
    before, now, failed = history.load(given.history), [], []
    for script in given.only or scripts():
        for options in runs_of(script, given.toy):
            called = " ".join([script, *options])
            print(called, file=sys.stderr, flush=True)
            lines, wrong = run(script, options)
            now += lines
            failed += [f"{called}: {wrong}"] if wrong else []
            if not given.no_record:
                history.append(lines, given.history)
    print(table(history.changes(now, before)))
    if failed:
        print("\nfailed:\n" + "\n".join(failed))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
