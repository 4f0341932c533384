"""Order in simulated particles of every structure against closed forms, and where it must not be.

Bounds are five standard deviations, see `test_specimen.py`.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptstream.crystal import Crystal
from aptstream.errors import PlanError
from aptstream.points import Roles
from aptstream.sdm.count import count_sdm
from aptstream.sdm.window import Channels, SdmWindow
from aptstream.simulate import Alloy, Particles, Settings, simulate_specimen

LEVEL = {"tilt_deg": 0.0, "bow_deg": 0.0, "stretch": 0.0, "density_wave": 0.0, "background": 0.0}
CHANCE = -np.log(1e-6)
ONE_SOLUTE = Alloy("Ni", ("Al",), (0.3,), (1.0,), (28.97, 26.98))


def spheres(*centres, radius=4.0, variant=0, order=None):
    n = len(centres)
    fields = {} if order is None else {"order": np.array(order, dtype=float)}
    return Particles(np.array(centres, dtype=float), np.full(n, radius), np.full(n, variant), **fields)


def simulate(how, particles, seed=1):
    return simulate_specimen(np.random.default_rng(seed), particles, how).cloud


def core(cloud, centre, radius=2.8):
    """Ions well inside a sphere."""
    return cloud[((cloud.position.astype(float) - centre) ** 2).sum(axis=1) < radius**2]


def solute_wave(cloud, period):
    """Amplitude of the solute's deviation from its mean per ion, and its five standard deviations."""
    weight = (cloud.species >= 2) - (cloud.species >= 2).mean()
    factor = abs((weight * np.exp(2j * np.pi / period * cloud.position[:, 2].astype(float))).mean())
    return factor, 5 * np.sqrt((weight**2).mean() / len(cloud) / 2)


@pytest.mark.parametrize(
    ("label", "a_nm", "pole"),
    [
        ("L12", 0.405, (0, 1, 1)),
        ("L12", 0.357, (0, 0, 1)),
        ("L10", 0.386, (0, 0, 1)),
        ("D022", 0.385, (0, 0, 1)),
        ("B2", 0.287, (0, 0, 1)),
        ("D03", 0.287, (0, 0, 1)),
        ("D019", 0.295, (1, 1, -2, 0)),
    ],
)
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_every_variant_shows_its_order_times_the_damping(label, a_nm, pole, strength):
    crystal = Crystal(label, a_nm, pole)
    how = Settings(size_nm=(10, 10, 10), crystal=crystal, alloy=ONE_SOLUTE, kind="no-contrast", order=strength, **LEVEL)
    damping = np.exp(-2 * (np.pi * how.sigma_z_nm / crystal.period_nm) ** 2)
    shown = crystal.variant_amplitude
    # One variant of those that show and one that does not, where there are such.
    for variant in {int(shown.argmax()), int(shown.argmin()), len(shown) - 1}:
        cloud = core(simulate(how, spheres((5, 5, 5), variant=variant)), (5, 5, 5))
        found, noise = solute_wave(cloud, crystal.period_nm)
        expected = strength * shown[variant] * (how.occupancy - how.antisite) * damping
        # The ends of the sphere hold no whole number of periods: its form factor there is below a hundredth.
        assert found == pytest.approx(expected, abs=noise + 0.01 * how.particle_solute)


def test_particles_of_one_specimen_may_differ_in_order():
    how = Settings(size_nm=(27, 10, 10), kind="no-contrast", **LEVEL)
    centres, order = [(5, 5, 5), (13.5, 5, 5), (22, 5, 5)], [1.0, 0.4, 0.0]
    cloud = simulate(how, spheres(*centres, order=order))
    damping = np.exp(-2 * (np.pi * how.sigma_z_nm / how.crystal.period_nm) ** 2)
    for centre, strength in zip(centres, order, strict=True):
        inside = core(cloud, centre)
        found, noise = solute_wave(inside, how.crystal.period_nm)
        assert found == pytest.approx(strength * 0.25 * (how.occupancy - how.antisite) * damping, abs=noise + 0.003)
        content = (inside.species >= 2).mean()
        assert content == pytest.approx(how.particle_solute, abs=5 * np.sqrt(0.2 / len(inside)))


