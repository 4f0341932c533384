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
from aptstream.phases.amplitudes import FEWEST_PARTS, SEEN_SIGMA, Estimate, jackknife
from aptstream.phases.phasemap import PhaseMap
from aptstream.phases.sitesums import OWN_WEIGHT, PairSums, pair_sums
from aptstream.phases.species import OrderFrame
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
    use = np.flatnonzero(sums.waves[:, 1] > 0)
    with_core = use[sums.in_core[use]]
    use = with_core if len(with_core) else use
    silent_ones = tuple(_of_particle(sums, label, None) for label in range(1, len(sums.ions)))
    if not len(use):
        return Sites(None, (), silent_ones, 0, by_particles=False)
    # Order is that of some particles, planes are those of all.
    waves, species = np.zeros_like(sums.waves), np.zeros_like(sums.species)
    waves[use], species[use] = sums.waves[use], sums.species[use]

    def pooled(waves: Floats, planes: Floats, species: Floats) -> Floats:
        t_ww, t_pp = waves[0] / waves[1], planes[0] / planes[1]
        order2, damping = max(t_ww, 1e-12), max(t_pp, 1e-12) ** (1 / doubling**2)
        mean = species[:, 0] / np.maximum(species[:, 1], 1e-12) / np.sqrt(order2 * damping)
        return np.array([t_ww, t_pp, np.sqrt(order2 / damping) / amplitude, *mean])

    by_particles = len(use) >= FEWEST_PARTS
    every = [some.sum(axis=0) for some in (waves, sums.planes, species)]
    value = pooled(*every)
    sigma = _by_ions(sums, use, value, frame)
    if by_particles:
        parts = zip(waves, sums.planes, species, strict=True)
        without = [tuple(a - b for a, b in zip(every, part, strict=True)) for part in parts if part[1][1] > 0]
        left = jackknife(pooled, without)
        # Some ions of a rare species can agree by chance: their number bounds the error.
        sigma = np.append(left[:3], np.maximum(left[3:], _of_ions(sums, use, value[1], frame)))
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
    order, window = None, sums.waves[label, 1]
    if scale is not None and window > 0:
        t = sums.waves[label, 0] / window
        order_t = Estimate(float(t), sums.error(label, t) / window)
        mean_variance = sums.variance[label] / max(int(sums.ions[label].sum()), 1)
        order = scale.order(order_t, mean_variance) if order_t.significance >= STATED_SIGMA else None
    return ParticleOrder(label, int(sums.ions[label].sum()), bool(sums.in_core[label]), order)


def _by_ions(sums: PairSums, use: Integers, value: Floats, frame: OrderFrame) -> Floats:
    """Errors where there are too few particles to leave some out."""
    t, planes2, order = value[:3]
    error_t = sums.error(use, t) / float(sums.waves[use, 1].sum())
    # Pairs of ions: about as many as windows at their middle, each twice.
    pairs = float(sums.planes[:, 1].sum()) / OWN_WEIGHT / 2
    error_planes = float(np.sqrt(0.5 / max(pairs, 1.0)))
    n2 = frame.crystal.doubling**2
    relative = np.hypot(error_t / max(abs(t), 1e-12) / 2, error_planes / max(planes2, 1e-12) / 2 / n2)
    means = np.hypot(_of_ions(sums, use, planes2, frame), value[3:] * relative)
    return np.array([error_t, error_planes, order * relative, *means])


def _of_ions(sums: PairSums, use: Integers, planes2: float, frame: OrderFrame) -> Floats:
    """Errors of the mean cosines from the numbers of ions alone."""
    damping = max(planes2, 1e-12) ** (1 / frame.crystal.doubling**2)
    return np.asarray(1 / np.sqrt(2 * np.maximum(sums.ions[use].sum(axis=0), 1) * damping))
