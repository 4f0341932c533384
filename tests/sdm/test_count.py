"""The SDM counters against a ten-line loop, integer for integer, and against the laws of an SDM."""

import threading

import hypothesis.strategies as st
import naive
import numpy as np
import pytest
from examples import examples
from hypothesis import given

from aptstream.errors import PlanError, RangingError
from aptstream.points import PointCloud, Roles
from aptstream.regions import Box
from aptstream.sdm.count import SdmScan, count_sdm, scan_sdms
from aptstream.sdm.kernel import INSTRUCTIONS, CellBox
from aptstream.sdm.window import Channels, SdmWindow, full_image

NAMES = ("unranged", "Al", "Li", "Mg", "Zn", "H")
ROLES = Channels.of_roles(Roles(("Al",), ("Li", "Mg")))
CHANNELS = [
    ROLES,
    Channels((("Al",),), ((0, 0),)),
    Channels((("Al",), ("Li",)), ((1, 0),)),
    Channels((("Al",), ("Li",), ("Mg",), ("Zn", "H")), ((3, 3), (0, 2), (1, 1), (1, 3))),
]


def cloud_of(position, species):
    n = len(position)
    return PointCloud(np.asarray(position, "f4").reshape(n, 3), np.ones(n, "f4"), np.asarray(species, "u1"), NAMES)


def moved_to(cloud, origin):
    position = cloud.position + np.array(origin, "f4")
    return PointCloud(position, cloud.mass_to_charge, cloud.species, cloud.species_names)


def group_of(cloud, channels):
    return channels.group_of(NAMES)[cloud.species]


@st.composite
def windows(draw):
    kind = draw(st.sampled_from(["rhoz", "z", "zx"]))
    columns = {"rhoz": st.integers(1, 15), "z": st.just(1), "zx": st.integers(1, 30)}[kind]
    half_z, bins_z = draw(st.sampled_from([0.3, 0.7, 1.0, 1.5, 2.1])), draw(st.integers(1, 40))
    y_limit = draw(st.sampled_from([None, None, 0.2, 1.3]))
    if kind == "zx" and draw(st.booleans()):  # equal bins, as a limit on the distance needs
        return SdmWindow(kind, half_z, bins_z, half_z, 2 * bins_z, y_limit, draw(st.sampled_from([0.4, 1.5])))
    return SdmWindow(kind, half_z, bins_z, draw(st.sampled_from([0.4, 1.0, 1.5, 3.0])), draw(columns), y_limit)


@st.composite
def clouds(draw, size):
    """Random, planar, tied, coincident or empty; all species."""
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
    return cloud_of(np.minimum(position, np.array(size) - 1e-3), rng.integers(0, len(NAMES), n))


channels_and_ways = [st.sampled_from(CHANNELS), st.sampled_from(INSTRUCTIONS)]


@examples(100)
@given(clouds((3.0, 2.5, 4.0)), windows(), *channels_and_ways, st.sampled_from([(0, 0, 0), (-7.0, 3.0, -75.0)]))
def test_a_free_region_equals_the_naive_loop(cloud, window, channels, how, origin):
    cloud = moved_to(cloud, origin)
    counts = count_sdm(cloud, channels, window, origin_nm=origin, instructions=how)
    expected = naive.sdm(cloud.position, group_of(cloud, channels), window, channels, origin)
    np.testing.assert_array_equal(counts, expected)


@examples(100)
@given(st.data(), windows(), *channels_and_ways, st.sampled_from([1.0, 0.5, 0.8]))
def test_every_cube_of_a_scan_equals_the_naive_loop(data, window, channels, how, stride):
    edges = data.draw(st.sets(st.integers(1, 8), min_size=1, max_size=3))
    shape = tuple(data.draw(st.integers(max(edges), max(edges) + 2)) for _ in range(3))
    origin = data.draw(st.sampled_from([(0.0, 0.0, 0.0), (-12.0, 5.0, -80.0)]))
    cloud = moved_to(data.draw(clouds(tuple(n * stride for n in shape))), origin)
    box, group = CellBox(origin, (0, 0, 0), shape, stride), group_of(cloud, channels)
    found = scan_all(cloud, window, box, edges, channels=channels, how=how)
    for edge in edges:
        expected = naive.cubes_of(cloud.position, group, window, channels, box=box, edge=edge)
        np.testing.assert_array_equal(found[edge], expected)


