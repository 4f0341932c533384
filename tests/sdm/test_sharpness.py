"""The blur of planes: recovered from specimens whose blur is known, whatever bow, background and species do."""

from __future__ import annotations

import numpy as np
import pytest

from aptstream.errors import PlanError
from aptstream.points import PointCloud, Roles
from aptstream.sdm.kernel import CellBox
from aptstream.sdm.planes import Planes, fit_planes
from aptstream.sdm.sharpness import plane_blur
from aptstream.simulate import Settings, draw_particles, simulate_specimen

ROLES = Roles(("Al",), ("Li", "Mg"))


def blur_of(settings, seed=1, astray=0.0):
    rng = np.random.default_rng(seed)
    specimen = simulate_specimen(rng, draw_particles(rng, settings.size_nm, volume_fraction=0.07), settings)
    cloud, box = specimen.cloud, CellBox((0, 0, 0), (0, 0, 0), tuple(map(int, settings.size_nm)))
    planes = fit_planes(cloud, ROLES, settings.crystal.period_nm)
    role = ROLES.of(cloud.species_names)[cloud.species]
    return plane_blur(cloud, role, planes, box=box, astray=astray), specimen.plan.distortion


OTHERS = [pytest.param(*blur, marks=pytest.mark.slow) for blur in ((0.02, 0.55), (0.05, 0.45), (0.065, 0.45))]


@pytest.mark.parametrize(("sigma", "efficiency"), [(0.03, 0.55), *OTHERS])
def test_the_blur_of_a_known_specimen_is_recovered(sigma, efficiency):
    # planes blurred by 0.065 nm are the last that can be seen: they take more ions
    size = (24, 24, 30) if sigma < 0.06 else (30, 30, 40)
    settings = Settings(size_nm=size, sigma_z_nm=sigma, efficiency=efficiency)
    assert blur_of(settings, astray=0.01)[0].sigma_nm == pytest.approx(sigma, rel=0.06)


@pytest.mark.slow
def test_the_bow_of_the_planes_is_told_from_their_blur():
    flat = Settings(size_nm=(24, 24, 30), tilt_deg=0.0, bow_deg=0.0)
    bowed = Settings(size_nm=(24, 24, 30), tilt_deg=0.0, bow_deg=2.0)
    without, _ = blur_of(flat)
    blur, distortion = blur_of(bowed, seed=6)
    assert blur.sigma_nm == pytest.approx(0.03, rel=0.08)
    slope = abs(distortion.bow) * 12 * (2 / 3) ** 0.5  # root mean square over the square section
    assert blur.slope == pytest.approx(slope, rel=0.25)
    assert without.slope < 0.3 * slope


@pytest.mark.slow
def test_background_is_not_taken_for_blur():
    settings = Settings(size_nm=(24, 24, 30), background=0.3)
    assert blur_of(settings, astray=0.0)[0].sigma_nm > 0.0318
    assert blur_of(settings, astray=0.151 / 1.151)[0].sigma_nm == pytest.approx(0.03, rel=0.08)


def test_ions_without_planes_have_no_coherence():
    rng = np.random.default_rng(0)
    position = rng.uniform(0, 16, (100_000, 3)).astype("f4")
    cloud = PointCloud(position, np.ones(100_000, "f4"), np.ones(100_000, "u1"), ("unranged", "Al"))
    role = np.zeros(100_000, "u1")
    blur = plane_blur(cloud, role, Planes(0.2864), box=CellBox((0, 0, 0), (0, 0, 0), (16, 16, 16)))
    assert blur.coherence < 0.03
    assert blur.sigma_nm > 0.055
    with pytest.raises(PlanError, match="no ion of host or solute"):
        plane_blur(cloud, role + 2, Planes(0.2864), box=CellBox((0, 0, 0), (0, 0, 0), (16, 16, 16)))
