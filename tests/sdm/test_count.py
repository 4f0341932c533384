"""The SDM counters against a ten-line loop, integer for integer, and against the laws of an SDM."""

import threading

import hypothesis.strategies as st
import naive
import numpy as np
import pytest
from hypothesis import given, settings

from aptstream.errors import PlanError
from aptstream.points import PointCloud, Roles
from aptstream.sdm.count import Cubes, SdmScan, count_sdm
from aptstream.sdm.window import SdmWindow, full_image

ROLES = Roles(("Al",), ("Li", "Mg"))
NAMES = ("unranged", "Al", "Li", "H")
ROLE_OF = np.array([2, 0, 1, 2])
NAMES_ALL = (*NAMES, "Mg")


def cloud_of(position, species):
    n = len(position)
    return PointCloud(np.asarray(position, "f4").reshape(n, 3), np.ones(n, "f4"), np.asarray(species, "u1"), NAMES_ALL)


@st.composite
def windows(draw):
    kind = draw(st.sampled_from(["rhoz", "z", "zx"]))
    columns = {"rhoz": st.integers(1, 12), "z": st.just(1), "zx": st.integers(1, 30)}[kind]
    return SdmWindow(
        kind,
        draw(st.sampled_from([0.3, 0.7, 1.0, 1.5, 2.1])),
        draw(st.integers(1, 40)),
        draw(st.sampled_from([0.4, 1.0, 1.5, 3.0])),
        draw(columns),
    )


