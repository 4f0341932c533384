"""Small valid files of every format, and what is in them; the tests of bad input damage them."""

from __future__ import annotations

import io
import struct

import numpy as np


def numbers(n=50, seed=7):
    """Ions as (n, 4): x, y, z in nm and m/q in Da."""
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.normal(0, 20, (n, 3)), rng.uniform(1, 120, n)]).astype("f4")


def pos(ions):
    return ions.astype(">f4").tobytes()


def epos(ions):
    more = np.arange(7 * len(ions)).reshape(-1, 7)
    record = np.empty((len(ions), 11), ">u4")
    record[:, :4] = ions.astype(">f4").view(">u4")
    record[:, 4:9] = (more[:, :5] / 8).astype(">f4").view(">u4")
    record[:, 9:] = more[:, 5:]
    return record.tobytes()


def section(name, data, unit="", **other):
    """One section of an APT file; `data` is (n, per_ion)."""
    kind = {"i": 1, "u": 2, "f": 3}[data.dtype.kind]
    bounds = np.array([data.min(axis=0), data.max(axis=0)], "<f4").T.tobytes() if name == "Position" else b""
    record = data.dtype.itemsize * data.shape[1]
    fields = {
        "signature": b"SEC\0", "size": 148 + len(bounds), "version": 2, "name": name.encode("utf-16-le"),
        "section_version": 1, "relation": 1, "record_type": 1, "data_type": kind, "bits": 8 * data.dtype.itemsize,
        "record_size": record, "unit": unit.encode("utf-16-le"), "n_records": len(data), "n_bytes": data.nbytes,
    }  # fmt: skip
    fields |= other
    head = struct.pack("<4sii64siIIIii32sQQ", *fields.values())
    return head + bounds + data.astype(data.dtype.newbyteorder("<")).tobytes()


def apt(*sections, n=None, header=b"", size=540):
    """An APT file of whole sections."""
    n = struct.unpack("<Q", sections[0][132:140])[0] if n is None else n
    return (
        struct.pack("<4sii512sQQ", b"APT\0", size, 2, "a.apt".encode("utf-16-le"), 1, n) + header + b"".join(sections)
    )


def apt_of(ions):
    n = len(ions)
    return apt(
        section("tofc", np.arange(n, dtype="<f4")[:, None], "ns"),
        section("Mass", ions[:, 3:], "Da"),
        section("Multiplicity", np.arange(n, dtype="<i4")[:, None] % 3),
        section("Hit Type", np.arange(n, dtype="<u2")[:, None]),
        section("Detector Coordinates", np.arange(2 * n, dtype="<f4").reshape(-1, 2), "mm"),
        section("Position", ions[:, :3], "nm"),
    )


def text(ions, separator=",", mark=".", header="", end="\n"):
    lines = [separator.join(repr(float(number)).replace(".", mark) for number in ion) for ion in ions]
    return (header + end * bool(header) + end.join(lines) + end).encode()


def nxapm(ions, libver="earliest", unit=("nm", "Da"), **form):
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w", libver=libver) as root:
        probe = root.create_group("entry1/atom_probe")
        position = probe.create_dataset("reconstruction/reconstructed_positions", data=ions[:, :3], **form)
        if "chunks" in form:
            form = form | {"chunks": form["chunks"][:1]}
        mass = probe.create_dataset("mass_to_charge_conversion/mass_to_charge", data=ions[:, 3], **form)
        position.attrs["units"], mass.attrs["units"] = unit
    return stream.getvalue()


VALID = {
    ".pos": pos,
    ".epos": epos,
    ".apt": apt_of,
    ".csv": text,
    ".txt": lambda ions: text(ions, " ", ",", "# x y z m/q\nx (nm) y (nm) z (nm) m/q (Da)", "\r\n"),
    ".nxs": lambda ions: nxapm(ions, chunks=(16, 3), compression="gzip", shuffle=True, fletcher32=True),
    ".h5": nxapm,
}
