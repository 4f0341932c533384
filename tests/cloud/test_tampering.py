"""A point store that was damaged or altered says so: its chunks, its descriptions, its manifest."""

from __future__ import annotations

import json
import shutil

import pytest

from aptstream.cloud import open_store
from aptstream.errors import StoreError
from aptstream.io.seal import sealed

NAMES = ("positions", "species", "mass_to_charge", "brick_offset", "cell_offset")


@pytest.fixture
def copy(made_store, tmp_path):
    return shutil.copytree(made_store.path, tmp_path / "copy.zarr")


def chunk_files(folder, name):
    return sorted(path for path in (folder / name).iterdir() if path.name.startswith("c."))


def use_all(path):
    """What any user of a store would do."""
    store = open_store(path)
    store.verify()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("where", [0.0, 0.3, 0.77, 1.0])
def test_a_flipped_bit_is_named(copy, name, where):
    (file,) = chunk_files(copy, name)
    data = bytearray(file.read_bytes())
    data[int(where * (len(data) - 1))] ^= 8
    file.write_bytes(data)
    with pytest.raises(StoreError, match=f"array '{name}'"):
        use_all(copy)


@pytest.mark.parametrize("name", NAMES)
def test_a_lost_or_foreign_chunk_is_named(copy, made_store, name):
    (file,) = chunk_files(copy, name)
    data = file.read_bytes()
    for content in (b"", data[:-1], data[: len(data) // 2], data + b"\0"):
        file.write_bytes(content)
        with pytest.raises(StoreError, match=f"array '{name}'"):
            use_all(copy)
    file.unlink()
    with pytest.raises(StoreError, match=f"array '{name}' lacks its chunk file c.0"):
        open_store(copy)
    file.symlink_to(made_store.path / name / file.name)
    with pytest.raises(StoreError, match=f"array '{name}' has a symbolic link"):
        open_store(copy)
    shutil.rmtree(copy / name)
    with pytest.raises(StoreError, match=f"array '{name}'"):
        open_store(copy)
    (copy / name).symlink_to(made_store.path / name)
    with pytest.raises(StoreError, match=f"array '{name}'"):
        open_store(copy)


def test_a_chunk_lost_after_opening_is_not_read_as_zeros(copy):
    opened = open_store(copy)
    chunk_files(copy, "positions")[0].unlink()
    with pytest.raises(StoreError, match="array 'positions' has lost its chunk file"):
        opened.read((30, 0, 0), (35, 9, 9))


ARRAY_LIES = [
    (("shape",), [1, 3]),
    (("data_type",), "float64"),
    (("node_type",), "group"),
    (("zarr_format",), 2),
    (("fill_value",), 1.0),
    (("codecs",), []),
    (("codecs", 0, "name"), "zstd"),
    (("codecs", 0, "configuration", "chunk_shape"), [1 << 40, 3]),
    (("codecs", 0, "configuration", "chunk_shape"), [0, 3]),
    (("codecs", 0, "configuration", "chunk_shape"), [7, 3]),
    (("codecs", 0, "configuration", "chunk_shape"), "all"),
    (("codecs", 0, "configuration", "codecs"), [{"name": "bytes"}]),
    (("codecs", 0, "configuration", "codecs", 0, "configuration", "endian"), "big"),
    (("codecs", 0, "configuration", "codecs", 1, "name"), "gzip"),
    (("codecs", 0, "configuration", "index_codecs", 1, "name"), "bytes"),
    (("chunk_grid", "name"), "rectilinear"),
    (("chunk_grid", "configuration", "chunk_shape"), [1 << 62, 3]),
    (("chunk_key_encoding", "name"), "v2"),
    (("storage_transformers",), [{"name": "x"}]),
]


def tamper(file, keys, value):
    content = json.loads(file.read_text())
    at = content
    for key in keys[:-1]:
        at = at[key]
    at[keys[-1]] = value
    return content


@pytest.mark.parametrize(("keys", "value"), ARRAY_LIES)
def test_a_description_that_lies_is_refused(copy, keys, value):
    file = copy / "positions" / "zarr.json"
    file.write_text(json.dumps(tamper(file, keys, value)))
    with pytest.raises(StoreError, match="array 'positions'"):
        open_store(copy)


LIES = {
    "format": ["other", None, 1],
    "format_version": [1, "2", True, None],
    "n_ions": [0, -1, 1.5, "many", True, 10**30],
    "n_ranged": [0, 10**9, None],
    "n_read": [1],
    "n_unranged": [1],
    "n_rejected": [1, -1, None, True],
    "columns": [["tof_ns"], ["../x"], ["dc_v", "tof_ns"], "tof_ns", None, [["tof_ns"]]],
    "species": [[], ["unranged"], ["unranged", "Li", "Al"], "Al"],
    "ranges": [[], [[1, 2]], [[2, 1, [["Al", 1]], 0, ""]], "x", [[1, 2, [["Al", -1]], 0, ""]], None],
    "origin_nm": [[0, 0], [0.5, 0, 0], [0, 0, 1e300], ["a", 0, 0], [True, 0, 0], None],
    "shape_cells": [[0, 1, 1], [1 << 20] * 3, [1, 1], [37, 26, 33.0], [1, 1, 1], [-1, -1, 1]],
    "brick_nm": [8.0, 0, None],
    "cell_nm": [2.0],
    "pole": [[0, 0], [0, 0, "z"], None],
    "content_digest": [None, "00", 5],
}


@pytest.mark.parametrize("key", LIES)
@pytest.mark.parametrize("under_seal", [False, True])
def test_attributes_that_lie_are_refused(copy, key, under_seal):
    file = copy / "zarr.json"
    original = file.read_text()
    for value in LIES[key]:
        file.write_text(original)
        content = tamper(file, ["attributes", key], value)
        if under_seal:
            content["attributes"].pop("manifest_sha256")
            content["attributes"] = sealed(content["attributes"])
        file.write_text(json.dumps(content))
        with pytest.raises(StoreError, match=r"[Ee]xpected"):
            open_store(copy)


@pytest.mark.parametrize("key", ["origin_nm", "pole", "source", "software", "manifest_sha256", "content_digest"])
def test_any_other_change_breaks_the_seal(copy, key):
    file = copy / "zarr.json"
    values = {"origin_nm": [0.0, 0.0, 0.0], "pole": [1.0, 0.0, 0.0], "content_digest": 64 * "0"}
    file.write_text(json.dumps(tamper(file, ["attributes", key], values.get(key, "changed"))))
    with pytest.raises(StoreError, match="not those that it was written with"):
        open_store(copy)


def test_a_sealed_lie_does_not_survive_verification(copy):
    file = copy / "zarr.json"
    content = json.loads(file.read_text())
    for key, value in (
        ("origin_nm", [-21.0, 3.0, -35.0]),
        ("content_digest", 64 * "0"),
        ("pole", [1.0, 0.0, 0.0]),
    ):
        attributes = {**content["attributes"], key: value}
        attributes.pop("manifest_sha256")
        file.write_text(json.dumps({**content, "attributes": sealed(attributes)}))
        with pytest.raises(StoreError, match=r"cells|SHA-256"):
            open_store(copy).verify()


@pytest.mark.parametrize("content", ["", "[]", "{", "null", "[" * 100_000, '{"zarr_format": 3}', "\xff"])
def test_a_manifest_that_is_none(copy, content):
    (copy / "zarr.json").write_text(content, encoding="latin-1")
    with pytest.raises(StoreError, match="damaged or of another kind"):
        open_store(copy)
    (copy / "zarr.json").unlink()
    with pytest.raises(StoreError, match="manifest has no zarr"):
        open_store(copy)


def test_no_store_at_all(tmp_path):
    with pytest.raises(StoreError, match="There is no point store"):
        open_store(tmp_path / "none.zarr")
