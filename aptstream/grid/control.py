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

#: Shuffles, and voxels of a large specimen that are shuffled each time, in blocks of so many voxels on an edge.
N_SHUFFLES, MAX_VOXELS, BLOCK = 5, 150_000, 40
#: What is put up with: false volume as a share of all, or false particles as a share of those that are found.
FALSE_SHARE, FALSE_PARTICLES = 1e-4, 0.02
#: Bounds of the probability that a particle's best voxel must reach.
PEAK_BOUNDS = (0.4, 0.95)


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


def shuffled_control(
    scan: ScanStore, store: PointStore, model: Model, refined: Refined, progress: Progress = silent
) -> Control:
    """Judge the specimen with its species shuffled, five times.

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
    refiner, counts = refiner_of(model), store.species_counts()
    of_role = [sum(counts[name] for name in names) for names in (scan.roles.host, scan.roles.solute)]
    share, ions = of_role[1] / max(sum(of_role), 1), store.cell_counts()
    blocks = control_blocks(ions >= FILLED * np.median(ions[ions > 0]))
    rule, found, n_voxels = BoundaryRule(peak=PEAK_BOUNDS[0]), [], 0
    for block in blocks:
        around = _grown(block, refiner.reach, scan.shape)
        inner = _within(block, around)
        for shuffled in _shuffled_fields(scan, store, around, share):
            p = refine_control(shuffled, refiner, scan.crystal, signal=refined.signal, order=refined.order)
            found.append(expected_precipitates(p[inner], rule, origin_nm=store.origin_nm))
            n_voxels += int(filled(shuffled, refined.signal)[inner].sum())
            progress("control", len(found), len(blocks) * N_SHUFFLES, "shuffles")
    return Control(
        n_shuffles=N_SHUFFLES,
        n_voxels=max(n_voxels, 1),
        peak=np.concatenate([particles.peak for particles in found]),
        volume_nm3=np.concatenate([particles.volume_nm3 for particles in found]),
    )


def _shuffled_fields(scan: ScanStore, store: PointStore, block: Block, share: float) -> Iterator[OrderField]:
    """Order field of a block with each shuffle."""
    low, high = _grown(block, HALO_CELLS, scan.shape)
    cloud = store.read(low, high, columns=())
    role = scan.roles.of(store.species_names)[cloud.species]
    x, y, z = (b - a for a, b in zip(low, high, strict=True))
    box = CellBox(store.origin_nm, low, (x, y, z))
    inner = _within(block, (low, high))
    for number in range(1, N_SHUFFLES + 1):
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
