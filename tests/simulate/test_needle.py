"""Needles with poles against closed forms: where ions land, what planes scatter, and what the truth says of both.

Powers of places without planes follow an exponential distribution of mean 1: `CHANCE` is passed once in a million.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptstream.crystal import Crystal
from aptstream.errors import PlanError
from aptstream.simulate import Cone, Domes, NeedleSettings, Particles, simulate_needle

A = 0.405
DENSITY = 4 / A**3
CHANCE = -np.log(1e-6)
SMALL = Cone(10, 5, 20)
#: Nothing that makes the density uneven.
EVEN = {"density_wave": 0.0, "depletion": 0.0}
#: Every atom detected, exactly where the truth puts it.
PERFECT = {**EVEN, "sigma_normal_nm": 0, "sigma_outside_nm": 0, "sigma_lateral_nm": 0, "background": 0, "efficiency": 1}
FAMILIES = ((0, 0, 1), (0, 1, 1), (1, 1, 1))
tilts = st.floats(0, 35)
turns = st.floats(-180, 180)
domes_radii = st.floats(40, 300)


def simulate(settings, particles=None, seed=1):
    extra = () if particles is None else (particles,)
    return simulate_needle(np.random.default_rng(seed), settings, *extra)


def power(position, wave, centre, width=(1.5, 1.5, 2.0)):
    """Power at a wave in a Gaussian window, and the number of ions that it amounts to."""
    apart = position.astype(float) - centre
    weight = np.exp(-0.5 * ((apart / width) ** 2).sum(axis=1))
    total = (weight**2).sum()
    return abs((weight * np.exp(-2j * np.pi * apart @ wave)).sum()) ** 2 / total, weight.sum() ** 2 / total


def naive_place(position, cone, field_deg, direction, radius, z_scale):
    """Where the reconstruction puts a point, step by step."""
    p = np.array(direction)
    needle = cone.tip_radius_nm + np.tan(np.radians(cone.shank_deg)) * position[2]
    axis = np.array([*(needle / np.sin(np.radians(field_deg)) * p[:2]), position[2]])
    offset = position - axis
    offset = offset - (offset @ p) * p
    moved = position - p * min(offset @ offset, 400) / (2 * radius)
    return moved * (1, 1, z_scale)


def some_domes(tilt, azimuth, radius, z_scale=1.0):
    return NeedleSettings(tilt_deg=tilt, azimuth_deg=azimuth, dome_radius_nm=radius, z_scale=z_scale, cone=SMALL).domes


def points(seed, n=40):
    return np.random.default_rng(seed).uniform((-15, -15, 0), (15, 15, 20), (n, 3))


@given(tilts, turns, domes_radii, st.floats(0.9, 1.1), st.integers(0, 99))
def test_the_map_of_the_truth_is_that_of_a_naive_twin(tilt, azimuth, radius, z_scale, seed):
    domes, where = some_domes(tilt, azimuth, radius, z_scale), points(seed)
    expected = [naive_place(r, SMALL, 40, domes.directions[0], radius, z_scale) for r in where]
    np.testing.assert_allclose(domes.apply(where), expected, atol=1e-9)


@given(tilts, turns, st.floats(30, 300), st.integers(0, 99))
def test_there_is_a_way_back(tilt, azimuth, radius, seed):
    domes, where = some_domes(tilt, azimuth, radius, 1.03), points(seed)
    np.testing.assert_allclose(domes.undo(domes.apply(where)), where, atol=1e-8)


@given(tilts, turns, domes_radii, st.integers(0, 99))
def test_slopes_are_the_derivative(tilt, azimuth, radius, seed):
    domes, where, step = some_domes(tilt, azimuth, radius, 0.96), points(seed), 1e-4
    smooth = np.abs(domes.squared_offset(where, 0) - 400) > 1
    slopes = domes.slopes(where)
    for axis in range(3):
        move = step * np.eye(3)[axis]
        moved = (domes.apply(where + move) - domes.apply(where - move)) / (2 * step)
        np.testing.assert_allclose(slopes[smooth, axis], moved[smooth], atol=1e-7)


@pytest.mark.parametrize("label", ["FCC", "BCC", "HCP", "D022"])
@pytest.mark.parametrize(("tilt", "azimuth", "spin"), [(0, 0, 0), (12, 200, 31), (34, -70, 99)])
def test_noiseless_ions_lie_on_the_lattice_that_the_truth_brings_back(label, tilt, azimuth, spin):
    crystal = Crystal(label, 0.4, (0, 1, 1) if label != "HCP" else (0, 0, 1))
    angles = {"tilt_deg": tilt, "azimuth_deg": azimuth, "spin_deg": spin}
    needle = simulate(NeedleSettings(crystal, cone=Cone(5, 4, 8), dome_radius_nm=40, z_scale=1.04, **angles, **PERFECT))
    before = needle.domes.undo(needle.cloud.position.astype(float))
    assert needle.settings.cone.contains(before, 1e-4).all()
    # In cells of the parent, every ion differs from every other by a whole number and one of the site's differences.
    cells = before @ needle.settings.turn @ crystal.frame @ np.linalg.inv(crystal.parent.cell_nm)
    apart = cells - cells[0]
    sites = np.array(crystal.parent.structure.sites)
    rest = apart[:, None] - (sites[:, None] - sites).reshape(-1, 3)
    assert np.abs(rest - np.rint(rest)).max(axis=2).min(axis=1).max() < 1e-3
    # None is missing and none is there twice, up to what the faces cut.
    assert len(np.unique(before.round(2), axis=0)) == len(before)
    expected = crystal.parent.density_per_nm3 * needle.settings.cone.volume_nm3
    assert len(before) == pytest.approx(expected, rel=0.02 if tilt else 0.05)  # planes along the faces


@given(tilts, turns, turns)
def test_the_crystal_is_turned_as_the_settings_say(tilt, azimuth, spin):
    how = NeedleSettings(tilt_deg=tilt, azimuth_deg=azimuth, spin_deg=spin)
    normal = how.turn[:, 2]
    assert np.linalg.det(how.turn) == pytest.approx(1)
    assert normal[2] == pytest.approx(np.cos(np.radians(tilt)))
    angle = np.radians(azimuth)
    np.testing.assert_allclose(
        normal[:2], np.sin(np.radians(tilt)) * np.array([np.cos(angle), np.sin(angle)]), atol=1e-9
    )
    # A spin more turns the crystal about the normal and leaves that where it is.
    more = replace(how, spin_deg=spin / 2).turn
    np.testing.assert_allclose(more[:, 2], normal, atol=1e-9)
    cosine = np.cos(np.radians(spin / 2))
    assert how.turn[:, 0] @ more[:, 0] == pytest.approx(cosine, abs=1e-9)
    assert np.cross(more[:, 0], how.turn[:, 0]) @ normal == pytest.approx(np.sin(np.radians(spin / 2)), abs=1e-9)


def test_slabs_of_the_crystal_leave_no_gaps(monkeypatch):
    how = NeedleSettings(cone=Cone(5, 5, 9), tilt_deg=25, spin_deg=40, **PERFECT)
    whole = len(simulate(how).cloud)
    monkeypatch.setattr("aptstream.simulate.needle.SLAB_SITES", 3000)
    assert len(simulate(how).cloud) == whole


@pytest.mark.parametrize("seed", [1, 2])
def test_density_is_that_of_the_crystal_times_the_efficiency(seed):
    how = NeedleSettings(cone=SMALL, efficiency=0.4, background=0.1, tilt_deg=20, spin_deg=50, **EVEN)
    expected = DENSITY * SMALL.volume_nm3 * 0.4 * 1.1
    assert len(simulate(how, seed=seed).cloud) == pytest.approx(expected, abs=5 * np.sqrt(expected))


def test_the_detector_shows_the_pole_and_waves():
    how = NeedleSettings(cone=SMALL, tilt_deg=15, background=0, dome_radius_nm=np.inf, **{**EVEN, "depletion": 1.0})
    needle = simulate(how)
    apart = np.sqrt(needle.domes.squared_offset(needle.cloud.position, 0))
    core, bulk = ((low < apart) & (apart < high) for low, high in ((0, 1.6), (4.5, 6)))
    share = (core.sum() / 1.6**2) / (bulk.sum() / (6**2 - 4.5**2))
    # Lateral blur mixes some of the rim into the core.
    assert 0.5 < share < 0.75
    lined = simulate(replace(how, others=FAMILIES, cone=Cone(30, 0, 3), tilt_deg=20, sigma_lateral_nm=0)).cloud
    (x, y, _), (to_x, to_y, _) = (pole.direction for pole in replace(how, others=FAMILIES, tilt_deg=20).poles[:2])
    along = np.array([to_x - x, to_y - y]) / np.hypot(to_x - x, to_y - y)
    apart = (lined.position[:, :2] / 30 * np.sin(np.radians(40)) - (x, y)) @ (-along[1], along[0])
    line, beside = ((low < np.abs(apart)) & (np.abs(apart) < low + 0.012) for low in (0, 0.018))
    assert 0.7 < line.sum() / beside.sum() < 0.9
    waves = np.array([len(simulate(replace(how, depletion=0, density_wave=0.2), seed=s).cloud) for s in range(4)])
    assert waves.std() > 0.005 * waves.mean()


@pytest.mark.parametrize("sigma", [0.03, 0.05])
@pytest.mark.parametrize("pole", FAMILIES)
@pytest.mark.parametrize(("tilt", "z_scale"), [(0, 1.0), (18, 0.96), (33, 1.05)])
def test_planes_on_the_axis_have_the_power_of_their_blur(sigma, pole, tilt, z_scale):
    how = NeedleSettings(
        Crystal("FCC", A, pole),
        cone=SMALL,
        tilt_deg=tilt,
        azimuth_deg=130,
        spin_deg=77,
        z_scale=z_scale,
        dome_radius_nm=np.inf,
        sigma_normal_nm=sigma,
        background=0.1,
        **EVEN,
    )
    needle = simulate(how)
    true = needle.poles[0]
    centre = true.on_axis_nm(10 * z_scale)
    wave = true.wave_per_nm([centre])[0]
    found, ions = power(needle.cloud.position, wave, centre)
    expected = ions / 1.1**2 * np.exp(-((2 * np.pi * sigma / true.plane_spacing_nm) ** 2))
    # The amplitude has the scatter of a sum of random phases; the density is random too.
    assert np.sqrt(found) == pytest.approx(np.sqrt(expected), abs=4, rel=0.05)
    for factor in (0.9, 1.1):
        assert power(needle.cloud.position, wave * factor, centre)[0] < CHANCE


@pytest.mark.parametrize("tilt", [0, 25])
def test_planes_bend_to_the_dome_of_the_truth(tilt):
    how = NeedleSettings(
        cone=Cone(14, 5, 16), tilt_deg=tilt, dome_radius_nm=60, fade_nm=30, sigma_normal_nm=0.02, **EVEN
    )
    needle = simulate(how)
    true = needle.poles[0]
    middle = np.array(true.on_axis_nm(8))
    beside = middle - (6, 0, 0)
    assert true.from_axis_nm([middle, beside]) == pytest.approx([0, 6 * np.cos(np.radians(tilt))], abs=0.2)
    here, there = true.wave_per_nm([beside, middle])
    narrow = (1.0, 1.0, 1.5)
    found, ions = power(needle.cloud.position, here, beside, narrow)
    sharp = ions / 1.05**2 * np.exp(-((2 * np.pi * 0.02 / true.plane_spacing_nm) ** 2))
    # Curvature takes a share of the power of planes that lie level in the window.
    bent = 1 + (2 * np.pi / (60 * true.plane_spacing_nm)) ** 2
    assert found == pytest.approx(sharp / bent, rel=0.15)
    assert power(needle.cloud.position, there, beside, narrow)[0] < 0.02 * found


def test_planes_fade_away_from_the_axis():
    needle = simulate(NeedleSettings(cone=SMALL, tilt_deg=0, fade_nm=4, dome_radius_nm=np.inf, **EVEN))
    true = needle.poles[0]
    for aside, seen in ((0, True), (8, False)):
        place = (aside, 0, 10)
        found = power(needle.cloud.position, true.wave_per_nm([place])[0], place)[0]
        assert bool(found > 2 * CHANCE) is seen
        assert bool(found > CHANCE) is seen


@given(tilts, turns, domes_radii, st.floats(0.9, 1.1))
def test_the_pole_of_the_truth_is_what_the_waves_do_near_its_axis(tilt, azimuth, radius, z_scale):
    how = NeedleSettings(tilt_deg=tilt, azimuth_deg=azimuth, dome_radius_nm=radius, z_scale=z_scale)
    true = how.poles[0]
    pole, step = true.pole, 1e-3
    centre = np.array(pole.centre_nm)
    np.testing.assert_allclose(true.on_axis_nm(centre[2] + 7), pole.on_axis_nm(centre[2] + 7), atol=1e-9)
    turned = [
        (true.wave_per_nm([centre + d])[0] - true.wave_per_nm([centre - d])[0]) / (2 * step) for d in step * np.eye(3)
    ]
    np.testing.assert_allclose(pole.bend_per_nm2, turned, atol=1e-7 / true.plane_spacing_nm)
    if z_scale == 1:
        assert pole.tilt_deg == pytest.approx(tilt, abs=1e-6)
        assert pole.spacing_nm == pytest.approx(true.plane_spacing_nm)


def test_other_poles_are_seen_where_the_crystal_has_them():
    how = NeedleSettings(
        Crystal("FCC", A, (0, 0, 1)), tilt_deg=16, spin_deg=-45, azimuth_deg=40, others=FAMILIES, cone=Cone(16, 0, 12),
        fade_nm=8, sigma_normal_nm=0.03, **EVEN,
    )  # fmt: skip
    needle = simulate(how)
    poles = needle.poles
    assert len(poles) > 1
    for true in poles:
        cosine = np.dot(true.hkl, (0, 0, 1)) / np.linalg.norm(true.hkl)
        assert np.dot(true.direction, poles[0].direction) == pytest.approx(cosine)
        centre = true.on_axis_nm(6)
        found, ions = power(needle.cloud.position, true.wave_per_nm([centre])[0], centre)
        sharp = ions * np.exp(-((2 * np.pi * 0.03 / true.plane_spacing_nm) ** 2))
        assert 0.3 * sharp < found < 1.1 * sharp
        other = next(pole for pole in poles if pole != true)
        faded = power(needle.cloud.position, other.wave_per_nm([other.on_axis_nm(6)])[0], centre)[0]
        assert faded < 0.05 * found


@pytest.mark.parametrize("tilt", [0.0, 22.0])
def test_particles_hold_their_solute_where_the_truth_says(tilt):
    centres = np.array([[2.0, 1, 4], [-2, -3, 9]])
    particles = Particles(centres, np.array([2.5, 2.0]), np.array([0, 3]))
    crystal = Crystal("L12", A, (0, 0, 1))
    how = NeedleSettings(
        crystal, tilt_deg=tilt, dome_radius_nm=50, z_scale=1.05, cone=Cone(7, 5, 12), spin_deg=20, **PERFECT
    )
    needle = simulate(how, particles)
    cloud, solute = needle.cloud, needle.cloud.species >= 2
    assert solute.mean() == pytest.approx(sum(how.alloy.fraction), abs=5 * np.sqrt(0.12 / len(cloud)))
    truth = needle.ordered_particles
    owner = truth.owner_of(cloud.position)
    exact = particles.owner_of(needle.domes.undo(cloud.position.astype(float)))
    assert (owner != exact).sum() < 0.02 * (exact >= 0).sum()
    for k in range(2):
        rich = 0.25 * how.occupancy + 0.75 * how.antisite
        here = solute[exact == k]
        assert here.mean() == pytest.approx(rich, abs=5 * np.sqrt(rich / len(here)))
        # Order has twice the distance of the planes.
        weight = solute[owner == k] - here.mean()
        before = needle.domes.undo(cloud.position[owner == k].astype(float))
        wave = np.array(needle.poles[0].direction) / (2 * needle.poles[0].plane_spacing_nm)
        order = abs((weight * np.exp(-2j * np.pi * before @ wave)).sum()) ** 2 / (weight**2).sum()
        assert order > 5 * CHANCE
    disordered = simulate(replace(how, order=0.0), particles)
    assert len(disordered.ordered_particles) == 0


def test_the_same_seed_gives_the_same_bytes():
    how = NeedleSettings(cone=Cone(5, 5, 6), others=FAMILIES)
    one, two, other = (simulate(how, seed=seed).cloud for seed in (4, 4, 5))
    for name in ("position", "mass_to_charge", "species"):
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes()
    assert one.position.tobytes() != other.position.tobytes()


def test_ions_come_sorted_by_depth_and_are_ranged_as_their_alloy_is():
    how = NeedleSettings(cone=Cone(8, 5, 6), tilt_deg=20, dome_radius_nm=40)
    cloud = simulate(how).cloud
    assert cloud.position[0, 2] < 0
    assert (np.diff(cloud.position[:, 2]) >= 0).all()
    assert cloud.species_names == how.alloy.ranges.species
    unranged = (cloud.species == 0).mean()
    assert 0.3 * 0.05 < unranged < 0.7 * 0.05


@pytest.mark.parametrize(
    "wrong",
    [
        {"tilt_deg": 41},
        {"tilt_deg": -1},
        {"efficiency": 0},
        {"efficiency": float("nan")},
        {"dome_radius_nm": 0},
        {"dome_radius_nm": -float("inf")},
        {"sigma_normal_nm": -0.1},
        {"z_scale": 0},
        {"others": ((0, 0, 0),)},
        {"fade_nm": float("inf")},
        {"order": 2},
    ],
)
def test_settings_refuse_nonsense(wrong):
    with pytest.raises(PlanError):
        NeedleSettings(**wrong)


@pytest.mark.parametrize("wrong", [(0, 5, 80), (17, -1, 80), (17, 60, 80), (17, 5, float("nan"))])
def test_a_cone_refuses_nonsense(wrong):
    with pytest.raises(PlanError, match="of a needle lies between"):
        Cone(*wrong)


def test_particles_of_another_structure_are_refused():
    with pytest.raises(PlanError, match="1 variants"):
        simulate(NeedleSettings(cone=SMALL), Particles(np.zeros((1, 3)), np.ones(1), np.array([2])))


@given(tilts, turns, st.floats(0, 20), st.integers(0, 99))
def test_the_part_of_a_cone_between_two_planes_is_within_its_corners(tilt, azimuth, shank, seed):
    cone = Cone(6, shank, 15)
    normal = NeedleSettings(tilt_deg=tilt, azimuth_deg=azimuth).turn[:, 2]
    rng = np.random.default_rng(seed)
    turn, z = rng.uniform(0, 2 * np.pi, 3000), 15 * rng.choice([0, 1, rng.random()], 3000)
    radius = 6 + cone.widening * z
    position = np.stack([radius * np.cos(turn), radius * np.sin(turn), z], axis=1)
    assert cone.contains(position, 1e-9).all()
    level = position @ normal
    low, high = np.quantile(level, (0.3, 0.6))
    corners = cone.between(normal, low, high)
    inside = position[(level >= low) & (level <= high)]
    for axis in (*np.eye(3), *rng.normal(size=(9, 3))):
        assert (inside @ axis).min() >= (corners @ axis).min() - 1e-9
        assert (inside @ axis).max() <= (corners @ axis).max() + 1e-9
    assert ((corners @ normal > low - 1e-9) & (corners @ normal < high + 1e-9)).all()


@pytest.mark.parametrize("shank", [0.0, 12.0])
def test_a_cone_is_filled_evenly(shank):
    cone, n = Cone(6, shank, 15), 40_000
    position = cone.scatter(np.random.default_rng(2), n).astype(float)
    for z in (3, 7, 11):
        share = Cone(6, shank, z).volume_nm3 / cone.volume_nm3
        assert (position[:, 2] < z).mean() == pytest.approx(share, abs=5 * np.sqrt(share / n))
    radius = 6 + cone.widening * position[:, 2]
    inner = (np.hypot(position[:, 0], position[:, 1]) < radius / 2).mean()
    assert inner == pytest.approx(0.25, abs=5 * np.sqrt(0.19 / n))


def test_domes_level_out_far_from_the_axis():
    domes = Domes(Cone(60, 0, 10), 40, ((0.0, 0.0, 1.0),), 100)
    assert domes.apply(np.array([[20.0, 0, 5], [50, 0, 5]]))[:, 2].tolist() == [3, 3]
    assert (domes.slopes(np.array([[50.0, 0, 5]])) == np.eye(3)).all()
