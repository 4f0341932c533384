"""Order recognised in needles that are tilted and domed, after alignment, beside the same needles without either.

Both needles hold the same L1₂ particles. In one the (011) planes of Al stand normal to z and are flat; in the other
they are tilted by 5 to 30°, domed with a radius of 60 to 140 nm, and the depths are off by up to 4 %: its pole is
searched, and its ions are turned, flattened and cut out by `aptstream.orientation.orient`. The first is cut out
within the same distance of the axis. Both are scanned with the shipped model; the average precision (AP) of the
voxels inside that region, 1 nm from its face, of all specimens together is printed for both, and their difference.

    OMP_NUM_THREADS=1 python bench/bench_alignment.py --specimens 4
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from lines import read, row, show

from aptstream.cloud import ingest
from aptstream.cloud.store import PointStore
from aptstream.crystal import Crystal
from aptstream.grid import find
from aptstream.grid.truth import true_volumes
from aptstream.io import write_pos
from aptstream.io.rrng import write_rrng
from aptstream.model.curves import JudgedVoxels, judge_voxels, pool_voxels, voxel_scores
from aptstream.model.modelfile import load_model
from aptstream.orientation import Wish, orient
from aptstream.points import PointCloud, Roles
from aptstream.pole import Alignment
from aptstream.regions import Cylinder
from aptstream.scan import run_scan
from aptstream.simulate import Cone, Needle, NeedleSettings, Particles, simulate_needle

SEED = 7100
CRYSTAL, CONE = Crystal("L12", 0.405, (0, 1, 1)), Cone(14.0, 4.0, 60.0)
LEVELS = {"good": (0.03, 0.3, 0.55), "hard": (0.05, 0.5, 0.45)}
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Aligned:
    """An alignment as a movement of particles."""

    alignment: Alignment

    def apply(self, position: Floats) -> Floats:
        """Move positions (n, 3)."""
        return self.alignment.forward(position)

    def slopes(self, position: Floats) -> Floats:
        """Linear map near positions, for row vectors."""
        step = 0.05
        ends = [(self.apply(position + d) - self.apply(position - d)) / (2 * step) for d in step * np.eye(3)]
        return np.stack(ends, axis=1)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--specimens", type=int, default=4)
    parser.add_argument("--level", choices=LEVELS, action="append", help="may be given again")
    parser.add_argument("--height-nm", type=float, default=CONE.height_nm)
    given = read(parser, {"specimens": 1, "level": ["good"], "height_nm": 30.0})
    cone = replace(CONE, height_nm=given.height_nm)
    for level in given.level or LEVELS:
        pairs = [compare(level, number, cone) for number in range(given.specimens)]
        flat, aligned = (ap([pair[k] for pair in pairs]) for k in (0, 1))
        name = f"alignment.average_precision.{level}"
        show(name, aligned, "1", rival=("without distortion", flat), difference=aligned - flat)


def compare(level: str, number: int, cone: Cone) -> tuple[JudgedVoxels, JudgedVoxels]:
    """Judge the voxels of a needle without distortion, and of the same with one."""
    rng = np.random.default_rng((SEED, number))
    sigma_normal, sigma_lateral, efficiency = LEVELS[level]
    straight = NeedleSettings(
        CRYSTAL,
        tilt_deg=0,
        spin_deg=float(rng.uniform(0, 360)),
        cone=cone,
        dome_radius_nm=np.inf,
        sigma_normal_nm=sigma_normal,
        sigma_lateral_nm=sigma_lateral,
        efficiency=efficiency,
    )
    bent = replace(
        straight,
        tilt_deg=float(rng.uniform(5, 30)),
        azimuth_deg=float(rng.uniform(0, 360)),
        dome_radius_nm=float(rng.uniform(60, 140)),
        z_scale=float(rng.uniform(0.96, 1.04)),
    )
    seed = int(rng.integers(2**31))
    with tempfile.TemporaryDirectory() as folder:
        other = simulate_needle(np.random.default_rng(seed), bent, strewn(bent, np.random.default_rng((seed, 1))))
        oriented = orient(stored(other.cloud, other, Path(folder, "bent")), Wish(CRYSTAL), Path(folder, "flat.zarr"))
        alignment = oriented.story.alignment
        particles = other.ordered_particles.moved(Aligned(alignment))
        inner = alignment.pole.radius_nm - 1
        seen = replace(alignment.region, radius_nm=inner)
        second = judged(oriented.store, particles, seen, Path(folder, "bent.scan"))
        same = strewn(straight, np.random.default_rng((seed, 1)))
        needle = simulate_needle(np.random.default_rng(seed), straight, same)
        away = np.hypot(*needle.cloud.position[:, :2].T)
        cut = needle.cloud[away < alignment.pole.radius_nm]
        straight_store = stored(cut, needle, Path(folder, "straight"))
        seen = Cylinder((0, 0, 0), (0, 0, cone.height_nm), inner)
        first = judged(straight_store, needle.ordered_particles, seen, Path(folder, "scan"))
    tell = {"level": level, "number": number, "tilt_deg": bent.tilt_deg, "dome_nm": bent.dome_radius_nm}
    tell |= {"radius_nm": alignment.pole.radius_nm, "without distortion": ap([first]), "aligned": ap([second])}
    row("alignment.specimen", **tell)
    return first, second


def strewn(settings: NeedleSettings, rng: np.random.Generator) -> Particles:
    """Strew particles of 1.5 to 3 nm along the axis of the pole, about a tenth of the volume."""
    height = settings.cone.height_nm
    axis = np.array([settings.poles[0].on_axis_nm(z * settings.z_scale)[:2] for z in range(int(height))])
    centre, radius = np.zeros((0, 3)), np.zeros(0)
    for _ in range(600):
        new, r = rng.uniform((-10, -10, 4), (10, 10, height - 4)), rng.uniform(1.5, 3)
        new[:2] += axis[int(new[2])]
        if (np.linalg.norm(centre - new, axis=1) > radius + r + 1).all() and len(radius) < 60:
            centre, radius = np.vstack([centre, new]), np.append(radius, r)
    return Particles(centre, radius, rng.integers(0, 4, len(radius)))


def stored(cloud: PointCloud, needle: Needle, folder: Path) -> PointStore:
    """Put ions into a point store."""
    folder.mkdir()
    write_pos(folder / "ions.pos", cloud.position, cloud.mass_to_charge)
    write_rrng(folder / "ions.rrng", needle.settings.alloy.ranges)
    return ingest(folder / "ions.pos", ranges=folder / "ions.rrng", out=folder / "ions.zarr")


def judged(store: PointStore, particles: Particles, region: Cylinder, out: Path) -> JudgedVoxels:
    """Scan, find, and hold the map against the truth in a region, which ends 1 nm inside the ions."""
    model = load_model().looking_for(CRYSTAL)
    scan = run_scan(store, model, Roles(("Al",), ("Li", "Mg")), out=out)
    answer = find(scan, store, model)
    origin, shape = np.array(answer.found.origin_nm), answer.order.shape
    voxels = judge_voxels(answer.order, true_volumes(particles, shape, tuple(origin)).total, answer.found.labels > 0)
    seen = region.contains(np.argwhere(np.ones(shape, bool)) + 0.5 + origin)
    return JudgedVoxels(voxels.score[seen], voxels.truth[seen], voxels.called[seen], voxels.block[seen])


def ap(parts: list[JudgedVoxels]) -> float:
    """Average precision of voxels together."""
    scores = voxel_scores(pool_voxels(parts), np.random.default_rng(0), n_draws=0)
    return float(scores["average_precision"].value)


if __name__ == "__main__":
    main()
