"""Maps of single cubes: the counts are those of the kernel, the cubes lie where they are said to."""

import numpy as np
import pytest
from figure_checks import drawn, same_twice, titles
from scipy.ndimage import label

from aptstream.errors import PlanError
from aptstream.grid.files import GridFile
from aptstream.grid.vote import vote
from aptstream.report import sdm_pictures as pictures
from aptstream.report.sdm_pictures import cube_maps, grey_cubes, sdm_examples, voxel_sdm
from aptstream.report.zones import cube_zones, vote_zones
from aptstream.simulate import read_truth
from aptstream.simulate.truth import voxel_fraction

SPACING = 0.1432


@pytest.fixture(scope="module")
def grid(specimen_scan, specimen_files):
    """The answer that the truth gives."""
    votes = vote(specimen_scan)
    share = voxel_fraction(read_truth(specimen_files.truth), votes.total.shape, origin_nm=votes.origin_nm)
    return GridFile(votes, share, label(share > 0.3)[0].astype("i4"), "")


def empty(grid, labels, order=None):
    return GridFile(grid.votes, grid.order if order is None else order, labels, "")


def test_maps_of_a_cube(specimen_store, roles):
    maps = cube_maps(specimen_store, roles, (2, 3, 4))
    low = np.add(specimen_store.origin_nm, (2, 3, 4))
    np.testing.assert_allclose(maps.box.low, low)
    np.testing.assert_allclose(maps.box.high, low + 4)
    cloud = specimen_store.read((2, 3, 4), (6, 7, 8))
    host = cloud.position[cloud.species == cloud.species_names.index("Al")].astype(float)
    assert maps.n_host == len(host)
    assert maps.n_host + maps.n_solute == (cloud.species > 0).sum()
    dx, dy, dz = (host[:, None] - host).reshape(-1, 3).T
    pairs = (np.abs(dz) < 0.7) & (np.abs(dx) < 0.7) & (dx**2 + dy**2 + dz**2 < 1.5**2)
    assert maps.zx.sum() == pytest.approx(pairs.sum() - len(host), rel=2e-3)
    rows = np.histogram(dz[pairs], 75, (-0.7, 0.7))[0] - np.histogram(np.zeros(len(host)), 75, (-0.7, 0.7))[0]
    assert np.corrcoef(maps.zx.sum(axis=1), rows)[0, 1] > 0.99
    assert maps.host.mean() == pytest.approx(1)
    np.testing.assert_array_equal(maps.zx, maps.zx[::-1, ::-1])


def test_examples_of_matrix_and_particle(specimen_store, roles, grid):
    figure = drawn(sdm_examples(specimen_store, roles, grid, spacing_nm=SPACING))
    assert [title[:12] for title in titles(figure)] == ["a   Matrix: ", "b   Particle", "c   Matrix: ", "d   Particle"]
    x, y, z = pictures._cube_of_matrix(grid, 4)
    assert not grid.labels[x : x + 4, y : y + 4, z : z + 4].any()
    x, y, z = pictures._cube_of_particle(grid, 4)
    largest = 1 + np.bincount(grid.labels.ravel())[1:].argmax()
    assert (grid.labels[x : x + 4, y : y + 4, z : z + 4] == largest).mean() > 0.7


def test_the_period_is_doubled_in_the_particle_only(specimen_store, roles, grid):
    matrix, particle = (
        cube_maps(specimen_store, roles, where(grid, 4))
        for where in (pictures._cube_of_matrix, pictures._cube_of_particle)
    )

    def wave(maps, period):
        return abs((maps.solute * np.exp(2j * np.pi * maps.offset_nm / period)).sum())

    assert wave(particle, 2 * SPACING) > 2 * wave(matrix, 2 * SPACING)


def test_without_a_particle_or_a_matrix_that_is_said(specimen_store, roles, grid):
    with pytest.raises(PlanError, match="No particle was found"):
        sdm_examples(specimen_store, roles, empty(grid, 0 * grid.labels), spacing_nm=SPACING)
    with pytest.raises(PlanError, match="touch every cube"):
        sdm_examples(specimen_store, roles, empty(grid, 0 * grid.labels + 1), spacing_nm=SPACING)


def test_a_voxel_is_shown_with_its_votes(specimen_store, roles, grid):
    at = tuple(np.add(specimen_store.origin_nm, (7.5, 8.5, 9.5)).tolist())
    figure = drawn(voxel_sdm(specimen_store, roles, grid, at, spacing_nm=SPACING))
    assert f"sum of 64 cubes {grid.votes.total[7, 8, 9]:.2f}" in figure.get_suptitle()
    assert f"order {grid.order[7, 8, 9]:.2f}" in figure.get_suptitle()
    blank = empty(grid, 0 * grid.labels, np.full_like(grid.order, np.nan))
    said = voxel_sdm(specimen_store, roles, blank, at, spacing_nm=SPACING).get_suptitle()
    assert said.endswith("order not judged; no particle")
    with pytest.raises(PlanError, match="outside of the specimen"):
        voxel_sdm(specimen_store, roles, grid, (999, 0, 0), spacing_nm=SPACING)


def test_zones_of_votes(specimen_store, roles, grid):
    figure = drawn(vote_zones(specimen_store, roles, grid.votes))
    total = grid.votes.total[grid.votes.count == 64]
    assert titles(figure)[0] == f"a   {len(total):,} voxels covered by all 64 cubes".replace(",", "\u2009")
    shown = [float(title.split()[-1]) for title in titles(figure)[1:]]
    assert shown == pytest.approx([total.min(), total[np.abs(total - 32).argmin()], total.max()], abs=0.005)
    assert ("empty" in titles(figure)[3]) == (total.max() < 56)


def test_zones_of_cubes(specimen_store, roles, specimen_scan):
    p = specimen_scan.p(4)
    figure = drawn(cube_zones(specimen_store, roles, p, edge_nm=4))
    for title, wanted in zip(titles(figure)[1:], (0, 0.3, 0.65, 1), strict=True):
        nearest = p.ravel()[np.nanargmin(np.abs(p - wanted))]
        assert float(title.split()[-1]) == pytest.approx(nearest, abs=6e-4)
    with pytest.raises(PlanError, match="Nothing was judged"):
        cube_zones(specimen_store, roles, p * np.nan, edge_nm=4)


def test_grey_pictures_of_cubes_drawn_at_random(specimen_store, specimen_scan):
    found = grey_cubes(specimen_store, specimen_scan, np.random.default_rng(1), n_most=3)
    assert found.shape == (3, 150, 150)
    assert (found.max(axis=(1, 2)) == 255).all()


@pytest.mark.slow
def test_pictures_are_the_same_twice(specimen_store, roles, grid):
    same_twice(lambda: sdm_examples(specimen_store, roles, grid, spacing_nm=SPACING))
