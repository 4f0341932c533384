"""The publication's scan: its way through a cube is the one that is described, and the script runs at toy size."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest


def test_the_loop_counts_every_ordered_pair_within_the_radius_once(lineage):
    ions = np.random.default_rng(3).uniform(0, 4, (150, 3))
    counts = lineage.loop_over_ions(ions)
    offset = (ions[:, None] - ions).reshape(-1, 3)
    length = np.linalg.norm(offset, axis=1)
    width = 2 * lineage.RADIUS_NM / lineage.BINS
    half = width * int(lineage.SHOWN_NM / width + 0.5)  # bins whose middle is shown
    assert counts.shape == (round(2 * half / width),) * 2
    shown = (length > 0) & (length <= lineage.RADIUS_NM) & (np.abs(offset[:, [0, 2]]) < half).all(axis=1)
    assert counts.sum() == shown.sum()
    assert np.array_equal(counts, counts[::-1, ::-1])


@pytest.mark.slow
@pytest.mark.tf
@pytest.mark.cluster
def test_every_part_prints_its_figures_at_toy_size(lineage, tmp_path):
    script = str(Path(lineage.__file__).with_name("bench_publication.py"))
    command = [sys.executable, script, "--toy", "--folder", str(tmp_path)]
    ended = subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.PIPE, text=True)
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    names = {line["name"].removeprefix("publication.") for line in lines}
    assert names >= {"votes_cpu", "default_cpu", "default_with_ingest_cpu", "network_wall", "run_wall", "run_page"}
    assert all(line["value"] > 0 for line in lines)
    assert {line["rival"] for line in lines if line["name"] == "publication.votes_cpu"} == {
        "publication's way",
        "cKDTree + bincount + LiteRT",
    }
    assert not any(tmp_path.iterdir())
