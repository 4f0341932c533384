"""Poles of simulated needles are found where they are, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from aptstream.cloud import ingest
from aptstream.cluster import local_client
from aptstream.errors import PlanError
from aptstream.io import read_ions, write_pos
from aptstream.points import Range, RangeTable
from aptstream.pole import find_poles
from aptstream.pole.columns import plan_columns
from aptstream.pole.waves import WaveGrid
from aptstream.simulate import simulate_structureless

ALL = RangeTable((Range(0.1, 300, (("Al", 1),)),))


def stored(position, folder):
    position = np.asarray(position, np.float32)
    write_pos(folder / "ions.pos", position, np.full(len(position), 27, np.float32))
    return ingest(folder / "ions.pos", ranges=ALL, out=folder / "ions.zarr")


def test_the_pole_of_a_needle_is_found(searched):
    (pole,), truth = searched.search.poles, searched.needle.poles[0]
    wave = truth.wave_per_nm([pole.centre_nm])[0]
    length = np.linalg.norm(wave)
    assert pole.status == "found"
    assert np.degrees(np.arccos(min(1, np.dot(pole.direction, wave) / length))) < 0.3
    assert pole.spacing_nm * length == pytest.approx(1, abs=0.002)
    assert pole.dome_radius_nm == pytest.approx(70, rel=0.15)
    assert truth.from_axis_nm([pole.centre_nm])[0] < 2
    assert searched.search.verdict.startswith("Planes were found")
    assert sorted(searched.search.identity.families[0]) == [0, 0, 1]


@pytest.mark.cluster
def test_the_same_ions_give_the_same_poles_on_workers(searched):
    with local_client(2) as client:
        search = find_poles(searched.store, client=client)
    assert search.poles == searched.search.poles
    assert search.identity is None  # no crystal was given


def test_progress_tells_of_every_stage(searched):
    told = searched.told
    assert {stage for stage, _, _ in told} == {"search", "compare", "follow"}
    assert all(done <= total for _, done, total in told)
    assert told[-1][1] == told[-1][2]


def test_nothing_is_found_where_there_is_no_lattice(searched, tmp_path):
    specimen = simulate_structureless(np.random.default_rng(8), searched.needle.settings.cone)
    search = find_poles(stored(specimen.cloud.position, tmp_path))
    assert search.poles == ()
    assert search.best is None
    assert "No planes were found" in search.verdict


@pytest.mark.slow
def test_planes_that_were_never_there_are_not_found_after_ions_were_moved(searched, tmp_path):
    """Half a nanometre of noise along the depth leaves edges and densities, and no planes."""
    position = searched.needle.cloud.position.copy()
    position[:, 2] += np.random.default_rng(1).normal(0, 0.5, len(position))
    assert not any(pole.status == "found" for pole in find_poles(stored(position, tmp_path)).poles)


@pytest.mark.parametrize("n_ions", [1, 1000])
def test_a_handful_of_ions_is_refused(n_ions, tmp_path):
    position = np.random.default_rng(1).uniform(0, 30, (n_ions, 3))
    with pytest.raises(
        PlanError, match=r"Planes cannot be looked for: the fullest ellipsoid .* at least 500 are needed"
    ):
        find_poles(stored(position, tmp_path))


def test_a_sliver_gives_an_answer(tmp_path):
    """A foil 2 nm thin has no regions that hold enough; one of 6 nm has, and no planes."""
    rng = np.random.default_rng(2)
    search = find_poles(stored(rng.uniform(0, (30, 6, 30), (150_000, 3)), tmp_path))
    assert search.poles == ()


def test_columns_hold_only_regions_that_are_full(searched):
    store = searched.store
    grid = WaveGrid()
    for column in plan_columns(store, grid):
        assert np.hypot(column.x_nm, column.y_nm) < 14
        assert list(column.z_nm) == sorted(column.z_nm)


@pytest.mark.slow
def test_no_planes_are_found_in_measured_silicon(shared_data, tmp_path):
    search = find_poles(stored(read_ions(shared_data / "si" / "Si.pos")[0], tmp_path))
    assert search.poles == (), search.verdict
