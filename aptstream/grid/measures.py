"""What particles measure: sizes with errors, shapes, distances, compositions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from aptstream.cloud.store import PointStore
from aptstream.grid.composition import Composition, at_full_order, known_species, of_counts
from aptstream.grid.contents import Contents, walk
from aptstream.grid.precipitates import Precipitates
from aptstream.progress import Progress, silent

Floats = npt.NDArray[np.float64]

#: Error of a volume that is a sum of probabilities s: variance = (1.7)² Σ s(1 − s) + (0.03 V)². Neighbouring voxels err
#: together, and all particles of a specimen a little; measured by bench/bench_particles.py on known truth.
TOGETHER, SHARED = 1.7, 0.03


@dataclass(frozen=True)
class Measures:
    """Measures of particles, in the order of their numbers; NaN where one is undefined.

    Parameters
    ----------
    radius_sd_nm : ndarray of float64, (n,)
        Standard deviation of the radius in nm, where the volume is a sum of probabilities; else NaN.
    guinier_nm : ndarray of float64, (n,)
        Radius of gyration of the ions inside, less that of a voxel, in nm; √(3/5) r for a sphere (Guinier and Fournet,
        Small-angle scattering of X-rays, 1955).
    semi_axes_nm : ndarray of float64, (n, 3)
        Half axes of the ellipsoid with the particle's volume and the second moments of its ions, longest first, in nm.
    axes : ndarray of float64, (n, 3, 3)
        Their directions, one row each.
    nearest_nm : ndarray of float64, (n,)
        Distance to the centroid of the nearest other particle in nm.
    composition : Composition
        at.% of every particle where it is wholly ordered, free of matrix at its face
        (`aptstream.grid.composition.at_full_order`).
    inside : Composition
        at.% of the ions in the voxels of every particle, matrix at the face included.
    particles, matrix : Composition
        Of all particles, as `composition`, and of all ions further than 2.5 nm from any: one entry each.
    blur_nm : float
        Lateral blur at the faces in nm that the compositions tell of.
    """

    radius_sd_nm: Floats
    guinier_nm: Floats
    semi_axes_nm: Floats
    axes: Floats
    nearest_nm: Floats
    composition: Composition
    inside: Composition
    particles: Composition
    matrix: Composition
    blur_nm: float

    @property
    def mean_nearest_nm(self) -> float:
        """Mean distance of a particle to the nearest other one in nm; NaN with fewer than two."""
        return float(self.nearest_nm.mean()) if len(self.nearest_nm) else float("nan")


def measure_particles(
    found: Precipitates,
    store: PointStore,
    share: npt.NDArray[np.float32],
    progress: Progress = silent,
) -> tuple[Precipitates, Measures]:
    """Measure particles, in one walk through the ions.

    Parameters
    ----------
    found : Precipitates
        Particles on the 1 nm voxels of this store.
    store : PointStore
        The ions.
    share : ndarray of float32, (nx, ny, nz)
        Expected ordered share of each voxel, 0 … 1; NaN where nothing could be judged. Where a map is no such share,
        take `share_of_labels`.
    progress : Progress
        Told of the stage ``composition``, in blocks.

    Returns
    -------
    Precipitates
        The same particles with `ions` filled in.
    Measures

    Raises
    ------
    StoreError
        If the grid and the store do not belong together.
    """
    names, table = store.species_names, store.ranges
    contents = walk(found, store, share, known=known_species(names, table), progress=progress)
    inside = of_counts(contents.inside, names, table)
    each, together, blur_nm = at_full_order(contents, names, table)
    semi_axes, axes, guinier = _shapes(contents, found)
    return replace(found, ions={name: contents.inside[:, k] for k, name in enumerate(names)}), Measures(
        radius_sd_nm=_radius_sd(found, contents.voxel_variance),
        guinier_nm=guinier,
        semi_axes_nm=semi_axes,
        axes=axes,
        nearest_nm=nearest_distances(found.centroid_nm),
        composition=each,
        inside=inside,
        particles=together,
        matrix=of_counts(contents.matrix[None], names, table),
        blur_nm=blur_nm,
    )


def share_of_labels(found: Precipitates, order: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Take the voxels of particles for wholly ordered, and all others for not at all.

    Parameters
    ----------
    found : Precipitates
        The particles.
    order : ndarray of float32, (nx, ny, nz)
        NaN where nothing could be judged.

    Returns
    -------
    ndarray of float32, (nx, ny, nz)
    """
    return np.where(np.isfinite(order), found.labels > 0, np.nan).astype(np.float32)


def _radius_sd(found: Precipitates, voxel_variance: Floats) -> Floats:
    """Error of the radius, where the volume is a sum of probabilities."""
    if found.expected_nm3 is None:
        return np.full(len(found), np.nan)
    volume = found.volume_nm3
    variance = TOGETHER**2 * voxel_variance * found.voxel_nm**6 + (SHARED * volume) ** 2
    return np.asarray(np.sqrt(variance) / (4 * np.pi * found.radius_nm**2))


def _shapes(contents: Contents, found: Precipitates) -> tuple[Floats, Floats, Floats]:
    """Half axes, their directions, and radii of gyration, from the moments of the ions inside.

    A body of whole voxels is wider than what it stands for, by the variance a²/12 of a voxel of edge a on each axis.
    """
    n = contents.inside.sum(axis=1)
    enough = n > 3
    safe = np.maximum(n, 1)[:, None]
    mean = contents.first / safe
    moments = contents.second / safe[:, :, None] - mean[:, :, None] * mean[:, None]
    moments -= found.voxel_nm**2 / 12 * np.eye(3)
    values, vectors = np.linalg.eigh(moments) if len(n) else (np.zeros((0, 3)), np.zeros((0, 3, 3)))
    values = np.maximum(values[:, ::-1], 0)
    lengths = np.sqrt(values)
    mean_length = np.cbrt(lengths.prod(axis=1))
    solid = enough & (mean_length > 0)
    scale = np.divide(found.radius_nm, mean_length, out=np.full(len(n), np.nan), where=solid)
    gyration = np.where(enough, np.sqrt(values.sum(axis=1)), np.nan)
    return lengths * scale[:, None], vectors[:, :, ::-1].transpose(0, 2, 1), gyration


def nearest_distances(centroid_nm: Floats) -> Floats:
    """Measure the distance of every particle to the nearest other one.

    Parameters
    ----------
    centroid_nm : ndarray of float64, (n, 3)
        Centroids in nm.

    Returns
    -------
    ndarray of float64, (n,)
        In nm, centre to centre; NaN for a single particle.
    """
    if len(centroid_nm) < 2:
        return np.full(len(centroid_nm), np.nan)
    distance, _ = KDTree(centroid_nm).query(centroid_nm, k=2)
    return np.asarray(distance)[:, 1]
