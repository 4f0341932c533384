"""Whether `aptstream check` foretells what the truth says: errors in twins beside errors in the specimen itself.

A row for each specimen: conditions that were measured, those that it was made with, and scores in both.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from aptstream import checking
from aptstream.cloud import ingest
from aptstream.grid import compare_with_truth, find, save_grid
from aptstream.grid.compare import particle_scores
from aptstream.model.modelfile import load_model
from aptstream.points import Roles
from aptstream.scan import run_scan
from aptstream.simulate import LEVELS, Settings, draw_particles, plan_specimen, write_specimen

SCORES = ("radius_bias_nm", "volume_fraction_error", "recall_1_1.5", "recall_1.5", "precision")


def check_of(seed: int, level: str, n_twins: int) -> dict[str, object]:
    """Make a specimen, find its particles, and check them."""
    rng, settings, model = np.random.default_rng(seed), replace(Settings(), **LEVELS[level]), load_model()
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
        "sigma_z_nm": [round(told.sigma_z_nm, 4), settings.sigma_z_nm],
        "sigma_xy_nm": [told.sigma_xy_nm, settings.sigma_xy_nm],
        "efficiency": [round(told.efficiency, 3), settings.efficiency],
        "matrix": [round(told.matrix, 4), round(sum(plan.matrix), 4)],
        "particles": [round(told.particles, 3), round(settings.particle_solute, 3)],
        "n_false": [[round(v, 1) for v in (row.number.value, row.number.high)] for row in check.false]
        + [int((~compared.correct).sum())],
        **{
            name: [
                [round(v, 3) for v in (score.value, score.low, score.high)]
                for score in (check.scores[name], true[name])
            ]
            for name in SCORES
        },
    }


def main() -> None:
    """Print a row for each specimen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--specimens", type=int, default=3, help="of each level")
    parser.add_argument("--twins", type=int, default=2)
    options = parser.parse_args()
    checking.BLURS = ()  # they have no truth to be held against
    for level in LEVELS:
        for seed in range(options.specimens):
            print(json.dumps(check_of(500 + seed, level, options.twins)), flush=True)


if __name__ == "__main__":
    main()
