r"""Dark field: where the species alternate with the doubled period, without any training.

Like a dark-field image taken with a superlattice reflection: give every ion the weight *w* = (is solute) − *c* with *c*
the solute fraction around it, and add the waves :math:`w\,e^{iqz}`, :math:`q = 2\pi / \mathrm{period}`, in a Gaussian
window around each voxel. In units of its noise,

.. math:: P_s(\mathbf r) = \frac{|F_s|^2}{V_s}, \quad F_s = \sum_i G_s(\mathbf r-\mathbf r_i)\,w_i\,e^{iqz_i},
          \quad V_s = \sum_i G_s(\mathbf r-\mathbf r_i)^2\,w_i^2,

which is 1 on average where the species stand at random. In units of what a perfectly ordered crystal would show, with
*A* its amplitude an ion, :math:`|F_s| / (A \sum_i G_s)` is the order parameter, but for the blur, which the planes
themselves tell: with :math:`\kappa` their coherence, the doubled period is damped by :math:`\kappa^{1/n^2}`, n planes
to a period (Debye and Waller).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from aptstream.crystal import Crystal
from aptstream.errors import PlanError
from aptstream.points import HOST, NEITHER, SOLUTE, PointCloud, Roles
from aptstream.sdm.field import (
    FINE,
    FRACTION_NM,
    Floats,
    IonWaves,
    Labels,
    ion_waves,
    on_voxels,
    smooth,
    smooth_squared,
)
from aptstream.sdm.kernel import CellBox
from aptstream.sdm.planes import Planes

#: Standard deviations of the Gaussian windows in nm.
SCALES_NM = (0.5, 0.7, 1.0, 1.4, 2.0)
#: Pairs of scales, by number: the finer is projected on the direction of the coarser.
LINEAR_PAIRS = ((0, 2), (1, 2), (1, 3), (2, 3), (3, 4))
#: Standard deviations of the windows in which the composition is kept beside the order, in nm.
COMPOSITION_NM = (0.7, 1.0, 1.4)
#: Standard deviation over which the coherence of the planes is taken, in nm.
COHERENCE_NM = 2.0
#: Constants of a well-mixed hash (splitmix64).
_MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
#: Ions that are hashed at once.
_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class OrderField:
    """What the waves of a box say of order, voxel by voxel; still without the specimen's blur.

    Parameters
    ----------
    power : ndarray of float32, (5, nx, ny, nz)
        P of every scale; 1 on average without order, 0 where there is no ion.
    locked : ndarray of float32, (5, nx, ny, nz)
        The part of P in step with the planes, (P + Re(F² u*) / V) / 2, u the unit wave of the planes.
    linear : ndarray of float32, (5, nx, ny, nz)
        F of the finer scale of each of `LINEAR_PAIRS` along that of the coarser, in units of full order without blur.
    order : ndarray of float32, (5, nx, ny, nz)
        |F| less its noise, in units of full order without blur.
    strength : ndarray of float32, (nx, ny, nz)
        A²/V at 1 nm: what full order without blur would have for P.
    coherence2 : ndarray of float32, (nx, ny, nz)
        κ², squared coherence of the planes, less its noise: 1 for ions on sharp planes, about 0 (of either sign)
        without planes.
    solute : ndarray of float32, (3, nx, ny, nz)
        Solute fraction over each of `COMPOSITION_NM`: no sign of order, kept for models that look at both.
    density : ndarray of float32, (nx, ny, nz)
        Ions of host and solute in a nm³, over 1 nm: little where there is vacuum.
    """

    power: Floats
    locked: Floats
    linear: Floats
    order: Floats
    strength: Floats
    coherence2: Floats
    solute: Floats
    density: Floats

    @property
    def stacked(self) -> Floats:
        """All of them, (26, nx, ny, nz); see `unstack`."""
        single = (self.strength[None], self.coherence2[None], self.density[None])
        return np.concatenate([self.power, self.locked, self.linear, self.order, *single, self.solute])

    @classmethod
    def unstack(cls, stacked: Floats) -> OrderField:
        """Take apart what `stacked` put together."""
        n = len(SCALES_NM)
        power, locked, linear, order = (stacked[k * n : (k + 1) * n] for k in range(4))
        strength, coherence2, density = stacked[4 * n : 4 * n + 3]
        return cls(power, locked, linear, order, strength, coherence2, stacked[4 * n + 3 :], density)


#: Maps of an order field.
N_MAPS = 4 * len(SCALES_NM) + 3 + len(COMPOSITION_NM)


def dark_field(
    cloud: PointCloud, roles: Roles, planes: Planes, *, box: CellBox, scales_nm: Sequence[float] = SCALES_NM
) -> Floats:
    """Map the order of the species along z.

    Parameters
    ----------
    cloud : PointCloud
        Ions; those outside the box are left out. Give a box with a halo of `aptstream.sdm.field.HALO_CELLS` cells to
        compute a part of a larger specimen exactly.
    roles : Roles
        Which species are host and solute.
    planes : Planes
        Doubled period and tilt; see `aptstream.sdm.planes.fit_planes`.
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
        If a scale is not positive, a position is no number, or the cells of the box are not 1 nm wide.

    Examples
    --------
    >>> z = np.arange(400) % 40 * 0.1432                      # planes of hosts and of solutes in turn
    >>> position = np.stack([np.arange(400) % 4, np.arange(400) // 40 % 4, z], axis=1).astype("f4")
    >>> species = (1 + np.round(z / 0.1432) % 2).astype("u1")
    >>> cloud = PointCloud(position, np.ones(400, "f4"), species, ("unranged", "Al", "Li"))
    >>> box = CellBox((0, 0, 0), (0, 0, 0), (4, 4, 6))
    >>> bool(dark_field(cloud, Roles(("Al",), ("Li",)), Planes(0.2864), box=box)[4].max() > 20)
    True
    """
    scales = np.array(scales_nm, dtype=np.float64)
    if not (len(scales) and np.isfinite(scales).all() and (scales > 0).all()):
        raise PlanError(f"A dark field needs positive scales, found {tuple(scales_nm)} nm.")
    waves = ion_waves(cloud, roles.of(cloud.species_names)[cloud.species], planes, box)
    order = waves.order()
    return np.stack([_power(*_windows(order, scale)) for scale in scales_nm])


def order_field(cloud: PointCloud, role: Labels, planes: Planes, crystal: Crystal, *, box: CellBox) -> OrderField:
    """Map everything that the waves of a box say of order.

    Parameters
    ----------
    cloud : PointCloud
        Ions; those outside the box are left out. Give a box with a halo of `aptstream.sdm.field.HALO_CELLS` cells to
        compute a part of a larger specimen exactly.
    role : ndarray of uint8, (n,)
        0 host, 1 solute, 2 neither, of each ion; see `shuffled_roles` for a control.
    planes : Planes
        Doubled period and tilt.
    crystal : Crystal
        What full order would be.
    box : CellBox
        Voxels of 1 nm.

    Returns
    -------
    OrderField

    Raises
    ------
    PlanError
        If a position is no number, or the cells of the box are not 1 nm wide.
    """
    waves = ion_waves(cloud, role, planes, box)
    order, (every, solutes) = waves.order(), waves.counts
    wave_of_planes, coherence2 = _planes_of(waves, crystal)
    found = [_windows(order, scale) for scale in SCALES_NM]
    f = np.stack([real + 1j * imaginary for real, imaginary, _ in found])
    noise = np.stack([v for _, _, v in found])
    full = np.stack([crystal.order_amplitude * on_voxels(smooth(every, scale)) for scale in SCALES_NM])
    full = np.maximum(full, np.float32(2.5e-4))
    power = np.stack([_power(*window) for window in found])
    with np.errstate(divide="ignore", invalid="ignore"):
        lock = np.where(noise > NOTHING, (f * f * np.conj(wave_of_planes)).real / noise, 0)
    linear = [(f[i] * np.conj(f[j])).real / np.maximum(np.abs(f[j]), 1e-12) / full[i] for i, j in LINEAR_PAIRS]
    return OrderField(
        power=power,
        locked=((power + lock) / 2).astype(np.float32),
        linear=np.stack(linear).astype(np.float32),
        order=(np.sqrt(np.maximum(power - 1, 0) * noise) / full).astype(np.float32),
        strength=(full[2] ** 2 / np.maximum(noise[2], NOTHING)).astype(np.float32),
        coherence2=coherence2,
        solute=np.stack([_ratio(on_voxels(smooth(solutes, s)), on_voxels(smooth(every, s))) for s in COMPOSITION_NM]),
        density=on_voxels(smooth(every, SCALES_NM[2])) * np.float32(FINE**3),
    )


def shuffled_roles(cloud: PointCloud, role: Labels, solute_fraction: float, number: int) -> Labels:
    """Draw the roles of the ions anew: a control without any order.

    Each ion of host or solute becomes a solute with the same probability wherever it stands. The draw is a hash of its
    position, so that it is the same however a specimen is cut into boxes.

    Parameters
    ----------
    cloud : PointCloud
        The ions.
    role : ndarray of uint8, (n,)
        0 host, 1 solute, 2 neither, of each ion.
    solute_fraction : float
        Solute ions / ions of host and solute in the specimen.
    number : int
        Which control: each is drawn independently of the others.

    Returns
    -------
    ndarray of uint8, (n,)
    """
    least = np.uint64(ceil(solute_fraction * 2**53))  # of 53 random bits
    drawn = np.empty(len(role), dtype=np.uint8)
    for start in range(0, len(role), _AT_ONCE):  # so few that their bits stay in the cache
        bits = np.ascontiguousarray(cloud.position[start : start + _AT_ONCE].T).view(np.uint32)
        mixed = _mixed(bits, np.uint64((number * _MIX[0]) & (2**64 - 1)))
        drawn[start : start + _AT_ONCE] = np.where((mixed >> np.uint64(11)) < least, SOLUTE, HOST)
    drawn[role == NEITHER] = NEITHER
    return drawn


def _mixed(bits: npt.NDArray[np.uint32], seed: np.uint64) -> npt.NDArray[np.uint64]:
    """Hash a column of three numbers each, (3, n)."""
    mixed = np.full(bits.shape[1], seed, dtype=np.uint64)
    shifted = np.empty_like(mixed)
    for row in bits:
        mixed ^= row
        mixed += np.uint64(_MIX[0])
        for shift, factor in ((30, _MIX[1]), (27, _MIX[2]), (31, 1)):
            mixed ^= np.right_shift(mixed, np.uint64(shift), out=shifted)
            mixed *= np.uint64(factor)
    return mixed


#: Noise below which a voxel holds no ion.
NOTHING = 1e-12


def _windows(order: tuple[Floats, Floats, Floats], scale: float) -> tuple[Floats, Floats, Floats]:
    """Real and imaginary part of F, and V, of one scale on the voxels."""
    real, imaginary, square = order
    return on_voxels(smooth(real, scale)), on_voxels(smooth(imaginary, scale)), on_voxels(smooth_squared(square, scale))


def _power(real: Floats, imaginary: Floats, noise: Floats) -> Floats:
    """|F|²/V; 0 where there is no ion."""
    return _ratio(real**2 + imaginary**2, noise)


def _ratio(values: Floats, of: Floats) -> Floats:
    """Quotient; 0 where there is no ion."""
    ratio = np.zeros_like(of)
    np.divide(values, of, out=ratio, where=of > NOTHING)
    return ratio


def _planes_of(waves: IonWaves, crystal: Crystal) -> tuple[npt.NDArray[np.complex64], Floats]:
    """Return the unit wave of the planes, and their squared coherence, on the voxels."""
    every, _ = waves.counts
    real, imaginary = (smooth(part, COHERENCE_NM) for part in waves.planes(crystal.doubling))
    ions = smooth(every, COHERENCE_NM)
    noise = smooth_squared(every, COHERENCE_NM)
    # (|F|² − noise) / ions² is κ²; it is averaged with the weight of the ions.
    squared = ((real**2 + imaginary**2 - noise) / np.maximum(ions, np.float32(1e-6))).astype(np.float32, copy=False)
    smooth_ions = np.maximum(on_voxels(smooth(ions, FRACTION_NM)), np.float32(1e-6))
    coherence2 = (on_voxels(smooth(squared, FRACTION_NM)) / smooth_ions).astype(np.float32)
    wave = on_voxels(real) + 1j * on_voxels(imaginary)
    return (wave / np.maximum(np.abs(wave), 1e-12)).astype(np.complex64), coherence2
