"""HDF5 files of ions in the vocabulary of NXapm (``.nxs``, ``.h5``, ``.hdf5``), read and written.

Positions are the dataset ``reconstructed_positions``, m/q is ``mass_to_charge``, wherever they stand. Source: the NeXus
definitions NXapm, NXapm_ranging and NXapm_paraprobe_ranger_results.
"""

from __future__ import annotations

import string
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from aptstream import __version__
from aptstream.errors import FileFormatError
from aptstream.io.decode import LARGEST, FloatArray
from aptstream.io.hdf5 import LAYOUT, NOWHERE, SIGNATURE, DamagedError, Hdf5, Message
from aptstream.io.hdf5_array import StoredArray, locate_array
from aptstream.io.ions import IonBlock, IonFile
from aptstream.io.read import file_size, read_bytes
from aptstream.io.replace import replacing
from aptstream.points import RangeTable

#: Names of the two datasets, and the units they may be in.
POSITIONS, MASS = "reconstructed_positions", "mass_to_charge"
_UNITS = {
    POSITIONS: ("nm", "nanometer", "nanometre", "nanometers", "nanometres"),
    MASS: ("Da", "dalton", "daltons", "u", "amu", "unified_atomic_mass_unit"),
}
_MOST_OBJECTS = 10_000
_ROWS = 1 << 16


def open_nxapm(file: Path) -> IonFile:
    """Look at an HDF5 file of ions.

    Parameters
    ----------
    file : Path
        The file. One dataset ``reconstructed_positions``, (n, 3) in nm, and one ``mass_to_charge``, (n,) or (n, 1) in
        Da, both float32 or float64, stored in one piece or in chunks (plain or gzip, with shuffle and checksums).

    Returns
    -------
    IonFile

    Raises
    ------
    FileFormatError
        If there is no such file, it is no HDF5 file or damaged, or these datasets are missing, twice there, in other
        units, of other shapes, elsewhere (links, external or virtual data), or not wholly written.
    """
    size = file_size(file, "HDF5 file")
    if size < 96 or read_bytes(file, 0, len(SIGNATURE)) != SIGNATURE:
        raise _wrong(file, "does not begin with the signature of HDF5", "an HDF5 file")
    notes: list[str] = []
    try:
        with file.open("rb") as stream:
            hdf5 = Hdf5(stream, size)
            datasets = _search(file, hdf5)
            position, mass = (_locate(file, hdf5, datasets[name], notes) for name in (POSITIONS, MASS))
    except FileFormatError:
        raise
    except (DamagedError, struct.error, LookupError, OverflowError, OSError) as error:
        said = str(error) if isinstance(error, DamagedError) else "ends inside a structure"
        raise _wrong(file, said, "a whole HDF5 file of the usual form (h5repack makes one)") from error
    if position.columns != 3 or mass.columns != 1 or position.rows != mass.rows:
        found = f"{position.rows} × {position.columns} positions and {mass.rows} × {mass.columns} m/q"
        raise _wrong(file, f"holds {found}", "n × 3 positions and n m/q")
    return IonFile(file, "NXapm", position.rows, _ReadNxapm(position, mass), notes=tuple(notes))


@dataclass(frozen=True)
class _ReadNxapm:
    position: StoredArray
    mass: StoredArray

    def __call__(self, start: int, stop: int) -> IonBlock:
        return IonBlock(self.position.read(start, stop), self.mass.read(start, stop)[:, 0])


