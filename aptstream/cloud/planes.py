"""Whether lattice planes stand normal to z at all: without them no order can be seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptstream.cloud.lattice import BRICK_CELLS
from aptstream.cloud.store import PointStore

#: Blocks in which planes are taken to be flat, in cells, and fewest ions in one.
BLOCK, MIN_IONS = 4, 100
#: Spacings tried around the expected one, and most bricks read.
STRETCH, MAX_BRICKS = np.arange(0.92, 1.0801, 0.01), 48
#: A rule of thumb, not a p-value: a measured silicon reconstruction without planes gives 1.0–1.5 at any spacing (its
#: density varies, so more than the 1 of pure chance); simulated ones blurred by 0.03 and 0.05 nm give about 230 and 15.
VISIBLE = 2.0


@dataclass(frozen=True)
class PlaneSignal:
    """Strength of planes normal to z.

    Parameters
    ----------
    spacing_nm : float
        Spacing with the strongest signal, within 8 % of the expected one, in nm.
    strength : float
        Mean over 4 nm blocks of |Σ exp(2πi z / spacing)|² / n; 1 for ions that stand anywhere.
    n_blocks : int
        Blocks with enough ions.
    """

    spacing_nm: float
    strength: float
    n_blocks: int

    @property
    def visible(self) -> bool:
        """Whether planes can be seen."""
        return self.strength >= VISIBLE


def plane_signal(store: PointStore, spacing_nm: float, slope: tuple[float, float] = (0.0, 0.0)) -> PlaneSignal:
    """Measure how clearly planes of about the expected spacing stand normal to z, or tilted by a known slope.

    Parameters
    ----------
    store : PointStore
        The ions; of a large specimen 48 bricks spread evenly are read.
    spacing_nm : float
        Expected spacing of the planes in nm.
    slope : tuple of (float, float)
        Rise of the planes along x and y, nm a nm.

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
    power, n_blocks = np.zeros(len(STRETCH)), 0
    for x, y, z in chosen.tolist():
        cloud = store.read((x, y, z), (x + BRICK_CELLS, y + BRICK_CELLS, z + BRICK_CELLS))
        inside = cloud.position.astype(np.float64) - store.origin_nm - (x, y, z)
        block = (inside // BLOCK).astype(int) @ (16, 4, 1)
        count = np.bincount(block, minlength=64)
        enough = count >= MIN_IONS
        n_blocks += int(enough.sum())
        height = inside[:, 2] - inside[:, :2] @ np.array(slope)
        for k, stretch in enumerate(STRETCH):
            phase = 2 * np.pi / (spacing_nm * stretch) * height
            real, imaginary = (np.bincount(block, wave(phase), 64)[enough] for wave in (np.cos, np.sin))
            power[k] += ((real**2 + imaginary**2) / count[enough]).sum()
    best = int(power.argmax())
    strength = float(power[best] / n_blocks) if n_blocks else 0.0
    return PlaneSignal(float(spacing_nm * STRETCH[best]), strength, n_blocks)
