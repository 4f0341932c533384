"""Particles from probabilities: against a flood fill by hand, and volumes that no blur changes."""

from __future__ import annotations

import naive
import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aptstream.grid import find_precipitates
from aptstream.grid.precipitates import CERTAIN, BoundaryRule, expected_precipitates
from aptstream.simulate import Particles, voxel_fraction

ORIGIN = (-3.0, 10.0, 0.5)
SHAPE = hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=5)
#: Mostly faint voxels, so that there are several particles with room between them; ties are common.
FAINT = st.sampled_from([0.0, 0.0, 0.1, 0.2, 0.2, 0.29, 0.3, 0.45, 0.6, 0.95, 1.0, float("nan")])
ORDER = hnp.arrays(np.float32, SHAPE, elements=FAINT, fill=st.nothing())
RULE = st.builds(
    BoundaryRule,
    core=st.sampled_from([0.3, 0.45]),
    peak=st.sampled_from([0.3, 0.5, 0.99]),
    reach_nm=st.sampled_from([0.0, 1.0, 1.5, 2.5]),
    min_volume_nm3=st.sampled_from([0.0, 0.3, 1.0, 4.0]),
)


def find(order, rule, voxel_nm=1.0):
    return expected_precipitates(order, rule, origin_nm=ORIGIN, voxel_nm=voxel_nm)


def blurred_sphere(sigma, radius=3.0):
    """What calibrated probabilities of a sphere look like, and its true volume."""
    truth = voxel_fraction(Particles(np.array([[10.3, 9.8, 10.1]]), np.array([radius]), np.array([0])), (20, 20, 20))
    return naive.blurred(truth.astype(float), sigma).astype("f4"), float(truth.sum(dtype=float))


@given(order=ORDER, rule=RULE, voxel_nm=st.sampled_from([1.0, 0.5]))
@examples(150)
def test_particles_are_those_of_a_flood_fill_that_takes_its_surroundings(order, rule, voxel_nm):
    # Voxels as near to one particle as to another may go to either: they are left without probability.
    order = np.where(naive.between_particles(order, rule, voxel_nm), np.float32(0), order)
    expected = naive.expected_particles(order, rule, voxel_nm)
    found = find(order, rule, voxel_nm)
    assert len(found) == len(expected)
    np.testing.assert_allclose(found.volume_nm3, [volume for volume, _ in expected], rtol=1e-9)
    labels = np.zeros(order.shape, dtype=int)
    for number, (_, voxels) in enumerate(expected, start=1):
        labels[tuple(np.array(voxels).T)] = number
    np.testing.assert_array_equal(found.labels, labels)
    for k, (volume, voxels) in enumerate(expected):
        values = order[tuple(np.array(voxels).T)].astype(float)
        assert found.n_voxels[k] == len(voxels) == max(round(volume / voxel_nm**3), 1)
        assert found.peak[k] == values.max() >= np.float32(rule.peak)
        assert found.mean_order[k] == pytest.approx(values.mean())
        centroid = (np.array(voxels) + 0.5).mean(axis=0) * voxel_nm + ORIGIN
        np.testing.assert_allclose(found.centroid_nm[k], centroid, rtol=1e-12, atol=1e-12)


@given(order=ORDER)
@examples(60)
def test_every_probability_within_reach_is_counted_once(order):
    """With one particle or many, whatever is near belongs to one of them: volumes sum to the sum of probabilities."""
    everywhere = BoundaryRule(core=0.3, peak=0.3, reach_nm=100.0, min_volume_nm3=0.01)
    found = find(order, everywhere)
    total = float(np.nansum(order.astype(float)))
    assert found.volume_nm3.sum() == pytest.approx(total if (np.nan_to_num(order) >= 0.3).any() else 0)
    assert found.n_voxels.sum() <= np.isfinite(order).sum()
    near = find(order, BoundaryRule(0.3, 0.3, 1.0, 0.01))
    assert near.volume_nm3.sum() <= total + 1e-9


@given(order=ORDER, rule=RULE)
@examples(60)
def test_what_could_not_be_judged_counts_as_nothing(order, rule):
    found, filled = find(order, rule), find(np.nan_to_num(order), rule)
    np.testing.assert_array_equal(found.labels, filled.labels)
    np.testing.assert_array_equal(found.volume_nm3, filled.volume_nm3)
    np.testing.assert_array_equal(found.peak, filled.peak)
    assert not found.labels[np.isnan(order)].any()


