"""Where lattice planes stand in a reconstruction, and how to bring them normal to z."""

from aptstream.pole.pole import Pole

__all__ = ["Pole"]
