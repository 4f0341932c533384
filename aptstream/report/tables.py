"""The particle table: one row a particle, as text for pages and files, typed for Parquet and HDF5."""

from __future__ import annotations

import csv
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aptstream.errors import FileFormatError, MissingPackageError, StoreError
from aptstream.grid.precipitates import Precipitates
from aptstream.io.replace import replacing

if TYPE_CHECKING:
    from aptstream.grid.composition import Composition
    from aptstream.grid.files import GridFile
    from aptstream.grid.measures import Measures

FloatColumn = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ParticleTable:
    """Rows of text under named columns.

    Parameters
    ----------
    columns : tuple of str
        Column names, with the unit as suffix.
    rows : tuple of tuple of str
        One row a particle; an empty text is an undefined value.
    """

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()

    @property
    def values(self) -> dict[str, npt.NDArray[Any]]:
        """The columns as numbers: bool, int64, or float64 with NaN where a value is undefined.

        Examples
        --------
        >>> ParticleTable(("id", "radius_nm"), (("1", "2.5"), ("2", ""))).values
        {'id': array([1, 2]), 'radius_nm': array([2.5, nan])}
        """
        columns = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.columns)
        return {name: _typed(texts) for name, texts in zip(self.columns, columns, strict=True)}


def _typed(texts: tuple[str, ...]) -> npt.NDArray[Any]:
    """Turn the texts of a column into numbers."""
    if texts and set(texts) <= {"true", "false"}:
        return np.array([text == "true" for text in texts])
    if texts and all(text.isdecimal() for text in texts):
        return np.array([int(text) for text in texts], dtype=np.int64)
    return np.array([float(text) if text else np.nan for text in texts], dtype=np.float64)


def particle_table(
    found: Precipitates, measures: Measures | None = None, *, before_nm: FloatColumn | None = None
) -> ParticleTable:
    """Write the particles as text.

    Parameters
    ----------
    found : Precipitates
        The particles.
    measures : Measures, optional
        What they measure.
    before_nm : ndarray of float64, (n, 3), optional
        Where their centroids lie in the reconstruction, if the ions were aligned since: three columns more.

    Returns
    -------
    ParticleTable
        Columns ``id, x_nm, y_nm, z_nm, radius_nm, n_voxels, volume_nm3, mean_order, touches_edge, uncertain,
        n_ions``; with measures also ``radius_sd_nm, guinier_nm, semi_axis_a_nm … c_nm, nearest_nm``, for every element
        ``<element>_at_pct`` and ``<element>_sd_at_pct`` (free of matrix at the face), and ``<element>_inside_at_pct``
        and ``<element>_inside_sd_at_pct`` (of the ions inside). `id` is the number in `found.labels`.

    Examples
    --------
    >>> from aptstream.grid.precipitates import Precipitates
    >>> found = Precipitates(
    ...     np.ones((1, 1, 2), "i4"), (0, 0, 0), 1.0, np.array([[0.5, 0.5, 1.0]]), np.array([2]),
    ...     np.array([0.9]), np.array([True]), {"Al": np.array([50]), "Li": np.array([16])},
    ... )
    >>> particle_table(found).rows
    (('1', '0.500', '0.500', '1.000', '0.782', '2', '2.000', '0.9000', 'true', 'false', '66'),)
    """
    x, y, z = np.reshape(found.centroid_nm, (-1, 3)).T
    columns = {
        "id": [str(number) for number in range(1, len(found) + 1)],
        "x_nm": _fixed(x, 3),
        "y_nm": _fixed(y, 3),
        "z_nm": _fixed(z, 3),
        "radius_nm": _fixed(found.radius_nm, 3),
        "n_voxels": [str(int(n)) for n in found.n_voxels],
        "volume_nm3": _fixed(found.volume_nm3, 3),
        "mean_order": _fixed(found.mean_order, 4),
        "touches_edge": ["true" if touches else "false" for touches in found.touches_edge],
        "uncertain": ["true" if uncertain else "false" for uncertain in found.uncertain],
        "n_ions": _ions(found),
    }
    if measures is not None:
        columns |= _measured(measures)
    if before_nm is not None:
        reconstruction = np.reshape(before_nm, (-1, 3)).T
        columns |= {f"reconstruction_{a}_nm": _fixed(at, 3) for a, at in zip("xyz", reconstruction, strict=True)}
    return ParticleTable(tuple(columns), tuple(zip(*columns.values(), strict=True)))


def _measured(measures: Measures) -> dict[str, list[str]]:
    """Write the columns of what particles measure."""
    a, b, c = np.reshape(measures.semi_axes_nm, (-1, 3)).T
    columns = {
        "radius_sd_nm": measures.radius_sd_nm,
        "guinier_nm": measures.guinier_nm,
        "semi_axis_a_nm": a,
        "semi_axis_b_nm": b,
        "semi_axis_c_nm": c,
        "nearest_nm": measures.nearest_nm,
        **_contents(measures.composition, ""),
        **_contents(measures.inside, "_inside"),
    }
    return {name: _fixed(values, 3) for name, values in columns.items()}


def _contents(composition: Composition, of: str) -> dict[str, FloatColumn]:
    columns = {}
    for element, percent in composition.percent.items():
        columns[f"{element}{of}_at_pct"] = percent
        columns[f"{element}{of}_sd_at_pct"] = composition.sd[element]
    return columns


