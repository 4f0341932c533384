"""Rival methods of the benchmark: what else finds particles, each with a map on the 1 nm grid and particles in it.

Each takes what was seen of a specimen and returns a `Result`. Parameters that a rival needs were chosen with the truth
of *another* specimen of the same alloy and level: a rival is given more than a user has, never the answer.
`python bench/rivals.py > bench/rivals.jsonl` chooses them.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from cases import CASES, LEVELS, alloy_of
from scipy import ndimage
from specimens import draw_specimen, write_specimen

from aptstream.cloud import PointStore, ingest
from aptstream.grid import Answer, find_precipitates
from aptstream.model.curves import Ranking, judge_voxels
from aptstream.model.modelfile import Model
from aptstream.peers.clusters import dbscan
from aptstream.peers.delocalised import share_of
from aptstream.points import SOLUTE, PointCloud, Roles
from aptstream.scan import ScanStore
from aptstream.sdm.darkfield import dark_field
from aptstream.sdm.kernel import CellBox


@dataclass(frozen=True)
class Tuning:
    """What `python bench/rivals.py` chose on a specimen that is not in the benchmark: best Dice with its truth."""

    delocalised_nm: float
    solute_fraction: float
    eps_nm: float
    min_samples: int
    clustered_ions: float
    separation_nm: float
    min_ions: int
    separated_ions: float


#: Best Dice of a map with the truth, and the cut that gives it.
BestDice = Callable[[np.ndarray], tuple[float, float]]
TUNING_FILE = Path(__file__).with_suffix(".jsonl")
#: Seed of the specimens that rivals are tuned on; the benchmark's begin at 1000.
TUNING_SEED = 900
#: Delocalisation of the fixed surface, and its content of the first solute.
FIXED_NM, FIXED_CONTENT = 1.0, 0.08
#: Dark field: window, smoothing of its map, shuffles pooled, and the quantile of those that is the cut.
WINDOW_NM, SMOOTHED_NM, N_SHUFFLES, QUANTILE = 0.7, 0.5, 5, 0.9999


def tuning_of(case: str, level: str) -> Tuning:
    """Look up what was chosen for the alloy of a case at a level."""
    rows = [json.loads(line) for line in TUNING_FILE.read_text(encoding="utf-8").splitlines()]
    (row,) = (row for row in rows if (row.pop("case"), row.pop("level")) == (alloy_of(case), level))
    return Tuning(**row)


@dataclass(frozen=True)
class Ions:
    """The ions of a specimen, and which of them are host and solute."""

    store: PointStore
    roles: Roles

    @cached_property
    def cloud(self) -> PointCloud:
        """All of them."""
        return self.store.read((0, 0, 0), self.store.shape_cells)

    def in_voxels(self, chosen: np.ndarray) -> np.ndarray:
        """Count some of them in each voxel."""
        voxel = np.floor(self.cloud.position[chosen].astype(np.float64) - np.array(self.store.origin_nm)).astype(int)
        shape = self.store.shape_cells
        flat = np.ravel_multi_index(tuple(voxel.T), shape)
        return np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape).astype(float)

    @cached_property
    def solute(self) -> np.ndarray:
        """Rows of the solute ions."""
        role = self.roles.of(self.cloud.species_names)
        return np.flatnonzero(role[self.cloud.species] == SOLUTE)


@dataclass(frozen=True)
class Seen:
    """What a method may look at: the ions, the judgements of a preset, and what was tuned elsewhere."""

    ions: Ions
    scan: ScanStore
    answer: Answer
    model: Model
    tuning: Tuning


@dataclass(frozen=True)
class Result:
    """A map (more = more order), and particles on the 1 nm grid."""

    score: np.ndarray
    labels: np.ndarray
    volume_nm3: np.ndarray
    uncertain: np.ndarray | None = None  # flags of the particles, where the method gives them


def found_in(score: np.ndarray, cut: float, min_voxels: int = 4) -> Result:
    """Particles are connected voxels of a map that reach a cut."""
    found = find_precipitates(score.astype(np.float32), cut=cut, min_voxels=min_voxels, origin_nm=(0.0, 0.0, 0.0))
    return Result(score, found.labels, found.volume_nm3)


def preset(seen: Seen) -> Result:
    """Our own answer."""
    found = seen.answer.found
    return Result(seen.answer.order, found.labels, found.volume_nm3, found.uncertain)


def published_rule(seen: Seen) -> Result:
    """Sum of the votes of 4 nm cubes of at least 62 of 64."""
    return found_in(seen.answer.votes.total, 62.0, min_voxels=1)


def content(ions: Ions, species: tuple[str, ...], sigma_nm: float) -> np.ndarray:
    """Atomic fraction of some species among all ranged ions, each delocalised by a Gaussian."""
    of = ions.cloud.species
    wanted = np.isin(of, [ions.cloud.species_names.index(name) for name in species])
    counted, every = (ions.in_voxels(chosen).astype(np.float32) for chosen in (wanted, of > 0))
    return np.nan_to_num(share_of(counted, every, sigma_nm))


def isocomposition_fixed(seen: Seen) -> Result | None:
    """Draw the publication's surface: 8 at.% of Li, delocalised over 1 nm; of no use in other alloys."""
    if "Li" not in seen.ions.roles.solute:
        return None
    return found_in(content(seen.ions, ("Li",), FIXED_NM), FIXED_CONTENT)


