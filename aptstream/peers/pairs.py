"""Pairs of ions by distance or by rank: pair correlations and short-range order, in a volume of any shape."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptstream.cloud.store import PointStore
from aptstream.cloud.tree import PointTree
from aptstream.crystal import Crystal
from aptstream.errors import PlanError, RangingError
from aptstream.peers.walk import Brick, bricks_of, neighbours
from aptstream.points import check_species
from aptstream.progress import Progress, silent

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]
Groups = Mapping[str, Sequence[str]]

#: Neighbours that are looked at for each group, and the most ions around which they are counted: of larger groups so
#: many are drawn as have so many neighbours in a solid of 30 ions in a nm³.
MOST_NEIGHBOURS, MOST_CENTRES, _PER_NM3 = 20_000_000, 200_000, 30
#: Nearest neighbours are looked for within this distance, in nm: ions that have fewer are not asked.
FARTHEST_NM = 3


def shells_of(crystal: Crystal, n_shells: int) -> Floats:
    """Put the bounds of neighbour shells half way between the distances of neighbours on a crystal's parent lattice.

    Parameters
    ----------
    crystal : Crystal
        Structure and lattice parameter.
    n_shells : int
        Shells, 1 … 8. Where ions are displaced laterally by as much as shells are apart, they blend into each other.

    Returns
    -------
    ndarray of float64, (n_shells + 1,)
        In nm, from 0 on.

    Raises
    ------
    PlanError
        If there are fewer or more shells.

    Examples
    --------
    >>> shells_of(Crystal("FCC", 0.4), 2).round(4)
    array([0.    , 0.3414, 0.4449])
    """
    if not 1 <= n_shells <= 8:
        raise PlanError(f"Shells of neighbours are counted from 1 to 8, found {n_shells}.")
    parent = crystal.parent
    cells = np.indices((9, 9, 9)).reshape(3, -1).T - 4
    sites = np.array(parent.structure.sites)
    around = ((cells[:, None] + sites - sites[0]).reshape(-1, 3)) @ parent.cell_nm
    distance = np.unique(np.linalg.norm(around, axis=1).round(6))[1 : n_shells + 2]
    return np.concatenate([[0.0], (distance[:-1] + distance[1:]) / 2])


@dataclass(frozen=True)
class PairTable:
    """Neighbours of each group of species around ions of each group, shell by shell.

    Parameters
    ----------
    groups : tuple of str
        Names of the groups.
    edges : ndarray of float64, (n_shells + 1,)
        Bounds of the shells: distances in nm, or ranks of the neighbours; the lower one counts, the upper does not.
    counts : ndarray of int64, (n_groups, n_groups, n_shells)
        Ions of the second group in shells around centres of the first.
    every : ndarray of int64, (n_groups, n_shells)
        Ranged ions of any species there.
    squares : ndarray of float64, (n_groups, n_shells)
        Sum over the centres of the squared number of such ions, or, for ranks, of the ions that they are such to.
    n_centres : ndarray of int64, (n_groups,)
        Ions of each group around which was counted.
    n_ions : ndarray of int64, (n_groups,)
        Ions of each group in the specimen.
    n_ranged : int
        Ranged ions in the specimen.
    """

    groups: tuple[str, ...]
    edges: Floats
    counts: Counts
    every: Counts
    squares: Floats
    n_centres: Counts
    n_ions: Counts
    n_ranged: int

    @property
    def share(self) -> Floats:
        """Share of the second group among all others than the centre, (n_groups, n_groups)."""
        own = np.eye(len(self.groups))
        share: Floats = (self.n_ions[None] - own) / max(self.n_ranged - 1, 1)
        return share

    @property
    def ratio(self) -> Floats:
        """Share of the second group in a shell / in the specimen, (n_groups, n_groups, n_shells); NaN if undefined."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.counts / self.every[:, None] / self.share[..., None]

    @property
    def ratio_error(self) -> Floats:
        """Standard error of `ratio`, (n_groups, n_groups, n_shells), as species drawn at random would give.

        Two parts, the terms of first and second order of a U-statistic [1]_: what an ion is counts once for each of
        its neighbours, which weighs where the density varies; and every pair is a draw by itself, which is the same
        draw seen from its other ion.

        References
        ----------
        .. [1] Hoeffding, Ann. Math. Statist. 19, 293 (1948).
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            part = self.counts / self.every[:, None]
            asked = (self.n_centres / self.n_ranged)[:, None]
            content = (self.n_ions / self.n_ranged)[:, None]
            odds, odds_content = asked / (1 - asked), content / (1 - content)
            again = np.where(np.eye(len(self.groups), dtype=bool), odds / odds_content, odds * odds_content.T)
            twice = 1 + again[..., None]
            uneven = self.n_centres[:, None] * self.squares / self.every.astype(np.float64) ** 2 - 1
            variance = twice * ((1 - asked) / self.every)[:, None] + (uneven / self.n_ranged)[:, None]
            return np.sqrt(part * (1 - part) * variance) / self.share[..., None]

    @property
    def warren_cowley(self) -> Floats:
        """Warren–Cowley parameters 1 − p/c, (n_groups, n_groups, n_shells): 0 random, below 0 more than random [1]_.

        References
        ----------
        .. [1] Cowley, J. Appl. Phys. 21, 24 (1950).
        """
        return 1 - self.ratio

    @property
    def gm_sro(self) -> Floats:
        """GM-SRO parameters (p − c)/(δ − c), (n_groups, n_groups, n_shells) [1]_.

        δ is 1 for a group around itself and 0 for others. So 0 is random, and 1 all of the same group, or none of the
        other. For a group around itself values above 0 mean clustering, for two groups values below 0 do.

        References
        ----------
        .. [1] Ceguerra et al., Acta Cryst. A 68, 547 (2012).
        """
        share, same = self.share[..., None], np.eye(len(self.groups))[..., None]
        with np.errstate(invalid="ignore", divide="ignore"):
            return (self.ratio * share - share) / (same - share)

    @property
    def gm_sro_error(self) -> Floats:
        """Standard error of `gm_sro`, as `ratio_error`."""
        share, same = self.share[..., None], np.eye(len(self.groups))[..., None]
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.ratio_error * share / np.abs(same - share)


def pair_table(
    store: PointStore,
    groups: Groups,
    edges_nm: Sequence[float] | Floats,
    *,
    rng: np.random.Generator | None = None,
    progress: Progress = silent,
) -> PairTable:
    """Count neighbours by distance.

    What is lost at the surface of the specimen, and how dense it is, is the same for neighbours of a group and for all
    neighbours: their ratio needs no correction. Nor does it for ions that were not detected, as long as all species are
    detected alike.

    Parameters
    ----------
    store : PointStore
        The ions; read brick by brick.
    groups : mapping of str to sequence of str
        Species of each group; no species in two of them.
    edges_nm : sequence of float
        Bounds of the shells in nm, ascending.
    rng : numpy.random.Generator, optional
        Draws the centres of groups with very many ions; the same every time where it is not given.
    progress : Progress
        Told of the stage ``pairs``, in bricks.

    Returns
    -------
    PairTable

    Raises
    ------
    RangingError
        If a species is not in the store, or in two groups.
    PlanError
        If the bounds do not ascend, or exceed 10 nm, or a group holds no ion.

    Examples
    --------
    >>> import tempfile
    >>> from aptstream.cloud import ingest
    >>> from aptstream.io import write_pos
    >>> from aptstream.points import Range, RangeTable
    >>> table = RangeTable((Range(26, 28, (("Al", 1),)), Range(6, 8, (("Li", 1),))))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_pos(f"{folder}/a.pos", [[x, 0, 0] for x in range(6)], [27, 7] * 3)
    ...     store = ingest(f"{folder}/a.pos", ranges=table, out=f"{folder}/a.zarr")
    ...     found = pair_table(store, {"Al": ["Al"], "Li": ["Li"]}, [0.5, 1.5, 2.5])
    >>> found.counts.tolist()
    [[[0, 4], [5, 0]], [[5, 0], [0, 4]]]
    """
    edges = np.asarray(edges_nm, np.float64)
    if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all() or edges[0] < 0 or not edges[-1] <= 10:
        raise PlanError(f"Shells need ascending bounds between 0 and 10 nm, found {edges.tolist()}.")
    made = _Table(store, groups, len(edges) - 1, rng)
    made.most = min(MOST_CENTRES, MOST_NEIGHBOURS / (_PER_NM3 * 4 / 3 * math.pi * float(edges[-1]) ** 3))
    for brick in bricks_of(store, "pairs", math.ceil(edges[-1]), progress):
        ions = made.ranged(brick)
        for group, centres in made.centres(brick):
            for at, near in neighbours(ions.tree, ions.position[centres], float(edges[-1])):
                apart = ions.position[near].astype(np.float64) - ions.position[centres[at]]
                distance = np.sqrt((apart**2).sum(axis=1))
                shell = np.searchsorted(edges, distance, side="right") - 1
                kept = (shell >= 0) & (shell < made.n_shells) & (near != centres[at])
                made.add(group, at[kept] - at[0], ions.group[near[kept]], shell[kept])
    return made.table(edges)


def neighbour_table(
    store: PointStore,
    groups: Groups,
    ranks: Sequence[int],
    *,
    rng: np.random.Generator | None = None,
    progress: Progress = silent,
) -> PairTable:
    """Count neighbours by rank: the nearest one, the second, and so on.

    Parameters
    ----------
    store, groups, rng, progress
        As for `pair_table`.
    ranks : sequence of int
        Bounds of the shells, ascending: ``(1, 7, 13)`` are the six nearest neighbours, and the six after these. Of the
        12 first neighbours in FCC only the detected share is there.

    Returns
    -------
    PairTable
        Of ions with so many neighbours within `FARTHEST_NM`.

    Raises
    ------
    RangingError, PlanError
        As `pair_table`; or if the bounds do not ascend from 1 on.

    Examples
    --------
    >>> import tempfile
    >>> from aptstream.cloud import ingest
    >>> from aptstream.io import write_pos
    >>> from aptstream.points import Range, RangeTable
    >>> table = RangeTable((Range(26, 28, (("Al", 1),)), Range(6, 8, (("Li", 1),))))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_pos(f"{folder}/a.pos", [[x, 0, 0] for x in (0, 0.3, 0.7, 1.2)], [27, 7, 7, 27])
    ...     store = ingest(f"{folder}/a.pos", ranges=table, out=f"{folder}/a.zarr")
    ...     neighbour_table(store, {"Al": ["Al"], "Li": ["Li"]}, (1, 2)).counts[:, :, 0].tolist()
    [[0, 2], [1, 1]]
    """
    edges = np.asarray(ranks, np.float64)
    if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all() or edges[0] < 1 or not edges[-1] <= 1000:
        raise PlanError(f"Shells of neighbours need ascending ranks from 1 on, up to 1000, found {edges.tolist()}.")
    made, k = _Table(store, groups, len(edges) - 1, rng), int(edges[-1])
    shell_of = np.searchsorted(edges, np.arange(k), side="right") - 1
    for brick in bricks_of(store, "pairs", FARTHEST_NM, progress):
        ions = made.ranged(brick)
        for group, centres in made.centres(brick):
            distance, near = ions.tree.nearest(ions.position[centres], k)
            # An ion is its own neighbour of rank 0, also where another has its place.
            near[:, 0] = np.where((near == centres[:, None]).any(axis=1), near[:, 0], centres)
            order = np.argsort(near != centres[:, None], axis=1, kind="stable")
            near = np.take_along_axis(near, order, axis=1)[distance[:, -1] <= FARTHEST_NM]
            shell = np.broadcast_to(shell_of, near.shape)
            kept = shell >= 0
            kept[:, 0] = False
            made.add(group, near[kept], ions.group[near[kept]], shell[kept])
    # All ions have as many neighbours, but are not as often one. Of the ions around them only centres counted.
    asked = (made.n_centres / made.n_ranged)[:, None]
    made.squares = (made.squares - (1 - asked) * made.counts.sum(axis=1)) / asked
    return made.table(edges)


@dataclass(frozen=True)
class _Ions:
    """Ranged ions of a brick and around it, with the number of their group; the last number is for all others."""

    position: npt.NDArray[np.float32]
    group: npt.NDArray[np.intp]
    tree: PointTree


class _Table:
    """A pair table in the making."""

    def __init__(self, store: PointStore, groups: Groups, n_shells: int, rng: np.random.Generator | None) -> None:
        named = [name for species in groups.values() for name in species]
        check_species(named, store.species_names)
        if len(set(named)) < len(named) or not groups:
            raise RangingError(f"Pairs need groups of species, each named once; found {', '.join(named) or 'none'}.")
        counts = store.species_counts()
        self.groups, self.n_shells, self.rng = tuple(groups), n_shells, rng or np.random.default_rng(0)
        self.n_ions = np.array([sum(counts[name] for name in species) for species in groups.values()], np.int64)
        if not self.n_ions.all():
            empty = [name for name, n in zip(groups, self.n_ions, strict=True) if not n]
            raise PlanError(f"There is no ion of {', '.join(empty)}. Choose species that the specimen holds.")
        self.n_ranged = sum(n for name, n in counts.items() if name != store.species_names[0])
        self.of = np.full(len(store.species_names), len(groups), np.intp)
        for number, species in enumerate(groups.values()):
            self.of[[store.species_names.index(name) for name in species]] = number
        self.counts = np.zeros((len(groups), len(groups) + 1, n_shells), np.int64)
        self.squares: Floats = np.zeros((len(groups), n_shells))
        self.n_centres = np.zeros(len(groups), np.int64)
        self.most: float = MOST_CENTRES
        self._own = np.zeros(0, dtype=bool)
        self._group = np.zeros(0, np.intp)

    def ranged(self, brick: Brick) -> _Ions:
        """Take the ranged ions of a brick."""
        cloud = brick.cloud
        rows = np.flatnonzero(cloud.species > 0)
        self._own, self._group = brick.own[rows], self.of[cloud.species[rows]]
        position = cloud.position[rows]
        return _Ions(position, self._group, PointTree(position))

    def centres(self, brick: Brick) -> list[tuple[int, npt.NDArray[np.intp]]]:
        """Choose the ions of a brick around which neighbours are counted, group by group."""
        chosen = []
        for group, n in enumerate(self.n_ions.tolist()):
            rows = np.flatnonzero(self._own & (self._group == group))
            if n > self.most:
                rows = rows[self.rng.random(len(rows)) < self.most / n]
            self.n_centres[group] += len(rows)
            if len(rows):
                chosen.append((group, rows))
        return chosen

    def add(self, group: int, at: Rows, of: Rows, shell: Rows) -> None:
        """Add neighbours of some groups in some shells; `at` numbers for whom they are squared."""
        n = self.counts[group].size
        self.counts[group] += np.bincount(of * self.n_shells + shell, minlength=n).reshape(self.counts[group].shape)
        around = np.bincount(at * self.n_shells + shell)
        around.resize(-(-len(around) // self.n_shells), self.n_shells)
        self.squares[group] += (around**2).sum(axis=0)

    def table(self, edges: Floats) -> PairTable:
        """Finish it."""
        every = self.counts.sum(axis=1)
        return PairTable(
            self.groups, edges, self.counts[:, :-1], every, self.squares, self.n_centres, self.n_ions, self.n_ranged
        )
