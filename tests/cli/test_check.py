"""The verb `check`: what it says of a result, and of folders that hold none."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
from commands import assert_one_message, call, contents

from aptstream import checking
from aptstream.checking import CheckSettings, check_result
from aptstream.cloud import open_store
from aptstream.errors import ModelError, PlanError, RangingError, StoreError
from aptstream.grid import Cut, find, save_grid
from aptstream.io.seal import sealed
from aptstream.model.modelfile import load_model
from aptstream.runresult import open_result, require_judged
from aptstream.scan import open_scan

SMALL = CheckSettings(n_shuffles=1, n_twins=1, size_nm=(18, 18, 20))


@pytest.fixture
def few_blurs(monkeypatch):
    """One scan of the block instead of four."""
    monkeypatch.setattr(checking, "BLURS", checking.BLURS[:1])


def with_cut(ran, folder, cut):
    """The result of a run as a fixed cut would have left it."""
    folder.mkdir()
    for name in ("points.zarr", "scan.zarr"):
        (folder / name).symlink_to(ran / name)
    answer = find(open_scan(ran / "scan.zarr"), open_store(ran / "points.zarr"), load_model(), cut=cut)
    save_grid(folder / "grid.zarr", answer)
    return folder


@pytest.mark.slow
def test_a_check_tells_how_far_a_run_can_be_trusted(ran, tmp_path):
    out = shutil.copytree(ran[0], tmp_path / "out")
    before = contents(out)
    result = call("check", out, "--shuffles", 2, "--twins", 1, "--json", "-")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert {name: data for name, data in contents(out).items() if "/check" not in name} == before
    assert answer["n_particles"] == json.loads(ran[1].stdout)["n_particles"]
    shuffled, matrix = answer["false"]
    assert shuffled["n_voxels"] == 2 * 18 * 18 * 20
    assert matrix["n_voxels"] == 18 * 18 * 20
    for row in (shuffled, matrix):
        assert row["number"]["low"] <= row["number"]["value"] < row["number"]["high"] < 8
    assert answer["conditions"]["sigma_z_nm"] == pytest.approx(0.03, rel=0.1)
    large = [row for row in answer["recall_by_true_radius"] if row["low_nm"] >= 1.5]
    assert sum(row["recall"]["value"] * row["recall"]["n"] for row in large) >= 0.9 * sum(
        row["recall"]["n"] for row in large
    )
    assert all(abs(row["bias_nm"]) < 0.3 for row in large if row["bias_nm"] is not None)
    assert abs(answer["twins"]["volume_fraction_error"]["value"]) < 0.25
    rows = {(row["changed"], row["to"]): row for row in answer["sensitivity"]}
    fractions = [rows["cut", f"order ≥ {cut}"]["volume_fraction"] for cut in (0.3, 0.4, 0.5, 0.6, 0.7)]
    assert fractions == sorted(fractions, reverse=True)
    assert rows["cut", "votes ≥ 62/64"]["mean_radius_nm"] is None
    same, own = rows["added blur", "none, block alone"], rows["cut", "as in the result"]
    assert same["n"] == own["n"], "the same ions, scanned again, give the same particles"
    assert same["volume_fraction"] == pytest.approx(own["volume_fraction"], rel=1e-6)
    with (out / "check" / "check.csv").open(encoding="utf-8", newline="") as file:
        table = {tuple(row[:3]): row[3] for row in csv.reader(file)}
    assert float(table["twins", "precision", "value"]) == answer["twins"]["precision"]["value"]
    assert {path.suffix for path in (out / "check").iterdir()} == {".json", ".csv", ".png", ".pdf", ".svg"}
    again = call("check", out, "--shuffles", 2, "--twins", 1)
    assert again.exit_code == 0
    assert "Of " in again.stdout
    kept = {name: value for name, value in answer.items() if name not in ("seconds", "folder")}
    assert json.loads((out / "check" / "check.json").read_text(encoding="utf-8")) == kept, (
        "the same seed, the same check"
    )


@pytest.mark.slow
@pytest.mark.parametrize("cut", [Cut(62 / 64, "votes"), Cut(1e-6), Cut(0.5, neighbours=26)])
def test_cuts_that_keep_nothing_everything_or_something_are_checked(ran, cut, tmp_path, few_blurs):
    folder = with_cut(ran[0], tmp_path / "cut", cut)
    check = check_result(folder, SMALL)
    json.dumps(check.as_json(), allow_nan=False)
    own = {row.to: row for row in check.sensitivity}["the model's own rule"]
    assert own.n == json.loads(ran[1].stdout)["n_particles"]
    notes = " ".join(check.notes)
    if cut.of == "votes":
        assert check.n_found == 0
        assert "Nothing was found" in notes
        assert sum(row.recall.value for row in check.recall) < 1, "such a cut misses nearly all"
    elif cut.value < 0.1:
        assert "a cut that keeps so much has no twin" in notes
        assert check.recall == ()
    else:
        assert check.n_found > 3
        assert check.scores["recall_1.5"].value > 0.8


@pytest.mark.slow
def test_a_model_of_cubes_alone_is_checked_by_shuffled_ions(specimen_scan, specimen_store, model, tmp_path, few_blurs):
    (tmp_path / "points.zarr").symlink_to(specimen_store.path)
    (tmp_path / "scan.zarr").symlink_to(specimen_scan.path)
    save_grid(tmp_path / "grid.zarr", find(specimen_scan, specimen_store, model))
    check = check_result(tmp_path, SMALL)
    shuffled, matrix = check.false
    assert shuffled.n_voxels == matrix.n_voxels == 18 * 18 * 20
    assert shuffled.number.value <= 2
    assert check.scores["recall_1.5"].value > 0.7


def test_what_is_no_result_is_refused(ran, tmp_path):
    assert_one_message(call("check", tmp_path), r"holds no scan\.zarr: it is no result.*Expected the output folder")
    (tmp_path / "scan.zarr").symlink_to(ran[0] / "scan.zarr")
    (tmp_path / "grid.zarr").symlink_to(ran[0] / "grid.zarr")
    assert_one_message(call("check", tmp_path), r"made from ions that are not there: found no store of ions")
    assert not (tmp_path / "check").exists()
    with pytest.raises(ModelError, match=r"was made by another model .* than cubes: give the one"):
        open_result(ran[0], load_model("cubes"))


def test_a_grid_of_another_rule_is_refused(ran, tmp_path):
    folder = with_cut(ran[0], tmp_path / "cut", Cut(0.9))
    file = folder / "grid.zarr" / "zarr.json"
    group = json.loads(file.read_text())
    attributes = {name: value for name, value in group["attributes"].items() if name != "manifest_sha256"}
    file.write_text(json.dumps({**group, "attributes": sealed({**attributes, "cut": None})}))
    with pytest.raises(StoreError, match=r"does not follow from the scan beside it: found \d+ voxels in particles"):
        check_result(folder, SMALL)


def changed_scan(ran, folder, **change):
    """A result whose scan says something else."""
    folder.mkdir()
    for name in ("points.zarr", "grid.zarr"):
        (folder / name).symlink_to(ran / name)
    scan = shutil.copytree(ran / "scan.zarr", folder / "scan.zarr")
    group = json.loads((scan / "zarr.json").read_text())
    attributes = {name: value for name, value in group["attributes"].items() if name != "manifest_sha256"}
    (scan / "zarr.json").write_text(json.dumps({**group, "attributes": sealed({**attributes, **change})}))
    return folder


def test_a_result_without_planes_or_without_solute_has_nothing_to_check(ran, tmp_path):
    planes = {**dict(open_scan(ran[0] / "scan.zarr").attrs["planes"]), "visible": False}
    with pytest.raises(PlanError, match="No lattice planes are visible"):
        require_judged(open_result(changed_scan(ran[0], tmp_path / "blind", planes=planes)))
    with pytest.raises(RangingError, match=r"holds no ion of its solute Cu: .* another --solute"):
        require_judged(open_result(changed_scan(ran[0], tmp_path / "other", solute=["Cu"])))


@pytest.mark.parametrize("wrong", [{"n_shuffles": 0}, {"n_twins": 0}, {"seed": -1}, {"size_nm": (30, 7, 30)}])
def test_a_check_of_nothing_is_refused(wrong):
    with pytest.raises(PlanError, match="at least one shuffle and one twin of 8 nm"):
        CheckSettings(**wrong)


def test_added_blur_moves_ions_as_far_as_it_says_and_shuffles_keep_what_is_there(ran):
    result = open_result(ran[0])
    store = result.store
    answer = find(result.scan, store, result.model, cut=Cut(0.5))
    job = checking._Job(result, answer, checking.rule_of(answer, result.model), SMALL, ((0, 0, 0), store.shape_cells))
    rng = np.random.default_rng(0)
    plain, again = job._ions(0.0, 0.0, rng), job._shuffle(rng)
    assert len(plain) == store.n_ions
    np.testing.assert_array_equal(plain.position, again.position)
    np.testing.assert_array_equal(np.sort(plain.mass_to_charge), np.sort(again.mass_to_charge))
    kept = plain.mass_to_charge == again.mass_to_charge
    assert kept[plain.species == 0].all(), "unranged ions stay"
    assert kept[plain.species > 0].mean() < 0.01
    moved = checking._Job.__dict__["_ions"](job, 0.2, 0.02, np.random.default_rng(0)).position
    assert 0.97 * store.n_ions < len(moved) < store.n_ions, "a few leave the block"
