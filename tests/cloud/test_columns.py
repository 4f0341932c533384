"""What is read of a store is what was asked for."""

from __future__ import annotations

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

import aptstream.cloud.store as module
from aptstream.errors import StoreError
from aptstream.io.arrays import CheckedArray
from aptstream.points import PointCloud
from aptstream.regions import Box, Sphere

CORNERS = st.tuples(st.floats(-25, 20), st.floats(0, 30), st.floats(-40, 0))
BOXES = st.builds(lambda a, b: Box(tuple(np.minimum(a, b)), tuple(np.maximum(a, b))), CORNERS, CORNERS)


def test_columns_come_with_their_ions(small_store):
    low, high = (3, 2, 1), (30, 20, 25)
    full = small_store.read(low, high, columns=("delta_pulse", "mass_to_charge", "tof_ns"))
    rows = small_store.index.rows(low, high)
    for name in ("tof_ns", "delta_pulse"):
        np.testing.assert_array_equal(full.columns[name], small_store.arrays[name][:][rows])
    np.testing.assert_array_equal(full.mass_to_charge, small_store.read(low, high).mass_to_charge)
    assert list(full.columns) == ["delta_pulse", "tof_ns"]
    assert small_store.columns == ("tof_ns", "delta_pulse")
    part = full[5:9]
    np.testing.assert_array_equal(part.columns["tof_ns"], full.columns["tof_ns"][5:9])
    assert small_store.read(low, high).columns == {}


def test_what_is_not_asked_for_is_not_read(small_store, monkeypatch):
    asked = set()
    read = CheckedArray.__getitem__
    monkeypatch.setattr(CheckedArray, "__getitem__", lambda self, rows: (asked.add(self.name), read(self, rows))[1])
    cloud = small_store.read((0, 0, 0), (9, 9, 9), columns=())
    assert asked - {"cell_offset"} == {"positions", "species"}
    assert np.isnan(cloud.mass_to_charge).all()
    assert cloud.mass_to_charge.shape == cloud[:].mass_to_charge.shape == cloud.species.shape
    np.testing.assert_array_equal(cloud.position, small_store.read((0, 0, 0), (9, 9, 9)).position)


@pytest.mark.parametrize("name", ["dc_v", "positions", "cell_offset", "", "x"])
def test_a_column_that_is_not_there_is_named_with_those_that_are(small_store, name):
    with pytest.raises(StoreError, match=rf"has no column {name}\. It has: mass_to_charge, tof_ns, delta_pulse"):
        small_store.read((0, 0, 0), (9, 9, 9), columns=(name,))
    with pytest.raises(StoreError, match="has no column"):
        next(small_store.blocks(columns=(name,)))


@given(region=st.none() | BOXES | st.builds(Sphere, CORNERS, st.floats(0, 20)), rows=st.integers(50, 400))
@examples(40)
def test_blocks_give_what_a_query_gives(small_store, region, rows):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "STREAM_ROWS", rows)
        found = list(small_store.blocks(region, columns=("mass_to_charge", "tof_ns")))
    expected = small_store.query(region if region is not None else small_store.box)
    assert all(0 < len(cloud) <= rows for cloud in found)
    if not found:
        assert len(expected) == 0
        return
    np.testing.assert_array_equal(np.concatenate([cloud.position for cloud in found]), expected.position)
    np.testing.assert_array_equal(np.concatenate([cloud.mass_to_charge for cloud in found]), expected.mass_to_charge)
    assert sum(len(cloud.columns["tof_ns"]) for cloud in found) == len(expected)


def test_a_cloud_with_columns_of_another_length_is_refused():
    position, mass, species = np.zeros((2, 3), "f4"), np.ones(2, "f4"), np.ones(2, "u1")
    with pytest.raises(ValueError, match=r"shape \(n,\)"):
        PointCloud(position, mass, species, ("unranged", "Al"), {"tof_ns": np.zeros(3, "f4")})
