"""Specimens made slab by slab: the same ions however they are grouped, in files as in memory."""

import tracemalloc

import numpy as np
import pytest

from aptstream.crystal import Crystal
from aptstream.io import read_ions
from aptstream.io.epos import EPOS
from aptstream.simulate import (
    MATERIALS,
    Particles,
    Settings,
    draw_particles,
    plan_specimen,
    simulate_specimen,
    slabs,
    write_specimen,
)

NOTHING = Particles(np.zeros((0, 3)), np.zeros(0), np.zeros(0, dtype=np.int64))
TILTED = {"tilt_deg": 8.0, "bow_deg": 6.0, "stretch": 0.05}


def plan_of(seed=3, **changes):
    rng, how = np.random.default_rng(seed), Settings(size_nm=(9, 8, 14), **changes)
    return plan_specimen(rng, draw_particles(rng, how.size_nm, volume_fraction=0.08, mean_nm=1.5), how)


@pytest.fixture
def _thin_slabs(monkeypatch):
    monkeypatch.setattr(slabs, "SLAB_SITES", 6000)


@pytest.mark.usefixtures("_thin_slabs")
@pytest.mark.parametrize("changes", [{}, TILTED, {"sigma_z_nm": 1.0, **TILTED}, {"background": 2.0, "bow_deg": 20.0}])
def test_ions_do_not_depend_on_how_slabs_are_grouped(changes):
    plan = plan_of(**changes)
    assert plan.n_slabs > 10
    one, *others = (list(plan.blocks(slabs)) for slabs in (1, 4, 1000))
    assert len(one) == plan.n_slabs
    assert len(others[1]) == 1
    for other in others:
        for name in ("position", "mass_to_charge", "species"):
            a, b = (np.concatenate([getattr(block, name) for block in blocks]) for blocks in (one, other))
            assert a.tobytes() == b.tobytes()


@pytest.mark.usefixtures("_thin_slabs")
@pytest.mark.parametrize("seed", range(6))
def test_depth_never_falls_from_block_to_block(seed):
    plan = plan_of(seed, sigma_z_nm=0.5, background=0.5, **TILTED)
    depth = np.concatenate([block.position[:, 2] for block in plan.blocks()])
    assert (np.diff(depth) >= 0).all()


@pytest.mark.usefixtures("_thin_slabs")
def test_no_slab_repeats_another():
    # Masses around a peak take some hundred thousand values: two slabs of some thousand ions share a few in a hundred.
    masses = [block.mass_to_charge for block in plan_of().blocks() if len(block) > 1000]
    assert len(masses) > 5
    for k, mass in enumerate(masses[1:], start=1):
        assert np.isin(mass, np.concatenate(masses[:k])).mean() < 0.1 * k


@pytest.mark.usefixtures("_thin_slabs")
def test_planes_go_on_across_slabs():
    how = {"tilt_deg": 0, "bow_deg": 0, "stretch": 0, "density_wave": 0, "sigma_z_nm": 0.02, "background": 0}
    plan = plan_of(**how)
    cloud = np.concatenate([block.position for block in plan.blocks()]).astype(float)
    spacing = plan.settings.crystal.plane_spacing_nm
    factor = np.exp(2j * np.pi / spacing * cloud[:, 2])
    for part in np.array_split(factor, 7):
        assert abs(part.mean() - np.exp(-2 * (np.pi * 0.02 / spacing) ** 2)) < 0.05  # 2 % from the ends of a part


@pytest.mark.usefixtures("_thin_slabs")
def test_memory_does_not_grow_with_the_depth():
    peaks = []
    for depth in (20, 80):
        plan = plan_specimen(np.random.default_rng(1), NOTHING, Settings(size_nm=(9, 9, depth)))
        tracemalloc.start()
        n_ions = sum(len(block) for block in plan.blocks())
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert n_ions > 2000 * depth
    assert peaks[1] < 1.2 * peaks[0]


def test_in_memory_and_in_blocks_the_ions_are_the_same():
    plan = plan_of(5)
    in_memory, planned = (
        make(np.random.default_rng(6), plan.particles, plan.settings) for make in (simulate_specimen, plan_specimen)
    )
    blocks = list(planned.blocks())
    for name in ("position", "mass_to_charge", "species"):
        streamed = np.concatenate([getattr(block, name) for block in blocks])
        assert getattr(in_memory.cloud, name).tobytes() == streamed.tobytes()


