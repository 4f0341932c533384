"""The 1 nm grid on disk: a Zarr group, and a plain ``.npz`` for other programs."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream import __version__
from aptstream.errors import FileFormatError, StoreError
from aptstream.grid.answer import Answer, Cut
from aptstream.grid.vote import VoxelGrid
from aptstream.io.arrays import CheckedArray, create_array, damaged
from aptstream.io.digest import content_digest
from aptstream.io.replace import discard, replacing
from aptstream.io.seal import load_sealed, sealed
from aptstream.pole.find import PoleSearch
from aptstream.pole.poleform import search_as_json, search_from_json
from aptstream.regions import Triple
from aptstream.showing import show_grid

FORMAT, FORMAT_VERSION = "aptstream-grid", 1
ARRAYS = {"order": "float32", "total": "float32", "count": "uint16", "labels": "int32"}


@dataclass(frozen=True)
class Decisions:
    """What a run decided by itself before it scanned; its report says so.

    Parameters
    ----------
    roles_guessed : bool
        Whether host and solute were guessed.
    search : PoleSearch, optional
        What was found where planes were looked for.
    """

    roles_guessed: bool = False
    search: PoleSearch | None = None


@dataclass(frozen=True)
class GridFile:
    """A grid read from disk.

    Parameters
    ----------
    votes : VoxelGrid
        Summed votes of the largest cubes.
    order : ndarray of float32, (nx, ny, nz)
        The map that particles were made from; NaN where nothing could be judged.
    labels : ndarray of int32, (nx, ny, nz)
        Particle number of each voxel; 0 = matrix.
    digest : str
        sha256 of arrays and defining attributes.
    cut : Cut, optional
        The fixed cut that made the particles; where there is none, the model's own rule did.
    decisions : Decisions, optional
        What the run decided by itself, where the grid says so.
    """

    votes: VoxelGrid
    order: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int32]
    digest: str
    cut: Cut | None = None
    decisions: Decisions | None = None
    _repr_html_ = show_grid


def save_grid(path: str | PathLike[str], answer: Answer, decisions: Decisions | None = None) -> Path:
    """Write the 1 nm grid as a Zarr group; it appears complete or not at all.

    Parameters
    ----------
    path : path
        Folder to make; nothing may stand there.
    answer : Answer
        Maps and particles.
    decisions : Decisions, optional
        What the run decided by itself, for whoever draws its report anew.

    Returns
    -------
    Path

    Raises
    ------
    StoreError
        If something stands at `path`.
    """
    import zarr

    target = Path(path)
    if target.exists():
        raise StoreError(f"{target} exists. Remove it first, or choose another folder.")
    building = target.with_name(f".{target.name}.building-{secrets.token_hex(4)}")
    votes = answer.votes
    values: dict[str, npt.NDArray[Any]] = {
        "order": answer.order,
        "total": votes.total,
        "count": votes.count,
        "labels": answer.found.labels,
    }
    try:
        group = zarr.open_group(building, mode="w")
        for name, dtype in ARRAYS.items():
            chunk = tuple(min(n, 64) for n in values[name].shape)
            create_array(building, name, shape=values[name].shape, dtype=dtype, chunk=chunk)[:] = values[name]
        attributes = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "shape": list(votes.total.shape),
            "origin_nm": list(votes.origin_nm),
            "voxel_nm": votes.voxel_nm,
            "cube_voxels": votes.cube_voxels,
            "cut": asdict(answer.cut) if answer.cut is not None else None,
            "decisions": _as_json(decisions),
            "version": __version__,
        }
        group.attrs.update(sealed(attributes))
        building.rename(target)
    finally:
        discard(building)
    return target


def open_grid(path: str | PathLike[str]) -> GridFile:
    """Read a 1 nm grid.

    Parameters
    ----------
    path : path
        What `save_grid` wrote, or an output folder that holds it as ``grid.zarr``.

    Returns
    -------
    GridFile

    Raises
    ------
    StoreError
        If there is none, or it is damaged.
    """
    folder = Path(path)
    folder = folder / "grid.zarr" if (folder / "grid.zarr").exists() else folder
    if not (folder / "zarr.json").is_file():
        raise StoreError(f"There is no grid at {path}. Expected the output folder of aptstream run, or its grid.zarr.")
    attributes = load_sealed(folder, kind=(FORMAT, FORMAT_VERSION), made_by="aptstream run or find")
    try:
        shape = tuple(int(n) for n in attributes["shape"])
        x, y, z = (float(v) for v in attributes["origin_nm"])
        voxel, cube = float(attributes["voxel_nm"]), int(attributes["cube_voxels"])
        cut, decisions = _cut(attributes.get("cut")), _decisions(attributes.get("decisions"))
    except (KeyError, TypeError, ValueError, OverflowError, FileFormatError) as error:
        raise damaged(folder, f"attributes that do not describe a grid ({error})", "a whole grid") from error
    arrays = {name: CheckedArray(folder, name, shape=shape, dtype=dtype) for name, dtype in ARRAYS.items()}
    defining = {key: attributes[key] for key in ("format", "format_version", "origin_nm", "voxel_nm", "cube_voxels")}
    origin: Triple = (x, y, z)
    return GridFile(
        votes=VoxelGrid(arrays["total"][:], arrays["count"][:], cube, origin, voxel),
        order=arrays["order"][:],
        labels=arrays["labels"][:],
        digest=content_digest(arrays, defining),
        cut=cut,
        decisions=decisions,
    )


def _cut(fields: Any) -> Cut | None:
    """Read the cut that made the particles, if it was a fixed one."""
    if fields is None:
        return None
    if fields["of"] not in ("order", "votes") or fields["neighbours"] not in (6, 18, 26):
        raise ValueError(f"a cut of {fields['of']!r} with {fields['neighbours']!r} neighbours")
    return Cut(float(fields["value"]), fields["of"], fields["neighbours"])


def _as_json(decisions: Decisions | None) -> dict[str, Any] | None:
    if decisions is None:
        return None
    search = None if decisions.search is None else search_as_json(decisions.search)
    return {"roles_guessed": decisions.roles_guessed, "search": search}


def _decisions(fields: Any) -> Decisions | None:
    """Read what the run decided; older grids do not say."""
    if fields is None:
        return None
    search = fields["search"]
    return Decisions(fields["roles_guessed"] is True, None if search is None else search_from_json(search))


def export_npz(grid: GridFile, path: str | PathLike[str]) -> None:
    """Write a grid as ``.npz``: arrays ``order, total, count, labels`` [ix, iy, iz], ``origin_nm`` and ``voxel_nm``.

    Parameters
    ----------
    grid : GridFile
        What `open_grid` read.
    path : path
        File to write, whole or not at all.
    """
    with replacing(path) as stream:
        np.savez_compressed(
            stream,
            order=grid.order,
            total=grid.votes.total,
            count=grid.votes.count,
            labels=grid.labels,
            origin_nm=np.array(grid.votes.origin_nm),
            voxel_nm=np.array(grid.votes.voxel_nm),
        )
