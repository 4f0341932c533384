"""Ingest: from a file of ions and a range file to a point store, in which no ion is lost."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream.cloud.lattice import Lattice
from aptstream.cloud.manifest import Manifest
from aptstream.cloud.ranging import apply_ranges
from aptstream.cloud.store import PointStore, array_shapes, open_store
from aptstream.errors import RangingError, StoreError
from aptstream.io.arrays import create_array
from aptstream.io.decode import Blocks, CellSort, SortedIons, check_ions
from aptstream.io.digest import content_digest, file_sha256
from aptstream.io.ions import IonFile, open_ions
from aptstream.io.ranges import read_ranges
from aptstream.io.replace import discard, replacing
from aptstream.points import RangeTable
from aptstream.progress import Progress, silent

_CHUNK_ROWS, _SHARD_CHUNKS = 1 << 16, 16
_OFFSET_ROWS = 64


def ingest(
    source: str | PathLike[str],
    *,
    ranges: str | PathLike[str] | RangeTable,
    out: str | PathLike[str],
    progress: Progress = silent,
) -> PointStore:
    """Read a file of ions, range and sort them, and write a point store.

    Parameters
    ----------
    source : path
        File of ions, as `open_ions` reads them.
    ranges : path or RangeTable
        Range file (RRNG), or its content.
    out : path
        Folder to make; nothing may stand there. It appears complete or not at all.
    progress : Progress
        Told of the stages ``read``, ``sort`` and ``write``, in ions.

    Returns
    -------
    PointStore
        With all ions: the unranged ones are kept as species 0.

    Raises
    ------
    FileFormatError
        If the source is of no known format, not whole, or holds a number that is not finite.
    RangingError
        If the range file is wrong, or no ion of the source lies in a range.
    StoreError
        If something stands at `out`, it cannot be written, or the ions span an absurd volume.
    """
    target, file = Path(out), Path(source)
    _check_target(target)
    source_file = open_ions(file)
    table = ranges if isinstance(ranges, RangeTable) else read_ranges(ranges)
    read = _read(source_file, table, progress)
    manifest = Manifest(Lattice.around(read.low, read.high), table, read.n_ions, read.n_ranged)
    ions = _sort(read, manifest.lattice, progress)
    provenance: dict[str, Any] = {
        "source": {"name": file.name, "size": file.stat().st_size, "sha256": file_sha256(file)},
        "range_file": None,
    }
    if not isinstance(ranges, RangeTable):
        provenance["range_file"] = {"name": Path(ranges).name, "sha256": file_sha256(ranges)}
    write_store(target, manifest, ions=ions, provenance=provenance, progress=progress)
    return open_store(target)


def write_store(
    target: Path,
    manifest: Manifest,
    *,
    ions: SortedIons,
    provenance: dict[str, Any],
    progress: Progress = silent,
) -> None:
    """Write sorted ions as a point store: under a temporary name, the manifest last, then renamed.

    Parameters
    ----------
    target : Path
        Folder to make.
    manifest : Manifest
        What the store says of itself.
    ions : SortedIons
        All ions in stored order.
    provenance : dict
        Where they came from, as JSON values.
    progress : Progress
        Told of the stage ``write``, in ions.

    Raises
    ------
    StoreError
        If something stands at `target` or the disk refuses; nothing is left behind.
    """
    _check_target(target)
    building = target.with_name(f".{target.name}.building-{secrets.token_hex(4)}")
    arrays: dict[str, npt.NDArray[Any]] = {
        "positions": ions.position,
        "species": ions.species,
        "mass_to_charge": ions.mass_to_charge,
        "brick_offset": ions.brick_offset,
        "cell_offset": ions.cell_offset,
    }
    try:
        building.mkdir()
        _write_arrays(building, manifest, arrays, progress)
        provenance = {"content_digest": content_digest(arrays, manifest.defining()), **provenance}
        _sync_tree(building)
        _write_group(building, manifest.attributes(provenance))
        _sync_tree(building)
        _check_target(target)
        building.rename(target)
        _sync(target.parent)
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(
            f"The store {target} could not be written: {error.strerror or error}. Nothing was left behind. "
            f"Expected a folder with room for about 20 bytes per ion: make room, or choose another."
        ) from error
    finally:
        discard(building)


@dataclass
class _Read:
    """What the first pass over the source gathers: 17 bytes per ion."""

    n_ions: int
    n_ranged: int = 0
    blocks: Blocks = field(default_factory=list)
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


def _read(file: IonFile, table: RangeTable, progress: Progress) -> _Read:
    """Decode, check and range the source, block by block."""
    found = _Read(file.n_ions)
    low, high = np.full(4, np.inf), np.full(4, -np.inf)
    done = 0
    for block in file.blocks():
        species = apply_ranges(block.mass_to_charge, table)
        found.n_ranged += int(np.count_nonzero(species))
        found.blocks.append((block.position, block.mass_to_charge, species))
        seen = check_ions(block.position, block.mass_to_charge)
        low, high = np.minimum(low, seen.low), np.maximum(high, seen.high)
        done += len(species)
        progress("read", done, found.n_ions, "ions")
    found.n_ions = done
    if not found.n_ranged:
        bounds = table.bounds_da
        raise RangingError(
            f"The ranges name none of the {done} ions of {file.path.name}: its m/q run from {low[3]:g} to "
            f"{high[3]:g} Da, the ranges from {bounds[0, 0]:g} to {bounds[-1, 1]:g} Da. Expected the range "
            f"file that belongs to this reconstruction: check which one it is."
        )
    found.low, found.high = tuple(low[:3].tolist()), tuple(high[:3].tolist())
    return found


def _sort(read: _Read, lattice: Lattice, progress: Progress) -> SortedIons:
    """Sort in memory: 21 bytes per ion on top of those that were read, which are freed on the way."""
    try:
        sort = CellSort(lattice.origin_nm, lattice.shape_bricks, n_ions=read.n_ions)
        for position, _, _ in read.blocks:
            sort.count(position)
        progress("sort", 0, read.n_ions, "ions")
        ions = sort.scatter(read.blocks)
    except MemoryError as error:
        raise StoreError(
            f"The memory does not suffice to sort {read.n_ions} ions. Expected about 40 bytes per ion, "
            f"{40 * read.n_ions / 2**30:.1f} GiB: use a machine with more, or cut the file."
        ) from error
    progress("sort", read.n_ions, read.n_ions, "ions")
    return ions


def _write_arrays(building: Path, manifest: Manifest, arrays: dict[str, npt.NDArray[Any]], progress: Progress) -> None:
    """Write whole shards, one after another."""
    for number, (name, (shape, dtype)) in enumerate(array_shapes(manifest).items()):
        rows = _OFFSET_ROWS if name == "cell_offset" else _CHUNK_ROWS
        array = create_array(
            building, name, shape=shape, dtype=dtype, chunk=(rows, *shape[1:]), shard_chunks=_SHARD_CHUNKS
        )
        for start in range(0, shape[0], array.shards[0]):
            array[start : start + array.shards[0]] = arrays[name][start : start + array.shards[0]]
            if number == 0:
                done = min(start + array.shards[0], shape[0])
                progress("write", done, manifest.n_ions, "ions")


def _write_group(building: Path, attributes: dict[str, Any]) -> None:
    """Write the manifest: with it, and only with it, the folder is a store."""
    group = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    with replacing(building / "zarr.json") as stream:
        stream.write(json.dumps(group, indent=1, allow_nan=False).encode("ascii"))


def _check_target(target: Path) -> None:
    if target.exists() or target.is_symlink():
        raise StoreError(
            f"Something stands at {target} already. Expected a new name: choose another, or remove what is "
            f"there. Nothing was changed."
        )
    if not target.parent.is_dir():
        raise StoreError(f"There is no folder {target.parent} for {target.name}. Expected one that exists: make it.")


def _sync_tree(folder: Path) -> None:
    """Bring every file to disk before the name appears that promises them."""
    for parent, _, files in os.walk(folder):
        for name in files:
            _sync(Path(parent, name))
        _sync(Path(parent))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
