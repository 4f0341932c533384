"""Bytes in, bytes out: ions (POS), ranges (RRNG), grids (VTK), checked Zarr arrays, digests."""

from aptstream.io.pos import iter_pos, read_pos, write_pos
from aptstream.io.ranges import read_ranges, read_rrng, write_rrng
from aptstream.io.vtk import write_vti

__all__ = ["iter_pos", "read_pos", "read_ranges", "read_rrng", "write_pos", "write_rrng", "write_vti"]
