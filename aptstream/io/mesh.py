"""Triangle meshes for ParaView, Blender and others: ``.vtp``, ``.ply``, ``.stl``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO
from xml.sax.saxutils import quoteattr

import numpy as np
import numpy.typing as npt

from aptstream.errors import FileFormatError
from aptstream.io.replace import replacing
from aptstream.io.vtk import VTK_TYPES

Vertices = npt.NDArray[np.float32]
Faces = npt.NDArray[np.int32]
Columns = Mapping[str, npt.NDArray[Any]]

#: Triangles written at a time.
_STEP = 1 << 20
#: Names that PLY gives to types of numbers.
PLY_TYPES = {
    "f4": "float", "f8": "double", "i1": "char", "i2": "short", "i4": "int", "u1": "uchar", "u2": "ushort",
    "u4": "uint",
}  # fmt: skip


def write_mesh(path: str | PathLike[str], vertices_nm: Vertices, faces: Faces, columns: Columns | None = None) -> None:
    """Write a triangle mesh, whole or not at all; the suffix tells the format.

    Parameters
    ----------
    path : path
        File to write: ``.vtp`` (VTK poly data), ``.ply`` (binary) or ``.stl`` (binary). One that is there is replaced.
    vertices_nm : ndarray of float32, (n, 3)
        Positions in nm.
    faces : ndarray of int32, (m, 3)
        Three vertices of each triangle, counter-clockwise seen from outside.
    columns : mapping of str to ndarray, (m,), optional
        Real numbers of every triangle: cell data in VTK, properties of faces in PLY; STL has no place for them.

    Raises
    ------
    FileFormatError
        If the suffix is not known.
    ValueError
        If lengths differ, a triangle names a vertex that is not there, or a type has no name in the format.

    Examples
    --------
    >>> import tempfile
    >>> corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], "f4")
    >>> faces = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]], "i4")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_mesh(f"{folder}/a.stl", corners, faces)
    ...     Path(folder, "a.stl").stat().st_size
    284
    """
    file, of_faces = Path(path), dict(columns or {})
    writer = WRITERS.get(file.suffix.lower())
    if writer is None:
        raise FileFormatError(
            f"The file {file.name} has the suffix '{file.suffix}', which is not written. Expected one of "
            f"{', '.join(WRITERS)}: choose the name by the format that you want."
        )
    shapes = {column.shape for column in of_faces.values()} | {faces.shape[:1]}
    if vertices_nm.shape[1:] != (3,) or faces.shape[1:] != (3,) or len(shapes) != 1:
        raise ValueError(
            f"A mesh needs (n, 3) vertices, (m, 3) faces and columns of length m, found {vertices_nm.shape}, "
            f"{faces.shape} and {[column.shape for column in of_faces.values()]}."
        )
    if len(faces) and not 0 <= faces.min() <= faces.max() < len(vertices_nm):
        raise ValueError(f"A mesh of {len(vertices_nm)} vertices has a triangle with vertex {faces.max()}.")
    with replacing(file) as stream:
        writer(stream, vertices_nm, faces, of_faces)


def _write_vtp(stream: BinaryIO, vertices_nm: Vertices, faces: Faces, columns: Columns) -> None:
    """VTK XML with appended raw data; offsets count from behind the underscore."""
    _refuse_types(columns, VTK_TYPES)
    ends = np.arange(3, 3 * len(faces) + 1, 3, dtype=np.int32 if len(faces) < 2**31 // 3 else np.int64)
    arrays = {**columns, "Points": vertices_nm, "connectivity": faces, "offsets": ends}
    words, offset = {}, 0
    for name, array in arrays.items():
        components = ' NumberOfComponents="3"' if name == "Points" else ""
        words[name] = (
            f'        <DataArray type="{VTK_TYPES[array.dtype.str[1:]]}" Name={quoteattr(name)}{components} '
            f'format="appended" offset="{offset}"/>\n'
        )
        offset += 8 + array.nbytes
    stream.write(
        (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<VTKFile type="PolyData" version="1.0" byte_order="LittleEndian" header_type="UInt64">\n  <PolyData>\n'
            f'    <Piece NumberOfPoints="{len(vertices_nm)}" NumberOfVerts="0" NumberOfLines="0" NumberOfStrips="0" '
            f'NumberOfPolys="{len(faces)}">\n'
            f"      <CellData>\n{''.join(words[name] for name in columns)}      </CellData>\n"
            f"      <Points>\n{words['Points']}      </Points>\n"
            f"      <Polys>\n{words['connectivity']}{words['offsets']}      </Polys>\n"
            '    </Piece>\n  </PolyData>\n  <AppendedData encoding="raw">\n_'
        ).encode()
    )
    for array in arrays.values():
        stream.write(array.nbytes.to_bytes(8, "little"))
        stream.write(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
    stream.write(b"\n  </AppendedData>\n</VTKFile>\n")


def _write_ply(stream: BinaryIO, vertices_nm: Vertices, faces: Faces, columns: Columns) -> None:
    _refuse_types(columns, PLY_TYPES)
    properties = "".join(f"property {PLY_TYPES[c.dtype.str[1:]]} {name}\n" for name, c in columns.items())
    stream.write(
        (
            "ply\nformat binary_little_endian 1.0\ncomment lengths in nm\n"
            f"element vertex {len(vertices_nm)}\nproperty float x\nproperty float y\nproperty float z\n"
            f"element face {len(faces)}\nproperty list uchar int vertex_indices\n{properties}end_header\n"
        ).encode()
    )
    stream.write(np.ascontiguousarray(vertices_nm, "<f4").data)
    layout: list[Any] = [("n", "u1"), ("vertex", "<i4", 3)]
    layout += [(f"column {name}", column.dtype.newbyteorder("<")) for name, column in columns.items()]
    for start in range(0, len(faces), _STEP):
        part = slice(start, start + _STEP)
        rows = np.empty(len(faces[part]), layout)
        rows["n"], rows["vertex"] = 3, faces[part]
        for name, column in columns.items():
            rows[f"column {name}"] = column[part]
        stream.write(rows.tobytes())


def _write_stl(stream: BinaryIO, vertices_nm: Vertices, faces: Faces, _: Columns) -> None:
    stream.write(b"particles, lengths in nm".ljust(80) + len(faces).to_bytes(4, "little"))
    for start in range(0, len(faces), _STEP):
        corner = vertices_nm[faces[start : start + _STEP]]
        normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
        length = np.linalg.norm(normal, axis=1, keepdims=True)
        rows = np.zeros(len(corner), [("normal", "<f4", 3), ("corner", "<f4", (3, 3)), ("attribute", "<u2")])
        rows["normal"] = np.divide(normal, length, out=np.zeros_like(normal), where=length > 0)
        rows["corner"] = corner
        stream.write(rows.tobytes())


def _refuse_types(columns: Columns, known: Mapping[str, str]) -> None:
    unknown = [name for name, column in columns.items() if column.dtype.str[1:] not in known]
    if unknown:
        raise ValueError(f"A mesh holds real numbers of types {', '.join(known)}; these are none: {unknown}.")


#: How each format is written, by suffix.
WRITERS: dict[str, Callable[[BinaryIO, Vertices, Faces, Columns], None]] = {
    ".vtp": _write_vtp,
    ".ply": _write_ply,
    ".stl": _write_stl,
}
