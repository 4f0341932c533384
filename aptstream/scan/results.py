"""What a scan leaves on disk: judgements and number of ions of the cubes, the order field, and what made them."""

from __future__ import annotations

import functools
import math
import tempfile
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream import __version__
from aptstream.cloud.verify import verify_arrays
from aptstream.errors import StoreError
from aptstream.io.arrays import READ_ERRORS, CheckedArray, create_array, damaged
from aptstream.io.digest import content_digest
from aptstream.io.folder import LocalFolder
from aptstream.io.replace import replacing
from aptstream.io.seal import load_sealed, sealed
from aptstream.io.shards import require_chunk
from aptstream.model.modelfile import parse_crystal
from aptstream.points import Roles
from aptstream.progress import Progress, silent
from aptstream.regions import Triple
from aptstream.scan.plan import Cell, ScanPlan
from aptstream.scan.score import BrickScores
from aptstream.sdm.darkfield import N_MAPS, OrderField
from aptstream.sdm.planes import Planes
from aptstream.showing import show_scan

FORMAT, FORMAT_VERSION = "aptstream-scan", 3
#: Attributes that say what the numbers mean; the others are history.
DEFINING = (
    *("format", "format_version", "origin_nm", "shape", "edges", "has_field", "host", "solute"),
    *("crystal", "planes", "store_digest", "model_digest"),
)
#: Array of the order field.
FIELD = "order_field"


def array_names(edges: tuple[int, ...]) -> list[tuple[str, str, str]]:
    """Name the arrays of a scan: array, field of `CubeScores`, dtype."""
    fields = (("p", "float32"), ("n_ions", "uint32"))
    return [(f"{field}_{edge}nm", field, dtype) for edge in edges for field, dtype in fields]


def create_scan(folder: Path, plan: ScanPlan, origin_nm: Triple) -> None:
    """Create the empty arrays of a scan and its description. Each task's box is one chunk.

    Parameters
    ----------
    folder : Path
        Zarr group to create.
    plan : ScanPlan
        Shape, tasks, edges, roles and digests.
    origin_nm : tuple of float
        Low corner of cell [0, 0, 0] in nm.
    """
    import zarr

    group = zarr.open_group(folder, mode="a")  # what stands there already, such as a lease, is left alone
    for name, _, dtype in array_names(plan.edges):
        create_array(folder, name, shape=plan.shape, dtype=dtype, chunk=plan.task_cells)
    if plan.field_halo:
        (nx, *across), (tx, *task_across) = plan.shape, plan.task_cells
        create_array(folder, FIELD, shape=(nx, N_MAPS, *across), dtype="float32", chunk=(tx, N_MAPS, *task_across))
    attributes = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "origin_nm": list(origin_nm),
        "shape": list(plan.shape),
        "edges": list(plan.edges),
        "has_field": plan.field_halo > 0,
        "crystal": asdict(plan.crystal),
        "planes": asdict(plan.planes),
        "host": list(plan.roles.host),
        "solute": list(plan.roles.solute),
        "store_digest": plan.store_digest,
        "model_digest": plan.model_digest,
        "version": __version__,
        "runtime": plan.runtime,
    }
    group.attrs.update(sealed(attributes))


def restore_metadata(folder: Path, plan: ScanPlan, origin_nm: Triple) -> None:
    """Write the descriptions of all arrays again, where they are not what they were.

    Parameters
    ----------
    folder : Path
        The scan's Zarr group.
    plan : ScanPlan
        What it was created from.
    origin_nm : tuple of float
        Low corner of cell [0, 0, 0] in nm.

    Raises
    ------
    StoreError
        If a symbolic link stands where the scan's own files and folders should: what it leads to is not ours to write.
    """
    for path in folder.iterdir():
        if path.is_symlink():
            raise damaged(folder, f"a symbolic link stands in place of {path.name}", "files and folders of its own")
    with tempfile.TemporaryDirectory() as fresh:
        create_scan(Path(fresh), plan, origin_nm)
        for right in Path(fresh).glob("*/zarr.json"):
            name = right.parent.name
            (folder / name).mkdir(exist_ok=True)
            content = right.read_bytes()
            try:
                same = LocalFolder(folder).read(f"{name}/zarr.json", 0, len(content) + 1) == content
            except OSError:
                same = False
            if not same:
                with replacing(folder / name / "zarr.json") as stream:
                    stream.write(content)


