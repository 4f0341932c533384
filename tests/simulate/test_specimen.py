"""Simulated specimens against closed forms: density, composition, order, damping, and the sums of a crystal.

Bounds are five standard deviations of what is counted, so that a right program fails once in a million draws and the
seeds are nobody's choice. Powers of random weights follow an exponential distribution of mean 1: `CHANCE` is passed
once in a million.
"""

from dataclasses import replace

import numpy as np
import pytest

from aptstream.crystal import Crystal
from aptstream.errors import PlanError
from aptstream.simulate import Alloy, Particles, Settings, draw_particles, simulate_specimen

A = 0.405
DENSITY = 4 / A**3  # 60.2 atoms in a nm³
CHANCE = -np.log(1e-6)
KINDS = ("ordered", "clusters", "no-contrast", "weak")
LEVEL = {"tilt_deg": 0.0, "bow_deg": 0.0, "stretch": 0.0, "density_wave": 0.0, "background": 0.0}
#: Every atom detected, exactly on its site.
PERFECT = {**LEVEL, "sigma_xy_nm": 0.0, "sigma_z_nm": 0.0, "efficiency": 1.0}
NOTHING = Particles(np.zeros((0, 3)), np.zeros(0), np.zeros(0, dtype=np.int64))


def sphere(centre, radius, variant=0):
    return Particles(np.array([centre], dtype=float), np.array([float(radius)]), np.array([variant]))


def simulate(settings, particles=NOTHING, seed=1):
    return simulate_specimen(np.random.default_rng(seed), particles, settings).cloud


def is_solute(cloud):
    return cloud.species >= 2


def within(cloud, centre, radius):
    return ((cloud.position.astype(float) - centre) ** 2).sum(axis=1) < radius**2


def amplitude(cloud, period, weight=None, axis=2):
    """Structure factor at one wave vector along an axis."""
    weight = np.ones(len(cloud)) if weight is None else weight
    return abs((weight * np.exp(2j * np.pi / period * cloud.position[:, axis].astype(float))).sum())


def order_power(cloud, period):
    """Power of the solute's deviation from its mean; chance has mean 1."""
    weight = is_solute(cloud) - is_solute(cloud).mean()
    return amplitude(cloud, period, weight) ** 2 / (weight**2).sum()


def binomial(n, p):
    """Five standard deviations of a share of n."""
    return 5 * np.sqrt(p * (1 - p) / n)


@pytest.mark.parametrize("efficiency", [0.35, 0.55, 1.0])
@pytest.mark.parametrize("pole", [(0, 1, 1), (0, 0, 1), (1, 1, 1)])
def test_density_is_that_of_the_crystal_times_the_efficiency(efficiency, pole):
    # Blurred by more than a plane's distance, the lattice is even up to the faces of the box.
    how = Settings(
        size_nm=(12, 10, 14), crystal=Crystal("L12", A, pole), **{**LEVEL, "efficiency": efficiency, "sigma_z_nm": 0.3}
    )
    expected = DENSITY * 12 * 10 * 14 * efficiency
    assert len(simulate(how)) == pytest.approx(expected, abs=5 * np.sqrt(expected))


def test_density_waves_move_ions_without_changing_their_number_much():
    calm = Settings(size_nm=(26, 17, 25), **{**LEVEL, "sigma_z_nm": 0.3})
    counts = {}
    for wave in (0.0, 0.25):
        cloud = simulate(replace(calm, density_wave=wave))
        counts[wave] = np.histogram(cloud.position[:, 0], bins=26, range=(0, 26))[0]
    mean = DENSITY * 17 * 25 * 0.55
    # Efficiency = mean · (1 + 0.25 sin x cos y …): over two waves in x and one in y and z it averages to the mean.
    assert counts[0.25].mean() == pytest.approx(counts[0.0].mean(), abs=5 * np.sqrt(2 * mean / 26))
    blocks = simulate(replace(calm, density_wave=0.25)).position // (3.25, 4.25, 5)
    per_block = np.unique(blocks, axis=0, return_counts=True)[1]
    assert per_block.var() > 5 * per_block.mean()


