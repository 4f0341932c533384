"""A store in an object store is the same store: what is read, what is noticed, what is refused."""

from __future__ import annotations

import pickle
import sys

import fsspec
import numpy as np
import pytest
from fsspec.registry import _registry
from smallstore import rewrite

from aptstream.cloud import Selection, export_ions, open_store, publish
from aptstream.errors import MissingPackageError, StoreError
from aptstream.io import read_ions
from aptstream.io.folder import LocalFolder, RemoteFolder, folder_of, is_url
from aptstream.regions import Box, Sphere
from aptstream.verification import verify

KINDS = ["memory", pytest.param("s3", marks=pytest.mark.cluster), "file"]


@pytest.fixture(params=KINDS)
def place(request, tmp_path):
    """URL of a folder that is empty."""
    if request.param == "file":
        return f"file://{tmp_path}"
    if request.param == "memory":
        files = fsspec.filesystem("memory")
        files.store.clear()
        files.pseudo_dirs[:] = [""]
        return "memory://specimens"
    url = request.getfixturevalue("s3_bucket")
    files = fsspec.filesystem("s3")
    files.invalidate_cache()
    for found in files.find("specimens"):
        files.rm_file(found)
    return url


def files_at(url):
    files, root = fsspec.core.url_to_fs(url)
    files.invalidate_cache()
    return files, root


def test_a_published_store_is_the_same(small_store, place):
    told = []
    url = f"{place}/a.zarr"
    store = publish(small_store, url, progress=lambda *args: told.append(args))
    assert store.digest() == small_store.digest()
    assert told[-1][0] == "copy"
    assert told[-1][1] == told[-1][2] > 0
    store.verify()
    everything = small_store.read((0, 0, 0), small_store.shape_cells)
    for region in (Box((-5, 3, -30), (9, 15, -10)), Sphere((0, 10, -22), 6)):
        here, there = small_store.query(region), store.query(region)
        np.testing.assert_array_equal(there.position, here.position)
        assert 0 < len(here) < len(everything)


def test_it_travels_as_its_url(small_store, place):
    store = publish(small_store, f"{place}/a.zarr")
    again = pickle.loads(pickle.dumps(store))
    assert again.address == store.address
    assert again.digest() == small_store.digest()
    if place.startswith("file"):
        assert store.path.is_dir()
    else:
        with pytest.raises(StoreError, match="no folder on this disk"):
            _ = store.path


def test_it_comes_back_to_the_disk(small_store, place, tmp_path):
    there = publish(small_store, f"{place}/a.zarr")
    back = publish(there, tmp_path / "back.zarr")
    back.verify()
    for path in small_store.path.rglob("*"):
        if path.is_file():
            assert (back.path / path.relative_to(small_store.path)).read_bytes() == path.read_bytes()
    export_ions(there, tmp_path / "a.pos", Selection(Box((-5, 3, -30), (9, 15, -10))))
    assert 0 < len(read_ions(tmp_path / "a.pos")[1]) < small_store.n_ions


@pytest.mark.parametrize("kind", ["memory", pytest.param("s3", marks=pytest.mark.cluster)])
def test_damage_is_named_there_too(small_store, kind, request, tmp_path):
    place = "memory://damage" if kind == "memory" else request.getfixturevalue("s3_bucket")
    url = f"{place}/damage.zarr"
    publish(small_store, url)
    opened = open_store(url)
    files, root = files_at(url)
    whole = files.cat_file(f"{root}/positions/c.2.0")

    files.pipe_file(f"{root}/positions/c.2.0", whole[:9] + bytes([whole[9] ^ 4]) + whole[10:])
    with pytest.raises(StoreError, match=r"array 'positions' in its chunk file c.2.0"):
        verify(url)
    files.pipe_file(f"{root}/positions/c.2.0", whole[:-5])
    with pytest.raises(StoreError, match="array 'positions'"):
        verify(url)
    files.pipe_file(f"{root}/positions/c.2.0", b"")
    with pytest.raises(StoreError, match=r"array 'positions' has lost the end of its chunk file c.2.0"):
        open_store(url)
    files.rm_file(f"{root}/positions/c.2.0")
    with pytest.raises(StoreError, match=r"array 'positions' lacks its chunk file c.2.0"):
        open_store(url)
    with pytest.raises(StoreError, match=r"array 'positions' has lost its chunk file c.2.0"):
        opened.read((0, 0, 0), opened.shape_cells)
    files.pipe_file(f"{root}/positions/c.2.0", whole)
    verify(url)
    files.rm_file(f"{root}/zarr.json")
    with pytest.raises(StoreError, match=r"manifest has no zarr.json"):
        open_store(url)


