"""Training library of the nets on the 1 nm grid: order fields of small specimens whose truth is known.

The specimens differ more from each other than any that are expected: in blur, efficiency and background, in amount,
size, shape and order of the particles, in solute content and contrast. A fifth of them hold nothing that is ordered:
clusters, a random solution, or shuffled species. A third are needles, cones or slices with vacuum around them.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream.crystal import Crystal
from aptstream.errors import AptstreamError, StoreError
from aptstream.io.arrays import CheckedArray, create_array
from aptstream.io.digest import content_digest
from aptstream.io.replace import discard
from aptstream.io.seal import load_sealed, sealed
from aptstream.points import Roles
from aptstream.progress import Progress, silent
from aptstream.sdm.darkfield import N_MAPS, OrderField, order_field
from aptstream.sdm.kernel import CellBox
from aptstream.sdm.planes import fit_planes
from aptstream.simulate import (
    Alloy,
    Particles,
    Population,
    Settings,
    place_particles,
    simulate_specimen,
    voxel_fraction,
)

FORMAT, FORMAT_VERSION = "aptstream-order-library", 1
#: Most specimens of a library.
MAX_SPECIMENS = 10_000
#: Edge of the specimens in nm.
SPECIMEN_NM = 20
#: What is looked for, and in which share of the specimens: δ′ along [011], γ′ along [001].
CRYSTALS = ((Crystal("L12", 0.405), 0.78), (Crystal("L12", 0.357, (0, 0, 1)), 0.22))
#: Share of the specimens that end in vacuum within the box.
VACUUM_SHARE = 1 / 3
#: Kinds of specimens, and in which share.
KINDS = {"ordered": 0.56, "weak": 0.21, "no-contrast": 0.05, "clusters": 0.09, "matrix": 0.05, "shuffled": 0.04}
#: Radii of a population: mean and standard deviation in nm, number of small ones, volume fraction; and their shares.
SIZES = (
    (0.4, (2.0, 3.2), (0.4, 1.0), (0, 6), (0.06, 0.2)),
    (0.4, (0.9, 1.6), (0.2, 0.5), (0, 6), (0.02, 0.1)),
    (0.2, (1.4, 2.4), (0.3, 0.9), (3, 16), (0.03, 0.16)),
)

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class OrderExample:
    """A small specimen: what its ions show, and the truth.

    Parameters
    ----------
    field : OrderField
        Order field of the whole specimen, of the shape that all examples have.
    truth : ndarray of float32, (nx, ny, nz)
        Ordered share of each voxel.
    crystal : Crystal
        What is looked for.
    """

    field: OrderField
    truth: Floats
    crystal: Crystal


def make_example(rng: np.random.Generator) -> tuple[OrderExample, dict[str, Any]]:
    """Simulate a training specimen and compute its order field.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    example : OrderExample
    made : dict
        How the specimen was made.
    """
    shares = np.array([share for _, share in CRYSTALS])
    crystal = CRYSTALS[int(rng.choice(len(CRYSTALS), p=shares))][0]
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    settings = _draw_settings(rng, crystal, kind)
    particles = _draw_particles(rng, settings, kind)
    settings = replace(settings, alloy=_alloy(rng, settings, particles))
    specimen = simulate_specimen(rng, particles, settings)
    shape = (SPECIMEN_NM, SPECIMEN_NM, SPECIMEN_NM)
    surface = _draw_surface(rng) if rng.random() < VACUUM_SHARE else None
    cloud, material = specimen.cloud, np.ones(shape, dtype=np.float32)
    if surface is not None:
        cloud, material = cloud[surface.holds(cloud.position)], surface.material(shape)
    roles = Roles((settings.alloy.host,), settings.alloy.solutes)
    planes = fit_planes(cloud, roles, crystal.period_nm, doubling=crystal.doubling)
    role = roles.of(cloud.species_names)[cloud.species]
    field = order_field(cloud, role, planes, crystal, box=CellBox((0, 0, 0), (0, 0, 0), shape))
    truth = voxel_fraction(specimen.ordered_particles, shape) * material
    made = {**asdict(settings), "surface": asdict(surface) if surface is not None else None}
    return OrderExample(field, truth, crystal), made


@dataclass(frozen=True)
class Surface:
    """Where a specimen ends: a cone about an axis along z, of which cylinders and nearly flat faces are the limits.

    Parameters
    ----------
    axis_nm : tuple of (float, float)
        Where the axis crosses z = 0.
    radius_nm : float
        Radius at z = 0 in nm.
    slope : float
        Growth of the radius with z, nm a nm.
    """

    axis_nm: tuple[float, float]
    radius_nm: float
    slope: float

    def holds(self, position: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.bool_]:
        """Tell which positions lie inside, (..., 3) → (...)."""
        across = np.hypot(position[..., 0] - self.axis_nm[0], position[..., 1] - self.axis_nm[1])
        return np.asarray(across < self.radius_nm + self.slope * position[..., 2])

    def material(self, shape: tuple[int, int, int], sub: int = 3) -> Floats:
        """Share of each 1 nm voxel that lies inside, by points `sub` to an edge."""
        ticks = [(np.arange(n * sub) + 0.5) / sub for n in shape]
        inside = self.holds(np.stack(np.meshgrid(*ticks, indexing="ij"), axis=-1))
        x, y, z = shape
        share: Floats = inside.reshape(x, sub, y, sub, z, sub).mean(axis=(1, 3, 5), dtype=np.float32)
        return share


def _draw_surface(rng: np.random.Generator) -> Surface:
    """Draw a needle or cone through the specimen, or the flank of a large one."""
    middle = SPECIMEN_NM / 2
    if rng.random() < 0.6:
        x, y = (middle + rng.uniform(-3, 3, 2)).tolist()
        return Surface((x, y), rng.uniform(0.25, 0.5) * SPECIMEN_NM, rng.uniform(-0.15, 0.15))
    turn, radius = rng.uniform(0, 2 * np.pi), rng.uniform(20, 60)
    away = radius - rng.uniform(-0.25, 0.4) * SPECIMEN_NM
    return Surface(
        (middle + away * float(np.cos(turn)), middle + away * float(np.sin(turn))), radius, rng.uniform(-0.15, 0.15)
    )


def _draw_settings(rng: np.random.Generator, crystal: Crystal, kind: str) -> Settings:
    """Draw blur, detection and occupation of a specimen."""
    return Settings(
        size_nm=(SPECIMEN_NM,) * 3,
        kind=kind if kind in ("weak", "no-contrast", "clusters") else "ordered",  # type: ignore[arg-type]
        crystal=crystal,
        occupancy=rng.uniform(0.7, 1.0) if rng.random() < 0.75 else rng.uniform(0.4, 0.7),
        antisite=rng.uniform(0.0, 0.05),
        sigma_xy_nm=rng.uniform(0.2, 0.7),
        sigma_z_nm=float(np.exp(rng.uniform(np.log(0.02), np.log(0.065)))),
        blur_wave=rng.uniform(0, 0.2) if rng.random() < 0.3 else 0.0,
        efficiency=rng.uniform(0.35, 0.8),
        background=rng.uniform(0.005, 0.1),
        tilt_deg=1.0,
        bow_deg=1.0,
        stretch=0.02,
        density_wave=rng.uniform(0.0, 0.2),
        shuffle=kind == "shuffled",
    )


def _draw_particles(rng: np.random.Generator, settings: Settings, kind: str) -> Particles:
    """Draw one population of particles, in some specimens a second one of weaker order."""
    n_variants = len(settings.crystal.variants)
    if kind == "matrix":
        return place_particles(rng, settings.size_nm, [], n_variants=n_variants)
    _, mean, sd, n_small, fraction = SIZES[int(rng.choice(len(SIZES), p=[size[0] for size in SIZES]))]
    first = Population(
        rng.uniform(*fraction), rng.uniform(*mean), rng.uniform(*sd), int(rng.integers(*n_small)), axes=_axes(rng)
    )
    populations = [first]
    if rng.random() < 0.12:
        half = replace(first, volume_fraction=first.volume_fraction / 2, n_small=0)
        populations = [replace(half, n_small=first.n_small), replace(half, order=rng.uniform(0.35, 0.75))]
    return place_particles(rng, settings.size_nm, populations, n_variants=n_variants)


def _axes(rng: np.random.Generator) -> tuple[float, float, float]:
    """Draw the half axes of a population: three quarters are spheres."""
    if rng.random() < 0.75:
        return (1.0, 1.0, 1.0)
    x, y, z = np.exp(rng.uniform(-0.6, 0.6, 3)).tolist()
    return x, y, z


def _alloy(rng: np.random.Generator, settings: Settings, particles: Particles) -> Alloy:
    """Choose the composition such that matrix and particles have what was drawn for them."""
    first = rng.uniform(0.3, 1.0)
    if settings.kind in ("weak", "no-contrast"):
        solute = rng.uniform(0.085, 0.22)
        return Alloy(fraction=(solute * first, solute * (1 - first)), share=(first, 1 - first))
    matrix, of_first = rng.uniform(0.02, 0.18), rng.uniform(0.2, 0.9)
    inside = float(particles.inside_nm3(settings.size_nm).sum() / np.prod(settings.size_nm))
    shares = ((of_first, first), (1 - of_first, 1 - first))
    fraction = tuple((1 - inside) * matrix * m + inside * settings.particle_solute * p for m, p in shares)
    return Alloy(fraction=fraction, share=(first, 1 - first))


def make_order_library(
    path: Path, *, n_specimens: int, seed: int, threads: int = 1, progress: Progress = silent
) -> Path:
    """Make a training library; the same seed gives the same bytes.

    Parameters
    ----------
    path : Path
        Folder to write, which must not exist; it appears whole or not at all.
    n_specimens : int
        How many specimens.
    seed : int
        Seed of all randomness; every specimen has a stream of its own.
    threads : int
        Specimens made at the same time. It does not change the result.
    progress : Progress
        Told of the specimens that are done.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    StoreError
        If something exists at `path`.
    """
    import zarr

    if path.exists():
        raise StoreError(f"{path} exists. Give the library another name, or remove it first.")
    building = path.with_name(f".{path.name}.building-{secrets.token_hex(4)}")
    crystals = [crystal for crystal, _ in CRYSTALS]
    described, which = [], []
    try:
        zarr.open_group(building, mode="w")
        arrays = {
            name: create_array(building, name, shape=shape, dtype="float32", chunk=(1, *shape[1:]))
            for name, shape in _shapes(n_specimens).items()
        }
        for k, (example, made) in enumerate(_examples(n_specimens, seed, threads)):
            arrays["field"][k], arrays["truth"][k] = example.field.stacked, example.truth
            described.append(made)
            which.append(crystals.index(example.crystal))
            progress("order library", k + 1, n_specimens, "specimens")
        attributes = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "seed": seed,
            "n_specimens": n_specimens,
            "crystals": [asdict(crystal) for crystal in crystals],
            "crystal_of": which,
            "specimens": described,
        }
        attributes["content_digest"] = _digest(_open_arrays(building, n_specimens), attributes)
        zarr.open_group(building, mode="r+").attrs.update(sealed(attributes))
        building.rename(path)
    finally:
        discard(building)
    return path


def open_order_library(path: Path) -> tuple[list[OrderExample], dict[str, Any]]:
    """Read a training library.

    Parameters
    ----------
    path : Path
        What `make_order_library` wrote.

    Returns
    -------
    examples : list of OrderExample
    attributes : dict
        Seed, crystals, content digest, and the settings of every specimen.

    Raises
    ------
    StoreError
        If there is no library of this version at `path`, or it is damaged.
    """
    try:
        attributes = load_sealed(path, kind=(FORMAT, FORMAT_VERSION), made_by="aptstream dictionary --preset order")
        n = int(attributes["n_specimens"])
        if not 1 <= n <= MAX_SPECIMENS or len(attributes["crystal_of"]) != n:
            raise ValueError(f"{n} specimens and {len(attributes['crystal_of'])} crystals, expected 1–{MAX_SPECIMENS}")
        arrays = _open_arrays(path, n)
        crystals = [Crystal(c["label"], c["a_nm"], tuple(c["pole"]), c["c_over_a"]) for c in attributes["crystals"]]
        fields, truth = arrays["field"][:], arrays["truth"][:]
        examples = [
            OrderExample(OrderField.unstack(fields[k]), truth[k], crystals[which])
            for k, which in enumerate(attributes["crystal_of"])
        ]
    except (AptstreamError, LookupError, TypeError, ValueError) as error:
        raise StoreError(
            f"{path} is not a readable order library: {error}. Make one with: aptstream dictionary --preset order."
        ) from error
    return examples, attributes


def order_library_digest(path: Path) -> str:
    """Hash what a training library means: its fields, truth and crystals, as they stand on disk.

    Parameters
    ----------
    path : Path
        What `make_order_library` wrote.

    Returns
    -------
    str
        SHA-256, 64 hexadecimal digits.

    Raises
    ------
    StoreError
        If there is no library of this version at `path`, or it is damaged.
    """
    examples, attributes = open_order_library(path)
    return _digest(_open_arrays(path, len(examples)), attributes)


def _examples(n_specimens: int, seed: int, threads: int) -> Iterator[tuple[OrderExample, dict[str, Any]]]:
    """Make all examples, in their order."""
    streams = [np.random.default_rng(stream) for stream in np.random.SeedSequence(seed).spawn(n_specimens)]
    with ThreadPoolExecutor(threads) as pool:
        for start in range(0, n_specimens, 4 * threads):
            yield from pool.map(make_example, streams[start : start + 4 * threads])


def _shapes(n: int) -> dict[str, tuple[int, ...]]:
    voxels = (SPECIMEN_NM,) * 3
    return {"field": (n, N_MAPS, *voxels), "truth": (n, *voxels)}


def _open_arrays(folder: Path, n: int) -> dict[str, CheckedArray]:
    return {name: CheckedArray(folder, name, shape=shape, dtype="float32") for name, shape in _shapes(n).items()}


def _digest(arrays: dict[str, CheckedArray], attributes: dict[str, Any]) -> str:
    return content_digest(arrays, {key: attributes[key] for key in ("format", "crystals", "crystal_of")})
