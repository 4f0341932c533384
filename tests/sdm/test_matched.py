"""The honest library: one blur for both phases, labels by geometry, only the atoms that matter."""

from dataclasses import replace

import numpy as np
import pytest

from aptstream.crystal import Crystal
from aptstream.errors import PlanError
from aptstream.regions import Box
from aptstream.sdm import matched
from aptstream.sdm.count import count_sdm, zsdm
from aptstream.sdm.image import View, network_input
from aptstream.sdm.library import open_dictionary
from aptstream.sdm.matched import ROLES, MatchedRecipe, draw_scene, make_matched, sample_small, simulate_small
from aptstream.sdm.window import Channels, SdmWindow
from aptstream.simulate import Particles, voxel_fraction

L12 = Crystal("L12", 0.405)
RHOZ, GREY = View(SdmWindow("rhoz", 1.5, 15, 2.0, 3)), View(SdmWindow("zx", 0.7, 10, 0.7, 20), "grey")
NOTHING = Particles(np.zeros((0, 3)), np.zeros(0), np.zeros(0, dtype=np.int64))


def filled(variant):
    return Particles(np.full((1, 3), 3.0), np.array([20.0]), np.array([variant]))


def scene(**changes):
    plain = draw_scene(np.random.default_rng(0), 6)
    still = {"kind": "ordered", "particles": NOTHING, "background": 0.0, "tilt": (0.0, 0.0), "stretch": 1.0}
    return replace(plain, **{**still, **changes})


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("sigma_xy", [0.2, 0.7])
def test_the_box_is_evenly_filled_up_to_its_faces(sigma_xy):
    drawn = scene(sigma_xy_nm=sigma_xy, sigma_z_nm=0.06, efficiency=0.6, tilt=(0.017, -0.017), stretch=0.97)
    clouds = [simulate_small(np.random.default_rng(k), drawn, L12, 6).position for k in range(20)]
    position = np.concatenate(clouds)
    assert ((position >= 0) & (position < 6)).all()
    expected = 20 * 0.6 * L12.density_per_nm3 / 0.97
    assert len(position) / 6**3 == pytest.approx(expected, rel=0.01)
    for axis in range(3):
        shells = np.histogram(position[:, axis], [0, 0.3, 3, 5.7, 6])[0] / (np.array([0.3, 2.7, 2.7, 0.3]) * 36)
        np.testing.assert_allclose(shells, expected, rtol=0.05)


@pytest.mark.parametrize("variant", range(4))
@pytest.mark.parametrize("pole", [(0, 1, 1), (0, 0, 1)])
def test_a_filled_box_is_ordered_along_the_pole(variant, pole):
    crystal = Crystal("L12", 0.405, pole)
    sharp = scene(particles=filled(variant), occupancy=1.0, antisite=0.0, sigma_xy_nm=0.2, sigma_z_nm=0.01)
    cloud = simulate_small(np.random.default_rng(variant), sharp, crystal, 6)
    assert (cloud.species == 2).mean() == pytest.approx(0.25, abs=0.02)
    offset, counts = zsdm(cloud, Channels.of_roles(ROLES), half_z_nm=1.2, bins_z=120)
    phase = offset / crystal.period_nm % 1
    between = np.abs(phase - 0.5) < 0.15  # where planes without solute lie
    assert counts[2][between].sum() < 0.01 * counts[2].sum()
    assert counts[0][between].sum() > 0.2 * counts[0].sum()


def test_a_matrix_is_random_and_shuffled_species_are_too():
    for drawn in (scene(matrix=0.2), scene(kind="shuffled", particles=filled(0), occupancy=1.0, antisite=0.0)):
        found = []
        for k in range(6):
            cloud = simulate_small(np.random.default_rng(k), replace(drawn, sigma_z_nm=0.01), L12, 6)
            offset, counts = zsdm(cloud, Channels.of_roles(ROLES), half_z_nm=1.2, bins_z=120, lateral_nm=2.0)
            odd = np.abs(offset / L12.period_nm % 1 - 0.5) < 0.25
            found.append(counts[2][odd].sum() / counts[2].sum())
        assert np.mean(found) == pytest.approx(0.5, abs=0.05)


