"""A scan is the same to the bit however it is cut and wherever it runs, and stands on disk whole or not at all."""

from __future__ import annotations

import json
import pickle
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import psutil
import pytest

from aptstream import scan as lazy_scan
from aptstream.cloud.lattice import Lattice
from aptstream.cluster import local_client
from aptstream.errors import PlanError, StoreError
from aptstream.io.replace import discard
from aptstream.io.seal import sealed
from aptstream.points import PointCloud, Roles
from aptstream.scan import ledger, open_scan, run_scan
from aptstream.scan import outcomes as carrying
from aptstream.scan import plan as planning
from aptstream.scan.plan import plan_scan
from aptstream.scan.results import create_scan
from aptstream.scan.score import score_brick

ARRAYS = ("p_4nm", "n_ions_4nm", "p_2nm", "n_ions_2nm")


@pytest.fixture(scope="module")
def digest(specimen_scan):
    return specimen_scan.digest()


@pytest.fixture
def copy(specimen_scan, tmp_path):
    return shutil.copytree(specimen_scan.path, tmp_path / "copy.zarr")


def test_a_scan_holds_what_its_tasks_judged(specimen_scan, specimen_store, model, roles):
    plan = plan_scan(specimen_store, model, roles)
    assert specimen_scan.edges == plan.edges == (4, 2)
    assert specimen_scan.shape == specimen_store.shape_cells == (18, 18, 20)
    for task in plan.tasks():
        place = tuple(slice(a, b) for a, b in zip(task.low, task.high, strict=True))
        for edge, scores in score_brick(plan, task).cubes.items():
            np.testing.assert_array_equal(specimen_scan.p(edge)[place], scores.p)
            np.testing.assert_array_equal(specimen_scan.n_ions(edge)[place], scores.n_ions)


def test_a_scan_remembers_what_it_was_made_from(specimen_scan, specimen_store, model, roles):
    assert specimen_scan.roles == roles
    assert specimen_scan.origin_nm == specimen_store.origin_nm
    assert specimen_scan.attrs["store_digest"] == specimen_store.digest()
    assert specimen_scan.attrs["model_digest"] == model.digest


@pytest.mark.parametrize("edge", [4, 2])
def test_cubes_are_judged_only_where_one_fits(edge, specimen_scan):
    inside = specimen_scan.is_cube(edge)
    assert inside.sum() == np.prod([n - edge + 1 for n in specimen_scan.shape])
    assert np.isnan(specimen_scan.p(edge)[~inside]).all()
    assert np.isfinite(specimen_scan.p(edge)[inside]).mean() > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("task", [(16, 16, 16), (32, 16, 48)])
