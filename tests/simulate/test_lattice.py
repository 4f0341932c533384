"""Sites listed plane by plane: all of them, once, and each with the role that its variant gives it."""

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from aptstream.crystal import STRUCTURES, Crystal
from aptstream.errors import PlanError
from aptstream.simulate.lattice import plane_lattice

index = st.integers(-3, 3)
poles = st.tuples(index, index, index).filter(any)
LOW, HIGH = np.array([-0.4, -0.7]), np.array([1.3, 0.9])
TOP = 1.5


def listed(lattice):
    """Steps, site and position of all sites between two corners, from just below z = 0 to just below TOP."""
    last = int(np.floor(TOP / lattice.spacing_nm)) + 1
    steps, corner = lattice.cells(LOW, HIGH, -1, last)
    position = corner[:, None].astype(float) + lattice.sites_nm
    site = np.broadcast_to(np.arange(len(lattice.sites_nm)), position.shape[:2])
    inside = (position[..., :2] > LOW).all(axis=-1) & (position[..., :2] < HIGH).all(axis=-1)
    inside &= (position[..., 2] > 0.01) & (position[..., 2] < TOP - 0.01)
    cell = np.broadcast_to(np.arange(len(steps))[:, None], site.shape)
    return steps[cell[inside]], site[inside], position[inside]


def brute_force(crystal):
    """The same sites from all cells of the parent in a large block."""
    parent = crystal.parent
    cells = np.array(list(np.ndindex(41, 41, 41))) - 20
    to_nm = parent.cell_nm @ parent.frame.T
    found = []
    for site in parent.structure.sites:
        position = (cells + site) @ to_nm
        inside = (position[:, :2] > LOW).all(axis=1) & (position[:, :2] < HIGH).all(axis=1)
        inside &= (position[:, 2] > 0.01) & (position[:, 2] < TOP - 0.01)
        found.append(position[inside])
    return np.concatenate(found)


@examples(25)
@given(st.sampled_from(["FCC", "BCC", "HCP"]), poles)
def test_all_sites_are_listed_once(label, pole):
    crystal = Crystal(label, 0.4, pole)
    found = listed(plane_lattice(crystal))[2]
    expected = brute_force(crystal)
    # A site within rounding of a face may be on either side of it.
    away = [
        (np.abs(p[:, :2] - LOW).min(axis=1) > 1e-4) & (np.abs(p[:, :2] - HIGH).min(axis=1) > 1e-4)
        for p in (found, expected)
    ]
    found, expected = found[away[0]], expected[away[1]]
    assert len(found) == len(expected) > 0
    nearest = np.linalg.norm(found[:, None] - expected, axis=2)
    assert nearest.min(axis=1).max() < 1e-5
    assert nearest.min(axis=0).max() < 1e-5


@examples(25)
@given(st.sampled_from([s.label for s in STRUCTURES.values() if s.parent != s.label]), poles)
def test_sites_have_the_roles_of_the_structure(label, pole):
    crystal = Crystal(label, 0.4, pole)
    lattice, variants = plane_lattice(crystal), crystal.variants
    steps, site, position = listed(lattice)
    roles = variants.roles.reshape(len(variants), -1)[0, lattice.site_of(steps, site, variants.repeat)]
    # Variant 0 is the table's own: what stands at a position follows from the structure's cell alone.
    fraction = position @ crystal.frame @ np.linalg.inv(crystal.cell_nm)
    apart = fraction[:, None] - np.array(crystal.structure.sites)
    distance = np.abs(apart - np.rint(apart)).sum(axis=2)
    assert distance.min(axis=1).max() < 1e-4
    np.testing.assert_array_equal(roles, np.array(crystal.structure.roles)[distance.argmin(axis=1)])


def test_poles_of_very_high_indices_are_refused():
    with pytest.raises(PlanError, match="up to 12"):
        plane_lattice(Crystal("FCC", 0.4, (1, 0, 13)))
