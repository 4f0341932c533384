"""Specimens without a lattice: how many ions, where there are none, and power on the normal of the surface."""

from dataclasses import replace

import numpy as np
import pytest

from aptstream.errors import PlanError
from aptstream.simulate import Cone, simulate_structureless
from aptstream.simulate.structureless import Disorder, Ray, Shell, draw_disorder
from aptstream.simulate.waves import DensityWaves, draw_waves

SHAPE = Cone(9, 0, 24)
CALM = DensityWaves(np.zeros((0, 3)), np.zeros(0), 0.0)
NO_RAY = Ray(0.0, 1.0, (0.3, 1.0), 0.02, (0.1, -0.05), 40.0)
NOTHING = Disorder(CALM, (), (0.0, 0.0, 0.0, 0.0), (0.0, 0.0), NO_RAY)
WAVELENGTHS = np.arange(4.0, 7.6, 0.25)


def simulate(disorder, seed=1, density=20.0):
    return simulate_structureless(
        np.random.default_rng(seed), SHAPE, density_per_nm3=density, disorder=disorder
    ).cloud.position.astype(float)


def powers(position, ray, angle=0.0):
    """Mean power of many small windows at some waves that are turned by an angle from the normal of the surface."""
    found = []
    for centre in np.stack(np.meshgrid((-5, 0, 5), (-5, 0, 5), (5, 12, 19), indexing="ij"), axis=-1).reshape(-1, 3):
        normal = ray.normal(centre[None].astype(float))[0].astype(float)
        aside = np.cross(normal, (1, 0, 0))
        direction = np.cos(angle) * normal + np.sin(angle) * aside / np.linalg.norm(aside)
        apart = position - centre
        apart = apart[(np.abs(apart) < (3.6, 3.6, 6)).all(axis=1)]
        weight = np.exp(-0.5 * ((apart / (1.2, 1.2, 2)) ** 2).sum(axis=1))
        phase = np.outer(apart @ direction, 2 * np.pi * WAVELENGTHS)
        found.append(np.abs((weight[:, None] * np.exp(1j * phase)).sum(axis=0)) ** 2 / (weight**2).sum())
    return np.array(found)


def test_without_partners_power_is_that_of_chance():
    found = powers(simulate(NOTHING), NO_RAY)
    assert found.mean() == pytest.approx(1, abs=5 / np.sqrt(found.size))


@pytest.mark.parametrize("partners", [1.0, 3.0])
def test_partners_put_power_on_the_normal_at_all_wavelengths(partners):
    ray = NO_RAY._replace(share=0.25, partners=partners, scatter_nm=0.005)
    position = simulate(replace(NOTHING, ray=ray))
    found = powers(position, ray)
    # Mean of the squared size of a burst over its mean size; geometric numbers have the mean square 2 g² − g.
    squares = 0.75 + 0.25 * (1 + 2 * partners + 2 * partners**2 - partners)
    expected = squares / (1 + 0.25 * partners)
    scatter = expected / np.sqrt(found.size / 4)  # neighbouring wavelengths go together
    assert found.mean() == pytest.approx(expected, abs=5 * scatter)
    low, high = found[:, :7].mean(), found[:, 7:].mean()
    assert low == pytest.approx(high, abs=5 * np.sqrt(2) * 2 * scatter)
    away = powers(position, ray, angle=0.3)
    assert away.mean() == pytest.approx(1, abs=0.3)


def test_scatter_takes_the_short_wavelengths_from_the_ray():
    ray = NO_RAY._replace(share=0.25, partners=3.0, scatter_nm=0.05)
    found = powers(simulate(replace(NOTHING, ray=ray)), ray)
    assert found[:, -5:].mean() < 0.8 * found[:, :5].mean()


def test_density_is_as_told():
    expected = 20 * SHAPE.volume_nm3
    assert len(simulate(NOTHING)) == pytest.approx(expected, abs=5 * np.sqrt(expected))


def test_voids_wedges_and_shells_are_where_they_are_said_to_be():
    shell = Shell((0, 0, 60), 50, 2, 2.0)
    disorder = replace(NOTHING, shells=(shell,), void_nm=(3, 0, 18, 3), wedge_deg=(150, 60))
    position = simulate(disorder)
    azimuth = np.degrees(np.arctan2(position[:, 1], position[:, 0]))
    assert np.abs(azimuth).max() < 150.01
    assert (azimuth < -150).sum() == 0
    assert np.linalg.norm(position - (3, 0, 18), axis=1).min() > 2.999
    from_centre = np.linalg.norm(position - (0, 0, 60), axis=1)
    inside = np.abs(position[:, :2]).max(axis=1) < 2
    within, beside = (
        (inside & (np.abs(from_centre - 50 + shift) < 0.95) & (np.abs(azimuth) < 140)).sum() for shift in (0, 2)
    )
    assert within == pytest.approx(2 * beside, abs=5 * np.sqrt(6 * beside))


def test_waves_have_their_amplitude():
    waves = draw_waves(np.random.default_rng(3), 1, 0.2, (2.0, 30.0))
    position = simulate(replace(NOTHING, waves=waves))
    even = SHAPE.scatter(np.random.default_rng(4), len(position)).astype(float)
    phases = [np.cos(2 * np.pi * where @ waves.wave_per_nm[0] + waves.phase[0]) for where in (position, even)]
    # Among even ions the mean of the cosine is m and that of its square s; the wave adds 0.2 s to what it multiplies.
    mean, square = phases[1].mean(), (phases[1] ** 2).mean()
    expected = (mean + 0.2 * square) / (1 + 0.2 * mean)
    assert phases[0].mean() == pytest.approx(expected, abs=5 / np.sqrt(len(position)))


def test_what_is_drawn_is_within_its_bounds():
    drawn = [draw_disorder(np.random.default_rng(seed), SHAPE) for seed in range(200)]
    share = np.array([d.ray.share for d in drawn])
    assert 0 <= share.min() < 0.02
    assert 0.23 < share.max() <= 0.25
    wavelength = np.concatenate([1 / np.linalg.norm(d.waves.wave_per_nm, axis=1) for d in drawn])
    assert 2 <= wavelength.min() < 3
    assert 25 < wavelength.max() <= 30
    for name, some in (("shells", [len(d.shells) for d in drawn]), ("void", [d.void_nm[3] for d in drawn])):
        assert 0.35 < np.mean(np.array(some) > 0) < 0.65, name
    assert {round(s.thickness_nm) for d in drawn for s in d.shells} == {1, 2, 3}


def test_the_same_seed_gives_the_same_bytes():
    one, two, other = (
        simulate_structureless(np.random.default_rng(seed), SHAPE, density_per_nm3=5) for seed in (4, 4, 5)
    )
    assert one.cloud.position.tobytes() == two.cloud.position.tobytes()
    assert one.cloud.position.tobytes() != other.cloud.position.tobytes()
    assert (np.diff(one.cloud.position[:, 2]) >= 0).all()
    assert SHAPE.contains(one.cloud.position, 1e-4).all()


@pytest.mark.parametrize("density", [0, -1, 1e6, float("nan")])
def test_an_impossible_density_is_refused(density):
    with pytest.raises(PlanError, match="ions in a nm³"):
        simulate_structureless(np.random.default_rng(1), SHAPE, density_per_nm3=density)
