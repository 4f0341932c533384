"""Slow waves of density: what uneven detection does to a specimen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class DensityWaves:
    """1 + Σ amplitude · cos(2π wave · position + phase).

    Parameters
    ----------
    wave_per_nm : ndarray of float64, (n, 3)
        Directions divided by wavelengths in nm.
    phase : ndarray of float64, (n,)
        In radians.
    amplitude : float
        Of each, relative to the mean.
    """

    wave_per_nm: Floats
    phase: Floats
    amplitude: float

    def density(self, position: npt.NDArray[np.floating]) -> Singles:
        """Density at positions (n, 3), relative to the mean and not below 0, (n,)."""
        density = np.ones(len(position), dtype=np.float32)
        for wave, phase in zip((2 * np.pi * self.wave_per_nm).astype(np.float32), self.phase, strict=True):
            density += np.float32(self.amplitude) * np.cos(position @ wave + np.float32(phase))
        return np.maximum(density, 0, out=density)

    @property
    def highest(self) -> float:
        """Bound of the density."""
        return 1 + len(self.phase) * self.amplitude


def draw_waves(rng: np.random.Generator, n: int, amplitude: float, wavelength_nm: tuple[float, float]) -> DensityWaves:
    """Draw waves of any direction.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    n : int
        How many.
    amplitude : float
        Of each, relative to the mean.
    wavelength_nm : tuple of float
        Shortest and longest; evenly on a logarithmic scale.

    Returns
    -------
    DensityWaves
    """
    direction = rng.standard_normal((n, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    length = np.exp(rng.uniform(np.log(wavelength_nm[0]), np.log(wavelength_nm[1]), n))
    return DensityWaves(direction / length[:, None], rng.uniform(0, 2 * np.pi, n), amplitude)
