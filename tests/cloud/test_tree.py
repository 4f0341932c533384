"""The KD-tree finds exactly what brute force finds, for any cloud, region and leaf size."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial import cKDTree

from aptstream.cloud.tree import PointTree
from aptstream.regions import Box, Sphere

# A coarse lattice makes coincident ions and faces that hit coordinates common; floats cover the rest.
coordinate = st.one_of(st.integers(-3, 3).map(float), st.floats(-5, 5, width=32), st.sampled_from([-1e6, 1e6, 1e-30]))
clouds = hnp.arrays(np.float32, st.tuples(st.integers(0, 150), st.just(3)), elements=coordinate)
corners = st.tuples(coordinate, coordinate, coordinate)
leaf_sizes = st.integers(1, 40)


def naive(position: np.ndarray, region: Box | Sphere) -> np.ndarray:
    points = position.astype(np.float64).reshape(-1, 3)
    if isinstance(region, Box):
        return np.flatnonzero(region.contains(points))
    d = points - region.centre
    square = d[:, 0] * d[:, 0] + d[:, 1] * d[:, 1] + d[:, 2] * d[:, 2]
    return np.flatnonzero(square <= region.radius_nm * region.radius_nm)


def check(tree: PointTree, position: np.ndarray, region: Box | Sphere) -> None:
    expected = naive(position, region)
    found = tree.query(region)
    assert found.dtype == np.intp
    np.testing.assert_array_equal(found, expected)
    assert tree.count(region) == len(expected)


@given(clouds, corners, corners, leaf_sizes)
def test_box_equals_brute_force(position, a, b, leaf_size):
    low, high = np.minimum(a, b), np.maximum(a, b)
    check(PointTree(position, leaf_size), position, Box(tuple(low), tuple(high)))


@given(clouds, corners, st.one_of(st.sampled_from([0.0, 1.0, 3.0, 2e6]), st.floats(0, 10)), leaf_sizes)
def test_sphere_equals_brute_force(position, centre, radius, leaf_size):
    check(PointTree(position, leaf_size), position, Sphere(centre, radius))


@given(clouds.filter(len), st.data(), leaf_sizes)
def test_regions_spanned_by_ions(position, data, leaf_size):
    """Faces pass through ions exactly: low belongs to the box, high does not, the sphere is closed."""
    i, j = (data.draw(st.integers(0, len(position) - 1)) for _ in "ij")
    a, b = position[i].astype(float), position[j].astype(float)
    tree = PointTree(position, leaf_size)
    check(tree, position, Box(tuple(np.minimum(a, b)), tuple(np.maximum(a, b))))
    check(tree, position, Sphere(tuple(a), float(np.linalg.norm(b - a))))
    assert i in tree.query(Sphere(tuple(a), 0.0))


@pytest.mark.parametrize("leaf_size", [1, 32])
def test_equals_scipy_on_a_specimen(leaf_size):
    rng = np.random.default_rng(1)
    position = rng.uniform(-20, 20, (60_000, 3)).astype(np.float32)
    tree, rival = PointTree(position, leaf_size), cKDTree(position)
    for centre in rng.uniform(-22, 22, (40, 3)):
        rows = np.array(rival.query_ball_point(centre, 2.5), dtype=np.intp)
        np.testing.assert_array_equal(tree.query(Sphere(tuple(centre), 2.5)), np.sort(rows))
        rows = np.array(rival.query_ball_point(centre, 2.0, p=np.inf), dtype=np.intp)
        rows = np.sort(rows[(position[rows] < centre + 2).all(axis=1)])
        np.testing.assert_array_equal(tree.query(Box(tuple(centre - 2), tuple(centre + 2))), rows)


def test_empty_cloud():
    for empty in (np.empty((0, 3), "f4"), []):
        tree = PointTree(empty)
        assert len(tree) == 0
        check(tree, np.empty((0, 3)), Box((-1, -1, -1), (1, 1, 1)))
        check(tree, np.empty((0, 3)), Sphere((0, 0, 0), 1e9))


def test_one_ion():
    position = np.array([[1, 2, 3]], "f4")
    tree = PointTree(position)
    assert tree.query(Sphere((1, 2, 3), 0)).tolist() == [0]
    assert tree.query(Box((1, 2, 3), (2, 3, 4))).tolist() == [0]
    assert tree.count(Box((0, 0, 0), (1, 2, 3))) == 0


@pytest.mark.parametrize("kind", ["coincident", "collinear", "descending", "two places", "organ pipe"])
def test_degenerate_clouds_stay_shallow(kind):
    n = 100_000
    position = np.zeros((n, 3), "f4")
    position[:, 2] = {
        "coincident": np.full(n, 7.0),
        "collinear": np.arange(n),
        "descending": np.arange(n)[::-1],
        "two places": np.arange(n) % 2,
        "organ pipe": np.minimum(np.arange(n), np.arange(n)[::-1]),
    }[kind]
    tree = PointTree(position, 1)
    assert tree.count(Sphere((0, 0, 7), 1e9)) == n
    check(tree, position, Sphere((0, 0, 7), 0))
    check(tree, position, Box((-1, -1, 1), (1, 1, 500)))


def test_corners_are_compared_in_float64():
    """A corner between two float32 neighbours must not be rounded onto one of them."""
    x = np.float32(1e6)
    above = np.nextafter(x, np.float32(np.inf), dtype=np.float32)
    position = np.array([[x, 0, 0], [above, 0, 0]], "f4")
    tree = PointTree(position)
    between = float(x) + 1e-6
    assert tree.query(Box((between, 0, 0), (2e6, 1, 1))).tolist() == [1]
    assert tree.query(Box((0, 0, 0), (between, 1, 1))).tolist() == [0]
    assert tree.query(Sphere((between, 0, 0), 2e-6)).tolist() == [0]


def test_threads_share_a_tree():
    rng = np.random.default_rng(2)
    position = rng.uniform(0, 10, (30_000, 3)).astype(np.float32)
    tree = PointTree(position)
    regions = [Sphere(tuple(c), r) for c, r in zip(rng.uniform(0, 10, (200, 3)), rng.uniform(0, 4, 200), strict=True)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(tree.query, regions))
    for rows, region in zip(found, regions, strict=True):
        np.testing.assert_array_equal(rows, naive(position, region))


def test_changing_the_input_changes_nothing():
    position = np.array([[0, 0, 0], [5, 5, 5]], "f4")
    tree = PointTree(position)
    position[:] = 9
    assert tree.query(Box((0, 0, 0), (1, 1, 1))).tolist() == [0]


def test_same_answer_for_any_order_of_ions():
    rng = np.random.default_rng(3)
    position = rng.uniform(0, 8, (5_000, 3)).astype(np.float32)
    shuffled = rng.permutation(len(position))
    region = Sphere((4, 4, 4), 2.5)
    found = PointTree(position[shuffled]).query(region)
    np.testing.assert_array_equal(np.sort(shuffled[found]), PointTree(position).query(region))


@pytest.mark.parametrize(
    ("position", "message"),
    [
        (np.zeros((4, 2), "f4"), r"\(n, 3\).*\(4, 2\)"),
        (np.zeros(3, "f4"), r"\(n, 3\).*\(3,\)"),
        (np.array([[0, 0, 0], [0, np.nan, 0]], "f4"), "1 of 2 .* row 1"),
        (np.array([[0, 0, 1e300]]), "1 of 1 .* row 0"),
    ],
)
def test_bad_positions_are_refused(position, message):
    with pytest.raises(ValueError, match=message):
        PointTree(position)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="at least 1 ion"):
        PointTree(np.zeros((1, 3)), 0)
    with pytest.raises(TypeError, match="Box or a Sphere, found tuple"):
        PointTree(np.zeros((1, 3))).query((0, 1))