def test_the_result_does_not_depend_on_the_size_of_the_tasks(
    task, specimen_store, model, roles, digest, tmp_path, monkeypatch
):
    monkeypatch.setattr(planning, "choose_task", lambda *_: task)
    scan = run_scan(specimen_store, model, roles, out=tmp_path / "scan.zarr")
    assert scan.digest() == digest
    n_files = len(list((scan.path / "p_4nm").glob("c.*")))
    assert n_files == np.prod([-(-n // t) for n, t in zip(scan.shape, task, strict=True)])


@pytest.mark.usefixtures("small_tasks")
def test_progress_tells_all_cubes_once(thin_store, model, roles, tmp_path):
    told = []
    run_scan(thin_store, model, roles, out=tmp_path / "s.zarr", progress=lambda *state: told.append(state))
    assert [state[0] for state in told] == [f"{n}/4 tasks" for n in range(1, 5)]
    assert told[-1][1:] == (15 * 3 * 17, 15 * 3 * 17, "cubes")
    assert [path.name for path in tmp_path.iterdir()] == ["s.zarr"]


@pytest.mark.parametrize(("scheduler", "edge"), [("threads", 2), ("synchronous", None)])
def test_the_lazy_array_computes_to_the_same_bits(scheduler, edge, thin_store, model, roles, made, monkeypatch):
    monkeypatch.setattr(planning, "choose_task", lambda *_: (16, 16, 32))
    array = lazy_scan(thin_store, model, roles, edge_nm=edge)
    assert (array.shape, array.dtype, array.npartitions) == ((18, 6, 20), np.float32, 2)
    np.testing.assert_array_equal(array.compute(scheduler=scheduler), open_scan(made / "whole.zarr").p(edge or 4))


def test_the_lazy_graph_carries_addresses_and_no_data(model, roles, tmp_path):
    names = ("unranged", "Al", "Li", "Mg")
    nothing = PointCloud(np.zeros((0, 3), "f4"), np.zeros(0, "f4"), np.zeros(0, "u1"), names)
    lattice = Lattice((0.0, 0.0, 0.0), (200, 200, 400))
    store = SimpleNamespace(
        shape_cells=lattice.shape_cells,
        lattice=lattice,
        brick_counts=lambda: np.full(lattice.n_bricks, 33 * 4096),
        address=str(tmp_path / "points.zarr"),
        attrs={"content_digest": "0" * 64},
        species_names=names,
        n_ions=33 * 200 * 200 * 400,
        read=lambda _low, _high, columns: nothing,
    )
    array = lazy_scan(store, model, roles)
    assert array.npartitions > 100
    assert len(pickle.dumps(dict(array.__dask_graph__()))) / array.npartitions < 1000
    (one,) = np.ravel(array.blocks[0, 0, 0].to_delayed())
    assert len(pickle.dumps(dict(one.__dask_graph__()))) < 3000, "one task alone must stay small too"


def test_an_existing_output_is_refused_and_left_as_it_is(specimen_store, model, roles, tmp_path):
    (tmp_path / "scan.zarr").write_text("precious")
    with pytest.raises(StoreError, match=r"scan\.zarr exists"):
        run_scan(specimen_store, model, roles, out=tmp_path / "scan.zarr")
    assert (tmp_path / "scan.zarr").read_text() == "precious"
    assert [p.name for p in tmp_path.iterdir()] == ["scan.zarr"]


def test_a_task_that_ends_after_its_scan_was_given_up_leaves_nothing(thin_store, model, roles, tmp_path, monkeypatch):
    plan = plan_scan(thin_store, model, roles)
    folder = tmp_path / ".scan.zarr.building"
    folder.mkdir()
    create_scan(folder, plan, thin_store.origin_nm)
    (folder / ledger.MARKS).mkdir()
    digest = ledger.save_plan(folder, plan)
    write = carrying.write_scores

    def give_up_and_write(*args):
        write(*args)
        (folder / "zarr.json").unlink()

    monkeypatch.setattr(carrying, "write_scores", give_up_and_write)
    carrying.run_task(str(folder), digest, (0, 0, 0))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_a_thread_brings_back_is_removed_all_the_same(tmp_path, monkeypatch):
    folder, real = tmp_path / "building", shutil.rmtree
    (folder / "p_2nm").mkdir(parents=True)
    removed = []

    def remove_too_early(path, **options):
        real(path, **options)
        removed.append(path)
        if len(removed) == 1:
            (folder / "p_2nm").mkdir(parents=True)

    monkeypatch.setattr("shutil.rmtree", remove_too_early)
    discard(folder)
    assert len(removed) == 2
    assert list(tmp_path.iterdir()) == []


def test_only_after_an_error_a_folder_is_looked_for_again(tmp_path, monkeypatch):
    folder, waited = tmp_path / "building", []

    def bring_back(seconds):
        waited.append(seconds)
        if len(waited) == 1:
            (folder / "p_2nm").mkdir(parents=True)

    monkeypatch.setattr("time.sleep", bring_back)
    folder.mkdir()
    discard(folder)
    assert waited == []
    folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        try:
            raise KeyboardInterrupt
        finally:
            discard(folder)
    assert len(waited) == 2
    assert list(tmp_path.iterdir()) == []


def test_a_plan_that_cannot_be_made_leaves_nothing_behind(specimen_store, model, roles, tmp_path):
    judges = tuple(replace(judge, edge_nm=19 if judge.edge_nm == 4 else 2) for judge in model.judges)
    with pytest.raises(PlanError, match="18 x 18 x 20 nm"):
        run_scan(specimen_store, replace(model, judges=judges), roles, out=tmp_path / "scan.zarr")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.999])
def test_a_flipped_byte_in_any_array_is_noticed(name, share, copy):
    (chunk, *_) = sorted((copy / name).glob("c.*"))
    content = bytearray(chunk.read_bytes())
    content[int(share * len(content))] ^= 0x10
    chunk.write_bytes(content)
    scan = open_scan(copy)
    read, edge = name.rsplit("_", 1)
    with pytest.raises(StoreError, match=f"array '{name}'"):
        getattr(scan, read)(int(edge[0]))
    with pytest.raises(StoreError, match=f"array '{name}'"):
        scan.digest()


@pytest.mark.parametrize("name", ARRAYS)
def test_a_lost_chunk_is_noticed_at_once(name, copy):
    next((copy / name).glob("c.*")).unlink()
    with pytest.raises(StoreError, match=f"array '{name}' lacks its chunk"):
        open_scan(copy)


def test_a_chunk_that_is_lost_after_opening_does_not_read_as_zeros(copy):
    scan = open_scan(copy)
    next((copy / "p_4nm").glob("c.*")).unlink()
    with pytest.raises(StoreError, match="'p_4nm'"):
        scan.p(4)


def edit(folder, change, *, seal):
    """Change the attributes of a group, with or without a new seal."""
    file = folder / "zarr.json"
    group = json.loads(file.read_text())
    attributes = {key: value for key, value in group["attributes"].items() if key != "manifest_sha256"}
    attributes.update(change)
    group["attributes"] = sealed(attributes) if seal else {**group["attributes"], **change}
    file.write_text(json.dumps(group))


@pytest.mark.parametrize(
    "change",
    [
        {"origin_nm": [1.0, 0.0, 0.0]},
        {"host": ["Li"]},
        {"edges": [2, 4]},
        {"store_digest": "0" * 64},
        {"version": "9"},
        {"extra": 1},
        {"origin_nm": [float("nan"), 0.0, 0.0]},
    ],
)
def test_attributes_changed_by_hand_are_noticed(change, copy):
    edit(copy, change, seal=False)
    with pytest.raises(StoreError, match="not those that it was written with"):
        open_scan(copy)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [18, 18, 21]},
        {"shape": [18, 18]},
        {"shape": "abc"},
        {"shape": [18, 18, 10**400]},
        {"origin_nm": None},
        {"edges": [4, 3]},
        {"edges": []},
        {"edges": [99]},
        {"host": []},
        {"host": 5},
        {"solute": ["Al"]},
    ],
)
def test_attributes_that_cannot_be_right_are_refused_even_under_a_seal(change, copy):
    edit(copy, change, seal=True)
    with pytest.raises(StoreError, match="damaged"):
        open_scan(copy)


