"""Regions: what lies inside by their definition, within their bounds, and in no box that they do not touch."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aptstream.regions import Box, Cylinder, OrientedBox, Sphere

number = st.one_of(st.integers(-3, 3).map(float), st.floats(-9, 9))
corner = st.tuples(number, number, number)
length = st.one_of(st.integers(0, 4).map(float), st.floats(0, 6))
seeds = st.integers(0, 10_000)


def frame(seed):
    """A frame that turns nothing, or any one, right- or left-handed."""
    if seed % 4 == 0:
        return np.eye(3)
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0] * (-1) ** seed


@st.composite
def regions(draw):
    a, b, r = draw(corner), draw(corner), draw(length)
    kind = draw(st.sampled_from(["box", "sphere", "cylinder", "oriented"]))
    if kind == "box":
        return Box(tuple(np.minimum(a, b)), tuple(np.maximum(a, b)))
    if kind == "cylinder" and math.dist(a, b):
        return Cylinder(a, b, r)
    if kind == "oriented":
        return OrientedBox(a, frame(draw(seeds)), draw(st.tuples(length, length, length)))
    return Sphere(a, r)


def points_near(region, seed):
    """Points in and round the bounds of a region, some of them on a lattice."""
    low, high = np.array(region.bounds.low), np.array(region.bounds.high)
    points = np.random.default_rng(seed).uniform(low - 0.5, high + 0.5, (200, 3))
    points[::2] = np.round(points[::2])
    return points


@given(regions(), seeds)
def test_bounds_hold_what_is_inside_and_boxes_round_it_are_touched(region, seed):
    points = points_near(region, seed)
    inside = points[region.contains(points)]
    low, high = np.array(region.bounds.low), np.array(region.bounds.high)
    assert (inside >= low - 1e-9).all()
    assert (inside <= high + 1e-9).all()
    rng = np.random.default_rng(seed)
    below, above = (inside - rng.choice([0, 1e-3, 1, 9], inside.shape) for _ in "ab")
    assert region.touches(below, 2 * inside - above).all()
    assert region.contains(points.tolist()).dtype == bool
    assert region.contains(np.empty((0, 3))).shape == (0,)


@given(regions(), seeds)
def test_small_boxes_far_from_everything_inside_are_not_touched(region, seed):
    """Were a box touched without need, it would be read for nothing: 0.1 nm away is far enough for all but rims."""
    points = points_near(region, seed)
    rng = np.random.default_rng(seed)
    match region:
        case Cylinder():
            axis = np.array(region.axis)
            along = (points - region.start) @ axis
            foot = np.clip(along, 0, region.length_nm)[:, None] * axis + region.start
            away = np.linalg.norm(points - foot, axis=1) - region.radius_nm
        case OrientedBox():
            local = (points - region.centre) @ np.array(region.axes).T
            away = np.linalg.norm(np.maximum(np.abs(local) - np.array(region.size_nm) / 2, 0), axis=1)
        case Sphere():
            away = np.linalg.norm(points - region.centre, axis=1) - region.radius_nm
        case Box():
            away = np.linalg.norm(np.maximum(region.low - points, 0) + np.maximum(points - region.high, 0), axis=1)
    far = points[away > 0.1]
    half = rng.uniform(0, 0.05, far.shape)
    assert not region.touches(far - half, far + half).any()


@given(corner, corner, length, st.lists(corner, min_size=1, max_size=9))
def test_a_cylinder_by_exact_fractions(start, end, radius, points):
    assume(math.dist(start, end) > 1e-3)
    rod = Cylinder(start, end, radius)
    s, e = (np.array([Fraction(v) for v in p]) for p in (start, end))
    for point, inside in zip(points, rod.contains(points), strict=True):
        d, a = np.array([Fraction(v) for v in point]) - s, e - s
        along = (d * a).sum() / (a * a).sum()
        across = (d * d).sum() - along**2 * (a * a).sum()
        near = min(abs(along), abs(along - 1), abs(across - Fraction(radius) ** 2))
        if near > 1e-9:
            assert inside == (0 <= along <= 1 and across <= Fraction(radius) ** 2)


def test_a_cylinder_is_closed():
    rod = Cylinder((0, 0, 1), (0, 0, 5), 2)
    assert (rod.length_nm, rod.axis) == (4.0, (0.0, 0.0, 1.0))
    assert rod.bounds == Box((-2, -2, 1), (2, 2, 5))
    assert rod.contains([[2, 0, 1], [0, -2, 5], [0, 0, 3]]).all()
    assert not rod.contains([[2, 0, 0.999], [0, -2.001, 5], [0, 0, 5.001], [1.5, 1.5, 3]]).any()


@given(corner, st.tuples(length, length, length), seeds, st.permutations(range(3)))
def test_an_oriented_box_along_the_axes_is_a_box(centre, size, seed, order):
    plain = OrientedBox(centre, np.eye(3), size)
    turned = OrientedBox(centre, np.eye(3)[list(order)], tuple(np.array(size)[list(order)]))
    low, high = np.array(centre) - np.array(size) / 2, np.array(centre) + np.array(size) / 2
    points = points_near(plain, seed)
    clear = (np.minimum(abs(points - low), abs(points - high)) > 1e-9).all(axis=1)
    expected = Box(tuple(low), tuple(high)).contains(points)
    np.testing.assert_array_equal(plain.contains(points)[clear], expected[clear])
    np.testing.assert_array_equal(turned.contains(points), plain.contains(points))


@given(corner, st.tuples(length, length, length), seeds)
def test_turning_a_box_and_the_points_with_it_changes_nothing(centre, size, seed):
    axes = frame(seed)
    points = points_near(OrientedBox(centre, np.eye(3), size), seed)
    local = points - centre
    clear = (abs(abs(local) - np.array(size) / 2) > 1e-9).all(axis=1)
    expected = OrientedBox(centre, np.eye(3), size).contains(points)
    found = OrientedBox(centre, axes, size).contains(local @ axes + centre)
    np.testing.assert_array_equal(found[clear], expected[clear])


def test_an_oriented_box_is_half_open_along_its_own_axes():
    tilted = OrientedBox((0, 0, 0), ((0, 0, -1), (0, 1, 0), (1, 0, 0)), (2, 4, 6))
    assert tilted.contains([[-3, -2, 1], [2.9, 1.9, -0.9]]).all()
    assert not tilted.contains([[3, 0, 0], [0, 2, 0], [0, 0, -1]]).any()
    assert hash(tilted) == hash(OrientedBox((0, 0, 0), [[0, 0, -1], [0, 1, 0], [1, 0, 0]], (2, 4, 6)))


def test_regions_of_no_size():
    assert Sphere((1, 2, 3), 0).contains([[1, 2, 3]]).all()
    assert Cylinder((0, 0, 0), (0, 0, 1), 0).contains([[0, 0, 0.5]]).all()
    assert not Box((1, 1, 1), (1, 2, 2)).contains([[1, 1, 1]]).any()
    assert not OrientedBox((0, 0, 0), np.eye(3), (0, 1, 1)).contains([[0, 0, 0]]).any()


BAD = [
    (lambda: Box((0, 0), (1, 1)), "two finite corners"),
    (lambda: Box((0, 0, 0), (1, 1, math.inf)), "two finite corners"),
    (lambda: Box((0, 2, 0), (1, 1, 1)), "low <= high"),
    (lambda: Sphere((0, 0, math.nan), 1), "centre within 1e100 nm"),
    (lambda: Sphere((0, 0, 0), -1), "radius of at least 0 nm"),
    (lambda: Sphere((0, 0, 1e101), 1), "within 1e100 nm"),
    (lambda: Cylinder((0, 0, 0), (0, 0, 0), 1), "two different points"),
    (lambda: Cylinder((0, 0, 0), (0, 0, 1), -1), "radius of at least 0 nm"),
    (lambda: Cylinder((0, 0, 0), (0, 0, 1), math.nan), "found start"),
    (lambda: Cylinder((0, 0, 0), (0, 0, 1e200), 1), "within 1e100 nm"),
    (lambda: OrientedBox((0, 0, 0), np.eye(3) * 2, (1, 1, 1)), "three unit vectors at right angles"),
    (lambda: OrientedBox((0, 0, 0), np.ones((3, 3)), (1, 1, 1)), "three unit vectors at right angles"),
    (lambda: OrientedBox((0, 0, 0), np.eye(3) * math.nan, (1, 1, 1)), "three unit vectors at right angles"),
    (lambda: OrientedBox((0, 0, 0), np.eye(2), (1, 1, 1)), "three unit vectors at right angles"),
    (lambda: OrientedBox((0, 0, 0), np.eye(3), (1, -1, 1)), "edges of at least 0 nm"),
    (lambda: OrientedBox((0, 0, math.inf), np.eye(3), (1, 1, 1)), "within 1e100 nm"),
]


@pytest.mark.parametrize(("make", "message"), BAD)
def test_impossible_regions_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