def way_to_scan(how):
    return type("Way", (SdmScan,), {"instructions": how})


def scan_all(cloud, window, box, edges=(4,), *, channels=ROLES, sets=None, how=INSTRUCTIONS[-1]):
    """Counts of all cubes: {edge: array}; every cube comes once."""
    scan = way_to_scan(how)(cloud, channels, window, box=box, edges=edges, sets=sets)
    leading = (len(channels.pairs),) if sets is None else (sets.shape[1], 3)
    out = {e: np.zeros((*box.n_cubes(e), *leading, *window.shape), dtype=np.uint32) for e in edges}
    seen = {e: np.zeros(box.n_cubes(e), dtype=int) for e in edges}
    for batch in scan:
        out[batch.edge][batch.place] = batch.counts
        seen[batch.edge][batch.place] += 1
    assert all((count == 1).all() for count in seen.values())
    return out


def dense_cloud(seed=1, n=9000, size=9.0):
    rng = np.random.default_rng(seed)
    return cloud_of(rng.random((n, 3)) * size, rng.integers(0, 4, n))


BOX = CellBox((0, 0, 0), (0, 0, 0), (9, 9, 9))
WINDOWS = [
    SdmWindow("rhoz", 1.5, 75, 2.0, 10),
    SdmWindow("z", 1.5, 75, 3.0, 1),
    SdmWindow("zx", 0.7, 75, 0.7, 150, radius_nm=0.65),
]


@pytest.mark.parametrize("how", INSTRUCTIONS)
@pytest.mark.parametrize("window", WINDOWS, ids=lambda w: w.kind)
def test_a_scan_equals_free_regions_at_real_density(window, how):
    cloud = dense_cloud()
    counts = scan_all(cloud, window, BOX, how=how)[4]
    ions = SdmScan(cloud, ROLES, window, box=BOX, edges=[4]).n_ions(4)
    for cube in [(0, 0, 0), (3, 2, 5), (5, 5, 5)]:
        inside = ((cloud.position >= cube) & (cloud.position < np.array(cube) + 4)).all(axis=1)
        np.testing.assert_array_equal(counts[cube], count_sdm(cloud[inside], ROLES, window))
        for group, species in ((0, [1]), (1, [2, 3])):
            assert ions[group][cube] == np.isin(cloud.species[inside], species).sum()


@pytest.mark.parametrize("edges", [(8,), (8, 5, 2, 1)])
def test_all_ways_to_count_agree_for_large_cubes(edges):
    cloud, window = dense_cloud(), SdmWindow("rhoz", 2.1, 21, 3.0, 13)
    ways = [scan_all(cloud, window, BOX, edges, how=how) for how in INSTRUCTIONS]
    for edge in edges:
        for other in ways[1:]:
            np.testing.assert_array_equal(other[edge], ways[0][edge])


def test_tiles_boxes_and_order_of_ions_do_not_matter(monkeypatch):
    cloud, window = dense_cloud(), WINDOWS[0]
    whole = scan_all(cloud, window, BOX)[4]
    monkeypatch.setattr("aptstream.sdm.count.TILE_BYTES", 1)  # the smallest tiles
    np.testing.assert_array_equal(scan_all(cloud, window, BOX)[4], whole)
    part = scan_all(cloud, window, CellBox((0, 0, 0), (2, 4, 1), (6, 5, 7)))[4]
    np.testing.assert_array_equal(part, whole[2:5, 4:6, 1:5])
    shuffled = cloud[np.random.default_rng(0).permutation(len(cloud))]
    np.testing.assert_array_equal(scan_all(shuffled, window, BOX)[4], whole)


