"""The plan of a scan: every cube written once, from ions that were read, in tasks that fit into memory."""

from __future__ import annotations

import pickle
from functools import partial
from itertools import product
from math import ceil, prod
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aptstream.cloud import ingest
from aptstream.cloud.lattice import Lattice
from aptstream.crystal import Crystal
from aptstream.errors import PlanError, RangingError
from aptstream.io import read_ions, write_pos
from aptstream.io.folder import folder_of
from aptstream.points import Roles
from aptstream.scan import plan as planning
from aptstream.scan.costs import LONGEST_S, SHORTEST_S, load_of
from aptstream.scan.plan import ScanPlan, choose_task, measure_planes, plan_scan
from aptstream.sdm.field import HALO_CELLS
from aptstream.sdm.planes import Planes

ROLES = Roles(("Al",), ("Li", "Mg"))
CRYSTAL = Crystal("L12", 0.405)
EXTENT = st.integers(1, 120)
SHAPE = st.tuples(EXTENT, EXTENT, EXTENT)


def make_plan(shape, task_cells, edges, field_halo=0):
    return ScanPlan(
        *("points.zarr", "m.aptmodel", "0" * 64, "1" * 64, ROLES, shape, task_cells, edges),
        crystal=CRYSTAL,
        planes=Planes(CRYSTAL.period_nm),
        field_halo=field_halo,
    )


def store_of(shape, path):
    """What a plan needs to know of a point store."""
    lattice = Lattice((0.0, 0.0, 0.0), shape)
    cells = [np.prod(lattice.brick_shape(brick)) for brick in np.ndindex(lattice.shape_bricks)]
    return SimpleNamespace(
        shape_cells=shape,
        lattice=lattice,
        brick_counts=lambda: 33 * np.array(cells),
        address=folder_of(path).address,
        attrs={"content_digest": "0" * 64},
        species_names=("unranged", "Al", "Li", "Mg"),
        n_ions=33 * prod(shape),
    )


@given(shape=SHAPE, bricks=st.tuples(*3 * [st.integers(1, 4)]), edges=st.sampled_from([(4, 2), (4,), (2,), (1,)]))
@example(shape=(16, 17, 33), bricks=(1, 1, 1), edges=(4, 2))
def test_every_cell_is_written_exactly_once(shape, bricks, edges):
    plan = make_plan(shape, tuple(16 * b for b in bricks), edges)
    written = np.zeros(shape, dtype=int)
    for task in plan.tasks():
        place = tuple(slice(a, b) for a, b in zip(task.low, task.high, strict=True))
        written[place] += 1
        assert task.shape == written[place].shape
    assert (written == 1).all()
    assert len(plan.tasks()) == prod(plan.n_tasks)


@given(shape=SHAPE, bricks=st.tuples(*3 * [st.integers(1, 4)]), edges=st.sampled_from([(4, 2), (2,), (1,)]))
def test_a_task_reads_its_box_and_the_largest_cubes_reach_on_the_high_side_only(shape, bricks, edges):
    plan = make_plan(shape, tuple(16 * b for b in bricks), edges)
    for task in plan.tasks():
        assert task.read_high == tuple(min(b + max(edges) - 1, n) for b, n in zip(task.high, shape, strict=True))
        # No cube of the task reaches beyond what is read, unless it reaches beyond the specimen.
        last_cube_end = np.minimum(np.array(task.high) - 1 + max(edges), shape)
        assert (last_cube_end <= task.read_high).all()
        assert all(a % 16 == 0 for a in task.low)
        assert task.read_low == task.low


@given(shape=SHAPE, bricks=st.tuples(*3 * [st.integers(1, 4)]))
def test_a_task_with_a_field_reads_its_halo_on_both_sides(shape, bricks):
    plan = make_plan(shape, tuple(16 * b for b in bricks), (4, 2), field_halo=HALO_CELLS)
    for task in plan.tasks():
        assert task.read_low == tuple(max(a - HALO_CELLS, 0) for a in task.low)
        assert task.read_high == tuple(min(b + HALO_CELLS, n) for b, n in zip(task.high, shape, strict=True))


