"""APT files: sections are found, mapped, or skipped with a note; headers that contradict the file are refused."""

from __future__ import annotations

import ionfiles
import numpy as np
import pytest

from aptstream.errors import FileFormatError
from aptstream.io import open_ions

IONS = ionfiles.numbers(20)
MASS = ionfiles.section("Mass", IONS[:, 3:], "Da")
POSITION = ionfiles.section("Position", IONS[:, :3], "nm")
FLOATS = np.arange(20, dtype="<f4")[:, None]


def opened(tmp_path, content):
    path = tmp_path / "a.apt"
    path.write_bytes(content)
    return open_ions(path)


def refused(tmp_path, content, said):
    with pytest.raises(FileFormatError, match=said):
        list(opened(tmp_path, content).blocks())


def test_positions_and_mass_in_any_order(tmp_path):
    for sections in ((MASS, POSITION), (POSITION, MASS)):
        file = opened(tmp_path, ionfiles.apt(*sections, n=20))
        assert (file.kind, file.n_ions, file.columns, file.notes) == ("APT", 20, (), ())
        for start, stop in ((0, 20), (3, 11), (19, 20)):
            block = file.read(start, stop)
            np.testing.assert_array_equal(block.position, IONS[start:stop, :3])
            np.testing.assert_array_equal(block.mass_to_charge, IONS[start:stop, 3])


@pytest.mark.parametrize("header", ["little", "long"])
def test_headers_tell_their_own_size(tmp_path, header):
    position = POSITION
    if header == "little":  # as some programs write it: no bounds
        position = ionfiles.section("Position", IONS[:, :3], "nm", size=148)
        position = position[:148] + position[172:]
    content = ionfiles.apt(MASS, position, n=20, header=b"x" * 9, size=549)
    np.testing.assert_array_equal(opened(tmp_path, content).read(0, 20).position, IONS[:, :3])


def test_columns_of_an_epos_file_are_found(tmp_path):
    detector = np.arange(40, dtype="<f4").reshape(20, 2)
    sections = {
        "tof": (FLOATS + 1, "ns"), "Voltage": (FLOATS + 2, "V"), "Vap": (FLOATS + 3, "V"),
        "Detector Coordinates": (detector, "mm"), "Pulse Delta": (FLOATS.astype("<i4"), ""),
        "Multiplicity": (FLOATS.astype("<i4") % 3, ""), "rTip": (FLOATS, "nm"), "Neues Ä": (FLOATS, ""),
    }  # fmt: skip
    parts = [ionfiles.section(name, data, unit) for name, (data, unit) in sections.items()]
    file = opened(tmp_path, ionfiles.apt(MASS, *parts, POSITION, n=20))
    columns = file.read(5, 15).columns
    expected = {
        "tof_ns": FLOATS[:, 0] + 1, "dc_v": FLOATS[:, 0] + 2, "pulse_v": FLOATS[:, 0] + 3,
        "det_x_mm": detector[:, 0], "det_y_mm": detector[:, 1],
        "delta_pulse": FLOATS[:, 0], "ions_per_pulse": FLOATS[:, 0] % 3,
    }  # fmt: skip
    assert set(columns) == set(expected) == set(file.columns)
    for name, values in expected.items():
        np.testing.assert_array_equal(columns[name], values[5:15])
    assert file.notes[0] == "Sections that are not read: 'rTip', 'Neues Ä'."
    assert "'tof'" in file.notes[1]


@pytest.mark.parametrize(
    "other",
    [{"bits": 24}, {"record_size": 3}, {"relation": 2}, {"n_records": 19}, {"data_type": 4}, {"record_size": -4}],
)
def test_a_column_in_a_form_that_is_not_known_is_skipped_with_a_note(tmp_path, other):
    file = opened(tmp_path, ionfiles.apt(MASS, ionfiles.section("Voltage", FLOATS, "V", **other), POSITION, n=20))
    assert file.columns == ()
    assert file.notes == ("Sections that are not read: 'Voltage'.",)


def test_a_column_in_another_unit_is_skipped(tmp_path):
    file = opened(tmp_path, ionfiles.apt(MASS, ionfiles.section("Voltage", FLOATS, "kV"), POSITION, n=20))
    assert file.columns == ()


@pytest.mark.parametrize("count", [-2, 2**32])
def test_counts_that_are_none_are_refused(tmp_path, count):
    delta = np.array([[0]] * 7 + [[count]] + [[2**32 - 1]] * 12, "<i8")
    content = ionfiles.apt(MASS, ionfiles.section("Delta Pulse", delta), POSITION, n=20)
    refused(tmp_path, content, f"counts {count} at ion 7 in the section 'Delta Pulse'")