def write_nxapm(
    path: str | PathLike[str],
    blocks: Iterable[tuple[FloatArray, FloatArray, npt.NDArray[np.uint8]]],
    *,
    ranges: RangeTable,
    source: str,
    source_sha256: str,
) -> None:
    """Write ions as HDF5 in the vocabulary of NXapm, block by block, whole or not at all.

    Parameters
    ----------
    path : path
        File to write; one that stands there is replaced.
    blocks : iterable of (ndarray (n, 3), ndarray (n,), ndarray of uint8 (n,))
        x, y, z in nm, m/q in Da, and the ion's type: an index into ``ranges.species``, 0 where it is unknown.
    ranges : RangeTable
        The ion types, and the ranges that define them.
    source, source_sha256 : str
        Name and SHA-256 of the file that the ions come from.

    Raises
    ------
    ValueError
        If there is no ion, shapes disagree, a number is not finite or beyond 1e6, a type is not in the table, or the
        digest is no SHA-256.

    Examples
    --------
    >>> import tempfile
    >>> from aptstream.points import Range
    >>> ions = np.zeros((2, 3), "f4"), np.array([27, 99], "f4"), np.array([1, 0], "u1")
    >>> table = RangeTable((Range(26.5, 27.5, (("Al", 1),)),))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_nxapm(f"{folder}/a.nxs", [ions], ranges=table, source="a.pos", source_sha256="0" * 64)
    ...     file = open_nxapm(Path(folder, "a.nxs"))
    ...     file.read(0, 2).mass_to_charge
    array([27., 99.], dtype=float32)
    """
    import h5py

    if len(source_sha256) != 64 or not set(source_sha256) <= set(string.hexdigits):
        raise ValueError(f"A SHA-256 has 64 hexadecimal digits, found {source_sha256!r}.")
    with replacing(path) as stream, h5py.File(stream.name, "w") as root:
        probe = _describe(root, source, source_sha256)
        _describe_ranges(probe, ranges)
        _write_ions(root["entry1"], blocks, len(ranges.species))


def _describe(root: Any, source: str, source_sha256: str) -> Any:
    """Write what the file is, who made it from what; return the group of the atom probe."""
    root.attrs.update({"NX_class": "NXroot", "default": "entry1"})
    entry = _group(root, "entry1", "NXentry")
    entry["definition"] = "NXapm"
    program = _group(entry, "program1", "NXprogram")
    program["program"] = "aptstream"
    program["program"].attrs["version"] = __version__
    note = _group(entry, "source", "NXnote")
    for name, text in (("file_name", source), ("algorithm", "SHA-256"), ("checksum", source_sha256.lower())):
        note[name] = text
    return _group(entry, "atom_probe", "NXroi_process")


def _describe_ranges(probe: Any, ranges: RangeTable) -> None:
    """Write the ion types with their ranges; ion0 is the unknown type."""
    peaks = _group(_group(probe, "ranging", "NXapm_ranging"), "peak_identification", "NXprocess")
    peaks["number_of_ion_types"] = np.uint32(len(ranges.species))
    for index, name in enumerate(ranges.species):
        ion = _group(peaks, f"ion{index}", "NXatom")
        ion["name"] = name if index else "unknown_type"
        if index:
            ion["mass_to_charge_range"] = ranges.bounds_da[ranges.indices == index]
            ion["mass_to_charge_range"].attrs["units"] = "Da"


def _write_ions(
    entry: Any, blocks: Iterable[tuple[FloatArray, FloatArray, npt.NDArray[np.uint8]]], n_types: int
) -> None:
    probe = entry["atom_probe"]
    homes: tuple[tuple[Any, str, tuple[int, ...], str, str], ...] = (
        (_group(probe, "reconstruction", "NXapm_reconstruction"), POSITIONS, (3,), "f4", "nm"),
        (_group(probe, "mass_to_charge_conversion", "NXprocess"), MASS, (), "f4", "Da"),
        (_group(entry, "iontypes", "NXapm_paraprobe_tool_process"), "iontypes", (), "u1", ""),
    )
    arrays = []
    for group, name, row, dtype, unit in homes:
        # Checksums, so that damage does not pass; no compression, since measured positions hardly shrink.
        form: dict[str, Any] = {"chunks": (_ROWS, *row), "maxshape": (None, *row), "fletcher32": True}
        array = group.create_dataset(name, (0, *row), dtype, **form)
        array.attrs["units"] = unit
        arrays.append(array)
    written = 0
    for ions in _checked(blocks, n_types):
        columns: tuple[npt.NDArray[Any], ...] = ions
        for array, values in zip(arrays, columns, strict=True):
            array.resize(written + len(values), axis=0)
            array[written:] = values
        written += len(ions[1])
    if not written:
        raise ValueError("An NXapm file needs at least one ion, found none.")


