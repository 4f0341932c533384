"""How runs are held against the history, and what becomes of scripts that fail."""

from __future__ import annotations

import json
from textwrap import dedent

import pytest


def line(name="sdm.zx", ratio=100.0, *, rival="numpy", options="--toy", instructions="x86_64 avx512", unit="us (CPU)"):
    machine = {"cpu": "a processor", "cores": 2, "instructions": instructions}
    figure = {"name": name, "value": 1.0, "unit": unit, "rival": rival, "rival_value": ratio, "ratio": ratio}
    return {**figure, "options": options, "machine": machine}


@pytest.mark.parametrize(("ratio", "falls"), [(100.0, False), (51.0, False), (49.0, True), (0.0, True)])
def test_a_ratio_below_half_of_the_recorded_one_has_fallen(history, ratio, falls):
    told = history.fallen([line(ratio=ratio)], [line(ratio=100.0)])
    assert bool(told) == falls
    assert all("sdm.zx against numpy" in text and "recorded 100" in text for text in told)


def test_the_bar_is_the_median_of_what_was_recorded_so_that_one_run_does_not_move_it(history):
    recorded = [line(ratio=ratio) for ratio in (90, 100, 1000)]
    assert not history.fallen([line(ratio=51)], recorded)
    assert history.fallen([line(ratio=49)], recorded)


@pytest.mark.parametrize(
    "other", [{"name": "sdm.rhoz"}, {"rival": "ckdtree"}, {"options": ""}, {"instructions": "x86_64 avx2"}]
)
def test_only_the_same_claim_is_compared(history, other):
    assert not history.fallen([line(ratio=1.0)], [line(**other)])
    assert history.changes([line(ratio=1.0)], [line(**other)])[0].verdict == "new"


@pytest.mark.parametrize(
    ("ratio", "unit", "verdict"),
    [(79, "us (CPU)", "slower"), (81, "us (CPU)", "same"), (126, "s (wall)", "faster"), (79, "share", "worse")],
)
def test_the_table_tells_a_slowdown(history, run_all, ratio, unit, verdict):
    changes = history.changes([line(ratio=ratio, unit=unit)], [line(ratio=7), line(ratio=100)])
    assert [change.verdict for change in changes] == [verdict]
    assert run_all.table(changes).splitlines()[1].split() == ["sdm.zx", "numpy", "100", str(ratio), verdict]


def test_the_better_of_two_runs_counts_and_a_claim_that_vanished_stays_as_it_was(history):
    first, second = [line("a", 1.0), line("b", 2.0), line("c", 3.0)], [line("a", 4.0), line("b", 1.0)]
    assert [one["ratio"] for one in history.better(first, second)] == [4.0, 2.0, 3.0]


def test_a_failing_script_is_named_and_does_not_stop_the_others(run_all, history, tmp_path, monkeypatch, capsys):
    printing = f"print({json.dumps(line(ratio=60.0))!r})"
    scripts = {"bench_a": "raise SystemExit(3)", "bench_b": "print('Saved artifact')", "bench_c": printing}
    for name, text in scripts.items():
        (tmp_path / f"{name}.py").write_text(dedent(text), encoding="utf-8")
    path = tmp_path / "history.jsonl"
    history.append([line(ratio=100.0)], path)
    monkeypatch.setattr(run_all, "HERE", tmp_path)
    monkeypatch.setattr("sys.argv", ["run_all.py", "--toy", "--history", str(path), "--only", *scripts])
    assert run_all.main() == 1
    told = capsys.readouterr().out
    assert "bench_a --toy: exit code 3" in told
    assert "bench_b --toy: printed what is no line: 'Saved artifact'" in told
    assert "slower" in told
    assert [one["ratio"] for one in history.load(path)] == [100.0, 60.0]
    monkeypatch.setattr("sys.argv", [*run_all.sys.argv[:4], "--no-record", "--only", "bench_c"])
    assert run_all.main() == 0
    assert len(history.load(path)) == 2


def test_what_was_recorded_is_whole(history):
    recorded = history.load()
    assert recorded
    for one in recorded:
        assert one.keys() >= {"name", "script", "options", "versions", "machine", "commit", "date"}
        assert not one["commit"].endswith("+"), "measured on something that was never committed"


def test_a_figure_that_is_no_number_is_refused(lines):
    with pytest.raises(ValueError, match="finite"):
        lines.show("x", float("nan"), "1")


@pytest.mark.parametrize(
    ("value", "theirs", "better", "ratio"),
    [(2.0, 6.0, "less", 3.0), (2.0, 6.0, "more", 0.33333), (0.0, 1.0, "less", None), (-1.0, 1.0, "more", None)],
)
def test_a_ratio_above_one_is_better(lines, capsys, value, theirs, better, ratio):
    lines.show("x", value, "1", rival=("other", theirs), better=better)
    assert json.loads(capsys.readouterr().out)["ratio"] == ratio


def test_numbers_are_written_with_five_digits_and_null_where_there_is_none(lines, capsys):
    lines.row("x", many=[1.2345678, float("inf")], table={"k": 123456.7}, word="as it is")
    told = json.loads(capsys.readouterr().out)
    assert (told["many"], told["table"], told["word"]) == ([1.2346, None], {"k": 123460.0}, "as it is")
