"""The check of a result: shuffled species, simulated twins with known truth, and the result with something changed.

It simulates, ingests, scans and finds as a run does, in a temporary folder, and leaves the result as it is.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aptstream.cloud import ingest
from aptstream.errors import PlanError
from aptstream.grid.answer import Answer, Cut, find, maps_of
from aptstream.grid.compare import Comparison, compare_with_truth, particle_scores, pool
from aptstream.grid.control import SHUFFLES, shuffled_maps
from aptstream.grid.refine import refiner_of
from aptstream.grid.trust import FalseFinds, Rule, false_finds, radius_classes, recall_classes, rule_of
from aptstream.grid.twin import (
    HOST,
    SOLUTE,
    Conditions,
    conditions_of,
    densest_block,
    population_of,
    true_particles,
    twin_plan,
)
from aptstream.grid.verdict import ResultCheck, Variant, variant
from aptstream.grid.vote import vote
from aptstream.io import write_pos
from aptstream.model.modelfile import Model
from aptstream.model.refiner import refine_control
from aptstream.points import NEITHER, PointCloud, RangeTable, Roles
from aptstream.progress import Progress, silent
from aptstream.regions import Triple
from aptstream.runresult import RunResult, open_result, require_judged, require_same
from aptstream.scan import ScanStore, run_scan
from aptstream.simulate import write_specimen
from aptstream.simulate.specimen import SpecimenPlan
from aptstream.workflow import Quiet, Stages

Floats = npt.NDArray[np.float64]

#: Cuts of the order that are tried, and that of the votes; and the cut of the votes of each cube edge.
CUTS, VOTES_CUT, EDGE_CUT = (0.3, 0.4, 0.5, 0.6, 0.7), 62 / 64, 0.5
#: Blurs that are added to the ions: what it is called, along the planes and across them, in nm.
BLURS = (
    ("none, block alone", 0.0, 0.0),
    ("0.01 nm along z", 0.0, 0.01),
    ("0.02 nm along z", 0.0, 0.02),
    ("0.2 nm laterally", 0.2, 0.0),
)
#: Largest volume fraction that a twin is made for, and how far its specimen order may be off without a word.
TOO_MUCH, ALIKE = 0.5, 0.1


@dataclass(frozen=True)
class CheckSettings:
    """How thoroughly a result is checked.

    Parameters
    ----------
    n_shuffles : int
        How often species are shuffled.
    n_twins : int
        Twins with particles that are simulated.
    seed : int
        Seed of all randomness.
    size_nm : tuple of int
        Largest size of twins, and of the block of the specimen that is scanned again, in nm.

    Raises
    ------
    PlanError
        If there is nothing to do.
    """

    n_shuffles: int = 5
    n_twins: int = 2
    seed: int = 1
    size_nm: tuple[int, int, int] = (30, 30, 40)

    def __post_init__(self) -> None:
        if self.n_shuffles < 1 or self.n_twins < 1 or self.seed < 0 or min(self.size_nm) < 8:
            raise PlanError(
                f"A check takes at least one shuffle and one twin of 8 nm, and a seed that is not negative; found "
                f"{self.n_shuffles} shuffles, {self.n_twins} twins, seed {self.seed}, size {self.size_nm} nm."
            )


def check_result(
    path: str | PathLike[str],
    settings: CheckSettings = CheckSettings(),
    *,
    model: Model | None = None,
    stages: Stages | None = None,
) -> ResultCheck:
    """Tell how far a result can be trusted, on the specimen that it is of.

    Parameters
    ----------
    path : path
        Output folder of ``aptstream run``: it holds ``points.zarr`` or ``aligned.zarr``, ``scan.zarr`` and
        ``grid.zarr``. Nothing in it is changed.
    settings : CheckSettings
        How thoroughly.
    model : Model, optional
        The model of the run; the shipped one that made the scan where it is not given.
    stages : Stages, optional
        Told of every stage, as by `aptstream.workflow.analyse`.

    Returns
    -------
    ResultCheck
        False particles to expect, recall and bias in simulated twins, and the result with cut, cubes and blur changed.
        The correction of radii is stated, not applied.

    Raises
    ------
    StoreError
        If the folder holds no result, or one whose parts do not belong together.
    ModelError
        If the scan was made by a model that is not shipped and not given.
    PlanError
        If no planes are visible: then nothing was judged.
    RangingError
        If the specimen holds no ion of a host or solute species.
    """
    stages = Quiet() if stages is None else stages
    result = open_result(path, model)
    require_judged(result)
    stages.begin("find")
    answer = find(result.scan, result.store, result.model, stages, cut=result.grid.cut)
    require_same(answer, result)
    job = _Job(result, answer, rule_of(answer, result.model), settings, densest_block(result.store, settings.size_nm))
    conditions = conditions_of(answer, result.scan, result.store, job.block)
    stages.begin("shuffle")
    shuffled = job.shuffled(stages)
    stages.begin("matrix")
    matrix = job.matrix(conditions, stages)
    stages.begin("twins")
    comparison, notes = job.twins(conditions, stages)
    stages.begin("sensitivity")
    sensitivity = (*job.cuts(), *job.edges(), *job.blurs(stages))
    rng = np.random.default_rng(settings.seed)
    return ResultCheck(
        n_found=len(answer.found),
        rule=answer.rule,
        conditions=conditions,
        size_nm=job.size_nm,
        false=(shuffled, matrix),
        recall=recall_classes(comparison) if comparison is not None else (),
        radii=radius_classes(comparison) if comparison is not None else (),
        scores=particle_scores(comparison, rng) if comparison is not None else {},
        sensitivity=sensitivity,
        notes=(*conditions.notes, *notes),
    )


@dataclass(frozen=True)
class _Job:
    """One check."""

    result: RunResult
    answer: Answer
    rule: Rule
    settings: CheckSettings
    block: tuple[tuple[int, int, int], tuple[int, int, int]]

    @property
    def n_judged(self) -> int:
        """Voxels of the specimen that were judged."""
        return self.answer.n_judged

    @property
    def size_nm(self) -> Triple:
        """Size of the twins in nm."""
        x, y, z = (float(b - a) for a, b in zip(*self.block, strict=True))
        return x, y, z

    def shuffled(self, progress: Progress) -> FalseFinds:
        """Shuffle species, in draws that the floor of the result does not rest on."""
        r, n, volumes, n_voxels = self.result, self.settings.n_shuffles, [], 0
        refined = self.answer.refined
        if refined is not None and not self.rule.of_votes:
            numbers = range(SHUFFLES.stop, SHUFFLES.stop + n)
            for p, judged in shuffled_maps(r.scan, r.store, r.model, refined, progress, shuffles=numbers):
                volumes.append(self.rule.particles(p, r.scan.origin_nm).volume_nm3)
                n_voxels += judged
        else:
            rng = np.random.default_rng((self.settings.seed, 1))
            for k in range(n):
                with self._scanned(self._shuffle(rng)) as scan:
                    map_ = self._map(scan)
                volumes.append(self.rule.particles(map_, scan.origin_nm).volume_nm3)
                n_voxels += int(np.isfinite(map_).sum())
                progress("shuffle", k + 1, n, "shuffles")
        name = f"species shuffled {n} times" if n > 1 else "species shuffled once"
        return false_finds(name, np.concatenate(volumes), n_voxels=n_voxels, n_judged=self.n_judged)

    def _shuffle(self, rng: np.random.Generator) -> PointCloud:
        """Let the ions of host and solute of the block change places."""
        cloud = self._ions(0.0, 0.0, rng)
        role = self.result.scan.roles.of(cloud.species_names)[cloud.species]
        rows = np.flatnonzero(role != NEITHER)
        mass = cloud.mass_to_charge.copy()
        mass[rows] = mass[rng.permutation(rows)]
        return PointCloud(cloud.position, mass, cloud.species, cloud.species_names)

    def matrix(self, conditions: Conditions, progress: Progress) -> FalseFinds:
        """Look for particles in a twin that is all matrix."""
        rng = np.random.default_rng((self.settings.seed, 2))
        plan = twin_plan(conditions, self.result.scan, rng, size_nm=self.size_nm)
        refined, model = self.answer.refined, self.result.model
        with self._simulated(plan, progress) as scan:
            map_ = self._map(scan)
            if refined is not None and not self.rule.of_votes:  # by the scale of the specimen, as the shuffled control
                order = vote(scan, min(scan.edges)).mean
                scale = {"signal": refined.signal, "order": refined.order}
                p = refine_control(scan.field(), refiner_of(model), scan.crystal, **scale)  # type: ignore[arg-type]
                map_ = np.where(np.isfinite(order), p, np.float32(np.nan))
            volumes = self.rule.particles(map_, scan.origin_nm).volume_nm3
            n_voxels = int(np.isfinite(map_).sum())
        return false_finds("simulated matrix", volumes, n_voxels=n_voxels, n_judged=self.n_judged)

    def twins(self, conditions: Conditions, progress: Progress) -> tuple[Comparison | None, tuple[str, ...]]:
        """Look for known particles in twins."""
        share = self.answer.volume_fraction
        if not share <= TOO_MUCH:
            return None, (f"The particles fill {share:.0%} of the volume: a cut that keeps so much has no twin.",)
        population, notes = population_of(self.answer, self.size_nm)
        compared, seen = [], []
        for k in range(self.settings.n_twins):
            rng = np.random.default_rng((self.settings.seed, 3, k))
            plan = twin_plan(conditions, self.result.scan, rng, size_nm=self.size_nm, populations=[population])
            with self._simulated(plan, silent) as scan:
                votes, order, refined = maps_of(scan, self.result.model)
            found = self.rule.particles(votes.mean if self.rule.of_votes else order, scan.origin_nm)
            seen += [refined.order.order] if refined is not None else []
            compared.append(compare_with_truth(found, true_particles(plan)))
            progress("twins", k + 1, self.settings.n_twins, "twins")
        own = self.answer.refined.order.order if self.answer.refined is not None else float("nan")
        if seen and len(self.answer.found) and abs(np.mean(seen) / own - 1) > ALIKE:
            notes += (
                f"The particles of the twins are seen with a specimen order of {np.mean(seen):.2f}, those of the "
                f"specimen with {own:.2f}: recall and bias are those of particles ordered otherwise.",
            )
        return pool(compared), notes

    def cuts(self) -> Iterator[Variant]:
        """Cut the maps of the result elsewhere."""
        answer, origin = self.answer, self.result.scan.origin_nm
        votes, order, _ = maps_of(self.result.scan, self.result.model)
        yield variant("cut", "as in the result", answer.found, answer.order)
        if answer.cut is not None:
            own = find(self.result.scan, self.result.store, self.result.model)
            yield variant("cut", "the model's own rule", own.found, own.order)
        for value in CUTS:
            yield variant("cut", f"order ≥ {value:g}", Rule(Cut(value)).particles(order, origin), order)
        mean = votes.mean
        found = Rule(Cut(VOTES_CUT, "votes")).particles(mean, origin)
        yield variant("cut", "votes ≥ 62/64", found, mean)

    def edges(self) -> Iterator[Variant]:
        """Cut the votes of the cubes of each edge."""
        scan = self.result.scan
        for edge in sorted(scan.edges):
            mean = vote(scan, edge).mean
            found = Rule(Cut(EDGE_CUT, "votes")).particles(mean, scan.origin_nm)
            yield variant("cube edge", f"{edge} nm, mean vote ≥ {EDGE_CUT:g}", found, mean)

    def blurs(self, progress: Progress) -> Iterator[Variant]:
        """Scan a block of the specimen again, with blur added."""
        for k, (name, lateral, along_z) in enumerate(BLURS):
            rng = np.random.default_rng((self.settings.seed, 4, k))
            with self._scanned(self._ions(lateral, along_z, rng)) as scan:
                map_ = self._map(scan)
            seen = "" if scan.planes.visible else "; no planes visible"
            found = self.rule.particles(map_, scan.origin_nm)
            yield variant("added blur", f"{name}{seen}", found, map_)
            progress("sensitivity", k + 1, len(BLURS), "scans")

    def _ions(self, lateral_nm: float, along_z_nm: float, rng: np.random.Generator) -> PointCloud:
        """Ions of the block, each moved at random."""
        store, (low, high) = self.result.store, self.block
        a, b, c = (edge - 1 for edge in low)
        x, y, z = (edge + 1 for edge in high)
        cloud = store.read((max(a, 0), max(b, 0), max(c, 0)), (x, y, z))
        moved = rng.standard_normal(cloud.position.shape) * (lateral_nm, lateral_nm, along_z_nm)
        position = (cloud.position + moved).astype(np.float32)
        place = position - np.array(store.origin_nm)
        inside = ((place >= low) & (place < high)).all(axis=1)
        return PointCloud(position[inside], cloud.mass_to_charge[inside], cloud.species[inside], cloud.species_names)

    def _map(self, scan: ScanStore) -> npt.NDArray[np.float32]:
        """Return the map that the rule of the result cuts."""
        votes, order, _ = maps_of(scan, self.result.model)
        return votes.mean if self.rule.of_votes else order

    @contextmanager
    def _simulated(self, plan: SpecimenPlan, progress: Progress) -> Iterator[ScanStore]:
        """Make a twin and scan it."""

        def made(folder: Path) -> tuple[Path, RangeTable]:
            return write_specimen(plan, folder, progress=progress).pos, plan.settings.alloy.ranges

        with self._pipeline(made, Roles((HOST,), (SOLUTE,))) as scan:
            yield scan

    @contextmanager
    def _scanned(self, cloud: PointCloud) -> Iterator[ScanStore]:
        """Scan ions."""

        def made(folder: Path) -> tuple[Path, RangeTable]:
            write_pos(folder / "ions.pos", cloud.position, cloud.mass_to_charge)
            return folder / "ions.pos", self.result.store.ranges

        with self._pipeline(made, self.result.scan.roles) as scan:
            yield scan

    @contextmanager
    def _pipeline(self, make: Callable[[Path], tuple[Path, RangeTable]], roles: Roles) -> Iterator[ScanStore]:
        """Ingest and scan a file of ions in a folder that is removed at the end."""
        with tempfile.TemporaryDirectory(prefix="aptstream-check-") as name:
            folder = Path(name)
            file, ranges = make(folder)
            store = ingest(file, ranges=ranges, out=folder / "points.zarr")
            yield run_scan(store, self.result.model, roles, out=folder / "scan.zarr")
