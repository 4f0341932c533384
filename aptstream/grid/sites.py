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

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from aptstream.cloud.lattice import BRICK_CELLS
from aptstream.cloud.store import PointStore
from aptstream.grid.amplitudes import FEWEST_PARTS, SEEN_SIGMA, Estimate, jackknife
from aptstream.grid.phasemap import PhaseMap
from aptstream.grid.phases import OrderFrame
from aptstream.points import NEITHER, SOLUTE
from aptstream.progress import Progress, silent

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

#: Standard deviation of the window of neighbours, in voxels of 1 nm, and where it is cut.
WINDOW_NM, REACH_CELLS = 1.0, 4
#: A particle is judged by its core if that has so many voxels.
CORE_VOXELS = 8
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


@dataclass(frozen=True)
class _Sums:
    """Sums over pairs of ions of each particle; the first axis is its number, the pairs are ordered ones.

    Parameters
    ----------
    ions : ndarray of int64, (n + 1, species)
        Judged ions.
    waves : ndarray of float64, (n + 1, 3)
        Sums of w w cos, of cos of the planes, and of the window.
    species : ndarray of float64, (n + 1, species, 2)
        Sums of w cos, and of the window, over the pairs whose first ion is of a species.
    spread : ndarray of float64, (n + 1, 3)
        Σ x², Σ x y, Σ y² over voxels, with x the sum of w w cos and y that of the window over pairs that begin there.
    variance : ndarray of float64, (n + 1,)
        Mean of w² over the judged ions.
    """

    ions: Integers
    waves: Floats
    species: Floats
    spread: Floats
    variance: Floats


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
    phases.require(store)
    role = frame.roles.of(store.species_names)
    names = [name for name, r in zip(store.species_names, role, strict=True) if r != NEITHER]
    solute = np.array([r == SOLUTE for r in role if r != NEITHER])
    judged, in_core = _judged(phases)
    number = np.full(len(role), -1)
    number[role != NEITHER] = np.arange(len(names))
    job = _Job(store, frame, judged, number, len(names))
    ions = np.zeros((phases.n_particles + 1, len(names)), dtype=np.int64)
    for voxels in job.bricks(0, "cores", progress):
        np.add.at(ions, voxels.labels, voxels.count)
    total = np.maximum(ions.sum(axis=1), 1)
    fraction = ions[:, solute].sum(axis=1) / total
    weight = solute - fraction[:, None]  # of each species in each particle
    n = len(ions)
    zeros = (np.zeros((n, 3)), np.zeros((n, len(names), 2)), np.zeros((n, 3)))
    sums = _Sums(ions, *zeros, fraction * (1 - fraction))
    for voxels in job.bricks(REACH_CELLS, "sites", progress):
        _add_brick(sums, voxels, weight)
    return _answer(sums, names, in_core, frame)


