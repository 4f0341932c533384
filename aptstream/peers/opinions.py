"""The same specimen seen by order and by the established methods: one table, and what the disagreement means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from aptstream.cloud.store import PointStore
from aptstream.crystal import Crystal
from aptstream.errors import PlanError
from aptstream.grid.compare import FOUND_SHARE
from aptstream.grid.composition import overall_percent
from aptstream.grid.files import GridFile
from aptstream.grid.precipitates import Precipitates, describe
from aptstream.peers.arrangement import Arrangement, arrangement
from aptstream.peers.atoms import solute_elements
from aptstream.peers.clustering import Clusters, dbscan_clusters, maximum_separation
from aptstream.peers.delocalised import CompositionMap, delocalised
from aptstream.peers.inside import count_ions, require_same_grid
from aptstream.peers.isocomposition import (
    DELOCALISATION_NM,
    PUBLISHED_AT_PERCENT,
    PUBLISHED_ELEMENT,
    check_cut,
    regions_above,
    tuned_cut,
)
from aptstream.peers.proxigram import Interface, LevelSurface, Proxigram, fit_interface, proxigram
from aptstream.points import RangeTable, Roles
from aptstream.progress import Progress, silent

Bools = npt.NDArray[np.bool_]

Verdict = Literal["both", "order without contrast", "contrast without order"]

#: Level of the order map across which profiles are measured.
ORDER_LEVEL = 0.5


@dataclass(frozen=True)
class Opinion:
    """What one method sees.

    Parameters
    ----------
    method : str
        Its name.
    rule : str
        How it makes particles, in words.
    found : Precipitates or None
        Its particles, with the ions inside; nothing where the method tells nothing here.
    note : str
        Why it tells nothing.
    """

    method: str
    rule: str
    found: Precipitates | None
    note: str = ""


@dataclass(frozen=True)
class Row:
    """One line of the table; what is not defined is None.

    Parameters
    ----------
    method, rule, note : str
        As of the opinion.
    n_particles : int or None
        Particles.
    mean_radius_nm : float or None
        Mean radius of the spheres of equal volume in nm.
    volume_fraction : float or None
        Voxels of its particles / voxels that could be judged.
    number_density_per_m3 : float or None
        Particles / judged volume in m⁻³.
    at_percent : dict of str to float
        Composition of all its particles together, in at.%.
    dice : float or None
        Overlap of its voxels with those of the ordered particles, 0 … 1.
    order_seen : float or None
        Share of the ordered particles of which a quarter lies in particles of this method.
    volume_ordered : float or None
        Share of its volume that lies in ordered particles.
    n_without_order : int or None
        Its particles of which less than a quarter lies in ordered ones.
    """

    method: str
    rule: str
    note: str
    n_particles: int | None = None
    mean_radius_nm: float | None = None
    volume_fraction: float | None = None
    number_density_per_m3: float | None = None
    at_percent: dict[str, float] | None = None
    dice: float | None = None
    order_seen: float | None = None
    volume_ordered: float | None = None
    n_without_order: int | None = None


@dataclass(frozen=True)
class Profile:
    """Composition across a surface, and the step in the content of the solute where one can be fitted."""

    proxigram: Proxigram
    step: Interface | None


@dataclass(frozen=True)
class SecondOpinions:
    """The ordered particles, and what the established methods see.

    Parameters
    ----------
    order : Opinion
        The ordered particles.
    others : tuple of Opinion
        All other methods, none of which knows of order.
    composition : CompositionMap
        Content of the solute elements.
    judged : ndarray of bool, (nx, ny, nz)
        Voxels in which both order and composition could be judged.
    profiles : dict of str to Profile
        Across which surface: the profile.
    arrangement : Arrangement
        How the solute ions are arranged as a whole.
    table : RangeTable
        What ions are made of.
    """

    order: Opinion
    others: tuple[Opinion, ...]
    composition: CompositionMap
    judged: Bools
    profiles: dict[str, Profile]
    arrangement: Arrangement
    table: RangeTable

    @property
    def rows(self) -> tuple[Row, ...]:
        """The table, order first."""
        return tuple(self._row(opinion) for opinion in (self.order, *self.others))

    @property
    def order_verdicts(self) -> tuple[Verdict, ...]:
        """Whether any other method sees a quarter of each ordered particle."""
        seen = np.zeros(len(_found(self.order)), dtype=bool)
        for opinion in self.others:
            seen |= self._overlap(_found(self.order), opinion.found) >= FOUND_SHARE
        return tuple("both" if one else "order without contrast" for one in seen.tolist())

    def verdicts(self, opinion: Opinion) -> tuple[Verdict, ...]:
        """Tell whether a quarter of each particle of a method lies in ordered ones.

        Parameters
        ----------
        opinion : Opinion
            One of `others`.

        Returns
        -------
        tuple of str
        """
        ordered = self._overlap(_found(opinion), self.order.found) >= FOUND_SHARE
        return tuple("both" if one else "contrast without order" for one in ordered.tolist())

    @property
    def sentence(self) -> str:
        """What the disagreement means, in words."""
        order, unseen = self.order_verdicts, self.order_verdicts.count("order without contrast")
        words = (
            f"Of {len(order)} ordered particles {len(order) - unseen} are seen by composition too; {unseen} are order "
            f"without contrast."
        )
        told = [opinion for opinion in self.others if opinion.found is not None]
        parts = [
            f"{self.verdicts(opinion).count('contrast without order')} of {len(_found(opinion))} ({opinion.method})"
            for opinion in told
        ]
        return words + (f" Contrast without order: {', '.join(parts)}." if parts else "")

    def _overlap(self, found: Precipitates, other: Precipitates | None) -> npt.NDArray[np.float64]:
        """Share of the voxels of each particle that lies in particles of another method, (n,)."""
        inside = np.zeros(len(found), dtype=np.float64)
        if other is not None and len(found):
            within = np.bincount(found.labels[other.labels > 0], minlength=len(found) + 1)[1:]
            inside = within / found.n_voxels
        return inside

    def _row(self, opinion: Opinion) -> Row:
        if opinion.found is None:
            return Row(opinion.method, opinion.rule, opinion.note)
        found, order = opinion.found, _found(self.order)
        mine, ordered = (part.labels[self.judged] > 0 for part in (found, order))
        n_judged, n_mine, n_ordered = int(self.judged.sum()), int(mine.sum()), int(ordered.sum())
        both, itself = int((mine & ordered).sum()), opinion is self.order
        ions = {name: int(column.sum()) for name, column in found.ions.items()}
        atoms = overall_percent(ions, self.table) if sum(ions.values()) else {}
        return Row(
            opinion.method,
            opinion.rule,
            opinion.note,
            n_particles=len(found),
            mean_radius_nm=found.mean_radius_nm if len(found) else None,
            volume_fraction=_ratio(n_mine, n_judged),
            number_density_per_m3=_ratio(len(found), n_judged * (found.voxel_nm * 1e-9) ** 3),
            at_percent={element: content for element, content in atoms.items() if np.isfinite(content)},
            dice=None if itself else _ratio(2 * both, n_mine + n_ordered),
            order_seen=None if itself else _ratio(int((self._overlap(order, found) >= FOUND_SHARE).sum()), len(order)),
            volume_ordered=None if itself else _ratio(both, n_mine),
            n_without_order=None if itself else self.verdicts(opinion).count("contrast without order"),
        )


def _found(opinion: Opinion) -> Precipitates:
    if opinion.found is None:
        raise PlanError(f"{opinion.method} has found nothing to compare: {opinion.note or 'no particles'}.")
    return opinion.found


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


@dataclass(frozen=True)
class Wanted:
    """What a comparison is to use in place of what it would choose.

    Parameters
    ----------
    solute_at_percent : float, optional
        Cut of an isocomposition surface of all solute elements, in place of the publication's 8 at.% of Li.
    delocalisation_nm : float
        Standard deviation of the Gaussian in nm.
    crystal : Crystal, optional
        Whose shells of neighbours are counted; ranks of neighbours where it is not given.
    """

    solute_at_percent: float | None = None
    delocalisation_nm: float = DELOCALISATION_NM
    crystal: Crystal | None = None


def second_opinions(
    store: PointStore,
    roles: Roles,
    grid: GridFile,
    wanted: Wanted | None = None,
    *,
    progress: Progress = silent,
) -> SecondOpinions:
    """Look at a specimen with the established methods, and hold what they see against the ordered particles.

    Isocomposition surfaces (the publication's where lithium is a solute, or at a given content, and with a cut chosen
    from the specimen), maximum separation and DBSCAN of the solute ions, proxigrams across order and composition, and
    statistics of all solute ions: nearest neighbours, pair correlation, short-range order.

    Parameters
    ----------
    store : PointStore
        The ions that were scanned.
    roles : Roles
        Host and solute species.
    grid : GridFile
        Order map and particles of a run.
    wanted : Wanted, optional
        What is not to be chosen.
    progress : Progress
        Told of the stages ``composition``, ``clusters``, ``proxigram`` and ``pairs``, in bricks.

    Returns
    -------
    SecondOpinions

    Raises
    ------
    StoreError
        If the grid and the store do not belong together.
    RangingError
        If a species is not in the store, or solute and host are of the same elements.
    PlanError
        If there are too few solute ions, or a given cut keeps nothing or everything.
    """
    require_same_grid(grid.order.shape, grid.votes.origin_nm, store)
    wanted, elements = wanted or Wanted(), solute_elements(roles, store.ranges)
    particles = describe(grid.labels, grid.order, store.origin_nm)
    order = Opinion("order", "particles of the run", count_ions(particles, store))
    composition = delocalised(store, elements, wanted.delocalisation_nm, progress)
    fixed = _fixed(store, composition, wanted, progress)
    tuned = tuned_cut(composition)
    words = _cut_words(composition, tuned.at_percent) + ", half way between matrix and particles"
    if tuned.particle_at_percent is None:
        words = _cut_words(composition, tuned.at_percent) + ", where a random alloy ends: nothing stands out"
    iso = Opinion(
        "isocomposition, tuned", words, count_ions(regions_above(composition, tuned.at_percent), store, progress)
    )
    clusters = (
        _clustered("maximum separation", maximum_separation(store, roles, progress=progress)),
        _clustered("DBSCAN", dbscan_clusters(store, roles, progress=progress)),
    )
    surfaces = {
        "order": lambda: LevelSurface(grid.order, ORDER_LEVEL, store.origin_nm),
        "isocomposition, tuned": lambda: LevelSurface.of_composition(composition, tuned.at_percent),
    }
    profiles = {name: _profile(store, make, elements, progress) for name, make in surfaces.items()}
    known = np.isfinite(composition.at_percent)
    judged = known & np.isfinite(grid.order)
    return SecondOpinions(
        order,
        (*fixed, iso, *clusters),
        composition,
        judged if judged.any() else known,
        {name: profile for name, profile in profiles.items() if profile is not None},
        arrangement(store, roles, wanted.crystal, progress=progress),
        store.ranges,
    )


def _fixed(store: PointStore, composition: CompositionMap, wanted: Wanted, progress: Progress) -> tuple[Opinion, ...]:
    """Draw the surface at a given content, or the publication's where there is lithium."""
    cut, own = wanted.solute_at_percent, composition
    if cut is None:
        if PUBLISHED_ELEMENT not in composition.elements:
            return ()
        cut, own = PUBLISHED_AT_PERCENT, composition
        if composition.elements != (PUBLISHED_ELEMENT,):
            own = delocalised(store, (PUBLISHED_ELEMENT,), wanted.delocalisation_nm, progress)
    name = f"isocomposition, {cut:g} at.% {own.words}"
    try:
        found = regions_above(own, check_cut(own, cut))
    except PlanError as error:
        if wanted.solute_at_percent is not None:
            raise
        return (Opinion(name, _cut_words(own, cut), None, str(error)),)
    return (Opinion(name, _cut_words(own, cut), count_ions(found, store, progress)),)


def _cut_words(composition: CompositionMap, at_percent: float) -> str:
    return f"{composition.words} ≥ {at_percent:.1f} at.%, delocalised by {composition.delocalisation_nm:g} nm"


def _clustered(method: str, clusters: Clusters) -> Opinion:
    rule = clusters.rule
    words = (
        f"solute ions within {rule.reach_nm:.2f} nm, at least {rule.min_ions} in a cluster; envelope "
        f"{rule.envelope_nm:.2f} nm, erosion {rule.erosion_nm:.2f} nm"
    )
    if rule.min_samples != 2:
        words = f"{rule.min_samples} " + words
    return Opinion(method, words, clusters.found)


def _profile(
    store: PointStore, make: Callable[[], LevelSurface], elements: tuple[str, ...], progress: Progress
) -> Profile | None:
    """Measure a profile where there is a surface, and fit a step where there is one."""
    try:
        found = proxigram(store, make(), progress=progress)
    except PlanError:
        return None
    try:
        return Profile(found, fit_interface(found, elements))
    except PlanError:
        return Profile(found, None)
