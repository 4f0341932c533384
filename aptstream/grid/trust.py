"""How far a result can be trusted: its rule on other maps, false particles, recall, and the bias of radii."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.stats import beta

from aptstream.grid.answer import Answer, Cut
from aptstream.grid.compare import Comparison
from aptstream.grid.control import false_volume
from aptstream.grid.precipitates import BoundaryRule, Precipitates, expected_precipitates, find_precipitates
from aptstream.grid.statistics import poisson_count
from aptstream.model.bootstrap import COVERAGE, Score
from aptstream.model.modelfile import Model
from aptstream.regions import Triple

Floats = npt.NDArray[np.float64]
Map = npt.NDArray[np.float32]

#: Borders of the classes of radii in nm; the last class has no upper end.
CLASSES_NM = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, float("inf"))


@dataclass(frozen=True)
class Rule:
    """The rule that made the particles of a result, to be used again on other maps.

    Parameters
    ----------
    how : BoundaryRule or Cut
        The model's own rule with the floor of the result, or a fixed cut.
    min_voxels : int
        With a cut: smaller particles are dropped.
    """

    how: BoundaryRule | Cut
    min_voxels: int = 1

    @property
    def of_votes(self) -> bool:
        """Whether it is the votes of the largest cubes that are cut."""
        return isinstance(self.how, Cut) and self.how.of == "votes"

    def particles(self, map_: Map, origin_nm: Triple) -> Precipitates:
        """Find particles in a map of order, or of mean votes where these are cut."""
        if isinstance(self.how, BoundaryRule):
            return expected_precipitates(map_, self.how, origin_nm=origin_nm)
        return find_precipitates(
            map_, cut=self.how.value, min_voxels=self.min_voxels, origin_nm=origin_nm, neighbours=self.how.neighbours
        )


def rule_of(answer: Answer, model: Model) -> Rule:
    """Return the rule that made the particles of an answer.

    Parameters
    ----------
    answer : Answer
        From `aptstream.grid.find`.
    model : Model
        The model that it was made with.

    Returns
    -------
    Rule
    """
    if answer.cut is not None:
        return Rule(answer.cut)
    if answer.control is not None:
        return Rule(BoundaryRule(peak=answer.control.floor))
    return Rule(Cut(model.cut), model.min_voxels)


@dataclass(frozen=True)
class FalseFinds:
    """Particles that a control without order lets one expect in the result.

    Parameters
    ----------
    control : str
        What the control was.
    n_voxels : int
        Voxels of 1 nm that it judged.
    number : Score
        False particles to expect in the result, with the exact interval of a Poisson count.
    volume : Score
        Their share of the volume.
    """

    control: str
    n_voxels: int
    number: Score
    volume: Score


def false_finds(control: str, volume_nm3: Floats, *, n_voxels: int, n_judged: int) -> FalseFinds:
    """Scale what a control found to the specimen.

    Parameters
    ----------
    control : str
        What the control was.
    volume_nm3 : ndarray of float64, (n,)
        Volumes of the particles in it, all of them false.
    n_voxels : int
        Voxels that it judged.
    n_judged : int
        Voxels of the specimen that were judged.

    Returns
    -------
    FalseFinds

    Examples
    --------
    >>> found = false_finds("shuffled", np.array([2.0, 4.0]), n_voxels=100_000, n_judged=50_000)
    >>> found.number.value, round(found.number.high, 2), round(100 * found.volume.value, 4)
    (1.0, 3.61, 0.006)
    """
    n_voxels = max(n_voxels, 1)
    number = poisson_count(len(volume_nm3), n_judged / n_voxels)
    return FalseFinds(control, n_voxels, number, false_volume(volume_nm3, n_voxels))


@dataclass(frozen=True)
class RecallClass:
    """True particles of a class of radii in a twin.

    Parameters
    ----------
    low_nm, high_nm : float
        The class: low ≤ true radius < high.
    recall : Score
        Share that was found, with Clopper and Pearson's interval; `n` are there.
    n_paired : int
        Whole ones that were found one to one.
    bias_nm, sd_nm : float
        Mean and standard deviation of found − true radius of these; NaN with too few.
    """

    low_nm: float
    high_nm: float
    recall: Score
    n_paired: int
    bias_nm: float
    sd_nm: float


@dataclass(frozen=True)
class RadiusClass:
    """Found particles of a class of radii in a twin: what their true radius is.

    Parameters
    ----------
    low_nm, high_nm : float
        The class: low ≤ found radius < high.
    n : int
        Found one to one, the true particle whole.
    found_nm, true_nm : float
        Mean found and mean true radius; NaN without any.
    sd_nm : float
        Standard deviation of true − found radius; NaN with fewer than two.
    n_false : int
        Further ones that are false.
    """

    low_nm: float
    high_nm: float
    n: int
    found_nm: float
    true_nm: float
    sd_nm: float
    n_false: int


def recall_classes(comparison: Comparison) -> tuple[RecallClass, ...]:
    """Tell recall and bias of the radius by the true radius.

    Parameters
    ----------
    comparison : Comparison
        Of twins.

    Returns
    -------
    tuple of RecallClass
        Classes of `CLASSES_NM` that hold a true particle.
    """
    c, rows = comparison, []
    whole = (c.partner >= 0) & c.whole
    off = np.zeros(len(c.radius_nm))
    off[whole] = c.found_radius_nm[c.partner[whole]] - c.radius_nm[whole]
    for low, high in pairwise(CLASSES_NM):
        member = (c.radius_nm >= low) & (c.radius_nm < high)
        there, paired = member & c.considered, member & whole
        if there.any():
            bias, sd = moments(off[paired])
            rows.append(RecallClass(low, high, share_of(c.found[there]), int(paired.sum()), bias, sd))
    return tuple(rows)


def radius_classes(comparison: Comparison) -> tuple[RadiusClass, ...]:
    """Tell the true radius by the found one: the correction for the bias of voxels and cut.

    Parameters
    ----------
    comparison : Comparison
        Of twins.

    Returns
    -------
    tuple of RadiusClass
        Classes of `CLASSES_NM`, and one below, that hold a found particle.
    """
    c, rows = comparison, []
    true_nm = np.full(len(c.correct), np.nan)
    known = (c.partner >= 0) & c.whole
    true_nm[c.partner[known]] = c.radius_nm[known]
    found_nm = c.found_radius_nm
    for low, high in pairwise((0.0, *CLASSES_NM)):
        member = (found_nm >= low) & (found_nm < high)
        paired = member & np.isfinite(true_nm)
        if member.any():
            truth, _ = moments(true_nm[paired])
            found, _ = moments(found_nm[paired])
            _, sd = moments(true_nm[paired] - found_nm[paired])
            n_false = int((member & ~c.correct).sum())
            rows.append(RadiusClass(low, high, int(paired.sum()), found, truth, sd, n_false))
    return tuple(rows)


def moments(values: Floats) -> tuple[float, float]:
    """Mean and standard deviation; NaN with none, or with fewer than two values."""
    mean = float(values.mean()) if len(values) else float("nan")
    return mean, float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def share_of(chosen: npt.NDArray[np.bool_]) -> Score:
    """Share of things that are each one or the other, with its exact 95 % interval.

    Parameters
    ----------
    chosen : ndarray of bool, (n,)
        At least one.

    Returns
    -------
    Score

    References
    ----------
    .. [1] Clopper and Pearson, Biometrika 26, 404 (1934).

    Examples
    --------
    >>> score = share_of(np.arange(10) < 10)
    >>> score.value, round(score.low, 3), score.high
    (1.0, 0.692, 1.0)
    """
    n, k, tail = len(chosen), int(chosen.sum()), (1 - COVERAGE) / 2
    low = float(beta.ppf(tail, k, n - k + 1)) if k else 0.0
    high = float(beta.ppf(1 - tail, k + 1, n - k)) if k < n else 1.0
    return Score(k / n, low, high, n)
