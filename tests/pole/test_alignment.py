"""The map of an alignment: planes come to lie flat, everything can be brought back, no file is trusted."""

from __future__ import annotations

import copy
import json
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
from domed import inside, make_pole, on_planes, poles
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from aptstream.crystal import Crystal
from aptstream.errors import FileFormatError, PlanError
from aptstream.pole import Alignment
from aptstream.pole.phase import MOST_POINTS, PhaseField

seeds = st.integers(0, 2**32 - 1)


def everywhere(pole, rng, n=400):
    """Ions near the axis, far from it, and very far."""
    spread = rng.choice([5, 30, 200, 2000], (n, 1))
    return pole.centre_nm + spread * rng.uniform(-1, 1, (n, 3))


def wavy(seed, slope=(0.3, -0.2), shape=(12, 10, 14)):
    rng = np.random.default_rng(seed)
    return PhaseField.of(rng.uniform(-0.05, 0.05, shape), (-6.0, -5.0, -14.0), slope)


def naive(alignment, position):
    """What the docstring says, for one ion."""
    pole = alignment.pole
    d = np.array(position) - pole.centre_nm
    axis = np.array([*pole.drift, 1.0])
    aside = d - d[2] * axis
    far = math.hypot(*aside)
    aside *= min(1, alignment.reach_nm / far) if far else 1
    low, high = (z - pole.centre_nm[2] for z in pole.depth_nm)
    bent = aside + np.clip(d[2], low - 5, high + 5) * axis
    planes = d @ pole.wave_per_nm + 0.5 * bent @ pole.bend_per_nm2 @ bent
    x, y, z = pole.direction
    cross = np.array([[0, 0, x], [0, 0, y], [-x, -y, 0]])  # of the turn from z to the normal
    turn = np.eye(3) + cross + cross @ cross / (1 + z)
    return np.array([d @ turn[:, 0], d @ turn[:, 1], planes * alignment.spacing_nm])


@given(poles(), seeds)
def test_it_is_what_it_says(pole, seed):
    alignment = Alignment.of(pole)
    position = everywhere(pole, np.random.default_rng(seed), 20)
    expected = [naive(alignment, place) for place in position]
    np.testing.assert_allclose(alignment.forward(position), expected, rtol=1e-12, atol=1e-10)


@given(poles(), seeds, st.booleans(), st.floats(0.8, 1.2))
def test_every_ion_can_be_brought_back(pole, seed, waves, stretch):
    alignment = replace(Alignment.of(pole), spacing_nm=stretch * pole.spacing_nm, field=wavy(seed) if waves else None)
    position = everywhere(pole, np.random.default_rng(seed))
    aligned = alignment.forward(position)
    assert np.abs(alignment.inverse(aligned) - position).max() < 1e-9
    assert np.abs(alignment.forward(alignment.inverse(position)) - position).max() < 1e-9


@given(poles(), seeds, st.floats(0.8, 1.2))
def test_ions_on_domed_planes_come_to_multiples_of_the_spacing(pole, seed, stretch):
    alignment = replace(Alignment.of(pole), spacing_nm=stretch * pole.spacing_nm)
    ions = on_planes(pole, inside(pole, np.random.default_rng(seed), 300, 0.9))
    number = alignment.forward(ions)[:, 2] / alignment.spacing_nm
    assert np.abs(number - number.round()).max() < 1e-9
    assert len(set(number.round())) > 30


@given(poles())
def test_the_frame_is_turned_and_not_mirrored(pole):
    flat = replace(pole, bend_per_nm2=3 * ((0.0, 0.0, 0.0),))
    turn = Alignment.of(flat).forward(np.eye(3) + pole.centre_nm)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)
    np.testing.assert_allclose(turn.T @ pole.direction, (0, 0, 1), atol=1e-12)
    # On the shortest way: the angle of the turn is the tilt.
    assert (np.trace(turn) - 1) / 2 == pytest.approx(math.cos(math.radians(pole.tilt_deg)))


def test_planes_that_are_normal_to_z_keep_x_and_y():
    pole = make_pole(0, 0, 60)
    moved = Alignment.of(pole).forward([pole.centre_nm, (4, 5, 30)])
    np.testing.assert_allclose(moved[:, :2], [[0, 0], [1, 9]], atol=1e-12)
    np.testing.assert_allclose(moved[:, 2], [0, (1 + 81) / 120], atol=1e-12)


