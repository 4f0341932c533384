"""Ellipsoids, plates and several populations: volumes, what lies inside, and distances between them."""

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from aptstream.errors import PlanError
from aptstream.simulate import Particles, Population, place_particles
from aptstream.simulate.particles import equivalent_radius

BOX = (20.0, 18.0, 22.0)
SHAPES = [("ellipsoid", (1, 1, 1)), ("ellipsoid", (1, 2, 3)), ("ellipsoid", (1, 1, 0.3)), ("plate", (1, 1, 0.2))]


def inside_one_by_one(particles, points):
    """Whether each point lies in each particle, (points, particles)."""
    found = []
    for k in range(len(particles)):
        unit = (points - particles.centre_nm[k]) @ np.linalg.inv(particles.axes_nm[k])
        in_disc = (np.hypot(unit[:, 0], unit[:, 1]) < 1) & (np.abs(unit[:, 2]) < 1)
        found.append(in_disc if particles.plate[k] else (unit**2).sum(axis=1) < 1)
    return np.array(found).reshape(len(particles), len(points)).T


def place(seed, *populations, gap=0.8):
    return place_particles(np.random.default_rng(seed), BOX, populations, n_variants=4, gap_nm=gap)


@examples(30)
@given(st.integers(0, 2**32 - 1), st.sampled_from(SHAPES), st.floats(-1.5, 0.8))
def test_an_ion_belongs_to_the_first_particle_around_it(seed, body, gap):
    particles = place(seed, Population(0.15, 2.0, 0.5, 4, *body), gap=gap)
    points = np.random.default_rng(seed).uniform(-1, 23, (4000, 3))
    inside = inside_one_by_one(particles, points)
    expected = np.where(inside.any(axis=1), inside.argmax(axis=1), -1)
    np.testing.assert_array_equal(particles.owner_of(points), expected)


def test_no_ions_and_no_particles_have_no_owner():
    particles = place(1, Population(0.1))
    assert particles.owner_of(np.zeros((0, 3))).shape == (0,)
    assert particles[:0].owner_of(np.ones((3, 3))).tolist() == [-1, -1, -1]


@pytest.mark.parametrize("body", SHAPES)
def test_radius_is_that_of_a_sphere_of_the_same_volume(body):
    particles = place(2, Population(0.05, 2.0, 0.4, 0, *body))
    a, b, c = np.linalg.norm(particles.axes_nm, axis=2).T
    volume = (2 * np.pi if body[0] == "plate" else 4 / 3 * np.pi) * a * b * c
    np.testing.assert_allclose(particles.volume_nm3, volume, rtol=1e-9)
    points = particles.centre_nm[0] + np.random.default_rng(0).uniform(-8, 8, (200_000, 3))
    share = inside_one_by_one(particles[:1], points).mean()
    assert share * 16**3 == pytest.approx(volume[0], abs=5 * 16**3 * np.sqrt(share / 200_000))


@examples(15)
@given(st.integers(0, 2**32 - 1), st.sampled_from(SHAPES), st.sampled_from(SHAPES))
def test_bodies_keep_their_distance(seed, body, other):
    particles = place(seed, Population(0.06, 2.0, 0.4, 0, *body), Population(0.06, 1.6, 0.3, 2, *other))
    turn = np.random.default_rng(0).standard_normal((300, 3))
    turn /= np.linalg.norm(turn, axis=1)[:, None]
    for k in range(len(particles)):
        points = turn @ particles.axes_nm[k]
        points += 0.4 * points / np.linalg.norm(points, axis=1)[:, None] + particles.centre_nm[k]
        inside = inside_one_by_one(particles, points)
        assert not np.delete(inside, k, axis=1).any()


def test_a_negative_gap_lets_particles_overlap():
    crowded = place(3, Population(0.25, 2.5, 0.3), gap=-2.0)
    apart = np.linalg.norm(crowded.centre_nm[:, None] - crowded.centre_nm, axis=2)
    touching = crowded.radius_nm[:, None] + crowded.radius_nm
    np.fill_diagonal(apart, np.inf)
    assert (apart < touching).any()
    assert (apart > touching - 2.0).all()