@pytest.mark.parametrize("change", [{"kind": "clusters"}, {"order": 0.0}, {"shuffle": True}])
def test_without_order_no_wave_stands(change):
    how = Settings(size_nm=(10, 10, 10), **LEVEL, **change)
    cloud = core(simulate(how, spheres((5, 5, 5))), (5, 5, 5))
    found, _ = solute_wave(cloud, how.crystal.period_nm)
    weight = (cloud.species >= 2) - (cloud.species >= 2).mean()
    assert found**2 * len(cloud) / (weight**2).mean() < CHANCE


def test_shuffling_takes_the_composition_of_particles_too():
    how = Settings(size_nm=(14, 14, 14), shuffle=True, **LEVEL)
    cloud = simulate(how, spheres((7, 7, 7)))
    for where in (core(cloud, (7, 7, 7), 4.0), cloud):
        for index, fraction in enumerate(how.alloy.fraction, start=2):
            assert (where.species == index).mean() == pytest.approx(
                fraction, abs=5 * np.sqrt(fraction * (1 - fraction) / len(where))
            )


@pytest.mark.parametrize("content", [0.12, 0.2])
def test_order_without_contrast_at_a_chosen_content(content):
    how = Settings(size_nm=(12, 12, 12), kind="no-contrast", solute=content, **LEVEL)
    cloud = simulate(how, spheres((6, 6, 6)))
    inside = ((cloud.position.astype(float) - 6) ** 2).sum(axis=1) < 16
    for where in (inside, ~inside):
        found = (cloud.species[where] >= 2).mean()
        assert found == pytest.approx(content, abs=5 * np.sqrt(content * (1 - content) / where.sum()))
    middle = core(cloud, (6, 6, 6))
    full = 0.25 * how.occupancy + 0.75 * how.antisite
    damping = np.exp(-2 * (np.pi * how.sigma_z_nm / how.crystal.period_nm) ** 2)
    found, noise = solute_wave(middle, how.crystal.period_nm)
    expected = 0.25 * (how.occupancy - how.antisite) * content / full * damping
    assert found == pytest.approx(expected, abs=noise + 0.003)


@given(
    st.sampled_from([("L12", 0.25), ("B2", 0.5), ("FCC", 0.0)]),
    *[st.floats(0, 1, allow_subnormal=False)] * 4,
    st.sampled_from([None, 0.05, 0.12, 0.6, 1.0]),
)
def test_order_never_changes_the_content(structure, occupancy, antisite, order, strength, content):
    label, sites = structure
    how = Settings(
        crystal=Crystal(label, 0.4, (0, 0, 1)), occupancy=occupancy, antisite=antisite, order=order, solute=content
    )
    on_solute, on_host = how.site_solute(strength)
    assert sites * on_solute + (1 - sites) * on_host == pytest.approx(how.particle_solute)
    assert -1e-12 <= min(on_solute, on_host) <= max(on_solute, on_host) <= 1 + 1e-12
    if content is None and how.kind == "ordered" and label != "FCC":
        assert on_solute - on_host == pytest.approx(order * strength * (occupancy - antisite), abs=1e-9)


@pytest.mark.parametrize("centre", [(6, 6, 6), (0, 6, 6), (0, 12, 6), (12, 0, 0), (-2, 6, 6)])
def test_particles_cut_by_the_faces_leave_the_alloy_its_composition(centre):
    how = Settings(size_nm=(12, 12, 12), alloy=ONE_SOLUTE, crystal=Crystal("L12", 0.357), solute=0.9, **LEVEL)
    clouds = [simulate(how, spheres(centre, radius=4.5), seed) for seed in range(3)]
    found = np.mean(np.concatenate([cloud.species for cloud in clouds]) >= 2)
    # Sites of the sphere that lie in the box differ from its share of the volume by a layer's rounding.
    assert found == pytest.approx(0.3, abs=5 * np.sqrt(0.21 / sum(map(len, clouds))) + 0.002)


