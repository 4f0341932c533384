"""Prediction by LiteRT: a cube's probability is its own, whatever stands beside it, and damage is a `ModelError`."""

from dataclasses import replace

import numpy as np
import pytest

from aptstream.errors import ModelError
from aptstream.model.modelfile import load_model
from aptstream.model.networks import BATCH
from aptstream.model.predict import Predictor, choose_runtime
from aptstream.sdm.window import SdmWindow

EDGES = [4, 2]


@pytest.fixture(scope="module", params=EDGES)
def judge(request):
    return load_model("cubes").judge(request.param)


@pytest.fixture(scope="module")
def predict(judge):
    return Predictor(judge)


def images(judge, n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, *judge.window.shape)).astype("f4")


@pytest.mark.parametrize("n", [0, 1, BATCH - 1, BATCH, BATCH + 1])
def test_every_image_gets_one_probability(judge, predict, n):
    p = predict(images(judge, n))
    assert p.shape == (n,)
    assert p.dtype == np.float32
    assert ((p >= 0) & (p <= 1)).all()
    np.testing.assert_array_equal(p, predict(images(judge, BATCH + 1))[:n])


def test_the_place_in_a_batch_does_not_change_a_bit(judge, predict):
    first = images(judge, 600)
    logits = predict.logits(first)
    order = np.random.default_rng(1).permutation(600)
    assert predict.logits(first[order]).tobytes() == logits[order].tobytes()
    for k in (0, 1, 7, 511, 512, 599):
        assert predict.logits(first[k : k + 1]).tobytes() == logits[k : k + 1].tobytes()


def test_neighbours_of_any_size_do_not_change_a_bit(judge, predict):
    one = images(judge, 1)
    alone = predict.logits(one)
    for filling in (0.0, 1e30, np.nan, np.inf):
        batch = np.full((BATCH, *judge.window.shape), filling, dtype="f4")
        batch[100] = one[0]
        assert predict.logits(batch)[100:101].tobytes() == alone.tobytes()
    assert predict.logits(one).tobytes() == alone.tobytes()  # nothing is left over from the batch before


def test_two_predictors_agree(judge, predict):
    np.testing.assert_array_equal(Predictor(judge).logits(images(judge, 20)), predict.logits(images(judge, 20)))


def test_a_probability_is_the_logistic_of_its_logit(judge, predict, monkeypatch):
    logit = np.array([-1e9, -50, -2, 0, 2, 50, 1e9], "f4")
    monkeypatch.setattr(predict, "logits", lambda images: logit)
    p = predict(np.zeros(()))
    np.testing.assert_allclose(p[2:5], 1 / (1 + np.exp([2.0, 0.0, -2.0])), rtol=1e-6)
    assert (np.diff(p.astype(float)) >= 0).all()
    assert p[0] < 1e-20
    assert p[-1] == 1


def test_images_of_another_window_are_refused(judge, predict):
    rows, columns = judge.window.shape
    for shape in ((3, rows, 1 if columns > 1 else 2), (3, 1, columns), (3, columns), (rows, columns), (2, 3, rows, 1)):
        with pytest.raises(ModelError, match="reads images"):
            predict(np.zeros(shape, "f4"))


def test_a_judge_of_another_window_is_refused(judge):
    for window in (
        SdmWindow("rhoz", 1.5, 75, 2.0, 9),
        SdmWindow("rhoz", 1.5, 60, 2.0, 10),
        SdmWindow("zx", 1, 5, 1, 5),
    ):
        with pytest.raises(ModelError, match="another window"):
            Predictor(replace(judge, window=window))


def test_networks_of_two_edges_are_not_to_be_exchanged():
    of_4, of_2 = (load_model("cubes").judge(edge) for edge in EDGES)
    with pytest.raises(ModelError, match="another window"):
        Predictor(replace(of_4, flatbuffer=of_2.flatbuffer))


@pytest.mark.parametrize("seed", range(4))
def test_a_network_that_is_damaged_is_refused(judge, seed):
    rng = np.random.default_rng(seed)
    content = judge.flatbuffer
    cut = content[: int(rng.integers(8, len(content)))]
    noise = content[:8] + rng.bytes(len(content) - 8)
    for damaged in (cut, noise, content[:8]):
        with pytest.raises(ModelError, match="damaged"):
            Predictor(replace(judge, flatbuffer=damaged))


def test_the_runtime_says_nothing(judge, capfd):
    Predictor(judge)(images(judge, 1))
    assert capfd.readouterr() == ("", "")


@pytest.mark.tf
def test_tensorflow_gives_the_same_probabilities_in_batches_of_fixed_size(judge, predict):
    on_tensorflow = Predictor(judge, "tensorflow")
    for n in (1, BATCH, BATCH + 1):
        np.testing.assert_allclose(on_tensorflow(images(judge, n)), predict(images(judge, n)), rtol=0, atol=1e-5)
    # one network in a process, however many predictors
    assert Predictor(judge, "tensorflow")._run is on_tensorflow._run


def test_the_runtime_is_what_is_asked_for(monkeypatch):
    assert choose_runtime("litert") == "litert"
    with pytest.raises(ModelError, match="no runtime 'cuda'"):
        choose_runtime("cuda")
    monkeypatch.setattr("aptstream.model.predict.find_spec", lambda _name: None)
    assert choose_runtime() == "litert"
