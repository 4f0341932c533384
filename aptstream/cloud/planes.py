"""Whether lattice planes stand normal to z at all: without them no order can be seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptstream.cloud.lattice import BRICK_CELLS
from aptstream.cloud.store import PointStore

#: Blocks in which planes are taken to be flat, in cells, and fewest ions in one: also relative to the usual number.
BLOCK, MIN_IONS, WELL_FILLED = 4, 100, 0.7
#: Spacings that are looked at, relative to the expected one; how far off it may be; and most bricks read.
STRETCH, ALLOWED, MAX_BRICKS = np.arange(0.75, 1.2501, 0.01), 0.03, 48
#: Steps in which heights are counted, and how far beyond their block tilted planes are followed, in nm.
HEIGHT_NM, BEYOND_NM = 0.01, 0.5
#: A rule of thumb: a measured silicon reconstruction without planes gives 1.05–1.13, simulated ones blurred by 0.03,
#: 0.05 and 0.065 nm about 140, 6 and 1.25; and by how many standard deviations of the mean chance is to be surpassed.
VISIBLE, SURE = 1.2, 5.0
#: What is left of the signal where the window closes in x and y too, at least: 0.44 of that of planes that lie as
#: expected, nothing of the fringes of planes that are tilted otherwise.
STEADY = 0.2


@dataclass(frozen=True)
class PlaneSignal:
    """Strength of planes normal to z.

    Parameters
    ----------
    spacing_nm : float
        Spacing with the strongest signal, within 25 % of the expected one, in nm.
    strength : float
        Mean over 4 nm blocks of |Σ h exp(2πi z / spacing)|² / Σ h², h a Hann window along z; 1 for ions that stand
        anywhere.
    expected_nm : float
        Spacing that was expected.
    n_blocks : int
        Blocks with enough ions.
    closed : float
        The strength with the Hann window along x and y too.
    """

    spacing_nm: float
    strength: float
    expected_nm: float
    n_blocks: int
    closed: float

    @property
    def visible(self) -> bool:
        """Whether planes of the expected spacing and slope can be seen, and none of another are stronger."""
        clear = self.strength >= max(VISIBLE, 1 + SURE / max(self.n_blocks, 1) ** 0.5)
        steady = self.closed - 1 >= STEADY * (self.strength - 1)
        return clear and steady and abs(self.spacing_nm / self.expected_nm - 1) <= ALLOWED


def plane_signal(store: PointStore, spacing_nm: float, slope: tuple[float, float] = (0.0, 0.0)) -> PlaneSignal:
    """Measure how clearly planes of about the expected spacing stand normal to z, or tilted by a known slope.

    The Hann window keeps planes of other spacings, and slow changes of density, from showing at this one.

    Parameters
    ----------
    store : PointStore
        The ions; of a large specimen 48 bricks spread evenly are read.
    spacing_nm : float
        Expected spacing of the planes in nm.
    slope : tuple of (float, float)
        Rise of the planes along x and y, nm a nm; up to 0.1.

    Returns
    -------
    PlaneSignal

    Raises
    ------
    StoreError
        If the store is damaged.
    """
    bricks = np.argwhere(np.ones(store.lattice.shape_bricks, dtype=bool)) * BRICK_CELLS
    chosen = bricks[np.unique(np.linspace(0, len(bricks) - 1, MAX_BRICKS).round().astype(int))]
    n_heights = round((BLOCK + 2 * BEYOND_NM) / HEIGHT_NM)
    phase = 2 * np.pi * np.outer((np.arange(n_heights) + 0.5) * HEIGHT_NM, 1 / (spacing_nm * STRETCH))
    power, n_blocks = np.zeros((2, len(STRETCH))), 0
    for x, y, z in chosen.tolist():
        cloud = store.read((x, y, z), (x + BRICK_CELLS, y + BRICK_CELLS, z + BRICK_CELLS), columns=())
        # A row for each axis: numpy goes through long rows several times faster than through many short ones.
        inside = cloud.position.T.astype(np.float64, order="C") - np.add(store.origin_nm, (x, y, z))[:, None]
        block = np.clip(np.floor(inside / BLOCK), 0, BRICK_CELLS // BLOCK - 1)
        flat = (16 * block[0] + 4 * block[1] + block[2]).astype(np.int64)
        place = inside - BLOCK * block
        height = place[2] - np.array(slope) @ (place[:2] - BLOCK / 2) + BEYOND_NM
        step = np.clip((height / HEIGHT_NM).astype(np.int64), 0, n_heights - 1)
        ions = np.bincount(flat, minlength=64)
        usual = np.median(ions[ions >= MIN_IONS]) if (ions >= MIN_IONS).any() else np.inf
        enough = ions >= max(MIN_IONS, WELL_FILLED * usual)  # a block that a face cuts shows the face
        n_blocks += int(enough.sum())
        hann = np.sin(np.pi / BLOCK * place) ** 2
        for k, window in enumerate((hann[2], hann[0] * hann[1] * hann[2])):
            count = np.bincount(flat * n_heights + step, window, 64 * n_heights).reshape(64, n_heights)[enough]
            squares = (count @ np.cos(phase)) ** 2 + (count @ np.sin(phase)) ** 2
            power[k] += (squares / np.bincount(flat, window**2, 64)[enough, None]).sum(axis=0)
    best = int(power[0].argmax())
    strength, closed = (power[:, best] / n_blocks).tolist() if n_blocks else (0.0, 0.0)
    return PlaneSignal(float(spacing_nm * STRETCH[best]), strength, spacing_nm, n_blocks, closed)
