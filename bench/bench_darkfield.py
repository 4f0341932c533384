"""The dark field of five scales by our kernel, beside SciPy's gaussian_filter on the same grids, CPU time in one run.

    OMP_NUM_THREADS=1 python bench/bench_darkfield.py [--size 30] [--repeats 5]

prints one JSON object a line.
"""

from __future__ import annotations

import argparse

import numpy as np
from lines import median_cpu, read, show
from scipy import ndimage

from aptstream.points import PointCloud, Roles
from aptstream.sdm.darkfield import SCALES_NM, dark_field
from aptstream.sdm.field import FINE, FRACTION_NM, TRUNCATE
from aptstream.sdm.kernel import CellBox
from aptstream.sdm.planes import Planes

ROLES = Roles(("Al",), ("Li",))
PERIOD = 0.2864


def with_scipy(cloud: PointCloud, size: int) -> None:
    """Compute the same by SciPy: grids by bincount, smoothing by gaussian_filter in single precision."""
    p = cloud.position.astype(np.float64)
    x, shape = (cloud.species == 2).astype(np.float64), (FINE * size,) * 3
    cell = np.ravel_multi_index(tuple((p * FINE).astype(np.int64).T), shape)

    def grid(weights: np.ndarray) -> np.ndarray:
        return np.bincount(cell, weights, int(np.prod(shape))).reshape(shape).astype(np.float32)

    def smooth(values: np.ndarray, sigma: float, truncate: float = TRUNCATE) -> np.ndarray:
        return ndimage.gaussian_filter(values, sigma * FINE, mode="constant", truncate=truncate)

    def voxels(values: np.ndarray) -> np.ndarray:
        return values.reshape(size, FINE, size, FINE, size, FINE).mean(axis=(1, 3, 5))

    fraction = smooth(grid(x), FRACTION_NM) / np.maximum(smooth(grid(np.ones_like(x)), FRACTION_NM), 1e-6)
    w, phase = x - fraction.ravel()[cell], 2 * np.pi / PERIOD * p[:, 2]
    waves = [grid(w * np.cos(phase)), grid(w * np.sin(phase)), grid(w * w)]
    for s in SCALES_NM:
        real, imaginary, noise = (
            smooth(waves[0], s),
            smooth(waves[1], s),
            smooth(waves[2], s / 2**0.5, TRUNCATE * 2**0.5),
        )
        real, imaginary, noise = (voxels(values) for values in (real, imaginary, noise))
        np.divide(real**2 + imaginary**2, np.maximum(noise, 1e-12))


def main() -> None:
    """Print the figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=30, help="edge of the specimen in nm")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = read(parser, {"size": 24, "repeats": 3})
    size, rng = arguments.size, np.random.default_rng(0)
    n = 33 * size**3
    species = (1 + (rng.random(n) < 0.12)).astype(np.uint8)
    position = (rng.random((n, 3)) * size).astype(np.float32)
    cloud = PointCloud(
        np.minimum(position, np.nextafter(np.float32(size), np.float32(0))),
        np.ones(n, np.float32),
        species,
        ("unranged", "Al", "Li"),
    )
    box = CellBox((0, 0, 0), (0, 0, 0), (size, size, size))
    works = [lambda: dark_field(cloud, ROLES, Planes(PERIOD), box=box), lambda: with_scipy(cloud, size)]
    ours, theirs = (1e6 * seconds / n for seconds in median_cpu(works, arguments.repeats))
    show("darkfield.5_scales", ours, "s/M ions (CPU)", rival=("scipy.ndimage", theirs), better="less")


if __name__ == "__main__":
    main()
