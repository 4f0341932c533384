"""Where lattice planes stand in a reconstruction, and how to bring them normal to z."""

from aptstream.pole.align import align, alignment_of
from aptstream.pole.alignment import Alignment
from aptstream.pole.find import PoleSearch, find_poles
from aptstream.pole.flatten import flatten
from aptstream.pole.identify import Identity, identify
from aptstream.pole.pole import Pole
from aptstream.pole.power import DepthPower, PlanePower, plane_power, power_along_depth

__all__ = [
    "Alignment",
    "DepthPower",
    "Identity",
    "PlanePower",
    "Pole",
    "PoleSearch",
    "align",
    "alignment_of",
    "find_poles",
    "flatten",
    "identify",
    "plane_power",
    "power_along_depth",
]
