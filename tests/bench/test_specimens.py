"""The benchmark's own specimens against closed forms: a test that misjudges needs no rival."""

from __future__ import annotations

import ast
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aptstream.io import read_ions, read_ranges
from aptstream.simulate import read_truth

STILL = {"tilt_deg": 0.0, "bow_deg": 0.0, "stretch": 0.0}
SHARP = {**STILL, "sigma_xy_nm": 1e-4, "sigma_z_nm": 1e-4, "background": 0.0}
#: Lattice → atoms in a nm³, plane spacing in nm.
LATTICES = {
    "AL_L12": (4 / 0.405**3, 0.405 / np.sqrt(8)),
    "NI_L12": (4 / 0.357**3, 0.357 / 2),
    "CU_L10": (4 / 0.386**3, 0.386 / 2),
    "FE_B2": (2 / 0.289**3, 0.289 / 2),
    "FE_D03": (2 / 0.289**3, 0.289 / 2),
}


def rng(seed=1):
    return np.random.Generator(np.random.Philox(seed))


def one_particle(specimens, monkeypatch, case, radius=5.0):
    """A specimen with a single sphere in its middle."""
    size = np.array(case.size_nm)
    monkeypatch.setattr(specimens, "draw_radii", lambda *_: np.array([radius]))
    monkeypatch.setattr(specimens, "push_apart", lambda *_: ((size / 2)[None], np.array([True])))
    return specimens.make_specimen(case, rng())


def species_of(specimen):
    table = specimen.case.ranges
    kind = np.zeros(len(specimen.mass), dtype=int)
    for (low, high), index in zip(table.bounds_da, table.indices, strict=True):
        kind[(specimen.mass >= low) & (specimen.mass < high)] = index
    return kind


def test_the_generator_shares_nothing_with_the_simulator(cases, specimens):
    nodes = [
        node
        for script in (cases, specimens)
        for node in ast.walk(ast.parse(Path(script.__file__).read_text(encoding="utf-8")))
    ]
    names = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    names += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    assert not [name for name in names if "simulate" in name or "crystal" in name]


@pytest.mark.parametrize("name", LATTICES)
def test_sites_have_the_density_and_the_planes_of_their_lattice(cases, specimens, name):
    lattice = getattr(cases, name)
    density, spacing = LATTICES[name]
    assert lattice.plane_nm == pytest.approx(spacing)
    case = replace(cases.Case(cases.NONE), lattice=lattice, size_nm=(9.0, 9.0, 9.0), **SHARP)
    warp = specimens.draw_warp(case, rng())
    turn = specimens.turn_to_pole(lattice, 0.4)
    assert turn @ turn.T == pytest.approx(np.eye(3))
    assert turn[2] @ np.array(lattice.pole) == pytest.approx(np.linalg.norm(lattice.pole))
    planes = list(specimens._planes(case, warp, turn, rng()))
    position = np.concatenate([r for _, r in planes])
    site = np.concatenate([s for s, _ in planes])
    inside = ((position >= 1) & (position < 8)).all(axis=1)
    assert inside.sum() / 343 == pytest.approx(density, rel=0.03)  # the surface of the box
    shares = np.bincount(site[inside], minlength=lattice.n_variants) / inside.sum()
    assert shares == pytest.approx(np.full(lattice.n_variants, lattice.solute_sites), abs=0.02)
    heights = np.unique(position[:, 2].round(6))
    assert np.diff(heights) == pytest.approx(np.full(len(heights) - 1, spacing), abs=1e-5)


@pytest.mark.parametrize("name", LATTICES)
def test_each_sublattice_is_a_lattice_of_its_own(cases, specimens, name):
    # the nearest sites of one sublattice are farther apart than the nearest of all: √2 in L12, and so on
    lattice = getattr(cases, name)
    case = replace(cases.Case(cases.NONE), lattice=lattice, size_nm=(3.0, 3.0, 3.0), **SHARP)
    turn = specimens.turn_to_pole(lattice, 0.0)
    planes = list(specimens._planes(case, specimens.draw_warp(case, rng()), turn, rng()))
    position, site = np.concatenate([r for _, r in planes]), np.concatenate([s for s, _ in planes])
    a = 2 * lattice.half_nm
    expected = {"L12": a, "B2": a, "D03": np.sqrt(2) * a, "L10": a / np.sqrt(2)}[name.split("_")[1]]
    for variant in range(lattice.n_variants):
        mine = position[site == variant]
        distance = np.linalg.norm(mine[:, None] - mine[None], axis=2) + 9 * np.eye(len(mine))
        assert distance.min() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["large", "ni_al", "l10", "b2", "d03", "no_contrast"])
