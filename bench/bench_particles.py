"""Hold sizes, numbers, volumes and compositions of particles, and their intervals, against known truth.

Windows of 30 × 30 × 40 nm are cut out of an endless alloy by `specimens.py`, which shares no code with the simulator
that training uses: particles at random, as many as chance has it, lognormal around 2.5 nm, both phases with one blur.

    python bench/bench_particles.py [--specimens 10] [--level hard] [--first-seed 5000] [--workers 2]
    python bench/bench_particles.py --many 464        about 10⁵ particles on 464³ voxels: time and memory

prints one JSON object a level and one for all: errors, and how often a 95 % interval held what is true.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from bench_recognition import model_for
from cases import LEVELS, Case, Population, case_of
from lines import read, row, show
from specimens import Specimen, lognormal_radii, make_specimen, write_specimen

from aptstream.cloud import ingest
from aptstream.grid import BoundaryRule, Precipitates, expected_precipitates, find
from aptstream.grid.answer import Answer
from aptstream.grid.compare import Comparison, compare_volumes
from aptstream.grid.composition import of_counts
from aptstream.grid.measures import measure_particles
from aptstream.grid.statistics import SURE_NM, lever_rule, particle_statistics
from aptstream.grid.truth import TrueVolumes
from aptstream.model.bootstrap import Score
from aptstream.points import PointCloud
from aptstream.scan import run_scan

FRACTION = 0.08
POPULATION = Population(mean_nm=2.5, sd_nm=0.6, fraction=FRACTION, scattered=True)
#: Compositions are compared for particles of at least this radius in nm.
MIN_RADIUS_NM = 2.0


#: Largest errors that were asked for.
ASKED = {
    "radius_bias_nm": 0.10,
    "radius_rmse_nm": 0.20,
    "volume_fraction_error": 0.05,
    "number_density_error": 0.05,
    "composition_bias_at_pct": 1.5,
}


@dataclass(frozen=True)
class Work:
    """One window."""

    level: str
    seed: int
    size_nm: tuple[float, float, float] = (30.0, 30.0, 40.0)


@dataclass(frozen=True)
class Measured:
    """Errors of one window; every array has one row for each particle that was found one to one and lies inside."""

    radius_nm: np.ndarray
    radius_error_nm: np.ndarray
    radius_held: np.ndarray
    percent_error: np.ndarray
    percent_held: np.ndarray
    inside_error: np.ndarray
    found_volume: float
    true_volume: float
    found_number: float
    true_number: float
    held: dict[str, bool]


def measure(work: Work) -> Measured:
    """Simulate a window, find its particles, and hold what is said of them against the truth."""
    case = replace(case_of("large", work.level), population=POPULATION, size_nm=work.size_nm)
    specimen = make_specimen(case, np.random.Generator(np.random.Philox(work.seed)))
    with tempfile.TemporaryDirectory() as folder:
        pos, rrng, _ = write_specimen(specimen, Path(folder))
        store = ingest(pos, ranges=rrng, out=Path(folder, "points.zarr"))
        model = model_for("order", specimen)
        answer = find(run_scan(store, model, case.roles, out=Path(folder, "scan.zarr")), store, model)
        truth = specimen.truth(store.shape_cells, store.origin_nm)
        counts = store.species_counts()
        whole = of_counts(np.array([list(counts.values())]), tuple(counts), store.ranges)
    levers = lever_rule(whole, answer.measures.particles, answer.measures.matrix)
    return held_against(answer, truth, specimen, levers.get(case.species[1]))


def held_against(answer: Answer, truth: TrueVolumes, specimen: Specimen, lever: Score | None) -> Measured:
    """Hold sizes, compositions and statistics against the truth."""
    found, measures, told = answer.found, answer.measures, answer.statistics
    paired = compare_volumes(found.labels, found.volume_nm3, truth)
    mine = np.flatnonzero((paired.partner >= 0) & paired.whole & (paired.radius_nm >= SURE_NM))
    k = paired.partner[mine]
    error = found.radius_nm[k] - paired.radius_nm[mine]
    solute = specimen.case.species[1]
    content = 100 * specimen.case.rich * specimen.case.share[0]
    large = paired.radius_nm[mine] >= MIN_RADIUS_NM
    percent = measures.composition.percent[solute][k][large] - content
    sd = measures.composition.sd[solute][k][large]
    return Measured(
        radius_nm=paired.radius_nm[mine],
        radius_error_nm=error,
        radius_held=np.abs(error) <= 1.96 * measures.radius_sd_nm[k],
        percent_error=percent,
        percent_held=np.abs(percent) <= 1.96 * sd,
        inside_error=measures.inside.percent[solute][k][large] - content,
        found_volume=float(found.volume_nm3.sum()),
        true_volume=float(truth.total.sum()),
        found_number=told.sure_number_per_m3.value * 1e-27 * truth.total.size,
        true_number=_number(paired),
        held={
            "number": _holds(told.sure_number_per_m3, parent_number() * 1e27),
            "volume": _holds(told.volume_fraction, FRACTION),
            "mean_radius": _holds(told.mean_radius_nm, parent_radius()),
            **({"lever": _holds(lever, float(truth.total.mean()))} if lever is not None else {}),
        },
    )


def _number(paired: Comparison) -> float:
    """Count the true particles of sure size whose centre lies inside."""
    return float((paired.considered & (paired.radius_nm >= SURE_NM)).sum())


def parent_number() -> float:
    """Particles of sure size in a nm³ of the alloy that the windows are cut from."""
    radius = lognormal_radii(np.random.default_rng(0), POPULATION, 100_000)
    return FRACTION / (4 / 3 * np.pi * (radius**3).mean()) * float((radius >= SURE_NM).mean())


def parent_radius() -> float:
    """Mean radius of its particles."""
    return float(lognormal_radii(np.random.default_rng(0), POPULATION, 100_000).mean())


def _holds(score: Score, true: float) -> bool:
    return bool(score.low <= true <= score.high)


def errors(level: str, parts: list[Measured]) -> dict[str, object]:
    """Write the errors of several windows together."""

    def together(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    error, percent, inside = together("radius_error_nm"), together("percent_error"), together("inside_error")
    found, true = sum(p.found_volume for p in parts), sum(p.true_volume for p in parts)
    number, there = sum(p.found_number for p in parts), sum(p.true_number for p in parts)
    held = [bool(v) for p in parts for v in (*p.radius_held, *p.percent_held, *p.held.values())]
    return {
        "level": level,
        "n_specimens": len(parts),
        "n_particles": len(error),
        "radius_bias_nm": round(float(error.mean()), 4),
        "radius_rmse_nm": round(float(np.sqrt((error**2).mean())), 4),
        "volume_fraction_error": round(found / true - 1, 4),
        "number_density_error": round(number / there - 1, 4),
        "composition_bias_at_pct": round(float(percent.mean()), 3),
        "composition_rmse_at_pct": round(float(np.sqrt((percent**2).mean())), 3),
        "composition_bias_of_the_ions_inside_at_pct": round(float(inside.mean()), 3),
        "held_radius": round(float(together("radius_held").mean()), 3),
        "held_composition": round(float(together("percent_held").mean()), 3),
        **{f"held_{name}": _share(parts, name) for name in ("number", "volume", "mean_radius", "lever")},
        "held_all": round(float(np.mean(held)), 3),
    }


def _share(parts: list[Measured], name: str) -> float:
    return round(float(np.mean([part.held[name] for part in parts if name in part.held])), 3)


class DrawnStore:
    """A store of ions that are drawn where they are read: five in a voxel, of three species."""

    ranges = Case().ranges
    species_names = ranges.species
    origin_nm = (0.0, 0.0, 0.0)

    def __init__(self, edge: int) -> None:
        self.shape_cells = (edge,) * 3

    def read(self, low, high, columns=()) -> PointCloud:
        """Draw the ions of a box of cells."""
        rng, size = np.random.default_rng(low), np.minimum(high, self.shape_cells) - np.array(low)
        n = 5 * int(size.prod())
        position = (np.array(low) + rng.random((n, 3)) * size * (1 - 1e-6)).astype(np.float32)
        position = np.minimum(position, np.nextafter((np.array(low) + size).astype(np.float32), np.float32(0)))
        species = rng.integers(1, 4, n).astype(np.uint8)
        return PointCloud(position, np.zeros(n, np.float32), species, self.species_names)


def many(edge: int) -> None:
    """Find and measure particles of 1.3 to 2.3 nm, one in each cube of 9.9 nm, on a large grid."""
    order = drawn_order(edge)
    found = timed("expected_precipitates", expected_precipitates, order, BoundaryRule(), origin_nm=(0.0, 0.0, 0.0))
    timed("measure_particles", measure_particles, found, DrawnStore(edge), order)
    timed("particle_statistics", particle_statistics, found, order, np.random.default_rng(0))


def drawn_order(edge: int) -> np.ndarray:
    """Draw spheres with soft faces on a lattice, plane by plane."""
    cell = edge / round(edge / 9.9)
    order = np.empty((edge,) * 3, np.float32)
    place = (np.arange(edge) + 0.5) % cell - cell / 2
    row = ((np.arange(edge) + 0.5) // cell).astype(int)
    for i in range(edge):
        distance = np.sqrt(place[i] ** 2 + place[:, None] ** 2 + place[None] ** 2)
        radius = 1.3 + ((row[i] * 7 + row[:, None] * 13 + row[None] * 29) % 11) / 11
        order[i] = np.clip(radius - distance + 0.5, 0, 1)
    return order


def timed(name: str, work, *given, **named):
    """Do a step, and print what it took."""
    begin = time.process_time()
    made = work(*given, **named)
    seconds = time.process_time() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    n = {"particles": len(made)} if isinstance(made, Precipitates) else {}
    show(f"particles.many.{name}", seconds, "s (CPU)", peak_mib=peak, **n)
    return made


def tell(level: str, parts: list[Measured]) -> None:
    """Print the errors of a level, and those that matter most beside what was asked of them."""
    found = errors(level, parts)
    row("particles.errors", **found)
    for name, asked in ASKED.items():
        show(f"particles.{name}.{level}", abs(found[name]), "absolute", rival=("asked", asked), better="less")
    show(f"particles.held_all.{level}", found["held_all"], "share", rival=("asked", 0.95), n=found["n_particles"])


def main() -> None:
    """Print the errors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--specimens", type=int, default=10, help="windows of a level")
    parser.add_argument("--level", choices=LEVELS, action="append", help="a level; may be given again")
    parser.add_argument("--first-seed", type=int, default=5000)
    parser.add_argument("--size", type=float, nargs=3, metavar="NM", default=Case().size_nm)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--many", type=int, metavar="EDGE", help="a large grid of so many voxels on an edge instead")
    given = read(parser, {"specimens": 1, "level": ["good"], "size": (22.0, 22.0, 26.0), "workers": 1})
    if given.many:
        many(given.many)
        return
    every: list[Measured] = []
    with ProcessPoolExecutor(given.workers, mp_context=multiprocessing.get_context("spawn")) as workers:
        for level in given.level or LEVELS:
            works = [Work(level, given.first_seed + k, tuple(given.size)) for k in range(given.specimens)]
            parts = list(workers.map(measure, works))
            every += parts
            tell(level, parts)
    tell("all", every)


if __name__ == "__main__":
    main()
