"""Fitting of one network by TensorFlow: epochs, curves, early stopping, and conversion for LiteRT."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream.errors import ModelError
from aptstream.model.modelfile import CubeJudge
from aptstream.model.networks import Net, Shape, require_tensorflow
from aptstream.model.presets import Fit
from aptstream.sdm.library import Samples

#: One row an epoch: ``loss``, ``accuracy``, ``validation_loss``, ``validation_accuracy``.
Curves = list[dict[str, float]]
#: What is told after an epoch: its number from 1 on, of how many, and its row.
Tell = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True)
class Schedule:
    """How long to fit.

    Parameters
    ----------
    epochs : int
        Passes over the training images, at most.
    patience : int
        Stop when the validation loss has not fallen for so many epochs, and go back to the best one; 0 = never.
    seed : int
        Seed of weights, order and dropout.
    """

    epochs: int
    patience: int
    seed: int


def fit_network(
    net: Net, training: Samples, validation: Samples, *, how: Fit, schedule: Schedule, tell: Tell
) -> tuple[Any, Curves]:
    """Fit a network to the ordered fraction of the cubes, by binary cross-entropy.

    Parameters
    ----------
    net : CubeNet or ImageNet
        Architecture.
    training, validation : Samples
        Images to fit, and images that the curves are drawn from; without patience the latter change nothing.
    how : Fit
        Optimiser and batch.
    schedule : Schedule
        Epochs, patience and seed.
    tell : callable
        Called after each epoch.

    Returns
    -------
    network : keras.Model
        Fitted.
    curves : list of dict
        One row an epoch. Accuracy is the share of images whose probability and fraction lie on one side of 1/2; on
        training images it is the mean over the epoch, while the network changes.

    Raises
    ------
    ModelError
        If there are fewer training images than in a batch.
    MissingPackageError
        If TensorFlow is not installed.
    """
    keras = require_tensorflow().keras
    steps = schedule.epochs * (len(training) // how.batch)
    if steps == 0:
        raise ModelError(
            f"{len(training)} images are too few to train on: at least {how.batch}, a batch, and one epoch are needed. "
            f"Make a larger dictionary."
        )
    if schedule.patience and not len(validation):
        raise ModelError("Early stopping watches images that are not fitted, and there are none: take more specimens.")
    keras.utils.set_random_seed(schedule.seed)
    network = net.build(training.image.shape[1:])
    network.compile(_optimiser(how, steps), keras.losses.BinaryCrossentropy(from_logits=True), metrics=[_accuracy()])
    curves: Curves = []
    best, weights = np.inf, None
    for epoch in range(schedule.epochs):
        found = network.fit(training.image, training.fraction, batch_size=how.batch, epochs=1, verbose=0, shuffle=True)
        row = {name: float(values[0]) for name, values in found.history.items()}
        if len(validation):
            unseen = network.evaluate(
                validation.image, validation.fraction, batch_size=how.batch, verbose=0, return_dict=True
            )
            row |= {f"validation_{name}": float(value) for name, value in unseen.items()}
        curves.append({name: round(value, 6) for name, value in row.items()})
        tell(epoch + 1, schedule.epochs, curves[-1])
        if schedule.patience and row["validation_loss"] < best:
            best, weights = row["validation_loss"], network.get_weights()
        if schedule.patience and epoch - best_epoch(curves) >= schedule.patience:
            break
    if weights is not None:
        network.set_weights(weights)
    return network, curves


def best_epoch(curves: Curves) -> int:
    """Return the first epoch, from 0 on, of the lowest validation loss."""
    return int(np.argmin([row["validation_loss"] for row in curves]))


def _optimiser(how: Fit, steps: int) -> Any:
    optimisers = require_tensorflow().keras.optimizers
    if how.optimiser == "rmsprop":
        return optimisers.RMSprop(how.learning_rate)
    falling = optimisers.schedules.CosineDecay(how.learning_rate, steps)
    return optimisers.AdamW(falling, weight_decay=how.weight_decay)


def _accuracy() -> Any:
    """Share of logits on the side of zero where the fraction lies of 1/2: labels are fractions, not classes."""
    ops = require_tensorflow().keras.ops

    def accuracy(fraction: Any, logit: Any) -> Any:
        same = ops.equal(ops.reshape(fraction, (-1,)) >= 0.5, ops.reshape(logit, (-1,)) >= 0)
        return ops.cast(same, "float32")

    return accuracy


def accuracy_of(p: npt.NDArray[np.float32], fraction: npt.NDArray[np.float32]) -> float:
    """Share of cubes whose probability and ordered fraction lie on one side of 1/2; NaN without cubes.

    Parameters
    ----------
    p : ndarray of float32, (n,)
        Probabilities.
    fraction : ndarray of float32, (n,)
        Truth.

    Returns
    -------
    float

    Examples
    --------
    >>> accuracy_of(np.array([0.9, 0.2, 0.6], "f4"), np.array([1.0, 0.0, 0.1], "f4"))
    0.6666666666666666
    """
    return float(((p >= 0.5) == (fraction >= 0.5)).mean()) if len(p) else float("nan")


def convert(network: Any, net: Net, shape: Shape) -> bytes:
    """Turn a trained network into a LiteRT flatbuffer of fixed batch size.

    Parameters
    ----------
    network : keras.Model
        What `net` built for images of `shape`, trained.
    net : CubeNet or ImageNet
        Its architecture.
    shape : tuple of int
        Of its images.

    Returns
    -------
    bytes
    """
    fixed = net.build(shape, batch=net.prediction_batch(shape))
    fixed.set_weights(network.get_weights())
    with contextlib.redirect_stdout(io.StringIO()):  # the converter tells of its work on stdout, where results go
        return bytes(require_tensorflow().lite.TFLiteConverter.from_keras_model(fixed).convert())


def rebuild(judge: CubeJudge) -> Any:
    """Make the Keras network of a judge, with its weights.

    Parameters
    ----------
    judge : CubeJudge
        From a model file.

    Returns
    -------
    keras.Model

    Raises
    ------
    ModelError
        If the weights do not fit the architecture.
    """
    network = judge.net.build(judge.view.shape)
    try:
        network.set_weights(list(judge.weights))
    except ValueError as error:
        raise ModelError(f"The weights for {judge.edge_nm} nm cubes do not fit their network: {error}") from error
    return network
