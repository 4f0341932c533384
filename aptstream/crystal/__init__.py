"""What could be there: crystal structures as data, and what follows from them along a pole."""

from aptstream.crystal.crystal import Crystal
from aptstream.crystal.structures import STRUCTURES, Structure
from aptstream.crystal.variants import Variants, equivalent_poles

__all__ = ["STRUCTURES", "Crystal", "Structure", "Variants", "equivalent_poles"]
