"""Point stores for the tests of this room."""

from __future__ import annotations

import numpy as np
import pytest
from smallstore import rewrite

from aptstream.cloud import ingest
from aptstream.io import write_pos
from aptstream.points import Range, RangeTable

TABLE = RangeTable((Range(26, 28, (("Al", 1),), 0.0166, "33FFFF"), Range(6, 8, (("Li", 1),))))


@pytest.fixture(scope="session")
def made_store(tmp_path_factory):
    """Ions in twelve bricks, some of them empty, as ingest writes them; not to be changed."""
    rng = np.random.default_rng(8)
    position = rng.uniform((-20, 3, -35), (17, 29, -2), (1500, 3)).astype("f4")
    position = position[(position[:, 2] < -20) | (position[:, 0] < 0)]
    folder = tmp_path_factory.mktemp("made")
    write_pos(folder / "a.pos", position, rng.choice([7, 27, 99], len(position)).astype("f4"))
    return ingest(folder / "a.pos", ranges=TABLE, out=folder / "a.zarr")


@pytest.fixture(scope="session")
def small_store(made_store, tmp_path_factory):
    """The same in chunks of 64 ions and shards of three, with two further columns; not to be changed."""
    return rewrite(made_store, tmp_path_factory.mktemp("small") / "a.zarr", columns=("tof_ns", "delta_pulse"))
