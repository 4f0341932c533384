r"""Which species sits with which plane in the particles, and how ordered each particle is.

In a particle with solute fraction *c* give every ion the weight w = (is solute) − c and the phase φ of its height in
the doubled period, measured from the tilted planes. The wave of order is the mean of w e^{iφ}: A·S for the long-range
order parameter S (Bragg and Williams: occupancy of the solute sites by solute less that of the host sites; along the
pole), A = 1/4 for L1₂ along [011]. Its phase, which set of planes the solute chose, differs from particle to particle.
It is never fitted. Instead every ion is compared with all *other* ions of its particle around it (a Gaussian window of
1 nm), so that no ion votes for its own phase:

.. math:: t_{ww} = \langle w_i w_j \cos(\varphi_i-\varphi_j)\rangle_{i \ne j} = (A S)^2 D, \quad
          t_{aw} = \langle w_j \cos(\varphi_i-\varphi_j)\rangle_{i \in a,\, j \ne i} = m_a\, A S\, D, \quad
          t_{pp} = \langle \cos n(\varphi_i-\varphi_j)\rangle = \kappa^2 .

D = (κ²)^{1/n²} is what blur leaves of the doubled period (Debye and Waller; n planes to a period), known from the
planes themselves in the same window. So S = √(t_ww / D) / A, and the mean cosine of a species without blur is
m_a = t_aw / √(t_ww D): 1 where all its ions sit on the planes of the solute, −1 where all sit on the others. With two
planes to a period the share on the solute's planes is (1 + m_a)/2. Ions of the rim are left out where a particle has a
core: voxels whose six neighbours belong to it too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptstream.cloud.store import PointStore
from aptstream.grid.amplitudes import FEWEST_PARTS, SEEN_SIGMA, Estimate, jackknife
from aptstream.grid.phasemap import PhaseMap
from aptstream.grid.phases import OrderFrame
from aptstream.grid.sitesums import OWN_WEIGHT, PairSums, pair_sums
from aptstream.progress import Progress, silent

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: Order of a particle is stated if it is as many errors large.
STATED_SIGMA = 3.0


@dataclass(frozen=True)
class SiteShare:
    """Where the ions of one species sit in the particles.

    Parameters
    ----------
    species : str
        The species.
    n_ions : int
        Its ions in the voxels that were judged.
    mean_cosine : Estimate
        m: 1 = all on the planes of the solute, 0 = no preference, −1 = none there (two planes to a period).
    on_solute_planes : Estimate or None
        Share of its ions on the planes of the solute; None unless there are two planes to a period.
    """

    species: str
    n_ions: int
    mean_cosine: Estimate
    on_solute_planes: Estimate | None


@dataclass(frozen=True)
class ParticleOrder:
    """Order of one particle.

    Parameters
    ----------
    particle : int
        Its number.
    n_ions : int
        Ions of host and solute that were judged.
    in_core : bool
        Whether they are those of its core; else of all its voxels, the rim included.
    order : Estimate or None
        Long-range order parameter; None where it is not seen.
    """

    particle: int
    n_ions: int
    in_core: bool
    order: Estimate | None


@dataclass(frozen=True)
class Sites:
    """Site occupancy and order of the particles.

    Parameters
    ----------
    order : Estimate or None
        Long-range order parameter of the particles together (root of the mean square over pairs of ions); None where
        planes or order are not seen.
    shares : tuple of SiteShare
        One a species of host and solute that has ions there; empty where planes or order are not seen.
    particles : tuple of ParticleOrder
        One a particle.
    n_pooled : int
        Particles that `order` and `shares` are made from: those with a core, or all where none has one.
    by_particles : bool
        Whether errors of shares and order come from leaving out particles; else from the number of ions.
    """

    order: Estimate | None
    shares: tuple[SiteShare, ...]
    particles: tuple[ParticleOrder, ...]
    n_pooled: int
    by_particles: bool


def site_occupancy(phases: PhaseMap, store: PointStore, frame: OrderFrame, progress: Progress = silent) -> Sites:
    """Estimate which species sits with which plane in the particles, and the order of each particle.

    Parameters
    ----------
    phases : PhaseMap
        Which voxel belongs to which particle.
    store : PointStore
        The ions.
    frame : OrderFrame
        Planes, crystal and roles.
    progress : Progress
        Told of the stages ``cores`` and ``sites``, in bricks.

    Returns
    -------
    Sites

    Raises
    ------
    RangingError
        If a species is not among the ranged ones.
    StoreError
        If grid and store do not belong together, or the store is damaged.

    References
    ----------
    .. [1] Bragg and Williams, Proc. R. Soc. A 145, 699 (1934): long-range order.
    """
    sums = pair_sums(phases, store, frame, progress)
    return _answer(sums, frame)


def _answer(sums: PairSums, frame: OrderFrame) -> Sites:
    """Turn sums over pairs into order and shares."""
    doubling, amplitude = frame.crystal.doubling, frame.crystal.order_amplitude
    use = np.flatnonzero(sums.waves[:, 2] > 0)
    with_core = use[sums.in_core[use]]
    use = with_core if len(with_core) else use
    silent_ones = tuple(_of_particle(sums, label, None) for label in range(1, len(sums.ions)))
    if not len(use):
        return Sites(None, (), silent_ones, 0, by_particles=False)
    waves, species = sums.waves[use], sums.species[use]

    def pooled(waves: Floats, species: Floats) -> Floats:
        ww, pp, window = waves
        order2, planes2 = (max(value / window, 1e-12) for value in (ww, pp))
        damping = planes2 ** (1 / doubling**2)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(species[:, 1] > 0, species[:, 0] / species[:, 1], 0) / np.sqrt(order2 * damping)
        return np.array([ww / window, pp / window, np.sqrt(order2 / damping) / amplitude, *mean])

    by_particles = len(use) >= FEWEST_PARTS
    value = pooled(waves.sum(axis=0), species.sum(axis=0))
    if by_particles:
        left = [(waves.sum(axis=0) - a, species.sum(axis=0) - b) for a, b in zip(waves, species, strict=True)]
        sigma = jackknife(pooled, left)
    else:
        sigma = _by_ions(sums, use, value, frame)
    ww, pp, order = (Estimate(float(v), float(s)) for v, s in zip(value[:3], sigma[:3], strict=True))
    if ww.significance < STATED_SIGMA or pp.significance < SEEN_SIGMA:
        return Sites(None, (), silent_ones, 0, by_particles)
    shares = []
    for k, name in enumerate(sums.names):
        n = int(sums.ions[use, k].sum())
        if n:
            mean = Estimate(float(value[3 + k]), float(sigma[3 + k]))
            share = Estimate((1 + mean.value) / 2, mean.sigma / 2) if doubling == 2 else None
            shares.append(SiteShare(name, n, mean, share))
    scale = _Scale(amplitude, pp, doubling)
    found = tuple(_of_particle(sums, label, scale) for label in range(1, len(sums.ions)))
    return Sites(order, tuple(shares), found, len(use), by_particles)


@dataclass(frozen=True)
class _Scale:
    """What a wave of full order would be."""

    amplitude: float
    planes2: Estimate
    doubling: int

    def order(self, t: Estimate, variance: float) -> Estimate:
        """Order parameter from the mean of w w cos; the variance of an ion's weight over their number bounds its error.

        Few voxels scatter less by chance than their ions allow: the larger of both errors is taken.
        """
        n2 = self.doubling**2
        damping = self.planes2.value ** (1 / n2)
        order = np.sqrt(t.value / damping) / self.amplitude
        by_ions = np.sqrt(variance / 2 / damping) / self.amplitude
        by_voxels = order * t.sigma / t.value / 2
        of_scale = order * self.planes2.sigma / self.planes2.value / 2 / n2
        return Estimate(float(order), float(np.hypot(max(by_ions, by_voxels), of_scale)))


def _of_particle(sums: PairSums, label: int, scale: _Scale | None) -> ParticleOrder:
    """Order of one particle; its voxels are taken as independent parts."""
    order, window = None, sums.waves[label, 2]
    if scale is not None and window > 0:
        t = sums.waves[label, 0] / window
        order_t = Estimate(float(t), sums.error(label, t) / window)
        mean_variance = sums.variance[label] / max(int(sums.ions[label].sum()), 1)
        order = scale.order(order_t, mean_variance) if order_t.significance >= STATED_SIGMA else None
    return ParticleOrder(label, int(sums.ions[label].sum()), bool(sums.in_core[label]), order)


def _by_ions(sums: PairSums, use: Integers, value: Floats, frame: OrderFrame) -> Floats:
    """Errors where there are too few particles to leave some out."""
    t, planes2, order = value[:3]
    window = float(sums.waves[use, 2].sum())
    error_t = sums.error(use, t) / window
    n_ions = sums.ions[use].sum(axis=0)
    pairs = window / OWN_WEIGHT  # about as many pairs as windows at their middle
    error_planes = float(np.sqrt(1 / max(pairs, 1.0))) + 2 * planes2 / float(np.sqrt(max(int(n_ions.sum()), 1)))
    damping = max(planes2, 1e-12) ** (1 / frame.crystal.doubling**2)
    relative = np.hypot(error_t / max(abs(t), 1e-12) / 2, error_planes / max(planes2, 1e-12) / 8)
    means = np.hypot(1 / np.sqrt(2 * np.maximum(n_ions, 1) * damping), value[3:] * relative)
    return np.array([error_t, error_planes, order * relative, *means])
