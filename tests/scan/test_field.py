"""The order field of a scan: the same bits however it is cut, and damage to it does not go unnoticed."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import zarr

from aptstream import scan as lazy_scan
from aptstream.cluster import local_client
from aptstream.errors import PlanError, StoreError
from aptstream.scan import open_scan, run_scan
from aptstream.scan import plan as planning
from aptstream.scan.plan import plan_scan
from aptstream.scan.results import FIELD
from aptstream.sdm.darkfield import N_MAPS, order_field
from aptstream.sdm.field import HALO_CELLS
from aptstream.sdm.kernel import CellBox


@pytest.fixture
def copy(refined_scan, tmp_path):
    return shutil.copytree(refined_scan.path, tmp_path / "copy.zarr")


@pytest.fixture(scope="module")
def plan(specimen_store, refined_model, roles):
    return plan_scan(specimen_store, refined_model, roles)


def test_a_field_in_small_tasks_is_that_of_the_whole_specimen(refined_scan, specimen_store, roles):
    assert len(list((refined_scan.path / FIELD).glob("c.*"))) == 8
    cloud = specimen_store.read((0, 0, 0), specimen_store.shape_cells)
    role = roles.of(specimen_store.species_names)[cloud.species]
    box = CellBox(specimen_store.origin_nm, (0, 0, 0), specimen_store.shape_cells)
    whole = order_field(cloud, role, refined_scan.planes, refined_scan.crystal, box=box)
    assert refined_scan.field().stacked.tobytes() == whole.stacked.tobytes()
    assert whole.power[2].max() > 20, "the specimen must hold order for the comparison to mean something"


def test_the_digest_does_not_depend_on_the_size_of_the_tasks(
    specimen_store, refined_model, roles, refined_scan, tmp_path, monkeypatch
):
    monkeypatch.setattr(planning, "choose_task", lambda *_: (32, 16, 48))
    scan = run_scan(specimen_store, refined_model, roles, out=tmp_path / "scan.zarr")
    assert scan.digest() == refined_scan.digest()


def test_every_task_reads_what_its_field_depends_on_and_nothing_beyond_the_specimen(plan):
    plan = replace(plan, shape=(100, 18, 50), task_cells=(16, 16, 48))
    assert plan.field_halo == HALO_CELLS
    for task in plan.tasks():
        for axis, end in enumerate(plan.shape):
            assert task.read_low[axis] == max(task.low[axis] - HALO_CELLS, 0)
            assert task.read_high[axis] == min(task.high[axis] + HALO_CELLS, end)


def test_the_cubes_are_judged_as_without_a_field(refined_scan, specimen_scan):
    for edge in specimen_scan.edges:
        np.testing.assert_array_equal(refined_scan.p(edge), specimen_scan.p(edge))
        np.testing.assert_array_equal(refined_scan.n_ions(edge), specimen_scan.n_ions(edge))


def test_a_lazy_scan_computes_cubes_and_no_field(
    plan, specimen_store, refined_model, roles, specimen_scan, monkeypatch
):
    monkeypatch.setattr("aptstream.scan.lazy.plan_scan", lambda *_: replace(plan, task_cells=(16, 16, 32)))
    monkeypatch.setattr("aptstream.scan.score.order_field", lambda *_, **__: pytest.fail("it computed a field"))
    array = lazy_scan(specimen_store, refined_model, roles, edge_nm=2)
    found = array.blocks[1, 1, :].compute(scheduler="threads")
    np.testing.assert_array_equal(found, specimen_scan.p(2)[16:, 16:])


@pytest.mark.parametrize(("low", "high"), [(0, 18), (0, 1), (5, 17), (17, 18)])
def test_planes_of_a_field_are_those_of_the_whole(low, high, refined_scan):
    part, whole = refined_scan.field(low, high).stacked, refined_scan.field().stacked
    assert whole.shape == (N_MAPS, *refined_scan.shape)
    assert part.tobytes() == np.ascontiguousarray(whole[:, low:high]).tobytes()


def test_a_scan_without_a_field_says_how_to_get_one(specimen_scan):
    assert not specimen_scan.has_field
    with pytest.raises(StoreError, match=r"holds no order field.*Scan again with a model that does, such as order"):
        specimen_scan.field()


@pytest.mark.parametrize("share", [0.0, 0.4, 0.999])
def test_a_flipped_byte_in_the_field_is_noticed(share, copy):
    chunk = sorted((copy / FIELD).glob("c.*"))[0]
    content = bytearray(chunk.read_bytes())
    content[int(share * len(content))] ^= 0x10
    chunk.write_bytes(content)
    scan = open_scan(copy)
    with pytest.raises(StoreError, match=f"array '{FIELD}'"):
        scan.field()
    with pytest.raises(StoreError, match=f"array '{FIELD}'"):
        scan.digest()


def test_a_lost_chunk_of_the_field_is_noticed_at_once_and_later(copy):
    scan = open_scan(copy)
    sorted((copy / FIELD).glob("c.*"))[-1].unlink()
    with pytest.raises(StoreError, match=f"'{FIELD}'"):
        scan.field()
    with pytest.raises(StoreError, match=f"array '{FIELD}' lacks its chunk"):
        open_scan(copy)


def test_a_lost_field_is_noticed(copy):
    shutil.rmtree(copy / FIELD)
    with pytest.raises(StoreError, match=FIELD):
        open_scan(copy)


def test_the_digest_covers_the_field(copy, refined_scan):
    assert open_scan(copy).digest() == refined_scan.digest()
    array = zarr.open_group(copy, mode="r+")[FIELD]
    array[3, 7, 4, 5] = np.nextafter(array[3, 7, 4, 5], np.float32(9))
    assert open_scan(copy).digest() != refined_scan.digest()


@pytest.mark.parametrize("label", ["L12", "B2"])
def test_a_pole_along_which_order_does_not_show_is_refused(label, specimen_store, refined_model, roles, tmp_path):
    crystal = replace(refined_model.crystal, label=label, pole={"L12": (1, 1, 1), "B2": (0, 1, 1)}[label])
    with pytest.raises(PlanError, match=rf"Order of {label} does not show along .*Choose another pole with --pole"):
        run_scan(specimen_store, refined_model.looking_for(crystal), roles, out=tmp_path / "scan.zarr")
    assert list(tmp_path.iterdir()) == []


def test_another_crystal_keeps_the_nets_and_the_planes_of_the_specimen(
    specimen_store, refined_model, roles, refined_scan
):
    crystal = replace(refined_model.crystal, a_nm=0.41)
    other = refined_model.looking_for(crystal)
    assert replace(other, crystal=refined_model.crystal, judges=refined_model.judges) == refined_model
    plan = plan_scan(specimen_store, other, roles)
    assert plan.crystal == crystal
    assert plan.planes.period_nm == pytest.approx(refined_scan.planes.period_nm, rel=1e-3)


@pytest.mark.cluster
def test_workers_give_the_same_field(specimen_store, refined_model, roles, refined_scan, tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "choose_task", lambda *_: (16, 16, 16))
    with local_client(2) as client:
        scan = run_scan(specimen_store, refined_model, roles, out=tmp_path / "scan.zarr", client=client)
    assert scan.digest() == refined_scan.digest()
    assert scan.field().stacked.tobytes() == refined_scan.field().stacked.tobytes()
