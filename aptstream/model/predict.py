"""Prediction by LiteRT, TensorFlow's light runtime: what workers use; equal to TensorFlow within 1e-5."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from aptstream.errors import ModelError
from aptstream.model.modelfile import CubeJudge
from aptstream.sdm.image import Images

_STDERR = threading.Lock()


class Predictor:
    """A network ready to judge images. Not to be shared between threads: make one for each.

    Images go in batches of fixed size, the last one filled up with zeros: a varying size would have to be planned anew.

    Parameters
    ----------
    judge : CubeJudge
        The trained network.

    Raises
    ------
    ModelError
        If the runtime refuses the network, or the network does not read the judge's images.
    """

    def __init__(self, judge: CubeJudge) -> None:
        from ai_edge_litert.interpreter import Interpreter

        shape = judge.view.shape
        n = judge.net.prediction_batch(shape)
        expected = (n, *shape)
        try:
            with _runtime_muted():
                self._interpreter = Interpreter(model_content=judge.flatbuffer, num_threads=1)
                self._interpreter.allocate_tensors()
            self._input = self._interpreter.get_input_details()[0]
            self._output = self._interpreter.get_output_details()[0]
        except (ValueError, RuntimeError) as error:
            raise ModelError(
                f"The network for {judge.edge_nm} nm cubes cannot be run on images of {shape}: {error}. "
                f"The model file is damaged or was made for another window."
            ) from error
        found = tuple(tuple(map(int, end["shape"])) for end in (self._input, self._output))
        if found != (expected, (n, 1)) or self._input["dtype"] is not np.float32:
            raise ModelError(
                f"The network for {judge.edge_nm} nm cubes turns {found[0]} into {found[1]} numbers, "
                f"expected {expected} into {(n, 1)}. The model file is damaged or was made for another window."
            )
        self._batch = np.zeros(expected, dtype=np.float32)

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
            self._interpreter.set_tensor(self._input["index"], self._batch)
            self._interpreter.invoke()
            out[start : start + len(part)] = self._interpreter.get_tensor(self._output["index"])[: len(part), 0]
        return out

    def __call__(self, images: Images) -> npt.NDArray[np.float32]:
        """Judge images: probabilities 0 … 1, which are expected ordered fractions, (n,)."""
        logit = self.logits(images).astype(np.float64)
        return (1 / (1 + np.exp(-np.clip(logit, -60, 60)))).astype(np.float32)


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
