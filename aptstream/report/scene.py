"""What the 3D view shows: surfaces of particles and a few ions, light enough for a page."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptstream.cloud.sample import fair_shares, sample_ions
from aptstream.cloud.store import PointStore
from aptstream.grid.precipitates import Precipitates
from aptstream.grid.surface import Surface, particle_surface
from aptstream.regions import Triple
from aptstream.report.colours import ion_colours

Positions = npt.NDArray[np.float32]
Faces = npt.NDArray[np.int32]

#: What a page can carry and a browser turn at once.
MOST_TRIANGLES, MOST_IONS = 160_000, 60_000
#: A particle keeps at least as many triangles, or all it has: with fewer it is no sphere any more.
FEWEST_TRIANGLES = 80


@dataclass(frozen=True)
class Body:
    """One particle in the view.

    Parameters
    ----------
    number : int
        Its number in the table.
    radius_nm, mean_order : float
        What it is coloured by.
    centroid_nm : tuple of float
        Where it is.
    vertices_nm : ndarray of float32, (n, 3)
        Corners of its triangles.
    faces : ndarray of int32, (m, 3)
        Its triangles.
    """

    number: int
    radius_nm: float
    mean_order: float
    centroid_nm: Triple
    vertices_nm: Positions
    faces: Faces


@dataclass(frozen=True)
class IonLayer:
    """The ions of a species in the view.

    Parameters
    ----------
    name, colour : str
        What it is called, and its colour, such as ``"#33ffff"``.
    n_all : int
        Ions of this species in the specimen.
    position_nm : ndarray of float32, (n, 3)
        Those that are shown.
    shown : bool
        Whether they are shown from the start.
    """

    name: str
    colour: str
    n_all: int
    position_nm: Positions
    shown: bool = True


@dataclass(frozen=True)
class Scene:
    """Everything in the view.

    Parameters
    ----------
    low_nm, high_nm : tuple of float
        Corners of the specimen's box.
    bodies : tuple of Body
        Particles, largest first.
    n_particles : int
        Particles there are.
    ions : tuple of IonLayer
        Ions by species.
    """

    low_nm: Triple
    high_nm: Triple
    bodies: tuple[Body, ...]
    n_particles: int
    ions: tuple[IonLayer, ...] = ()

    @property
    def note(self) -> str:
        """What is left out."""
        notes = []
        if len(self.bodies) < self.n_particles:
            notes.append(
                f"The {len(self.bodies):,} largest of {self.n_particles:,} particles are drawn; "
                f"aptstream export surface writes all."
            )
        shown, there = (sum(n) for n in zip((0, 0), *((len(i.position_nm), i.n_all) for i in self.ions), strict=True))
        if shown < there:
            notes.append(
                f"At most {shown:,} of {there:,} ranged ions are drawn, evenly spread; frequent species are thinned "
                f"out most, so compare densities within a species only."
            )
        return " ".join(notes)


def make_scene(
    found: Precipitates, order: npt.NDArray[np.float32], store: PointStore, *, host: tuple[str, ...] = ()
) -> Scene:
    """Prepare the view.

    Parameters
    ----------
    found : Precipitates
        The particles.
    order : ndarray of float32, (nx, ny, nz)
        The map they were made from.
    store : PointStore
        The ions.
    host : tuple of str
        Species that are hidden at first, for the others are lost among them.

    Returns
    -------
    Scene

    Raises
    ------
    StoreError
        If a chunk of the store is missing or damaged.
    """
    surface = particle_surface(
        order, found.labels, found.volume_nm3, origin_nm=found.origin_nm, voxel_nm=found.voxel_nm
    )
    cloud, counts, colours = sample_ions(store, MOST_IONS), store.species_counts(), ion_colours(store.ranges)
    layers = [
        IonLayer(name, colours[name], counts[name], shuffled(cloud.position[cloud.species == number]), name not in host)
        for number, name in enumerate(store.species_names)
        if number and counts[name]
    ]
    return Scene(store.box.low, store.box.high, bodies(found, surface), len(found), tuple(layers))


def shuffled(position_nm: Positions) -> Positions:
    """Arrange evenly spread ions so that any first part of them is evenly spread too.

    Parameters
    ----------
    position_nm : ndarray of float32, (n, 3)
        In stored order.

    Returns
    -------
    ndarray of float32, (n, 3)
        By multiples of the golden ratio, which fill a line evenly however many are taken.

    Examples
    --------
    >>> shuffled(np.arange(8, dtype="f4")[:, None])[:4, 0]
    array([0., 5., 2., 7.], dtype=float32)
    """
    golden = (5**0.5 - 1) / 2
    return position_nm[np.argsort(np.arange(len(position_nm)) * golden % 1, kind="stable")]


def bodies(found: Precipitates, surface: Surface, most: int = MOST_TRIANGLES) -> tuple[Body, ...]:
    """Choose the particles that are drawn, largest first, and make their surfaces as light as they must be.

    Parameters
    ----------
    found : Precipitates
        All particles.
    surface : Surface
        Their surfaces.
    most : int
        Triangles in all.

    Returns
    -------
    tuple of Body
    """
    first = surface.face_offset
    n_faces = np.diff(first)
    largest = np.argsort(-found.volume_nm3, kind="stable")
    largest = largest[n_faces[largest] > 0]
    drawn = largest[np.cumsum(np.minimum(n_faces[largest], FEWEST_TRIANGLES)) <= most]
    shown = []
    for which, share in zip(drawn.tolist(), fair_shares(n_faces[drawn], most).tolist(), strict=True):
        faces = surface.faces[first[which] : first[which + 1]]
        low, high = int(faces.min()), int(faces.max()) + 1  # each particle has its own vertices
        vertices, faces = lighter(surface.vertices_nm[low:high], faces - low, share)
        x, y, z = found.centroid_nm[which].tolist()
        radius, mean = float(found.radius_nm[which]), float(found.mean_order[which])
        shown.append(Body(which + 1, radius, mean, (x, y, z), vertices, faces))
    return tuple(shown)


def lighter(vertices: Positions, faces: Faces, most: int) -> tuple[Positions, Faces]:
    """Merge vertices that lie in one cell of a lattice, as fine as `most` triangles allow.

    Parameters
    ----------
    vertices : ndarray of float32, (n, 3)
        Corners of triangles.
    faces : ndarray of int32, (m, 3)
        Triangles.
    most : int
        Triangles that remain at most, at least 20.

    Returns
    -------
    vertices : ndarray of float32, (k, 3)
    faces : ndarray of int32, (l, 3)

    Examples
    --------
    >>> corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "f4")
    >>> lighter(corners, np.array([[0, 1, 2]], "i4"), 20)[1].shape
    (1, 3)
    """
    corner = vertices[faces].astype(np.float64)
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    area = float(np.linalg.norm(normal, axis=1).sum()) / 2
    cell = 1.3 * np.sqrt(area / max(most, 1))  # a cell of the lattice keeps about two triangles of its cut
    while len(faces) > most:
        _, owner = np.unique(np.floor(vertices / cell).astype(np.int64), axis=0, return_inverse=True)
        owner = owner.ravel()
        sums = np.stack([np.bincount(owner, column) for column in vertices.T], axis=1)
        merged = sums / np.bincount(owner)[:, None]
        kept = owner[faces]
        kept = kept[(kept[:, 0] != kept[:, 1]) & (kept[:, 1] != kept[:, 2]) & (kept[:, 2] != kept[:, 0])]
        if len(kept) <= most:
            used, numbers = np.unique(kept, return_inverse=True)
            return merged[used].astype(np.float32), numbers.reshape(-1, 3).astype(np.int32)
        cell *= 1.15
    return vertices, faces
