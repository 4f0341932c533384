"""Where lattice planes stand in a reconstruction, and how to bring them normal to z."""

from aptstream.pole.align import align, alignment_of
from aptstream.pole.alignment import Alignment
from aptstream.pole.pole import Pole

__all__ = ["Alignment", "Pole", "align", "alignment_of"]
