"""A run that did not end: what it leaves, and what goes on from there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from commands import ALLOY, assert_one_message, call

from aptstream.cloud import open_store
from aptstream.io import read_ions, write_pos

#: The command line, with a scan in small tasks of which the second one takes for ever.
LINGERS = """
import time
from aptstream.cli import main
from aptstream.scan import outcomes, plan

judge, judged = outcomes.score_brick, []

def score(plan, task):
    judged.append(task)
    if len(judged) > 1:
        time.sleep(3600)
    return judge(plan, task)

plan.choose_task, outcomes.score_brick = lambda *_: (16, 16, 16), score
main()
"""


def interrupt(ions, ranges, out, *, workers, python=("-m", "aptstream.cli")):
    """Start a run, press Ctrl-C when its first task is done, and see that it ends as it should."""
    words = ["run", ions, "--ranges", ranges, *ALLOY, "--out", out, "--workers", workers]
    run = subprocess.Popen(
        [sys.executable, *python, *map(str, words)],
        cwd=out.parent,  # not the checkout: its aptstream/ has no compiled modules
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        while run.poll() is None and not list(out.glob(".scan.zarr.building/done/[0-9]*")):
            time.sleep(0.01)
        assert run.poll() is None, f"the run ended before it could be interrupted: {run.communicate()}"
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to all processes of the session
        stdout, stderr = run.communicate()
    finally:
        run.kill()
    assert run.returncode == 130, stderr
    assert stdout == ""
    assert "Traceback" not in stderr
    assert "interrupted: what was done is kept. To go on: " in stderr
    assert f"--out {out} --workers {workers}" in " ".join(stderr.split())
    assert sorted(path.name for path in out.iterdir()) == [".scan.zarr.building", "points.zarr"]
    open_store(out / "points.zarr").verify()


def test_ctrl_c_ends_a_scan_with_a_message_and_no_half_written_scan(specimen, tmp_path):
    given = (specimen / "specimen.pos", specimen / "specimen.rrng", tmp_path / "out")
    interrupt(*given, workers=0, python=("-c", LINGERS))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.cluster)])
def test_ctrl_c_ends_the_scan_of_a_long_specimen_too(workers, specimen, tmp_path):
    position, mass = read_ions(specimen / "specimen.pos")
    copies = [position + np.array([20 * i, 20 * j, 0], dtype="f4") for i in range(5) for j in range(3)]
    write_pos(tmp_path / "long.pos", np.concatenate(copies), np.tile(mass, len(copies)))
    interrupt(tmp_path / "long.pos", specimen / "specimen.rrng", tmp_path / "out", workers=workers)


def test_a_run_that_did_not_end_goes_on_and_gives_the_same(ran, specimen, tmp_path, monkeypatch):
    whole, _ = ran
    out = tmp_path / "out"
    out.mkdir()
    shutil.copytree(whole / "points.zarr", out / "points.zarr")
    shutil.copytree(whole / "grid.zarr", out / "grid.zarr")  # its page was never written
    monkeypatch.setattr("aptstream.report.write.figures", lambda _: {})  # they are looked at elsewhere
    given = (specimen / "specimen.pos", "--ranges", specimen / "specimen.rrng", *ALLOY, "--out", out, "--workers", 0)
    result = call("run", *given)
    assert result.exit_code == 0, result.output
    assert "the ions were taken in before" in result.stderr
    for name in ("points.zarr", "grid.zarr"):
        assert call("info", out / name, "--digest").stdout == call("info", whole / name, "--digest").stdout
    assert_one_message(call("run", *given), r"in use: it holds files")


def test_a_run_does_not_go_on_with_other_ions(ran, specimen, tmp_path):
    whole, _ = ran
    out = tmp_path / "out"
    out.mkdir()
    shutil.copytree(whole / "points.zarr", out / "points.zarr")
    position, mass = read_ions(specimen / "specimen.pos")
    write_pos(tmp_path / "other.pos", position[::-1], mass[::-1])
    given = ("--ranges", specimen / "specimen.rrng", *ALLOY, "--out", out, "--workers", 0)
    assert_one_message(call("run", tmp_path / "other.pos", *given), r"begun with other ions: .*Give another --out")
