"""The dark field against SciPy's Gaussian filters, and what it must say of ordered and of random specimens."""

import numpy as np
import pytest
from scipy import ndimage

from aptstream.crystal import Crystal
from aptstream.errors import PlanError
from aptstream.points import PointCloud, Roles
from aptstream.sdm.darkfield import N_MAPS, SCALES_NM, OrderField, dark_field, order_field, shuffled_roles
from aptstream.sdm.field import HALO_CELLS
from aptstream.sdm.kernel import CellBox
from aptstream.sdm.planes import Planes
from aptstream.simulate import Particles, Settings, simulate_specimen, voxel_fraction

ROLES = Roles(("Al",), ("Li", "Mg"))
PERIOD = 0.405 / 2**0.5
PLANES = Planes(PERIOD)
CRYSTAL = Crystal("L12", 0.405)
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
    smooth = lambda a, s, t=3.5: ndimage.gaussian_filter(a, s / h, mode="constant", truncate=t)  # noqa: E731
    voxels = lambda a: a.reshape(16, 2, 16, 2, 20, 2).mean(axis=(1, 3, 5))  # noqa: E731
    fraction = smooth(grid(x), 2.0) / np.maximum(smooth(grid(np.ones_like(x)), 2.0), 1e-6)
    w, q = x - fraction[cell], 2 * np.pi / period
    real, imaginary, square = grid(w * np.cos(q * p[:, 2])), grid(w * np.sin(q * p[:, 2])), grid(w * w)
    return np.array([
        (voxels(smooth(real, s)) ** 2 + voxels(smooth(imaginary, s)) ** 2)
        / (voxels(smooth(square, s / 2**0.5, 3.5 * 2**0.5)) * h**3 / (8 * np.pi**1.5 * s**3))
        for s in scales
    ])  # fmt: skip


def test_the_kernel_equals_scipy():
    cloud = specimen()
    expected = with_scipy(cloud, PERIOD, SCALES_NM)
    field = dark_field(cloud, ROLES, PLANES, box=BOX)
    np.testing.assert_allclose(field, expected, rtol=1e-5, atol=1e-6)


def test_order_shines_and_only_order():
    inside = voxel_fraction(SPHERE, BOX.shape) > 0.99
    outside = voxel_fraction(SPHERE, BOX.shape) == 0
    field = dark_field(specimen(), ROLES, PLANES, box=BOX)[2]
    assert field[inside].mean() > 20 * field[outside].mean()
    for changes in ({"kind": "clusters"}, {"shuffle": True}):
        field = np.stack([dark_field(specimen(seed, **changes), ROLES, PLANES, box=BOX)[2] for seed in range(6)])
        # exponential with mean 1; about 6 x 5120 / (4 pi)^1.5 = 700 independent values: five standard deviations
        assert field.mean() == pytest.approx(1, abs=5 / 700**0.5)


