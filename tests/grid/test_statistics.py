"""Statistics of particles: closed forms, and windows cut anew from an endless alloy."""

from __future__ import annotations

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import poisson

from aptstream.grid import find_precipitates
from aptstream.grid.composition import Composition
from aptstream.grid.statistics import lever_rule, particle_statistics, weighted_count
from aptstream.simulate import Particles, voxel_fraction


@given(n=st.integers(1, 400), weight=st.floats(1e-3, 1e25))
@examples(20)
def test_equal_weights_have_the_exact_interval_of_poisson(n, weight):
    score = weighted_count(np.full(n, weight))
    assert score.value == pytest.approx(n * weight)
    assert poisson.sf(n - 1, score.low / weight) == pytest.approx(0.025, rel=1e-6)
    assert poisson.cdf(n, score.high / weight) == pytest.approx(0.025, rel=1e-6)


def test_unequal_weights_hold_the_truth_at_least_as_often_as_they_say():
    rng = np.random.default_rng(7)
    held = []
    for _ in range(2000):
        weights = rng.lognormal(0, 0.6, rng.poisson(25))
        score = weighted_count(weights)
        held.append(score.low <= 25 * np.exp(0.18) <= score.high)
    assert 0.93 <= np.mean(held) <= 0.99


def windows(rng, n, size=24, number=18.0):
    """Cut windows out of an alloy of spheres at random, around 2 nm, `number` centres in a window's volume."""
    for _ in range(n):
        wide = size + 12
        k = rng.poisson(number * (wide / size) ** 3)
        radius = np.minimum(2 * np.exp(0.25 * rng.standard_normal(k) - 0.03), 5)
        centre = rng.uniform(-6, size + 6, (k, 3))
        share = np.zeros((size,) * 3, "f4")
        found = []
        for c, r in zip(centre, radius, strict=True):
            one = voxel_fraction(Particles(c[None], np.array([r]), np.array([0])), share.shape)
            if one.sum() > 1:
                found.append((one >= 0.5, one))
        yield found


def statistics_of(found, size=24):
    """Every sphere for itself, although some overlap: as a `Precipitates` with their volumes."""
    order = np.zeros((size,) * 3, "f4")
    made = find_precipitates(order, cut=0.5, min_voxels=1, origin_nm=(0, 0, 0))
    volume = np.array([one.sum() for _, one in found], dtype=float)
    centroid = [np.average(np.argwhere(one > 0) + 0.5, axis=0, weights=one[one > 0]) for _, one in found]
    from dataclasses import replace

    n = len(found)
    made = replace(
        made,
        centroid_nm=np.array(centroid).reshape(n, 3),
        n_voxels=np.ones(n, dtype=np.int64),
        expected_nm3=volume,
        touches_edge=np.zeros(n, bool),
    )
    return particle_statistics(made, order, np.random.default_rng(0), n_draws=100)


@pytest.mark.slow
def test_faces_bias_neither_number_nor_size():
    told = [statistics_of(found) for found in windows(np.random.default_rng(3), 60)]
    number = np.array([t.number_per_m3.value for t in told]) * 24**3 * 1e-27
    radius = np.array([t.mean_radius_nm.value for t in told])
    assert number.mean() == pytest.approx(18, abs=3.5 * number.std() / 60**0.5)
    mean = 2 * np.exp(0.25**2 / 2 - 0.03)
    assert np.average(radius, weights=number) == pytest.approx(mean, abs=4 * radius.std() / 60**0.5)
    assert sum(t.class_number_per_m3.sum() for t in told) == pytest.approx(sum(t.number_per_m3.value for t in told))


def test_a_box_full_of_vacuum_has_less_room():
    """Voxels that could not be judged are a face like any other."""
    order = np.zeros((30, 20, 20), "f4")
    order[9:12, 9:12, 9:12] = 1
    whole = particle_statistics(found_in(order), order, np.random.default_rng(0))
    order[15:] = np.nan
    part = particle_statistics(found_in(order), order, np.random.default_rng(0))
    r = found_in(order).radius_nm[0]
    steps = np.ceil(r / 0.25) * 0.25
    room = [np.prod([n - 2 * np.ceil(steps - 0.5) for n in shape]) for shape in ((30, 20, 20), (15, 20, 20))]
    assert part.number_per_m3.value / whole.number_per_m3.value == pytest.approx(room[0] / room[1])
    assert part.volume_fraction.value == pytest.approx(2 * whole.volume_fraction.value)


def found_in(order):
    return find_precipitates(order, cut=0.5, min_voxels=1, origin_nm=(0, 0, 0))


@pytest.mark.parametrize("fill", [np.nan, 0.0, 1.0])
def test_nothing_everything_and_nothing_judged(fill):
    order = np.full((8, 9, 10), fill, "f4")
    told = particle_statistics(found_in(order), order, np.random.default_rng(0))
    assert told.n_whole == 0
    assert told.number_per_m3.value == 0
    assert np.isnan(told.mean_radius_nm.value)
    expected = {0.0: 0.0, 1.0: 1.0}.get(fill, np.nan)
    np.testing.assert_equal(told.volume_fraction.value, expected)


def test_slabs_of_a_long_specimen_change_nothing():
    rng = np.random.default_rng(4)
    order = (rng.random((90, 12, 12)) < 0.02).astype("f4")
    order[rng.random(order.shape) < 0.01] = np.nan
    along, across = order, np.ascontiguousarray(order.transpose(1, 0, 2))
    one = particle_statistics(found_in(along), along, np.random.default_rng(0))
    other = particle_statistics(found_in(across), across, np.random.default_rng(0))
    assert one.n_whole == other.n_whole > 50
    assert one.number_per_m3.value == pytest.approx(other.number_per_m3.value)


def of(percent, sd=0.1):
    return Composition({"Li": np.array([percent])}, {"Li": np.array([sd])})


def test_the_lever_rule_is_silent_where_the_phases_are_alike():
    assert lever_rule(of(7.0), of(12.0), of(12.2)) == {}
    assert lever_rule(of(7.0), of(np.nan), of(5.0)) == {}
    assert lever_rule(of(7.0), of(5.0), of(5.0, 0.0)) == {}


def test_the_lever_rule_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    held = []
    for _ in range(2000):
        c0, cp, cm = (rng.normal(mean, sd) for mean, sd in ((6.5, 0.02), (20, 0.8), (5, 0.03)))
        score = lever_rule(of(c0, 0.02), of(cp, 0.8), of(cm, 0.03))["Li"]
        held.append(score.low <= 0.1 <= score.high)
    assert 0.93 <= np.mean(held) <= 0.97
