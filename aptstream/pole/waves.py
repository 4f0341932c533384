"""Plane waves of the ions of small regions, on a grid of wave vectors; the gate to the compiled kernel.

Regions are ellipsoids: as wide as a dome stays flat, as deep as to hold enough ions. The power of a wave is 1 on
average where ions stand anywhere. Its logarithm is averaged over the depth, so that no single region makes a peak.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, cos, radians, sin

import numpy as np
import numpy.typing as npt
from scipy import fft

from aptstream import _waves

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

#: Mean and variance of log(1 + power) where ions stand anywhere: the power has an exponential distribution.
CHANCE, CHANCE_VARIANCE = 0.596347, 0.176301
#: A window ends at so many standard deviations.
WINDOW_END = 2.45


@dataclass(frozen=True)
class WaveGrid:
    """Wave vectors that are looked at, and the windows of the regions.

    Parameters
    ----------
    least_per_nm, most_per_nm : float
        Shortest and longest wave vector: spacings from 0.113 to 0.26 nm.
    cone_deg : float
        Largest angle between wave vector and z.
    lateral_nm, axial_nm : float
        Standard deviations of a region's window.
    n_side : int
        Lateral wave numbers along x and along y.
    cell_nm : float
        Cell to which the place of an ion is rounded.
    step_per_nm : float
        Distance of wave numbers along z.
    """

    least_per_nm: float = 3.85
    most_per_nm: float = 8.8
    cone_deg: float = 41.0
    lateral_nm: float = 1.5
    axial_nm: float = 3.0
    n_side: int = 72
    cell_nm: float = 0.1
    step_per_nm: float = 0.06

    @property
    def window_nm(self) -> Floats:
        """Standard deviations of a region's window along x, y and z, (3,)."""
        return np.array([self.lateral_nm, self.lateral_nm, self.axial_nm])

    @cached_property
    def lateral_per_nm(self) -> Floats:
        """Lateral wave numbers in the order of the FFT, (n_side,)."""
        return np.asarray(np.fft.fftfreq(self.n_side, self.cell_nm), np.float64)

    @cached_property
    def axial_per_nm(self) -> Floats:
        """Wave numbers along z, with room for side bands below and above; a multiple of 8."""
        low = self.least_per_nm * cos(radians(self.cone_deg)) - SIDE_BAND[1]
        n = 8 * ceil((self.most_per_nm + SIDE_BAND[1] - low) / self.step_per_nm / 8)
        return np.asarray(low + self.step_per_nm * np.arange(n), np.float64)

    @cached_property
    def span(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """First wave number along z inside bounds and cone, and the one behind the last, (n_side, n_side) each.

        Both side bands are there for each of them.
        """
        square = self.lateral_per_nm[:, None] ** 2 + self.lateral_per_nm**2
        least = np.sqrt(np.maximum(self.least_per_nm**2 - square, 0))
        steep = np.sqrt(square) * cos(radians(self.cone_deg)) / sin(radians(self.cone_deg))
        most = np.sqrt(np.maximum(self.most_per_nm**2 - square, 0))
        far = self.side_band[1]
        low = np.maximum(np.searchsorted(self.axial_per_nm, np.maximum(least, steep)), far).astype(np.int32)
        high = np.minimum(np.searchsorted(self.axial_per_nm, most), len(self.axial_per_nm) - far).astype(np.int32)
        return low, np.maximum(low, high)

    @property
    def side_band(self) -> tuple[int, int]:
        """Side bands begin and end so many wave numbers along z beside a peak."""
        near, far = (round(band / self.step_per_nm) for band in SIDE_BAND)
        return near, far

    def wave(self, cell: Sequence[int]) -> Floats:
        """Wave vector of a cell of the grid, (3,) per nm."""
        x, y, z = cell
        return np.array([self.lateral_per_nm[x], self.lateral_per_nm[y], self.axial_per_nm[z]])


#: Side bands along z with which a peak is compared: from so far off to so far, per nm.
SIDE_BAND = (0.25, 0.6)


def mean_log_power(position: Singles, centres_nm: Floats, grid: WaveGrid) -> Singles:
    """Average log(1 + power) over regions.

    Parameters
    ----------
    position : ndarray of float32, (n, 3)
        Ions in nm, sorted by z.
    centres_nm : ndarray of float64, (n_regions, 3)
        Middles of the regions.
    grid : WaveGrid
        Wave vectors and windows.

    Returns
    -------
    ndarray of float32, (n_side, n_side, n_axial)
    """
    shape = (grid.n_side, grid.n_side, len(grid.axial_per_nm))
    mean, waves = np.zeros(shape, np.float32), np.empty((*shape, 2), np.float32)
    reach, low = WINDOW_END * grid.axial_nm, float(grid.axial_per_nm[0])
    heights = np.ascontiguousarray(position[:, 2])
    for centre in centres_nm:
        start, stop = np.searchsorted(heights, (centre[2] - reach, centre[2] + reach))
        numbers = np.array([*centre, grid.lateral_nm, grid.axial_nm, WINDOW_END, grid.cell_nm])
        squares = _waves.spread(np.ascontiguousarray(position[start:stop]), numbers, low, grid.step_per_nm, waves)
        if squares > 0:
            spectrum = fft.fft2(waves.view(np.complex64)[..., 0], axes=(0, 1), overwrite_x=True)
            spectrum = np.ascontiguousarray(spectrum)
            _waves.add_log(spectrum.view(np.float32).reshape(*shape, 2), 1 / squares, mean)
    return mean / np.float32(max(1, len(centres_nm)))


def strongest(
    maps: Sequence[Singles], n_regions: npt.NDArray[np.int64], away_nm: Floats, curvature_per_nm: float, grid: WaveGrid
) -> tuple[float, tuple[int, int, int]]:
    """Find the wave vector at which neighbouring columns agree most that it stands out.

    Parameters
    ----------
    maps : sequence of ndarray of float32
        Of every column, as `mean_log_power` gives it.
    n_regions : ndarray of int64, (n,)
        Regions of every column: their weight.
    away_nm : ndarray of float64, (n, 2)
        x and y of every column from the one in the middle.
    curvature_per_nm : float
        Of the dome: a wave leans outwards by so much of its length a nm.
    grid : WaveGrid
        Wave vectors.

    Returns
    -------
    contrast : float
        Power of the stack less that of its side bands, in standard deviations of chance.
    cell : tuple of int
        Where.
    """
    n_axial = len(grid.axial_per_nm)
    quarters = grid.axial_per_nm[(np.arange(4) * 2 + 1) * n_axial // 8] * 1.06
    per_cell = curvature_per_nm * grid.n_side * grid.cell_nm
    shift = np.rint(per_cell * quarters[None, :, None] * away_nm[:, None, :]).astype(np.int32) % grid.n_side
    room, best = np.zeros(2 * (n_axial + 16), np.float32), np.zeros(4)
    share = (n_regions / n_regions.sum()).astype(np.float32)
    _waves.stack(list(maps), share, np.ascontiguousarray(shift), *grid.span, *grid.side_band, room, best)
    contrast, x, y, z = best
    scatter = 1.1 * (CHANCE_VARIANCE / float(n_regions.sum())) ** 0.5
    return float(contrast) / scatter, (int(x), int(y), int(z))


def add_bent_waves(position: Singles, numbers: Floats, waves: npt.NDArray[np.complex64], ions: Singles) -> None:
    """Sum the waves of ions, with the phase of bent planes, in the cells of a grid; ions outside are left out.

    Parameters
    ----------
    position : ndarray of float32, (n, 3)
        Ions in nm.
    numbers : ndarray of float64, (18,)
        Centre, wave there and its bend (xx, xy, xz, yy, yz, zz) of the planes; low corner and edges of the cells.
    waves, ions : ndarray of complex64 and float32, (nx, ny, nz)
        Added to.
    """
    flat = waves.view(np.float32).reshape(*waves.shape, 2)
    _waves.sum_waves(np.ascontiguousarray(position, np.float32), numbers, flat, ions)


def mean_of_splines(weights: Singles, at: Floats) -> float:
    """Average cubic splines, each at a place of its own.

    Parameters
    ----------
    weights : ndarray of float32, (n, nx, ny, nz)
        Of each spline.
    at : ndarray of float64, (n, 3)
        Places in cells, from 1 to less than the number of cells less 2.

    Returns
    -------
    float
    """
    return _waves.sum_splines(weights, np.ascontiguousarray(at)) / len(at)
