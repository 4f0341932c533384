"""Training of the nets on the 1 nm grid: the same seed gives the same nets, and they are those that Keras trained."""

from __future__ import annotations

import numpy as np
import pytest

from aptstream.errors import ModelError, StoreError
from aptstream.model import refiner_training
from aptstream.model.channels import N_SCALARS, first_channels, measure_signal
from aptstream.model.modelfile import load_model, save_model
from aptstream.model.refiner import N_FIRST, N_JOINT, N_SECOND, FieldSource, refine_field
from aptstream.model.refiner_training import RefinerRecipe, train_order_model, train_refiner
from aptstream.sdm import orderlibrary
from aptstream.sdm.orderlibrary import make_example, make_order_library

#: Shapes of the arrays of the default net.
N_WEIGHTS = 12


@pytest.fixture(scope="module")
def examples():
    """Three specimens of 8 nm: one batch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orderlibrary, "SPECIMEN_NM", 8)
        return [make_example(np.random.default_rng(seed))[0] for seed in (1, 2, 3)]


@pytest.fixture(scope="module")
def trained(examples):
    told = []
    refiner, losses = train_refiner(
        examples, RefinerRecipe(1, 2, epochs=1), seed=5, progress=lambda *state: told.append(state)
    )
    return refiner, losses, told


def bytes_of(refiner):
    return [[a.tobytes() for a in (n.mean, n.std, *n.weights)] for n in (*refiner.first, *refiner.second)]


def test_a_batch_is_turned_over_with_its_truth_and_only_its_numbers_get_noise():
    rng = np.random.default_rng(0)
    turned, noise = set(), []
    for _ in range(40):
        square = rng.random((3, 4, 4, 5, 1), dtype="f4")
        picture = np.concatenate([square, 2 * square, np.full((3, 4, 4, 5, N_SCALARS), 7, "f4")], axis=-1)
        varied, truth = refiner_training._varied(rng, picture, square)
        np.testing.assert_array_equal(varied[..., 0], truth[..., 0])
        np.testing.assert_array_equal(varied[..., 1], 2 * truth[..., 0])
        np.testing.assert_array_equal(np.sort(truth, axis=None), np.sort(square, axis=None))
        numbers = varied[..., -N_SCALARS:]
        assert (numbers == numbers[:, :1, :1, :1]).all(), "one number for a whole specimen"
        noise.append(numbers[:, 0, 0, 0])
        for axes in np.ndindex(2, 2, 2, 2):
            other = square.swapaxes(1, 2) if axes[3] else square
            if np.array_equal(np.flip(other, [a + 1 for a in range(3) if axes[a]]), truth):
                turned.add(axes)
    assert len(turned) > 8, "all sixteen ways occur sooner or later"
    assert np.std(noise) == pytest.approx(refiner_training.SCALAR_NOISE, rel=0.15)
    assert np.mean(noise) == pytest.approx(7, abs=0.02)


def test_a_library_that_is_not_there_is_refused_before_tensorflow_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(refiner_training, "start_tensorflow", lambda threads: (None, threads))
    with pytest.raises(StoreError, match="aptstream dictionary --preset order"):
        train_order_model("order", tmp_path / "none.zarr", seed=1)


@pytest.mark.tf
def test_every_net_is_trained_and_its_losses_are_recorded(trained):
    refiner, losses, told = trained
    assert [net.net.channels for net in refiner.first] == [N_FIRST]
    assert [net.net.channels for net in refiner.second] == [N_SECOND] * 2
    assert [len(loss) for loss in losses] == [1, 1, 1]
    assert all(0 < value < 5 for loss in losses for value in loss)
    assert [state[1:] for state in told] == [(1, 1, "epochs")] * 3
    assert [state[0] for state in told] == [f"train net {k + 1} of 3, loss {losses[k][0]:.4f}" for k in range(3)]
    assert bytes_of(refiner)[1] != bytes_of(refiner)[2], "each net of a pass has a seed of its own"


@pytest.mark.tf
def test_the_same_seed_gives_the_same_weights_and_another_does_not(examples, trained):
    refiner, losses, _ = trained
    again, same = train_refiner(examples, RefinerRecipe(1, 2, epochs=1), seed=5)
    assert bytes_of(again) == bytes_of(refiner)
    assert same == losses
    other, _ = train_refiner(examples, RefinerRecipe(1, 1, epochs=1), seed=6)
    assert bytes_of(other)[0] != bytes_of(refiner)[0]


@pytest.mark.tf
def test_the_nets_are_those_of_keras(examples, trained):
    refiner, _, _ = trained
    field, crystal = examples[0].field, examples[0].crystal
    features = first_channels(field, measure_signal([field], crystal), crystal)
    net = refiner.first[0]
    assert len(net.weights) == N_WEIGHTS
    network = net.net.build()
    network.set_weights(net.weights)
    expected = np.asarray(network(((features - net.mean) / net.std)[None]))[0, ..., 0]
    np.testing.assert_allclose(net.logits(features), expected, rtol=1e-4, atol=1e-4)
    # one voxel in seven of all examples tells mean and standard deviation
    images = [first_channels(e.field, measure_signal([e.field], e.crystal), e.crystal) for e in examples]
    voxels = np.stack(images).reshape(-1, N_FIRST)[:: refiner_training.STANDARDISED_BY].astype(float)
    np.testing.assert_allclose(net.mean, voxels.mean(axis=0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(net.std, np.sqrt(voxels.var(axis=0) + 1e-4), rtol=1e-4)


@pytest.mark.tf
def test_training_brings_the_loss_down(examples):
    _, losses = train_refiner(examples, RefinerRecipe(1, 1, epochs=8), seed=2)
    assert losses[0][-1] < losses[0][0]
    assert losses[1][-1] < losses[1][0]


@pytest.mark.tf
def test_a_joint_model_goes_from_its_library_to_a_file_that_judges(tmp_path, monkeypatch, examples):
    monkeypatch.setattr(orderlibrary, "SPECIMEN_NM", 8)
    monkeypatch.setitem(refiner_training.REFINERS, "joint", RefinerRecipe(1, 1, epochs=1, composition=True))
    few = make_order_library(tmp_path / "few.zarr", n_specimens=3, seed=1)
    with pytest.raises(ModelError, match="3 specimens: too few"):
        train_order_model("joint", few, seed=4)
    library = make_order_library(tmp_path / "d.zarr", n_specimens=5, seed=1)
    model = load_model(save_model(tmp_path / "m.aptmodel", train_order_model("joint", library, seed=4)))
    assert model.name == "joint"
    assert model.refiner.reads_composition
    assert model.refiner.second[0].net.channels == N_JOINT
    assert model.provenance["library"]["n_specimens"] == 5
    assert model.scores["voxels"]["n"] == 1
    assert len(model.provenance["losses"]) == 2
    assert model.provenance["cubes"] == load_model("cubes").digest
    assert "--preset joint --specimens 5 --seed 1" in model.provenance["command"]
    field, crystal = examples[0].field, examples[0].crystal
    whole = FieldSource((8, 8, 8), lambda low, high: type(field).unstack(field.stacked[:, low:high]))
    p = refine_field(whole, model.refiner, crystal).p
    assert ((p >= 0) & (p <= 1)).all()
