"""Exported files hold the ions that were asked for, all of them, in stored order."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from smallstore import rewrite

import aptstream.cloud.store as module
from aptstream.cloud import Labels, Selection, export_ions
from aptstream.errors import FileFormatError, PlanError, StoreError
from aptstream.io import read_ions
from aptstream.io.epos import EPOS
from aptstream.io.ions import COLUMNS
from aptstream.regions import Box, Sphere

REGION = Box((-5, 5, -30), (9, 25, -10))
SUFFIXES = (".pos", ".epos", ".csv", ".vtp", ".nxs")


@pytest.fixture(scope="module")
def full_store(made_store, tmp_path_factory):
    """A store with every column of ePOS."""
    return rewrite(made_store, tmp_path_factory.mktemp("full") / "a.zarr", columns=tuple(COLUMNS))


@pytest.fixture(scope="module")
def labels(full_store):
    """Two particles, one at the border of the lattice."""
    number = np.zeros(full_store.shape_cells, "i4")
    number[2:9, 3:14, 0:12] = 2
    number[20:30, 10:20, 5:30] = 1
    return Labels(number, full_store.origin_nm)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Files are written in many blocks."""
    monkeypatch.setattr(module, "STREAM_ROWS", 100)


def columns_of(cloud):
    return np.column_stack([cloud.position, cloud.mass_to_charge])


def test_a_whole_store_comes_back_as_pos(full_store, tmp_path):
    told = []
    assert export_ions(full_store, tmp_path / "a.POS", progress=lambda *a: told.append(a)) == full_store.n_ions
    position, mass = read_ions(tmp_path / "a.POS")
    np.testing.assert_array_equal(position, full_store.arrays["positions"][:])
    np.testing.assert_array_equal(mass, full_store.arrays["mass_to_charge"][:])
    assert told[-1] == ("export", full_store.n_ions, full_store.n_ions, "ions")
    assert len(told) > 5


def test_a_region_comes_back_as_nxapm_with_its_species(full_store, tmp_path):
    export_ions(full_store, tmp_path / "a.nxs", Selection(REGION))
    position, mass = read_ions(tmp_path / "a.nxs")
    inside = full_store.query(REGION)
    np.testing.assert_array_equal(position, inside.position)
    np.testing.assert_array_equal(mass, inside.mass_to_charge)


@pytest.mark.parametrize("region", [REGION, Sphere((0, 15, -20), 8)])
def test_a_region_comes_back_as_pos(full_store, region, tmp_path):
    expected = full_store.query(region)
    assert export_ions(full_store, tmp_path / "a.pos", Selection(region)) == len(expected) > 10
    np.testing.assert_array_equal(np.column_stack(read_ions(tmp_path / "a.pos")), columns_of(expected))


def test_epos_keeps_every_column(full_store, tmp_path):
    export_ions(full_store, tmp_path / "a.epos")
    found = np.fromfile(tmp_path / "a.epos", EPOS)
    np.testing.assert_array_equal(np.stack([found[a] for a in "xyz"], axis=1), full_store.arrays["positions"][:])
    for name in ("mass_to_charge", *COLUMNS):
        np.testing.assert_array_equal(found[name], full_store.arrays[name][:])


def test_epos_names_the_columns_that_are_missing(small_store, tmp_path):
    with pytest.raises(FileFormatError, match=r"lacks, dc_v, pulse_v, det_x_mm, det_y_mm, ions_per_pulse\."):
        export_ions(small_store, tmp_path / "a.epos")
    assert list(tmp_path.iterdir()) == []


def test_csv_has_units_names_and_columns(small_store, tmp_path):
    export_ions(small_store, tmp_path / "a.csv", Selection(REGION))
    with (tmp_path / "a.csv").open(newline="") as stream:
        heading, *rows = csv.reader(stream)
    assert heading == ["x_nm", "y_nm", "z_nm", "mass_to_charge_da", "species", "tof_ns", "delta_pulse"]
    expected = small_store.query(REGION)
    numbers = np.array([row[:4] for row in rows]).astype("f4")
    np.testing.assert_array_equal(numbers, columns_of(expected))
    assert [row[4] for row in rows] == [small_store.species_names[i] for i in expected.species]


