"""Ions inside particles against a loop over all ions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from examples import examples
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from aptstream.cloud import ingest
from aptstream.errors import StoreError
from aptstream.grid import find_precipitates
from aptstream.grid.composition import atomic_percent, count_ions, overall_percent
from aptstream.io import write_pos
from aptstream.points import Range, RangeTable

TABLE = RangeTable((Range(26, 28, (("Al", 1),)), Range(6, 8, (("Li", 1),)), Range(83, 85, (("Cr", 1), ("O", 2)))))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two bricks and a bit on every axis, negative coordinates, ions on faces of voxels."""
    rng = np.random.default_rng(11)
    position = rng.uniform((-20, 3, -35), (14, 22, -2), (40_000, 3)).astype("f4")
    position[::5] = np.round(position[::5])
    mass = rng.choice([7, 27, 84, 99], len(position), p=[0.2, 0.5, 0.2, 0.1]).astype("f4")
    folder = tmp_path_factory.mktemp("composition")
    write_pos(folder / "a.pos", position, mass)
    return ingest(folder / "a.pos", ranges=TABLE, out=folder / "a.zarr")


def particles(store, seed, share=0.3):
    order = np.random.default_rng(seed).random(store.shape_cells, dtype=np.float32)
    return find_precipitates(order, cut=1 - share, min_voxels=2, origin_nm=store.origin_nm)


