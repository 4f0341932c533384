"""The point store against masks over the source, and against everything that can happen to a folder."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from examples import examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aptstream.cloud import ingest, open_store
from aptstream.cloud.lattice import Lattice
from aptstream.cloud.tree import PointTree
from aptstream.errors import StoreError
from aptstream.io import write_pos
from aptstream.io.arrays import CheckedArray, create_array
from aptstream.io.digest import content_digest
from aptstream.points import Range, RangeTable
from aptstream.regions import Box, Cylinder, OrientedBox, Sphere

TABLE = RangeTable(
    (
        Range(26, 28, (("Al", 1),), 0.0166, "33FFFF"),
        Range(6, 8, (("Li", 1),)),
        Range(13, 14, (("Al", 1),)),
    )
)


@pytest.fixture(scope="module")
def source():
    """Ions on and off the faces of cells, with negative z and an empty corner."""
    rng = np.random.default_rng(5)
    position = rng.uniform((-20, 3, -35), (17, 29, -2), (60_000, 3)).astype("f4")
    position[::7] = np.round(position[::7])
    position = position[~(position < (-2, 15, -18)).all(axis=1)]
    mass = rng.choice([7, 13.5, 27, 99], len(position)).astype("f4")
    return position, mass


@pytest.fixture(scope="module")
def store(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    write_pos(folder / "a.pos", *source)
    return ingest(folder / "a.pos", ranges=TABLE, out=folder / "a.zarr")


def same_ions(cloud, position, mass):
    """Compare ions in an order of their own."""
    found, expected = (
        np.column_stack([cloud.position, cloud.mass_to_charge]),
        np.column_stack([position, mass]),
    )
    np.testing.assert_array_equal(found[np.lexsort(found.T)], expected[np.lexsort(expected.T)])


CELLS = st.tuples(*3 * [st.integers(-5, 45)])


@given(low=CELLS, high=CELLS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_reading_cells_equals_a_mask(store, source, low, high):
    position, mass = source
    cell = np.floor(position.astype("f8") - store.origin_nm)
    inside = ((cell >= low) & (cell < high)).all(axis=1)
    cloud = store.read(low, high)
    same_ions(cloud, position[inside], mass[inside])
    assert cloud.species_names == ("unranged", "Al", "Li")
    expected = np.select([cloud.mass_to_charge == 7, cloud.mass_to_charge < 30], [2, 1], 0)
    np.testing.assert_array_equal(cloud.species, expected)


def test_reading_keeps_the_stored_order_and_skips_what_is_not_needed(store, monkeypatch):
    everything = store.read((0, 0, 0), store.shape_cells)
    assert len(everything) == store.n_ions
    part = store.read((3, 2, 20), (9, 20, 33))
    cell = np.floor(everything.position.astype("f8") - store.origin_nm)
    inside = ((cell >= (3, 2, 20)) & (cell < (9, 20, 33))).all(axis=1)
    np.testing.assert_array_equal(part.position, everything.position[inside])
    asked = []
    read = CheckedArray.__getitem__
    monkeypatch.setattr(CheckedArray, "__getitem__", lambda self, s: (asked.append((self.name, s)), read(self, s))[1])
    store.read((36, 20, 30), (37, 24, 33))
    assert max(s.stop - s.start for name, s in asked if name == "positions") < store.n_ions / 20


@given(CELLS, CELLS)
@examples(30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_windows_and_gaps_do_not_change_what_is_read(store, low, high):
    import aptstream.cloud.store as module

    expected = store.read(low, high)
    small = open_store(store.path)
    small.arrays["positions"].chunk_rows = 50
    before, module.STREAM_ROWS = module.STREAM_ROWS, 333
    try:
        found = small.read(low, high)
    finally:
        module.STREAM_ROWS = before
    np.testing.assert_array_equal(found.position, expected.position)
    np.testing.assert_array_equal(found.species, expected.species)


CORNERS = st.tuples(st.floats(-25, 20), st.floats(0, 30), st.floats(-40, 0))


@given(CORNERS, CORNERS, st.floats(0, 15), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_query_is_exact(store, source, a, b, radius, whole):
    position, mass = source
    if whole:
        a, b = np.round(a), np.round(b)
    box = Box(tuple(np.minimum(a, b)), tuple(np.maximum(a, b)))
    cloud = store.query(box)
    inside = box.contains(position)
    same_ions(cloud, position[inside], mass[inside])
    cloud = store.query(Sphere(tuple(a), radius))
    inside = ((position.astype("f8") - a) ** 2).sum(axis=1) <= radius**2
    same_ions(cloud, position[inside], mass[inside])


@given(CORNERS, CORNERS, st.floats(0, 9), st.integers(0, 99))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_slanted_queries_are_exact_and_in_stored_order(store, a, b, radius, seed):
    everything = store.read((0, 0, 0), store.shape_cells)
    axes, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    regions = [OrientedBox(a, axes, (radius, 2 * radius, 20.0))]
    if a != b:
        regions.append(Cylinder(a, b, radius))
    for region in regions:
        inside = region.contains(everything.position)
        cloud = store.query(region)
        np.testing.assert_array_equal(cloud.position, everything.position[inside])
        np.testing.assert_array_equal(cloud.mass_to_charge, everything.mass_to_charge[inside])


@pytest.mark.parametrize(
    "region",
    [
        Cylinder((-20, 3, -35), (17, 29, -2), 0.8),
        OrientedBox((-1, 16, -18), np.linalg.qr(np.array([[1, 1, 1], [1, -1, 0], [0.0, 1, 2]]))[0], (30, 1, 4)),
        Sphere((-10, 16, -18), 9),
    ],
)
def test_a_query_reads_no_cell_that_the_region_does_not_touch(store, region, monkeypatch):
    read = []
    rows_of = type(store)._read_rows
    monkeypatch.setattr(
        type(store), "_read_rows", lambda self, rows, columns: (read.append(len(rows)), rows_of(self, rows, columns))[1]
    )
    found = store.query(region)
    everything = store.read((0, 0, 0), store.shape_cells)
    cell = np.floor(everything.position.astype("f8") - store.origin_nm) + store.origin_nm
    touched = region.touches(cell - 1e-6, cell + 1 + 1e-6)
    assert len(found) < read[0] == touched.sum()
    bounds = region.bounds
    boxed = store.lattice.cells_of(bounds.low, bounds.high)
    assert read[0] < 0.7 * len(store.read(*boxed))


def test_a_tree_over_the_stored_order_moves_nothing(store):
    cloud = store.read((0, 0, 0), store.shape_cells)
    tree = PointTree.of(cloud)
    region = Cylinder((-20, 3, -35), (17, 29, -2), 3)
    rows = tree.query(region)
    assert len(rows) > 100
    np.testing.assert_array_equal(cloud[rows].position, store.query(region).position)


def test_regions_far_away_and_without_end(store):
    assert len(store.query(Box((-1e300,) * 3, (1e300,) * 3))) == store.n_ions
    assert len(store.query(Sphere((0, 0, 0), 1e9))) == store.n_ions
    assert len(store.query(Box((1e300,) * 3, (1.1e300,) * 3))) == 0
    assert len(store.read((5, 5, 5), (5, 9, 9))) == 0
    assert len(store.read((9, 9, 9), (5, 5, 5))) == 0


def test_counts(store, source):
    position, mass = source
    cell = np.floor(position.astype("f8") - store.origin_nm).astype(int)
    expected = np.zeros(store.shape_cells, "u4")
    np.add.at(expected, tuple(cell.T), 1)
    counts = store.cell_counts()
    assert counts.dtype == np.uint32
    np.testing.assert_array_equal(counts, expected)
    assert store.species_counts() == {
        "unranged": int((mass == 99).sum()),
        "Al": int(((mass == 27) | (mass == 13.5)).sum()),
        "Li": int((mass == 7).sum()),
    }


def test_what_it_says_of_itself(store, source):
    position, _ = source
    assert store.origin_nm == tuple(np.floor(position.min(axis=0)).tolist())
    assert store.box.contains(position).all()
    assert store.ranges == TABLE
    attrs = store.attrs
    assert attrs["n_read"] == attrs["n_ranged"] + attrs["n_unranged"] == store.n_ions
    assert attrs["content_digest"] == store.digest()
    assert (attrs["pole"], attrs["source"]["name"], attrs["range_file"]) == ([0, 0, 1], "a.pos", None)
    assert repr(store).endswith(f"a.zarr': {store.n_ions} ions, 38 by 27 by 34 nm)")
    store.verify()


def test_it_travels_as_a_path_and_serves_threads(store):
    message = pickle.dumps(store)
    assert len(message) < 1000
    again = pickle.loads(message)
    boxes = [((i, 0, 0), (i + 9, 20, 20)) for i in range(20)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda box: again.read(*box).position, boxes))
    for position, box in zip(found, boxes, strict=True):
        np.testing.assert_array_equal(position, store.read(*box).position)


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=30), st.integers(1, 9), st.integers(1, 3))
@examples(20)
def test_the_digest_does_not_see_chunks(tmp_path_factory, values, chunk_rows, shard_chunks):
    folder = tmp_path_factory.mktemp("digest")
    data = np.array([values, values], "i8").T.copy()
    shape = data.shape
    array = create_array(
        folder, "a", shape=shape, dtype="int64", chunk=(chunk_rows, *shape[1:]), shard_chunks=shard_chunks
    )
    array[:] = data
    stored = CheckedArray(folder, "a", shape=shape, dtype="int64")
    attributes = {"n": len(values), "x": 0.1}
    expected = content_digest({"a": data}, attributes)
    assert content_digest({"a": stored}, dict(reversed(attributes.items()))) == expected
    for other in ({"b": data}, {"a": data.ravel()}, {"a": data + 1}, {"a": data.astype("u8")}, {}):
        assert content_digest(other, attributes) != expected
    assert content_digest({"a": data}, {**attributes, "x": 0.2}) != expected


def test_absurd_extents_are_refused():
    with pytest.raises(StoreError, match="span 1000001 by 1000001 by 1 nm"):
        Lattice.around((0, 0, 0), (1e6, 1e6, 0))
    assert Lattice.around((0, 0, 0), (639, 639, 639)).n_bricks == 64000
