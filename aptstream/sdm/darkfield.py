r"""Dark field: where the species alternate with the doubled period, without any training.

Like a dark-field image taken with a superlattice reflection: give every ion the weight *w* = (is solute) − *c* with *c*
the solute fraction around it, and add the waves :math:`w\,e^{iqz}`, :math:`q = 2\pi / \mathrm{period}`, in a Gaussian
window around each voxel. In units of its noise,

.. math:: P_s(\mathbf r) = \frac{\left|\sum_i G_s(\mathbf r-\mathbf r_i)\,w_i\,e^{iqz_i}\right|^2}
                               {\sum_i G_s(\mathbf r-\mathbf r_i)^2\,w_i^2},

which is 1 on average where the species stand at random.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from aptstream import _field
from aptstream.errors import PlanError
from aptstream.points import NEITHER, PointCloud, Roles
from aptstream.sdm.kernel import CellBox

Floats = npt.NDArray[np.float32]

#: Standard deviations of the Gaussian windows in nm.
SCALES_NM = (0.5, 0.7, 1.0, 1.4, 2.0)
#: The solute fraction around an ion is taken over this standard deviation, in nm.
FRACTION_NM = 2.0
#: Cells of the fine grid in a voxel of 1 nm, and where Gaussians are cut, in standard deviations.
FINE, TRUNCATE = 2, 3.5
#: Cells around a box that its values depend on: ions there must be given too.
HALO_CELLS = 2 * int(np.ceil(TRUNCATE * FRACTION_NM))


def dark_field(
    cloud: PointCloud, roles: Roles, period_nm: float, *, box: CellBox, scales_nm: Sequence[float] = SCALES_NM
) -> Floats:
    """Map the order of the species along z.

    Parameters
    ----------
    cloud : PointCloud
        Ions; those outside the box are left out. Give a box with a halo of `HALO_CELLS` cells to compute a part of a
        larger specimen exactly.
    roles : Roles
        Which species are host and solute.
    period_nm : float
        Doubled period along z in nm; see `fit_period`.
    box : CellBox
        Voxels of 1 nm.
    scales_nm : sequence of float
        Standard deviations of the Gaussian windows in nm.

    Returns
    -------
    ndarray of float32, (scales, nx, ny, nz)
        P of each voxel, 1 on average without order; 0 where there is no ion.

    Raises
    ------
    PlanError
        If the period or a scale is not positive, or the cells of the box are not 1 nm wide.

    Examples
    --------
    >>> z = np.arange(400) % 40 * 0.1432                      # planes of hosts and of solutes in turn
    >>> position = np.stack([np.arange(400) % 4, np.arange(400) // 40 % 4, z], axis=1).astype("f4")
    >>> species = (1 + np.round(z / 0.1432) % 2).astype("u1")
    >>> cloud = PointCloud(position, np.ones(400, "f4"), species, ("unranged", "Al", "Li"))
    >>> field = dark_field(cloud, Roles(("Al",), ("Li",)), 0.2864, box=CellBox((0, 0, 0), (0, 0, 0), (4, 4, 6)))
    >>> bool(field[4].max() > 20)
    True
    """
    lengths = np.array([period_nm, *scales_nm])
    if not (len(scales_nm) and np.isfinite(lengths).all() and (lengths > 0).all()) or box.stride_nm != 1:
        raise PlanError(
            f"A dark field needs a positive period, positive scales and cells of 1 nm; "
            f"found {period_nm} nm, {tuple(scales_nm)} nm and {box.stride_nm} nm."
        )
    role = roles.of(cloud.species_names).astype(np.int8)[cloud.species]
    nx, ny, nz = (FINE * n for n in box.shape)
    shape, corner = (nx, ny, nz), np.array(box.origin_nm, dtype=np.float64) + np.array(box.low)
    if not np.isfinite(cloud.position[role != NEITHER]).all():
        raise PlanError("Some positions are not finite numbers: remove those ions first.")
    cell = np.empty(len(role), dtype=np.int32)
    phase: Floats = np.empty(len(role), dtype=np.float32)
    position = np.ascontiguousarray(cloud.position)
    _field.locate(position, role, corner, np.array(shape), FINE, period_nm, cell, phase)
    scratch = np.empty(shape, dtype=np.float32)
    every, solutes = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    _field.count(cell, role, every.reshape(-1), solutes.reshape(-1))
    for grid in (every, solutes):
        _smooth(grid, scratch, FRACTION_NM)
    fraction = (solutes / np.maximum(every, 1e-6)).astype(np.float32, copy=False)
    waves = np.zeros((3, every.size), dtype=np.float32)
    cosine, sine = np.cos(phase), np.sin(phase)
    _field.deposit(cell, role, cosine, sine, fraction.reshape(-1), waves)
    return np.stack([_power(waves.reshape(3, *shape), scale, scratch) for scale in scales_nm])


def _power(waves: Floats, scale: float, scratch: Floats) -> Floats:
    """P of one scale on the voxels of 1 nm."""
    real, imaginary, noise = (wave.copy() for wave in waves)
    for grid in (real, imaginary):
        _smooth(grid, scratch, scale)
    # The square of a Gaussian is a narrower Gaussian, times the height of the first one and a constant.
    _smooth(noise, scratch, scale / float(np.sqrt(2)))
    height = 1 / (8 * np.pi**1.5 * (FINE * scale) ** 3)
    nx, ny, nz = (n // FINE for n in real.shape)
    power = np.empty((nx, ny, nz), dtype=np.float32)
    _field.power(real, imaginary, noise, height, power)
    return power


def _smooth(grid: Floats, scratch: Floats, sigma_nm: float) -> None:
    """Smooth a fine grid in place."""
    half = gaussian(sigma_nm)
    row = np.zeros(grid.shape[2] + 2 * (len(half) - 1), dtype=np.float32)
    _field.smooth(grid, scratch, row, half)


def gaussian(sigma_nm: float) -> Floats:
    """Half of a Gaussian kernel on the fine grid, from its middle to its end, as `scipy.ndimage` defines it.

    Parameters
    ----------
    sigma_nm : float
        Standard deviation in nm.

    Returns
    -------
    ndarray of float32, (reach + 1,)
        Weights; both halves together sum to 1.
    """
    sigma = sigma_nm * FINE
    x = np.arange(int(TRUNCATE * sigma + 0.5) + 1)
    half = np.exp(-0.5 * (x / sigma) ** 2)
    weights: Floats = (half / (2 * half.sum() - half[0])).astype(np.float32)
    return weights


def fit_period(cloud: PointCloud, roles: Roles, period_nm: float, *, stretch: float = 0.08) -> float:
    """Fit the doubled period to the specimen's own planes, which are sharper than its order.

    The power of the planes (half the period) is summed over columns 1 nm wide and 4 nm deep, on a coarse and then a
    fine ladder of periods, and the top of the parabola through the best three is taken.

    Parameters
    ----------
    cloud : PointCloud
        Ions; of more than 400 000 an even sample is used.
    roles : Roles
        Ions of other species are left out.
    period_nm : float
        Expected doubled period in nm.
    stretch : float
        Largest relative deviation that is looked for.

    Returns
    -------
    float
        Doubled period in nm.

    Raises
    ------
    PlanError
        If there is no ion to fit to.
    """
    role = roles.of(cloud.species_names)[cloud.species]
    position = cloud.position[role != NEITHER].astype(np.float64)
    if not len(position):
        raise PlanError("The period cannot be fitted: there is no ion of host or solute.")
    if not np.isfinite(position).all():
        raise PlanError("Some positions are not finite numbers: remove those ions first.")
    position = position[:: -(-len(position) // 400_000)]
    column = np.floor((position - position.min(axis=0)) / (1, 1, 4)).astype(np.int64)
    flat = np.ravel_multi_index(tuple(column.T), tuple(column.max(axis=0) + 1))

    def power(factor: float) -> float:
        phase = 4 * np.pi / (period_nm * factor) * position[:, 2]
        return float((np.bincount(flat, np.cos(phase)) ** 2 + np.bincount(flat, np.sin(phase)) ** 2).sum())

    coarse = np.arange(1 - stretch, 1 + stretch + 1e-9, 0.004)
    best = coarse[int(np.argmax([power(factor) for factor in coarse]))]
    fine = best + np.arange(-0.005, 0.0051, 0.001)
    powers = np.array([power(factor) for factor in fine])
    top = int(np.clip(powers.argmax(), 1, len(fine) - 2))
    a, b, _ = np.polyfit(fine[top - 1 : top + 2] - fine[top], powers[top - 1 : top + 2], 2)
    shift = -b / (2 * a) if a < 0 else 0.0
    return float(period_nm * (fine[top] + np.clip(shift, -0.001, 0.001)))
