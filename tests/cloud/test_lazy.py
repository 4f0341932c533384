"""A store as Dask arrays: the same ions, chunks that follow bricks, tasks that carry addresses."""

from __future__ import annotations

import pickle
import shutil

import dask.array as da
import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from aptstream.cloud import open_store, publish
from aptstream.cloud.lazy import lazy_ions
from aptstream.errors import StoreError


def compute(array):
    return array.compute(scheduler="synchronous")


@given(st.integers(1, 2000))
@examples(30)
def test_it_holds_all_ions_in_whole_bricks(small_store, chunk_rows):
    ions = lazy_ions(small_store, chunk_rows)
    offset = small_store.index.brick_offset
    assert [i for bricks in ions.bricks for i in bricks] == list(range(small_store.lattice.n_bricks))
    sizes = [int(offset[bricks.stop] - offset[bricks.start]) for bricks in ions.bricks]
    assert ions.position.chunks == (tuple(sizes), (3,))
    assert ions.species.chunks == ions.mass_to_charge.chunks == ions.columns["tof_ns"].chunks == (tuple(sizes),)
    assert min(sizes) > 0
    for size, bricks in zip(sizes, ions.bricks, strict=True):
        assert size <= chunk_rows or np.count_nonzero(np.diff(offset[bricks.start : bricks.stop + 1])) == 1


def test_what_is_computed_is_what_is_stored(small_store):
    ions = lazy_ions(small_store, 300)
    assert len(ions.bricks) > 2
    for name, array in {
        "positions": ions.position,
        "species": ions.species,
        "mass_to_charge": ions.mass_to_charge,
        **ions.columns,
    }.items():
        stored = small_store.arrays[name][:]
        assert (array.shape, array.dtype) == (stored.shape, stored.dtype)
        np.testing.assert_array_equal(compute(array), stored)
    assert ions.species_names == small_store.species_names
    counts = compute(da.bincount(ions.species, minlength=3))
    assert dict(zip(ions.species_names, counts.tolist(), strict=True)) == small_store.species_counts()


@pytest.mark.parametrize(
    "part", [slice(5, 900), slice(None, None, 7), slice(None, None, -3), slice(700, 100, -1), slice(4, 4), 17]
)
def test_parts_of_it(small_store, part):
    position = lazy_ions(small_store, 300).position
    np.testing.assert_array_equal(compute(position[part]), small_store.arrays["positions"][:][part])
    np.testing.assert_array_equal(compute(position[part, ..., 2]), small_store.arrays["positions"][:][part, ..., 2])


def test_each_chunk_holds_the_ions_of_its_bricks(small_store):
    ions = lazy_ions(small_store, 300)
    shape = small_store.lattice.shape_bricks
    for bricks, block in zip(ions.bricks, ions.position.blocks, strict=True):
        brick = np.floor((compute(block).astype("f8") - small_store.origin_nm) / 16).astype(int)
        assert set(np.ravel_multi_index(tuple(brick.T), shape)) <= set(bricks)


def test_nothing_is_read_before_and_little_is_sent(small_store, tmp_path):
    copy = open_store(shutil.copytree(small_store.path, tmp_path / "a.zarr"))
    ions = copy.to_dask()
    assert len(pickle.dumps(ions.position.__dask_graph__())) < 3000
    before = compute(ions.mass_to_charge.sum())
    (copy.path / "mass_to_charge" / "c.3").unlink()
    with pytest.raises(StoreError, match=r"array 'mass_to_charge' lacks its chunk file c.3"):
        compute(ions.mass_to_charge.sum())
    assert before == small_store.arrays["mass_to_charge"][:].sum()


def test_damage_is_named_and_another_store_in_its_place_is_refused(small_store, made_store, tmp_path):
    path = shutil.copytree(small_store.path, tmp_path / "a.zarr")
    ions = open_store(path).to_dask()
    file = path / "positions" / "c.0.0"
    content = file.read_bytes()
    file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    with pytest.raises(StoreError, match="array 'positions' is damaged in rows"):
        compute(ions.position)
    shutil.rmtree(path)
    shutil.copytree(made_store.path, path)
    with pytest.raises(StoreError, match="has changed since its arrays were made"):
        compute(ions.position)


def test_a_store_elsewhere(small_store):
    ions = publish(small_store, "memory://lazy/a.zarr").to_dask()
    np.testing.assert_array_equal(compute(ions.position), small_store.arrays["positions"][:])


@pytest.mark.cluster
def test_workers_read_it(small_store):
    from aptstream.cluster import local_client

    ions = lazy_ions(small_store, 300)
    with local_client(2) as client:
        low, high = (client.compute(edge).result() for edge in (ions.position.min(axis=0), ions.position.max(axis=0)))
    stored = small_store.arrays["positions"][:]
    np.testing.assert_array_equal([low, high], [stored.min(axis=0), stored.max(axis=0)])