@given(poles(), seeds)
@examples(30)
def test_it_is_continuous_and_rises_along_the_normal_everywhere(pole, seed):
    alignment = Alignment.of(pole)
    rng = np.random.default_rng(seed)
    start = everywhere(pole, rng, 1)
    steps = np.linspace(-80, 80, 8001)
    for step in (np.array(pole.direction), rng.normal(size=3)):
        line = alignment.forward(start + np.outer(steps, step / np.linalg.norm(step)))
        assert np.linalg.norm(np.diff(line, axis=0), axis=1).max() < 0.02 * 2.5  # no jump
    rise = np.diff(alignment.forward(start + np.outer(steps, pole.direction))[:, 2]) / 0.02
    assert rise.min() > 0.499
    assert rise.max() < 1.501


@given(poles(), seeds)
@examples(20)
def test_an_ion_comes_to_the_same_place_whatever_is_beside_it(pole, seed):
    alignment = replace(Alignment.of(pole), field=wavy(seed))
    position = everywhere(pole, np.random.default_rng(seed), 150).astype("f4")
    whole = alignment.forward(position)
    for start, stop in ((0, 1), (3, 10), (17, 150)):
        np.testing.assert_array_equal(alignment.forward(position[start:stop]), whole[start:stop])


def test_many_ions_are_moved_as_few_are():
    alignment = replace(Alignment.of(make_pole(20, 30, 50)), field=wavy(1))
    position = np.random.default_rng(2).uniform(-40, 40, (40_000, 3))
    assert np.abs(alignment.inverse(alignment.forward(position)) - position).max() < 1e-9
    assert alignment.forward(np.zeros((0, 3))).shape == (0, 3)


def test_the_crystal_scales_z():
    pole = make_pole(10, 0, spacing_nm=0.21)
    alignment = Alignment.of(pole, Crystal("FCC", 0.405, (0, 0, 1)))
    assert alignment.spacing_nm == pytest.approx(0.2025)
    step = np.array(pole.direction) * 0.21
    np.testing.assert_allclose(alignment.forward([np.array(pole.centre_nm) + step])[0], (0, 0, 0.2025), atol=1e-12)
    with pytest.raises(PlanError, match="these are other planes, or another crystal"):
        Alignment.of(pole, Crystal("FCC", 0.405, (0, 1, 1)))


def test_the_recommended_region_follows_the_axis():
    pole = make_pole(30, 90, 70, drift=(0.0, 0.08))
    alignment = Alignment.of(pole)
    region = alignment.region
    # The axis leans against the normal by the tilt, less the drift.
    lean = math.degrees(math.acos(region.axis[2]))
    assert lean == pytest.approx(30 - math.degrees(math.atan(0.08)), abs=0.01)
    assert region.axis[1] < 0
    assert region.radius_nm == pole.radius_nm
    ions = inside(pole, np.random.default_rng(3), 2000, 0.8)
    ions = ions[pole.region.contains(ions)]
    assert region.contains(alignment.forward(ions)).mean() > 0.9


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tilt_deg": 40, "dome_nm": 9.0}, "bend so strongly"),
        ({"tilt_deg": 40, "dome_nm": -9.0}, "bend so strongly"),
        ({"bend_per_nm2": ((0, 0, 0), (0, 0, 0), (0, 0, 1.0))}, "bend so strongly"),
        ({"drift": (-3.0, 0.0), "tilt_deg": 20}, "almost within its planes"),
        ({"radius_nm": 0.0}, "fill a volume"),
        ({"radius_nm": 26.0}, "bend so strongly"),
        ({"depth_nm": (9.0, 9.0)}, "fill a volume"),
    ],
)
def test_planes_that_fold_are_refused(change, words):
    with pytest.raises(PlanError, match=words):
        Alignment.of(make_pole(**change))


