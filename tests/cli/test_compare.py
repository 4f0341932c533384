"""The verb `compare` on what a run leaves."""

from __future__ import annotations

import json
import shutil

import pytest
from commands import assert_one_message, call, done


@pytest.mark.slow
def test_a_run_is_compared(ran, tmp_path):
    out, _ = ran
    shown = done("compare", out, "--out", tmp_path / "c", "--json", tmp_path / "facts.json")
    assert "maximum separation" in shown
    assert "ordered particles" in shown
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert "Warren–Cowley α of Al" in shown
    assert len(facts["arrangement"]["short_range_order"]["shell_edges_nm"]) == 5
    assert [row["method"] for row in facts["methods"]] == [
        *("order", "isocomposition, 8 at.% Li", "isocomposition, tuned", "maximum separation", "DBSCAN")
    ]
    assert facts["methods"][2]["dice"] > 0.7
    assert json.loads((tmp_path / "c" / "compare.json").read_text()) == facts
    assert (tmp_path / "c" / "figures" / "compare.pdf").is_file()


@pytest.mark.parametrize(
    ("lost", "message"),
    [("grid.zarr", "no grid"), ("points.zarr", "found no store of ions")],
)
def test_what_is_missing_is_named(ran, tmp_path, lost, message):
    out, _ = ran
    shutil.copytree(out, tmp_path / "run", ignore=shutil.ignore_patterns(lost))
    assert_one_message(call("compare", tmp_path / "run"), message)
    assert not (tmp_path / "run" / "compare").exists()


def test_a_cut_that_keeps_nothing_is_refused(ran, tmp_path):
    out, _ = ran
    assert_one_message(call("compare", out, "--out", tmp_path / "c", "--solute-at-pct", 99), "keeps no voxel")