def test_clusters_have_the_composition_of_particles_without_their_order():
    drawn = scene(kind="clusters", particles=filled(0), occupancy=1.0, antisite=0.0, sigma_z_nm=0.01)
    cloud = simulate_small(np.random.default_rng(1), drawn, L12, 6)
    assert (cloud.species == 2).mean() == pytest.approx(0.25, abs=0.02)
    offset, counts = zsdm(cloud, Channels.of_roles(ROLES), half_z_nm=1.2, bins_z=120, lateral_nm=2.0)
    odd = np.abs(offset / L12.period_nm % 1 - 0.5) < 0.25
    assert counts[2][odd].sum() / counts[2].sum() == pytest.approx(0.5, abs=0.1)


def test_labels_are_the_ordered_share_and_images_those_of_the_cube_alone():
    for seed in range(30):
        rng = np.random.default_rng(seed)
        found = sample_small(rng, L12, {4: RHOZ}, 5)[4]
        rng = np.random.default_rng(seed)
        drawn = draw_scene(rng, 5)
        cloud = simulate_small(rng, drawn, L12, 5)
        truth = voxel_fraction(drawn.particles, (5, 5, 5)) * (drawn.kind == "ordered")
        for k, corner in enumerate(np.ndindex(2, 2, 2)):
            cube = tuple(slice(c, c + 4) for c in corner)
            assert found.fraction[k] == pytest.approx(truth[cube].mean(), abs=1e-6)
            inside = cloud[Box(corner, tuple(c + 4 for c in corner)).contains(cloud.position)]
            counts = count_sdm(inside, Channels.of_roles(ROLES), RHOZ.window)[None]
            n = [int((inside.species == s).sum()) for s in (1, 2)]
            np.testing.assert_array_equal(found.image[k], network_input(counts, "contrast", n[:1], n[1:])[0])


def test_both_classes_are_blurred_alike():
    drawn = [draw_scene(np.random.default_rng(seed), 6) for seed in range(600)]
    full = np.array([d.kind == "ordered" and d.particles.radius_nm.max(initial=0) > 20 for d in drawn])
    empty = np.array([len(d.particles) == 0 or d.kind != "ordered" for d in drawn])
    assert min(full.sum(), empty.sum()) > 40
    for name in ("sigma_z_nm", "sigma_xy_nm", "efficiency", "matrix"):
        values = np.array([getattr(d, name) for d in drawn])
        a, b = values[full], values[empty]
        assert abs(a.mean() - b.mean()) < 4 * values.std() * np.hypot(len(a) ** -0.5, len(b) ** -0.5)
    assert {d.kind for d in drawn} == {"ordered", "clusters", "shuffled"}


def test_the_same_seed_gives_the_same_bytes_by_any_number_of_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(matched, "SPECIMENS_PER_PART", 3)
    recipe = MatchedRecipe(L12, {4: GREY, 3: RHOZ}, n_specimens=7, specimen_nm=5)
    one, two = (make_matched(tmp_path / f"{n}.zarr", recipe, seed=5, threads=n) for n in (1, 2))
    assert content(one) == content(two)
    monkeypatch.setattr(matched, "SPECIMENS_PER_PART", 16)
    other = make_matched(tmp_path / "other.zarr", recipe, seed=5)
    samples, attributes = open_dictionary(one)
    assert attributes["content_digest"] == open_dictionary(other)[1]["content_digest"]
    assert {edge: s.image.shape for edge, s in samples.items()} == {4: (56, 20, 20), 3: (189, 15, 3)}
    np.testing.assert_array_equal(samples[4].specimen, np.repeat(np.arange(7), 8))
    assert samples[4].image.dtype == np.uint8


def test_a_box_as_large_as_a_cube_gives_every_image_its_own_specimen(tmp_path):
    recipe = MatchedRecipe(L12, {4: RHOZ}, n_specimens=5, specimen_nm=4)
    samples = open_dictionary(make_matched(tmp_path / "d.zarr", recipe, seed=1))[0][4]
    np.testing.assert_array_equal(samples.specimen, np.arange(5))


@pytest.mark.parametrize("change", [{"n_specimens": 0}, {"specimen_nm": 3}, {"specimen_nm": 31}, {"views": {}}])
def test_recipes_that_cannot_be_are_refused(change):
    with pytest.raises(PlanError, match="found"):
        MatchedRecipe(**{"crystal": L12, "views": {4: RHOZ}, "n_specimens": 3, **change})
