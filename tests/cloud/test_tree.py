"""The tree finds exactly what brute force finds, for any cloud, region, order of ions and kind of processor."""

import math
import pickle
from concurrent.futures import ThreadPoolExecutor

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial import cKDTree

from aptstream.cloud import tree as module
from aptstream.cloud.tree import INSTRUCTIONS, PointTree
from aptstream.points import PointCloud
from aptstream.regions import Box, Cylinder, OrientedBox, Sphere

# A coarse lattice makes coincident ions and faces that hit coordinates common; floats cover the rest.
coordinate = st.one_of(st.integers(-3, 3).map(float), st.floats(-5, 5, width=32), st.sampled_from([-1e6, 1e6, 1e-30]))
clouds = hnp.arrays(np.float32, st.tuples(st.integers(0, 150), st.just(3)), elements=coordinate)
corners = st.tuples(coordinate, coordinate, coordinate)
radii = st.one_of(st.sampled_from([0.0, 1.0, 3.0, 2e6]), st.floats(0, 10))
sizes = st.tuples(radii, radii, radii)


@st.composite
def rotations(draw):
    """Right- and left-handed frames, along the coordinate axes or any way."""
    if draw(st.booleans()):
        return np.eye(3)[list(draw(st.permutations(range(3))))] * draw(st.sampled_from([1, -1]))
    axes, _ = np.linalg.qr(np.random.default_rng(draw(st.integers(0, 999))).normal(size=(3, 3)))
    return axes


@st.composite
def regions(draw):
    kind = draw(st.sampled_from(["box", "sphere", "cylinder", "oriented"]))
    a, b = draw(corners), draw(corners)
    if kind == "box":
        return Box(tuple(np.minimum(a, b)), tuple(np.maximum(a, b)))
    if kind == "sphere":
        return Sphere(a, draw(radii))
    if kind == "cylinder" and math.dist(a, b):
        return Cylinder(a, b, draw(radii))
    return OrientedBox(a, draw(rotations()), draw(sizes))


def cloud_of(position):
    n = len(position)
    return PointCloud(np.asarray(position, "f4"), np.ones(n, "f4"), np.ones(n, "u1"), ("unranged", "Al"))


def trees(position):
    """Trees of both orders, for each kind of instructions that this machine has."""
    found = []
    for how in INSTRUCTIONS:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "INSTRUCTIONS", INSTRUCTIONS[: INSTRUCTIONS.index(how) + 1])
            found += [PointTree(position), PointTree.of(cloud_of(position))]
    return found


def check_all(position, *wanted):
    for tree in trees(position):
        check(tree, position, *wanted)


def check(tree, position, *wanted):
    """Queries of a tree against the definition of the regions, and the definition of a ball against its own formula."""
    many = tree.query_many(wanted)
    for region, among in zip(wanted, many, strict=True):
        expected = np.flatnonzero(region.contains(np.asarray(position, "f8").reshape(-1, 3)))
        found = tree.query(region)
        assert found.dtype == among.dtype == np.intp
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(among, expected)
        assert tree.count(region) == len(expected)


def big_cloud(seed, n=20_000, edge=12.0):
    """Enough ions for a tree of three levels, a third of them on a lattice."""
    position = np.random.default_rng(seed).uniform(0, edge, (n, 3)).astype("f4")
    position[::3] = np.round(position[::3])
    return position


@given(clouds, st.lists(regions(), max_size=4))
def test_any_region_equals_brute_force(position, wanted):
    check_all(position, *wanted)


@given(clouds.filter(len), st.data())
def test_regions_spanned_by_ions(position, data):
    """Faces pass through ions exactly: low belongs to the box, high does not, what is round is closed."""
    i, j = (data.draw(st.integers(0, len(position) - 1)) for _ in "ij")
    a, b = position[i].astype(float), position[j].astype(float)
    wanted = [Box(tuple(np.minimum(a, b)), tuple(np.maximum(a, b))), Sphere(tuple(a), float(np.linalg.norm(b - a)))]
    if (a != b).any():
        wanted += [Cylinder(tuple(a), tuple(b), 0.0), Cylinder(tuple(a), tuple(b), float(abs(b - a).max()))]
    check_all(position, *wanted)
    assert i in PointTree(position).query(Sphere(tuple(a), 0.0))


@pytest.mark.parametrize("n", [1, 15, 16, 17, 255, 256, 257, 4_095, 4_096, 4_097, 20_000])
def test_trees_of_several_levels(n):
    """Sizes round the ends of blocks and groups; regions from a few ions to all of them."""
    position = big_cloud(n, n)
    rng = np.random.default_rng(n)
    axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    wanted = [Sphere((6, 6, 6), 30), Box((0, 0, 0), (12, 12, 12)), Box((3, 3, 3), (3, 9, 9)), Sphere((90, 0, 0), 1)]
    for a, b, r in zip(rng.uniform(-1, 13, (6, 3)), rng.uniform(-1, 13, (6, 3)), rng.uniform(0, 6, 6), strict=True):
        wanted += [Sphere(tuple(a), r), Box(tuple(np.minimum(a, b)), tuple(np.maximum(a, b)))]
        wanted += [Cylinder(tuple(a), tuple(b), r / 2), OrientedBox(tuple(a), axes, tuple(abs(b)))]
    check_all(position, *wanted)


