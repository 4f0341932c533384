"""The publication's way through one cube, as its text and its authors' public programs describe it; the lines are ours.

A region is asked of a KD-tree; a Python loop over its host ions asks another tree for the neighbours of each; offsets
go into a histogram, the histogram is drawn as a grey picture into a file, the file is read back by a picture loader,
and the publication's network judges the pictures of 32 cubes at a time. `carefully` is how a careful user of SciPy and
LiteRT would get the same pictures judged by the same network: pairs and bincount at once, and no files.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from scipy.spatial import cKDTree

from aptstream.model.modelfile import CubeJudge
from aptstream.model.predict import Predictor

Positions = npt.NDArray[np.float64]

EDGE_NM, RADIUS_NM, BINS, SHOWN_NM, PIXELS, BATCH = 4.0, 1.5, 200, 0.7, 150, 32


@dataclass(frozen=True)
class Seconds:
    """CPU time of one cube by what takes it."""

    region: float
    map: float
    picture: float
    prediction: float

    @property
    def all(self) -> float:
        """CPU time of one cube."""
        return self.region + self.map + self.picture + self.prediction


class _Clock:
    """CPU seconds since the last look."""

    def __init__(self) -> None:
        self.last = time.process_time()

    def lap(self) -> float:
        before, self.last = self.last, time.process_time()
        return self.last - before


def loop_over_ions(ions: Positions) -> npt.NDArray[np.float64]:
    """Map (Δz, Δx) of the pairs within 1.5 nm, one ion after another; its middle is shown."""
    tree = cKDTree(ions)
    offsets = []
    for k, ion in enumerate(ions):
        near = tree.query_ball_point(ion, RADIUS_NM)
        near.remove(k)
        offsets.append(ions[near] - ion)
    found = np.concatenate(offsets)
    bounds = [(-RADIUS_NM, RADIUS_NM)] * 2
    counts, rows, _ = np.histogram2d(found[:, 2], found[:, 0], bins=BINS, range=bounds)
    shown = np.flatnonzero(np.abs((rows[1:] + rows[:-1]) / 2) <= SHOWN_NM)
    return counts[shown[0] : shown[-1] + 1, shown[0] : shown[-1] + 1]


def draw(counts: npt.NDArray[np.float64], path: Path) -> None:
    """Write a map as a grey picture."""
    figure = Figure(figsize=(PIXELS / 100, PIXELS / 100), dpi=100)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(counts, cmap="gray", aspect="auto")
    axes.axis("off")
    figure.savefig(path)


def plainly(host: Positions, lows: npt.NDArray[np.int64], network: Any, folder: Path) -> Seconds:
    """Judge cubes as the publication did."""
    from keras.utils import img_to_array, load_img

    tree, spent = cKDTree(host), np.zeros(4)
    for start in range(0, len(lows), BATCH):
        clock, batch = _Clock(), lows[start : start + BATCH]
        regions = [host[tree.query_ball_point(low + EDGE_NM / 2, EDGE_NM / 2, p=np.inf)] for low in batch]
        spent[0] += clock.lap()
        maps = [loop_over_ions(ions) for ions in regions]
        spent[1] += clock.lap()
        paths = [folder / f"{k}.png" for k in range(len(maps))]
        for counts, path in zip(maps, paths, strict=True):
            draw(counts, path)
        spent[2] += clock.lap()
        grey = [load_img(path, color_mode="grayscale", target_size=(PIXELS, PIXELS)) for path in paths]
        network.predict(np.stack([img_to_array(picture)[..., 0] for picture in grey]), verbose=0)
        spent[3] += clock.lap()
    return Seconds(*(spent / len(lows)))


def carefully(host: Positions, lows: npt.NDArray[np.int64], judge: CubeJudge) -> Seconds:
    """Judge the same cubes by pairs from a tree, bincount, and LiteRT in whole batches."""
    tree, predict, spent, images = cKDTree(host), Predictor(judge), np.zeros(4), []
    clock = _Clock()
    for low in lows:
        ions = host[tree.query_ball_point(low + EDGE_NM / 2, EDGE_NM / 2, p=np.inf)]
        spent[0] += clock.lap()
        flat = ions[:, [0, 2]]  # two axes and the largest difference: the fastest of the trees that were tried
        first, second = cKDTree(flat).query_pairs(SHOWN_NM, p=np.inf, output_type="ndarray").T
        offset = ions[second] - ions[first]
        offset = offset[np.einsum("ij,ij->i", offset, offset) <= RADIUS_NM**2]
        column, row = np.floor((offset[:, [0, 2]] / SHOWN_NM + 1) * (PIXELS / 2)).astype(np.int64).clip(0, PIXELS - 1).T
        half = np.bincount(row * PIXELS + column, minlength=PIXELS**2).reshape(PIXELS, PIXELS)
        images.append(half + half[::-1, ::-1])
        spent[1] += clock.lap()
    grey = np.array(images, dtype=np.float32)
    grey = np.rint(grey * (255 / np.maximum(grey.max(axis=(1, 2), keepdims=True), 1))).astype(np.uint8)
    spent[2] += clock.lap()
    predict(grey)
    spent[3] += clock.lap()
    return Seconds(*(spent / len(lows)))
