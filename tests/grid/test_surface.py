"""Surfaces of particles: spheres of known volume and area, closed and facing outwards whatever the map."""

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from aptstream.grid.precipitates import find_precipitates
from aptstream.grid.surface import particle_surface


def sphere_map(radius, centre, shape, blur):
    """Fraction of each voxel inside a sphere (five points along each axis), blurred."""
    points = [(np.arange(5 * n) + 0.5) / 5 for n in shape]
    x, y, z = np.ix_(*(p - c for p, c in zip(points, centre, strict=True)))
    inside = x**2 + y**2 + z**2 <= radius**2
    nx, ny, nz = shape
    return ndimage.gaussian_filter(inside.reshape(nx, 5, ny, 5, nz, 5).mean((1, 3, 5)), blur)


def assert_closed(surface):
    """Each edge is walked as often in one direction as in the other; no vertex is idle or shared by particles."""
    f = surface.faces.astype(np.int64)
    edges = np.concatenate([f[:, [0, 1]], f[:, [1, 2]], f[:, [2, 0]]])
    n = len(surface.vertices_nm)
    there, back = (np.bincount(a * n + b, minlength=1) if len(f) else 0 for a, b in (edges.T, edges.T[::-1]))
    np.testing.assert_array_equal(there, back)
    np.testing.assert_array_equal(np.unique(f), np.arange(n))
    owner = np.zeros(n, "i4")
    owner[f] = surface.particle[:, None]
    np.testing.assert_array_equal(owner[f], np.repeat(surface.particle[:, None], 3, 1))


def measured(surface, number):
    """Volume by the divergence theorem and area of one particle, from the mesh alone."""
    corner = surface.vertices_nm.astype("f8")[surface.faces[surface.particle == number]]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    return (corner[:, 0] * normal).sum() / 6, np.linalg.norm(normal, axis=1).sum() / 2


@pytest.mark.parametrize("blur", [0.6, 1.0, 1.4])
@pytest.mark.parametrize("radius", [1.0, 1.5, 2.0, 3.0, 4.0])
def test_a_sphere_has_its_volume_and_area(radius, blur):
    rng = np.random.default_rng(round(10 * radius))
    n = int(2 * radius) + 12
    for _ in range(4):
        order = sphere_map(radius, n / 2 + rng.random(3) - 0.5, (n, n, n), blur)
        volume = 4 / 3 * np.pi * radius**3
        nth = np.sort(order.ravel())[-round(order.sum())]
        surface = particle_surface(order, (order >= nth).astype("i4"), np.array([order.sum()]), origin_nm=(0, 0, 0))
        assert_closed(surface)
        assert surface.volume_nm3[0] == pytest.approx(volume, rel=0.03)
        np.testing.assert_allclose(measured(surface, 1), (surface.volume_nm3[0], surface.area_nm2[0]), rtol=1e-3)
        if radius >= 1.5:
            assert surface.area_nm2[0] == pytest.approx(4 * np.pi * radius**2, rel=0.05)


@pytest.mark.parametrize("voxel_nm", [0.5, 2.0])
def test_lengths_are_those_of_the_grid(voxel_nm):
    order = sphere_map(3.0, (8.2, 7.9, 8.0), (16, 16, 16), 0.8)
    labels = (order > 0.5).astype("i4")
    unit = particle_surface(order, labels, origin_nm=(0, 0, 0))
    scaled = particle_surface(order, labels, origin_nm=(-3, 4, 50), voxel_nm=voxel_nm)
    np.testing.assert_allclose(scaled.vertices_nm, unit.vertices_nm * voxel_nm + (-3, 4, 50), atol=1e-4)
    np.testing.assert_allclose(scaled.area_nm2, unit.area_nm2 * voxel_nm**2)
    np.testing.assert_allclose(scaled.volume_nm3, unit.volume_nm3 * voxel_nm**3)
    centre = scaled.vertices_nm.mean(axis=0)
    np.testing.assert_allclose(centre, np.array((8.2, 7.9, 8.0)) * voxel_nm + (-3, 4, 50), atol=0.1 * voxel_nm)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("end", [0, 12])
