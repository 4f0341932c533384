"""Looking inside networks: the same maps as plain loops, the same heat as finite differences."""

import builtins
from dataclasses import replace

import numpy as np
import pytest

from aptstream.errors import MissingPackageError, ModelError, PlanError
from aptstream.model import explain
from aptstream.model.explain import explain_voxel, feature_maps, grad_cam
from aptstream.model.modelfile import CubeJudge, load_model
from aptstream.model.networks import CubeNet, ImageNet
from aptstream.model.predict import Predictor
from aptstream.scan.plan import plan_scan
from aptstream.scan.score import score_brick
from aptstream.sdm.window import SdmWindow

PICTURE = ImageNet(filters=(3, 2), kernel=3, pool=2, dense=5, divisor=10.0)
LINE = CubeNet(filters=3, first_kernel=5, first_stride=3, second_kernel=4, pool=2, dense=4)


def judge_of(net, window, form, seed=0):
    """A judge with random weights; nothing of it is run by LiteRT."""
    judge = CubeJudge(4, window, net, 10, b"", (), form)
    rng = np.random.default_rng(seed)
    drawn = [rng.standard_normal(shape).astype("f4") for shape in net.weight_shapes(judge.view.shape)]
    weights = tuple(w if w.ndim > 1 else np.abs(w) for w in drawn)
    return CubeJudge(4, window, net, 10, b"", weights, form)


@pytest.fixture
def picture_judge():
    return judge_of(PICTURE, SdmWindow("zx", 0.7, 8, 0.7, 14), "grey")


@pytest.fixture
def line_judge():
    return judge_of(LINE, SdmWindow("rhoz", 1.5, 20, 2.0, 2), "contrast")


def image_of(judge, seed=1):
    rng = np.random.default_rng(seed)
    if judge.form == "grey":
        return rng.integers(0, 256, judge.view.shape).astype("u1")
    return rng.standard_normal(judge.view.shape).astype("f4")


def convolve(image, kernel, bias):
    """Convolution of a picture without padding, and a rectifier, by loops."""
    k = kernel.shape[0]
    rows, columns = image.shape[0] - k + 1, image.shape[1] - k + 1
    out = np.zeros((rows, columns, kernel.shape[3]))
    for i in range(rows):
        for j in range(columns):
            out[i, j] = np.einsum("abc,abcf->f", image[i : i + k, j : j + k], kernel) + bias
    return np.maximum(out, 0)


def pool_by_maximum(maps, p):
    rows, columns = maps.shape[0] // p, maps.shape[1] // p
    return maps[: rows * p, : columns * p].reshape(rows, p, columns, p, -1).max(axis=(1, 3))


def maps_of_picture(judge, image):
    w = [v.astype(float) for v in judge.weights]
    first = convolve(image[..., None] / judge.net.divisor, w[0], w[1])
    return [first, convolve(pool_by_maximum(first, 2), w[2], w[3])]


def dense(features, hidden, hidden_bias, last, last_bias):
    return (np.maximum(features @ hidden + hidden_bias, 0) @ last + last_bias)[0]


def head_of_picture(judge, layer, maps):
    """Logit from the maps of a convolution on."""
    w = [v.astype(float) for v in judge.weights]
    if layer == 0:
        maps = convolve(pool_by_maximum(maps, 2), w[2], w[3])
    return dense(pool_by_maximum(maps, 2).ravel(), *w[4:])