def _judged(phases: PhaseMap) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Labels of the voxels that are judged, and which particles are judged by their core."""
    labels = phases.labels
    core = labels > 0
    for axis in range(3):
        edge = np.moveaxis(core, axis, 0)
        same = np.moveaxis(labels, axis, 0)
        differ = same[1:] != same[:-1]
        edge[1:][differ] = False
        edge[:-1][differ] = False
        edge[[0, -1]] = False
    n_core = np.bincount(labels[core], minlength=phases.n_particles + 1)
    in_core = n_core >= CORE_VOXELS
    in_core[0] = False
    return np.where(core | ~in_core[labels], labels, 0).astype(np.int32), in_core


@dataclass(frozen=True)
class _Voxels:
    """What the judged voxels of a brick and its halo hold.

    Parameters
    ----------
    labels : ndarray of int32, (nx, ny, nz)
        Particle of each voxel.
    own : tuple of slice
        The brick without its halo.
    count : ndarray of int64, (nx, ny, nz, species)
        Ions.
    wave : ndarray of complex128, (nx, ny, nz, species)
        Sum of e^{iφ}.
    planes : ndarray of complex128, (nx, ny, nz)
        Sum of e^{inφ} over ions of all species.
    """

    labels: npt.NDArray[np.int32]
    own: tuple[slice, slice, slice]
    count: Integers
    wave: npt.NDArray[np.complex128]
    planes: npt.NDArray[np.complex128]


@dataclass(frozen=True)
class _Job:
    """Reads what is judged, brick by brick."""

    store: PointStore
    frame: OrderFrame
    judged: npt.NDArray[np.int32]
    number: npt.NDArray[np.signedinteger[npt.NBitBase]]
    n_species: int

    def bricks(self, halo: int, stage: str, progress: Progress) -> Iterator[_Voxels]:
        """Give every brick that holds something to judge, with a halo."""
        shape = self.store.shape_cells
        bricks = list(product(*(range(0, n, BRICK_CELLS) for n in shape)))
        for done, brick in enumerate(bricks, start=1):
            if self.judged[tuple(slice(b, b + BRICK_CELLS) for b in brick)].any():
                low = tuple(max(b - halo, 0) for b in brick)
                high = tuple(min(b + BRICK_CELLS + halo, n) for b, n in zip(brick, shape, strict=True))
                own = tuple(slice(b - a, b - a + BRICK_CELLS) for a, b in zip(low, brick, strict=True))
                yield self._read(low, high, own)
            progress(stage, done, len(bricks), "bricks")

    def _read(self, low: tuple[int, ...], high: tuple[int, ...], own: tuple[slice, ...]) -> _Voxels:
        (lx, ly, lz), (hx, hy, hz), (ox, oy, oz) = low, high, own
        cloud = self.store.read((lx, ly, lz), (hx, hy, hz), columns=())
        labels = self.judged[lx:hx, ly:hy, lz:hz]
        position = cloud.position.astype(np.float64)
        cell = np.floor(position - self.store.origin_nm).astype(np.int64) - low
        kind = self.number[cloud.species]
        use = (kind >= 0) & (labels[tuple(cell.T)] > 0)
        planes, n = self.frame.planes, self.n_species
        height = position[use, 2] - position[use, :2] @ np.array(planes.slope)
        phase = 2 * np.pi / planes.period_nm * height
        place = np.ravel_multi_index(tuple(cell[use].T), labels.shape)
        at, bins = place * n + kind[use], labels.size * n
        count = np.bincount(at, minlength=bins).reshape(*labels.shape, n)
        wave = np.bincount(at, np.cos(phase), bins) + 1j * np.bincount(at, np.sin(phase), bins)
        of_planes = self.frame.crystal.doubling * phase
        sums = [np.bincount(place, part, labels.size) for part in (np.cos(of_planes), np.sin(of_planes))]
        return _Voxels(
            labels, (ox, oy, oz), count, wave.reshape(*labels.shape, n), (sums[0] + 1j * sums[1]).reshape(labels.shape)
        )


def _add_brick(sums: _Sums, voxels: _Voxels, weight: Floats) -> None:
    """Add the pairs whose first ion lies in one brick."""
    for label, box in enumerate(ndimage.find_objects(voxels.labels[voxels.own]), start=1):
        if box is None:
            continue
        inner = [(s.start + o.start, s.stop + o.start) for s, o in zip(box, voxels.own, strict=True)]
        part = tuple(
            slice(max(a - REACH_CELLS, 0), min(b + REACH_CELLS, n))
            for (a, b), n in zip(inner, voxels.labels.shape, strict=True)
        )
        mine = voxels.labels[part] == label
        own = np.zeros_like(mine)
        own[tuple(slice(a - p.start, b - p.start) for (a, b), p in zip(inner, part, strict=True))] = True
        _add_particle(
            sums,
            (label, weight[label]),
            replace(_cut(voxels, part, mine), labels=np.where(mine & own, voxels.labels[part], 0)),
        )


def _cut(voxels: _Voxels, part: tuple[slice, ...], mine: npt.NDArray[np.bool_]) -> _Voxels:
    """Cut out the voxels of one particle; all others are empty."""
    wave, count = (np.where(mine[..., None], some[part], 0) for some in (voxels.wave, voxels.count))
    return replace(voxels, wave=wave, count=count, planes=np.where(mine, voxels.planes[part], 0))


def _add_particle(sums: _Sums, particle: tuple[int, Floats], voxels: _Voxels) -> None:
    """Add the pairs of one particle whose first ion lies in the voxels that are labelled."""
    label, weight = particle
    first = voxels.labels > 0
    order, every = voxels.wave @ weight, voxels.count.sum(axis=-1)
    around, planes = _smooth(order), _smooth(voxels.planes)
    near = ndimage.gaussian_filter(every.astype(np.float64), WINDOW_NM, mode="constant", radius=REACH_CELLS)
    # What an ion adds to the window at its own place is taken away: pairs are of two ions.
    own = _OWN
    count, wave = voxels.count[first], voxels.wave[first]
    x = (order[first] * np.conj(around[first])).real - own * (count @ weight**2)
    y = every[first] * near[first] - own * every[first]
    of_planes = (voxels.planes[first] * np.conj(planes[first])).real - own * every[first]
    sums.waves[label] += [x.sum(), of_planes.sum(), y.sum()]
    sums.spread[label] += [x @ x, x @ y, y @ y]
    n = count.sum(axis=0)
    cosine = (wave * np.conj(around[first])[:, None]).real.sum(axis=0) - own * weight * n
    sums.species[label] += np.stack([cosine, near[first] @ count - own * n], axis=1)


def _smooth(wave: npt.NDArray[np.complex128]) -> npt.NDArray[np.complex128]:
    """Sum over the window of neighbours."""
    parts = [
        ndimage.gaussian_filter(part, WINDOW_NM, mode="constant", radius=REACH_CELLS) for part in (wave.real, wave.imag)
    ]
    return np.asarray(parts[0] + 1j * parts[1])


def _window_at_centre() -> float:
    """Weight of the window at its middle."""
    point = np.zeros((2 * REACH_CELLS + 1,) * 3)
    point[(REACH_CELLS,) * 3] = 1
    return float(ndimage.gaussian_filter(point, WINDOW_NM, mode="constant", radius=REACH_CELLS).max())


_OWN = _window_at_centre()


def _answer(sums: _Sums, names: list[str], in_core: npt.NDArray[np.bool_], frame: OrderFrame) -> Sites:
    """Turn sums over pairs into order and shares."""
    doubling, amplitude = frame.crystal.doubling, frame.crystal.order_amplitude
    use = np.flatnonzero(sums.waves[:, 2] > 0)
    with_core = use[in_core[use]]
    use = with_core if len(with_core) else use
    silent_ones = tuple(_of_particle(sums, label, in_core, None) for label in range(1, len(sums.ions)))
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
    for k, name in enumerate(names):
        n = int(sums.ions[use, k].sum())
        if n:
            mean = Estimate(float(value[3 + k]), float(sigma[3 + k]))
            share = Estimate((1 + mean.value) / 2, mean.sigma / 2) if doubling == 2 else None
            shares.append(SiteShare(name, n, mean, share))
    scale = _Scale(amplitude, pp, doubling)
    found = tuple(_of_particle(sums, label, in_core, scale) for label in range(1, len(sums.ions)))
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


def _of_particle(sums: _Sums, label: int, in_core: npt.NDArray[np.bool_], scale: _Scale | None) -> ParticleOrder:
    """Order of one particle; its voxels are taken as independent parts."""
    order, window = None, sums.waves[label, 2]
    if scale is not None and window > 0:
        t = sums.waves[label, 0] / window
        order_t = Estimate(float(t), _spread(sums.spread[label], t) / window)
        mean_variance = sums.variance[label] / max(int(sums.ions[label].sum()), 1)
        order = scale.order(order_t, mean_variance) if order_t.significance >= STATED_SIGMA else None
    return ParticleOrder(label, int(sums.ions[label].sum()), bool(in_core[label]), order)


def _spread(spread: Floats, t: float) -> float:
    """Error of a sum over pairs from its voxels: each takes part in pairs from both sides, hence the factor 2."""
    xx, xy, yy = spread
    return float(2 * np.sqrt(max(xx - 2 * t * xy + t**2 * yy, 0.0)))


def _by_ions(sums: _Sums, use: Integers, value: Floats, frame: OrderFrame) -> Floats:
    """Errors where there are too few particles to leave some out."""
    t, planes2, order = value[:3]
    window = float(sums.waves[use, 2].sum())
    error_t = _spread(sums.spread[use].sum(axis=0), t) / window
    n_ions = sums.ions[use].sum(axis=0)
    pairs = window / _OWN  # about as many pairs as windows at their middle
    error_planes = float(np.sqrt(1 / max(pairs, 1.0))) + 2 * planes2 / float(np.sqrt(max(int(n_ions.sum()), 1)))
    damping = max(planes2, 1e-12) ** (1 / frame.crystal.doubling**2)
    relative = np.hypot(error_t / max(abs(t), 1e-12) / 2, error_planes / max(planes2, 1e-12) / 8)
    means = np.hypot(1 / np.sqrt(2 * np.maximum(n_ions, 1) * damping), value[3:] * relative)
    return np.array([error_t, error_planes, order * relative, *means])
