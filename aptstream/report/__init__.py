"""For people: figures, tables, and one self-contained page."""

import sys
from inspect import signature
from types import ModuleType

from aptstream.report.pole import pole_figures
from aptstream.report.story import PoleStory
from aptstream.report.summary import Summary
from aptstream.report.write import report

__all__ = ["PoleStory", "Summary", "pole_figures", "report"]


class _Room(ModuleType):
    """``aptstream.report`` names this room and, as a public name, its main function: so it can be called."""

    __call__ = staticmethod(report)


__signature__ = signature(report)
sys.modules[__name__].__class__ = _Room
