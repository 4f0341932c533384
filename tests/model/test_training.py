"""Training: the light runtime equals TensorFlow, one seed gives one network, and scores mean what they say."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aptstream.errors import MissingPackageError, ModelError, PlanError
from aptstream.model import training
from aptstream.model.evaluate import score
from aptstream.model.fitting import rebuild
from aptstream.model.modelfile import load_model, save_model
from aptstream.model.networks import BATCH, CubeNet, ImageNet, require_tensorflow
from aptstream.model.predict import Predictor
from aptstream.model.presets import PRESETS, Preset, get_preset, make_library
from aptstream.model.training import TrainingOptions, train, training_curves
from aptstream.sdm import dictionary
from aptstream.sdm.dictionary import Samples, make_dictionary, open_dictionary
from aptstream.sdm.library import views_of
from aptstream.sdm.window import SdmWindow

TINY = Preset(
    name="tiny",
    crystal=get_preset("cubes").crystal,
    windows={4: SdmWindow("rhoz", 1.5, 30, 2.0, 4), 2: SdmWindow("z", 1.5, 75, 3.0, 1)},
    net=CubeNet(filters=8, dense=8),
    epochs={4: 3, 2: 3},
    min_ions_per_nm3=6.25,
    cut=0.4,
    min_voxels=4,
)


def test_without_tensorflow_the_error_says_how_to_get_it(no_tensorflow, tmp_path):
    calls = (
        require_tensorflow,
        lambda: CubeNet().build((75, 1)),
        lambda: rebuild(load_model("cubes").judge(2)),
        lambda: train(TINY, tmp_path / "no dictionary", seed=1),
    )
    for call in calls:
        with pytest.raises(MissingPackageError, match=r"pip install 'aptstream\[train\]'"):
            call()


def test_without_tensorflow_a_model_still_judges(no_tensorflow):
    judge = load_model("cubes").judge(2)
    assert Predictor(judge)(np.zeros((1, *judge.window.shape), "f4")).shape == (1,)


@pytest.mark.parametrize(
    "change", [{"filters": 0}, {"pool": 513}, {"dense": 2.0}, {"first_stride": True}, {"dropout": 1.0}]
)
def test_networks_that_cannot_be_are_refused(change):
    with pytest.raises(ModelError, match="found"):
        CubeNet(**change)


def test_a_preset_is_found_by_its_name_or_refused_with_the_names():
    for name, preset in PRESETS.items():
        assert get_preset(name) is preset
        assert preset.name == name
        edges = list(preset.windows)
        assert edges == sorted(edges, reverse=True) == list(preset.epochs)
    with pytest.raises(ModelError, match="cubes"):
        get_preset("cube")


@pytest.fixture(scope="module")
def small_dictionary(tmp_path_factory):
    """Ten specimens, with windows of both edges of the tiny preset."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dictionary, "SPECIMEN_NM", 12)
        patch.setattr(dictionary, "CUBES_PER_SPECIMEN", {4: 200, 2: 200})
        path = tmp_path_factory.mktemp("dictionary") / "d.zarr"
        return make_dictionary(path, crystal=TINY.crystal, windows=TINY.windows, n_specimens=10, seed=4)


