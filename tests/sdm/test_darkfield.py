"""The dark field against SciPy's Gaussian filters, and what it must say of ordered and of random specimens."""

import numpy as np
import pytest
from scipy import ndimage

from aptstream.errors import PlanError
from aptstream.points import PointCloud, Roles
from aptstream.sdm.darkfield import HALO_CELLS, SCALES_NM, dark_field, fit_period
from aptstream.sdm.kernel import CellBox
from aptstream.simulate import Particles, Settings, simulate_specimen, voxel_fraction

ROLES = Roles(("Al",), ("Li", "Mg"))
PERIOD = 0.405 / 2**0.5
BOX = CellBox((0, 0, 0), (0, 0, 0), (16, 16, 20))
SPHERE = Particles(np.array([[8.0, 8.0, 10.0]]), np.array([3.5]), np.array([2]))


def specimen(seed=1, **changes):
    settings = Settings(size_nm=tuple(map(float, BOX.shape)), **changes)
    return simulate_specimen(np.random.default_rng(seed), SPHERE, settings).cloud


def with_scipy(cloud, period, scales, h=0.5):
    """The recipe in ten lines of SciPy, in double precision."""
    role = ROLES.of(cloud.species_names)[cloud.species]
    keep = role < 2
    p, x = cloud.position[keep].astype(float), (role[keep] == 1).astype(float)
    edges = [np.arange(2 * n + 1) * h for n in BOX.shape]
    cell = tuple(np.floor(p / h).astype(int).T)
    grid = lambda weights: np.histogramdd(p, edges, weights=weights)[0]  # noqa: E731
    smooth = lambda a, s: ndimage.gaussian_filter(a, s / h, mode="constant", truncate=3.5)  # noqa: E731
    voxels = lambda a: a.reshape(16, 2, 16, 2, 20, 2).mean(axis=(1, 3, 5))  # noqa: E731
    fraction = smooth(grid(x), 2.0) / np.maximum(smooth(grid(np.ones_like(x)), 2.0), 1e-6)
    w, q = x - fraction[cell], 2 * np.pi / period
    real, imaginary, square = grid(w * np.cos(q * p[:, 2])), grid(w * np.sin(q * p[:, 2])), grid(w * w)
    return np.array([
        (voxels(smooth(real, s)) ** 2 + voxels(smooth(imaginary, s)) ** 2)
        / (voxels(smooth(square, s / 2**0.5)) * h**3 / (8 * np.pi**1.5 * s**3))
        for s in scales
    ])  # fmt: skip


def test_the_kernel_equals_scipy():
    cloud = specimen()
    expected = with_scipy(cloud, PERIOD, SCALES_NM)
    field = dark_field(cloud, ROLES, PERIOD, box=BOX)
    np.testing.assert_allclose(field, expected, rtol=1e-5, atol=1e-6)


def test_order_shines_and_only_order():
    inside = voxel_fraction(SPHERE, BOX.shape) > 0.99
    outside = voxel_fraction(SPHERE, BOX.shape) == 0
    field = dark_field(specimen(), ROLES, PERIOD, box=BOX)[2]
    assert field[inside].mean() > 20 * field[outside].mean()
    for changes in ({"kind": "clusters"}, {"shuffle": True}):
        field = np.stack([dark_field(specimen(seed, **changes), ROLES, PERIOD, box=BOX)[2] for seed in range(6)])
        # exponential with mean 1; about 6 x 5120 / (4 pi)^1.5 = 700 independent values: five standard deviations
        assert field.mean() == pytest.approx(1, abs=5 / 700**0.5)


def test_a_part_with_its_halo_equals_the_whole():
    long = CellBox((0, 0, 0), (0, 0, 0), (6, 6, 3 * HALO_CELLS))
    rng = np.random.default_rng(3)
    n = 20 * int(np.prod(long.shape))
    position = (rng.random((n, 3)) * long.shape).astype("f4")
    cloud = PointCloud(position, np.ones(n, "f4"), rng.integers(1, 3, n).astype("u1"), ("unranged", "Al", "Li"))
    roles = Roles(("Al",), ("Li",))
    whole = dark_field(cloud, roles, PERIOD, box=long)
    part = CellBox((0, 0, 0), (0, 0, HALO_CELLS // 2), (6, 6, 2 * HALO_CELLS + 2))
    middle = slice(HALO_CELLS, HALO_CELLS + 2)
    shifted = slice(HALO_CELLS + HALO_CELLS // 2, HALO_CELLS + HALO_CELLS // 2 + 2)
    np.testing.assert_array_equal(dark_field(cloud, roles, PERIOD, box=part)[..., middle], whole[..., shifted])


@pytest.mark.parametrize("factor", [0.94, 1.0, 1.06])
def test_the_period_is_fitted_to_the_planes(factor):
    cloud = specimen(stretch=0.0, tilt_deg=0.0, bow_deg=0.0)
    position = cloud.position * np.array([1, 1, factor], "f4")
    stretched = PointCloud(position, cloud.mass_to_charge, cloud.species, cloud.species_names)
    assert fit_period(stretched, ROLES, PERIOD) == pytest.approx(PERIOD * factor, rel=1e-3)


def test_no_ions_give_no_field_and_no_period():
    none = PointCloud(np.zeros((0, 3), "f4"), np.zeros(0, "f4"), np.zeros(0, "u1"), ("unranged", "Al", "Li", "Mg"))
    assert not dark_field(none, ROLES, PERIOD, box=BOX).any()
    with pytest.raises(PlanError, match="no ion"):
        fit_period(none, ROLES, PERIOD)


@pytest.mark.parametrize(
    ("period", "scales", "stride"),
    [(0, (1.0,), 1), (PERIOD, (0.0,), 1), (float("nan"), (1.0,), 1), (PERIOD, (1.0,), 0.5), (PERIOD, (), 1)],
)
def test_impossible_lengths_are_refused(period, scales, stride):
    box = CellBox((0, 0, 0), (0, 0, 0), (4, 4, 4), stride)
    with pytest.raises(PlanError, match="positive period"):
        dark_field(specimen(), ROLES, period, box=box, scales_nm=scales)


def test_positions_that_are_no_numbers_are_refused():
    cloud = PointCloud(np.array([[1, 1, np.nan]], "f4"), np.ones(1, "f4"), np.ones(1, "u1"), specimen().species_names)
    with pytest.raises(PlanError, match="finite"):
        dark_field(cloud, ROLES, PERIOD, box=BOX)
    with pytest.raises(PlanError, match="finite"):
        fit_period(cloud, ROLES, PERIOD)
