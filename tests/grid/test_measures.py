"""Ions inside particles against a loop over all ions; shapes, distances and statistics against closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from examples import examples
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from aptstream.cloud import ingest
from aptstream.errors import PlanError, StoreError
from aptstream.grid import BoundaryRule, expected_precipitates, find_precipitates
from aptstream.grid.contents import REACH_NM, walk
from aptstream.grid.measures import measure_particles, share_of_labels
from aptstream.io import write_pos
from aptstream.points import Range, RangeTable
from aptstream.simulate import Particles, voxel_fraction

TABLE = RangeTable((Range(26, 28, (("Al", 1),)), Range(6, 8, (("Li", 1),)), Range(83, 85, (("Cr", 1), ("O", 2)))))


def stored(folder, position, mass):
    write_pos(folder / "a.pos", position.astype("f4"), mass.astype("f4"))
    return ingest(folder / "a.pos", ranges=TABLE, out=folder / "a.zarr")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two blocks and a bit on two axes, negative coordinates, ions on faces of voxels."""
    rng = np.random.default_rng(11)
    position = rng.uniform((-20, 3, -35), (24, 22, 2), (40_000, 3)).astype("f4")
    position[::5] = np.round(position[::5])
    mass = rng.choice([7, 27, 84, 99], len(position), p=[0.2, 0.5, 0.2, 0.1])
    return stored(tmp_path_factory.mktemp("measures"), position, mass)


def particles(store, seed, share=0.3):
    order = np.random.default_rng(seed).random(store.shape_cells, dtype=np.float32)
    order[:3] = np.nan
    return find_precipitates(order, cut=1 - share, min_voxels=2, origin_nm=store.origin_nm), order


