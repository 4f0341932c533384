"""The control with shuffled species: no order is left in it, and its floor follows from what is found all the same."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from aptstream.errors import ModelError
from aptstream.grid import control as controls
from aptstream.grid.control import (
    FALSE_NM3,
    FALSE_SHARE,
    MAX_VOXELS,
    PEAK_BOUNDS,
    SHUFFLES,
    Control,
    control_blocks,
    shuffled_control,
)
from aptstream.grid.precipitates import BoundaryRule, expected_precipitates
from aptstream.grid.refine import refine
from aptstream.model.refiner import refine_control
from aptstream.sdm.darkfield import OrderField, order_field, shuffled_roles
from aptstream.sdm.kernel import CellBox

N_SHUFFLES = len(SHUFFLES)
PARTICLES = st.lists(st.tuples(st.floats(0.4, 1), st.floats(1, 50)), max_size=12)


def control_of(particles, n_voxels=100_000):
    peak, volume = np.array(particles, dtype=float).reshape(-1, 2).T
    return Control(N_SHUFFLES, n_voxels, peak, volume)


@pytest.fixture(scope="module")
def refined(refined_scan, refined_model):
    return refine(refined_scan, refined_model)


@pytest.fixture(scope="module")
def control(refined_scan, specimen_store, refined_model, refined):
    return shuffled_control(refined_scan, specimen_store, refined_model, refined)


@pytest.fixture(scope="module")
def shuffled(refined_scan, specimen_store):
    """Fields of the five shuffles, made without the blocks and halos of the control."""
    cloud = specimen_store.read((0, 0, 0), specimen_store.shape_cells)
    role = refined_scan.roles.of(specimen_store.species_names)[cloud.species]
    share = (role == 1).sum() / (role < 2).sum()
    box = CellBox(specimen_store.origin_nm, (0, 0, 0), specimen_store.shape_cells)
    drawn = [shuffled_roles(cloud, role, float(share), number) for number in SHUFFLES]
    return [order_field(cloud, one, refined_scan.planes, refined_scan.crystal, box=box) for one in drawn]


def test_nothing_is_ordered_once_species_are_shuffled(shuffled, refined_scan):
    inside = refined_scan.field().power[2] > 0
    power = np.array([field.power[2][inside].mean() for field in shuffled])
    # about (4π)^-1.5 independent values a voxel, and means of eight cells take a tenth from 1 nm windows
    n = N_SHUFFLES * inside.sum() / (4 * np.pi) ** 1.5
    assert power.mean() == pytest.approx(0.95, abs=0.05 + 5 / n**0.5)
    assert refined_scan.field().power[2][inside].mean() > 1.5 * power.max()


def test_a_control_finds_what_its_nets_find_in_the_shuffled_fields(control, shuffled, refined, refiner, refined_scan):
    peaks, volumes, n = [], [], 0
    for field in shuffled:
        p = refine_control(field, refiner, refined_scan.crystal, signal=refined.signal, order=refined.order)
        found = expected_precipitates(p, BoundaryRule(peak=PEAK_BOUNDS[0]), origin_nm=refined_scan.origin_nm)
        peaks, volumes = [*peaks, *found.peak], [*volumes, *found.volume_nm3]
        n += int((field.power[2] > 0).sum())
    np.testing.assert_array_equal(control.peak, peaks)
    np.testing.assert_array_equal(control.volume_nm3, volumes)
    assert (control.n_shuffles, control.n_voxels) == (N_SHUFFLES, n)
    assert len(control.peak), "nets so simple find something in noise: else this test says little"


def test_a_block_is_shuffled_as_if_it_were_cut_from_the_whole(refined_scan, specimen_store, shuffled):
    block = ((2, 3, 1), (9, 18, 17))
    role = refined_scan.roles
    counts = specimen_store.species_counts()
    host, solute = (sum(counts[name] for name in names) for names in (role.host, role.solute))
    fields = controls._shuffled_fields(refined_scan, specimen_store, block, solute / (host + solute), SHUFFLES)
    inner = tuple(map(slice, *block))
    for field, whole in zip(fields, shuffled, strict=True):
        np.testing.assert_array_equal(field.stacked, whole.stacked[:, *inner])


def test_the_control_of_some_blocks_is_that_of_each(refined_scan, specimen_store, refined_model, refined, monkeypatch):
    calls = []

    def judge(field, *_args, **_scale):
        calls.append(field.strength.shape)
        p = np.zeros(field.strength.shape, "f4")
        p[4:6, 3:5, 3:5] = 0.5
        return p

    monkeypatch.setattr(controls, "refine_control", judge)
    monkeypatch.setattr(controls, "control_blocks", lambda _: [((0, 0, 0), (6, 9, 8)), ((6, 0, 0), (14, 9, 8))])
    told = []
    given_to = (refined_scan, specimen_store, refined_model, refined)
    found = shuffled_control(*given_to, lambda *state: told.append(state), shuffles=(1, 2))
    assert refined_model.refiner.reach == 4  # each block is judged with so much around it, and cropped
    assert calls == [(10, 13, 12)] * 2 + [(16, 13, 12)] * 2
    assert told == [("control", k, 4, "shuffles") for k in (1, 2, 3, 4)]
    assert found.volume_nm3.tolist() == [4.0] * 4
    assert found.peak.tolist() == [0.5] * 4


def test_a_control_is_the_same_every_time(control, refined_scan, specimen_store, refined_model, refined):
    given_to = (refined_scan, specimen_store, refined_model, refined)
    one, two, other = (shuffled_control(*given_to, shuffles=numbers) for numbers in ((1, 2), (1, 2), (6, 7)))
    np.testing.assert_array_equal(one.peak, two.peak)
    np.testing.assert_array_equal(one.volume_nm3, two.volume_nm3)
    np.testing.assert_array_equal(control.volume_nm3[: len(one.volume_nm3)], one.volume_nm3)
    assert other.n_shuffles == 2
    assert other.volume_nm3.tolist() != one.volume_nm3.tolist(), "shuffles of other numbers are drawn anew"


def test_a_model_without_nets_for_the_grid_has_no_control(refined_scan, specimen_store, model, refined):
    with pytest.raises(ModelError, match=r"'cubes' judges cubes only.*Take one that has, such as order"):
        shuffled_control(refined_scan, specimen_store, model, refined)
    with pytest.raises(ModelError, match="'cubes' judges cubes only"):
        refine(refined_scan, model)


# What follows from a control


@given(particles=PARTICLES, peak=st.floats(0, 1))
def test_shares_and_numbers_count_the_particles_that_reach_a_peak(particles, peak):
    control = control_of(particles)
    reached = [volume for p, volume in particles if p >= peak]
    assert control.n_false(peak) == len(reached)
    assert control.false_share(peak) == pytest.approx(sum(reached) / 100_000)


@given(particles=PARTICLES)
def test_the_floor_is_the_smallest_step_that_lets_little_through(particles):
    control = control_of(particles)
    low, high = PEAK_BOUNDS
    steps = [round(low + 0.01 * k, 2) for k in range(round((high - low) * 100) + 1)]
    assert control.floor in steps
    if control.floor < high:
        assert control.false_share(control.floor) <= FALSE_SHARE
    for step in steps[: steps.index(control.floor)]:
        assert control.false_share(step) > FALSE_SHARE


@given(particles=PARTICLES, more=st.tuples(st.floats(0.4, 1), st.floats(1, 50)), factor=st.floats(1, 20))
def test_more_false_volume_never_lowers_the_floor(particles, more, factor):
    control = control_of(particles)
    assert control_of([*particles, more]).floor >= control.floor
    assert replace(control, volume_nm3=control.volume_nm3 * factor).floor >= control.floor
    assert replace(control, n_voxels=control.n_voxels * 2).floor <= control.floor


def test_a_control_without_a_finding_puts_the_floor_at_its_lowest():
    assert control_of([]).floor == PEAK_BOUNDS[0]
    assert control_of([(1.0, 1e4)]).floor == PEAK_BOUNDS[1]


# Where it is taken


@given(shape=st.tuples(*[st.integers(1, 130)] * 3))
def test_blocks_are_disjoint_and_inside_and_not_more_than_needed(shape):
    blocks = control_blocks(np.ones(shape, dtype=bool))
    volume = sum(np.prod(np.subtract(high, low)) for low, high in blocks)
    if np.prod(shape) <= MAX_VOXELS:
        assert blocks == [((0, 0, 0), shape)]
        return
    assert len(blocks) >= 1
    assert 0 < volume <= 1.5 * MAX_VOXELS
    for low, high in blocks:
        assert all(0 <= a < b <= n for a, b, n in zip(low, high, shape, strict=True))
    for one, other in pairwise(sorted(blocks)):
        apart = [a2 >= b1 or a1 >= b2 for a1, b1, a2, b2 in zip(*one, *other, strict=True)]
        assert any(apart)


def test_blocks_of_a_long_specimen_are_spread_over_it():
    low = sorted(low[2] for low, _ in control_blocks(np.ones((40, 40, 1000), dtype=bool)))
    assert len(low) == 2
    assert low[0] < 500 <= low[1]


@pytest.mark.parametrize(("shape", "tip", "end"), [((100, 100, 300), 5, 50), ((130, 130, 400), 10, 65)])
def test_blocks_of_a_needle_hold_material(shape, tip, end):
    x, y, z = np.meshgrid(*map(np.arange, shape), indexing="ij", sparse=True)
    radius = tip + (end - tip) * z / shape[2]
    material = np.hypot(x - shape[0] / 2, y - shape[1] / 2) < radius
    blocks = [tuple(map(slice, low, high)) for low, high in control_blocks(material)]
    held = [material[block].mean() for block in blocks]
    assert min(held) > 0.4
    assert 0.4 * MAX_VOXELS < sum(material[block].sum() for block in blocks) < 1.5 * MAX_VOXELS


def test_a_field_taken_apart_is_whole(shuffled):
    assert OrderField.unstack(shuffled[0].stacked).stacked.tobytes() == shuffled[0].stacked.tobytes()


def test_where_much_is_ordered_a_few_false_particles_are_put_up_with():
    peak, volume = np.array([0.45, 0.52, 0.9]), np.full(3, 50.0)
    alone = Control(5, 100_000, peak, volume)
    assert alone.floor == 0.91
    # one of three false ones in five shuffles of 20 000 voxels: 0.2 in a specimen of as many, 2 % of 10
    for n_own, floor in ((9, 0.91), (10, 0.53), (20, 0.46), (30, 0.4)):
        control = replace(alone, own_peak=np.full(n_own, 0.99), n_judged=20_000)
        assert control.floor == floor
        assert control.expected_false(floor) <= 0.02 * n_own
    # particles of the specimen that do not reach the floor do not count
    assert replace(alone, own_peak=np.full(100, 0.42), n_judged=20_000).floor == 0.4
    assert replace(alone, own_peak=np.full(14, 0.42), n_judged=20_000).floor == 0.91


@given(expected=st.floats(0.05, 8), scale=st.floats(0.1, 1))
def test_the_interval_of_false_particles_holds_the_truth_as_often_as_it_says(expected, scale):
    # exact: summed over all outcomes of a Poisson draw, the interval of each holds the truth in 95 % or more
    outcomes = np.arange(60)
    held = 0.0
    for n, chance in zip(outcomes, stats.poisson.pmf(outcomes, expected), strict=True):
        control = Control(5, 100_000, np.full(n, 0.9), np.ones(n), n_judged=round(100_000 * scale))
        score = control.false_number(0.5)
        assert score.value == pytest.approx(control.expected_false(0.5))
        held += chance * (score.low <= expected * scale * (1 + 1e-4) and expected * scale <= score.high * (1 + 1e-4))
    assert held >= 0.95 - 1e-6


def test_no_false_particle_still_leaves_room_for_some():
    none = Control(5, 100_000, np.zeros(0), np.zeros(0), n_judged=20_000)
    number, volume = none.false_number(0.5), none.false_volume(0.5)
    assert (number.value, number.low, volume.value, volume.low) == (0, 0, 0, 0)
    assert number.high == pytest.approx(-np.log(0.025) / 5)  # 97.5 % of all draws of this mean give one or more
    assert volume.high == pytest.approx(-np.log(0.025) * FALSE_NM3 / 100_000)


@given(particles=PARTICLES.filter(len), peak=st.floats(0, 0.4))
def test_the_interval_of_the_false_volume_holds_its_value(particles, peak):
    control = control_of(particles)
    score = control.false_volume(peak)
    assert score.value == pytest.approx(control.false_share(peak))
    assert 0 <= score.low < score.value < score.high
