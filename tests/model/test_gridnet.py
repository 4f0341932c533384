"""Grid nets: the kernel against a twin and against Keras, parts against the whole, and what is refused."""

import threading
from dataclasses import replace

import naive
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aptstream.errors import ModelError
from aptstream.model.gridnet import INSTRUCTIONS, LAYERS, MAX_DILATION, GridNet, TrainedGridNet

by_instructions = pytest.mark.parametrize("how", INSTRUCTIONS)


def trained(net, seed=0):
    """A network whose numbers keep their size from layer to layer, with features far from standardised."""
    rng = np.random.default_rng(seed)
    weights = []
    for shape in net.weight_shapes():
        scale = (2 / np.prod(shape[:-1])) ** 0.5 if len(shape) > 1 else 0.1
        weights.append((scale * rng.standard_normal(shape)).astype("f4"))
    mean, std = rng.normal(0, 5, net.channels), rng.uniform(0.1, 10, net.channels)
    return TrainedGridNet(net, mean.astype("f4"), std.astype("f4"), tuple(weights))


def features_for(judge, shape, seed=1):
    values = np.random.default_rng(seed).standard_normal((*shape, judge.net.channels))
    return (values * judge.std + judge.mean).astype("f4")


def twin(judge, features):
    return naive.grid_logits(features, judge.mean, judge.std, judge.net.layers, judge.weights)


def assert_close(found, expected):
    """Single precision: within 1e-5 of the size of the logits, which are sums of terms of both signs."""
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * max(1, np.abs(expected).max()))


sizes = st.integers(1, 9)
hidden = st.tuples(st.sampled_from([1, 3]), st.integers(1, 3), st.integers(1, 35))
last = st.tuples(st.sampled_from([1, 3]), st.integers(1, 3), st.just(1))
nets = st.builds(
    lambda channels, first, end: GridNet(channels, (*first, end)),
    st.integers(1, 35),
    st.lists(hidden, max_size=3),
    last,
)


@by_instructions
@given(net=nets, shape=st.tuples(sizes, sizes, sizes), seed=st.integers(0, 99))
@example(net=GridNet(30), shape=(1, 1, 1), seed=0)
@example(net=GridNet(30), shape=(3, 2, 61), seed=0)
@example(net=GridNet(1, ((3, MAX_DILATION, 1),)), shape=(2, 35, 34), seed=0)
@example(net=GridNet(128, ((3, 1, 128), (3, 1, 1))), shape=(3, 1, 5), seed=0)
def test_the_kernel_equals_its_twin(how, net, shape, seed):
    judge = trained(net, seed)
    features = features_for(judge, shape, seed)
    assert_close(judge.logits(features, instructions=how), twin(judge, features))


@by_instructions
@pytest.mark.parametrize("nz", range(1, 76))
def test_rows_of_every_length_equal_the_twin(how, nz):
    judge = trained(GridNet(3, ((3, 1, 17), (3, 2, 1))))
    features = features_for(judge, (3, 2, nz))
    assert_close(judge.logits(features, instructions=how), twin(judge, features))


@by_instructions
@given(data=st.data(), shape=st.tuples(sizes, sizes, st.integers(1, 40)))
def test_a_part_with_its_halo_has_the_bits_of_the_whole(how, data, shape):
    judge = trained(GridNet(18, ((1, 1, 20), (3, 1, 16), (3, 2, 16), (1, 1, 1))))
    features, halo = features_for(judge, shape), judge.net.reach
    low = [data.draw(st.integers(0, n - 1)) for n in shape]
    high = [data.draw(st.integers(a + 1, n)) for a, n in zip(low, shape, strict=True)]
    begin = [max(0, a - halo) for a in low]
    part = features[tuple(slice(a, b + halo) for a, b in zip(begin, high, strict=True))]
    crop = tuple(slice(a - c, b - c) for a, b, c in zip(low, high, begin, strict=True))
    whole = judge.logits(features, instructions=how)[tuple(map(slice, low, high))]
    assert judge.logits(part, instructions=how)[crop].tobytes() == whole.tobytes()


