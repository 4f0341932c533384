"""Nearest neighbours of solute ions, held against ions chosen at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import chi2

from aptstream.cloud.store import PointStore
from aptstream.errors import PlanError
from aptstream.peers.solutes import kth_distances, solutes_of
from aptstream.points import Roles

Floats = npt.NDArray[np.float64]

#: Bins of the histogram, and the fewest random ions in one that counts.
_BINS, _FEWEST = 40, 5


@dataclass(frozen=True)
class NeighbourDistances:
    """Distances of the k-th nearest solute ions, and of ions whose labels were permuted.

    Parameters
    ----------
    k : int
        Which neighbour.
    edges_nm : ndarray of float64, (n + 1,)
        Bounds of the bins in nm.
    observed, random : ndarray of float64, (n,)
        Ions in each bin; of the random ones the mean over the permutations.
    mean_nm, random_mean_nm : float
        Mean distances in nm.
    chi_square : float
        χ² of both histograms.
    degrees : int
        Its degrees of freedom.
    p_value : float
        Probability of such a χ² in a random alloy. It takes the distances for independent of each other, which
        neighbours of one another are not: a value of 0.01 is weak.
    p_permuted : float
        Share of the permutations, the specimen counted as one, whose χ² against all others is as large: free of that
        assumption, but never below 1 / (permutations + 1).
    pearson : float
        Pearson's coefficient √(χ² / (N + χ²)), which does not grow with the number of ions: 0 random, towards 1 not.
    """

    k: int
    edges_nm: Floats
    observed: Floats
    random: Floats
    mean_nm: float
    random_mean_nm: float
    chi_square: float
    degrees: int
    p_value: float
    p_permuted: float
    pearson: float


def nearest_neighbours(
    store: PointStore,
    roles: Roles,
    k: int = 1,
    *,
    n_permutations: int = 4,
    rng: np.random.Generator | None = None,
) -> NeighbourDistances:
    """Ask whether solute ions are nearer to each other than chance has it.

    Parameters
    ----------
    store : PointStore
        The ions; solute ions are held in memory.
    roles : Roles
        Host and solute species.
    k : int
        Which neighbour, 1 … 100.
    n_permutations : int
        How often the labels of host and solute are permuted.
    rng : numpy.random.Generator, optional
        Permutes them; the same every time where it is not given.

    Returns
    -------
    NeighbourDistances
        Of at most 200 000 ions.

    Raises
    ------
    RangingError
        If a species is not in the store.
    PlanError
        If there are too few solute ions, `k` is out of bounds, or there is no permutation.

    References
    ----------
    .. [1] Moody et al., Microsc. Res. Tech. 71, 542 (2008).

    Examples
    --------
    >>> import tempfile
    >>> from aptstream.cloud import ingest
    >>> from aptstream.io import write_pos
    >>> from aptstream.points import Range, RangeTable
    >>> table = RangeTable((Range(26, 28, (("Al", 1),)), Range(6, 8, (("Li", 1),))))
    >>> position = np.random.default_rng(1).uniform(0, 8, (6000, 3)).astype("f4")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_pos(f"{folder}/a.pos", position, np.where(position[:, 0] < 1, 7, 27))
    ...     store = ingest(f"{folder}/a.pos", ranges=table, out=f"{folder}/a.zarr")
    ...     found = nearest_neighbours(store, Roles(("Al",), ("Li",)))
    >>> found.mean_nm < 0.7 * found.random_mean_nm, found.p_value < 1e-6, found.p_permuted
    (True, True, 0.2)
    """
    if not 1 <= k <= 100 or n_permutations < 1:
        raise PlanError(
            f"Neighbours need a rank of 1 to 100 and a permutation at least, found {k} and {n_permutations}."
        )
    rng = rng or np.random.default_rng(0)
    sets = [solutes_of(store, roles, rng) for _ in range(n_permutations)]
    if len(sets[0]) <= k:
        raise PlanError(f"The neighbour of rank {k} needs more solute ions than {len(sets[0])}.")
    distances = [kth_distances(position, k, rng) for position in (sets[0].position, *(one.random for one in sets))]
    longest = float(np.quantile(np.concatenate(distances), 0.999))
    edges = np.linspace(0, max(longest, 1e-3), _BINS + 1)
    counts = np.array([np.histogram(np.minimum(d, longest), edges)[0] for d in distances], np.float64)
    squares = [_chi_square(own, np.delete(counts, i, axis=0)) for i, own in enumerate(counts)]
    square, degrees = squares[0]
    n = float(counts[0].sum())
    return NeighbourDistances(
        k,
        edges,
        counts[0],
        counts[1:].mean(axis=0),
        float(distances[0].mean()),
        float(np.mean([d.mean() for d in distances[1:]])),
        square,
        degrees,
        float(chi2.sf(square, degrees)) if degrees else 1.0,
        float(np.mean([other >= square for other, _ in squares])),
        float(np.sqrt(square / (n + square))),
    )


def _chi_square(own: Floats, others: Floats) -> tuple[float, int]:
    """Compare a histogram with the mean of others: χ² and its degrees of freedom."""
    mean = others.mean(axis=0)
    told = mean >= _FEWEST
    variance = mean[told] * (1 + 1 / len(others))
    return float(((own[told] - mean[told]) ** 2 / variance).sum()), max(int(told.sum()) - 1, 0)
