"""Overlapping cubes → voxels: every 1 nm voxel sums the probabilities of all cubes that cover it.

A cube of edge S (in voxels, at a stride of one voxel) is named by its low corner c and covers the voxels
c … c + S − 1. So voxel v gathers the cubes v − S + 1 … v: a halo on the low side only. Sums are S shifted additions
an axis in float64, cast last, and therefore the same bits for any tiling. Cubes that could not be judged (NaN) add
neither to ``total`` nor to ``count``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from aptstream.regions import Triple
from aptstream.scan.results import ScanStore
from aptstream.showing import show_votes

if TYPE_CHECKING:
    import dask.array as da

#: Planes along x that are read of a scan at a time.
SLAB = 64

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
    _repr_html_ = show_votes

    @property
    def mean(self) -> npt.NDArray[np.float32]:
        """``total / count``; NaN where no valid cube covers a voxel, (nx, ny, nz)."""
        # Written so that it stays lazy where the arrays are Dask's.
        mean: npt.NDArray[np.float32] = np.where(
            self.count > 0, self.total / np.maximum(self.count, 1), np.float32(np.nan)
        )
        return mean


def vote(
    p: npt.NDArray[np.float32] | da.Array | ScanStore,
    cube_voxels: int | None = None,
    origin_nm: Triple | None = None,
    voxel_nm: float = 1.0,
) -> VoxelGrid:
    """Sum the judgements of overlapping cubes into voxels.

    Parameters
    ----------
    p : ndarray or dask.array.Array of float32, (nx, ny, nz), or ScanStore
        Probability of the cube whose low corner is voxel [ix, iy, iz]; NaN = invalid or outside the volume. It has the
        shape of the voxel grid: the last ``cube_voxels - 1`` planes of each axis hold no cube and are NaN. Of a Dask
        array the grid is lazy, of a finished scan it is read slab by slab; the bits are the same.
    cube_voxels : int, optional
        Cube edge in voxels; of a scan, one of its edges, the largest where none is given.
    origin_nm : tuple of float, optional
        Low corner of voxel [0, 0, 0] in nm; a scan knows its own.
    voxel_nm : float
        Voxel edge, which is also the stride, in nm.

    Returns
    -------
    VoxelGrid

    Raises
    ------
    ValueError
        If edge or origin are not given for an array.

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
    if isinstance(p, ScanStore):
        edge = max(p.edges) if cube_voxels is None else cube_voxels
        total, count = _of_scan(p, edge)
        return VoxelGrid(total, count, edge, p.origin_nm if origin_nm is None else origin_nm, voxel_nm)
    if cube_voxels is None or origin_nm is None:
        raise ValueError("To sum the votes of an array, say how long the cubes are (cube_voxels) and where it lies.")
    total, count = _totals(p, cube_voxels) if isinstance(p, np.ndarray) else _lazy(p, cube_voxels)
    return VoxelGrid(total, count, cube_voxels, origin_nm, voxel_nm)


def _totals(p: npt.NDArray[np.float32], edge: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint16]]:
    valid = np.isfinite(p)
    total = window_sum(np.where(valid, p, 0).astype(np.float64), edge)
    return total.astype(np.float32), window_sum(valid.astype(np.uint16), edge)


def _of_scan(scan: ScanStore, edge: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint16]]:
    """Sum slab by slab, each with its halo: what is held beside the result does not grow with the specimen."""
    total, count = np.empty(scan.shape, np.float32), np.empty(scan.shape, np.uint16)
    for low in range(0, scan.shape[0], SLAB):
        start = max(low - edge + 1, 0)
        sums = _totals(scan.p(edge, start, low + SLAB), edge)
        total[low : low + SLAB], count[low : low + SLAB] = (values[low - start :] for values in sums)
    return total, count


def _lazy(p: da.Array, edge: int) -> tuple[Any, Any]:
    """Sum block by block, each with its halo on the low side."""
    import dask.array as da

    depth = {axis: (min(edge, n) - 1, 0) for axis, n in enumerate(p.shape)}
    boundary = dict.fromkeys(range(3), "none")
    total, count = (
        da.map_overlap(
            lambda block, number=number: _totals(block, edge)[number],
            p, depth=depth, boundary=boundary, dtype=dtype, meta=np.empty((0, 0, 0), dtype),
        )
        for number, dtype in enumerate((np.float32, np.uint16))
    )  # fmt: skip
    return total, count


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
