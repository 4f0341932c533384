"""Two passes on the 1 nm grid: against a twin in doubles, in slabs of any size, and what the specimen order must be."""

from __future__ import annotations

from dataclasses import replace

import naive
import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from aptstream.crystal import Crystal
from aptstream.errors import ModelError
from aptstream.model import channels, refiner
from aptstream.model.channels import (
    N_SCALARS,
    ORDER_BOUNDS,
    USUAL_ORDER,
    SpecimenOrder,
    SpecimenSignal,
    composition_channels,
    debye_waller,
    first_channels,
    measure_signal,
    second_channels,
    specimen_order,
)
from aptstream.model.gridnet import GridNet, TrainedGridNet
from aptstream.model.refiner import (
    N_FIRST,
    N_JOINT,
    N_SECOND,
    FieldSource,
    Refiner,
    mean_probability,
    refine_control,
    refine_field,
)
from aptstream.sdm.darkfield import N_MAPS, OrderField
from aptstream.simulate import Particles, voxel_fraction

L12 = Crystal("L12", 0.405)
#: Four planes to a period.
SLOW = Crystal("D03", 0.29, (1, 1, 1))
SIGNAL = SpecimenSignal(50.0, 0.25, (0.4, 0.5), 0.1, 20.0)


def random_net(n_channels, layers, seed, share=0.3):
    """A net with logits of both signs for channels of the size that they have."""
    rng, net = np.random.default_rng(seed), GridNet(n_channels, layers)
    weights = [(share * rng.standard_normal(s) / np.prod(s[:-1]) ** 0.5).astype("f4") for s in net.weight_shapes()]
    return TrainedGridNet(net, np.zeros(n_channels, "f4"), np.ones(n_channels, "f4"), tuple(weights))


def random_field(shape, seed, empty=0.1):
    """Maps of the size that a specimen has, without any sense; some voxels hold no ion."""
    rng = np.random.default_rng(seed)
    power = rng.exponential(2, (5, *shape))
    vacuum = rng.random(shape) < empty
    power[:, vacuum] = 0
    field = OrderField(
        power=power,
        locked=power * rng.uniform(-0.1, 1, power.shape),
        linear=rng.normal(0.15, 0.2, power.shape) * np.where(rng.random(power.shape) < 0.03, 20, 1),
        order=rng.exponential(0.4, power.shape),
        strength=rng.uniform(1, 500, shape),
        coherence2=rng.normal(0.1, 0.06, shape),
        solute=rng.uniform(0, 0.3, (3, *shape)),
        density=np.where(vacuum, rng.uniform(0, 2, shape), rng.uniform(15, 25, shape)),
    )
    return OrderField.unstack(field.stacked.astype("f4"))


def source_of(field):
    whole = field.stacked
    return FieldSource(field.strength.shape, lambda low, high: OrderField.unstack(whole[:, low:high]))


def ordered_field(order, crystal, shape=(16, 15, 14), coherence=0.2):
    """A sphere and what the linear orders say of it: the order times the truth, blurred as their windows are."""
    truth = voxel_fraction(Particles(np.array([[8.0, 7.5, 7.0]]), np.array([4.0]), np.array([0])), shape)
    truth[truth <= 0.1] = 0  # so little is not believed
    field = random_field(shape, 3, empty=0)
    damping = coherence ** (1 / crystal.doubling**2)
    linear = field.linear.copy()
    linear[3], linear[2] = (order * damping * naive.blurred(truth.astype(float), sigma) for sigma in (1.0, 0.76))
    return truth, replace(field, linear=linear, coherence2=np.full(shape, coherence**2, "f4"))


def slabs_of(field, step):
    whole, n = field.stacked, len(field.strength)
    return [(low, OrderField.unstack(whole[:, low : low + step])) for low in range(0, n, step)]


# The whole against the recipe


