"""The answer: overlapping judgements of cubes summed into voxels, particles found in them, and held against truth."""

from aptstream.grid.answer import Answer, find
from aptstream.grid.compare import compare_with_truth
from aptstream.grid.files import export_npz, open_grid, save_grid
from aptstream.grid.precipitates import Precipitates, find_precipitates
from aptstream.grid.vote import VoxelGrid, vote

__all__ = [
    "Answer",
    "Precipitates",
    "VoxelGrid",
    "compare_with_truth",
    "export_npz",
    "find",
    "find_precipitates",
    "open_grid",
    "save_grid",
    "vote",
]
