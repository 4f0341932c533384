"""Spacings and periods against values from the geometry of the FCC cell."""

import numpy as np
import pytest

from aptstream.crystal import STRUCTURES, Crystal
from aptstream.errors import PlanError

A = 0.405


@pytest.mark.parametrize(
    ("pole", "spacing", "doubled"),
    [
        ((0, 0, 1), A / 2, True),
        ((0, 1, 1), A / (2 * 2**0.5), True),
        ((1, 1, 1), A / 3**0.5, False),
        ((0, 1, 2), A / (2 * 5**0.5), True),
        ((1, 1, 3), A / 11**0.5, False),
        ((0, 2, 2), A / (2 * 2**0.5), True),
    ],
)
def test_planes_along_a_pole(pole, spacing, doubled):
    fcc, l12 = Crystal("FCC", A, pole), Crystal("L12", A, pole)
    assert fcc.plane_spacing_nm == pytest.approx(spacing)
    assert fcc.period_nm == pytest.approx(spacing)
    assert l12.plane_spacing_nm == pytest.approx(spacing)
    assert l12.period_nm == pytest.approx(spacing * (2 if doubled else 1))


@pytest.mark.parametrize("pole", [(0, 0, 1), (0, 1, 1), (1, 1, 1), (1, 2, 3), (1, 0, 0)])
def test_the_frame_turns_the_pole_onto_z(pole):
    frame = Crystal("FCC", A, pole).frame
    np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(frame) == pytest.approx(1)
    np.testing.assert_allclose(frame @ (np.array(pole) / np.linalg.norm(pole)), [0, 0, 1], atol=1e-12)


def test_every_structure_of_the_table_is_consistent():
    for label, structure in STRUCTURES.items():
        parent = STRUCTURES[structure.parent]
        assert structure.label == label
        assert structure.sites == parent.sites
        assert len(structure.roles) == len(structure.sites)
        assert set(parent.roles) == {0}
    assert Crystal("FCC", A).density_per_nm3 == pytest.approx(4 / A**3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("FCD", A), "not known"), (("FCC", 4.05), "between 0.1 and 2 nm"), (("FCC", A, (0, 0, 0)), "no direction")],
)
def test_impossible_crystals_are_refused(arguments, words):
    with pytest.raises(PlanError, match=words):
        Crystal(*arguments)
