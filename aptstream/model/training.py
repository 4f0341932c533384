"""Training of the cube networks with TensorFlow, and their conversion for LiteRT."""

from __future__ import annotations

import contextlib
import io
import platform
from pathlib import Path
from typing import Any

import numpy as np

from aptstream import __version__
from aptstream.errors import ModelError
from aptstream.model.evaluate import held_out, score
from aptstream.model.modelfile import CubeJudge, Model
from aptstream.model.networks import Net, Shape, require_tensorflow
from aptstream.model.presets import Preset
from aptstream.progress import Progress, silent
from aptstream.sdm.dictionary import Samples, dictionary_digest, open_dictionary

BATCH = 128


def train(
    preset: Preset,
    dictionary: Path,
    *,
    seed: int,
    progress: Progress = silent,
) -> Model:
    """Train the networks of a preset on a dictionary.

    The split goes by specimen. Training runs on one thread: the same seed, machine and versions give the same weights.

    Parameters
    ----------
    preset : Preset
        Recipe.
    dictionary : Path
        What `aptstream.sdm.dictionary.make_dictionary` wrote, with the windows of the preset.
    seed : int
        Seed of weights, order and dropout.
    progress : Progress
        Called after each epoch.

    Returns
    -------
    Model
        With scores on the held-out specimens.

    Raises
    ------
    ModelError
        If the dictionary was made for other windows.
    MissingPackageError
        If TensorFlow is not installed.
    """
    tensorflow = require_tensorflow()
    with contextlib.suppress(RuntimeError):  # set already in this process
        tensorflow.config.threading.set_intra_op_parallelism_threads(1)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    samples, attributes = open_dictionary(dictionary)
    wanted = {str(edge): window.as_dict() for edge, window in preset.windows.items()}
    if attributes["windows"] != wanted:
        raise ModelError(
            f"The dictionary {dictionary} holds windows {attributes['windows']}, "
            f"preset {preset.name!r} needs {wanted}. "
            f"Make it anew with: aptstream dictionary --preset {preset.name}."
        )
    judges, scores = [], {}
    for edge in preset.windows:
        judge = _train_judge(preset, edge, samples[edge], seed, progress)
        judges.append(judge)
        scores[f"cubes_{edge}nm"] = score(judge, held_out(samples[edge])[1])
    made = {key: attributes[key] for key in ("seed", "n_specimens")}
    history = {
        "command": f"aptstream dictionary --preset {preset.name} --specimens {made['n_specimens']} "
        f"--seed {made['seed']} --out DICTIONARY && "
        f"aptstream train DICTIONARY --preset {preset.name} --seed {seed} --out MODEL",
        "seed": seed,
        "threads": 1,
        "dictionary": {**made, "sha256": dictionary_digest(samples, attributes)},
        "versions": {
            "aptstream": __version__,
            "python": platform.python_version(),
            "tensorflow": tensorflow.__version__,
            "keras": tensorflow.keras.__version__,
            "numpy": np.__version__,
        },
    }
    return Model(preset.name, preset.crystal, tuple(judges), preset.cut, preset.min_voxels, history, scores)


def _train_judge(preset: Preset, edge: int, samples: Samples, seed: int, progress: Progress) -> CubeJudge:
    """Fit one network to the ordered fraction of the cubes."""
    keras = require_tensorflow().keras
    keras.utils.set_random_seed(seed)
    window, epochs = preset.windows[edge], preset.epochs[edge]
    training, _ = held_out(samples)
    network = preset.net.build(window.shape)
    steps = epochs * (len(training) // BATCH)
    network.compile(
        keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(2e-3, steps), weight_decay=1e-3),
        keras.losses.BinaryCrossentropy(from_logits=True),
    )
    for epoch in range(epochs):
        network.fit(training.image, training.fraction, batch_size=BATCH, epochs=1, verbose=0, shuffle=True)
        progress(f"train {edge} nm cubes", epoch + 1, epochs, "epochs")
    return CubeJudge(
        edge_nm=edge,
        window=window,
        net=preset.net,
        min_ions=round(preset.min_ions_per_nm3 * edge**3),
        flatbuffer=convert(network, preset.net, window.shape),
        weights=tuple(np.asarray(weight) for weight in network.get_weights()),
    )


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