def test_populations_bring_their_own_order_and_volume():
    strong, weak = Population(0.06, 2.0, 0.3, order=1.0), Population(0.04, 1.5, 0.3, order=0.4)
    particles = place(4, strong, weak)
    for population in (strong, weak):
        of_it = particles[particles.order == population.order]
        wanted = population.volume_fraction * np.prod(BOX)
        assert wanted <= of_it.volume_nm3.sum() < wanted + of_it.volume_nm3.max()


def test_variants_are_drawn_evenly_from_all_of_them():
    rng = np.random.default_rng(1)
    particles = place_particles(rng, (60, 60, 60), [Population(0.1, 1.5, 0.2)], n_variants=12)
    n = len(particles)
    assert np.bincount(particles.variant, minlength=12) == pytest.approx(n / 12, abs=5 * np.sqrt(n / 12))


def test_directions_of_bodies_are_even():
    needles = place_particles(
        np.random.default_rng(1), (70, 70, 70), [Population(0.06, 1.5, 0.2, 0, "ellipsoid", (1, 1, 3))], n_variants=1
    )
    axis = needles.axes_nm[:, 2] / np.linalg.norm(needles.axes_nm[:, 2], axis=1)[:, None]
    # Components of an even direction have a mean square of 1/3 with a variance of 4/45.
    assert (axis**2).mean(axis=0) == pytest.approx(1 / 3, abs=5 * np.sqrt(4 / 45 / len(needles)))


@pytest.mark.parametrize(
    ("centre", "share"), [((5, 5, 5), 1), ((0, 5, 5), 1 / 2), ((0, 10, 5), 1 / 4), ((0, 0, 10), 1 / 8), ((-3, 5, 5), 0)]
)
def test_volume_inside_the_box_is_cut_by_its_faces(centre, share):
    sphere = Particles(np.array([centre], dtype=float), np.array([2.0]), np.array([0]))
    assert sphere.inside_nm3((10, 10, 10))[0] == pytest.approx(share * sphere.volume_nm3[0], rel=1e-9)


def test_volume_in_two_particles_counts_once():
    twins = Particles(np.full((2, 3), 5.0), np.array([2.0, 2.0]), np.array([0, 1]))
    np.testing.assert_allclose(twins.inside_nm3((10, 10, 10)), twins.volume_nm3 * [1, 0])
    apart = Particles(np.array([[3.0, 5, 5], [6, 5, 5]]), np.array([2.0, 2.0]), np.array([0, 1]))
    lens = np.pi * (4 * 2 + 3) * (2 * 2 - 3) ** 2 / 12  # of two spheres of 2 nm, 3 nm apart
    assert apart.inside_nm3((10, 10, 10)).sum() == pytest.approx(2 * apart.volume_nm3[0] - lens, rel=5e-3)


@pytest.mark.parametrize(
    "change",
    [
        {"axes_nm": np.diag([1.0, 1, 1])[None]},
        {"axes_nm": np.zeros((2, 3, 3))},
        {"order": np.array([1.5])},
        {"order": np.array([np.nan])},
        {"plate": np.array([True])},
        {"variant": np.zeros(2, dtype=int)},
        {"centre_nm": np.zeros(3)},
    ],
)
def test_particles_whose_arrays_do_not_belong_together_are_refused(change):
    fields = {"centre_nm": np.zeros((1, 3)), "radius_nm": np.array([2.0]), "variant": np.array([0])}
    with pytest.raises(PlanError, match="found"):
        Particles(**{**fields, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"volume_fraction": -0.1},
        {"volume_fraction": np.nan},
        {"mean_nm": 0.0},
        {"sd_nm": -1.0},
        {"n_small": -1},
        {"order": 1.1},
        {"axes": (1, 1, 0)},
        {"shape": "plate", "axes": (1, 2, 0.2)},
    ],
)
def test_impossible_populations_are_refused(change):
    with pytest.raises(PlanError, match="found"):
        Population(**{"volume_fraction": 0.1, **change})


def test_rows_of_particles_keep_all_their_columns():
    particles = place(5, Population(0.05, 2.0, 0.3, 0, "plate", (1, 1, 0.3), 0.7))
    one = particles[np.array([1])]
    assert (len(one), one.order.tolist(), one.plate.tolist()) == (1, [0.7], [True])
    np.testing.assert_array_equal(one.axes_nm[0], particles.axes_nm[1])
    np.testing.assert_allclose(equivalent_radius(one.axes_nm, one.plate), one.radius_nm)