def test_two_specimens_of_one_generator_differ():
    rng, how = np.random.default_rng(1), Settings(size_nm=(6, 6, 6))
    first, second = (simulate_specimen(rng, NOTHING, how).cloud.position for _ in range(2))
    assert first.tobytes() != second.tobytes()


@pytest.mark.usefixtures("_thin_slabs")
@pytest.mark.parametrize("ions", ["pos", "epos"])
def test_a_plan_is_written_as_it_is_made(tmp_path, ions):
    plan, told = plan_of(), []
    files = write_specimen(plan, tmp_path, ions=ions, progress=lambda *state: told.append(state))
    position = np.concatenate([block.position for block in plan.blocks()])
    mass = np.concatenate([block.mass_to_charge for block in plan.blocks()])
    if ions == "pos":
        read, read_mass = read_ions(files.pos)
    else:
        records = np.fromfile(files.pos, EPOS)
        read = np.stack([records[axis] for axis in "xyz"], axis=1).astype(np.float32)
        read_mass = records["mass_to_charge"].astype(np.float32)
    assert read.tobytes() == position.tobytes()
    assert read_mass.tobytes() == mass.tobytes()
    assert told == [("simulate", k, plan.n_slabs, "slabs") for k in range(1, plan.n_slabs + 1)]


def test_columns_of_epos_obey_the_physics_of_flight(tmp_path):
    assert EPOS.itemsize == 44
    records = np.fromfile(write_specimen(plan_of(), tmp_path, ions="epos").pos, EPOS)
    energy_ev = records["dc_v"].astype(float) + records["pulse_v"]
    speed = 0.09 / (records["tof_ns"].astype(float) * 1e-9)
    mass_kg = records["mass_to_charge"].astype(float) * 1.66053907e-27
    np.testing.assert_allclose(mass_kg * speed**2 / 2 / 1.602176634e-19, energy_ev, rtol=1e-4)
    assert (np.diff(records["dc_v"].astype(float)) >= 0).all()
    assert np.hypot(records["det_x_mm"], records["det_y_mm"]).max() < 38
    assert (records["ions_per_pulse"] == 1).all()


@pytest.mark.parametrize("name", MATERIALS)
def test_every_material_can_be_simulated_and_shows_its_planes(name):
    alloy, crystal = MATERIALS[name]
    rng = np.random.default_rng(1)
    still = {"tilt_deg": 0, "bow_deg": 0, "stretch": 0, "density_wave": 0, "background": 0, "sigma_z_nm": 0.01}
    how = Settings(size_nm=(8, 8, 40 * crystal.plane_spacing_nm), alloy=alloy, crystal=crystal, **still)
    cloud = simulate_specimen(rng, draw_particles(rng, how.size_nm, volume_fraction=0), how).cloud
    expected = crystal.density_per_nm3 * np.prod(how.size_nm) * how.efficiency
    assert len(cloud) == pytest.approx(expected, abs=5 * np.sqrt(expected))
    factor = np.exp(2j * np.pi / crystal.plane_spacing_nm * cloud.position[:, 2].astype(float)).mean()
    damping = np.exp(-2 * (np.pi * how.sigma_z_nm / crystal.plane_spacing_nm) ** 2)
    assert abs(factor) == pytest.approx(damping, abs=5 / np.sqrt(len(cloud)))


def test_a_pole_of_high_indices_keeps_the_density():
    how = Settings(
        size_nm=(7, 8, 9), crystal=Crystal("L12", 0.405, (3, 2, 5)), sigma_z_nm=0.3, density_wave=0, background=0
    )
    rng = np.random.default_rng(2)
    cloud = simulate_specimen(rng, draw_particles(rng, how.size_nm, volume_fraction=0), how).cloud
    expected = 4 / 0.405**3 * 7 * 8 * 9 * how.efficiency
    assert len(cloud) == pytest.approx(expected, rel=how.stretch, abs=5 * np.sqrt(expected))
