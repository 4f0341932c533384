r"""How strongly a z-SDM repeats with the planes, and with the doubled period, in numbers.

With d the spacing of the planes, n of them to a period P = n d (2 for L1₂ along [011]), and t the offset along z:

1. *All pairs of ions* (host and solute, whatever the species) are fitted by E(t) + p(t) cos(2πt/d), E a polynomial of
   fourth degree in t and p of second: E is the **envelope**, which holds the lateral window, the size of the phase and
   its density. Offsets below d/2 are left out: an ion makes no pair with itself.
2. **Single period**: the counts of a pair of species are fitted by E(t) (polynomial of third degree) + E(t) Σ cos with
   the periods P/1 … P/(2n − 1); the amplitude is the coefficient of cos(2πt/d) over the mean.
3. **Doubled period**: the counts are fitted by (all pairs)(t) · (polynomial of second degree) + E(t) Σ aₖ cos(2πkt/P),
   k = 1 … 2n − 1 without n; the amplitude is a₁ over the mean. What is the same for every pair of sites (blur, window,
   stacking of the planes, the missing pair of an ion with itself) is in the first term: so where species stand at
   random the amplitude is 0 within its error.
4. **Contrast**: with all planes equally blurred, a single period of amplitude A and a doubled one of amplitude D come
   from planes whose contents of pairs alternate by 1 ± α with α = (D/2) / (A/2)^{1/n²}, A that of all pairs (Debye and
   Waller). Full order in L1₂ along [011]: 1 between solutes, −1/3 host to solute, 1/9 host to host (5 : 4).

Errors: the phase is put into parts of about equally many ions, one part is left out at a time (delete-a-group
jackknife), so pairs that share ions are not taken for independent. With fewer than `FEWEST_PARTS` parts the error is
the shot noise of the counts instead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: Fewest parts for errors by leaving out; and fewest pairs for a fit.
FEWEST_PARTS, FEWEST_PAIRS = 10, 1000
#: A wave is seen if its amplitude is as many errors large.
SEEN_SIGMA = 4.0
#: Spacings are searched within this share of the expected one, in these steps.
STRETCH, STEP = 0.03, 0.001


@dataclass(frozen=True)
class Estimate:
    """A number and its standard error.

    Parameters
    ----------
    value, sigma : float
        In the same unit.
    """

    value: float
    sigma: float

    @property
    def significance(self) -> float:
        """How many errors it is away from 0."""
        return self.value / max(self.sigma, 1e-12)


@dataclass(frozen=True)
class Waves:
    """What a z-SDM says of planes; None where the signal does not allow to say it.

    Parameters
    ----------
    spacing_nm : Estimate or None
        Fitted distance of the planes in nm; None where neither period is seen.
    single, doubled : Estimate or None
        Amplitudes at the distance of the planes and at the doubled period, in units of the mean.
    contrast : Estimate or None
        Alternation of the planes without blur, from −1 to 1; None where no planes are seen.
    by_parts : bool
        Whether errors come from leaving out parts; else from the shot noise of the counts.
    """

    spacing_nm: Estimate | None
    single: Estimate | None
    doubled: Estimate | None
    contrast: Estimate | None
    by_parts: bool

    @property
    def ratio(self) -> float | None:
        """Amplitude at the doubled period over that at the single one; None where the latter is not seen."""
        if self.single is None or self.doubled is None or self.single.significance < SEEN_SIGMA:
            return None
        return self.doubled.value / self.single.value


NOTHING = Waves(None, None, None, None, by_parts=False)


@dataclass(frozen=True)
class Ruler:
    """Offsets of a z-SDM and the planes that they are measured by.

    Parameters
    ----------
    offset_nm : ndarray of float64, (bins,)
        Middle of each bin.
    spacing_nm : float
        Distance of the planes.
    doubling : int
        Planes in a period of the order; 2 or more.
    skip_nm : float
        Offsets below are not fitted, in nm.
    """

    offset_nm: Floats
    spacing_nm: float
    doubling: int
    skip_nm: float = 0.07

    @property
    def fitted(self) -> npt.NDArray[np.bool_]:
        """Bins that are fitted."""
        return self.offset_nm >= self.skip_nm

    def powers(self, n: int) -> list[Floats]:
        """Polynomials of the offset up to degree n − 1, the first of them 1."""
        return [(self.offset_nm / self.offset_nm[-1]) ** k for k in range(n)]

    def wave(self, k: int) -> Floats:
        """Return cos(2πkt/P)."""
        return np.asarray(np.cos(2 * np.pi * k * self.offset_nm / (self.doubling * self.spacing_nm)))

    def at(self, spacing_nm: float) -> Ruler:
        """Return the same for another distance of the planes."""
        return replace(self, spacing_nm=spacing_nm)


def fit_spacing(every: npt.NDArray[np.int64], ruler: Ruler) -> Estimate | None:
    """Fit the distance of the planes to all pairs of a phase.

    Parameters
    ----------
    every : ndarray of int64, (n_parts, bins)
        Pairs of all ions.
    ruler : Ruler
        With the expected spacing.

    Returns
    -------
    Estimate or None
        In nm; None where the planes are not seen.
    """
    waves = fit_waves(every, every, ruler)
    return waves.spacing_nm if waves.single is not None and waves.single.significance >= SEEN_SIGMA else None


def fit_waves(counts: npt.NDArray[np.int64], every: npt.NDArray[np.int64], ruler: Ruler) -> Waves:
    """Measure the waves in the z-SDM of one pair of species.

    Parameters
    ----------
    counts : ndarray of int64, (n_parts, bins)
        Pairs of the species in each part of the phase.
    every : ndarray of int64, (n_parts, bins)
        Pairs of all ions.
    ruler : Ruler
        The planes.

    Returns
    -------
    Waves

    Examples
    --------
    >>> offset = np.arange(0.005, 2, 0.01)
    >>> ruler = Ruler(offset, 0.143, 2)
    >>> alternating = 10_000 * (1 + 0.6 * ruler.wave(2) + 0.4 * ruler.wave(1))
    >>> plain = 40_000 * (1 + 0.6 * ruler.wave(2))
    >>> found = fit_waves(np.tile(alternating, (12, 1)).astype(int), np.tile(plain, (12, 1)).astype(int), ruler)
    >>> round(found.doubled.value, 3), round(found.spacing_nm.value, 4), round(found.contrast.value, 2)
    (0.4, 0.143, 0.27)
    """
    total, total_every = counts.sum(axis=0).astype(np.float64), every.sum(axis=0).astype(np.float64)
    if total[ruler.fitted].sum() < FEWEST_PAIRS or not ruler.fitted.sum() > 4 * ruler.doubling + 8:
        return NOTHING

    def amplitudes(some: Floats, some_every: Floats) -> Floats:
        envelope = _envelope(some_every, ruler)
        single, plain = (_own_fit(n, envelope, ruler)[0] for n in (some, some_every))
        doubled = _doubled(some, some_every, envelope, ruler)
        return np.array([single, doubled, _contrast(doubled, plain, ruler.doubling), plain])

    value = amplitudes(total, total_every)
    by_parts = int((counts.sum(axis=1) > 0).sum()) >= FEWEST_PARTS
    if by_parts:
        left = [(total - a, total_every - b) for a, b in zip(counts, every, strict=True)]
        sigma = jackknife(amplitudes, left)
    else:
        sigma = _shot_noise(total, total_every, ruler, value)
    single, doubled, contrast, plain = (Estimate(float(v), float(s)) for v, s in zip(value, sigma, strict=True))
    sees_planes = plain.value > 0 and plain.significance >= SEEN_SIGMA
    spacing = None
    if max(single.significance, abs(doubled.significance)) >= SEEN_SIGMA:
        spacing = _fit_spacing(counts, total, ruler, by_parts=by_parts)
    return Waves(spacing, single, doubled, contrast if sees_planes else None, by_parts)


def flattened(counts: npt.NDArray[np.int64], ruler: Ruler) -> Floats:
    """Divide a z-SDM by its own envelope, as for a figure.

    Parameters
    ----------
    counts : ndarray of int64, (bins,)
        Pairs.
    ruler : Ruler
        The planes.

    Returns
    -------
    ndarray of float64, (bins,)
        1 on average; 0 where there are too few pairs to tell an envelope.
    """
    some = counts.astype(np.float64)
    if some[ruler.fitted].sum() < FEWEST_PAIRS:
        return np.zeros_like(some)
    return some / _envelope(some, ruler)


def _contrast(doubled: float, plain: float, doubling: int) -> float:
    """Alternation of the planes without blur."""
    damping = (max(plain, 1e-12) / 2) ** (1 / doubling**2)
    return float(doubled / 2 / damping)


def _own_fit(counts: Floats, envelope: Floats, ruler: Ruler) -> tuple[float, Floats]:
    """Amplitude at the single period, and what is left of the weighted counts after the fit."""
    use, n = ruler.fitted, ruler.doubling
    weight = 1 / np.sqrt(envelope[use])
    waves = list(range(1, 2 * n))
    smooth = [envelope * power for power in ruler.powers(4)]
    basis = np.stack([*smooth, *(envelope * ruler.wave(k) for k in waves)])[:, use] * weight
    found = np.linalg.lstsq(basis.T, counts[use] * weight, rcond=None)[0]
    mean = float((found[:4] @ basis[:4]) @ (1 / weight)) / float(envelope[use].sum())
    single = float(found[4 + waves.index(n)] / mean)
    return single, counts[use] * weight - found @ basis


def _doubled(counts: Floats, every: Floats, envelope: Floats, ruler: Ruler) -> float:
    """Amplitude at the doubled period; what all pairs of sites share is not part of it."""
    use, n = ruler.fitted, ruler.doubling
    weight = 1 / np.sqrt(envelope[use])
    alternating = [k for k in range(1, 2 * n) if k != n]
    sites = [every * power for power in ruler.powers(3)]
    basis = np.stack([*sites, *(envelope * ruler.wave(k) for k in alternating)])[:, use] * weight
    found = np.linalg.lstsq(basis.T, counts[use] * weight, rcond=None)[0]
    mean = found[:3] @ np.stack([(envelope * power)[use] for power in ruler.powers(3)])
    return float(found[3] * envelope[use].sum() / mean.sum())


def _envelope(every: Floats, ruler: Ruler) -> Floats:
    """Smooth part of all pairs."""
    use = ruler.fitted
    plane = ruler.wave(ruler.doubling)
    basis = np.stack([*ruler.powers(5), *(power * plane for power in ruler.powers(3))])
    found = np.linalg.lstsq(basis[:, use].T, every[use], rcond=None)[0]
    lowest = 1e-3 * float(every[use].mean()) + 1e-9
    return np.asarray(np.maximum(found[:5] @ basis[:5], lowest), dtype=np.float64)


def jackknife(measure: Callable[..., Floats], left: Sequence[tuple[Floats, ...]]) -> Floats:
    """Return the standard errors of what is measured, with one part left out at a time."""
    found = np.array([measure(*some) for some in left])
    n = len(found)
    return np.asarray(np.sqrt((n - 1) / n * ((found - found.mean(axis=0)) ** 2).sum(axis=0)))


def _shot_noise(total: Floats, every: Floats, ruler: Ruler, value: Floats) -> Floats:
    """Return the standard errors as if all pairs were independent: √(2/pairs) for an amplitude."""
    error = float(np.sqrt(2 / total[ruler.fitted].sum()))
    plain = float(np.sqrt(2 / every[ruler.fitted].sum()))
    scale = abs(_contrast(1.0, value[3], ruler.doubling))
    relative = plain / max(abs(float(value[3])), 1e-12) / ruler.doubling**2
    return np.array([error, error, float(np.hypot(scale * error, value[2] * relative)), plain])


def _fit_spacing(counts: npt.NDArray[np.int64], total: Floats, ruler: Ruler, *, by_parts: bool) -> Estimate | None:
    """Fit the distance of the planes to the counts of one pair of species."""

    def misfit(some: Floats, spacing: float) -> float:
        at = ruler.at(spacing)
        left = _own_fit(some, _envelope(some, at), at)[1]
        return float(left @ left)

    tried = ruler.spacing_nm * (1 + np.arange(-STRETCH, STRETCH + STEP / 2, STEP))
    step = float(tried[1] - tried[0])
    misfits = np.array([misfit(total, spacing) for spacing in tried])
    best = int(misfits.argmin())
    if not 0 < best < len(tried) - 1:
        return None

    def vertex(some: Floats) -> Floats:
        a, b, c = (misfit(some, float(tried[best + k])) for k in (-1, 0, 1))
        bend = a - 2 * b + c
        return np.array([tried[best] + (np.clip((a - c) / (2 * bend), -1, 1) * step if bend > 0 else 0.0)])

    value = float(vertex(total)[0])
    if by_parts:
        sigma = float(jackknife(vertex, [(total - part,) for part in counts])[0])
    else:
        a, b, c = misfits[best - 1 : best + 2]
        sigma = step * float(np.sqrt(2 / max(a - 2 * b + c, 1e-12)))
    return Estimate(value, sigma)
