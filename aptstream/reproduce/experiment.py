"""The experimental side: pictures of measured cubes, or of cubes cut from a simulated specimen in their place.

The publication's measured pictures are not public. A simulated specimen stands in for its instrument: the matrix holds
random solute, the particles antisites; cubes are mixtures of both phases; the detected share wavers, planes are tilted
and bowed, a part of the ions has no site. Both phases share one blur, as in an instrument.
"""

from __future__ import annotations

import csv
import io
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream.cloud import PointStore, ingest
from aptstream.errors import PlanError
from aptstream.grid.truth import true_volumes
from aptstream.io.pictures import Pictures, read_labels, read_pictures
from aptstream.io.replace import replacing
from aptstream.model.modelfile import Model
from aptstream.points import Roles
from aptstream.progress import Progress
from aptstream.reproduce.recipe import N_LEARNED, N_TESTED
from aptstream.scan import run_scan
from aptstream.sdm.count import count_sdm
from aptstream.sdm.image import grey_images
from aptstream.sdm.li2021 import EDGE_NM, VIEW
from aptstream.simulate import Population, Settings, place_particles, plan_specimen, write_specimen
from aptstream.simulate.specimen import SpecimenPlan

#: What the simulated instrument sees, and what of its files is kept.
ROLES = Roles(("Al",), ("Li", "Mg"))
IMAGES, TABLE = "images.npy", "images.csv"
#: Particles: lognormal as the publication found them, and many small ones in 36 000 nm³; their share of the volume.
MEAN_NM, SD_NM, N_SMALL, SHARE = 2.5, 0.9, 30, 0.08
#: Least ordered share of a cube that counts as ordered.
ORDERED = 0.5

Cells = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Experiment:
    """Pictures of the experimental side.

    Parameters
    ----------
    pictures : Pictures
        All of them.
    label : ndarray of float32, (n,)
        Ordered share of each; NaN where it is not known.
    learned : ndarray of bool, (n,)
        Pictures without order that case 2 learns; the others are for the test.
    ours : ndarray of float32, (n,)
        What the default's network for cubes of 4 nm says of the same cubes; NaN where there are only pictures.
    """

    pictures: Pictures
    label: npt.NDArray[np.float32]
    learned: npt.NDArray[np.bool_]
    ours: npt.NDArray[np.float32]

    def __getitem__(self, rows: npt.NDArray[np.bool_]) -> Experiment:
        """Return some of the pictures with what is known of them."""
        names = tuple(name for name, kept in zip(self.pictures.names, rows.tolist(), strict=True) if kept)
        return Experiment(
            Pictures(names, self.pictures.grey[rows]), self.label[rows], self.learned[rows], self.ours[rows]
        )


def plan_li2021(seed: tuple[int, ...], size_nm: tuple[float, float, float]) -> SpecimenPlan:
    """Plan a specimen like the publication's: Al-Li-Mg with δ′ particles of 2.5 ± 0.9 nm radius, and small ones.

    Parameters
    ----------
    seed : tuple of int
        Seed of all randomness.
    size_nm : tuple of float
        Its size in nm.

    Returns
    -------
    SpecimenPlan
    """
    rng, settings = np.random.default_rng(seed), Settings(size_nm=size_nm)
    n_small = round(N_SMALL * float(np.prod(size_nm)) / 36_000)
    populations = [Population(SHARE, MEAN_NM, SD_NM, n_small)]
    particles = place_particles(rng, size_nm, populations, n_variants=len(settings.crystal.variants))
    return plan_specimen(rng, particles, settings)


def simulate_experiment(folder: Path, seed: int, model: Model, progress: Progress) -> dict[str, Any]:
    """Make pictures of cubes of a simulated specimen that share no voxel: `N_LEARNED` without order, and the test.

    Half of the test has no order; of the other cubes at least half is ordered.

    Parameters
    ----------
    folder : Path
        An existing folder; ``images.npy`` and ``images.csv`` are written.
    seed : int
        Seed of all randomness.
    model : Model
        The default, which judges the same cubes.
    progress : Progress
        Told of its scan.

    Returns
    -------
    dict
        What was made.

    Raises
    ------
    PlanError
        If the specimen holds too few such cubes.
    """
    rng = np.random.default_rng((seed, 21))
    with tempfile.TemporaryDirectory(prefix="aptstream-reproduce-") as name:
        plan = plan_li2021((seed, 20), (30.0, 30.0, 40.0))
        files = write_specimen(plan, Path(name))
        store = ingest(files.pos, ranges=files.rrng, out=Path(name, "points.zarr"))
        truth = true_volumes(plan.ordered_particles, store.shape_cells, store.origin_nm).total
        share = np.lib.stride_tricks.sliding_window_view(truth, (EDGE_NM,) * 3).mean(axis=(3, 4, 5))
        half = N_TESTED // 2
        ordered = _apart(rng.permutation(np.argwhere(share >= ORDERED)), np.zeros((0, 3), np.int64), half)
        matrix = _apart(rng.permutation(np.argwhere(share == 0)), ordered, N_LEARNED + half)
        corners = np.concatenate([matrix[:N_LEARNED], rng.permutation(np.concatenate([matrix[N_LEARNED:], ordered]))])
        scan = run_scan(store, model, ROLES, out=Path(name, "scan.zarr"), progress=progress)
        ours = scan.p(EDGE_NM)[tuple(corners.T)]
        grey = _pictures(store, corners)
    names = tuple(f"{k:02d}" for k in range(len(corners)))
    learned = np.arange(len(corners)) < N_LEARNED
    _write(folder, Experiment(Pictures(names, grey), share[tuple(corners.T)].astype(np.float32), learned, ours))
    return {"n_learned": N_LEARNED, "n_tested": len(corners) - N_LEARNED, "simulated": True}