@pytest.mark.parametrize("seed", range(8))
def test_distorted_specimens_are_full_up_to_their_faces(seed):
    how = Settings(size_nm=(9, 9, 9), **{**LEVEL, "tilt_deg": 25.0, "bow_deg": 15.0, "stretch": 0.1})
    cloud = simulate(how, seed=seed)
    blocks = np.histogramdd(cloud.position, bins=(3, 3, 9), range=[(0, 9)] * 3)[0]
    # Five standard deviations of a block are 0.3 of its 300 ions; a gap would empty those in the corners.
    assert blocks.min() > 0.65 * np.median(blocks)


@pytest.mark.parametrize("kind", ["ordered", "clusters"])
@pytest.mark.parametrize("seed", [1, 2])
def test_a_specimen_has_the_composition_of_its_alloy(kind, seed):
    how = Settings(size_nm=(12, 12, 12), kind=kind, sigma_xy_nm=0.3, sigma_z_nm=0.03, **LEVEL)
    cloud = simulate(how, sphere((6, 6, 6), 3.0), seed)
    for index, fraction in enumerate(how.alloy.fraction, start=2):
        share = (cloud.species == index).mean()
        assert share == pytest.approx(fraction, abs=binomial(len(cloud), fraction))


def test_a_weakly_ordered_specimen_has_the_solute_of_its_alloy():
    how = Settings(size_nm=(12, 12, 12), kind="weak", **LEVEL)
    cloud = simulate(how, sphere((6, 6, 6), 4.0))
    fraction = sum(how.alloy.fraction)
    assert is_solute(cloud).mean() == pytest.approx(fraction, abs=binomial(len(cloud), fraction))


def test_a_specimen_without_contrast_has_the_composition_of_its_particles():
    how = Settings(size_nm=(12, 12, 12), kind="no-contrast", **LEVEL)
    cloud = simulate(how, sphere((6, 6, 6), 4.0))
    fraction = 0.25 * how.occupancy + 0.75 * how.antisite
    assert is_solute(cloud).mean() == pytest.approx(fraction, abs=binomial(len(cloud), fraction))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("occupancy", "antisite"), [(0.9, 0.03), (0.6, 0.06)])
def test_composition_inside_and_outside_of_a_particle(kind, occupancy, antisite):
    how = Settings(size_nm=(10, 10, 10), kind=kind, occupancy=occupancy, antisite=antisite, **PERFECT)
    particle = sphere((5, 5, 5), 3.0)
    cloud = simulate(how, particle)
    inside = within(cloud, (5, 5, 5), 3.0)
    rich = 0.25 * occupancy + 0.75 * antisite
    share = particle.volume_nm3.sum() / 1000
    total = sum(how.alloy.fraction)
    expected = {"no-contrast": (rich, rich), "weak": (total, total)}.get(
        kind, (rich, (total - share * rich) / (1 - share))
    )
    for where, fraction in zip((inside, ~inside), expected, strict=True):
        found = is_solute(cloud[where]).mean()
        assert found == pytest.approx(fraction, abs=binomial(where.sum(), fraction))
    lithium = (cloud[inside].species == 2).sum() / is_solute(cloud[inside]).sum()
    assert lithium == pytest.approx(how.alloy.share[0], abs=binomial(is_solute(cloud[inside]).sum(), 0.8))


def test_every_variant_puts_the_solute_on_another_of_the_four_sites():
    found = []
    crystal = Crystal("L12", A, (0, 1, 1))
    how = Settings(size_nm=(6, 6, 6), kind="no-contrast", crystal=crystal, occupancy=1.0, antisite=0.0, **PERFECT)
    for variant in range(4):
        cloud = simulate(how, sphere((3, 3, 3), 9.0, variant))
        halves = np.rint(2 * cloud.position.astype(float) @ crystal.frame / A).astype(int) % 2
        corner = {tuple(site) for site in halves[is_solute(cloud)].tolist()}
        faces = {tuple(site) for site in halves[~is_solute(cloud)].tolist()}
        assert len(corner) == 1
        assert corner | faces == {(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)}
        assert not corner & faces
        found.append(corner.pop())
    assert found == [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)]


