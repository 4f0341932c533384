"""A few ions that stand for all: fair to rare species, evenly spread, the same every time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptstream.cloud.sample import fair_shares, sample_ions


@given(st.lists(st.integers(0, 500), max_size=9), st.integers(0, 3000))
def test_nobody_gets_more_than_another_who_wants_more(n, most):
    shares = fair_shares(n, most)
    assert (shares <= n).all()
    assert shares.sum() == min(sum(n), most) or most - shares.sum() < len(n)
    hungry = shares[shares < n]
    if len(hungry):
        assert shares.max() - hungry.min() <= 1


def test_everything_where_there_is_room(specimen_store):
    ranged = sum(list(specimen_store.species_counts().values())[1:])
    cloud = sample_ions(specimen_store, ranged)
    whole = specimen_store.query(specimen_store.box)
    np.testing.assert_array_equal(cloud.position, whole.position[whole.species > 0])


@pytest.mark.parametrize("most", [0, 1, 500, 3001])
def test_rare_species_are_not_lost_and_no_place_is_left_out(specimen_store, most, monkeypatch):
    cloud = sample_ions(specimen_store, most)
    counts = list(specimen_store.species_counts().values())
    expected = fair_shares([0, *counts[1:]], most)
    np.testing.assert_array_equal(np.bincount(cloud.species, minlength=len(counts)), expected)
    if most > 3000:  # in eight equal parts of the volume lie equal shares, as of all ions
        whole = specimen_store.query(specimen_store.box)
        middle = np.median(whole.position, axis=0)
        for number in np.flatnonzero(expected):
            share = [
                np.bincount((part.position[part.species == number] > middle) @ [1, 2, 4], minlength=8) / n
                for part, n in ((cloud, expected[number]), (whole, counts[number]))
            ]
            np.testing.assert_allclose(share[0], share[1], atol=4 / np.sqrt(expected[number]) * 0.35)
    monkeypatch.setattr("aptstream.cloud.store.STREAM_ROWS", 777)
    np.testing.assert_array_equal(sample_ions(specimen_store, most).position, cloud.position)
