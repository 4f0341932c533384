"""Networks as data: a short list of layers that our own code turns into Keras or counts the parameters of.

A network is described by plain numbers, so a model file needs no code from anybody: see `aptstream.model.modelfile`.
"""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from aptstream import __version__
from aptstream.errors import MissingPackageError, ModelError

if TYPE_CHECKING:
    import keras

#: Images in a batch of prediction, at most; and the memory that the widest layer of a batch may take.
BATCH, BATCH_BYTES = 512, 32 << 20

Shape = tuple[int, ...]

#: What networks run on: TensorFlow's light runtime, or TensorFlow itself, which uses a GPU where there is one.
Runtime = Literal["litert", "tensorflow"]


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

    def weight_shapes(self, shape: Shape) -> list[Shape]:
        """Shapes of the weights, in the order of ``keras.Model.get_weights``.

        Parameters
        ----------
        shape : tuple of int
            Of an image: see `aptstream.sdm.image.View.shape`.

        Returns
        -------
        list of tuple of int
        """
        n = self.filters
        features = -(-shape[0] // self.first_stride) // self.pool * n
        first, second = (self.first_kernel, prod(shape[1:]), n), (self.second_kernel, n, n)
        normalisation = [(n,)] * 4
        dense = [(features, self.dense), (self.dense,), (self.dense, 1), (1,)]
        return [first, *normalisation, second, *normalisation, *dense]

    def prediction_batch(self, shape: Shape) -> int:
        """Images that are judged together, whatever their shape: their features are small."""
        return BATCH

    def build(self, shape: Shape, batch: int | None = None) -> keras.Model:
        """Make the Keras network.

        Parameters
        ----------
        shape : tuple of int
            Of the images it will read: (rows, columns), or (rows, columns, channels).
        batch : int, optional
            Images in a batch; any number where it is not given.

        Returns
        -------
        keras.Model
            (n, *shape) float32 → (n, 1) logits.

        Raises
        ------
        MissingPackageError
            If TensorFlow is not installed.
        """
        keras = require_tensorflow().keras
        layers = keras.layers
        beside = [layers.Reshape((shape[0], prod(shape[1:])))] if len(shape) > 2 else []
        return keras.Sequential(
            [
                layers.Input(shape, batch_size=batch),
                *beside,
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


@dataclass(frozen=True)
class ImageNet:
    """The publication's network: it reads a map as a picture and returns the logit of order.

    Convolutions without padding (ReLU), each followed by max pooling, then a hidden dense layer (ReLU). With the
    default numbers and pictures of 150 × 150 pixels it has the publication's 1 666 881 parameters. The publication
    ends in a sigmoid; ours ends in its argument, and the sigmoid is taken in the loss and after prediction.

    Parameters
    ----------
    filters : tuple of int
        Filters of each convolution, one to eight of them.
    kernel, pool : int
        Edge of the kernels, and of the squares of which the largest value is kept, in pixels.
    dense : int
        Width of the hidden dense layer.
    divisor : float
        What the pixels are divided by: 255 for grey pictures, 1 for images in units of their noise.

    Raises
    ------
    ModelError
        If a number is out of bounds.

    References
    ----------
    .. [1] Li et al., npj Comput. Mater. 7, 8 (2021), Fig. 3.

    Examples
    --------
    >>> ImageNet().n_parameters((150, 150))
    1666881
    """

    filters: tuple[int, ...] = (16, 32, 64, 64)
    kernel: int = 3
    pool: int = 2
    dense: int = 512
    divisor: float = 255.0

    def __post_init__(self) -> None:
        whole = (*self.filters, self.kernel, self.pool, self.dense)
        divides = type(self.divisor) in (int, float) and 1 <= self.divisor <= 65_535
        if not 1 <= len(self.filters) <= 8 or not all(type(v) is int and 1 <= v <= 2048 for v in whole) or not divides:
            raise ModelError(
                f"An image network takes 1–8 convolutions, sizes of 1–2048 and a divisor of 1–65535, "
                f"found {asdict(self)}."
            )

    @classmethod
    def of_depth(cls, depth: int) -> ImageNet:
        """Return the publication's variant of one to five convolution and pooling layers; four is its choice.

        Parameters
        ----------
        depth : int
            Number of convolutions.

        Returns
        -------
        ImageNet

        Raises
        ------
        ModelError
            If it is not 1 to 5.
        """
        if not 1 <= depth <= 5:
            raise ModelError(f"The publication compares networks of 1–5 convolutions, found {depth}.")
        return cls(filters=(16, 32, 64, 64, 64)[:depth])

    def weight_shapes(self, shape: Shape) -> list[Shape]:
        """Shapes of the weights, in the order of ``keras.Model.get_weights``.

        Parameters
        ----------
        shape : tuple of int
            Of an image: see `aptstream.sdm.image.View.shape`.

        Returns
        -------
        list of tuple of int

        Raises
        ------
        ModelError
            If nothing of the image is left after the last pooling.
        """
        rows, columns, *channels = shape
        shapes: list[Shape] = []
        before = prod(channels)
        for n in self.filters:
            shapes += [(self.kernel, self.kernel, before, n), (n,)]
            rows, columns = ((v - self.kernel + 1) // self.pool for v in (rows, columns))
            before = n
        if min(rows, columns) < 1:
            raise ModelError(
                f"Nothing of an image of {shape} is left after {len(self.filters)} convolutions of {self.kernel} and "
                f"poolings of {self.pool} pixels: take fewer layers, or more bins."
            )
        return [*shapes, (rows * columns * before, self.dense), (self.dense,), (self.dense, 1), (1,)]

    def n_parameters(self, shape: Shape) -> int:
        """Count the weights of the network for images of a shape."""
        return sum(prod(weight) for weight in self.weight_shapes(shape))

    def prediction_batch(self, shape: Shape) -> int:
        """Images that are judged together: a power of two, so few that the widest layer takes at most 32 MB."""
        widest = 4 * shape[0] * shape[1] * (prod(shape[2:]) + self.filters[0])
        return 1 << min(max(BATCH_BYTES // widest, 1), BATCH).bit_length() - 1

    def build(self, shape: Shape, batch: int | None = None) -> keras.Model:
        """Make the Keras network; parameters, result and errors as `CubeNet.build`."""
        layers = require_tensorflow().keras.layers
        self.weight_shapes(shape)  # refuses images that are too small
        picture = shape if len(shape) > 2 else (*shape, 1)
        stack = [layers.Input(shape, batch_size=batch), layers.Reshape(picture), layers.Rescaling(1 / self.divisor)]
        for n in self.filters:
            stack += [layers.Conv2D(n, self.kernel, activation="relu"), layers.MaxPooling2D(self.pool)]
        stack += [layers.Flatten(), layers.Dense(self.dense, activation="relu"), layers.Dense(1)]
        return require_tensorflow().keras.Sequential(stack)


Net = CubeNet | ImageNet
_KINDS: dict[str, Callable[..., Net]] = {"cube": CubeNet, "image": ImageNet}


def net_fields(net: Net) -> dict[str, Any]:
    """Describe a network for a model file.

    Parameters
    ----------
    net : CubeNet or ImageNet
        Architecture.

    Returns
    -------
    dict

    Examples
    --------
    >>> net_fields(ImageNet())["kind"]
    'image'
    """
    return {"kind": "image" if isinstance(net, ImageNet) else "cube", **asdict(net)}


def net_of(fields: Mapping[str, Any]) -> Net:
    """Make a network of its description; the inverse of `net_fields`.

    Parameters
    ----------
    fields : mapping
        From a model file. Without a kind it is a cube network, as in files of older versions.

    Returns
    -------
    CubeNet or ImageNet

    Raises
    ------
    ModelError
        If the kind is not known, or a number is out of bounds.
    """
    numbers = {name: tuple(v) if isinstance(v, list) else v for name, v in dict(fields).items()}
    kind = numbers.pop("kind", "cube")
    if kind not in _KINDS:
        raise ModelError(f"Network kind {kind!r} is not known: expected one of {', '.join(_KINDS)}.")
    return _KINDS[kind](**numbers)


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


def start_tensorflow(threads: int) -> tuple[Any, int]:
    """Import TensorFlow to train with so many threads: the same number gives the same weights on the same machine.

    Parameters
    ----------
    threads : int
        Threads wanted; they can be chosen only once in a process.

    Returns
    -------
    tensorflow : module
    threads : int
        Threads that it has.

    Raises
    ------
    MissingPackageError
        If it is not installed.
    """
    tensorflow = require_tensorflow()
    tensorflow.get_logger().setLevel("ERROR")  # it warns of every further network in a process
    with contextlib.suppress(RuntimeError):  # set already in this process
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    # 0 = as many as there are: so if TensorFlow was started in this process before anybody asked for a number
    return tensorflow, int(tensorflow.config.threading.get_intra_op_parallelism_threads()) or os.cpu_count() or 1


def versions(tensorflow: Any) -> dict[str, str]:
    """Name the versions that a model was made with, for its history."""
    return {
        "aptstream": __version__,
        "python": platform.python_version(),
        "tensorflow": tensorflow.__version__,
        "keras": tensorflow.keras.__version__,
        "numpy": np.__version__,
    }
