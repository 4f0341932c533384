"""What a plan says of memory is true, and what scheduler and client hold does not grow with the number of tasks."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aptstream.cloud import ingest
from aptstream.cluster import local_client
from aptstream.model.modelfile import load_model
from aptstream.scan import outcomes
from aptstream.scan.costs import load_of
from aptstream.scan.plan import largest_density, plan_scan
from aptstream.simulate import Settings, draw_particles, plan_specimen, write_specimen

#: Judges one task in a fresh process that also has what a worker has, and prints its largest resident set in bytes.
SCORE = """
import pickle, sys
from pathlib import Path
import distributed
from aptstream.scan.score import score_brick
plan = pickle.loads(Path(sys.argv[1]).read_bytes())
score_brick(plan, plan.task((0, 0, 0)))
print(int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024)
"""


@pytest.fixture(scope="module", params=[0.33, 1.0], ids=["20 ions/nm³", "60 ions/nm³"])
def large_store(request, tmp_path_factory):
    """A specimen that holds a task of two bricks and its halo on one side."""
    rng = np.random.default_rng(3)
    settings = Settings(size_nm=(46.0, 46.0, 30.0), efficiency=request.param)
    particles = draw_particles(rng, settings.size_nm, volume_fraction=0.05)
    files = write_specimen(plan_specimen(rng, particles, settings), tmp_path_factory.mktemp("large"))
    return ingest(files.pos, ranges=files.rrng, out=files.pos.parent / "points.zarr")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process its peak")
@pytest.mark.parametrize("name", ["order", "cubes"])
def test_a_task_takes_no_more_memory_than_its_plan_says(name, large_store, roles, tmp_path):
    whole = plan_scan(large_store, load_model(name), roles)
    peaks = []
    for cells in ((16, 16, 16), (32, 16, 16), (32, 32, 16)):
        plan = replace(whole, task_cells=cells)
        # Both counted as the task at a corner has them: its halo ends where the specimen does.
        task = plan.task((0, 0, 0))
        load = load_of(cells, plan.shape, (max(plan.edges) - 1, 0), largest_density(large_store))
        read = int(np.prod(np.subtract(task.read_high, task.read_low)))
        load = replace(load, n_read=read, has_field=plan.field_halo > 0)
        (tmp_path / "plan").write_bytes(pickle.dumps(plan))
        ended = subprocess.run(
            [sys.executable, "-c", SCORE, str(tmp_path / "plan")],
            check=True,
            capture_output=True,
            text=True,
            cwd=tmp_path,  # not the checkout: its aptstream/ has no compiled modules
        )
        peaks.append(int(ended.stdout))
        assert peaks[-1] <= load.n_bytes, cells
    assert peaks[0] < peaks[-1]


@pytest.mark.cluster
def test_scheduler_and_client_know_few_tasks_however_many_there_are(monkeypatch, tmp_path):
    def nothing(_folder, _digest, _index):
        return None

    monkeypatch.setattr(outcomes, "run_task", nothing)
    pending = [(i, 0, 0) for i in range(1500)]
    with local_client(1) as client:
        scheduler, ended, known = client.cluster.scheduler, set(), 0
        for outcome in outcomes.outcomes(tmp_path, "", pending, client):
            assert outcome.error is None
            ended.add(outcome.index)
            known = max(known, len(scheduler.tasks), len(scheduler.task_groups), len(client.futures))
    assert ended == set(pending)
    assert known <= 4 * outcomes.IN_FLIGHT  # those that fly, and a few that are just forgotten


@pytest.mark.cluster
def test_a_worker_that_is_slow_to_come_back_is_waited_for():
    import dask

    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1ms"}), local_client(1) as client:
        before = client.submit(os.getpid, pure=False).result(timeout=60)
        os.kill(before, signal.SIGKILL)
        assert client.submit(os.getpid, pure=False).result(timeout=60) != before
