"""The refiner's part of a model file: descriptions of its nets, and their arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream.model.gridnet import GridNet, TrainedGridNet
from aptstream.model.refiner import MAX_NETS, Refiner

Arrays = Mapping[str, npt.NDArray[Any]]


def refiner_fields(refiner: Refiner) -> dict[str, Any]:
    """Describe the nets of both passes, for the description of a model file.

    Parameters
    ----------
    refiner : Refiner
        What to describe.

    Returns
    -------
    dict
        ``first`` and ``second``: channels and layers of each net.
    """
    return {
        name: [{"channels": net.net.channels, "layers": [list(layer) for layer in net.net.layers]} for net in nets]
        for name, nets in (("first", refiner.first), ("second", refiner.second))
    }


def refiner_arrays(refiner: Refiner) -> dict[str, npt.NDArray[np.float32]]:
    """Name the arrays of a refiner, for a model file.

    Parameters
    ----------
    refiner : Refiner
        What to save.

    Returns
    -------
    dict of str to ndarray of float32
    """
    arrays: dict[str, npt.NDArray[np.float32]] = {}
    for name, nets in (("first", refiner.first), ("second", refiner.second)):
        for k, net in enumerate(nets):
            values = {"mean": net.mean, "std": net.std} | {f"weight_{w}": a for w, a in enumerate(net.weights)}
            arrays |= {f"{name}_{k}.{key}": value for key, value in values.items()}
    return arrays


def parse_refiner(fields: Mapping[str, Any], arrays: Arrays) -> Refiner:
    """Make a refiner of what a model file holds.

    Parameters
    ----------
    fields : mapping
        What `refiner_fields` gave.
    arrays : mapping of str to ndarray
        Arrays of the file.

    Returns
    -------
    Refiner

    Raises
    ------
    ModelError
        If the arrays do not fit the description.
    KeyError, TypeError, ValueError
        If something is missing or of the wrong kind.
    """
    passes = []
    for name in ("first", "second"):
        described = list(fields[name])
        if not 1 <= len(described) <= MAX_NETS:
            raise ValueError(f"a pass of {len(described)} nets, expected 1–{MAX_NETS}")
        passes.append(tuple(_net(fields, f"{name}_{k}", arrays) for k, fields in enumerate(described)))
    return Refiner(*passes)


def _net(fields: Mapping[str, Any], name: str, arrays: Arrays) -> TrainedGridNet:
    net = GridNet(fields["channels"], tuple(tuple(layer) for layer in fields["layers"]))
    weights = tuple(arrays[f"{name}.weight_{k}"] for k in range(len(net.weight_shapes())))
    return TrainedGridNet(net, arrays[f"{name}.mean"], arrays[f"{name}.std"], weights)