def test_planes_along_011_alternate_in_host_one_to_two():
    how = Settings(size_nm=(6, 6, 6), kind="no-contrast", occupancy=1.0, antisite=0.0, **PERFECT)
    cloud = simulate(how, sphere((3, 3, 3), 9.0))
    # Whole repeats of the plane's cell, a along x and √2 a along y, taken between rows of atoms.
    low, cells = np.array([0.6 * A, 0.6 * A / np.sqrt(8)]), np.array([12, 8])
    high = low + cells * A * np.array([1, np.sqrt(2)])
    cloud = cloud[((cloud.position[:, :2] > low) & (cloud.position[:, :2] < high)).all(axis=1)]
    plane = np.rint(cloud.position[:, 2] / (A / np.sqrt(8))).astype(int)
    host = np.bincount(plane[~is_solute(cloud)])[1:-1]
    solute = np.bincount(plane[is_solute(cloud)], minlength=plane.max() + 1)[1:-1]
    n = int(cells.prod())
    assert len(host) > 30
    np.testing.assert_array_equal(host + solute, 2 * n)
    assert {host[0], host[1]} == {n, 2 * n}
    np.testing.assert_array_equal(host, np.resize(host[:2], len(host)))


@pytest.mark.parametrize("pole", [(0, 1, 1), (0, 0, 1)])
def test_order_doubles_the_period_inside_a_particle_only(pole):
    crystal = Crystal("L12", A, pole)
    how = Settings(size_nm=(16, 10, 10), crystal=crystal, sigma_xy_nm=0.3, sigma_z_nm=0.03, **LEVEL)
    centre = (5, 5, 5)
    cloud = simulate(how, sphere(centre, 4.0))
    core = cloud[within(cloud, centre, 2.8)]  # four standard deviations of the blur below the surface
    # Every other plane holds (occupancy + antisite) / 2 of solute, the others antisite.
    damping = np.exp(-((2 * np.pi / crystal.period_nm * how.sigma_z_nm) ** 2) / 2)
    expected = len(core) * (how.occupancy - how.antisite) / 4 * damping
    weight = is_solute(core) - is_solute(core).mean()
    noise = 5 * np.sqrt((weight**2).sum() / 2)
    assert amplitude(core, crystal.period_nm, weight) == pytest.approx(expected, abs=noise)
    assert order_power(core, crystal.period_nm) > 10 * CHANCE
    matrix = cloud[within(cloud, (13, 5, 5), 2.8)]
    assert order_power(matrix, crystal.period_nm) < CHANCE


def test_order_does_not_show_along_111():
    crystal = Crystal("L12", A, (1, 1, 1))
    how = Settings(size_nm=(10, 10, 10), crystal=crystal, **LEVEL)
    cloud = simulate(how, sphere((5, 5, 5), 4.0))
    core = cloud[within(cloud, (5, 5, 5), 2.8)]
    assert order_power(core, 2 * crystal.plane_spacing_nm) < CHANCE
    assert amplitude(core, crystal.plane_spacing_nm) ** 2 / len(core) > 10 * CHANCE


@pytest.mark.parametrize(
    ("change", "ordered"),
    [
        ({"kind": "ordered"}, True),
        ({"kind": "no-contrast"}, True),
        ({"kind": "weak"}, True),
        ({"kind": "clusters"}, False),
        ({"shuffle": True}, False),
        ({"kind": "no-contrast", "shuffle": True}, False),
    ],
)
def test_clusters_and_shuffled_species_hold_no_order(change, ordered):
    how = Settings(size_nm=(10, 10, 10), **LEVEL, **change)
    cloud = simulate(how, sphere((5, 5, 5), 4.0))
    power = order_power(cloud[within(cloud, (5, 5, 5), 2.8)], how.crystal.period_nm)
    assert (power > 3 * CHANCE) if ordered else (power < CHANCE)


