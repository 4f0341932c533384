"""Extraction of free regions: the KD-tree against SciPy's, on the same ions, in one run.

Ions lie at random at 33 per nm³; regions lie at random and wholly inside. SciPy answers a half-open box by
its Chebyshev ball with the open faces masked off, a sphere by its ball. Both give sorted arrays, and making
the region is part of the query.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from time import perf_counter

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from aptstream.cloud.tree import PointTree
from aptstream.regions import Box, Sphere

EDGE_NM = 40.0
PER_NM3 = 33.0
N_QUERIES = 400
Query = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.intp]]


def main() -> None:
    """Measure and print one JSON object a line."""
    rng = np.random.default_rng(0)
    position = (rng.random((int(PER_NM3 * EDGE_NM**3), 3)) * EDGE_NM).astype(np.float32)
    begin = perf_counter()
    tree = PointTree(position)
    middle = perf_counter()
    rival = cKDTree(position, leafsize=32)
    rival_seconds = perf_counter() - middle
    per_ion = 1e9 / len(position)
    show("kdtree.build", (middle - begin) * per_ion, rival_seconds * per_ion, "ns/ion")

    def box(centre: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
        return tree.query(Box(tuple(centre - 2), tuple(centre + 2)))

    def rival_box(centre: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
        rows = np.array(rival.query_ball_point(centre, 2.0, p=np.inf), dtype=np.intp)
        return np.sort(rows[(position[rows] < centre + 2).all(axis=1)])

    compare("kdtree.box_4nm", box, rival_box, rng.uniform(2, EDGE_NM - 2, (N_QUERIES, 3)))
    for radius in (1.0, 2.0):

        def sphere(centre: npt.NDArray[np.float64], radius: float = radius) -> npt.NDArray[np.intp]:
            return tree.query(Sphere(tuple(centre), radius))

        def rival_sphere(centre: npt.NDArray[np.float64], radius: float = radius) -> npt.NDArray[np.intp]:
            return np.sort(np.array(rival.query_ball_point(centre, radius), dtype=np.intp))

        centres = rng.uniform(radius, EDGE_NM - radius, (N_QUERIES, 3))
        compare(f"kdtree.sphere_r{radius:.0f}nm", sphere, rival_sphere, centres)


def compare(name: str, ours: Query, rival: Query, centres: npt.NDArray[np.float64]) -> None:
    """Time both on the same regions, turn about, check that they agree, and print the medians."""
    seconds: list[tuple[float, float]] = []
    for centre in centres:
        begin = perf_counter()
        found = ours(centre)
        middle = perf_counter()
        expected = rival(centre)
        seconds.append((middle - begin, perf_counter() - middle))
        if not np.array_equal(found, expected):
            raise SystemExit(f"{name}: the two trees disagree at {centre}")
    value, rival_value = np.median(seconds, axis=0) * 1e6
    show(name, value, rival_value, "us/query")


def show(name: str, value: float, rival_value: float, unit: str) -> None:
    """Print one result."""
    line = {"name": name, "value": round(value, 2), "unit": unit, "rival": "scipy cKDTree"}
    print(json.dumps(line | {"rival_value": round(rival_value, 2), "ratio": round(rival_value / value, 2)}))


if __name__ == "__main__":
    main()
