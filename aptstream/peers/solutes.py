"""The solute ions of a specimen, and the same number of ions chosen at random: what clusters are held against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptstream.cloud.store import PointStore
from aptstream.cloud.tree import PointTree
from aptstream.errors import PlanError
from aptstream.points import NEITHER, SOLUTE, Roles

Positions = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

#: With fewer solute ions nothing can be said of their arrangement.
LEAST_SOLUTE_IONS = 100
#: Ions whose neighbours are looked at where a sample will do.
SAMPLE = 200_000


@dataclass(frozen=True)
class Solutes:
    """Solute ions, and as many at random.

    Parameters
    ----------
    position : ndarray of float32, (n, 3)
        Solute ions in nm, in stored order.
    random : ndarray of float32, (n, 3)
        As many ions of host and solute, chosen without regard to their species: the solute ions of a specimen whose
        labels were permuted.
    """

    position: Positions
    random: Positions

    def __len__(self) -> int:
        return len(self.position)


def solutes_of(store: PointStore, roles: Roles, rng: np.random.Generator) -> Solutes:
    """Gather the solute ions of a store, and as many at random; memory grows with these alone.

    Parameters
    ----------
    store : PointStore
        The ions; streamed.
    roles : Roles
        Host and solute species.
    rng : numpy.random.Generator
        Chooses the random ones.

    Returns
    -------
    Solutes

    Raises
    ------
    RangingError
        If a species is not in the store.
    PlanError
        If there are fewer than 100 solute ions, or no host ion.
    """
    role, counts = roles.of(store.species_names), store.species_counts()
    n_solute, n_host = (sum(counts[name] for name in names) for names in (roles.solute, roles.host))
    if n_solute < LEAST_SOLUTE_IONS or not n_host:
        raise PlanError(
            f"Found {n_solute:,} ions of the solute {', '.join(roles.solute)} and {n_host:,} of the host "
            f"{', '.join(roles.host)}; expected at least {LEAST_SOLUTE_IONS} and 1. Choose other species."
        )
    solute, random = [], []
    left, wanted = n_solute + n_host, n_solute
    for cloud in store.blocks(columns=()):
        of = role[cloud.species]
        solute.append(cloud.position[of == SOLUTE])
        rows = np.flatnonzero(of != NEITHER)
        n = int(rng.hypergeometric(wanted, left - wanted, len(rows))) if len(rows) else 0
        random.append(cloud.position[np.sort(rng.choice(rows, n, replace=False))] if n else cloud.position[:0])
        left, wanted = left - len(rows), wanted - n
    return Solutes(np.concatenate(solute), np.concatenate(random))


def kth_distances(position: Positions, k: int, rng: np.random.Generator | None = None) -> Floats:
    """Measure how far the k-th nearest other ion is from each ion, or from a sample of them.

    Parameters
    ----------
    position : ndarray of float32, (n, 3)
        In nm.
    k : int
        Which neighbour, at least 1.
    rng : numpy.random.Generator, optional
        Chooses `SAMPLE` ions where there are more; all are taken where it is not given.

    Returns
    -------
    ndarray of float64, (m,)
        In nm; infinite where there are not so many ions.

    Examples
    --------
    >>> kth_distances(np.array([[0, 0, 0], [1, 0, 0], [3, 0, 0]], "f4"), 1)
    array([1., 1., 2.])
    """
    tree, points = PointTree(position), position
    if rng is not None and len(position) > SAMPLE:
        points = position[np.sort(rng.choice(len(position), SAMPLE, replace=False))]
    found = [tree.nearest(points[start : start + SAMPLE], k + 1)[0][:, k] for start in range(0, len(points), SAMPLE)]
    return np.concatenate(found) if found else np.zeros(0)


def separating_distance(observed: Floats, random: Floats) -> float:
    """Find the distance within which neighbours are most in excess of those of a random alloy.

    Parameters
    ----------
    observed, random : ndarray of float64
        Distances of neighbours of one order, in nm.

    Returns
    -------
    float
        Where the distribution of the observed distances is farthest above that of the random ones, in nm.

    Examples
    --------
    >>> separating_distance(np.array([0.1, 0.2, 0.9]), np.array([0.5, 0.8, 0.9]))
    0.2
    """
    ours, theirs = np.sort(observed), np.sort(random)
    ahead = np.arange(1, len(ours) + 1) / len(ours) - np.searchsorted(theirs, ours, side="right") / len(theirs)
    return float(ours[int(np.argmax(ahead))])
