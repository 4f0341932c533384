"""Tilt, bow and stretch: what they do to the planes, and that the truth goes with the ions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptstream.simulate import Alloy, Distortion, Particles, Settings, draw_particles, plan_specimen, simulate_specimen
from aptstream.simulate.distortion import draw_distortion

STILL = {"density_wave": 0.0, "background": 0.0}
slope, curvature, factor = st.floats(-0.3, 0.3), st.floats(-0.05, 0.05), st.floats(0.7, 1.3)
distortions = st.builds(
    Distortion, st.tuples(st.floats(-5, 5), st.floats(-5, 5)), st.tuples(slope, slope), curvature, factor
)
NONE = Particles(np.zeros((0, 3)), np.zeros(0), np.zeros(0, dtype=np.int64))


def points(seed, n=50):
    return np.random.default_rng(seed).uniform(-10, 30, (n, 3))


@given(distortions, st.integers(0, 99))
def test_there_is_a_way_back(distortion, seed):
    where = points(seed)
    np.testing.assert_allclose(distortion.undo(distortion.apply(where)), where, atol=1e-9)


@given(distortions, st.integers(0, 99))
def test_slopes_are_the_derivative(distortion, seed):
    where, step = points(seed), 1e-4
    slopes = distortion.slopes(where)
    for axis in range(3):
        move = step * np.eye(3)[axis]
        moved = (distortion.apply(where + move) - distortion.apply(where - move)) / (2 * step)
        np.testing.assert_allclose(slopes[:, axis], moved, atol=1e-7)


@given(distortions, st.floats(-20, 5), st.floats(0.1, 30), st.floats(-20, 5), st.floats(0.1, 30))
def test_the_lift_over_a_rectangle_is_bounded_tightly(distortion, x, width, y, depth):
    low, high = distortion.lift_range_nm((x, y), (x + width, y + depth))
    grid = np.meshgrid(np.linspace(x, x + width, 80), np.linspace(y, y + depth, 80))
    lift = distortion.lift_nm(*grid)
    tolerance = 1e-9 + 0.5 * abs(distortion.bow) * ((width / 79) ** 2 + (depth / 79) ** 2)
    assert low - 1e-9 <= lift.min() <= low + tolerance
    assert high - tolerance <= lift.max() <= high + 1e-9


def test_distortions_are_drawn_within_their_bounds():
    how = Settings(tilt_deg=2.0, bow_deg=3.0, stretch=0.02)
    drawn = [draw_distortion(np.random.default_rng(seed), how) for seed in range(200)]
    tilt = np.abs([d.tilt for d in drawn])
    rim = np.abs([d.bow * how.size_nm[0] / 2 for d in drawn])
    stretch = np.abs([d.stretch - 1 for d in drawn])
    for found, most in ((tilt, np.tan(np.deg2rad(2))), (rim, np.tan(np.deg2rad(3))), (stretch, 0.02)):
        assert 0.95 * most < found.max() <= most
        assert found.mean() == pytest.approx(most / 2, rel=0.2)


@pytest.mark.parametrize("seed", [1, 2])
def test_planes_fade_as_debye_and_waller_say_under_any_tilt(seed):
    how = Settings(size_nm=(12, 12, 12), sigma_xy_nm=0.2, sigma_z_nm=0.02, tilt_deg=6, bow_deg=0, stretch=0.05, **STILL)
    specimen = simulate_specimen(np.random.default_rng(seed), NONE, how)
    position, bent = specimen.cloud.position.astype(float), specimen.plan.distortion
    spacing = how.crystal.plane_spacing_nm * bent.stretch
    flat = (position[:, 2] - bent.lift_nm(position[:, 0], position[:, 1])) / spacing
    # The tilt brings lateral blur into the depth: σz² + tilt² σxy².
    variance = how.sigma_z_nm**2 + sum(t * t for t in bent.tilt) * how.sigma_xy_nm**2
    expected = np.exp(-2 * np.pi**2 * variance / spacing**2)
    # Cut obliquely by the faces, the outermost of some eighty planes are not whole: 0.003 for what they leave over.
    assert abs(np.exp(2j * np.pi * flat).mean()) == pytest.approx(expected, abs=5 / np.sqrt(len(position)) + 0.003)


def rich_specimen(**changes):
    """A specimen whose particles are all solute and whose matrix is all host: species tell who is in a particle."""
    sharp = {"sigma_xy_nm": 0.0, "sigma_z_nm": 0.0, "efficiency": 1.0, **STILL}
    rng = np.random.default_rng(4)
    particles = draw_particles(rng, (16, 16, 16), volume_fraction=0.1, mean_nm=2.0, sd_nm=0.3)
    share = particles.inside_nm3((16, 16, 16)).sum() / 16**3
    alloy = Alloy("Al", ("Li",), (share + 1e-9,), (1.0,), (13.49, 7.02))
    how = Settings(size_nm=(16, 16, 16), solute=1.0, alloy=alloy, **sharp, **changes)
    return simulate_specimen(rng, particles, how)


def test_the_truth_moves_with_the_ions():
    specimen = rich_specimen(tilt_deg=5, bow_deg=8, stretch=0.05)
    position, solute = specimen.cloud.position.astype(float), specimen.cloud.species == 2
    bent = specimen.plan.distortion
    assert np.abs(bent.apply(position) - position).max() > 0.3

    def wrong(particles, where):
        return ((particles.owner_of(where) >= 0) != solute).sum() / solute.sum()

    assert wrong(specimen.particles, bent.undo(position)) < 1e-3  # ions on the very surface, by rounding
    assert wrong(specimen.ordered_particles, position) < 0.02
    assert wrong(specimen.particles, position) > 0.1


@given(distortions)
def test_moved_bodies_have_the_volume_of_the_stretched_ones(distortion):
    rng = np.random.default_rng(1)
    particles = draw_particles(rng, (14, 14, 14), volume_fraction=0.1)
    moved = particles.moved(distortion)
    np.testing.assert_allclose(moved.volume_nm3, particles.volume_nm3 * distortion.stretch)
    np.testing.assert_allclose(distortion.undo(moved.centre_nm), particles.centre_nm, atol=1e-9)


def test_nothing_moves_without_distortion():
    specimen = rich_specimen(tilt_deg=0, bow_deg=0, stretch=0)
    plan = plan_specimen(np.random.default_rng(1), specimen.particles, specimen.settings)
    np.testing.assert_array_equal(plan.ordered_particles.centre_nm, specimen.particles.centre_nm)
    np.testing.assert_array_equal(plan.ordered_particles.axes_nm, specimen.particles.axes_nm)
