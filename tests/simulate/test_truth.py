"""The truth of a specimen: on the grid against the volume of a sphere, and in files against what was put in."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptstream.io.pos import read_pos
from aptstream.io.ranges import read_rrng
from aptstream.simulate import Particles, Settings, draw_particles, simulate_specimen, voxel_fraction, write_specimen


def sphere(centre, radius):
    return Particles(np.array([centre], dtype=float), np.array([radius]), np.array([0]))


def naive_fraction(particles, shape, origin, sub):
    """Test every point of every voxel against every sphere."""
    inside = np.zeros((*shape, sub, sub, sub))
    step = (np.arange(sub) + 0.5) / sub
    for voxel in np.ndindex(*shape):
        corner = np.array(voxel) + origin
        points = np.stack(np.meshgrid(*(corner[axis] + step for axis in range(3)), indexing="ij"), axis=-1)
        for centre, radius in zip(particles.centre_nm, particles.radius_nm, strict=True):
            inside[voxel] += ((points - centre) ** 2).sum(axis=-1) < radius**2
    return (inside > 0).mean(axis=(3, 4, 5))


@settings(max_examples=30)
@given(
    st.lists(st.tuples(*[st.floats(-2.0, 7.0)] * 3, st.floats(0.2, 3.0)), max_size=3),
    st.sampled_from([(0.0, 0.0, 0.0), (-3.25, 1.5, -2.0)]),
    st.integers(1, 4),
)
def test_voxels_equal_a_point_by_point_check(spheres, origin, sub):
    centres = np.array([s[:3] for s in spheres]).reshape(-1, 3) + origin
    particles = Particles(centres, np.array([s[3] for s in spheres]), np.zeros(len(spheres), dtype=np.int64))
    found = voxel_fraction(particles, (5, 4, 6), origin_nm=origin, sub=sub)
    # A point whose distance equals the radius may fall on either side, as one or the other sum is rounded.
    np.testing.assert_allclose(found, naive_fraction(particles, (5, 4, 6), origin, sub), atol=2.1 / sub**3)
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1


@pytest.mark.parametrize("radius", [0.7, 1.5, 3.2])
def test_a_whole_sphere_sums_to_its_volume(radius):
    # Points in the layer of one step at the surface, 4πr²·16² of them, are in or out like coins: five deviations.
    particles = sphere((5.1, 4.8, 5.3), radius)
    found = voxel_fraction(particles, (10, 10, 10), sub=16)
    assert found.sum() == pytest.approx(particles.volume_nm3.sum(), abs=2.5 * np.sqrt(4 * np.pi) * radius / 16**2)


def test_overlapping_spheres_count_once():
    twice = Particles(np.full((2, 3), 4.0), np.array([2.0, 2.0]), np.array([0, 1]))
    np.testing.assert_array_equal(voxel_fraction(twice, (8, 8, 8)), voxel_fraction(sphere((4, 4, 4), 2.0), (8, 8, 8)))


def test_the_origin_moves_the_grid_and_not_the_spheres():
    particles = sphere((5.0, 6.0, 7.0), 2.0)
    whole = voxel_fraction(particles, (12, 12, 12))
    part = voxel_fraction(particles, (6, 7, 8), origin_nm=(3.0, 2.0, 1.0))
    np.testing.assert_array_equal(part, whole[3:9, 2:9, 1:9])


def test_spheres_outside_the_grid_are_not_seen():
    assert voxel_fraction(sphere((-5.0, 2.0, 2.0), 2.0), (4, 4, 4)).sum() == 0
    assert voxel_fraction(sphere((2.0, 2.0, 30.0), 2.0), (4, 4, 4)).sum() == 0


@pytest.fixture(scope="module")
def specimen():
    rng, how = np.random.default_rng(2), Settings(size_nm=(10.0, 9.0, 12.0))
    return simulate_specimen(rng, draw_particles(rng, how.size_nm, volume_fraction=0.08, mean_nm=1.5), how)


def test_written_ions_and_ranges_read_back_exactly(specimen, tmp_path):
    files = write_specimen(specimen, tmp_path, "al")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["al.pos", "al.rrng", "al.truth.json"]
    position, mass = read_pos(files.pos)
    assert position.tobytes() == specimen.cloud.position.tobytes()
    assert mass.tobytes() == specimen.cloud.mass_to_charge.tobytes()
    table = read_rrng(files.rrng)
    assert table.species == specimen.cloud.species_names == ("unranged", "Al", "Li", "Mg")
    np.testing.assert_array_equal(table.bounds_da, specimen.settings.alloy.ranges.bounds_da)


def test_the_truth_names_every_particle(specimen, tmp_path):
    truth = json.loads(write_specimen(specimen, tmp_path).truth.read_text(encoding="utf-8"))
    assert set(truth) == {"size_nm", "centre_nm", "radius_nm", "variant"}
    assert truth["size_nm"] == [10.0, 9.0, 12.0]
    assert len(truth["radius_nm"]) == len(specimen.particles) > 0
    np.testing.assert_allclose(truth["centre_nm"], specimen.particles.centre_nm, atol=5.1e-5)
    np.testing.assert_allclose(truth["radius_nm"], specimen.particles.radius_nm, atol=5.1e-5)
    assert truth["variant"] == specimen.particles.variant.tolist()


@pytest.mark.parametrize("change", [{"kind": "clusters"}, {"shuffle": True}])
def test_what_is_not_ordered_is_not_in_the_truth(specimen, tmp_path, change):
    disordered = replace(specimen, settings=replace(specimen.settings, **change))
    truth = json.loads(write_specimen(disordered, tmp_path).truth.read_text(encoding="utf-8"))
    assert truth["centre_nm"] == truth["radius_nm"] == truth["variant"] == []
    assert len(disordered.particles) > 0
