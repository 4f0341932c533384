"""Ions with known truth: specimens whose particles, compositions and blur are chosen, not measured."""

from aptstream.simulate.particles import Particles, draw_particles
from aptstream.simulate.specimen import Alloy, Settings, Specimen, simulate_specimen
from aptstream.simulate.truth import voxel_fraction, write_specimen

__all__ = [
    "Alloy",
    "Particles",
    "Settings",
    "Specimen",
    "draw_particles",
    "simulate_specimen",
    "voxel_fraction",
    "write_specimen",
]
