"""Clusters as particles: enclosed ions against brute force, limits from the specimen, and what cannot be clustered."""

from __future__ import annotations

import numpy as np
import pytest

from aptstream.errors import PlanError, RangingError
from aptstream.peers import ClusterRule, dbscan_clusters, maximum_separation
from aptstream.peers.solutes import kth_distances, separating_distance, solutes_of
from aptstream.points import Roles

ROLES = Roles(("Al",), ("Li", "Mg"))
CENTRES, RADII = np.array([[16, 8, 5], [22, 4, 15.5], [6, 6, 5]]), np.array([2.5, 2.0, 1.8])


def blobs(rng, size, n_per_nm3):
    """Random ions, and three spheres of 60 % solute, two of them across faces of bricks."""
    position = rng.uniform(0, size, (int(n_per_nm3 * np.prod(size)), 3))
    near = np.linalg.norm(position[:, None] - CENTRES, axis=2)
    inside = (near < RADII).any(axis=1)
    return position, np.where(rng.random(len(position)) < np.where(inside, 0.6, 0.05), "Li", "Al")


@pytest.fixture(scope="module")
def blob_store(store_of):
    return store_of(*blobs(np.random.default_rng(5), (26, 11, 18), 22))


@pytest.mark.parametrize("method", [maximum_separation, dbscan_clusters])
def test_limits_from_the_specimen_find_the_spheres_and_nothing_else(blob_store, method):
    found = method(blob_store, ROLES)
    assert found.n_random == 0
    assert len(found.found) == 3
    # Limits from the thin matrix take in a shell of it: about half a nm.
    np.testing.assert_allclose(found.found.radius_nm, RADII, atol=0.55)
    np.testing.assert_allclose(found.found.centroid_nm, CENTRES, atol=0.5)
    assert (found.found.ions["Li"] > 0.3 * found.found.ions["Al"]).all()  # 0.05 in the matrix
    assert None not in vars(found.rule).values()
    assert len(found.label) == len(found.position) == blob_store.species_counts()["Li"]


def naive_enclosed(found, store):
    """Cluster of every ion: that of the nearest clustered solute ion, if near, unless an ion outside is near."""
    rule, cloud = found.rule, store.read((0, 0, 0), store.shape_cells)
    sizes = np.bincount(found.label[found.label >= 0])
    kept = (found.label >= 0) & (sizes[found.label] >= rule.min_ions)
    position = cloud.position.astype("f8")
    apart = np.array([np.linalg.norm(found.position[kept].astype("f8") - p, axis=1) for p in position])
    distance, owner = apart.min(axis=1), found.label[kept][apart.argmin(axis=1)] + 1
    inside = distance <= rule.envelope_nm
    outside = position[~inside]
    for i in np.flatnonzero(inside & (distance > 0)):
        if rule.erosion_nm and np.linalg.norm(outside - position[i], axis=1).min() <= rule.erosion_nm:
            inside[i] = False
    return np.where(inside, owner, 0), np.floor(position - store.origin_nm).astype(int)


@pytest.mark.parametrize(("envelope", "erosion"), [(0.0, 0.0), (0.7, 0.0), (0.7, 0.6)])
def test_enclosed_ions_are_those_of_brute_force(store_of, envelope, erosion):
    store = store_of(*blobs(np.random.default_rng(8), (19, 10, 8), 8))
    rule = ClusterRule(reach_nm=0.9, min_samples=6, min_ions=12, envelope_nm=envelope, erosion_nm=erosion)
    found = dbscan_clusters(store, ROLES, rule)
    owner, voxel = naive_enclosed(found, store)
    volume = {}
    for v in np.unique(voxel[owner > 0], axis=0):
        mine = owner[(voxel == v).all(axis=1)]
        numbers, counts = np.unique(mine[mine > 0], return_counts=True)
        best = numbers[np.argmax(counts)]
        volume.setdefault(best, []).append(counts.max() / len(mine))
    expected = sorted((sum(shares) for shares in volume.values()), reverse=True)
    assert len(found.found) == len(expected) > 0
    np.testing.assert_allclose(found.found.volume_nm3, expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("method", [maximum_separation, dbscan_clusters])
def test_a_random_alloy_has_hardly_any_clusters(store_of, method):
    rng = np.random.default_rng(2)
    store = store_of(rng.uniform(0, 20, (120_000, 3)), np.where(rng.random(120_000) < 0.1, "Li", "Al"))
    found = method(store, ROLES)
    assert len(found.found) <= 3
    assert found.found.volume_nm3.sum() < 0.01 * 20**3


def test_random_ions_are_as_many_and_any_of_host_and_solute(mixed_store):
    solutes = solutes_of(mixed_store, ROLES, np.random.default_rng(1))
    counts = mixed_store.species_counts()
    assert len(solutes) == len(solutes.random) == counts["Li"] + counts["Mg"]
    cloud = mixed_store.read((0, 0, 0), mixed_store.shape_cells)
    of = dict(zip(map(bytes, cloud.position), cloud.species.tolist(), strict=True))
    drawn = np.bincount([of[bytes(p)] for p in solutes.random], minlength=5)
    names = mixed_store.species_names
    # an ion that has the place of another bears its name: one in twenty here
    assert drawn[names.index("unranged")] + drawn[names.index("CrO2")] < 0.05 * len(solutes)
    assert drawn[names.index("Al")] == pytest.approx(len(solutes) * 5 / 8, rel=0.1)
    assert len(np.unique(solutes.random, axis=0)) > 0.95 * len(solutes)


def test_distances_of_neighbours_are_those_of_brute_force():
    rng = np.random.default_rng(4)
    position = rng.uniform(0, 4, (300, 3)).astype("f4")
    apart = np.sort(np.linalg.norm(position[:, None].astype("f8") - position, axis=2), axis=1)
    np.testing.assert_allclose(kth_distances(position, 3), apart[:, 3], rtol=1e-12)
    assert np.isinf(kth_distances(position[:2], 3)).all()


def test_two_crowds_are_told_apart_where_they_part():
    rng = np.random.default_rng(6)
    near, far = rng.normal(0.3, 0.02, 500), rng.normal(0.6, 0.02, 500)
    assert separating_distance(np.concatenate([near, far]), far) == pytest.approx(0.36, abs=0.06)


@pytest.mark.parametrize(
    ("field", "value"),
    [("reach_nm", 0), ("reach_nm", np.nan), ("envelope_nm", -1), ("min_ions", 0), ("erosion_nm", np.inf)],
)
def test_a_rule_that_makes_no_cluster_is_refused(field, value):
    with pytest.raises(PlanError, match=field):
        ClusterRule(**{field: value})


def test_what_cannot_be_clustered_is_said(store_of, mixed_store):
    few = store_of(np.random.default_rng(1).uniform(0, 9, (5000, 3)), ["Li"] * 20 + ["Al"] * 4980)
    with pytest.raises(PlanError, match="Found 20 ions of the solute Li"):
        maximum_separation(few, Roles(("Al",), ("Li",)))
    with pytest.raises(RangingError, match="Cu not among"):
        dbscan_clusters(mixed_store, Roles(("Al",), ("Cu",)))
    with pytest.raises(PlanError, match="links pairs"):
        maximum_separation(mixed_store, ROLES, ClusterRule(min_samples=3))


def test_nothing_is_left_of_clusters_that_are_too_small(mixed_store):
    found = dbscan_clusters(mixed_store, ROLES, ClusterRule(min_ions=1_000_000))
    assert len(found.found) == 0
    assert not found.found.labels.any()
    assert found.found.ions["Li"].shape == (0,)
