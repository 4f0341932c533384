"""Which voxel belongs to which phase: particles, matrix, or neither."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from aptstream.cloud.store import PointStore
from aptstream.errors import PlanError, StoreError
from aptstream.regions import Triple

#: Names of the phases by their number in `PhaseMap.phase`; voxels of number 0 belong to neither.
PHASES = {1: "particles", 2: "matrix"}
#: Planes along x in which distances are computed at a time.
_SLAB = 32


@dataclass(frozen=True)
class PhaseMap:
    """Particles and matrix on the 1 nm grid of a store.

    The matrix is what could be judged and lies farther from every particle than a shell: a voxel is left out if its
    centre is at most shell + half a voxel away from the centre of a particle's voxel.

    Parameters
    ----------
    labels : ndarray of int32, (nx, ny, nz)
        Particle number of each voxel; 0 = no particle.
    judged : ndarray of bool, (nx, ny, nz)
        Voxels that could be judged.
    origin_nm : tuple of float
        Low corner of voxel [0, 0, 0] in nm.
    shell_nm : float
        Thickness of the shell around particles that counts to neither phase, in nm.

    Raises
    ------
    PlanError
        If the grids differ in shape, the shell is no length, or a label is negative.

    Examples
    --------
    >>> labels = np.zeros((7, 1, 1), "i4"); labels[0] = 1
    >>> PhaseMap(labels, labels >= 0, (0, 0, 0)).phase.ravel()
    array([1, 0, 2, 2, 2, 2, 2], dtype=uint8)
    """

    labels: npt.NDArray[np.int32]
    judged: npt.NDArray[np.bool_]
    origin_nm: Triple
    shell_nm: float = field(default=1.0)

    def __post_init__(self) -> None:
        if self.labels.ndim != 3 or self.labels.shape != self.judged.shape:
            raise PlanError(
                f"Phases need labels and judged voxels on one grid (nx, ny, nz), found {self.labels.shape} and "
                f"{self.judged.shape}."
            )
        if not 0 <= self.shell_nm <= 20:
            raise PlanError(f"The shell around particles is 0 to 20 nm thick, found {self.shell_nm:g} nm.")
        low, high = int(self.labels.min(initial=0)), int(self.labels.max(initial=0))
        if low < 0 or high > self.labels.size:
            raise PlanError(
                f"Particles are numbered from 1 in their order, 0 is the matrix; found labels from {low} to {high} on "
                f"{self.labels.size:,} voxels."
            )

    @property
    def n_particles(self) -> int:
        """Largest number of a particle."""
        return int(self.labels.max(initial=0))

    @cached_property
    def phase(self) -> npt.NDArray[np.uint8]:
        """Phase of each voxel, see `PHASES`, (nx, ny, nz)."""
        phase = self.judged.astype(np.uint8) * np.uint8(2)
        phase[self.labels > 0] = 1
        reach = self.shell_nm + 0.5
        halo = int(np.ceil(reach))
        for low in range(0, len(phase), _SLAB):
            start = max(low - halo, 0)
            particle = self.labels[start : low + _SLAB + halo] > 0
            if particle.any():
                near = ndimage.distance_transform_edt(~particle) <= reach
                here = phase[low : low + _SLAB]
                here[near[low - start : low - start + len(here)] & (here == 2)] = 0
        return phase

    def require(self, store: PointStore) -> None:
        """Refuse a store that the grid was not made from.

        Parameters
        ----------
        store : PointStore
            The ions.

        Raises
        ------
        StoreError
            If cells and voxels differ.
        """
        if self.labels.shape != store.shape_cells or tuple(self.origin_nm) != store.origin_nm:
            raise StoreError(
                f"The grid ({self.labels.shape} voxels from {self.origin_nm} nm) and the store "
                f"({store.shape_cells} cells from {store.origin_nm} nm) do not belong together: give the store that "
                f"was scanned."
            )

    def n_voxels(self, number: int) -> int:
        """Count the voxels, of 1 nm³, of a phase."""
        return int((self.phase == number).sum())
