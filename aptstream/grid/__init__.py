"""The answer: overlapping judgements of cubes summed into voxels, particles found in them, and held against truth."""

from aptstream.grid.answer import Answer, Cut, find
from aptstream.grid.compare import compare_with_truth
from aptstream.grid.control import Control, shuffled_control
from aptstream.grid.files import export_npz, open_grid, save_grid
from aptstream.grid.precipitates import BoundaryRule, Precipitates, expected_precipitates, find_precipitates
from aptstream.grid.refine import refine
from aptstream.grid.surface import Surface, particle_surface
from aptstream.grid.surface_file import export_surface
from aptstream.grid.vote import VoxelGrid, vote

__all__ = [
    "Answer",
    "BoundaryRule",
    "Control",
    "Cut",
    "Precipitates",
    "Surface",
    "VoxelGrid",
    "compare_with_truth",
    "expected_precipitates",
    "export_npz",
    "export_surface",
    "find",
    "find_precipitates",
    "open_grid",
    "particle_surface",
    "refine",
    "save_grid",
    "shuffled_control",
    "vote",
]
