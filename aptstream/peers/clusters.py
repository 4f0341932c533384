"""Clusters of points by density: the one algorithm behind maximum separation and DBSCAN."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from aptstream.cloud.tree import PointTree
from aptstream.peers.walk import Rows, neighbours

Labels = npt.NDArray[np.int64]

NOISE = -1


def dbscan(position: npt.NDArray[np.floating[Any]], eps_nm: float, min_samples: int) -> Labels:
    """Cluster points by density.

    A point with at least `min_samples` points within `eps_nm`, itself included, is a core point. Core points within
    `eps_nm` of each other are one cluster; clusters are numbered by their first core point. Another point within
    `eps_nm` of a core point is a border point and belongs to its cluster, to the one of the lowest number if there are
    several. All others are noise. These are the labels of scikit-learn. With `min_samples` of 2 there is no border, and
    the clusters are those of single linkage.

    Parameters
    ----------
    position : ndarray of float, (n, 3)
        In nm; compared as float32.
    eps_nm : float
        Reach in nm; points exactly as far away count.
    min_samples : int
        Points within reach that make a core point, at least 1.

    Returns
    -------
    ndarray of int64, (n,)
        Cluster of each point, 0 …; −1 for noise.

    Raises
    ------
    ValueError
        If the reach is no positive length, or `min_samples` is below 1.

    References
    ----------
    .. [1] Ester et al., Proc. KDD, 226 (1996).

    Examples
    --------
    >>> dbscan(np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [9, 0, 0]]), 1.0, 3).tolist()
    [0, 0, 0, -1]
    """
    if not 0 < eps_nm < np.inf or min_samples < 1:
        raise ValueError(
            f"Clusters need a positive reach in nm and at least 1 point, found {eps_nm} nm and {min_samples} points."
        )
    points = np.asarray(position, np.float32)
    label = np.full(len(points), NOISE, dtype=np.int64)
    tree = PointTree(points)
    core = np.zeros(len(points), dtype=bool)
    for at, _ in neighbours(tree, points, eps_nm):
        first = int(at[0])
        core[first : int(at[-1]) + 1] = np.bincount(at - first) >= min_samples
    if not core.any():
        return label
    component = _components(tree, points, core, eps_nm)
    # Numbers go by the first core point of a cluster.
    _, first_of, of = np.unique(component[core], return_index=True, return_inverse=True)
    rank = np.empty(len(first_of), dtype=np.int64)
    rank[np.argsort(first_of)] = np.arange(len(first_of))
    label[core] = rank[of]
    others = np.flatnonzero(~core)
    lowest = np.full(len(others), len(rank))
    for at, near in neighbours(tree, points[others], eps_nm):
        beside = core[near]
        np.minimum.at(lowest, at[beside], label[near[beside]])
    reached = lowest < len(rank)
    label[others[reached]] = lowest[reached]
    return label


def _components(tree: PointTree, points: npt.NDArray[np.float32], core: npt.NDArray[np.bool_], eps_nm: float) -> Labels:
    """Give connected core points one number, and every other point a number of its own.

    Links are thinned out as they come to one for each point, so that memory grows with the points, not the pairs.
    """
    members, kept = np.flatnonzero(core), [np.zeros((2, 0), dtype=np.intp)]
    for at, near in neighbours(tree, points[members], eps_nm):
        here = members[at]
        linked = core[near] & (near < here)
        kept.append(_thinned(here[linked], near[linked]))
    start, end = np.concatenate(kept, axis=1)
    return _connected(start, end, len(points))


def _thinned(start: Rows, end: Rows) -> Rows:
    """Replace links by as few that connect the same points, (2, n)."""
    names, place = np.unique(np.concatenate([start, end]), return_inverse=True)
    if not len(names):
        return np.zeros((2, 0), dtype=np.intp)
    component = _connected(place[: len(start)], place[len(start) :], len(names))
    _, first = np.unique(component, return_index=True)
    return np.stack([names, names[first][component]])


def _connected(start: Rows, end: Rows, n: int) -> Labels:
    links = sparse.coo_array((np.ones(len(start), dtype=bool), (start, end)), shape=(n, n))
    number: Labels = connected_components(links, directed=False)[1].astype(np.int64)
    return number
