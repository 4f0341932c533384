"""Test specimens with known truth, made apart from `aptstream.simulate`: they share none of its habits.

What differs: sites are integer triples on lattice planes that are laid down one by one, the crystal is turned by any
angle about the pole, detection falls off towards the pole and wavers at random, particles are pushed apart instead of
being drawn anew, and may be ellipsoids or plates. What is the same: both phases have one blur and one efficiency.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from cases import Case, Lattice, Population, case_of
from scipy.ndimage import map_coordinates

from aptstream.grid.truth import TrueVolumes, reach_of
from aptstream.io import write_pos
from aptstream.io.rrng import write_rrng

#: Distance in nm that is kept between particles, and points per voxel edge at which the truth is sampled.
GAP_NM, SUB = 0.8, 5


@dataclass(frozen=True)
class Specimen:
    """Ions, and the particles in the coordinates of the detector: ``|unit @ (r − centre)| <= 1``."""

    case: Case
    position: np.ndarray
    mass: np.ndarray
    centre_nm: np.ndarray
    unit: np.ndarray
    ordered: bool = field(default=True)

    @property
    def radius_nm(self) -> np.ndarray:
        """Radius of the sphere of equal volume."""
        return np.abs(np.linalg.det(self.unit)) ** (-1 / 3) if len(self.unit) else np.zeros(0)

    def truth(self, shape, origin_nm) -> TrueVolumes:
        """Ordered shares of the voxels of a grid; nothing is ordered in clusters and shuffled species."""
        n = len(self.centre_nm) if self.ordered else 0
        return true_volumes(self.centre_nm[:n], self.unit[:n], shape, origin_nm)


def lognormal_radii(rng: np.random.Generator, population: Population, n: int) -> np.ndarray:
    """Radii with the mean and standard deviation of a population, none above 6 nm."""
    sigma = np.sqrt(np.log1p((population.sd_nm / population.mean_nm) ** 2))
    return np.minimum(population.mean_nm * np.exp(sigma * (rng.standard_normal(n) - sigma / 2)), 6.0)


def scatter(rng: np.random.Generator, population: Population, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Strew spheres at random in and around a box, as many as chance has it: centres and radii.

    The largest first; one that would touch another is put elsewhere, so none is lost. What lies around has no walls
    (opposite faces touch), for particles would crowd there.
    """
    mean_volume = 4 / 3 * np.pi * (lognormal_radii(np.random.default_rng(0), population, 100_000) ** 3).mean()
    margin = 7.0
    wide = size + 2 * margin
    n = rng.poisson(population.fraction / mean_volume * wide.prod())
    radius = np.sort(lognormal_radii(rng, population, n))[::-1]
    centre = np.zeros((0, 3))
    for k, r in enumerate(radius):
        while True:
            here = rng.uniform(-margin, size + margin)
            away = np.abs(centre - here)
            distance = np.linalg.norm(np.minimum(away, wide - away), axis=1)
            if (distance >= radius[:k] + r + 0.95 * GAP_NM).all():
                centre = np.concatenate([centre, here[None]])
                break
    reaches = ((centre > -radius[:, None]) & (centre < size + radius[:, None])).all(axis=1)
    return centre[reaches], radius[reaches]


def draw_radii(rng: np.random.Generator, population: Population, volume_nm3: float) -> np.ndarray:
    """Radii whose volumes sum to the fraction of the volume that is asked for, the largest first."""
    wanted = population.fraction * volume_nm3
    n_small = round(population.n_small * volume_nm3 / 36_000)
    small = 1.5 - rng.triangular(0, 0, 1, n_small)  # many just below 1.5 nm, down to 0.5
    radii = lognormal_radii(rng, population, 20_000)
    volumes = 4 / 3 * np.pi * np.concatenate([small, radii]) ** 3
    enough = int(np.searchsorted(np.cumsum(volumes), wanted))
    return np.sort(np.concatenate([small, radii])[:enough])[::-1]


