"""Particles: connected regions of the order map, with sizes and compositions."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from aptstream.points import Triple

FloatColumn = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Precipitates:
    """Particles found in a specimen, one entry a particle in every column.

    Parameters
    ----------
    labels : ndarray of int32, (nx, ny, nz)
        Particle number of each voxel, 1 …; 0 = matrix.
    origin_nm : tuple of float
        Low corner of voxel [0, 0, 0] in nm, in the coordinates of the input file.
    voxel_nm : float
        Voxel edge in nm.
    centroid_nm : ndarray of float64, (n, 3)
        Mean of the voxel centres in nm.
    n_voxels : ndarray of int64, (n,)
        Number of voxels.
    mean_order : ndarray of float64, (n,)
        Mean of the order map over the voxels, 0 … 1.
    touches_edge : ndarray of bool, (n,)
        Whether a voxel lies at the border of what could be judged: the particle may be cut off there.
    ions : dict of str to ndarray of int64, (n,)
        Ions of each species inside; empty until counted (`aptstream.grid.composition`).
    """

    labels: npt.NDArray[np.int32]
    origin_nm: Triple
    voxel_nm: float
    centroid_nm: FloatColumn
    n_voxels: npt.NDArray[np.int64]
    mean_order: FloatColumn
    touches_edge: npt.NDArray[np.bool_]
    ions: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.n_voxels)

    @property
    def volume_nm3(self) -> FloatColumn:
        """Volume of each particle in nm³, (n,)."""
        return self.n_voxels * self.voxel_nm**3

    @property
    def radius_nm(self) -> FloatColumn:
        """Radius of the sphere of equal volume in nm, (n,)."""
        return np.cbrt(3 * self.volume_nm3 / (4 * np.pi))

    @property
    def mean_radius_nm(self) -> float:
        """Mean equivalent radius in nm; NaN without particles."""
        return float(self.radius_nm.mean()) if len(self) else float("nan")
