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
        return self.n_voxels.astype(np.float64) * self.voxel_nm**3

    @property
    def radius_nm(self) -> FloatColumn:
        """Radius of the sphere of equal volume in nm, (n,)."""
        radius: FloatColumn = np.cbrt(3 * self.volume_nm3 / (4 * np.pi))
        return radius

    @property
    def mean_radius_nm(self) -> float:
        """Mean equivalent radius in nm; NaN without particles."""
        return float(self.radius_nm.mean()) if len(self) else float("nan")


def find_precipitates(
    order: npt.NDArray[np.float32],
    *,
    cut: float,
    min_voxels: int,
    origin_nm: Triple,
    voxel_nm: float = 1.0,
) -> Precipitates:
    """Find particles: connected voxels whose order reaches a cut.

    Voxels that share a face are connected. A particle touches the edge if one of its voxels has a neighbour across a
    face that lies outside the volume or could not be judged.

    Parameters
    ----------
    order : ndarray of float32, (nx, ny, nz)
        Order map, 0 … 1; NaN where nothing could be judged.
    cut : float
        Smallest order of a particle's voxel.
    min_voxels : int
        Smaller particles are dropped.
    origin_nm : tuple of float
        Low corner of voxel [0, 0, 0] in nm.
    voxel_nm : float
        Voxel edge in nm.

    Returns
    -------
    Precipitates
        Numbered from 1 in descending volume; ties by position.

    Examples
    --------
    >>> order = np.zeros((6, 6, 6), "f4"); order[1:3, 1:3, 1:3] = 0.9; order[5, 5, 5] = 0.9
    >>> found = find_precipitates(order, cut=0.5, min_voxels=4, origin_nm=(0, 0, -6))
    >>> len(found), found.centroid_nm[0], round(found.mean_radius_nm, 2)
    (1, array([ 2.,  2., -4.]), 1.24)
    """
    judged = np.isfinite(order)
    raw, n = ndimage.label(judged & (order >= cut))
    sizes = np.bincount(raw.ravel(), minlength=n + 1)[1:]
    numbers = np.flatnonzero(sizes >= min_voxels) + 1
    numbers = numbers[np.argsort(-sizes[numbers - 1], kind="stable")]
    renumber = np.zeros(n + 1, dtype=np.int32)
    renumber[numbers] = np.arange(1, len(numbers) + 1)
    labels: npt.NDArray[np.int32] = renumber[raw]
    index = np.arange(1, len(numbers) + 1)
    centre = np.array(ndimage.center_of_mass(labels > 0, labels, index)).reshape(len(index), 3)
    inside = ndimage.binary_erosion(judged)  # all six neighbours are judged and exist
    rim = np.unique(labels[~inside])
    return Precipitates(
        labels=labels,
        origin_nm=origin_nm,
        voxel_nm=voxel_nm,
        centroid_nm=(centre + 0.5) * voxel_nm + np.array(origin_nm),
        n_voxels=np.bincount(labels.ravel(), minlength=len(index) + 1)[1:],
        mean_order=np.array(ndimage.mean(order, labels, index), dtype=np.float64).reshape(len(index)),
        touches_edge=np.isin(index, rim),
    )
