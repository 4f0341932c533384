"""Second opinions: what the established methods of the field see in the same specimen."""

from aptstream.peers.clustering import ClusterRule, Clusters, dbscan_clusters, maximum_separation
from aptstream.peers.correlation import PairCorrelation, rdf
from aptstream.peers.delocalised import CompositionMap, delocalised
from aptstream.peers.isocomposition import Isocomposition, TunedCut, isocomposition, tuned_cut
from aptstream.peers.nearest import NeighbourDistances, nearest_neighbours
from aptstream.peers.opinions import Opinion, SecondOpinions, Wanted, second_opinions
from aptstream.peers.pairs import PairTable, neighbour_table, pair_table, shells_of
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
    "NeighbourDistances",
    "Opinion",
    "PairCorrelation",
    "PairTable",
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
    "nearest_neighbours",
    "neighbour_table",
    "pair_table",
    "proxigram",
    "rdf",
    "second_opinions",
    "shells_of",
    "tuned_cut",
]
