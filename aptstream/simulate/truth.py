"""What a simulated specimen really holds, on the voxel grid and in files."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from aptstream.errors import FileFormatError
from aptstream.io.epos import EPOS, write_epos
from aptstream.io.pos import write_pos_blocks
from aptstream.io.replace import replacing
from aptstream.io.rrng import write_rrng
from aptstream.points import PointCloud
from aptstream.progress import Progress, silent
from aptstream.regions import Triple
from aptstream.simulate.distortion import Distortion
from aptstream.simulate.particles import Particles, within_shape
from aptstream.simulate.specimen import Specimen, SpecimenPlan

Floats = npt.NDArray[np.float64]

#: Coordinates that are the crystal's own.
STRAIGHT = Distortion()
#: Fields of particles in a truth file, their type and decimals.
_FIELDS: dict[str, tuple[str, int | None]] = {
    "centre_nm": ("f8", 4),
    "radius_nm": ("f8", 4),
    "variant": ("i8", None),
    "axes_nm": ("f8", 6),
    "plate": ("?", None),
    "order": ("f8", 4),
}


def voxel_fraction(
    particles: Particles,
    shape: tuple[int, int, int],
    *,
    origin_nm: Triple = (0.0, 0.0, 0.0),
    sub: int = 4,
    distortion: Distortion = STRAIGHT,
) -> npt.NDArray[np.float32]:
    """Share of each 1 nm voxel that lies inside a particle.

    Parameters
    ----------
    particles : Particles
        In the coordinates of the crystal.
    shape : tuple of int
        Voxels on each axis.
    origin_nm : tuple of float
        Low corner of voxel [0, 0, 0] in nm.
    sub : int
        Points per voxel edge at which it is tested.
    distortion : Distortion
        Leads from the coordinates of the particles to those of the voxels: every point is brought back before it is
        tested, so curvature counts within a particle too. The same by default.

    Returns
    -------
    ndarray of float32, shape
        0 … 1.

    Examples
    --------
    >>> sphere = Particles(np.full((1, 3), 5.0), np.array([2.0]), np.array([0]))
    >>> round(float(voxel_fraction(sphere, (10, 10, 10), sub=16).sum()), 1)     # 4/3 π 2³ = 33.5
    33.5
    """
    inside = np.zeros(tuple(n * sub for n in shape), dtype=bool)
    here = particles.moved(distortion)
    # A curved particle reaches a little beyond the box of its linear image.
    reach = here.reach_nm + 0.5 * abs(distortion.bow) * (here.reach_nm[:, :2] ** 2).sum(axis=1, keepdims=True)
    straight = particles.is_round & (distortion == STRAIGHT)
    origin = np.array(origin_nm)
    for k in range(len(particles)):
        low = np.maximum(np.floor((here.centre_nm[k] - reach[k] - origin) * sub).astype(int) - 1, 0)
        high = np.minimum(np.ceil((here.centre_nm[k] + reach[k] - origin) * sub).astype(int) + 1, inside.shape)
        if (high <= low).any():
            continue
        ticks = [(np.arange(a, b) + 0.5) / sub + o for a, b, o in zip(low, high, origin, strict=True)]
        block = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        inside[block] |= (_in_sphere if straight[k] else _in_body)(particles, k, ticks, distortion)
    nx, ny, nz = shape
    fraction: npt.NDArray[np.float32] = inside.reshape(nx, sub, ny, sub, nz, sub).mean(axis=(1, 3, 5), dtype=np.float32)
    return fraction


def _in_sphere(particles: Particles, k: int, ticks: list[Floats], _: Distortion) -> npt.NDArray[np.bool_]:
    """Points of a grid in a sphere; the squares of the axes add up."""
    x, y, z = ((t - c) ** 2 for t, c in zip(ticks, particles.centre_nm[k], strict=True))
    return np.asarray(x[:, None, None] + y[None, :, None] + z[None, None, :] < particles.radius_nm[k] ** 2)


def _in_body(particles: Particles, k: int, ticks: list[Floats], distortion: Distortion) -> npt.NDArray[np.bool_]:
    """Points of a grid in any body, brought back through the distortion."""
    x, y, z = (ticks[0][:, None], ticks[1][None, :], ticks[2])
    to_unit, centre = np.linalg.inv(particles.axes_nm[k]), particles.centre_nm[k]
    lift = distortion.lift_nm(x, y) / distortion.stretch
    # Height in the crystal is z / stretch − lift(x, y): a sum of what depends on x, y and on z alone.
    squares = []
    for axis in range(3):
        across = (x - centre[0]) * to_unit[0, axis] + (y - centre[1]) * to_unit[1, axis] - lift * to_unit[2, axis]
        along = (z / distortion.stretch - centre[2]) * to_unit[2, axis]
        squares.append((across[:, :, None] + along) ** 2)
    return within_shape(squares[0] + squares[1], squares[2], bool(particles.plate[k]))


@dataclass(frozen=True)
class SpecimenFiles:
    """Where a simulated specimen was written.

    Parameters
    ----------
    pos : Path
        Ions, as POS or ePOS.
    rrng : Path
        Ranges.
    truth : Path
        Table of the ordered particles and settings, as JSON.
    voxels : Path
        Ordered share of every 1 nm voxel from the corner of the box on, as ``fraction`` in an NPZ file.
    """

    pos: Path
    rrng: Path
    truth: Path
    voxels: Path


def write_specimen(
    specimen: Specimen | SpecimenPlan,
    folder: Path,
    name: str = "specimen",
    *,
    ions: Literal["pos", "epos"] = "pos",
    progress: Progress = silent,
) -> SpecimenFiles:
    """Write ions, ranges and truth; a plan is written as it is made, in memory that does not grow with it.

    Parameters
    ----------
    specimen : Specimen or SpecimenPlan
        What to write.
    folder : Path
        An existing folder.
    name : str
        Stem of the file names.
    ions : {"pos", "epos"}
        Format of the ions.
    progress : Progress
        Told of every slab.

    Returns
    -------
    SpecimenFiles
    """
    plan = specimen.plan if isinstance(specimen, Specimen) else specimen
    ends = (f".{ions}", ".rrng", ".truth.json", ".truth.npz")
    files = SpecimenFiles(*(folder / f"{name}{end}" for end in ends))
    blocks = iter([specimen.cloud]) if isinstance(specimen, Specimen) else _told(plan, progress)
    if ions == "epos":
        write_epos(files.pos, (_instrument(block, plan.settings.size_nm) for block in blocks))
    else:
        write_pos_blocks(files.pos, ((block.position, block.mass_to_charge) for block in blocks))
    write_rrng(files.rrng, plan.settings.alloy.ranges)
    _write_truth(files.truth, plan)
    _write_voxels(files.voxels, plan)
    return files


def read_truth(path: str | PathLike[str]) -> Particles:
    """Read the ordered particles of a simulated specimen.

    Parameters
    ----------
    path : path
        Truth file, as `write_specimen` writes it.

    Returns
    -------
    Particles
        In the coordinates of the ions.

    Raises
    ------
    FileFormatError
        If it is missing or no truth file.
    """
    try:
        truth = json.loads(Path(path).read_text(encoding="utf-8"))
        n = len(truth["radius_nm"])
        shapes = {"centre_nm": (n, 3), "axes_nm": (n, 3, 3)}
        columns = {
            name: np.array(truth[name], dtype=kind).reshape(shapes.get(name, (n,)))
            for name, (kind, _) in _FIELDS.items()
            if name in truth or name in ("centre_nm", "radius_nm", "variant")
        }
        if not all(np.isfinite(columns[name]).all() for name in ("centre_nm", "radius_nm")):
            raise ValueError("centres and radii are not all finite")
        if not (columns["radius_nm"] > 0).all():
            raise ValueError("radii are not all above 0")
        return Particles(**columns)
    except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
        raise FileFormatError(
            f"{path} is not a truth file: {error}. Expected what aptstream simulate writes beside the ions."
        ) from error


def _told(plan: SpecimenPlan, progress: Progress) -> Iterator[PointCloud]:
    """Blocks of a plan, each told of when it is made."""
    for done, block in enumerate(plan.blocks(), start=1):
        yield block
        progress("simulate", done, plan.n_slabs, "slabs")


def _instrument(cloud: PointCloud, size_nm: Triple) -> npt.NDArray[np.void]:
    """Ions as an instrument might have recorded them: a straight flight of 90 mm, a voltage that rises with depth."""
    record = np.zeros(len(cloud), EPOS)
    for axis, name in enumerate("xyz"):
        record[name] = cloud.position[:, axis]
    dc = 3000 + 3000 * cloud.position[:, 2] / size_nm[2]
    record["mass_to_charge"], record["dc_v"], record["pulse_v"] = cloud.mass_to_charge, dc, 0.2 * dc
    # ½ m v² = e U with m/q in Da: v = 13.891 km/s · √(U in V / m/q).
    record["tof_ns"] = 0.09e9 / (13891.4 * np.sqrt(1.2 * dc / np.maximum(cloud.mass_to_charge, 0.1)))
    for axis, name in enumerate(("det_x_mm", "det_y_mm")):
        record[name] = (cloud.position[:, axis] / size_nm[axis] - 0.5) * 50
    record["delta_pulse"], record["ions_per_pulse"] = 100, 1
    return record


def _write_truth(path: Path, plan: SpecimenPlan) -> None:
    particles = plan.ordered_particles
    table: dict[str, Any] = {
        name: (column if decimals is None else column.round(decimals)).tolist()
        for name, (_, decimals) in _FIELDS.items()
        for column in [getattr(particles, name)]
    }
    truth = {
        "size_nm": list(plan.settings.size_nm),
        **table,
        "distortion": asdict(plan.distortion),
        "settings": asdict(plan.settings),
    }
    with replacing(path) as stream:
        stream.write(json.dumps(truth, indent=1).encode())


def _write_voxels(path: Path, plan: SpecimenPlan) -> None:
    """Write the share of order in every voxel, a few layers of x at a time."""
    nx, ny, nz = (int(np.ceil(edge)) for edge in plan.settings.size_nm)
    particles = plan.particles[plan.particles.order > 0] if plan.settings.is_ordered else plan.particles[:0]
    with replacing(path) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        member = zipfile.ZipInfo("fraction.npy")  # of no date, so that the same seed gives the same bytes
        member.compress_type = zipfile.ZIP_DEFLATED
        with archive.open(member, "w", force_zip64=True) as out:
            header = {"descr": "<f4", "fortran_order": False, "shape": (nx, ny, nz)}
            np.lib.format.write_array_header_1_0(out, header)
            for start in range(0, nx, 8):
                shape = (min(8, nx - start), ny, nz)
                layers = voxel_fraction(particles, shape, origin_nm=(start, 0, 0), distortion=plan.distortion)
                out.write(layers.astype("<f4").tobytes())
