"""Particles of a simulated specimen: spheres, ellipsoids and plates, and what lies inside them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from aptstream.errors import PlanError
from aptstream.regions import Triple
from aptstream.simulate.distortion import Movement

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Particles:
    """Spheres, ellipsoids and plates. Where two overlap, the ions belong to the first.

    Parameters
    ----------
    centre_nm : ndarray of float64, (n, 3)
        Centres in nm.
    radius_nm : ndarray of float64, (n,)
        Radii of spheres of the same volume in nm.
    variant : ndarray of int64, (n,)
        Variant of the ordered structure, see `aptstream.crystal.Crystal.variants`.
    axes_nm : ndarray of float64, (n, 3, 3), optional
        Half axes as row vectors in nm; a plate is round in the first two and flat along the third. Spheres where it is
        not given.
    plate : ndarray of bool, (n,), optional
        Whether it is a disc with flat faces; none is where it is not given.
    order : ndarray of float64, (n,), optional
        Long-range order parameter, 0 … 1; 1 where it is not given.

    Raises
    ------
    PlanError
        If the arrays do not belong together.
    """

    centre_nm: Floats
    radius_nm: Floats
    variant: Integers
    axes_nm: Floats = field(default_factory=lambda: np.zeros((0, 3, 3)))
    plate: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    order: Floats = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        n = len(self.radius_nm)
        filled = {
            "axes_nm": np.eye(3) * self.radius_nm[:, None, None],
            "plate": np.zeros(n, dtype=np.bool_),
            "order": np.ones(n),
        }
        for name, default in filled.items():
            if len(getattr(self, name)) == 0:
                object.__setattr__(self, name, default)
        shapes = [getattr(self, name).shape for name in ("centre_nm", "variant", *filled)]
        if shapes != [(n, 3), (n,), (n, 3, 3), (n,), (n,)]:
            raise PlanError(f"Particles need one row a particle in every array; found {shapes} for {n} radii.")
        if not ((self.order >= 0) & (self.order <= 1)).all():
            raise PlanError("The order parameter of a particle lies between 0 and 1; found others.")
        if not np.allclose(equivalent_radius(self.axes_nm, self.plate), self.radius_nm, rtol=1e-4, atol=1e-9):
            raise PlanError("The radius of a particle is that of a sphere of its volume; found half axes of others.")

    def __len__(self) -> int:
        return len(self.radius_nm)

    def __getitem__(self, rows: slice | npt.NDArray[np.bool_] | Integers) -> Particles:
        return Particles(
            self.centre_nm[rows],
            self.radius_nm[rows],
            self.variant[rows],
            self.axes_nm[rows],
            self.plate[rows],
            self.order[rows],
        )

    @property
    def volume_nm3(self) -> Floats:
        """Volume in nm³, (n,)."""
        volume: Floats = 4 / 3 * np.pi * self.radius_nm**3
        return volume

    @property
    def is_round(self) -> npt.NDArray[np.bool_]:
        """Whether each is a sphere, (n,)."""
        sphere = np.eye(3) * self.radius_nm[:, None, None]
        return np.asarray((self.axes_nm == sphere).all(axis=(1, 2)) & ~self.plate)

    @property
    def reach_nm(self) -> Floats:
        """Half edges of the boxes around them in nm, (n, 3)."""
        squares = self.axes_nm**2
        disc = np.sqrt(squares[:, :2].sum(axis=1)) + np.abs(self.axes_nm[:, 2])
        return np.asarray(np.where(self.plate[:, None], disc, np.sqrt(squares.sum(axis=1))))

    def contains(self, position: npt.NDArray[np.floating], which: Integers) -> npt.NDArray[np.bool_]:
        """Tell whether each position lies in the particle named beside it.

        Parameters
        ----------
        position : ndarray of float, (n, 3)
            In nm.
        which : ndarray of int64, (n,)
            Index of a particle for each.

        Returns
        -------
        ndarray of bool, (n,)
        """
        apart = position - self.centre_nm[which]
        if self.is_round.all():
            return np.asarray((apart**2).sum(axis=1) < self.radius_nm[which] ** 2)
        scaled = np.einsum("ni,nij->nj", apart, np.linalg.inv(self.axes_nm)[which]) ** 2
        return within_shape(scaled[:, 0] + scaled[:, 1], scaled[:, 2], self.plate[which])

    def owner_of(self, position: npt.NDArray[np.floating]) -> Integers:
        """Find the particle that each position lies in.

        Parameters
        ----------
        position : ndarray of float, (n, 3)
            In nm.

        Returns
        -------
        ndarray of int64, (n,)
            Index of the first such particle, −1 where there is none.

        Examples
        --------
        >>> spheres = Particles(np.array([[2.0, 2, 2], [6, 2, 2]]), np.array([1.5, 1.0]), np.array([0, 0]))
        >>> spheres.owner_of(np.array([[2.0, 3, 2], [4, 2, 2], [6, 2, 2.5]])).tolist()
        [0, -1, 1]
        """
        owner = np.full(len(position), -1, dtype=np.int64)
        if not len(position) or not len(self):
            return owner
        columns = [position[:, axis] for axis in range(3)]
        low = np.array([np.floor(column.min()) for column in columns]).astype(np.int64)
        shape = np.array([np.floor(column.max()) for column in columns]).astype(np.int64) - low + 1
        x, y, z = (np.floor(column).astype(np.int64) for column in columns)
        voxel = ((x - low[0]) * shape[1] + y - low[1]) * shape[2] + z - low[2]
        for candidates in self._near_voxels(low, shape):
            candidate = candidates[voxel]
            rows = np.flatnonzero((candidate >= 0) & (owner < 0))
            inside = rows[self.contains(position[rows], candidate[rows])]
            owner[inside] = candidate[inside]
        return owner

    def _near_voxels(self, low: Integers, shape: Integers) -> list[Integers]:
        """Look up whose box touches each 1 nm voxel: the first of every voxel or −1, then the second, and so on."""
        voxels, which = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
        first = np.maximum(np.floor(self.centre_nm - self.reach_nm).astype(np.int64) - low, 0)
        last = np.minimum(np.floor(self.centre_nm + self.reach_nm).astype(np.int64) - low, shape - 1)
        for k in np.flatnonzero((first <= last).all(axis=1)):
            x, y, z = (np.arange(a, b + 1) for a, b in zip(first[k], last[k], strict=True))
            voxels.append(((x[:, None, None] * shape[1] + y[:, None]) * shape[2] + z).ravel())
            which.append(np.full(len(voxels[-1]), k))
        voxel, particle = np.concatenate(voxels), np.concatenate(which)
        by_voxel = np.argsort(voxel, kind="stable")
        voxel, particle = voxel[by_voxel], particle[by_voxel]
        rank = np.arange(len(voxel)) - np.searchsorted(voxel, voxel)
        grids = []
        for turn in range(int(rank.max(initial=-1)) + 1):
            grid = np.full(int(shape.prod()), -1, dtype=np.int64)
            grid[voxel[rank == turn]] = particle[rank == turn]
            grids.append(grid)
        return grids

    def moved(self, movement: Movement) -> Particles:
        """Move the particles as a reconstruction moves their ions.

        Parameters
        ----------
        movement : Movement
            Such as a `Distortion`, or the `Domes` of a needle. Centres are mapped exactly, shapes by its slopes there:
            the curvature within a particle is left out, which is 0.005 nm for 1° at the rim of a specimen 30 nm wide
            and a radius of 3 nm.

        Returns
        -------
        Particles
        """
        axes = self.axes_nm @ movement.slopes(self.centre_nm)
        radius = equivalent_radius(axes, self.plate)
        return Particles(movement.apply(self.centre_nm), radius, self.variant, axes, self.plate, self.order)

    def inside_nm3(self, size_nm: Triple) -> Floats:
        """Volume of each that lies in the box 0 … size and in no particle before it, in nm³, (n,).

        Parameters
        ----------
        size_nm : tuple of float
            Size of the box in nm.

        Returns
        -------
        ndarray of float64, (n,)
            Exact for particles that nothing cuts, else counted on a few thousand points.
        """
        reach = self.reach_nm
        cut = np.any((self.centre_nm < reach) | (self.centre_nm + reach > size_nm), axis=1).reshape(-1)
        share = np.ones(len(self))
        for k in range(len(self)):
            touching = (np.abs(self.centre_nm[:k] - self.centre_nm[k]) < reach[:k] + reach[k]).all(axis=1)
            if cut[k] or touching.any():
                points = self.centre_nm[k] + _filled(bool(self.plate[k])) @ self.axes_nm[k]
                kept = ((points >= 0) & (points < size_nm)).all(axis=1)
                kept &= self[np.flatnonzero(touching)].owner_of(points) < 0
                share[k] = kept.mean()
        return np.asarray(share * self.volume_nm3)


def within_shape(
    across: npt.NDArray[np.floating], along: npt.NDArray[np.floating], plate: npt.NDArray[np.bool_] | bool
) -> npt.NDArray[np.bool_]:
    """Tell whether points lie in the unit ball, or for plates in the unit disc of half height 1.

    Parameters
    ----------
    across, along : ndarray of float
        Squared distance from the third axis and squared height along it, in half axes.
    plate : ndarray of bool, or bool
        Whether it is a plate.

    Returns
    -------
    ndarray of bool
    """
    return np.asarray(np.where(plate, np.maximum(across, along), across + along) < 1)


def equivalent_radius(axes_nm: Floats, plate: npt.NDArray[np.bool_]) -> Floats:
    """Radius of spheres of the same volume.

    Parameters
    ----------
    axes_nm : ndarray of float64, (n, 3, 3)
        Half axes as rows in nm.
    plate : ndarray of bool, (n,)
        Whether each is a plate.

    Returns
    -------
    ndarray of float64, (n,)
        In nm.

    Examples
    --------
    >>> equivalent_radius(np.diag([4.0, 4, 0.5])[None], np.array([False])).round(6).tolist()
    [2.0]
    """
    product = np.abs(np.linalg.det(axes_nm)) * np.where(plate, 1.5, 1.0)  # 2π abc against 4/3 π abc
    return np.asarray(np.cbrt(product))


def _filled(plate: bool) -> Floats:
    """Even points in the unit ball or disc, (n, 3)."""
    ticks = (np.arange(16) + 0.5) / 8 - 1
    points = np.stack(np.meshgrid(ticks, ticks, ticks, indexing="ij"), axis=-1).reshape(-1, 3)
    squares = points**2
    return np.asarray(points[within_shape(squares[:, 0] + squares[:, 1], squares[:, 2], plate)])
