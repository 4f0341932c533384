"""Feature maps and Grad-CAM as pictures: the maps of the network, the same filters for both images."""

import numpy as np
import pytest
from figure_checks import drawn, same_twice

from aptstream.errors import ModelError
from aptstream.model.explain import feature_maps, grad_cam
from aptstream.model.modelfile import CubeJudge
from aptstream.model.networks import ImageNet
from aptstream.report.inside import inside_network
from aptstream.sdm.window import SdmWindow

pytestmark = pytest.mark.tf
RNG = np.random.default_rng(4)


@pytest.fixture(scope="module")
def judge():
    net, window = ImageNet(filters=(5, 4), dense=6), SdmWindow("zx", 0.7, 12, 0.7, 24)
    weights = tuple(RNG.normal(0, 0.3, shape).astype("f4") for shape in net.weight_shapes((24, 24)))
    return CubeJudge(4, window, net, 10, b"", weights, "grey")


def test_a_network_for_pictures(judge):
    a, b = RNG.integers(0, 256, (2, 24, 24)).astype("u1")
    figure = drawn(inside_network(judge, {"FCC": (a, "matrix"), "L1₂": (b, "order")}))
    names = [axes.get_title(loc="left") for axes in figure.axes if axes.has_data()]
    assert len(names) == 2 * (1 + 2 * 4)
    assert names[:9] == names[9:]
    assert "1: filter" in "".join(names)
    for axes in figure.axes:
        layer, _, what = axes.get_title(loc="left").partition(": filter ")
        if what:
            image = a if axes.figure is figure.subfigs[0] else b
            expected = feature_maps(judge, image)[int(layer) - 1][..., int(what) - 1]
            np.testing.assert_allclose(axes.images[0].get_array(), expected, rtol=1e-5, atol=1e-6)
    heat = figure.subfigs[1].axes[-1].images[1].get_array()
    np.testing.assert_allclose(heat, grad_cam(judge, b, layer=1), rtol=1e-4, atol=1e-6)


def test_a_network_along_z(model):
    image = RNG.standard_normal((75, 10)).astype("f4")
    figure = drawn(inside_network(model.judges[0], {"some": (image, "order")}))
    assert [axes.get_title(loc="left") for axes in figure.axes if axes.has_data()] == [
        "image",
        *("1: all filters", "1: Grad-CAM", "2: all filters", "2: Grad-CAM"),
    ]


def test_one_or_two_images(judge):
    with pytest.raises(ModelError, match="one or two images"):
        inside_network(judge, {})


def test_pictures_are_the_same_twice(judge):
    image = RNG.integers(0, 256, (24, 24)).astype("u1")
    same_twice(lambda: inside_network(judge, {"FCC": (image, "matrix")}))
