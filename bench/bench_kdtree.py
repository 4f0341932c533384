"""Free regions, nearest ions and pairs: the tree against SciPy's cKDTree, on the same ions, in one run.

Ions lie at random at 33 per nm³, in the order of a point store; regions lie at random and wholly inside. Two of our
trees are measured: `PointTree.of` over that order, which moves nothing ("stored"), and `PointTree`, which sorts for
itself ("own"). Both give ascending rows.

SciPy is used as well as it can be: the fastest of several trees (leaf sizes, balanced or not) for each question,
batches of centres, nothing sorted. It has no box: a cube is its ball in the largest-difference metric, with the open
faces masked off. It returns lists; they become arrays, without which nobody can take a region's masses, and
`lists_only` gives the ratio without that step. For its nearest ions the questions come in the order of its own tree,
which spares it half of its cache misses. Cylinders are cut out of the ball round them.

CPU time of this process, one thread, medians over rounds that alternate; every answer is compared.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from lines import median_cpu, read, show
from scipy.spatial import cKDTree

from aptstream.cloud.tree import PointTree
from aptstream.points import PointCloud
from aptstream.regions import Box, Cylinder, Region, Sphere

PER_NM3 = 33.0
N_QUERIES = 400
ROUNDS = 5
TREES = [{"leafsize": n, "balanced_tree": b} for n, b in itertools.product((16, 32), (True, False))]
SLANT = np.array([0, 1.2, 1.6])
Points = npt.NDArray[np.float64]
Question = Callable[[], Any]


def main() -> None:
    """Measure and print one JSON object a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edge-nm", type=float, default=24.0, help="edge of the cube of ions")
    edge = read(parser, {"edge_nm": 14.0}).edge_nm
    rng = np.random.default_rng(0)
    cloud = stored(rng.random((int(PER_NM3 * edge**3), 3)) * edge)
    position, per_ion = cloud.position, 1e9 / len(cloud)
    rivals = [cKDTree(position, **options) for options in TREES]

    def build() -> None:
        PointTree(position)

    compare("build", [build], [lambda: cKDTree(position)], per_ion, "ns/ion")
    ours = {"stored": PointTree.of(cloud), "own": PointTree(position)}
    questions: dict[str, tuple[Callable[[Points], Region], float, float]] = {
        "box_4nm": (lambda c: Box(tuple(c - 2), tuple(c + 2)), 2.0, np.inf),
        "sphere_r1nm": (lambda c: Sphere(tuple(c), 1.0), 1.0, 2),
        "sphere_r2nm": (lambda c: Sphere(tuple(c), 2.0), 2.0, 2),
        "cylinder_4nm_r1nm": (lambda c: Cylinder(tuple(c - SLANT), tuple(c + SLANT), 1.0), 5**0.5, 2),
    }
    for (name, (make, reach, metric)), (kind, tree) in itertools.product(questions.items(), ours.items()):
        centres = rng.uniform(reach, edge - reach, (N_QUERIES, 3))
        regions_compared(f"{name}.{kind}", tree, [make(c) for c in centres], position, (rivals, centres, reach, metric))
    nearest_compared(ours, position)
    radii = [0.3, 0.5]
    for kind, tree in ours.items():
        some = [lambda rival=rival: (rival.count_neighbors(rival, radii) - len(position)) // 2 for rival in rivals[:2]]
        compare(f"pairs.{kind}", [lambda tree=tree: tree.pair_counts(radii)], some, per_ion, "ns/ion", rounds=1)


def stored(position: Points) -> PointCloud:
    """Sort ions as a point store does: by brick of 16 nm, then by cell of 1 nm."""
    cell = np.floor(position).astype(np.int64)
    order = np.lexsort((*cell.T[::-1], *(cell.T[::-1] // 16)))
    points = position[order].astype(np.float32)
    return PointCloud(points, np.ones(len(points), "f4"), np.ones(len(points), "u1"), ("unranged", "Al"))


def regions_compared(
    name: str,
    tree: PointTree,
    regions: Sequence[Region],
    position: npt.NDArray[np.float32],
    scipy: tuple[list[cKDTree], Points, float, float],
) -> None:
    """Time one kind of region, all at once and one by one."""
    rivals, centres, reach, metric = scipy

    def lists(rival: cKDTree) -> Any:
        return rival.query_ball_point(centres, reach, p=metric, return_sorted=False)

    def arrays(rival: cKDTree) -> list[npt.NDArray[np.intp]]:
        found = [np.array(rows, dtype=np.intp) for rows in lists(rival)]
        if isinstance(regions[0], Sphere):
            return found
        return [rows[r.contains(position[rows])] for rows, r in zip(found, regions, strict=True)]

    def one_by_one() -> list[npt.NDArray[np.intp]]:
        return [tree.query(region) for region in regions]

    fastest = min(rivals, key=lambda rival: median_cpu([lambda: lists(rival)], 3)[0])
    together = [lambda: tree.query_many(regions), one_by_one]
    seconds = median_cpu([*together, lambda: arrays(fastest), lambda: lists(fastest)], ROUNDS)
    for a, b, c in zip(together[0](), together[1](), arrays(fastest), strict=True):
        if not (np.array_equal(a, b) and np.array_equal(a, np.sort(c))):
            raise SystemExit(f"{name}: the two trees disagree")
    per_region = 1e6 / len(regions)
    only = {"lists_only": seconds[3] / seconds[0], "one_by_one": seconds[1] * per_region}
    tell(name, seconds[0] * per_region, seconds[2] * per_region, "us/region", only)


def nearest_compared(ours: dict[str, PointTree], position: npt.NDArray[np.float32]) -> None:
    """Time the 11 nearest ions of all ions."""
    points, per_ion = position.astype(np.float64), 1e6 / len(position)
    questions: list[Question] = [lambda tree=tree: tree.nearest_to_ions(11) for tree in ours.values()]
    rivals = []
    for leafsize in (8, 16):
        order = cKDTree(points, leafsize=leafsize).indices
        rivals.append((order, points[order], cKDTree(points, leafsize=leafsize)))
    questions += [lambda r=r: r[2].query(r[1], k=11, workers=1) for r in rivals]
    seconds = median_cpu(questions, 3)
    for (kind, tree), value in zip(ours.items(), seconds, strict=False):
        distance, rows = tree.nearest_to_ions(11)
        for order, inquired, rival in rivals:
            expected, same = rival.query(inquired, k=11)
            if not (np.array_equal(distance[order], expected) and np.array_equal(rows[order], same)):
                raise SystemExit(f"nearest.{kind}: the two trees disagree")
        tell(f"nearest_11.{kind}", value * per_ion, min(seconds[2:]) * per_ion, "us/ion", {})


def compare(
    name: str, ours: list[Question], rivals: list[Question], scale: float, unit: str, *, rounds: int = ROUNDS
) -> None:
    """Time one question against the fastest way to ask the rival, and compare the answers where there are any."""
    seconds = median_cpu([*ours, *rivals], rounds)
    expected = rivals[0]()
    if isinstance(expected, np.ndarray) and not np.array_equal(ours[0](), expected):
        raise SystemExit(f"{name}: the two trees disagree")
    tell(name, seconds[0] * scale, min(seconds[1:]) * scale, unit, {})


def tell(name: str, value: float, rival_value: float, unit: str, more: dict[str, float]) -> None:
    """Print one result."""
    show(f"kdtree.{name}", value, f"{unit} (CPU)", rival=("scipy cKDTree", rival_value), better="less", **more)


if __name__ == "__main__":
    main()
