"""Period and tilt of the planes, fitted to specimens whose planes are known."""

import numpy as np
import pytest

from aptstream.errors import PlanError
from aptstream.points import PointCloud, Roles
from aptstream.sdm.planes import Planes, fit_planes
from aptstream.simulate import Particles, Settings, simulate_specimen

ROLES = Roles(("Al",), ("Li", "Mg"))
PERIOD = 0.405 / 2**0.5
SPHERE = Particles(np.array([[8.0, 8.0, 10.0]]), np.array([3.5]), np.array([2]))


def specimen(factor, slope):
    """Simulated ions with the planes stretched and then tilted."""
    settings = Settings(size_nm=(16.0, 16.0, 20.0), stretch=0.0, tilt_deg=0.0, bow_deg=0.0)
    cloud = simulate_specimen(np.random.default_rng(1), SPHERE, settings).cloud
    position = cloud.position * np.array([1, 1, factor], "f4")
    position[:, 2] += position[:, :2] @ np.array(slope, "f4")
    return PointCloud(position, cloud.mass_to_charge, cloud.species, cloud.species_names)


@pytest.mark.parametrize("factor", [0.94, 1.0, 1.06])
@pytest.mark.parametrize("slope", [(0.0, 0.0), (0.04, -0.02), (-0.01, 0.045)])
def test_period_and_tilt_are_those_of_the_planes(factor, slope):
    planes = fit_planes(specimen(factor, slope), ROLES, PERIOD)
    assert planes.period_nm == pytest.approx(PERIOD * factor, rel=1e-3)
    assert planes.slope == pytest.approx(slope, abs=np.deg2rad(0.06))
    assert planes.tilt_deg == pytest.approx(np.rad2deg(np.arctan(np.hypot(*slope))), abs=0.09)


def test_depth_may_be_negative():
    cloud = specimen(1.0, (0.03, 0.0))
    moved = PointCloud(
        cloud.position - np.float32([50, 0, 300]), cloud.mass_to_charge, cloud.species, cloud.species_names
    )
    planes = fit_planes(moved, ROLES, PERIOD)
    assert (planes.period_nm, *planes.slope) == pytest.approx((PERIOD, 0.03, 0.0), abs=1e-3)


def test_what_cannot_be_fitted_is_refused():
    names = ("unranged", "Al", "Li", "Mg")
    none = PointCloud(np.zeros((0, 3), "f4"), np.zeros(0, "f4"), np.zeros(0, "u1"), names)
    with pytest.raises(PlanError, match="no ion"):
        fit_planes(none, ROLES, PERIOD)
    cloud = PointCloud(np.array([[1, 1, np.nan]], "f4"), np.ones(1, "f4"), np.ones(1, "u1"), names)
    with pytest.raises(PlanError, match="finite"):
        fit_planes(cloud, ROLES, PERIOD)


@pytest.mark.parametrize(
    ("period", "slope"), [(0.0, (0.0, 0.0)), (float("nan"), (0.0, 0.0)), (0.3, (float("inf"), 0.0))]
)
def test_impossible_planes_are_refused(period, slope):
    with pytest.raises(PlanError, match="positive period"):
        Planes(period, slope)
