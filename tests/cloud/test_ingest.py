"""Ingest: no ion is lost, and what goes wrong leaves nothing behind."""

from __future__ import annotations

import hashlib
import sys

import numpy as np
import pytest

from aptstream.cloud import ingest, open_store
from aptstream.errors import FileFormatError, RangingError, StoreError
from aptstream.io import IonFile, write_pos, write_rrng
from aptstream.points import Range, RangeTable

# The package shows the function under the name of its module.
module = sys.modules["aptstream.cloud.ingest"]
TABLE = RangeTable((Range(26, 28, (("Al", 1),)), Range(6, 8, (("Li", 1),))))


@pytest.fixture
def source(tmp_path):
    rng = np.random.default_rng(2)
    n = 30_000
    position = rng.normal(0, 9, (n, 3)).astype("f4")
    write_pos(tmp_path / "a.pos", position, rng.choice([7, 27, 50], n))
    write_rrng(tmp_path / "a.rrng", TABLE)
    return tmp_path / "a.pos"


def left(folder):
    return sorted(path.name for path in folder.iterdir())


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
    digest = hashlib.sha256((tmp_path / "a.rrng").read_bytes()).hexdigest()
    assert store.attrs["range_file"] == {"name": "a.rrng", "sha256": digest}
    assert [state for state in told if state[1] == state[2]] == [
        (stage, 30_000, 30_000, "ions") for stage in ("read", "sort", "write")
    ]
    assert left(tmp_path) == ["a.pos", "a.rrng", "a.zarr"]


def test_content_has_one_digest_whatever_the_blocks_and_names(source, tmp_path, monkeypatch):
    first = ingest(source, ranges=TABLE, out=tmp_path / "a.zarr")
    blocks = IonFile.blocks
    monkeypatch.setattr(IonFile, "blocks", lambda file: blocks(file, rows=777))
    monkeypatch.setattr(module, "_CHUNK_ROWS", 1000)
    monkeypatch.setattr(module, "_SHARD_CHUNKS", 3)
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


def test_far_flung_ions_are_refused(tmp_path):
    write_pos(tmp_path / "a.pos", [[0, 0, 0], [9e5, 9e5, 9e5]], [27, 27])
    with pytest.raises(StoreError, match="span 900001 by 900001 by 900001 nm"):
        ingest(tmp_path / "a.pos", ranges=TABLE, out=tmp_path / "a.zarr")
    assert left(tmp_path) == ["a.pos"]


@pytest.mark.parametrize("step", ["create_array", "content_digest", "_write_group", "_sync_tree"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_at_any_step_leaves_nothing_behind(source, tmp_path, monkeypatch, step, error):
    def fail(*_args, **_kwargs):
        raise error

    monkeypatch.setattr(module, step, fail)
    before = left(tmp_path)
    with pytest.raises((StoreError, KeyboardInterrupt)) as caught:
        ingest(source, ranges=TABLE, out=tmp_path / "a.zarr")
    if isinstance(error, OSError):
        assert "No space left on device" in str(caught.value)
    assert left(tmp_path) == before


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
