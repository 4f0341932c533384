"""Clusters of solute ions as particles: maximum separation and DBSCAN, with limits that the specimen itself gives."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from aptstream.cloud.store import PointStore
from aptstream.cloud.tree import PointTree
from aptstream.errors import PlanError
from aptstream.grid.precipitates import Precipitates, precipitates_in
from aptstream.peers.clusters import Labels, dbscan
from aptstream.peers.inside import count_ions
from aptstream.peers.solutes import Positions, Solutes, kth_distances, separating_distance, solutes_of
from aptstream.peers.walk import Brick, bricks_of, neighbours
from aptstream.points import Roles
from aptstream.progress import Progress, silent
from aptstream.regions import Box

#: Share of random ions that have another within the separation: 1.6 on average; with 2.7 all would be one cluster.
LINKED = 0.8
#: DBSCAN's reach is where neighbours of this order are most in excess; core points exceed this share of random ions.
ORDER, CROWDED = 15, 0.99
#: Mean distance of the nearest of n points in a unit of volume, times n^⅓ (Poisson).
_NEAREST = 0.554
#: The volume of a solute ion and its nearest neighbours is at least this, in nm³.
_LEAST_NM3 = 0.1


@dataclass(frozen=True)
class ClusterRule:
    """What makes a cluster; what is not given is chosen from the specimen.

    Parameters
    ----------
    reach_nm : float, optional
        Solute ions this near to each other are linked: d_max of maximum separation, ε of DBSCAN.
    min_samples : int, optional
        Solute ions within reach of a core point, itself included; 2 for maximum separation.
    min_ions : int, optional
        Solute ions of the smallest cluster.
    envelope_nm : float, optional
        All ions this near to a clustered solute ion belong to its cluster too.
    erosion_nm : float, optional
        Unless they are this near to an ion outside.
    """

    reach_nm: float | None = None
    min_samples: int | None = None
    min_ions: int | None = None
    envelope_nm: float | None = None
    erosion_nm: float | None = None

    def __post_init__(self) -> None:
        lengths = {"reach_nm": self.reach_nm, "envelope_nm": self.envelope_nm, "erosion_nm": self.erosion_nm}
        for name, length in lengths.items():
            if (length is not None and not (length > 0 if name == "reach_nm" else length >= 0)) or length == math.inf:
                raise PlanError(f"{name} of clusters is a length in nm, found {length}.")
        for name, number in {"min_samples": self.min_samples, "min_ions": self.min_ions}.items():
            if number is not None and number < 1:
                raise PlanError(f"{name} of clusters is a number of ions of at least 1, found {number}.")


@dataclass(frozen=True)
class Clusters:
    """Clusters of solute ions, and the particles that they mark.

    Parameters
    ----------
    label : ndarray of int64, (n,)
        Cluster of each solute ion, 0 …, whatever its size; −1 for none.
    position : ndarray of float32, (n, 3)
        The solute ions in nm, in stored order.
    rule : ClusterRule
        What made them, nothing left open.
    n_random : int
        Clusters of at least `min_ions` among as many ions of host and solute chosen at random.
    found : Precipitates
        Clusters of at least `min_ions` as particles on the 1 nm grid, with the ions inside. The volume of a particle is
        the sum over the voxels of the share of ions that it encloses: atoms enclosed / local density.
    """

    label: Labels
    position: Positions
    rule: ClusterRule
    n_random: int
    found: Precipitates


def maximum_separation(
    store: PointStore,
    roles: Roles,
    rule: ClusterRule | None = None,
    *,
    rng: np.random.Generator | None = None,
    progress: Progress = silent,
) -> Clusters:
    """Find clusters of solute ions that are no farther apart than a maximum separation.

    Not given, the separation is that within which 80 % of ions chosen at random have another: there a random alloy is
    at 0.6 of the density at which everything is linked, so that regions with 1.7 times its solute are. The smallest
    cluster has one ion more than the largest one among the random ions. Envelope and erosion are the mean spacing of
    the random ions, n^(−⅓).

    Parameters
    ----------
    store : PointStore
        The ions; solute ions are held in memory, all others read brick by brick.
    roles : Roles
        Host and solute species.
    rule : ClusterRule, optional
        Limits that are not to be chosen.
    rng : numpy.random.Generator, optional
        Chooses the random ions; the same every time where it is not given.
    progress : Progress
        Told of the stage ``clusters``, in bricks.

    Returns
    -------
    Clusters

    Raises
    ------
    RangingError
        If a species is not in the store.
    PlanError
        If there are too few solute ions, or `rule` asks for other than 2 samples.

    References
    ----------
    .. [1] Vaumousse, Cerezo, Warren, Ultramicroscopy 95, 215 (2003).

    Examples
    --------
    >>> import tempfile
    >>> from aptstream.cloud import ingest
    >>> from aptstream.io import write_pos
    >>> from aptstream.points import Range, RangeTable
    >>> table = RangeTable((Range(26, 28, (("Al", 1),)), Range(6, 8, (("Li", 1),))))
    >>> line = np.stack([np.arange(150) * 0.4, *2 * [np.full(150, 0.5)]], axis=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_pos(f"{folder}/a.pos", line, [7] * 80 + [27] * 30 + [7] * 40)
    ...     store = ingest(f"{folder}/a.pos", ranges=table, out=f"{folder}/a.zarr")
    ...     rule = ClusterRule(reach_nm=0.5, min_ions=20, envelope_nm=0, erosion_nm=0)
    ...     maximum_separation(store, Roles(("Al",), ("Li",)), rule).found.ions["Li"]
    array([80, 40])
    """
    rule, rng = rule or ClusterRule(), rng or np.random.default_rng(0)
    if rule.min_samples not in (None, 2):
        raise PlanError(f"Maximum separation links pairs: min_samples is 2, found {rule.min_samples}. Use DBSCAN.")
    solutes = solutes_of(store, roles, rng)
    reach = rule.reach_nm or max(float(np.quantile(kth_distances(solutes.random, 1, rng), LINKED)), 1e-3)
    return _clusters(store, solutes, replace(rule, reach_nm=reach, min_samples=2), progress)


def dbscan_clusters(
    store: PointStore,
    roles: Roles,
    rule: ClusterRule | None = None,
    *,
    rng: np.random.Generator | None = None,
    progress: Progress = silent,
) -> Clusters:
    """Find clusters of solute ions by density.

    Not given, the reach is the distance at which 15th neighbours of solute ions are most in excess of those of ions
    chosen at random; a core point has more ions within reach than 99 % of the random ones; the smallest cluster has one
    ion more than the largest one among the random ions. Envelope and erosion are those of `maximum_separation`.

    Parameters
    ----------
    store, roles, rule, rng, progress
        As for `maximum_separation`.

    Returns
    -------
    Clusters

    Raises
    ------
    RangingError
        If a species is not in the store.
    PlanError
        If there are too few solute ions.

    References
    ----------
    .. [1] Ester et al., Proc. KDD, 226 (1996); Stephenson et al., Microsc. Microanal. 13, 448 (2007).

    Examples
    --------
    >>> import tempfile
    >>> from aptstream.cloud import ingest
    >>> from aptstream.io import write_pos
    >>> from aptstream.points import Range, RangeTable
    >>> table = RangeTable((Range(26, 28, (("Al", 1),)), Range(6, 8, (("Li", 1),))))
    >>> line = np.stack([np.arange(150) * 0.4, *2 * [np.full(150, 0.5)]], axis=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_pos(f"{folder}/a.pos", line, [7] * 80 + [27] * 30 + [7] * 40)
    ...     store = ingest(f"{folder}/a.pos", ranges=table, out=f"{folder}/a.zarr")
    ...     rule = ClusterRule(reach_nm=0.9, min_samples=5, min_ions=50, envelope_nm=0, erosion_nm=0)
    ...     dbscan_clusters(store, Roles(("Al",), ("Li",)), rule).found.ions["Li"]
    array([80])
    """
    rule, rng = rule or ClusterRule(), rng or np.random.default_rng(0)
    solutes = solutes_of(store, roles, rng)
    reach = rule.reach_nm
    if reach is None:
        ours, theirs = (kth_distances(position, ORDER, rng) for position in (solutes.position, solutes.random))
        reach = max(separating_distance(ours, theirs), 1e-3)
    least = rule.min_samples or int(np.quantile(_within(solutes.random, reach), CROWDED)) + 1
    return _clusters(store, solutes, replace(rule, reach_nm=reach, min_samples=least), progress)


def _within(position: Positions, reach_nm: float) -> Labels:
    """Count the ions within reach of each, itself included."""
    counts = np.zeros(len(position), dtype=np.int64)
    for at, _ in neighbours(PointTree(position), position, reach_nm):
        first = int(at[0])
        found = np.bincount(at - first)
        counts[first : first + len(found)] = found
    return counts


def _clusters(store: PointStore, solutes: Solutes, rule: ClusterRule, progress: Progress) -> Clusters:
    """Cluster solute ions and random ones by the same rule, and make particles of the large clusters."""
    reach, samples = rule.reach_nm or 0.0, rule.min_samples or 1
    label, random = (dbscan(position, reach, samples) for position in (solutes.position, solutes.random))
    sizes, of_random = (np.bincount(found[found >= 0], minlength=1) for found in (label, random))
    shell = rule.envelope_nm
    if shell is None or rule.erosion_nm is None:
        usual = float(kth_distances(solutes.random, 1, np.random.default_rng(0)).mean()) / _NEAREST
        rule = replace(
            rule,
            envelope_nm=usual if shell is None else shell,
            erosion_nm=usual if rule.erosion_nm is None else rule.erosion_nm,
        )
    least = rule.min_ions or int(of_random.max()) + 1
    kept = (label >= 0) & (sizes[np.maximum(label, 0)] >= least)
    found = _enclosed(store, solutes.position[kept], label[kept], rule, progress)
    n_random = int((of_random >= least).sum())
    return Clusters(label, solutes.position, replace(rule, min_ions=least), n_random, count_ions(found, store))


def _enclosed(
    store: PointStore, position: Positions, label: Labels, rule: ClusterRule, progress: Progress
) -> Precipitates:
    """Make particles of clustered solute ions and of all ions that they enclose."""
    basins = np.zeros(store.shape_cells, np.int32)
    share = np.zeros(store.shape_cells, np.float32)
    envelope, erosion = rule.envelope_nm or 0.0, rule.erosion_nm or 0.0
    tree = PointTree(position)
    halo = math.ceil(erosion) + 1 if erosion else 0
    origin = np.array(store.origin_nm)
    for brick in bricks_of(store, "clusters", halo, progress):
        low, high = origin + brick.low - halo - envelope, origin + brick.low + brick.shape + halo + envelope
        x, y, z = low.tolist()
        p, q, r = (high + 1e-6).tolist()
        if tree.count(Box((x, y, z), (p, q, r))):
            distance, nearest = tree.nearest(brick.cloud.position, 1)
            inside = distance[:, 0] <= envelope
            inside &= brick.own | (erosion > 0)
            if erosion:
                inside = _eroded(brick, inside, distance[:, 0] > 0, erosion)
            _fill(basins, share, brick, inside & brick.own, label[nearest[:, 0] % len(label)] + 1)
    return precipitates_in(basins, share, min_volume_nm3=_LEAST_NM3, origin_nm=store.origin_nm)


def _eroded(
    brick: Brick, inside: npt.NDArray[np.bool_], enveloped: npt.NDArray[np.bool_], erosion_nm: float
) -> npt.NDArray[np.bool_]:
    """Take those ions out again that are near to an ion outside, but no clustered solute ion."""
    position, rim = brick.cloud.position, inside & enveloped & brick.own
    if inside.all() or not rim.any():
        return inside
    outside = PointTree(position[~inside])
    kept = inside.copy()
    kept[rim] = outside.nearest(position[rim], 1)[0][:, 0] > erosion_nm
    return kept


def _fill(
    basins: npt.NDArray[np.int32],
    share: npt.NDArray[np.float32],
    brick: Brick,
    inside: npt.NDArray[np.bool_],
    number: Labels,
) -> None:
    """Give the voxels of a brick to the clusters that enclose most of their ions, with the share that they enclose."""
    n_voxels = math.prod(brick.shape)
    ions = np.bincount(brick.flat(brick.own), minlength=n_voxels)
    keys, counts = np.unique(np.stack([brick.flat(inside), number[inside]]), axis=1, return_counts=True)
    best = np.argsort(counts, kind="stable")  # the last one that is written stays
    mine, shared = np.zeros(n_voxels, np.int32), np.zeros(n_voxels, np.float32)
    mine[keys[0, best]] = keys[1, best]
    shared[keys[0, best]] = (counts / ions[keys[0]])[best]
    basins[brick.place], share[brick.place] = mine.reshape(brick.shape), shared.reshape(brick.shape)
