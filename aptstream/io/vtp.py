"""VTK XML files for ParaView and PyVista: ions as points, ``.vtp``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, BinaryIO
from xml.sax.saxutils import quoteattr

import numpy as np
import numpy.typing as npt

from aptstream.io.replace import replacing
from aptstream.io.vtk import VTK_TYPES

_STEP = 1 << 20
#: Which point each vertex is, and where its list ends.
_VERTICES = ("connectivity", "offsets")
#: Position, and the columns of every point.
Block = tuple[npt.NDArray[np.float32], Mapping[str, npt.NDArray[Any]]]


def write_vtp(
    path: str | PathLike[str], n_points: int, blocks: Iterable[Block], *, species_names: Sequence[str] = ()
) -> None:
    """Write points as VTK poly data, block by block, whole or not at all; every point is a vertex.

    Parameters
    ----------
    path : path
        File to write, ending in ``.vtp``; one that stands there is replaced.
    n_points : int
        Points in all blocks, at least 1.
    blocks : iterable of (ndarray of float32 (n, 3), mapping of str to ndarray (n,))
        Positions in nm, and numbers of every point, which become point data under their names: the same names and
        types in every block.
    species_names : sequence of str
        Names of the numbers in the column ``species``: kept as field data ``species_names``.

    Raises
    ------
    ValueError
        If there is no point, the blocks hold more or fewer than promised, columns differ, or a type has no VTK name.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     points = np.zeros((2, 3), "f4")
    ...     write_vtp(f"{folder}/ions.vtp", 2, [(points, {"species": np.array([1, 2], "u1")})])
    """
    layout: _Layout | None = None
    done = 0
    with replacing(path) as stream:
        for position, columns in blocks:
            if layout is None:
                layout = _Layout(stream, n_points, columns, species_names)
            layout.check(position, columns, done)
            for name, column in {"": position, **columns}.items():
                layout.put(stream, name, done, column)
            done += len(position)
        if layout is None or done != n_points:
            raise ValueError(f"A .vtp file was promised {n_points} points, at least 1, found {done}.")
        layout.finish(stream)


class _Layout:
    """Where each array of the file begins: written block by block, they all grow at once."""

    def __init__(
        self, stream: BinaryIO, n: int, columns: Mapping[str, npt.NDArray[Any]], species_names: Sequence[str]
    ) -> None:
        self._n = n
        self._types = {name: column.dtype.newbyteorder("<") for name, column in columns.items()}
        reserved = {"", *_VERTICES}
        unknown = [name for name, dtype in self._types.items() if dtype.str[1:] not in VTK_TYPES or name in reserved]
        if unknown or n < 1:
            raise ValueError(f"A .vtp file holds real numbers of at least one point, found {n} and {unknown}.")
        self._index = np.dtype("<i4" if n < 2**31 else "<i8")
        sizes = {"": 12 * n, **{name: dtype.itemsize * n for name, dtype in self._types.items()}}
        sizes |= dict.fromkeys(_VERTICES, self._index.itemsize * n)
        self._start, offset = {}, 0
        for name, size in sizes.items():
            self._start[name] = offset
            offset += 8 + size
        self._end = offset
        stream.write(self._header(species_names).encode("utf-8"))
        self._data = stream.tell()
        for name, size in sizes.items():
            stream.seek(self._data + self._start[name])
            stream.write(size.to_bytes(8, "little"))

    def check(self, position: npt.NDArray[np.float32], columns: Mapping[str, npt.NDArray[Any]], done: int) -> None:
        """Refuse a block that does not fit."""
        types = {name: column.dtype.newbyteorder("<") for name, column in columns.items()}
        shapes = {column.shape for column in columns.values()} | {position.shape[:1]}
        if types != self._types or len(shapes) != 1 or position.shape[1:] != (3,):
            raise ValueError(f"A block of a .vtp file needs (n, 3) positions and columns {self._types}, found {types}.")
        if done + len(position) > self._n:
            raise ValueError(f"A .vtp file was promised {self._n} points, found more.")

    def put(self, stream: BinaryIO, name: str, done: int, column: npt.NDArray[Any]) -> None:
        """Write a part of an array at its place."""
        dtype = self._types.get(name, np.dtype("<f4"))
        stream.seek(self._data + self._start[name] + 8 + done * column[:1].size * dtype.itemsize)
        stream.write(np.ascontiguousarray(column, dtype).data)

    def finish(self, stream: BinaryIO) -> None:
        """Make a vertex of every point, and end the file."""
        for first, name in enumerate(_VERTICES):
            stream.seek(self._data + self._start[name] + 8)
            for start in range(0, self._n, _STEP):
                stream.write(np.arange(start + first, min(start + _STEP, self._n) + first, dtype=self._index).data)
        stream.seek(self._data + self._end)
        stream.write(b"\n  </AppendedData>\n</VTKFile>\n")

    def _header(self, species_names: Sequence[str]) -> str:
        """Everything up to the first byte of data; offsets count from behind the underscore."""
        index = VTK_TYPES[self._index.str[1:]]
        columns = "".join(self._array(name, VTK_TYPES[dtype.str[1:]]) for name, dtype in self._types.items())
        scalars = f" Scalars={quoteattr(next(iter(self._types)))}" if self._types else ""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<VTKFile type="PolyData" version="1.0" byte_order="LittleEndian" header_type="UInt64">\n'
            f"  <PolyData>\n{_names(species_names)}"
            f'    <Piece NumberOfPoints="{self._n}" NumberOfVerts="{self._n}" NumberOfLines="0" NumberOfStrips="0" '
            f'NumberOfPolys="0">\n'
            f"      <PointData{scalars}>\n{columns}      </PointData>\n"
            f"      <Points>\n{self._array('', 'Float32')}      </Points>\n"
            f"      <Verts>\n{''.join(self._array(name, index) for name in _VERTICES)}      </Verts>\n"
            "    </Piece>\n  </PolyData>\n"
            '  <AppendedData encoding="raw">\n_'
        )

    def _array(self, name: str, vtk_type: str) -> str:
        components = "" if name else ' NumberOfComponents="3"'
        return (
            f'        <DataArray type="{vtk_type}" Name={quoteattr(name or "Points")}{components} '
            f'format="appended" offset="{self._start[name]}"/>\n'
        )


def _names(words: Sequence[str]) -> str:
    """Field data with words, as VTK writes them: the codes of their letters, each word ended by 0."""
    if not words:
        return ""
    codes = " ".join(str(code) for word in words for code in (*word.encode("utf-8"), 0))
    return (
        f'    <FieldData>\n      <Array type="String" Name="species_names" NumberOfTuples="{len(words)}" '
        f'format="ascii">\n        {codes}\n      </Array>\n    </FieldData>\n'
    )
