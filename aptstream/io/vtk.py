"""VTK XML files for ParaView and PyVista: voxel grids as ``.vti``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import numpy.typing as npt

from aptstream.io.replace import replacing

#: Names that VTK gives to types of numbers.
VTK_TYPES = {
    "f4": "Float32", "f8": "Float64", "i1": "Int8", "i2": "Int16", "i4": "Int32", "i8": "Int64",
    "b1": "UInt8", "u1": "UInt8", "u2": "UInt16", "u4": "UInt32", "u8": "UInt64",
}  # fmt: skip


def write_vti(
    path: str | PathLike[str],
    grids: Mapping[str, npt.NDArray[Any]],
    *,
    origin_nm: Sequence[float],
    voxel_nm: float | Sequence[float],
) -> None:
    """Write grids of voxels as VTK image data, whole or not at all.

    Parameters
    ----------
    path : path
        File to write, ending in ``.vti``; one that stands there is replaced.
    grids : mapping of str to ndarray, each (nx, ny, nz)
        Real numbers per voxel, indexed [ix, iy, iz]; each becomes cell data under its name.
    origin_nm : sequence of float, (3,)
        Low corner of voxel 0 in nm.
    voxel_nm : float or sequence of float, (3,)
        Edge of a voxel in nm, along each axis or along all.

    Raises
    ------
    ValueError
        If there is no grid, shapes differ, or a type has no VTK name.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     grid = np.zeros((2, 3, 4), "f4")
    ...     write_vti(f"{folder}/grid.vti", {"mean": grid}, origin_nm=(0, 0, -4), voxel_nm=1)
    """
    shape = _common_shape(grids)
    origin = [float(number) for number in origin_nm]
    spacing = [float(number) for number in np.broadcast_to(np.asarray(voxel_nm, np.float64), 3)]
    if len(origin) != 3 or not np.isfinite([*origin, *spacing]).all() or min(spacing) <= 0:
        raise ValueError(f"A grid needs a finite origin and voxels above 0 nm, found {origin} and {spacing}.")
    with replacing(path) as stream:
        stream.write(_header(grids, shape, origin, spacing).encode("utf-8"))
        for grid in grids.values():
            stored = grid.dtype.newbyteorder("<")
            stream.write(int(grid.nbytes).to_bytes(8, "little"))
            # VTK counts x fastest: one plane of z after another keeps the copy small.
            for iz in range(shape[2]):
                stream.write(np.ascontiguousarray(grid[:, :, iz].T, stored).tobytes())
        stream.write(b"\n  </AppendedData>\n</VTKFile>\n")


def _common_shape(grids: Mapping[str, npt.NDArray[Any]]) -> tuple[int, int, int]:
    shapes = {grid.shape for grid in grids.values()}
    types = {grid.dtype.str[1:] for grid in grids.values()}
    if len(shapes) != 1 or len(shape := shapes.pop()) != 3 or 0 in shape:
        raise ValueError(
            f"A .vti file needs grids of one shape (nx, ny, nz), "
            f"found {[(name, grid.shape) for name, grid in grids.items()]}."
        )
    if not types <= VTK_TYPES.keys():
        raise ValueError(f"A .vti file holds real numbers, found {sorted(types - VTK_TYPES.keys())}.")
    return shape


def _header(
    grids: Mapping[str, npt.NDArray[Any]],
    shape: tuple[int, int, int],
    origin: list[float],
    spacing: list[float],
) -> str:
    """Everything up to the first byte of data; offsets count from behind the underscore."""
    extent = " ".join(f"0 {n}" for n in shape)
    arrays, offset = [], 0
    for name, grid in grids.items():
        vtk_type = VTK_TYPES[grid.dtype.str[1:]]
        arrays.append(
            f'        <DataArray type="{vtk_type}" Name={quoteattr(name)} format="appended" offset="{offset}"/>\n'
        )
        offset += 8 + grid.nbytes
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<VTKFile type="ImageData" version="1.0" byte_order="LittleEndian" header_type="UInt64">\n'
        f'  <ImageData WholeExtent="{extent}" Origin="{_numbers(origin)}" Spacing="{_numbers(spacing)}">\n'
        f'    <Piece Extent="{extent}">\n'
        f"      <CellData Scalars={quoteattr(next(iter(grids)))}>\n"
        f"{''.join(arrays)}"
        "      </CellData>\n    </Piece>\n  </ImageData>\n"
        '  <AppendedData encoding="raw">\n_'
    )


def _numbers(values: list[float]) -> str:
    return " ".join(repr(value) for value in values)
