"""What the grid nets read: the order field in the specimen's own units. The same for training and for a scan.

Order is judged in two passes. The first net sees the field divided by the specimen's blur, as its planes tell it, and
says where order is. From its map follows the *specimen order* S, how far the particles of this specimen are ordered and
detected at all; the second net sees everything in units of S, and so knows what the inside of a particle looks like
here: only then can it tell where a particle ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, maximum_filter

from aptstream.crystal import Crystal
from aptstream.sdm.darkfield import OrderField

Floats = npt.NDArray[np.float32]
Real = TypeVar("Real", np.float32, np.float64)

#: Maps whose maxima over a neighbourhood are read: number of the scale, edge of the neighbourhood in voxels.
MAXIMA = ((2, 5), (3, 5), (3, 9))
#: Voxels around a box that its channels depend on.
MAXIMA_REACH = 4
#: Channels of the first pass; the second reads the map of the first too.
N_FIRST = 27
#: Numbers of the specimen among the channels of a pass: the last ones.
N_SCALARS = 4
#: Smallest coherence of planes that is believed, and bounds of the specimen order.
MIN_COHERENCE, ORDER_BOUNDS = 0.004, (0.15, 1.5)
#: Voxels with less than this share of the usual density are vacuum; at a corner of the volume a voxel has a third.
FILLED = 0.25
#: Specimen order where too little is ordered to tell: fewest voxels, and fewest nm³.
USUAL_ORDER, MIN_VOXELS, MIN_VOLUME = 0.6, 8, 6.0
#: Standard deviations that blur a map as the windows of two of the linear orders do (1 and 0.7 nm, both on 1.4 nm).
BLURRED_NM, LINEAR = (1.0, 0.76), (3, 2)


@dataclass(frozen=True)
class SpecimenSignal:
    """How clearly order can show in a specimen.

    Parameters
    ----------
    strength : float
        Median of A²/V at 1 nm: power of full order, with the specimen's blur, in units of its noise.
    coherence : float
        Median coherence of the planes, κ.
    upper_order : tuple of (float, float)
        Quantiles 0.98 and 0.995 of the order at 1.4 nm.
    solute : float
        Median solute fraction: that of the matrix.
    density : float
        Median ions of host and solute in a nm³.
    """

    strength: float
    coherence: float
    upper_order: tuple[float, float]
    solute: float
    density: float


@dataclass(frozen=True)
class SpecimenOrder:
    """How far the particles of a specimen are ordered, as far as it can be seen.

    Parameters
    ----------
    order : float
        Specimen order S: slope of the measured order on the share of ordered volume; 1 for a perfect crystal.
    upper : float
        Quantile 0.9 of the measured order in the particles.
    """

    order: float
    upper: float


def measure_signal(slabs: Iterable[OrderField], crystal: Crystal) -> SpecimenSignal:
    """Measure how clearly order can show.

    Parameters
    ----------
    slabs : iterable of OrderField
        The specimen, in one piece or several.
    crystal : Crystal
        What is looked for.

    Returns
    -------
    SpecimenSignal
        Medians and quantiles over the voxels that are filled with ions.
    """
    parts = [np.stack([f.coherence2, f.strength, f.order[3], f.solute[1], f.density])[:, f.density > 1] for f in slabs]
    if not any(part.size for part in parts):
        return SpecimenSignal(1e-6, MIN_COHERENCE, (0.0, 0.0), 0.0, 0.0)

    def every(number: int) -> npt.NDArray[np.float64]:  # one at a time: all of them are a fourfold of the parts
        return np.concatenate([part[number] for part in parts]).astype(np.float64)

    density = float(np.median(every(4)))
    kept = every(4) >= FILLED * density
    coherence2 = every(0)[kept]
    coherence = _coherence(coherence2, float(np.sqrt(max(np.median(coherence2), MIN_COHERENCE**2))))
    del coherence2
    middle, damping = float(np.median(coherence)), coherence ** (1 / crystal.doubling**2)
    del coherence
    low, high = np.quantile(every(2)[kept] / damping, (0.98, 0.995), overwrite_input=True)
    return SpecimenSignal(
        strength=float(np.median(every(1)[kept] * damping**2, overwrite_input=True)),
        coherence=middle,
        upper_order=(float(low), float(high)),
        solute=float(np.median(every(3)[kept], overwrite_input=True)),
        density=density,
    )


def filled(field: OrderField, signal: SpecimenSignal) -> npt.NDArray[np.bool_]:
    """Tell which voxels hold material, not the vacuum around a needle.

    Parameters
    ----------
    field : OrderField
        Of a box.
    signal : SpecimenSignal
        Of the whole specimen.

    Returns
    -------
    ndarray of bool, (nx, ny, nz)
    """
    return field.density >= np.float32(max(FILLED * signal.density, 1))


def debye_waller(field: OrderField, coherence: float, crystal: Crystal) -> Floats:
    """Damping of the doubled period by the blur, from the planes: κ to the power 1/n².

    Parameters
    ----------
    field : OrderField
        Its coherence is read.
    coherence : float
        κ of the specimen; places that seem to have less than half of it are taken to have half.
    crystal : Crystal
        Tells n, the planes in a period.

    Returns
    -------
    ndarray of float32, (nx, ny, nz)
    """
    damping: Floats = _coherence(field.coherence2, coherence) ** np.float32(1 / crystal.doubling**2)
    return damping


def _coherence(squared: npt.NDArray[Real], usual: float) -> npt.NDArray[Real]:
    """Return the coherence of the planes in every voxel, κ, from its square; at least half of the usual one."""
    found = np.sqrt(np.maximum(squared, squared.dtype.type(0.25 * usual**2)))
    return np.clip(found, squared.dtype.type(MIN_COHERENCE), squared.dtype.type(1))


def first_channels(field: OrderField, signal: SpecimenSignal, crystal: Crystal) -> Floats:
    """Channels of the first pass.

    Parameters
    ----------
    field : OrderField
        A box, with a halo of `MAXIMA_REACH` voxels where the specimen goes on.
    signal : SpecimenSignal
        Of the whole specimen.
    crystal : Crystal
        What is looked for.

    Returns
    -------
    ndarray of float32, (nx, ny, nz, 27)
    """
    scalars = (np.log(signal.strength), np.log(signal.coherence), *signal.upper_order)
    unit = debye_waller(field, signal.coherence, crystal)
    return _channels(_maps(field, unit, (-1, 3), scalars), unit.shape, N_FIRST)


def second_channels(
    field: OrderField, first: Floats, signal: SpecimenSignal, order: SpecimenOrder, crystal: Crystal
) -> Floats:
    """Channels of the second pass: in units of the specimen order, and the map of the first pass.

    Parameters
    ----------
    field : OrderField
        A box, with a halo of `MAXIMA_REACH` voxels where the specimen goes on.
    first : ndarray of float32, (nx, ny, nz)
        Map of the first pass, 0 … 1.
    signal : SpecimenSignal
        Of the whole specimen.
    order : SpecimenOrder
        Of the whole specimen.
    crystal : Crystal
        What is looked for.

    Returns
    -------
    ndarray of float32, (nx, ny, nz, 28)
    """
    s = order.order
    scalars = (
        np.log(signal.strength) + 2 * np.log(s),
        np.log(signal.coherence),
        np.log(s),
        np.log(order.upper / s),
    )
    unit = debye_waller(field, signal.coherence, crystal) * np.float32(s)
    believed = np.clip(first, np.float32(1e-4), np.float32(1 - 1e-4))
    logit = np.log(believed / (1 - believed)) / 3
    return _channels(chain([logit], _maps(field, unit, (-1.5, 3), scalars)), unit.shape, N_FIRST + 1)


def _channels(maps: Iterable[Floats], shape: tuple[int, ...], n: int) -> Floats:
    """Lay maps side by side, each as soon as it is made: all of them at once would take the memory twice."""
    channels: Floats = np.empty((*shape, n), dtype=np.float32)
    for number, values in enumerate(maps):
        channels[..., number] = values
    return channels


def _maps(field: OrderField, unit: Floats, bounds: tuple[float, float], scalars: tuple[float, ...]) -> Iterator[Floats]:
    """Powers on a logarithmic scale, orders in a unit, maxima around, and numbers of the specimen."""
    yield from (np.log(power + np.float32(0.3)) for power in field.power)
    yield from (np.log(np.maximum(locked, 0) + np.float32(0.3)) for locked in field.locked)
    yield from (np.clip(linear / unit, *bounds) for linear in field.linear)
    order = np.clip(field.order / unit, 0, 3)
    yield from order
    yield from (maximum_filter(order[scale], edge) for scale, edge in MAXIMA)
    yield from (np.full(unit.shape, np.float32(value)) for value in scalars)


def composition_channels(field: OrderField, signal: SpecimenSignal) -> Floats:
    """Channels of the composition: solute fraction above that of the matrix, in tenths.

    Parameters
    ----------
    field : OrderField
        A box.
    signal : SpecimenSignal
        Of the whole specimen.

    Returns
    -------
    ndarray of float32, (nx, ny, nz, 3)
    """
    return np.moveaxis((field.solute - np.float32(signal.solute)) * np.float32(10), 0, -1).astype(np.float32)


def specimen_order(
    slabs: Iterable[tuple[int, OrderField]], first: Floats, signal: SpecimenSignal, crystal: Crystal
) -> SpecimenOrder:
    """Measure how far the particles of a specimen are ordered.

    Least squares of two linear orders on the map of the first pass, blurred as their windows are: mean of both slopes.

    Parameters
    ----------
    slabs : iterable of (int, OrderField)
        The specimen, in one piece or several along x, each with its first plane.
    first : ndarray of float32, (nx, ny, nz)
        Map of the first pass of the whole specimen, 0 … 1.
    signal : SpecimenSignal
        Of the whole specimen.
    crystal : Crystal
        What is looked for.

    Returns
    -------
    SpecimenOrder
        `USUAL_ORDER` where less than `MIN_VOLUME` nm³ are ordered.
    """
    if (first > 0.3).sum() < MIN_VOXELS or first[first > 0.5].sum(dtype=np.float64) < MIN_VOLUME:
        return SpecimenOrder(USUAL_ORDER, USUAL_ORDER)
    share = np.where(first > 0.1, first, np.float32(0))
    expected = np.stack([gaussian_filter(share, sigma, mode="nearest", truncate=3.5) for sigma in BLURRED_NM])
    found, there = [], []
    for start, field in slabs:
        here = slice(start, start + len(field.strength))
        inside = first[here] > 0.3
        damping = debye_waller(field, signal.coherence, crystal)[inside].astype(np.float64)
        found.append(field.linear[list(LINEAR)][:, inside] / damping)
        there.append(expected[:, here][:, inside].astype(np.float64))
    # Summed at the end: sums of sums would differ in their last bits from slab to slab.
    linear, blurred = np.concatenate(found, axis=1), np.concatenate(there, axis=1)
    slope = (linear * blurred).sum(axis=1) / (blurred**2).sum(axis=1)
    order = np.mean(np.clip(slope, *ORDER_BOUNDS))
    upper = np.clip(np.quantile(linear[0], 0.9), *ORDER_BOUNDS)
    return SpecimenOrder(float(order), float(upper))
