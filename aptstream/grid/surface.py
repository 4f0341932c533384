"""Sub-voxel surfaces of the particles: a level of the order map, at each particle's own height."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from aptstream.regions import Triple

FloatColumn = npt.NDArray[np.float64]
Map = npt.NDArray[np.floating[Any]]

#: A level is good when the mesh holds the particle's volume to this relative accuracy.
CLOSE = 1e-3
#: Tries of a level; halving alone would bring the level to a 10⁻⁷ of its range.
MOST_TRIES = 24


@dataclass(frozen=True)
class Surface:
    """Closed triangle meshes around particles, in one list.

    Parameters
    ----------
    vertices_nm : ndarray of float32, (n, 3)
        Corners of triangles in nm; each particle has its own.
    faces : ndarray of int32, (m, 3)
        Three vertices of each triangle, counter-clockwise seen from outside.
    particle : ndarray of int32, (m,)
        Particle number of each triangle, 1 …, ascending.
    level : ndarray of float64, (p,)
        Value of the order map on the surface of each particle.
    area_nm2, volume_nm3 : ndarray of float64, (p,)
        Area and enclosed volume of each particle's mesh.

    Examples
    --------
    >>> order = np.zeros((6, 6, 6), "f4"); order[2:4, 2:4, 2:4] = 0.9
    >>> surface = particle_surface(order, (order > 0.5).astype("i4"), origin_nm=(0, 0, 0))
    >>> len(surface), surface.volume_nm3.round(1), surface.area_nm2 < 24
    (1, array([8.]), array([ True]))
    """

    vertices_nm: npt.NDArray[np.float32]
    faces: npt.NDArray[np.int32]
    particle: npt.NDArray[np.int32]
    level: FloatColumn
    area_nm2: FloatColumn
    volume_nm3: FloatColumn

    def __len__(self) -> int:
        return len(self.level)

    @property
    def face_offset(self) -> npt.NDArray[np.int64]:
        """Where the triangles of each particle begin, (p + 1,): those of particle k are ``[k - 1]`` up to ``[k]``."""
        return np.searchsorted(self.particle, np.arange(1, len(self) + 2)).astype(np.int64)


def particle_surface(
    order: Map,
    labels: npt.NDArray[np.int32],
    volume_nm3: FloatColumn | None = None,
    *,
    origin_nm: Triple,
    voxel_nm: float = 1.0,
) -> Surface:
    """Wrap every particle in a surface that lies between voxels.

    The surface follows a level of the order map (marching cubes [1]_), seen through the particle's own voxels and those
    that touch them; other particles count as matrix. The level is the one whose mesh encloses the particle's volume: so
    table and picture agree, and the blur of the map does not shift the boundary. Where the volume that the map spans is
    too small or too large for that, it is the nearest one. At the edge of the volume the mesh is closed there.

    Parameters
    ----------
    order : ndarray of float, (nx, ny, nz)
        Order map, 0 … 1; NaN where nothing could be judged.
    labels : ndarray of int32, (nx, ny, nz)
        Particle number of each voxel, 1 …; 0 = matrix.
    volume_nm3 : ndarray of float64, (p,), optional
        Volume of each particle, as in `Precipitates`; that of its voxels where none is given.
    origin_nm : tuple of float
        Low corner of voxel [0, 0, 0] in nm.
    voxel_nm : float
        Voxel edge in nm.

    Returns
    -------
    Surface

    Raises
    ------
    ValueError
        If the two grids differ in shape, or there is another number of volumes than of particles.

    References
    ----------
    .. [1] Lewiner, Lopes, Vieira, Tavares, J. Graph. Tools 8, 1 (2003), as in scikit-image.

    Examples
    --------
    >>> order = np.array([[[0.2, 0.9, 0.4]]], "f4")
    >>> labels = np.array([[[0, 1, 0]]], "i4")
    >>> surface = particle_surface(order, labels, np.array([0.8]), origin_nm=(0, 0, -3))
    >>> surface.volume_nm3.round(2), surface.vertices_nm.min(axis=0).round(1)[:2]
    (array([0.8]), array([0., 0.], dtype=float32))
    """
    if order.shape != labels.shape or order.ndim != 3:
        raise ValueError(
            f"A surface needs a map and labels of one shape (nx, ny, nz), found {order.shape} and {labels.shape}."
        )
    boxes = ndimage.find_objects(labels)
    if volume_nm3 is not None and len(volume_nm3) != len(boxes):
        raise ValueError(
            f"A surface needs the volume of each of the {len(boxes)} particles, found {len(volume_nm3)} volumes."
        )
    meshes = [
        _mesh(order, labels, number, box, None if volume_nm3 is None else volume_nm3[number - 1] / voxel_nm**3)
        for number, box in enumerate(boxes, 1)
    ]
    return _joined(meshes, origin_nm, voxel_nm)


@dataclass(frozen=True)
class _Mesh:
    """The surface of one particle, in voxels."""

    vertices: FloatColumn
    faces: npt.NDArray[np.int32]
    level: float
    area: float
    volume: float


_NOTHING = _Mesh(np.empty((0, 3)), np.empty((0, 3), np.int32), float("nan"), 0.0, 0.0)


def _mesh(
    order: Map, labels: npt.NDArray[np.int32], number: int, box: tuple[slice, ...] | None, volume: float | None
) -> _Mesh:
    """Wrap one particle in its own bounding box."""
    if box is None:  # a number that no voxel has
        return _NOTHING
    around = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)
    own = labels[around] == number
    near = ndimage.binary_dilation(own, np.ones((3, 3, 3), bool)) & (own | (labels[around] == 0))
    # One voxel of matrix all around closes the mesh, at the edge of the volume too.
    field = np.pad(np.where(near, np.nan_to_num(order[around], nan=0.0), 0).astype(np.float32), 1)
    shift = np.array([s.start for s in around], dtype=np.float64) - 0.5  # voxel centres of the padded box
    ends = np.array(labels.shape, dtype=np.float64)
    wanted = float(np.count_nonzero(own)) if volume is None else volume
    return _at_volume(field, wanted, shift, ends)


def _at_volume(field: npt.NDArray[np.float32], wanted: float, shift: FloatColumn, ends: FloatColumn) -> _Mesh:
    """Find the level whose mesh encloses the wanted volume: the higher the level, the smaller the mesh."""
    peak = float(field.max())
    if peak <= 0:
        return _NOTHING
    low, high = 1e-4 * peak, (1 - 1e-4) * peak
    best, miss = _NOTHING, np.inf
    for _ in range(MOST_TRIES):
        found = _at_level(field, (low + high) / 2, shift, ends)
        if abs(found.volume - wanted) < miss:
            best, miss = found, abs(found.volume - wanted)
        if miss <= CLOSE * wanted:
            break
        low, high = (found.level, high) if found.volume > wanted else (low, found.level)
    return best


def _at_level(field: npt.NDArray[np.float32], level: float, shift: FloatColumn, ends: FloatColumn) -> _Mesh:
    """Make the mesh of one level; it ends where the volume ends."""
    from skimage.measure import marching_cubes

    vertices, faces, _, _ = marching_cubes(field, level)  # type: ignore[no-untyped-call]
    vertices = np.clip(vertices.astype(np.float64) + shift, 0, ends)
    corner = (vertices - vertices.mean(axis=0))[faces]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    volume = float(np.einsum("ij,ij->", corner[:, 0], normal)) / 6
    if volume < 0:
        faces, volume = faces[:, ::-1], -volume
    return _Mesh(vertices, faces, level, float(np.linalg.norm(normal, axis=1).sum()) / 2, volume)


def _joined(meshes: list[_Mesh], origin_nm: Triple, voxel_nm: float) -> Surface:
    """Put the meshes one behind the other, in nm."""
    first = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes)])
    nothing = [_NOTHING.vertices], [_NOTHING.faces]
    vertices = np.concatenate([mesh.vertices for mesh in meshes] or nothing[0])
    starts = first[:-1].astype(np.int32)
    faces = np.concatenate([mesh.faces + start for mesh, start in zip(meshes, starts, strict=True)] or nothing[1])
    numbers = np.arange(1, len(meshes) + 1, dtype=np.int32)
    return Surface(
        vertices_nm=(vertices * voxel_nm + np.array(origin_nm)).astype(np.float32),
        faces=faces.astype(np.int32),
        particle=np.repeat(numbers, [len(mesh.faces) for mesh in meshes]),
        level=np.array([mesh.level for mesh in meshes]),
        area_nm2=np.array([mesh.area for mesh in meshes]) * voxel_nm**2,
        volume_nm3=np.array([mesh.volume for mesh in meshes]) * voxel_nm**3,
    )
