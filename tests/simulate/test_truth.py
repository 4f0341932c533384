"""The truth of a specimen: on the grid against the volume of a sphere, and in files against what was put in."""

import json
from dataclasses import replace

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from aptstream.crystal import Crystal
from aptstream.errors import FileFormatError
from aptstream.io import read_ions
from aptstream.io.rrng import read_rrng
from aptstream.simulate import (
    Distortion,
    Particles,
    Population,
    Settings,
    draw_particles,
    place_particles,
    plan_specimen,
    read_truth,
    simulate_specimen,
    voxel_fraction,
    write_specimen,
)


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


@examples(30)
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
    assert sorted(path.name for path in tmp_path.iterdir()) == ["al.pos", "al.rrng", "al.truth.json", "al.truth.npz"]
    position, mass = read_ions(files.pos)
    assert position.tobytes() == specimen.cloud.position.tobytes()
    assert mass.tobytes() == specimen.cloud.mass_to_charge.tobytes()
    table = read_rrng(files.rrng)
    assert table.species == specimen.cloud.species_names == ("unranged", "Al", "Li", "Mg")
    np.testing.assert_array_equal(table.bounds_da, specimen.settings.alloy.ranges.bounds_da)


def test_the_truth_names_every_particle_where_its_ions_are(specimen, tmp_path):
    path = write_specimen(specimen, tmp_path).truth
    truth = json.loads(path.read_text(encoding="utf-8"))
    assert truth["size_nm"] == [10.0, 9.0, 12.0]
    assert truth["settings"]["crystal"]["label"] == "L12"
    moved = specimen.particles.moved(specimen.plan.distortion)
    assert len(truth["radius_nm"]) == len(moved) > 0
    assert np.abs(moved.centre_nm - specimen.particles.centre_nm).max() > 1e-3
    read = read_truth(path)
    for name, decimals in {"centre_nm": 4, "radius_nm": 4, "axes_nm": 6, "order": 4}.items():
        np.testing.assert_allclose(getattr(read, name), getattr(moved, name), atol=0.6 * 10.0**-decimals)
    np.testing.assert_array_equal(read.variant, moved.variant)
    np.testing.assert_array_equal(read.plate, moved.plate)


@pytest.mark.parametrize("change", [{"kind": "clusters"}, {"shuffle": True}, {"order": 0.0}])
def test_what_is_not_ordered_is_not_in_the_truth(specimen, tmp_path, change):
    plan = replace(specimen.plan, settings=replace(specimen.settings, **change))
    files = write_specimen(plan, tmp_path)
    assert len(read_truth(files.truth)) == len(plan.ordered_particles) == 0
    assert not np.load(files.voxels)["fraction"].any()
    assert len(plan.particles) > 0


def test_a_disordered_structure_has_no_ordered_particles():
    disordered, ordered = (Settings(crystal=Crystal(label, 0.405)) for label in ("FCC", "L12"))
    assert (disordered.is_ordered, ordered.is_ordered) == (False, True)


def test_particles_without_order_are_left_out_of_the_truth(specimen):
    order = np.where(np.arange(len(specimen.particles)) == 0, 0.0, 0.5)
    plan = replace(specimen.plan, particles=replace(specimen.particles, order=order))
    np.testing.assert_array_equal(plan.ordered_particles.variant, specimen.particles.variant[1:])


def test_written_voxels_are_those_of_the_distorted_particles(tmp_path):
    rng, how = np.random.default_rng(2), Settings(size_nm=(17.5, 9.0, 12.0), tilt_deg=4, bow_deg=4, stretch=0.05)
    plan = plan_specimen(rng, draw_particles(rng, how.size_nm, volume_fraction=0.08, mean_nm=1.5), how)
    written = np.load(write_specimen(plan, tmp_path).voxels)["fraction"]
    np.testing.assert_array_equal(written, voxel_fraction(plan.particles, (18, 9, 12), distortion=plan.distortion))
    # The table's bodies leave out the curvature within a particle, and no more.
    table = voxel_fraction(plan.ordered_particles, (18, 9, 12))
    assert np.abs(table - written).mean() < 0.02 * written.mean()
    assert np.abs(voxel_fraction(plan.particles, (18, 9, 12)) - written).mean() > 0.1 * written.mean()


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", "{", "7", "[]", '{"radius_nm": [1]}', '{"radius_nm": "x"}'),
        '{"centre_nm": [[1, 2, 3]], "radius_nm": [1]}',
        '{"centre_nm": [[1, 2]], "radius_nm": [1], "variant": [0]}',
        '{"centre_nm": [[1, 2, 3]], "radius_nm": [1, 2], "variant": [0]}',
        '{"centre_nm": [[1, 2, 3]], "radius_nm": [-1], "variant": [0]}',
        '{"centre_nm": [[1, 2, NaN]], "radius_nm": [1], "variant": [0]}',
        '{"centre_nm": [["a", 2, 3]], "radius_nm": [1], "variant": [0]}',
    ],
)
def test_what_is_no_truth_file_is_refused(tmp_path, text):
    path = tmp_path / "t.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(FileFormatError, match=r"truth file.*aptstream simulate"):
        read_truth(path)


BENT = Distortion((3.0, 2.0), (0.1, -0.2), 0.05, 1.1)


@examples(25)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["ellipsoid", "plate"]), st.sampled_from([Distortion(), BENT]))
def test_voxels_of_any_body_equal_a_point_by_point_check(seed, shape, distortion):
    rng, grid, sub = np.random.default_rng(seed), (7, 6, 8), 3
    drawn = place_particles(
        rng, grid, [Population(0.3, 1.6, 0.4, shape=shape, axes=(1, 1, 0.4))], n_variants=1, gap_nm=-1
    )
    found = voxel_fraction(drawn, grid, sub=sub, distortion=distortion)
    ticks = [(np.arange(n * sub) + 0.5) / sub for n in grid]
    points = np.stack(np.meshgrid(*ticks, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = np.zeros(len(points), dtype=bool)
    for k in range(len(drawn)):
        unit = (distortion.undo(points) - drawn.centre_nm[k]) @ np.linalg.inv(drawn.axes_nm[k])
        radial = np.hypot(unit[:, 0], unit[:, 1])
        inside |= (radial < 1) & (abs(unit[:, 2]) < 1) if shape == "plate" else (unit**2).sum(axis=1) < 1
    expected = inside.reshape(7, sub, 6, sub, 8, sub).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(found, expected, atol=2.1 / sub**3)


@pytest.mark.parametrize(("shape", "axes"), [("ellipsoid", (1, 2, 3)), ("plate", (1, 1, 0.25))])
def test_a_whole_body_sums_to_its_volume(shape, axes):
    rng = np.random.default_rng(5)
    one = place_particles(rng, (14, 14, 14), [Population(1e-9, 1.4, 0, shape=shape, axes=axes)], n_variants=1)
    assert len(one) == 1
    found = voxel_fraction(one, (14, 14, 14), sub=10).sum()
    assert found == pytest.approx(4 / 3 * np.pi * one.radius_nm[0] ** 3, rel=0.01)
