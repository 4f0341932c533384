"""Prediction by LiteRT, TensorFlow's light runtime; by TensorFlow itself where a GPU is, or on request."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aptstream.errors import ModelError
from aptstream.model.modelfile import CubeJudge
from aptstream.model.networks import Runtime, require_tensorflow
from aptstream.sdm.image import Images

Run = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]

_STDERR, _BUILDING = threading.Lock(), threading.Lock()
_BUILT: dict[str, Run] = {}


def choose_runtime(asked: str | None = None) -> Runtime:
    """Choose what networks run on.

    Parameters
    ----------
    asked : {"litert", "tensorflow"}, optional
        What the user wants; TensorFlow where a graphics processor of NVIDIA is visible, else LiteRT, where nothing is
        asked.

    Returns
    -------
    {"litert", "tensorflow"}

    Raises
    ------
    ModelError
        If the name is not known.
    MissingPackageError
        If TensorFlow is asked for and not installed.

    Examples
    --------
    >>> choose_runtime("litert")
    'litert'
    """
    if asked not in (None, "litert", "tensorflow"):
        raise ModelError(f"There is no runtime {asked!r}. Expected 'litert' or 'tensorflow'.")
    installed = find_spec("tensorflow") is not None
    if asked == "tensorflow" and not installed:
        require_tensorflow()
    if asked == "litert" or not installed:
        return "litert"
    return "tensorflow" if asked == "tensorflow" or Path("/dev/nvidia0").exists() else "litert"


class Predictor:
    """A network ready to judge images. Not to be shared between threads: make one for each.

    Images go in batches of fixed size, the last one filled up with zeros: a varying size would have to be planned anew.

    Parameters
    ----------
    judge : CubeJudge
        The trained network.
    runtime : {"litert", "tensorflow"}
        What it runs on; the logits of both agree within 1e-5 of the probability.

    Raises
    ------
    ModelError
        If the runtime refuses the network, or the network does not read the judge's images.
    """

    def __init__(self, judge: CubeJudge, runtime: Runtime = "litert") -> None:
        shape = judge.view.shape
        self._batch = np.zeros((judge.net.prediction_batch(shape), *shape), dtype=np.float32)
        self._run = _on_litert(judge, self._batch.shape) if runtime == "litert" else _on_tensorflow(judge)

    def logits(self, images: Images) -> npt.NDArray[np.float32]:
        """Judge images.

        Parameters
        ----------
        images : ndarray of float32 or uint8, (n, *shape)
            What `aptstream.sdm.image.network_input` makes of the counts.

        Returns
        -------
        ndarray of float32, (n,)
            Logits of the ordered fraction.

        Raises
        ------
        ModelError
            If the images have another shape than the network reads.
        """
        if images.shape[1:] != self._batch.shape[1:]:
            raise ModelError(f"The network reads images of {self._batch.shape[1:]} bins, found {images.shape[1:]}.")
        out, batch = np.empty(len(images), dtype=np.float32), len(self._batch)
        for start in range(0, len(images), batch):
            part = images[start : start + batch]
            self._batch[: len(part)] = part
            self._batch[len(part) :] = 0
            out[start : start + len(part)] = self._run(self._batch)[: len(part)]
        return out

    def __call__(self, images: Images) -> npt.NDArray[np.float32]:
        """Judge images: probabilities 0 … 1, which are expected ordered fractions, (n,)."""
        logit = self.logits(images).astype(np.float64)
        return (1 / (1 + np.exp(-np.clip(logit, -60, 60)))).astype(np.float32)


def _on_litert(judge: CubeJudge, expected: tuple[int, ...]) -> Run:
    """Let TensorFlow's light runtime judge batches."""
    from ai_edge_litert.interpreter import Interpreter

    try:
        with _runtime_muted():
            interpreter = Interpreter(model_content=judge.flatbuffer, num_threads=1)
            interpreter.allocate_tensors()
        (into, *_), (out, *_) = interpreter.get_input_details(), interpreter.get_output_details()
    except (ValueError, RuntimeError) as error:
        raise ModelError(
            f"The network for {judge.edge_nm} nm cubes cannot be run on images of {expected[1:]}: {error}. "
            f"The model file is damaged or was made for another window."
        ) from error
    found = tuple(tuple(map(int, end["shape"])) for end in (into, out))
    if found != (expected, (expected[0], 1)) or into["dtype"] is not np.float32:
        raise ModelError(
            f"The network for {judge.edge_nm} nm cubes turns {found[0]} into {found[1]} numbers, "
            f"expected {expected} into {(expected[0], 1)}. The model file is damaged or was made for another window."
        )

    def run(batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        interpreter.set_tensor(into["index"], batch)
        interpreter.invoke()
        logits: npt.NDArray[np.float32] = interpreter.get_tensor(out["index"])[:, 0]
        return logits

    return run


def _on_tensorflow(judge: CubeJudge) -> Run:
    """Let TensorFlow judge batches, one network in a process: building it again would fill a GPU."""
    key = hashlib.sha256(judge.flatbuffer).hexdigest()
    with _BUILDING:
        if key not in _BUILT:
            _BUILT[key] = _build_on_tensorflow(judge)
    return _BUILT[key]


def _build_on_tensorflow(judge: CubeJudge) -> Run:
    from aptstream.model.fitting import rebuild

    tensorflow = require_tensorflow()
    for device in tensorflow.config.list_physical_devices("GPU"):
        # Other workers may share it; and it may be in use already, by this process.
        with suppress(RuntimeError):
            tensorflow.config.experimental.set_memory_growth(device, True)
    network = tensorflow.function(rebuild(judge), reduce_retracing=True)

    def run(batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        logits: npt.NDArray[np.float32] = network(tensorflow.constant(batch)).numpy()[:, 0]
        return logits

    return run


@contextmanager
def _runtime_muted() -> Iterator[None]:
    """Keep the runtime's greeting, which it writes past Python, off the terminal that shows the progress."""
    with _STDERR:
        kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)