def take_experiment(folder: Path, pictures: Pictures, label: npt.NDArray[np.float32]) -> dict[str, Any]:
    """Take measured pictures for the experimental side: a third of those without order, at most 12, are learned.

    Parameters
    ----------
    folder : Path
        An existing folder; ``images.npy`` and ``images.csv`` are written.
    pictures : Pictures
        What was measured.
    label : ndarray of float32, (n,)
        Ordered share of each; NaN where it is not known.

    Returns
    -------
    dict
        What was taken.

    Raises
    ------
    PlanError
        As `require_both_classes`.
    """
    require_both_classes(label)
    matrix = np.flatnonzero(label == 0)
    learned = np.zeros(len(pictures), dtype=bool)
    learned[matrix[: min(N_LEARNED, len(matrix) // 3)]] = True
    _write(folder, Experiment(pictures, label, learned, np.full(len(pictures), np.nan, dtype=np.float32)))
    return {"n_learned": int(learned.sum()), "n_tested": int((~learned).sum()), "simulated": False}


def require_both_classes(label: npt.NDArray[np.float32]) -> None:
    """Refuse pictures that do not suffice to learn some and to test with others.

    Parameters
    ----------
    label : ndarray of float32, (n,)
        Ordered share of each; NaN where it is not known.

    Raises
    ------
    PlanError
        If fewer than three pictures are known to be without order, or none to be ordered.
    """
    n_matrix, n_ordered = int((label == 0).sum()), int((label >= ORDERED).sum())
    if n_matrix < 3 or not n_ordered:
        raise PlanError(
            f"Case 2 learns images without order and is tested on others: of {len(label)} images found {n_matrix} with "
            f"label 0 and {n_ordered} with at least {ORDERED:g}, expected 3 and 1. Give labels with --labels; images "
            f"without labels are judged by aptstream evaluate --images."
        )


def read_experiment(folder: Path) -> Experiment:
    """Read what one of the two wrote.

    Parameters
    ----------
    folder : Path
        With ``images.npy`` and ``images.csv``.

    Returns
    -------
    Experiment

    Raises
    ------
    FileFormatError
        If it is damaged.
    """
    rows, columns = VIEW.shape
    pictures = read_pictures(folder / IMAGES, (rows, columns))
    with (folder / TABLE).open(encoding="utf-8", newline="") as stream:
        table = list(csv.DictReader(stream))
    names = tuple(row["image"] for row in table)
    labels = np.array([float(row["label"] or "nan") for row in table], dtype=np.float32)
    ours = np.array([float(row["ours"] or "nan") for row in table], dtype=np.float32)
    learned = np.array([row["learned"] == "true" for row in table])
    return Experiment(Pictures(names, pictures.grey), labels, learned, ours)


def labels_of(path: Path | None, pictures: Pictures) -> npt.NDArray[np.float32]:
    """Read the labels of pictures; NaN for all where there is no table."""
    if path is None:
        return np.full(len(pictures), np.nan, dtype=np.float32)
    return read_labels(path, pictures.names)


def _apart(places: Cells, taken: Cells, n: int) -> Cells:
    """Choose places in their order whose cubes share no voxel, nor any with those that are taken."""
    kept: list[Cells] = []
    every = list(taken)
    for place in places:
        if all(np.abs(place - other).max() >= EDGE_NM for other in every):
            kept.append(place)
            every.append(place)
        if len(kept) == n:
            return np.array(kept)
    raise PlanError(f"A simulated specimen holds only {len(kept)} such cubes apart, expected {n}: take another seed.")


def _pictures(store: PointStore, corners: Cells) -> npt.NDArray[np.uint8]:
    """Make the publication's grey picture of each cube."""
    channels, counts = VIEW.channels(ROLES), []
    for x, y, z in corners.tolist():
        cloud = store.read((x, y, z), (x + EDGE_NM, y + EDGE_NM, z + EDGE_NM), columns=())
        counts.append(count_sdm(cloud, channels, VIEW.window, origin_nm=store.origin_nm)[0])
    return grey_images(np.array(counts))


def _write(folder: Path, found: Experiment) -> None:
    """Write pictures as an array, and what is known of them as a table that `read_labels` reads too."""
    with replacing(folder / IMAGES) as stream:
        np.save(stream, found.pictures.grey)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("image", "label", "learned", "ours"))
    columns = zip(found.pictures.names, found.label.tolist(), found.learned.tolist(), found.ours.tolist(), strict=True)
    for name, label, learned, ours in columns:
        known = ["" if np.isnan(value) else f"{value:.6g}" for value in (label, ours)]
        writer.writerow((name, known[0], str(learned).lower(), known[1]))
    with replacing(folder / TABLE) as stream:
        stream.write(text.getvalue().encode())
