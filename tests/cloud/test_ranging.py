"""Ranging by a table: the species of the table, in its order."""

from __future__ import annotations

import numpy as np

from aptstream.cloud import apply_ranges, ingest, open_store
from aptstream.cloud.ranging import balance
from aptstream.io import write_pos
from aptstream.points import Range, RangeTable


def test_species_follow_the_table_not_the_order_of_masses():
    table = RangeTable((Range(20, 30, (("Al", 1),)), Range(5, 8, (("Li", 1),)), Range(10, 14, (("Al", 1),))))
    species = apply_ranges([4.9, 5, 7.999, 8, 10, 14, 20, 30, -1, np.inf], table)
    np.testing.assert_array_equal(species, [0, 2, 2, 0, 1, 0, 1, 0, 0, 0])
    assert apply_ranges([], table).shape == (0,)


def test_bounds_are_compared_in_double_precision():
    # 0.1 as float32 is a little more than 0.1: rounding the bound instead would move the ion.
    table = RangeTable((Range(0.0, 0.1, (("H", 1),)),))
    assert apply_ranges(np.array([0.1], "f4"), table)[0] == 0
    table = RangeTable((Range(0.1, 1, (("H", 1),)),))
    assert apply_ranges(np.array([0.1], "f4"), table)[0] == 1


def test_ions_without_known_atoms_are_ranged_and_kept_by_a_store(tmp_path):
    table = RangeTable((Range(0.9, 3.2, (), 0.01, "0000FF", "Hyd"), Range(13, 14, (("Al", 1),))))
    write_pos(tmp_path / "a.pos", np.zeros((4, 3)), [1, 2, 13.5, 99])
    ingest(tmp_path / "a.pos", ranges=table, out=tmp_path / "a.zarr")
    store = open_store(tmp_path / "a.zarr")
    assert store.ranges == table
    assert store.species_counts() == {"unranged": 1, "Hyd": 2, "Al": 1}
    assert str(balance(store)) == "4 = 3 ranged + 1 unranged + 0 rejected"
