"""How the solute ions of a specimen are arranged: nearest neighbours, pair correlation, short-range order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream.cloud.store import PointStore
from aptstream.crystal import Crystal
from aptstream.peers.correlation import PairCorrelation, rdf
from aptstream.peers.nearest import NeighbourDistances, nearest_neighbours
from aptstream.peers.pairs import PairTable, neighbour_table, pair_table, shells_of
from aptstream.points import Roles
from aptstream.progress import Progress, silent

#: Neighbour that is asked for, shells of the crystal, and the ranks that stand for them where there is no crystal.
ORDER, SHELLS, RANKS = 5, 4, (1, 7, 13, 25)


@dataclass(frozen=True)
class Arrangement:
    """Statistics of all solute ions.

    Parameters
    ----------
    nearest : NeighbourDistances
        Distances of the fifth nearest solute ions, against permuted labels.
    correlation : PairCorrelation
        Solute around solute.
    shells : PairTable
        Host, and every species of the solute, around each other, in shells.
    by_distance : bool
        Whether the shells are distances in nm, or ranks of neighbours.
    """

    nearest: NeighbourDistances
    correlation: PairCorrelation
    shells: PairTable
    by_distance: bool

    def as_json(self) -> dict[str, Any]:
        """Return the numbers for machines; what is not defined is null."""
        near, table = self.nearest, self.shells
        return {
            "nearest_neighbours": {
                "k": near.k,
                "edges_nm": near.edges_nm.tolist(),
                "observed": near.observed.tolist(),
                "random": near.random.tolist(),
                "mean_nm": near.mean_nm,
                "random_mean_nm": near.random_mean_nm,
                "chi_square": near.chi_square,
                "degrees": near.degrees,
                "p_value": near.p_value,
                "p_permuted": near.p_permuted,
                "pearson": near.pearson,
            },
            "solute_pair_correlation": {
                "distance_nm": self.correlation.distance_nm.round(6).tolist(),
                "g": _nulled(self.correlation.g),
                "error": _nulled(self.correlation.error),
            },
            "short_range_order": {
                "groups": list(table.groups),
                "shell_edges_nm" if self.by_distance else "shell_ranks": table.edges.round(6).tolist(),
                "warren_cowley": _nulled(table.warren_cowley),
                "warren_cowley_error": _nulled(table.ratio_error),
                "gm_sro": _nulled(table.gm_sro),
                "gm_sro_error": _nulled(table.gm_sro_error),
            },
        }


def arrangement(
    store: PointStore, roles: Roles, crystal: Crystal | None = None, *, progress: Progress = silent
) -> Arrangement:
    """Measure how the solute ions are arranged.

    Parameters
    ----------
    store : PointStore
        The ions.
    roles : Roles
        Host and solute species.
    crystal : Crystal, optional
        Whose shells of neighbours are counted; ranks of neighbours where it is not given.
    progress : Progress
        Told of the stage ``pairs``, in bricks.

    Returns
    -------
    Arrangement

    Raises
    ------
    RangingError
        If a species is not in the store.
    PlanError
        If there are too few solute ions.
    """
    nearest = nearest_neighbours(store, roles, ORDER)
    correlation = rdf(store, roles.solute, roles.solute, progress=progress)
    counts = store.species_counts()
    groups = {", ".join(roles.host): roles.host, **{name: (name,) for name in roles.solute if counts[name]}}
    if crystal is None:
        shells = neighbour_table(store, groups, RANKS, progress=progress)
    else:
        shells = pair_table(store, groups, shells_of(crystal, SHELLS), progress=progress)
    return Arrangement(nearest, correlation, shells, crystal is not None)


def _nulled(values: npt.NDArray[np.float64]) -> Any:
    """Write an array as lists, with null for what is not finite."""
    texts = values.astype(object)
    texts[~np.isfinite(values)] = None
    return texts.tolist()
