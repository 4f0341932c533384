"""Ingest: no ion is lost, memory and interruptions do not show in the result, and bad input leaves nothing behind."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from examples import examples
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from naive import stored_order

from aptstream.cloud import ingest, open_store
from aptstream.cloud.building import Layout
from aptstream.cloud.store import array_shapes
from aptstream.cloud.stored import stored_ions
from aptstream.errors import FileFormatError, RangingError, StoreError
from aptstream.io import digest, write_pos, write_rrng
from aptstream.io.arrays import CheckedArray, create_array
from aptstream.io.epos import EPOS
from aptstream.io.ions import COLUMNS, IonBlock, IonFile, open_ions
from aptstream.io.shards import stored_rows, write_rows
from aptstream.points import Range, RangeTable
from aptstream.regions import Box

# The package shows the function under the name of its module.
module = sys.modules["aptstream.cloud.ingest"]
TABLE = RangeTable((Range(26, 28, (("Al", 1),)), Range(6, 8, (("Li", 1),))))
OTHER = RangeTable((Range(40, 60, (("Cr", 1), ("O", 2))), Range(6, 8, (("Li", 1),))))


@pytest.fixture
def source(tmp_path):
    rng = np.random.default_rng(2)
    n = 30_000
    position = rng.normal(0, 9, (n, 3)).astype("f4")
    write_pos(tmp_path / "a.pos", position, rng.choice([7, 27, 50], n))
    write_rrng(tmp_path / "a.rrng", TABLE)
    return tmp_path / "a.pos"


class Block:
    """Reads ions of arrays; counts how often it was asked."""

    def __init__(self, position, mass, columns):
        self.position, self.mass, self.columns, self.asked = position, mass, columns, 0

    def __call__(self, start, stop):
        self.asked += 1
        rows = slice(start, stop)
        return IonBlock(self.position[rows], self.mass[rows], {k: v[rows] for k, v in self.columns.items()})


def made_file(folder, n, seed, columns=()):
    """A file of ions in memory, with a file on disk that stands for it."""
    rng = np.random.default_rng(seed)
    position = rng.uniform(-25, 20, (n, 3)).astype("f4")
    position[::3] = np.round(position[::3])
    mass = rng.choice([7, 27, 50], n).astype("f4")
    mass[0] = 27
    values = {name: rng.integers(0, 2**30, n, dtype="u4").view(COLUMNS[name]) for name in columns}
    path = folder / "made.bin"
    path.write_bytes(b"stands for them")
    return IonFile(path, "made", n, Block(position, mass, values), tuple(columns))


def arrays_of(store):
    """All arrays of a store in memory."""
    shapes = array_shapes(store.manifest)
    return {name: CheckedArray(store.path, name, shape=s, dtype=d)[:] for name, (s, d) in shapes.items()}


def naive_arrays(file, table):
    """What a store of these ions holds, all in memory."""
    block = file.read(0, file.n_ions)
    order, _, bricks, key = stored_order(block.position)
    species = np.zeros(file.n_ions, "u1")
    for r in table.ranges:
        mass = block.mass_to_charge.astype("f8")
        species[(mass >= r.low_da) & (mass < r.high_da)] = table.species.index(r.ion)
    in_brick = np.bincount(key, minlength=4096 * np.prod(bricks)).reshape(-1, 4096)
    cell_offset = np.cumsum(np.pad(in_brick, ((0, 0), (1, 0))), axis=1)
    return {
        "positions": block.position[order],
        "species": species[order],
        "mass_to_charge": block.mass_to_charge[order],
        "brick_offset": np.concatenate([[0], np.cumsum(in_brick.sum(axis=1))]),
        "cell_offset": cell_offset,
        **{name: block.columns[name][order] for name in file.columns},
    }


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def small_parts(patch, *, block_ions=700, chunk_rows=300, shard_chunks=3, shards=2, offset_rows=2):
    """Let even a small file be read and written in many parts."""
    patch.setattr(module, "LAYOUT", Layout(block_ions, chunk_rows, shard_chunks, offset_rows))
    patch.setattr(digest, "RUN_ROWS", chunk_rows * shard_chunks * shards)


def test_every_ion_arrives_with_its_origin(source, tmp_path):
    told = []
    store = ingest(
        source,
        ranges=tmp_path / "a.rrng",
        out=tmp_path / "a.zarr",
        progress=lambda *state: told.append(state),
    )
    cloud = store.read((0, 0, 0), store.shape_cells)
    stored = np.column_stack([cloud.position, cloud.mass_to_charge])
    original = np.fromfile(source, ">f4").reshape(-1, 4).astype("f4")
    np.testing.assert_array_equal(stored[np.lexsort(stored.T)], original[np.lexsort(original.T)])
    assert store.attrs["source"] == {
        "name": "a.pos",
        "size": 480_000,
        "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
    }
    sha256 = hashlib.sha256((tmp_path / "a.rrng").read_bytes()).hexdigest()
    assert store.attrs["range_file"] == {"name": "a.rrng", "sha256": sha256}
    assert [state for state in told if state[1] == state[2]] == [
        (stage, 30_000, 30_000, "ions") for stage in ("read", "sort", "write")
    ]
    assert left(tmp_path) == ["a.pos", "a.rrng", "a.zarr"]


@given(
    n=st.integers(1, 400),
    seed=st.integers(0, 2**32 - 1),
    sizes=st.tuples(st.integers(30, 500), st.integers(20, 99), *2 * [st.integers(1, 3)], st.integers(1, 5)),
    columns=st.sets(st.sampled_from(list(COLUMNS)), max_size=3),
)
@examples(15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_store_equals_its_twin_whatever_the_parts(tmp_path_factory, n, seed, sizes, columns):
    folder = tmp_path_factory.mktemp("twin")
    file = made_file(folder, n, seed, [name for name in COLUMNS if name in columns])
    names = ("block_ions", "chunk_rows", "shard_chunks", "shards", "offset_rows")
    with pytest.MonkeyPatch.context() as patch:
        small_parts(patch, **dict(zip(names, sizes, strict=True)))
        store = ingest(file, ranges=TABLE, out=folder / "a.zarr")
        expected = naive_arrays(file, TABLE)
        found = arrays_of(store)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name].view(f"V{found[name].itemsize}"), as_stored(values, found[name]))
        of_twin = {name: values.astype(found[name].dtype) for name, values in expected.items()}
        twin = digest.digest_by_runs(of_twin, store.manifest.defining())
        assert store.digest() == store.attrs["content_digest"] == twin
        store.verify()
    assert store.attrs["n_ranged"] == np.count_nonzero(expected["species"])
    assert left(folder) == ["a.zarr", "made.bin"]


def as_stored(values, like):
    """Compare bits: the columns hold NaN of all kinds."""
    values = np.ascontiguousarray(values.astype(like.dtype))
    return values.view(f"V{values.itemsize}")


def test_content_has_one_digest_whatever_the_parts_and_names(source, tmp_path, monkeypatch):
    monkeypatch.setattr(digest, "RUN_ROWS", 6000)
    monkeypatch.setattr(module, "LAYOUT", Layout(30_000, 6000, 1))
    first = ingest(source, ranges=TABLE, out=tmp_path / "a.zarr")
    monkeypatch.setattr(module, "LAYOUT", Layout(777, 1000, 3))
    renamed = source.rename(tmp_path / "b.POS")
    second = ingest(renamed, ranges=tmp_path / "a.rrng", out=tmp_path / "b.zarr")
    assert len(list((second.path / "positions").iterdir())) == 11
    assert first.digest() == second.digest() == second.attrs["content_digest"]
    np.testing.assert_array_equal(
        first.read((3, 3, 3), (40, 40, 40)).position, second.read((3, 3, 3), (40, 40, 40)).position
    )
    second.verify()
    other = RangeTable((Range(26, 28, (("Al", 1),)), Range(6, 8.5, (("Li", 1),))))
    assert ingest(renamed, ranges=other, out=tmp_path / "c.zarr").digest() != first.digest()


@pytest.mark.parametrize("kind", ["file", "folder", "store", "dangling link"])
def test_an_occupied_name_is_refused_untouched(source, tmp_path, kind):
    out = tmp_path / "out.zarr"
    if kind == "file":
        out.write_text("precious")
    elif kind == "folder":
        out.mkdir()
    elif kind == "store":
        ingest(source, ranges=TABLE, out=out)
    else:
        out.symlink_to(tmp_path / "nowhere")
    before = left(tmp_path)
    with pytest.raises(StoreError, match=r"stands at .*out\.zarr already"):
        ingest(source, ranges=TABLE, out=out)
    assert left(tmp_path) == before
    if kind == "store":
        open_store(out).verify()


def test_bad_input_leaves_nothing_behind(source, tmp_path):
    before = left(tmp_path)
    nothing = RangeTable((Range(100, 101, (("Al", 1),)),))
    message = r"none of the 30000 ions of a\.pos.*7 to 50 Da, the ranges from 100 to 101"
    with pytest.raises(RangingError, match=message):
        ingest(source, ranges=nothing, out=tmp_path / "a.zarr")
    with pytest.raises(FileFormatError, match=r"suffix '\.rrng'"):
        ingest(tmp_path / "a.rrng", ranges=TABLE, out=tmp_path / "a.zarr")
    with pytest.raises(FileFormatError, match="no POS file"):
        ingest(tmp_path / "none.pos", ranges=TABLE, out=tmp_path / "a.zarr")
    with pytest.raises(StoreError, match="There is no folder"):
        ingest(source, ranges=TABLE, out=tmp_path / "none" / "a.zarr")
    assert left(tmp_path) == before


def test_paths_may_be_relative(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = ingest("a.pos", ranges="a.rrng", out="a.zarr")
    assert (str(store.path), store.attrs["source"]["name"]) == ("a.zarr", "a.pos")
    assert left(tmp_path) == ["a.pos", "a.rrng", "a.zarr"]


def test_far_flung_ions_are_refused(tmp_path):
    write_pos(tmp_path / "a.pos", [[0, 0, 0], [9e5, 9e5, 9e5]], [27, 27])
    with pytest.raises(StoreError, match="span 900001 by 900001 by 900001 nm"):
        ingest(tmp_path / "a.pos", ranges=TABLE, out=tmp_path / "a.zarr")
    assert left(tmp_path) == ["a.pos"]


def test_an_absurd_density_is_refused(source, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST_BRICK", 5000)
    with pytest.raises(StoreError, match=r"ions in a cube of 16 nm.*Are the positions in nm"):
        ingest(source, ranges=TABLE, out=tmp_path / "a.zarr")
    assert left(tmp_path) == ["a.pos", "a.rrng"]


def spoil(source, rows):
    """Put a number that cannot be right into some ions."""
    record = np.fromfile(source, ">f4").reshape(-1, 4)
    for k, row in enumerate(rows):
        record[row, k % 4] = (np.nan, np.inf, -np.inf, 1e38)[k % 4]
    record.tofile(source)
    return np.delete(record, rows, axis=0)


def test_ions_that_cannot_be_right_are_refused_or_counted(source, tmp_path, monkeypatch):
    small_parts(monkeypatch, block_ions=1000, chunk_rows=2000)
    good = spoil(source, [5000, 5001, 17_000, 29_999, 20_000])
    with pytest.raises(FileFormatError, match=r"x of ion 5000 .*is nan nm"):
        ingest(source, ranges=TABLE, out=tmp_path / "a.zarr")
    assert left(tmp_path) == ["a.pos", "a.rrng"]
    store = ingest(source, ranges=TABLE, out=tmp_path / "a.zarr", on_bad="skip")
    attrs = store.attrs
    assert (attrs["n_read"], attrs["n_ions"], attrs["n_rejected"]) == (30_000, 29_995, 5)
    assert attrs["n_ranged"] + attrs["n_unranged"] + attrs["n_rejected"] == attrs["n_read"]
    store.verify()
    write_pos(tmp_path / "b.pos", good[:, :3], good[:, 3])
    clean = ingest(tmp_path / "b.pos", ranges=TABLE, out=tmp_path / "b.zarr")
    for name, values in arrays_of(clean).items():
        np.testing.assert_array_equal(arrays_of(store)[name], values)
    again = ingest(tmp_path / "a.zarr", ranges=TABLE, out=tmp_path / "c.zarr")
    assert again.digest() == store.digest() != clean.digest()


def test_a_file_of_nothing_but_bad_ions_is_refused(tmp_path):
    np.full((9, 4), np.nan, ">f4").tofile(tmp_path / "a.pos")
    with pytest.raises(FileFormatError, match="All 9 ions"):
        ingest(tmp_path / "a.pos", ranges=TABLE, out=tmp_path / "a.zarr", on_bad="skip")
    assert left(tmp_path) == ["a.pos"]


def test_columns_are_kept_unless_they_are_left_out(tmp_path):
    file = made_file(tmp_path, 3000, 8, ("tof_ns", "delta_pulse"))
    kept = ingest(file, ranges=TABLE, out=tmp_path / "a.zarr")
    assert kept.attrs["columns"] == ["tof_ns", "delta_pulse"]
    assert {"tof_ns", "delta_pulse"} < set(left(kept.path))
    bare = ingest(replace(file, columns=()), ranges=TABLE, out=tmp_path / "b.zarr")
    assert left(bare.path) == ["brick_offset", "cell_offset", "mass_to_charge", "positions", "species", "zarr.json"]
    assert bare.digest() != kept.digest()


def test_a_store_is_ranged_anew_without_its_source(tmp_path, monkeypatch):
    small_parts(monkeypatch, chunk_rows=500)
    file = made_file(tmp_path, 5000, 3, ("tof_ns", "det_x_mm"))
    first = ingest(file, ranges=TABLE, out=tmp_path / "a.zarr")
    direct = ingest(file, ranges=OTHER, out=tmp_path / "b.zarr")
    file.path.unlink()
    anew = ingest(tmp_path / "a.zarr", ranges=OTHER, out=tmp_path / "c.zarr")
    assert anew.digest() == direct.digest() != first.digest()
    assert anew.attrs["source"] == first.attrs["source"] == direct.attrs["source"]
    anew.verify()
    ingest(tmp_path / "c.zarr", ranges=TABLE, out=tmp_path / "d.zarr").verify()
    assert open_store(tmp_path / "d.zarr").digest() == first.digest()


def test_a_source_that_changes_meanwhile_is_refused(source, tmp_path, monkeypatch):
    small_parts(monkeypatch)
    record = np.fromfile(source, ">f4").reshape(-1, 4)

    for change in (np.nan, 1e5, record[100, 0]):
        other = record.copy()
        other[100, 0] = change

        def meddle(stage, done, total, unit, other=other):
            if (stage, done) == ("read", total):
                other.tofile(source)

        with pytest.raises(FileFormatError, match=r"a\.pos changed while it was read"):
            ingest(source, ranges=TABLE, out=tmp_path / "a.zarr", progress=meddle)
        assert left(tmp_path) == ["a.pos", "a.rrng"]
        record.tofile(source)


def test_a_source_that_changed_since_it_was_opened_is_refused(source, tmp_path):
    file = open_ions(source)
    about, record = source.stat(), np.fromfile(source, ">f4").reshape(-1, 4)
    record[:100].tofile(source)
    os.utime(source, ns=(about.st_atime_ns, about.st_mtime_ns))  # shorter, and as old as before
    with pytest.raises(FileFormatError, match=r"a\.pos changed while it was read, or since it was opened"):
        ingest(file, ranges=TABLE, out=tmp_path / "a.zarr")
    assert left(tmp_path) == ["a.pos", "a.rrng"]
    assert ingest(open_ions(source), ranges=TABLE, out=tmp_path / "a.zarr").n_ions == 100

    store = stored_ions(tmp_path / "a.zarr")
    shutil.rmtree(tmp_path / "a.zarr")
    record[:200].tofile(source)
    ingest(source, ranges=TABLE, out=tmp_path / "a.zarr")
    with pytest.raises(FileFormatError, match=r"point store file a\.zarr changed"):
        ingest(store, ranges=TABLE, out=tmp_path / "b.zarr")


def test_too_small_a_disk_is_refused_before_the_start(source, tmp_path, monkeypatch):
    usage = SimpleNamespace(free=29 * 30_000 - 1)
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: usage)
    with pytest.raises(StoreError, match=r"has 0\.00 GB free"):
        ingest(source, ranges=TABLE, out=tmp_path / "a.zarr")
    assert left(tmp_path) == ["a.pos", "a.rrng"]
    usage.free += 1
    ingest(source, ranges=TABLE, out=tmp_path / "a.zarr")


def test_one_ion_is_a_store(tmp_path):
    write_pos(tmp_path / "a.pos", [[-0.5, 0, 1e5]], [27])
    store = ingest(tmp_path / "a.pos", ranges=TABLE, out=tmp_path / "a.zarr")
    assert (store.n_ions, store.shape_cells, store.origin_nm) == (1, (1, 1, 1), (-1.0, 0.0, 1e5))
    store.verify()


def test_real_reconstruction(shared_data, tmp_path):
    si = shared_data / "si"
    store = ingest(si / "Si.pos", ranges=si / "Si.RRNG", out=tmp_path / "si.zarr")
    assert (store.n_ions, store.shape_cells) == (945_211, (41, 40, 76))
    original = np.fromfile(shared_data / "si" / "Si.pos", ">f4").reshape(-1, 4)
    expected = np.zeros(len(original), int)
    for r in store.ranges.ranges:
        mass = original[:, 3].astype("f8")
        expected[(mass >= r.low_da) & (mass < r.high_da)] = store.species_names.index(r.ion)
    assert list(store.species_counts().values()) == np.bincount(expected, minlength=9).tolist()
    store.verify()


def test_only_whole_shards_are_written(tmp_path):
    create_array(tmp_path, "a", shape=(10,), dtype="uint8", chunk=(2,), shard_chunks=2)
    for start, n, dtype in ((1, 3, "u1"), (0, 3, "u1"), (4, 2, "u1"), (4, 4, "u2")):
        with pytest.raises(ValueError, match="no whole shards of 4 rows"):
            write_rows(tmp_path, "a", start, np.zeros(n, dtype))
    write_rows(tmp_path, "a", 0, np.zeros(4, "u1"))  # zeros are written too
    assert (tmp_path / "a" / "c.0").exists()
    assert stored_rows(tmp_path, "a", 0, 10).tolist() == 10 * [0]
    (tmp_path / "a" / "c.0").write_bytes(b"x")
    assert stored_rows(tmp_path, "a", 0, 4) is None


def test_an_ion_a_hair_below_a_brick_is_stored(tmp_path):
    write_pos(tmp_path / "a.pos", [[-16, 0, 0], [-1e-30, 0, 0], [0, 0, 0]], [27, 27, 27])
    store = ingest(tmp_path / "a.pos", ranges=TABLE, out=tmp_path / "a.zarr")
    assert store.n_ions == 3
    store.verify()
    assert len(store.query(Box((-17, -1, -1), (1, 1, 1)))) == 3


@pytest.mark.parametrize("value", [np.nan, np.inf, 2e6])
def test_columns_that_cannot_be_right_are_refused_or_left_out(value, tmp_path):
    records = np.ones(5, EPOS)
    records["mass_to_charge"], records["x"], records["tof_ns"][3] = 27, np.arange(5), value
    (tmp_path / "a.epos").write_bytes(records.tobytes())
    with pytest.raises(FileFormatError, match="tof_ns of ion 3"):
        ingest(tmp_path / "a.epos", ranges=TABLE, out=tmp_path / "a.zarr")
    store = ingest(tmp_path / "a.epos", ranges=TABLE, out=tmp_path / "a.zarr", on_bad="skip")
    assert (store.n_ions, store.attrs["n_rejected"], store.attrs["n_read"]) == (4, 1, 5)
    assert store.read((0, 0, 0), store.shape_cells).position[:, 0].tolist() == [0, 1, 2, 4]
    store.verify()
