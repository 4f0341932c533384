"""The publication's recipe from end to end at toy size, and images from an instrument."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from commands import assert_one_message, call, contents, done
from PIL import Image

from aptstream.io.pictures import read_labels, read_pictures
from aptstream.model.modelfile import load_model
from aptstream.progress import silent
from aptstream.reproduce.experiment import IMAGES, TABLE, simulate_experiment
from aptstream.reproduce.ledger import carry_out
from aptstream.reproduce.li2021 import Measured, Tools, steps_of
from aptstream.reproduce.recipe import Recipe
from aptstream.reproduce.rows import COLUMNS
from aptstream.workflow import Quiet

TOY = ("--images", 200, "--epochs", 1, "--folds", 2, "--size-nm", 12, 12, 14, "--threads", 1, "--workers", 0)


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """An output folder, and the numbers that the verb printed."""
    out = tmp_path_factory.mktemp("toy") / "out"
    return out, json.loads(done("reproduce", "li2021", *TOY, "--out", out, "--json", "-"))


@pytest.fixture(scope="module")
def images(toy, tmp_path_factory):
    """The images of the experimental side as an instrument would leave them."""
    return as_png(toy[0] / "experiment" / IMAGES, tmp_path_factory.mktemp("images"))


def as_png(array, folder):
    """Save the pictures of an array one by one."""
    for k, picture in enumerate(np.load(array)):
        Image.fromarray(picture).save(folder / f"{k:02d}.png")
    return folder


@pytest.mark.tf
@pytest.mark.slow
def test_every_step_of_the_recipe_leaves_what_it_should(toy):
    out, numbers = toy
    assert numbers == json.loads((out / "reproduction.json").read_text())
    steps = numbers["steps"]
    assert steps["dictionary"]["n_images"] == 200
    assert steps["case-1"]["n_parameters"] == 1_666_881
    assert [steps[f"depth-{depth}"]["n_parameters"] for depth in (1, 5)] == [44_860_577, 229_249]
    assert steps["tests"]["experimental"]["n_matrix"] == steps["tests"]["experimental"]["n_ordered"] == 24
    assert set(steps["tests"]["experimental"]["models"]) == {"case 1", "case 2", "honest library", "ours"}
    assert steps["tests"]["experimental"]["models"]["ours"]["auc"] > 0.9
    assert {steps[f"scan-{name}"]["n_cubes"] for name in ("li2021", "matched", "order")} == {9 * 9 * 11}
    assert 0.5 < steps["results"]["published"]["never"] < 1
    assert all(len(steps[f"fold-{k}"]["epochs"]) == 1 for k in (1, 2))


@pytest.mark.tf
@pytest.mark.slow
def test_table_page_and_figures_say_the_same(toy):
    out, numbers = toy
    with (out / "table.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    assert tuple(rows[0]) == COLUMNS
    assert [dict(zip(COLUMNS, row, strict=True)) for row in rows[1:]] == numbers["table"]
    page = (out / "reproduction.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    for quantity in ("weights of the network", "voxels that can never reach the cut"):
        assert f">{quantity}</td>" in page
    assert "1666881" in page
    drawn = {path.name for path in (out / "figures").iterdir()}
    for name in ("making", "training-case-1", "depth", "test", "inside", "noise", "votes", "phases-published"):
        assert {f"{name}.{form}" for form in ("png", "pdf", "svg")} <= drawn


@pytest.mark.tf
@pytest.mark.slow
def test_the_same_command_does_nothing_again_and_other_settings_are_refused(toy):
    out, numbers = toy
    before = {name: what for name, what in contents(out).items() if not name.endswith((".csv", ".json", ".html"))}
    again = json.loads(done("reproduce", "li2021", *TOY, "--out", out, "--json", "-"))
    assert again == numbers
    after = {name: what for name, what in contents(out).items() if not name.endswith((".csv", ".json", ".html"))}
    assert after == before
    other = call("reproduce", "li2021", *TOY, "--seed", 2, "--out", out)
    assert_one_message(other, r"seed 1 \(now 2\)")


@pytest.mark.tf
@pytest.mark.slow
def test_a_damaged_product_is_made_again(toy):
    out, numbers = toy
    fold = out / "folds" / "fold-1.json"
    whole = fold.read_bytes()
    fold.write_bytes(whole[:-9])
    result = call("reproduce", "li2021", *TOY, "--out", out, "--json", "-")
    assert "fold 1 of 2 is done again: its products are damaged" in result.stderr
    assert fold.read_bytes() == whole
    assert json.loads(result.stdout)["steps"]["fold-2"] == numbers["steps"]["fold-2"]


@pytest.mark.tf
@pytest.mark.slow
def test_images_are_judged_by_the_networks_of_the_recipe(toy, images):
    out, numbers = toy
    given = ("evaluate", "--images", images, "--models", out)
    told = json.loads(done(*given, "--labels", out / "experiment" / "images.csv", "--json", "-"))
    assert list(told["models"]) == ["case 1", "case 2", "honest library"]
    assert (told["n"], told["n_matrix"], told["n_ordered"]) == (60, 36, 24)
    tested = {row["image"]: row["p"] for row in numbers["steps"]["tests"]["experimental"]["images"]}
    for row in told["images"]:
        known = tested.get(row["image"].removesuffix(".png"), row["p"])
        assert row["p"]["case 1"] == pytest.approx(known["case 1"], abs=1e-5)
    shown = done(*given)
    assert "59.png" in shown
    assert "AUC" not in shown
    one = done("evaluate", "--images", out / "experiment" / "images.npy", "--model", out / "models" / "case-2.aptmodel")
    assert "li2021" in one


@pytest.mark.tf
@pytest.mark.slow
def test_measured_images_take_the_experimental_side(images, tmp_path):
    labels, out = tmp_path / "labels.csv", tmp_path / "out"
    assert_one_message(call("reproduce", "li2021", *TOY, "--experimental", images, "--out", out), "--labels")
    assert not out.exists()
    labels.write_text("image,label\n" + "".join(f"{k:02d},{int(k >= 30)}\n" for k in range(60)))
    pictures = read_pictures(images, (150, 150))
    measured = Measured(pictures, read_labels(labels, pictures.names))
    out.mkdir()
    steps = {step.name: step for step in steps_of(Recipe(200, 1, 0), Tools(Quiet()), measured)}
    made = {name: carry_out(steps[name], out, str) for name in ("dictionary", "experiment", "case-2")}
    assert made["experiment"].facts == {"n_learned": 10, "n_tested": 50, "simulated": False}
    model = load_model(out / "models" / "case-2.aptmodel")
    assert model.provenance["dictionary"]["n_real"] == 10
    assert made["case-2"].facts["n_parameters"] == 1_666_881


def test_without_tensorflow_nothing_is_begun(no_tensorflow, tmp_path):
    assert_one_message(call("reproduce", "li2021", "--out", tmp_path / "out"), r"aptstream\[train\]")
    assert not (tmp_path / "out").exists()


@pytest.mark.tf
def test_a_folder_with_other_files_is_refused_first(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    assert_one_message(call("reproduce", "li2021", "--out", tmp_path), "in use")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("reproduce", "li2022", "--out", "r"), "expected one of li2021"),
        (("reproduce", "li2021", "--out", "r", "--labels", "l.csv"), "--experimental"),
        (("reproduce", "li2021", "--out", "r", "--images", "9"), "200"),
        (("evaluate",), "either a result"),
        (("evaluate", "here", "--images", "there"), "either a result"),
        (("evaluate", "here", "--labels", "l.csv"), "--images"),
        (("evaluate", "--images", "there", "--truth", "t.json"), "--truth"),
        (("evaluate", "--images", "there", "--models", "r", "--model", "m"), "--models"),
    ],
)
def test_options_that_do_not_belong_together_are_refused(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call(*words)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_images_are_judged_at_once_by_the_networks_that_are_shipped(tmp_path):
    simulate_experiment(tmp_path, 5, load_model(), silent)  # another specimen than the one they were tested on
    (tmp_path / "png").mkdir()
    pictures = as_png(tmp_path / IMAGES, tmp_path / "png")
    told = json.loads(done("evaluate", "--images", pictures, "--labels", tmp_path / TABLE, "--json", "-"))
    assert list(told["models"]) == ["case 1", "case 2", "honest library"]
    assert told["n"] == 60
    for network in told["models"].values():
        assert network["auc"] > 0.9
    assert {len(row["p"]) for row in told["images"]} == {3}


def test_networks_that_are_not_there_or_read_something_else_are_refused(tmp_path):
    np.save(tmp_path / "images.npy", np.ones((1, 150, 150)))
    missing = call("evaluate", "--images", tmp_path / "images.npy", "--models", tmp_path)
    assert_one_message(missing, "aptstream reproduce li2021")
    other = call("evaluate", "--images", tmp_path / "images.npy", "--model", "cubes")
    assert_one_message(other, "150 × 150")
