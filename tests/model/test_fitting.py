"""Fitting a network: its curves, its end, and too few images."""

import numpy as np
import pytest

from aptstream.errors import ModelError
from aptstream.model.fitting import Schedule, best_epoch, fit_network
from aptstream.model.networks import ImageNet
from aptstream.model.presets import Fit
from aptstream.sdm.dictionary import Samples


def separable(n=600, seed=0):
    """Small pictures, bright in one half by class, under noise."""
    rng = np.random.default_rng(seed)
    fraction = rng.integers(0, 2, n).astype("f4")
    image = rng.integers(0, 100, (n, 12, 12))
    image[:, :6] += (fraction[:, None, None] * 155).astype(int)
    return Samples(image.astype("u1"), fraction, np.arange(n, dtype="i4"))


PICTURES = ImageNet(filters=(4,), dense=8)
RMSPROP = Fit("rmsprop", learning_rate=1e-3, weight_decay=0.0, batch=32)


def fit_pictures(schedule, validation=None, told=None):
    tell = (lambda *row: told.append(row)) if told is not None else (lambda *row: None)
    validation = separable(seed=1) if validation is None else validation
    return fit_network(PICTURES, separable(), validation, how=RMSPROP, schedule=schedule, tell=tell)


@pytest.mark.tf
def test_curves_are_the_losses_and_accuracies_of_their_definition():
    told, unseen = [], separable(seed=1)
    network, curves = fit_pictures(Schedule(epochs=4, patience=0, seed=1), unseen, told)
    assert [row[:2] for row in told] == [(k, 4) for k in (1, 2, 3, 4)]
    assert [row[2] for row in told] == curves
    logit = network.predict(unseen.image.astype("f4"), verbose=0)[:, 0].astype(float)
    loss = np.log1p(np.exp(-np.where(unseen.fraction == 1, logit, -logit))).mean()
    assert curves[-1]["validation_loss"] == pytest.approx(loss, abs=1e-4)
    accuracy = ((logit >= 0) == (unseen.fraction >= 0.5)).mean()
    assert curves[-1]["validation_accuracy"] == pytest.approx(accuracy, abs=2e-3)
    assert curves[-1]["loss"] < curves[0]["loss"]
    assert accuracy > 0.9


@pytest.mark.tf
def test_early_stopping_ends_and_goes_back_to_the_best_epoch():
    contrary = separable(seed=1)
    contrary = Samples(contrary.image, 1 - contrary.fraction, contrary.specimen)  # every epoch makes it worse
    network, curves = fit_pictures(Schedule(epochs=30, patience=3, seed=1), contrary)
    best = best_epoch(curves)
    assert len(curves) == best + 4 < 30
    found = network.evaluate(contrary.image, contrary.fraction, verbose=0, return_dict=True)["loss"]
    assert found == pytest.approx(curves[best]["validation_loss"], abs=1e-4)


@pytest.mark.tf
def test_too_few_images_are_refused():
    few = separable(20)
    none = few[np.arange(0)]
    with pytest.raises(ModelError, match="too few"):
        fit_network(PICTURES, few, few, how=RMSPROP, schedule=Schedule(1, 0, 1), tell=lambda *row: None)
    with pytest.raises(ModelError, match="Early stopping"):
        fit_pictures(Schedule(3, 1, 1), none)
