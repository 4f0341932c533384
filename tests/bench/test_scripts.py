"""Every benchmark runs at toy size and prints whole lines; no ratio to a rival has fallen below half of the recorded.

Ratios are those of the same toy runs, recorded by ``python bench/run_all.py --toy``; times are medians of CPU time in
which both sides take turns. There are no limits in seconds.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
SCRIPTS = sorted(path.stem for path in BENCH.glob("bench_*.py"))
QUICK = ("bench_darkfield", "bench_dictionary", "bench_ingest", "bench_read", "bench_simulate")
WITH_TENSORFLOW = ("bench_gridnet", "bench_li2021", "bench_predict", "bench_publication", "bench_training")
#: Scripts whose ratios tell something at toy size.
TIMED = ("bench_darkfield", "bench_gridnet", "bench_ingest", "bench_kdtree", "bench_predict", "bench_read", "bench_sdm")
FIELDS = {"name", "script", "options", "versions", "machine", "commit", "date"}
FIGURE = {"value", "unit", "rival", "rival_value", "ratio"}


def marked(names, quick=()):
    """Parameters with the marks that the scripts need; one that nobody has timed is slow."""
    slow, tf = pytest.mark.slow, pytest.mark.tf
    return [pytest.param(name, marks=[slow] * (name not in quick) + [tf] * (name in WITH_TENSORFLOW)) for name in names]


@pytest.fixture(scope="session")
def toy(run_all):
    """Lines of a script at toy size, run once, and what went wrong."""
    return functools.cache(lambda name: run_all.run(name, ["--toy"]))


@pytest.mark.parametrize("name", marked(SCRIPTS, QUICK))
def test_a_script_prints_whole_lines_at_toy_size(name, toy):
    lines, wrong = toy(name)
    assert not wrong
    figures = [line for line in lines if "value" in line]
    assert figures
    for line in lines:
        assert line.keys() >= FIELDS, line
        assert line["script"] == f"{name}.py"
        assert "--toy" in line["options"]
        assert line["versions"].keys() >= {"aptstream", "numpy", "scipy", "python"}
        assert line["machine"]["cores"] >= 1
    for line in figures:
        assert line.keys() >= FIGURE, line
        assert math.isfinite(line["value"]), line
        if line["rival"] is None:
            assert line["rival_value"] is line["ratio"] is None
        else:
            assert math.isfinite(line["rival_value"]), line
            assert line["ratio"] is None or 0 <= line["ratio"] < math.inf, line


@pytest.mark.slow
@pytest.mark.parametrize("name", marked(TIMED))
def test_no_ratio_to_a_rival_falls_below_half_of_the_recorded_one(name, toy, run_all, history):
    lines, _ = toy(name)
    recorded = [line for line in history.load() if line["script"] == f"{name}.py"]
    timed = [line for line in lines if "unit" in line and history.timed(line) and "(wall)" not in line["unit"]]
    known = history.ratios(recorded).keys() & history.ratios(timed).keys()
    if not known:
        pytest.skip("nothing was recorded for the instructions of this processor: python bench/run_all.py --toy")
    if history.fallen(timed, recorded):  # a busy moment may hit one side only
        timed = history.better(timed, run_all.run(name, ["--toy"])[0])
    assert history.fallen(timed, recorded) == []