@pytest.mark.parametrize("crystal", [L12, SLOW], ids=["two planes", "four planes"])
def test_two_passes_equal_their_twin(crystal):
    field = random_field((11, 9, 10), 1)
    first = random_net(N_FIRST, ((1, 1, 1),), 6, share=1.0)
    second = random_net(N_SECOND, ((1, 1, 4), (3, 1, 1)), 3)
    logits = [lambda x, net=net: naive.grid_logits(x, net.mean, net.std, net.net.layers, net.weights)
              for net in (first, second)]  # fmt: skip
    one, p1, scale, two, p2 = naive.judged_twice(field, crystal.doubling, *logits)
    assert 100 < (p1 > 0.3).sum() < p1.size, "the twin must have something to measure"
    assert all(ORDER_BOUNDS[0] < value < ORDER_BOUNDS[1] and value != USUAL_ORDER for value in scale), scale
    signal = measure_signal([field], crystal)
    np.testing.assert_allclose(first_channels(field, signal, crystal), one, rtol=1e-4, atol=1e-4)
    order = SpecimenOrder(*scale)
    np.testing.assert_allclose(second_channels(field, p1, signal, order, crystal), two, rtol=1e-4, atol=1e-4)
    found = refine_field(source_of(field), Refiner((first,), (second,)), crystal)
    assert (found.order.order, found.order.upper) == pytest.approx(scale, rel=1e-4)
    np.testing.assert_allclose(found.p, p2, atol=2e-4)
    assert found.signal.solute == pytest.approx(np.median(field.solute[1][field.density > 5]))
    assert not found.spread.any(), "one net does not scatter"


@pytest.mark.parametrize("planes", [1, 7, 1000])
def test_slabs_of_any_size_give_the_bits_of_the_whole(planes, monkeypatch):
    shape = (40, 5, 6)
    field = random_field(shape, 2)
    nets = (
        (random_net(N_FIRST, ((3, 1, 1),), 1, share=1.0),),
        tuple(random_net(N_SECOND, ((3, 1, 3), (1, 1, 1)), k) for k in (2, 5)),
    )
    judges = Refiner(*nets)
    monkeypatch.setattr(refiner, "SLAB_VOXELS", planes * 30)
    read = []
    source = source_of(field)
    found = refine_field(replace(source, read=lambda a, b: read.append((a, b)) or source.read(a, b)), judges, L12)
    monkeypatch.setattr(refiner, "SLAB_VOXELS", 10**9)
    whole = refine_field(source, judges, L12)
    assert (len(set(read)) == 1) == (planes == 1000)
    assert found.p.tobytes() == whole.p.tobytes()
    assert found.spread.tobytes() == whole.spread.tobytes()
    assert (found.signal, found.order) == (whole.signal, whole.order)
    assert whole.order.order != USUAL_ORDER
    assert 0 < whole.spread.max() <= 0.5


def test_a_net_of_one_layer_is_judged_as_by_hand(refiner):
    field = random_field((6, 5, 7), 5)
    p, spread = mean_probability(refiner.second, np.full((2, 2, 2, N_SECOND), 0.5, "f4"))
    expected = [1 / (1 + np.exp(-(12 * 0.5 - 4))), 1 / (1 + np.exp(-(10 * 0.5 - 3.5)))]
    np.testing.assert_allclose(p, np.mean(expected), rtol=1e-6)
    np.testing.assert_allclose(spread, np.std(expected), rtol=1e-4)
    found = refine_field(source_of(field), refiner, L12)
    unit = debye_waller(field, found.signal.coherence, L12) * found.order.order
    x = np.clip(field.order[2] / unit, 0, 3)
    expected = (1 / (1 + np.exp(4 - 12 * x)) + 1 / (1 + np.exp(3.5 - 10 * x))) / 2
    material = field.density > 5
    assert not material.all()
    np.testing.assert_allclose(found.p, np.where(material, expected, 0), atol=1e-5)


def test_a_control_by_the_specimens_own_scale_repeats_its_judgement(refiner):
    field = random_field((8, 7, 6), 6)
    found = refine_field(source_of(field), refiner, L12)
    again = refine_control(field, refiner, L12, signal=found.signal, order=found.order)
    assert again.tobytes() == found.p.tobytes()
    half = replace(found.order, order=found.order.order / 2)
    stricter = refine_control(field, refiner, L12, signal=found.signal, order=half)
    assert (stricter >= again).all()
    assert (stricter > again).any(), "the scale is the one that is given, not the control's own"


