"""A small version of the benchmark, through worker processes as it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import aptstream

HOUSE = Path(aptstream.__file__).parents[1]


@pytest.mark.slow
def test_the_benchmark_prints_a_row_for_every_case_level_and_method(recognition):
    command = [sys.executable, recognition.__file__, "--specimens", "2", "--only", "large", "--only", "clusters"]
    command += ["--level", "good", "--size", "18", "18", "20", "--workers", "2", "--draws", "20"]
    run = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(HOUSE)}
    )
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line, parse_constant=pytest.fail) for line in run.stdout.splitlines()]
    rows = [line for line in lines if line["name"] == "recognition.row"]
    methods = [*recognition.PRESETS, *recognition.RIVALS]
    assert [(r["case"], r["method"]) for r in rows] == [(c, m) for c in ("large", "clusters") for m in methods]
    large, clusters = rows[0], rows[len(methods)]
    assert large["recall_1.5"] >= 0.9
    assert large["precision"] >= 0.9
    assert large["average_precision"] > 0.95
    assert large["average_precision_low"] <= large["average_precision"] <= large["average_precision_high"]
    assert large["dice"] <= large["dice_ceiling"]
    assert clusters["average_precision"] is None
    assert clusters["false_volume"] < 0.001
    assert clusters["false_per_1000_nm3"] == pytest.approx(1000 * clusters["n_found"] / (2 * 18 * 18 * 20), rel=0.1)
    iso = next(r for r in rows if (r["case"], r["method"]) == ("clusters", "isocomposition, tuned"))
    assert iso["false_volume"] > 0.01  # composition cannot tell clusters from particles


def test_a_method_that_cannot_look_is_a_row_with_its_reason(recognition):
    work = recognition.Work("large", "good", 1)
    parts = [recognition.Judged(error="too small"), recognition.Judged(error="")]
    row = recognition.scores_of(work, "cubes", parts, 0)
    assert (row["case"], row["error"]) == ("large", "too small")
