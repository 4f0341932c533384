"""What a cube's SDM costs when all overlapping cubes are counted together, beside four ways to count one by one.

All figures are process CPU time, medians, measured in one run on one thread. Each rival counts the pairs of one cube
of the same ions into the same bins:

* numpy: broadcasting and histogram2d, what most people write;
* numpy-sorted: ions sorted by z, half of the pairs, bincount: a careful user;
* ckdtree: SciPy's cKDTree.query_pairs with the metric that finds the fewest candidates, and bincount;
* naive-c: our own C, one cube at a time, in the plain form that every processor runs (sorted by z: not that naive).

    OMP_NUM_THREADS=1 python bench/bench_sdm.py [--size 40] [--repeats 3]

prints one JSON object a line. `….portable` is the plain form of the scan against the fastest this processor has;
`sdm.edges_4_3_2` and `sdm.label_sets_5` are several scans in one pass; `sdm.linear` is the exponent of growth;
`sdm.threads` two boxes on two threads against one after the other.
"""

from __future__ import annotations

import argparse
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from lines import median_cpu, read, show
from scipy.spatial import cKDTree

from aptstream.points import PointCloud, Roles
from aptstream.sdm.count import SdmScan, count_sdm
from aptstream.sdm.image import scan_images
from aptstream.sdm.kernel import INSTRUCTIONS, CellBox
from aptstream.sdm.window import Channels, SdmWindow

NAMES = ("unranged", "Al", "Li")
ROLES = Channels.of_roles(Roles(("Al",), ("Li",)))
ALL = Channels((("Al", "Li"),), ((0, 0),))
Positions = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Task:
    """One line of the table."""

    name: str
    window: SdmWindow
    channels: Channels
    edge: int
    density: float
    as_input: bool = False


TASKS = (
    Task("sdm.zx_w1", SdmWindow("zx", 1.0, 75, 1.0, 150), ALL, 4, 29),
    Task("sdm.zx_w2", SdmWindow("zx", 2.0, 75, 2.0, 150), ALL, 4, 29),
    Task("sdm.rhoz_1", SdmWindow("rhoz", 1.5, 75, 2.0, 10), ALL, 4, 33),
    Task("sdm.rhoz_3", SdmWindow("rhoz", 1.5, 75, 2.0, 10), ROLES, 4, 33),
    Task("sdm.contrast_z_2nm", SdmWindow("z", 1.5, 75, 3.0, 1), ROLES, 2, 33, as_input=True),
)


def specimen(density: float, size: int, seed: int = 0) -> PointCloud:
    """Ions at random with 12 % solute."""
    rng = np.random.default_rng(seed)
    n = int(density * size**3)
    species = (1 + (rng.random(n) < 0.12)).astype(np.uint8)
    return PointCloud((rng.random((n, 3)) * size).astype(np.float32), np.ones(n, np.float32), species, NAMES)


def scan(task: Task, cloud: PointCloud, size: int, how: str = INSTRUCTIONS[-1]) -> None:
    """Count all cubes: from ions in memory to finished images."""
    box = CellBox((0, 0, 0), (0, 0, 0), (size, size, size))
    way = type("Way", (SdmScan,), {"instructions": how})
    counted = way(cloud, task.channels, task.window, box=box, edges=[task.edge])
    for _ in scan_images(counted, "contrast") if task.as_input else counted:
        pass


