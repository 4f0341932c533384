"""Pair correlation functions that neither the shape nor the density of a specimen enters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptstream.cloud.store import PointStore
from aptstream.errors import PlanError
from aptstream.peers.pairs import pair_table
from aptstream.progress import Progress, silent

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PairCorrelation:
    """How much more often a species is found at a distance than anywhere; bins without any ion are left out.

    Parameters
    ----------
    distance_nm : ndarray of float64, (n,)
        Middle of each bin in nm.
    g, error : ndarray of float64, (n,)
        Partial pair correlation / that of all ions, and its standard error from counting; 1 is random.
    n_pairs : ndarray of int64, (n,)
        Pairs counted.
    """

    distance_nm: Floats
    g: Floats
    error: Floats
    n_pairs: Counts


def rdf(
    store: PointStore,
    species_a: Sequence[str],
    species_b: Sequence[str],
    *,
    r_max_nm: float = 2.0,
    bin_nm: float = 0.05,
    progress: Progress = silent,
) -> PairCorrelation:
    """Measure the partial pair correlation of two sets of species, divided by that of all ions.

    Parameters
    ----------
    store : PointStore
        The ions; read brick by brick.
    species_a, species_b : sequence of str
        Species around which, and of which, ions are counted: the same, or without a species in common.
    r_max_nm, bin_nm : float
        Largest distance, and width of the bins, in nm.
    progress : Progress
        Told of the stage ``pairs``, in bricks.

    Returns
    -------
    PairCorrelation
        g_AB / g_all: share of B among the neighbours of A / share of B in the specimen. Shape and density of the
        specimen, and the planes of its lattice, drop out.

    Raises
    ------
    RangingError, PlanError
        As `pair_table`.

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
    ...     rdf(store, ["Al"], ["Li"], r_max_nm=3, bin_nm=0.5).g.round(3)
    array([1.667, 0.   ])
    """
    if not 0 < bin_nm < r_max_nm:
        raise PlanError(f"A pair correlation needs bins and a reach in nm, found {bin_nm} and {r_max_nm}.")
    same = set(species_a) == set(species_b)
    groups = {"A": species_a} if same else {"A": species_a, "B": species_b}
    edges: Floats = np.arange(round(r_max_nm / bin_nm) + 1, dtype=np.float64) * bin_nm
    table = pair_table(store, groups, edges, progress=progress)
    kept, b = table.every[0] > 0, 0 if same else 1
    middle: Floats = (edges[:-1] + edges[1:]) / 2
    return PairCorrelation(
        middle[kept], table.ratio[0, b, kept], table.ratio_error[0, b, kept], table.counts[0, b, kept]
    )
