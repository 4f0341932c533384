"""Found particles held against the truth, and against the definition of found and correct by hand."""

from __future__ import annotations

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from aptstream.grid import compare_with_truth, find, find_precipitates
from aptstream.grid.compare import CORRECT_SHARE, FOUND_SHARE, compare_volumes, particle_scores, pool
from aptstream.grid.truth import TrueVolumes, reach_of, true_volumes
from aptstream.simulate import Particles, voxel_fraction

SHAPE = (12, 10, 14)


def spheres(*rows):
    table = np.array(rows, dtype=float).reshape(-1, 4)
    return Particles(table[:, :3], table[:, 3], np.zeros(len(table), dtype=np.int64))


def particles_of(order, origin_nm=(0.0, 0.0, 0.0)):
    return find_precipitates(order.astype("f4"), cut=0.5, min_voxels=1, origin_nm=origin_nm)


TRUTH = st.lists(st.tuples(st.floats(-2, 14), st.floats(-2, 12), st.floats(-2, 16), st.floats(0.5, 3)), max_size=4).map(
    lambda rows: spheres(*rows)
)


@given(truth=TRUTH, seed=st.integers(0, 1000), share=st.floats(0, 1), shift=st.sampled_from([0.0, -7.0, 30.0]))
@examples(40)  # each looks through whole grids
def test_found_and_correct_follow_their_definition(truth, seed, share, shift):
    rng = np.random.default_rng(seed)
    mask = (voxel_fraction(truth, SHAPE) > 0.5) & (rng.random(SHAPE) < share) | (rng.random(SHAPE) < 0.02)
    moved = Particles(truth.centre_nm + shift, truth.radius_nm, truth.variant)
    found = particles_of(mask, (shift, shift, shift))
    comparison = compare_with_truth(found, moved)
    everything = voxel_fraction(moved, SHAPE, origin_nm=(shift, shift, shift))
    for k in range(len(truth)):
        one = Particles(moved.centre_nm[k : k + 1], moved.radius_nm[k : k + 1], moved.variant[k : k + 1])
        fraction = voxel_fraction(one, SHAPE, origin_nm=(shift, shift, shift))
        inside = fraction.sum(dtype=float)
        expected = inside > 0 and fraction[mask].sum(dtype=float) >= FOUND_SHARE * inside
        assert bool(comparison.found[k]) == expected
        centre = moved.centre_nm[k]
        assert bool(comparison.considered[k]) == bool(((centre >= shift) & (centre < np.add(shift, SHAPE))).all())
    for k in range(len(found)):
        true_share = everything[found.labels == k + 1].mean(dtype=float)
        distances = [np.linalg.norm(found.centroid_nm[k] - centre) for centre in moved.centre_nm]
        hit = any(distance <= radius for distance, radius in zip(distances, moved.radius_nm, strict=True))
        assert bool(comparison.correct[k]) == (true_share >= CORRECT_SHARE or hit)
    assert comparison.volume_fraction == pytest.approx(everything.mean(dtype=float))


def test_a_perfect_map_is_found_and_correct():
    truth = spheres((4, 4, 4, 2), (8, 6, 10, 1.5))
    comparison = compare_with_truth(particles_of(voxel_fraction(truth, SHAPE)), truth)
    assert (comparison.recall(0), comparison.precision) == (1.0, 1.0)
    assert comparison.mean_radius_nm == 1.75


def test_nothing_found_has_no_precision_and_no_recall():
    comparison = compare_with_truth(particles_of(np.zeros(SHAPE)), spheres((4, 4, 4, 2)))
    assert comparison.recall(2) == 0
    assert np.isnan(comparison.precision)


def test_nothing_there_has_no_recall_and_no_precision_left():
    order = np.zeros(SHAPE)
    order[2:4, 2:4, 2:4] = 1
    comparison = compare_with_truth(particles_of(order), spheres())
    assert np.isnan(comparison.recall(0))
    assert np.isnan(comparison.mean_radius_nm)
    assert (comparison.precision, comparison.volume_fraction) == (0.0, 0.0)


def test_recall_counts_only_particles_large_enough_whose_centre_lies_inside():
    truth = spheres((4, 4, 4, 2), (8, 6, 10, 1), (-1, 5, 5, 2.5))
    order = voxel_fraction(truth, SHAPE)
    order[6:, :, :] = 0  # the small one is missed
    order[:2] = 0  # so is the one whose centre lies outside
    comparison = compare_with_truth(particles_of(order), truth)
    assert comparison.found.tolist() == [True, False, False]
    assert comparison.considered.tolist() == [True, True, False]
    assert (comparison.recall(2), comparison.recall(1), comparison.recall(0.5)) == (1.0, 0.5, 0.5)
    assert np.isnan(comparison.recall(3))


