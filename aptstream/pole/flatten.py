"""Measure what planes are still off when their dome is flat, and believe it only where other ions prove it."""

from __future__ import annotations

import heapq
import logging
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from aptstream.cloud.store import PointStore
from aptstream.crystal import Crystal
from aptstream.errors import PlanError
from aptstream.pole.alignment import Alignment
from aptstream.pole.halves import first_half
from aptstream.pole.phase import STEP_NM, PhaseField
from aptstream.pole.pole import Pole
from aptstream.pole.power import Cubes, grid_round, positions_round
from aptstream.progress import Progress, silent
from aptstream.regions import Cylinder

Floats = npt.NDArray[np.float64]

#: Widths of the smoothing along x, y and z in nm, and the power, 1 without planes, from which a phase is believed.
SMOOTH_NM, QUALITY = (1.2, 1.2, 3.5), 6.0
#: By how much the power of the planes in the other half of the ions has to rise, and by how many standard errors.
GAIN, SURE = 1.02, 3.0
#: No phase counts for more than one of this power when it is continued to where there are no planes.
_STRONGEST, _LARGEST_NM = 200.0, 3.2

logger = logging.getLogger(__name__)


def flatten(store: PointStore, pole: Pole, crystal: Crystal | None = None, *, progress: Progress = silent) -> Alignment:
    """Find the map that turns the planes of a pole normal to z, flattens their dome, and what is left where it can.

    What is left is measured on half of the ions. It is taken only if it makes the planes clearer in the other half.

    Parameters
    ----------
    store : PointStore
        The reconstruction in which the pole was found.
    pole : Pole
        The planes.
    crystal : Crystal, optional
        Whose planes they are: z is scaled to their spacing. They keep their own where it is not given.
    progress : Progress
        Told of the stage ``flatten``, in ions.

    Returns
    -------
    Alignment
        With a phase field where it was proved.

    Raises
    ------
    PlanError
        As `Alignment.of`.
    StoreError
        If the store is damaged.
    """
    alignment = Alignment.of(pole, crystal)
    grid = grid_round(alignment)
    reach = grid.shape[0] / 2**0.5
    around = Cylinder(pole.region.start, pole.region.end, reach)
    signal, n_ions = np.zeros(grid.shape, np.complex128), np.zeros(grid.shape)
    for position in positions_round(store, around, progress):
        chosen = position[first_half(position)]
        if len(chosen):
            _add(alignment, grid, chosen, (signal, n_ions))
    field = field_of(signal, n_ions, alignment.spacing_nm, grid)
    if field is None:
        return alignment
    before, after = _proof(store, alignment, field, progress)
    if not is_better(before, after):
        logger.info("no phase field: the planes of other ions go from power %.1f to %.1f", before.mean(), after.mean())
        return alignment
    return replace(alignment, field=field)


def is_better(before: Floats, after: Floats) -> bool:
    """Tell whether planes became clearer, by their power in the same cubes, (n,): by 2 % and three standard errors."""
    if len(before) < 3:
        return False
    gain = after - before
    surely = gain.mean() > SURE * gain.std(ddof=1) / len(gain) ** 0.5
    return bool(surely and after.mean() > GAIN * before.mean())


def field_of(
    signal: npt.NDArray[np.complex128], n_ions: Floats, spacing_nm: float, grid: PhaseField
) -> PhaseField | None:
    """Make a phase field of what was summed on its grid.

    Parameters
    ----------
    signal : ndarray of complex128, (nx, ny, nz)
        Σ exp(2πi z / spacing) of the ions nearest to each point.
    n_ions : ndarray of float64, (nx, ny, nz)
        How many they are.
    spacing_nm : float
        Distance of the planes in nm.
    grid : PhaseField
        Where the points lie.

    Returns
    -------
    PhaseField or None
        None where planes are seen nowhere, or what is found would change the order of ions.
    """
    from scipy.ndimage import gaussian_filter

    sigma = [width / step for width, step in zip(SMOOTH_NM, STEP_NM, strict=True)]

    def smooth(values: Floats) -> Floats:
        return np.asarray(gaussian_filter(values, sigma, mode="constant"))

    blurred = smooth(signal.real) + 1j * smooth(signal.imag)
    squared = 1 / ((4 * np.pi) ** 1.5 * float(np.prod(sigma)))  # sum of the squared weights
    quality = np.abs(blurred) ** 2 / np.maximum(smooth(n_ions) * squared, 1e-9)
    phase, known = unwrap(np.angle(blurred), quality)
    if not known.any():
        return None
    weight = np.where(known, np.minimum(quality, _STRONGEST), 0.0)
    phase -= np.where(known, (weight * phase).sum() / weight.sum(), 0.0)
    # Where planes are not seen their phase counts as the mean one does, with the power of ions that stand anywhere.
    weight[~known] = 1.0
    continued = np.where(known, phase, smooth(weight * phase) / np.maximum(smooth(weight), 1e-9))
    displacement = np.clip(-continued * spacing_nm / (2 * np.pi), -_LARGEST_NM, _LARGEST_NM)
    try:
        return PhaseField.of(displacement, grid.low_nm, grid.slope)
    except PlanError as error:
        logger.info("No phase field: %s", error)
        return None