def test_no_store_there(place):
    with pytest.raises(StoreError, match="There is no point store"):
        open_store(f"{place}/none.zarr")


def test_half_a_copy_is_no_store_and_a_second_try_completes_it(small_store, place, monkeypatch):
    url = f"{place}/half.zarr"
    folder = type(folder_of(url))
    write, written = folder.write, []

    def breaks(self, key, blocks):
        written.append(key)
        if len(written) == 9:
            raise OSError(28, "No space left on device")
        write(self, key, blocks)

    with monkeypatch.context() as patch:
        patch.setattr(folder, "write", breaks)
        with pytest.raises(StoreError, match=r"could not be copied to .*No space left"):
            publish(small_store, url)
    assert len(written) == 9
    with pytest.raises(StoreError):
        open_store(url)
    publish(small_store, url).verify()


def test_the_manifest_is_written_last(small_store, place, monkeypatch):
    url = f"{place}/order.zarr"
    folder, written = type(folder_of(url)), []
    write = folder.write
    monkeypatch.setattr(folder, "write", lambda self, key, blocks: (written.append(key), write(self, key, blocks)))
    publish(small_store, url)
    assert written.index("zarr.json") == len(written) - 1
    assert len(set(written)) == len(written) == sum(path.is_file() for path in small_store.path.rglob("*"))


def test_what_stands_there_stays(small_store, place):
    publish(small_store, f"{place}/a.zarr")
    with pytest.raises(StoreError, match="Something stands at"):
        publish(small_store, f"{place}/a.zarr")
    files, root = fsspec.core.url_to_fs(f"{place}/b.zarr")
    files.makedirs(root, exist_ok=True)
    files.pipe_file(f"{root}/precious.txt", b"mine")
    with pytest.raises(StoreError, match="Something stands at"):
        publish(small_store, f"{place}/b.zarr")
    assert files.cat_file(f"{root}/precious.txt") == b"mine"


def test_only_the_chunks_that_are_needed_are_read(made_store, tmp_path, monkeypatch):
    one_shard = rewrite(made_store, tmp_path / "a.zarr", chunk_rows=32, shard_chunks=1000)
    store = publish(one_shard, "memory://partial/a.zarr")
    ((key, whole),) = ((key, size) for key, size in store.arrays["positions"].files.items() if "c." in key)
    read, asked = RemoteFolder.read, []

    def counted(self, key, start=0, stop=None):
        found = read(self, key, start, stop)
        asked.append((key, len(found)))
        return found

    monkeypatch.setattr(RemoteFolder, "read", counted)
    cloud = store.read((0, 0, 0), (4, 8, 8), columns=())
    assert len(cloud) > 0
    assert {key.split("/")[0] for key, _ in asked} == {"positions", "species", "cell_offset"}
    assert sum(size for asked_key, size in asked if asked_key == key) < whole / 4


def test_a_url_that_nobody_knows():
    with pytest.raises(StoreError, match=r"nosuch://a cannot be reached.*nosuch"):
        open_store("nosuch://a")


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(_registry, "s3", raising=False)
    with pytest.raises(MissingPackageError, match=r"s3fs.*aptstream\[cloud\]"):
        open_store("s3://bucket/a.zarr")


def test_addresses(tmp_path, monkeypatch):
    assert folder_of(f"file://{tmp_path}/a%20b") == LocalFolder(tmp_path / "a b")
    assert folder_of("s3://bucket/a.zarr/").address == "s3://bucket/a.zarr"
    assert not is_url(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert folder_of("a.zarr").address == str(tmp_path / "a.zarr")
