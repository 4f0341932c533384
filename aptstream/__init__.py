"""aptstream: find coherent ordered nanoparticles in atom probe tomography data.

Ions flow one way: io → cloud → sdm → model → scan → grid → report. The public names below are resolved when first
used, so that ``import aptstream`` loads neither Dask nor TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aptstream.checking import CheckSettings as CheckSettings
    from aptstream.checking import check_result as check_result
    from aptstream.cloud.export import Labels as Labels
    from aptstream.cloud.export import Selection as Selection
    from aptstream.cloud.export import export_ions as export_ions
    from aptstream.cloud.ingest import ingest as ingest
    from aptstream.cloud.planes import plane_signal as plane_signal
    from aptstream.cloud.publish import publish as publish
    from aptstream.cloud.ranging import guess_roles as guess_roles
    from aptstream.cloud.spectrum import MassSpectrum as MassSpectrum
    from aptstream.cloud.spectrum import mass_spectrum as mass_spectrum
    from aptstream.cloud.spectrum import unranged_peaks as unranged_peaks
    from aptstream.cloud.store import PointStore as PointStore
    from aptstream.cloud.store import open_store as open_store
    from aptstream.cloud.tree import PointTree as PointTree
    from aptstream.cluster import local_client as local_client
    from aptstream.crystal import Crystal as Crystal
    from aptstream.errors import AptstreamError as AptstreamError
    from aptstream.grid.answer import Answer as Answer
    from aptstream.grid.answer import Cut as Cut
    from aptstream.grid.answer import find as find
    from aptstream.grid.compare import Comparison as Comparison
    from aptstream.grid.compare import compare_with_truth as compare_with_truth
    from aptstream.grid.compare import particle_scores as particle_scores
    from aptstream.grid.compare import pool as pool
    from aptstream.grid.control import Control as Control
    from aptstream.grid.control import shuffled_control as shuffled_control
    from aptstream.grid.evaluate import Evaluation as Evaluation
    from aptstream.grid.evaluate import evaluate_grid as evaluate_grid
    from aptstream.grid.evaluate import evaluate_run as evaluate_run
    from aptstream.grid.files import export_npz as export_npz
    from aptstream.grid.files import open_grid as open_grid
    from aptstream.grid.files import save_grid as save_grid
    from aptstream.grid.precipitates import BoundaryRule as BoundaryRule
    from aptstream.grid.precipitates import Precipitates as Precipitates
    from aptstream.grid.precipitates import expected_precipitates as expected_precipitates
    from aptstream.grid.precipitates import find_precipitates as find_precipitates
    from aptstream.grid.refine import refine as refine
    from aptstream.grid.surface import Surface as Surface
    from aptstream.grid.surface import particle_surface as particle_surface
    from aptstream.grid.surface_file import export_surface as export_surface
    from aptstream.grid.verdict import ResultCheck as ResultCheck
    from aptstream.grid.vote import VoxelGrid as VoxelGrid
    from aptstream.grid.vote import vote as vote
    from aptstream.io.ions import open_ions as open_ions
    from aptstream.io.ions import read_ions as read_ions
    from aptstream.io.nexus import write_nxapm as write_nxapm
    from aptstream.io.pictures import Pictures as Pictures
    from aptstream.io.pictures import read_labels as read_labels
    from aptstream.io.pictures import read_pictures as read_pictures
    from aptstream.io.pos import write_pos as write_pos
    from aptstream.io.ranges import read_ranges as read_ranges
    from aptstream.io.rrng import write_rrng as write_rrng
    from aptstream.model.bootstrap import Score as Score
    from aptstream.model.calibration import reliability as reliability
    from aptstream.model.calibration import uncertainty as uncertainty
    from aptstream.model.curves import judge_voxels as judge_voxels
    from aptstream.model.curves import voxel_scores as voxel_scores
    from aptstream.model.evaluate import evaluate as evaluate
    from aptstream.model.explain import Explanation as Explanation
    from aptstream.model.explain import explain_voxel as explain_voxel
    from aptstream.model.explain import feature_maps as feature_maps
    from aptstream.model.explain import grad_cam as grad_cam
    from aptstream.model.modelfile import Model as Model
    from aptstream.model.modelfile import load_model as load_model
    from aptstream.model.presets import get_preset as get_preset
    from aptstream.model.presets import make_library as make_library
    from aptstream.model.refiner import Refined as Refined
    from aptstream.model.refiner_training import train_order_model as train_order_model
    from aptstream.model.training import TrainingOptions as TrainingOptions
    from aptstream.model.training import train as train
    from aptstream.peers.clustering import ClusterRule as ClusterRule
    from aptstream.peers.clustering import Clusters as Clusters
    from aptstream.peers.clustering import dbscan_clusters as dbscan_clusters
    from aptstream.peers.clustering import maximum_separation as maximum_separation
    from aptstream.peers.correlation import rdf as rdf
    from aptstream.peers.delocalised import CompositionMap as CompositionMap
    from aptstream.peers.delocalised import delocalised as delocalised
    from aptstream.peers.isocomposition import Isocomposition as Isocomposition
    from aptstream.peers.isocomposition import isocomposition as isocomposition
    from aptstream.peers.isocomposition import tuned_cut as tuned_cut
    from aptstream.peers.nearest import nearest_neighbours as nearest_neighbours
    from aptstream.peers.opinions import SecondOpinions as SecondOpinions
    from aptstream.peers.opinions import Wanted as Wanted
    from aptstream.peers.opinions import second_opinions as second_opinions
    from aptstream.peers.pairs import PairTable as PairTable
    from aptstream.peers.pairs import neighbour_table as neighbour_table
    from aptstream.peers.pairs import pair_table as pair_table
    from aptstream.peers.pairs import shells_of as shells_of
    from aptstream.peers.proxigram import Interface as Interface
    from aptstream.peers.proxigram import LevelSurface as LevelSurface
    from aptstream.peers.proxigram import Proxigram as Proxigram
    from aptstream.peers.proxigram import fit_interface as fit_interface
    from aptstream.peers.proxigram import proxigram as proxigram
    from aptstream.phases.phasemap import PhaseMap as PhaseMap
    from aptstream.phases.sites import Sites as Sites
    from aptstream.phases.sites import site_occupancy as site_occupancy
    from aptstream.phases.species import Look as Look
    from aptstream.phases.species import OrderFrame as OrderFrame
    from aptstream.phases.species import Phases as Phases
    from aptstream.phases.species import phase_sdms as phase_sdms
    from aptstream.points import PointCloud as PointCloud
    from aptstream.points import Range as Range
    from aptstream.points import RangeTable as RangeTable
    from aptstream.points import Roles as Roles
    from aptstream.pole.align import align as align
    from aptstream.pole.align import alignment_of as alignment_of
    from aptstream.pole.alignment import Alignment as Alignment
    from aptstream.pole.find import PoleSearch as PoleSearch
    from aptstream.pole.find import find_poles as find_poles
    from aptstream.pole.flatten import flatten as flatten
    from aptstream.pole.identify import Identity as Identity
    from aptstream.pole.identify import identify as identify
    from aptstream.pole.pole import Pole as Pole
    from aptstream.pole.power import PlanePower as PlanePower
    from aptstream.pole.power import plane_power as plane_power
    from aptstream.redraw import redraw_report as redraw_report
    from aptstream.regions import Box as Box
    from aptstream.regions import Cylinder as Cylinder
    from aptstream.regions import OrientedBox as OrientedBox
    from aptstream.regions import Sphere as Sphere
    from aptstream.report.check import write_check as write_check
    from aptstream.report.history import loss_by_depth as loss_by_depth
    from aptstream.report.history import training_history as training_history
    from aptstream.report.inside import inside_network as inside_network
    from aptstream.report.making import dictionary_making as dictionary_making
    from aptstream.report.network import layers_of as layers_of
    from aptstream.report.network import network_figure as network_figure
    from aptstream.report.noise import noise_density as noise_density
    from aptstream.report.phases import phase_figures as phase_figures
    from aptstream.report.pole import pole_figures as pole_figures
    from aptstream.report.roc import image_probabilities as image_probabilities
    from aptstream.report.sdm_pictures import sdm_examples as sdm_examples
    from aptstream.report.sdm_pictures import voxel_sdm as voxel_sdm
    from aptstream.report.specimen import lattice_slice as lattice_slice
    from aptstream.report.specimen import specimen_figure as specimen_figure
    from aptstream.report.spectrum import spectrum_figure as spectrum_figure
    from aptstream.report.story import PoleStory as PoleStory
    from aptstream.report.summary import Summary as Summary
    from aptstream.report.write import report as report
    from aptstream.report.zones import cube_zones as cube_zones
    from aptstream.report.zones import vote_zones as vote_zones
    from aptstream.reproduce.judging import Judgement as Judgement
    from aptstream.reproduce.judging import judge_pictures as judge_pictures
    from aptstream.reproduce.shipped import shipped_networks as shipped_networks
    from aptstream.scan.lazy import scan as scan
    from aptstream.scan.results import ScanStore as ScanStore
    from aptstream.scan.results import open_scan as open_scan
    from aptstream.scan.run import discard_scan as discard_scan
    from aptstream.scan.run import repair_scan as repair_scan
    from aptstream.scan.run import run_scan as run_scan
    from aptstream.sdm.count import SdmScan as SdmScan
    from aptstream.sdm.count import count_sdm as count_sdm
    from aptstream.sdm.count import scan_sdms as scan_sdms
    from aptstream.sdm.count import zsdm as zsdm
    from aptstream.sdm.darkfield import dark_field as dark_field
    from aptstream.sdm.darkfield import order_field as order_field
    from aptstream.sdm.dictionary import make_dictionary as make_dictionary
    from aptstream.sdm.image import View as View
    from aptstream.sdm.image import contrast_images as contrast_images
    from aptstream.sdm.image import grey_images as grey_images
    from aptstream.sdm.image import network_input as network_input
    from aptstream.sdm.image import scan_images as scan_images
    from aptstream.sdm.image import standardised_images as standardised_images
    from aptstream.sdm.kernel import CellBox as CellBox
    from aptstream.sdm.li2021 import add_real_images as add_real_images
    from aptstream.sdm.li2021 import make_li2021 as make_li2021
    from aptstream.sdm.matched import MatchedRecipe as MatchedRecipe
    from aptstream.sdm.matched import make_matched as make_matched
    from aptstream.sdm.noise import noise_variance as noise_variance
    from aptstream.sdm.orderlibrary import make_order_library as make_order_library
    from aptstream.sdm.planes import Planes as Planes
    from aptstream.sdm.planes import fit_planes as fit_planes
    from aptstream.sdm.sharpness import PlaneBlur as PlaneBlur
    from aptstream.sdm.sharpness import plane_blur as plane_blur
    from aptstream.sdm.window import Channels as Channels
    from aptstream.sdm.window import SdmWindow as SdmWindow
    from aptstream.simulate.alloy import Alloy as Alloy
    from aptstream.simulate.cone import Cone as Cone
    from aptstream.simulate.needle import NeedleSettings as NeedleSettings
    from aptstream.simulate.needle import simulate_needle as simulate_needle
    from aptstream.simulate.particles import Particles as Particles
    from aptstream.simulate.populations import Population as Population
    from aptstream.simulate.populations import draw_particles as draw_particles
    from aptstream.simulate.populations import place_particles as place_particles
    from aptstream.simulate.settings import Settings as Settings
    from aptstream.simulate.specimen import plan_specimen as plan_specimen
    from aptstream.simulate.specimen import simulate_specimen as simulate_specimen
    from aptstream.simulate.structureless import simulate_structureless as simulate_structureless
    from aptstream.simulate.truth import read_truth as read_truth
    from aptstream.simulate.truth import voxel_fraction as voxel_fraction
    from aptstream.simulate.truth import write_specimen as write_specimen

    sdm_dictionary = make_dictionary

__version__ = "0.1.0"

#: Where the public names live, and which of them have another name there.
_ROOMS = {
    "checking": ("CheckSettings", "check_result"),
    "cloud": ("Labels", "PointStore", "Selection", "export_ions", "ingest", "open_store", "publish"),
    "cloud.planes": ("plane_signal",),
    "cloud.ranging": ("guess_roles",),
    "cloud.spectrum": ("MassSpectrum", "mass_spectrum", "unranged_peaks"),
    "cloud.tree": ("PointTree",),
    "cluster": ("local_client",),
    "crystal": ("Crystal",),
    "errors": ("AptstreamError",),
    "grid": (
        *("Answer", "BoundaryRule", "Control", "Cut", "Precipitates", "VoxelGrid", "compare_with_truth"),
        *("expected_precipitates", "export_npz", "find", "find_precipitates", "refine", "shuffled_control"),
    ),
    "grid.compare": ("Comparison", "particle_scores", "pool"),
    "grid.evaluate": ("Evaluation", "evaluate_grid", "evaluate_run"),
    "grid.files": ("open_grid", "save_grid"),
    "grid.surface": ("Surface", "particle_surface"),
    "grid.surface_file": ("export_surface",),
    "grid.verdict": ("ResultCheck",),
    "grid.vote": ("vote",),
    "io": ("open_ions", "read_ions", "read_ranges", "write_nxapm", "write_pos", "write_rrng"),
    "io.pictures": ("Pictures", "read_labels", "read_pictures"),
    "model.bootstrap": ("Score",),
    "model.calibration": ("reliability", "uncertainty"),
    "model.curves": ("judge_voxels", "voxel_scores"),
    "model.evaluate": ("evaluate",),
    "model.explain": ("Explanation", "explain_voxel", "feature_maps", "grad_cam"),
    "model.modelfile": ("Model", "load_model"),
    "model.presets": ("get_preset", "make_library"),
    "model.refiner": ("Refined",),
    "model.refiner_training": ("train_order_model",),
    "model.training": ("TrainingOptions", "train"),
    "pole": (
        *(
            "Alignment",
            "Identity",
            "PlanePower",
            "Pole",
            "PoleSearch",
            "align",
            "alignment_of",
            "find_poles",
            "flatten",
        ),
        *("identify", "plane_power"),
    ),
    "phases.phasemap": ("PhaseMap",),
    "phases.sites": ("Sites", "site_occupancy"),
    "phases.species": ("Look", "OrderFrame", "Phases", "phase_sdms"),
    "peers.clustering": ("ClusterRule", "Clusters", "dbscan_clusters", "maximum_separation"),
    "peers.correlation": ("rdf",),
    "peers.delocalised": ("CompositionMap", "delocalised"),
    "peers.isocomposition": ("Isocomposition", "isocomposition", "tuned_cut"),
    "peers.nearest": ("nearest_neighbours",),
    "peers.opinions": ("SecondOpinions", "Wanted", "second_opinions"),
    "peers.pairs": ("PairTable", "neighbour_table", "pair_table", "shells_of"),
    "peers.proxigram": ("Interface", "LevelSurface", "Proxigram", "fit_interface", "proxigram"),
    "points": ("PointCloud", "Range", "RangeTable", "Roles"),
    "redraw": ("redraw_report",),
    "regions": ("Box", "Cylinder", "OrientedBox", "Sphere"),
    "report": ("PoleStory", "Summary", "pole_figures", "report"),
    "report.phases": ("phase_figures",),
    "report.check": ("write_check",),
    "report.history": ("loss_by_depth", "training_history"),
    "report.inside": ("inside_network",),
    "report.making": ("dictionary_making",),
    "report.network": ("layers_of", "network_figure"),
    "report.noise": ("noise_density",),
    "report.roc": ("image_probabilities",),
    "report.sdm_pictures": ("sdm_examples", "voxel_sdm"),
    "report.specimen": ("lattice_slice", "specimen_figure"),
    "report.spectrum": ("spectrum_figure",),
    "report.zones": ("cube_zones", "vote_zones"),
    "reproduce.judging": ("Judgement", "judge_pictures"),
    "reproduce.shipped": ("shipped_networks",),
    "scan": ("ScanStore", "discard_scan", "open_scan", "repair_scan", "run_scan", "scan"),
    "sdm.count": ("SdmScan", "count_sdm", "scan_sdms", "zsdm"),
    "sdm.darkfield": ("dark_field", "order_field"),
    "sdm.dictionary": ("sdm_dictionary",),
    "sdm.image": ("View", "contrast_images", "grey_images", "network_input", "scan_images", "standardised_images"),
    "sdm.kernel": ("CellBox",),
    "sdm.li2021": ("add_real_images", "make_li2021"),
    "sdm.matched": ("MatchedRecipe", "make_matched"),
    "sdm.noise": ("noise_variance",),
    "sdm.orderlibrary": ("make_order_library",),
    "sdm.planes": ("Planes", "fit_planes"),
    "sdm.sharpness": ("PlaneBlur", "plane_blur"),
    "sdm.window": ("Channels", "SdmWindow"),
    "simulate": (
        "Alloy",
        "Cone",
        "NeedleSettings",
        "Particles",
        "Population",
        "Settings",
        "draw_particles",
        "place_particles",
        "plan_specimen",
        "read_truth",
        "simulate_needle",
        "simulate_specimen",
        "simulate_structureless",
        "voxel_fraction",
        "write_specimen",
    ),
}
_NAME_AT_HOME = {"sdm_dictionary": "make_dictionary"}
_HOME = {name: f"{__name__}.{room}" for room, names in _ROOMS.items() for name in names}

__all__ = ["__version__", *_HOME]  # noqa: PLE0604  (all are strings)


def __getattr__(name: str) -> Any:
    """Import a public name from its home when it is first asked for."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(_HOME[name]), _NAME_AT_HOME.get(name, name))
    # The rooms `scan` and `report` bear the names of their main functions, and can be called like them.
    return globals().get(name, found)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
