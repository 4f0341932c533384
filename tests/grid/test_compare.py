"""Found particles held against the truth, and against the definition of found and correct by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptstream.grid import compare_with_truth, find, find_precipitates
from aptstream.grid.compare import CORRECT_SHARE, FOUND_SHARE
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
@settings(max_examples=40)  # each looks through whole grids
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