def _checked(
    blocks: Iterable[tuple[FloatArray, FloatArray, npt.NDArray[np.uint8]]], n_types: int
) -> Iterator[tuple[FloatArray, FloatArray, npt.NDArray[np.uint8]]]:
    for position, mass, kind in blocks:
        if position.shape != (len(mass), 3) or mass.ndim != 1 or kind.shape != mass.shape:
            raise ValueError(f"NXapm needs (n, 3), (n,), (n,), found {position.shape}, {mass.shape}, {kind.shape}.")
        if not ((np.abs(position) <= LARGEST).all() and (np.abs(mass) <= LARGEST).all()):
            raise ValueError("An NXapm file holds finite numbers of at most 1e6, found others.")
        if len(kind) and int(kind.max()) >= n_types:
            raise ValueError(f"There are {n_types} ion types with the unknown one, found type {int(kind.max())}.")
        yield position, mass, kind


def _group(parent: Any, name: str, nexus_class: str) -> Any:
    group = parent.create_group(name)
    group.attrs["NX_class"] = nexus_class
    return group


class _Dataset(NamedTuple):
    name: str
    messages: list[Message]


def _search(file: Path, hdf5: Hdf5) -> dict[str, _Dataset]:
    """Walk along hard links, each object once, and find the one dataset of each name."""
    found: dict[str, list[_Dataset]] = {POSITIONS: [], MASS: []}
    elsewhere: dict[str, list[str]] = {POSITIONS: [], MASS: []}
    groups = [("", hdf5.messages(hdf5.root()))]
    seen = {hdf5.root()}
    while groups:
        path, messages = groups.pop()
        for link in hdf5.links(messages):
            name = f"{path}/{link.name}"
            if link.address == NOWHERE:
                elsewhere.get(link.name, []).append(name)
            elif link.address not in seen:
                seen.add(link.address)
                header = hdf5.messages(link.address)
                if link.name in found and LAYOUT in dict(header):
                    found[link.name].append(_Dataset(name, header))
                groups.append((name, header))
        if len(seen) > _MOST_OBJECTS:
            raise _wrong(file, f"holds more than {_MOST_OBJECTS} objects", "a reconstruction, not an archive")
    for wanted, datasets in found.items():
        if len(datasets) > 1:
            paths = ", ".join(sorted(dataset.name for dataset in datasets))
            raise _wrong(
                file, f"holds several datasets '{wanted}': {paths}", f"one '{wanted}': remove those you do not mean"
            )
        if not datasets:
            others = f" but links ({', '.join(elsewhere[wanted])}), which are not followed" if elsewhere[wanted] else ""
            raise _wrong(file, f"holds no dataset '{wanted}'{others}", f"one dataset '{wanted}'")
    return {name: datasets[0] for name, datasets in found.items()}


def _locate(file: Path, hdf5: Hdf5, dataset: _Dataset, notes: list[str]) -> StoredArray:
    """Check the unit of a dataset and find its bytes."""
    known = _UNITS[dataset.name.rpartition("/")[2]]
    unit = next((u for name in ("units", "unit") if (u := hdf5.attribute(dataset.messages, name))), "")
    if not unit:
        notes.append(f"{dataset.name} has no units that can be read: {known[0]} is taken.")
    elif unit.lower() not in (word.lower() for word in known):
        raise _wrong(file, f"gives {dataset.name} in {unit[:40]!r}", " or ".join(known[:2]))
    return locate_array(file, hdf5, dataset.name, dataset.messages)


def _wrong(file: Path, found: str, expected: str) -> FileFormatError:
    return FileFormatError(
        f"The HDF5 file {file.name} cannot be read: it {found}. Expected {expected}. "
        f"Export the reconstruction again, or as POS, ePOS, APT or text."
    )