@pytest.mark.parametrize("change", [{"format_version": 1}, {"format": "aptstream-grid"}, {"format": None}])
def test_another_kind_or_version_is_named(change, copy):
    edit(copy, change, seal=True)
    with pytest.raises(StoreError, match=r"of another kind: found .* expected 'aptstream-scan' version 3"):
        open_scan(copy)


@pytest.mark.parametrize("attributes", [[], None, "x", 3])
def test_attributes_of_another_type_are_refused(attributes, copy):
    group = json.loads((copy / "zarr.json").read_text())
    (copy / "zarr.json").write_text(json.dumps({**group, "attributes": attributes}))
    with pytest.raises(StoreError, match="has no attributes"):
        open_scan(copy)


def test_a_missing_scan_is_named_with_the_command_that_makes_one(tmp_path):
    with pytest.raises(StoreError, match=r"no scan at .*nowhere.*aptstream scan"):
        open_scan(tmp_path / "nowhere")


def test_the_digest_is_of_the_content_and_not_of_the_folder(copy, digest):
    assert open_scan(copy).digest() == digest


@pytest.mark.parametrize(
    "change",
    [
        {"origin_nm": [1.0, 0.0, 0.0]},
        {"host": ["Mg"], "solute": ["Al"]},
        {"solute": ["Li"]},
        {"store_digest": "0" * 64},
        {"model_digest": "0" * 64},
    ],
)
def test_the_digest_covers_what_gives_the_numbers_their_meaning(change, copy, digest):
    edit(copy, change, seal=True)
    assert open_scan(copy).digest() != digest


def test_the_digest_does_not_cover_the_version_of_the_software(copy, digest):
    edit(copy, {"version": "9"}, seal=True)
    assert open_scan(copy).digest() == digest


def test_another_question_gives_another_digest(thin_store, model, made, tmp_path):
    scan = run_scan(thin_store, model, Roles(("Al",), ("Li",)), out=tmp_path / "s.zarr")
    assert scan.digest() != open_scan(made / "whole.zarr").digest()


@pytest.mark.cluster
@pytest.mark.parametrize("n_workers", [1, 2])
def test_workers_give_the_same_bits_and_listen_on_the_loopback_only(
    n_workers, specimen_store, model, roles, specimen_scan, digest, tmp_path, monkeypatch
):
    monkeypatch.setattr(planning, "choose_task", lambda *_: (16, 16, 16))
    with local_client(n_workers) as client:
        scan = run_scan(specimen_store, model, roles, out=tmp_path / "scan.zarr", client=client)
        me = psutil.Process()
        family = [me, *me.children(recursive=True)]
        listening = {c.laddr.ip for p in family for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN}
        lazy = lazy_scan(specimen_store, model, roles)
        np.testing.assert_array_equal(client.compute(lazy).result(), specimen_scan.p(4))
    assert scan.digest() == digest
    assert listening == {"127.0.0.1"}


@pytest.mark.cluster
def test_the_error_of_a_worker_arrives_as_it_is_and_nothing_is_left(specimen_store, model, roles, tmp_path):
    broken = shutil.copytree(specimen_store.path, tmp_path / "points.zarr")
    store = type(specimen_store)(broken)
    chunk = next((broken / "positions").glob("c.*"))
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 1
    chunk.write_bytes(content)
    with local_client(1) as client, pytest.raises(StoreError, match="'positions'"):
        run_scan(store, model, roles, out=tmp_path / "scan.zarr", client=client)
    assert [path.name for path in tmp_path.iterdir()] == ["points.zarr"]