def test_doubles_are_rounded(tmp_path):
    exact = IONS.astype("<f8") / 3
    parts = ionfiles.section("Mass", exact[:, 3:], "Da"), ionfiles.section("Position", exact[:, :3], "nm")
    block = opened(tmp_path, ionfiles.apt(*parts, n=20)).read(0, 20)
    np.testing.assert_array_equal(block.position, exact[:, :3].astype("f4"))
    np.testing.assert_array_equal(block.mass_to_charge, exact[:, 3].astype("f4"))


GOOD = ionfiles.apt(MASS, POSITION, n=20)


@pytest.mark.parametrize("end", [1, 4, 11, 100, 539, 540, 541, 600, 688, 700, 768, 769, len(GOOD) - 1])
def test_a_file_that_ends_too_early(tmp_path, end):
    refused(tmp_path, GOOD[:end], "cannot be read: it (has|ends|begins|holds no section|says)")


@pytest.mark.parametrize("n", [0, 19, 21, 2**62, 2**64 - 1])
def test_numbers_of_ions_that_contradict_the_file(tmp_path, n):
    said = "another form" if n in (19, 21) else f"says that it holds {n} ions"
    refused(tmp_path, ionfiles.apt(MASS, POSITION, n=n), said)


def test_what_is_said_of_damage(tmp_path):
    section = ionfiles.section
    huge = section("Mass", IONS[:, 3:], "Da", n_bytes=2**62, n_records=2**60)
    cases = {
        b"POS\0" + GOOD[4:]: "begins with b'POS'",
        ionfiles.apt(MASS, POSITION, n=20, size=-1): "header has -1 bytes",
        ionfiles.apt(MASS, MASS, POSITION, n=20): "'Mass' twice",
        ionfiles.apt(huge, POSITION, n=20): "bytes before the section 'Mass' does",
        ionfiles.apt(
            section("Mass", IONS[:, 3:], "Da", size=2**31 - 1), POSITION, n=20
        ): "a header of 2147483647 bytes",
        ionfiles.apt(section("Mass", IONS[:, 3:], "Da", size=-148), POSITION, n=20): "a header of -148 bytes",
        ionfiles.apt(
            MASS, POSITION, section("rTip", FLOATS, n_bytes=81), n=20
        ): "ends 1 bytes before the section 'rTip'",
        # Its data would lie over the next section.
        ionfiles.apt(section("Mass", IONS[:, 3:], "Da", n_bytes=76), POSITION, n=20): "no section at byte 764",
        ionfiles.apt(section("Mass", IONS[:, 3:], "Da", record_size=8), POSITION, n=20): "'Mass' in another form",
        ionfiles.apt(section("Mass", IONS[:, 3:], "kg"), POSITION, n=20): "'Mass' in 'kg'",
        ionfiles.apt(MASS, section("Position", IONS[:, :3], "m"), n=20): "'Position' in 'm'",
        ionfiles.apt(MASS, section("Position", IONS[:, :2], "nm"), n=20): "3 floating-point numbers an ion",
        ionfiles.apt(MASS, n=20): "no section 'Position' but 'Mass'",
        ionfiles.apt(MASS, POSITION, b"rest", n=20): "ends with 4 bytes",
        ionfiles.apt(
            MASS, POSITION, *[section(str(k), FLOATS[:0]) for k in range(300)], n=20
        ): "more than 256 sections",
    }
    for content, said in cases.items():
        refused(tmp_path, content, said)


def test_nan_is_named(tmp_path):
    bad = IONS.copy()
    bad[13, 1] = np.nan
    content = ionfiles.apt(MASS, ionfiles.section("Position", bad[:, :3], "nm"), n=20)
    refused(tmp_path, content, r"y of ion 13 \(counted from 0\) is nan nm")


def test_the_three_formats_of_one_measurement_agree(shared_data):
    pos, epos, apt = (
        open_ions(shared_data / "si" / f"Si_20k.{kind}").read(0, 20_000) for kind in ("pos", "epos", "apt")
    )
    for other in (epos, apt):
        np.testing.assert_array_equal(other.position.view("u4"), pos.position.view("u4"))
    np.testing.assert_array_equal(epos.mass_to_charge.view("u4"), pos.mass_to_charge.view("u4"))
    np.testing.assert_array_equal(epos.columns["det_x_mm"], apt.columns["det_x_mm"])
    np.testing.assert_array_equal(epos.columns["ions_per_pulse"], apt.columns["ions_per_pulse"])
