"""Bytes in, bytes out: ions, ranges and grids in the formats of the field, checked Zarr arrays, digests."""

from aptstream.io.csv_out import write_csv
from aptstream.io.ions import IonBlock, IonFile, open_ions, read_ions
from aptstream.io.mesh import write_mesh
from aptstream.io.nexus import write_nxapm
from aptstream.io.pos import write_pos
from aptstream.io.ranges import read_ranges
from aptstream.io.rrng import read_rrng, write_rrng
from aptstream.io.vtk import write_vti
from aptstream.io.vtp import write_vtp

__all__ = [
    "IonBlock",
    "IonFile",
    "open_ions",
    "read_ions",
    "read_ranges",
    "read_rrng",
    "write_csv",
    "write_mesh",
    "write_nxapm",
    "write_pos",
    "write_rrng",
    "write_vti",
    "write_vtp",
]
