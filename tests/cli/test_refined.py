"""The command line with nets on the 1 nm grid: fixed cuts, other crystals, and what is refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from aptstream.cli import app
from aptstream.cli_parts import cut_of, model_for, pole_of
from aptstream.crystal import Crystal
from aptstream.errors import PlanError
from aptstream.grid.answer import Cut
from aptstream.model import refiner_training
from aptstream.model.modelfile import load_model, save_model
from aptstream.scan import open_scan
from aptstream.sdm import orderlibrary
from aptstream.sdm.orderlibrary import open_order_library

ALLOY = ("--host", "Al", "--solute", "Li,Mg")


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def done(*words):
    result = call(*words)
    assert result.exit_code == 0, result.output
    return result


def message_of(result, code):
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert result.stdout == ""
    return " ".join(result.stderr.replace("│", " ").split())


# Cuts


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        (None, None),
        ("0.5", Cut(0.5)),
        ("1", Cut(1.0)),
        (" 0.5 ", Cut(0.5)),
        ("62/64", Cut(0.96875, "votes")),
        ("64/64", Cut(1.0, "votes")),
        ("0.5/1", Cut(0.5, "votes")),
    ],
)
def test_a_cut_is_read_as_it_is_written(text, cut):
    assert cut_of(text, 6) == cut


NO_NUMBER = ("", "half", "nan", "62 of 64", "0,5", "/", "62/", "/64", "62/64/1", "62/0", "0/0", "-62/-0")
OUT_OF_BOUNDS = ("0", "0.0", "-0.1", "1.01", "62", "inf", "65/64", "0/64")


@pytest.mark.parametrize("text", NO_NUMBER + OUT_OF_BOUNDS)
def test_a_cut_that_makes_no_sense_is_wrong_usage(text):
    with pytest.raises(typer.BadParameter, match=re.escape(f"found {text!r}, expected a probability such as 0.5")):
        cut_of(text, 6)


def test_neighbours_belong_to_a_cut():
    assert cut_of("62/64", 26) == Cut(62 / 64, "votes", 26)
    assert cut_of("0.5", 18) == Cut(0.5, neighbours=18)
    for text, neighbours in ((None, 26), ("0.5", 8)):
        with pytest.raises(typer.BadParameter):
            cut_of(text, neighbours)


def test_run_and_find_refuse_a_bad_cut_and_leave_nothing(
    specimen_files, specimen_store, specimen_scan, refined_model, tmp_path
):
    given = (specimen_files.pos, "--ranges", specimen_files.rrng, *ALLOY, "--model", refined_model.path)
    found = message_of(call("run", *given, "--cut", "62", "--out", tmp_path / "out"), 2)
    assert "--cut" in found
    assert "found '62', expected a probability such as 0.5" in found
    words = (specimen_store.path, specimen_scan.path, "--model", "cubes", "--out", tmp_path / "found")
    assert "found '1/0'" in message_of(call("find", *words, "--cut", "1/0"), 2)
    assert list(tmp_path.iterdir()) == []


# Crystals


@pytest.mark.parametrize(
    ("structure", "a_nm", "pole", "crystal"),
    [
        (None, None, None, Crystal("L12", 0.405, (0, 1, 1))),
        ("D022", None, None, Crystal("D022", 0.405, (0, 1, 1))),
        (None, 0.357, None, Crystal("L12", 0.357, (0, 1, 1))),
        (None, None, "0,0,1", Crystal("L12", 0.405, (0, 0, 1))),
        (None, None, "0, 0, -2", Crystal("L12", 0.405, (0, 0, -1))),
        ("D019", 0.578, "1,0,-1,0", Crystal("D019", 0.578, (1, 0, -1, 0))),
    ],
)
def test_what_is_named_replaces_what_the_model_looks_for(structure, a_nm, pole, crystal):
    model = model_for("cubes", structure, a_nm, pole)
    assert model.crystal == crystal
    shipped = load_model("cubes")
    assert replace(model, crystal=shipped.crystal, judges=shipped.judges) == shipped
    stretch = crystal.period_nm / shipped.crystal.period_nm
    assert model.judges[0].window.half_z_nm == pytest.approx(shipped.judges[0].window.half_z_nm * stretch)


def test_a_structure_on_another_lattice_needs_its_lattice_parameter():
    with pytest.raises(typer.BadParameter, match=r"B2 does not lie on the lattice.*FCC with a = 0.405 nm"):
        model_for("cubes", "B2", None, "0,0,1")
    assert model_for("cubes", "B2", 0.289, "0,0,1").crystal == Crystal("B2", 0.289, (0, 0, 1))


def test_the_axial_ratio_of_a_model_stays_unless_another_structure_is_named(model, tmp_path):
    own = Crystal("L10", 0.4, (0, 0, 1), 0.96)
    path = str(save_model(tmp_path / "m.aptmodel", replace(model, crystal=own)))
    assert model_for(path, None, 0.39, None).crystal == Crystal("L10", 0.39, (0, 0, 1), 0.96)
    assert model_for(path, "L10", None, "1,0,0").crystal == Crystal("L10", 0.4, (1, 0, 0), 0.96)
    assert model_for(path, "L12", None, None).crystal == Crystal("L12", 0.4, (0, 0, 1))


@pytest.mark.parametrize("text", ["", "0,x", "0;1;1", "0,1.5,1", "011 ,", ","])
def test_a_pole_that_is_no_list_of_numbers_is_wrong_usage(text):
    with pytest.raises(typer.BadParameter, match=re.escape(f"found {text!r}, expected whole numbers")):
        pole_of(text)


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("A15", None, None), "'A15' is not known"),
        ((None, 20.0, None), "between 0.1 and 2 nm, found 20"),
        ((None, None, "0,0,0"), "no direction"),
        ((None, None, "0,1"), "three indices"),
        ((None, None, "1,0,-1,0"), "three indices"),
    ],
)
def test_a_crystal_that_cannot_be_is_refused(words, match):
    with pytest.raises(PlanError, match=match):
        model_for("cubes", *words)


def test_a_pole_along_which_order_does_not_show_is_refused_with_a_message(specimen_store, tmp_path):
    words = ("scan", specimen_store.path, *ALLOY, "--model", "cubes", "--workers", 0, "--out", tmp_path / "s.zarr")
    message = r"error: Order of L12 does not show along \(1, 1, 1\).*Choose another pole with --pole"
    assert re.search(message, message_of(call(*words, "--pole", "1,1,1"), 1))
    assert "expected whole numbers" in message_of(call(*words, "--pole", "up"), 2)
    assert "'A15' is not known" in message_of(call(*words, "--structure", "A15"), 1)
    assert list(tmp_path.iterdir()) == []


# From ions to particles


@pytest.fixture(scope="module")
def ran(specimen_files, refined_model, tmp_path_factory):
    """A run that writes no page, which takes longer than all the rest: folder, what it said, and the answer."""
    out, answers = tmp_path_factory.mktemp("ran") / "out", []
    given = (specimen_files.pos, "--ranges", specimen_files.rrng, *ALLOY, "--model", refined_model.path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aptstream.workflow.report", lambda summary, _: answers.append(summary.answer))
        result = done("run", *given, "--a", 0.406, "--cut", "0.5", "--out", out, "--workers", 0)
    return out, result, answers[0]


def test_a_run_states_the_control_and_remembers_the_crystal(ran, refined_model):
    out, result, answer = ran
    said = " ".join(result.stdout.split())
    assert "false particles to expect" not in said, "the control speaks of the model's own rule, not of a cut"
    assert "a = 0.406 nm" in " ".join(result.stderr.split())
    scan = open_scan(out / "scan.zarr")
    assert scan.has_field
    assert scan.crystal == Crystal("L12", 0.406)
    assert scan.attrs["model_digest"] == refined_model.digest
    assert answer.rule == "voxels with order ≥ 0.5 that share a face"
    np.testing.assert_array_equal(answer.found.labels > 0, np.nan_to_num(answer.order) >= 0.5)


@pytest.mark.parametrize(
    ("cut", "rule"),
    [
        (
            ("--cut", "62/64", "--neighbours", "26"),
            "voxels with mean vote ≥ 0.96875 that share a face, an edge or a corner",
        ),
        ((), "voxels with order ≥ 0.3 that share a face, one of them ≥ "),
    ],
)
def test_particles_are_found_anew_in_the_same_map(cut, rule, ran, refined_model, tmp_path, monkeypatch):
    out, _, before = ran
    answers = []
    monkeypatch.setattr("aptstream.workflow.report", lambda summary, _: answers.append(summary.answer))
    words = ("find", out / "points.zarr", out / "scan.zarr", "--model", refined_model.path, "--out", tmp_path / "found")
    done(*words, *cut)
    assert answers[0].rule.startswith(rule)
    map_of_it = answers[0].votes.mean if cut else before.order
    np.testing.assert_array_equal(answers[0].order, map_of_it)
    np.testing.assert_array_equal(answers[0].votes.total, before.votes.total)
    assert (answers[0].control is None) == bool(cut)


@pytest.mark.slow
def test_the_page_tells_of_the_rule_and_the_control(ran, refined_model, tmp_path):
    out, _, _ = ran
    words = ("find", out / "points.zarr", out / "scan.zarr", "--model", refined_model.path, "--out", tmp_path / "found")
    answer = json.loads(done(*words, "--json", "-").stdout)
    assert answer["n_particles"] > 3
    page = (tmp_path / "found" / "report.html").read_text(encoding="utf-8")
    assert "false particles to expect" in page
    assert "a floor from the control" in page


def test_info_describes_a_model_with_nets_on_the_grid(refined_model):
    said = " ".join(done("info", refined_model.path).stdout.split())
    assert "1 + 2 nets in two passes read order" in said
    assert "a floor that the shuffled control sets" in said
    assert "order ≥" not in said


# Libraries


def test_an_order_library_is_made_and_described(tmp_path, monkeypatch):
    monkeypatch.setattr(orderlibrary, "SPECIMEN_NM", 8)
    said = done("dictionary", "--preset", "order", "--specimens", 10, "--seed", 2, "--out", tmp_path / "d.zarr").stdout
    assert "order library" in said
    assert "8 × 8 × 8" in said
    facts = json.loads(done("info", tmp_path / "d.zarr", "--json", "-").stdout)
    _, attributes = open_order_library(tmp_path / "d.zarr")
    assert (facts["seed"], facts["n_specimens"]) == (2, 10)
    assert (
        facts["sha256"] == attributes["content_digest"] == done("info", "--digest", tmp_path / "d.zarr").stdout.strip()
    )


@pytest.mark.parametrize("preset", sorted(refiner_training.REFINERS))
def test_options_that_a_preset_does_not_read_are_refused(preset, tmp_path):
    made = call("dictionary", "--preset", preset, "--images", 20, "--out", tmp_path / "d.zarr")
    assert "given by --specimens" in message_of(made, 2)
    for option in (("--folds", 3), ("--patience", 2), ("--split", "image")):
        words = ("train", tmp_path / "d.zarr", "--preset", preset, *option, "--out", tmp_path / "m.aptmodel")
        assert "trained without folds" in message_of(call(*words), 2)
    assert list(tmp_path.iterdir()) == []
