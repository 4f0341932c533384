"""How well particles are found on specimens whose truth is known, beside rivals on the same specimens.

The specimens come from `specimens.py`, which shares no code with the simulator that training uses. Every preset and
every rival (`rivals.py`) sees the same ions; none sees the truth.

    python bench/bench_recognition.py [--specimens 4] [--only mixed] [--level hard] [--workers 2] [--draws 200]

prints a row for each case, level and method: scores of the voxels and particles of all its specimens together. With
`--draws` each score has the ends of its 95 % interval beside it. Then the figures that matter most of the first preset,
beside those of every method that is not ours. The publication's own network, with its own rule, is one of them with
`--li2021 MODEL`, or with `--li2021-images 3000`, which trains it first on so many images (needs TensorFlow).
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from bench_li2021 import trained
from cases import CASES, LEVELS, case_of
from lines import read, row, show
from rivals import RIVALS, Ions, Result, Seen, preset, published_rule, tuning_of
from specimens import Specimen, make_specimen, write_specimen

from aptstream.cloud import PointStore, ingest
from aptstream.crystal import Crystal
from aptstream.errors import AptstreamError
from aptstream.grid import find
from aptstream.grid.compare import Comparison, compare_volumes, particle_scores, pool
from aptstream.grid.truth import TrueVolumes
from aptstream.model.bootstrap import Score
from aptstream.model.calibration import reliability, uncertainty
from aptstream.model.curves import JudgedVoxels, judge_voxels, pool_voxels, voxel_scores
from aptstream.model.modelfile import Model, load_model, save_model
from aptstream.scan import run_scan

#: Names for `load_model`, or paths: a new preset is one more name. Rivals that need votes take those of the first one.
PRESETS = ("order", "cubes", "joint")
#: Specimens of a benchmark have this seed and the next ones; rivals were tuned on another one.
FIRST_SEED = 1000
BANDS_NM = ((0.5, 1.0), (1.0, 1.5), (1.5, np.inf))
#: Figures of the claim, whether more or less of them is better, and their unit; of errors without their sign.
FIGURES: dict[str, tuple[Literal["more", "less"], str]] = {
    "auc": ("more", "1"),
    "average_precision": ("more", "1"),
    "recall_1_1.5": ("more", "share"),
    "recall_1.5": ("more", "share"),
    "precision": ("more", "share"),
    "radius_bias_nm": ("less", "nm"),
    "volume_fraction_error": ("less", "share"),
    "false_per_1000_nm3": ("less", "particles"),
}


@dataclass(frozen=True)
class Work:
    """One specimen to be judged by every method; `size_nm` makes it smaller than the case says.

    `published` is the publication's network: what its method is called, and where the model is.
    """

    case: str
    level: str
    seed: int
    size_nm: tuple[float, float, float] | None = None
    presets: tuple[str, ...] = PRESETS
    published: tuple[str, str] | None = None


@dataclass(frozen=True)
class Judged:
    """What a method made of a specimen, held against its truth; `error` says why it could not."""

    voxels: JudgedVoxels | None = None
    comparison: Comparison | None = None
    uncertain: np.ndarray | None = None
    error: str = ""


def draw(work: Work) -> Specimen:
    """Draw the specimen that is asked for."""
    case = case_of(work.case, work.level)
    if work.size_nm is not None:
        case = replace(case, size_nm=work.size_nm)
    return make_specimen(case, np.random.Generator(np.random.Philox(work.seed)))


def model_for(name: str, specimen: Specimen) -> Model:
    """Load a preset and tell it what is looked for."""
    lattice = specimen.case.lattice
    return load_model(name).looking_for(Crystal(lattice.structure, 2 * lattice.half_nm, lattice.pole))


def judge(work: Work) -> dict[str, Judged]:
    """Simulate a specimen and let every method look at it."""
    specimen = draw(work)
    with tempfile.TemporaryDirectory() as folder:
        pos, rrng, _ = write_specimen(specimen, Path(folder))
        store = ingest(pos, ranges=rrng, out=Path(folder, "points.zarr"))
        truth = specimen.truth(store.shape_cells, store.origin_nm)
        judged, first = {}, None
        for name in work.presets:
            try:
                seen = look(specimen, store, name, work)
            except AptstreamError as error:
                judged[name] = Judged(error=str(error))
                continue
            first = first or seen
            judged[name] = against_truth(preset(seen), truth)
        for name, method in RIVALS.items() if first is not None else ():
            result = method(first)
            if result is not None:
                judged[name] = against_truth(result, truth)
        if work.published is not None:
            name, path = work.published
            try:
                judged[name] = against_truth(published_rule(look(specimen, store, path, work)), truth)
            except AptstreamError as error:
                judged[name] = Judged(error=str(error))
    return judged


def look(specimen: Specimen, store: PointStore, name: str, work: Work) -> Seen:
    """Scan a specimen with a preset, and find its particles."""
    model, case = model_for(name, specimen), specimen.case
    scan = run_scan(store, model, case.roles, out=store.path.with_name(f"{Path(name).stem}.zarr"))
    tuning = tuning_of(work.case, work.level)
    return Seen(Ions(store, case.roles), scan, find(scan, store, model), model, tuning)


def against_truth(result: Result, truth: TrueVolumes) -> Judged:
    """Hold the map and the particles of a method against the truth."""
    voxels = judge_voxels(result.score, truth.total, result.labels > 0)
    return Judged(voxels, compare_volumes(result.labels, result.volume_nm3, truth), result.uncertain)


def scores_of(work: Work, method: str, parts: list[Judged], n_draws: int) -> dict[str, Any]:
    """Score the specimens of a case and a level together."""
    line: dict[str, Any] = {
        "case": work.case,
        "level": work.level,
        "method": method,
        "n_specimens": len(parts),
    }
    if any(part.error for part in parts):
        return {**line, "error": next(part.error for part in parts if part.error)}
    voxels = pool_voxels([part.voxels for part in parts if part.voxels is not None])
    comparison = pool([part.comparison for part in parts if part.comparison is not None])
    rng = np.random.default_rng(0)
    of_particles = particle_scores(comparison, rng, bands_nm=BANDS_NM, n_draws=n_draws)
    scores = {**of_particles, **voxel_scores(voxels, rng, n_draws=n_draws)}
    for name, score in scores.items():
        line |= numbers(name, score)
    if method in work.presets:
        line["expected_calibration_error"] = round(reliability(voxels).expected_error, 4)
        line["auc_of_wrong"] = _rounded(uncertainty(voxels).auc_of_wrong)
        flags = [part.uncertain for part in parts if part.uncertain is not None]
        for name, flagged in zip(("uncertain", "certain"), _flagged(flags), strict=True):
            line |= {f"n_{name}": int(flagged.sum()), f"right_{name}": int(comparison.correct[flagged].sum())}
    line["false_per_1000_nm3"] = _rounded(1000 * (~comparison.correct).sum() / comparison.volume_nm3)
    return {**line, "n_true": int(comparison.considered.sum()), "n_found": len(comparison.correct)}


def _flagged(flags: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Which particles of all specimens are flagged as uncertain, and which are not."""
    uncertain = np.concatenate([np.zeros(0, dtype=bool), *flags])
    return uncertain, ~uncertain


