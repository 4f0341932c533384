"""The ion kernels against ten-line twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aptstream.io.decode import CellSort, check_ions, decode_pos, range_ions

BITS = hnp.arrays(np.uint32, st.tuples(st.integers(1, 60), st.just(4)))


@given(BITS)
def test_decoding_keeps_every_bit_and_finds_the_first_bad_ion(bits):
    position, mass = decode_pos(bits.astype(">u4").view("u1").ravel())
    values = bits.view("f4")
    np.testing.assert_array_equal(position.view("u4"), bits[:, :3])
    np.testing.assert_array_equal(mass.view("u4"), bits[:, 3])
    found = check_ions(position, mass)
    bad = np.flatnonzero(~(np.abs(values) <= 1e6).all(axis=1))
    assert found.first_bad == (bad[0] if len(bad) else -1)


@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 60), st.just(4)), elements=st.floats(-1e6, 1e6, width=32)))
def test_checking_finds_the_bounds(values):
    found = check_ions(values[:, :3], values[:, 3])
    np.testing.assert_array_equal(found.low, values.min(axis=0))
    np.testing.assert_array_equal(found.high, values.max(axis=0))
    assert found.first_bad == -1


def test_the_limit_itself_is_allowed():
    limit = np.array([[1e6, -1e6, 0, 1e6], [np.nextafter(np.float32(1e6), np.inf), 0, 0, 0]], "f4")
    assert check_ions(limit[:, :3], limit[:, 3]).first_bad == 1


def naive_ranging(mass, bounds, indices):
    species = np.zeros(len(mass), "u1")
    for i, value in enumerate(mass.astype("f8")):
        for (low, high), index in zip(bounds, indices, strict=True):
            if low <= value < high:
                species[i] = index
    return species


EDGES = st.lists(st.integers(0, 200), min_size=2, max_size=40, unique=True).map(sorted)


@given(EDGES, st.data())
def test_ranging_equals_a_loop(edges, data):
    edges = edges[: len(edges) // 2 * 2]
    bounds = np.array(edges, "f8").reshape(-1, 2) / 10
    indices = np.array(data.draw(st.lists(st.integers(1, 255), min_size=len(bounds), max_size=len(bounds))), "u1")
    # The bounds themselves, and the float32 beside them, are where mistakes hide.
    close = bounds.ravel().astype("f4")
    mass = np.concatenate([close, np.nextafter(close, np.float32(99)), np.nextafter(close, np.float32(-1)), [-1, 0]])
    mass = mass.astype("f4")
    np.testing.assert_array_equal(range_ions(mass, bounds, indices=indices), naive_ranging(mass, bounds, indices))


def test_touching_ranges_share_no_ion():
    bounds = np.array([[1.0, 2.0], [2.0, 3.0]])
    species = range_ions(np.array([1, 2, 3], "f4"), bounds, indices=np.array([1, 2], "u1"))
    np.testing.assert_array_equal(species, [1, 2, 0])


def test_ranging_refuses_overlaps():
    with pytest.raises(ValueError, match="ascend without overlap"):
        range_ions(np.ones(1, "f4"), np.array([[1.0, 3.0], [2.0, 4.0]]), indices=np.array([1, 2], "u1"))


@given(st.integers(1, 300), st.integers(1, 25), st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_sorting_equals_a_stable_lexsort(n, extent, block, seed):
    rng = np.random.default_rng(seed)
    position = rng.uniform(-extent, extent, (n, 3)).astype("f4")
    position = (np.round(position * rng.integers(1, 4)) / 2).astype("f4")
    origin = np.floor(position.min(axis=0).astype("f8"))
    cell = np.floor(position.astype("f8") - origin).astype(int)
    bricks = tuple((cell.max(axis=0) // 16 + 1).tolist())
    mass, species = np.arange(n, dtype="f4"), rng.integers(0, 9, n).astype("u1")
    sort = CellSort(tuple(origin), bricks, n_ions=n)
    starts = range(0, n, block)
    for i in starts:
        sort.count(position[i : i + block])
    blocks = [tuple(column[i : i + block] for column in (position, mass, species)) for i in starts]
    ions = sort.scatter(blocks)

    order = np.lexsort([*(cell % 16).T[::-1], *(cell // 16).T[::-1]])
    np.testing.assert_array_equal(ions.mass_to_charge, mass[order])
    np.testing.assert_array_equal(ions.position, position[order])
    np.testing.assert_array_equal(ions.species, species[order])
    brick = np.ravel_multi_index(tuple((cell // 16).T), bricks)
    np.testing.assert_array_equal(np.diff(ions.brick_offset), np.bincount(brick, minlength=np.prod(bricks)))
    flat = brick * 4096 + np.ravel_multi_index(tuple((cell % 16).T), (16, 16, 16))
    in_cell = np.diff(ions.cell_offset.astype(int), axis=1).ravel()
    np.testing.assert_array_equal(in_cell, np.bincount(flat, minlength=len(in_cell)))


def test_sorting_refuses_ions_outside_and_too_many():
    sort = CellSort((0.0, 0.0, 0.0), (1, 1, 1), n_ions=1)
    for outside in (-0.5, 16.0, np.nan):
        with pytest.raises(ValueError, match="lie outside"):
            sort.count(np.array([[0, 0, outside]], "f4"))
    with pytest.raises(ValueError, match="Expected 1 ions"):
        sort.count(np.zeros((2, 3), "f4"))
    with pytest.raises(ValueError, match="counted 0"):
        sort.scatter([])
    with pytest.raises(ValueError, match="found 4294967296"):
        CellSort((0.0, 0.0, 0.0), (1, 1, 1), n_ions=2**32)