def test_the_particles_of_the_simulated_specimen_are_found(specimen_scan, specimen_store, model, specimen_files):
    import json

    truth = json.loads(specimen_files.truth.read_text())
    rows = zip(truth["centre_nm"], truth["radius_nm"], strict=True)
    comparison = compare_with_truth(
        find(specimen_scan, specimen_store, model).found, spheres(*((*centre, radius) for centre, radius in rows))
    )
    assert comparison.recall(2.0) >= 0.9
    assert comparison.precision >= 0.95


def test_only_particles_wholly_inside_and_found_one_to_one_have_a_radius_to_compare():
    # 0 cut by the face, 1 alone, 2 and 3 found as one, 4 found in two pieces, 5 missed
    truth = spheres((1, 5, 5, 2), (8, 5, 5, 2), (15, 5, 5, 2), (20, 5, 5, 2), (27, 5, 5, 2.5), (34, 5, 5, 2))
    order = voxel_fraction(truth, (40, 10, 10)) > 0.5
    order[15:21, 5, 5] = True
    order[26:28] = False
    order[32:] = False
    comparison = compare_with_truth(particles_of(order), truth)
    labels = particles_of(order).labels
    assert comparison.whole.tolist() == [False, True, True, True, True, True]
    assert comparison.partner.tolist() == [labels[1, 5, 5] - 1, labels[8, 5, 5] - 1, -1, -1, -1, -1]
    assert comparison.merged.sum() == 1
    assert comparison.merged[labels[15, 5, 5] - 1]
    assert comparison.split.tolist() == [False, False, False, False, True, False]
    scores = particle_scores(comparison, np.random.default_rng(0))
    assert scores["radius_bias_nm"].n == 1
    found = comparison.found_radius_nm[comparison.partner[1]]
    assert scores["radius_bias_nm"].value == pytest.approx(found - 2)
    assert scores["radius_rmse_nm"].value == pytest.approx(abs(found - 2))


def test_the_radius_comes_from_the_volume_that_is_given_not_from_the_voxels():
    truth = spheres((5, 5, 5, 2), (5, 5, 15, 3))
    volumes = true_volumes(truth, (10, 10, 20), (0, 0, 0))
    labels = particles_of(volumes.total).labels
    order = [labels[5, 5, 5] - 1, labels[5, 5, 15] - 1]
    given = np.empty(2)
    given[order] = 4 / 3 * np.pi * np.array([2.1, 2.9]) ** 3
    scores = particle_scores(compare_volumes(labels, given, volumes), np.random.default_rng(0))
    assert scores["radius_bias_nm"].value == pytest.approx(0, abs=1e-9)
    assert scores["radius_rmse_nm"].value == pytest.approx(0.1)
    expected = given.sum() / volumes.total.sum(dtype=float) - 1
    assert scores["volume_fraction_error"].value == pytest.approx(expected, abs=1e-6)


@given(truth=TRUTH, seed=st.integers(0, 1000), share=st.floats(0, 1))
@examples(30)  # each draws intervals
def test_scores_of_particles_follow_their_definition(truth, seed, share):
    rng = np.random.default_rng(seed)
    mask = (voxel_fraction(truth, SHAPE) > 0.5) & (rng.random(SHAPE) < share) | (rng.random(SHAPE) < 0.01)
    c = compare_with_truth(particles_of(mask), truth)
    scores = particle_scores(c, rng, min_radius_nm=1.2, bands_nm=((0.5, 1.2), (1.2, np.inf)), n_draws=10)
    assert scores["recall_0.5_1.2"].value == pytest.approx(c.recall(0.5, 1.2), nan_ok=True)
    assert scores["recall_1.2"].value == pytest.approx(c.recall(1.2), nan_ok=True)
    assert scores["precision"].value == pytest.approx(c.precision, nan_ok=True)
    wrong = sum(v for v, right in zip(c.found_volume_nm3, c.correct, strict=True) if not right)
    assert scores["false_volume"].value == pytest.approx(wrong / mask.size)
    there = sum(r >= 1.2 and i for r, i in zip(c.radius_nm, c.considered, strict=True))
    counted = sum(r >= 1.2 and not b for r, b in zip(c.found_radius_nm, c.beyond, strict=True))
    number = counted / there - 1 if there else np.nan
    assert scores["number_density_error"].value == pytest.approx(number, nan_ok=True)
    assert len(c.unit_of_true) == len(truth)
    assert len(c.unit_of_found) == len(c.correct)


