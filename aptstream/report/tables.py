"""The particle table: one row a particle, as text for files and pages."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aptstream.io.replace import replacing

if TYPE_CHECKING:
    from aptstream.grid.precipitates import Precipitates

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


def particle_table(
    found: Precipitates, composition: Mapping[str, FloatColumn], *, before_nm: FloatColumn | None = None
) -> ParticleTable:
    """Write the particles as text.

    Parameters
    ----------
    found : Precipitates
        The particles.
    composition : mapping of str to ndarray of float64, (n,)
        Content of each element in at.%; NaN where undefined.
    before_nm : ndarray of float64, (n, 3), optional
        Where their centroids lie in the reconstruction, if the ions were aligned since: three columns more.

    Returns
    -------
    ParticleTable
        Columns ``id, x_nm, y_nm, z_nm, radius_nm, n_voxels, volume_nm3, mean_order, touches_edge, uncertain,
        n_ions``
        and ``<element>_at_pct`` for every element. `id` is the number in `found.labels`.

    Raises
    ------
    ValueError
        If a composition has another length than there are particles.

    Examples
    --------
    >>> from aptstream.grid.precipitates import Precipitates
    >>> found = Precipitates(
    ...     np.ones((1, 1, 2), "i4"), (0, 0, 0), 1.0, np.array([[0.5, 0.5, 1.0]]), np.array([2]),
    ...     np.array([0.9]), np.array([True]), {"Al": np.array([50]), "Li": np.array([16])},
    ... )
    >>> particle_table(found, {"Li": np.array([24.24])}).rows
    (('1', '0.500', '0.500', '1.000', '0.782', '2', '2.000', '0.9000', 'true', 'false', '66', '24.240'),)
    """
    for element, content in composition.items():
        if len(content) != len(found):
            raise ValueError(
                f"The composition needs one value of {element} for each of the {len(found)} particles, "
                f"found {len(content)}."
            )
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
    columns |= {f"{element}_at_pct": _fixed(content, 3) for element, content in composition.items()}
    if before_nm is not None:
        reconstruction = np.reshape(before_nm, (-1, 3)).T
        columns |= {f"reconstruction_{a}_nm": _fixed(at, 3) for a, at in zip("xyz", reconstruction, strict=True)}
    return ParticleTable(tuple(columns), tuple(zip(*columns.values(), strict=True)))


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
    ...     particles_csv(folder + "/particles.csv", particle_table(none, {"Li": np.empty(0)}))
    ...     print(Path(folder, "particles.csv").read_text(), end="")
    id,x_nm,y_nm,z_nm,radius_nm,n_voxels,volume_nm3,mean_order,touches_edge,uncertain,n_ions,Li_at_pct
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows(table.rows)
    with replacing(path) as file:
        file.write(text.getvalue().encode("utf-8"))


def _fixed(values: npt.NDArray[np.floating], digits: int) -> list[str]:
    return [f"{value:.{digits}f}" if np.isfinite(value) else "" for value in values.tolist()]


def _ions(found: Precipitates) -> list[str]:
    """Ions of all species in each particle; empty texts where they were not counted."""
    if not found.ions:
        return [""] * len(found)
    return [str(int(n)) for n in np.sum(list(found.ions.values()), axis=0)]
