"""Training of the grid nets with TensorFlow, on order fields of small specimens whose truth is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream.errors import ModelError
from aptstream.model.calibration import reliability
from aptstream.model.channels import (
    N_SCALARS,
    SpecimenSignal,
    composition_channels,
    first_channels,
    measure_signal,
    second_channels,
    specimen_order,
)
from aptstream.model.curves import Ranking, judge_voxels, pool_voxels
from aptstream.model.evaluate import HELD_OUT
from aptstream.model.gridnet import GridNet, TrainedGridNet
from aptstream.model.modelfile import Model, load_model
from aptstream.model.networks import require_tensorflow, start_tensorflow, versions
from aptstream.model.refiner import FieldSource, Refiner, judge_first, refine_field
from aptstream.progress import Progress, silent
from aptstream.sdm.darkfield import OrderField
from aptstream.sdm.orderlibrary import OrderExample, open_order_library

Floats = npt.NDArray[np.float32]

#: Specimens of a library where no number is given.
N_SPECIMENS = 640
#: Specimens in a batch, largest learning rate, and standard deviation of the noise on the numbers of a specimen.
BATCH, LEARNING_RATE, SCALAR_NOISE = 3, 4e-3, 0.08
#: One voxel in so many tells mean and standard deviation of the channels.
STANDARDISED_BY = 7


@dataclass(frozen=True)
class RefinerRecipe:
    """How much training.

    Parameters
    ----------
    n_first, n_second : int
        Nets of each pass.
    epochs : int
        Passes over the examples for each net.
    composition : bool
        Whether the second pass reads the composition too.
    """

    n_first: int = 2
    n_second: int = 3
    epochs: int = 16
    composition: bool = False


#: Presets with nets on the 1 nm grid. The second speaks of order and composition together.
REFINERS = {"order": RefinerRecipe(), "joint": RefinerRecipe(1, 2, composition=True)}


def train_refiner(
    examples: list[OrderExample], recipe: RefinerRecipe, *, seed: int, progress: Progress = silent
) -> tuple[Refiner, list[list[float]]]:
    """Train the nets of both passes; the second on the maps that the first makes.

    Parameters
    ----------
    examples : list of OrderExample
        Specimens that the nets learn from.
    recipe : RefinerRecipe
        How many nets and epochs.
    seed : int
        Seed of weights, order, and noise; net k has seed + k.
    progress : Progress
        Called after each epoch.

    Returns
    -------
    refiner : Refiner
    losses : list of list of float
        Mean cross-entropy of every epoch of every net.

    Raises
    ------
    MissingPackageError
        If TensorFlow is not installed.
    """
    signals = [measure_signal([e.field], e.crystal) for e in examples]
    truth = np.stack([e.truth for e in examples])
    images = np.stack([first_channels(e.field, s, e.crystal) for e, s in zip(examples, signals, strict=True)])
    nets: list[TrainedGridNet] = []
    losses: list[list[float]] = []
    n_nets = recipe.n_first + recipe.n_second
    for k in range(n_nets):
        if k == recipe.n_first:
            images = _second_images(examples, signals, tuple(nets), recipe.composition)

        def report(epoch: int, loss: float, k: int = k) -> None:
            progress(f"train net {k + 1} of {n_nets}, loss {loss:.4f}", epoch, recipe.epochs, "epochs")

        net, loss = _fit(images, truth, recipe.epochs, seed + k, report)
        nets.append(net)
        losses.append(loss)
    return Refiner(tuple(nets[: recipe.n_first]), tuple(nets[recipe.n_first :])), losses


def train_order_model(name: str, library: Path, *, seed: int, threads: int = 1, progress: Progress = silent) -> Model:
    """Train the nets of a preset on an order library, and put them behind the judges of the shipped model ``cubes``.

    Parameters
    ----------
    name : str
        Key of `REFINERS`.
    library : Path
        What `aptstream.sdm.orderlibrary.make_order_library` wrote.
    seed : int
        Seed of weights, order, and noise.
    threads : int
        Threads of TensorFlow. The same number gives the same weights on the same machine.
    progress : Progress
        Called after each epoch.

    Returns
    -------
    Model

    Raises
    ------
    StoreError
        If the library cannot be read.
    ModelError
        If it holds too few specimens.
    MissingPackageError
        If TensorFlow is not installed.
    """
    tensorflow, used = start_tensorflow(threads)
    examples, attributes = open_order_library(library)
    n_training = len(examples) - max(round(HELD_OUT * len(examples)), 1)
    if n_training < BATCH:
        raise ModelError(
            f"The library {library} holds {len(examples)} specimens: too few, at least {BATCH} are trained on and one "
            f"is held out. Make a larger one with: aptstream dictionary --preset {name}."
        )
    refiner, losses = train_refiner(examples[:n_training], REFINERS[name], seed=seed, progress=progress)
    cubes = load_model("cubes")
    made = {key: attributes[key] for key in ("seed", "n_specimens")}
    provenance = {
        "command": f"aptstream dictionary --preset {name} --specimens {made['n_specimens']} --seed {made['seed']} "
        f"--out LIBRARY && aptstream train LIBRARY --preset {name} --seed {seed} --threads {threads} --out MODEL",
        "seed": seed,
        "threads": used,
        "library": {**made, "sha256": attributes["content_digest"]},
        "cubes": cubes.digest,
        "losses": losses,
        "versions": versions(tensorflow),
    }
    scores = {**cubes.scores, "voxels": score_refiner(refiner, examples[n_training:])}
    return replace(cubes, name=name, provenance=provenance, scores=scores, refiner=refiner, path="", digest="")


def score_refiner(refiner: Refiner, examples: list[OrderExample]) -> dict[str, float]:
    """Judge specimens that training has not seen.

    Parameters
    ----------
    refiner : Refiner
        The nets.
    examples : list of OrderExample
        Specimens with their truth.

    Returns
    -------
    dict of str to float
        ``average_precision`` of the voxels, those without order against those at least half ordered;
        ``expected_calibration_error``; ``volume_error``: sum of the probabilities / true ordered volume − 1; ``n``
        specimens.
    """
    judged, p_sum, true_sum = [], 0.0, 0.0
    for example in examples:

        def read(low: int, high: int, field: OrderField = example.field) -> OrderField:
            return OrderField.unstack(field.stacked[:, low:high])

        nx, ny, nz = example.truth.shape
        p = refine_field(FieldSource((nx, ny, nz), read), refiner, example.crystal).p
        judged.append(judge_voxels(p, example.truth, p >= 0.5))
        p_sum, true_sum = p_sum + float(p.sum()), true_sum + float(example.truth.sum())
    voxels = pool_voxels(judged)
    return {
        "average_precision": round(Ranking(voxels).curve().average_precision, 5),
        "expected_calibration_error": round(reliability(voxels).expected_error, 5),
        "volume_error": round(p_sum / true_sum - 1, 5) if true_sum else float("nan"),
        "n": len(examples),
    }


def _second_images(
    examples: list[OrderExample],
    signals: list[SpecimenSignal],
    first: tuple[TrainedGridNet, ...],
    composition: bool,
) -> Floats:
    """Channels of the second pass for all examples."""
    out = []
    for example, signal in zip(examples, signals, strict=True):
        p, _ = judge_first(first, example.field, signal, example.crystal)
        order = specimen_order([(0, example.field)], p, signal, example.crystal)
        channels = second_channels(example.field, p, signal, order, example.crystal)
        if composition:
            channels = np.concatenate([composition_channels(example.field, signal), channels], axis=-1)
        out.append(channels)
    return np.stack(out)


def _fit(images: Floats, truth: Floats, epochs: int, seed: int, report: Any) -> tuple[TrainedGridNet, list[float]]:
    """Fit one net to the ordered share of the voxels: cross-entropy, AdamW with cosine decay, random flips."""
    tensorflow = require_tensorflow()
    keras = tensorflow.keras
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    voxels = images.reshape(-1, images.shape[-1])[::STANDARDISED_BY]
    mean, std = voxels.mean(axis=0, dtype=np.float64), np.sqrt(voxels.var(axis=0, dtype=np.float64) + 1e-4)
    mean, std = mean.astype(np.float32), std.astype(np.float32)
    net = GridNet(channels=images.shape[-1])
    network = net.build()
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, epochs * (len(images) // BATCH))
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=1e-3)
    optimizer.build(network.trainable_variables)

    @tensorflow.function  # type: ignore[untyped-decorator]
    def step(image: Any, share: Any) -> Any:
        with tensorflow.GradientTape() as tape:
            logits = network(image, training=True)
            loss = tensorflow.reduce_mean(tensorflow.nn.sigmoid_cross_entropy_with_logits(labels=share, logits=logits))
        optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)
        return loss

    losses = []
    for epoch in range(epochs):
        shuffled, total = rng.permutation(len(images)), []
        for start in range(0, len(images) - BATCH + 1, BATCH):
            chosen = shuffled[start : start + BATCH]
            image, share = _varied(rng, images[chosen], truth[chosen][..., None])
            total.append(float(step((image - mean) / std, share)))
        losses.append(round(float(np.mean(total)), 5))
        report(epoch + 1, losses[-1])
    weights = tuple(np.asarray(weight, dtype=np.float32) for weight in network.get_weights())
    return TrainedGridNet(net, mean, std, weights), losses


def _varied(rng: np.random.Generator, image: Floats, share: Floats) -> tuple[Floats, Floats]:
    """Turn a batch over at random, and add noise to the numbers of the specimens."""
    noise = rng.normal(0, SCALAR_NOISE, (len(image), 1, 1, 1, N_SCALARS)).astype(np.float32)
    image = np.concatenate([image[..., :-N_SCALARS], image[..., -N_SCALARS:] + noise], axis=-1)
    for axis in (1, 2, 3):
        if rng.random() < 0.5:
            image, share = np.flip(image, axis), np.flip(share, axis)
    if rng.random() < 0.5:
        image, share = image.swapaxes(1, 2), share.swapaxes(1, 2)
    return np.ascontiguousarray(image), np.ascontiguousarray(share)
