"""Networks as data: a short list of layers that our own code turns into Keras or counts the parameters of.

A network is described by plain numbers, so a model file needs no code from anybody: see `aptstream.model.modelfile`.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from aptstream.errors import MissingPackageError, ModelError
from aptstream.sdm.window import SdmWindow

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class CubeNet:
    """A small network that reads a contrast image of one cube and returns the logit of its ordered fraction.

    Two convolutions along the offset in z, whose columns (lateral distance) are channels, then two dense layers.

    Parameters
    ----------
    filters : int
        Filters of both convolutions.
    first_kernel, first_stride, second_kernel : int
        Kernel sizes and stride in rows of the image. The first kernel should span about a doubled period.
    pool : int
        Rows averaged after the convolutions.
    dropout : float
        Share of the features dropped in training.
    dense : int
        Width of the hidden dense layer.

    Raises
    ------
    ModelError
        If a number is out of bounds.
    """

    filters: int = 32
    first_kernel: int = 15
    first_stride: int = 3
    second_kernel: int = 7
    pool: int = 5
    dropout: float = 0.3
    dense: int = 32

    def __post_init__(self) -> None:
        sizes = (self.filters, self.first_kernel, self.first_stride, self.second_kernel, self.pool, self.dense)
        if not all(type(v) is int and 1 <= v <= 512 for v in sizes) or not 0 <= self.dropout < 1:
            raise ModelError(f"A cube network takes sizes of 1–512 and a dropout of 0–1, found {asdict(self)}.")

    def weight_shapes(self, window: SdmWindow) -> list[tuple[int, ...]]:
        """Shapes of the weights, in the order of ``keras.Model.get_weights``.

        Parameters
        ----------
        window : SdmWindow
            The images that are read.

        Returns
        -------
        list of tuple of int
        """
        n = self.filters
        features = -(-window.bins_z // self.first_stride) // self.pool * n
        first, second = (self.first_kernel, window.bins_lateral, n), (self.second_kernel, n, n)
        normalisation = [(n,)] * 4
        dense = [(features, self.dense), (self.dense,), (self.dense, 1), (1,)]
        return [first, *normalisation, second, *normalisation, *dense]

    def build(self, window: SdmWindow, batch: int | None = None) -> keras.Model:
        """Make the Keras network.

        Parameters
        ----------
        window : SdmWindow
            The images it will read: (bins_z, bins_lateral).
        batch : int, optional
            Images in a batch; any number where it is not given.

        Returns
        -------
        keras.Model
            (n, bins_z, bins_lateral) float32 → (n, 1) logits.

        Raises
        ------
        MissingPackageError
            If TensorFlow is not installed.
        """
        keras = require_tensorflow().keras
        layers = keras.layers
        return keras.Sequential(
            [
                layers.Input(window.shape, batch_size=batch),
                layers.Conv1D(
                    self.filters, self.first_kernel, strides=self.first_stride, padding="same", use_bias=False
                ),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.Conv1D(self.filters, self.second_kernel, padding="same", use_bias=False),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.AveragePooling1D(self.pool),
                layers.Flatten(),
                layers.Dropout(self.dropout),
                layers.Dense(self.dense, activation="relu"),
                layers.Dense(1),
            ]
        )


def require_tensorflow() -> Any:
    """Import TensorFlow, or say how to get it.

    Returns
    -------
    module
        ``tensorflow``.

    Raises
    ------
    MissingPackageError
        If it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # its start-up messages are not for the users of a command line
    try:
        import tensorflow as tf
    except ImportError as error:
        raise MissingPackageError(
            "Training and looking inside a network need TensorFlow, which is not installed. "
            "Install it with: pip install 'aptstream[train]'. Scanning with a trained model does not need it."
        ) from error
    return tf
