"""From the judgements of cubes to the answer: both maps on the 1 nm grid, and the particles in them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from aptstream.cloud.store import PointStore
from aptstream.errors import PlanError, StoreError
from aptstream.grid.control import PEAK_BOUNDS, Control, shuffled_control
from aptstream.grid.measures import Measures, measure_particles, share_of_labels
from aptstream.grid.precipitates import (
    BoundaryRule,
    Neighbours,
    Precipitates,
    expected_precipitates,
    find_precipitates,
)
from aptstream.grid.refine import refine
from aptstream.grid.statistics import Statistics, particle_statistics
from aptstream.grid.vote import VoxelGrid, vote
from aptstream.model.modelfile import Model
from aptstream.model.refiner import Refined
from aptstream.progress import Progress, silent
from aptstream.scan.results import ScanStore

_SHARED = {6: "a face", 18: "a face or an edge", 26: "a face, an edge or a corner"}


@dataclass(frozen=True)
class Cut:
    """A fixed cut in place of the model's own rule.

    Parameters
    ----------
    value : float
        Voxels that reach it belong to particles: 62/64 is the publication's for the votes.
    of : {"order", "votes"}
        The map that is cut: that of the model, or the mean vote of the largest cubes.
    neighbours : {6, 18, 26}
        Voxels are connected across faces, also across edges, or also across corners.

    Raises
    ------
    PlanError
        If the value is no probability.
    """

    value: float
    of: Literal["order", "votes"] = "order"
    neighbours: Neighbours = 6

    def __post_init__(self) -> None:
        if not 0 < self.value <= 1:
            raise PlanError(
                f"A cut lies between 0 and 1, found {self.value:g}. The publication's is 62/64 of the votes."
            )


@dataclass(frozen=True)
class Answer:
    """What a scan says of a specimen.

    Parameters
    ----------
    votes : VoxelGrid
        The publication's map: summed probabilities of the largest cubes (4 nm).
    order : ndarray of float32, (nx, ny, nz)
        The map that particles are made from: probability of order by the nets on the 1 nm grid where the model has
        them, else the mean probability of the smallest cubes; NaN where no valid one of these covers a voxel, and
        everywhere for such nets if no planes are visible.
    found : Precipitates
        Particles, with the ions inside.
    measures : Measures
        Sizes, shapes and compositions of the particles.
    statistics : Statistics
        What they say of the alloy.
    rule : str
        How particles were made, in words.
    refined : Refined, optional
        What the nets on the 1 nm grid say, and the specimen's scale.
    control : Control, optional
        What they say with species shuffled.
    cut : Cut, optional
        The fixed cut that was taken in place of the model's rule.
    """

    votes: VoxelGrid
    order: npt.NDArray[np.float32]
    found: Precipitates
    measures: Measures
    statistics: Statistics
    rule: str
    refined: Refined | None = None
    control: Control | None = None
    cut: Cut | None = None

    @property
    def n_judged(self) -> int:
        """Voxels that a valid cube covers."""
        return int(np.isfinite(self.order).sum())

    @property
    def volume_fraction(self) -> float:
        """Volume of the particles / volume that could be judged; NaN if nothing could."""
        return float(self.found.volume_nm3.sum() / self.n_judged) if self.n_judged else float("nan")


def find(
    scan: ScanStore, store: PointStore, model: Model, progress: Progress = silent, *, cut: Cut | None = None
) -> Answer:
    """Sum the votes, judge the voxels, and find the particles and what they are made of.

    Parameters
    ----------
    scan : ScanStore
        Judgements of the cubes.
    store : PointStore
        The ions that were scanned.
    model : Model
        The model that judged them; it holds the rule that makes particles.
    progress : Progress
        Told of the stages ``control`` and ``composition``.
    cut : Cut, optional
        A fixed cut in place of the model's rule.

    Returns
    -------
    Answer
        Its intervals are drawn with a fixed seed: the same scan gives the same answer.

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
    votes, order, refined = maps_of(scan, model)
    control = None
    if refined is not None:
        control = shuffled_control(scan, store, model, refined, progress)
        own = expected_precipitates(order, BoundaryRule(peak=PEAK_BOUNDS[0]), origin_nm=scan.origin_nm)
        control = replace(control, own_peak=own.peak, n_judged=int(np.isfinite(order).sum()))
    found, rule = _particles(votes, order, model, control, cut)
    if cut is not None:
        control = None  # it speaks of the model's own rule
        if cut.of == "votes":
            order = votes.mean
    of_share = refined is not None and (cut is None or cut.of == "order")
    share = order if of_share else share_of_labels(found, order)
    found, measures = measure_particles(found, store, share, progress)
    statistics = particle_statistics(found, order, np.random.default_rng(0))
    return Answer(votes, order, found, measures, statistics, rule, refined, control, cut)


def maps_of(scan: ScanStore, model: Model) -> tuple[VoxelGrid, npt.NDArray[np.float32], Refined | None]:
    """Make the maps of a scan.

    Parameters
    ----------
    scan : ScanStore
        Judgements of the cubes.
    model : Model
        The model that judged them.

    Returns
    -------
    votes : VoxelGrid
        Of the largest cubes.
    order : ndarray of float32, (nx, ny, nz)
        See `Answer`.
    refined : Refined, optional
        What the nets on the 1 nm grid say; nothing where the model has none, or no planes are visible.
    """
    votes, order = vote(scan), vote(scan, min(scan.edges)).mean
    if model.refiner is None:
        return votes, order, None
    if not scan.planes.visible:
        return votes, np.full_like(order, np.nan), None  # without planes there is no scale of order
    refined = refine(scan, model)
    return votes, np.where(np.isfinite(order), refined.p, np.float32(np.nan)), refined


def _particles(
    votes: VoxelGrid, order: npt.NDArray[np.float32], model: Model, control: Control | None, cut: Cut | None
) -> tuple[Precipitates, str]:
    """Make particles, and say how."""
    origin = votes.origin_nm
    if cut is not None:
        grid, name = (order, "order") if cut.of == "order" else (votes.mean, "mean vote")
        found = find_precipitates(grid, cut=cut.value, min_voxels=1, origin_nm=origin, neighbours=cut.neighbours)
        return found, f"voxels with {name} ≥ {cut.value:g} that share {_SHARED[cut.neighbours]}"
    if control is None:
        if model.refiner is not None:
            return find_precipitates(
                order, cut=1.0, min_voxels=1, origin_nm=origin
            ), "none: no lattice planes are visible"
        found = find_precipitates(order, cut=model.cut, min_voxels=model.min_voxels, origin_nm=origin)
        return found, f"voxels with order ≥ {model.cut:g} that share a face, at least {model.min_voxels} together"
    rule = BoundaryRule(peak=control.floor)
    words = (
        f"voxels with order ≥ {rule.core:g} that share a face, one of them ≥ {rule.peak:g} (a floor from the control "
        f"with shuffled species); volume = sum of the order up to {rule.reach_nm:g} nm around, at least "
        f"{rule.min_volume_nm3:g} nm³"
    )
    return expected_precipitates(order, rule, origin_nm=origin), words
