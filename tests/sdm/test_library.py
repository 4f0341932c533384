"""Training libraries on disk: the same bytes by any number of threads, whole or not at all, and sealed."""

import json
from dataclasses import replace

import numpy as np
import pytest

from aptstream.crystal import Crystal
from aptstream.errors import StoreError
from aptstream.sdm import library
from aptstream.sdm.image import View
from aptstream.sdm.library import Recipe, Samples, dictionary_digest, open_dictionary, views_of, write_library
from aptstream.sdm.window import SdmWindow

VIEWS = {4: View(SdmWindow("zx", 0.7, 3, 0.7, 5), "grey"), 2: View(SdmWindow("z", 1.5, 7, 3.0, 1))}
SIZES = [5, 1, 0, 30, 2]


def part(k):
    rng, n = np.random.default_rng(k), SIZES[k]
    number, label = np.full(n, k, "i4"), rng.random(n, dtype="f4")
    return {
        4: Samples(rng.integers(0, 256, (n, 6, 5)).astype("u1"), label, number),
        2: Samples(rng.standard_normal((n, 7, 1)).astype("f4"), label, number),
    }


RECIPE = Recipe(
    name="noise",
    crystal=Crystal("L12", 0.405),
    views=VIEWS,
    n_images={4: sum(SIZES), 2: sum(SIZES)},
    n_parts=len(SIZES),
    make=part,
    attributes={"n_specimens": len(SIZES)},
)


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("chunk_bytes", [1, 150, 2 << 20])
def test_what_was_made_is_what_is_opened_in_chunks_of_any_size(tmp_path, monkeypatch, chunk_bytes):
    monkeypatch.setattr(library, "CHUNK_BYTES", chunk_bytes)
    samples, attributes = open_dictionary(write_library(tmp_path / "d.zarr", RECIPE, seed=3))
    for edge in VIEWS:
        parts = [part(k)[edge] for k in range(len(SIZES))]
        for name in ("image", "fraction", "specimen"):
            expected = np.concatenate([getattr(p, name) for p in parts])
            np.testing.assert_array_equal(getattr(samples[edge], name), expected)
            assert getattr(samples[edge], name).dtype == expected.dtype
    assert views_of(attributes) == VIEWS
    assert (attributes["recipe"], attributes["seed"], attributes["n_specimens"]) == ("noise", 3, 5)
    assert attributes["content_digest"] == dictionary_digest(samples, attributes)


@pytest.mark.parametrize("threads", [2, 7])
def test_threads_do_not_change_a_byte(tmp_path, threads):
    one = write_library(tmp_path / "one.zarr", RECIPE, seed=3)
    several = write_library(tmp_path / "several.zarr", RECIPE, seed=3, threads=threads)
    assert content(one) == content(several)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_failure_leaves_nothing_behind(tmp_path, threads):
    def fail(k):
        if k == 3:
            raise ValueError("out of ideas")
        return part(k)

    with pytest.raises(ValueError, match="out of ideas"):
        write_library(tmp_path / "d.zarr", replace(RECIPE, make=fail), seed=3, threads=threads)
    with pytest.raises(StoreError, match="promised"):
        write_library(tmp_path / "d.zarr", replace(RECIPE, n_parts=3), seed=3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["seed", "forms", "n_images", "content_digest"])
def test_attributes_that_were_edited_are_refused(tmp_path, key):
    path = write_library(tmp_path / "d.zarr", RECIPE, seed=3)
    fields = json.loads((path / "zarr.json").read_text())
    fields["attributes"][key] = {"4": 3} if key in ("forms", "n_images") else 7
    (path / "zarr.json").write_text(json.dumps(fields))
    with pytest.raises(StoreError, match="aptstream dictionary"):
        open_dictionary(path)


def test_a_missing_chunk_is_noticed(tmp_path):
    path = write_library(tmp_path / "d.zarr", RECIPE, seed=3)
    next((path / "cubes_2nm" / "fraction").glob("c.*")).unlink()
    with pytest.raises(StoreError, match="aptstream dictionary"):
        open_dictionary(path)


def test_some_rows_of_samples_keep_their_labels():
    samples = part(3)[4]
    some = samples[np.array([7, 2])]
    np.testing.assert_array_equal(some.image, samples.image[[7, 2]])
    np.testing.assert_array_equal(some.fraction, samples.fraction[[7, 2]])
    assert len(some) == 2
