"""Isocomposition: regions whose content of some elements reaches a cut, which is given or chosen from the specimen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from aptstream.cloud.store import PointStore
from aptstream.errors import PlanError
from aptstream.grid.precipitates import Precipitates, find_precipitates
from aptstream.peers.delocalised import CompositionMap, delocalised, share_of
from aptstream.peers.inside import count_ions
from aptstream.peers.surface import Mesh, mesh_of
from aptstream.progress import Progress, silent

#: The publication's surface: this content of this element in at.%, and the delocalisation in nm that goes with it.
PUBLISHED_ELEMENT, PUBLISHED_AT_PERCENT, DELOCALISATION_NM = "Li", 8.0, 1.0
#: Smaller regions are not told from noise.
MIN_VOXELS = 4
#: Quantiles of the map of a random alloy: the least that a cut may be, and what only a region that is there exceeds.
FLOOR, CLEARLY = 0.999, 0.9999
#: Voxels in the middle of regions from which a plateau is told.
LEAST_CORE = 20


@dataclass(frozen=True)
class TunedCut:
    """A cut that was chosen from the specimen itself, without any truth.

    Parameters
    ----------
    at_percent : float
        The cut in at.%.
    matrix_at_percent : float
        Most frequent content, which is that of the matrix.
    particle_at_percent : float or None
        Median content in the middle of the regions that stand out; nothing where no region is large enough.
    floor_at_percent : float
        What a random alloy of the matrix's content exceeds in one of 1000 voxels (10 000 where nothing stands out).
    """

    at_percent: float
    matrix_at_percent: float
    particle_at_percent: float | None
    floor_at_percent: float


@dataclass(frozen=True)
class Isocomposition:
    """Regions inside an isocomposition surface.

    Parameters
    ----------
    map : CompositionMap
        What was cut.
    at_percent : float
        The cut in at.%.
    found : Precipitates
        The regions, with the ions inside; `Precipitates.mean_order` is the mean content, 0 … 1.
    tuned : TunedCut, optional
        How the cut was chosen, where it was not given.
    """

    map: CompositionMap
    at_percent: float
    found: Precipitates
    tuned: TunedCut | None = None

    def mesh(self) -> Mesh:
        """Triangulate the surface, small regions included.

        Returns
        -------
        Mesh
            Triangles in nm.
        """
        return mesh_of(self.map.at_percent, self.at_percent, origin_nm=self.map.origin_nm, voxel_nm=self.map.voxel_nm)


def isocomposition(
    store: PointStore,
    elements: Sequence[str],
    *,
    at_percent: float | None = None,
    delocalisation_nm: float = DELOCALISATION_NM,
    progress: Progress = silent,
) -> Isocomposition:
    """Find the regions whose content of some elements reaches a cut.

    Parameters
    ----------
    store : PointStore
        The ions; read brick by brick.
    elements : sequence of str
        Elements, together; those of the solute are named by `solute_elements`.
    at_percent : float, optional
        The cut in at.%, such as the publication's 8 at.% of Li. Chosen by `tuned_cut` where it is not given.
    delocalisation_nm : float
        Standard deviation of the Gaussian in nm.
    progress : Progress
        Told of the stage ``composition``, in bricks.

    Returns
    -------
    Isocomposition

    Raises
    ------
    PlanError
        If a given cut keeps nothing or everything.
    RangingError
        If an element is in no species.

    Examples
    --------
    >>> import tempfile
    >>> from aptstream.cloud import ingest
    >>> from aptstream.io import write_pos
    >>> from aptstream.points import Range, RangeTable
    >>> table = RangeTable((Range(26, 28, (("Al", 1),)), Range(6, 8, (("Li", 1),))))
    >>> corner = np.stack(np.meshgrid(*3 * [np.arange(8)], indexing="ij"), -1).reshape(-1, 3) + 0.5
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_pos(f"{folder}/a.pos", corner, np.where((corner < 3).all(1), 7, 27))
    ...     store = ingest(f"{folder}/a.pos", ranges=table, out=f"{folder}/a.zarr")
    ...     found = isocomposition(store, ("Li",), at_percent=50, delocalisation_nm=0).found
    >>> found.n_voxels, found.ions["Li"]
    (array([27]), array([27]))
    """
    composition = delocalised(store, elements, delocalisation_nm, progress)
    tuned = tuned_cut(composition) if at_percent is None else None
    cut = tuned.at_percent if tuned is not None else check_cut(composition, at_percent or 0.0)
    return Isocomposition(composition, cut, count_ions(regions_above(composition, cut), store, progress), tuned)


def regions_above(composition: CompositionMap, at_percent: float) -> Precipitates:
    """Label the regions of a composition map that reach a cut and have at least `MIN_VOXELS` voxels.

    Parameters
    ----------
    composition : CompositionMap
        The map.
    at_percent : float
        The cut in at.%.

    Returns
    -------
    Precipitates
        `mean_order` is the mean content, 0 … 1.
    """
    found = find_precipitates(
        composition.at_percent / np.float32(100),
        cut=at_percent / 100,
        min_voxels=MIN_VOXELS,
        origin_nm=composition.origin_nm,
        voxel_nm=composition.voxel_nm,
    )
    return replace(found, peak=np.zeros(0))  # which would flag contents below 0.8 as uncertain


def check_cut(composition: CompositionMap, at_percent: float) -> float:
    """Refuse a cut that tells nothing.

    Parameters
    ----------
    composition : CompositionMap
        The map.
    at_percent : float
        The cut in at.%.

    Returns
    -------
    float
        The same.

    Raises
    ------
    PlanError
        If it keeps no voxel or every one, or is no content.
    """
    lowest, highest = (float(end(composition.at_percent)) for end in (np.nanmin, np.nanmax))
    if not 0 < at_percent < 100 or at_percent > highest or at_percent <= lowest:
        kept = "every" if 0 < at_percent <= lowest else "no"
        raise PlanError(
            f"A cut at {at_percent:g} at.% of {composition.words} keeps {kept} voxel: found {lowest:.1f} to "
            f"{highest:.1f} at.% where it is delocalised by {composition.delocalisation_nm:g} nm. Give a content "
            f"between these, or none to have it chosen."
        )
    return at_percent


def tuned_cut(composition: CompositionMap, rng: np.random.Generator | None = None) -> TunedCut:
    """Choose a cut from the specimen itself.

    Half way between matrix and particles, where the surface of a particle larger than the delocalisation lies. The
    matrix has the most frequent content. The particles have the median content of those voxels whose six neighbours
    exceed, as they do, what only 1 of 10 000 voxels of a random alloy of the matrix's content exceeds. The cut is never
    below what 1 of 1000 of those exceeds; where nothing stands out, it is what 1 of 10 000 exceeds.

    Parameters
    ----------
    composition : CompositionMap
        The map.
    rng : numpy.random.Generator, optional
        Draws the random alloy, one atom after the other; the same every time where it is not given.

    Returns
    -------
    TunedCut
    """
    values = composition.at_percent
    judged = np.isfinite(values)
    matrix = most_frequent(values[judged].astype(np.float64))
    random = _random_alloy(composition, matrix / 100, rng or np.random.default_rng(0))[judged]
    floor, clearly = (float(q) for q in np.quantile(random, (FLOOR, CLEARLY)))
    core = values[ndimage.binary_erosion(judged & (values > clearly))]
    if len(core) < LEAST_CORE:
        return TunedCut(clearly, matrix, None, clearly)
    plateau = float(np.median(core))
    return TunedCut(max((matrix + plateau) / 2, floor), matrix, plateau, floor)


def _random_alloy(composition: CompositionMap, content: float, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Map a random alloy: the atoms of each voxel drawn anew, delocalised like the specimen, in at.%."""
    drawn = rng.binomial(np.rint(composition.atoms).astype(np.int64), content).astype(np.float32)
    return 100 * share_of(drawn, composition.atoms, composition.delocalisation_nm)


def most_frequent(values: npt.NDArray[np.float64]) -> float:
    """Find the peak of a histogram of half the interquartile range / n^⅓ (Freedman–Diaconis / 4), smoothed.

    Parameters
    ----------
    values : ndarray of float64, (n,)
        Finite numbers, at least one.

    Returns
    -------
    float
    """
    low, quartile, upper, high = (float(q) for q in np.quantile(values, (0, 0.25, 0.75, 1)))
    if upper <= quartile:
        return float(np.median(values))
    n_bins = int(np.clip((high - low) / (0.5 * (upper - quartile) / len(values) ** (1 / 3)), 8, 4096))
    counts, edges = np.histogram(values, n_bins)
    width = 0.25 * (upper - quartile) / (edges[1] - edges[0])
    peak = int(np.argmax(ndimage.gaussian_filter1d(counts.astype(np.float64), width, mode="constant")))
    return float(edges[peak] + edges[peak + 1]) / 2