@pytest.mark.parametrize("sigma", [0.02, 0.035, 0.05])
def test_peaks_of_an_sdm_fade_with_twice_the_variance(sigma):
    how = Settings(size_nm=(14, 14, 14), **{**LEVEL, "sigma_z_nm": sigma})
    cloud = simulate(how, spheres((7, 7, 7))[:0])
    spacing, per_plane, planes = how.crystal.plane_spacing_nm, 12, 10
    channels = Channels.of_roles(Roles(("Al",), ("Li", "Mg")))
    window = SdmWindow("z", planes * spacing, planes * per_plane, 3.0, 1)
    counts = count_sdm(cloud, channels, window).sum(axis=0)[:, 0].astype(float)
    offset = (np.arange(len(counts)) + 0.5) / per_plane
    # The pairs thin out with their offset, as the ends of the specimen come into play.
    expected_pairs = 1 - offset * spacing / how.size_nm[2]
    wave = (counts / expected_pairs * np.cos(2 * np.pi * offset)).sum() / (counts / expected_pairs).sum()
    in_a_bin = np.sinc(1 / per_plane)
    damping = np.exp(-4 * np.pi**2 * sigma**2 / spacing**2)
    # Pairs of an ion with itself are missing, one in some two hundred on the central plane.
    assert wave == pytest.approx(damping * in_a_bin, abs=0.005)


def test_blur_may_differ_between_the_phases():
    how = Settings(size_nm=(18, 10, 10), precipitate_blur=1.5, **LEVEL)
    spacing = how.crystal.plane_spacing_nm
    cloud = simulate(how, spheres((5, 5, 5)))
    for centre, factor in (((5, 5, 5), 1.5), ((14, 5, 5), 1.0)):
        phase = core(cloud, centre, 2.5)
        found = abs(np.exp(2j * np.pi / spacing * phase.position[:, 2].astype(float)).mean())
        expected = np.exp(-2 * (np.pi * factor * how.sigma_z_nm / spacing) ** 2)
        assert found == pytest.approx(expected, abs=5 / np.sqrt(len(phase)) + 0.003)


def test_blur_may_vary_in_space():
    quiet = {**LEVEL, "sigma_z_nm": 0.03}
    spread = {}
    for wave in (0.0, 0.4):
        how = Settings(size_nm=(20, 24, 12), blur_wave=wave, **quiet)
        spacing = how.crystal.plane_spacing_nm
        position = simulate(how, spheres((7, 7, 7))[:0]).position.astype(float)
        factor = np.exp(2j * np.pi / spacing * position[:, 2])
        column = (position[:, 0] // 5 * 6 + position[:, 1] // 4).astype(int)
        n = np.bincount(column)
        amplitude = np.abs(np.bincount(column, factor.real) + 1j * np.bincount(column, factor.imag)) / n
        spread[wave] = amplitude.std(), 1 / np.sqrt(n.mean())
    assert spread[0.0][0] < 2 * spread[0.0][1]
    assert spread[0.4][0] > 10 * spread[0.4][1]


def test_ions_are_missing_around_the_pole():
    how = Settings(size_nm=(16, 16, 30), pole_depletion=0.6, **{**LEVEL, "sigma_z_nm": 0.3})
    position = simulate(how, spheres((7, 7, 7))[:0]).position.astype(float)
    squared = ((position[:, :2] - 8) ** 2).sum(axis=1)
    for low, high in ((0, 1), (1, 4), (4, 16), (16, 49)):
        # Mean of exp(−r² / 2w²) over a ring, blurred by σxy: w² → w² + σ², and weaker by w² / (w² + σ²).
        wide = 4 + how.sigma_xy_nm**2
        hole = 0.6 * 4 / wide * 2 * wide * (np.exp(-low / 2 / wide) - np.exp(-high / 2 / wide)) / (high - low)
        expected = 4 / 0.405**3 * how.efficiency * np.pi * (high - low) * 30 * (1 - hole)
        assert ((squared >= low) & (squared < high)).sum() == pytest.approx(expected, abs=5 * np.sqrt(expected))


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "nonsense"},
        {"occupancy": 1.2},
        {"antisite": -0.1},
        {"order": np.nan},
        {"solute": 1.5},
        {"efficiency": 2.0},
        {"sigma_z_nm": -0.1},
        {"precipitate_blur": -1.0},
        {"pole_depletion": 1.5},
        {"tilt_deg": 90.0},
    ],
)
def test_settings_out_of_bounds_are_refused(change):
    with pytest.raises(PlanError, match=next(iter(change))):
        Settings(**change)


@pytest.mark.parametrize("variant", [-1, 4])
def test_variants_that_a_structure_has_not_are_refused(variant):
    with pytest.raises(PlanError, match="4 variants"):
        simulate(Settings(size_nm=(6, 6, 6)), spheres((3, 3, 3), radius=1.0, variant=variant))