def write_scores(folder: str, low: Cell, scores: BrickScores) -> None:
    """Write the judgements of one task; every array chunk belongs to one task only.

    Parameters
    ----------
    folder : str
        The scan's Zarr group.
    low : tuple of int
        First cell of the task.
    scores : BrickScores
        What it found.
    """
    import zarr

    group = zarr.open_group(folder, mode="r+")
    first = next(iter(scores.cubes.values()))
    x, y, z = (slice(a, a + n) for a, n in zip(low, first.p.shape, strict=True))
    with zarr.config.set({"array.write_empty_chunks": True}):
        for name, edge in ((name, edge) for edge in scores.cubes for name in ("p", "n_ions")):
            array: Any = group[f"{name}_{edge}nm"]
            array[x, y, z] = getattr(scores.cubes[edge], name)
        if scores.field is not None:
            array = group[FIELD]
            array[x, :, y, z] = np.moveaxis(scores.field, 0, 1)


def chunk_files(folder: Path, plan: ScanPlan, index: Cell) -> list[Path]:
    """Name the files that hold what one task wrote.

    Parameters
    ----------
    folder : Path
        The scan's Zarr group.
    plan : ScanPlan
        What is judged.
    index : tuple of int
        The task.

    Returns
    -------
    list of Path
        One for each array.
    """
    i, j, k = index
    files = [folder / name / f"c.{i}.{j}.{k}" for name, _, _ in array_names(plan.edges)]
    return [*files, folder / FIELD / f"c.{i}.0.{j}.{k}"] if plan.field_halo else files


def read_task(folder: Path, plan: ScanPlan, index: Cell) -> dict[str, npt.NDArray[Any]]:
    """Read back what one task wrote, checked.

    Parameters
    ----------
    folder : Path
        The scan's Zarr group.
    plan : ScanPlan
        What is judged.
    index : tuple of int
        The task.

    Returns
    -------
    dict of str to ndarray
        Its box of every array.

    Raises
    ------
    StoreError
        If a chunk is missing or damaged.
    """
    import zarr

    task, found = plan.task(index), {}
    x, y, z = (slice(a, b) for a, b in zip(task.low, task.high, strict=True))
    for file in chunk_files(folder, plan, index):
        name = file.parent.name
        # A shard ends with an index of 16 bytes a chunk and a checksum; Zarr reads nothing as zeros.
        if file.is_symlink() or not file.is_file() or file.stat().st_size < 20:
            raise damaged(folder, f"array '{name}' has lost its chunk file {file.name}, or its end", "all of them")
        try:
            array: Any = zarr.open_array(str(file.parent), mode="r", zarr_format=3)
            require_chunk(file, math.prod(array.chunks) * array.dtype.itemsize)
            found[name] = np.asarray(array[x, :, y, z] if name == FIELD else array[x, y, z])
        except READ_ERRORS as error:
            raise damaged(folder, f"array '{name}' is damaged in its chunk {file.name} ({error})", "whole") from error
    return found


def open_scan(path: str | PathLike[str]) -> ScanStore:
    """Open a finished scan.

    Parameters
    ----------
    path : path
        What `run_scan` wrote.

    Returns
    -------
    ScanStore

    Raises
    ------
    StoreError
        If there is none, or it is damaged or of an unknown version.
    """
    scan = ScanStore(path)
    scan.check()
    return scan


