"""The grid on disk: whole, unchanged, or refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from aptstream.errors import StoreError
from aptstream.grid import Answer, Cut, export_npz, find, find_precipitates, open_grid, save_grid, vote
from aptstream.grid import files as grid_files
from aptstream.grid.composition import Composition
from aptstream.grid.measures import Measures
from aptstream.grid.statistics import particle_statistics
from aptstream.io.seal import sealed

ORIGIN = (-7.0, 0.0, 12.0)


@pytest.fixture(scope="module")
def answer():
    """More voxels on an axis than a chunk has, and some without a judgement."""
    rng = np.random.default_rng(2)
    p = rng.random((70, 9, 66), dtype=np.float32)
    p[rng.random(p.shape) < 0.3] = np.nan
    p[:20] = np.nan
    votes = vote(p, 4, ORIGIN)
    order = vote(p, 2, ORIGIN).mean
    found = find_precipitates(order, cut=0.6, min_voxels=3, origin_nm=ORIGIN)
    told, n = particle_statistics(found, order, rng, n_draws=2), len(found)
    nothing, column = Composition({}, {}), np.full(n, np.nan)
    none = Measures(column, column, np.full((n, 3), np.nan), np.full((n, 3, 3), np.nan), column, *[nothing] * 4, 0.0)
    return Answer(votes, order, found, none, told, "order ≥ 0.6")


@pytest.fixture(scope="module")
def saved(answer, tmp_path_factory):
    return save_grid(tmp_path_factory.mktemp("grid") / "grid.zarr", answer)


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "copy.zarr")


def test_a_grid_comes_back_as_it_was(answer, saved):
    grid = open_grid(saved)
    for found, expected in (
        (grid.order, answer.order),
        (grid.votes.total, answer.votes.total),
        (grid.votes.count, answer.votes.count),
        (grid.votes.mean, answer.votes.mean),
        (grid.labels, answer.found.labels),
    ):
        np.testing.assert_array_equal(found, expected)
        assert found.dtype == expected.dtype
    assert grid.cut is None
    assert (grid.votes.origin_nm, grid.votes.voxel_nm, grid.votes.cube_voxels) == (ORIGIN, 1.0, 4)


def test_a_grid_is_found_in_its_output_folder_too(saved):
    assert open_grid(saved.parent).digest == open_grid(saved).digest


def test_the_digest_is_of_the_content_and_not_of_the_folder(answer, saved, copy, tmp_path):
    again = save_grid(tmp_path / "again.zarr", answer)
    assert open_grid(again).digest == open_grid(copy).digest == open_grid(saved).digest


def test_another_value_or_place_gives_another_digest(answer, saved, tmp_path):
    labels = answer.found.labels.copy()
    labels[0, 0, 0] = 1
    changed = (
        replace(answer, found=replace(answer.found, labels=labels)),
        replace(answer, votes=replace(answer.votes, origin_nm=(-7.0, 0.0, 13.0))),
        replace(answer, votes=replace(answer.votes, cube_voxels=3)),
    )
    digests = {open_grid(save_grid(tmp_path / f"{k}.zarr", other)).digest for k, other in enumerate(changed)}
    assert len(digests | {open_grid(saved).digest}) == 4


def test_an_export_holds_what_scripts_rely_on(answer, saved, tmp_path):
    export_npz(open_grid(saved), tmp_path / "grid.npz")
    with np.load(tmp_path / "grid.npz") as file:
        assert set(file.files) == {"order", "total", "count", "labels", "origin_nm", "voxel_nm"}
        np.testing.assert_array_equal(file["order"], answer.order)
        np.testing.assert_array_equal(file["total"], answer.votes.total)
        np.testing.assert_array_equal(file["count"], answer.votes.count)
        np.testing.assert_array_equal(file["labels"], answer.found.labels)
        assert file["origin_nm"].tolist() == list(ORIGIN)
        assert file["voxel_nm"] == 1.0
    assert [path.name for path in tmp_path.iterdir()] == ["grid.npz"]


def test_something_that_stands_there_is_not_touched(answer, tmp_path):
    (tmp_path / "grid.zarr").mkdir()
    (tmp_path / "grid.zarr" / "precious").write_text("x")
    with pytest.raises(StoreError, match=r"grid\.zarr exists"):
        save_grid(tmp_path / "grid.zarr", answer)
    assert [path.name for path in tmp_path.rglob("*")] == ["grid.zarr", "precious"]


def test_nothing_is_left_behind_when_writing_fails(answer, tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(grid_files, "sealed", full)
    with pytest.raises(OSError, match="No space left"):
        save_grid(tmp_path / "grid.zarr", answer)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["order", "total", "count", "labels"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_a_flipped_byte_in_any_array_is_noticed(name, share, copy):
    chunk = sorted((copy / name).glob("c.*"))[-1]
    content = bytearray(chunk.read_bytes())
    content[int(share * len(content))] ^= 0x01
    chunk.write_bytes(content)
    with pytest.raises(StoreError, match=f"array '{name}'"):
        open_grid(copy)


@pytest.mark.parametrize("name", ["order", "total", "count", "labels"])
def test_a_lost_chunk_is_noticed(name, copy):
    next((copy / name).glob("c.*")).unlink()
    with pytest.raises(StoreError, match=f"array '{name}' lacks its chunk"):
        open_grid(copy)


@pytest.mark.parametrize(
    "change",
    [{"origin_nm": [0.0, 0.0, 0.0]}, {"voxel_nm": 0.5}, {"cube_voxels": 2}, {"shape": [9, 70, 66]}],
)
def test_attributes_changed_by_hand_are_noticed(change, copy):
    group = json.loads((copy / "zarr.json").read_text())
    group["attributes"].update(change)
    (copy / "zarr.json").write_text(json.dumps(group))
    with pytest.raises(StoreError, match="not those that it was written with"):
        open_grid(copy)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [70, 9, 67]},
        {"shape": [70, 9]},
        {"shape": [70, 9, 10**400]},
        {"shape": None},
        {"origin_nm": [1, 2]},
        {"origin_nm": ["a", 0, 0]},
        {"origin_nm": [10**400, 0, 0]},
        {"voxel_nm": None},
        {"cube_voxels": "four"},
    ],
)
def test_attributes_that_cannot_be_right_are_refused_even_under_a_seal(change, copy):
    group = json.loads((copy / "zarr.json").read_text())
    attributes = {k: v for k, v in group["attributes"].items() if k != "manifest_sha256"}
    (copy / "zarr.json").write_text(json.dumps({**group, "attributes": sealed({**attributes, **change})}))
    with pytest.raises(StoreError, match="damaged"):
        open_grid(copy)


def test_another_kind_of_store_is_named(specimen_store, specimen_scan):
    for other in (specimen_store, specimen_scan):
        with pytest.raises(
            StoreError, match=r"of another kind: found 'aptstream-.*expected 'aptstream-grid' version 1"
        ):
            open_grid(other.path)


def test_a_missing_grid_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"no grid at .*Expected the output folder"):
        open_grid(tmp_path)


def test_scan_store_and_model_must_belong_together(specimen_scan, specimen_store, model, tmp_path):
    with pytest.raises(StoreError, match="by another model"):
        find(specimen_scan, specimen_store, replace(model, digest="0" * 64))
    folder = shutil.copytree(specimen_scan.path, tmp_path / "scan.zarr")
    group = json.loads((folder / "zarr.json").read_text())
    attributes = {k: v for k, v in group["attributes"].items() if k != "manifest_sha256"}
    (folder / "zarr.json").write_text(
        json.dumps({**group, "attributes": sealed({**attributes, "store_digest": "0" * 64})})
    )
    with pytest.raises(StoreError, match="from other ions"):
        find(type(specimen_scan)(folder), specimen_store, model)


@pytest.mark.parametrize("cut", [Cut(0.5), Cut(62 / 64, "votes", 26)])
def test_a_grid_remembers_the_cut_that_made_it(answer, cut, tmp_path):
    assert open_grid(save_grid(tmp_path / "cut.zarr", replace(answer, cut=cut))).cut == cut


@pytest.mark.parametrize(
    "lie", [{"value": 0.5}, {"value": 2, "of": "order", "neighbours": 6}, 7, {"value": 0.5, "of": 1}]
)
def test_a_grid_with_an_impossible_cut_is_damaged(answer, lie, tmp_path):
    file = save_grid(tmp_path / "cut.zarr", answer) / "zarr.json"
    metadata = json.loads(file.read_text())
    plain = {name: value for name, value in metadata["attributes"].items() if name != "manifest_sha256"}
    metadata["attributes"] = sealed({**plain, "cut": lie})
    file.write_text(json.dumps(metadata))
    with pytest.raises(StoreError, match="attributes that do not describe a grid"):
        open_grid(file.parent)
