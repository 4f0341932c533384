"""Ions with known truth: specimens whose particles, compositions and blur are chosen, not measured."""

from aptstream.simulate.alloy import MATERIALS, Alloy, Material
from aptstream.simulate.cone import Cone
from aptstream.simulate.distortion import Distortion
from aptstream.simulate.domes import Domes, TruePole
from aptstream.simulate.needle import Needle, NeedleSettings, simulate_needle
from aptstream.simulate.particles import Particles
from aptstream.simulate.populations import Population, draw_particles, place_particles
from aptstream.simulate.settings import LEVELS, Settings
from aptstream.simulate.specimen import Specimen, SpecimenPlan, plan_specimen, simulate_specimen
from aptstream.simulate.structureless import Disorder, Structureless, simulate_structureless
from aptstream.simulate.truth import SpecimenFiles, read_truth, voxel_fraction, write_specimen

__all__ = [
    "LEVELS",
    "MATERIALS",
    "Alloy",
    "Cone",
    "Disorder",
    "Distortion",
    "Domes",
    "Material",
    "Needle",
    "NeedleSettings",
    "Particles",
    "Population",
    "Settings",
    "Specimen",
    "SpecimenFiles",
    "SpecimenPlan",
    "Structureless",
    "TruePole",
    "draw_particles",
    "place_particles",
    "plan_specimen",
    "read_truth",
    "simulate_needle",
    "simulate_specimen",
    "simulate_structureless",
    "voxel_fraction",
    "write_specimen",
]
