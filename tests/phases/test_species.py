"""Both phases of simulated specimens against what was put into them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aptstream.cloud import ingest
from aptstream.crystal import Crystal
from aptstream.errors import PlanError, RangingError, StoreError
from aptstream.io import write_pos
from aptstream.phases.phasemap import PhaseMap
from aptstream.phases.sites import site_occupancy
from aptstream.phases.sitesums import REACH_CELLS
from aptstream.phases.species import Look, OrderFrame, default_pairs, phase_sdms
from aptstream.points import Roles
from aptstream.sdm.planes import Planes, fit_planes
from aptstream.simulate import Particles, Settings, draw_particles, simulate_specimen, voxel_fraction
from aptstream.simulate.settings import LEVELS

ROLES = Roles(("Al",), ("Li", "Mg"))
NONE = Particles(np.zeros((0, 3)), np.zeros(0), np.zeros(0, int))
STRAIGHT = {"tilt_deg": 0.0, "bow_deg": 0.0, "stretch": 0.0, "density_wave": 0.0, "background": 0.0}
L12 = Crystal("L12", 0.405)


def made(folder, seed, settings, particles):
    """Store, true labels and frame of a simulated specimen."""
    rng = np.random.default_rng(seed)
    particles = draw_particles(rng, settings.size_nm, volume_fraction=0.1) if particles is None else particles
    specimen = simulate_specimen(rng, particles, settings)
    folder.mkdir(exist_ok=True, parents=True)
    write_pos(folder / "a.pos", specimen.cloud.position, specimen.cloud.mass_to_charge)
    store = ingest(folder / "a.pos", ranges=settings.alloy.ranges, out=folder / "a.zarr")
    labels = np.zeros(store.shape_cells, "i4")
    for k in range(len(particles)):
        distortion, one = specimen.plan.distortion, particles[k : k + 1]
        inside = voxel_fraction(one, store.shape_cells, origin_nm=store.origin_nm, distortion=distortion)
        labels[inside >= 0.5] = k + 1
    planes = fit_planes(specimen.cloud, ROLES, settings.crystal.period_nm)
    where = PhaseMap(labels, np.ones(labels.shape, bool), store.origin_nm)
    return store, where, OrderFrame(planes, settings.crystal, ROLES)


@pytest.fixture(scope="module", params=["good", pytest.param("hard", marks=pytest.mark.slow)])
def specimen(request, tmp_path_factory):
    settings = Settings(size_nm=(26.0, 26.0, 26.0), **LEVELS[request.param])
    return made(tmp_path_factory.mktemp("phases") / "s", 3, settings, None), settings


@pytest.mark.slow
def test_a_perfect_crystal_alternates_completely_and_a_random_one_not_at_all(tmp_path):
    settings = Settings((17.0, 17.0, 33.0), "no-contrast", occupancy=1.0, antisite=0.0, efficiency=0.25, **STRAIGHT)
    full = Particles(np.full((1, 3), 10.0), np.array([60.0]), np.array([1]))
    store, where, frame = made(tmp_path / "full", 1, settings, full)
    where = replace(where, labels=np.where(np.arange(33) < 31, 1, 0) + 0 * where.labels, shell_nm=0.0)
    ordered = phase_sdms(where, store, frame).particles
    expected = {"Al–Al": 1 / 9, "Al–Li+Mg": -1 / 3, "Li+Mg–Li+Mg": 1, "Al–Li": -1 / 3, "Al–Mg": -1 / 3}
    expected |= {"Li–Li": 1, "Li–Mg": 1, "Mg–Mg": 1}  # 5 : 4, and all on even planes
    assert [sdm.name for sdm in ordered.sdms] == ["–".join(map("+".join, pair)) for pair in default_pairs(ROLES)]
    for name, alternation in expected.items():
        contrast = ordered.sdm(name).waves.contrast
        assert contrast.value == pytest.approx(alternation, abs=4 * contrast.sigma + 0.004), name
        assert ordered.sdm(name).waves.spacing_nm.value == pytest.approx(0.405 / 8**0.5, abs=1e-4)
    store, where, frame = made(tmp_path / "none", 2, replace(settings, kind="ordered"), NONE)
    where = replace(where, labels=np.where(np.arange(33) < 2, 1, 0) + 0 * where.labels, shell_nm=0.0)
    for sdm in phase_sdms(where, store, frame).matrix.sdms:
        assert abs(sdm.waves.doubled.significance) < 4, sdm.name
        assert abs(sdm.waves.contrast.value) < 0.02, sdm.name


def test_order_doubles_the_period_inside_and_not_outside(specimen):
    (store, where, frame), _ = specimen
    phases = phase_sdms(where, store, frame)
    for sdm in phases.particles.sdms:
        assert abs(sdm.waves.doubled.significance) > 5, sdm.name
        assert np.sign(sdm.waves.doubled.value) == (-1 if ("Al" in sdm.first) != ("Al" in sdm.second) else 1)
    for sdm in phases.matrix.sdms:
        assert abs(sdm.waves.doubled.significance) < 4.5, sdm.name
    for phase in phases.both:
        assert phase.spacing_nm.value == pytest.approx(frame.planes.period_nm / 2, rel=2e-3)
        assert phase.share == 1
        assert phase.sdm("Al–Li+Mg").zx.sum() == phase.sdm("Al–Li").zx.sum() + phase.sdm("Al–Mg").zx.sum()


def test_order_and_sites_are_those_that_were_put_in(specimen):
    (store, where, frame), settings = specimen
    high, low = settings.site_solute()
    with_solute = (high + low) / 2
    sites = site_occupancy(where, store, frame)
    assert sites.by_particles
    assert sites.n_pooled >= 10
    # Ions of the background and the blurred rim read 1 to 3 % low.
    assert sites.order.value == pytest.approx(high - low, abs=4 * sites.order.sigma + 0.03)
    expected = {
        "Al": (1 - with_solute) / (2 - with_solute - low),
        "Li": with_solute / (with_solute + low),
        "Mg": with_solute / (with_solute + low),
    }
    assert [share.species for share in sites.shares] == list(expected)
    for share in sites.shares:
        found = share.on_solute_planes
        assert found.value == pytest.approx(expected[share.species], abs=4 * found.sigma + 0.015), share.species
    z = [(one.order.value - (high - low)) / one.order.sigma for one in sites.particles if one.in_core and one.order]
    assert len(z) >= 5
    assert 0.4 < np.sqrt(np.mean(np.square(z))) < 1.7


def test_sums_over_pairs_are_those_of_a_loop_over_all_ions(specimen):
    (store, where, frame), _ = specimen
    label = int(np.argsort(np.bincount(where.labels.ravel())[1:])[-4]) + 1
    one = replace(where, labels=(where.labels == label).astype("i4"))
    sites = site_occupancy(one, store, frame)
    cloud = store.read((0, 0, 0), store.shape_cells)
    cell = np.floor(cloud.position.astype(float) - store.origin_nm).astype(int)
    padded = np.pad(one.labels > 0, 1)
    core = one.labels > 0
    for axis in range(3):
        core = core & np.roll(padded, 1, axis)[1:-1, 1:-1, 1:-1] & np.roll(padded, -1, axis)[1:-1, 1:-1, 1:-1]
    inside, core = (some[tuple(cell.T)] & (cloud.species > 0) for some in (one.labels > 0, core))

    def pairs(rows):
        height = cloud.position[rows, 2].astype(float) - cloud.position[rows, :2].astype(float) @ frame.planes.slope
        phase = 2 * np.pi / frame.planes.period_nm * height
        apart = np.abs(cell[rows][:, None] - cell[rows][None])
        gauss = np.exp(-0.5 * np.arange(REACH_CELLS + 1) ** 2)
        gauss = np.append(gauss / (2 * gauss.sum() - 1), 0)
        window = gauss[np.minimum(apart, REACH_CELLS + 1)].prod(axis=2)
        np.fill_diagonal(window, 0)
        return window, phase[:, None] - phase[None]

    window, difference = pairs(np.flatnonzero(inside))
    planes2 = (window * np.cos(2 * difference)).sum() / window.sum()
    rows = np.flatnonzero(core)
    window, difference = pairs(rows)
    kind = cloud.species[rows]
    solute = kind != store.species_names.index("Al")
    w = solute - solute.mean()
    ww = (window * np.outer(w, w) * np.cos(difference)).sum() / window.sum()
    assert not sites.by_particles
    assert sites.particles[0].n_ions == len(rows)
    assert sites.order.value == pytest.approx(np.sqrt(ww / planes2**0.25) / 0.25, rel=1e-6)
    for share in sites.shares:
        mine = kind == store.species_names.index(share.species)
        aw = (window * w[None] * np.cos(difference))[mine].sum() / window[mine].sum()
        assert share.mean_cosine.value == pytest.approx(aw / np.sqrt(ww * planes2**0.25), rel=1e-6)
        assert 0 < share.mean_cosine.sigma < 0.5


@pytest.mark.slow
def test_clusters_without_order_have_neither_sites_nor_a_doubled_period(tmp_path):
    settings = Settings((20.0, 20.0, 20.0), "clusters", **LEVELS["good"])
    store, where, frame = made(tmp_path / "s", 5, settings, None)
    sites = site_occupancy(where, store, frame)
    assert (sites.order, sites.shares) == (None, ())
    assert all(one.order is None for one in sites.particles)
    assert len(sites.particles) == where.n_particles
    for sdm in phase_sdms(where, store, frame).particles.sdms:
        assert sdm.waves.doubled is None or abs(sdm.waves.doubled.significance) < 4.5


@pytest.mark.slow
def test_errors_of_the_doubled_amplitude_are_as_large_as_its_scatter_over_specimens(tmp_path):
    settings = Settings((24.0, 24.0, 20.0), **{**LEVELS["good"], "efficiency": 0.3})
    z = []
    for seed in range(12):
        store, where, frame = made(tmp_path / str(seed), seed, settings, NONE)
        where = replace(where, labels=np.where(np.arange(20) < 1, 1, 0) + 0 * where.labels[:, :, :20])
        found = phase_sdms(where, store, frame, look=Look(pairs=default_pairs(ROLES)[3:])).matrix.sdms
        z.extend(sdm.waves.doubled.significance for sdm in found)
    assert 0.7 < np.sqrt(np.mean(np.square(z))) < 1.4


def test_what_cannot_be_judged_is_refused_in_words(specimen):
    (store, where, frame), _ = specimen
    with pytest.raises(PlanError, match="no particles"):
        phase_sdms(replace(where, labels=0 * where.labels), store, frame)
    with pytest.raises(PlanError, match="no matrix"):
        phase_sdms(replace(where, labels=0 * where.labels + 1), store, frame)
    with pytest.raises(PlanError, match="no matrix"):
        phase_sdms(replace(where, judged=where.labels > 0), store, frame)
    with pytest.raises(PlanError, match="No lattice planes are visible"):
        OrderFrame(Planes(0.2864, visible=False), L12, ROLES)
    with pytest.raises(PlanError, match="order does not show"):
        OrderFrame(Planes(0.2338), Crystal("L12", 0.405, (1, 1, 1)), ROLES)
    with pytest.raises(RangingError, match="Cu"):
        phase_sdms(where, store, frame, look=Look(((("Al",), ("Cu",)),)))
    with pytest.raises(PlanError, match="without overlap"):
        phase_sdms(where, store, frame, look=Look(((("Al", "Li"), ("Li",)),)))
    with pytest.raises(PlanError, match="At least 1000"):
        Look(most_ions=10)
    moved = replace(where, origin_nm=(9.0, 0.0, 0.0))
    for judge in (phase_sdms, site_occupancy):
        with pytest.raises(StoreError, match="do not belong together"):
            judge(moved, store, frame)
    with pytest.raises(PlanError, match="There is no pair"):
        phase_sdms(where, store, frame, look=Look(((("Al",), ("Al",)),), 2000)).matrix.sdm("Li–Li")