def test_a_part_with_its_halo_equals_the_whole():
    long = CellBox((0, 0, 0), (0, 0, 0), (6, 6, 3 * HALO_CELLS))
    rng = np.random.default_rng(3)
    n = 20 * int(np.prod(long.shape))
    position = (rng.random((n, 3)) * long.shape).astype("f4")
    cloud = PointCloud(position, np.ones(n, "f4"), rng.integers(1, 3, n).astype("u1"), ("unranged", "Al", "Li"))
    roles = Roles(("Al",), ("Li",))
    whole = dark_field(cloud, roles, PLANES, box=long)
    part = CellBox((0, 0, 0), (0, 0, HALO_CELLS // 2), (6, 6, 2 * HALO_CELLS + 2))
    middle = slice(HALO_CELLS, HALO_CELLS + 2)
    shifted = slice(HALO_CELLS + HALO_CELLS // 2, HALO_CELLS + HALO_CELLS // 2 + 2)
    np.testing.assert_array_equal(dark_field(cloud, roles, PLANES, box=part)[..., middle], whole[..., shifted])


def test_no_ions_give_no_field():
    none = PointCloud(np.zeros((0, 3), "f4"), np.zeros(0, "f4"), np.zeros(0, "u1"), ("unranged", "Al", "Li", "Mg"))
    assert not dark_field(none, ROLES, PLANES, box=BOX).any()
    role = np.zeros(0, "u1")
    assert not order_field(none, role, PLANES, CRYSTAL, box=BOX).power.any()


@pytest.mark.parametrize(("scales", "stride"), [((0.0,), 1), ((float("nan"),), 1), ((1.0,), 0.5), ((), 1)])
def test_impossible_lengths_are_refused(scales, stride):
    box = CellBox((0, 0, 0), (0, 0, 0), (4, 4, 4), stride)
    with pytest.raises(PlanError, match=r"positive scales|cells of 1 nm"):
        dark_field(specimen(), ROLES, PLANES, box=box, scales_nm=scales)


def test_positions_that_are_no_numbers_are_refused():
    cloud = PointCloud(np.array([[1, 1, np.nan]], "f4"), np.ones(1, "f4"), np.ones(1, "u1"), specimen().species_names)
    with pytest.raises(PlanError, match="finite"):
        dark_field(cloud, ROLES, PLANES, box=BOX)


def field_of(cloud, box=BOX):
    return order_field(cloud, ROLES.of(cloud.species_names)[cloud.species], PLANES, CRYSTAL, box=box)


def test_the_order_field_holds_the_dark_field_and_comes_apart_again():
    cloud = specimen()
    field = field_of(cloud)
    np.testing.assert_array_equal(field.power, dark_field(cloud, ROLES, PLANES, box=BOX))
    assert field.stacked.shape == (N_MAPS, *BOX.shape)
    again = OrderField.unstack(field.stacked)
    for name in ("power", "locked", "linear", "order", "strength", "coherence2", "solute", "density"):
        np.testing.assert_array_equal(getattr(again, name), getattr(field, name))


@pytest.mark.parametrize("sigma_z", [0.02, 0.04])
def test_order_is_measured_in_units_of_full_order(sigma_z):
    """Inside a particle of known order and known blur the linear order is S · exp(−2π²σ²/D²), and κ is the planes'."""
    blur = {"sigma_z_nm": sigma_z, "tilt_deg": 0.0, "bow_deg": 0.0, "stretch": 0.0, "background": 0.0}
    fields = [field_of(specimen(seed, occupancy=0.8, antisite=0.0, **blur)) for seed in range(4)]
    core = voxel_fraction(Particles(SPHERE.centre_nm, SPHERE.radius_nm - 1.7, SPHERE.variant), BOX.shape) == 1
    linear = np.mean([field.linear[1][core].mean() for field in fields])
    # w is taken against the solute fraction over 2 nm, which differs from the core's own: order alone is unchanged
    assert linear == pytest.approx(0.8 * np.exp(-2 * (np.pi * sigma_z / PERIOD) ** 2), rel=0.08)
    coherence2 = np.mean([field.coherence2[4:12, 4:12, 6:14].mean() for field in fields])
    assert coherence2 == pytest.approx(np.exp(-4 * (np.pi * sigma_z / (PERIOD / 2)) ** 2), rel=0.08)


def test_a_part_of_the_order_field_with_its_halo_equals_the_whole():
    settings = Settings(size_nm=(8.0, 8.0, 3.0 * HALO_CELLS))
    cloud = simulate_specimen(np.random.default_rng(5), SPHERE, settings).cloud
    whole = field_of(cloud, CellBox((0, 0, 0), (0, 0, 0), (8, 8, 3 * HALO_CELLS))).stacked
    part = field_of(cloud, CellBox((0, 0, 0), (0, 0, 3), (8, 8, 2 * HALO_CELLS + 2))).stacked
    np.testing.assert_array_equal(part[..., HALO_CELLS : HALO_CELLS + 2], whole[..., HALO_CELLS + 3 : HALO_CELLS + 5])


def test_shuffled_roles_keep_the_amount_and_lose_the_order():
    cloud = specimen()
    role = ROLES.of(cloud.species_names)[cloud.species]
    share = float((role == 1).sum() / (role < 2).sum())
    drawn = [shuffled_roles(cloud, role, share, number) for number in range(1, 7)]
    np.testing.assert_array_equal(drawn[0][::3], shuffled_roles(cloud[::3], role[::3], share, 1))
    n = (role < 2).sum()
    for one in drawn:
        assert abs((one == 1).sum() - share * n) < 5 * (share * n) ** 0.5
        np.testing.assert_array_equal(one == 2, role == 2)
    together = ((drawn[0] == 1) & (drawn[1] == 1)).sum()
    assert abs(together - share**2 * n) < 5 * (share**2 * n) ** 0.5
    power = np.mean([order_field(cloud, one, PLANES, CRYSTAL, box=BOX).power[2].mean() for one in drawn])
    assert power == pytest.approx(1, abs=5 / 700**0.5 + 0.1)  # means of eight cells take a tenth from 1 nm windows


def test_the_composition_beside_the_order_is_that_of_the_ions():
    cloud = specimen()
    solute = field_of(cloud).solute
    share = (cloud.species[cloud.species > 0] > 1).mean()
    assert solute.shape == (3, *BOX.shape)
    assert solute.mean(axis=(1, 2, 3)) == pytest.approx([share] * 3, rel=0.05)
    core = voxel_fraction(Particles(SPHERE.centre_nm, SPHERE.radius_nm - 1.7, SPHERE.variant), BOX.shape) == 1
    assert solute[0][core].mean() == pytest.approx(0.9 * 0.25 + 0.03 * 0.75, abs=0.03)
