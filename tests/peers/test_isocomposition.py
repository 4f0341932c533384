"""Delocalised compositions against a loop over ions; cuts that find what is there, and nothing where nothing is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptstream.errors import PlanError, RangingError
from aptstream.peers import delocalised, isocomposition, mesh_of, tuned_cut
from aptstream.peers.atoms import atoms_per_ion, solute_elements
from aptstream.peers.isocomposition import most_frequent
from aptstream.points import Range, RangeTable, Roles

AL = Range(26, 27.5, (("Al", 1),))


def naive_content(store, elements, sigma):
    """Add a Gaussian for every atom, wanted or not, to the middle of every voxel; plain ratio."""
    cloud = store.read((0, 0, 0), store.shape_cells)
    part, whole = np.zeros(store.shape_cells), np.zeros(store.shape_cells)
    for index, name in enumerate(store.species_names):
        atoms = dict(store.ranges.atoms.get(name, ()))
        voxel = np.floor(cloud.position[cloud.species == index].astype(np.float64) - store.origin_nm).astype(int)
        np.add.at(whole, tuple(voxel.T), sum(atoms.values()))
        np.add.at(part, tuple(voxel.T), sum(atoms.get(element, 0) for element in elements))
    for axis, n in enumerate(store.shape_cells):
        reach = int(4 * sigma + 0.5)
        kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        folded = np.zeros((n, n))
        for i in range(n):
            for step, weight in zip(range(-reach, reach + 1), kernel / kernel.sum(), strict=True):
                j = (i + step) % (2 * n)  # reflected at the faces
                folded[i, j if j < n else 2 * n - 1 - j] += weight
        part, whole = (np.moveaxis(np.tensordot(folded, g, (1, axis)), 0, axis) for g in (part, whole))
    return 100 * part / whole


@pytest.mark.parametrize(("elements", "sigma"), [(("Li", "Mg"), 1.0), (("O",), 0.6)])
def test_a_map_is_the_ratio_of_gaussians_of_atoms(mixed_store, elements, sigma):
    found = delocalised(mixed_store, elements, sigma)
    judged = np.isfinite(found.at_percent)  # the last layers hold only what lies on the face itself
    assert judged.mean() > 0.8
    expected = naive_content(mixed_store, elements, sigma)
    np.testing.assert_allclose(found.at_percent[judged], expected[judged], rtol=2e-4)


def test_where_nothing_is_nothing_is_judged(store_of):
    position = np.concatenate([np.random.default_rng(1).uniform(0, 4, (2000, 3)), [[15.5, 3.5, 3.5]]])
    found = delocalised(store_of(position, ["Al"] * 2000 + ["Li"]), ("Li",), 1.0)
    assert np.isfinite(found.at_percent[:4]).all()
    assert np.isnan(found.at_percent[8:15]).all()
    assert found.at_percent[:3].max() < 1e-3


def test_what_cannot_be_mapped_is_said(mixed_store, store_of):
    with pytest.raises(RangingError, match="no species that holds Cu"):
        delocalised(mixed_store, ("Cu",))
    with pytest.raises(PlanError, match="length of 0 to 20 nm"):
        delocalised(mixed_store, ("Li",), float("nan"))
    with pytest.raises(RangingError, match="hold no element beside"):
        solute_elements(Roles(("Al",), ("AlH",)), RangeTable((AL, Range(27.5, 28.5, (("Al", 1), ("H", 1))))))


def test_solutes_are_elements_and_molecules_their_atoms(mixed_store):
    assert solute_elements(Roles(("Al",), ("Li", "CrO2")), mixed_store.ranges) == ("Li", "Cr", "O")
    assert atoms_per_ion(mixed_store.ranges, ("Cr", "O")).tolist() == [0, 0, 0, 0, 3]


def test_the_tuned_cut_finds_what_is_there(specimen_store, truth):
    found = isocomposition(specimen_store, ("Li", "Mg"))
    values = found.map.at_percent

    def dice(cut):
        return 2 * (truth > 0.5)[values >= cut].sum() / ((values >= cut).sum() + (truth > 0.5).sum())

    best = max(dice(cut) for cut in np.arange(10, 25, 0.5))
    assert dice(found.at_percent) > best - 0.03
    assert found.found.labels.max() == len(found.found) == len(found.found.ions["Li"]) > 0
    assert found.tuned.matrix_at_percent < found.tuned.floor_at_percent < found.tuned.particle_at_percent
    assert not found.found.uncertain.any()


@pytest.mark.parametrize("content", [0.02, 0.12, 0.4])
def test_a_random_alloy_has_no_regions(store_of, content):
    rng = np.random.default_rng(3)
    position = rng.uniform(0, 18, (100_000, 3))
    store = store_of(position, np.where(rng.random(len(position)) < content, "Li", "Al"))
    found = isocomposition(store, ("Li",))
    assert found.tuned.particle_at_percent is None
    assert found.tuned.matrix_at_percent == pytest.approx(100 * content, rel=0.05)
    assert len(found.found) <= 1


def test_the_mesh_lies_on_the_cut(specimen_store):
    found = isocomposition(specimen_store, ("Li", "Mg"), at_percent=16, delocalisation_nm=1)
    from scipy.ndimage import map_coordinates

    mesh = found.mesh()
    at = (mesh.vertices_nm - specimen_store.origin_nm - 0.5).T
    np.testing.assert_allclose(map_coordinates(found.map.at_percent, at, order=1, mode="nearest"), 16, atol=0.01)
    assert mesh.area_nm2 > 100


@pytest.mark.parametrize(("cut", "kept"), [(0.001, "every"), (99.0, "no"), (0.0, "no"), (float("nan"), "no")])
def test_a_cut_that_tells_nothing_is_refused(specimen_store, cut, kept):
    with pytest.raises(PlanError, match=rf"keeps {kept} voxel: found \d+\.\d to \d+\.\d at.%"):
        isocomposition(specimen_store, ("Li",), at_percent=cut, delocalisation_nm=2.0)


@given(middle=st.floats(-50, 50), width=st.floats(0.1, 10), seed=st.integers(0, 2**32))
def test_the_most_frequent_value_of_a_bell_is_its_middle(middle, width, seed):
    values = np.random.default_rng(seed).normal(middle, width, 20_000)
    assert most_frequent(values) == pytest.approx(middle, abs=0.35 * width)
    assert most_frequent(np.full(5, middle)) == middle


def test_the_same_cut_is_chosen_every_time(specimen_store):
    composition = delocalised(specimen_store, ("Li",))
    assert tuned_cut(composition) == tuned_cut(composition)


@pytest.mark.parametrize("steps", [1, 2])
def test_no_surface_is_drawn_beside_what_is_not_known(steps):
    x = np.moveaxis(np.indices((12, 12, 12)), 0, -1) + 0.5
    values = 3 - np.linalg.norm(x - 6, axis=-1)
    values[:6] = np.nan
    mesh = mesh_of(values, 0, origin_nm=(0, 0, 0), steps=steps)
    assert mesh.vertices_nm[:, 0].min() == pytest.approx(6.5, abs=0.02)
    assert np.abs(np.linalg.norm(mesh.vertices_nm - 6, axis=1) - 3).max() < 0.1
    assert len(mesh_of(np.full((4, 4, 4), np.nan), 0, origin_nm=(0, 0, 0), steps=steps)) == 0
    assert len(mesh_of(np.ones((4, 4, 4)), 0.5, origin_nm=(0, 0, 0), steps=steps)) == 0
