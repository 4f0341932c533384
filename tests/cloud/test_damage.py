"""Whatever happens to the files of a store is noticed, and named, or changes nothing."""

from __future__ import annotations

import re
import shutil

import google_crc32c
import numpy as np
import pytest
from examples import examples
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from smallstore import rewrite

from aptstream.cloud import open_store
from aptstream.errors import StoreError
from aptstream.io.arrays import CheckedArray, create_array
from aptstream.io.folder import LocalFolder

PER_ION = ("positions", "species", "mass_to_charge", "tof_ns", "delta_pulse")


@pytest.fixture
def copy(small_store, tmp_path):
    return shutil.copytree(small_store.path, tmp_path / "copy.zarr")


def files_of(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def shards(folder, name):
    return sorted((folder / name).glob("c.*"), key=lambda path: [int(i) for i in path.name.split(".")[1:]])


def detected_or_harmless(folder, original):
    """Whether the damage was noticed; else everything must read as before."""
    try:
        store = open_store(folder)
        store.verify()
    except StoreError:
        return True
    assert store.manifest == original.manifest
    assert dict(store.attrs) == dict(original.attrs)
    for name, array in original.arrays.items():
        np.testing.assert_array_equal(store.arrays[name][:], array[:], name)
    return False


def test_it_has_many_files_and_is_whole(small_store):
    assert {len(shards(small_store.path, name)) for name in PER_ION} == {6}
    assert len(shards(small_store.path, "cell_offset")) == 3
    small_store.verify()


@given(data=st.data())
@examples(50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_change_of_a_byte_is_detected_or_harmless(small_store, copy, data):
    file = copy / data.draw(st.sampled_from(files_of(copy)))
    content = file.read_bytes()
    at, change = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(1, 255))
    file.write_bytes(content[:at] + bytes([content[at] ^ change]) + content[at + 1 :])
    try:
        noticed = detected_or_harmless(copy, small_store)
    finally:
        file.write_bytes(content)
    # Every byte of a shard counts: its chunks and its index are under a checksum, and nothing lies between them.
    assert noticed or file.name == "zarr.json"


@pytest.mark.slow
def test_every_bit_of_a_shard_and_of_the_manifest_counts(small_store, copy):
    for file in (shards(copy, "species")[0], shards(copy, "brick_offset")[0], copy / "zarr.json"):
        content = file.read_bytes()
        for at in range(len(content)):
            file.write_bytes(content[:at] + bytes([content[at] ^ (1 << at % 8)]) + content[at + 1 :])
            assert detected_or_harmless(copy, small_store) or file.name == "zarr.json"
        file.write_bytes(content)


@given(data=st.data())
@examples(30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_cut_file_is_detected(small_store, copy, data):
    file = copy / data.draw(st.sampled_from(files_of(copy)))
    content = file.read_bytes()
    file.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    try:
        assert detected_or_harmless(copy, small_store)
    finally:
        file.write_bytes(content)


@pytest.mark.parametrize("name", PER_ION)
def test_shards_in_each_others_place_are_detected(small_store, copy, name):
    first, second, *_ = shards(copy, name)
    content, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(content)
    assert detected_or_harmless(copy, small_store)
    second.write_bytes(other)
    assert detected_or_harmless(copy, small_store)


def test_ions_whose_mass_and_species_disagree_are_named(small_store, copy):
    first, second, *_ = shards(copy, "mass_to_charge")
    first.write_bytes(second.read_bytes())
    with pytest.raises(StoreError, match="'species' and array 'mass_to_charge' contradict each other from row "):
        open_store(copy).verify()


def swap_far_ions(values):
    values["positions"][[0, -1]] = values["positions"][[-1, 0]]


def leave_the_brick(values):
    values["positions"][5, 0] -= 16


def name_an_unknown_species(values):
    values["species"][7] = 9


def range_what_was_not(values):
    row = np.flatnonzero(values["species"] == 0)[0]
    values["species"][row], values["mass_to_charge"][row] = 1, 27


def shift_a_cell(values):
    counts = np.diff(values["cell_offset"][0])
    values["cell_offset"][0, counts.argmax() + 1] -= 1


def leave_the_lattice(values):
    values["cell_offset"][2] = np.where(np.arange(4097) < 4096, 0, values["cell_offset"][2, -1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (swap_far_ions, "array 'positions' has ions outside their cells in brick 0"),
        (leave_the_brick, "array 'positions' has ions outside their cells in brick 0"),
        (name_an_unknown_species, "array 'species' holds an unknown index"),
        (range_what_was_not, "ions are unranged, which is not what it promises"),
        (shift_a_cell, "array 'positions' has ions outside their cells in brick 0"),
        (leave_the_lattice, "array 'cell_offset' has ions outside the lattice in brick 2"),
    ],
)
def test_a_store_that_contradicts_itself_is_wrong_under_any_checksum(made_store, tmp_path, change, message):
    with pytest.raises(StoreError, match=message):
        rewrite(made_store, tmp_path / "a.zarr", change=change).verify()


def test_a_shard_of_another_array_is_detected(small_store, copy):
    shutil.copy(shards(copy, "tof_ns")[0], shards(copy, "delta_pulse")[0])
    assert detected_or_harmless(copy, small_store)


def test_every_damaged_file_is_named_at_once(copy):
    broken = [shards(copy, "positions")[1], shards(copy, "positions")[4], shards(copy, "delta_pulse")[0]]
    for file in broken:
        content = bytearray(file.read_bytes())
        content[3] ^= 1
        file.write_bytes(content)
    with pytest.raises(StoreError, match="3 of its files") as caught:
        open_store(copy).verify()
    named = re.findall(r"array '(\w+)' in its chunk file ([c.0-9]+) ", str(caught.value))
    assert named == [("delta_pulse", "c.0"), ("positions", "c.1.0"), ("positions", "c.4.0")]


def test_what_is_not_damaged_can_still_be_read(small_store, copy):
    shards(copy, "positions")[5].write_bytes(bytes(shards(copy, "positions")[5].stat().st_size))
    store = open_store(copy)
    np.testing.assert_array_equal(store.arrays["positions"][:128], small_store.arrays["positions"][:128])
    with pytest.raises(StoreError, match=r"array 'positions' .* its chunk file c.5.0"):
        store.arrays["positions"][:]


def test_a_chunk_that_was_never_written_is_not_read_as_zeros(tmp_path):
    array = create_array(tmp_path, "a", shape=(50,), dtype="float32", chunk=(8,), shard_chunks=4)
    array[:8], array[32:] = 1, 1
    found = CheckedArray(tmp_path, "a", shape=(50,), dtype="float32")
    assert (found[32:] == 1).all()  # the last shard ends before its fourth chunk, which nobody wrote
    for part in (slice(0, 4), slice(0, 32), slice(None)):
        with pytest.raises(StoreError, match=r"array 'a' lacks chunks in its chunk file c.0"):
            found[part]


def test_a_chunk_that_unpacks_to_more_is_refused_before_it_is_unpacked(tmp_path):
    array = create_array(tmp_path, "a", shape=(64,), dtype="float32", chunk=(8,), shard_chunks=8)
    array[:] = np.arange(64)
    (file,) = (tmp_path / "a").glob("c.*")
    content = bytearray(file.read_bytes())
    index = np.frombuffer(bytes(content[-(8 * 16 + 4) : -4]), "<u8").reshape(8, 2)
    start, length = index[3].tolist()
    content[start + 4 : start + 8] = (1 << 30).to_bytes(4, "little")
    checksum = google_crc32c.value(bytes(content[start : start + length - 4]))
    content[start + length - 4 : start + length] = checksum.to_bytes(4, "little")
    file.write_bytes(content)
    found = CheckedArray(tmp_path, "a", shape=(64,), dtype="float32")
    np.testing.assert_array_equal(found[:8], np.arange(8))
    for part in (slice(24, 32), slice(20, 50), slice(None)):
        with pytest.raises(StoreError, match=r"array 'a' has a chunk of another size in its chunk file c.0"):
            found[part]


def test_what_fails_while_chunks_are_read_at_once_is_named_too(small_store, monkeypatch):
    array = open_store(small_store.path).arrays["positions"]
    read = LocalFolder.read
    sizes = array.files

    def loses_chunks(self, key, start=0, stop=None):
        found = read(self, key, start, stop)
        return found if stop == sizes[key] else found[:-1]

    monkeypatch.setattr(LocalFolder, "read", loses_chunks)
    with pytest.raises(StoreError, match=r"array 'positions' has lost its chunk file c.1.0, or its end"):
        array[200:300]


def test_a_file_that_grew_beyond_reason_is_refused_before_it_is_read(copy):
    with shards(copy, "species")[0].open("r+b") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(StoreError, match=r"has a chunk file c.0 of 1099511627776 bytes.*at most"):
        open_store(copy)


def test_a_file_that_shrinks_after_opening_is_noticed(copy):
    store = open_store(copy)
    file = shards(copy, "positions")[0]
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(StoreError, match=r"array 'positions' has lost its chunk file c.0.0, or its end"):
        store.read((0, 0, 0), store.shape_cells)
    file.write_bytes(b"")
    with pytest.raises(StoreError, match=r"array 'positions' has lost its chunk file c.0.0, or its end"):
        store.read((0, 0, 0), store.shape_cells)


def test_a_link_to_its_own_content_is_still_no_file_of_the_store(small_store, copy):
    file = copy / "positions" / "zarr.json"
    file.unlink()
    file.symlink_to(small_store.path / "positions" / "zarr.json")
    with pytest.raises(StoreError, match=r"array 'positions' has no zarr.json of its own"):
        open_store(copy)


def test_verification_tells_how_far_it_is(small_store):
    told = []
    small_store.verify(lambda *args: told.append(args))
    by_stage = {stage: [row[1:] for row in told if row[0] == stage] for stage in ("read", "check")}
    assert len(told) == sum(map(len, by_stage.values()))
    n_bytes = sum(array[:].nbytes for array in small_store.arrays.values())
    assert by_stage["read"][-1] == (n_bytes, n_bytes, "bytes")
    assert by_stage["check"][-1] == (small_store.n_ions, small_store.n_ions, "ions")
