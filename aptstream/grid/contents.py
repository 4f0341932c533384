"""One walk through the ions: what lies inside every particle, around it, and in the matrix."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse

from aptstream.cloud.lattice import BRICK_CELLS
from aptstream.cloud.store import PointStore
from aptstream.errors import StoreError
from aptstream.grid.precipitates import Precipitates, nearest_particle
from aptstream.points import PointCloud
from aptstream.progress import Progress, silent

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

#: Cells on an edge of what is looked at in one go, and cells around it that are looked at too.
BLOCK, HALO = 2 * BRICK_CELLS, 3
#: Voxels within this distance of a particle belong to its surroundings, what lies beyond is matrix; in nm.
REACH_NM = 2.5
#: Lateral blurs of the composition against the order that are tried, standard deviations in nm.
BLURS_NM = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0)


@dataclass(frozen=True)
class Contents:
    """What a walk through the ions found; particles and species in the order of their numbers.

    Parameters
    ----------
    inside : ndarray of int64, (n, n_species)
        Ions in the voxels of each particle.
    near : ndarray of int64, (n, n_species)
        Ions inside and up to `REACH_NM` around each particle, each ion for the nearest particle.
    matrix : ndarray of int64, (n_species,)
        Ions further away from all particles, where order could be judged.
    first, second : ndarray of float64, (n, 3) and (n, 3, 3)
        Sums of d and of d dᵀ in nm and nm² over the ions inside, d from the centroid.
    voxel_variance : ndarray of float64, (n,)
        Sum of s(1 − s) over the voxels near each particle, s the ordered share.
    ordered : ndarray of float64, (n_blurs, n, n_species)
        Sums of b over the ions near, b the ordered share of their voxel blurred by each of `BLURS_NM`.
    ordered_squared : ndarray of float64, (n_blurs, n)
        Sums of b² over the ions near that have known atoms.
    """

    inside: Counts
    near: Counts
    matrix: Counts
    first: Floats
    second: Floats
    voxel_variance: Floats
    ordered: Floats
    ordered_squared: Floats


def walk(
    found: Precipitates,
    store: PointStore,
    share: npt.NDArray[np.float32],
    *,
    known: npt.NDArray[np.bool_],
    progress: Progress = silent,
) -> Contents:
    """Walk through all ions once, block by block.

    Parameters
    ----------
    found : Precipitates
        Particles on the 1 nm voxels of this store.
    store : PointStore
        The ions.
    share : ndarray of float32, (nx, ny, nz)
        Expected ordered share of each voxel, 0 … 1; NaN where nothing could be judged.
    known : ndarray of bool, (n_species,)
        Species whose atoms are known.
    progress : Progress
        Told of the stage ``composition``, in blocks.

    Returns
    -------
    Contents

    Raises
    ------
    StoreError
        If the grid and the store do not belong together.
    """
    _require_same_grid(found, store)
    n, n_species, n_blurs = len(found), len(store.species_names), len(BLURS_NM)
    sums = Contents(
        inside=np.zeros((n, n_species), dtype=np.int64),
        near=np.zeros((n, n_species), dtype=np.int64),
        matrix=np.zeros(n_species, dtype=np.int64),
        first=np.zeros((n, 3)),
        second=np.zeros((n, 3, 3)),
        voxel_variance=np.zeros(n),
        ordered=np.zeros((n_blurs, n, n_species)),
        ordered_squared=np.zeros((n_blurs, n)),
    )
    shape = store.shape_cells
    blocks = list(product(*(range(0, edge, BLOCK) for edge in shape)))
    for done, (x, y, z) in enumerate(blocks):
        cloud = store.read((x, y, z), (x + BLOCK, y + BLOCK, z + BLOCK), columns=())
        if len(cloud):
            around = tuple(slice(max(a - HALO, 0), a + BLOCK + HALO) for a in (x, y, z))
            inner = tuple(slice(a - s.start, a - s.start + BLOCK) for a, s in zip((x, y, z), around, strict=True))
            low_nm = np.array(store.origin_nm) + np.array((x, y, z))
            block = _Block(cloud, low_nm, found.labels[around], share[around], inner)
            block.add_to(sums, found.centroid_nm, known)
        progress("composition", done + 1, len(blocks), "blocks")
    return sums


def _require_same_grid(found: Precipitates, store: PointStore) -> None:
    if found.labels.shape != store.shape_cells or found.origin_nm != store.origin_nm:
        raise StoreError(
            f"The grid ({found.labels.shape} voxels from {found.origin_nm} nm) and the store "
            f"({store.shape_cells} cells from {store.origin_nm} nm) do not belong together: scan this store."
        )


@dataclass(frozen=True)
class _Block:
    """Ions of a block, and the maps of it and of what is around it; `inner` is its place in the maps."""

    cloud: PointCloud
    low_nm: Floats
    labels: npt.NDArray[np.int32]
    share: npt.NDArray[np.float32]
    inner: tuple[slice, ...]

    def add_to(self, sums: Contents, centroid_nm: Floats, known: npt.NDArray[np.bool_]) -> None:
        """Add the ions of this block."""
        cloud, shape = self.cloud, self.labels[self.inner].shape
        cell = np.floor(cloud.position.astype(np.float64) - self.low_nm).astype(np.int64)
        voxel = np.ravel_multi_index(tuple(cell.T), shape)
        n_species = len(sums.matrix)
        flat = np.bincount(voxel * n_species + cloud.species, minlength=int(np.prod(shape)) * n_species)
        counts = flat.reshape(-1, n_species)
        judged = np.isfinite(self.share[self.inner]).ravel()
        if not self.labels.any():
            sums.matrix[:] += counts[judged].sum(axis=0)
            return
        basin = np.where(judged, nearest_particle(self.labels, REACH_NM)[self.inner].ravel(), 0)
        sums.matrix[:] += counts[judged & (basin == 0)].sum(axis=0)
        self._add_inside(sums, centroid_nm, voxel)
        self._add_near(sums, counts, basin, known)

    def _add_inside(self, sums: Contents, centroid_nm: Floats, voxel: Counts) -> None:
        """Add counts and moments of the ions inside particles."""
        label = self.labels[self.inner].ravel()[voxel]
        rows = np.flatnonzero(label)
        if not len(rows):
            return
        particles, k = np.unique(label[rows] - 1, return_inverse=True)
        n, n_species = len(particles), len(sums.matrix)
        flat = np.bincount(k * n_species + self.cloud.species[rows], minlength=n * n_species)
        sums.inside[particles] += flat.reshape(n, n_species)
        offset = self.cloud.position[rows] - centroid_nm[particles][k]
        for a in range(3):
            sums.first[particles, a] += np.bincount(k, offset[:, a], minlength=n)
            for b in range(a, 3):
                moment = np.bincount(k, offset[:, a] * offset[:, b], minlength=n)
                sums.second[particles, a, b] += moment
                if a != b:
                    sums.second[particles, b, a] += moment

    def _add_near(
        self, sums: Contents, counts: Counts, basin: npt.NDArray[np.int32], known: npt.NDArray[np.bool_]
    ) -> None:
        """Add what is needed to tell the composition at full order: sums over the voxels near particles."""
        voxels = np.flatnonzero(basin)
        if not len(voxels):
            return
        particles, k = np.unique(basin[voxels] - 1, return_inverse=True)
        member = sparse.csr_array((np.ones(len(k)), (k, np.arange(len(k)))), shape=(len(particles), len(k)))
        of_species = counts[voxels].astype(np.float64)
        atoms = of_species[:, known].sum(axis=1)
        sums.near[particles] += np.rint(np.asarray(member @ of_species)).astype(np.int64)
        share = np.nan_to_num(self.share)
        own = share[self.inner].ravel()[voxels].astype(np.float64)
        sums.voxel_variance[particles] += np.asarray(member @ (own * (1 - own)))
        for number, blur_nm in enumerate(BLURS_NM):
            blurred = blurred_laterally(share, blur_nm)[self.inner].ravel()[voxels].astype(np.float64)
            sums.ordered[number, particles] += np.asarray(member @ (of_species * blurred[:, None]))
            sums.ordered_squared[number, particles] += np.asarray(member @ (atoms * blurred**2))


def blurred_laterally(share: npt.NDArray[np.float32], blur_nm: float) -> npt.NDArray[np.float32]:
    """Blur a map of 1 nm voxels along x and y, by a kernel of three voxels with the variance that is asked for.

    A sampled Gaussian narrower than half a voxel has no such variance.

    Parameters
    ----------
    share : ndarray of float32, (nx, ny, nz)
        A map without NaN.
    blur_nm : float
        Standard deviation in nm.

    Returns
    -------
    ndarray of float32, (nx, ny, nz)

    Examples
    --------
    >>> line = np.zeros((7, 1, 1), "f4"); line[3] = 1
    >>> blurred_laterally(line, 0.5).ravel()
    array([0.   , 0.   , 0.125, 0.75 , 0.125, 0.   , 0.   ], dtype=float32)
    """
    passes = int(np.ceil(blur_nm**2 / 0.5))
    for _ in range(passes):
        outer = blur_nm**2 / (2 * passes)
        kernel = np.array([outer, 1 - 2 * outer, outer])
        for axis in (0, 1):
            share = ndimage.correlate1d(share, kernel, axis=axis, mode="nearest")
    return share
