"""Where the particles of a simulated specimen lie, and how large they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptstream.points import Triple


@dataclass(frozen=True)
class Particles:
    """Spheres that do not overlap.

    Parameters
    ----------
    centre_nm : ndarray of float64, (n, 3)
        Centres in nm.
    radius_nm : ndarray of float64, (n,)
        Radii in nm.
    variant : ndarray of int64, (n,)
        Translation variant: which of the parent's sites the ordered cell starts on.
    """

    centre_nm: npt.NDArray[np.float64]
    radius_nm: npt.NDArray[np.float64]
    variant: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.radius_nm)

    @property
    def volume_nm3(self) -> npt.NDArray[np.float64]:
        """Volume of every sphere in nm³, (n,)."""
        volume: npt.NDArray[np.float64] = 4 / 3 * np.pi * self.radius_nm**3
        return volume


def draw_particles(
    rng: np.random.Generator,
    size_nm: Triple,
    *,
    volume_fraction: float,
    mean_nm: float = 2.5,
    sd_nm: float = 0.6,
    n_small: int = 0,
) -> Particles:
    """Draw radii from a lognormal distribution and place the spheres at random, the largest first.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    size_nm : tuple of float
        Size of the box 0 … size in nm. Centres may lie a little outside, so that spheres are cut by its faces as in a
        measured volume.
    volume_fraction : float
        Volume of all spheres / volume of the box.
    mean_nm, sd_nm : float
        Mean and standard deviation of the radii in nm.
    n_small : int
        Further spheres with radii of 0.5–1.5 nm, wholly inside.

    Returns
    -------
    Particles
        Spheres at least 0.8 nm apart; those that found no room are left out.

    Examples
    --------
    >>> particles = draw_particles(np.random.default_rng(0), (30, 30, 40), volume_fraction=0.1)
    >>> bool(particles.radius_nm.min() > 0.5)
    True
    """
    wanted = volume_fraction * float(np.prod(size_nm))
    sigma = np.sqrt(np.log(1 + (sd_nm / mean_nm) ** 2))
    radii = list(rng.uniform(0.5, 1.5, n_small))
    volume = sum(4 / 3 * np.pi * r**3 for r in radii)
    while volume < wanted:
        radius = min(rng.lognormal(np.log(mean_nm) - sigma**2 / 2, sigma), 6.0)
        radii.append(radius)
        volume += 4 / 3 * np.pi * radius**3
    centre, radius = _place(rng, np.array(size_nm), sorted(radii, reverse=True))
    return Particles(centre, radius, rng.integers(0, 4, len(radius)))


def _place(
    rng: np.random.Generator, size: npt.NDArray[np.float64], radii: list[float]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Random sequential placement with a gap of 0.8 nm."""
    centre, placed = np.zeros((0, 3)), np.zeros(0)
    for radius in radii:
        margin = -0.2 * radius if radius > 1.5 else radius
        if (size < 2 * margin).any():
            continue
        for _ in range(400):
            candidate = rng.uniform(margin, size - margin)
            if (np.linalg.norm(centre - candidate, axis=1) > placed + radius + 0.8).all():
                centre, placed = np.vstack([centre, candidate]), np.append(placed, radius)
                break
    return centre, placed
