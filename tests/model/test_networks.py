"""Networks as data: what they count to, what they refuse, and that Keras and the light runtime see the same."""

from dataclasses import asdict

import numpy as np
import pytest

from aptstream.errors import ModelError
from aptstream.model.fitting import convert, rebuild
from aptstream.model.modelfile import CubeJudge
from aptstream.model.networks import BATCH, BATCH_BYTES, CubeNet, ImageNet, net_fields, net_of
from aptstream.model.predict import Predictor
from aptstream.sdm.image import View
from aptstream.sdm.window import SdmWindow

PUBLISHED = (150, 150)


def test_the_published_network_has_the_published_number_of_parameters():
    assert ImageNet().n_parameters(PUBLISHED) == 1_666_881
    assert ImageNet.of_depth(4) == ImageNet()


def test_every_depth_that_was_compared_fits_the_published_picture():
    counts = [ImageNet.of_depth(depth).n_parameters(PUBLISHED) for depth in range(1, 6)]
    assert counts == sorted(counts, reverse=True)  # every pooling shrinks the dense layer more than a layer adds
    for depth in (0, 6):
        with pytest.raises(ModelError, match="1–5"):
            ImageNet.of_depth(depth)


@pytest.mark.parametrize(
    "change",
    [
        {"filters": ()},
        {"filters": (1,) * 9},
        {"filters": (16, 0)},
        {"kernel": 3.0},
        {"pool": True},
        {"dense": 4096},
        {"divisor": 0},
        {"divisor": True},
        {"divisor": float("nan")},
        {"divisor": "255"},
    ],
)
def test_image_networks_that_cannot_be_are_refused(change):
    with pytest.raises(ModelError, match="found"):
        ImageNet(**change)


def test_an_image_of_which_nothing_is_left_is_refused():
    with pytest.raises(ModelError, match="Nothing of an image"):
        ImageNet().weight_shapes((45, 150))
    assert ImageNet().weight_shapes((46, 150))


@pytest.mark.parametrize("net", [CubeNet(filters=4), ImageNet(filters=(2, 3), divisor=1)])
def test_a_network_comes_back_from_its_description(net):
    fields = net_fields(net)
    assert net_of(fields) == net
    assert net_of({**fields, **{k: list(v) for k, v in fields.items() if isinstance(v, tuple)}}) == net  # from JSON
    with pytest.raises(ModelError, match="kind"):
        net_of({**fields, "kind": "grid"})


def test_without_a_kind_a_description_is_that_of_a_cube_network():
    assert net_of(asdict(CubeNet(dense=8))) == CubeNet(dense=8)


def test_batches_of_prediction_stay_small_in_memory():
    assert CubeNet().prediction_batch((75, 10)) == BATCH
    for shape in (PUBLISHED, (75, 10), (1024, 1024), (1024, 1024, 3)):
        n = ImageNet().prediction_batch(shape)
        assert n in [2**k for k in range(10)]
        assert n == 1 or n * 4 * shape[0] * shape[1] * 17 <= BATCH_BYTES


VIEWS = [
    (CubeNet(filters=4, dense=4), View(SdmWindow("rhoz", 1.5, 30, 2.0, 4), "channels")),
    (CubeNet(filters=4, dense=4), View(SdmWindow("rhoz", 1.5, 30, 2.0, 4), "standardised")),
    (ImageNet(filters=(2, 3), dense=4), View(SdmWindow("zx", 0.7, 15, 0.7, 30), "grey")),
    (ImageNet(filters=(2, 3), dense=4, divisor=1.0), View(SdmWindow("zx", 0.7, 30, 0.7, 30), "channels")),
    (ImageNet(filters=(2,), dense=4, divisor=1.0), View(SdmWindow("rhoz", 1.5, 30, 2.0, 10), "contrast")),
]


@pytest.mark.tf
@pytest.mark.parametrize(("net", "view"), VIEWS)
def test_keras_the_description_and_the_light_runtime_agree(net, view):
    network = net.build(view.shape)
    shapes = net.weight_shapes(view.shape)
    assert [w.shape for w in network.get_weights()] == shapes
    rng = np.random.default_rng(1)
    drawn = [rng.standard_normal(shape).astype("f4") * np.float32(0.3) for shape in shapes]
    weights = tuple(w if w.ndim > 1 else np.abs(w) for w in drawn)  # a variance is positive
    network.set_weights(list(weights))
    judge = CubeJudge(4, view.window, net, 40, convert(network, net, view.shape), weights, view.form)
    n = min(net.prediction_batch(view.shape) + 3, 600)
    images = rng.integers(0, 256 if view.form == "grey" else 3, (n, *view.shape)).astype(view.dtype)
    expected = rebuild(judge).predict(images.astype("f4"), verbose=0)[:, 0]
    assert expected.std() > 0
    np.testing.assert_allclose(Predictor(judge).logits(images), expected, rtol=1e-4, atol=1e-4)
