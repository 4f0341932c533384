"""A whole result held against its truth: files, numbers for machines, and words for people."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from aptstream.cli import app
from aptstream.errors import PlanError
from aptstream.grid import find, open_grid, save_grid
from aptstream.grid.compare import compare_with_truth
from aptstream.grid.evaluate import PARTICLE_LABELS, VOXEL_LABELS, evaluate_grid, evaluate_run
from aptstream.report.tables import particle_table, particles_csv
from aptstream.simulate import Particles, read_truth


@pytest.fixture(scope="module")
def answer(specimen_scan, specimen_store, model):
    return find(specimen_scan, specimen_store, model)


@pytest.fixture
def run_folder(answer, tmp_path):
    """What a run leaves: the grid and the table of the particles."""
    folder = tmp_path / "out"
    folder.mkdir()
    save_grid(folder / "grid.zarr", answer)
    particles_csv(folder / "particles.csv", particle_table(answer.found))
    return folder


@pytest.fixture(scope="module")
def truth(specimen_files):
    return read_truth(specimen_files.truth)


def call(*args):
    return CliRunner().invoke(app, [str(arg) for arg in args])


def test_a_result_scores_as_its_parts(run_folder, truth, answer):
    evaluation = evaluate_run(run_folder, truth, rng=np.random.default_rng(0))
    comparison = compare_with_truth(answer.found, truth)
    assert evaluation.comparison.found.tolist() == comparison.found.tolist()
    assert evaluation.scores["precision"].value == comparison.precision
    assert evaluation.scores["average_precision"].value > 0.95
    assert evaluation.scores["dice"].value <= evaluation.scores["dice_ceiling"].value + 1e-9
    assert evaluation.scores["best_dice"].value <= evaluation.scores["dice_ceiling"].value + 1e-9
    assert evaluation.curve.auc == evaluation.scores["auc"].value
    assert evaluation.uncertainty.auc_of_wrong > 0.5
    assert evaluation.reliability.n.sum() == answer.order.size


def test_the_volumes_of_the_table_count_and_not_the_voxels(run_folder, truth):
    plain = evaluate_run(run_folder, truth, rng=np.random.default_rng(0))
    table = run_folder / "particles.csv"
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row in rows:
        row["volume_nm3"] = str(2 * float(row["volume_nm3"]))
    with table.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    doubled = evaluate_run(run_folder, truth, rng=np.random.default_rng(0))
    error = [e.scores["volume_fraction_error"].value for e in (plain, doubled)]
    assert error[1] + 1 == pytest.approx(2 * (error[0] + 1))
    table.unlink()
    again = evaluate_run(run_folder, truth, rng=np.random.default_rng(0))
    assert again.scores["volume_fraction_error"].value == pytest.approx(error[0])


@pytest.mark.parametrize("damage", ["id,volume_nm3\n1,x\n", "id,volume_nm3\n7,2\n", "a,b\n1,2\n"])
def test_a_table_of_another_run_is_refused(run_folder, truth, damage):
    (run_folder / "particles.csv").write_text(damage)
    with pytest.raises(PlanError, match=r"particles\.csv"):
        evaluate_run(run_folder, truth, rng=np.random.default_rng(0))


def test_the_truth_of_another_specimen_is_refused(run_folder, truth):
    far = Particles(truth.centre_nm + 500, truth.radius_nm, truth.variant)
    with pytest.raises(PlanError, match="None of the"):
        evaluate_grid(open_grid(run_folder), far, rng=np.random.default_rng(0))


def test_the_command_line_shows_every_score_with_its_interval(run_folder, specimen_files):
    result = call("evaluate", run_folder, "--truth", specimen_files.truth)
    assert result.exit_code == 0, result.output
    for label, _, _ in (*PARTICLE_LABELS, *VOXEL_LABELS):
        assert label.strip() in result.stdout
    assert "particles found" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert all("…" not in line.split("  ")[0] for line in result.stdout.splitlines())  # nothing is cut off


def test_machines_get_exactly_one_json_object_without_nan(run_folder, specimen_files):
    result = call("evaluate", run_folder, "--truth", specimen_files.truth, "--json", "-")
    numbers = json.loads(result.stdout, parse_constant=pytest.fail)
    assert set(numbers["scores"]) >= {"recall_1.5", "precision", "dice", "average_precision", "radius_bias_nm"}
    assert set(numbers["scores"]["dice"]) == {"value", "low", "high", "n"}
    again = call("evaluate", run_folder, "--truth", specimen_files.truth, "--json", "-")
    assert again.stdout == result.stdout


def test_a_truth_that_lies_in_the_folder_need_not_be_named(run_folder, specimen_files):
    alone = call("evaluate", run_folder)
    assert alone.exit_code == 1
    assert "--truth" in alone.stderr
    (run_folder / "specimen.truth.json").write_bytes(specimen_files.truth.read_bytes())
    assert call("evaluate", run_folder).exit_code == 0


def test_what_is_no_result_is_refused_in_words(tmp_path, specimen_files):
    for path, words in ((tmp_path, "zarr.json"), (tmp_path / "nothing", "no such file"), (specimen_files.pos, "grid")):
        result = call("evaluate", path, "--truth", specimen_files.truth)
        assert result.exit_code == 1
        assert words in result.stderr
        assert "Traceback" not in result.output


@pytest.mark.slow
def test_networks_are_scored_on_a_training_library(tmp_path, monkeypatch, model):
    from aptstream.sdm.dictionary import make_dictionary

    monkeypatch.setattr("aptstream.sdm.dictionary.SPECIMEN_NM", 12)
    windows = {judge.edge_nm: judge.window for judge in model.judges}
    make_dictionary(tmp_path / "d.zarr", crystal=model.crystal, windows=windows, n_specimens=3, seed=1)
    result = call("evaluate", tmp_path / "d.zarr", "--json", "-")
    assert result.exit_code == 0, result.output
    assert set(json.loads(result.stdout)) == {"4 nm cubes", "2 nm cubes"}
    refused = call("evaluate", tmp_path / "d.zarr", "--truth", "a.truth.json")
    assert refused.exit_code == 2
    assert "its own truth" in refused.stderr