def test_a_second_pass_with_composition_reads_it_first(refiner):
    joint = Refiner(refiner.first, (random_net(N_JOINT, ((1, 1, 1),), 0),))
    assert joint.reads_composition
    assert not refiner.reads_composition
    field = random_field((6, 6, 6), 7, empty=0)
    found = refine_field(source_of(field), joint, L12)
    first, _ = mean_probability(joint.first, first_channels(field, found.signal, L12))
    read = np.concatenate(
        [
            np.moveaxis((field.solute - np.float32(found.signal.solute)) * 10, 0, -1),
            second_channels(field, first, found.signal, found.order, L12),
        ],
        axis=-1,
    )
    np.testing.assert_array_equal(composition_channels(field, found.signal), read[..., :3])
    np.testing.assert_array_equal(found.p, mean_probability(joint.second, read)[0])
    richer = replace(field, solute=field.solute + np.float32(0.05))
    assert (refine_field(source_of(field), refiner, L12).p == refine_field(source_of(richer), refiner, L12).p).all()


# The specimen order


@pytest.mark.parametrize("crystal", [L12, SLOW], ids=["two planes", "four planes"])
@pytest.mark.parametrize("order", [0.2, 0.55, 1.0, 1.4])
def test_the_order_of_a_specimen_is_recovered(order, crystal):
    truth, field = ordered_field(order, crystal)
    signal = measure_signal([field], crystal)
    assert signal.coherence == pytest.approx(0.2, rel=1e-5)
    assert specimen_order([(0, field)], truth, signal, crystal).order == pytest.approx(order, rel=1e-5)


def test_the_order_of_a_specimen_stays_in_its_bounds():
    for order, expected in zip((-0.5, 0.01, 3.0), (*ORDER_BOUNDS[:1] * 2, ORDER_BOUNDS[1]), strict=True):
        truth, field = ordered_field(order, L12)
        found = specimen_order([(0, field)], truth, SIGNAL, L12)
        assert (found.order, found.upper) == (expected, expected)


def test_where_too_little_is_ordered_the_order_is_the_usual_one():
    shape = (9, 9, 9)
    field = random_field(shape, 1)
    first = np.full(shape, 0.29, "f4")
    assert specimen_order([(0, field)], first, SIGNAL, L12) == SpecimenOrder(USUAL_ORDER, USUAL_ORDER)
    first.flat[:7] = 1  # 7 nm³, but too few voxels
    assert specimen_order([(0, field)], first, SIGNAL, L12).order == USUAL_ORDER
    first.flat[:20] = 0.5  # many voxels, none above one half
    assert specimen_order([(0, field)], first, SIGNAL, L12).order == USUAL_ORDER
    first.flat[:20] = 0.6
    assert specimen_order([(0, field)], first, SIGNAL, L12).order != USUAL_ORDER


@given(step=st.integers(1, 16), seed=st.integers(0, 99))
@examples(15)
def test_signal_and_order_do_not_depend_on_the_slabs(step, seed):
    field = random_field((16, 5, 4), seed)
    first = np.random.default_rng(seed).random((16, 5, 4), dtype="f4")
    slabs = slabs_of(field, step)
    assert measure_signal((slab for _, slab in slabs), L12) == measure_signal([field], L12)
    assert specimen_order(slabs, first, SIGNAL, L12) == specimen_order([(0, field)], first, SIGNAL, L12)


def test_a_specimen_without_ions_has_a_signal_that_breaks_nothing(refiner):
    nothing = OrderField.unstack(np.zeros((N_MAPS, 6, 5, 4), "f4"))
    found = refine_field(source_of(nothing), refiner, L12)
    assert np.isfinite(found.p).all()
    assert found.p.max() < 0.05
    assert found.order.order == USUAL_ORDER


# What must not matter