@by_instructions
def test_tiles_of_the_default_net_have_the_bits_of_the_whole(how):
    judge = trained(GridNet(30))
    features = features_for(judge, (13, 14, 31))
    whole, tiled = judge.logits(features, instructions=how), np.empty((13, 14, 31), "f4")
    for corner in np.ndindex(3, 2, 3):
        low = [5 * corner[0], 7 * corner[1], 11 * corner[2]]
        begin = [max(0, a - judge.net.reach) for a in low]
        part = judge.logits(
            features[tuple(slice(c, a + n + 4) for c, a, n in zip(begin, low, (5, 7, 11), strict=True))],
            instructions=how,
        )
        into = tiled[tuple(slice(a, a + n) for a, n in zip(low, (5, 7, 11), strict=True))]
        into[:] = part[tuple(slice(a - c, a - c + n) for a, c, n in zip(low, begin, into.shape, strict=True))]
    assert tiled.tobytes() == whole.tobytes()


def test_a_logit_depends_on_its_reach_and_no_further():
    judge = trained(GridNet(2, ((3, 1, 4), (3, 3, 4), (1, 1, 1))))
    # all weights positive: a change cannot be lost behind a ReLU
    judge = replace(judge, weights=tuple(np.abs(w) for w in judge.weights), mean=np.full(2, -9, "f4"))
    n, middle, reach = 15, 7, judge.net.reach
    assert reach == 4
    before = np.ones((n, n, n, 2), "f4")
    after = before.copy()
    after[middle, middle, middle] += 5
    changed = np.argwhere(judge.logits(before) != judge.logits(after)) - middle
    assert changed.min(axis=0).tolist() == [-reach] * 3
    assert changed.max(axis=0).tolist() == [reach] * 3


@by_instructions
def test_a_kernel_of_one_tap_shifts_the_grid(how):
    rng = np.random.default_rng(0)
    features = rng.standard_normal((4, 5, 30, 1)).astype("f4")
    net = GridNet(1, ((3, 2, 1),))
    for taps in np.ndindex(3, 3, 3):
        kernel = np.zeros((3, 3, 3, 1, 1), "f4")
        kernel[taps] = 1
        judge = TrainedGridNet(net, np.zeros(1, "f4"), np.ones(1, "f4"), (kernel, np.zeros(1, "f4")))
        padded = np.pad(features[..., 0], 2)
        expected = padded[tuple(slice(2 * t, 2 * t + n) for t, n in zip(taps, (4, 5, 30), strict=True))]
        np.testing.assert_array_equal(judge.logits(features, instructions=how), expected)


def test_the_order_of_memory_changes_nothing():
    judge = trained(GridNet(5))
    features = features_for(judge, (6, 7, 8))
    channel_first = np.ascontiguousarray(np.moveaxis(features, 3, 0))
    expected = judge.logits(features)
    np.testing.assert_array_equal(judge.logits(np.moveaxis(channel_first, 0, 3)), expected)
    features.flags.writeable = False
    np.testing.assert_array_equal(judge.logits(features), expected)


def test_threads_share_a_network():
    judge = trained(GridNet(8))
    grids = [features_for(judge, (9, 9, 9 + k), k) for k in range(4)]
    expected, found = [judge.logits(grid) for grid in grids], [None] * 4

    def work(k):
        found[k] = [judge.logits(grids[k]) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k in range(4):
        assert {array.tobytes() for array in found[k]} == {expected[k].tobytes()}


@pytest.mark.parametrize("shape", [(0, 3, 3), (3, 0, 3), (3, 3, 0)])
def test_an_empty_grid_has_no_logits(shape):
    judge = trained(GridNet(2))
    assert judge.logits(np.empty((*shape, 2), "f4")).shape == shape


@by_instructions
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [(0, 0, 0, 0), (4, 3, 36, 16), (2, 1, 5, 9)])
def test_features_that_are_not_finite_are_refused(how, bad, where):
    judge = trained(GridNet(17))
    features = features_for(judge, (5, 4, 37))
    features[where] = bad
    with pytest.raises(ModelError, match="1 features are not finite") as error:
        judge.logits(features, instructions=how)
    assert str(where) in str(error.value)