def isocomposition_tuned(seen: Seen) -> Result:
    """All solutes, and the best delocalisation and cut of another specimen."""
    tuning = seen.tuning
    return found_in(content(seen.ions, seen.ions.roles.solute, tuning.delocalised_nm), tuning.solute_fraction)


def dark_field_alone(seen: Seen) -> Result:
    """Power at the doubled period, cut at a high quantile of the same specimen with its species shuffled."""
    cloud, rng = seen.ions.cloud, np.random.default_rng(0)
    power = _power(seen, cloud)
    shuffled = []
    for _ in range(N_SHUFFLES):
        mixed = PointCloud(cloud.position, cloud.mass_to_charge, rng.permutation(cloud.species), cloud.species_names)
        shuffled.append(_power(seen, mixed).ravel())
    return found_in(power, float(np.quantile(np.concatenate(shuffled), QUANTILE)))


def _power(seen: Seen, cloud: PointCloud) -> np.ndarray:
    store = seen.ions.store
    box = CellBox(store.origin_nm, (0, 0, 0), store.shape_cells)
    (power,) = dark_field(cloud, seen.ions.roles, seen.scan.planes, box=box, scales_nm=(WINDOW_NM,))
    return ndimage.gaussian_filter(power, SMOOTHED_NM)


def clustered(ions: Ions, eps_nm: float, min_samples: int, min_ions: int = 10) -> np.ndarray:
    """Solute ions in clusters of at least `min_ions`, counted in each voxel."""
    return ions.in_voxels(ions.solute[cluster_size(ions, eps_nm, min_samples) >= min_ions])


def cluster_size(ions: Ions, eps_nm: float, min_samples: int) -> np.ndarray:
    """How many solute ions the cluster of each solute ion has; 0 where it has none."""
    label = dbscan(ions.cloud.position[ions.solute], eps_nm, min_samples)
    size = np.bincount(label + 1, minlength=1)
    size[0] = 0
    return size[label + 1]


def dbscan_on_solute(seen: Seen) -> Result:
    """Density-based clusters of solute ions, with the parameters that were best on another specimen."""
    tuning = seen.tuning
    return found_in(clustered(seen.ions, tuning.eps_nm, tuning.min_samples), tuning.clustered_ions, min_voxels=1)


def maximum_separation(seen: Seen) -> Result:
    """Clusters of solute ions that are linked pair by pair, with the limits that were best on another specimen."""
    tuning = seen.tuning
    score = clustered(seen.ions, tuning.separation_nm, 2, tuning.min_ions)
    return found_in(score, tuning.separated_ions)


RIVALS = {
    "votes >= 62 of 64": published_rule,
    "isocomposition, 8 at.%": isocomposition_fixed,
    "isocomposition, tuned": isocomposition_tuned,
    "DBSCAN": dbscan_on_solute,
    "maximum separation": maximum_separation,
    "dark field alone": dark_field_alone,
}


def tune(ions: Ions, truth: np.ndarray) -> Tuning:
    """Choose the parameters of the best Dice with the truth of this specimen."""
    nothing = np.zeros(truth.shape, dtype=bool)

    def best_dice(score: np.ndarray) -> tuple[float, float]:
        return Ranking(judge_voxels(score, truth, nothing)).best_dice()

    surface = max((*best_dice(content(ions, ions.roles.solute, nm)), nm) for nm in (0.5, 0.7, 1.0, 1.4))
    density = len(ions.solute) / float(np.prod(truth.shape))
    clusters = []
    for eps in (0.5, 0.7, 0.85, 1.0, 1.2):
        around = 4 / 3 * np.pi * eps**3 * density
        if around <= 40:  # more neighbours would smooth over whole particles, and fill the memory
            tried = {max(3, round(1 + around * times)) for times in (1.3, 1.6, 2.0, 2.5)}
            clusters += [(*best_dice(clustered(ions, eps, least)), eps, least) for least in sorted(tried)]
    _, cut, eps, least = max(clusters)
    return Tuning(surface[2], round(surface[1], 4), eps, least, max(cut, 1.0), *best_separation(ions, best_dice))


def best_separation(ions: Ions, best_dice: BestDice) -> tuple[float, int, float]:
    """Choose separation, smallest cluster and clustered ions in a voxel of the best Dice of maximum separation."""
    tried = []
    per_nm3 = len(ions.solute) / float(np.prod(ions.store.shape_cells))
    for around in (0.5, 0.8, 1.1, 1.4, 1.8, 2.2):  # linked ions on average; from 2.7 on ions at random are one cluster
        reach = round(float(np.cbrt(around / (4 / 3 * np.pi * per_nm3))), 3)
        of = cluster_size(ions, reach, 2)
        tried += [(*best_dice(ions.in_voxels(ions.solute[of >= size])), reach, size) for size in (10, 30, 100, 300)]
    _, cut, reach, size = max(tried)
    return reach, size, max(cut, 1.0)


def main() -> None:
    """Print what was chosen for every alloy and level."""
    for case in dict.fromkeys(map(alloy_of, CASES)):
        for level in LEVELS:
            specimen = draw_specimen(case, level, TUNING_SEED)
            with tempfile.TemporaryDirectory() as folder:
                pos, rrng, _ = write_specimen(specimen, Path(folder))
                store = ingest(pos, ranges=rrng, out=Path(folder, "points.zarr"))
                truth = specimen.truth(store.shape_cells, store.origin_nm).total
                tuned = tune(Ions(store, specimen.case.roles), truth)
            sys.stdout.write(json.dumps({"case": case, "level": level, **vars(tuned)}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