@pytest.mark.parametrize("how", INSTRUCTIONS)
@pytest.mark.parametrize(
    "window", [WINDOWS[1], SdmWindow("zx", 0.7, 10, 0.7, 20, y_limit_nm=0.5)], ids=lambda w: w.kind
)
def test_label_sets_counted_together_equal_scans_of_each(window, how):
    cloud, box = dense_cloud(n=2500, size=6.0), CellBox((0, 0, 0), (0, 0, 0), (6, 6, 6))
    rng = np.random.default_rng(5)
    ranged = cloud.species > 0
    sets = np.stack([(rng.random(len(cloud)) < share) & ranged for share in (0.0, 0.1, 0.5, 1.0)], axis=1)
    every = Channels((("Al", "Li", "Mg", "Zn", "H"),), ((0, 0),))
    together = scan_all(cloud, window, box, (4, 2), channels=every, sets=sets, how=how)
    for k in range(sets.shape[1]):
        relabelled = cloud_of(cloud.position, np.where(ranged, 1 + sets[:, k], 0))
        for edge, counts in scan_all(relabelled, window, box, (4, 2), how=how).items():
            np.testing.assert_array_equal(together[edge][:, :, :, k], counts)
    scan = SdmScan(cloud, every, window, box=box, edges=[4], sets=sets)
    assert scan.n_ions(4).shape == (4, 3, 3, 3)
    assert scan.n_ions(4)[3].sum() > scan.n_ions(4)[1].sum() > scan.n_ions(4)[0].sum() == 0