@given(power=st.integers(-2, 2), seed=st.integers(0, 99))
@examples(10)
def test_order_and_its_unit_may_be_scaled_together(power, seed):
    factor, field = np.float32(2.0**power), random_field((6, 5, 4), seed)
    first = np.random.default_rng(seed).random((6, 5, 4), dtype="f4")
    order = SpecimenOrder(0.6, 0.7)
    scaled = replace(field, linear=field.linear * factor, order=field.order * factor)
    more = SpecimenOrder(0.6 * float(factor), 0.7 * float(factor))
    a = second_channels(field, first, SIGNAL, order, L12)
    b = second_channels(scaled, first, SIGNAL, more, L12)
    assert a[..., :-N_SCALARS].tobytes() == b[..., :-N_SCALARS].tobytes()
    # of the numbers of the specimen, only those move that speak of the size of the order
    expected = np.array([2, 0, 1, 0]) * power * np.log(2)
    np.testing.assert_allclose((b - a)[0, 0, 0, -N_SCALARS:], expected, atol=1e-5)


@given(share=st.floats(0.1, 1), seed=st.integers(0, 99))
@examples(10)
def test_the_blur_that_the_planes_show_is_taken_out(share, seed):
    """Damped planes and, by the power 1/n² of it, damped order: the channels of both passes stay as they are."""
    field = random_field((6, 5, 4), seed)
    field = replace(field, coherence2=np.full((6, 5, 4), 0.25, "f4"))
    damping = share ** (1 / L12.doubling**2)
    blurred = replace(
        field,
        coherence2=field.coherence2 * np.float32(share**2),
        linear=field.linear * np.float32(damping),
        order=field.order * np.float32(damping),
        strength=field.strength / np.float32(damping**2),
    )
    a, b = (first_channels(f, measure_signal([f], L12), L12) for f in (field, blurred))
    log_coherence = a.shape[-1] - N_SCALARS + 1
    np.testing.assert_allclose(b[..., log_coherence] - a[..., log_coherence], np.log(share), atol=1e-5)
    np.testing.assert_allclose(np.delete(a, log_coherence, -1), np.delete(b, log_coherence, -1), rtol=1e-4, atol=1e-4)


def test_coherence_is_believed_within_bounds():
    field = random_field((4, 4, 4), 0)
    for squared, believed in ((-1.0, 0.25), (0.0625, 0.25), (0.09, 0.3), (1.0, 1.0), (4.0, 1.0)):
        one = replace(field, coherence2=np.full((4, 4, 4), squared, "f4"))
        np.testing.assert_allclose(debye_waller(one, 0.5, L12), believed**0.25, rtol=1e-6)
        np.testing.assert_allclose(debye_waller(one, 0.5, SLOW), believed ** (1 / 16), rtol=1e-6)
    absent = replace(field, coherence2=np.full((4, 4, 4), -1, "f4"))
    assert debye_waller(absent, 1e-6, L12)[0, 0, 0] == pytest.approx(channels.MIN_COHERENCE**0.25)


@pytest.mark.parametrize(("first", "second"), [(26, 28), (27, 27), (27, 30), (28, 28), (None, 28), (27, None)])
def test_nets_of_other_channels_are_refused(first, second):
    nets = [() if n is None else (random_net(n, ((1, 1, 1),), 0),) for n in (first, second)]
    with pytest.raises(ModelError, match="A refiner has nets of 27 channels, and then nets of 28 or of 31"):
        Refiner(*nets)
    mixed = (random_net(N_SECOND, ((1, 1, 1),), 0), random_net(N_JOINT, ((1, 1, 1),), 0))
    with pytest.raises(ModelError, match=r"\[28, 31\]"):
        Refiner((random_net(N_FIRST, ((1, 1, 1),), 0),), mixed)


def test_the_reach_is_that_of_the_widest_net_and_of_the_maxima(refiner):
    assert refiner.reach == channels.MAXIMA_REACH == max(edge // 2 for _, edge in channels.MAXIMA)
    wide = Refiner(refiner.first, (*refiner.second, random_net(N_SECOND, ((3, 5, 2), (3, 1, 1)), 0)))
    assert wide.reach == channels.MAXIMA_REACH + 6