def push_apart(rng: np.random.Generator, reach: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Strew spheres, and push those that overlap away from each other; those that stay stuck are dropped.

    Returns centres and which spheres were kept. Centres stay within a fifth of the radius outside the box; small
    spheres stay inside.
    """
    margin = np.where(reach > 1.5, -0.2 * reach, reach)[:, None]
    centre = rng.uniform(margin, size - margin)
    apart = reach[:, None] + reach[None] + GAP_NM
    for _ in range(400):
        away = centre[:, None] - centre[None]
        distance = np.linalg.norm(away, axis=2) + np.eye(len(reach)) * 1e9
        lacking = np.maximum(apart - distance, 0)
        if not lacking.any():
            break
        push = (away / distance[:, :, None] * (0.5 * lacking)[:, :, None]).sum(axis=1)
        centre = np.clip(centre + push + rng.normal(0, 0.01, push.shape), margin, size - margin)
    kept = np.zeros(len(reach), dtype=bool)
    for k in range(len(reach)):
        near = np.linalg.norm(centre[kept] - centre[k], axis=1) < reach[kept] + reach[k] + 0.95 * GAP_NM
        kept[k] = not near.any()
    return centre, kept


def turn_to_pole(lattice: Lattice, angle: float) -> np.ndarray:
    """Rotation whose rows are x, y, z of the specimen in crystal axes, turned about the pole by an angle."""
    z = np.array(lattice.pole) / np.linalg.norm(lattice.pole)
    first = np.array(lattice.steps[0], dtype=float)
    x = first / np.linalg.norm(first)
    y = np.cross(z, x)
    return np.stack([np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x, z])


@dataclass(frozen=True)
class Warp:
    """From the crystal to the detector: planes tilted, bowed and stretched about the middle of the specimen."""

    middle: np.ndarray
    tilt: np.ndarray
    bow: float
    scale: float

    def forward(self, r: np.ndarray) -> np.ndarray:
        """Crystal → detector."""
        d = r - self.middle
        z = self.scale * d[:, 2] + d[:, :2] @ self.tilt + 0.5 * self.bow * (d[:, :2] ** 2).sum(axis=1)
        return np.column_stack([r[:, :2], self.middle[2] + z])

    def backward(self, r: np.ndarray) -> np.ndarray:
        """Detector → crystal."""
        d = r - self.middle
        z = (d[:, 2] - d[:, :2] @ self.tilt - 0.5 * self.bow * (d[:, :2] ** 2).sum(axis=1)) / self.scale
        return np.column_stack([r[:, :2], self.middle[2] + z])

    def slope(self, r: np.ndarray) -> np.ndarray:
        """Differentiate `forward`, (n, 3, 3)."""
        out = np.tile(np.eye(3), (len(r), 1, 1))
        out[:, 2, :2] = self.tilt + self.bow * (r - self.middle)[:, :2]
        out[:, 2, 2] = self.scale
        return out


def draw_warp(case: Case, rng: np.random.Generator) -> Warp:
    """Tilt as much as the case says in any direction; bow and stretch as much as it says, either way."""
    size = np.array(case.size_nm)
    towards, sign = rng.uniform(0, 2 * np.pi), rng.choice([-1.0, 1.0], 2)
    tilt = np.tan(np.deg2rad(case.tilt_deg)) * np.array([np.cos(towards), np.sin(towards)])
    bow = sign[0] * np.tan(np.deg2rad(case.bow_deg)) / (size[0] / 2)
    return Warp(size / 2, tilt, float(bow), float(1 + sign[1] * case.stretch))


def draw_specimen(name: str, level: str, seed: int) -> Specimen:
    """Draw the specimen of a case, a level and a seed."""
    return make_specimen(case_of(name, level), np.random.Generator(np.random.Philox(seed)))


def make_specimen(case: Case, rng: np.random.Generator) -> Specimen:
    """Lay down the planes of a specimen, detect, distort and blur."""
    size = np.array(case.size_nm)
    warp = draw_warp(case, rng)
    turn = turn_to_pole(case.lattice, rng.uniform(0, 2 * np.pi))
    if case.population.scattered:
        detected, radius = scatter(rng, case.population, size)
    else:
        radius = draw_radii(rng, case.population, float(size.prod()))
        detected, kept = push_apart(rng, radius * max(case.axes), size)
        radius, detected = radius[kept], detected[kept]
    centre = warp.backward(detected)
    axes = np.array([np.array(case.axes)[rng.permutation(3)] for _ in radius]).reshape(-1, 3)
    unit = np.einsum("nij,jk->nik", np.eye(3) / (axes * radius[:, None])[:, None, :], turn.T)  # along the cube axes
    rows = [np.zeros((0, 3))], [np.zeros(0, dtype=np.int64)]
    order = rng.uniform(case.weakest, 1.0, len(radius))
    matrix = _matrix(case, centre, unit, size)
    variant = rng.integers(0, case.lattice.n_variants, len(radius))
    knots = rng.normal(0, 0.07, tuple((np.ceil(size / 6) + 3).astype(int)))
    for plane in _planes(case, warp, turn, rng):
        site, r = _detected(case, plane, knots, rng)
        owner = _owner(r, centre, unit)
        solute, first = np.full(len(r), matrix.sum()), np.full(len(r), matrix[0] / max(matrix.sum(), 1e-12))
        mine = owner >= 0
        k = owner[mine]
        on_site = site[mine] == variant[k]
        full = np.where(on_site, case.occupancy, case.antisite)
        solute[mine] = case.rich if case.kind == "clusters" else case.rich + order[k] * (full - case.rich)
        first[mine] = case.share[0]
        kind = np.where(rng.random(len(r)) < solute, np.where(rng.random(len(r)) < first, 1, 2), 0)
        rows[0].append(r)
        rows[1].append(kind)
    position, kind = np.concatenate(rows[0]), np.concatenate(rows[1])
    position = warp.forward(position) + rng.standard_normal(position.shape) * (
        case.sigma_xy_nm,
        case.sigma_xy_nm,
        case.sigma_z_nm,
    )
    inside = ((position >= 0) & (position < size)).all(axis=1)
    position, kind = position[inside], kind[inside]
    if case.kind == "shuffled":
        kind = rng.permutation(kind)
    position, mass = _with_background(case, position, kind, rng)
    position = (position + case.low_nm).astype(np.float32)
    high = np.nextafter((size + case.low_nm).astype(np.float32), np.float32(-np.inf))  # rounding must add no voxel
    slope = np.linalg.inv(warp.slope(centre))
    return Specimen(
        case,
        np.minimum(position, high),
        mass,
        detected + case.low_nm,
        unit @ slope,
        ordered=case.kind == "ordered",
    )


def _planes(case: Case, warp: Warp, turn: np.ndarray, rng: np.random.Generator):
    """Yield the sites of one lattice plane after the other: sublattice (n,) and position in the crystal (n, 3)."""
    lattice, size, blur = case.lattice, np.array(case.size_nm), 4 * max(case.sigma_xy_nm, case.sigma_z_nm)
    steps = np.array(lattice.steps)
    lab = steps * lattice.half_nm @ turn.T  # steps in the specimen's axes
    corners = np.array([[x, y, z] for x in (0, 0.5, 1) for y in (0, 0.5, 1) for z in (0, 1)]) * size
    depth = warp.backward(corners)[:, 2]
    start = rng.uniform(0, 1, 3)
    for n in range(int((depth.min() - blur) / lab[2, 2]) - 2, int((depth.max() + blur) / lab[2, 2]) + 3):
        base = n * lab[2] + start
        frame = np.array([[x, y] for x in (-blur, size[0] + blur) for y in (-blur, size[1] + blur)]) - base[:2]
        ends = frame @ np.linalg.inv(lab[:2, :2])
        low, high = np.floor(ends.min(axis=0)).astype(int), np.ceil(ends.max(axis=0)).astype(int) + 1
        u, v = (a.ravel() for a in np.meshgrid(*map(np.arange, low, high), indexing="ij"))
        r = base + u[:, None] * lab[0] + v[:, None] * lab[1]
        near = ((r[:, :2] > -blur) & (r[:, :2] < size[:2] + blur)).all(axis=1)
        i, j, k = (n * steps[2][:, None] + steps[0][:, None] * u[near] + steps[1][:, None] * v[near]).astype(np.int64)
        yield lattice.sublattice(i, j, k), r[near]


def _detected(case: Case, plane, knots: np.ndarray, rng: np.random.Generator):
    """Thin a plane out: fewer ions near the pole in the middle, and random weather with a knot every 6 nm."""
    site, r = plane
    off = ((r[:, :2] - np.array(case.size_nm[:2]) / 2) ** 2).sum(axis=1)
    weather = map_coordinates(knots, (r / 6 + 1).T, order=1, mode="nearest")
    seen = rng.random(len(r)) < case.efficiency * (1.02 - 0.2 * np.exp(-off / (2 * 4.0**2)) + weather)
    return site[seen], r[seen]


def _owner(r: np.ndarray, centre: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Particle that each site of a plane lies in, −1 = matrix."""
    owner = np.full(len(r), -1)
    if not len(r):
        return owner
    reach = reach_of(unit)[:, 2] if len(unit) else np.zeros(0)
    for k in np.flatnonzero(np.abs(centre[:, 2] - r[0, 2]) <= reach):
        owner[(((r - centre[k]) @ unit[k].T) ** 2).sum(axis=1) <= 1] = k
    return owner


def _matrix(case: Case, centre: np.ndarray, unit: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Atomic fractions of the solutes in the matrix, by the lever rule over what lies in the box."""
    inside = case.rich * np.array(case.share)
    if not case.contrast:
        return inside
    shape = tuple(int(n) for n in np.ceil(size))
    share = float(true_volumes(centre, unit, shape, (0.0, 0.0, 0.0), sub=2).total.mean())
    return np.maximum((np.array(case.solute) - share * inside) / (1 - share), 0.002)


def _with_background(case: Case, position: np.ndarray, kind: np.ndarray, rng: np.random.Generator):
    """Add ions without a site: half under the peaks, half anywhere in the spectrum; sort by depth."""
    n = rng.poisson(case.background * len(position))
    stray = rng.choice(kind, n) if len(kind) else np.zeros(n, dtype=int)
    mass = np.array(case.mass_da)[np.concatenate([kind, stray])] + rng.logistic(0, 0.02, len(kind) + n)
    mass[len(kind) :: 2] = rng.uniform(1, 120, len(mass[len(kind) :: 2]))
    every = np.concatenate([position, rng.random((n, 3)) * np.array(case.size_nm)])
    order = np.argsort(every[:, 2], kind="stable")
    return every[order], np.abs(mass[order]).astype(np.float32)


def true_volumes(centre_nm, unit, shape, origin_nm, sub: int = SUB) -> TrueVolumes:
    """Shares of the voxels of a grid that lie in ellipsoids, sampled at `sub`³ points a voxel."""
    total = np.zeros(shape)
    entries = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    reach = reach_of(unit)
    for k, centre in enumerate(centre_nm - np.array(origin_nm)):
        low = np.clip(np.floor(centre - reach[k]), 0, shape).astype(int)
        high = np.clip(np.ceil(centre + reach[k]), 0, shape).astype(int)
        if (high <= low).any():
            continue
        axes = [(np.arange(a * sub, b * sub) + 0.5) / sub - c for a, b, c in zip(low, high, centre, strict=True)]
        # |U d|² of a separable sum: add the three columns of U over the three axes
        parts = [u[:, None] * axis for u, axis in zip(unit[k].T, axes, strict=True)]
        d = parts[0][:, :, None, None] + parts[1][:, None, :, None] + parts[2][:, None, None, :]
        inside = (d**2).sum(axis=0) <= 1
        a, b, c = high - low
        share = inside.reshape(a, sub, b, sub, c, sub).mean(axis=(1, 3, 5))
        place = np.nonzero(share)
        where = tuple(axis + start for axis, start in zip(place, low, strict=True))
        flat = np.ravel_multi_index(where, shape)
        entries.append((np.full(len(flat), k), flat, share[place]))
        np.add.at(total, where, share[place])
    particle, voxel, shares = (np.concatenate(column) for column in zip(*entries, strict=True))
    radius = np.abs(np.linalg.det(unit)) ** (-1 / 3) if len(unit) else np.zeros(0)
    return TrueVolumes(
        centre_nm=np.asarray(centre_nm).reshape(-1, 3),
        unit=np.asarray(unit).reshape(-1, 3, 3),
        radius_nm=radius,
        origin_nm=origin_nm,
        particle=particle,
        voxel=voxel,
        share=shares,
        total=np.minimum(total, 1).astype(np.float32),
    )


def write_specimen(specimen: Specimen, folder: Path) -> tuple[Path, Path, Path]:
    """Write ions as POS, ranges as RRNG, and the truth in the coordinates of the detector as JSON."""
    pos, rrng, truth = (folder / f"specimen{end}" for end in (".pos", ".rrng", ".truth.json"))
    write_pos(pos, specimen.position, specimen.mass)
    write_rrng(rrng, specimen.case.ranges)
    n = len(specimen.centre_nm) if specimen.ordered else 0
    content = {
        "size_nm": list(specimen.case.size_nm),
        "centre_nm": specimen.centre_nm[:n].round(4).tolist(),
        "radius_nm": specimen.radius_nm[:n].round(4).tolist(),
        "variant": [0] * n,
        "unit_per_nm": specimen.unit[:n].round(6).tolist(),
    }
    truth.write_text(json.dumps(content), encoding="utf-8")
    return pos, rrng, truth
