"""What is known to be true of a simulated specimen, on the 1 nm grid: every true particle's share of every voxel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptstream.regions import Triple
from aptstream.simulate import Particles, voxel_fraction

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TrueVolumes:
    """True particles of any shape on a grid of 1 nm voxels.

    A particle is what ``|unit @ (r − centre)| <= 1`` holds: a sphere, or an ellipsoid; a plate is taken for the
    ellipsoid of its half axes where its edges do not matter. Its shares of voxels are listed
    as entries, so that particles may share a voxel.

    Parameters
    ----------
    centre_nm : ndarray of float64, (n, 3)
        Centres.
    unit : ndarray of float64, (n, 3, 3)
        Turns the distance from the centre into the coordinates of the unit sphere, in 1/nm.
    radius_nm : ndarray of float64, (n,)
        Radius of the sphere of equal volume in nm.
    origin_nm : tuple of float
        Low corner of voxel [0, 0, 0] in nm.
    particle, voxel : ndarray of int64, (m,)
        Particle, and flat index of the voxel, of every entry.
    share : ndarray of float64, (m,)
        Share of the voxel that lies inside the particle.
    total : ndarray of float32, (nx, ny, nz)
        Ordered share of every voxel.
    """

    centre_nm: Floats
    unit: Floats
    radius_nm: Floats
    origin_nm: Triple
    particle: npt.NDArray[np.int64]
    voxel: npt.NDArray[np.int64]
    share: Floats
    total: npt.NDArray[np.float32]

    @property
    def reach_nm(self) -> Floats:
        """Half of the edges of the smallest box around each particle in nm, (n, 3)."""
        return reach_of(self.unit)

    @property
    def centre_inside(self) -> npt.NDArray[np.bool_]:
        """Whether each centre lies in the grid, (n,)."""
        place = self.centre_nm - np.array(self.origin_nm)
        return np.asarray(((place >= 0) & (place < self.total.shape)).all(axis=1))

    @property
    def whole(self) -> npt.NDArray[np.bool_]:
        """Whether each particle lies wholly in the grid, (n,)."""
        place = self.centre_nm - np.array(self.origin_nm)
        inside = (place - self.reach_nm >= 0) & (place + self.reach_nm <= self.total.shape)
        return np.asarray(inside.all(axis=1))

    def holds(self, position_nm: Floats) -> npt.NDArray[np.bool_]:
        """Tell which positions lie in a particle.

        Parameters
        ----------
        position_nm : ndarray of float64, (k, 3)
            Positions.

        Returns
        -------
        ndarray of bool, (k,)
        """
        held = np.zeros(len(position_nm), dtype=bool)
        for centre, unit in zip(self.centre_nm, self.unit, strict=True):
            held |= np.linalg.norm((position_nm - centre) @ unit.T, axis=1) <= 1 + 1e-9
        return held


def reach_of(unit: Floats) -> Floats:
    """Half of the edges of the smallest box around ellipsoids.

    Parameters
    ----------
    unit : ndarray of float64, (n, 3, 3)
        As in `TrueVolumes`.

    Returns
    -------
    ndarray of float64, (n, 3)
        In nm.

    Examples
    --------
    >>> reach_of(np.diag([1 / 2, 1 / 3, 1.0])[None])
    array([[2., 3., 1.]])
    """
    if not len(unit):
        return np.zeros((0, 3))
    return np.asarray(np.linalg.norm(np.linalg.inv(unit), axis=2))


def true_volumes(truth: Particles, shape: tuple[int, int, int], origin_nm: Triple) -> TrueVolumes:
    """Put particles of any shape on a grid.

    Parameters
    ----------
    truth : Particles
        Where the ions are.
    shape : tuple of int
        Voxels of 1 nm on each axis.
    origin_nm : tuple of float
        Low corner of voxel [0, 0, 0] in nm.

    Returns
    -------
    TrueVolumes

    Examples
    --------
    >>> sphere = Particles(np.full((1, 3), 5.0), np.array([2.0]), np.array([0]))
    >>> volumes = true_volumes(sphere, (10, 10, 10), (0, 0, 0))
    >>> round(float(volumes.share.sum())), volumes.whole           # 4/3 π 2³ = 33.5
    (34, array([ True]))
    """
    entries = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    origin = np.array(origin_nm)
    for k, (centre, reach) in enumerate(zip(truth.centre_nm, truth.reach_nm, strict=True)):
        low = np.clip(np.floor(centre - reach - origin), 0, shape).astype(int)
        high = np.clip(np.ceil(centre + reach - origin), 0, shape).astype(int)
        if (high <= low).any():
            continue
        a, b, c = (high - low).tolist()
        x, y, z = (origin + low).tolist()
        share = voxel_fraction(truth[k : k + 1], (a, b, c), origin_nm=(x, y, z))
        place = np.nonzero(share)
        flat = np.ravel_multi_index(tuple(axis + start for axis, start in zip(place, low, strict=True)), shape)
        entries.append((np.full(len(flat), k), flat, share[place].astype(np.float64)))
    particle, voxel, shares = (np.concatenate(column) for column in zip(*entries, strict=True))
    return TrueVolumes(
        centre_nm=truth.centre_nm,
        unit=np.linalg.inv(truth.axes_nm).transpose(0, 2, 1).astype(np.float64),
        radius_nm=truth.radius_nm,
        origin_nm=origin_nm,
        particle=particle,
        voxel=voxel,
        share=shares,
        total=voxel_fraction(truth, shape, origin_nm=origin_nm),
    )
