"""From the judgements of cubes to the answer: both maps on the 1 nm grid, and the particles in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptstream.cloud.store import PointStore
from aptstream.errors import StoreError
from aptstream.grid.composition import count_ions
from aptstream.grid.precipitates import Precipitates, find_precipitates
from aptstream.grid.vote import VoxelGrid, vote
from aptstream.model.modelfile import Model
from aptstream.progress import Progress, silent
from aptstream.scan.results import ScanStore


@dataclass(frozen=True)
class Answer:
    """What a scan says of a specimen.

    Parameters
    ----------
    votes : VoxelGrid
        The publication's map: summed probabilities of the largest cubes (4 nm).
    order : ndarray of float32, (nx, ny, nz)
        The map that particles are made from: mean probability of the smallest cubes (2 nm) that cover a voxel; NaN
        where there is no valid one.
    found : Precipitates
        Particles, with the ions inside.
    """

    votes: VoxelGrid
    order: npt.NDArray[np.float32]
    found: Precipitates

    @property
    def n_judged(self) -> int:
        """Voxels that a valid cube covers."""
        return int(np.isfinite(self.order).sum())

    @property
    def volume_fraction(self) -> float:
        """Volume of the particles / volume that could be judged; NaN if nothing could."""
        return float(self.found.n_voxels.sum() / self.n_judged) if self.n_judged else float("nan")


def find(scan: ScanStore, store: PointStore, model: Model, progress: Progress = silent) -> Answer:
    """Sum the votes, and find the particles and what they are made of.

    Parameters
    ----------
    scan : ScanStore
        Judgements of the cubes.
    store : PointStore
        The ions that were scanned.
    model : Model
        The model that judged them; it holds the cut.
    progress : Progress
        Told of the stage ``composition``.

    Returns
    -------
    Answer

    Raises
    ------
    StoreError
        If scan, store and model do not belong together.
    """
    made_from = (scan.attrs["store_digest"], scan.attrs["model_digest"])
    given = (store.attrs["content_digest"], model.digest)
    if made_from != given:
        which = "from other ions" if made_from[0] != given[0] else "by another model"
        raise StoreError(
            f"The scan {scan.path} was made {which}: give the store and the model that it was made with, or scan again."
        )
    edges = sorted(scan.edges)
    votes = vote(scan.p(edges[-1]), edges[-1], scan.origin_nm)
    order = vote(scan.p(edges[0]), edges[0], scan.origin_nm).mean
    found = find_precipitates(order, cut=model.cut, min_voxels=model.min_voxels, origin_nm=scan.origin_nm)
    return Answer(votes, order, count_ions(found, store, progress))
