"""Small 3D convolution networks on the 1 nm grid, and the only door to their kernel.

A grid net reads features of the voxels (votes of cubes, dark fields) and returns one logit for each. Its description is
plain numbers, as for `aptstream.model.networks`; TensorFlow is needed for training only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aptstream import _gridnet
from aptstream.errors import ModelError
from aptstream.model.networks import require_tensorflow

if TYPE_CHECKING:
    import keras

Floats = npt.NDArray[np.float32]

#: Kinds of processor instructions that this machine runs, slowest first; they agree within 1e-5.
INSTRUCTIONS = ("plain", "avx2", "avx512")[: _gridnet.BEST_INSTRUCTIONS + 1]
#: Layers (edge of the kernel, dilation, filters): 25 k parameters for 30 channels, and a reach of 4 voxels.
LAYERS = ((1, 1, 24), (3, 1, 16), (3, 1, 16), (3, 2, 16), (1, 1, 16), (1, 1, 1))
MAX_DILATION = 16


@dataclass(frozen=True)
class GridNet:
    """A network of 3D convolutions that reads features of a grid and returns the logit of every voxel.

    Every layer sees zeros outside the grid (*same* padding) and is followed by a ReLU, except for the last one.

    Parameters
    ----------
    channels : int
        Features of a voxel.
    layers : tuple of (int, int, int)
        Edge of the kernel in voxels (1 or 3), dilation, and number of filters of each layer; one filter in the last.

    Raises
    ------
    ModelError
        If a number is out of bounds.

    Examples
    --------
    >>> net = GridNet(channels=30)
    >>> net.reach, sum(int(np.prod(shape)) for shape in net.weight_shapes())
    (4, 25273)
    """

    channels: int
    layers: tuple[tuple[int, int, int], ...] = LAYERS

    def __post_init__(self) -> None:
        numbers = [self.channels, *(number for layer in self.layers for number in layer)]
        sound = (
            all(type(number) is int for number in numbers)
            and 1 <= self.channels <= _gridnet.MAX_CHANNELS
            and 1 <= len(self.layers) <= _gridnet.MAX_LAYERS
            and all(len(layer) == 3 for layer in self.layers)
            and all(edge in (1, 3) and 1 <= dilation <= MAX_DILATION for edge, dilation, _ in self.layers)
            and all(1 <= filters <= _gridnet.MAX_CHANNELS for _, _, filters in self.layers)
            and self.layers[-1][2] == 1
        )
        if not sound:
            raise ModelError(
                f"A grid network takes 1–{_gridnet.MAX_CHANNELS} channels and 1–{_gridnet.MAX_LAYERS} layers of "
                f"(edge 1 or 3, dilation 1–{MAX_DILATION}, 1–{_gridnet.MAX_CHANNELS} filters), the last with one "
                f"filter; found {self}."
            )

    @property
    def reach(self) -> int:
        """Voxels on every side that a logit depends on: the halo of a part that is computed on its own."""
        return sum(edge // 2 * dilation for edge, dilation, _ in self.layers)

    def weight_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the weights, in the order of ``keras.Model.get_weights``.

        Returns
        -------
        list of tuple of int
            Kernel (edge, edge, edge, channels, filters) and bias (filters,) of each layer.
        """
        shapes: list[tuple[int, ...]] = []
        channels = self.channels
        for edge, _, filters in self.layers:
            shapes += [(edge, edge, edge, channels, filters), (filters,)]
            channels = filters
        return shapes

    def build(self) -> keras.Model:
        """Make the Keras network for a grid of any size.

        Returns
        -------
        keras.Model
            (n, nx, ny, nz, channels) float32, standardised features → (n, nx, ny, nz, 1) logits.

        Raises
        ------
        MissingPackageError
            If TensorFlow is not installed.
        """
        keras = require_tensorflow().keras
        steps = [keras.layers.Input((None, None, None, self.channels))]
        for k, (edge, dilation, filters) in enumerate(self.layers):
            activation = "relu" if k + 1 < len(self.layers) else None
            steps.append(
                keras.layers.Conv3D(filters, edge, dilation_rate=dilation, padding="same", activation=activation)
            )
        return keras.Sequential(steps)