def test_shuffling_keeps_positions_and_composition():
    how, particle = Settings(size_nm=(8, 8, 8), **PERFECT), sphere((4, 4, 4), 2.0)
    straight, shuffled = (simulate(replace(how, shuffle=s), particle) for s in (False, True))
    np.testing.assert_array_equal(straight.position, shuffled.position)
    # Ions that the box cuts off take their species with them: the numbers agree within counting.
    n = is_solute(straight).sum()
    assert is_solute(shuffled).sum() == pytest.approx(n, abs=5 * np.sqrt(n))
    assert not np.array_equal(straight.species, shuffled.species)


@pytest.mark.parametrize("sigma", [0.02, 0.03, 0.04, 0.05])
@pytest.mark.parametrize("pole", [(0, 1, 1), (0, 0, 1), (1, 1, 1)])
def test_planes_stand_at_their_spacing_and_fade_as_debye_and_waller_say(sigma, pole):
    crystal = Crystal("L12", A, pole)
    spacing = crystal.plane_spacing_nm
    # A whole number of planes: no fraction of a wave is left over at the faces.
    how = Settings(size_nm=(10, 10, 80 * spacing), crystal=crystal, **{**LEVEL, "sigma_z_nm": sigma})
    cloud = simulate(how)
    found = amplitude(cloud, spacing) / len(cloud)
    expected = np.exp(-((2 * np.pi / spacing * sigma) ** 2) / 2)
    assert found == pytest.approx(expected, abs=5 / np.sqrt(len(cloud)))
    # 70 waves over 80 planes cancel exactly.
    assert amplitude(cloud, spacing * 80 / 70) / len(cloud) < 5 / np.sqrt(len(cloud))


def test_lateral_blur_fades_the_planes_along_x():
    how = Settings(size_nm=(40 * A / 2, 10, 10), **{**LEVEL, "sigma_xy_nm": 0.04})
    cloud = simulate(how)
    expected = np.exp(-((2 * np.pi / (A / 2) * 0.04) ** 2) / 2)
    assert amplitude(cloud, A / 2, axis=0) / len(cloud) == pytest.approx(expected, abs=5 / np.sqrt(len(cloud)))


def test_both_phases_have_the_same_blur():
    how = Settings(size_nm=(18, 10, 10), sigma_xy_nm=0.3, sigma_z_nm=0.03, **LEVEL)
    spacing = how.crystal.plane_spacing_nm
    cloud = simulate(how, sphere((5, 5, 5), 4.0))
    expected = np.exp(-((2 * np.pi / spacing * how.sigma_z_nm) ** 2) / 2)
    for centre in ((5, 5, 5), (14, 5, 5)):
        phase = cloud[within(cloud, centre, 2.8)]
        found = amplitude(phase, spacing) / len(phase)
        assert found == pytest.approx(expected, abs=5 / np.sqrt(len(phase)))