class ScanStore:
    """A finished scan on disk.

    Parameters
    ----------
    path : path
        What `run_scan` wrote.

    Attributes
    ----------
    path : Path
        Its folder.
    attrs : mapping
        Origin, shape, cube edges, roles, and the digests of store and model.
    shape : tuple of int
        Cells, and voxels, on each axis.
    edges : tuple of int
        Cube edges in nm.
    origin_nm : tuple of float
        Low corner of cell [0, 0, 0] in nm.
    roles : Roles
        Host and solute species.
    crystal : Crystal
        What was looked for.
    planes : Planes
        Period and tilt of the specimen's planes.
    has_field : bool
        Whether it holds the order field.

    Raises
    ------
    StoreError
        If there is none, or it is damaged or of an unknown version.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        if not (self.path / "zarr.json").is_file():
            raise StoreError(f"There is no scan at {self.path}. Make one with: aptstream scan STORE --out {self.path}")
        attributes = load_sealed(self.path, kind=(FORMAT, FORMAT_VERSION), made_by="aptstream scan")
        try:
            self.attrs = MappingProxyType({name: attributes[name] for name in (*DEFINING, "version", "runtime")})
            self.shape = _three(attributes["shape"], int)
            self.origin_nm: Triple = _three(attributes["origin_nm"], float)
            self.edges = tuple(int(edge) for edge in attributes["edges"])
            self.roles = Roles(tuple(map(str, attributes["host"])), tuple(map(str, attributes["solute"])))
            self.crystal = parse_crystal(attributes["crystal"])
            self.planes = parse_planes(attributes["planes"])
            self.has_field = attributes["has_field"] is True
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise damaged(self.path, f"attributes that do not describe a scan ({error})", "a whole scan") from error
        if not self.edges or not all(1 <= edge <= 8 for edge in self.edges) or min(self.shape) < 1:
            raise damaged(self.path, f"cube edges {self.edges} and shape {self.shape}", "edges of 1–8 nm")

    @functools.cached_property
    def _arrays(self) -> dict[str, CheckedArray]:
        arrays = {
            name: CheckedArray(self.path, name, shape=self.shape, dtype=dtype)
            for name, _, dtype in array_names(self.edges)
        }
        if self.has_field:
            shape = (self.shape[0], N_MAPS, *self.shape[1:])
            arrays[FIELD] = CheckedArray(self.path, FIELD, shape=shape, dtype="float32")
        return arrays

    _repr_html_ = show_scan

    def check(self) -> None:
        """Look at the descriptions of all arrays, and for chunks that are missing.

        Raises
        ------
        StoreError
            Naming what is damaged.
        """
        self._arrays  # noqa: B018  (looking is what checks)

    def field(self, low: int = 0, high: int | None = None) -> OrderField:
        """Read the order field of the planes low … high along x.

        Raises
        ------
        StoreError
            If the scan has none, because its model does not read it.
        """
        if not self.has_field:
            raise StoreError(
                f"The scan {self.path} holds no order field: it was made by a model that does not read it. "
                f"Scan again with a model that does, such as order."
            )
        return OrderField.unstack(np.ascontiguousarray(np.moveaxis(self._arrays[FIELD][low:high], 1, 0)))

    def p(self, edge_nm: int, low: int = 0, high: int | None = None) -> npt.NDArray[np.float32]:
        """Read the judgements of the cubes of one edge in the planes low … high along x; NaN = invalid."""
        found: npt.NDArray[np.float32] = self._arrays[f"p_{edge_nm}nm"][low:high]
        return found

    def n_ions(self, edge_nm: int) -> npt.NDArray[np.uint32]:
        """Read the number of host and solute ions in the cubes of one edge, (nx, ny, nz)."""
        found: npt.NDArray[np.uint32] = self._arrays[f"n_ions_{edge_nm}nm"][:]
        return found

    def is_cube(self, edge_nm: int) -> npt.NDArray[np.bool_]:
        """Tell at which cells a cube of one edge begins that fits into the volume, (nx, ny, nz)."""
        inside = np.zeros(self.shape, dtype=bool)
        inside[tuple(slice(max(n - edge_nm + 1, 0)) for n in self.shape)] = True
        return inside

    def verify(self, progress: Progress = silent) -> str:
        """Read everything, naming every damaged file in a `StoreError`; return the digest."""
        return verify_arrays(self._arrays, {name: self.attrs[name] for name in DEFINING}, progress)

    def digest(self) -> str:
        """Hash what the scan means: its arrays and the attributes that define them."""
        return content_digest(self._arrays, {name: self.attrs[name] for name in DEFINING})


def parse_planes(fields: Any) -> Planes:
    """Return the planes of a specimen from a file.

    Parameters
    ----------
    fields : mapping
        Fields of `Planes`.

    Returns
    -------
    Planes

    Raises
    ------
    LookupError, TypeError, ValueError
        If something is missing or of the wrong kind.
    """
    return Planes(
        float(fields["period_nm"]),
        _two(fields["slope"]),
        fields["visible"] is True,
        strength=float(fields["strength"]),
        strongest_nm=float(fields["strongest_nm"]),
    )


def _two(values: Any) -> tuple[float, float]:
    """Return two numbers from a file."""
    x, y = (float(v) for v in values)
    return x, y


def _three(values: Any, kind: type) -> Any:
    """Return three finite numbers from a file."""
    x, y, z = (kind(v) for v in values)
    if not np.isfinite([x, y, z]).all():
        raise ValueError(f"{values} are not three finite numbers")
    return x, y, z