def particles_csv(path: str | os.PathLike[str], table: ParticleTable) -> None:
    """Write the particles as CSV: UTF-8, points as decimal marks, one header line.

    The file appears whole or not at all: an older one stays until the new one is complete.

    Parameters
    ----------
    path : path
        The file to write.
    table : ParticleTable
        The particles.

    Raises
    ------
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from aptstream.grid.precipitates import Precipitates
    >>> none = Precipitates(np.zeros((2, 2, 2), "i4"), (0, 0, 0), 1.0, np.empty((0, 3)), *[np.empty(0)] * 3)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     particles_csv(folder + "/particles.csv", particle_table(none))
    ...     print(Path(folder, "particles.csv").read_text(), end="")
    id,x_nm,y_nm,z_nm,radius_nm,n_voxels,volume_nm3,mean_order,touches_edge,uncertain,n_ions
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(table.rows)
    with replacing(path) as file:
        file.write(text.getvalue().encode("utf-8"))


def read_particles(path: str | os.PathLike[str]) -> ParticleTable:
    """Read the table that `particles_csv` wrote.

    Parameters
    ----------
    path : path
        ``particles.csv``, or the output folder of a run that holds it.

    Returns
    -------
    ParticleTable

    Raises
    ------
    FileFormatError
        If it is no such table.
    """
    file = Path(path) / "particles.csv" if Path(path).is_dir() else Path(path)
    try:
        with file.open(encoding="utf-8", newline="") as text:
            header, *rows = csv.reader(text)
        table = ParticleTable(tuple(header), tuple(tuple(row) for row in rows))
        _ = table.values
    except (OSError, ValueError, csv.Error) as error:
        raise FileFormatError(
            f"{file} holds no particle table ({error}). Expected the output folder of aptstream run or find, or its "
            f"particles.csv."
        ) from error
    return table


def listed_particles(table: ParticleTable, grid: GridFile) -> Precipitates:
    """Put the particles of a grid and what a table says of their volumes together again.

    Parameters
    ----------
    table : ParticleTable
        Of the same run as the grid.
    grid : GridFile
        Its labels say where the particles are.

    Returns
    -------
    Precipitates
        With places, voxels and volumes; nothing else is known of them.

    Raises
    ------
    StoreError
        If the table does not list the particles of the grid.
    """
    columns, n = table.values, int(grid.labels.max(initial=0))
    volume = np.asarray(columns.get("volume_nm3", ()), dtype=np.float64)
    if len(volume) != n or not (np.isfinite(volume) & (volume > 0)).all():
        raise StoreError(
            f"The particle table lists {len(volume)} volumes where its grid has {n} particles: both must come from "
            f"one run, unchanged. Make them anew with: aptstream find."
        )
    at = np.argwhere(grid.labels)
    label = grid.labels[tuple(at.T)]
    size = np.bincount(label, minlength=n + 1)[1:]
    sums = np.column_stack([np.bincount(label, axis, minlength=n + 1)[1:] for axis in at.T])
    voxel, unknown = grid.votes.voxel_nm, np.full(n, np.nan)
    centroid = np.array(grid.votes.origin_nm) + (sums / np.maximum(size, 1)[:, None] + 0.5) * voxel
    no_flag = np.zeros(n, dtype=np.bool_)
    return Precipitates(
        *(grid.labels, grid.votes.origin_nm, voxel, centroid, size, unknown, no_flag), expected_nm3=volume
    )


def write_particles(path: str | os.PathLike[str], table: ParticleTable) -> None:
    """Write a particle table in the form that the name ends in: ``.csv``, ``.parquet``, or ``.h5``.

    Parameters
    ----------
    path : path
        The file to write. HDF5 has one dataset a column in the group ``particles``.
    table : ParticleTable
        The particles.

    Raises
    ------
    FileFormatError
        If the name ends otherwise.
    MissingPackageError
        If Parquet is asked for and pyarrow is not installed.
    OSError
        If the file cannot be written.
    """
    writers = {".csv": particles_csv, ".parquet": _parquet, ".h5": _hdf5, ".hdf5": _hdf5}
    end = Path(path).suffix.lower()
    if end not in writers:
        raise FileFormatError(f"Found {Path(path).name}, expected a name that ends in {', '.join(writers)}.")
    writers[end](path, table)


def _parquet(path: str | os.PathLike[str], table: ParticleTable) -> None:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingPackageError(
            "Parquet files need the package pyarrow: pip install 'aptstream[parquet]', or write .csv or .h5."
        ) from error
    with replacing(path) as file:
        parquet.write_table(pa.table(table.values), file)


def _hdf5(path: str | os.PathLike[str], table: ParticleTable) -> None:
    import h5py

    memory = io.BytesIO()
    with h5py.File(memory, "w") as target:
        for name, values in table.values.items():
            target[f"particles/{name}"] = values
    with replacing(path) as file:
        file.write(memory.getvalue())


def _fixed(values: npt.NDArray[np.floating], digits: int) -> list[str]:
    return [f"{value:.{digits}f}" if np.isfinite(value) else "" for value in values.tolist()]


def _ions(found: Precipitates) -> list[str]:
    """Ions of all species in each particle; empty texts where they were not counted."""
    if not found.ions:
        return [""] * len(found)
    return [str(int(n)) for n in np.sum(list(found.ions.values()), axis=0)]