def offsets(task: Task, p: Positions, solute: npt.NDArray[np.bool_], pairs: tuple[Positions, Positions]) -> None:
    """Bins of given pairs (i, j), counted by bincount."""
    i, j = pairs
    d = p[j] - p[i]
    dz, w = np.abs(d[:, 2]), task.window
    if w.kind == "zx":
        x = np.where(d[:, 2] < 0, -d[:, 0], d[:, 0])
        column = np.floor((x + w.half_lateral_nm) * (w.bins_lateral / (2 * w.half_lateral_nm))).astype(np.int32)
    else:
        rho = np.sqrt(d[:, 0] ** 2 + d[:, 1] ** 2)
        column = (rho * (w.bins_lateral / w.half_lateral_nm)).astype(np.int32)
    row = (dz * (w.bins_z / w.half_z_nm)).astype(np.int32)
    inside = (row < w.bins_z) & (column >= 0) & (column < w.bins_lateral)
    place = row * w.bins_lateral + column
    if len(task.channels.pairs) > 1:
        place += (solute[i].astype(np.int32) + solute[j]) * (w.bins_z * w.bins_lateral)
    np.bincount(place[inside], minlength=len(task.channels.pairs) * w.bins_z * w.bins_lateral)


def numpy_way(task: Task, p: Positions, solute: npt.NDArray[np.bool_]) -> None:
    """Broadcasting and histogram2d, once a channel."""
    w = task.window
    groups = [(p, p)] if len(task.channels.pairs) == 1 else [(p[a], p[b]) for a, b in _masks(solute)]
    for a, b in groups:
        d = a[:, None] - b[None]
        lateral = d[..., 0] if w.kind == "zx" else np.hypot(d[..., 0], d[..., 1])
        low = -w.half_lateral_nm if w.kind == "zx" else 0
        bounds = [(-w.half_z_nm, w.half_z_nm), (low, w.half_lateral_nm)]
        np.histogram2d(d[..., 2].ravel(), lateral.ravel(), bins=(2 * w.bins_z, w.bins_lateral), range=bounds)


def _masks(solute: npt.NDArray[np.bool_]) -> list[tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]:
    return [(~solute, ~solute), (~solute, solute), (solute, solute)]


def sorted_way(task: Task, p: Positions, solute: npt.NDArray[np.bool_]) -> None:
    """Sort by z, take each pair once, and only those within the window in z."""
    order = np.argsort(p[:, 2])
    p, solute = p[order], solute[order]
    last = np.searchsorted(p[:, 2], p[:, 2] + task.window.half_z_nm)
    length = last - np.arange(len(p)) - 1
    i = np.repeat(np.arange(len(p)), length)
    j = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length) + i + 1
    offsets(task, p, solute, (i, j))


def tree_way(task: Task, p: Positions, solute: npt.NDArray[np.bool_]) -> None:
    """cKDTree.query_pairs in the metric that gives the fewest candidates."""
    w = task.window
    if w.kind == "zx":  # a square in x and z: two axes, scaled, largest difference
        scaled, metric = p[:, [0, 2]] / [w.half_lateral_nm, w.half_z_nm], np.inf
    else:
        scaled, metric = p / [w.half_lateral_nm, w.half_lateral_nm, w.half_z_nm], np.inf
    pairs = cKDTree(scaled).query_pairs(1.0, p=metric, output_type="ndarray")
    offsets(task, p, solute, (pairs[:, 0], pairs[:, 1]))


def measure(task: Task, size: int, repeats: int) -> None:
    """One line for each rival."""
    cloud = specimen(task.density, size)
    n_cubes = (size - task.edge + 1) ** 3
    one = specimen(task.density, task.edge, seed=1)
    p, solute = one.position.astype(np.float64), one.species == 2
    rivals: dict[str, Callable[[], object]] = {
        "numpy": lambda: numpy_way(task, p, solute),
        "numpy-sorted": lambda: sorted_way(task, p, solute),
        "ckdtree": lambda: tree_way(task, p, solute),
        "naive-c": lambda: count_sdm(one, task.channels, task.window, instructions="plain"),
    }
    scans = [partial(scan, task, cloud, size, how) for how in dict.fromkeys((INSTRUCTIONS[-1], INSTRUCTIONS[0]))]
    us = [1e6 * seconds for seconds in median_cpu([*scans, *rivals.values()], repeats)]
    ours, *plain = (seconds / n_cubes for seconds in us[: len(scans)])
    for rival, theirs in zip(rivals, us[len(scans) :], strict=True):
        show(task.name, ours, "us/cube (CPU)", rival=(rival, theirs), better="less")
    for slow in plain:
        show(f"{task.name}.portable", slow, "us/cube (CPU)", rival=(INSTRUCTIONS[-1], ours), better="less")