def convolve_line(rows, kernel, stride):
    """Convolution along z with padding by zeros on both sides, the smaller half before."""
    n = -(-len(rows) // stride)
    missing = max((n - 1) * stride + len(kernel) - len(rows), 0)
    padded = np.pad(rows, ((missing // 2, missing - missing // 2), (0, 0)))
    return np.array([np.einsum("ac,acf->f", padded[i * stride : i * stride + len(kernel)], kernel) for i in range(n)])


def normalise(maps, gamma, beta, mean, variance):
    return np.maximum((maps - mean) / np.sqrt(variance + 1e-3) * gamma + beta, 0)


def maps_of_line(judge, image):
    w = [v.astype(float) for v in judge.weights]
    first = normalise(convolve_line(image.astype(float), w[0], LINE.first_stride), *w[1:5])
    return [first, normalise(convolve_line(first, w[5], 1), *w[6:10])]


def head_of_line(judge, layer, maps):
    w = [v.astype(float) for v in judge.weights]
    if layer == 0:
        maps = normalise(convolve_line(maps, w[5], 1), *w[6:10])
    n = len(maps) // LINE.pool
    return dense(maps[: n * LINE.pool].reshape(n, LINE.pool, -1).mean(axis=1).ravel(), *w[10:])


def naive_cam(maps, head, sign=1.0, step=1e-6):
    """Grad-CAM by central differences of the logit, at the places of the map."""
    slope = np.zeros_like(maps)
    for place in np.ndindex(maps.shape):
        change = np.zeros_like(maps)
        change[place] = step
        slope[place] = sign * (head(maps + change) - head(maps - change)) / (2 * step)
    alpha = slope.mean(axis=tuple(range(maps.ndim - 1)))
    return np.maximum(maps @ alpha, 0)


TWINS = {"picture_judge": (maps_of_picture, head_of_picture), "line_judge": (maps_of_line, head_of_line)}


@pytest.mark.tf
@pytest.mark.parametrize("name", TWINS)
def test_feature_maps_are_plain_convolutions(name, request):
    judge = request.getfixturevalue(name)
    image = image_of(judge)
    found, expected = feature_maps(judge, image), TWINS[name][0](judge, image)
    assert len(found) == len(expected) == 2
    for a, b in zip(found, expected, strict=True):
        assert a.any()
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3)


@pytest.mark.tf
@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("towards", ["order", "matrix"])
def test_grad_cam_is_that_of_finite_differences(name, layer, towards, request, monkeypatch):
    judge = request.getfixturevalue(name)
    maps_of, head_of = TWINS[name]
    if name == "picture_judge":  # no zeros among which a pooling could choose: there the slope is not defined
        lifted = (judge.weights[0], judge.weights[1] + 100, *judge.weights[2:])
        judge = replace(judge, weights=lifted)
    image = image_of(judge)
    monkeypatch.setattr(explain, "_onto_image", lambda heat, places, shape: heat)
    maps = maps_of(judge, image)[layer]
    expected = naive_cam(maps, lambda m: head_of(judge, layer, m), 1 if towards == "order" else -1)
    found = grad_cam(judge, image, layer=layer, towards=towards)
    assert maps.any()
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3 * max(expected.max(), 1e-3))


@pytest.mark.tf
@pytest.mark.parametrize("name", TWINS)
def test_heat_has_a_value_for_every_row_and_speaks_for_one_side_or_the_other(name, request):
    judge = request.getfixturevalue(name)
    image = image_of(judge)
    heat = [grad_cam(judge, image, towards=towards) for towards in ("order", "matrix")]
    for found in heat:
        assert found.shape == (judge.view.shape if name == "picture_judge" else judge.view.shape[:1])
        assert (found >= 0).all()
    assert any(found.any() for found in heat)


@pytest.mark.parametrize("name", TWINS)
def test_the_places_of_a_map_are_the_middles_of_what_it_sees(name, request):
    """Light one row after the other: a place sees the rows around its own, unless some of them lie outside."""
    judge = request.getfixturevalue(name)
    rows = judge.view.shape[0]
    for layer, places in enumerate(explain._places(judge)):
        distance, first = places[0]
        seen = np.zeros((rows, 100))
        for row in range(rows):
            image = np.zeros(judge.view.shape)
            image[row] = 1
            maps = sum_of_what_is_seen(judge, layer, image)
            seen[row, : len(maps)] = maps
        n = int((seen > 0).any(axis=0).sum())
        middle = (seen[:, :n] * np.arange(rows)[:, None]).sum(axis=0) / seen[:, :n].sum(axis=0)
        whole = seen[:, :n].sum(axis=0) > 0.999 * seen[:, :n].sum(axis=0).max()
        np.testing.assert_allclose(middle[whole], (first + distance * np.arange(n))[whole], atol=1e-6)


def sum_of_what_is_seen(judge, layer, image):
    """How much each place along z sees of an image: kernels of ones, and pooling by the mean."""
    if judge.net is LINE:
        line = convolve_line(image[:, :1], np.ones((LINE.first_kernel, 1, 1)), LINE.first_stride)
        return (convolve_line(line, np.ones((LINE.second_kernel, 1, 1)), 1) if layer else line)[:, 0]
    profile = np.convolve(image[:, 0], np.ones(3), "valid")
    if layer:
        profile = profile[: len(profile) // 2 * 2].reshape(-1, 2).mean(axis=1)
        profile = np.convolve(profile, np.ones(3), "valid")
    return profile


def test_heat_between_the_places_of_a_map_is_interpolated():
    heat = explain._onto_image(np.array([[0.0, 4.0], [2.0, 6.0]], "f4"), [(2.0, 1.0), (1.0, 0.0)], (5, 2))
    np.testing.assert_allclose(heat, [[0, 4], [0, 4], [1, 5], [2, 6], [2, 6]])


@pytest.mark.tf
def test_what_cannot_be_explained_is_refused(picture_judge):
    with pytest.raises(ModelError, match="reads images"):
        feature_maps(picture_judge, np.zeros((3, 3), "u1"))
    with pytest.raises(ModelError, match="2 convolutions"):
        grad_cam(picture_judge, image_of(picture_judge), layer=2)
    with pytest.raises(ModelError, match="order or matrix"):
        grad_cam(picture_judge, image_of(picture_judge), towards="nothing")


@pytest.mark.tf
@pytest.mark.parametrize("edge", [4, 2])
def test_a_voxel_is_explained_by_the_cube_that_a_scan_judged(specimen_store, model, roles, edge):
    plan = plan_scan(specimen_store, model, roles)
    found = score_brick(plan, plan.task((0, 0, 0))).cubes[edge]
    for cell in ((7, 8, 9), (0, 0, 0)):
        position = tuple(o + c + 0.3 for o, c in zip(specimen_store.origin_nm, cell, strict=True))
        answer = explain_voxel(specimen_store, model, roles, position, edge_nm=edge, planes=plan.planes)
        corner = tuple(max(c - edge // 2, 0) for c in cell)
        assert answer.box.low == tuple(o + c for o, c in zip(specimen_store.origin_nm, corner, strict=True))
        assert answer.p == found.p[corner]
        assert answer.n_host + answer.n_solute == found.n_ions[corner]
        judge = model.judge(edge)
        assert Predictor(judge)(answer.image[None])[0] == pytest.approx(answer.p)
        np.testing.assert_array_equal(answer.heat, grad_cam(judge, answer.image))


def test_a_voxel_outside_is_refused(specimen_store, model, roles):
    for position in ((-5.0, 1, 1), (1, 1, 99.0), (float("nan"), 1, 1)):
        with pytest.raises(PlanError, match="outside"):
            explain_voxel(specimen_store, model, roles, position)


def test_a_voxel_among_too_few_ions_is_refused(specimen_store, model, roles):
    strict = replace(model, judges=tuple(replace(judge, min_ions=10**6) for judge in model.judges))
    with pytest.raises(PlanError, match="too few"):
        explain_voxel(specimen_store, strict, roles, specimen_store.origin_nm)


def test_without_tensorflow_the_error_says_how_to_get_it(monkeypatch):
    real = builtins.__import__

    def refuse(name, *arguments, **keywords):
        if name.split(".")[0] in ("tensorflow", "keras"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *arguments, **keywords)

    judge = load_model("cubes").judge(2)
    monkeypatch.setattr(builtins, "__import__", refuse)
    for call in (feature_maps, grad_cam):
        with pytest.raises(MissingPackageError, match=r"pip install 'aptstream\[train\]'"):
            call(judge, np.zeros(judge.view.shape, "f4"))
