"""Clusters by density against scikit-learn, and against growing them one by one."""

from __future__ import annotations

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from aptstream.peers import walk
from aptstream.peers.clusters import dbscan


def naive_dbscan(position, eps, least):
    """Grow one cluster after the other from the first core point that has none."""
    near = np.linalg.norm(position[:, None] - position[None], axis=2) <= eps
    core = near.sum(axis=1) >= least
    label, number = [-1] * len(position), 0
    for start in range(len(position)):
        if not core[start] or label[start] != -1:
            continue
        waiting = [start]
        while waiting:
            i = waiting.pop()
            if label[i] == -1:
                label[i] = number
                if core[i]:
                    waiting.extend(np.flatnonzero(near[i]).tolist())
        number += 1
    return label


@given(
    # whole numbers: distances of exactly eps are common
    points=st.lists(st.tuples(*3 * [st.integers(0, 5)]), max_size=25),
    eps=st.sampled_from([1.0, 2.0, np.sqrt(2)]),
    least=st.integers(1, 6),
)
def test_clusters_equal_those_grown_one_by_one(points, eps, least):
    position = np.array(points, dtype=float).reshape(-1, 3)
    assert dbscan(position, eps, least).tolist() == naive_dbscan(position, eps, least)


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([], []),
        ([0], [-1]),
        ([0, 1, 2], [0, 0, 0]),  # the middle is core, the ends are border
        ([0, 1, 2, 9, 3], [0, 0, 0, -1, 0]),
        ([9, 10, 11, 0, 1, 2], [0, 0, 0, 1, 1, 1]),  # numbered by the first core point
        ([0, 1, 2, 3, 5, 6, 7, 4], [0] * 8),
        ([0, 0.5, 1, 2, 3, 3.5, 4], [0, 0, 0, 0, 0, 0, 0]),
    ],
)
def test_clusters_on_a_line(x, expected):
    position = np.array([[v, 0, 0] for v in x], dtype=float).reshape(-1, 3)
    assert dbscan(position, 1.0, 3).tolist() == expected


def test_a_border_point_of_two_clusters_goes_to_the_first():
    # 0 … 3 and 5 … 8 crowd; 4 has two neighbours within 1 and is no core point with least = 4
    position = np.array([[v, 0, 0] for v in (8.0, 7.5, 7.2, 6.9, 6.0, 5.1, 4.8, 4.5, 4.0)])
    label = dbscan(position, 1.0, 4)
    assert label.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]
    assert dbscan(position[::-1], 1.0, 4).tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]


@given(
    points=st.lists(st.tuples(*3 * [st.integers(0, 6)]), min_size=1, max_size=120),
    eps=st.sampled_from([1.0, np.sqrt(2), np.sqrt(3), 2.0]),
    least=st.integers(1, 8),
    batch=st.integers(1, 200),
)
@examples(200)
def test_labels_are_those_of_scikit_learn_in_any_batches(points, eps, least, batch):
    from sklearn.cluster import DBSCAN

    position = np.array(points, dtype=np.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walk, "_POINTS", batch)
        found = dbscan(position, eps, least)
    np.testing.assert_array_equal(found, DBSCAN(eps=eps, min_samples=least).fit(position).labels_)


@given(seed=st.integers(0, 2**32), least=st.integers(1, 12), eps=st.floats(0.2, 1.2))
@examples(40)
def test_labels_of_crowds_are_those_of_scikit_learn(seed, least, eps):
    from sklearn.cluster import DBSCAN

    rng = np.random.default_rng(seed)
    crowds = rng.normal(rng.uniform(0, 8, (6, 1, 3)), 0.4, (6, 60, 3)).reshape(-1, 3)
    position = rng.permutation(np.concatenate([crowds, rng.uniform(0, 8, (200, 3))])).astype("f4")
    found = dbscan(position, eps, least)
    np.testing.assert_array_equal(found, DBSCAN(eps=eps, min_samples=least).fit(position.astype("f8")).labels_)


@pytest.mark.parametrize(("eps", "least"), [(0, 3), (-1, 3), (np.inf, 3), (np.nan, 3), (1, 0)])
def test_what_makes_no_cluster_is_refused(eps, least):
    with pytest.raises(ValueError, match="positive reach"):
        dbscan(np.zeros((3, 3)), eps, least)