def together(size: int, repeats: int) -> None:
    """Several cube edges, and several label sets, in one pass against one scan after another."""
    task, cloud, box = TASKS[3], specimen(33, size), CellBox((0, 0, 0), (0, 0, 0), (size, size, size))
    edges, rng = (4, 3, 2), np.random.default_rng(3)
    sets = np.stack([rng.permutation(cloud.species == 2) for _ in range(5)], axis=1)

    def consume(some: list[int], **options: npt.NDArray[np.bool_]) -> None:
        for _ in SdmScan(cloud, ROLES if "sets" not in options else ALL, task.window, box=box, edges=some, **options):
            pass

    one_pass, *apart = median_cpu([partial(consume, list(edges)), *(partial(consume, [e]) for e in edges)], repeats)
    show("sdm.edges_4_3_2", one_pass, "s (CPU)", rival=("three scans", sum(apart)), better="less")
    one_pass, alone = median_cpu([partial(consume, [2], sets=sets), partial(consume, [2])], repeats)
    show("sdm.label_sets_5", one_pass, "s (CPU)", rival=("five scans", 5 * alone), better="less")


def growth(size: int, repeats: int) -> None:
    """Exponent of CPU time against volume, of two specimens that differ by a factor of four."""
    task, sizes = TASKS[3], (4 * size, 8 * size)  # both of many tiles, so that their edges weigh alike
    times = []
    for length in sizes:
        rng, shape = np.random.default_rng(0), (length, length, size)
        n = 33 * length * length * size
        species = (1 + (rng.random(n) < 0.12)).astype(np.uint8)
        cloud = PointCloud((rng.random((n, 3)) * shape).astype(np.float32), np.ones(n, np.float32), species, NAMES)
        box = CellBox((0, 0, 0), (0, 0, 0), shape)

        def work(cloud: PointCloud = cloud, box: CellBox = box) -> None:
            for _ in SdmScan(cloud, task.channels, task.window, box=box, edges=[task.edge]):
                pass

        times += median_cpu([work], repeats)
    exponent = float(np.log(times[1] / times[0]) / np.log(4))
    volumes = [length * length * size for length in sizes]
    show("sdm.linear", exponent, "exponent", rival=("linear", 1.0), better="less", nm3=volumes)


def two_threads(size: int, repeats: int) -> None:
    """Two boxes on two threads against one after the other, in wall time; CPU time shows what sharing costs."""
    task, cloud = TASKS[3], specimen(33, size)
    wall: dict[int, float] = {}
    cpu: dict[int, float] = {}
    for n in (1, 2):
        walls, cpus = [], []
        for _ in range(repeats):
            start, used = time.perf_counter(), time.process_time()
            threads = [threading.Thread(target=scan, args=(task, cloud, size)) for _ in range(2)]
            for k in range(0, 2, n):
                for thread in threads[k : k + n]:
                    thread.start()
                for thread in threads[k : k + n]:
                    thread.join()
            walls.append(time.perf_counter() - start)
            cpus.append(time.process_time() - used)
        wall[n], cpu[n] = float(np.median(walls)), float(np.median(cpus))
    inflation = cpu[2] / cpu[1]
    show("sdm.threads", wall[2], "s (wall)", rival=("one thread", wall[1]), better="less", cpu_inflation=inflation)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=40, help="edge of the specimen in nm")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = read(parser, {"size": 16, "repeats": 3})
    for task in TASKS:
        measure(task, arguments.size, arguments.repeats)
    together(max(arguments.size // 2, 12), arguments.repeats)
    growth(max(arguments.size // 2, 12), 1)
    two_threads(max(arguments.size // 2, 12), arguments.repeats)


if __name__ == "__main__":
    main()
