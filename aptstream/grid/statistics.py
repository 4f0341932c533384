"""Statistics of the particles of a specimen, with what its faces and its few particles do to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.stats import chi2

from aptstream.grid.composition import Composition
from aptstream.grid.precipitates import Precipitates
from aptstream.model.bootstrap import COVERAGE, N_DRAWS, Score, draw_weights, ratio, with_interval

Floats = npt.NDArray[np.float64]

#: Planes along x in which distances to the border are computed at a time, and their steps in nm.
SLAB, STEP_NM = 32, 0.25
#: Classes of the size distribution in nm.
CLASS_NM = 0.25
#: Number densities are also given for particles of at least this radius in nm: they are hardly ever missed.
SURE_NM = 1.5
#: The lever rule needs a difference of compositions of so many standard deviations.
TELLING = 3.0


@dataclass(frozen=True)
class Statistics:
    """Statistics of particles, each with a 95 % interval for the alloy that the specimen was cut from.

    A particle that reaches over the border of what could be judged is cut off, and large ones more often than small
    ones. So sizes and numbers are taken from whole particles, each weighted by one over the volume in which the centre
    of a particle of its size may lie (Horvitz–Thompson [1]_; of a box without edges all weights are equal).

    Parameters
    ----------
    n_whole : int
        Particles that lie wholly inside.
    mean_radius_nm, sd_radius_nm : Score
        Mean and standard deviation of the radius in nm; intervals from particles drawn again.
    number_per_m3, sure_number_per_m3 : Score
        Particles in a m³: all, and those of at least `SURE_NM`; intervals as in `weighted_count`.
    volume_fraction : Score
        Volume of all particles, cut ones included / volume that was judged.
    class_nm : ndarray of float64, (n_classes + 1,)
        Borders of the classes of the size distribution in nm.
    class_number_per_m3, class_low_per_m3, class_high_per_m3 : ndarray of float64, (n_classes,)
        Particles of each class in a m³, and the ends of its interval from particles drawn again.

    References
    ----------
    .. [1] Horvitz and Thompson, J. Am. Stat. Assoc. 47, 663 (1952); for particles in a window: Miles, J. Microsc. 113,
       257 (1978).
    """

    n_whole: int
    mean_radius_nm: Score
    sd_radius_nm: Score
    number_per_m3: Score
    sure_number_per_m3: Score
    volume_fraction: Score
    class_nm: Floats
    class_number_per_m3: Floats
    class_low_per_m3: Floats
    class_high_per_m3: Floats


def particle_statistics(
    found: Precipitates, order: npt.NDArray[np.float32], rng: np.random.Generator, *, n_draws: int = N_DRAWS
) -> Statistics:
    """Tell the statistics of particles.

    Parameters
    ----------
    found : Precipitates
        The particles.
    order : ndarray of float32, (nx, ny, nz)
        NaN where nothing could be judged.
    rng : numpy.random.Generator
        Source of randomness of the intervals.
    n_draws : int
        Draws of the particles.

    Returns
    -------
    Statistics

    Examples
    --------
    >>> from aptstream.grid.precipitates import find_precipitates
    >>> order = np.zeros((20, 20, 20), "f4"); order[9:12, 9:12, 9:12] = 1; order[:2, :3, :3] = 1
    >>> found = find_precipitates(order, cut=0.5, min_voxels=1, origin_nm=(0, 0, 0))
    >>> told = particle_statistics(found, order, np.random.default_rng(0))
    >>> len(found), told.n_whole, round(told.volume_fraction.value, 5)
    (2, 1, 0.00562)
    """
    judged, radius, voxel = np.isfinite(order), found.radius_nm, found.voxel_nm**3
    reach = float(radius.max(initial=0.0)) + STEP_NM
    depth, deeper = _depths(judged, found, reach)
    steps = np.ceil(radius / STEP_NM).astype(int)
    room = deeper[steps] * voxel
    whole = depth >= steps * STEP_NM
    weight = np.divide(1e27, room, out=np.zeros(len(found)), where=whole)  # of a particle at its own centre, room > 0
    weights = draw_weights(len(found), rng, n_draws=n_draws)
    mean = ratio(weight * radius, weight, weights, n=int(whole.sum()))
    borders = np.arange(0, max(reach, CLASS_NM) + CLASS_NM, CLASS_NM)
    number, low, high = _classes(radius, weight, weights, borders)
    total = float(judged.sum()) * voxel
    shares = found.volume_nm3 / total if total else np.zeros(0)
    return Statistics(
        n_whole=int(whole.sum()),
        mean_radius_nm=mean,
        sd_radius_nm=_spread(radius, weight, weights, mean.value),
        number_per_m3=weighted_count(weight[whole]),
        sure_number_per_m3=weighted_count(weight[whole & (radius >= SURE_NM)]),
        volume_fraction=weighted_count(shares) if total else Score(float("nan"), float("nan"), float("nan"), 0),
        class_nm=borders,
        class_number_per_m3=number,
        class_low_per_m3=low,
        class_high_per_m3=high,
    )


def weighted_count(weights: Floats) -> Score:
    """Put an interval around a sum of weights of things that lie at random, each counted once.

    Parameters
    ----------
    weights : ndarray of float64, (n,)
        What each thing adds: 1 / volume for a number density, its volume / volume for a volume fraction.

    Returns
    -------
    Score
        The sum, and its 95 % interval if things come independently of each other (gamma interval [1]_, with the largest
        weight for the next thing; exact for equal weights). Particles that keep away from each other scatter less.

    References
    ----------
    .. [1] Fay and Feuer, Stat. Med. 16, 791 (1997).

    Examples
    --------
    >>> score = weighted_count(np.full(10, 0.5))
    >>> score.value, round(score.low, 2), round(score.high, 2)      # Poisson: 10, 4.80 … 18.39
    (5.0, 2.4, 9.2)
    """
    if not len(weights):
        return Score(0.0, float("nan"), float("nan"), 0)
    total, variance, largest = float(weights.sum()), float((weights**2).sum()), float(weights.max())
    tail = (1 - COVERAGE) / 2
    low = variance / (2 * total) * chi2.ppf(tail, 2 * total**2 / variance)
    above, scatter = total + largest, variance + largest**2
    high = scatter / (2 * above) * chi2.ppf(1 - tail, 2 * above**2 / scatter)
    return Score(total, float(low), float(high), len(weights))


def poisson_count(n: int, weight: float = 1.0) -> Score:
    """Put an exact interval around a number of things that come independently of each other.

    Parameters
    ----------
    n : int
        How many were counted.
    weight : float
        What each stands for.

    Returns
    -------
    Score
        The number times the weight, and its 95 % interval [1]_; it also says how many may be where none was counted.

    References
    ----------
    .. [1] Garwood, Biometrika 28, 437 (1936).

    Examples
    --------
    >>> [round(v, 2) for v in (poisson_count(0).high, poisson_count(10).low, poisson_count(10).high)]
    [3.69, 4.8, 18.39]
    """
    tail = (1 - COVERAGE) / 2
    low = float(chi2.ppf(tail, 2 * n)) / 2 if n else 0.0
    return Score(n * weight, low * weight, float(chi2.ppf(1 - tail, 2 * n + 2)) / 2 * weight, n)


def lever_rule(whole: Composition, particles: Composition, matrix: Composition) -> dict[str, Score]:
    """Tell the share of atoms in particles from compositions alone, by each element that tells.

    Parameters
    ----------
    whole, particles, matrix : Composition
        Of the specimen, of its particles and of its matrix; one entry each.

    Returns
    -------
    dict of str to Score
        f = (c₀ − c_m) / (c_p − c_m) with a 95 % interval, of the elements whose contents differ by at least `TELLING`
        standard deviations between particles and matrix. A share of atoms, not of volume: the two are equal where both
        phases are equally dense.

    Examples
    --------
    >>> def of(percent, sd): return Composition({"Li": np.array([percent])}, {"Li": np.array([sd])})
    >>> told = lever_rule(of(7.0, 0.01), of(20.0, 0.3), of(6.0, 0.02))["Li"]
    >>> round(told.value, 3), round(told.low, 3), round(told.high, 3)
    (0.071, 0.067, 0.076)
    """
    told = {}
    for element in whole.percent:
        c0, cp, cm = (float(c.percent[element][0]) for c in (whole, particles, matrix))
        s0, sp, sm = (float(c.sd[element][0]) for c in (whole, particles, matrix))
        apart = cp - cm
        if not np.isfinite(c0 + apart) or abs(apart) < TELLING * np.hypot(sp, sm) or not apart:
            continue
        share = (c0 - cm) / apart
        sd = float(np.sqrt(s0**2 + (share * sp) ** 2 + ((1 - share) * sm) ** 2) / abs(apart))
        told[element] = Score(share, share - 1.96 * sd, share + 1.96 * sd, 1)
    return told


def _depths(judged: npt.NDArray[np.bool_], found: Precipitates, reach_nm: float) -> tuple[Floats, Floats]:
    """Measure how deep the centroids lie inside what was judged, in nm, and count the voxels of every step of depth.

    The border is that of the volume or of voxels that could not be judged. Distances beyond reach are not told apart.
    """
    edge, halo = found.voxel_nm, int(reach_nm / found.voxel_nm) + 2
    centre = np.clip((found.centroid_nm - np.array(found.origin_nm)) / edge, 0, None).astype(int)
    steps = np.arange(0, reach_nm + 2 * STEP_NM, STEP_NM)
    deep, depth = np.zeros(len(steps)), np.zeros(len(found))
    padded = np.pad(judged, 1)
    for low in range(0, len(judged), SLAB):
        high = min(low + SLAB, len(judged))
        start = max(low + 1 - halo, 0)
        slab = ndimage.distance_transform_edt(padded[start : high + 1 + halo])
        inner = slab[low + 1 - start : high + 1 - start, 1:-1, 1:-1] * edge - edge / 2  # to the face, not the centre
        number = np.histogram(inner, np.append(steps, np.inf))[0]
        deep += np.cumsum(number[::-1])[::-1]
        mine = np.flatnonzero((centre[:, 0] >= low) & (centre[:, 0] < high))
        x, y, z = centre[mine].T
        depth[mine] = inner[x - low, y, z]
    return depth, deep


def _classes(radius: Floats, weight: Floats, draws: Floats, borders: Floats) -> tuple[Floats, Floats, Floats]:
    """Tell the number densities of the size classes, with the ends of their intervals."""
    member = (np.digitize(radius, borders) - 1)[None] == np.arange(len(borders) - 1)[:, None]
    numbers = member * weight[None]
    drawn = draws @ numbers.T if len(draws) else numbers.sum(axis=1)[None]
    low, high = np.quantile(drawn, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2], axis=0)
    return numbers.sum(axis=1), low, high


def _spread(radius: Floats, weight: Floats, draws: Floats, mean: float) -> Score:
    """Score the standard deviation of the radius."""
    n = int((weight > 0).sum())
    if n < 2:
        return Score(float("nan"), float("nan"), float("nan"), n)
    total = weight.sum()
    value = np.sqrt(weight @ (radius - mean) ** 2 / total * n / (n - 1))
    drawn = draws @ weight
    safe = np.where(drawn > 0, drawn, np.nan)
    means = draws @ (weight * radius) / safe
    squares = np.maximum(draws @ (weight * radius**2) / safe - means**2, 0)
    return with_interval(float(value), np.sqrt(squares * n / (n - 1)), n)
