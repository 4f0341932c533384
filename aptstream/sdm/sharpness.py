"""How sharp the planes of a specimen are: the blur along z, apart from the bow of the planes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptstream.errors import PlanError
from aptstream.points import NEITHER, PointCloud
from aptstream.sdm.field import Labels, ion_waves, smooth, smooth_squared
from aptstream.sdm.kernel import CellBox
from aptstream.sdm.planes import Planes

#: Standard deviations of the windows in which the coherence is taken, in nm.
WINDOWS_NM = (0.5, 0.7, 1.0)
#: Smallest squared coherence that is told from none.
LEAST = 1e-6


@dataclass(frozen=True)
class PlaneBlur:
    """How far ions stand off their planes.

    Parameters
    ----------
    sigma_nm : float
        Standard deviation of the heights above the planes in nm.
    slope : float
        Root mean square of what the planes still rise against those that were fitted, nm a nm: tilt and bow.
    coherence : float
        κ = |mean of exp(2πi z / spacing)| in small windows: 1 for sharp planes.
    """

    sigma_nm: float
    slope: float
    coherence: float


def plane_blur(
    cloud: PointCloud, role: Labels, planes: Planes, *, box: CellBox, doubling: int = 2, astray: float = 0.0
) -> PlaneBlur:
    r"""Measure how sharp the planes are.

    In a Gaussian window of standard deviation s around a point, the squared coherence of the planes is
    :math:`\kappa^2 e^{-q^2 t^2 s^2}`, q = 2π / spacing, t the slope that is left: its logarithm falls on a line in s²,
    whose start tells the blur, :math:`\kappa = e^{-q^2 \sigma^2 / 2}` (Debye and Waller), and whose slope tells t.

    Parameters
    ----------
    cloud : PointCloud
        Ions; those outside the box are left out.
    role : ndarray of uint8, (n,)
        0 host, 1 solute, 2 neither, of each ion.
    planes : Planes
        Period and tilt, as fitted.
    box : CellBox
        Voxels of 1 nm.
    doubling : int
        Planes in a period.
    astray : float
        Share of the ions of host and solute that belong to no plane, such as background.

    Returns
    -------
    PlaneBlur
        On simulated specimens of 24 × 24 × 30 nm with σ = 0.02–0.05 nm it is right within 6 %.

    Raises
    ------
    PlanError
        If the box holds no ion with a role, or a position is no number.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> position = rng.uniform(0, 12, (40_000, 3))
    >>> position[:, 2] = np.round(position[:, 2] / 0.15) * 0.15 + rng.normal(0, 0.03, 40_000)
    >>> cloud = PointCloud(position.astype("f4"), np.ones(40_000, "f4"), np.ones(40_000, "u1"), ("unranged", "Al"))
    >>> box = CellBox((0, 0, 0), (0, 0, 0), (12, 12, 12))
    >>> round(plane_blur(cloud, np.zeros(40_000, "u1"), Planes(0.3), box=box).sigma_nm, 3)
    0.03
    """
    if not (role != NEITHER).any():
        raise PlanError("The planes cannot be measured: there is no ion of host or solute.")
    waves = ion_waves(cloud, role, planes, box)
    parts, (every, _) = waves.planes(doubling), waves.counts
    squared = []
    for window in WINDOWS_NM:
        real, imaginary, ions = (_double(smooth(grid, window)) for grid in (*parts, every))
        noise = _double(smooth_squared(every, window))  # what ions that stand anywhere add
        signal, most = (real**2 + imaginary**2 - noise).sum(), (ions**2 - noise).sum()
        squared.append(max(float(signal / most), LEAST) if most > 0 else LEAST)
    fall, start = np.polyfit(np.square(WINDOWS_NM), np.log(squared), 1)
    wave = 2 * np.pi * doubling / planes.period_nm
    exponent = min(float(start) - 2 * np.log1p(-min(astray, 0.99)), 0.0)
    return PlaneBlur(
        sigma_nm=float(np.sqrt(-exponent)) / wave,
        slope=float(np.sqrt(max(-fall, 0.0))) / wave,
        coherence=float(np.exp(min(start, 0.0) / 2)),
    )


def _double(grid: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    return grid.astype(np.float64)