def test_equals_scipy_on_a_specimen():
    rng = np.random.default_rng(1)
    position = rng.uniform(-20, 20, (60_000, 3)).astype(np.float32)
    tree, rival = PointTree(position), cKDTree(position)
    for centre in rng.uniform(-22, 22, (40, 3)):
        rows = np.array(rival.query_ball_point(centre, 2.5), dtype=np.intp)
        np.testing.assert_array_equal(tree.query(Sphere(tuple(centre), 2.5)), np.sort(rows))
        rows = np.array(rival.query_ball_point(centre, 2.0, p=np.inf), dtype=np.intp)
        rows = np.sort(rows[(position[rows] < centre + 2).all(axis=1)])
        np.testing.assert_array_equal(tree.query(Box(tuple(centre - 2), tuple(centre + 2))), rows)
    distance, rows = tree.nearest_to_ions(11)
    expected, same = rival.query(position.astype("f8"), k=11)
    np.testing.assert_array_equal(distance, expected)
    np.testing.assert_array_equal(rows, same)
    radii = [0.0, 0.5, 1.0, 3.0]
    ordered = rival.count_neighbors(rival, radii)
    np.testing.assert_array_equal(2 * tree.pair_counts(radii) + len(position), ordered)


def check_nearest(position, points, k, some=slice(None)):
    """Nearest ions of points, and of some of the ions themselves."""
    expected = naive.nearest(position, points, k)
    own = naive.nearest(position, position[some].astype("f8"), k)
    for tree in trees(position):
        found = tree.nearest(points, k)
        assert (found[0].dtype, found[1].dtype, found[0].shape) == (np.float64, np.intp, (len(points), k))
        every = tree.nearest_to_ions(k)
        for a, b, c, d in zip(found, expected, every, own, strict=True):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_array_equal(c[some], d)


@given(clouds, st.lists(corners, max_size=5), st.one_of(st.integers(1, 40), st.sampled_from([128, 129, 170])))
def test_nearest_ions_equal_brute_force(position, points, k):
    """Ties, which the lattice makes common, go to the smallest rows."""
    check_nearest(position, np.array(points, "f8").reshape(-1, 3), k, slice(None, 20))


@pytest.mark.parametrize(("k", "n"), [(1, 9_000), (11, 5_000), (100, 2_000), (130, 1_000)])
def test_nearest_ions_in_trees_of_several_levels(k, n):
    position = big_cloud(k, n)
    some = np.random.default_rng(k).choice(n, 60, replace=False)
    check_nearest(position, position[some] + 0.125, k, some)
    tree = PointTree(position)
    for a, b in zip(tree.nearest(position, k), tree.nearest_to_ions(k), strict=True):
        np.testing.assert_array_equal(a, b)


@given(clouds, st.lists(radii, max_size=6))
def test_pairs_equal_brute_force(position, wanted):
    expected = naive.pair_counts(position, wanted)
    for tree in trees(position):
        found = tree.pair_counts(wanted)
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("seed", [1, 2])
def test_pairs_in_a_tree_of_several_levels(seed):
    position = big_cloud(seed, 6_000)
    wanted = [5.0, 0.0, 1.0, 1.0, 2.0, 40.0, math.sqrt(2), np.inf]
    rival = cKDTree(position)
    expected = (rival.count_neighbors(rival, np.minimum(wanted, 1e3)) - len(position)) // 2
    for tree in trees(position):
        np.testing.assert_array_equal(tree.pair_counts(wanted), expected)


def test_empty_cloud():
    for empty in (np.empty((0, 3), "f4"), []):
        tree = PointTree(empty)
        assert len(tree) == 0
        check(tree, np.empty((0, 3)), Box((-1, -1, -1), (1, 1, 1)), Sphere((0, 0, 0), 1e9))
        assert tree.query_many([]) == []
        assert tree.pair_counts([1.0, 2.0]).tolist() == [0, 0]
        assert tree.pair_counts([]).tolist() == []
        assert tree.nearest_to_ions(3)[0].shape == (0, 3)
        distance, rows = tree.nearest([[0, 0, 0]], 2)
        assert (distance.tolist(), rows.tolist()) == ([[np.inf, np.inf]], [[0, 0]])
        assert tree.nearest(np.empty((0, 3)), 2)[0].shape == (0, 2)


def test_one_ion():
    position = np.array([[1, 2, 3]], "f4")
    tree = PointTree(position)
    assert tree.query(Sphere((1, 2, 3), 0)).tolist() == [0]
    assert tree.query(Box((1, 2, 3), (2, 3, 4))).tolist() == [0]
    assert tree.count(Box((0, 0, 0), (1, 2, 3))) == 0
    assert tree.nearest_to_ions(2)[1].tolist() == [[0, 1]]
    assert tree.pair_counts([9.0]).tolist() == [0]


