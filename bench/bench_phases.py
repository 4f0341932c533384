"""Order, site shares and doubled periods against what simulated specimens were made of, with true particles.

    OMP_NUM_THREADS=1 python bench/bench_phases.py [--specimens 8]

prints one JSON object a line: the mean over specimens, the truth, and how far the single values scatter from the truth
(for specimens without particles: from 0) in units of the errors that they were stated with; 1 is right.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from lines import read, show

from aptstream.cloud import ingest
from aptstream.io import write_pos
from aptstream.phases.amplitudes import Estimate
from aptstream.phases.phasemap import PhaseMap
from aptstream.phases.sites import site_occupancy
from aptstream.phases.species import OrderFrame, phase_sdms
from aptstream.points import Roles
from aptstream.sdm.planes import fit_planes
from aptstream.simulate import Particles, Settings, draw_particles, simulate_specimen, voxel_fraction
from aptstream.simulate.settings import LEVELS

SIZE_NM = (26.0, 26.0, 26.0)
ROLES = Roles(("Al",), ("Li", "Mg"))
NONE = Particles(np.zeros((0, 3)), np.zeros(0), np.zeros(0, int))


def judged(seed: int, settings: Settings, *, ordered: bool) -> Iterator[tuple[str, float, Estimate]]:
    """Name, true value and estimate of every number of one specimen."""
    rng = np.random.default_rng(seed)
    particles = draw_particles(rng, settings.size_nm, volume_fraction=0.1) if ordered else NONE
    specimen = simulate_specimen(rng, particles, settings)
    with tempfile.TemporaryDirectory() as folder:
        write_pos(Path(folder, "a.pos"), specimen.cloud.position, specimen.cloud.mass_to_charge)
        store = ingest(Path(folder, "a.pos"), ranges=settings.alloy.ranges, out=Path(folder, "a.zarr"))
        labels = np.zeros(store.shape_cells, np.int32)
        for k in range(len(particles)):
            distortion, one = specimen.plan.distortion, particles[k : k + 1]
            inside = voxel_fraction(one, store.shape_cells, origin_nm=store.origin_nm, distortion=distortion)
            labels[inside >= 0.5] = k + 1
        if not ordered:
            labels[:, :, :2] = 1  # something to be the other phase
        planes = fit_planes(specimen.cloud, ROLES, settings.crystal.period_nm)
        frame = OrderFrame(planes, settings.crystal, ROLES)
        where = PhaseMap(labels, np.ones(labels.shape, bool), store.origin_nm)
        start = time.process_time()
        phases = phase_sdms(where, store, frame)
        seconds = time.process_time() - start
        yield "cpu_us_per_ion", 0.0, Estimate(1e6 * seconds / store.n_ions, 0.0)
        for sdm in phases.matrix.sdms[3:]:
            if sdm.waves.doubled is not None:
                yield f"matrix doubled {sdm.name}", 0.0, sdm.waves.doubled
        sites = site_occupancy(where, store, frame)
    high, low = settings.site_solute()
    on_solute = (high + low) / 2
    truth = {"Al": (1 - on_solute) / (2 - on_solute - low)}
    if sites.order is not None and ordered:
        yield "order of all", float(high - low), sites.order
        for share in sites.shares:
            if share.on_solute_planes is not None:
                right = truth.get(share.species, on_solute / (on_solute + low))
                yield f"share on solute planes {share.species}", float(right), share.on_solute_planes
        for one in sites.particles:
            if one.order is not None and one.in_core:
                yield "order of a particle", float(high - low), one.order


def main() -> None:
    """Judge specimens of both levels, with particles of two degrees of order and without any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--specimens", type=int, default=8)
    parser.add_argument("--size", type=float, nargs=3, metavar="NM", default=SIZE_NM)
    given = read(parser, {"specimens": 1, "size": (18.0, 18.0, 18.0)})
    n = given.specimens
    for level, values in LEVELS.items():
        for case, order in (("ordered", 1.0), ("half ordered", 0.5), ("random", 0.0)):
            found: dict[str, list[tuple[float, float, float]]] = {}
            for seed in range(n):
                settings = Settings(tuple(given.size), order=order, **values)
                for name, truth, estimate in judged(seed, settings, ordered=order > 0):
                    found.setdefault(name, []).append((truth, estimate.value, estimate.sigma))
            for name, rows in found.items():
                truth, value, sigma = np.array(rows).T
                z = (value - truth) / sigma if sigma.all() else None
                scatter = None if z is None else float(np.sqrt((z**2).mean()))
                errors = {"stated_error": float(np.sqrt((sigma**2).mean())), "scatter_in_errors": scatter}
                unit = "us/ion (CPU)" if name == "cpu_us_per_ion" else "1"
                called = f"phases.{name}.{case}.{level}".replace(" ", "_")
                show(called, value.mean(), unit, n=len(rows), truth=truth.mean(), **errors)


if __name__ == "__main__":
    main()
