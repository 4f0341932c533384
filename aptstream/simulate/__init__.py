"""Ions with known truth: specimens whose particles, compositions and blur are chosen, not measured."""

from aptstream.simulate.alloy import MATERIALS, Alloy, Material
from aptstream.simulate.distortion import Distortion
from aptstream.simulate.particles import Particles
from aptstream.simulate.populations import Population, draw_particles, place_particles
from aptstream.simulate.settings import LEVELS, Settings
from aptstream.simulate.specimen import Specimen, SpecimenPlan, plan_specimen, simulate_specimen
from aptstream.simulate.truth import SpecimenFiles, read_truth, voxel_fraction, write_specimen

__all__ = [
    "LEVELS",
    "MATERIALS",
    "Alloy",
    "Distortion",
    "Material",
    "Particles",
    "Population",
    "Settings",
    "Specimen",
    "SpecimenFiles",
    "SpecimenPlan",
    "draw_particles",
    "place_particles",
    "plan_specimen",
    "read_truth",
    "simulate_specimen",
    "voxel_fraction",
    "write_specimen",
]
