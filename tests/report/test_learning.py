"""Pictures of how networks are made, trained and tested: their numbers are those of the networks."""

from dataclasses import replace

import numpy as np
import pytest
from figure_checks import drawn, same_twice, titles

from aptstream.errors import ModelError, PlanError
from aptstream.model.modelfile import load_model
from aptstream.model.networks import CubeNet, ImageNet
from aptstream.report.history import final_losses, loss_by_depth, training_history
from aptstream.report.making import dictionary_making
from aptstream.report.network import layers_of, layers_of_grid, network_figure
from aptstream.report.noise import noise_density
from aptstream.report.roc import image_probabilities

RNG = np.random.default_rng(8)


def rows(n, factor=1.0):
    return [{"loss": factor * 0.3**k, "validation_loss": 1.5 * factor * 0.3**k} for k in range(n)]


@pytest.fixture(scope="module")
def five(model):
    """A model trained with five folds, one of which ended early."""
    folds = [rows(7 - (k == 2), 1 + k / 10) for k in range(5)]
    return replace(model, provenance={"curves": {"cubes_4nm": {"epochs": rows(7), "folds": folds}}})


def test_making_of_the_dictionary():
    figure = drawn(dictionary_making())
    assert titles(figure)[::4] == ["a   FCC: 9\u2009842 Al sites", "e   L1₂: 7\u2009098 Al sites"]
    detected = [len(figure.axes[k].lines[0].get_xdata()) / len(figure.axes[k - 1].lines[0].get_xdata()) for k in (2, 6)]
    assert detected == pytest.approx([0.57, 0.57], abs=0.12)
    assert {figure.axes[k].images[0].get_array().shape for k in (3, 7)} == {(150, 150)}
    rings, atoms = (len(line.get_xdata()) for line in figure.axes[4].lines)
    assert atoms == pytest.approx(rings / 2, rel=0.25)  # every second row of this layer is Al


@pytest.mark.parametrize("depth", range(1, 6))
def test_layers_of_picture_networks_have_their_parameters(depth):
    net = ImageNet.of_depth(depth)
    layers = layers_of(net, (150, 150))
    assert sum(layer.n_parameters for layer in layers) == net.n_parameters((150, 150))
    assert len(layers) == 1 + 2 * depth + 2
    assert (
        "1\u2009666\u2009881 parameters"
        in titles(drawn(network_figure(layers_of(ImageNet(), (150, 150)), "li2021")))[0]
    )


@pytest.mark.parametrize("shape", [(75, 10), (75, 1), (40, 5, 3)])
def test_layers_of_cube_networks_have_their_parameters(shape):
    net = CubeNet()
    layers = layers_of(net, shape)
    assert sum(layer.n_parameters for layer in layers) == sum(int(np.prod(w)) for w in net.weight_shapes(shape))
    assert layers[3].shape[0] * layers[3].shape[1] == net.weight_shapes(shape)[10][0]
    drawn(network_figure(layers, "cubes"))


def test_layers_of_the_nets_on_the_grid_have_their_parameters():
    net = load_model("order").refiner.first[0]
    layers = layers_of_grid(net.net)
    assert sum(layer.n_parameters for layer in layers) == sum(weight.size for weight in net.weights)
    drawn(network_figure(layers, "order"))


def test_training_with_five_folds(five):
    figure = drawn(training_history(five))
    lines = figure.axes[0].lines
    assert len(lines) == 12
    thick = [line for line in lines if line.get_linewidth() > 1]
    np.testing.assert_allclose(thick[0].get_ydata(), 1.2 * 0.3 ** np.arange(6))
    assert [text.get_text() for text in figure.legends[0].get_texts()][-1] == "validation, mean of 5"


@pytest.mark.parametrize("name", ["cubes", "order", "joint"])
def test_training_of_shipped_models(name):
    drawn(training_history(load_model(name)))


def test_without_a_history_that_is_said(model):
    with pytest.raises(ModelError, match="does not say how its losses fell"):
        training_history(replace(model, provenance={}))
    for odd in ({"curves": {"cubes_4nm": {"epochs": [{}]}}}, {"curves": [1]}, {"losses": [["a"]]}):
        with pytest.raises(ModelError, match="cannot be read"):
            training_history(replace(model, provenance=odd))
        with pytest.raises(ModelError, match="how the loss"):
            final_losses(replace(model, provenance=odd))


def test_loss_by_depth(five, model):
    training, validation = final_losses(five)
    assert training == pytest.approx([(1 + k / 10) * 0.3 ** (6 - (k == 2)) for k in range(5)])
    figure = drawn(loss_by_depth({1: (training, validation), 4: final_losses(model), 3: ([0.0], [0.0])}))
    np.testing.assert_allclose(figure.axes[0].get_xticks(), [1, 3, 4])
    assert min(line.get_ydata().min() for line in figure.axes[0].lines) > 0
    with pytest.raises(ModelError, match="at least one depth"):
        loss_by_depth({})


@pytest.mark.parametrize("n", [4, 48, 3000])
def test_probabilities_of_images(n):
    fraction = np.arange(n) % 2.0
    fraction[2::7] = 0.3
    good, bad = fraction, RNG.random(n)
    figure = drawn(image_probabilities({"case 1": (bad, fraction), "case 2": (good, fraction)}))
    labels = figure.axes[-1].get_legend_handles_labels()[1]
    assert labels[1] == "case 2: AUC 1.0000"
    high, low = bad[fraction == 1], bad[fraction == 0]
    area = (high[:, None] > low).mean()
    assert labels[0] == f"case 1: AUC {area:.4f}"
    assert sum(len(line.get_xdata()) for line in figure.axes[0].lines[:-1]) == n


def test_a_roc_needs_both_kinds():
    with pytest.raises(ModelError, match="some without any"):
        image_probabilities({"one": (np.ones(3), np.ones(3))})
    with pytest.raises(ModelError, match="One to three"):
        image_probabilities({})


def test_density_of_noise():
    sets = {name: RNG.normal(0, sigma, (30, 40, 40)) for name, sigma in (("simulated", 4), ("measured", 10))}
    figure = drawn(noise_density({**sets, "one": RNG.normal(0, 1, (1, 9, 9))}))
    for line, sigma in zip(figure.axes[0].lines[:4:2], (4, 10), strict=True):
        at, density = line.get_data()
        assert np.trapezoid(density, np.log10(at)) == pytest.approx(1, abs=0.02)
        assert at[density.argmax()] == pytest.approx(sigma**2, rel=0.1)
    with pytest.raises(PlanError, match="No picture of flat holds any noise"):
        noise_density({"flat": np.ones((2, 5, 5))})
    with pytest.raises(PlanError, match="one to three"):
        noise_density({})


@pytest.mark.slow
def test_pictures_are_the_same_twice(five):
    same_twice(dictionary_making)
    same_twice(lambda: network_figure(layers_of(ImageNet(), (150, 150)), "li2021"))
    same_twice(lambda: training_history(five))
