"""Distances from planes and spheres, profiles against their closed form, and what has no profile."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import erf

from aptstream.errors import PlanError, StoreError
from aptstream.grid import find_precipitates
from aptstream.peers import LevelSurface, delocalised, fit_interface, isocomposition, proxigram
from aptstream.peers.surface import signed_distance_nm

SIZE = (34.0, 12.0, 12.0)


def middles(shape):
    return np.moveaxis(np.indices(shape), 0, -1) + 0.5


@pytest.mark.parametrize("radius", [2.0, 2.5, 5.0])
@pytest.mark.parametrize("blur", [0.6, 1.5])
def test_distances_from_a_sphere(radius, blur):
    rng = np.random.default_rng(1)
    centre = rng.uniform(8.5, 9.5, 3)
    values = -np.tanh((np.linalg.norm(middles((18, 18, 18)) - centre, axis=-1) - radius) / blur)
    points = rng.uniform(3, 15, (4000, 3))
    expected = radius - np.linalg.norm(points - centre, axis=1)
    found = signed_distance_nm(values, 0.0, points, origin_nm=(0, 0, 0))
    assert np.abs(found - expected).max() < 0.1


def test_distances_from_an_oblique_plane_with_another_origin():
    rng = np.random.default_rng(2)
    normal = np.array([1.0, 2, -2]) / 3
    values = np.tanh((middles((14, 15, 16)) - 7) @ normal)
    points = rng.uniform(4, 10, (2000, 3))
    found = signed_distance_nm(values, 0.0, points + np.array([-30, 5, 2]), origin_nm=(-30, 5, 2))
    np.testing.assert_allclose(found, (points - 7) @ normal, atol=0.02)


def test_no_distance_where_nothing_is_known():
    values = np.full((6, 6, 6), np.nan)
    points = np.full((2, 3), 3.0)
    assert np.isnan(signed_distance_nm(values, 0, points, origin_nm=(0, 0, 0))).all()
    values[:3] = -1
    assert signed_distance_nm(values, 0, points - 2, origin_nm=(0, 0, 0)).tolist() == [-math.inf] * 2


@pytest.fixture(scope="module")
def flat(store_of):
    """A blurred step of Li at x = 17.3 nm, in three bricks; CrO2 everywhere."""
    rng = np.random.default_rng(7)
    position = rng.uniform(0, SIZE, (200_000, 3))
    content = 0.05 + 0.2 * (1 + erf((position[:, 0] - 17.3) / math.sqrt(2) / 0.5)) / 2
    draw = rng.random(len(position))
    names = np.where(draw < content, "Li", np.where(draw < content + 0.1, "CrO2", "Al"))
    names = np.where(np.arange(len(names)) % 20, names, "unranged")
    return store_of(position, names)


def plane(store, at):
    x = np.arange(store.shape_cells[0]) + 0.5 - at
    return LevelSurface(np.broadcast_to(np.tanh(x)[:, None, None], store.shape_cells), 0.0, store.origin_nm)


def test_a_flat_interface_has_the_profile_of_its_closed_form(flat):
    found = proxigram(flat, plane(flat, 17.0), bin_nm=0.25, reach_nm=4)
    assert len(found.distance_nm) == 32
    ions = 0.05 + 0.2 * (1 + erf((found.distance_nm - 0.3) / math.sqrt(2) / 0.5)) / 2
    expected = 100 * ions / (1 + 2 * 0.1)  # a CrO2 counts three atoms
    pull = (found.at_percent["Li"] - expected) / found.error["Li"]
    assert np.abs(pull).max() < 4.5
    assert np.mean(pull**2) < 2
    np.testing.assert_allclose(found.at_percent["O"], 2 * found.at_percent["Cr"])
    np.testing.assert_allclose(sum(found.at_percent.values()), 100)
    # every ranged ion of the slab is in one bin
    cloud = flat.read((0, 0, 0), flat.shape_cells)
    assert found.n_ions.sum() == ((np.abs(cloud.position[:, 0] - 17) < 4) & (cloud.species > 0)).sum()
    step = fit_interface(found, ("Li",))
    assert step.position_nm == pytest.approx(0.3, abs=0.05)
    assert step.width_nm == pytest.approx(0.5 * 2.563, abs=0.15)
    assert step.inside_at_percent == pytest.approx(25 / 1.2, abs=4 * step.error[1])


def test_an_isocomposition_surface_lies_in_its_own_profile(flat):
    iso = isocomposition(flat, ("Li",))
    found = proxigram(flat, LevelSurface.of_composition(iso.map, iso.at_percent))
    step = fit_interface(found, ("Li",))
    assert abs(step.position_nm) < 0.15
    assert step.outside_at_percent == pytest.approx(5 / 1.2, abs=0.3)


def test_particles_that_are_cut_out_have_the_profile_of_their_voxels(flat):
    labels = np.zeros(flat.shape_cells, "f4")
    labels[17:] = 1
    found = find_precipitates(labels, cut=0.5, min_voxels=1, origin_nm=flat.origin_nm)
    by_labels, by_plane = (proxigram(flat, s) for s in (LevelSurface.of_particles(found), plane(flat, 17.0)))
    np.testing.assert_allclose(by_labels.at_percent["Li"], by_plane.at_percent["Li"], atol=0.01)


def test_bins_with_few_ions_are_left_out(flat):
    every = proxigram(flat, plane(flat, 32.1), min_ions=1)
    some = proxigram(flat, plane(flat, 32.1), min_ions=1000)
    assert (some.n_ions >= 1000).all()
    assert 0 < len(some.distance_nm) < len(every.distance_nm)


def test_what_has_no_profile_is_said(flat, mixed_store):
    whole = plane(flat, 17.0)
    with pytest.raises(StoreError, match="do not belong together"):
        proxigram(mixed_store, whole)
    with pytest.raises(PlanError, match="No bin of the proxigram"):
        proxigram(flat, replace(whole, level=5.0))
    with pytest.raises(PlanError, match="bins and a reach"):
        proxigram(flat, whole, bin_nm=0)
    with pytest.raises(PlanError, match="at least 6 bins"):
        fit_interface(proxigram(flat, whole, bin_nm=2, reach_nm=4), ("Li",))
    nothing = LevelSurface.of_composition(replace(delocalised(flat, ("Li",))), float("nan"))
    with pytest.raises(PlanError, match="No bin of the proxigram"):
        proxigram(flat, nothing)
