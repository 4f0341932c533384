"""The publication's library: its numbers, its pictures, and what it leaks."""

import naive
import numpy as np
import pytest

from aptstream.errors import PlanError, StoreError
from aptstream.model.evaluate import held_out
from aptstream.sdm import li2021
from aptstream.sdm.image import grey_images
from aptstream.sdm.li2021 import (
    CRYSTAL,
    VIEW,
    NoiseTable,
    add_real_images,
    crystal_sites,
    make_li2021,
    rotate_pictures,
)
from aptstream.sdm.library import open_dictionary


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return make_li2021(tmp_path_factory.mktemp("li2021") / "d.zarr", seed=2, n_images=60)


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_table_1_has_the_published_numbers():
    table = NoiseTable()
    assert table.n_base == (1380, 1196)
    assert (table.n_fcc, table.n_l12, table.n_fcc + table.n_l12) == (9866, 8550, li2021.N_IMAGES)
    assert (table.sigma_z_fcc_nm[0], table.sigma_z_fcc_nm[-1]) == (0.010, 0.038)
    assert (table.sigma_z_l12_nm[0], table.sigma_z_l12_nm[-1]) == (0.030, 0.054)
    assert (table.efficiency[0], table.efficiency[-1]) == (0.35, 0.79)
    assert (VIEW.shape, VIEW.window.radius_nm) == ((150, 150), 1.5)


