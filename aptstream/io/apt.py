r"""APT files of AP Suite 6: a header, then sections of one quantity each, little-endian.

The header has 540 bytes: ``APT\0``, its size, version, the file's name (256 UTF-16), creation time, number of ions. A
section has a header of 148 bytes or more (``SEC\0``, its size, version, name (32 UTF-16), version, relation to ions,
kind, type and bits of the data, bytes of a record, unit (16 UTF-16), records, bytes of data) and then its data; the
header of ``Position`` ends with the smallest and largest x, y, z. Source: the format as AMETEK gave it to the
developers of ifes_apt_tc_data_modeling, and the section names of Cameca.CustomAnalysis.Interface.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream.errors import FileFormatError
from aptstream.io.ions import COLUMNS, IonBlock, IonFile
from aptstream.io.read import file_size, read_bytes

#: The file's header, and that of a section.
HEADER = np.dtype(
    [("signature", "S4"), ("size", "<i4"), ("version", "<i4"), ("name", "<u2", 256), ("time", "<u8"), ("n_ions", "<u8")]
)
SECTION = np.dtype(
    [
        *(("signature", "S4"), ("size", "<i4"), ("version", "<i4"), ("name", "<u2", 32), ("section_version", "<i4")),
        *(("relation", "<u4"), ("record_type", "<u4"), ("data_type", "<u4"), ("bits", "<i4"), ("record_size", "<i4")),
        *(("unit", "<u2", 16), ("n_records", "<u8"), ("n_bytes", "<u8")),
    ]
)
_LONGEST_HEADER = 1 << 16
_MOST_SECTIONS = 256
_KINDS = {1: "i", 2: "u", 3: "f"}

#: Sections that hold a column of `COLUMNS`: the first that is there is read. "Epos ToF", "Delta Pulse" and
#: "Multiplicity" are by name what an ePOS file holds; "Vap" is the older name of "Pulse Voltage".
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "tof_ns": ("Epos ToF", "tof", "tofc"),
    "dc_v": ("Voltage",),
    "pulse_v": ("Pulse Voltage", "Vap"),
    "det_x_mm": ("XDet_mm", "Detector Coordinates"),
    "det_y_mm": ("YDet_mm", "Detector Coordinates"),
    "delta_pulse": ("Delta Pulse", "Pulse Delta"),
    "ions_per_pulse": ("Multiplicity",),
}
_UNITS = {
    "Position": ("nm",),
    "Mass": ("da", "u", "amu", "dalton"),
    **dict.fromkeys(("Epos ToF", "tof", "tofc"), ("ns", "")),
    **dict.fromkeys(("Voltage", "Pulse Voltage", "Vap"), ("v", "")),
    **dict.fromkeys(("XDet_mm", "YDet_mm", "Detector Coordinates"), ("mm", "")),
}


@dataclass(frozen=True)
class _Section:
    """One quantity: `per_ion` numbers of type `dtype` an ion, from byte `begin` on; no type if not one of ours."""

    name: str
    unit: str
    dtype: str
    per_ion: int
    begin: int


def open_apt(file: Path) -> IonFile:
    """Look at an APT file.

    Parameters
    ----------
    file : Path
        The file. ``Position`` and ``Mass`` are read, and the sections that hold what an ePOS file holds.

    Returns
    -------
    IonFile
        Its notes name the sections that are skipped.

    Raises
    ------
    FileFormatError
        If there is no such file, its headers contradict its size or each other, or it has no ``Position`` or ``Mass``.
    """
    size = file_size(file, "APT file")
    n_ions, begin = _read_header(file, size)
    sections: dict[str, _Section] = {}
    for section in _sections(file, begin, size, n_ions):
        if section.name in sections:
            raise _wrong(file, f"holds the section '{section.name}' twice", "each section once")
        sections[section.name] = section
    for name, per_ion in (("Position", 3), ("Mass", 1)):
        _check_main(file, sections, name, per_ion)
    columns = _choose_columns(sections)
    read = _ReadApt(file, sections["Position"], sections["Mass"], columns)
    used = {"Position", "Mass", *(section.name for section, _ in columns.values())}
    skipped = [name for name in sections if name not in used]
    notes: tuple[str, ...] = (f"Sections that are not read: {', '.join(map(repr, skipped))}.",) if skipped else ()
    if "tof_ns" in columns and columns["tof_ns"][0].name != "Epos ToF":
        notes += (f"The time of flight is that of the section '{columns['tof_ns'][0].name}'.",)
    return IonFile(file, "APT", n_ions, read, tuple(columns), notes)


@dataclass(frozen=True)
class _ReadApt:
    file: Path
    position: _Section
    mass: _Section
    columns: Mapping[str, tuple[_Section, int]]

    def __call__(self, start: int, stop: int) -> IonBlock:
        columns = {}
        for name, (section, number) in self.columns.items():
            values = self._rows(section, start, stop)[:, number]
            if COLUMNS[name] == "uint32" and (bad := (values < 0) | (values >= 2**32)).any():
                row = int(np.argmax(bad))
                found = f"counts {values[row]} at ion {start + row} in the section '{section.name}'"
                raise _wrong(self.file, found, "counts of at least 0 and below 2³²")
            columns[name] = values.astype(COLUMNS[name])
        position = self._rows(self.position, start, stop).astype(np.float32)
        return IonBlock(position, self._rows(self.mass, start, stop)[:, 0].astype(np.float32), columns)

    def _rows(self, section: _Section, start: int, stop: int) -> npt.NDArray[Any]:
        step = np.dtype(section.dtype).itemsize * section.per_ion
        raw = read_bytes(self.file, section.begin + step * start, step * (stop - start))
        return np.frombuffer(raw, section.dtype).reshape(-1, section.per_ion)


def _read_header(file: Path, size: int) -> tuple[int, int]:
    """Return the number of ions, and where the first section begins."""
    if size < HEADER.itemsize:
        raise _wrong(file, f"has {size} bytes", "a header of 540 bytes")
    header = np.frombuffer(read_bytes(file, 0, HEADER.itemsize), HEADER)[0]
    if header["signature"] != b"APT":
        raise _wrong(file, f"begins with {bytes(header['signature'])!r}", "'APT' at the beginning")
    begin, n_ions = int(header["size"]), int(header["n_ions"])
    if not HEADER.itemsize <= begin <= min(size, _LONGEST_HEADER):
        raise _wrong(file, f"says that its header has {begin} bytes, of {size} in all", "540 bytes")
    # An ion takes 12 bytes of Position and 4 of Mass: no count beyond that can be meant.
    if not 1 <= n_ions <= size // 16:
        raise _wrong(file, f"says that it holds {n_ions} ions in {size} bytes", "at least 1 ion of 16 bytes")
    return n_ions, begin


def _sections(file: Path, begin: int, size: int, n_ions: int) -> Iterator[_Section]:
    """Walk from section to section; each begins where the one before it ends."""
    for _ in range(_MOST_SECTIONS):
        if begin == size:
            return
        if size - begin < SECTION.itemsize:
            raise _wrong(file, f"ends with {size - begin} bytes that are no section", "whole sections")
        header = np.frombuffer(read_bytes(file, begin, SECTION.itemsize), SECTION)[0]
        if header["signature"] != b"SEC":
            raise _wrong(file, f"holds no section at byte {begin}", "'SEC' where the section before it ends")
        name, header_size, n_bytes = _text(header["name"]), int(header["size"]), int(header["n_bytes"])
        data = begin + header_size
        if not SECTION.itemsize <= header_size <= _LONGEST_HEADER:
            raise _wrong(file, f"gives the section '{name}' a header of {header_size} bytes", "148 bytes or some more")
        if n_bytes > size - data:
            missing = data + n_bytes - size
            raise _wrong(file, f"ends {missing} bytes before the section '{name}' does", "all bytes that it promises")
        dtype, per_ion = _layout(header, n_ions)
        yield _Section(name, _text(header["unit"]), dtype, per_ion, data)
        begin = data + n_bytes
    raise _wrong(file, f"holds more than {_MOST_SECTIONS} sections", f"at most {_MOST_SECTIONS}")


def _layout(header: np.void, n_ions: int) -> tuple[str, int]:
    """Return type and numbers of an ion; an empty type if the section is anything but one plain record an ion."""
    n_records, record, bits = int(header["n_records"]), int(header["record_size"]), int(header["bits"])
    kind = _KINDS.get(int(header["data_type"]), "")
    plain = int(header["relation"]) == 1 and kind and bits in ((32, 64) if kind == "f" else (8, 16, 32, 64))
    if not plain or record <= 0 or record % (bits // 8):
        return "", 0
    if n_records != n_ions or n_records * record != int(header["n_bytes"]):
        return "", 0
    return f"<{kind}{bits // 8}", record // (bits // 8)


def _check_main(file: Path, sections: Mapping[str, _Section], name: str, per_ion: int) -> None:
    """Refuse a file without positions or m/q."""
    if name not in sections:
        others = ", ".join(map(repr, sections)) or "none"
        raise _wrong(file, f"holds no section '{name}' but {others}", f"'{name}' among them")
    section = sections[name]
    if not section.dtype.startswith("<f") or section.per_ion != per_ion:
        raise _wrong(
            file, f"holds '{name}' in another form than its header promises", f"{per_ion} floating-point numbers an ion"
        )
    if section.unit.lower() not in _UNITS[name]:
        raise _wrong(file, f"gives '{name}' in '{section.unit}'", " or ".join(_UNITS[name]))


def _choose_columns(sections: Mapping[str, _Section]) -> dict[str, tuple[_Section, int]]:
    """Find the section of every column, and its place in the record."""
    found = {}
    for column, names in _COLUMNS.items():
        for section in (sections[name] for name in names if name in sections):
            on_detector = section.name == "Detector Coordinates"
            fits = section.per_ion == (2 if on_detector else 1)
            fits &= (section.dtype[1:2] == "f") == (COLUMNS[column] == "float32")
            if fits and section.unit.lower() in _UNITS.get(section.name, (section.unit.lower(),)):
                found[column] = (section, int(on_detector and column == "det_y_mm"))
                break
    return found


def _text(letters: npt.NDArray[np.uint16]) -> str:
    """Decode a name that ends with zero; what cannot be printed is shown as its number."""
    raw = letters.tobytes().decode("utf-16-le", errors="backslashreplace").split("\0", 1)[0]
    return raw if raw.isprintable() else ascii(raw)[1:-1]


def _wrong(file: Path, found: str, expected: str) -> FileFormatError:
    return FileFormatError(
        f"The APT file {file.name} cannot be read: it {found}. Expected {expected}. "
        f"Copy or export it again from AP Suite 6; POS and ePOS are read too."
    )