def test_ions_of_particles(full_store, labels, tmp_path):
    selection = Selection(particles=labels)
    everything = full_store.read((0, 0, 0), full_store.shape_cells)
    cell = np.floor(everything.position.astype("f8") - full_store.origin_nm).astype(int)
    number = labels.number[tuple(cell.T)]
    assert export_ions(full_store, tmp_path / "a.csv", selection) == np.count_nonzero(number) > 10
    with (tmp_path / "a.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    np.testing.assert_array_equal([int(row["particle"]) for row in rows], number[number > 0])
    x_nm = np.array([row["x_nm"] for row in rows]).astype("f4")
    np.testing.assert_array_equal(x_nm, everything.position[number > 0, 0])
    export_ions(full_store, tmp_path / "a.pos", selection)
    np.testing.assert_array_equal(np.column_stack(read_ions(tmp_path / "a.pos")), columns_of(everything[number > 0]))
    inside = export_ions(full_store, tmp_path / "b.pos", Selection(REGION, labels))
    assert inside == np.count_nonzero(number[REGION.contains(everything.position)])


@pytest.mark.parametrize("end", [".pos", ".epos"])
def test_the_number_of_its_particle_takes_the_place_of_m_over_q(end, full_store, labels, tmp_path):
    export_ions(full_store, tmp_path / "a.csv", Selection(particles=labels))
    with (tmp_path / "a.csv").open(newline="") as stream:
        number = [int(row["particle"]) for row in csv.DictReader(stream)]
    n = export_ions(full_store, tmp_path / f"a{end}", Selection(particles=labels, mass="particle"))
    position, mass = read_ions(tmp_path / f"a{end}")
    assert len(position) == n
    np.testing.assert_array_equal(mass, number)


@pytest.mark.parametrize("name", ["a.csv", "a.vtp", "a.nxs", "a.pos"])
def test_particle_numbers_replace_nothing_where_they_have_a_place_or_there_are_none(name, full_store, labels, tmp_path):
    selection = Selection(particles=None if name == "a.pos" else labels, mass="particle")
    with pytest.raises(PlanError, match="takes the place of m/q"):
        export_ions(full_store, tmp_path / name, selection)
    assert not list(tmp_path.iterdir())


@given(st.lists(st.tuples(*3 * [st.integers(0, 37)], st.integers(0, 5)), max_size=20))
@examples(40)
def test_bounds_of_particles_hold_every_voxel_and_no_more(places):
    number = np.zeros((38, 38, 38), "i4")
    for x, y, z, value in places:
        number[x, y, z] = value
    bounds = Labels(number, (-4.0, 2.0, -30.0), 0.5).bounds
    filled = np.argwhere(number)
    if not len(filled):
        assert bounds is None
        return
    assert bounds == Box(
        tuple(filled.min(axis=0) * 0.5 + (-4, 2, -30)), tuple((filled.max(axis=0) + 1) * 0.5 + (-4, 2, -30))
    )


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_selected_leaves_nothing(full_store, labels, suffix, tmp_path):
    none = Labels(np.zeros_like(labels.number), labels.origin_nm)
    for selection in (Selection(Box((100, 100, 100), (101, 101, 101))), Selection(particles=none)):
        with pytest.raises(PlanError, match=r"No ion of .* is selected"):
            export_ions(full_store, tmp_path / f"a{suffix}", selection)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damage_on_the_way_leaves_what_stood_there(full_store, suffix, tmp_path, monkeypatch):
    read = module.CheckedArray.__getitem__
    file = tmp_path / f"a{suffix}"
    file.write_text("mine")

    def breaks(self, rows):
        if rows.start >= 500:
            raise StoreError("damaged")
        return read(self, rows)

    monkeypatch.setattr(module.CheckedArray, "__getitem__", breaks)
    with pytest.raises(StoreError, match="damaged"):
        export_ions(full_store, file)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert file.read_text() == "mine"


def test_other_suffixes_and_foreign_particles_are_refused(full_store, labels, tmp_path):
    with pytest.raises(FileFormatError, match=r"suffix '.xyz'.*\.pos, \.epos, \.csv, \.vtp"):
        export_ions(full_store, tmp_path / "a.xyz")
    for other in (Labels(labels.number[1:], labels.origin_nm), Labels(labels.number, (0.0, 0.0, 0.0))):
        with pytest.raises(StoreError, match="found in this store"):
            export_ions(full_store, tmp_path / "a.pos", Selection(particles=other))
    assert list(tmp_path.iterdir()) == []
