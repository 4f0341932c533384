"""Sites of a crystal, plane by plane along its pole."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from aptstream.crystal import Crystal
from aptstream.errors import PlanError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: Largest Miller index of a pole along which sites can be listed.
HIGHEST_INDEX = 12


@dataclass(frozen=True)
class PlaneLattice:
    """A lattice as planes of cells normal to z, each shifted against the one below.

    Parameters
    ----------
    rows : ndarray of int64, (3, 3)
        Steps to the next cell within a plane, twice, and to the next plane, in cells of the crystal.
    steps_nm : ndarray of float64, (3, 3)
        The same in nm along x, y, z: the first two lie in the plane.
    sites_nm : ndarray of float64, (n_sites, 3)
        Sites of a cell from the cell's corner in nm, less than a plane's distance above it.
    planes : ndarray of int64, (n_sites,)
        How many planes above the corner's cell the cell lies that a site belongs to in the crystal's table.
    """

    rows: Integers
    steps_nm: Floats
    sites_nm: Floats
    planes: Integers

    @property
    def spacing_nm(self) -> float:
        """Distance of two planes of cells in nm."""
        return float(self.steps_nm[2, 2])

    def cells(self, low_nm: Floats, high_nm: Floats, first: int, last: int) -> tuple[Integers, npt.NDArray[np.float32]]:
        """List the cells whose sites can lie in a rectangle, on some planes.

        Parameters
        ----------
        low_nm, high_nm : ndarray of float64, (2,)
            Corners of the rectangle in x and y.
        first, last : int
            Planes, the last one not included.

        Returns
        -------
        steps : ndarray of int64, (n, 3)
            Steps along both rows and up.
        corner_nm : ndarray of float32, (n, 3)
            Where the cell begins.
        """
        low, high = low_nm - self.sites_nm[:, :2].max(axis=0), high_nm - self.sites_nm[:, :2].min(axis=0)
        plane = np.arange(first, last)
        across = np.linalg.inv(self.steps_nm[:2, :2])[:, 1]  # steps along the second row, for each nm of x and y
        corners = np.array(list(product(*zip(low, high, strict=True)))) @ across
        shift = plane[:, None] * self.steps_nm[2, :2]
        which, second = _ragged(np.ceil(corners.min() - shift @ across), np.floor(corners.max() - shift @ across))
        begin = shift[which] + second[:, None] * self.steps_nm[1, :2]
        bounds = np.array([np.full(len(begin), -np.inf), np.full(len(begin), np.inf)])
        for axis, step in enumerate(self.steps_nm[0, :2]):
            if abs(step) > 1e-9:
                ends = np.sort([(low[axis] - begin[:, axis]) / step, (high[axis] - begin[:, axis]) / step], axis=0)
                bounds = np.array([np.maximum(bounds[0], ends[0]), np.minimum(bounds[1], ends[1])])
            else:
                outside = (begin[:, axis] < low[axis]) | (begin[:, axis] > high[axis])
                bounds[1, outside] = -np.inf
        line, along = _ragged(np.ceil(bounds[0]), np.floor(np.maximum(bounds[1], bounds[0] - 1)))
        steps = np.stack([along, second[line], plane[which[line]]], axis=1)
        return steps, (steps @ self.steps_nm).astype(np.float32)

    def site_of(self, steps: Integers, site: Integers, repeat: tuple[int, int, int]) -> Integers:
        """Index of sites in the table of a repeat of cells, see `aptstream.crystal.Variants`, (n,).

        Parameters
        ----------
        steps : ndarray of int64, (n, 3)
            Their cells.
        site : ndarray of int64, (n,)
            Which site of the cell.
        repeat : tuple of int
            Cells of the repeat.
        """
        below = np.zeros_like(steps)
        below[:, 2] = self.planes[site]
        cell = (steps - below) @ self.rows % np.array(repeat)
        index: Integers = (cell[:, 0] * repeat[1] + cell[:, 1]) * repeat[2] + cell[:, 2]
        return index * len(self.sites_nm) + site


def plane_lattice(crystal: Crystal) -> PlaneLattice:
    """Find the planes of cells of a crystal's parent.

    Parameters
    ----------
    crystal : Crystal
        Structure and pole.

    Returns
    -------
    PlaneLattice

    Raises
    ------
    PlanError
        If an index of the pole is larger than 12.

    Examples
    --------
    >>> round(plane_lattice(Crystal("FCC", 0.405, (1, 1, 1))).spacing_nm, 4)     # of cells; of atoms a third
    0.2338
    """
    parent = crystal.parent
    highest = max(abs(index) for index in parent.pole)
    if highest > HIGHEST_INDEX:
        raise PlanError(
            f"Specimens are simulated along poles with indices up to {HIGHEST_INDEX}; found {parent.pole}. "
            f"Choose a pole of lower indices."
        )
    to_nm = parent.cell_nm @ parent.frame.T
    cells = np.array(list(product(range(-highest - 1, highest + 2), repeat=3)))
    cells = cells[np.argsort(np.linalg.norm(cells @ to_nm, axis=1), kind="stable")]
    level = cells @ np.array(parent.pole)
    flat = cells[(level == 0) & cells.any(axis=1)]
    # Two in-plane steps span all cells of the plane if their cross product is the pole itself.
    spans = np.abs(np.cross(flat[0], flat)).sum(axis=1) == np.abs(parent.pole).sum()
    above = cells[level == 1]
    lateral = np.linalg.norm((above @ to_nm)[:, :2], axis=1)
    rows = np.stack([flat[0], flat[spans][0], above[lateral.argmin()]])
    steps_nm = rows @ to_nm
    steps_nm[:2, 2] = 0
    sites = np.array(parent.structure.sites)
    planes = np.floor(sites @ np.array(parent.pole) + 1e-9).astype(np.int64)
    sites_nm = sites @ to_nm - planes[:, None] * steps_nm[2]
    return PlaneLattice(rows, steps_nm, sites_nm, planes)


def _ragged(first: Floats, last: Floats) -> tuple[Integers, Integers]:
    """All whole numbers from `first` to `last` of every row: the row and the number."""
    length = np.maximum(last - first + 1, 0).astype(np.int64)
    row = np.repeat(np.arange(len(length)), length)
    start = np.cumsum(length) - length
    return row, np.arange(len(row)) - start[row] + first.astype(np.int64)[row]
