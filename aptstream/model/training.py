"""Training: what is held out, folds, the networks of a preset, and the record of how they were made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream.errors import ModelError
from aptstream.model.evaluate import HELD_OUT, held_out, score
from aptstream.model.fitting import Curves, Schedule, Tell, accuracy_of, best_epoch, convert, fit_network
from aptstream.model.modelfile import CubeJudge, Model
from aptstream.model.networks import start_tensorflow, versions
from aptstream.model.predict import Predictor
from aptstream.model.presets import SPLITS, Preset, Split
from aptstream.progress import Progress, silent
from aptstream.sdm.image import View
from aptstream.sdm.li2021 import REAL_COPIES
from aptstream.sdm.library import Samples, dictionary_digest, open_dictionary, views_of

__all__ = ["TrainingOptions", "train", "training_curves"]

#: Folds of which one is watched where early stopping is asked for without cross-validation.
FOLDS_TO_WATCH = 5


@dataclass(frozen=True)
class TrainingOptions:
    """What may be asked for beside a preset.

    Parameters
    ----------
    folds : int
        Cross-validation: train so many more networks, each without one fold of the training images, and record how
        they do on it; 5 in the publication, 0 = none. The model keeps the network that was trained on all folds.
    patience : int
        Early stopping: end when the validation loss has not fallen for so many epochs; 0 = never. A fifth of the
        training images is then watched instead of fitted. With folds, the last network is trained for the median of
        their best epochs.
    split : {"specimen", "image"}, optional
        What is kept together in a split; the preset's own where it is not given.
    threads : int
        Threads of TensorFlow. The same number gives the same weights, another one others.

    Raises
    ------
    ModelError
        If a number is out of bounds.
    """

    folds: int = 0
    patience: int = 0
    split: Split | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        if self.folds not in (0, *range(2, 21)) or self.patience < 0 or self.threads < 1:
            raise ModelError(
                f"Training takes 0 or 2–20 folds, a patience of at least 0 and a thread, found {asdict(self)}."
            )
        if self.split not in (None, *SPLITS):
            raise ModelError(f"A split goes by {' or '.join(SPLITS)}, found {self.split!r}.")


def train(
    preset: Preset,
    dictionary: Path,
    *,
    seed: int,
    options: TrainingOptions | None = None,
    progress: Progress = silent,
) -> Model:
    """Train the networks of a preset on a dictionary.

    A tenth of it is held out for the scores. The same seed, number of threads, machine and versions give the same
    weights.

    Parameters
    ----------
    preset : Preset
        Recipe.
    dictionary : Path
        What `aptstream.model.presets.make_library` wrote, with the windows of the preset.
    seed : int
        Seed of weights, order, dropout and splits by image.
    options : TrainingOptions, optional
        Folds, early stopping, split, threads.
    progress : Progress
        Called after each epoch; the stage tells the losses.

    Returns
    -------
    Model
        With scores on the held-out images; curves and scores of the folds stand in its provenance.

    Raises
    ------
    ModelError
        If the dictionary was made for other images, or is too small.
    MissingPackageError
        If TensorFlow is not installed.
    """
    chosen = options or TrainingOptions()
    tensorflow, threads = start_tensorflow(chosen.threads)
    samples, attributes = _samples_for(preset, dictionary)
    judges, scores, curves = [], {}, {}
    for edge in preset.windows:
        judge, fitted = _train_judge(preset, edge, samples[edge], _Order(seed, chosen, progress))
        judges.append(judge)
        held = hold_out(samples[edge], chosen.split or preset.fit.split, seed)[1]
        accuracy = accuracy_of(Predictor(judge)(held.image), held.fraction)
        scores[f"cubes_{edge}nm"] = {**score(judge, held), "accuracy": round(accuracy, 5)}
        curves[f"cubes_{edge}nm"] = fitted
    history: dict[str, Any] = {
        "command": _command(preset, attributes, seed, chosen),
        "seed": seed,
        "threads": threads,
        "fit": {**asdict(preset.fit), "split": chosen.split or preset.fit.split},
        "curves": curves,
        "dictionary": {
            **{key: attributes[key] for key in ("seed", "n_specimens", "n_real") if key in attributes},
            "sha256": dictionary_digest(samples, attributes),
        },
        "versions": versions(tensorflow),
    }
    return Model(preset.name, preset.crystal, tuple(judges), preset.cut, preset.min_voxels, history, scores)


def training_curves(
    preset: Preset,
    dictionary: Path,
    *,
    seed: int,
    options: TrainingOptions,
    fold: int | None = None,
    progress: Progress = silent,
) -> Curves:
    """Train one network for its losses alone: of a cross-validation, or of another architecture that is compared.

    Parameters
    ----------
    preset : Preset
        Recipe; its largest cubes are judged.
    dictionary : Path
        As for `train`.
    seed : int
        As for `train`: the same seed gives the same folds and weights.
    options : TrainingOptions
        Folds, patience, split, threads.
    fold : int, optional
        Which fold is left out and watched, 0 … folds − 1. Where it is not given, all are learned, and the held-out
        tenth is watched.
    progress : Progress
        Called after each epoch.

    Returns
    -------
    list of dict
        One row an epoch, as `train` records them.

    Raises
    ------
    ModelError
        If the dictionary was made for other images, or there is no such fold.
    MissingPackageError
        If TensorFlow is not installed.
    """
    start_tensorflow(options.threads)
    if fold is not None and not 0 <= fold < options.folds:
        raise ModelError(f"A cross-validation of {options.folds} folds has none of number {fold}, counted from 0.")
    edge = next(iter(preset.windows))
    training, held = hold_out(_samples_for(preset, dictionary)[0][edge], options.split or preset.fit.split, seed)
    order = _Order(seed, options, progress)
    if fold is not None:
        return _fit_fold(preset, edge, training, order, fold)
    schedule = Schedule(preset.epochs[edge], options.patience, seed)
    return fit_network(
        preset.net, training, held, how=preset.fit, schedule=schedule, tell=order.tell(f"{edge} nm cubes")
    )[1]


def _samples_for(preset: Preset, dictionary: Path) -> tuple[dict[int, Samples], dict[str, Any]]:
    """Read a dictionary, if it was made for the preset."""
    samples, attributes = open_dictionary(dictionary)
    if views_of(attributes) != preset.views or attributes["recipe"] != preset.library:
        raise ModelError(
            f"The dictionary {dictionary} holds {_in_words(attributes['recipe'], views_of(attributes))}; "
            f"preset {preset.name!r} needs {_in_words(preset.library, preset.views)}. "
            f"Make it anew with: aptstream dictionary --preset {preset.name}."
        )
    return samples, attributes


@dataclass(frozen=True)
class _Order:
    """What was asked for: how to train every network of a model."""

    seed: int
    options: TrainingOptions
    progress: Progress

    def tell(self, what: str) -> Tell:
        """Say after an epoch how far a network is."""

        def tell(epoch: int, epochs: int, row: dict[str, float]) -> None:
            losses = f"loss {row['loss']:.4f}"
            if "validation_loss" in row:
                losses += f", validation {row['validation_loss']:.4f} ({row['validation_accuracy']:.1%} right)"
            self.progress(f"{what}: {losses}", epoch, epochs, "epochs")

        return tell


def _train_judge(preset: Preset, edge: int, samples: Samples, order: _Order) -> tuple[CubeJudge, dict[str, Any]]:
    """Fit one network to the ordered fraction of the cubes, after its folds."""
    options, view, epochs = order.options, preset.views[edge], preset.epochs[edge]
    split = options.split or preset.fit.split
    training, held = hold_out(samples, split, order.seed)
    folds = [_fit_fold(preset, edge, training, order, fold) for fold in range(options.folds)]
    patience = options.patience
    watched = held  # without patience it is only looked at
    if patience and folds:
        epochs, patience = int(np.median([best_epoch(curves) + 1 for curves in folds])), 0
    elif patience:
        number = _folds(training, FOLDS_TO_WATCH, split, order.seed)
        training, watched = training[np.flatnonzero(number != 0)], training[np.flatnonzero(number == 0)]
    network, curves = fit_network(
        preset.net,
        training,
        watched,
        how=preset.fit,
        schedule=Schedule(epochs, patience, order.seed),
        tell=order.tell(f"{edge} nm cubes"),
    )
    judge = CubeJudge(
        edge_nm=edge,
        window=view.window,
        net=preset.net,
        min_ions=round(preset.min_ions_per_nm3 * edge**3),
        flatbuffer=convert(network, preset.net, view.shape),
        weights=tuple(np.asarray(weight) for weight in network.get_weights()),
        form=view.form,
    )
    watching = "a fifth of the training images" if patience else "held out"
    record: dict[str, Any] = {"epochs": curves, "validation": watching}
    return judge, {**record, **({"folds": folds, **_mean_of(folds)} if folds else {})}


def _fit_fold(preset: Preset, edge: int, training: Samples, order: _Order, fold: int) -> Curves:
    """Fit a network to all folds but one, and look at that one."""
    options, split = order.options, order.options.split or preset.fit.split
    number = _folds(training, options.folds, split, order.seed)
    if number.max(initial=0) + 1 < options.folds:
        raise ModelError(f"{options.folds} folds need as many {split}s at least. Make a larger dictionary.")
    _, curves = fit_network(
        preset.net,
        training[np.flatnonzero(number != fold)],
        training[np.flatnonzero(number == fold)],
        how=preset.fit,
        schedule=Schedule(preset.epochs[edge], options.patience, order.seed + 1 + fold),
        tell=order.tell(f"{edge} nm cubes, fold {fold + 1} of {options.folds}"),
    )
    return curves


def hold_out(samples: Samples, split: Split, seed: int) -> tuple[Samples, Samples]:
    """Split images into those to train on, and a tenth for the scores.

    Parameters
    ----------
    samples : Samples
        Images of one cube edge.
    split : {"specimen", "image"}
        Whether the last specimens are held out, or random pictures; no real ones in either case.
    seed : int
        Seed of a split by image.

    Returns
    -------
    training, held_out : Samples
    """
    if split == "specimen":
        return held_out(samples)
    simulated = np.flatnonzero(samples.specimen >= 0)
    late = np.zeros(len(samples), dtype=bool)
    drawn = np.random.default_rng(seed).permutation(simulated)
    late[drawn[: round(HELD_OUT * len(simulated))]] = True
    return samples[np.flatnonzero(~late)], samples[np.flatnonzero(late)]


def _folds(samples: Samples, n: int, split: Split, seed: int) -> npt.NDArray[np.int64]:
    """Fold of every image, 0 … n - 1: of whole specimens or of single images, in random order."""
    kept_together = samples.specimen if split == "specimen" else np.arange(len(samples))
    names, which = np.unique(kept_together, return_inverse=True)
    fold: npt.NDArray[np.int64] = (np.random.default_rng((seed, 1)).permutation(len(names)) % n)[which]
    return fold


def _mean_of(folds: list[Curves]) -> dict[str, Any]:
    """Mean and standard deviation over the folds of what each reached at its best epoch."""
    reached = [curves[best_epoch(curves)] for curves in folds]
    values = {name: [row[name] for row in reached] for name in ("validation_loss", "validation_accuracy")}
    return {f"folds_{name}": [round(float(np.mean(v)), 6), round(float(np.std(v)), 6)] for name, v in values.items()}


def _command(preset: Preset, attributes: dict[str, Any], seed: int, options: TrainingOptions) -> str:
    """Say what to type to get the same model; real pictures that were added are not in it."""
    size = f"--specimens {attributes['n_specimens']}"
    if preset.library == "li2021":
        size = f"--images {sum(attributes['n_images'].values()) - REAL_COPIES * attributes.get('n_real', 0)}"
    usual = asdict(TrainingOptions())
    more = "".join(f" --{name} {value}" for name, value in asdict(options).items() if value != usual[name])
    return (
        f"aptstream dictionary --preset {preset.name} {size} --seed {attributes['seed']} --out DICTIONARY && "
        f"aptstream train DICTIONARY --preset {preset.name} --seed {seed}{more} --out MODEL"
    )


def _in_words(library: str, views: dict[int, View]) -> str:
    images = ", ".join(f"{view.form} images of {view.window} of {edge} nm cubes" for edge, view in views.items())
    return f"a library of kind {library!r} with {images}"