def test_a_dome_is_followed_as_far_as_it_can_be():
    assert Alignment.of(make_pole(40, 0, 20)).reach_nm == pytest.approx(0.5 * 20 / math.sin(math.radians(40)))
    assert Alignment.of(make_pole(35, 0, 50)).reach_nm == 25
    assert Alignment.of(make_pole(0, 0, 12)).reach_nm == 25
    alignment = Alignment.of(make_pole(0, 0, 50))
    x, y, z = alignment.pole.centre_nm
    heights = alignment.forward([(x + far, y, z) for far in (0, 10, 25, 26, 300)])[:, 2]
    np.testing.assert_allclose(heights, [0, 1, 6.25, 6.25, 6.25], atol=1e-12)
    with pytest.raises(PlanError, match="cannot be followed 26 nm"):
        replace(alignment, reach_nm=26)
    with pytest.raises(PlanError, match="cannot be followed 3 nm"):
        replace(alignment, reach_nm=3)


@pytest.mark.parametrize("shape", [(3,), (4, 2), (2, 2, 3)])
def test_other_shapes_are_refused(shape):
    alignment = Alignment.of(make_pole())
    with pytest.raises(ValueError, match=r"\(n, 3\)"):
        alignment.forward(np.zeros(shape))
    with pytest.raises(ValueError, match=r"\(n, 3\)"):
        alignment.inverse(np.zeros(shape))


@given(poles(), seeds, st.booleans())
def test_it_comes_back_from_json_and_from_other_processes(pole, seed, waves):
    alignment = replace(Alignment.of(pole), field=wavy(seed) if waves else None)
    written = json.loads(json.dumps(alignment.as_json(), allow_nan=False))
    assert Alignment.from_json(written) == alignment
    assert Alignment.from_json(written).as_json() == written
    assert pickle.loads(pickle.dumps(alignment)) == alignment


hostile = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([1e308, 10**400, -1, "found", "AAAA", 1 << 62, math.nan]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def places(value, path=()):
    """Every place in a JSON value."""
    yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from places(value[key], (*path, key))


@given(st.data())
@examples(400)
def test_anything_else_in_json_is_refused_or_a_map_that_can_be_undone(data):
    written = replace(Alignment.of(make_pole(20, 10, 60)), field=wavy(0)).as_json()
    path = data.draw(st.sampled_from(list(places(written))))
    value = data.draw(hostile)
    hit = written = copy.deepcopy(written)
    for key in path[:-1]:
        hit = hit[key]
    if path:
        hit[path[-1]] = value
    else:
        written = value
    try:
        alignment = Alignment.from_json(written)
    except FileFormatError as error:
        assert "An alignment cannot be right" in str(error)
        return
    position = np.random.default_rng(0).uniform(-60, 60, (20, 3)) + alignment.pole.centre_nm
    assert np.abs(alignment.inverse(alignment.forward(position)) - position).max() < 1e-7


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("version",), 2),
        (("version",), True),
        (("format",), "x"),
        (("reach_nm",), 25.1),
        (("spacing_nm",), 0.4),
        (("pole", "status"), "certain"),
        (("pole", "n_regions"), 3.5),
        (("pole", "strength"), math.nan),
        (("pole", "bend_per_nm2", 0), [0, 1, 0]),
        (("field", "shape"), [1, 1, 1]),
        (("field", "shape"), [10**6, 10**6, 1]),
        (("field", "int16"), "?"),
        (("field", "int16"), "A" * (3 * MOST_POINTS + 4)),
        (("field", "slope"), [900, 0]),
        (("field", "low_nm"), [0, 0, math.inf]),
        (("surprise",), 1),
        (("pole", "surprise"), 1),
    ],
)
def test_wrong_members_are_refused(path, value):
    written = hit = replace(Alignment.of(make_pole(20, 10, 60)), field=wavy(0)).as_json()
    for key in path[:-1]:
        hit = hit[key]
    hit[path[-1]] = value
    with pytest.raises(FileFormatError, match="An alignment cannot be right"):
        Alignment.from_json(written)


def test_a_field_that_would_change_the_order_of_ions_is_refused():
    steps = np.zeros((3, 3, 3))
    steps[1, 1, 1] = 0.9
    with pytest.raises(PlanError, match="changes by at most"):
        PhaseField.of(steps, (0, 0, 0), (0.5, 0.5))
    assert PhaseField.of(steps, (0, 0, 0), (0.0, 0.05)).steepest == pytest.approx(0.495)
