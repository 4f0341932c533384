"""The gate of the field kernel: ions become waves on a fine grid, and grids become smooth.

Sums are Gaussian windows around each voxel, as `scipy.ndimage.gaussian_filter` defines them: computed on cells of half
a voxel, cut at 3.5 standard deviations, zero beyond the box.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from aptstream import _field
from aptstream.errors import PlanError
from aptstream.points import NEITHER, PointCloud
from aptstream.sdm.kernel import CellBox
from aptstream.sdm.planes import Planes

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]

#: The solute fraction around an ion is taken over this standard deviation, in nm.
FRACTION_NM = 2.0
#: Cells of the fine grid in a voxel of 1 nm, and where Gaussians are cut, in standard deviations: their squares, which
#: are narrower by √2, at the same distance.
FINE, TRUNCATE = 2, 3.5
#: Cells around a box that its values depend on: ions there must be given too.
HALO_CELLS = 2 * int(np.ceil(TRUNCATE * FRACTION_NM))


@dataclass(frozen=True)
class IonWaves:
    """The ions of a box on its fine grid.

    Parameters
    ----------
    role : ndarray of int8, (n,)
        0 host, 1 solute, 2 neither, of each ion.
    cell : ndarray of int32, (n,)
        Cell of the fine grid; −1 outside or without a role.
    phase : ndarray of float32, (n,)
        Place between the planes of the doubled period, −π … π.
    shape : tuple of int
        Voxels of the box.
    """

    role: npt.NDArray[np.int8]
    cell: npt.NDArray[np.int32]
    phase: Floats
    shape: tuple[int, int, int]

    @cached_property
    def counts(self) -> tuple[Floats, Floats]:
        """Ions, and solute ions, of every fine cell."""
        every, solutes = np.zeros(self.fine_shape, dtype=np.float32), np.zeros(self.fine_shape, dtype=np.float32)
        _field.count(self.cell, self.role, every.reshape(-1), solutes.reshape(-1))
        return every, solutes

    @property
    def fine_shape(self) -> tuple[int, int, int]:
        """Cells of the fine grid."""
        x, y, z = (FINE * n for n in self.shape)
        return x, y, z

    def solute_fraction(self) -> Floats:
        """Solute fraction around every fine cell, over `FRACTION_NM`."""
        every, solutes = (smooth(grid, FRACTION_NM) for grid in self.counts)
        return (solutes / np.maximum(every, np.float32(1e-6))).astype(np.float32, copy=False)

    def order(self) -> tuple[Floats, Floats, Floats]:
        """Sum w cos φ, w sin φ and w² in every fine cell; w = (is solute) − (solute fraction around the cell)."""
        out = np.zeros((3, *self.fine_shape), dtype=np.float32)
        cosine, sine, fraction = np.cos(self.phase), np.sin(self.phase), self.solute_fraction()
        _field.deposit(self.cell, self.role, cosine, sine, fraction.reshape(-1), out.reshape(3, -1))
        real, imaginary, square = out
        return real, imaginary, square

    def planes(self, doubling: int) -> tuple[Floats, Floats]:
        """Sum cos nφ and sin nφ in every fine cell: the wave of the planes, n to a period."""
        out = np.zeros((2, *self.fine_shape), dtype=np.float32)
        phase = np.float32(doubling) * self.phase
        _field.wave(self.cell, np.cos(phase), np.sin(phase), out.reshape(2, -1))
        real, imaginary = out
        return real, imaginary


def ion_waves(cloud: PointCloud, role: Labels, planes: Planes, box: CellBox) -> IonWaves:
    """Find the cell and the phase of every ion.

    Parameters
    ----------
    cloud : PointCloud
        Ions; those outside the box are left out.
    role : ndarray of uint8, (n,)
        0 host, 1 solute, 2 neither, of each ion.
    planes : Planes
        Doubled period and tilt.
    box : CellBox
        Voxels of 1 nm.

    Returns
    -------
    IonWaves

    Raises
    ------
    PlanError
        If the cells of the box are not 1 nm wide, or a position is no number.
    """
    if box.stride_nm != 1:
        raise PlanError(f"A dark field needs cells of 1 nm, found {box.stride_nm} nm.")
    if not np.isfinite(cloud.position[role != NEITHER]).all():
        raise PlanError("Some positions are not finite numbers: remove those ions first.")
    corner = np.array(box.origin_nm, dtype=np.float64) + np.array(box.low)
    waves = IonWaves(role.astype(np.int8), np.empty(len(role), np.int32), np.empty(len(role), np.float32), box.shape)
    position, shape, slope = np.ascontiguousarray(cloud.position), np.array(waves.fine_shape), np.array(planes.slope)
    _field.locate(position, waves.role, corner, shape, FINE, planes.period_nm, slope, waves.cell, waves.phase)
    return waves


def smooth_squared(grid: Floats, sigma_nm: float) -> Floats:
    """Sum a fine grid in the squares of the Gaussian windows that `smooth` uses.

    Parameters
    ----------
    grid : ndarray of float32, (nx, ny, nz)
        Values of fine cells; left as it is.
    sigma_nm : float
        Standard deviation of the Gaussian that is squared, in nm.

    Returns
    -------
    ndarray of float32, (nx, ny, nz)
    """
    root = float(np.sqrt(2))
    # The square of a Gaussian is a narrower Gaussian, times the height of the first one and a constant.
    height = 1 / (8 * np.pi**1.5 * (FINE * sigma_nm) ** 3)
    return _smoothed(grid, gaussian(sigma_nm / root, TRUNCATE * root)) * np.float32(height)


def smooth(grid: Floats, sigma_nm: float) -> Floats:
    """Smooth a fine grid.

    Parameters
    ----------
    grid : ndarray of float32, (nx, ny, nz)
        Values of fine cells; left as it is.
    sigma_nm : float
        Standard deviation of the Gaussian in nm.

    Returns
    -------
    ndarray of float32, (nx, ny, nz)
    """
    return _smoothed(grid, gaussian(sigma_nm))


def _smoothed(grid: Floats, half: Floats) -> Floats:
    out = grid.copy()
    row = np.zeros(grid.shape[2] + 2 * (len(half) - 1), dtype=np.float32)
    _field.smooth(out, np.empty_like(out), row, half)
    return out


def on_voxels(grid: Floats) -> Floats:
    """Take the means of a fine grid over the voxels of 1 nm."""
    nx, ny, nz = (n // FINE for n in grid.shape)
    out = np.empty((nx, ny, nz), dtype=np.float32)
    _field.voxels(grid, out)
    return out


def gaussian(sigma_nm: float, truncate: float = TRUNCATE) -> Floats:
    """Half of a Gaussian kernel on the fine grid, from its middle to its end, as `scipy.ndimage` defines it.

    Parameters
    ----------
    sigma_nm : float
        Standard deviation in nm.
    truncate : float
        Where it is cut, in standard deviations.

    Returns
    -------
    ndarray of float32, (reach + 1,)
        Weights; both halves together sum to 1.
    """
    sigma = sigma_nm * FINE
    x = np.arange(int(truncate * sigma + 0.5) + 1)
    half = np.exp(-0.5 * (x / sigma) ** 2)
    weights: Floats = (half / (2 * half.sum() - half[0])).astype(np.float32)
    return weights
