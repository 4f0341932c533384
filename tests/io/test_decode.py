"""The ion kernels against ten-line twins."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from naive import stored_order

from aptstream.io.decode import bin_ions, check_ions, decode_pos, range_ions, sort_brick

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


@given(st.integers(1, 300), st.integers(1, 25), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_two_sorts_equal_one_stable_lexsort(n, extent, n_columns, seed):
    rng = np.random.default_rng(seed)
    position = rng.uniform(-extent, extent, (n, 3)).astype("f4")
    position = (np.round(position * rng.integers(1, 4)) / 2).astype("f4")
    # Any bits: a signalling NaN must come through as it went in.
    columns = [rng.integers(0, 2**32, n, dtype="u4").view(rng.choice(["u4", "f4"])) for _ in range(n_columns)]
    mass = np.arange(n, dtype="f4")
    order, origin, bricks, key = stored_order(position)
    binned = bin_ions(position, mass, columns, origin_nm=tuple(origin), shape_bricks=bricks)
    assert binned.row.shape == (n, 4 + n_columns)
    np.testing.assert_array_equal(np.diff(binned.offset), np.bincount(key // 4096, minlength=np.prod(bricks)))
    at = 0
    for number in range(np.prod(bricks)):
        low_cell = tuple(16 * int(b) for b in np.unravel_index(number, bricks))
        row = binned.row[binned.offset[number] : binned.offset[number + 1]]
        brick = sort_brick(row, origin_nm=tuple(origin), low_cell=low_cell)
        rows = order[at : at + len(brick.position)]
        np.testing.assert_array_equal(brick.position, position[rows])
        np.testing.assert_array_equal(brick.mass_to_charge, mass[rows])
        for found, column in zip(brick.further.T, columns, strict=True):
            np.testing.assert_array_equal(found, column.view("u4")[rows])
        in_cell = np.bincount(key[rows] - 4096 * number, minlength=4096)
        np.testing.assert_array_equal(np.diff(brick.cell_offset), in_cell)
        at += len(rows)
    assert at == n


def test_binning_leaves_out_what_lies_nowhere():
    position = np.zeros((9, 3), "f4")
    for row, (axis, value) in enumerate([(0, np.nan), (1, np.inf), (2, -np.inf), (0, -1e-3), (1, 16), (2, 1e30)]):
        position[row + 1, axis] = value
    mass = np.array([1, 1, 1, 1, 1, 1, 1, np.nan, 2e6], "f4")
    binned = bin_ions(position, mass, origin_nm=(0, 0, 0), shape_bricks=(1, 1, 2))
    assert len(binned.row) == 1
    assert binned.offset.tolist() == [0, 1, 1]
    assert len(bin_ions(position[1:], mass[1:], origin_nm=(0, 0, 0), shape_bricks=(1, 1, 2)).row) == 0


def test_the_sorts_refuse_what_does_not_fit():
    position, mass = np.zeros((2, 3), "f4"), np.zeros(2, "f4")
    with pytest.raises(ValueError, match="four bytes for each of 2"):
        bin_ions(position, mass, [np.zeros(2)], origin_nm=(0, 0, 0), shape_bricks=(1, 1, 1))
    with pytest.raises(ValueError, match=r"\(n, 3\) positions"):
        bin_ions(position, mass[:1], origin_nm=(0, 0, 0), shape_bricks=(1, 1, 1))
    row = np.zeros((3, 4), "f4")
    for outside in (-0.5, 16.0, np.nan):
        row[1, 2] = outside
        with pytest.raises(ValueError, match="Ion 1 lies"):
            sort_brick(row.view("u4"), origin_nm=(0, 0, 0), low_cell=(0, 0, 0))
    with pytest.raises(ValueError, match="at least four words"):
        sort_brick(np.zeros((2, 3), "u4"), origin_nm=(0, 0, 0), low_cell=(0, 0, 0))
