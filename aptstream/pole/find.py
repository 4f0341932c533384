"""Find the poles of a reconstruction: search, follow, ask the other half of the ions, explain away, search on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aptstream.cloud.store import PointStore
from aptstream.crystal import Crystal
from aptstream.pole.follow import (
    NARROW,
    WIDE,
    Dome,
    Sums,
    fit_free,
    fit_round,
    leave_over,
    round_dome,
    stands_out,
    sum_waves,
)
from aptstream.pole.identify import Identity, identify
from aptstream.pole.pole import Pole
from aptstream.pole.search import Candidate, search
from aptstream.pole.shelf import Half, Shelf, shelve
from aptstream.pole.waves import WaveGrid
from aptstream.progress import Progress, silent
from aptstream.regions import Cylinder

if TYPE_CHECKING:
    from distributed import Client

Floats = npt.NDArray[np.float64]

#: Strength in the other half of the ions from which planes are found, and from which they are a candidate. Set after
#: simulated specimens without planes and a measured one had been looked at (bench/bench_pole.py): no probabilities.
FOUND, CANDIDATE = 8.0, 5.0
#: Fewest regions in which planes that are called found were looked for.
FEWEST_REGIONS = 30
#: A search gives up below this strength, or after so many attempts that led to nothing.
LEAST_STRENGTH, MOST_FAILURES, MOST_POLES = 6.0, 3, 5
#: Planes are followed no further unless they stand out by so much of the very ions that they were fitted to: those that
#: nothing but noise made reach 6.
WORTH_IT = 7.5
#: Candidates at other columns belong to the same planes if their waves differ by no more: per nm, and for every nm of
#: distance, laterally and along z.
SAME_PLANES = ((0.4, 0.04), (0.3, 0.03))
#: Fewest places in which planes can be fitted: more than a bent plane has numbers.
FEWEST_PLACES = 12
#: Window in which the strength of planes is mapped, its standard deviations in nm; cells that are filled less than
#: half as well as the fullest are left out.
MAP_NM, FILLED = (2.0, 4.0), 0.5
#: The axis goes through the middle of all that is stronger than this: three times what ions give that stand anywhere.
CLEAR = 3.0
#: Planes are seen where so much is left of the largest amplitude.
SEEN = 1 / 3


@dataclass(frozen=True)
class PoleSearch:
    """What a search for poles found.

    Parameters
    ----------
    poles : tuple of Pole
        Strongest first.
    candidates : tuple of Candidate
        What stands out most round every column, strongest first: the map of the search.
    best_strength : float
        Strength in the other half of the ions of the best that was followed, whether it is a pole or not; 0 if nothing
        was worth it.
    identity : Identity, optional
        Names of all poles together, where a crystal was given that has them.
    """

    poles: tuple[Pole, ...]
    candidates: tuple[Candidate, ...]
    best_strength: float
    identity: Identity | None = None

    @property
    def best(self) -> Pole | None:
        """The strongest pole that was found; a candidate where none was."""
        return min(self.poles, key=lambda pole: (pole.status != "found", -pole.strength), default=None)

    @property
    def verdict(self) -> str:
        """What it comes to, in a sentence."""
        found = [pole for pole in self.poles if pole.status == "found"]
        if found:
            names = "; ".join(
                f"{pole.spacing_nm:.4f} nm apart, tilted by {pole.tilt_deg:.1f}°, strength {pole.strength:.0f}"
                for pole in found
            )
            return f"Planes were found: {names}."
        if self.poles:
            pole = self.poles[0]
            return (
                f"Planes {pole.spacing_nm:.4f} nm apart, tilted by {pole.tilt_deg:.1f}°, are a candidate, not "
                f"confirmed: strength {pole.strength:.1f} in {pole.n_regions} regions; {FOUND:g} in {FEWEST_REGIONS} "
                f"are needed."
            )
        if not self.best_strength:
            return f"No planes were found: nothing stands out of noise in any of {len(self.candidates)} columns."
        return (
            f"No planes were found: what stands out most has strength {self.best_strength:.1f} in ions that took no "
            f"part in the search; {CANDIDATE:g} makes a candidate and {FOUND:g} planes."
        )


def find_poles(
    store: PointStore,
    crystal: Crystal | None = None,
    *,
    grid: WaveGrid | None = None,
    client: Client | None = None,
    progress: Progress = silent,
) -> PoleSearch:
    """Look for lattice planes in a reconstruction, tilted by up to 40° and domed, and follow them.

    All wave vectors within a cone round z are looked at in columns of small regions, neighbours stacked for several
    domes. What stands out is followed in half of the ions, from which its dome is fitted; the other half is asked
    whether the planes are there.

    Parameters
    ----------
    store : PointStore
        The ions; it is read by columns, in memory that does not grow with it.
    crystal : Crystal, optional
        What they consist of: the poles that are found are named, see `identify`. The search is the same without.
    grid : WaveGrid, optional
        Wave vectors that are looked at.
    client : distributed.Client, optional
        Where to work; in this process where it is not given. The result is the same.
    progress : Progress
        Told of the stages ``search``, ``compare`` and ``follow``.

    Returns
    -------
    PoleSearch

    Raises
    ------
    PlanError
        If the specimen is too small or too thin for a search.
    StoreError
        If the store is damaged.
    """
    candidates = search(store, grid or WaveGrid(), client, progress)
    left, failures, best = list(candidates), 0, 0.0
    poles: list[Pole] = []
    total = MOST_FAILURES + MOST_POLES
    while left and left[0].strength >= LEAST_STRENGTH and failures < MOST_FAILURES and len(poles) < MOST_POLES:
        followed = follow(store, left[0])
        best = max(best, followed.strength if followed else 0.0)
        progress("follow", len(poles) + failures, total, "candidates")
        if followed and followed.strength >= CANDIDATE:
            poles.append(followed)
            left = [candidate for candidate in left[1:] if not _explains(followed, candidate)]
        else:
            failures += 1
            left = [candidate for candidate in left[1:] if not _alike(left[0], candidate)]
    progress("follow", total, total, "candidates")
    poles.sort(key=lambda pole: -pole.strength)
    identity = identify(poles, crystal) if crystal is not None and poles else None
    return PoleSearch(tuple(poles), tuple(candidates), best, identity)


def follow(store: PointStore, candidate: Candidate) -> Pole | None:
    """Fit planes to one half of the ions round a candidate, and ask the other half.

    Parameters
    ----------
    store : PointStore
        The ions.
    candidate : Candidate
        Where to start.

    Returns
    -------
    Pole or None
        Of whatever strength; None where not even the first half shows any planes.
    """
    low, high = store.box.low[2], store.box.high[2]
    reach = WIDE.reach_nm + 4
    column = Cylinder((candidate.x_nm, candidate.y_nm, low), (candidate.x_nm, candidate.y_nm, high), reach)
    with shelve(store, column) as shelf:
        return _follow(shelf, candidate)


def _follow(shelf: Shelf, candidate: Candidate) -> Pole | None:
    dome = _first_dome(shelf, candidate)
    dome = dome and _freed(shelf, dome, "first")
    if dome is None:
        return None
    other = leave_over(_summed(shelf, dome, "other"), dome, WIDE)
    n_regions = len(other)
    if n_regions < FEWEST_PLACES:
        return None
    strength = stands_out(other, dome)
    del other  # the largest of all
    dome = _freed(shelf, dome, "first", "other") or dome
    sums = _summed(shelf, dome, "first", "other")
    return _pole(sums, _centred(sums, dome), strength, n_regions)


def _summed(shelf: Shelf, dome: Dome, *halves: Half) -> Sums:
    return sum_waves(shelf.blocks(*halves), shelf.low_nm, shelf.high_nm, dome)


def _first_dome(shelf: Shelf, candidate: Candidate) -> Dome | None:
    """Fit a round dome to the half that is asked; None where it does not stand out even there."""
    middle = np.array([candidate.x_nm, candidate.y_nm, shelf.middle_nm[2]])
    dome = round_dome(middle, candidate.wave_per_nm, candidate.curvature_per_nm, np.zeros(2))
    residue = leave_over(_summed(shelf, dome, "first"), dome, NARROW)
    if len(residue) < FEWEST_PLACES:
        return None
    dome = fit_round(residue, dome, candidate.curvature_per_nm)
    del residue
    sums = _summed(shelf, dome, "first")
    if stands_out(leave_over(sums, dome, NARROW), dome) < WORTH_IT:
        return None
    return _centred(sums, dome)


def _freed(shelf: Shelf, dome: Dome, *halves: Half) -> Dome | None:
    """Let a dome be any that is not too far from it; None where too few places are filled."""
    residue = leave_over(_summed(shelf, dome, *halves), dome, WIDE)
    return fit_free(residue, dome) if len(residue) >= FEWEST_PLACES else None


def _excess(sums: Sums) -> Floats:
    """Power of the planes beyond that of ions that stand anywhere; NaN where there are few ions."""
    power, ions = sums.power(*MAP_NM)
    filled = ions > FILLED * np.percentile(ions, 95)
    return np.where(filled, power.astype(np.float64) - 1, np.nan)


def _centred(sums: Sums, dome: Dome) -> Dome:
    """Move the centre of a dome to the middle of where its planes are seen, and let the axis follow them."""
    excess, (x, y, z) = _excess(sums), sums.axes_nm
    seen = np.fmax(excess + 1 - CLEAR, 0)
    layers = seen.sum(axis=(0, 1))
    if np.count_nonzero(layers) < 3:
        return dome
    at = np.column_stack([seen.sum(axis=1).T @ x, seen.sum(axis=0).T @ y]) / np.maximum(layers, 1e-30)[:, None]
    height = float((layers @ z) / layers.sum())
    depth, weight = z - height, layers / layers.sum()
    mean = weight @ at
    spread = float(weight @ depth**2)
    drift = np.clip((weight * depth) @ (at - mean) / spread, -0.4, 0.4) if spread > 1 else np.zeros(2)
    centre = np.array([*mean, height])
    wave = dome.wave_per_nm + dome.bend_per_nm2 @ (centre - dome.centre_nm)
    return replace(dome, centre_nm=centre, wave_per_nm=wave, axis=drift)


def _pole(sums: Sums, dome: Dome, strength: float, n_regions: int) -> Pole:
    """Say where the planes of a dome are seen."""
    excess, (x, y, z) = _excess(sums), sums.axes_nm
    axis = dome.centre_nm[:2] + np.outer(z - dome.centre_nm[2], dome.axis)
    away = np.hypot(x[:, None, None] - axis[:, 0], y[None, :, None] - axis[:, 1])
    whole = np.isfinite(excess)
    strong = np.where(whole, excess, 0.0)
    ring = np.minimum(away.astype(int), int(WIDE.reach_nm))
    rings = np.bincount(ring[whole], strong[whole]) / np.maximum(np.bincount(ring[whole]), 1)
    weak = np.flatnonzero(rings < rings[:3].max() * SEEN**2)
    radius = float(np.clip(weak[0] if len(weak) else len(rings), 3, WIDE.reach_nm))
    near = whole & (away < radius)
    layers = np.where(near, strong, 0).sum(axis=(0, 1)) / np.maximum(near.sum(axis=(0, 1)), 1)
    seen = np.flatnonzero(layers > max(layers.max() * SEEN**2, 1.0))
    first, last = (seen[0], seen[-1]) if len(seen) else (0, len(z) - 1)
    found = strength >= FOUND and n_regions >= FEWEST_REGIONS
    (xx, xy, xz), (_, yy, yz), (_, _, zz) = dome.bend_per_nm2.tolist()
    return Pole(
        centre_nm=tuple(dome.centre_nm.tolist()),
        wave_per_nm=tuple(dome.wave_per_nm.tolist()),
        bend_per_nm2=((xx, xy, xz), (xy, yy, yz), (xz, yz, zz)),
        drift=tuple(dome.axis.tolist()),
        radius_nm=radius,
        depth_nm=(float(z[first]), float(z[last])),
        strength=strength,
        n_regions=n_regions,
        status="found" if found else "candidate",
    )


def _explains(pole: Pole, candidate: Candidate) -> bool:
    """Tell whether a candidate at another column is the same planes."""
    away = np.array([candidate.x_nm - pole.centre_nm[0], candidate.y_nm - pole.centre_nm[1], 0.0])
    off = np.abs(candidate.wave_per_nm - pole.wave_per_nm - np.array(pole.bend_per_nm2) @ away)
    distance = float(np.hypot(*away[:2]))
    (lateral, more), (axial, rather) = SAME_PLANES
    return bool(np.hypot(*off[:2]) < lateral + more * distance and off[2] < axial + rather * distance)


def _alike(one: Candidate, other: Candidate) -> bool:
    """Tell whether two candidates are most likely one."""
    far = np.hypot(one.x_nm - other.x_nm, one.y_nm - other.y_nm)
    return bool(far < 9 and np.linalg.norm(one.wave_per_nm - other.wave_per_nm) < 0.8)
