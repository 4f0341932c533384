"""Second opinions: what the established methods of the field see in the same specimen."""

from aptstream.peers.clustering import ClusterRule, Clusters, dbscan_clusters, maximum_separation
from aptstream.peers.delocalised import CompositionMap, delocalised
from aptstream.peers.isocomposition import Isocomposition, TunedCut, isocomposition, tuned_cut
from aptstream.peers.opinions import Opinion, SecondOpinions, Wanted, second_opinions
from aptstream.peers.proxigram import Interface, LevelSurface, Proxigram, fit_interface, proxigram
from aptstream.peers.surface import Mesh, mesh_of

__all__ = [
    "ClusterRule",
    "Clusters",
    "CompositionMap",
    "Interface",
    "Isocomposition",
    "LevelSurface",
    "Mesh",
    "Opinion",
    "Proxigram",
    "SecondOpinions",
    "TunedCut",
    "Wanted",
    "dbscan_clusters",
    "delocalised",
    "fit_interface",
    "isocomposition",
    "maximum_separation",
    "mesh_of",
    "proxigram",
    "second_opinions",
    "tuned_cut",
]
