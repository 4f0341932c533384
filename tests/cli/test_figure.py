"""``figure``: every name draws, into the forms that were asked for, and says what it shows."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from commands import assert_one_message, call, done

from aptstream import drawings
from aptstream.drawings import Sources
from aptstream.gallery import DRAWINGS, draw
from aptstream.model.modelfile import save_model
from aptstream.model.networks import ImageNet
from aptstream.sdm.li2021 import VIEW, make_li2021
from aptstream.sdm.library import Recipe, Samples, write_library

OF_RUN = [*("slice", "spectrum", "sdm", "votes", "order", "sizes")]
LONG = ("specimen", "sums", "cubes", "phases", "planes", "sites", "compare")
OF_RUN += [pytest.param(name, marks=pytest.mark.slow) for name in LONG]


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A tiny library of the publication's kind."""
    return make_li2021(tmp_path_factory.mktemp("library") / "li2021.zarr", seed=1, n_images=8)


@pytest.fixture(scope="module")
def models(tmp_path_factory, model):
    """Models of one and of two convolutions, whose networks nobody runs."""
    folder, paths = tmp_path_factory.mktemp("models"), []
    for depth in (1, 2):
        net = ImageNet(filters=(2,) * depth, dense=2)
        weights = tuple(np.zeros(shape, "f4") for shape in net.weight_shapes(VIEW.shape))
        judge = replace(model.judges[0], net=net, window=VIEW.window, form="grey", weights=weights)
        curves = {"cubes_4nm": {"epochs": [{"loss": 0.5 / depth, "validation_loss": 0.6 / depth}] * 3}}
        made = replace(model, name=f"deep{depth}", judges=(judge,), provenance={"curves": curves})
        paths.append(save_model(folder / f"{depth}.aptmodel", made))
    return paths


@pytest.mark.parametrize("name", OF_RUN)
def test_figures_of_a_run(ran, name, tmp_path):
    said = done("figure", name, ran[0], "--out", tmp_path / "new")
    assert said == f"{DRAWINGS[name].caption}\n"
    written = {path.suffix: path.read_bytes()[:5] for path in (tmp_path / "new").iterdir()}
    assert written == {".png": b"\x89PNG\r", ".pdf": b"%PDF-", ".svg": b"<?xml"}


@pytest.mark.parametrize("name", ["specimen", "slice", "spectrum"])
def test_figures_of_a_store(ran, name, tmp_path):
    done("figure", name, ran[0] / "points.zarr", "--out", tmp_path / "one.png")
    assert [path.name for path in tmp_path.iterdir()] == ["one.png"]


def test_the_sizes_are_those_of_the_report(ran):
    figure, _ = draw("sizes", Sources((str(ran[0]),)))
    (label,) = (text.get_text() for text in figure.axes[0].get_legend().get_texts())
    told = json.loads(ran[1].stdout)
    assert f"mean {told['mean_radius_nm']:.2f}" in label


def test_a_voxel_needs_a_place(ran, tmp_path):
    low = ran[0] / "grid.zarr"
    assert low.is_dir()
    result = call("figure", "voxel", ran[0], "--out", tmp_path / "v.svg")
    assert_one_message(result, "needs its place")
    at = np.add(Sources((str(ran[0]),)).store.origin_nm, 9).tolist()
    done("figure", "voxel", ran[0], f"--at={','.join(map(str, at))}", "--out", tmp_path / "v.svg")
    assert (tmp_path / "v.svg").read_bytes().startswith(b"<?xml")


@pytest.mark.slow
def test_figures_of_networks(library, models, ran, tmp_path, monkeypatch):
    monkeypatch.setattr("aptstream.drawings.MOST_IMAGES", 20)
    for name, *sources in (
        ("making",),
        ("network",),
        ("network", "order"),
        ("network", models[0]),
        ("training",),
        ("training", models[1]),
        ("depth", *models),
        ("noise", library),
        ("noise", library, ran[0]),
    ):
        done("figure", name, *sources, "--out", tmp_path / f"{name}.pdf")


def test_test_images(tmp_path, model):
    """Through the runtime, with the windows of the shipped model."""
    rng, views = np.random.default_rng(1), {judge.edge_nm: judge.view for judge in model.judges}
    parts = {
        edge: Samples(rng.normal(0, 1, (6, *view.shape)).astype("f4"), np.arange(6, dtype="f4") % 2, np.zeros(6, "i4"))
        for edge, view in views.items()
    }
    recipe = Recipe("specimens", model.crystal, views, dict.fromkeys(views, 6), 1, lambda _: parts, {"n_specimens": 1})
    library = write_library(tmp_path / "noise.zarr", recipe, seed=1)
    done("figure", "test", library, "cubes", "--out", tmp_path / "roc.pdf")
    assert_one_message(call("figure", "test", library, "--out", tmp_path / "a.pdf"), "found 1 sources")


@pytest.mark.tf
def test_inside(library, models, tmp_path):
    done("figure", "inside", models[1], "--out", tmp_path / "simulated.png")
    done("figure", "inside", models[1], library, "--out", tmp_path / "library.png")


def test_a_figure_says_as_json_what_was_written(tmp_path):
    said = json.loads(done("figure", "making", "--out", tmp_path / "new", "--json", "-"))
    assert said["name"] == "making"
    assert said["caption"] == DRAWINGS["making"].caption
    assert said["files"] == [str(tmp_path / "new" / f"making.{form}") for form in ("png", "pdf", "svg")]


def test_every_name_has_its_function():
    assert {name.removeprefix("draw_") for name in dir(drawings) if name.startswith("draw_")} == set(DRAWINGS)


def test_the_list_names_all_on_a_line_each():
    lines = done("figure", "--list").splitlines()
    assert list(json.loads(done("figure", "--list", "--json", "-"))["figures"]) == list(DRAWINGS)
    assert [line.split()[0] for line in lines] == list(DRAWINGS)
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nonsense", "--out", "a.png"), "no figure 'nonsense': choose one of specimen"),
        (("votes", "--out", "a.png"), "votes is drawn from RUN, found 0"),
        (("making", "more", "--out", "a.png"), "drawn from nothing, found 1"),
        (("making", "--out", "a.gif"), "as .png, .pdf or .svg, found a.gif"),
        (("depth", "order", "cubes", "--out", "a.png"), "does not say|one of each depth"),
        (("noise", "nowhere.zarr", "--out", "a.png"), "nowhere.zarr"),
        (("inside", "cubes", "--out", "a.png"), "give a library"),
    ],
)
def test_what_cannot_be_drawn_is_said(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_one_message(call("figure", *arguments), message)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [("making",), (), ("voxel", "run", "--at", "1,2", "--out", "a.png")])
def test_wrong_usage(arguments):
    assert call("figure", *arguments).exit_code == 2


def test_a_table_of_another_run_is_refused(ran, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(ran[0], copy)
    table = (copy / "particles.csv").read_text().splitlines()
    (copy / "particles.csv").write_text("\n".join(table[:-1]) + "\n")
    assert_one_message(call("figure", "sizes", copy, "--out", tmp_path / "a.png"), "both must come from one run")
