"""Order libraries: the same bytes by any number of threads, damage noticed, and a truth that only order has."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import zarr

from aptstream.errors import StoreError
from aptstream.sdm import orderlibrary
from aptstream.sdm.darkfield import N_MAPS
from aptstream.sdm.orderlibrary import CRYSTALS, KINDS, make_example, make_order_library, open_order_library

EDGE = 8
MAPS = ("power", "locked", "linear", "order", "strength", "coherence2", "solute")


@pytest.fixture(autouse=True)
def small_specimens(monkeypatch):
    monkeypatch.setattr(orderlibrary, "SPECIMEN_NM", EDGE)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orderlibrary, "SPECIMEN_NM", EDGE)
        return make_order_library(tmp_path_factory.mktemp("library") / "d.zarr", n_specimens=5, seed=3)


@pytest.fixture
def copy(library, tmp_path):
    return shutil.copytree(library, tmp_path / "d.zarr")


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def only(kind, monkeypatch):
    monkeypatch.setattr(orderlibrary, "KINDS", {name: float(name == kind) for name in KINDS})


def test_threads_do_not_change_a_byte_and_the_seed_does(library, tmp_path):
    told = []
    two = make_order_library(
        tmp_path / "two.zarr", n_specimens=5, seed=3, threads=2, progress=lambda *state: told.append(state)
    )
    assert content(two) == content(library)
    assert told == [("order library", k, 5, "specimens") for k in range(1, 6)]
    other = make_order_library(tmp_path / "other.zarr", n_specimens=1, seed=4)
    digests = [open_order_library(path)[1]["content_digest"] for path in (library, other)]
    assert digests[0] != digests[1]


def test_more_specimens_begin_with_the_same_ones(library, tmp_path):
    few, _ = open_order_library(make_order_library(tmp_path / "few.zarr", n_specimens=2, seed=3))
    many, _ = open_order_library(library)
    for one, same in zip(few, many[:2], strict=True):
        assert one.field.stacked.tobytes() == same.field.stacked.tobytes()
        assert one.truth.tobytes() == same.truth.tobytes()
        assert one.crystal == same.crystal


def test_what_was_made_is_what_is_opened(library):
    examples, attributes = open_order_library(library)
    streams = np.random.SeedSequence(3).spawn(5)
    assert (len(examples), attributes["seed"], attributes["n_specimens"]) == (5, 3, 5)
    for k in (0, 4):
        expected, settings = make_example(np.random.default_rng(streams[k]))
        assert examples[k].field.stacked.shape == (N_MAPS, EDGE, EDGE, EDGE)
        for name in MAPS:
            np.testing.assert_array_equal(getattr(examples[k].field, name), getattr(expected.field, name))
        np.testing.assert_array_equal(examples[k].truth, expected.truth)
        assert examples[k].crystal == expected.crystal
        assert attributes["specimens"][k]["sigma_z_nm"] == settings["sigma_z_nm"]
    assert all(np.isfinite(example.field.stacked).all() for example in examples)
    assert {example.crystal for example in examples} <= {crystal for crystal, _ in CRYSTALS}


@pytest.mark.parametrize("kind", ["clusters", "matrix", "shuffled"])
def test_what_is_not_ordered_has_no_truth(kind, monkeypatch):
    only(kind, monkeypatch)
    example, settings = make_example(np.random.default_rng(5))
    assert not example.truth.any()
    assert settings["shuffle"] == (kind == "shuffled")
    assert settings["kind"] == ("clusters" if kind == "clusters" else "ordered")


@pytest.mark.parametrize("kind", ["ordered", "weak", "no-contrast"])
def test_what_is_ordered_has_a_truth_that_the_order_follows(kind, monkeypatch):
    only(kind, monkeypatch)
    monkeypatch.setattr(orderlibrary, "VACUUM_SHARE", 0)
    inside, outside, seeds = [], [], range(2)
    for seed in seeds:
        example, _ = make_example(np.random.default_rng(seed))
        assert 0 <= example.truth.min() < example.truth.max() <= 1
        inside.append(np.average(example.field.linear[3], weights=example.truth))
        outside.append(np.average(example.field.linear[3], weights=1 - example.truth))
    assert np.mean(inside) > 1.5 * np.mean(outside)


def test_some_specimens_end_in_vacuum_and_nothing_is_ordered_there(monkeypatch):
    only("ordered", monkeypatch)
    monkeypatch.setattr(orderlibrary, "VACUUM_SHARE", 1)
    example, made = make_example(np.random.default_rng(3))
    surface = orderlibrary.Surface(**made["surface"])
    shape = example.truth.shape
    material = surface.material(shape)
    assert 0 < material.mean() < 1
    assert not example.truth[material == 0].any()
    assert example.field.density[material == 0].mean() < 0.3 * example.field.density[material == 1].mean()
    middle = np.stack(np.meshgrid(*(np.arange(n) + 0.5 for n in shape), indexing="ij"), axis=-1)
    np.testing.assert_array_equal(surface.holds(middle)[material == 1], True)
    np.testing.assert_array_equal(surface.holds(middle)[material == 0], False)


def test_shares_of_kinds_and_crystals_are_whole():
    assert sum(KINDS.values()) == pytest.approx(1)
    assert sum(share for _, share in CRYSTALS) == pytest.approx(1)
    assert sum(share for share, *_ in orderlibrary.SIZES) == pytest.approx(1)


def test_a_place_that_is_taken_is_left_as_it_is(tmp_path):
    (tmp_path / "d.zarr").write_text("precious")
    with pytest.raises(StoreError, match="exists"):
        make_order_library(tmp_path / "d.zarr", n_specimens=1, seed=1)
    assert (tmp_path / "d.zarr").read_text() == "precious"


@pytest.mark.parametrize("threads", [1, 2])
def test_a_failure_leaves_nothing_behind(threads, library, tmp_path, monkeypatch):
    example, settings = open_order_library(library)[0][0], make_example(np.random.default_rng(0))[1]
    made = []

    def fail(_rng):
        made.append(1)
        if len(made) == 3:
            raise ValueError("out of ideas")
        return example, settings

    monkeypatch.setattr(orderlibrary, "make_example", fail)
    with pytest.raises(ValueError, match="out of ideas"):
        make_order_library(tmp_path / "d.zarr", n_specimens=20, seed=1, threads=threads)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["field", "truth"])
def test_a_changed_or_lost_chunk_is_refused(name, copy):
    chunk = sorted((copy / name).glob("c.*"))[0]
    good = chunk.read_bytes()
    chunk.write_bytes(good[:50] + bytes([good[50] ^ 8]) + good[51:])
    with pytest.raises(StoreError, match=r"not a readable order library.*aptstream dictionary --preset order"):
        open_order_library(copy)
    chunk.unlink()
    with pytest.raises(StoreError, match="aptstream dictionary --preset order"):
        open_order_library(copy)


@pytest.mark.parametrize("change", [{"seed": 4}, {"crystal_of": [0] * 5}, {"n_specimens": 4}, {"format": "other"}])
def test_attributes_that_were_edited_are_refused(change, copy):
    fields = json.loads((copy / "zarr.json").read_text())
    fields["attributes"].update(change)
    (copy / "zarr.json").write_text(json.dumps(fields))
    with pytest.raises(StoreError, match="aptstream dictionary"):
        open_order_library(copy)


def test_the_digest_is_of_the_content(library, copy):
    _, attributes = open_order_library(library)
    arrays = orderlibrary._open_arrays(copy, 5)
    assert orderlibrary._digest(arrays, attributes) == attributes["content_digest"]
    swapped = {**attributes, "crystal_of": [1 - k for k in attributes["crystal_of"]]}
    assert orderlibrary._digest(arrays, swapped) != attributes["content_digest"]
    zarr.open_group(copy, mode="r+")["truth"][2, 3, 4, 5] = 0.123
    assert orderlibrary._digest(orderlibrary._open_arrays(copy, 5), attributes) != attributes["content_digest"]


def test_what_is_no_library_is_refused(tmp_path, specimen_store):
    for path in (tmp_path / "none", specimen_store.path):
        with pytest.raises(StoreError, match="aptstream dictionary"):
            open_order_library(path)
