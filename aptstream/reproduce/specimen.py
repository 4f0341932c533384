"""The scanned specimen: what each network makes of it, held against its truth, and the composition's opinion."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from aptstream.cloud import PointStore, open_store
from aptstream.errors import PlanError
from aptstream.grid.answer import Cut
from aptstream.grid.compare import compare_with_truth, particle_scores
from aptstream.grid.evaluate import Evaluation, evaluate_grid, evaluate_run
from aptstream.grid.files import GridFile, open_grid
from aptstream.grid.precipitates import Precipitates, find_precipitates
from aptstream.grid.truth import true_volumes
from aptstream.io.replace import discard
from aptstream.model.modelfile import Model
from aptstream.peers.isocomposition import PUBLISHED_AT_PERCENT, PUBLISHED_ELEMENT, isocomposition
from aptstream.phases.phasemap import PhaseMap
from aptstream.phases.species import OrderFrame, phase_sdms
from aptstream.reproduce.experiment import ROLES, plan_li2021
from aptstream.scan.results import open_scan
from aptstream.simulate import Particles, read_truth, write_specimen
from aptstream.workflow import Question, Stages, analyse, output_folder

#: The publication's cut of the sum of 64 votes.
LEAST_VOTES, MOST_VOTES = 62, 64
#: Files of the specimen.
FILES = ("specimen.pos", "specimen.rrng", "specimen.truth.json", "specimen.truth.npz")


def make_specimen(folder: Path, seed: int, size_nm: tuple[float, float, float], stages: Stages) -> dict[str, Any]:
    """Simulate the specimen that is scanned, and write its ions, ranges and truth.

    Parameters
    ----------
    folder : Path
        An existing folder.
    seed : int
        Seed of all randomness.
    size_nm : tuple of float
        Its size in nm.
    stages : Stages
        Told of its slabs.

    Returns
    -------
    dict
        Number of ions and of ordered particles.
    """
    plan = plan_li2021((seed, 30), size_nm)
    files = write_specimen(plan, folder, progress=stages)
    return {"n_ions": files.pos.stat().st_size // 16, "n_particles": len(plan.ordered_particles)}


def scan_specimen(
    specimen: Path, model: Model, cut: Cut | None, out: Path, tools: tuple[int, Stages]
) -> dict[str, Any]:
    """Find the particles of the specimen as ``aptstream run`` does, and hold them against the truth.

    Parameters
    ----------
    specimen : Path
        Folder of `make_specimen`.
    model : Model
        What judges.
    cut : Cut, optional
        In place of the model's own rule.
    out : Path
        Output folder to make; what an interruption left beside it is gone on with.
    tools : tuple of (int, Stages)
        Worker processes, 0 = none; and what is told of the stages.

    Returns
    -------
    dict
        Cubes, and the scores of the result.
    """
    from aptstream.cluster import local_client

    n_workers, stages = tools
    truth = read_truth(specimen / FILES[2])
    question = Question(specimen / FILES[0], specimen / FILES[1], ROLES, model, truth, cut)
    part = out.with_name(f".{out.name}-{model.digest[:12]}.building")
    for left in set(out.parent.glob(f".{out.name}-*.building")) - {part}:  # of a network that was trained again since
        discard(left)
    if not (part / "report.html").exists():
        with output_folder(part), local_client(n_workers) if n_workers else nullcontext() as client:
            analyse(question, part, client=client, stages=stages)
    if out.is_dir():
        out.rmdir()  # an empty one, where products of it were to be
    part.rename(out)
    scan = open_scan(out / "scan.zarr")
    p = scan.p(max(scan.edges))
    evaluation = evaluate_run(out, truth, rng=np.random.default_rng(0))
    return {"n_cubes": int(scan.is_cube(max(scan.edges)).sum()), "n_judged": int(np.isfinite(p).sum())} | _scores(
        evaluation
    )


def published_result(run: Path, specimen: Path) -> dict[str, Any]:
    """Cut the sum of the votes at 62, as the publication does, and hold what is left against the truth.

    Parameters
    ----------
    run : Path
        Output folder of a scan with its network.
    specimen : Path
        Folder of `make_specimen`.

    Returns
    -------
    dict
        Scores of the result; ``never``: share of the voxels that too few cubes cover to reach the cut, and
        ``ordered_never``: share of the ordered volume that lies there; ``low``, ``high``: shares of the other voxels
        with a sum of at most 2 and of at least 62.
    """
    grid, truth = open_grid(run), read_truth(specimen / FILES[2])
    total, count = grid.votes.total, grid.votes.count
    x, y, z = total.shape
    share = true_volumes(truth, (x, y, z), grid.votes.origin_nm).total
    never, inside = count < LEAST_VOTES, total[count == MOST_VOTES]
    evaluation = evaluate_grid(published_grid(grid), truth, rng=np.random.default_rng(0))
    return _scores(evaluation) | {
        "never": float(never.mean()),
        "ordered_never": _ratio(float(share[never].sum()), float(share.sum())),
        "low": _ratio(int((inside <= 2).sum()), inside.size),
        "high": _ratio(int((inside >= LEAST_VOTES).sum()), inside.size),
    }


def published_grid(grid: GridFile) -> GridFile:
    """Make particles as the publication does: voxels whose sum of votes reaches 62, joined across faces."""
    votes = grid.votes
    order = np.where(votes.count > 0, votes.total / np.float32(MOST_VOTES), np.float32(np.nan)).astype(np.float32)
    found = find_precipitates(order, cut=LEAST_VOTES / MOST_VOTES, min_voxels=1, origin_nm=votes.origin_nm)
    return replace(grid, order=order, labels=found.labels)


def composition_result(run: Path, specimen: Path, stages: Stages) -> dict[str, Any]:
    """Draw the publication's surface of 8 at.% Li, and hold what it encloses against the truth.

    Parameters
    ----------
    run : Path
        Any output folder: its ions are taken.
    specimen : Path
        Folder of `make_specimen`.
    stages : Stages
        Told of the bricks.

    Returns
    -------
    dict
        Scores of the regions.
    """
    store, truth = open_store(run / "points.zarr"), read_truth(specimen / FILES[2])
    found = isocomposition(store, (PUBLISHED_ELEMENT,), at_percent=PUBLISHED_AT_PERCENT, progress=stages).found
    return _of_particles(found, truth)


def planes_result(run: Path, grid: GridFile, stages: Stages) -> dict[str, Any]:
    """Measure the planes of both phases: how strong the single and the doubled period are, pair by pair.

    Parameters
    ----------
    run : Path
        An output folder.
    grid : GridFile
        Particles, which need not be those of the run.
    stages : Stages
        Told of the bricks.

    Returns
    -------
    dict
        For each phase and pair the amplitudes and their errors; nothing where there is no particle or no matrix.
    """
    scan, store = open_scan(run / "scan.zarr"), open_run_store(run)
    map_ = PhaseMap(grid.labels, np.isfinite(grid.order), grid.votes.origin_nm, 1.0)
    try:
        phases = phase_sdms(map_, store, OrderFrame.of(scan), progress=stages)
    except PlanError as error:
        return {"note": str(error)}
    found: dict[str, Any] = {}
    for phase in phases.both:
        for sdm in phase.sdms:
            waves = {"single": sdm.waves.single, "doubled": sdm.waves.doubled}
            found.setdefault(phase.name, {})[sdm.name] = {
                name: None if one is None else [one.value, one.sigma] for name, one in waves.items()
            }
    return found


def open_run_store(run: Path) -> PointStore:
    """Open the ions of an output folder."""
    return open_store(run / "points.zarr")


def _scores(evaluation: Evaluation) -> dict[str, Any]:
    """Scores of a result as JSON values, with the radii of what was found and of what is there."""
    comparison = evaluation.comparison
    radius, true = comparison.found_radius_nm, comparison.radius_nm[comparison.considered]
    values = {name: score.value for name, score in evaluation.scores.items()}
    return values | _radii(radius, true) | {"true_volume_fraction": comparison.volume_fraction}


def _of_particles(found: Precipitates, truth: Particles) -> dict[str, Any]:
    comparison = compare_with_truth(found, truth)
    scores = particle_scores(comparison, np.random.default_rng(0))
    radii = _radii(comparison.found_radius_nm, comparison.radius_nm[comparison.considered])
    return {name: score.value for name, score in scores.items()} | radii


def _radii(found: np.ndarray[Any, Any], true: np.ndarray[Any, Any]) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for name, radius in (("found", found), ("true", true)):
        rows |= {
            f"n_{name}": len(radius),
            f"{name}_radius_nm": float(radius.mean()) if len(radius) else None,
            f"{name}_radius_sd_nm": float(radius.std()) if len(radius) else None,
            f"{name}_radius_least_nm": float(radius.min()) if len(radius) else None,
        }
    return rows


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
