"""Particles against a flood fill by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aptstream.grid import find_precipitates

ORDER = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=6),
    elements=st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, float("nan")]),
)
CUT = st.sampled_from([0.0, 0.3, 0.5, 1.0])
ORIGIN = (-3.0, 10.0, 0.5)


def neighbours(voxel):
    for axis in range(3):
        for step in (-1, 1):
            moved = list(voxel)
            moved[axis] += step
            yield tuple(moved)


def flood_fill(order, cut, min_voxels):
    """Connected voxels in order of their first voxel, then sorted by size."""
    unseen = {tuple(map(int, voxel)) for voxel in np.argwhere(order >= cut)}
    particles = []
    for seed in sorted(unseen):
        if seed not in unseen:
            continue
        unseen.discard(seed)
        particle, frontier = [seed], [seed]
        while frontier:
            for near in neighbours(frontier.pop()):
                if near in unseen:
                    unseen.discard(near)
                    particle.append(near)
                    frontier.append(near)
        if len(particle) >= min_voxels:
            particles.append(particle)
    return sorted(particles, key=len, reverse=True)


def find(order, cut=0.5, min_voxels=1, voxel_nm=1.0):
    return find_precipitates(order, cut=cut, min_voxels=min_voxels, origin_nm=ORIGIN, voxel_nm=voxel_nm)


@given(order=ORDER, cut=CUT, min_voxels=st.integers(1, 4), voxel_nm=st.sampled_from([1.0, 0.5]))
def test_particles_are_those_of_a_flood_fill(order, cut, min_voxels, voxel_nm):
    found = find(order, cut, min_voxels, voxel_nm)
    expected = flood_fill(order, cut, min_voxels)
    labels = np.zeros(order.shape, dtype=int)
    for number, particle in enumerate(expected, start=1):
        labels[tuple(np.array(particle).T)] = number
    np.testing.assert_array_equal(found.labels, labels)
    assert len(found) == len(expected)
    for k, particle in enumerate(expected):
        voxels = np.array(particle)
        assert found.n_voxels[k] == len(particle)
        centroid = (voxels + 0.5).mean(axis=0) * voxel_nm + ORIGIN
        np.testing.assert_allclose(found.centroid_nm[k], centroid, rtol=1e-12, atol=1e-12)
        assert found.mean_order[k] == pytest.approx(order[tuple(voxels.T)].mean(dtype=float))
        at_edge = any(
            not all(0 <= i < n for i, n in zip(near, order.shape, strict=True)) or np.isnan(order[near])
            for voxel in particle
            for near in neighbours(voxel)
        )
        assert bool(found.touches_edge[k]) == at_edge
    np.testing.assert_allclose(found.volume_nm3, found.n_voxels * voxel_nm**3)
    np.testing.assert_allclose(4 / 3 * np.pi * found.radius_nm**3, found.volume_nm3)


@given(order=ORDER, cut=CUT)
def test_what_could_not_be_judged_is_never_part_of_a_particle(order, cut):
    assert not find(order, cut).labels[np.isnan(order)].any()


@given(order=ORDER)
def test_a_higher_cut_never_adds_a_voxel(order):
    masks = [find(order, cut).labels > 0 for cut in (0.25, 0.5, 0.75)]
    for low, high in pairwise(masks):
        assert not (high & ~low).any()


@given(order=ORDER, axis=st.integers(0, 2))
def test_a_mirrored_map_has_the_same_particles(order, axis):
    one, other = find(order), find(np.flip(order, axis))
    np.testing.assert_array_equal(one.n_voxels, other.n_voxels)
    np.testing.assert_array_equal(np.flip(one.labels > 0, axis), other.labels > 0)
    assert sorted(one.touches_edge) == sorted(other.touches_edge)


def test_voxels_that_share_only_an_edge_or_a_corner_are_two_particles():
    order = np.zeros((3, 3, 3), dtype=np.float32)
    order[0, 0, 0] = order[0, 1, 1] = order[1, 2, 2] = 1
    assert len(find(order)) == 3


def test_the_largest_particle_is_number_one():
    order = np.zeros((9, 3, 3), dtype=np.float32)
    order[1, 1, 1] = order[3:5, 1, 1] = order[6:9, 1, 1] = 0.9
    found = find(order)
    assert found.n_voxels.tolist() == [3, 2, 1]
    assert found.labels[7, 1, 1] == 1
    assert found.labels[1, 1, 1] == 3


def test_order_exactly_at_the_cut_belongs_and_just_below_does_not():
    order = np.full((1, 1, 3), np.float32(0.5))
    order[0, 0, 1] = np.nextafter(np.float32(0.5), np.float32(0))
    assert find(order, 0.5).labels.ravel().tolist() == [1, 0, 2]


@pytest.mark.parametrize("order", [np.zeros((4, 4, 4), "f4"), np.full((4, 4, 4), np.nan, "f4")])
def test_nothing_found_is_an_empty_table_with_columns(order):
    found = find(order)
    assert len(found) == 0
    assert found.centroid_nm.shape == (0, 3)
    for column in (found.n_voxels, found.mean_order, found.touches_edge, found.radius_nm, found.volume_nm3):
        assert column.shape == (0,)
    assert np.isnan(found.mean_radius_nm)
    assert found.labels.dtype == np.int32