def test_the_crystal_library_has_the_published_sites():
    fcc, l12 = crystal_sites(0), crystal_sites(1)
    assert (len(fcc), len(l12)) == (9842, 7098)
    assert {tuple(p) for p in l12.tolist()} < {tuple(p) for p in fcc.tolist()}
    # Along the pole the planes are a/(2√2) apart, and the Al sites of L1₂ alternate 1 : 2.
    plane = np.rint(l12[:, 2] / CRYSTAL.plane_spacing_nm).astype(int)
    np.testing.assert_allclose(l12[:, 2], plane * CRYSTAL.plane_spacing_nm, atol=1e-5)
    middle = np.bincount(plane - plane.min())[len(set(plane)) // 2 - 4 :][:8]
    pairs = np.sort(middle.reshape(4, 2), axis=1).mean(axis=0)
    assert pairs[1] / pairs[0] == pytest.approx(2, rel=0.1)


def test_the_whole_library_is_planned_with_the_published_numbers():
    table = NoiseTable()
    parts = li2021._parts(table, np.random.default_rng(0))
    for phase, n, n_base in ((0, 9866, 1380), (1, 8550, 1196)):
        copies = np.concatenate([part.copies for part in parts if part.phase == phase])
        assert copies.sum() == n
        assert len(copies) == n_base
        assert set(copies) == {n // n_base, n // n_base + 1}
    assert len({(part.phase, part.sigma_xy_nm, part.sigma_z_nm) for part in parts}) == len(parts) == 112


@pytest.mark.parametrize("n", [2, 3, 40, 1001])
def test_a_smaller_library_keeps_the_share_of_the_classes(n):
    parts = li2021._parts(NoiseTable().of_size(n), np.random.default_rng(1))
    by_class = [sum(int(part.copies.sum()) for part in parts if part.phase == phase) for phase in (0, 1)]
    assert sum(by_class) == n
    assert by_class[0] == round(n * 9866 / 18416)


def test_a_library_of_one_picture_is_refused(tmp_path):
    with pytest.raises(PlanError, match="at least two"):
        make_li2021(tmp_path / "d.zarr", seed=1, n_images=1)


def test_swapping_exchanges_the_blur_of_the_classes_only():
    table, other = NoiseTable(), NoiseTable().swapped()
    assert other.sigma_z_nm == table.sigma_z_nm[::-1]
    assert (other.swapped(), other.n_fcc, other.efficiency) == (table, table.n_fcc, table.efficiency)


def test_pictures_are_those_of_their_class(small):
    samples = open_dictionary(small)[0][4]
    assert samples.image.shape == (60, 150, 150)
    assert set(samples.fraction) == {0, 1}
    assert (samples.image.max(axis=(1, 2)) == 255).all()
    for crystal in np.unique(samples.specimen):
        assert len(set(samples.fraction[samples.specimen == crystal])) == 1
    # The doubled period stands out in L1₂ at any blur of Table 1.
    z = (np.arange(150) - 74.5) * 1.4 / 150
    wave = np.cos(2 * np.pi * z / CRYSTAL.period_nm)
    profile = samples.image.mean(axis=2)
    power = ((profile - profile.mean(axis=1, keepdims=True)) @ wave) / profile.mean(axis=1)
    assert np.median(power[samples.fraction == 1]) > 3 * np.median(np.abs(power[samples.fraction == 0]))


def test_a_picture_counts_the_pairs_that_plain_loops_count(monkeypatch):
    monkeypatch.setattr(li2021, "CELLS", 3)
    counted = []

    def spy(cloud, channels, window, *, origin_nm):
        group = channels.group_of(cloud.species_names)[cloud.species]
        counted.append(naive.sdm(cloud.position, group, window, channels, origin_nm))
        return counted[-1]

    part = li2021._Part(1, 0.2, 0.03, np.array([1, 0, 3]))
    table = NoiseTable(efficiency=(0.4, 0.6, 0.8))
    pictures = [li2021._make_pictures(part, table, np.random.default_rng(5))]
    monkeypatch.setattr(li2021, "count_sdm", spy)
    pictures.append(li2021._make_pictures(part, table, np.random.default_rng(5)))
    np.testing.assert_array_equal(*pictures)
    assert len(pictures[0]) == 4
    np.testing.assert_array_equal(pictures[0][0], grey_images(counted[0])[0])
    np.testing.assert_array_equal(pictures[0][1], grey_images(counted[1])[0])
    assert (counted[1] >= counted[0]).all()  # the detected atoms are nested prefixes of one shuffle


def test_the_same_seed_gives_the_same_bytes_by_any_number_of_threads(small, tmp_path):
    again = make_li2021(tmp_path / "again.zarr", seed=2, n_images=60, threads=3)
    other = make_li2021(tmp_path / "other.zarr", seed=3, n_images=60)
    assert content(again) == content(small)
    assert content(other) != content(small)


def test_turning_by_nothing_changes_nothing_and_small_angles_tilt_the_lines():
    picture = np.zeros((2, 31, 31), "u1")
    picture[:, 15] = 255
    still, turned = rotate_pictures(picture, [0, 10])
    np.testing.assert_array_equal(still, picture[0])
    rows = turned[:, [5, 25]].astype(float).T @ np.arange(31) / turned[:, [5, 25]].sum(axis=0)
    assert abs(rows[0] - rows[1]) == pytest.approx(20 * np.tan(np.deg2rad(10)), abs=0.2)


def test_real_pictures_stand_behind_the_others_seven_times_and_are_never_held_out(small, tmp_path):
    rng = np.random.default_rng(0)
    real = rng.integers(0, 256, (3, 150, 150)).astype("u1")
    real[:, 0, 0] = 255
    out = add_real_images(small, real, [0, 0, 1], out=tmp_path / "more.zarr", seed=4)
    before, after = (open_dictionary(path)[0][4] for path in (small, out))
    assert len(after) == 60 + 21
    np.testing.assert_array_equal(after.image[:60], before.image)
    np.testing.assert_array_equal(after.image[60::7], real)
    np.testing.assert_array_equal(after.fraction[60:], np.repeat([0, 0, 1], 7))
    np.testing.assert_array_equal(after.specimen[60:], np.repeat([-1, -2, -3], 7))
    assert (after.image[61] != real[0]).any()
    training, late = held_out(after)
    assert (training.specimen < 0).sum() == 21
    assert (late.specimen >= 0).all()
    again = add_real_images(out, real[:1], [1], out=tmp_path / "again.zarr", seed=4)
    assert open_dictionary(again)[1]["n_real"] == 4
    assert open_dictionary(again)[0][4].specimen.min() == -4


def test_real_pictures_that_do_not_fit_are_refused(small, tmp_path):
    real = np.zeros((2, 150, 150), "u1")
    for pictures, labels in ((real.astype("f4"), [0, 1]), (real[:, 1:], [0, 1]), (real, [0]), (real, [0, 2])):
        with pytest.raises(PlanError, match=r"found|fit"):
            add_real_images(small, pictures, labels, out=tmp_path / "d.zarr", seed=1)
    with pytest.raises(PlanError, match="2 nm"):
        add_real_images(small, real, [0, 1], out=tmp_path / "d.zarr", seed=1, edge_nm=2)
    with pytest.raises(StoreError, match="exists"):
        add_real_images(small, real, [0, 1], out=small, seed=1)
