"""The publication's network as it comes with aptstream, to judge images from an instrument at once."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from aptstream.model.modelfile import SUFFIX, Model, load_model
from aptstream.reproduce.li2021 import NETWORKS


def shipped_networks() -> dict[str, Model]:
    """Load the networks of a full ``aptstream reproduce li2021``, their weights rounded to half precision.

    Returns
    -------
    dict of str to Model
        ``case 1`` learned the publication's library, ``case 2`` also 84 experimental images of the matrix, which are
        simulated, and ``honest library`` cubes whose two phases have one range of blur.

    Examples
    --------
    >>> list(shipped_networks())
    ['case 1', 'case 2', 'honest library']
    """
    folder = Path(str(resources.files("aptstream") / "data" / "li2021"))
    return {name: load_model(folder / f"{stem}{SUFFIX}") for name, stem in NETWORKS.items()}