def numbers(name: str, score: Score) -> dict[str, float | None]:
    """Write a score, and the ends of its interval if there is one; NaN as null."""
    plain = {name: score.value, f"{name}_low": score.low, f"{name}_high": score.high}
    return {key: _rounded(v) for key, v in plain.items() if key == name or np.isfinite(v)}


def _rounded(value: float) -> float | None:
    return round(float(value), 5) if np.isfinite(value) else None


def table(works: list[list[Work]], n_workers: int, n_draws: int) -> Iterator[list[dict[str, Any]]]:
    """Judge groups of specimens in worker processes, and yield the rows of each group as soon as it is whole."""
    with ProcessPoolExecutor(n_workers, mp_context=multiprocessing.get_context("spawn")) as workers:
        waiting: list[tuple[Work, list[Future[dict[str, Judged]]]]] = [
            (group[0], [workers.submit(judge, work) for work in group]) for group in works
        ]
        for index, (work, futures) in enumerate(waiting):
            parts = [future.result() for future in futures]
            waiting[index] = (work, [])  # the voxels of a group are let go when its rows are written
            yield [scores_of(work, method, [part[method] for part in parts], n_draws) for method in parts[0]]


def tell(rows: list[dict[str, Any]], presets: tuple[str, ...]) -> None:
    """Print the rows of a case and level, and the figures of the first preset beside those that are not ours."""
    for scores in rows:
        row("recognition.row", **scores)
    ours, others = rows[0], [scores for scores in rows if scores["method"] not in presets]
    for name, (better, unit) in FIGURES.items():
        value = ours.get(name)
        if value is None:
            continue
        for scores in others:
            theirs = scores.get(name)
            rival = None if theirs is None else (scores["method"], abs(theirs))
            if rival is not None:
                called = f"recognition.{ours['case']}.{ours['level']}.{name}"
                show(called, abs(value), unit, rival=rival, better=better, method=ours["method"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--specimens", type=int, default=4, help="specimens of a case and level")
    parser.add_argument("--only", choices=CASES, action="append", help="a case; may be given again")
    parser.add_argument("--level", choices=LEVELS, action="append", help="a level; may be given again")
    parser.add_argument("--preset", action="append", help="shipped model, or path of one; may be given again")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--size", type=float, nargs=3, metavar="NM", help="size of the specimens in nm")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--draws", type=int, default=0, help="draws for 95 %% intervals")
    parser.add_argument("--li2021", type=Path, metavar="MODEL", help="the publication's network, trained by aptstream")
    parser.add_argument("--li2021-images", type=int, default=0, help="train it first on so many images, for 3 epochs")
    toy = {"specimens": 1, "only": ["large", "clusters"], "level": ["good"], "size": (18.0, 18.0, 20.0), "workers": 1}
    given = read(parser, {**toy, "preset": ["order"]})
    size, presets = tuple(given.size) if given.size else None, tuple(given.preset or PRESETS)
    with tempfile.TemporaryDirectory() as folder:
        published = None if given.li2021 is None else ("li2021 network", str(given.li2021))
        if given.li2021_images:
            model = trained("li2021", Path(folder), given.li2021_images, 3)
            path = save_model(Path(folder, "li2021.aptmodel"), model)
            published = (f"li2021 network, {given.li2021_images} images", str(path))
        works = [
            [Work(case, level, given.first_seed + k, size, presets, published) for k in range(given.specimens)]
            for case in given.only or CASES
            for level in given.level or LEVELS
        ]
        for rows in table(works, given.workers, given.draws):
            tell(rows, presets)


if __name__ == "__main__":
    main()
