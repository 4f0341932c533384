"""Overlapping cubes → voxels: every 1 nm voxel sums the probabilities of all cubes that cover it.

A cube of edge S (in voxels, at a stride of one voxel) is named by its low corner c and covers the voxels
c … c + S − 1. So voxel v gathers the cubes v − S + 1 … v: a halo on the low side only. Sums are S shifted additions
an axis in float64, cast last, and therefore the same bits for any tiling. Cubes that could not be judged (NaN) add
neither to ``total`` nor to ``count``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from aptstream.regions import Triple

Summable = TypeVar("Summable", npt.NDArray[np.float64], npt.NDArray[np.uint16])


@dataclass(frozen=True)
class VoxelGrid:
    """The publication's map: summed cube probabilities on the voxel grid.

    Parameters
    ----------
    total : ndarray of float32, (nx, ny, nz)
        Sum of the probabilities of the valid cubes that cover a voxel; 0 … `cube_voxels`³.
    count : ndarray of uint16, (nx, ny, nz)
        How many valid cubes cover a voxel.
    cube_voxels : int
        Cube edge in voxels; 4 in the publication.
    origin_nm : tuple of float
        Low corner of voxel [0, 0, 0] in nm.
    voxel_nm : float
        Voxel edge in nm.
    """

    total: npt.NDArray[np.float32]
    count: npt.NDArray[np.uint16]
    cube_voxels: int
    origin_nm: Triple
    voxel_nm: float = 1.0

    @property
    def mean(self) -> npt.NDArray[np.float32]:
        """``total / count``; NaN where no valid cube covers a voxel, (nx, ny, nz)."""
        mean = np.full(self.total.shape, np.nan, dtype=np.float32)
        np.divide(self.total, self.count, out=mean, where=self.count > 0)
        return mean


def vote(p: npt.NDArray[np.float32], cube_voxels: int, origin_nm: Triple, voxel_nm: float = 1.0) -> VoxelGrid:
    """Sum the judgements of overlapping cubes into voxels.

    Parameters
    ----------
    p : ndarray of float32, (nx, ny, nz)
        Probability of the cube whose low corner is voxel [ix, iy, iz]; NaN = invalid or outside the volume. It has the
        shape of the voxel grid: the last ``cube_voxels - 1`` planes of each axis hold no cube and are NaN.
    cube_voxels : int
        Cube edge in voxels.
    origin_nm : tuple of float
        Low corner of voxel [0, 0, 0] in nm.
    voxel_nm : float
        Voxel edge, which is also the stride, in nm.

    Returns
    -------
    VoxelGrid

    References
    ----------
    .. [1] Li et al., npj Comput. Mater. 7, 8 (2021), "voxel probability".

    Examples
    --------
    >>> p = np.full((5, 4, 4), np.nan, "f4"); p[:2, 0, 0] = 1
    >>> grid = vote(p, 4, (0, 0, 0))
    >>> grid.total[:, 0, 0], grid.count[:, 0, 0]
    (array([1., 2., 2., 2., 1.], dtype=float32), array([1, 2, 2, 2, 1], dtype=uint16))
    """
    valid = np.isfinite(p)
    total = window_sum(np.where(valid, p, 0).astype(np.float64), cube_voxels)
    count = window_sum(valid.astype(np.uint16), cube_voxels)
    return VoxelGrid(total.astype(np.float32), count, cube_voxels, origin_nm, voxel_nm)


def window_sum(values: Summable, length: int) -> Summable:
    """Sum the last `length` values along every axis: ``out[v] = Σ values[v - k], k = 0 … length - 1``.

    Parameters
    ----------
    values : ndarray, (nx, ny, nz)
        What to sum; outside counts as 0.
    length : int
        Window length in voxels.

    Returns
    -------
    ndarray, (nx, ny, nz)
        Of the dtype of `values`.
    """
    for axis in range(values.ndim):
        moved = np.moveaxis(values, axis, 0)
        summed = moved.copy()
        for shift in range(1, min(length, len(moved))):
            summed[shift:] += moved[:-shift]
        values = np.moveaxis(summed, 0, axis)
    return values
