"""The surfaces of a result as a mesh that ParaView opens."""

from __future__ import annotations

import csv
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from aptstream.errors import PlanError, StoreError
from aptstream.grid.files import GridFile, open_grid
from aptstream.grid.surface import FloatColumn, Surface, particle_surface
from aptstream.io.mesh import write_mesh

#: No row of a table of particles is longer, in bytes.
LONGEST_ROW = 16_384


def export_surface(result: str | PathLike[str], path: str | PathLike[str]) -> Surface:
    """Write the surfaces of the particles of a result, whole or not at all.

    Every triangle says the number of its particle (``particle``), the radius of the sphere of equal volume
    (``radius_nm``), and the mean of the order map inside (``mean_order``).

    Parameters
    ----------
    result : path
        Output folder of a run, or its ``grid.zarr``. The volumes are those of the ``particles.csv`` beside it, or of
        whole voxels where there is none.
    path : path
        File to write: ``.vtp``, ``.ply`` or ``.stl``.

    Returns
    -------
    Surface
        What was written.

    Raises
    ------
    FileFormatError
        If the suffix is not known.
    PlanError
        If the result holds no particle.
    StoreError
        If there is no grid, it is damaged, or the table beside it is that of other particles.
    """
    grid = open_grid(result)
    n_voxels = np.bincount(grid.labels.ravel(), minlength=1)[1:]
    if not len(n_voxels):
        raise PlanError(f"{result} holds no particle, so there is no surface to write. Expected at least one.")
    volume_nm3 = _volumes(Path(result), n_voxels, grid)
    votes = grid.votes
    surface = particle_surface(grid.order, grid.labels, volume_nm3, origin_nm=votes.origin_nm, voxel_nm=votes.voxel_nm)
    mean = np.array(ndimage.mean(grid.order, grid.labels, np.arange(1, len(n_voxels) + 1)))
    columns = {
        "particle": surface.particle,
        "radius_nm": np.cbrt(3 * volume_nm3 / (4 * np.pi)).astype(np.float32)[surface.particle - 1],
        "mean_order": mean.astype(np.float32)[surface.particle - 1],
    }
    write_mesh(path, surface.vertices_nm, surface.faces, columns)
    return surface


def _volumes(result: Path, n_voxels: npt.NDArray[np.signedinteger[Any]], grid: GridFile) -> FloatColumn:
    """Read the volumes that the result was told with; where no table lies beside the grid, count voxels."""
    folder = result if (result / "grid.zarr").exists() else result.resolve().parent
    table = folder / "particles.csv"
    if not table.is_file():
        return n_voxels.astype(np.float64) * grid.votes.voxel_nm**3
    try:
        if table.stat().st_size > LONGEST_ROW * (len(n_voxels) + 1):
            raise ValueError("more text than the particles need")
        with table.open(encoding="utf-8", newline="") as file:
            rows = [(int(row["id"]), int(row["n_voxels"]), float(row["volume_nm3"])) for row in csv.DictReader(file)]
        number, size, volume = np.array(rows, dtype=np.float64).reshape(-1, 3).T
        if not np.array_equal(number, np.arange(1, len(n_voxels) + 1)) or not np.array_equal(size, n_voxels):
            raise ValueError(f"{len(rows)} particles that are not those of the grid")
        if not (np.isfinite(volume) & (volume > 0)).all():
            raise ValueError("a volume that is no positive number")
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise StoreError(
            f"{table} does not belong to the grid beside it: found {error}, expected the {len(n_voxels)} particles of "
            f"the grid. Restore the table, or move it away: then volumes are those of whole voxels."
        ) from error
    return volume
