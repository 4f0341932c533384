"""Ingest on workers: the same store to the bit, also where workers die."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from aptstream.cloud import ingest
from aptstream.cluster import local_client
from aptstream.io import write_pos
from aptstream.points import Range, RangeTable

pytestmark = pytest.mark.cluster
TABLE = RangeTable((Range(26, 28, (("Al", 1),)), Range(6, 8, (("Li", 1),))))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    rng = np.random.default_rng(4)
    n = 4_500_000
    path = tmp_path_factory.mktemp("workers") / "a.pos"
    write_pos(path, rng.uniform(-28, 28, (n, 3)).astype("f4"), rng.choice([7, 27, 50], n))
    return path


@pytest.fixture(scope="module")
def expected(source, tmp_path_factory):
    store = ingest(source, ranges=TABLE, out=tmp_path_factory.mktemp("serial") / "a.zarr")
    return store.attrs["content_digest"]


@pytest.mark.parametrize("n_workers", [1, 2])
def test_workers_make_the_same_store(source, tmp_path, expected, n_workers):
    with local_client(n_workers) as client:
        store = ingest(source, ranges=TABLE, out=tmp_path / "a.zarr", client=client)
    assert store.attrs["content_digest"] == expected
    store.verify()


def test_killed_workers_do_not_show(source, tmp_path, expected):
    with local_client(2) as client:
        killed = set()

        def kill(stage, done, total, unit):
            if stage in ("sort", "write") and stage not in killed and done < total:
                killed.add(stage)
                workers = [pid for pid in client.run(os.getpid).values() if isinstance(pid, int)]
                os.kill(workers[0], signal.SIGKILL)

        store = ingest(source, ranges=TABLE, out=tmp_path / "a.zarr", client=client, progress=kill)
    assert killed == {"sort", "write"}
    assert store.attrs["content_digest"] == expected
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_bad_input_on_workers_leaves_nothing_behind(tmp_path):
    record = np.ones((3_000_000, 4), ">f4")
    record[2_345_678, 1] = np.nan
    record.tofile(tmp_path / "a.pos")
    with local_client(1) as client, pytest.raises(ValueError, match="y of ion 2345678"):
        ingest(tmp_path / "a.pos", ranges=TABLE, out=tmp_path / "a.zarr", client=client)
    assert [path.name for path in tmp_path.iterdir()] == ["a.pos"]
