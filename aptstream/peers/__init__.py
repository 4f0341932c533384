"""Second opinions: what the established methods of the field see in the same specimen."""

from aptstream.peers.delocalised import CompositionMap, delocalised
from aptstream.peers.isocomposition import Isocomposition, TunedCut, isocomposition, tuned_cut
from aptstream.peers.surface import Mesh, mesh_of

__all__ = [
    "CompositionMap",
    "Isocomposition",
    "Mesh",
    "TunedCut",
    "delocalised",
    "isocomposition",
    "mesh_of",
    "tuned_cut",
]
