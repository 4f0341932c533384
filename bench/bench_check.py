"""Whether `aptstream check` foretells what the truth says: errors in twins beside errors in the specimen itself.

A row for each specimen: conditions that were measured, those that it was made with, and scores in both.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from lines import read, row, show

from aptstream import checking
from aptstream.cloud import ingest
from aptstream.grid import compare_with_truth, find, save_grid
from aptstream.grid.compare import particle_scores
from aptstream.model.modelfile import load_model
from aptstream.points import Roles
from aptstream.scan import run_scan
from aptstream.simulate import LEVELS, Settings, draw_particles, plan_specimen, write_specimen

SCORES = ("radius_bias_nm", "volume_fraction_error", "recall_1_1.5", "recall_1.5", "precision")


def check_of(seed: int, level: str, n_twins: int, size_nm: tuple[float, ...]) -> dict[str, Any]:
    """Make a specimen, find its particles, and check them."""
    rng, model = np.random.default_rng(seed), load_model()
    settings = replace(Settings(), size_nm=size_nm, **LEVELS[level])
    particles = draw_particles(rng, settings.size_nm, volume_fraction=0.07, mean_nm=2.2, n_small=12)
    plan = plan_specimen(rng, particles, settings)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write_specimen(plan, folder)
        store = ingest(files.pos, ranges=files.rrng, out=folder / "points.zarr")
        scan = run_scan(store, model, Roles(("Al",), ("Li", "Mg")), out=folder / "scan.zarr")
        answer = find(scan, store, model)
        save_grid(folder / "grid.zarr", answer)
        check = checking.check_result(folder, checking.CheckSettings(n_twins=n_twins, seed=seed))
    compared = compare_with_truth(answer.found, plan.ordered_particles)
    true, told = particle_scores(compared, rng), check.conditions
    return {
        "level": level,
        "seed": seed,
        "sigma_z_nm": [told.sigma_z_nm, settings.sigma_z_nm],
        "sigma_xy_nm": [told.sigma_xy_nm, settings.sigma_xy_nm],
        "efficiency": [told.efficiency, settings.efficiency],
        "matrix": [told.matrix, float(sum(plan.matrix))],
        "particles": [told.particles, settings.particle_solute],
        "n_false": [[one.number.value, one.number.high] for one in check.false] + [int((~compared.correct).sum())],
        **{
            name: [[score.value, score.low, score.high] for score in (check.scores[name], true[name])]
            for name in SCORES
        },
    }


def main() -> None:
    """Print a row for each specimen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--specimens", type=int, default=3, help="of each level")
    parser.add_argument("--twins", type=int, default=2)
    parser.add_argument("--size", type=float, nargs=3, metavar="NM", default=Settings().size_nm)
    toy = {"specimens": 1, "twins": 1, "size": (18.0, 18.0, 20.0)}
    options = read(parser, toy)
    checking.BLURS = ()  # they have no truth to be held against
    for level in LEVELS:
        checks = [check_of(500 + k, level, options.twins, tuple(options.size)) for k in range(options.specimens)]
        for check in checks:
            row("check.specimen", **check)
        for name in SCORES:
            off = np.array([foretold[0] - true[0] for foretold, true in (check[name] for check in checks)])
            off = off[np.isfinite(off)]  # no particle of a band, no recall
            if len(off):
                show(f"check.{name}.{level}", np.abs(off).mean(), "mean difference of foretold and true", n=len(off))


if __name__ == "__main__":
    main()