def unwrap(phase: Floats, quality: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Make phases continuous from the best point on, best neighbours first, where the quality is more than 6.

    Parameters
    ----------
    phase : ndarray of float64, (nx, ny, nz)
        Radian, but for whole turns.
    quality : ndarray of float64, (nx, ny, nz)
        Power of the planes; 1 without any.

    Returns
    -------
    phase : ndarray of float64, (nx, ny, nz)
        0 where it is not known.
    known : ndarray of bool, (nx, ny, nz)

    Examples
    --------
    >>> rising = np.linspace(0, 9, 7).reshape(1, 1, 7)
    >>> found, known = unwrap(np.angle(np.exp(1j * rising)), np.array([[[7, 8, 9, 7, 7, 2, 9.0]]]))
    >>> found.ravel().tolist(), known.ravel().tolist()
    ([0.0, 1.5, 3.0, 4.5, 6.0, 0.0, 0.0], [True, True, True, True, True, False, False])
    """
    shape = phase.shape
    found, known = np.zeros(shape), np.zeros(shape, bool)
    best = tuple(int(i) for i in np.unravel_index(int(quality.argmax()), shape))
    waiting = [(-float(quality[best]), best, float(phase[best]))] if quality[best] > QUALITY else []
    while waiting:
        _, here, beside = heapq.heappop(waiting)
        if known[here]:
            continue
        known[here] = True
        found[here] = value = phase[here] + 2 * np.pi * round((beside - phase[here]) / (2 * np.pi))
        for axis in range(3):
            for step in (-1, 1):
                there = (*here[:axis], here[axis] + step, *here[axis + 1 :])
                if 0 <= there[axis] < shape[axis] and not known[there] and quality[there] > QUALITY:
                    heapq.heappush(waiting, (-float(quality[there]), there, float(value)))
    return found, known


def _add(
    alignment: Alignment, grid: PhaseField, position: Floats, sums: tuple[npt.NDArray[np.complex128], Floats]
) -> None:
    """Add ions to the signal and the number at the nearest points of a grid."""
    aligned = alignment.forward(position)
    point = np.rint(grid.place(*aligned.T)).astype(np.int64)
    inside = ((point >= 0) & (point < np.array(grid.shape)[:, None])).all(axis=0)
    number = np.ravel_multi_index(tuple(point[:, inside]), grid.shape)
    phase = 2 * np.pi / alignment.spacing_nm * aligned[inside, 2]
    signal, n_ions = sums
    n_points = n_ions.size
    signal.real += np.bincount(number, np.cos(phase), n_points).reshape(grid.shape)
    signal.imag += np.bincount(number, np.sin(phase), n_points).reshape(grid.shape)
    n_ions += np.bincount(number, minlength=n_points).reshape(grid.shape)


def _proof(store: PointStore, alignment: Alignment, field: PhaseField, progress: Progress) -> tuple[Floats, Floats]:
    """Power of the planes in the other half of the ions, without and with a field, (n_cubes,) each."""
    cubes = Cubes.of(field, 2)
    for position in positions_round(store, alignment.pole.region, progress):
        chosen = position[~first_half(position)]
        if len(chosen):
            aligned = alignment.forward(chosen).T
            planes = aligned[2] / alignment.spacing_nm
            cubes.add(field.place(*aligned), (planes, planes + field.at(*aligned) / alignment.spacing_nm))
    before, after = cubes.power()
    return before, after
