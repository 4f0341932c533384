"""Rival methods of the benchmark: what else finds particles, each with a map on the 1 nm grid and particles in it.

Each takes what was seen of a specimen and returns a `Result`. Parameters that a rival needs were chosen with the truth
of *another* specimen (`python bench/rivals.py` prints them): a rival is given more than a user has, never the answer.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from aptstream.cloud import PointStore, ingest
from aptstream.grid import Answer, find_precipitates
from aptstream.model.curves import Ranking, judge_voxels
from aptstream.model.modelfile import Model
from aptstream.points import SOLUTE, PointCloud, Roles
from aptstream.scan import ScanStore
from aptstream.sdm.darkfield import dark_field, fit_period
from aptstream.sdm.kernel import CellBox


@dataclass(frozen=True)
class Tuning:
    """What `python bench/rivals.py` chose on a specimen that is not in the benchmark: best Dice with its truth."""

    delocalised_nm: float
    solute_fraction: float
    eps_nm: float
    min_samples: int
    clustered_ions: float


TUNED = {"good": Tuning(0.7, 0.1649, 1.0, 34, 3.0), "hard": Tuning(1.0, 0.1555, 1.0, 28, 3.0)}
#: Delocalisation of the fixed surface, and its content of the first solute.
FIXED_NM, FIXED_CONTENT = 1.0, 0.08
#: Dark field: window, smoothing of its map, shuffles pooled, and the quantile of those that is the cut.
WINDOW_NM, SMOOTHED_NM, N_SHUFFLES, QUANTILE = 0.7, 0.5, 5, 0.9999


@dataclass(frozen=True)
class Seen:
    """What a method may look at: the ions, the judgements of a preset, and what was tuned elsewhere."""

    store: PointStore
    scan: ScanStore
    answer: Answer
    model: Model
    period_nm: float
    tuning: Tuning

    @cached_property
    def cloud(self) -> PointCloud:
        """All ions."""
        return self.store.read((0, 0, 0), self.store.shape_cells)

    @property
    def roles(self) -> Roles:
        """Host and solutes."""
        return self.scan.roles


@dataclass(frozen=True)
class Result:
    """A map (more = more order), and particles on the 1 nm grid."""

    score: np.ndarray
    labels: np.ndarray
    volume_nm3: np.ndarray


def found_in(score: np.ndarray, cut: float, min_voxels: int = 4) -> Result:
    """Particles are connected voxels of a map that reach a cut."""
    found = find_precipitates(score.astype(np.float32), cut=cut, min_voxels=min_voxels, origin_nm=(0.0, 0.0, 0.0))
    return Result(score, found.labels, found.volume_nm3)


def preset(seen: Seen) -> Result:
    """Our own answer."""
    found = seen.answer.found
    return Result(seen.answer.order, found.labels, found.volume_nm3)


def published_rule(seen: Seen) -> Result:
    """Sum of the votes of 4 nm cubes of at least 62 of 64."""
    return found_in(seen.answer.votes.total, 62.0, min_voxels=1)


def content(seen: Seen, species: tuple[str, ...], sigma_nm: float) -> np.ndarray:
    """Atomic fraction of some species among all ranged ions, each delocalised by a Gaussian."""
    cloud, shape = seen.cloud, seen.store.shape_cells
    voxel = np.floor(cloud.position - np.array(seen.store.origin_nm)).astype(int)
    chosen = np.isin(cloud.species, [cloud.species_names.index(name) for name in species])
    counted, every = (ndimage.gaussian_filter(_count(voxel[w], shape), sigma_nm) for w in (chosen, cloud.species > 0))
    return counted / np.maximum(every, 1e-9)


def isocomposition_fixed(seen: Seen) -> Result:
    """Draw the publication's surface: 8 at.% of the first solute, delocalised over 1 nm."""
    return found_in(content(seen, seen.roles.solute[:1], FIXED_NM), FIXED_CONTENT)


def isocomposition_tuned(seen: Seen) -> Result:
    """All solutes, and the best delocalisation and cut of another specimen."""
    return found_in(content(seen, seen.roles.solute, seen.tuning.delocalised_nm), seen.tuning.solute_fraction)


def dark_field_alone(seen: Seen) -> Result:
    """Power at the doubled period, cut at a high quantile of the same specimen with its species shuffled."""
    cloud, rng = seen.cloud, np.random.default_rng(0)
    period = fit_period(cloud, seen.roles, seen.period_nm)
    power = _power(seen, cloud, period)
    shuffled = []
    for _ in range(N_SHUFFLES):
        mixed = PointCloud(cloud.position, cloud.mass_to_charge, rng.permutation(cloud.species), cloud.species_names)
        shuffled.append(_power(seen, mixed, period).ravel())
    return found_in(power, float(np.quantile(np.concatenate(shuffled), QUANTILE)))


def _power(seen: Seen, cloud: PointCloud, period: float) -> np.ndarray:
    box = CellBox(seen.store.origin_nm, (0, 0, 0), seen.store.shape_cells)
    (power,) = dark_field(cloud, seen.roles, period, box=box, scales_nm=(WINDOW_NM,))
    return ndimage.gaussian_filter(power, SMOOTHED_NM)


