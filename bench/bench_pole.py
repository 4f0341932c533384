"""Poles found in simulated needles whose truth is known, none found where there is none, and what it costs.

``--specimens 200`` draws needles from a Latin hypercube: planes (001), (011), (111) of Al or Ni, blur normal to the
planes 0.03–0.06 nm, tilt 0–35°, any azimuth and spin, dome radius 50–150 nm, one or several poles, with or without
L1₂ particles, depths off by up to 5 %. A success is the needle's own pole, found (not a candidate), its normal right
to 0.5° and its spacing to 0.3 % at its centre, with no pole beside it that is not there.

``--blurred 60`` draws the same at a blur of 0.06 nm alone, ``--structureless 50`` needles without lattice but with
density waves, shells, edges and correlated hits. ``--si FILE`` looks at a measured reconstruction without visible
planes with several grids, and at the same with planes put in at amplitude 0.12.

Prints one JSON object a specimen, then one a rate, with Wilson intervals of 95 %.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import numpy.typing as npt
from lines import read, row, show
from scipy.stats import binomtest, qmc

from aptstream.cloud import ingest
from aptstream.cloud.store import PointStore
from aptstream.crystal import Crystal
from aptstream.io import read_ions, write_pos
from aptstream.points import Range, RangeTable
from aptstream.pole import Pole, find_poles, identify
from aptstream.pole.waves import WaveGrid
from aptstream.simulate import Particles
from aptstream.simulate.cone import Cone
from aptstream.simulate.needle import NeedleSettings, simulate_needle
from aptstream.simulate.structureless import simulate_structureless

SEED = 20210
FAMILIES, ALLOYS = ((0, 0, 1), (0, 1, 1), (1, 1, 1)), {"Al": 0.405, "Ni": 0.352}
CONE = Cone(15.0, 5.0, 60.0)
LARGEST_ANGLE_DEG, LARGEST_SPACING_ERROR = 0.5, 0.003
#: Any range: m/q does not matter here.
ALL = RangeTable((Range(0.1, 300, (("Al", 1),)),))
GRIDS = [WaveGrid(), WaveGrid(lateral_nm=2.0, axial_nm=2.5), WaveGrid(lateral_nm=1.2, axial_nm=4.0)]
Floats = npt.NDArray[np.float64]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--specimens", type=int, default=200)
    parser.add_argument("--blurred", type=int, default=60)
    parser.add_argument("--structureless", type=int, default=50)
    parser.add_argument("--si", type=Path)
    parser.add_argument("--workers", type=int, default=1, help="processes")
    given = read(parser, {"specimens": 1, "blurred": 0, "structureless": 1})
    with ProcessPoolExecutor(given.workers) as pool:
        blurred = told("blurred", each(pool, points(given.blurred, SEED + 1, 0.06)))
        nothing = told("structureless", pool.map(structureless, range(given.structureless)))
        rows = told("needle", each(pool, points(given.specimens, SEED)))
    sharp = [one for one in rows if one["sigma_nm"] <= 0.05]
    rate("success_up_to_0.05_nm", sharp, "success")
    for hkl in FAMILIES:
        called = "".join(map(str, hkl))
        rate(f"success_up_to_0.05_nm.{called}", [one for one in sharp if one["hkl"] == list(hkl)], "success")
    rate("success_from_0.05_to_0.06_nm", [one for one in rows if one["sigma_nm"] > 0.05], "success")
    rate("success_at_0.06_nm", blurred, "success")
    rate("named_right_where_found", [one for one in rows if one["success"]], "named")
    rate("false_poles_in_structureless_needles", nothing, "found")
    if rows:
        cost = float(np.median([one["cpu_s_per_million"] for one in rows]))
        show("pole.cost", cost, "s/M ions (CPU)", rival=("asked", 3.0), better="less")
    if nothing:
        show("pole.highest_strength_without_planes", max(one["strength"] for one in nothing), "1")
    if given.si:
        measured(given.si)


def points(n: int, seed: int, sigma_nm: float | None = None) -> list[tuple[tuple[int, int], Floats]]:
    """Draw evenly spread settings, each number from 0 to 1, with the seeds of their needles."""
    drawn = qmc.LatinHypercube(10, rng=np.random.default_rng(seed)).random(n)
    if sigma_nm is not None:
        drawn[:, 2] = (sigma_nm - 0.03) / 0.03
    return [((seed, number), point) for number, point in enumerate(drawn)]


def needle_settings(point: Floats) -> tuple[NeedleSettings, bool]:
    """Make settings of a drawn point, and tell whether there are to be particles."""
    family, alloy, blur, tilt, azimuth, spin, dome, several, particles, scale = point
    a_nm = list(ALLOYS.values())[int(alloy * 2)]
    settings = NeedleSettings(
        crystal=Crystal("L12", a_nm, FAMILIES[int(family * 3)]),
        tilt_deg=35 * tilt,
        azimuth_deg=360 * azimuth,
        spin_deg=360 * spin,
        others=FAMILIES if several >= 0.5 else (),
        cone=CONE,
        dome_radius_nm=50 + 100 * dome,
        sigma_normal_nm=0.03 + 0.03 * blur,
        z_scale=0.95 + 0.1 * scale,
    )
    return settings, bool(particles >= 0.5)


def look(seed: tuple[int, int], point: Floats) -> dict[str, Any]:
    """Simulate a needle, search it, and compare with the truth."""
    rng = np.random.default_rng(seed)
    settings, has_particles = needle_settings(point)
    needle = simulate_needle(rng, settings, particles_in(rng) if has_particles else NONE)
    with tempfile.TemporaryDirectory() as folder:
        store = stored(needle.cloud.position, Path(folder))
        start = process_time()
        found = find_poles(store)
        seconds = process_time() - start
    poles = [pole for pole in found.poles if pole.status == "found"]
    errors = [[error(pole, truth.wave_per_nm([pole.centre_nm])[0]) for truth in needle.poles] for pole in poles]
    right = [[angle <= LARGEST_ANGLE_DEG and off <= LARGEST_SPACING_ERROR for angle, off in row] for row in errors]
    own = next((k for k, row in enumerate(right) if row[0]), None)
    identity = identify([poles[own]], replace(settings.crystal, label="FCC")) if own is not None else None
    nearest = min((row[0] for row in errors), default=None)
    return {
        "number": seed[1],
        "hkl": list(settings.crystal.pole),
        "a_nm": settings.crystal.a_nm,
        "sigma_nm": round(settings.sigma_normal_nm, 4),
        "tilt_deg": round(settings.tilt_deg, 1),
        "dome_nm": round(settings.dome_radius_nm),
        "poles": len(needle.poles),
        "particles": has_particles,
        "success": own is not None and all(any(row) for row in right),
        "named": identity is not None and sorted(identity.families[0]) == sorted(settings.crystal.pole),
        "found": len(poles),
        "false": sum(not any(row) for row in right),
        "strength": round(found.best_strength, 1),
        "searched": round(found.candidates[0].strength, 1),
        "strengths": [round(pole.strength, 1) for pole in found.poles],
        "angle_deg": None if nearest is None else round(nearest[0], 3),
        "spacing_error": None if nearest is None else round(nearest[1], 5),
        "cpu_s_per_million": round(seconds / len(needle.cloud) * 1e6, 2),
        "ions": len(needle.cloud),
    }


NONE = Particles(np.zeros((0, 3)), np.zeros(0), np.zeros(0, dtype=np.int64))


def particles_in(rng: np.random.Generator) -> Particles:
    """Place particles of 2 nm in the middle of a needle, 5 % of it."""
    n = int(0.05 * CONE.volume_nm3 / 33.5)
    centre = rng.uniform((-12, -12, 4), (12, 12, CONE.height_nm - 4), (n, 3))
    return Particles(centre, np.full(n, 2.0), rng.integers(0, 4, n))


def error(pole: Pole, wave: Floats) -> tuple[float, float]:
    """Compare normal (degrees) and spacing (relative) with a true wave."""
    length = float(np.linalg.norm(wave))
    angle = np.degrees(np.arccos(min(1.0, abs(float(np.dot(pole.direction, wave) / length)))))
    return float(angle), abs(pole.spacing_nm * length - 1)


def structureless(number: int) -> dict[str, Any]:
    """Search a needle without a lattice."""
    specimen = simulate_structureless(np.random.default_rng((SEED, 7, number)), CONE)
    with tempfile.TemporaryDirectory() as folder:
        found = find_poles(stored(specimen.cloud.position, Path(folder)))
    return {
        "number": number,
        "found": any(pole.status == "found" for pole in found.poles),
        "candidates": len(found.poles),
        "strength": round(found.best_strength, 2),
        "searched": round(found.candidates[0].strength, 2),
        "ray": round(specimen.disorder.ray.share, 3),
    }


def measured(path: Path) -> None:
    """Look at a measured reconstruction, and at the same with planes put in."""
    position = read_ions(path)[0]
    for grid in GRIDS:
        with tempfile.TemporaryDirectory() as folder:
            found = find_poles(stored(position, Path(folder)), grid=grid)
        window = {"lateral_nm": grid.lateral_nm, "axial_nm": grid.axial_nm}
        row("pole.measured", **window, found=len(found.poles), strength=found.best_strength)
    for amplitude in (0.12, 0.2):
        for tilt in (0.0, 12.0, 25.0):
            put_in(position.astype(np.float64), amplitude, tilt)


def put_in(position: Floats, amplitude: float, tilt_deg: float) -> None:
    """Move ions towards planes 0.2025 nm apart with a dome of 100 nm, within 11 nm of an axis; look for them."""
    low, high = position.min(axis=0), position.max(axis=0)
    normal = np.array([np.sin(np.deg2rad(tilt_deg)), 0, np.cos(np.deg2rad(tilt_deg))])
    away = position - (low + high) / 2
    away[:, 2] = 0
    across = away - np.outer(away @ normal, normal)
    square = (across**2).sum(axis=1)
    spacing = 0.2025
    planes = ((position - (low + high) / 2) @ normal + square / 200) / spacing
    # <exp 2 pi i (u + s sin 2 pi u)> is the Bessel function J1(2 pi s), which is pi s for small s.
    shift = amplitude * np.exp(-((np.sqrt(square) / 11) ** 6)) / np.pi * np.sin(2 * np.pi * planes) * spacing
    with tempfile.TemporaryDirectory() as folder:
        found = find_poles(stored(position - shift[:, None] * normal, Path(folder)))
    best = found.best
    angle = None if best is None else np.degrees(np.arccos(min(1.0, abs(float(np.dot(best.direction, normal))))))
    told = {"amplitude": amplitude, "tilt_deg": tilt_deg, "found": best is not None and best.status == "found"}
    row("pole.put_in", **told, strength=found.best_strength, angle_deg=angle)


def stored(position: npt.ArrayLike, folder: Path) -> PointStore:
    """Put ions into a point store."""
    ions = np.asarray(position, dtype=np.float32)
    write_pos(folder / "ions.pos", ions, np.full(len(ions), 27, np.float32))
    return ingest(folder / "ions.pos", ranges=ALL, out=folder / "ions.zarr")


def each(pool: ProcessPoolExecutor, drawn: list[tuple[tuple[int, int], Floats]]) -> Iterator[dict[str, Any]]:
    """Look at every needle that was drawn."""
    return pool.map(look, [seed for seed, _ in drawn], [point for _, point in drawn])


def told(name: str, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Print rows as they come."""
    every = []
    for one in rows:
        row(f"pole.{name}", **one)
        every.append(one)
    return every


def rate(name: str, rows: list[dict[str, Any]], what: str) -> None:
    """Print a rate and its interval."""
    if rows:
        n = sum(bool(row[what]) for row in rows)
        low, high = binomtest(n, len(rows)).proportion_ci(method="wilson")
        show(f"pole.{name}", n / len(rows), "share", of=len(rows), interval=[low, high])


if __name__ == "__main__":
    main()