@given(seed=st.integers(0, 2**32), share=st.sampled_from([0.02, 0.3, 0.6]))
@examples(8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_counts_equal_looking_up_the_voxel_of_every_ion(store, seed, share):
    found = count_ions(particles(store, seed, share), store)
    cloud = store.read((0, 0, 0), store.shape_cells)
    voxel = np.floor(cloud.position.astype(np.float64) - store.origin_nm).astype(int)
    label = found.labels[tuple(voxel.T)]
    assert len(found) > 0
    for index, name in enumerate(store.species_names):
        expected = np.bincount(label[cloud.species == index], minlength=len(found) + 1)[1:]
        np.testing.assert_array_equal(found.ions[name], expected)


def test_everything_in_one_particle_is_the_whole_store(store):
    order = np.ones(store.shape_cells, dtype=np.float32)
    found = count_ions(find_precipitates(order, cut=0.5, min_voxels=1, origin_nm=store.origin_nm), store)
    assert {name: int(column[0]) for name, column in found.ions.items()} == store.species_counts()


def test_no_particle_has_empty_columns_and_still_tells_of_all_bricks(store):
    told = []
    nothing = find_precipitates(np.zeros(store.shape_cells, "f4"), cut=0.5, min_voxels=1, origin_nm=store.origin_nm)
    found = count_ions(nothing, store, lambda *state: told.append(state))
    assert {name: len(column) for name, column in found.ions.items()} == dict.fromkeys(store.species_names, 0)
    assert told[-1][1] == told[-1][2] == len(told)
    assert {name: len(column) for name, column in atomic_percent(found, TABLE).items()} == {
        "Al": 0,
        "Li": 0,
        "Cr": 0,
        "O": 0,
    }


def test_counting_changes_nothing_else(store):
    before = particles(store, 3)
    after = count_ions(before, store)
    assert before.ions == {}
    for column in ("labels", "centroid_nm", "n_voxels", "mean_order", "touches_edge"):
        np.testing.assert_array_equal(getattr(after, column), getattr(before, column))


@pytest.mark.parametrize("axis", range(3))
def test_a_grid_of_another_store_is_refused(axis, store):
    found = particles(store, 1)
    origin = list(found.origin_nm)
    origin[axis] += 1
    with pytest.raises(StoreError, match="do not belong together"):
        count_ions(replace(found, origin_nm=tuple(origin)), store)
    with pytest.raises(StoreError, match="do not belong together"):
        count_ions(replace(found, labels=np.delete(found.labels, 0, axis)), store)


def test_molecular_ions_count_as_their_atoms_and_unranged_ones_not_at_all():
    percent = overall_percent({"unranged": 1000, "Al": 6, "Li": 1, "CrO2": 1}, TABLE)
    assert percent == {"Al": 60.0, "Li": 10.0, "Cr": 10.0, "O": 20.0}


def test_the_report_takes_molecular_ions_apart_everywhere(store, tmp_path):
    """Particles in the table, their sum and the matrix: each against atoms counted ion by ion."""
    from aptstream.report.tables import particle_table, particles_csv

    found = count_ions(particles(store, 5), store)
    percent = atomic_percent(found, TABLE)
    cloud = store.read((0, 0, 0), store.shape_cells)
    voxel = np.floor(cloud.position.astype(np.float64) - store.origin_nm).astype(int)
    label = found.labels[tuple(voxel.T)]

    def by_hand(inside):
        names = [store.species_names[k] for k in cloud.species[inside]]
        atoms = {"Al": 0, "Li": 0, "Cr": 0, "O": 0}
        for name in names:
            for symbol in {"CrO2": ("Cr", "O", "O"), "unranged": ()}.get(name, (name,)):
                atoms[symbol] += 1
        return {symbol: 100 * n / sum(atoms.values()) for symbol, n in atoms.items()}

    table = particle_table(found, percent)
    particles_csv(tmp_path / "p.csv", table)
    largest = int(found.n_voxels.argmax())
    expected = by_hand(label == largest + 1)
    row = dict(zip(table.columns, table.rows[largest], strict=True))
    assert ",".join(table.rows[largest]) in (tmp_path / "p.csv").read_text()
    for symbol, value in expected.items():
        assert percent[symbol][largest] == pytest.approx(value)
        assert float(row[f"{symbol}_at_pct"]) == pytest.approx(value, abs=5e-4)
    inside = {name: int(column.sum()) for name, column in found.ions.items()}
    outside = {name: n - inside[name] for name, n in store.species_counts().items()}
    for ions, where in ((inside, label > 0), (outside, label == 0)):
        assert overall_percent(ions, TABLE) == pytest.approx(by_hand(where))


def test_ions_without_known_atoms_are_in_no_composition():
    table = RangeTable((*TABLE.ranges, Range(1, 2, (), name="Hyd")))
    percent = overall_percent({"unranged": 5, "Al": 3, "Li": 1, "CrO2": 0, "Hyd": 96}, table)
    assert percent == {"Al": 75.0, "Li": 25.0, "Cr": 0.0, "O": 0.0}
    assert overall_percent({"Hyd": 96}, RangeTable((Range(1, 2, (), name="Hyd"),))) == {}


@given(st.lists(st.tuples(*4 * [st.integers(0, 10**9)]), min_size=1, max_size=5))
def test_at_percent_sums_to_a_hundred_or_is_undefined(rows):
    columns = dict(zip(("unranged", "Al", "Li", "CrO2"), np.array(rows, dtype=np.int64).T, strict=True))
    n = len(rows)
    found = replace(
        find_precipitates(np.zeros((1, 1, 1), "f4"), cut=1, min_voxels=1, origin_nm=(0, 0, 0)),
        n_voxels=np.ones(n, dtype=np.int64),
        ions=columns,
    )
    percent = atomic_percent(found, TABLE)
    total = np.sum(list(percent.values()), axis=0)
    empty = np.array([sum(row[1:]) == 0 for row in rows])
    assert np.isnan(total[empty]).all()
    np.testing.assert_allclose(total[~empty], 100)


def test_particles_of_the_simulated_specimen_are_richer_in_solute_than_its_matrix(specimen_scan, specimen_store, model):
    from aptstream.grid import find

    found = find(specimen_scan, specimen_store, model).found
    inside = {name: int(column.sum()) for name, column in found.ions.items()}
    counts = specimen_store.species_counts()
    outside = {name: counts[name] - inside[name] for name in counts}
    table = specimen_store.ranges
    assert overall_percent(inside, table)["Li"] > 1.5 * overall_percent(outside, table)["Li"]