def dbscan(position: np.ndarray, eps: float, min_samples: int) -> np.ndarray:
    """Cluster points by density (Ester et al., KDD 1996).

    A point with at least `min_samples` points within `eps`, itself included, is a core point. Core points within `eps`
    of each other are one cluster; clusters are numbered by their first core point. Another point within `eps` of a core
    point belongs to its cluster, to the lowest number if there are several. All others are noise, −1.
    """
    n = len(position)
    pairs = cKDTree(position).query_pairs(eps, output_type="ndarray") if n else np.zeros((0, 2), dtype=int)
    core = np.bincount(pairs.ravel(), minlength=n) + 1 >= min_samples
    both = pairs[core[pairs].all(axis=1)]
    links = sparse.coo_array((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(n, n))
    _, component = connected_components(links, directed=False)
    label = np.full(n, -1)
    first, label[core] = np.unique(component[core], return_index=True)[1], -1
    number = np.full(n, -1)
    number[component[np.flatnonzero(core)[np.sort(first)]]] = np.arange(len(first))
    label[core] = number[component[core]]
    border = np.concatenate([pairs, pairs[:, ::-1]])
    border = border[~core[border[:, 0]] & core[border[:, 1]]]
    nearest = np.full(n, n)
    np.minimum.at(nearest, border[:, 0], label[border[:, 1]])
    reached = nearest < n
    label[reached] = nearest[reached]
    return label


def clustered(seen: Seen, eps_nm: float, min_samples: int, min_ions: int = 10) -> np.ndarray:
    """Solute ions in clusters of at least `min_ions`, counted in each voxel."""
    role = seen.roles.of(seen.cloud.species_names)[seen.cloud.species]
    solute = seen.cloud.position[role == SOLUTE].astype(np.float64)
    label = dbscan(solute, eps_nm, min_samples)
    size = np.bincount(label + 1)
    size[0] = 0
    voxel = np.floor(solute - np.array(seen.store.origin_nm)).astype(int)
    return _count(voxel[size[label + 1] >= min_ions], seen.store.shape_cells)


def dbscan_on_solute(seen: Seen) -> Result:
    """Density-based clusters of solute ions, with the parameters that were best on another specimen."""
    tuning = seen.tuning
    return found_in(clustered(seen, tuning.eps_nm, tuning.min_samples), tuning.clustered_ions, min_voxels=1)


def _count(voxel: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    flat = np.ravel_multi_index(tuple(voxel.T), shape)
    return np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape).astype(float)


RIVALS = {
    "votes >= 62 of 64": published_rule,
    "isocomposition, 8 at.%": isocomposition_fixed,
    "isocomposition, tuned": isocomposition_tuned,
    "DBSCAN": dbscan_on_solute,
    "dark field alone": dark_field_alone,
}


def tune(seen: Seen, truth: np.ndarray) -> Tuning:
    """Choose the parameters of the best Dice with the truth of this specimen."""
    nothing = np.zeros(truth.shape, dtype=bool)

    def best_dice(score: np.ndarray) -> tuple[float, float]:
        return Ranking(judge_voxels(score, truth, nothing)).best_dice()

    surface = max((*best_dice(content(seen, seen.roles.solute, nm)), nm) for nm in (0.5, 0.7, 1.0, 1.4))
    role = seen.roles.of(seen.cloud.species_names)[seen.cloud.species]
    density = float((role == SOLUTE).sum() / np.prod(seen.store.shape_cells))
    clusters = []
    for eps in (0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.5):
        for times in (1.3, 1.6, 2.0, 2.5):
            least = max(3, round(1 + 4 / 3 * np.pi * eps**3 * density * times))
            clusters.append((*best_dice(clustered(seen, eps, least)), eps, least))
    _, cut, eps, least = max(clusters)
    return Tuning(surface[2], round(surface[1], 4), eps, least, max(cut, 1.0))


def main() -> None:
    """Print what is to be written into `TUNED`."""
    from specimens import LEVELS, draw_specimen, write_specimen

    from aptstream.grid import find
    from aptstream.model.modelfile import load_model
    from aptstream.scan import run_scan

    model = load_model("cubes")
    for level in LEVELS:
        specimen = draw_specimen("mixed", level, 900)
        with tempfile.TemporaryDirectory() as folder:
            pos, rrng, _ = write_specimen(specimen, Path(folder))
            store = ingest(pos, ranges=rrng, out=Path(folder, "points.zarr"))
            scan = run_scan(store, model, specimen.case.roles, out=Path(folder, "scan.zarr"))
            seen = Seen(store, scan, find(scan, store, model), model, specimen.case.lattice.period_nm, TUNED[level])
            tuned = tune(seen, specimen.truth(store.shape_cells, store.origin_nm).total)
        sys.stdout.write(json.dumps({"level": level, **vars(tuned)}) + "\n")


if __name__ == "__main__":
    main()
