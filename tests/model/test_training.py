"""Training: the light runtime equals TensorFlow, one seed gives one network, and scores mean what they say."""

import builtins
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptstream.errors import MissingPackageError, ModelError
from aptstream.model import training
from aptstream.model.evaluate import auc, evaluate, score
from aptstream.model.modelfile import load_model, save_model
from aptstream.model.networks import BATCH, CubeNet, require_tensorflow
from aptstream.model.predict import Predictor
from aptstream.model.presets import PRESETS, Preset, get_preset
from aptstream.model.training import rebuild, train
from aptstream.sdm import dictionary
from aptstream.sdm.dictionary import Samples, make_dictionary, open_dictionary
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


@pytest.fixture
def no_tensorflow(monkeypatch):
    """A Python in which TensorFlow is not installed."""
    real = builtins.__import__

    def refuse(name, *arguments, **keywords):
        if name.split(".")[0] in ("tensorflow", "keras"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", refuse)
    for name in [name for name in sys.modules if name.split(".")[0] in ("tensorflow", "keras")]:
        monkeypatch.delitem(sys.modules, name)


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


@given(
    st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), max_size=12),
    st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), max_size=12),
)
def test_auc_is_the_share_of_pairs_in_the_right_order(positive, negative):
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    expected = sum(pairs) / len(pairs) if pairs else np.nan
    assert auc(np.array(positive), np.array(negative)) == pytest.approx(expected, nan_ok=True)


def test_scores_are_those_of_their_definition():
    judge = load_model("cubes").judge(2)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((300, *judge.window.shape)).astype("f4")
    fraction = rng.choice([0.0, 0.2, 0.6, 1.0], 300).astype("f4")
    p = Predictor(judge)(images).astype(float)
    found = score(judge, Samples(images, fraction, np.zeros(300, dtype="i4")))
    high, none = p[fraction >= 0.5], p[fraction == 0]
    assert found["auc"] == pytest.approx((high[:, None] > none).mean(), abs=1e-5)
    assert found["mean_error"] == pytest.approx((p - fraction).mean(), abs=1e-5)
    assert found["rmse"] == pytest.approx(np.sqrt(((p - fraction) ** 2).mean()), abs=1e-5)
    assert found["n"] == 300


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
    attributes = {"windows": {"2": window.as_dict()}, "seed": 0, "n_specimens": 100}
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
        assert scores == pytest.approx(score(judge, unseen), nan_ok=True)
    assert trained.provenance["seed"] == 2
    for step in ("aptstream dictionary --preset tiny --specimens 10 --seed 4", "aptstream train", "--seed 2"):
        assert step in trained.provenance["command"]
    digest = dictionary.dictionary_digest(*open_dictionary(small_dictionary))
    assert trained.provenance["dictionary"] == {"seed": 4, "n_specimens": 10, "sha256": digest}


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


@pytest.mark.slow
def test_the_shipped_model_scores_as_recorded_on_cubes_of_another_seed(tmp_path):
    preset, model = get_preset("cubes"), load_model("cubes")
    make_dictionary(tmp_path / "d.zarr", crystal=preset.crystal, windows=preset.windows, n_specimens=12, seed=77)
    found = evaluate(model, tmp_path / "d.zarr")
    assert set(found) == {4, 2}
    for edge, recorded in ((4, model.scores["cubes_4nm"]), (2, model.scores["cubes_2nm"])):
        # twelve specimens scatter: what they are made of decides more than the network
        assert found[edge]["auc"] > 0.95
        assert found[edge]["rmse"] < 2 * recorded["rmse"]


def test_a_dictionary_of_other_windows_cannot_score_a_model(tmp_path, monkeypatch):
    model = load_model("cubes")
    windows = {4: SdmWindow("z", 1.0, 5, 1.0, 1)}
    monkeypatch.setattr("aptstream.sdm.dictionary.SPECIMEN_NM", 9)
    make_dictionary(tmp_path / "d.zarr", crystal=model.crystal, windows=windows, n_specimens=1, seed=1)
    with pytest.raises(ModelError, match="other windows"):
        evaluate(model, tmp_path / "d.zarr")