@given(shape=st.tuples(*3 * [st.integers(1, 12)]), edge=st.integers(1, 8))
def test_the_number_of_cubes_is_that_of_the_places_where_one_fits(shape, edge):
    fits = [corner for corner in np.ndindex(shape) if (np.array(corner) + edge <= shape).all()]
    if fits:
        assert make_plan(shape, (16, 16, 16), (edge,)).n_cubes == len(fits)


def loads_of(shape, density, halo=(3, 0)):
    return partial(load_of, shape=shape, halo=halo, density=density)


@given(
    shape=st.tuples(*3 * [st.integers(1, 3000)]),
    density=st.floats(0.05, 100),
    halo=st.sampled_from([(3, 0), (3, HALO_CELLS), (7, 0)]),
    n_workers=st.integers(1, 500),
)
def test_tasks_are_whole_bricks_and_take_seconds_where_any_do(shape, density, halo, n_workers):
    loads = loads_of(shape, density, halo)
    task = choose_task(shape, loads, n_workers)
    assert all(edge % 16 == 0 and edge > 0 for edge in task)
    every = [loads(each).seconds for each in product(range(16, 65, 16), repeat=3)]
    if any(SHORTEST_S <= seconds <= LONGEST_S for seconds in every):
        assert SHORTEST_S <= loads(task).seconds <= LONGEST_S


@given(density=st.floats(10, 60), limit=st.integers(250, 4000))
def test_tasks_fit_into_the_memory_or_the_largest_part_is_named(density, limit):
    shape = (200, 200, 200)
    loads, limit_bytes = loads_of(shape, density, (3, HALO_CELLS)), limit << 20
    if loads((16, 16, 16)).n_bytes > limit_bytes:
        with pytest.raises(PlanError, match=r"would need [\d,]+ MiB .* may take [\d,]+ MiB; the largest part are .*"):
            choose_task(shape, loads, 2, limit_bytes)
    else:
        assert loads(choose_task(shape, loads, 2, limit_bytes)).n_bytes <= limit_bytes


@given(a=st.floats(1, 60), b=st.floats(1, 60))
def test_denser_tasks_cost_more(a, b):
    low, high = (load_of((32, 32, 32), (99, 99, 99), (3, HALO_CELLS), density) for density in sorted((a, b)))
    assert low.seconds <= high.seconds
    assert low.n_bytes <= high.n_bytes
    assert sum(high.parts.values()) == high.n_bytes


@pytest.mark.parametrize("n_workers", [2, 4, 16])
def test_no_worker_idles_while_there_are_bricks(n_workers):
    shape = (60, 60, 100)
    task = choose_task(shape, loads_of(shape, 60.0), n_workers)
    assert prod(ceil(n / t) for n, t in zip(shape, task, strict=True)) >= n_workers


@pytest.fixture
def still_planes(monkeypatch):
    """Stores of these tests hold no ions: their planes are those of the crystal."""
    monkeypatch.setattr(planning, "measure_planes", lambda _store, _roles, crystal: Planes(crystal.period_nm))


@pytest.mark.usefixtures("still_planes")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=SHAPE, n_workers=st.integers(1, 16))
def test_a_plan_knows_its_store_model_and_roles(shape, n_workers, model, tmp_path_factory):
    store = store_of(shape, tmp_path_factory.getbasetemp() / "points.zarr")
    if min(shape) < 4:
        with pytest.raises(PlanError, match=r"too small for a cube of 4 nm.*At least 4 nm"):
            plan_scan(store, model, ROLES, n_workers=n_workers)
        return
    plan = plan_scan(store, model, ROLES, n_workers=n_workers)
    assert (plan.shape, plan.edges, plan.roles) == (shape, (4, 2), ROLES)
    assert (plan.store_digest, plan.model_digest, plan.model_path) == ("0" * 64, model.digest, model.path)
    assert plan.task_cells == choose_task(shape, loads_of(shape, planning.largest_density(store)), n_workers)
    assert pickle.loads(pickle.dumps(plan)) == plan