@pytest.fixture(scope="module")
def shipped_images(tmp_path_factory):
    """Dictionary images of the shipped model's windows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dictionary, "SPECIMEN_NM", 14)
        patch.setattr(dictionary, "CUBES_PER_SPECIMEN", {4: 300, 2: 300})
        model = load_model("cubes")
        windows = {judge.edge_nm: judge.window for judge in model.judges}
        path = tmp_path_factory.mktemp("shipped") / "d.zarr"
        make_dictionary(path, crystal=model.crystal, windows=windows, n_specimens=3, seed=9)
    return open_dictionary(path)[0]


@pytest.mark.tf
@pytest.mark.parametrize("edge", [4, 2])
def test_the_light_runtime_equals_tensorflow(shipped_images, edge):
    judge = load_model("cubes").judge(edge)
    network = rebuild(judge)
    assert [w.shape for w in network.get_weights()] == judge.net.weight_shapes(judge.view.shape)
    rng = np.random.default_rng(edge)
    noise = rng.standard_normal((BATCH + 7, *judge.window.shape)).astype("f4")
    for images in (noise, shipped_images[edge].image):
        logits = Predictor(judge).logits(images)
        expected = network.predict(images, verbose=0)[:, 0]
        assert logits.std() > 0.1
        np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
        probability = 1 / (1 + np.exp(-expected.astype(float)))
        np.testing.assert_allclose(Predictor(judge)(images), probability, rtol=0, atol=1e-5)


@pytest.mark.tf
def test_weights_that_do_not_fit_are_refused():
    judge = load_model("cubes").judge(2)
    with pytest.raises(ModelError, match="do not fit"):
        rebuild(replace(judge, weights=judge.weights[:-1]))


@pytest.fixture(scope="module")
def trained(small_dictionary):
    return train(TINY, small_dictionary, seed=2)


@pytest.mark.tf
@pytest.mark.slow
def test_training_learns_what_is_plainly_there(monkeypatch):
    """Images that are a wave of the doubled period, as strong as the cube is ordered, under noise of the same size."""
    rng, n, window = np.random.default_rng(0), 20_000, TINY.windows[2]
    fraction = rng.choice([0.0, 0.5, 1.0], n)
    offset = (np.arange(window.bins_z) + 0.5) * window.half_z_nm / window.bins_z
    wave = np.cos(2 * np.pi / TINY.crystal.period_nm * offset)
    images = fraction[:, None] * wave + rng.standard_normal((n, window.bins_z))
    samples = Samples(images[..., None].astype("f4"), fraction.astype("f4"), np.arange(n, dtype="i4") // 200)
    attributes = {
        "recipe": "specimens",
        "windows": {"2": window.as_dict()},
        "forms": {"2": "contrast"},
        "seed": 0,
        "n_specimens": 100,
    }
    monkeypatch.setattr(training, "open_dictionary", lambda path: ({2: samples}, attributes))
    model = train(replace(TINY, windows={2: window}), Path("made here"), seed=1)
    scores = model.scores["cubes_2nm"]
    assert scores["n"] == 2000  # the last tenth of the specimens
    # The ideal filter separates the classes by sqrt(75 / 2) = 6 or 3 standard deviations of its noise: AUC > 0.98.
    assert scores["auc"] > 0.95
    assert scores["rmse"] < 0.3
    assert abs(scores["mean_error"]) < 0.1


@pytest.mark.tf
@pytest.mark.slow
def test_a_trained_model_says_what_it_was_made_of(trained, small_dictionary):
    samples = open_dictionary(small_dictionary)[0]
    assert [judge.edge_nm for judge in trained.judges] == [4, 2]
    assert [judge.min_ions for judge in trained.judges] == [400, 50]
    for judge in trained.judges:
        of_edge = samples[judge.edge_nm]
        scores = trained.scores[f"cubes_{judge.edge_nm}nm"]
        assert scores["n"] == (of_edge.specimen == 9).sum()
        held_out = of_edge.specimen == 9
        unseen = Samples(of_edge.image[held_out], of_edge.fraction[held_out], of_edge.specimen[held_out])
        accuracy = ((Predictor(judge)(unseen.image) >= 0.5) == (unseen.fraction >= 0.5)).mean()
        expected = {**score(judge, unseen), "accuracy": accuracy}
        assert scores == pytest.approx(expected, nan_ok=True, abs=1e-5)
    assert trained.provenance["seed"] == 2
    for step in ("aptstream dictionary --preset tiny --specimens 10 --seed 4", "aptstream train", "--seed 2"):
        assert step in trained.provenance["command"]
    digest = dictionary.dictionary_digest(*open_dictionary(small_dictionary))
    assert trained.provenance["dictionary"] == {"seed": 4, "n_specimens": 10, "sha256": digest}
    found = require_tensorflow().config.threading.get_intra_op_parallelism_threads()
    assert trained.provenance["threads"] == (found or os.cpu_count())  # another test may have started TensorFlow before
    for edge in (4, 2):
        curves = trained.provenance["curves"][f"cubes_{edge}nm"]
        assert curves["validation"] == "held out"
        assert len(curves["epochs"]) == TINY.epochs[edge]
        last, scores = curves["epochs"][-1], trained.scores[f"cubes_{edge}nm"]
        assert set(last) == {"loss", "accuracy", "validation_loss", "validation_accuracy"}
        assert last["validation_accuracy"] == pytest.approx(scores["accuracy"], abs=1e-5)


@pytest.mark.tf
@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(trained, small_dictionary):
    again, other = (train(TINY, small_dictionary, seed=seed) for seed in (2, 3))
    for first, second, third in zip(trained.judges, again.judges, other.judges, strict=True):
        assert [w.tobytes() for w in first.weights] == [w.tobytes() for w in second.weights]
        images = np.random.default_rng(0).standard_normal((20, *first.window.shape)).astype("f4")
        assert Predictor(first).logits(images).tobytes() == Predictor(second).logits(images).tobytes()
        assert first.weights[0].tobytes() != third.weights[0].tobytes()
    assert repr(again.scores) == repr(trained.scores)  # NaN equals itself here


@pytest.mark.tf
@pytest.mark.slow
def test_a_trained_model_survives_its_file(trained, tmp_path):
    loaded = load_model(save_model(tmp_path / "tiny.aptmodel", trained))
    for before, after in zip(trained.judges, loaded.judges, strict=True):
        images = np.random.default_rng(0).standard_normal((20, *before.window.shape)).astype("f4")
        assert Predictor(before).logits(images).tobytes() == Predictor(after).logits(images).tobytes()
        expected = rebuild(after).predict(images, verbose=0)[:, 0]
        np.testing.assert_allclose(Predictor(after).logits(images), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.tf
def test_a_dictionary_of_other_windows_is_refused_with_what_to_do(small_dictionary):
    with pytest.raises(ModelError, match="aptstream dictionary --preset cubes"):
        train(get_preset("cubes"), small_dictionary, seed=1)


@pytest.mark.tf
def test_a_library_of_another_kind_is_refused_though_its_images_look_alike(small_dictionary):
    with pytest.raises(ModelError, match=r"kind 'specimens'.*kind 'matched'"):
        train(replace(TINY, library="matched"), small_dictionary, seed=1)


def numbered(n_specimens=20, each=7, real=3):
    """Samples whose images are their own numbers; the last are real."""
    specimen = np.concatenate([np.repeat(np.arange(n_specimens), each), np.repeat(-1 - np.arange(real), 7)])
    image = np.arange(len(specimen), dtype="f4").reshape(-1, 1, 1)
    return Samples(image, (specimen % 2 == 0).astype("f4"), specimen.astype("i4"))


@pytest.mark.parametrize("split", ["specimen", "image"])
def test_a_tenth_is_held_out_and_no_real_picture(split):
    samples = numbered()
    fitted, held = training.hold_out(samples, split, seed=5)
    assert len(held) == 14
    assert (held.specimen >= 0).all()
    every = np.concatenate([fitted.image, held.image]).ravel()
    np.testing.assert_array_equal(np.sort(every), np.arange(len(samples)))
    if split == "specimen":
        assert not set(fitted.specimen) & set(held.specimen)
    again, other = (training.hold_out(samples, split, seed=seed)[1] for seed in (5, 6))
    np.testing.assert_array_equal(again.image, held.image)
    assert split == "specimen" or (other.image != held.image).any()


@pytest.mark.parametrize("split", ["specimen", "image"])
def test_folds_share_out_all_images_and_never_part_a_specimen(split):
    samples = numbered()
    fold = training._folds(samples, 5, split, seed=1)
    assert set(fold) == set(range(5))
    sizes = np.bincount(fold)
    assert sizes.max() - sizes.min() <= (7 if split == "specimen" else 1)
    of_specimen = [set(fold[samples.specimen == k]) for k in np.unique(samples.specimen)]
    assert all(len(found) == 1 for found in of_specimen) == (split == "specimen")


@pytest.mark.parametrize("change", [{"folds": 1}, {"folds": 21}, {"patience": -1}, {"threads": 0}, {"split": "pixel"}])
def test_training_options_that_cannot_be_are_refused(change):
    with pytest.raises(ModelError, match="found"):
        TrainingOptions(**change)


def test_the_recorded_command_names_what_was_asked_for():
    attributes = {"n_specimens": 112, "seed": 3, "n_images": {"4": 121}, "n_real": 3}
    options = TrainingOptions(folds=5, split="specimen")
    command = training._command(get_preset("li2021"), attributes, 7, options)
    assert command == (
        "aptstream dictionary --preset li2021 --images 100 --seed 3 --out DICTIONARY && "
        "aptstream train DICTIONARY --preset li2021 --seed 7 --folds 5 --split specimen --out MODEL"
    )


def test_the_publications_preset_is_as_published():
    preset = get_preset("li2021")
    assert preset.net.n_parameters(preset.views[4].shape) == 1_666_881
    fit = preset.fit
    assert (preset.epochs[4], fit.batch, fit.optimiser, fit.learning_rate) == (7, 32, "rmsprop", 1e-3)
    assert (fit.split, preset.cut * 64) == ("image", 62)
    honest = get_preset("li2021-matched")
    assert (honest.net, honest.views, honest.fit.split) == (preset.net, preset.views, "specimen")


@pytest.mark.parametrize(("name", "size"), [("cubes", 1), ("matched", 2), ("li2021", 12), ("li2021-matched", 1)])
def test_every_preset_makes_the_library_that_it_needs(name, size, tmp_path, monkeypatch):
    monkeypatch.setattr(dictionary, "SPECIMEN_NM", 6)
    preset = get_preset(name)
    samples, attributes = open_dictionary(make_library(preset, tmp_path / "d.zarr", seed=1, size=size))
    assert attributes["recipe"] == preset.library
    assert views_of(attributes) == preset.views
    for edge, view in preset.views.items():
        assert samples[edge].image.shape[1:] == view.shape
    with pytest.raises(PlanError, match="at least 1"):
        make_library(preset, tmp_path / "e.zarr", seed=1, size=0)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return make_library(get_preset("li2021"), tmp_path_factory.mktemp("li2021") / "d.zarr", seed=1, size=120)


@pytest.mark.tf
@pytest.mark.slow
def test_folds_are_recorded_and_leave_the_network_as_it_would_be_without(published, tmp_path):
    preset = replace(get_preset("li2021"), net=ImageNet(filters=(4, 4, 4), dense=8), epochs={4: 2})
    told = []
    options = TrainingOptions(folds=3)
    model = train(preset, published, seed=1, options=options, progress=lambda *row: told.append(row))
    plain = train(preset, published, seed=1)
    assert [w.tobytes() for w in model.judges[0].weights] == [w.tobytes() for w in plain.judges[0].weights]
    assert model.scores == plain.scores
    curves = model.provenance["curves"]["cubes_4nm"]
    assert [len(fold) for fold in curves["folds"]] == [2, 2, 2]
    reached = [min(row["validation_loss"] for row in fold) for fold in curves["folds"]]
    assert curves["folds_validation_loss"] == pytest.approx([np.mean(reached), np.std(reached)], abs=1e-5)
    assert len(told) == 2 * 4
    assert "fold 3 of 3: loss" in told[5][0]
    stopped = train(preset, published, seed=1, options=TrainingOptions(patience=1, split="specimen"))
    assert stopped.provenance["curves"]["cubes_4nm"]["validation"].startswith("a fifth")
    assert "--patience 1 --split specimen" in stopped.provenance["command"]
    loaded = load_model(save_model(tmp_path / "m.aptmodel", model))
    assert loaded.provenance == model.provenance
    assert loaded.judges[0].form == "grey"


@pytest.mark.tf
@pytest.mark.slow
def test_losses_alone_are_those_of_the_same_networks_in_a_training(published):
    preset = replace(get_preset("li2021"), net=ImageNet(filters=(2, 2), dense=4), epochs={4: 2})
    options = TrainingOptions(folds=3)
    curves = train(preset, published, seed=1, options=options).provenance["curves"]["cubes_4nm"]
    assert training_curves(preset, published, seed=1, options=options) == curves["epochs"]
    assert training_curves(preset, published, seed=1, options=options, fold=2) == curves["folds"][2]
    with pytest.raises(ModelError, match="3 folds has none of number 3"):
        training_curves(preset, published, seed=1, options=options, fold=3)