def test_particles_that_touch_are_one_unit_and_others_are_not():
    truth = spheres((4, 5, 5, 2), (20, 5, 5, 2), (25, 5, 5, 2))
    order = voxel_fraction(truth, (40, 10, 10)) > 0.5
    order[20:26, 5, 5] = True
    order[35, 5, 5] = True
    c = compare_with_truth(particles_of(order), truth)
    assert len({*c.unit_of_true[1:]}) == 1
    assert c.unit_of_true[0] != c.unit_of_true[1]
    alone = ~c.correct
    assert alone.sum() == 1
    assert c.unit_of_found[alone][0] not in c.unit_of_true


def test_a_particle_whose_centre_lies_outside_does_not_count_as_one_too_many():
    truth = spheres((-0.5, 5, 5, 2.5), (8, 5, 5, 2))
    c = compare_with_truth(particles_of(voxel_fraction(truth, (12, 10, 10))), truth)
    assert c.beyond.sum() == 1
    scores = particle_scores(c, np.random.default_rng(0))
    assert scores["number_density_error"].value == 0


def test_pooled_specimens_score_as_their_particles_together():
    truths = [spheres((4, 4, 4, 2), (8, 6, 10, 1.5)), spheres(), spheres((6, 5, 7, 2.5))]
    maps = [voxel_fraction(t, SHAPE) for t in truths]
    maps[1] = maps[1].copy()
    maps[1][3:5, 3:5, 3:5] = 1
    maps[2] = np.zeros(SHAPE)
    parts = [compare_with_truth(particles_of(m), t) for m, t in zip(maps, truths, strict=True)]
    pooled = pool(parts)
    assert pooled.recall(0) == pytest.approx(2 / 3)
    assert pooled.precision == pytest.approx(2 / 3)
    assert pooled.volume_nm3 == 3 * np.prod(SHAPE)
    assert pooled.volume_fraction == pytest.approx(np.mean([p.volume_fraction for p in parts]))
    for k, partner in enumerate(pooled.partner):
        if partner >= 0:
            assert pooled.unit_of_true[k] == pooled.unit_of_found[partner]
    assert len({*pooled.unit_of_true, *pooled.unit_of_found}) == 4
    scores = particle_scores(pooled, np.random.default_rng(0))
    assert scores["false_volume"].value == pytest.approx(8 / pooled.volume_nm3)


def test_intervals_hold_the_recall_of_a_population_as_often_as_they_say():
    # found with a chance of 0.7 each: the binomial is known
    rng, truth = np.random.default_rng(1), spheres(*((4 + 8 * i, 4, 4, 2) for i in range(30)))
    volumes = true_volumes(truth, (240, 8, 8), (0, 0, 0))
    whole = particles_of(volumes.total).labels
    held = 0
    for _ in range(60):
        labels = np.where(np.isin(whole, np.flatnonzero(rng.random(31) < 0.7)), whole, 0)
        labels = particles_of(labels > 0).labels
        c = compare_volumes(labels, np.bincount(labels.ravel())[1:].astype(float), volumes)
        score = particle_scores(c, rng)["recall_1.5"]
        held += score.low <= 0.7 <= score.high
    assert held >= 50  # 57 are meant; the binomial's own spread is 1.7, and 30 particles make the draws coarse


def test_ellipsoids_are_held_against_their_own_shape():
    half = np.array([1.0, 2.0, 4.0])
    volumes = true_volumes(spheres((5, 5, 5, 2)), (10, 10, 10), (0, 0, 0))
    unit = np.diag(1 / half)[None]
    plate = TrueVolumes(**{**vars(volumes), "unit": unit})
    assert plate.holds(np.array([[5.0, 5, 8.9], [6.1, 5, 5], [5, 6.9, 5]])).tolist() == [True, False, True]
    assert plate.reach_nm.tolist() == [[1.0, 2.0, 4.0]]
    turn = np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    assert reach_of(unit @ turn).round(9).tolist() == [[2.0, 1.0, 4.0]]


@given(truth=TRUTH)
def test_shares_of_all_spheres_are_the_volume_of_each(truth):
    volumes = true_volumes(truth, SHAPE, (0, 0, 0))
    for k in range(len(truth)):
        mine = volumes.particle == k
        one = spheres((*truth.centre_nm[k], truth.radius_nm[k]))
        dense = np.zeros(SHAPE)
        dense.ravel()[volumes.voxel[mine]] = volumes.share[mine]
        assert (dense == voxel_fraction(one, SHAPE)).all()
    assert (volumes.total == voxel_fraction(truth, SHAPE)).all()