@given(seed=st.integers(0, 2**32), share=st.sampled_from([0.0, 0.0003, 0.02, 0.3]))
@examples(8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_walk_equals_looking_up_the_voxel_of_every_ion(store, seed, share):
    found, order = particles(store, seed, share)
    known = np.array([False, True, True, True])
    got = walk(found, store, order, known=known)
    cloud = store.read((0, 0, 0), store.shape_cells)
    voxel = tuple(np.floor(cloud.position.astype(np.float64) - store.origin_nm).astype(int).T)
    label, n = found.labels[voxel], len(found)
    inside = np.zeros((n + 1, 4), dtype=int)
    np.add.at(inside, (label, cloud.species), 1)
    np.testing.assert_array_equal(got.inside, inside[1:])
    distance = nearest_by_hand(found.labels)
    far = (distance > REACH_NM) & np.isfinite(order)
    np.testing.assert_array_equal(got.matrix, np.bincount(cloud.species[far[voxel]], minlength=4))
    assert got.near.sum() == ((distance <= REACH_NM) & np.isfinite(order))[voxel].sum()
    if n:
        offset = cloud.position[label > 0] - found.centroid_nm[label[label > 0] - 1]
        np.testing.assert_allclose(got.first.sum(axis=0), offset.sum(axis=0), atol=1e-6 * len(offset))
        np.testing.assert_allclose(got.second.sum(axis=0), offset.T @ offset, rtol=1e-6, atol=1e-3)
        s = order[voxel].astype(float)[(distance <= REACH_NM)[voxel] & np.isfinite(order)[voxel]]
        assert got.ordered[0].sum() == pytest.approx(s.sum())
        of_known = known[cloud.species] & ((distance <= REACH_NM) & np.isfinite(order))[voxel]
        assert got.ordered_squared[0].sum() == pytest.approx((order[voxel].astype(float)[of_known] ** 2).sum())


def nearest_by_hand(labels):
    """Distance of every voxel to the nearest labelled one."""
    from scipy.spatial import KDTree

    everywhere = np.argwhere(labels >= 0)
    some = np.argwhere(labels)
    if not len(some):
        return np.full(labels.shape, np.inf)
    return KDTree(some).query(everywhere)[0].reshape(labels.shape)


def test_everything_in_one_particle_is_the_whole_store(store):
    order = np.ones(store.shape_cells, dtype=np.float32)
    found = find_precipitates(order, cut=0.5, min_voxels=1, origin_nm=store.origin_nm)
    found, measures = measure_particles(found, store, share_of_labels(found, order))
    assert {name: int(column[0]) for name, column in found.ions.items()} == store.species_counts()
    assert measures.matrix.text() == "no ion of known atoms"
    assert measures.composition.percent["Li"][0] == pytest.approx(measures.inside.percent["Li"][0])
    assert np.isnan(measures.nearest_nm[0])


def test_no_particle_has_empty_columns_and_still_tells_of_all_blocks(store):
    told = []
    order = np.zeros(store.shape_cells, "f4")
    nothing = find_precipitates(order, cut=0.5, min_voxels=1, origin_nm=store.origin_nm)
    found, measures = measure_particles(nothing, store, order, lambda *state: told.append(state))
    assert {name: len(column) for name, column in found.ions.items()} == dict.fromkeys(store.species_names, 0)
    assert told[-1][1] == told[-1][2] == len(told)
    assert measures.semi_axes_nm.shape == (0, 3)
    assert measures.matrix.percent["Cr"][0] > 10


@pytest.mark.parametrize("axis", range(3))
def test_a_grid_of_another_store_is_refused(axis, store):
    found, order = particles(store, 1)
    origin = list(found.origin_nm)
    origin[axis] += 1
    with pytest.raises(StoreError, match="do not belong together"):
        measure_particles(replace(found, origin_nm=tuple(origin)), store, order)
    with pytest.raises(StoreError, match="do not belong together"):
        measure_particles(replace(found, labels=np.delete(found.labels, 0, axis)), store, order)


def test_shapes_of_ellipsoids_and_compositions_in_them(tmp_path):
    """An ellipsoid with half axes 6, 4 and 3 nm, and a sphere of 3 nm, from their true shares of voxels."""
    rng = np.random.default_rng(5)
    size = np.array([40, 24, 24])
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    axes = np.array([turn @ np.diag([6.0, 4, 3]), 3 * np.eye(3)])
    centre, radius = np.array([[12.3, 12.1, 11.8], [31.2, 12, 12]]), np.array([72 ** (1 / 3), 3.0])
    truth = Particles(centre, radius, np.array([0, 0]), axes_nm=axes.transpose(0, 2, 1))
    share = voxel_fraction(truth, tuple(size))
    position = (rng.random((int(40 * size.prod()), 3)) * size).astype("f4")
    position = position[(position < np.nextafter(size.astype("f4"), 0)).all(axis=1)]
    inside = np.zeros(len(position), bool)
    for middle, columns in zip(centre, axes, strict=True):
        inside |= np.linalg.norm(np.linalg.solve(columns, (position - middle).T), axis=0) <= 1
    mass = np.where(rng.random(len(position)) < np.where(inside, 0.25, 0.05), 7, 27)
    store = stored(tmp_path, position, mass)
    found = expected_precipitates(share, BoundaryRule(), origin_nm=store.origin_nm)
    found, measures = measure_particles(found, store, share)
    np.testing.assert_allclose(measures.semi_axes_nm, [[6, 4, 3], [3, 3, 3]], rtol=0.06)
    assert measures.semi_axes_nm.prod(axis=1) == pytest.approx(found.radius_nm**3)
    assert abs(measures.axes[0, 0] @ turn[:, 0]) > 0.98
    expected = [((36 + 16 + 9) / 5) ** 0.5, 3 * 0.6**0.5]
    np.testing.assert_allclose(measures.guinier_nm, expected, rtol=0.02)
    np.testing.assert_allclose(measures.nearest_nm, np.linalg.norm(truth.centre_nm[1] - truth.centre_nm[0]), rtol=0.01)
    np.testing.assert_allclose(measures.composition.percent["Li"], 25, atol=4 * measures.composition.sd["Li"].max())
    assert (measures.inside.percent["Li"] < measures.composition.percent["Li"]).all()
    assert measures.matrix.percent["Li"][0] == pytest.approx(5, abs=0.2)


@pytest.mark.parametrize(("neighbours", "n"), [(6, 3), (18, 2), (26, 1)])
def test_voxels_are_connected_across_faces_edges_or_corners(neighbours, n):
    order = np.zeros((5, 5, 5), "f4")
    order[0, 0, 0] = order[1, 1, 0] = order[2, 2, 1] = 0.9
    assert len(find_precipitates(order, cut=0.5, min_voxels=1, origin_nm=(0, 0, 0), neighbours=neighbours)) == n
    rule = BoundaryRule(neighbours=neighbours, min_volume_nm3=0)
    assert len(expected_precipitates(order, rule, origin_nm=(0, 0, 0))) == n


def test_another_number_of_neighbours_is_refused():
    with pytest.raises(PlanError, match="6, 18 or 26"):
        find_precipitates(np.zeros((2, 2, 2), "f4"), cut=0.5, min_voxels=1, origin_nm=(0, 0, 0), neighbours=8)


def test_the_report_takes_molecular_ions_apart(store):
    """The table's contents of the ions inside, against atoms counted ion by ion."""
    from aptstream.report.tables import particle_table

    found, order = particles(store, 5)
    found, measures = measure_particles(found, store, share_of_labels(found, order))
    cloud = store.read((0, 0, 0), store.shape_cells)
    voxel = np.floor(cloud.position.astype(np.float64) - store.origin_nm).astype(int)
    largest = int(found.n_voxels.argmax())
    mine = found.labels[tuple(voxel.T)] == largest + 1
    atoms = {"Al": 0, "Li": 0, "Cr": 0, "O": 0}
    for name in (store.species_names[k] for k in cloud.species[mine]):
        for symbol in {"CrO2": ("Cr", "O", "O"), "unranged": ()}.get(name, (name,)):
            atoms[symbol] += 1
    table = particle_table(found, measures)
    row = dict(zip(table.columns, table.rows[largest], strict=True))
    for symbol, n in atoms.items():
        assert float(row[f"{symbol}_inside_at_pct"]) == pytest.approx(100 * n / sum(atoms.values()), abs=5e-4)


def test_particles_of_the_simulated_specimen_are_richer_in_solute_than_its_matrix(specimen_scan, specimen_store, model):
    from aptstream.grid import find

    measures = find(specimen_scan, specimen_store, model).measures
    assert measures.particles.percent["Li"][0] > 1.5 * measures.matrix.percent["Li"][0]