def test_a_particle_at_the_edge_is_closed_there(axis, end):
    centre = [6.0, 6.0, 6.0]
    centre[axis] = end
    order = sphere_map(4.0, centre, (12, 12, 12), 0.5)
    surface = particle_surface(order, (order > 0.5).astype("i4"), np.array([order.sum()]), origin_nm=(0, 0, 0))
    assert_closed(surface)
    assert surface.vertices_nm.min() >= 0
    assert surface.vertices_nm.max() <= 12
    assert surface.volume_nm3[0] == pytest.approx(order.sum(), rel=2e-3)
    assert measured(surface, 1)[0] > 0


def test_neighbours_stay_apart():
    order = np.zeros((8, 6, 6), "f4")
    order[1:7, 1:5, 1:5] = 0.9
    labels = np.zeros(order.shape, "i4")
    labels[1:4, 1:5, 1:5], labels[4:7, 1:5, 1:5] = 1, 2
    surface = particle_surface(order, labels, origin_nm=(0, 0, 0))
    assert_closed(surface)
    np.testing.assert_allclose(surface.volume_nm3, 48, rtol=2e-3)
    assert surface.vertices_nm[surface.faces[surface.particle == 1]][..., 0].max() < 4.5
    assert surface.vertices_nm[surface.faces[surface.particle == 2]][..., 0].min() > 3.5
    np.testing.assert_array_equal(surface.face_offset[[0, -1]], [0, len(surface.faces)])


@examples(60)
@given(
    order=arrays.arrays(
        np.float32, (5, 4, 6), elements=st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.50001, 0.7, 1.0, np.nan])
    ),
    cut=st.sampled_from([0.3, 0.5, 0.7]),
)
def test_any_map_gives_closed_meshes_and_no_level_comes_nearer_to_the_volume(order, cut):
    found = find_precipitates(order, cut=cut, min_voxels=1, origin_nm=(0, 0, 0))
    surface = particle_surface(order, found.labels, found.volume_nm3, origin_nm=(0, 0, 0))
    assert len(surface) == len(found)
    assert_closed(surface)
    for number in range(1, len(found) + 1):
        enclosed, area = measured(surface, number)
        assert enclosed > 0
        np.testing.assert_allclose(
            (enclosed, area), (surface.volume_nm3[number - 1], surface.area_nm2[number - 1]), 1e-3
        )
    miss = np.abs(surface.volume_nm3 - found.volume_nm3)
    for factor in (0.3, 0.7, 1.5, 3):  # a plateau of the map may leave a gap in the volumes that meshes can have
        other = particle_surface(order, found.labels, factor * found.volume_nm3, origin_nm=(0, 0, 0))
        assert (miss <= np.abs(other.volume_nm3 - found.volume_nm3) + 2e-3 * found.volume_nm3).all()


def test_no_particle_no_surface():
    surface = particle_surface(np.zeros((3, 3, 3), "f4"), np.zeros((3, 3, 3), "i4"), origin_nm=(0, 0, 0))
    assert len(surface) == len(surface.faces) == len(surface.vertices_nm) == 0
    assert surface.face_offset.tolist() == [0]


def test_a_number_without_voxels_has_an_empty_mesh():
    labels = np.zeros((3, 3, 3), "i4")
    labels[1, 1, 1] = 2
    surface = particle_surface(labels / 2, labels, origin_nm=(0, 0, 0))
    assert surface.volume_nm3.round(2).tolist() == [0, 1]
    assert surface.particle.tolist() == [2] * len(surface.faces)


def test_grids_that_do_not_belong_together_are_refused():
    labels = np.ones((3, 3, 3), "i4")
    with pytest.raises(ValueError, match="one shape"):
        particle_surface(np.ones((3, 3, 4)), labels, origin_nm=(0, 0, 0))
    with pytest.raises(ValueError, match="each of the 1 particles, found 2 volumes"):
        particle_surface(np.ones((3, 3, 3)), labels, np.ones(2), origin_nm=(0, 0, 0))
