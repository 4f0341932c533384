"""Spheres: apart, as large as asked, and where they were asked to be."""

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from aptstream.simulate import Particles, draw_particles

GAP_NM, LARGEST_NM = 0.8, 6.0


@examples(30)
@given(
    st.integers(0, 2**32 - 1),
    st.floats(0.0, 0.25),
    st.floats(0.8, 3.5),
    st.floats(0.0, 1.0),
    st.integers(0, 8),
)
def test_spheres_never_come_closer_than_the_gap(seed, volume_fraction, mean, sd, n_small):
    rng, size = np.random.default_rng(seed), np.array([14.0, 10.0, 12.0])
    drawn = draw_particles(rng, tuple(size), volume_fraction=volume_fraction, mean_nm=mean, sd_nm=sd, n_small=n_small)
    apart = np.linalg.norm(drawn.centre_nm[:, None] - drawn.centre_nm, axis=2)
    touching = drawn.radius_nm[:, None] + drawn.radius_nm + GAP_NM
    np.fill_diagonal(apart, np.inf)
    assert (apart > touching).all()
    assert (drawn.radius_nm <= LARGEST_NM).all()
    assert (np.diff(drawn.radius_nm) <= 0).all()
    assert set(drawn.variant) <= {0, 1, 2, 3}
    sticks_out = 0.2 * drawn.radius_nm[:, None]
    assert ((drawn.centre_nm >= -sticks_out) & (drawn.centre_nm <= size + sticks_out)).all()
    small = drawn.radius_nm <= 1.5
    low, high = drawn.centre_nm - drawn.radius_nm[:, None], drawn.centre_nm + drawn.radius_nm[:, None]
    assert ((low >= 0) & (high <= size))[small].all()


def test_the_volume_is_reached_by_the_last_sphere_drawn():
    size, wanted = (60.0, 60.0, 60.0), 0.05 * 60**3
    for seed in range(5):
        drawn = draw_particles(np.random.default_rng(seed), size, volume_fraction=0.05)
        assert wanted <= drawn.volume_nm3.sum() < wanted + drawn.volume_nm3.max()


def test_radii_follow_the_lognormal_distribution():
    mean, sd = 2.0, 0.5
    drawn = draw_particles(
        np.random.default_rng(3), (100.0, 100.0, 100.0), volume_fraction=0.08, mean_nm=mean, sd_nm=sd
    )
    n, logs = len(drawn), np.log(drawn.radius_nm)
    assert n > 1000
    sigma = np.sqrt(np.log(1 + (sd / mean) ** 2))
    assert drawn.radius_nm.mean() == pytest.approx(mean, abs=5 * sd / np.sqrt(n))
    assert logs.std() == pytest.approx(sigma, abs=5 * sigma / np.sqrt(2 * n))
    assert np.bincount(drawn.variant, minlength=4) == pytest.approx(n / 4, abs=5 * np.sqrt(n * 3 / 16))


def test_small_spheres_come_beside_the_others():
    rng = np.random.default_rng(8)
    drawn = draw_particles(rng, (40.0, 40.0, 40.0), volume_fraction=0.0, n_small=25)
    assert len(drawn) == 25
    assert ((drawn.radius_nm >= 0.5) & (drawn.radius_nm <= 1.5)).all()


def test_no_volume_gives_no_particles():
    drawn = draw_particles(np.random.default_rng(1), (20.0, 20.0, 20.0), volume_fraction=0.0)
    assert len(drawn) == 0
    assert drawn.centre_nm.shape == (0, 3)
    assert drawn.volume_nm3.sum() == 0


def test_spheres_without_room_are_left_out():
    drawn = draw_particles(np.random.default_rng(1), (12.0, 12.0, 12.0), volume_fraction=0.9)
    assert 0 < drawn.volume_nm3.sum() < 0.9 * 12**3


def test_small_spheres_that_no_box_can_hold_are_left_out():
    drawn = draw_particles(np.random.default_rng(1), (1.6, 9.0, 9.0), volume_fraction=0.0, n_small=20)
    assert 0 < len(drawn) < 20
    assert (drawn.radius_nm <= 0.8).all()


def test_the_same_seed_draws_the_same_spheres():
    first, again, other = (
        draw_particles(np.random.default_rng(seed), (20.0, 20.0, 20.0), volume_fraction=0.1) for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(first.centre_nm, again.centre_nm)
    np.testing.assert_array_equal(first.radius_nm, again.radius_nm)
    np.testing.assert_array_equal(first.variant, again.variant)
    assert not np.array_equal(first.radius_nm[:3], other.radius_nm[:3])


def test_volumes_are_those_of_spheres():
    spheres = Particles(np.zeros((2, 3)), np.array([1.0, 2.0]), np.zeros(2, dtype=np.int64))
    np.testing.assert_allclose(spheres.volume_nm3, [4.18879, 33.51032], rtol=1e-6)
