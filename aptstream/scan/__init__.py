"""The dataflow: which boxes of cubes are judged where, and how the judgements come together."""

import sys
from inspect import signature
from types import ModuleType

from aptstream.scan.lazy import scan
from aptstream.scan.results import ScanStore, open_scan
from aptstream.scan.run import discard_scan, repair_scan, run_scan

__all__ = ["ScanStore", "discard_scan", "open_scan", "repair_scan", "run_scan", "scan"]


class _Room(ModuleType):
    """``aptstream.scan`` names this room and, as a public name, its main function: so it can be called."""

    __call__ = staticmethod(scan)


__signature__ = signature(scan)
sys.modules[__name__].__class__ = _Room
