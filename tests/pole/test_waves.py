"""The waves of ions, against sums written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from aptstream import _waves
from aptstream.pole.follow import CELL_NM, NARROW, Dome, Residue, leave_over, sum_waves
from aptstream.pole.waves import CHANCE, CHANCE_VARIANCE, SIDE_BAND, WINDOW_END, WaveGrid, mean_log_power, strongest

SMALL = WaveGrid(n_side=24, cell_nm=0.25, step_per_nm=0.25, most_per_nm=6.0)


def ions(rng, n=4000, edge=8.0):
    position = rng.uniform(-edge / 2, edge / 2, (n, 3)).astype(np.float32)
    return position[np.argsort(position[:, 2])]


def summed(position, dome):
    low, high = position.min(axis=0).astype(np.float64), position.max(axis=0)
    return sum_waves([position[:1000], position[1000:]], low, high, dome)


def written_out(position, centre, grid):
    """The power of every wave in a window, ion by ion."""
    d = position.astype(np.float64) - centre
    weight = np.exp(-0.5 * ((d / grid.window_nm) ** 2).sum(axis=1))
    inside = ((d / grid.window_nm) ** 2).sum(axis=1) < WINDOW_END**2
    cell = np.floor(d[:, :2] / grid.cell_nm + 0.5)
    inside &= ((cell >= -grid.n_side // 2) & (cell < grid.n_side // 2)).all(axis=1)
    weight, cell, z = weight[inside], cell[inside] * grid.cell_nm, d[inside, 2]
    x, y = grid.lateral_per_nm, grid.lateral_per_nm
    power = np.zeros((grid.n_side, grid.n_side, len(grid.axial_per_nm)))
    along = weight[:, None] * np.exp(-2j * np.pi * np.outer(z, grid.axial_per_nm))
    for i in range(grid.n_side):
        across = np.exp(-2j * np.pi * (cell[:, :1] * x[i] + cell[:, 1:] * y))
        power[i] = np.abs(across.T @ along) ** 2
    return power / (weight**2).sum()


def test_the_log_power_is_that_of_sums_written_out():
    rng = np.random.default_rng(1)
    position, centres = ions(rng), np.array([[0.0, 0, -1], [0, 0, 2.0]])
    expected = np.mean([np.log1p(written_out(position, centre, SMALL)) for centre in centres], axis=0)
    assert np.abs(mean_log_power(position, centres, SMALL) - expected).max() < 2e-3


def test_the_log_power_of_ions_anywhere_is_that_of_chance():
    rng = np.random.default_rng(2)
    maps = [mean_log_power(ions(rng), np.zeros((1, 3)), SMALL)[:, :, 4:] for _ in range(12)]
    assert np.mean(maps) == pytest.approx(CHANCE, abs=0.01)
    assert np.var(maps) == pytest.approx(CHANCE_VARIANCE, rel=0.05)


@given(st.floats(0, 1e6, width=32))
def test_the_logarithm_is_right_to_a_thousandth(power):
    spectrum = np.zeros((1, 1, 8, 2), np.float32)
    spectrum[..., 0] = np.float32(power) ** np.float32(0.5)
    out = np.zeros((1, 1, 8), np.float32)
    _waves.add_log(spectrum, 1.0, out)
    assert out[0, 0, 0] == pytest.approx(np.log1p(power), abs=1e-3)


def test_a_stack_finds_the_wave_that_leans_with_the_dome():
    rng = np.random.default_rng(3)
    grid, curvature = SMALL, 1 / 50
    away = np.array([[x, y] for x in (-4.0, 0, 4) for y in (-4.0, 0, 4)])
    maps = [rng.uniform(0.5, 0.7, (24, 24, len(grid.axial_per_nm))).astype(np.float32) for _ in away]
    low, high = grid.span
    cell = (1, 2, int(low[1, 2] + high[1, 2]) // 2)
    length = 1.06 * grid.axial_per_nm[(2 * (4 * cell[2] // len(grid.axial_per_nm)) + 1) * len(grid.axial_per_nm) // 8]
    for (x, y), power in zip(away, maps, strict=True):
        shift = np.rint(curvature * length * np.array([x, y]) * grid.n_side * grid.cell_nm).astype(int)
        power[(cell[0] + shift[0]) % 24, (cell[1] + shift[1]) % 24, cell[2]] += 3
    n = np.full(len(away), 5)
    bent, found = strongest(maps, n, away, curvature, grid)
    assert found == cell
    assert bent == pytest.approx(3 / (1.1 * (CHANCE_VARIANCE / 45) ** 0.5), rel=0.05)
    assert strongest(maps, n, away, 0.0, grid)[0] < bent / 2


def test_the_bounds_of_the_search_hold():
    grid = WaveGrid()
    low, high = grid.span
    x, y = np.meshgrid(grid.lateral_per_nm, grid.lateral_per_nm, indexing="ij")
    for at, inside in (
        (low, True),
        (high - 1, True),
        (low - 1, False),
        (np.minimum(high, len(grid.axial_per_nm) - 1), False),
    ):
        some = high > low
        z = grid.axial_per_nm[at][some]
        length = np.sqrt(x[some] ** 2 + y[some] ** 2 + z**2)
        angle = np.degrees(np.arccos(z / length))
        good = (length >= 3.85 - 1e-9) & (length <= 8.8 + 1e-9) & (angle <= 41 + 1e-9)
        assert good.all() if inside else not good.any()
    assert grid.axial_per_nm[0] + SIDE_BAND[1] <= 3.85 * np.cos(np.radians(41)) + 1e-9
    assert len(grid.axial_per_nm) % 8 == 0


def test_ions_are_summed_with_the_phase_of_bent_planes():
    rng = np.random.default_rng(4)
    position = ions(rng, 3000)
    bend = np.array([[0.05, 0.01, 0.002], [0.01, 0.04, -0.003], [0.002, -0.003, 0.001]])
    dome = Dome(np.array([0.3, -0.2, 1]), np.array([0.4, -0.3, 4.9]), bend, np.zeros(2))
    sums = summed(position, dome)
    d = position.astype(np.float64) - dome.centre_nm
    phase = np.exp(-2j * np.pi * (d @ dome.wave_per_nm + 0.5 * np.einsum("ni,ij,nj->n", d, bend, d)))
    cell = tuple(np.floor((position - position.min(axis=0).astype(np.float64)) / CELL_NM).astype(int).T)
    waves, number = np.zeros(sums.waves.shape, complex), np.zeros(sums.ions.shape)
    np.add.at(waves, cell, phase)
    np.add.at(number, cell, 1)
    assert (sums.ions == number).all()
    assert np.abs(sums.waves - waves).max() < 1e-4


def test_the_power_of_planes_is_one_without_them_and_the_number_of_ions_on_them():
    rng = np.random.default_rng(5)
    dome = Dome(np.full(3, 8.0), np.array([0, 0, 5.0]), np.zeros((3, 3)), np.zeros(2))
    powers = []
    for _ in range(40):
        position = rng.uniform(0, 16, (60_000, 3)).astype(np.float32)
        powers.append(summed(position, dome).power(1.5, 3.0)[0][8:-8, 8:-8].mean())
    assert np.mean(powers) == pytest.approx(1, abs=4 * float(np.std(powers)) / 40**0.5)
    assert np.std(powers) < 1
    position[:, 2] = np.round(position[:, 2] * 5) / 5
    power, _ = summed(position, dome).power(1.5, 3.0)
    ions_in_window = 60_000 / 16**3 * (4 * np.pi) ** 1.5 * 1.5**2 * 3
    assert power[16, 16, 8] == pytest.approx(ions_in_window, rel=0.1)


def test_splines_are_those_of_scipy():
    rng = np.random.default_rng(6)
    log_power = rng.random((3, 16, 16, 20)).astype(np.float32)
    residue = Residue(np.zeros((3, 3)), log_power, np.array([0.1, 0.1, 0.05]))
    value = residue.splines(0.3)  # 3 + 2 cells to all sides along x and y, 6 + 2 along z
    pieces = [piece[3:14, 3:14, 2:19].astype(np.float64) for piece in log_power]
    for reach in (0.0, 0.2):
        off = rng.uniform(-reach, reach, (3, 3))
        at = off / residue.step_per_nm + (5, 5, 8)
        expected = [
            ndimage.map_coordinates(piece, place[:, None], order=3, mode="mirror")[0]
            for piece, place in zip(pieces, at, strict=True)
        ]
        assert value(off) == pytest.approx(np.mean(expected), abs=1e-5)
    assert value(np.full((3, 3), 9.0)) == pytest.approx(value(np.full((3, 3), 10.0)))


def test_a_spectrum_has_its_zero_in_the_middle():
    rng = np.random.default_rng(7)
    position = rng.uniform(0, 30, (400_000, 3)).astype(np.float32)
    position[:, 2] = np.round(position[:, 2] * 5) / 5
    dome = Dome(np.full(3, 15.0), np.array([0, 0, 5.0]), np.zeros((3, 3)), np.zeros(2))
    residue = leave_over(summed(position, dome), dome, NARROW)
    mean = residue.log_power.mean(axis=0)
    assert np.unravel_index(mean.argmax(), mean.shape) == tuple(residue.middle)
