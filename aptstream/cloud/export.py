"""Ions of a point store as files of other programs: POS, ePOS, CSV, VTK; in blocks, in stored order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from aptstream.cloud.store import PointStore
from aptstream.errors import FileFormatError, PlanError, StoreError
from aptstream.io.csv_out import write_csv
from aptstream.io.epos import EPOS, write_epos
from aptstream.io.ions import COLUMNS
from aptstream.io.nexus import write_nxapm
from aptstream.io.pos import write_pos_blocks
from aptstream.io.vtp import write_vtp
from aptstream.points import PointCloud
from aptstream.progress import Progress, silent
from aptstream.regions import Box, Region, Triple

_MASS = "mass_to_charge"
#: Particle number of each ion under the name ``particle``; empty where it was not asked for.
Labelled = dict[str, npt.NDArray[np.int32]]


@dataclass(frozen=True)
class Labels:
    """Particle numbers on a grid of voxels.

    Parameters
    ----------
    number : ndarray of int32, (nx, ny, nz)
        Particle of each voxel, 1 …; 0 = matrix.
    origin_nm : tuple of float
        Low corner of voxel [0, 0, 0] in nm.
    voxel_nm : float
        Voxel edge in nm.

    Examples
    --------
    >>> labels = Labels(np.array([[[0, 3]]], "i4"), (0.0, 0.0, -2.0))
    >>> labels.of(np.array([[0.5, 0.5, -1.5], [0.5, 0.5, -0.5], [0.5, 0.5, 0.0]], "f4"))
    array([0, 3, 0], dtype=int32)
    """

    number: npt.NDArray[np.int32]
    origin_nm: Triple
    voxel_nm: float = 1.0

    def of(self, position: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
        """Return the particle number at each position, (n,); 0 in the matrix and outside the grid."""
        voxel = np.floor((position.astype(np.float64) - self.origin_nm) / self.voxel_nm).astype(np.int64)
        inside = ((voxel >= 0) & (voxel < self.number.shape)).all(axis=1)
        found = np.zeros(len(position), np.int32)
        found[inside] = self.number[tuple(voxel[inside].T)]
        return found

    @property
    def bounds(self) -> Box | None:
        """The smallest box around all particles; none where there is no particle."""
        filled = [np.flatnonzero((self.number > 0).any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
        if not len(filled[0]):
            return None
        ends = ((span[0], span[-1] + 1) for span in filled)
        corners = [[o + self.voxel_nm * float(n) for n in pair] for o, pair in zip(self.origin_nm, ends, strict=True)]
        (x0, x1), (y0, y1), (z0, z1) = corners
        return Box((x0, y0, z0), (x1, y1, z1))


@dataclass(frozen=True)
class Selection:
    """Which ions of a store are meant: those that fulfil every condition that is given.

    Parameters
    ----------
    region : Box, Sphere, Cylinder or OrientedBox, optional
        Only ions inside.
    particles : Labels, optional
        Only ions inside a particle.
    mass : {"ion", "particle"}
        What stands in the place of m/q: that of the ion, or the number of its particle, as files of indexed clusters
        have it for programs that read nothing beside.
    """

    region: Region | None = None
    particles: Labels | None = None
    mass: Literal["ion", "particle"] = "ion"

    def blocks(self, store: PointStore, columns: tuple[str, ...] = ()) -> Iterator[tuple[PointCloud, Labelled]]:
        """Walk through the ions in stored order, with their particle numbers where particles are asked for.

        Parameters
        ----------
        store : PointStore
            Where they are.
        columns : tuple of str
            As in `PointStore.read`.

        Yields
        ------
        cloud : PointCloud
            At least one ion.
        particle : dict of str to ndarray of int32, (n,)
            ``{"particle": numbers}``, or empty.
        """
        if self.particles is None:
            for cloud in store.blocks(self.region, columns):
                yield cloud, {}
            return
        around = self.particles.bounds
        if around is None:
            return
        for cloud in store.blocks(self.region or around, columns):
            number = self.particles.of(cloud.position)
            chosen, number = cloud[number > 0], number[number > 0]
            if not len(number):
                continue
            if self.mass == "particle":
                chosen = replace(chosen, mass_to_charge=number.astype(np.float32))
            yield chosen, {"particle": number}


def export_ions(
    store: PointStore,
    path: str | PathLike[str],
    selection: Selection | None = None,
    *,
    progress: Progress = silent,
) -> int:
    """Write ions of a point store as a file of another format, whole or not at all.

    Parameters
    ----------
    store : PointStore
        The ions.
    path : path
        File to write; its suffix tells the format: ``.pos``, ``.epos``, ``.csv``, ``.vtp``, ``.nxs``. One that is there
        is replaced.
    selection : Selection, optional
        Which ions; all where none is given. CSV and VTK tell the particle of each ion, where particles are asked for.
    progress : Progress
        Told of the stage ``export``, in ions.

    Returns
    -------
    int
        Ions written.

    Raises
    ------
    FileFormatError
        If the suffix is not known, or ePOS is asked for and the store lacks its columns.
    PlanError
        If no ion is selected.
    StoreError
        If a chunk is missing or damaged, or the particles are those of another store.

    Examples
    --------
    >>> import tempfile
    >>> from aptstream.cloud import ingest
    >>> from aptstream.io import read_ions, write_pos
    >>> from aptstream.points import Range, RangeTable
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_pos(f"{folder}/a.pos", [[0.5, 0.5, -2.5], [7.5, 0.5, 0.5]], [27, 99])
    ...     table = RangeTable((Range(26, 28, (("Al", 1),)),))
    ...     store = ingest(f"{folder}/a.pos", ranges=table, out=f"{folder}/a.zarr")
    ...     n = export_ions(store, f"{folder}/b.pos", Selection(Box((0, 0, -3), (9, 9, 0))))
    ...     n, read_ions(f"{folder}/b.pos")[1]
    (1, array([27.], dtype=float32))
    """
    file, chosen = Path(path), selection if selection is not None else Selection()
    if file.suffix.lower() not in WRITERS:
        raise FileFormatError(
            f"The file {file.name} has the suffix '{file.suffix}', which is not written. Expected one of "
            f"{', '.join(WRITERS)}: choose the name by the format that you want."
        )
    if chosen.mass == "particle" and (chosen.particles is None or file.suffix.lower() not in INDEXED):
        raise PlanError(
            f"The particle number takes the place of m/q in {' and '.join(INDEXED)} files of the ions of particles. "
            f"Found {file.name}{'' if chosen.particles is not None else ' and no particles'}; other formats tell both."
        )
    _check_particles(store, chosen.particles)
    n_ions = store.n_ions
    if chosen.region is not None or chosen.particles is not None:
        n_ions = sum(len(cloud) for cloud, _ in chosen.blocks(store))
    if not n_ions:
        ends = zip("xyz", store.box.low, store.box.high, strict=True)
        raise PlanError(
            f"No ion of {store.address} is selected. Expected at least one: give a region inside "
            f"{', '.join(f'{axis} {low:g} to {high:g} nm' for axis, low, high in ends)}, or particles that were found."
        )
    WRITERS[file.suffix.lower()](file, _Export(store, chosen, n_ions, progress))
    return n_ions


@dataclass(frozen=True)
class _Export:
    """What is to be written."""

    store: PointStore
    selection: Selection
    n_ions: int
    progress: Progress

    def blocks(self, columns: tuple[str, ...]) -> Iterator[tuple[PointCloud, Labelled]]:
        """Walk through the ions and tell how far it came."""
        done = 0
        for cloud, particle in self.selection.blocks(self.store, columns):
            yield cloud, particle
            done += len(cloud)
            self.progress("export", done, self.n_ions, "ions")


def _write_pos(path: Path, job: _Export) -> None:
    write_pos_blocks(path, ((cloud.position, cloud.mass_to_charge) for cloud, _ in job.blocks((_MASS,))))


def _write_epos(path: Path, job: _Export) -> None:
    missing = [name for name in COLUMNS if name not in job.store.columns]
    if missing:
        raise FileFormatError(
            f"{path.name} cannot be written: ePOS needs columns that the store {job.store.address} lacks, "
            f"{', '.join(missing)}. Expected a store that was made from an ePOS file: write .pos instead."
        )
    write_epos(path, (_records(cloud) for cloud, _ in job.blocks((_MASS, *COLUMNS))))


def _records(cloud: PointCloud) -> npt.NDArray[np.void]:
    records = np.empty(len(cloud), EPOS)
    for axis, name in enumerate("xyz"):
        records[name] = cloud.position[:, axis]
    records[_MASS] = cloud.mass_to_charge
    for name, column in cloud.columns.items():
        records[name] = column
    return records


def _write_csv(path: Path, job: _Export) -> None:
    names = np.array(job.store.species_names)
    write_csv(
        path,
        (
            {
                **{f"{axis}_nm": cloud.position[:, i] for i, axis in enumerate("xyz")},
                f"{_MASS}_da": cloud.mass_to_charge,
                "species": names[cloud.species],
                **particle,
                **cloud.columns,
            }
            for cloud, particle in job.blocks((_MASS, *job.store.columns))
        ),
    )


def _write_vtp(path: Path, job: _Export) -> None:
    def block(cloud: PointCloud, particle: Labelled) -> tuple[npt.NDArray[np.float32], Mapping[str, npt.NDArray[Any]]]:
        columns: dict[str, npt.NDArray[Any]] = {
            "species": cloud.species,
            f"{_MASS}_da": cloud.mass_to_charge,
            **particle,
            **cloud.columns,
        }
        return cloud.position, columns

    blocks = (block(*found) for found in job.blocks((_MASS, *job.store.columns)))
    write_vtp(path, job.n_ions, blocks, species_names=job.store.species_names)


def _write_nxapm(path: Path, job: _Export) -> None:
    source = job.store.attrs["source"]
    write_nxapm(
        path,
        ((cloud.position, cloud.mass_to_charge, cloud.species) for cloud, _ in job.blocks((_MASS,))),
        ranges=job.store.ranges,
        source=str(source["name"]),
        source_sha256=str(source["sha256"]),
    )


#: Formats that have no place for the number of a particle but that of m/q.
INDEXED = (".pos", ".epos")
#: How each format is written, by suffix.
WRITERS: dict[str, Callable[[Path, _Export], None]] = {
    ".pos": _write_pos,
    ".epos": _write_epos,
    ".csv": _write_csv,
    ".vtp": _write_vtp,
    ".nxs": _write_nxapm,
}


def _check_particles(store: PointStore, particles: Labels | None) -> None:
    """Refuse the particles of another store."""
    if particles is None:
        return
    size = np.array(particles.number.shape) * particles.voxel_nm
    if particles.origin_nm != store.origin_nm or not np.allclose(size, store.box.size_nm):
        raise StoreError(
            f"The particles lie on a grid of {particles.number.shape} voxels from {particles.origin_nm} nm, the store "
            f"{store.address} has {store.shape_cells} cells from {store.origin_nm} nm. Expected the particles that "
            f"were found in this store."
        )
