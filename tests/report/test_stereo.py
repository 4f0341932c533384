"""Directions in stereographic projection: angles, zone lines and low-index poles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from aptstream.crystal import Crystal
from aptstream.report.stereo import at_angle, low_index_poles, stereographic, zone_lines

CRYSTAL = Crystal("L12", 0.405, (0, 0, 1))


@given(st.floats(0, 89), st.floats(0, 360))
def test_stereographic_projection_of_angles(angle, azimuth):
    a, b = np.radians([angle, azimuth])
    (place,) = stereographic([7 * np.array([np.sin(a) * np.cos(b), np.sin(a) * np.sin(b), np.cos(a)])])
    assert np.hypot(*place) == pytest.approx(at_angle(angle), abs=1e-9)
    np.testing.assert_allclose(place, at_angle(angle) * np.array([np.cos(b), np.sin(b)]), atol=1e-9)


def back(place):
    """From the plane to unit vectors."""
    square = (place**2).sum(axis=1, keepdims=True)
    return np.hstack([2 * place, 1 - square]) / (1 + square)


@pytest.mark.parametrize("crystal", [CRYSTAL, Crystal("BCC", 0.287), Crystal("HCP", 0.3209, (0, 0, 0, 1), 1.624)])
@pytest.mark.parametrize("seed", range(3))
def test_zone_lines_are_great_circles_of_low_index_poles(crystal, seed):
    turn = Rotation.random(random_state=seed).as_matrix()
    lines = [back(line) for line in zone_lines(crystal, turn, 44)]
    normals = []
    for line in lines:
        *_, (_, _, normal) = np.linalg.svd(line)
        assert np.abs(line @ normal).max() < 1e-9
        assert (line[:, 2] >= np.cos(np.radians(44)) - 1e-9).all()
        normals.append(normal)
    # Equivalents of a hexagonal pole may have higher indices, and lie on fewer of these zones.
    least = 1 if crystal.structure.is_hexagonal else 2
    for pole in low_index_poles(crystal, turn, 44):
        if sum(index**2 for index in pole.family) <= 2:
            assert sum(abs(pole.direction @ normal) < 1e-9 for normal in normals) >= least


def test_low_index_poles_of_a_cube_on_its_diagonal():
    along = np.array([1, 1, 1]) / 3**0.5
    turn = Rotation.align_vectors([[0, 0, 1]], [along])[0].as_matrix()
    found = low_index_poles(CRYSTAL, turn, 40)
    assert [pole.label for pole in found] == ["011"] * 3 + ["111"] + ["012"] * 6 + ["112"] * 3
    assert found[3].direction == pytest.approx([0, 0, 1])
    angles = {round(float(np.degrees(np.arccos(pole.direction[2]))), 2) for pole in found}
    assert angles == {0.0, 19.47, 35.26, 39.23}
