"""Spacings, densities, neighbours and order against the geometry of the cells and against tables."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptstream.crystal import STRUCTURES, Crystal
from aptstream.errors import PlanError

A = 0.405
MAGNESIUM = {"a_nm": 0.3209, "c_over_a": 1.624}
PARENTS = ("FCC", "BCC", "HCP")
ORDERED = tuple(label for label, structure in STRUCTURES.items() if structure.parent != label)
index = st.integers(-5, 5)
poles = st.tuples(index, index, index).filter(any)


def block(crystal, variant=0):
    """Atoms of one repeat of a variant: positions in nm, roles, and the cell vectors of the repeat."""
    variants, parent = crystal.variants, crystal.parent
    cells = np.array(list(np.ndindex(variants.repeat)))[:, None] + np.array(parent.structure.sites)
    box = np.array(variants.repeat)[:, None] * parent.cell_nm
    return cells.reshape(-1, 3) @ parent.cell_nm, variants.roles[variant].ravel(), box


def neighbours(position, box, others, reach):
    """Sorted distances in nm from one position to others in a periodic box, up to a reach."""
    images = np.array(list(np.ndindex(7, 7, 7))) - 3
    apart = (others - position + (images @ box)[:, None]).reshape(-1, 3)
    distance = np.sort(np.linalg.norm(apart, axis=1))
    return distance[(distance > 1e-6) & (distance < reach)]


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
def test_planes_along_a_pole_of_aluminium_and_its_trialuminides(pole, spacing, doubled):
    fcc, l12 = Crystal("FCC", A, pole), Crystal("L12", A, pole)
    assert fcc.plane_spacing_nm == pytest.approx(spacing)
    assert fcc.period_nm == pytest.approx(spacing)
    assert l12.plane_spacing_nm == pytest.approx(spacing)
    assert l12.period_nm == pytest.approx(spacing * (2 if doubled else 1))
    assert l12.doubling == (2 if doubled else 1)


@pytest.mark.parametrize(
    ("crystal", "spacing"),
    [
        # Powder diffraction files: Al 04-0787, Fe 06-0696, Mg 35-0821.
        (Crystal("FCC", 0.40494, (1, 1, 1)), 0.2338),
        (Crystal("FCC", 0.40494, (0, 0, 1)), 0.2024),
        (Crystal("FCC", 0.40494, (0, 1, 1)), 0.1431),
        (Crystal("FCC", 0.40494, (3, 1, 1)), 0.1221),
        (Crystal("BCC", 0.28664, (0, 1, 1)), 0.20268),
        (Crystal("BCC", 0.28664, (0, 0, 1)), 0.14332),
        (Crystal("BCC", 0.28664, (1, 1, 2)), 0.11702),
        (Crystal("BCC", 0.28664, (1, 1, 1)), 0.08275),
        (Crystal("HCP", pole=(1, 0, -1, 0), **MAGNESIUM), 0.2778),
        (Crystal("HCP", pole=(0, 0, 0, 1), **MAGNESIUM), 0.2605),
        (Crystal("HCP", pole=(1, 0, -1, 1), **MAGNESIUM), 0.2452),
        (Crystal("HCP", pole=(1, 1, -2, 0), **MAGNESIUM), 0.1605),
    ],
)
def test_spacings_are_those_of_diffraction(crystal, spacing):
    assert crystal.plane_spacing_nm == pytest.approx(spacing, abs=1.5e-4)


@given(poles)
def test_spacings_follow_the_extinction_rules(pole):
    h, k, l = np.array(pole) // np.gcd.reduce(pole)  # noqa: E741
    length = np.sqrt(h * h + k * k + l * l)
    unmixed = h % 2 == k % 2 == l % 2
    assert Crystal("FCC", A, pole).plane_spacing_nm == pytest.approx(A / length / (1 if unmixed else 2))
    assert Crystal("BCC", A, pole).plane_spacing_nm == pytest.approx(A / length / (1 if (h + k + l) % 2 == 0 else 2))


@pytest.mark.parametrize(
    ("label", "pole", "doubling", "amplitude"),
    [
        ("L12", (0, 1, 1), 2, 0.25),
        ("L12", (0, 0, 1), 2, 0.25),
        ("L12", (1, 1, 1), 1, 0),
        ("L10", (0, 0, 1), 2, 0.5),
        ("L10", (1, 1, 1), 1, 0),
        ("D022", (0, 0, 1), 2, 0.25),
        ("D022", (1, 0, 2), 4, 0.25),
        ("B2", (0, 0, 1), 2, 0.5),
        ("B2", (0, 1, 1), 1, 0),
        ("B2", (1, 1, 1), 2, 0.5),
        ("D03", (0, 0, 1), 2, 0.25),
        ("D03", (1, 1, 1), 4, 0.25),
        ("D019", (0, 0, 0, 1), 1, 0),
        ("D019", (1, 1, -2, 0), 2, 0.25),
    ],
)
def test_order_shows_along_some_poles_with_a_known_amplitude(label, pole, doubling, amplitude):
    crystal = Crystal(label, A, pole)
    assert crystal.doubling == doubling
    assert crystal.order_amplitude == pytest.approx(amplitude)
    assert crystal.period_nm == pytest.approx(doubling * crystal.plane_spacing_nm)


@given(st.sampled_from(ORDERED), poles)
def test_amplitudes_equal_the_sum_over_the_atoms_of_every_variant(label, pole):
    crystal = Crystal(label, A, pole)
    wave_vector = 2 * np.pi / crystal.period_nm * crystal.frame[2]
    for variant, amplitude in enumerate(crystal.variant_amplitude):
        position, role, _ = block(crystal, variant)
        factor = abs(((role - role.mean()) * np.exp(1j * position @ wave_vector)).mean())
        assert factor == pytest.approx(amplitude, abs=1e-9)
    assert crystal.order_amplitude == crystal.variant_amplitude.max()
    assert (crystal.order_amplitude > 0) or crystal.doubling == 1


@given(st.sampled_from(list(STRUCTURES)), poles)
def test_planes_repeat_after_the_spacing_and_lie_nowhere_else(label, pole):
    crystal = Crystal(label, A, pole)
    position, _, _ = block(crystal)
    height = position @ crystal.frame[2] / crystal.plane_spacing_nm
    planes = np.unique(np.round(height % 1, 6) % 1)
    assert len(planes) <= len(crystal.parent.structure.sites)
    if label in ("FCC", "BCC", "L12", "B2"):
        assert len(planes) == 1


@pytest.mark.parametrize("label", STRUCTURES)
@pytest.mark.parametrize("pole", [(0, 0, 1), (0, 1, 1), (1, 1, 1), (1, 2, 3), (1, 0, 0)])
def test_the_frame_turns_the_planes_normal_to_z(label, pole):
    crystal = Crystal(label, A, pole)
    frame = crystal.frame
    np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(frame) == pytest.approx(1)
    # Lattice vectors uvw with hu + kv + lw = 0 lie in the planes.
    h, k, l = pole  # noqa: E741
    for inside in ((k, -h, 0), (0, l, -k), (l, 0, -h)):
        assert (frame @ (inside @ crystal.parent.cell_nm))[2] == pytest.approx(0, abs=1e-12)


def test_the_frame_of_a_cubic_crystal_begins_with_a_cube_axis():
    np.testing.assert_allclose(Crystal("L12", A, (0, 1, 1)).frame[0], [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(Crystal("L12", A, (0, 0, 1)).frame, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("label", STRUCTURES)
def test_sites_of_a_structure_are_all_sites_of_its_parent(label):
    structure, parent = STRUCTURES[label], STRUCTURES[STRUCTURES[label].parent]
    assert structure.label == label
    assert len(structure.roles) == len(structure.sites)
    assert set(parent.roles) == {0}
    assert structure.c_over_a == parent.c_over_a
    found = np.array(structure.sites) @ np.array(structure.cell) @ np.linalg.inv(parent.cell)
    apart = found[:, None] - np.array(parent.sites)
    on_site = np.isclose(np.abs(apart - np.rint(apart)).sum(axis=2), 0)
    assert on_site.any(axis=1).all()
    share = np.linalg.det(structure.cell) / np.linalg.det(parent.cell)
    assert on_site.sum(axis=0).tolist() == [round(share)] * len(parent.sites)
    assert len(np.unique(np.round(np.array(structure.sites), 6) % 1, axis=0)) == len(structure.sites)


@pytest.mark.parametrize(
    ("crystal", "density"),
    [
        (Crystal("FCC", 0.405), 60.2),
        (Crystal("L12", 0.357), 87.9),
        (Crystal("BCC", 0.28664), 84.9),
        (Crystal("D03", 0.28664), 84.9),
        (Crystal("HCP", pole=(0, 0, 1), **MAGNESIUM), 43.0),
        (Crystal("D019", pole=(0, 0, 1), **MAGNESIUM), 43.0),
        (Crystal("L10", 0.385, c_over_a=0.965), 72.6),
    ],
)
def test_densities_are_those_of_tables(crystal, density):
    assert crystal.density_per_nm3 == pytest.approx(density, rel=2e-3)


@pytest.mark.parametrize(
    ("label", "number", "distance"), [("FCC", 12, 0.5**0.5), ("BCC", 8, 0.75**0.5), ("HCP", 12, 1)]
)
def test_every_atom_of_a_parent_has_its_nearest_neighbours(label, number, distance):
    crystal = Crystal(label, 1.0, (0, 0, 1))
    position, _, box = block(crystal)
    for atom in position:
        assert neighbours(atom, box, position, 1.01 * distance) == pytest.approx([distance] * number)


@pytest.mark.parametrize(
    ("label", "share", "solute_beside_solute", "host_beside_solute", "reach"),
    [
        ("L12", 1 / 4, 0, 12, 0.8),
        ("L10", 1 / 2, 4, 8, 0.8),
        ("D022", 1 / 4, 0, 12, 0.8),
        ("B2", 1 / 2, 0, 8, 0.9),
        ("D03", 1 / 4, 0, 8, 0.9),
        ("D019", 1 / 4, 0, 12, 1.1),
    ],
)
def test_every_variant_has_the_neighbours_of_its_structure(
    label, share, solute_beside_solute, host_beside_solute, reach
):
    crystal = Crystal(label, 1.0, (0, 0, 1))
    for variant in range(len(crystal.variants)):
        position, role, box = block(crystal, variant)
        assert role.mean() == share
        for atom in position[role == 1]:
            assert len(neighbours(atom, box, position[role == 1], reach)) == solute_beside_solute
            assert len(neighbours(atom, box, position[role == 0], reach)) == host_beside_solute


@pytest.mark.parametrize(
    ("label", "shells"),
    # Solute atoms around a solute atom and their squared distance in a²: what tells D0₂₂ from L1₂ and D0₃ from B2.
    [("L12", {1: 6}), ("D022", {1: 4, 1.5: 8}), ("B2", {1: 6}), ("D03", {2: 12}), ("L10", {0.5: 4, 1: 6, 1.5: 8})],
)
def test_solute_shells(label, shells):
    crystal = Crystal(label, 1.0, (0, 0, 1))
    position, role, box = block(crystal)
    squared, number = np.unique(
        np.round(neighbours(position[role == 1][0], box, position[role == 1], max(shells) ** 0.5 + 0.01) ** 2, 6),
        return_counts=True,
    )
    assert dict(zip(squared.tolist(), number.tolist(), strict=True)) == shells


@pytest.mark.parametrize(
    ("label", "number", "showing"),
    [("L12", 4, 4), ("L10", 6, 2), ("D022", 12, 4), ("B2", 2, 2), ("D03", 4, 4), ("FCC", 1, 0), ("HCP", 1, 0)],
)
def test_variants_are_all_there_and_show_along_001_if_their_axis_lies_so(label, number, showing):
    crystal = Crystal(label, A, (0, 0, 1))
    assert len(crystal.variants) == number
    assert len(np.unique(crystal.variants.roles.reshape(number, -1), axis=0)) == number
    assert (crystal.variant_amplitude > 0).sum() == showing


@pytest.mark.parametrize("label", ORDERED)
def test_variants_share_the_solute_sites_evenly(label):
    roles = Crystal(label, A).variants.roles
    assert len(np.unique(roles.sum(axis=0))) == 1
    assert all((a != b).any() for a, b in pairwise(roles))


def test_equivalent_poles_of_a_tetragonal_structure_look_the_same():
    found = {
        (round(c.period_nm, 9), c.order_amplitude, tuple(sorted(c.variant_amplitude)))
        for c in (Crystal("D022", A, pole) for pole in ((0, 0, 1), (0, 1, 0), (-1, 0, 0)))
    }
    assert len(found) == 1


def test_an_axial_ratio_stretches_along_c_only():
    flat, tall = (Crystal("L10", 0.385, pole, 0.965) for pole in ((1, 0, 0), (0, 0, 1)))
    assert flat.plane_spacing_nm == pytest.approx(0.385 / 2)
    assert tall.plane_spacing_nm == pytest.approx(0.385 * 0.965 / 2)
    assert tall.parent.plane_spacing_nm == pytest.approx(tall.plane_spacing_nm)


def test_four_hexagonal_indices_name_the_same_planes_as_three():
    assert Crystal("HCP", A, (1, 0, -1, 2)) == Crystal("HCP", A, (1, 0, 2))
    assert Crystal("D019", A, (2, 2, -4, 0)).pole == (1, 1, 0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("FCD", A), "not known"),
        (("FCC", 4.05), "between 0.1 and 2 nm"),
        (("FCC", A, (0, 0, 0)), "no direction"),
        (("FCC", A, (0, 1)), "three indices"),
        (("FCC", A, (1, 0, -1, 0)), "three indices"),
        (("HCP", A, (1, 0, 1, 0)), "four"),
        (("HCP", A, (0, 0, 1), 8.0), "axial ratio"),
        (("HCP", A, (0, 0, 1), float("nan")), "axial ratio"),
    ],
)
def test_impossible_crystals_are_refused(arguments, words):
    with pytest.raises(PlanError, match=words):
        Crystal(*arguments)