@dataclass(frozen=True)
class TrainedGridNet:
    """A grid net ready to be used: from any number of threads at once, as it changes nothing.

    Parameters
    ----------
    net : GridNet
        Architecture.
    mean, std : ndarray of float32, (channels,)
        Features enter as (value − mean) / std.
    weights : tuple of ndarray of float32
        In the order of ``keras.Model.get_weights``; see `GridNet.weight_shapes`.

    Raises
    ------
    ModelError
        If the arrays do not fit the architecture, or hold what is not a finite number, or a std is not positive.
    """

    net: GridNet
    mean: Floats
    std: Floats
    weights: tuple[Floats, ...]

    def __post_init__(self) -> None:
        expected = [(self.net.channels,)] * 2 + self.net.weight_shapes()
        arrays = (self.mean, self.std, *self.weights)
        found = [array.shape for array in arrays]
        if found != expected:
            raise ModelError(f"The grid network takes mean, std and weights of the shapes {expected}, found {found}.")
        if not all(array.dtype == np.float32 and np.isfinite(array).all() for array in arrays):
            raise ModelError("Mean, std and weights of a grid network must be finite numbers of the type float32.")
        # The reciprocal of a smaller number is not a float32.
        if self.std.min() < np.finfo(np.float32).tiny:
            raise ModelError(f"The std of every channel must be positive, found {self.std.min()}.")

    def logits(self, features: Floats, *, instructions: str = INSTRUCTIONS[-1]) -> Floats:
        r"""Logit of every voxel.

        A part of a larger grid gives the same bits as the whole, if it has a halo of `GridNet.reach` voxels wherever
        the grid goes on, which is cropped from the answer; at the faces of the grid the part ends too.

        Takes about :math:`4\,n_y n_z` bytes for every channel of every plane that the layers keep (for `LAYERS` and 30
        channels :math:`1.3\,n_y n_z` kB: 13 MB for a grid of 100³ voxels), whatever :math:`n_x` is.

        Parameters
        ----------
        features : ndarray of float32, (nx, ny, nz, channels)
            Features, not standardised; copied where they are not in C order.
        instructions : str
            One of `INSTRUCTIONS`; the fastest that this processor has.

        Returns
        -------
        ndarray of float32, (nx, ny, nz)
            Logits.

        Raises
        ------
        ModelError
            If the features have another shape or type, or they or the logits are not all finite.

        Examples
        --------
        >>> net = GridNet(channels=1, layers=((3, 1, 1),))        # the sum of a voxel's neighbourhood
        >>> ones = np.ones((3, 3, 3, 1, 1), "f4")
        >>> total = TrainedGridNet(net, np.zeros(1, "f4"), np.ones(1, "f4"), (ones, np.zeros(1, "f4")))
        >>> total.logits(np.ones((3, 3, 3, 1), "f4"))[:, 1, 1]
        array([18., 27., 18.], dtype=float32)
        """
        if features.ndim != 4 or features.shape[3] != self.net.channels or features.dtype != np.float32:
            raise ModelError(
                f"The grid network reads float32 features of the shape (nx, ny, nz, {self.net.channels}), "
                f"found {features.dtype} of {features.shape}."
            )
        if instructions not in INSTRUCTIONS:
            raise ModelError(f"This processor computes by {', '.join(INSTRUCTIONS)}, not by {instructions!r}.")
        out: Floats = np.empty(features.shape[:3], dtype=np.float32)
        if not out.size:
            return out
        weights = np.concatenate([array.reshape(-1) for array in self.weights])
        finite = _gridnet.run(
            np.ascontiguousarray(features),
            np.array(self.net.layers, dtype=np.int32),
            weights,
            np.stack([self.mean, 1 / self.std]),
            out,
            INSTRUCTIONS.index(instructions),
        )
        if not finite:
            where = np.argwhere(~np.isfinite(features))
            raise ModelError(
                f"{len(where)} features are not finite numbers, the first at (x, y, z, channel) = "
                f"{tuple(where[0].tolist())}: replace them before they reach the network."
            )
        if not np.isfinite(out).all():
            raise ModelError("The network's sums overflow: the features are far from those it was trained with.")
        return out