def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    particles = draw_particles(np.random.default_rng(0), (9.0, 8.0, 10.0), volume_fraction=0.05, mean_nm=1.2)
    first, again, other = (simulate(Settings(size_nm=(9, 8, 10)), particles, seed) for seed in (3, 3, 4))
    for name in ("position", "mass_to_charge", "species"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()
    assert first.position.tobytes() != other.position.tobytes()


@pytest.mark.parametrize("kind", KINDS)
def test_ions_lie_in_the_box_in_the_order_of_depth(kind):
    how = Settings(size_nm=(7, 8, 9), kind=kind, background=0.05)
    cloud = simulate(how, sphere((7, 4, 9), 1.5))
    assert cloud.position.dtype == cloud.mass_to_charge.dtype == np.float32
    assert cloud.species.dtype == np.uint8
    assert (cloud.position >= 0).all()
    assert (cloud.position < np.array(how.size_nm)).all()
    assert (np.diff(cloud.position[:, 2]) >= 0).all()
    assert cloud.species_names == ("unranged", "Al", "Li", "Mg")


def test_species_are_what_the_ranges_say_of_the_mass():
    how = Settings(size_nm=(8, 8, 8), background=0.1)
    cloud = simulate(how)
    table = how.alloy.ranges
    expected = np.zeros(len(cloud), dtype=int)
    for r in table.ranges:
        hit = (cloud.mass_to_charge.astype(float) >= r.low_da) & (cloud.mass_to_charge.astype(float) < r.high_da)
        expected[hit] = table.species.index(r.ion)
    np.testing.assert_array_equal(cloud.species, expected)


@pytest.mark.parametrize("background", [0.02, 0.5])
def test_background_is_a_share_of_the_lattice_ions_and_half_of_it_is_ranged(background):
    how = Settings(size_nm=(14, 14, 14), **LEVEL)
    lattice = len(simulate(how))
    cloud = simulate(replace(how, background=background))
    strays = len(cloud) - lattice
    # Its mean goes with the lattice's mean, not with the ions that this lattice happens to have.
    mean = background * DENSITY * 14**3 * how.efficiency
    assert strays == pytest.approx(mean, abs=5 * np.sqrt(mean))
    # Half lies anywhere in 59 Da, of which three ranges of 0.6 Da take their part; no lattice ion is unranged.
    outside = (1 - 3 * 0.6 / 59) / 2
    unranged = (cloud.species == 0).sum()
    assert unranged == pytest.approx(outside * strays, abs=5 * np.sqrt(outside * strays))
    assert (simulate(how).species != 0).all()


def test_background_is_even_in_space():
    how = Settings(size_nm=(12, 12, 12), **{**LEVEL, "background": 0.5})
    cloud = simulate(how, sphere((6, 6, 6), 3.0))
    strays = cloud.position[cloud.species == 0]
    octants = np.unique(strays // 6, axis=0, return_counts=True)[1]
    assert octants == pytest.approx(len(strays) / 8, abs=5 * np.sqrt(len(strays) / 8))


@pytest.mark.parametrize(
    ("alloy", "radius"),
    [
        (Alloy(), 5.2),  # 58.9 % of the volume: more solute than there is
        (Alloy(), 4.7),  # 43.5 %: enough solute, but not enough lithium
        (Alloy(solutes=("Li",), fraction=(0.02,), share=(1.0,), mass_da=(13.49, 7.02)), 3.0),
        (Alloy(fraction=(0.4, 0.2)), 9.0),  # a sphere around the specimen leaves no matrix
    ],
)
def test_more_solute_in_particles_than_in_the_alloy_is_refused(alloy, radius):
    with pytest.raises(PlanError, match=r"of the volume take .* Choose"):
        simulate(Settings(size_nm=(10, 10, 10), alloy=alloy), sphere((5, 5, 5), radius))


def test_an_alloy_of_one_solute():
    alloy = Alloy("Ni", ("Al",), (0.15,), (1.0,), (28.97, 26.98))
    cloud = simulate(Settings(size_nm=(10, 10, 10), alloy=alloy, **LEVEL), sphere((5, 5, 5), 3.0))
    assert cloud.species_names == ("unranged", "Ni", "Al")
    assert is_solute(cloud).mean() == pytest.approx(0.15, abs=binomial(len(cloud), 0.15))


@pytest.mark.parametrize(
    "change",
    [
        {"solutes": ("Li", "Mg", "Cu"), "fraction": (0.1, 0.1, 0.1), "share": (0.3, 0.3, 0.4)},
        {"solutes": (), "fraction": (), "share": (), "mass_da": (13.49,)},
        {"fraction": (0.1,)},
        {"share": (0.8,)},
        {"mass_da": (13.49, 7.02)},
        {"fraction": (0.1, -0.05)},
        {"fraction": (0.6, 0.5)},
        {"fraction": (np.nan, 0.05)},
        {"share": (0.8, 0.3)},
        {"share": (1.2, -0.2)},
    ],
)
def test_alloys_whose_numbers_do_not_belong_together_are_refused(change):
    with pytest.raises(PlanError, match="found"):
        Alloy(**change)