@pytest.mark.parametrize("kind", ["coincident", "collinear", "descending", "two places", "organ pipe"])
def test_degenerate_clouds(kind):
    n = 5_000
    position = np.zeros((n, 3), "f4")
    position[:, 2] = {
        "coincident": np.full(n, 7.0),
        "collinear": np.arange(n),
        "descending": np.arange(n)[::-1],
        "two places": np.arange(n) % 2,
        "organ pipe": np.minimum(np.arange(n), np.arange(n)[::-1]),
    }[kind]
    tree = PointTree(position)
    assert tree.count(Sphere((0, 0, 7), 1e9)) == n
    check(tree, position, Sphere((0, 0, 7), 0), Box((-1, -1, 1), (1, 1, 500)), Cylinder((0, 0, 1), (0, 0, 9), 0))
    check_nearest(position, position[:: n // 5].astype("f8"), 11, slice(None, None, n // 5))
    expected, _ = cKDTree(position[:, 2:]).query(position[:, 2:].astype("f8"), k=5)
    np.testing.assert_array_equal(tree.nearest_to_ions(5)[0], expected)
    assert tree.pair_counts([1e9]).tolist() == [n * (n - 1) // 2]
    values, ions = np.unique(position[:, 2], return_counts=True)
    steps = np.flatnonzero(np.diff(values) == 1)
    same = int((ions * (ions - 1) // 2).sum())
    assert tree.pair_counts([0.0, 1.0]).tolist() == [same, same + int((ions[steps] * ions[steps + 1]).sum())]


def test_more_rows_than_there_is_room_for_at_first():
    position = big_cloud(4)
    tree = PointTree(position)
    whole, part = Sphere((6, 6, 6), 40), Sphere((6, 6, 6), 5.9)
    check(tree, position, whole, whole, part, whole, Box((0, 0, 0), (1, 1, 1)), whole, part)


@given(st.sampled_from([1e6, 1e10, 1e30, 3e38]), st.integers(0, 99))
def test_huge_coordinates(scale, seed):
    rng = np.random.default_rng(seed)
    position = (rng.integers(-3, 4, (400, 3)) * scale / 4 + rng.integers(-3, 4, (400, 3))).astype("f4")
    tree = PointTree(position)
    a, b = position[:2].astype(float)
    box = Box(tuple(np.minimum(a, b)), tuple(np.maximum(a, b)))
    axes, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    check(tree, position, box, Sphere(tuple(a), scale / 4), OrientedBox(tuple(a), axes, (scale, scale, scale / 3)))
    check(tree, position, Sphere((1e99, 0, 0), 1e100), Box((-1e300,) * 3, (1e300,) * 3))
    if (a != b).any():
        check(tree, position, Cylinder(tuple(a), tuple(b), scale / 5))
    check_nearest(position, position[:9].astype("f8"), 20, slice(9))
    np.testing.assert_array_equal(
        tree.pair_counts([0, scale / 4, scale]), naive.pair_counts(position, [0, scale / 4, scale])
    )


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
        np.testing.assert_array_equal(rows, np.flatnonzero(region.contains(position)))


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
    tree = PointTree(np.zeros((1, 3)))
    for ask in (tree.query, tree.count, lambda region: tree.query_many([region])):
        with pytest.raises(TypeError, match="a Cylinder or an OrientedBox, found tuple"):
            ask((0, 1))
    for k in (0, -1):
        with pytest.raises(ValueError, match=f"found k = {k}"):
            tree.nearest([[0, 0, 0]], k)
        with pytest.raises(ValueError, match=f"found k = {k}"):
            tree.nearest_to_ions(k)
    for points in ([0, 0, 0], [[0, 0]], [[0, 0, np.nan]], [[np.inf, 0, 0]]):
        with pytest.raises(ValueError, match=r"finite points of shape \(m, 3\)"):
            tree.nearest(points, 1)
    for wanted in ([-1.0], [np.nan], 1.0, [[1.0]]):
        with pytest.raises(ValueError, match="at least 0 nm"):
            tree.pair_counts(wanted)


def test_it_travels():
    position = big_cloud(5)
    again = pickle.loads(pickle.dumps(PointTree(position)))
    check(again, position, Sphere((6, 6, 6), 2))
    assert repr(again) == "<PointTree of 20000 ions>"


@pytest.mark.parametrize("axis", range(3))
def test_the_upper_faces_of_an_oriented_box_are_open(axis):
    position = np.zeros((3, 3))
    position[:, axis] = (-1, 0, 1)
    for frame in (np.eye(3), np.eye(3)[[1, 2, 0]]):
        region = OrientedBox((0, 0, 0), frame, (2, 2, 2))
        for tree in (PointTree(position), PointTree(np.tile(position, (20, 1)))):
            assert set(tree.query(region) % 3) == {0, 1}
            assert tree.count(region) == 2 * len(tree) // 3


def test_pairs_just_beyond_a_radius_do_not_count():
    near = np.zeros((40, 3))
    far = near + np.array([1.001, 0, 0])
    tree = PointTree(np.concatenate([near, far]))
    within = 2 * (40 * 39 // 2)
    np.testing.assert_array_equal(tree.pair_counts([1.0, 1.002]), [within, within + 40 * 40])
