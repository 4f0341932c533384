"""From the order field to the probability that a voxel is ordered: two passes of small nets on the 1 nm grid.

Why two: see `aptstream.model.channels`. Every pass is the mean of a few nets, which scatter by some per cent alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from os import cpu_count

import numpy as np
import numpy.typing as npt

from aptstream.crystal import Crystal
from aptstream.errors import ModelError
from aptstream.model.channels import (
    MAXIMA_REACH,
    N_FIRST,
    SpecimenOrder,
    SpecimenSignal,
    composition_channels,
    filled,
    first_channels,
    measure_signal,
    second_channels,
    specimen_order,
)
from aptstream.model.gridnet import TrainedGridNet
from aptstream.sdm.darkfield import OrderField

Floats = npt.NDArray[np.float32]

#: Channels of the second pass, and of the second with composition.
N_SECOND, N_JOINT = N_FIRST + 1, N_FIRST + 4
#: Most nets of a pass.
MAX_NETS = 16
#: Voxels that are refined at a time, 250 bytes each, and in all threads together.
SLAB_VOXELS, MOST_VOXELS = 500_000, 4_000_000


@dataclass(frozen=True)
class Refiner:
    """The nets of both passes.

    Parameters
    ----------
    first, second : tuple of TrainedGridNet
        Nets whose probabilities are averaged. Nets of the second pass read the composition too if they have `N_JOINT`
        channels: then the map no longer speaks of order alone.

    Raises
    ------
    ModelError
        If a pass has no net or more than `MAX_NETS`, or a net reads another number of channels.
    """

    first: tuple[TrainedGridNet, ...]
    second: tuple[TrainedGridNet, ...]

    def __post_init__(self) -> None:
        first, second = ({net.net.channels for net in nets} for nets in (self.first, self.second))
        if first != {N_FIRST} or second not in ({N_SECOND}, {N_JOINT}):
            raise ModelError(
                f"A refiner has nets of {N_FIRST} channels, and then nets of {N_SECOND} or of {N_JOINT} channels; "
                f"found {sorted(first)} and {sorted(second)}."
            )
        if max(len(self.first), len(self.second)) > MAX_NETS:
            raise ModelError(
                f"A pass has at most {MAX_NETS} nets, found {len(self.first)} and {len(self.second)}: take fewer."
            )

    @property
    def reads_composition(self) -> bool:
        """Whether the second pass reads the composition beside the order."""
        return self.second[0].net.channels == N_JOINT

    @property
    def reach(self) -> int:
        """Voxels around a slab that it must be given for one pass."""
        return MAXIMA_REACH + max(net.net.reach for net in (*self.first, *self.second))


@dataclass(frozen=True)
class FieldSource:
    """The order field of a specimen, to be read in slabs.

    Parameters
    ----------
    shape : tuple of int
        Voxels of the specimen.
    read : callable
        Planes low … high along x → `OrderField`.
    """

    shape: tuple[int, int, int]
    read: Callable[[int, int], OrderField]

    def slabs(self, planes: int) -> Iterator[tuple[int, int]]:
        """First and last plane of slabs of so many planes."""
        for low in range(0, self.shape[0], planes):
            yield low, min(low + planes, self.shape[0])


@dataclass(frozen=True)
class Refined:
    """Probability of order, and the specimen's own scale.

    Parameters
    ----------
    p : ndarray of float32, (nx, ny, nz)
        Expected ordered share of each voxel, 0 … 1.
    signal : SpecimenSignal
        How clearly order can show.
    order : SpecimenOrder
        How far the particles are ordered.
    spread : ndarray of float32, (nx, ny, nz)
        Standard deviation of p between the nets of the second pass.
    """

    p: Floats
    signal: SpecimenSignal
    order: SpecimenOrder
    spread: Floats = field(repr=False)


def refine_field(source: FieldSource, refiner: Refiner, crystal: Crystal) -> Refined:
    """Judge a specimen: measure its scale, find where order is, measure how far it goes, and judge again.

    Parameters
    ----------
    source : FieldSource
        Order field of the whole specimen.
    refiner : Refiner
        The nets.
    crystal : Crystal
        What is looked for.

    Returns
    -------
    Refined
        The same bits whatever the slabs.
    """
    planes = max(2 * refiner.reach, SLAB_VOXELS // (source.shape[1] * source.shape[2]))
    slabs = list(source.slabs(planes))
    signal = measure_signal((source.read(*slab) for slab in slabs), crystal)
    first, _ = _pass(source, slabs, refiner, lambda box, _: judge_first(refiner.first, box, signal, crystal))
    order = specimen_order(((a, source.read(a, b)) for a, b in slabs), first, signal, crystal)

    def second(box: OrderField, place: slice) -> tuple[Floats, Floats]:
        return _judge_second(box, first[place], refiner, (signal, order, crystal))

    p, spread = _pass(source, slabs, refiner, second)
    return Refined(p, signal, order, spread)


def refine_control(
    box: OrderField, refiner: Refiner, crystal: Crystal, *, signal: SpecimenSignal, order: SpecimenOrder
) -> Floats:
    """Judge a box by the scale of another specimen: what its nets would find in matrix where nothing is ordered.

    Parameters
    ----------
    box : OrderField
        Field of shuffled species.
    refiner : Refiner
        The nets.
    crystal : Crystal
        What is looked for.
    signal, order
        Scale of the specimen that this is the control of.

    Returns
    -------
    ndarray of float32, (nx, ny, nz)
        Probability of order.
    """
    first, _ = judge_first(refiner.first, box, signal, crystal)
    p, _ = _judge_second(box, first, refiner, (signal, order, crystal))
    return p


def judge_first(
    nets: tuple[TrainedGridNet, ...], box: OrderField, signal: SpecimenSignal, crystal: Crystal
) -> tuple[Floats, Floats]:
    """Judge a box by the nets of the first pass.

    Parameters
    ----------
    nets : tuple of TrainedGridNet
        Of the first pass.
    box : OrderField
        What they judge.
    signal : SpecimenSignal
        Of the whole specimen.
    crystal : Crystal
        What is looked for.

    Returns
    -------
    p, spread : ndarray of float32, (nx, ny, nz)
        Probability of order, 0 in vacuum, and its standard deviation between the nets.
    """
    return _in_material(mean_probability(nets, first_channels(box, signal, crystal)), box, signal)


def _judge_second(
    box: OrderField, first: Floats, refiner: Refiner, scale: tuple[SpecimenSignal, SpecimenOrder, Crystal]
) -> tuple[Floats, Floats]:
    """Judge a box by the nets of the second pass."""
    signal, order, crystal = scale
    channels = second_channels(box, first, signal, order, crystal)
    if refiner.reads_composition:
        channels = np.concatenate([composition_channels(box, signal), channels], axis=-1)
    return _in_material(mean_probability(refiner.second, channels), box, signal)


def _in_material(judged: tuple[Floats, Floats], box: OrderField, signal: SpecimenSignal) -> tuple[Floats, Floats]:
    """Call nothing ordered where there is vacuum."""
    there = filled(box, signal)
    p, spread = (np.where(there, values, np.float32(0)) for values in judged)
    return p, spread


def _pass(
    source: FieldSource,
    slabs: list[tuple[int, int]],
    refiner: Refiner,
    judge: Callable[[OrderField, slice], tuple[Floats, Floats]],
) -> tuple[Floats, Floats]:
    """Judge all slabs, each with its halo, some at a time."""
    p, spread = np.empty(source.shape, dtype=np.float32), np.empty(source.shape, dtype=np.float32)

    def one(slab: tuple[int, int]) -> None:
        low, high = slab
        start, end = max(low - refiner.reach, 0), min(high + refiner.reach, source.shape[0])
        inner = slice(low - start, high - start)
        found = judge(source.read(start, end), slice(start, end))
        p[low:high], spread[low:high] = found[0][inner], found[1][inner]

    voxels = max(high - low + 2 * refiner.reach for low, high in slabs) * source.shape[1] * source.shape[2]
    with ThreadPoolExecutor(max(min(cpu_count() or 1, MOST_VOXELS // voxels), 1)) as pool:
        list(pool.map(one, slabs))
    return p, spread


def mean_probability(nets: tuple[TrainedGridNet, ...], channels: Floats) -> tuple[Floats, Floats]:
    """Judge by some nets: mean and standard deviation of their probabilities.

    Parameters
    ----------
    nets : tuple of TrainedGridNet
        Nets that read the same channels.
    channels : ndarray of float32, (nx, ny, nz, channels)
        What they read.

    Returns
    -------
    p, spread : ndarray of float32, (nx, ny, nz)
    """
    p = np.stack([_probability(net.logits(channels)) for net in nets])
    return p.mean(axis=0, dtype=np.float32), p.std(axis=0, dtype=np.float32)


def _probability(logit: Floats) -> Floats:
    p: Floats = (1 / (1 + np.exp(-np.clip(logit, np.float32(-30), np.float32(30))))).astype(np.float32, copy=False)
    return p
