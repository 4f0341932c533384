"""aptstream: find coherent ordered nanoparticles in atom probe tomography data.

Ions flow one way: io → cloud → sdm → model → scan → grid → report. The public names below are resolved when first
used, so that ``import aptstream`` loads neither Dask nor TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aptstream.crystal import Crystal as Crystal

__version__ = "0.1.0"

_HOME = {
    "Crystal": "aptstream.crystal",
}

__all__ = ["Crystal", "__version__"]


def __getattr__(name: str) -> Any:
    """Import a public name from its home when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module 'aptstream' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
