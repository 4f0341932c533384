"""How well particles are found on simulated specimens whose truth is known, beside two rivals on the same specimens.

Both phases of every specimen have the same blur. Specimens are drawn with seeds that no training has used (training
uses children of one seed sequence, these are plain seeds from `--first-seed` on). Two rivals on the same specimens: the
publication's rule (sum of the 4 nm votes >= 62 of 64) on the same votes, and an isocomposition surface (Gaussian
delocalisation), which is given the truth: its cut is the solute content that encloses just the volume of the particles.

    python bench/bench_recognition.py [--specimens 4] [--first-seed 1000]

prints one JSON object a line.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from aptstream.cloud import PointStore, ingest
from aptstream.grid import Answer, Precipitates, compare_with_truth, find, find_precipitates
from aptstream.model.modelfile import load_model
from aptstream.points import Roles
from aptstream.scan import run_scan
from aptstream.simulate import (
    Particles,
    Settings,
    Specimen,
    draw_particles,
    simulate_specimen,
    voxel_fraction,
    write_specimen,
)

#: Standard deviation of the delocalisation of the isocomposition surface: the best of 0.5, 0.7, 1.0 and 1.4.
DELOCALISATION_NM = 0.7
ROLES = Roles(("Al",), ("Li", "Mg"))
HARD = {"sigma_xy_nm": 0.5, "sigma_z_nm": 0.05, "efficiency": 0.45}
#: Name of the case → what differs from the demo's specimen, and the volume fraction of the particles.
CASES = {
    "demo": ({}, 0.08),
    "hard": (HARD, 0.08),
    "no_contrast": ({"kind": "no-contrast"}, 0.08),
    "clusters": ({"kind": "clusters"}, 0.08),
    "shuffled": ({"shuffle": True}, 0.08),
    "matrix": ({}, 0.0),
}


@dataclass
class Case:
    """One specimen and what was made of it."""

    specimen: Specimen
    store: PointStore
    answer: Answer


def specimens(name: str, seeds: range) -> Iterator[Case]:
    """Simulate, scan and find."""
    changes, fraction = CASES[name]
    model = load_model()
    for seed in seeds:
        rng, settings = np.random.default_rng(seed), Settings(**changes)
        particles = draw_particles(rng, settings.size_nm, volume_fraction=fraction, n_small=6 if fraction else 0)
        with tempfile.TemporaryDirectory() as folder:
            specimen = simulate_specimen(rng, particles, settings)
            files = write_specimen(specimen, Path(folder))
            store = ingest(files.pos, ranges=files.rrng, out=Path(folder, "points.zarr"))
            scan = run_scan(store, model, ROLES, out=Path(folder, "scan.zarr"))
            yield Case(specimen, store, find(scan, store, model))


def isocomposition(case: Case) -> Precipitates:
    """Particles by solute content, the cut chosen from the true volume."""
    position, species = case.specimen.cloud.position, case.specimen.cloud.species
    voxel = np.floor(position - np.array(case.store.origin_nm)).astype(int)
    shape = case.answer.order.shape
    solute, every = (
        gaussian_filter(np.histogramdd(voxel[chosen], [np.arange(n + 1) for n in shape])[0], DELOCALISATION_NM)
        for chosen in (species >= 2, species >= 1)
    )
    content = (solute / np.maximum(every, 1e-9)).astype(np.float32)
    share = float(voxel_fraction(case.specimen.particles, shape, origin_nm=case.store.origin_nm).mean())
    cut = float(np.quantile(content, 1 - share)) if share else 1.0
    return find_precipitates(content, cut=cut, min_voxels=4, origin_nm=case.store.origin_nm)


def published_rule(case: Case) -> Precipitates:
    """Particles by the sum of the 4 nm votes."""
    return find_precipitates(case.answer.votes.total, cut=62.0, min_voxels=1, origin_nm=case.store.origin_nm)


METHODS = {
    "aptstream": lambda case: case.answer.found,
    "votes >= 62 of 64": published_rule,
    "isocomposition": isocomposition,
}


def scores(found: list[Precipitates], truths: list[Particles]) -> dict[str, float]:
    """Pool the particles of several specimens."""
    pairs = [(f, compare_with_truth(f, t)) for f, t in zip(found, truths, strict=True)]
    hit = np.concatenate([c.found[c.considered] for _, c in pairs])
    radius = np.concatenate([c.radius_nm[c.considered] for _, c in pairs])
    correct = np.concatenate([c.correct for _, c in pairs])
    volume = sum(int(f.n_voxels.sum()) for f, _ in pairs)
    true_volume = sum(c.volume_fraction * f.labels.size for f, c in pairs)
    bands = {"recall_r1_1.5": (1.0, 1.5), "recall_r1.5_2": (1.5, 2.0), "recall_r2": (2.0, 99.0)}
    shares = {name: float(hit[(radius >= a) & (radius < b)].mean()) for name, (a, b) in bands.items() if len(radius)}
    return {
        **shares,
        "precision": float(correct.mean()) if len(correct) else float("nan"),
        "volume_fraction_error": volume / true_volume - 1 if true_volume else float("nan"),
        "false_volume": sum(float(f.n_voxels[~c.correct].sum()) for f, c in pairs)
        / sum(f.labels.size for f, _ in pairs),
        "n_true": len(radius),
        "n_found": len(correct),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--specimens", type=int, default=4)
    parser.add_argument("--first-seed", type=int, default=1000)
    arguments = parser.parse_args()
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.specimens)
    for name in CASES:
        cases = list(specimens(name, seeds))
        truths = [case.specimen.ordered_particles for case in cases]
        rows = {method: scores([find_by(case) for case in cases], truths) for method, find_by in METHODS.items()}
        for quantity, value in rows["aptstream"].items():
            for rival in list(METHODS)[1:]:
                line = {
                    "name": f"recognition.{name}.{quantity}",
                    "value": round(value, 4),
                    "unit": "1",
                    "rival": rival,
                    "rival_value": round(rows[rival].get(quantity, float("nan")), 4),
                    "ratio": None,
                }
                print(json.dumps(line).replace("NaN", "null"), flush=True)


if __name__ == "__main__":
    main()
