"""What planes are still off: taken where other ions prove it, and left alone where there is nothing to gain."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from domed import inside, make_pole, on_planes
from hypothesis import given
from hypothesis import strategies as st

from aptstream.cloud import ingest
from aptstream.cloud.planes import plane_signal
from aptstream.crystal import Crystal
from aptstream.io import write_pos
from aptstream.points import Range, RangeTable
from aptstream.pole import Alignment, align, alignment_of, flatten, plane_power
from aptstream.pole.flatten import is_better, unwrap
from aptstream.pole.power import Cubes, grid_round

TABLE = RangeTable((Range(26, 28, (("Al", 1),)),))
POLE = make_pole(25, 130, 70, drift=(0.05, 0.02), depth_nm=(18.0, 42.0))
N = 200_000


def waves(aligned):
    """A displacement of planes, in nm, that follows the axis of the pole."""
    aside = aligned[:, :2] - np.outer(aligned[:, 2], Alignment.of(POLE).axis_slope)
    return 0.05 * (np.sin(2 * np.pi * aside[:, 0] / 14 + aligned[:, 2] / 20) + np.cos(2 * np.pi * aside[:, 1] / 17))


def make_store(folder, kind, seed=1):
    """Planes blurred by 0.04 nm, straight or wavy, or no planes; 24 ions a nm³."""
    rng = np.random.default_rng(seed)
    position = inside(POLE, rng, N, 1.2)
    if kind != "none":
        position = on_planes(POLE, position, 25)
        off = rng.normal(0, 0.04, N)
        if kind == "wavy":
            off += waves(Alignment.of(POLE).forward(position))
        position += off[:, None] * POLE.direction
    write_pos(folder / f"{kind}.pos", position.astype("f4"), np.full(N, 27, "f4"))
    return ingest(folder / f"{kind}.pos", ranges=TABLE, out=folder / f"{kind}.zarr")


@pytest.fixture(scope="module")
def wavy(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("wavy"), "wavy")


def test_waves_are_measured_and_taken_away(wavy, tmp_path):
    told = []
    alignment = flatten(wavy, POLE, progress=lambda *state: told.append(state))
    assert alignment.field is not None
    assert {stage for stage, *_ in told} == {"flatten"}
    assert told[-1] == ("flatten", N, N, "ions")

    rng = np.random.default_rng(9)
    dome = alignment.without_field()
    near = dome.forward(inside(POLE, rng, 3000, 0.8))
    error = alignment.field.at(*near.T) + waves(near)
    assert np.std(error) < 0.012  # of 0.05
    assert abs(error.mean()) < 0.03

    power = plane_power(wavy, alignment)
    assert power.turned < 20
    assert power.flattened > 4 * power.turned
    assert power.aligned > 1.3 * power.flattened
    assert power.n_cubes > 80
    assert plane_power(wavy, dome).aligned == plane_power(wavy, dome).flattened == power.flattened

    store = align(wavy, alignment, out=tmp_path / "a.zarr")
    store.verify()
    assert alignment_of(store) == alignment
    back, expected = alignment.inverse(store.arrays["positions"][:]), wavy.arrays["positions"][:]
    assert np.abs(np.sort(back, axis=0) - np.sort(expected, axis=0)).max() < 1e-5
    signal = plane_signal(store, alignment.spacing_nm)
    assert signal.visible
    assert signal.spacing_nm == pytest.approx(0.2)
    assert not plane_signal(wavy, alignment.spacing_nm).visible


def test_align_does_all_of_it_and_again_in_the_same_way(wavy, tmp_path):
    stores = [align(wavy, POLE, out=tmp_path / name, region="pole") for name in ("a.zarr", "b.zarr")]
    assert alignment_of(stores[0]) == alignment_of(stores[1]) == flatten(wavy, POLE)
    assert stores[0].digest() == stores[1].digest()
    assert stores[0].n_ions < N


def test_a_crystal_scales_what_is_measured(wavy):
    crystal = Crystal("FCC", 0.42, (0, 0, 1))
    alignment = flatten(wavy, POLE, crystal)
    assert alignment.spacing_nm == pytest.approx(0.21)
    own = flatten(wavy, POLE).field.displacement_nm
    found = alignment.field.displacement_nm
    assert np.abs(found).max() == pytest.approx(1.05 * np.abs(own).max(), rel=0.1)


@pytest.mark.parametrize("kind", ["straight", "none"])
@pytest.mark.parametrize("seed", [2, 3])
def test_nothing_is_taken_where_there_is_nothing_to_gain(tmp_path, kind, seed):
    store = make_store(tmp_path, kind, seed)
    alignment = flatten(store, POLE)
    assert alignment == Alignment.of(POLE)
    power = plane_power(store, alignment)
    if kind == "none":
        assert power.flattened == pytest.approx(1, abs=0.3)  # of some 80 cubes
    else:
        assert power.flattened > 100


def test_what_half_of_the_ions_show_by_chance_is_not_believed(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["aptstream.pole.flatten"], "QUALITY", 0.0)
    monkeypatch.setattr(sys.modules["aptstream.pole.phase"], "STEEPEST", 9.0)
    assert flatten(make_store(tmp_path, "none"), POLE).field is None


@given(st.integers(0, 2**32 - 1))
def test_unwrapping_finds_smooth_phases(seed):
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*map(np.arange, (7, 6, 5)), indexing="ij")
    true = rng.uniform(-1, 1) * x + rng.uniform(-1, 1) * y + rng.uniform(-1, 1) * z + rng.normal(0, 0.2, x.shape)
    found, known = unwrap(np.angle(np.exp(1j * true)), rng.uniform(6.1, 50, x.shape))
    assert known.all()
    turns = (found - true) / (2 * np.pi)
    assert np.ptp(turns) < 1e-9
    assert turns[0, 0, 0] == pytest.approx(round(turns[0, 0, 0]))


def test_phases_are_not_carried_over_places_without_planes():
    quality = np.full((5, 3, 3), 9.0)
    quality[2] = 5
    quality[0, 1, 1] = 20
    _, known = unwrap(np.zeros(quality.shape), quality)
    assert known[:2].all()
    assert not known[2:].any()
    assert not unwrap(np.zeros(quality.shape), np.full(quality.shape, 6.0))[1].any()


def test_a_gain_must_be_large_and_sure():
    rng = np.random.default_rng(0)
    before = rng.uniform(20, 60, 50)
    assert is_better(before, 1.1 * before)
    assert not is_better(before, 1.01 * before)
    assert not is_better(before, before)
    assert not is_better(before, before + rng.normal(2, 40, 50))
    assert not is_better(before[:2], 9 * before[:2])


def test_the_power_of_a_cube_is_what_it_says():
    rng = np.random.default_rng(1)
    grid = grid_round(Alignment.of(POLE))
    place = rng.uniform(-2, 20, (3, 30_000)) * np.array([[1], [1], [0.5]])
    planes = rng.uniform(0, 9, 30_000)
    cubes = Cubes.of(grid, 1)
    for part in range(3):
        cubes.add(place[:, part::3], [planes[part::3]])
    in_nm = (place + 0.5) * np.array([[1], [1], [2]])
    expected = []
    for corner in np.ndindex(*cubes.shape):
        low = 4 * np.array(corner)[:, None]
        chosen = planes[((in_nm >= low) & (in_nm < low + 4)).all(axis=0)]
        if len(chosen) >= 100:
            expected.append(abs(np.exp(2j * math.pi * chosen).sum()) ** 2 / len(chosen))
    assert len(expected) > 10
    np.testing.assert_allclose(cubes.power()[0], expected, rtol=1e-9)


def test_the_grid_covers_the_pole():
    alignment = Alignment.of(POLE)
    grid = grid_round(alignment)
    ions = alignment.forward(inside(POLE, np.random.default_rng(4), 2000))
    place = grid.place(*ions.T)
    assert (place[:2] > 0).all()
    assert (place[:2] < np.array(grid.shape[:2])[:, None] - 1).all()
    axis = alignment.forward([POLE.on_axis_nm(z) for z in (20, 30, 40)])
    np.testing.assert_allclose(grid.place(*axis.T)[:2], 14, atol=0.05)
    assert not grid.displacement_nm.any()