def test_sums_that_overflow_are_refused():
    judge = trained(GridNet(2, ((1, 1, 1),)))
    judge = replace(judge, weights=(np.full((1, 1, 1, 2, 1), 1e30, "f4"), judge.weights[1]))
    with pytest.raises(ModelError, match="overflow"):
        judge.logits(np.full((2, 2, 2, 2), 1e20, "f4"))


@by_instructions
def test_a_relu_does_not_hide_sums_that_overflow(how):
    net = GridNet(1, ((1, 1, 2), (1, 1, 1), (1, 1, 1)))
    shapes = net.weight_shapes()
    weights = [np.ones(shape, "f4") for shape in shapes]
    weights[0] *= np.float32(3e38)
    weights[2] = np.array([1, -1], "f4").reshape(shapes[2])  # infinity - infinity, in front of a ReLU
    judge = TrainedGridNet(net, np.zeros(1, "f4"), np.ones(1, "f4"), tuple(weights))
    with pytest.raises(ModelError, match="overflow"):
        judge.logits(np.full((1, 1, 1, 1), 1e5, "f4"), instructions=how)


def test_features_of_another_shape_or_type_are_refused():
    judge = trained(GridNet(3))
    for wrong in (np.zeros((4, 4, 3), "f4"), np.zeros((4, 4, 4, 2), "f4"), np.zeros((4, 4, 4, 3))):
        with pytest.raises(ModelError, match=r"reads float32 features of the shape \(nx, ny, nz, 3\)"):
            judge.logits(wrong)
    with pytest.raises(ModelError, match="not by 'avx1024'"):
        judge.logits(np.zeros((4, 4, 4, 3), "f4"), instructions="avx1024")


@pytest.mark.parametrize(
    ("channels", "layers"),
    [
        (0, LAYERS),
        (129, LAYERS),
        (3.0, LAYERS),
        (True, LAYERS),
        (3, ()),
        (3, ((1, 1, 1),) * 17),
        (3, ((2, 1, 1),)),
        (3, ((5, 1, 1),)),
        (3, ((3, 0, 1),)),
        (3, ((3, MAX_DILATION + 1, 1),)),
        (3, ((3, 1, 0), (1, 1, 1))),
        (3, ((3, 1, 129), (1, 1, 1))),
        (3, ((3, 1, 2),)),
        (3, ((3, 1),)),
        (3, ((3, 1, 1.0),)),
    ],
)
def test_a_description_out_of_bounds_is_refused(channels, layers):
    with pytest.raises(ModelError, match="A grid network takes"):
        GridNet(channels, layers)


def test_arrays_that_do_not_fit_are_refused():
    judge = trained(GridNet(3))
    with pytest.raises(ModelError, match="shapes"):
        replace(judge, weights=judge.weights[:-1])
    with pytest.raises(ModelError, match="shapes"):
        replace(judge, mean=np.zeros(4, "f4"))
    with pytest.raises(ModelError, match="float32"):
        replace(judge, mean=np.zeros(3))
    with pytest.raises(ModelError, match="finite"):
        replace(judge, weights=(np.full_like(judge.weights[0], np.nan), *judge.weights[1:]))
    for std in (0, -1, 1e-45):
        with pytest.raises(ModelError, match="std of every channel must be positive"):
            replace(judge, std=np.array([1, std, 1], "f4"))


@pytest.mark.tf
@pytest.mark.parametrize("shape", [(12, 10, 9), (1, 6, 1), (3, 1, 29)])
def test_the_kernel_equals_keras(shape):
    for net in (GridNet(30), GridNet(5, ((3, 3, 8), (1, 1, 40), (3, 1, 1)))):
        judge, keras = trained(net), net.build()
        assert [w.shape for w in keras.get_weights()] == net.weight_shapes()
        keras.set_weights(judge.weights)
        features = features_for(judge, shape)
        standardised = (features - judge.mean) / judge.std
        expected = np.asarray(keras(standardised[None]))[0, ..., 0]
        for how in INSTRUCTIONS:
            np.testing.assert_allclose(judge.logits(features, instructions=how), expected, rtol=1e-5, atol=1e-5)
