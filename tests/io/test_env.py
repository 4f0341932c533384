"""ENV files: ions, ranges and volumes in Å³, among the settings of an instrument."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptstream.errors import RangingError
from aptstream.io import read_ranges
from aptstream.points import Range

FILE = """#
#\t\tEnvironment file
# Version Id
Rev_2.0

# Number of elements / Number of mass ranges
3\t4
# List of Element and Color components ( Red / Green / Blue )
O\t0.0\t1.0\t0.0
MnO2\t0.5\t0.5\t0.5
Hyd\t0.0\t0.0\t0.0
# Definition of  Mass ranges / Atomic volumes / Increment for concentration
O\t15.880\t16.840\t20.000\t1.000
MnO2\t43.380\t43.650\t11.660\t1.000
Hyd\t0.930\t3.180\t11.660\t1.000
O\t31.7\t34.3\t20.000\t1.000

# Atom probe definition
# Flight length (m)
0.100500
"""
RANGES = (
    Range(0.93, 3.18, (), 0.01166, "000000", "Hyd"),
    Range(15.88, 16.84, (("O", 1),), 0.02, "00FF00"),
    Range(31.7, 34.3, (("O", 1),), 0.02, "00FF00"),
    Range(43.38, 43.65, (("Mn", 1), ("O", 2)), 0.01166, "808080"),
)


def read(folder, text):
    path = folder / "a.ENV"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("latin-1"))
    return read_ranges(path)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "change",
    [
        ("", ""),
        (".", ","),
        ("\t", "   "),
        ("Rev_2.0\n", ""),
        ("0.100500", "# Surface (m\xb2)\n0.004656"),
        ("\t1.000\n", "\n"),
    ],
)
def test_every_spelling_is_the_same_table(tmp_path, change, end):
    assert read(tmp_path, FILE.replace(*change).replace("\n", end)).ranges == RANGES


def test_colours_and_volumes_may_be_missing(tmp_path):
    assert read(tmp_path, "1 1\nAl\nAl 13 14\n").ranges == (Range(13, 14, (("Al", 1),)),)


BAD = {
    ("3\t4", "3"): "line 7.*'3'.*numbers of elements and ranges",
    ("3\t4", "3\tx"): "line 7.*numbers of elements and ranges",
    ("3\t4", "2\t4"): "line 11.*Hyd.*|line 11.*range of 'Hyd'",
    ("3\t4", "4\t4"): "line 13.*among the elements",
    ("3\t4", "3\t3"): "line 7.*3 ranges, and another range in line 16",
    ("3\t4", "3\t5"): "line 20.*a range of '0.100500'",
    ("3\t4", "3\t900"): "line 20.*a range of '0.100500'",
    ("O\t0.0\t1.0\t0.0", "O\t0.0\t1.0"): "line 9.*among the elements",
    ("O\t0.0\t1.0\t0.0", "O\t0.0\t1.0\t2"): "line 9.*colour",
    ("O\t0.0\t1.0\t0.0", "Hyd\t0.0\t1.0\t0"): "line 11.*Hyd a second time",
    ("O\t15.880\t16.840", "Fe\t15.880\t16.840"): "line 13.*range of 'Fe'.*listed above",
    ("O\t15.880\t16.840", "O\t16.880\t15.840"): "line 13.*bounds 16.88 and 15.84",
    ("O\t15.880\t16.840", "O\t15.880\t32"): "line 16.*O from 31.7 to 34.3 Da, which overlaps.*line 13",
    ("O\t15.880\t16.840\t20.000\t1.000", "O\t15.880"): "line 13.*2 fields",
    ("20.000", "-1"): "line 13.*'-1' for the volume",
    (FILE, "#\n"): "line 1.*'nothing'",
    (FILE, "1 2\nAl\nAl 1 2\n"): "line 1.*2 ranges, and the end in line 3",
    (FILE, "1 0\nAl\n"): "holds no range",
}


@pytest.mark.parametrize("change", BAD)
def test_every_bad_line_is_named(tmp_path, change):
    with pytest.raises(RangingError, match=BAD[change]):
        read(tmp_path, FILE.replace(*change, 1))


@given(st.data())
def test_mutated_files_are_read_or_refused(tmp_path_factory, data):
    content = bytearray(FILE.encode())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert read(tmp_path_factory.mktemp("any"), bytes(content)).ranges
    except RangingError as error:
        assert "Expected" in str(error)


def test_the_real_file_is_refused_for_its_overlaps_and_read_without_them(shared_data, tmp_path):
    path = shared_data / "ranges" / "ErMnO.env"
    message = r"line 49.*Er from 55\.543.*overlaps.*Er from 55\.09 .*\(and so in line 50\)"
    with pytest.raises(RangingError, match=message):
        read_ranges(path)
    text = path.read_text("latin-1").replace("\t55.543\t", "\t55.550\t").replace("\t55.877\t", "\t55.880\t")
    table = read(tmp_path, text)
    assert len(table.ranges) == 26
    assert table.atoms["Mn2O"] == (("Mn", 2), ("O", 1))
    assert [ion for ion, atoms in table.atoms.items() if not atoms] == ["Hyd", "X23"]