@st.composite
def clouds(draw, size):
    """Random, planar, tied, coincident or empty; negative coordinates; all roles."""
    n = draw(st.integers(0, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    position = rng.random((n, 3)) * size
    how = draw(st.sampled_from(["random", "planes", "grid", "coincident"]))
    if how == "planes":
        position[:, 2] = np.round(position[:, 2] / 0.2) * 0.2
    if how == "grid":
        position = np.round(position * 4) / 4
    if how == "coincident" and n:
        position[:] = position[rng.integers(0, max(n // 8, 1), n)]
    return cloud_of(np.minimum(position, np.array(size) - 1e-3), rng.integers(0, 4, n))


@settings(max_examples=60, deadline=None)
@given(clouds((3.0, 2.5, 4.0)), windows(), st.sampled_from([(0, 0, 0), (-7.0, 3.0, -75.0)]))
def test_a_free_region_equals_the_naive_loop(cloud, window, origin):
    moved = PointCloud(
        cloud.position + np.array(origin, "f4"), cloud.mass_to_charge, cloud.species, cloud.species_names
    )
    counts = count_sdm(moved, ROLES, window, origin_nm=origin)
    np.testing.assert_array_equal(counts, naive.sdm(moved.position, ROLE_OF[moved.species], window, origin))


@settings(max_examples=60, deadline=None)
@given(st.data(), windows(), st.integers(1, 4), st.sampled_from([1.0, 0.5, 0.8]))
def test_every_cube_of_a_scan_equals_the_naive_loop(data, window, edge, stride):
    shape = tuple(data.draw(st.integers(edge, edge + 3)) for _ in range(3))
    origin = data.draw(st.sampled_from([(0.0, 0.0, 0.0), (-12.0, 5.0, -80.0)]))
    cloud = data.draw(clouds(tuple(n * stride for n in shape)))
    moved = PointCloud(
        cloud.position + np.array(origin, "f4"), cloud.mass_to_charge, cloud.species, cloud.species_names
    )
    scan = SdmScan(moved, ROLES, window, Cubes(origin, (0, 0, 0), shape, edge, stride))
    counts = np.zeros((*scan.cubes.n_cubes, 3, *window.shape), dtype=np.uint32)
    for batch in scan:
        counts[batch.place] += batch.counts
    role = ROLE_OF[moved.species]
    np.testing.assert_array_equal(counts, naive.cubes_of(moved.position, role, window, origin, shape, edge, stride))


def dense_cloud(seed=1, n=9000, size=9.0):
    rng = np.random.default_rng(seed)
    return cloud_of(rng.random((n, 3)) * size, rng.integers(0, 4, n))


def scan_all(cloud, window, shape=(9, 9, 9), low=(0, 0, 0), edge=4):
    scan = SdmScan(cloud, ROLES, window, Cubes((0, 0, 0), low, shape, edge))
    out = np.zeros((*scan.cubes.n_cubes, 3, *window.shape), dtype=np.uint32)
    for batch in scan:
        out[batch.place] = batch.counts
    return out, scan


WINDOWS = [
    SdmWindow("rhoz", 1.5, 75, 2.0, 10),
    SdmWindow("z", 1.5, 75, 3.0, 1),
    SdmWindow("zx", 0.7, 75, 0.7, 150),
]


@pytest.mark.parametrize("window", WINDOWS, ids=lambda w: w.kind)
def test_a_scan_equals_free_regions_at_real_density(window):
    cloud = dense_cloud()
    counts, scan = scan_all(cloud, window)
    for cube in [(0, 0, 0), (3, 2, 5), (5, 5, 5)]:
        inside = ((cloud.position >= cube) & (cloud.position < np.array(cube) + 4)).all(axis=1)
        np.testing.assert_array_equal(counts[cube], count_sdm(cloud[inside], ROLES, window))
        assert scan.n_host[cube] == (cloud.species[inside] == 1).sum()
        assert scan.n_solute[cube] == (cloud.species[inside] == 2).sum()


def test_tiles_boxes_and_order_of_ions_do_not_matter(monkeypatch):
    cloud, window = dense_cloud(), WINDOWS[0]
    whole, _ = scan_all(cloud, window)
    monkeypatch.setattr("aptstream.sdm.count.TILE_BYTES", 1)  # the smallest tiles
    np.testing.assert_array_equal(scan_all(cloud, window)[0], whole)
    part, _ = scan_all(cloud, window, shape=(6, 5, 7), low=(2, 4, 1))
    np.testing.assert_array_equal(part, whole[2:5, 4:6, 1:5])
    shuffled = cloud[np.random.default_rng(0).permutation(len(cloud))]
    np.testing.assert_array_equal(scan_all(shuffled, window)[0], whole)


def test_threads_do_not_disturb_each_other():
    cloud, window = dense_cloud(), WINDOWS[1]
    expected, _ = scan_all(cloud, window)
    results = [None] * 8
    threads = [
        threading.Thread(target=lambda k: results.__setitem__(k, scan_all(cloud, window)[0]), args=(k,))
        for k in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        np.testing.assert_array_equal(result, expected)


def test_the_sum_of_a_wide_window_is_the_number_of_pairs():
    cloud = dense_cloud(n=700, size=2.0)
    n_host, n_solute = ((cloud.species == s).sum() for s in (1, 2))
    counts = count_sdm(cloud, ROLES, SdmWindow("z", 8.0, 4, 8.0, 1))
    expected = [n_host * (n_host - 1) // 2, n_host * n_solute, n_solute * (n_solute - 1) // 2]
    np.testing.assert_array_equal(counts.sum(axis=(1, 2)), expected)


def test_the_full_image_equals_its_rotation():
    image = full_image(count_sdm(dense_cloud(n=2000, size=4.0), ROLES, WINDOWS[2]))
    np.testing.assert_array_equal(image, image[..., ::-1, ::-1])
    assert image.shape == (3, 150, 150)


@pytest.mark.parametrize("window", WINDOWS, ids=lambda w: w.kind)
def test_whole_number_bins_differ_from_float64_bins_for_less_than_one_percent(window):
    cloud = dense_cloud(n=1500, size=4.0)
    p = cloud.position[cloud.species == 1].astype(np.float64)
    d = p[:, None] - p[None]
    d = d[d[..., 2] > 0]
    lateral = d[:, 0] if window.kind == "zx" else np.hypot(d[:, 0], d[:, 1])
    low = -window.half_lateral_nm if window.kind == "zx" else 0.0
    bounds = [(0, window.half_z_nm), (low, window.half_lateral_nm)]
    exact, _, _ = np.histogram2d(d[:, 2], lateral, bins=window.shape, range=bounds)
    counts = count_sdm(cloud, ROLES, window)[0]
    assert np.abs(counts - exact).sum() / 2 < 0.01 * exact.sum()


def test_every_radial_bin_edge_is_exact():
    """floor(sqrt(n) / 256) in float32 equals the integer square root for every column the kernel allows."""
    edges = (np.arange(1, 16) * 256) ** 2
    n = np.unique(np.concatenate([edges + k for k in range(-300, 301)]))
    n = n[(n >= 0) & (n < (15 * 256) ** 2)]
    root = np.sqrt(n.astype(np.float32)) * np.float32(1 / 256)
    exact = np.floor(np.sqrt(n.astype(np.float64)) / 256)
    np.testing.assert_array_equal(root.astype(int), exact.astype(int))


def test_too_many_ions_for_32_bit_counters_are_refused():
    cloud = cloud_of(np.zeros((92_682, 3)), np.ones(92_682))
    with pytest.raises(PlanError, match="92,682 ions"):
        SdmScan(cloud, ROLES, WINDOWS[1], Cubes((0, 0, 0), (0, 0, 0), (4, 4, 4), 4))
    with pytest.raises(PlanError, match="92,682 ions"):
        count_sdm(cloud, ROLES, WINDOWS[1])


def test_a_volume_smaller_than_a_cube_is_refused():
    with pytest.raises(PlanError, match="No cube of 4 nm fits into the volume of 9 x 3 x 9 nm"):
        SdmScan(dense_cloud(), ROLES, WINDOWS[1], Cubes((0, 0, 0), (0, 0, 0), (9, 3, 9), 4))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (("xy", 1, 10, 1, 10), "not known"),
        (("rhoz", 1, 10, 1, 16), "1–15 columns"),
        (("z", 0, 10, 1, 1), "half-widths"),
        (("z", float("nan"), 10, 1, 1), "half-widths"),
        (("zx", 1, 0, 1, 10), "1–1024 rows"),
    ],
)
def test_impossible_windows_are_refused(fields, words):
    with pytest.raises(PlanError, match=words):
        SdmWindow(*fields)
