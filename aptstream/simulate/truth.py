"""What a simulated specimen really holds, on the voxel grid and in files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aptstream.io.pos import write_pos
from aptstream.io.ranges import write_rrng
from aptstream.points import Triple
from aptstream.simulate.particles import Particles
from aptstream.simulate.specimen import Specimen


def voxel_fraction(
    particles: Particles, shape: tuple[int, int, int], *, origin_nm: Triple = (0.0, 0.0, 0.0), sub: int = 4
) -> npt.NDArray[np.float32]:
    """Share of each 1 nm voxel that lies inside a particle.

    Parameters
    ----------
    particles : Particles
        The spheres.
    shape : tuple of int
        Voxels on each axis.
    origin_nm : tuple of float
        Low corner of voxel [0, 0, 0] in nm.
    sub : int
        Points per voxel edge at which it is tested.

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
    for centre, radius in zip(particles.centre_nm - np.array(origin_nm), particles.radius_nm, strict=True):
        low = np.maximum(np.floor((centre - radius) * sub).astype(int) - 1, 0)
        high = np.minimum(np.ceil((centre + radius) * sub).astype(int) + 1, inside.shape)
        if (high <= low).any():
            continue
        x, y, z = (((np.arange(a, b) + 0.5) / sub - c) ** 2 for a, b, c in zip(low, high, centre, strict=True))
        block = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        inside[block] |= x[:, None, None] + y[None, :, None] + z[None, None, :] < radius**2
    nx, ny, nz = shape
    fraction: npt.NDArray[np.float32] = inside.reshape(nx, sub, ny, sub, nz, sub).mean(axis=(1, 3, 5), dtype=np.float32)
    return fraction


@dataclass(frozen=True)
class SpecimenFiles:
    """Where a simulated specimen was written."""

    pos: Path
    rrng: Path
    truth: Path


def write_specimen(specimen: Specimen, folder: Path, name: str = "specimen") -> SpecimenFiles:
    """Write the ions as POS, the ranges as RRNG and the truth as JSON.

    Parameters
    ----------
    specimen : Specimen
        What to write.
    folder : Path
        An existing folder.
    name : str
        Stem of the file names.

    Returns
    -------
    SpecimenFiles
    """
    files = SpecimenFiles(*(folder / f"{name}{end}" for end in (".pos", ".rrng", ".truth.json")))
    write_pos(files.pos, specimen.cloud.position, specimen.cloud.mass_to_charge)
    write_rrng(files.rrng, specimen.settings.alloy.ranges)
    particles = specimen.ordered_particles
    truth = {
        "size_nm": list(specimen.settings.size_nm),
        "centre_nm": particles.centre_nm.round(4).tolist(),
        "radius_nm": particles.radius_nm.round(4).tolist(),
        "variant": particles.variant.tolist(),
    }
    files.truth.write_text(json.dumps(truth, indent=1), encoding="utf-8")
    return files
