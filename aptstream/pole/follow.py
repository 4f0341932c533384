"""Follow the planes of a candidate: their dome and its axis, and whether ions that were not asked agree.

The ions are summed with the phase that the planes known so far would give them, on a coarse grid: what is left varies
slowly, so its spectra round many places cost little. The planes are those at which the sum of the log powers of all
places is largest. One half of the ions is asked for the planes, the other half whether they are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage, optimize

from aptstream.pole.waves import WINDOW_END, add_bent_waves, mean_of_splines

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

#: Edges of the cells in which ions are summed, in nm: a wave that is off by 0.5 per nm loses a tenth.
CELL_NM = np.array([0.5, 0.5, 1.0])
#: Waves that are off by so much show what stands there without planes, per nm.
BESIDE_PER_NM = (0.3, 0.9, 0.45)
#: So much longer and shorter waves show what stands there on any surface with the same normal, per nm.
ALONG_PER_NM = (0.2, 0.24, 0.28, 0.32, 0.36, 0.4, 0.44)
_WELL_FILLED = 0.6
#: Places are spread over so many layers at most: in deeper specimens they stand farther apart.
MOST_LAYERS = 50


@dataclass(frozen=True)
class Windows:
    """Places along the axis of a dome, and windows round them.

    Parameters
    ----------
    lateral_nm, axial_nm : float
        Standard deviations of a window.
    pitch_nm, step_nm : float
        Distances of places along x and y, and along z.
    radius_nm : float
        Farthest place from the axis.
    """

    lateral_nm: float
    axial_nm: float
    pitch_nm: float
    step_nm: float
    radius_nm: float

    @property
    def reach_nm(self) -> float:
        """Farthest ions from the axis that take part."""
        return self.radius_nm + WINDOW_END * self.lateral_nm

    def places(self, dome: Dome, low: Floats, high: Floats) -> Floats:
        """Spread places round the axis of a dome between two heights, (n, 3)."""
        n = int(self.radius_nm // self.pitch_nm)
        across = np.arange(-n, n + 1) * self.pitch_nm
        disc = np.array([(x, y) for x in across for y in across if x * x + y * y <= self.radius_nm**2])
        margin = min(1.2 * self.axial_nm, (high[2] - low[2]) / 2)
        step = max(self.step_nm, (high[2] - low[2]) / MOST_LAYERS)
        heights = np.arange(low[2] + margin, high[2] - margin + 1e-9, step)
        axis = dome.centre_nm[:2] + np.outer(heights - dome.centre_nm[2], dome.axis)
        layers = [
            np.column_stack([disc + middle, np.full(len(disc), z)]) for middle, z in zip(axis, heights, strict=True)
        ]
        return np.concatenate(layers)


#: Wider as the dome is known better.
NARROW, WIDE = Windows(1.5, 3.0, 3.0, 5.0, 8.0), Windows(3.0, 5.0, 4.0, 8.0, 9.0)


@dataclass(frozen=True)
class Dome:
    """Planes that bend: their wave at a place, and how it changes.

    Parameters
    ----------
    centre_nm : ndarray of float64, (3,)
        Place.
    wave_per_nm : ndarray of float64, (3,)
        Wave there.
    bend_per_nm2 : ndarray of float64, (3, 3)
        Symmetric: its change along x, y, z.
    axis : ndarray of float64, (2,)
        How far the middle of the places that are looked at moves along x and y on one nm along z.
    """

    centre_nm: Floats
    wave_per_nm: Floats
    bend_per_nm2: Floats
    axis: Floats

    def changed(self, wave: Floats, bend: Floats) -> Dome:
        """Add to wave and bend."""
        return replace(self, wave_per_nm=self.wave_per_nm + wave, bend_per_nm2=self.bend_per_nm2 + bend)


def round_dome(centre: Floats, wave: Floats, curvature_per_nm: float, drift: Floats) -> Dome:
    """Make a round dome whose axis drifts.

    Its planes sink along their normal by e² curvature / 2, e the distance from the axis at the same height, normal to
    the normal.
    """
    normal = wave / np.linalg.norm(wave)
    bend = np.zeros((3, 3))
    bend[:2, :2] = curvature_per_nm * np.linalg.norm(wave) * (np.eye(2) - np.outer(normal[:2], normal[:2]))
    bend[2, :2] = bend[:2, 2] = -bend[:2, :2] @ drift
    bend[2, 2] = drift @ bend[:2, :2] @ drift
    return Dome(centre, wave, bend, np.zeros(2))


@dataclass(frozen=True)
class Residue:
    """Spectra of what a dome leaves over, round many places.

    Parameters
    ----------
    places_nm : ndarray of float64, (n, 3)
        Middles of the windows.
    log_power : ndarray of float32, (n, kx, ky, kz)
        Log(1 + power) at small wave vectors, zero in the middle.
    step_per_nm : ndarray of float64, (3,)
        Their distances.
    """

    places_nm: Floats
    log_power: Singles
    step_per_nm: Floats

    def __len__(self) -> int:
        return len(self.places_nm)

    @property
    def middle(self) -> npt.NDArray[np.int64]:
        """Index of wave vector zero, (3,)."""
        return np.array(self.log_power.shape[1:]) // 2

    def splines(self, reach_per_nm: float) -> Callable[[Floats], float]:
        """Return the mean log power at small wave vectors (n, 3), one a place; beyond the reach it stays as there."""
        half = np.minimum(np.ceil(reach_per_nm / self.step_per_nm).astype(int) + 2, self.middle - 1)
        x, y, z = (slice(m - h, m + h + 1) for m, h in zip(self.middle, half, strict=True))
        weights = self.log_power[:, x, y, z]
        for axis in (1, 2, 3):
            weights = ndimage.spline_filter1d(weights, 3, axis=axis, output=np.float32)

        def value(off: Floats) -> float:
            return mean_of_splines(weights, np.clip(off / self.step_per_nm + half, 1.0, 2 * half - 1.000001))

        return value


@dataclass(frozen=True)
class Sums:
    """Ions summed with the phase of a dome, in cells of `CELL_NM`.

    Parameters
    ----------
    low_nm : ndarray of float64, (3,)
        Low corner.
    waves : ndarray of complex64, (nx, ny, nz)
        Sum of exp(−2πi planes).
    ions : ndarray of float32, (nx, ny, nz)
        Their number.
    """

    low_nm: Floats
    waves: npt.NDArray[np.complex64]
    ions: Singles

    @property
    def high_nm(self) -> Floats:
        """High corner, (3,)."""
        return np.asarray(self.low_nm + CELL_NM * self.ions.shape)

    @property
    def axes_nm(self) -> tuple[Floats, Floats, Floats]:
        """Middles of the cells along x, y and z."""
        steps = zip(self.low_nm, CELL_NM, self.ions.shape, strict=True)
        x, y, z = (np.asarray(low + edge * (np.arange(n) + 0.5), np.float64) for low, edge, n in steps)
        return x, y, z

    def power(self, lateral_nm: float, axial_nm: float) -> tuple[Singles, Singles]:
        """Power of the planes in a Gaussian window round every cell, 1 on average without any; and the ions there."""
        sigma = np.array([lateral_nm, lateral_nm, axial_nm]) / CELL_NM

        def blur(grid: Singles, width: Floats) -> Singles:
            return np.asarray(ndimage.gaussian_filter(grid, width, mode="constant", truncate=3.0), np.float32)

        square = blur(self.waves.real, sigma) ** 2 + blur(self.waves.imag, sigma) ** 2
        # The square of a Gaussian is one of 1/√2 of the width, (4π)^-1.5 / (σx σy σz) in all.
        chance = blur(self.ions, sigma / np.sqrt(2)) / np.float32((4 * np.pi) ** 1.5 * sigma.prod())
        return square / np.maximum(chance, 1e-12), blur(self.ions, sigma)


def sum_waves(blocks: Iterable[Singles], low_nm: Floats, high_nm: Floats, dome: Dome) -> Sums:
    """Sum ions with the phase of a dome.

    Parameters
    ----------
    blocks : iterable of ndarray of float32, (n, 3)
        Ions in nm.
    low_nm, high_nm : ndarray of float64, (3,)
        Corners of a box round all of them.
    dome : Dome
        Planes.

    Returns
    -------
    Sums
    """
    shape = np.floor((high_nm - low_nm) / CELL_NM).astype(int) + 1
    waves, ions = np.zeros(shape, np.complex64), np.zeros(shape, np.float32)
    bend = dome.bend_per_nm2[np.triu_indices(3)]
    numbers = np.concatenate([dome.centre_nm, dome.wave_per_nm, bend, low_nm, CELL_NM])
    for position in blocks:
        add_bent_waves(position, numbers, waves, ions)
    return Sums(low_nm, waves, ions)


def leave_over(sums: Sums, dome: Dome, windows: Windows) -> Residue:
    """Look at what a dome leaves over round places along its axis.

    Parameters
    ----------
    sums : Sums
        Of the ions with the phase of this dome.
    dome : Dome
        Planes so far.
    windows : Windows
        Where to look, and how far round.

    Returns
    -------
    Residue
        Without the places that are not filled well.
    """
    sigma = np.array([windows.lateral_nm, windows.lateral_nm, windows.axial_nm])
    half = np.ceil(WINDOW_END * sigma / CELL_NM).astype(int)
    margin = [(h, h) for h in half]
    waves, ions = np.pad(sums.waves, margin), np.pad(sums.ions, margin)
    steps = [np.arange(-h, h + 1) * edge / s for h, edge, s in zip(half, CELL_NM, sigma, strict=True)]
    shares = [np.exp(-0.5 * step**2).astype(np.float32) for step in steps]
    window = shares[0][:, None, None] * shares[1][:, None] * shares[2]
    corners = np.floor((windows.places(dome, sums.low_nm, sums.high_nm) - sums.low_nm) / CELL_NM).astype(int)
    corners = corners[((corners >= 0) & (corners < sums.ions.shape)).all(axis=1)]
    pieces = [tuple(slice(c, c + 2 * h + 1) for c, h in zip(corner, half, strict=True)) for corner in corners]
    squares = np.array([(ions[piece] * window**2).sum() for piece in pieces])
    enough = squares >= _WELL_FILLED * np.percentile(squares, 90) if len(squares) else np.zeros(0, bool)
    size = [2 * fft.next_fast_len(max(16, int(h) + 1)) for h in half]
    # With every second cell negated the wave vector zero comes to the middle of the spectrum.
    window *= np.float32(1) - 2 * (np.indices(window.shape).sum(axis=0) % 2).astype(np.float32)
    spectra = np.empty((int(enough.sum()), *size), np.float32)
    for number, k in enumerate(np.flatnonzero(enough)):
        spectrum = fft.fftn(waves[pieces[k]] * window, size)
        spectra[number] = np.log1p((spectrum.real**2 + spectrum.imag**2) / squares[k])
    middles = sums.low_nm + (corners[enough] + 0.5) * CELL_NM
    return Residue(middles, spectra, 1 / (np.array(size) * CELL_NM))


def fit_round(residue: Residue, dome: Dome, curvature_per_nm: float) -> Dome:
    """Fit a round dome to what is left over; several starts, because a wrong curvature has peaks of its own.

    Returns
    -------
    Dome
    """
    away, value = residue.places_nm - dome.centre_nm, residue.splines(0.5)

    def trial(numbers: Floats) -> Dome:
        wave = dome.wave_per_nm + numbers[:3]
        return round_dome(dome.centre_nm, wave, numbers[3], numbers[4:])

    def loss(numbers: Floats) -> float:
        bend = trial(numbers).bend_per_nm2 - dome.bend_per_nm2
        return -value(numbers[:3] + away @ bend)

    steps = np.array([0.08, 0.08, 0.03, 0.003, 0.08, 0.08])
    curvatures = curvature_per_nm + np.array([0.0, 0.005, -0.005])
    ends = [_climb(loss, np.array([0, 0, 0, start, 0, 0]), steps) for start in curvatures]
    return trial(min(ends, key=loss))


def fit_free(residue: Residue, dome: Dome) -> Dome:
    """Fit wave and bend, which need not be those of a round dome, to what is left over.

    Returns
    -------
    Dome
    """
    away, value, upper = residue.places_nm - dome.centre_nm, residue.splines(0.3), np.triu_indices(3)

    def split(numbers: Floats) -> tuple[Floats, Floats]:
        bend = np.zeros((3, 3))
        bend[upper] = numbers[3:]
        return numbers[:3], bend + np.triu(bend, 1).T

    def loss(numbers: Floats) -> float:
        wave, bend = split(numbers)
        return -value(wave + away @ bend)

    steps = np.array([0.03, 0.03, 0.015, 0.005, 0.003, 0.001, 0.005, 0.001, 0.0005])
    return dome.changed(*split(_climb(loss, np.zeros(9), steps)))


def _climb(loss: Callable[[Floats], float], start: Floats, steps: Floats) -> Floats:
    """Find the nearest minimum by its values alone: the sum of splines has many little ones that stop a gradient."""
    options: Any = {"initial_simplex": np.vstack([start, start + np.diag(steps)]), "adaptive": True}
    options |= {"maxfev": 1500, "xatol": 1e-4, "fatol": 1e-4}
    return np.asarray(optimize.minimize(loss, start, method="Nelder-Mead", options=options).x)


def stands_out(residue: Residue, dome: Dome) -> float:
    """Tell by how many standard deviations the planes stand out of waves beside them.

    Whatever else correlates ions is beside the planes too. Density waves and edges are there at waves all around; hits
    that came together, on one piece of the surface, at longer and shorter waves along the same normal.

    Parameters
    ----------
    residue : Residue
        What the dome leaves over of ions that should not have been asked for it.
    dome : Dome
        The planes.

    Returns
    -------
    float
        Mean log power on the planes, less the larger of its means around and along the normal, over its scatter around.
    """
    mean = residue.log_power.mean(axis=0, dtype=np.float64)
    off = np.meshgrid(
        *((np.arange(n) - n // 2) * step for n, step in zip(mean.shape, residue.step_per_nm, strict=True)),
        indexing="ij",
    )
    far = np.sqrt(sum(o * o for o in off))
    least, most, axial = BESIDE_PER_NM
    around = mean[(far > least) & (far < most) & (np.abs(off[2]) < axial)]
    x, y, z = residue.middle
    level = max(around.mean(), _along_normal(residue, dome).mean())
    return float((mean[x, y, z] - level) / around.std())


def _along_normal(residue: Residue, dome: Dome) -> Floats:
    """Mean log power of longer and shorter waves than that of the planes, normal to them everywhere, (n,)."""
    waves = dome.wave_per_nm + (residue.places_nm - dome.centre_nm) @ dome.bend_per_nm2
    normals = waves / np.linalg.norm(waves, axis=1)[:, None]
    rows = np.arange(len(residue))
    powers = []
    for length in (*ALONG_PER_NM, *(-length for length in ALONG_PER_NM)):
        x, y, z = (residue.middle + np.rint(length * normals / residue.step_per_nm).astype(np.int64)).T
        powers.append(residue.log_power[rows, x, y, z].mean(dtype=np.float64))
    return np.array(powers)
