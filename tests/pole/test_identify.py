"""Names of planes, from what their crystal allows."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from domed import make_pole
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from aptstream.crystal import Crystal, equivalent_poles
from aptstream.pole import identify

AL = Crystal("FCC", 0.405)


def poles_of(crystal, hkls, turn, scale=1.0):
    """Poles of a crystal that is turned, its spacings as a reconstruction of a wrong scale has them."""
    found = []
    for hkl in hkls:
        normal = turn @ np.linalg.inv(crystal.cell_nm) @ hkl
        normal = normal / np.linalg.norm(normal) * np.sign(normal[2])
        spacing = Crystal(crystal.label, crystal.a_nm, hkl, crystal.c_over_a).plane_spacing_nm / scale
        found.append(make_pole(wave_per_nm=tuple((normal / spacing).tolist()), bend_per_nm2=((0.0,) * 3,) * 3))
    return found


@pytest.mark.parametrize(
    "crystal", [AL, Crystal("L12", 0.356), Crystal("BCC", 0.2866), Crystal("HCP", 0.3209, c_over_a=1.624)]
)
@pytest.mark.parametrize("scale", [0.97, 1.0, 1.03])
def test_a_pole_alone_has_the_name_of_its_planes(crystal, scale):
    parent = crystal.parent
    seen = [
        hkl
        for hkl in ((0, 0, 1), (0, 1, 1), (1, 1, 1))
        if Crystal(parent.label, parent.a_nm, hkl, parent.c_over_a).plane_spacing_nm > 0.1
    ]
    for hkl in seen:
        identity = identify(poles_of(parent, [hkl], np.eye(3), scale), crystal)
        if identity.posterior > 0.9:
            assert identity.families[0] in equivalent_poles(parent.label, hkl)
            assert identity.scale == pytest.approx(scale, abs=0.005)
    assert crystal.label != "FCC" or identify(poles_of(AL, [(0, 1, 1)], np.eye(3)), AL).posterior > 0.99


@given(st.integers(0, 10_000), st.floats(0.94, 1.06))
def test_two_poles_are_named_and_orient_the_crystal(seed, scale):
    turn = Rotation.random(rng=np.random.default_rng(seed))
    normals = [hkl for family in ((0, 0, 1), (0, 1, 1), (1, 1, 1)) for hkl in equivalent_poles("FCC", family)]
    upward = [hkl for hkl in normals if (turn.as_matrix() @ hkl)[2] > 0.75 * np.linalg.norm(hkl)]
    for one, other in list(combinations(upward, 2))[:3]:
        poles = poles_of(AL, [one, other], turn.as_matrix(), scale)
        identity = identify(poles, AL)
        assert [sorted(map(abs, hkl)) for hkl in identity.families] == [sorted(map(abs, one)), sorted(map(abs, other))]
        named = [identity.orientation @ hkl / np.linalg.norm(hkl) for hkl in nearest(identity, poles)]
        for direction, pole in zip(named, poles, strict=True):
            assert abs(direction @ np.array(pole.direction)) > np.cos(np.radians(0.5))


def nearest(identity, poles):
    """Of the equivalents of each family the one that the orientation brings to its pole."""
    for family, pole in zip(identity.families, poles, strict=True):
        alike = equivalent_poles("FCC", family)
        yield max(alike, key=lambda hkl: identity.orientation @ hkl @ np.array(pole.direction) / np.linalg.norm(hkl))


def test_one_pole_does_not_orient_a_crystal():
    assert identify(poles_of(AL, [(0, 1, 1)], np.eye(3)), AL).orientation is None


@pytest.mark.parametrize("spacing", [0.05, 0.17, 0.35])
def test_planes_of_no_crystal_have_no_name(spacing):
    assert identify([make_pole(spacing_nm=spacing)], AL) is None


def test_a_doubtful_name_has_a_low_probability():
    """Planes between (111) and (001): both would do, with a scale that is off by 7 %."""
    identity = identify([make_pole(spacing_nm=0.218)], AL)
    assert identity is None or identity.posterior < 0.95