def test_a_particle_has_the_doubled_period_and_the_matrix_has_not(cases, specimens, monkeypatch, name):
    case = replace(cases.case_of(name, "good"), size_nm=(16.0, 16.0, 16.0), **STILL)
    specimen = one_particle(specimens, monkeypatch, case)
    kind, r = species_of(specimen), specimen.position.astype(float)
    inside = np.linalg.norm(r - 8, axis=1) < 5
    q = 2 * np.pi / case.lattice.period_nm

    def power(chosen):
        weight = (kind[chosen] > 1) - (kind[chosen] > 1).mean()
        wave = (weight * np.exp(1j * q * r[chosen, 2])).sum()
        return abs(wave) ** 2 / (weight**2).sum()  # 1 on average at random

    matrix = (kind > 0) & ~inside
    assert power((kind > 0) & inside) > 100
    assert power(matrix) < 12  # e⁻¹² for chance


def test_particles_have_their_composition_and_the_whole_has_its_own(cases, specimens, monkeypatch):
    case = replace(cases.Case(), size_nm=(18.0, 18.0, 18.0), background=0.0, **STILL)
    specimen = one_particle(specimens, monkeypatch, case)
    kind, r = species_of(specimen), specimen.position.astype(float)
    inside = (np.linalg.norm(r - 9, axis=1) < 4.2) & (kind > 0)  # clear of the lateral blur
    n = inside.sum()
    assert (kind[inside] > 1).mean() == pytest.approx(0.25 * 0.9 + 0.75 * 0.03, abs=4 * np.sqrt(0.19 / n))
    solute = kind[inside & (kind > 1)]
    assert (solute == 2).mean() == pytest.approx(0.8, abs=4 * np.sqrt(0.16 / len(solute)))
    whole = kind[kind > 0]
    for index, content in zip((2, 3), case.solute, strict=True):
        assert (whole == index).mean() == pytest.approx(content, abs=4 * np.sqrt(content / len(whole)) + 0.001)


@pytest.mark.parametrize(("name", "contrast"), [("large", True), ("clusters", True), ("no_contrast", False)])
def test_only_contrast_shows_particles_in_their_composition(cases, specimens, monkeypatch, name, contrast):
    case = replace(cases.case_of(name, "good"), size_nm=(16.0, 16.0, 16.0), **STILL)
    specimen = one_particle(specimens, monkeypatch, case)
    kind, distance = species_of(specimen), np.linalg.norm(specimen.position - 8.0, axis=1)
    inside, outside = ((kind[c & (kind > 0)] > 1).mean() for c in (distance < 4.2, distance > 6))
    assert (inside - outside > 0.05) == contrast
    if not contrast:
        assert inside == pytest.approx(0.12, abs=0.012)
        assert outside == pytest.approx(0.12, abs=0.012)


def test_clusters_and_shuffled_species_have_no_order(cases, specimens, monkeypatch):
    for name in ("clusters", "shuffled"):
        case = replace(cases.case_of(name, "good"), size_nm=(16.0, 16.0, 16.0), **STILL)
        specimen = one_particle(specimens, monkeypatch, case)
        kind, r = species_of(specimen), specimen.position.astype(float)
        inside = (np.linalg.norm(r - 8, axis=1) < 5) & (kind > 0)
        weight = (kind[inside] > 1) - (kind[inside] > 1).mean()
        wave = (weight * np.exp(2j * np.pi / case.lattice.period_nm * r[inside, 2])).sum()
        assert abs(wave) ** 2 / (weight**2).sum() < 12
        assert not specimen.truth((16, 16, 16), (0.0, 0.0, 0.0)).total.any()


