"""The verb that takes ions in, as a user types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from typer.testing import CliRunner

from aptstream.cli import app
from aptstream.errors import StoreError
from aptstream.io import write_pos, write_rrng
from aptstream.io.lease import LEASE
from aptstream.points import Range, RangeTable
from aptstream.workflow import output_folder

TABLE = RangeTable((Range(26, 28, (("Al", 1),)), Range(6, 8, (("Li", 1),))))


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def facts(path):
    return json.loads(call("info", path, "--json", "-").stdout)


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(3)
    write_pos(tmp_path / "a.pos", rng.uniform(0, 20, (5000, 3)).astype("f4"), rng.choice([7, 27, 50], 5000))
    write_rrng(tmp_path / "a.rrng", TABLE)
    write_rrng(tmp_path / "b.rrng", RangeTable((Range(49, 51, (("Cr", 1),)),)))
    return tmp_path


def test_bad_ions_are_refused_or_left_out_and_counted(files):
    record = np.fromfile(files / "a.pos", ">f4")
    record[4 * 1234] = np.inf
    record.tofile(files / "a.pos")
    words = ("ingest", files / "a.pos", "--ranges", files / "a.rrng", "--out", files / "a.zarr")
    refused = call(*words)
    assert refused.exit_code == 1
    assert "x of ion 1234" in refused.stderr
    assert not (files / "a.zarr").exists()
    assert call(*words, "--skip-bad").exit_code == 0
    told = facts(files / "a.zarr")
    assert told["ions"] == 4999
    assert told["ions read"].endswith("1 rejected")


def test_a_store_is_ranged_anew(files):
    assert call("ingest", files / "a.pos", "--ranges", files / "a.rrng", "--out", files / "a.zarr").exit_code == 0
    (files / "a.pos").unlink()
    assert call("ingest", files / "a.zarr", "--ranges", files / "b.rrng", "--out", files / "b.zarr").exit_code == 0
    assert facts(files / "b.zarr")["source"] == "a.pos"
    assert facts(files / "b.zarr")["Cr"].startswith("1,6")


@pytest.mark.cluster
def test_workers_do_not_show(files):
    words = ("ingest", files / "a.pos", "--ranges", files / "a.rrng", "--out")
    assert call(*words, files / "a.zarr").exit_code == 0
    assert call(*words, files / "b.zarr", "--workers", 1).exit_code == 0
    assert facts(files / "a.zarr")["sha256"] == facts(files / "b.zarr")["sha256"]


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on(files):
    rng = np.random.default_rng(3)
    write_pos(files / "a.pos", rng.uniform(0, 60, (6_000_000, 3)).astype("f4"), rng.choice([7, 27, 50], 6_000_000))
    words = ["ingest", files / "a.pos", "--ranges", files / "a.rrng", "--out", files / "a.zarr"]
    command = [sys.executable, "-m", "aptstream.cli", *map(str, words)]
    run = subprocess.Popen(command, cwd=files, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while run.poll() is None and not list(files.glob(".a.zarr.building/*/index")):
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGINT)
    _, stderr = run.communicate()
    assert run.returncode == 130, stderr
    assert "interrupted: what was done is kept. To go on: " in stderr
    assert "Traceback" not in stderr
    assert not (files / "a.zarr").exists()
    assert call(*words).exit_code == 0
    assert call(*words[:-1], files / "b.zarr").exit_code == 0
    assert facts(files / "a.zarr")["sha256"] == facts(files / "b.zarr")["sha256"]


def test_an_output_folder_in_which_a_run_was_killed_at_once_may_be_used_again(tmp_path):
    out = tmp_path / "out"
    with output_folder(out):
        with pytest.raises(StoreError, match="Another run is writing"), output_folder(out):
            pass
        assert out.is_dir()  # not removed under the first
    assert not out.exists()
    out.mkdir()
    (out / LEASE).touch()
    with output_folder(out):
        pass
    assert list(out.iterdir()) == []


def test_an_output_folder_with_a_stopped_ingest_may_be_used_again(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt), output_folder(out):
        (out / ".points.zarr.building").mkdir()
        raise KeyboardInterrupt
    with output_folder(out):
        assert sorted(path.name for path in out.iterdir()) == [".points.zarr.building", LEASE]
        with (
            pytest.raises(StoreError, match=rf"Another run is writing .*out at this moment \(process {os.getpid()} on"),
            output_folder(out),
        ):
            pass
    assert [path.name for path in out.iterdir()] == [".points.zarr.building"]
    (out / LEASE).write_text("of a run that was killed")
    with output_folder(out):
        pass
    (out / "thesis.txt").touch()
    with pytest.raises(StoreError, match="in use"), output_folder(out):
        pass
