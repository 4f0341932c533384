"""Composition on the 1 nm grid, delocalised by a Gaussian: the map that isocomposition surfaces are drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from aptstream.cloud.store import PointStore
from aptstream.errors import PlanError
from aptstream.peers.atoms import atoms_per_ion, count_in_voxels, elements_in
from aptstream.progress import Progress, silent
from aptstream.regions import Triple

Grid = npt.NDArray[np.float32]

#: A voxel is judged if its delocalised density reaches this share of the specimen's median; a flat face leaves half.
LEAST_DENSITY = 0.25
#: Gaussians end here, in standard deviations.
TRUNCATE = 4.0


@dataclass(frozen=True)
class CompositionMap:
    """Content of some elements in every voxel.

    Parameters
    ----------
    at_percent : ndarray of float32, (nx, ny, nz)
        Atoms of the elements / all atoms in at.%; NaN where there are too few atoms.
    atoms : ndarray of float32, (nx, ny, nz)
        All atoms in each voxel, not delocalised.
    elements : tuple of str
        What is counted, together.
    delocalisation_nm : float
        Standard deviation of the Gaussian in nm.
    origin_nm : tuple of float
        Low corner of voxel [0, 0, 0] in nm.
    voxel_nm : float
        Voxel edge in nm.
    """

    at_percent: Grid
    atoms: Grid
    elements: tuple[str, ...]
    delocalisation_nm: float
    origin_nm: Triple
    voxel_nm: float = 1.0

    @property
    def words(self) -> str:
        """What it shows, such as ``Li + Mg``."""
        return " + ".join(self.elements)


def delocalised(
    store: PointStore, elements: Sequence[str], delocalisation_nm: float = 1.0, progress: Progress = silent
) -> CompositionMap:
    """Map the content of some elements on the voxels of a store.

    Every ion is counted to its voxel as the atoms that it is made of; unranged ions and ions of unknown atoms do not
    count. Both the atoms of the elements and all atoms are delocalised by one Gaussian, and divided. The Gaussian is
    reflected at the faces of the volume.

    Parameters
    ----------
    store : PointStore
        The ions; read brick by brick.
    elements : sequence of str
        Elements, together.
    delocalisation_nm : float
        Standard deviation of the Gaussian in nm; 0 for none.
    progress : Progress
        Told of the stage ``composition``, in bricks.

    Returns
    -------
    CompositionMap

    Raises
    ------
    RangingError
        If an element is in no species.
    PlanError
        If the delocalisation is no length of 0 to 20 nm, or the store holds no atom.

    References
    ----------
    .. [1] Hellman, Blatz du Rivage, Seidman, Ultramicroscopy 95, 199 (2003).

    Examples
    --------
    >>> import tempfile
    >>> from aptstream.cloud import ingest
    >>> from aptstream.io import write_pos
    >>> from aptstream.points import Range, RangeTable
    >>> table = RangeTable((Range(26, 28, (("Al", 1),)), Range(83, 85, (("Cr", 1), ("O", 2)))))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_pos(f"{folder}/a.pos", [[0.5, 0.5, 0.5]] * 2, [27, 84])
    ...     store = ingest(f"{folder}/a.pos", ranges=table, out=f"{folder}/a.zarr")
    ...     delocalised(store, ("O",), 1.0).at_percent
    array([[[50.]]], dtype=float32)
    """
    if not 0 <= delocalisation_nm <= 20:
        raise PlanError(f"A delocalisation is a length of 0 to 20 nm, found {delocalisation_nm:g} nm.")
    every = atoms_per_ion(store.ranges, elements_in(store.ranges))
    wanted, atoms = count_in_voxels(
        store, [atoms_per_ion(store.ranges, elements), every], "composition", progress=progress
    )
    if not atoms.any():
        raise PlanError("The store holds no ion of known atoms: no composition can be mapped. Range it anew.")
    content = share_of(wanted, atoms, delocalisation_nm)
    return CompositionMap(100 * content, atoms, tuple(elements), delocalisation_nm, store.origin_nm)


def share_of(wanted: Grid, atoms: Grid, delocalisation_nm: float) -> Grid:
    """Divide two delocalised counts.

    Parameters
    ----------
    wanted, atoms : ndarray of float32, (nx, ny, nz)
        Atoms of some elements and all atoms in each 1 nm voxel.
    delocalisation_nm : float
        Standard deviation of the Gaussian in nm.

    Returns
    -------
    ndarray of float32, (nx, ny, nz)
        0 … 1; NaN where the delocalised density is too low.
    """
    part, whole = (spread(grid, delocalisation_nm) for grid in (wanted, atoms))
    enough = whole >= LEAST_DENSITY * np.median(whole[atoms > 0])
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=enough & (whole > 0))


def spread(grid: Grid, delocalisation_nm: float) -> Grid:
    """Delocalise what lies in 1 nm voxels by a Gaussian of this standard deviation in nm."""
    smooth: Grid = ndimage.gaussian_filter(grid, delocalisation_nm, truncate=TRUNCATE) if delocalisation_nm else grid
    return smooth
