"""Votes against scattering every cube by hand, and the laws that the sums obey."""

from __future__ import annotations

import sys

import naive
import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aptstream.grid import vote
from aptstream.grid.vote import window_sum

EDGES = st.integers(1, 5)
SHAPES = hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=8)
PROBABILITY = st.floats(0, 1, width=32) | st.just(np.float32(np.nan))


@st.composite
def judgements(draw):
    """Probabilities of cubes, some of them invalid, in an array as a scan leaves it."""
    edge, shape = draw(EDGES), draw(SHAPES)
    p = np.full(shape, np.nan, dtype=np.float32)
    places = tuple(slice(max(n - edge + 1, 0)) for n in shape)
    p[places] = draw(hnp.arrays(np.float32, p[places].shape, elements=PROBABILITY))
    return p, edge


@given(judgements())
def test_votes_equal_scattering_every_cube_onto_its_voxels(given_):
    p, edge = given_
    grid = vote(p, edge, (0, 0, 0))
    total, count = naive.vote(p, edge)
    np.testing.assert_array_equal(grid.count, count)
    np.testing.assert_allclose(grid.total, total, rtol=1e-6, atol=1e-30)  # total is rounded to float32 once, at the end
    assert (grid.total.dtype, grid.count.dtype, grid.mean.dtype) == (np.float32, np.uint16, np.float32)


@given(judgements())
def test_the_mean_lies_between_zero_and_one_and_is_undefined_only_without_a_vote(given_):
    grid = vote(*given_, (0, 0, 0))
    judged = grid.count > 0
    assert np.isnan(grid.mean[~judged]).all()
    assert (grid.total[~judged] == 0).all()
    assert ((grid.mean[judged] >= 0) & (grid.mean[judged] <= 1)).all()


@given(shape=hnp.array_shapes(min_dims=3, max_dims=3, min_side=4, max_side=12))
def test_if_all_cubes_are_certain_the_mean_is_one_everywhere_and_counts_follow_the_formula(shape):
    p = np.full(shape, np.nan, dtype=np.float32)
    p[tuple(slice(n - 3) for n in shape)] = 1
    grid = vote(p, 4, (0, 0, 0))
    axes = [[min(v, n - 4) - max(v - 3, 0) + 1 for v in range(n)] for n in shape]
    np.testing.assert_array_equal(grid.count, np.einsum("i,j,k->ijk", *axes))
    np.testing.assert_array_equal(grid.total, grid.count)
    np.testing.assert_array_equal(grid.mean, 1)
    assert grid.count.max() <= 64


@given(judgements())
def test_an_invalid_cube_is_as_good_as_none(given_):
    p, edge = given_
    grid = vote(p, edge, (0, 0, 0))
    np.testing.assert_array_equal(grid.total, vote(np.nan_to_num(p, nan=0), edge, (0, 0, 0)).total)
    np.testing.assert_array_equal(grid.count, vote(np.where(np.isnan(p), p, 0.5), edge, (0, 0, 0)).count)


@given(judgements(), st.data())
def test_any_tile_with_its_halo_on_the_low_side_gives_the_same_bits(given_, data):
    p, edge = given_
    whole = vote(p, edge, (0, 0, 0))
    tile, read = [], []
    for n in p.shape:
        low = data.draw(st.integers(0, n - 1))
        high = data.draw(st.integers(low + 1, n))
        start = max(low - edge + 1, 0)
        read.append(slice(start, high))
        tile.append((slice(low, high), slice(low - start, high - start)))
    part = vote(p[tuple(read)], edge, (0, 0, 0))
    place, inner = (tuple(column) for column in zip(*tile, strict=True))
    np.testing.assert_array_equal(part.total[inner].view("u4"), whole.total[place].view("u4"))
    np.testing.assert_array_equal(part.count[inner], whole.count[place])


@given(judgements())
def test_votes_are_carried_out_on_a_copy(given_):
    p, edge = given_
    before = p.copy()
    vote(p, edge, (0, 0, 0))
    np.testing.assert_array_equal(p, before)


@given(values=hnp.arrays(np.uint16, SHAPES, elements=st.integers(0, 1)), length=EDGES)
def test_every_axis_can_be_turned_into_any_other(values, length):
    for axes in [(1, 2, 0), (2, 1, 0), (0, 2, 1)]:
        turned = window_sum(values.transpose(axes), length)
        np.testing.assert_array_equal(turned, window_sum(values, length).transpose(axes))


def test_the_publications_cube_lends_its_vote_to_sixty_four_voxels():
    p = np.full((9, 9, 9), np.nan, dtype=np.float32)
    p[2, 3, 4] = 0.75
    grid = vote(p, 4, (-3.0, 0.0, 5.0))
    assert (grid.count > 0).sum() == 64
    assert grid.total.sum() == 64 * np.float32(0.75)
    assert grid.count[2:6, 3:7, 4:8].all()
    assert (grid.origin_nm, grid.voxel_nm, grid.cube_voxels) == ((-3.0, 0.0, 5.0), 1.0, 4)


@pytest.mark.parametrize("edge", [4, 2])
def test_votes_of_a_real_scan_equal_scattering(edge, specimen_scan):
    p = specimen_scan.p(edge)
    total, count = naive.vote(p, edge)
    grid = vote(p, edge, specimen_scan.origin_nm)
    np.testing.assert_array_equal(grid.count, count)
    np.testing.assert_allclose(grid.total, total, rtol=1e-6)


@given(
    p=hnp.arrays(np.float32, st.tuples(*3 * [st.integers(1, 9)]), elements=st.floats(0, 1, width=32) | st.just(np.nan)),
    chunk=st.integers(1, 9),
    edge=st.integers(1, 4),
)
@examples(30)
def test_the_votes_of_a_dask_array_are_the_same_bits_and_lazy(p, chunk, edge):
    import dask.array as da

    lazy = vote(da.from_array(p, chunks=chunk), edge, (0, 0, 0))
    here = vote(p, edge, (0, 0, 0))
    for name in ("total", "count", "mean"):
        assert isinstance(getattr(lazy, name), da.Array)
        computed = getattr(lazy, name).compute(scheduler="synchronous")
        assert computed.dtype == getattr(here, name).dtype
        assert computed.tobytes() == getattr(here, name).tobytes()


@pytest.mark.parametrize("edge", [None, 2, 4])
@pytest.mark.parametrize("slab", [1, 7, 64])
def test_the_votes_of_a_scan_on_disk_are_the_same_bits(edge, slab, specimen_scan, monkeypatch):
    monkeypatch.setattr(sys.modules["aptstream.grid.vote"], "SLAB", slab)
    here = vote(specimen_scan.p(edge or 4), edge or 4, specimen_scan.origin_nm)
    stored = vote(specimen_scan, edge)
    assert (stored.cube_voxels, stored.origin_nm) == (here.cube_voxels, here.origin_nm)
    for name in ("total", "count", "mean"):
        assert getattr(stored, name).tobytes() == getattr(here, name).tobytes()


def test_an_array_does_not_say_how_long_its_cubes_are():
    with pytest.raises(ValueError, match="cube_voxels"):
        vote(np.zeros((5, 5, 5), "f4"))
