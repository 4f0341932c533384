"""The honest training library: both phases share one range of blur, and no two specimens share anything.

Every specimen is a small box of its own crystal: blur, efficiency, tilt, composition, background and particles are
drawn for it alone. Only the atoms in and near the box are made. Its overlapping cubes are counted together, which
shares the work of finding the pairs; with a box as large as a cube every image has a specimen of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from aptstream.crystal import Crystal
from aptstream.errors import PlanError
from aptstream.points import PointCloud, Roles
from aptstream.progress import Progress, silent
from aptstream.sdm.count import SdmScan
from aptstream.sdm.image import View, scan_images
from aptstream.sdm.kernel import CellBox
from aptstream.sdm.library import Recipe, Samples, join, write_library
from aptstream.simulate import Particles, voxel_fraction

#: Edge of a specimen in nm where none is given: 27 cubes of 4 nm.
SPECIMEN_NM = 6
#: Specimens that are made in one go.
SPECIMENS_PER_PART = 16
ROLES = Roles(("host",), ("solute",))
#: Largest lateral blur, tilt (each of two axes), and relative error of the depth scale of a specimen.
MAX_SIGMA_XY_NM, MAX_TILT_DEG, MAX_STRETCH = 0.7, 1.0, 0.03
#: How many standard deviations of the lateral blur away sites are made: 1.4 % of the ions at the faces are missing.
TAILS = 2.2

Kind = Literal["ordered", "clusters", "shuffled"]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scene:
    """What one small specimen is.

    Parameters
    ----------
    kind : {"ordered", "clusters", "shuffled"}
        Particles with order; rich in solute but random; ordered, but with the species permuted over the ions.
    particles : Particles
        Spheres in the box 0 … size; one much larger than the box fills it.
    matrix, occupancy, antisite : float
        Probability of a solute atom on a site of the matrix, on a solute site and on a host site of a particle.
    sigma_xy_nm, sigma_z_nm : float
        Blur in nm, the same in both phases.
    efficiency, background : float
        Detected share of the atoms; ions without a site / ions with one.
    tilt : tuple of float
        Slope of the planes along x and y.
    stretch : float
        Scale of the depth axis.
    """

    kind: Kind
    particles: Particles
    matrix: float
    occupancy: float
    antisite: float
    sigma_xy_nm: float
    sigma_z_nm: float
    efficiency: float
    background: float
    tilt: tuple[float, float]
    stretch: float


def draw_scene(rng: np.random.Generator, size_nm: int) -> Scene:
    """Draw a small specimen: a third of them without particles, the others with ordered shares of any size.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    size_nm : int
        Edge of the box in nm.

    Returns
    -------
    Scene

    Examples
    --------
    >>> scene = draw_scene(np.random.default_rng(3), 6)
    >>> 0.2 <= scene.sigma_xy_nm <= 0.7 and 0.01 <= scene.sigma_z_nm <= 0.06
    True
    """
    tilt = np.tan(np.deg2rad(rng.uniform(-MAX_TILT_DEG, MAX_TILT_DEG, 2)))
    return Scene(
        kind=str(rng.choice(("ordered", "clusters", "shuffled"), p=(0.8, 0.12, 0.08))),  # type: ignore[arg-type]
        particles=_draw_particles(rng, size_nm),
        matrix=rng.uniform(0.0, 0.22),
        occupancy=rng.uniform(0.6, 1.0),
        antisite=rng.uniform(0.0, 0.06),
        sigma_xy_nm=rng.uniform(0.2, MAX_SIGMA_XY_NM),
        sigma_z_nm=rng.uniform(0.01, 0.06),
        efficiency=rng.uniform(0.35, 0.8),
        background=rng.uniform(0.005, 0.08),
        tilt=(float(tilt[0]), float(tilt[1])),
        stretch=1 + rng.uniform(-MAX_STRETCH, MAX_STRETCH),
    )


def _draw_particles(rng: np.random.Generator, size_nm: int) -> Particles:
    """None, one that fills the box, or one to three spheres; where spheres overlap the last one wins."""
    how = rng.random()
    if how < 0.3:
        return Particles(np.zeros((0, 3)), np.zeros(0), np.zeros(0, dtype=np.int64))
    if how < 0.45:
        return Particles(np.full((1, 3), size_nm / 2), np.array([4.0 * size_nm]), rng.integers(0, 4, 1))
    n = int(rng.integers(1, 4))
    radius = rng.uniform(0.7, 4.5, n)
    centre = rng.uniform(-0.4, 1.4, (n, 3)) * size_nm
    return Particles(centre, radius, rng.integers(0, 4, n))


@dataclass(frozen=True)
class _Lattice:
    """Sites of a parent crystal around the middle, nearest to the z axis first: x, y, z (3, n) in nm."""

    position: Floats
    reach: Floats
    roles: npt.NDArray[np.bool_]


@lru_cache(maxsize=4)
def _lattice(crystal: Crystal, half_lateral_nm: float, half_z_nm: float) -> _Lattice:
    """Sites in a box, and whether each is a solute site in each translation variant, (variants, n)."""
    half = np.array([half_lateral_nm, half_lateral_nm, half_z_nm])
    n = int(np.ceil(np.linalg.norm(half) / crystal.a_nm)) + 1
    sites = np.array(crystal.structure.sites)
    cells = np.stack(np.meshgrid(*[np.arange(-n, n + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    position = ((cells + sites) * crystal.a_nm @ crystal.frame.T).reshape(-1, 3)
    index = np.tile(np.arange(len(sites)), len(cells))
    inside = (np.abs(position) < half).all(axis=1)
    position, index = position[inside], index[inside]
    reach = np.abs(position[:, :2]).max(axis=1)
    order = np.argsort(reach, kind="stable")
    shifted = (sites[None] - sites[:, None]) % 1.0  # [variant, site]: the cell started on each of its sites
    which = np.abs(shifted[:, :, None] - sites).sum(axis=3).argmin(axis=2)
    roles = (np.array(crystal.structure.roles) == 1)[which][:, index[order]]
    nearest_first = np.ascontiguousarray(position[order].T, dtype=np.float32)
    return _Lattice(nearest_first, reach[order].astype(np.float32), roles)


def simulate_small(rng: np.random.Generator, scene: Scene, crystal: Crystal, size_nm: int) -> PointCloud:
    """Simulate the ions of a small box, and none but those in and around it.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    scene : Scene
        What is in the box.
    crystal : Crystal
        Ordered structure of the particles; the matrix is its parent.
    size_nm : int
        Edge of the box in nm.

    Returns
    -------
    PointCloud
        Species ``host`` and ``solute``, in 0 … size.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> cloud = simulate_small(rng, draw_scene(rng, 4), Crystal("L12", 0.405), 4)
    >>> 0.3 < len(cloud) / (64 * 60.2) < 0.9
    True
    """
    half, shift = size_nm / 2, crystal.a_nm / 2
    lifted = 2 * np.tan(np.deg2rad(MAX_TILT_DEG)) * (half + 3 * MAX_SIGMA_XY_NM) + MAX_STRETCH * (half + 1) + 0.2
    lattice = _lattice(crystal, half + shift + TAILS * MAX_SIGMA_XY_NM, half + shift + lifted)
    n = int(np.searchsorted(lattice.reach, half + shift + TAILS * scene.sigma_xy_nm))
    seen = np.flatnonzero(rng.random(n, dtype=np.float32) < scene.efficiency)
    position = np.take(lattice.position, seen, axis=1) + rng.uniform(-shift, shift, (3, 1)).astype(np.float32)
    solute = rng.random(len(seen), dtype=np.float32) < _solute(position, lattice.roles, seen, scene, half)
    if scene.kind == "shuffled":
        solute = rng.permutation(solute)
    (x, y, z), (along_x, along_y) = position, scene.tilt
    z *= np.float32(scene.stretch)
    z += np.float32(along_x) * x + np.float32(along_y) * y
    inside = np.ones(len(seen), dtype=bool)
    for axis, blur in enumerate((scene.sigma_xy_nm, scene.sigma_xy_nm, scene.sigma_z_nm)):
        position[axis] += np.float32(blur) * rng.standard_normal(len(seen), dtype=np.float32) + np.float32(half)
        inside &= (position[axis] >= 0) & (position[axis] < size_nm)
    kept = np.flatnonzero(inside)
    position, solute = np.take(position, kept, axis=1).T, solute[kept]
    n_stray = round(scene.background * len(position))
    stray = rng.random((n_stray, 3), dtype=np.float32) * np.float32(size_nm)
    below = np.nextafter(np.float32(size_nm), np.float32(0))
    position = np.concatenate([position, np.minimum(stray, below)])
    solute = np.concatenate([solute, rng.random(n_stray) < solute.mean()])
    species = (1 + solute).astype(np.uint8)
    return PointCloud(position, np.zeros(len(position), np.float32), species, ("unranged", "host", "solute"))


def _solute(
    position: Floats, roles: npt.NDArray[np.bool_], seen: npt.NDArray[np.intp], scene: Scene, half_nm: float
) -> Floats:
    """Probability of a solute atom on each site; positions (3, n) count from the middle, particles from the corner."""
    chance = np.full(len(seen), scene.matrix, dtype=np.float32)
    particles, (x, y, z) = scene.particles, position
    for centre, radius, variant in zip(particles.centre_nm, particles.radius_nm, particles.variant, strict=True):
        cx, cy, cz = (centre - half_nm).astype(np.float32)
        near = np.flatnonzero((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2 < np.float32(radius**2))
        is_solute_site = np.take(roles[variant % len(roles)], seen[near])
        ordered = np.where(is_solute_site, np.float32(scene.occupancy), np.float32(scene.antisite))
        chance[near] = ordered.mean() if scene.kind == "clusters" and len(ordered) else ordered
    return chance


def sample_small(
    rng: np.random.Generator, crystal: Crystal, views: Mapping[int, View], size_nm: int = SPECIMEN_NM
) -> dict[int, Samples]:
    """Simulate one small specimen and judge-ready images of all its cubes.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    crystal : Crystal
        Ordered structure of the particles.
    views : mapping of int to View
        How cubes of each edge in nm are shown.
    size_nm : int
        Edge of the specimen in nm.

    Returns
    -------
    dict of int to Samples
        For each edge (size − edge + 1)³ cubes, z fastest; `specimen` is 0.
    """
    scene = draw_scene(rng, size_nm)
    cloud = simulate_small(rng, scene, crystal, size_nm)
    truth = np.zeros((size_nm,) * 3, dtype=np.float32)
    if scene.kind == "ordered" and len(scene.particles):
        truth = voxel_fraction(scene.particles, (size_nm,) * 3)
    box, found = CellBox((0.0, 0.0, 0.0), (0, 0, 0), (size_nm,) * 3), {}
    for edge, view in views.items():
        scan = SdmScan(cloud, view.channels(ROLES), view.window, box=box, edges=[edge])
        fraction = np.lib.stride_tricks.sliding_window_view(truth, (edge,) * 3).mean(axis=(3, 4, 5))
        images = np.empty((*fraction.shape, *view.shape), dtype=view.dtype)
        for batch, made in scan_images(scan, view.form):
            images[batch.place] = made
        label = fraction.ravel().astype(np.float32)
        found[edge] = Samples(images.reshape(-1, *view.shape), label, np.zeros(label.size, dtype=np.int32))
    return found


def make_matched(
    path: Path,
    recipe: MatchedRecipe,
    *,
    seed: int,
    threads: int = 1,
    progress: Progress = silent,
) -> Path:
    """Make the honest training library; the same recipe and seed give the same bytes.

    Parameters
    ----------
    path : Path
        Folder to write, which must not exist.
    recipe : MatchedRecipe
        Crystal, views and size.
    seed : int
        Seed of all randomness; every specimen has a stream of its own.
    threads : int
        Specimens made at the same time.
    progress : Progress
        Called after every 16 specimens.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    StoreError
        If something exists at `path`.

    Examples
    --------
    >>> import tempfile
    >>> from aptstream.sdm.library import open_dictionary
    >>> from aptstream.sdm.window import SdmWindow
    >>> recipe = MatchedRecipe(Crystal("L12", 0.405), {4: View(SdmWindow("z", 1.5, 75, 2.0, 1))}, n_specimens=1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     samples, _ = open_dictionary(make_matched(Path(folder, "dictionary.zarr"), recipe, seed=1))
    >>> samples[4].image.shape
    (27, 75, 1)
    """
    size, n = recipe.specimen_nm, recipe.n_specimens
    n_parts = -(-n // SPECIMENS_PER_PART)

    def make(part: int) -> dict[int, Samples]:
        cut: dict[int, list[Samples]] = {edge: [] for edge in recipe.views}
        for k in range(part * SPECIMENS_PER_PART, min((part + 1) * SPECIMENS_PER_PART, n)):
            rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(k,)))
            for edge, samples in sample_small(rng, recipe.crystal, recipe.views, size).items():
                cut[edge].append(Samples(samples.image, samples.fraction, samples.specimen + np.int32(k)))
        return {edge: join(parts) for edge, parts in cut.items()}

    attributes: dict[str, Any] = {"n_specimens": n, "specimen_nm": size}
    n_images = {edge: n * (size - edge + 1) ** 3 for edge in recipe.views}
    library = Recipe("matched", recipe.crystal, dict(recipe.views), n_images, n_parts, make, attributes)
    return write_library(path, library, seed=seed, threads=threads, progress=progress)


@dataclass(frozen=True)
class MatchedRecipe:
    """What the honest library is made of.

    Parameters
    ----------
    crystal : Crystal
        Ordered structure of the particles.
    views : mapping of int to View
        How cubes of each edge in nm are shown: any form, so grey pictures too.
    n_specimens : int
        Small specimens.
    specimen_nm : int
        Edge of each in nm. As large as a cube, every image has a specimen of its own, at the price of counting each
        cube alone.

    Raises
    ------
    PlanError
        If there is no specimen, or it is smaller than a cube.
    """

    crystal: Crystal
    views: Mapping[int, View]
    n_specimens: int
    specimen_nm: int = SPECIMEN_NM

    def __post_init__(self) -> None:
        if self.n_specimens < 1 or not self.views or not max(self.views) <= self.specimen_nm <= 30:
            raise PlanError(
                f"A library needs specimens at least as large as a cube and at most 30 nm, found {self.n_specimens} of "
                f"{self.specimen_nm} nm for cubes of {sorted(self.views)} nm."
            )
