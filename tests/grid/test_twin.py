"""Twins: as dense, blurred, bent and rich in solute as the specimen that they stand for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aptstream.cloud import ingest
from aptstream.grid import find
from aptstream.grid.twin import (
    FEWEST,
    LARGEST_NM,
    N_SMALL,
    USUAL_BLUR_NM,
    conditions_of,
    densest_block,
    population_of,
    true_particles,
    twin_plan,
)
from aptstream.io import write_pos
from aptstream.points import Range, RangeTable
from aptstream.simulate import simulate_specimen
from aptstream.simulate.specimen import join


@pytest.fixture(scope="module")
def answer(refined_scan, specimen_store, refined_model):
    return find(refined_scan, specimen_store, refined_model)


@pytest.fixture(scope="module")
def conditions(answer, refined_scan, specimen_store):
    return conditions_of(answer, refined_scan, specimen_store, ((0, 0, 0), specimen_store.shape_cells))


def test_the_conditions_of_a_simulated_specimen_are_those_that_it_was_made_with(conditions):
    # Settings(): σ 0.03 and 0.3 nm, efficiency 0.55, background 0.02
    assert conditions.efficiency == pytest.approx(0.55, rel=0.08)
    assert conditions.background == pytest.approx(0.02, abs=0.005)
    assert conditions.sigma_z_nm == pytest.approx(0.03, rel=0.08)
    assert 0.2 <= conditions.sigma_xy_nm <= 0.6
    assert conditions.matrix == pytest.approx(0.108, abs=0.01)
    assert conditions.particles == pytest.approx(
        0.2475, abs=0.05
    )  # the nets in closed form make particles a little large


def test_a_twin_is_like_its_specimen(conditions, refined_scan, specimen_store):
    size = (18.0, 18.0, 20.0)
    plan = twin_plan(conditions, refined_scan, np.random.default_rng(1), size_nm=size)
    cloud = join(list(plan.blocks()))
    assert len(true_particles(plan)) == 0
    assert len(cloud) == pytest.approx(specimen_store.n_ions, rel=0.06)
    share = (cloud.species == 2).sum() / (cloud.species > 0).sum()
    assert share == pytest.approx(conditions.matrix, abs=0.005)
    assert plan.distortion.tilt == refined_scan.planes.slope
    period = plan.distortion.stretch * refined_scan.crystal.period_nm
    assert period == pytest.approx(refined_scan.planes.period_nm)


def test_a_twin_with_particles_keeps_matrix_and_content(conditions, refined_scan, answer):
    size = (18.0, 18.0, 20.0)
    population, _ = population_of(answer, size)
    plan = twin_plan(conditions, refined_scan, np.random.default_rng(1), size_nm=size, populations=[population])
    assert plan.matrix == (pytest.approx(conditions.matrix),)
    assert plan.settings.particle_solute == pytest.approx(conditions.particles)
    assert len(true_particles(plan)) > N_SMALL / 2
    again = twin_plan(conditions, refined_scan, np.random.default_rng(1), size_nm=size, populations=[population])
    np.testing.assert_array_equal(true_particles(plan).centre_nm, true_particles(again).centre_nm)


def test_what_cannot_be_measured_is_assumed_and_said(answer, refined_scan, specimen_store):
    nothing = answer.found.labels * 0
    empty = replace(
        answer.found,
        labels=nothing,
        centroid_nm=np.zeros((0, 3)),
        n_voxels=np.zeros(0, int),
        expected_nm3=np.zeros(0),
        peak=np.zeros(0),
    )
    made = {e: np.full(1, np.nan) for e in answer.measures.particles.percent}
    unknown = replace(answer.measures.particles, percent=made, sd=made)
    without = replace(answer, found=empty, measures=replace(answer.measures, particles=unknown, matrix=unknown))
    told = conditions_of(without, refined_scan, specimen_store, ((0, 0, 0), specimen_store.shape_cells))
    assert (told.sigma_xy_nm, told.particles) == (USUAL_BLUR_NM, 0.2475)
    text = " ".join(told.notes)
    for word in (
        "lateral blur could not",
        "full order was taken",
        "of the matrix could not",
        "of the particles could not",
    ):
        assert word in text
    population, notes = population_of(without, (18.0, 18.0, 20.0))
    assert population.mean_nm == 2.0
    assert "Nothing was found" in notes[0]


@pytest.mark.parametrize(("mean", "share"), [(1.5, 0.001), (2.0, 0.1), (3.0, 0.4), (9.0, 0.05)])
def test_a_population_fits_into_the_twin(answer, mean, share):
    told = answer.statistics
    moved = replace(told, mean_radius_nm=replace(told.mean_radius_nm, value=mean))
    found = replace(answer.found, expected_nm3=np.full(len(answer.found), share * answer.n_judged / len(answer.found)))
    population, notes = population_of(replace(answer, statistics=moved, found=found), (30.0, 30.0, 40.0))
    volume = 4 / 3 * np.pi * population.mean_nm**3
    assert population.mean_nm <= LARGEST_NM
    assert population.volume_fraction <= 0.25
    assert population.volume_fraction * 36_000 >= 0.99 * min(FEWEST * volume, 0.25 * 36_000)
    assert bool(notes) == (mean > LARGEST_NM or share in (0.001, 0.4))


def test_the_block_is_taken_where_most_material_is(tmp_path):
    rng = np.random.default_rng(0)
    position = rng.uniform(0, (40, 30, 60), (300_000, 3))
    position = position[(position[:, 0] - 28) ** 2 + (position[:, 1] - 15) ** 2 < (4 + position[:, 2] / 8) ** 2]
    write_pos(tmp_path / "needle.pos", position.astype("f4"), np.full(len(position), 27.0, "f4"))
    table = RangeTable((Range(26, 28, (("Al", 1),)),))
    store = ingest(tmp_path / "needle.pos", ranges=table, out=tmp_path / "needle.zarr")
    low, high = densest_block(store, (12, 12, 20))
    assert tuple(np.subtract(high, low)) == (12, 12, 20)
    middle = np.add(low, high) / 2 + store.origin_nm
    assert np.hypot(middle[0] - 28, middle[1] - 15) < 5
    assert middle[2] > 35
    assert densest_block(store, (400, 400, 400)) == ((0, 0, 0), store.shape_cells)


def test_twins_of_every_crystal_can_be_made(conditions, refined_scan):
    from types import SimpleNamespace

    from aptstream.simulate import MATERIALS, Population

    for material in MATERIALS.values():
        planes = replace(refined_scan.planes, period_nm=material.crystal.period_nm)
        scan = SimpleNamespace(crystal=material.crystal, planes=planes)
        rng = np.random.default_rng(0)
        plan = twin_plan(conditions, scan, rng, size_nm=(10, 10, 10), populations=[Population(0.1, 1.5, 0.2)])
        assert len(simulate_specimen(rng, plan.particles, plan.settings).cloud) > 10_000
