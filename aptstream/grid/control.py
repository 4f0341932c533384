"""The control with shuffled species: what would be called ordered in this specimen if nothing were.

Positions, blur, density and amount of solute stay; only who stands where is drawn anew. Whatever is then found is
false. The nets see the control by the specimen's own scale, as if it were another piece of the same matrix.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import numpy.typing as npt

from aptstream.cloud.store import PointStore
from aptstream.grid.precipitates import BoundaryRule, expected_precipitates
from aptstream.grid.refine import refiner_of
from aptstream.grid.statistics import poisson_count, weighted_count
from aptstream.model.bootstrap import Score
from aptstream.model.channels import FILLED, filled
from aptstream.model.modelfile import Model
from aptstream.model.refiner import Refined, refine_control
from aptstream.progress import Progress, silent
from aptstream.scan.results import ScanStore
from aptstream.sdm.darkfield import OrderField, order_field, shuffled_roles
from aptstream.sdm.field import HALO_CELLS
from aptstream.sdm.kernel import CellBox

Cell = tuple[int, int, int]
Block = tuple[Cell, Cell]

#: Numbers of the shuffles; voxels of a large specimen that are shuffled each time, in blocks of so many on an edge.
SHUFFLES, MAX_VOXELS, BLOCK = range(1, 6), 150_000, 40
#: What is put up with: false volume as a share of all, or false particles as a share of those that are found.
FALSE_SHARE, FALSE_PARTICLES = 1e-4, 0.02
#: Bounds of the probability that a particle's best voxel must reach.
PEAK_BOUNDS = (0.4, 0.95)
#: Volume that the next false particle is taken to have where none was found, in nm³: a radius of 1 nm.
FALSE_NM3 = 4 / 3 * np.pi


@dataclass(frozen=True)
class Control:
    """Particles that were found although nothing was ordered.

    Parameters
    ----------
    n_shuffles : int
        How often species were shuffled.
    n_voxels : int
        Voxels that were judged, all shuffles together.
    peak : ndarray of float64, (n,)
        Largest probability in each false particle.
    volume_nm3 : ndarray of float64, (n,)
        Its volume in nm³.
    own_peak : ndarray of float64, (m,)
        Largest probability in each particle of the specimen itself.
    n_judged : int
        Voxels of the specimen that were judged.
    """

    n_shuffles: int
    n_voxels: int
    peak: npt.NDArray[np.float64]
    volume_nm3: npt.NDArray[np.float64]
    own_peak: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    n_judged: int = 0

    def false_share(self, peak: float) -> float:
        """Volume of the false particles that reach a probability / volume that was judged."""
        return float(self.volume_nm3[self.peak >= peak].sum()) / self.n_voxels

    def n_false(self, peak: float) -> int:
        """Count the false particles that reach a probability."""
        return int((self.peak >= peak).sum())

    def expected_false(self, peak: float) -> float:
        """Scale the false particles that reach a probability to the volume of the specimen that was judged."""
        return self.n_false(peak) * self.n_judged / self.n_voxels

    def false_number(self, peak: float) -> Score:
        """Tell how many false particles that reach a probability the specimen should hold.

        The interval is exact for particles that come independently of each other (Poisson; Garwood 1936).

        Examples
        --------
        >>> score = Control(5, 100_000, np.zeros(0), np.zeros(0), n_judged=20_000).false_number(0.5)
        >>> score.value, score.low, round(score.high, 2)                          # none in 5 shuffles: 3.69 / 5
        (0.0, 0.0, 0.74)
        """
        return poisson_count(self.n_false(peak), self.n_judged / self.n_voxels)

    def false_volume(self, peak: float) -> Score:
        """Tell which share of the volume false particles that reach a probability should fill."""
        return false_volume(self.volume_nm3[self.peak >= peak], self.n_voxels)

    @property
    def floor(self) -> float:
        """Smallest probability to ask of a particle's best voxel.

        With it either the false volume stays below `FALSE_SHARE` of all, or the false particles below `FALSE_PARTICLES`
        of those that the specimen has: where much is ordered, more small particles may be believed.

        Examples
        --------
        >>> control = Control(5, 100_000, np.array([0.45, 0.62]), np.array([4.0, 20.0]))
        >>> control.floor, control.false_share(control.floor)
        (0.63, 0.0)
        """
        low, high = PEAK_BOUNDS
        steps = np.round(np.arange(low, high + 0.001, 0.01), 2)
        return float(next((t for t in steps if self._few_are_false(t)), high))

    def _few_are_false(self, peak: float) -> bool:
        own = int((self.own_peak >= peak).sum())
        of_own = own > 0 and self.n_judged > 0 and self.expected_false(peak) <= FALSE_PARTICLES * own
        return self.false_share(peak) <= FALSE_SHARE or of_own


def false_volume(volume_nm3: npt.NDArray[np.float64], n_voxels: int) -> Score:
    """Tell which share of a volume false particles fill.

    Parameters
    ----------
    volume_nm3 : ndarray of float64, (n,)
        Volume of each false particle of a control in nm³.
    n_voxels : int
        Voxels of 1 nm that the control judged.

    Returns
    -------
    Score
        The interval is that of `weighted_count`; where there is none, the next one is taken to have `FALSE_NM3`.

    Examples
    --------
    >>> score = false_volume(np.zeros(0), 100_000)
    >>> score.value, score.low, f"{score.high:.6f}"
    (0.0, 0.0, '0.000155')
    """
    if not len(volume_nm3):
        return poisson_count(0, FALSE_NM3 / n_voxels)
    return weighted_count(volume_nm3 / n_voxels)


def shuffled_control(
    scan: ScanStore,
    store: PointStore,
    model: Model,
    refined: Refined,
    progress: Progress = silent,
    *,
    shuffles: Sequence[int] = SHUFFLES,
) -> Control:
    """Judge the specimen with its species shuffled, five times or as often as asked.

    Parameters
    ----------
    scan : ScanStore
        It says who is host and solute, and where the planes lie.
    store : PointStore
        The ions.
    model : Model
        The nets that judged the specimen.
    refined : Refined
        The specimen's own scale.
    progress : Progress
        Told of the stage ``control``.
    shuffles : sequence of int
        Number of each shuffle: shuffles of other numbers are drawn independently.

    Returns
    -------
    Control

    Raises
    ------
    ModelError
        If the model has no nets for the 1 nm grid.
    StoreError
        If the store is damaged.
    """
    rule, found, n_voxels = BoundaryRule(peak=PEAK_BOUNDS[0]), [], 0
    for p, n_judged in shuffled_maps(scan, store, model, refined, progress, shuffles=shuffles):
        found.append(expected_precipitates(p, rule, origin_nm=store.origin_nm))
        n_voxels += n_judged
    none = np.zeros(0)
    return Control(
        n_shuffles=len(shuffles),
        n_voxels=max(n_voxels, 1),
        peak=np.concatenate([none, *(particles.peak for particles in found)]),
        volume_nm3=np.concatenate([none, *(particles.volume_nm3 for particles in found)]),
    )


def shuffled_maps(
    scan: ScanStore,
    store: PointStore,
    model: Model,
    refined: Refined,
    progress: Progress = silent,
    *,
    shuffles: Sequence[int] = SHUFFLES,
) -> Iterator[tuple[npt.NDArray[np.float32], int]]:
    """Judge the specimen, or blocks of a large one, with its species shuffled.

    Parameters
    ----------
    scan, store, model, refined, progress, shuffles
        As `shuffled_control`.

    Yields
    ------
    p : ndarray of float32, (x, y, z)
        Probability of order of each voxel of a block, by the specimen's own scale; 0 in vacuum.
    n_judged : int
        Its voxels that hold material.

    Raises
    ------
    ModelError
        If the model has no nets for the 1 nm grid.
    StoreError
        If the store is damaged.
    """
    refiner, counts = refiner_of(model), store.species_counts()
    of_role = [sum(counts[name] for name in names) for names in (scan.roles.host, scan.roles.solute)]
    share, ions = of_role[1] / max(sum(of_role), 1), store.cell_counts()
    blocks, done = control_blocks(ions >= FILLED * np.median(ions[ions > 0])), 0
    for block in blocks:
        around = _grown(block, refiner.reach, scan.shape)
        inner = _within(block, around)
        for shuffled in _shuffled_fields(scan, store, around, share, shuffles):
            p = refine_control(shuffled, refiner, scan.crystal, signal=refined.signal, order=refined.order)
            yield p[inner], int(filled(shuffled, refined.signal)[inner].sum())
            done += 1
            progress("control", done, len(blocks) * len(shuffles), "shuffles")


def _shuffled_fields(
    scan: ScanStore, store: PointStore, block: Block, share: float, shuffles: Sequence[int]
) -> Iterator[OrderField]:
    """Order field of a block with each shuffle."""
    low, high = _grown(block, HALO_CELLS, scan.shape)
    cloud = store.read(low, high, columns=())
    role = scan.roles.of(store.species_names)[cloud.species]
    x, y, z = (b - a for a, b in zip(low, high, strict=True))
    box = CellBox(store.origin_nm, low, (x, y, z))
    inner = _within(block, (low, high))
    for number in shuffles:
        shuffled = shuffled_roles(cloud, role, share, number)
        stacked = order_field(cloud, shuffled, scan.planes, scan.crystal, box=box).stacked
        yield OrderField.unstack(stacked[:, *inner])


def control_blocks(material: npt.NDArray[np.bool_]) -> list[Block]:
    """Choose what is shuffled: the whole of a small specimen, well-filled blocks of a large one, spread evenly.

    Parameters
    ----------
    material : ndarray of bool, (nx, ny, nz)
        Cells that hold ions in usual number, not vacuum.

    Returns
    -------
    list of (tuple of int, tuple of int)
        Low and high corner of each block, half-open: as many as hold `MAX_VOXELS` cells of material together.

    Examples
    --------
    >>> control_blocks(np.ones((30, 30, 40), bool)), len(control_blocks(np.ones((100, 100, 300), bool)))
    ([((0, 0, 0), (30, 30, 40))], 3)
    """
    nx, ny, nz = shape = material.shape
    if material.size <= MAX_VOXELS:
        return [((0, 0, 0), (nx, ny, nz))]
    blocks = list(_blocks((nx, ny, nz)))
    held = np.array([material[_within(block, ((0, 0, 0), shape))].sum() for block in blocks])
    well_filled = np.flatnonzero(held >= held.max() / 2)
    wanted = min(max(int(MAX_VOXELS // held[well_filled].mean()), 1), len(well_filled)) if held.any() else 1
    chosen = np.unique(np.linspace(0, len(well_filled) - 1, 2 * wanted + 1).round().astype(int)[1::2])
    return [blocks[k] for k in well_filled[chosen]]


def _blocks(shape: Cell) -> Iterator[Block]:
    for corner in product(*(range(0, n, BLOCK) for n in shape)):
        x, y, z = (min(a + BLOCK, n) for a, n in zip(corner, shape, strict=True))
        yield (corner[0], corner[1], corner[2]), (x, y, z)


def _grown(block: Block, by: int, shape: Cell) -> Block:
    """Grow a block on all sides, within the specimen."""
    a, b, c = (max(v - by, 0) for v in block[0])
    x, y, z = (min(v + by, n) for v, n in zip(block[1], shape, strict=True))
    return (a, b, c), (x, y, z)


def _within(block: Block, around: tuple[Sequence[int], Sequence[int]]) -> tuple[slice, ...]:
    """Place of a block in an array of what is around it."""
    return tuple(slice(a - start, b - start) for a, b, start in zip(*block, around[0], strict=True))