@given(order=ORDER, peak=st.sampled_from([0.45, 0.6, 0.95]))
@examples(60)
def test_a_particle_must_reach_the_peak_somewhere(order, peak):
    found = find(order, BoundaryRule(peak=peak, min_volume_nm3=0.0))
    assert (found.peak >= np.float32(peak)).all()
    assert len(found) <= len(find(order, BoundaryRule(peak=0.3, min_volume_nm3=0.0)))


@given(order=ORDER, peak=st.floats(0.3, 1))
@examples(40)
def test_matrix_is_never_a_particle_even_if_the_smallest_volume_is_nothing(order, peak):
    found = find(order, BoundaryRule(peak=peak, reach_nm=0.0, min_volume_nm3=0.0))
    assert (found.volume_nm3 > 0).all()
    assert not found.labels[np.nan_to_num(order) < np.float32(0.3)].any()


@pytest.mark.parametrize("sigma", [0.5, 0.8, 1.0])
def test_the_volume_of_a_blurred_sphere_is_its_own_and_a_cut_errs_by_more(sigma):
    order, truth = blurred_sphere(sigma)
    found = find(order, BoundaryRule())
    assert len(found) == 1
    by_sum = abs(found.volume_nm3[0] / truth - 1)
    assert by_sum < 0.01
    assert found.n_voxels[0] == round(found.volume_nm3[0])
    cut = find_precipitates(order, cut=0.5, min_voxels=1, origin_nm=ORIGIN)
    assert abs(cut.volume_nm3[0] / truth - 1) > by_sum


def test_two_spheres_that_touch_share_their_voxels_out_by_distance():
    order, truth = blurred_sphere(0.5, 2.5)
    both = np.concatenate([order[:14], order[13::-1][:14]])  # mirrored in the plane x = 14
    found = find(both, BoundaryRule())
    assert len(found) == 2
    assert found.volume_nm3 == pytest.approx([truth, truth], rel=0.01)
    np.testing.assert_array_equal(found.labels[::-1] > 0, found.labels > 0)


def test_the_particles_voxels_are_its_most_probable_ones():
    order, _ = blurred_sphere(1.0)
    found = find(order, BoundaryRule())
    assert order[found.labels == 1].min() >= np.sort(order.ravel())[-found.n_voxels[0]]


def test_particles_whose_order_is_nowhere_high_are_uncertain():
    order = np.zeros((12, 3, 3), "f4")
    order[1:3], order[8:10] = 0.6, 0.6
    order[1, 1, 1], order[8, 1, 1] = CERTAIN, np.nextafter(np.float32(CERTAIN), np.float32(0))
    found = find(order, BoundaryRule())
    assert dict(zip(found.centroid_nm[:, 0] < 3, found.uncertain, strict=True)) == {True: False, False: True}


@pytest.mark.parametrize("fill", [0.0, 0.29, np.nan])
def test_nothing_found_is_an_empty_table_with_columns(fill):
    found = find(np.full((4, 3, 5), fill, "f4"), BoundaryRule(min_volume_nm3=0.0))
    assert len(found) == 0
    assert not found.labels.any()
    for column in (found.volume_nm3, found.peak, found.uncertain, found.n_voxels, found.mean_order):
        assert column.shape == (0,)


@pytest.mark.parametrize("slab", [1, 3, 7])
@pytest.mark.parametrize("reach_nm", [1.0, 2.5])
def test_particles_do_not_depend_on_the_slabs_in_which_distances_are_computed(slab, reach_nm, monkeypatch):
    order = np.random.default_rng(slab).random((23, 17, 19), "f4") ** 4  # many neighbours at the same distance
    rule = BoundaryRule(peak=0.6, reach_nm=reach_nm, min_volume_nm3=0.5)
    monkeypatch.setattr("aptstream.grid.precipitates.SLAB", len(order))
    whole = expected_precipitates(order, rule, origin_nm=(0, 0, 0))
    monkeypatch.setattr("aptstream.grid.precipitates.SLAB", slab)
    parts = expected_precipitates(order, rule, origin_nm=(0, 0, 0))
    assert np.array_equal(parts.labels, whole.labels)
    assert np.array_equal(parts.expected_nm3, whole.expected_nm3)
    assert len(whole) > 5