def test_truth_moves_with_the_planes(cases, specimens, monkeypatch):
    # A sharp specimen whose particle is all solute and whose matrix has none: ions say where the particle is.
    case = cases.Case(
        solute=(1e-9, 1e-9),
        occupancy=1.0,
        antisite=1.0,
        size_nm=(20.0, 20.0, 20.0),
        sigma_xy_nm=1e-3,
        sigma_z_nm=1e-3,
        background=0.0,
        tilt_deg=2.5,
        stretch=0.06,
        axes=(0.6, 1.0, 1.4),
        low_nm=(-3.3, 4.0, -70.6),
    )
    monkeypatch.setattr(specimens, "draw_radii", lambda *_: np.array([4.0]))
    middle = np.array([[13.0, 8.0, 12.0]])
    monkeypatch.setattr(specimens, "push_apart", lambda *_: (middle, np.array([True])))
    monkeypatch.setattr(specimens, "_matrix", lambda *_: np.array([0.0, 0.0]))
    specimen = specimens.make_specimen(case, rng())
    kind = species_of(specimen)
    assert specimen.centre_nm == pytest.approx(middle + case.low_nm)
    r = (specimen.position.astype(float) - specimen.centre_nm[0]) @ specimen.unit[0].T
    distance = np.linalg.norm(r, axis=1)
    assert (kind[distance < 0.98] > 1).all()
    assert (kind[distance > 1.02] == 1).all()
    scale = (specimen.radius_nm[0] / 4) ** 3 / np.prod(case.axes)
    assert min(abs(scale - 1.06), abs(scale - 0.94)) < 1e-3  # the particle grows with the depth scale


def test_shares_of_voxels_sum_to_the_volume_of_an_ellipsoid(cases, specimens):
    turn = specimens.turn_to_pole(cases.AL_L12, 0.3)
    unit = (np.diag([1 / 2, 1 / 3, 1 / 4.5]) @ turn)[None]
    volumes = specimens.true_volumes(np.array([[3.2, -1.1, -60.4]]), unit, (14, 14, 14), (-4.0, -8.0, -68.0), sub=8)
    assert volumes.share.sum() == pytest.approx(4 / 3 * np.pi * 2 * 3 * 4.5, rel=0.01)
    assert volumes.total.sum(dtype=float) == pytest.approx(volumes.share.sum())
    assert volumes.radius_nm == pytest.approx(np.cbrt([27.0]))
    assert volumes.whole.all()
    assert volumes.holds(np.array([[3.2, -1.1, -60.4], [8.0, -1.1, -60.4]])).tolist() == [True, False]


@pytest.mark.parametrize("population", ["MIXED", "LARGE", "SMALL"])
def test_particles_keep_their_distance_and_their_volume(cases, specimens, population):
    chosen, size, source = getattr(cases, population), np.array([30.0, 30.0, 40.0]), rng(3)
    radii = specimens.draw_radii(source, chosen, 36_000)
    centre, kept = specimens.push_apart(source, radii, size)
    assert kept.mean() > 0.95
    assert (np.diff(radii) <= 0).all()
    volume = 4 / 3 * np.pi * (radii[kept] ** 3).sum() / 36_000
    assert volume == pytest.approx(chosen.fraction, rel=0.2)
    distance = np.linalg.norm(centre[kept][:, None] - centre[kept][None], axis=2)
    gap = distance - radii[kept][:, None] - radii[kept][None] + 99 * np.eye(kept.sum())
    assert gap.min() >= 0.7
    if chosen.n_small:
        assert ((radii >= 0.5) & (radii < 1.5)).sum() >= chosen.n_small


@pytest.mark.parametrize("name", ["depth", "background", "efficiency_80", "plates"])
def test_every_case_stays_in_its_box_and_can_be_read_again(cases, specimens, tmp_path, name):
    case = replace(cases.case_of(name, "good"), size_nm=(14.0, 14.0, 15.0))
    specimen = specimens.make_specimen(case, rng(4))
    again = specimens.make_specimen(case, rng(4))
    assert specimen.position.tobytes() == again.position.tobytes()
    assert specimen.position.tobytes() != specimens.make_specimen(case, rng(5)).position.tobytes()
    low = np.array(case.low_nm)
    assert (specimen.position >= low.astype("f4")).all()
    assert (specimen.position < (low + case.size_nm).astype("f4")).all()
    assert (np.diff(specimen.position[:, 2]) >= 0).all()
    pos, rrng, truth = specimens.write_specimen(specimen, tmp_path)
    assert read_ions(pos)[0].tobytes() == specimen.position.tobytes()
    assert read_ranges(rrng).species == ("unranged", *case.species)
    assert len(read_truth(truth)) == len(specimen.centre_nm) == len(json.loads(truth.read_text())["unit_per_nm"])
    stray = (species_of(specimen) == 0).mean()
    assert stray == pytest.approx(case.background / (1 + case.background) / 2, rel=0.25)


def test_levels_change_the_blur_unless_the_case_does(cases, specimens):
    assert cases.case_of("large", "hard").sigma_z_nm == 0.05
    assert cases.case_of("sigma_z_65", "hard").sigma_z_nm == 0.065
    assert cases.case_of("efficiency_80", "hard").efficiency == 0.80
    assert cases.case_of("large", "good") == cases.CASES["large"]