@pytest.mark.parametrize("n_threads", [1, 2, 8])
def test_threads_do_not_disturb_each_other(n_threads):
    cloud, window = dense_cloud(), WINDOWS[1]
    expected = scan_all(cloud, window, BOX)[4]
    results = [None] * n_threads
    threads = [
        threading.Thread(target=lambda k: results.__setitem__(k, scan_all(cloud, window, BOX)[4]), args=(k,))
        for k in range(n_threads)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for result in results:
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("how", INSTRUCTIONS)
def test_a_16_bit_counter_that_is_full_is_counted_again_with_32_bits(how, monkeypatch):
    """Four cells with 110 ions in one place: the pairs of two cells fit into 16 bits, the sum of a cube does not."""
    rng = np.random.default_rng(2)
    heaps = [np.full((110, 3), (x, 2.5, 1.5)) for x in (1.5, 2.5, 3.5, 4.5)]
    cloud = cloud_of(np.concatenate([*heaps, rng.random((30, 3)) * 6]), np.ones(470))
    window, box = SdmWindow("z", 1.5, 3, 3.0, 1), CellBox((0, 0, 0), (0, 0, 0), (6, 6, 6))
    started = []
    scan_tile = SdmScan._scan_tile
    monkeypatch.setattr(
        SdmScan,
        "_scan_tile",
        lambda self, tile, *, wide, first=0: started.append(wide) or scan_tile(self, tile, wide=wide, first=first),
    )
    counts = scan_all(cloud, window, box, how=how)[4]
    assert counts.max() > 65535
    assert started == [False, True]
    for cube in np.ndindex(3, 3, 3):
        inside = ((cloud.position >= cube) & (cloud.position < np.array(cube) + 4)).all(axis=1)
        np.testing.assert_array_equal(counts[cube], count_sdm(cloud[inside], ROLES, window))


def test_one_scan_can_be_read_by_several_threads_and_count_again_meanwhile():
    heaps = [np.full((110, 3), (x, 2.5, 1.5)) for x in (4.5, 5.5, 6.5, 7.5)]
    rng = np.random.default_rng(0)
    cloud = cloud_of(np.concatenate([*heaps, rng.random((30, 3)) * [10, 6, 6]]), np.ones(470))
    box = CellBox((0, 0, 0), (0, 0, 0), (10, 6, 6))
    scan = SdmScan(cloud, ROLES, SdmWindow("z", 1.5, 3, 3.0, 1), box=box, edges=[4])
    assert not scan._wide
    expected = np.stack([batch.counts for batch in scan])
    assert expected.max() > 65535
    wrong = []

    def read():
        wrong.extend(k for _ in range(20) for k, batch in enumerate(scan) if (batch.counts != expected[k]).any())

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize("how", INSTRUCTIONS)
@pytest.mark.parametrize("n", [100, 127, 128, 240])
def test_four_heaps_that_meet_in_one_hook_are_counted_exactly(n, how):
    """Two pairs of rows share a hook: of 2 x 240 x 240 equal pairs none may be lost."""
    corners = [(1.9, 0.5, 1.9), (2.1, 0.5, 2.1), (2.1, 0.5, 1.95), (1.9, 0.5, 2.15)]
    cloud = cloud_of(np.concatenate([np.full((n, 3), corner) for corner in corners]), np.repeat([1, 2, 1, 2], n))
    box = CellBox((0, 0, 0), (0, 0, 0), (4, 4, 4))
    for channels in (ROLES, Channels((("Al",), ("Li",)), ((0, 1),))):
        counts = scan_all(cloud, WINDOWS[0], box, channels=channels, how=how)[4][0, 0, 0]
        np.testing.assert_array_equal(counts, count_sdm(cloud, channels, WINDOWS[0]))


@pytest.mark.parametrize("how", INSTRUCTIONS)
@pytest.mark.parametrize("x", [(0.9, 1.1), (1.1, 0.9), (1.1, 1.2)])
def test_a_tie_that_an_edge_of_two_slices_parts_is_counted_once(x, how):
    """1.05 nm in 75 rows: slices of 1/8 nm do not begin with a unit, and ions of one unit can lie in two slices."""
    window, box = SdmWindow("rhoz", 1.05, 75, 2.0, 10), CellBox((0, 0, 0), (0, 0, 0), (4, 4, 4))
    for z in ((0.12501, 0.12499), (0.12499, 0.12501)):
        cloud = cloud_of([(x[0], 0.5, z[0]), (x[1], 0.5, z[1])], [1, 1])
        assert count_sdm(cloud, ROLES, window).sum() == 1
        assert scan_all(cloud, window, box, how=how)[4][0, 0, 0].sum() == 1


def test_the_first_column_of_a_zx_map_reaches_one_unit_beyond_its_half_width():
    cloud = cloud_of([(4.0001, 1, 1), (0.999, 1, 1.05)], [1, 1])
    window, box = SdmWindow("zx", 1.0, 10, 3.0, 10), CellBox((0, 0, 0), (0, 0, 0), (6, 6, 6))
    assert count_sdm(cloud, ROLES, window).sum() == 1
    assert scan_all(cloud, window, box, (6,))[6].sum() == 1


def test_cells_of_more_than_127_ions_are_counted_with_32_bits_at_once():
    heap = np.full((128, 3), 1.5)
    box, window = CellBox((0, 0, 0), (0, 0, 0), (3, 3, 3)), WINDOWS[1]
    scan = SdmScan(cloud_of(heap, np.ones(128)), ROLES, window, box=box, edges=[3])
    assert scan._wide
    assert next(iter(scan)).counts[0, 0, 0, 0, 0] == 128 * 127 // 2


def test_six_hundred_ions_per_cubic_nanometre_are_counted():
    cloud = dense_cloud(n=600 * 27, size=3.0)
    box, window = CellBox((0, 0, 0), (0, 0, 0), (3, 3, 3)), WINDOWS[0]
    counts = scan_all(cloud, window, box, (3, 2))
    np.testing.assert_array_equal(counts[3][0, 0, 0], count_sdm(cloud, ROLES, window))


def test_the_sum_of_a_wide_window_is_the_number_of_pairs():
    cloud = dense_cloud(n=700, size=2.0)
    n_host, n_solute = (np.isin(cloud.species, s).sum() for s in ([1], [2, 3]))
    counts = count_sdm(cloud, ROLES, SdmWindow("z", 8.0, 4, 8.0, 1))
    expected = [n_host * (n_host - 1) // 2, n_host * n_solute, n_solute * (n_solute - 1) // 2]
    np.testing.assert_array_equal(counts.sum(axis=(1, 2)), expected)


def test_the_full_image_equals_its_rotation():
    image = full_image(count_sdm(dense_cloud(n=2000, size=4.0), ROLES, WINDOWS[2]))
    np.testing.assert_array_equal(image, image[..., ::-1, ::-1])
    assert image.shape == (3, 150, 150)


@pytest.mark.parametrize("window", [*WINDOWS[:2], SdmWindow("zx", 0.7, 75, 0.7, 150)], ids=lambda w: w.kind)
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


def test_every_radial_bin_edge_is_exact_in_float32():
    """floor(sqrt(n / 65536)) in float32 equals the integer rule for every column that the kernel allows."""
    edges = (np.arange(1, 16) * 256) ** 2
    n = np.unique(np.concatenate([edges + k for k in range(-300, 301)]))
    n = n[(n >= 0) & (n < (15 * 256) ** 2)]
    root = np.sqrt(n.astype(np.float32) / np.float32(65536)).astype(int)
    np.testing.assert_array_equal(root, [int(v) for v in np.floor(np.sqrt(n.astype(np.float64)) / 256)])


def test_too_many_ions_for_32_bit_counters_are_refused():
    cloud = cloud_of(np.zeros((92_682, 3)), np.ones(92_682))
    with pytest.raises(PlanError, match="92,682 ions"):
        SdmScan(cloud, ROLES, WINDOWS[1], box=BOX, edges=[4])
    with pytest.raises(PlanError, match="92,682 ions"):
        count_sdm(cloud, ROLES, WINDOWS[1])


def test_what_cannot_be_scanned_is_refused():
    cloud, window = dense_cloud(n=100), WINDOWS[1]
    flat = CellBox((0, 0, 0), (0, 0, 0), (9, 3, 9))
    with pytest.raises(PlanError, match="No cube of 4 nm fits into the volume of 9 x 3 x 9 nm"):
        SdmScan(cloud, ROLES, window, box=flat, edges=[4])
    with pytest.raises(PlanError, match="edges"):
        SdmScan(cloud, ROLES, window, box=BOX, edges=[])
    with pytest.raises(PlanError, match="label sets"):
        SdmScan(cloud, ROLES, window, box=BOX, edges=[4], sets=np.zeros((100, 31), bool))
    long = CellBox((0, 0, 0), (0, 0, 0), (4, 4, 2000))
    with pytest.raises(PlanError, match="too long"):
        SdmScan(cloud, ROLES, window, box=long, edges=[4])
    far = cloud_of([[0, 0, 0], [0, 0, 5000]], [1, 1])
    with pytest.raises(PlanError, match="too long"):
        count_sdm(far, ROLES, window)
    with pytest.raises(PlanError, match="whole cells"):
        SdmScan(cloud, ROLES, window, box=BOX, edges=[2.5])
    for sets in (np.zeros((99, 2), bool), np.zeros((100, 2), np.uint8), np.zeros(100, bool)):
        with pytest.raises(PlanError, match="Label sets"):
            SdmScan(cloud, ROLES, window, box=BOX, edges=[4], sets=sets)
    wide, tall = SdmWindow("zx", 8.0, 1024, 8.0, 1024), CellBox((0, 0, 0), (0, 0, 0), (8, 8, 220))
    with pytest.raises(PlanError, match="numbered"):
        SdmScan(cloud, ROLES, wide, box=tall, edges=[8])
    with pytest.raises(PlanError, match="counts by"):
        count_sdm(cloud, ROLES, window, instructions="avx1024")
    broken = cloud_of([[0, 0, 0], [0, np.nan, 1]], [1, 1])
    with pytest.raises(PlanError, match="finite"):
        count_sdm(broken, ROLES, window)
    with pytest.raises(PlanError, match="finite"):
        SdmScan(broken, ROLES, window, box=BOX, edges=[4])
    with pytest.raises(RangingError, match="Species Sc"):
        count_sdm(cloud, Channels((("Sc",),), ((0, 0),)), window)


def test_far_away_ions_do_not_cost_memory():
    cloud = cloud_of([[0, 0, 0], [0, 0, 300], [0.1, 0, 300.1]], [1, 1, 1])
    assert count_sdm(cloud, ROLES, WINDOWS[1])[0].sum() == 1


def test_scanning_a_store_equals_scanning_its_ions(specimen_store, roles):
    channels, window = Channels.of_roles(roles), WINDOWS[1]
    region = Box(specimen_store.origin_nm, tuple(a + 7.0 for a in specimen_store.origin_nm))
    scan = scan_sdms(specimen_store, channels, window, region=region, edges=(4, 2))
    box = CellBox(specimen_store.origin_nm, (0, 0, 0), scan.box.shape)
    cloud = specimen_store.query(region)
    assert min(scan.box.shape) >= 7
    inside = scan_all(specimen_store.read((0, 0, 0), scan.box.shape), window, box, (4, 2), channels=channels)
    for batch in scan:
        np.testing.assert_array_equal(batch.counts, inside[batch.edge][batch.place])
    assert scan.n_ions(4).sum() > 0 < len(cloud)
    whole = scan_sdms(specimen_store, channels, window)
    assert whole.box.shape == specimen_store.shape_cells
