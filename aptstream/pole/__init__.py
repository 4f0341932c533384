"""Where lattice planes stand in a reconstruction, and how to bring them normal to z."""

from aptstream.pole.align import align, alignment_of
from aptstream.pole.alignment import Alignment
from aptstream.pole.flatten import flatten
from aptstream.pole.pole import Pole
from aptstream.pole.power import PlanePower, plane_power

__all__ = ["Alignment", "PlanePower", "Pole", "align", "alignment_of", "flatten", "plane_power"]