@pytest.mark.parametrize("axis", range(3))
def test_a_specimen_thinner_than_a_cube_is_refused_with_its_size(axis, model, tmp_path):
    shape = [9, 9, 9]
    shape[axis] = 3
    with pytest.raises(PlanError, match=" x ".join(map(str, shape)) + " nm"):
        plan_scan(store_of(tuple(shape), tmp_path), model, ROLES)


def test_a_species_that_the_store_has_not_is_refused_with_those_it_has(model, tmp_path):
    with pytest.raises(RangingError, match=r"Species Sc not among.*Found: Al, Li, Mg"):
        plan_scan(store_of((9, 9, 9), tmp_path), model, Roles(("Al",), ("Sc",)))


@pytest.mark.usefixtures("still_planes")
def test_relative_paths_become_absolute_for_workers_elsewhere(model, tmp_path, monkeypatch):
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    plan = plan_scan(store_of((9, 9, 9), Path("points.zarr")), model, ROLES)
    assert plan.store_path == str(tmp_path / "points.zarr")
    assert Path(plan.model_path).is_absolute()


def test_a_file_in_angstrom_is_refused_with_a_hint(model, roles, tmp_path):
    store = store_of((300, 300, 400), tmp_path)
    store.n_ions = 1_200_000
    with pytest.raises(PlanError, match=r"0\.0333 ions/nm³.*Is the file in nm"):
        plan_scan(store, model, roles)


def test_order_that_does_not_show_along_the_pole_is_refused(model, roles, tmp_path):
    with pytest.raises(PlanError, match=r"L12 does not show along \(1, 1, 1\).*another pole"):
        plan_scan(store_of((9, 9, 9), tmp_path), model.looking_for(Crystal("L12", 0.405, (1, 1, 1))), roles)


def test_the_planes_are_measured_where_there_are_any(specimen_store, roles):
    measured = measure_planes(specimen_store, roles, CRYSTAL)
    assert measured.period_nm == pytest.approx(CRYSTAL.period_nm, rel=0.007)
    assert measured.tilt_deg < 0.8
    # along [001] the planes would stand 0.2025 nm apart: there are none within 8 %
    other = Crystal("L12", 0.405, (0, 0, 1))
    unseen = measure_planes(specimen_store, roles, other)
    assert (unseen.period_nm, unseen.slope, unseen.visible) == (other.period_nm, (0.0, 0.0), False)


@pytest.mark.parametrize(("factor", "slope"), [(1.2, 0.0), (0.85, 0.0), (1.0, 0.07)], ids=["deep", "flat", "tilted"])
def test_planes_of_another_spacing_or_tilt_are_not_those_looked_for(factor, slope, specimen_files, roles, tmp_path):
    position, mass = read_ions(specimen_files.pos)
    position = position * np.float32([1, 1, factor])
    position[:, 2] += np.float32(slope) * position[:, 0]
    write_pos(tmp_path / "a.pos", position, mass)
    store = ingest(tmp_path / "a.pos", ranges=specimen_files.rrng, out=tmp_path / "a.zarr")
    planes = measure_planes(store, roles, CRYSTAL)
    assert not planes.visible
    assert planes.period_nm == CRYSTAL.period_nm


def test_the_strength_of_planes_is_measured_with_them(specimen_store, roles):
    measured = measure_planes(specimen_store, roles, CRYSTAL)
    assert measured.visible
    assert measured.strength > 50
    assert measured.strongest_nm == pytest.approx(CRYSTAL.plane_spacing_nm, rel=0.011)
