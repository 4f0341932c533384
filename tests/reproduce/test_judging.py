"""Judged pictures: areas, curves and numbers for machines; and the pictures of the experimental side."""

import json

import numpy as np
import pytest

from aptstream.errors import FileFormatError, ModelError, PlanError
from aptstream.io.pictures import Pictures
from aptstream.model.modelfile import load_model
from aptstream.reproduce.experiment import _apart, read_experiment, require_both_classes, take_experiment
from aptstream.reproduce.judging import Judgement, picture_judge
from aptstream.reproduce.li2021 import Measured
from aptstream.reproduce.recipe import Recipe
from aptstream.sdm.li2021 import N_IMAGES

LABEL = np.array([0, 0, 1, 0.75, 0.2, np.nan], "f4")
P = np.array([0.1, 0.6, 0.9, 0.5, 0.7, 0.99], "f4")
JUDGED = Judgement(tuple("abcdef"), {"case 1": P, "flat": np.full(6, 0.5, "f4")}, LABEL)


def test_the_area_counts_pictures_of_two_classes_and_no_others():
    assert JUDGED.n_classes == (2, 2)
    assert JUDGED.auc("case 1") == pytest.approx(3 / 4)
    assert JUDGED.auc("flat") == pytest.approx(1 / 2)


def test_the_curve_has_the_area_and_ends_at_its_corners():
    curve = np.array(JUDGED.roc("case 1"))
    assert curve[0].tolist() == [0, 0]
    assert curve[-1].tolist() == [1, 1]
    assert np.trapezoid(curve[:, 1], curve[:, 0]) == pytest.approx(JUDGED.auc("case 1"))


def test_numbers_for_machines_hold_every_picture_and_no_nan():
    told = JUDGED.as_json()
    assert json.loads(json.dumps(told, allow_nan=False)) == json.loads(json.dumps(told))
    assert [row["label"] for row in told["images"]][-1] is None
    assert told["models"]["case 1"]["n_ordered"] == 5
    assert told["images"][2]["p"] == {"case 1": 0.9, "flat": 0.5}
    unlabelled = Judgement(("a",), {"case 1": P[:1]}, np.full(1, np.nan, "f4")).as_json()
    assert unlabelled["models"]["case 1"] == {"auc": None, "n_ordered": 0, "roc": []}


def test_tiny_probabilities_keep_their_order_in_numbers_for_machines():
    tiny = np.array([1.7e-9, 1.3e-8], "f4")
    told = Judgement(("a", "b"), {"case 1": tiny}, np.array([0, 1], "f4")).as_json()
    assert told["models"]["case 1"]["auc"] == 1
    assert 0 < told["images"][0]["p"]["case 1"] < told["images"][1]["p"]["case 1"]


def test_a_model_that_reads_something_else_is_refused():
    with pytest.raises(ModelError, match="150 × 150"):
        picture_judge(load_model("cubes"))


def measured(n_matrix, n_ordered, n_unknown=0):
    n = n_matrix + n_ordered + n_unknown
    label = np.repeat([0, 1, np.nan], [n_matrix, n_ordered, n_unknown]).astype("f4")
    grey = np.random.default_rng(0).integers(0, 255, (n, 150, 150)).astype("u1")
    grey[:, 0, 0] = 255
    return Pictures(tuple(f"{k}.png" for k in range(n)), grey), label


@pytest.mark.parametrize(("n_matrix", "n_learned"), [(3, 1), (30, 10), (90, 12)])
def test_a_third_of_the_matrix_is_learned_and_at_most_twelve(n_matrix, n_learned, tmp_path):
    pictures, label = measured(n_matrix, 2, 1)
    assert take_experiment(tmp_path, pictures, label)["n_learned"] == n_learned
    found = read_experiment(tmp_path)
    assert (found.pictures.grey == pictures.grey).all()
    assert found.pictures.names == pictures.names
    assert np.array_equal(found.label, label, equal_nan=True)
    assert (found.label[found.learned] == 0).all()
    assert len(found[~found.learned].pictures) == n_matrix + 3 - n_learned
    (tmp_path / "images.npy").write_bytes(b"hello")
    with pytest.raises(FileFormatError):
        read_experiment(tmp_path)


def test_too_few_measured_pictures_are_refused_before_any_work():
    for counts in ((2, 5), (9, 0), (0, 0, 9)):
        with pytest.raises(PlanError, match="--labels"):
            Measured(*measured(*counts))
    require_both_classes(LABEL[[0, 1, 0, 2]])


def test_cubes_that_are_chosen_share_no_voxel():
    rng = np.random.default_rng(1)
    places = rng.integers(0, 30, (500, 3))
    taken = _apart(places[:100], np.zeros((0, 3), int), 5)
    chosen = np.concatenate([taken, _apart(places[100:], taken, 20)])
    apart = np.abs(chosen[:, None] - chosen[None]).max(axis=2) + 9 * np.eye(25, dtype=int)
    assert apart.min() >= 4
    with pytest.raises(PlanError, match="only 1 such"):
        _apart(np.zeros((9, 3), int), np.zeros((0, 3), int), 2)


def test_the_recipe_is_the_publications_where_nothing_is_said():
    recipe = Recipe()
    assert (recipe.n_images, recipe.epochs, recipe.folds, recipe.n_cubes) == (N_IMAGES, 7, 5, 98_175)
    assert recipe.cpu_minutes > Recipe(folds=0).cpu_minutes > Recipe(200, 1, 0).cpu_minutes > 0
    for wrong in ({"n_images": 10}, {"folds": 1}, {"epochs": 0}, {"seed": -1}, {"size_nm": (5.0, 30.0, 30.0)}):
        with pytest.raises(PlanError, match="found"):
            Recipe(**wrong)
