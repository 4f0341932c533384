"""Range files: what the field's programs write is read, what contradicts itself is named by its line."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptstream.errors import RangingError
from aptstream.io import read_ranges, read_rrng, write_rrng
from aptstream.io.elements import SYMBOLS
from aptstream.points import Range, RangeTable

HEAD = "[Ions]\nNumber=2\nIon1=Al\nIon2=Li\n[Ranges]\n"


def read(tmp_path, text, name="a.rrng"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("latin-1"))
    return read_rrng(path)


@pytest.mark.parametrize(
    "line",
    [
        "Range1=13.4 13.6 Vol:0.5 Al:1 Color:00FF00",
        "Range1=13,4 13,6 Vol:0,5 Al:1 Color:00ff00",
        "range7 = 13.4  13.6 color:00FF00 Al:1 vol:0.5",
        "Range1=Color:00FF00 Al:1 13.4 Vol:0.5 13.6",
        "Range1=13.4\t13.6 Vol:0.5 Name:Alumin\xefum 3 Al:1 Color:00FF00",
        "Range1=13.4 13.6 Vol:0.5 Name:Al Color:00FF00",
        "Range1=1.34e1 13.6 Vol:0.5 Al:1 Color:00FF00",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_spelling_is_the_same_range(tmp_path, line, end):
    table = read(tmp_path, (HEAD + line + "\n").replace("\n", end))
    assert table.ranges == (Range(13.4, 13.6, (("Al", 1),), 0.5, "00FF00"),)


def test_what_may_be_missing(tmp_path):
    text = "# by hand\n[Ranges]\nRange1=1 2 H:2\n\n[Colours]\nanything\n[Ions]\n"
    assert read(tmp_path, b"\xef\xbb\xbf" + text.encode()).ranges == (Range(1, 2, (("H", 2),)),)


def test_one_ion_has_one_name(tmp_path):
    table = read(tmp_path, "[Ranges]\nRange1=30 31 Ti:1 O:1\nRange2=60 61 O:1 Ti:1\nRange3=5 6 Ti:1")
    assert table.species == ("unranged", "TiO", "Ti")


def test_ions_without_known_atoms_keep_their_name(tmp_path):
    text = "[Ions]\nIon1=Al\nIon2=my noise\n[Ranges]\nRange1=1 2 Name:my noise Color:00FF00\nRange2=3 4 Al:1"
    table = read(tmp_path, text)
    assert table.ranges[0] == Range(1, 2, (), 0, "00FF00", "my_noise")
    assert table.species == ("unranged", "my_noise", "Al")
    assert table.atoms["my_noise"] == ()


@pytest.mark.parametrize(("atoms", "name"), [((), ""), ((("Al", 1),), "Al"), ((), "unranged")])
def test_a_range_has_either_atoms_or_a_name(atoms, name):
    with pytest.raises(RangingError, match="either atoms, or a name"):
        RangeTable((Range(1, 2, atoms, name=name),))


BAD = {
    "Range1=13.4 13.6 Xx:1": "line 6.*unknown element 'Xx'",
    "Range1=13.4 13.6 al:1": "line 6.*unknown element 'al'",
    "Range1=13.6 13.4 Al:1": "line 6.*bounds 13.6 and 13.4",
    "Range1=13.4 13.4 Al:1": "line 6.*bounds 13.4 and 13.4",
    "Range1=nan 13.4 Al:1": "line 6.*'nan' for a bound",
    "Range1=1 inf Al:1": "line 6.*'inf' for a bound",
    "Range1=-1 2 Al:1": "line 6.*'-1' for a bound",
    "Range1=1_0 20 Al:1": "line 6.*'1_0' for a bound",
    "Range1=1.2.3 20 Al:1": "line 6.*'1.2.3' for a bound",
    "Range1=13.4 Al:1": "line 6.*found 1 bounds",
    "Range1=13.4 13.5 13.6 Al:1": "line 6.*found 3 bounds",
    "Range1=13.4 13.6": "line 6.*without an element",
    "Range1=13.4 13.6 Name: Vol:1": "line 6.*without an element",
    "Range1=13.4 13.6 Name:unranged Vol:1": "line 6.*an ion called 'unranged'",
    f"Range1=13.4 13.6 Name:{'x' * 33}": "line 6.*an ion called 'xxx.*1 to 32 signs",
    "Range1=13.4 13.6 Al:0": "line 6.*'0' atoms",
    "Range1=13.4 13.6 Al:-1": "line 6.*'-1' atoms",
    "Range1=13.4 13.6 Al:": "line 6.*'' atoms",
    "Range1=13.4 13.6 Al:1000": "line 6.*'1000' atoms",
    "Range1=13.4 13.6 Al:\xb2": "line 6.*atoms of Al",
    "Range1=13.4 13.6 Al:1 Vol:x": "line 6.*'x' for the volume",
    "Range1=13.4 13.6 Al:1 Color:red": "line 6.*colour 'red'",
    "Range1": r"line 6.*'Range1'.*Range1=…",
    "Rage1=13.4 13.6 Al:1": r"line 6.*Range1=…",
    "Range=13.4 13.6 Al:1": r"line 6.*Range1=…",
    "Number=2\nRange1=13.4 13.6 Al:1": "line 6.*Number=2 but 1 ranges",
    "Range1=13.4 13.6 Al:1\nNumber=0": "line 7.*Number=0 but 1 ranges",
    "Number=1\nNumber=1\nRange1=13.4 13.6 Al:1": "line 7.*second Number",
    "Number=many": r"line 6.*'Number=many'",
    "[Ranges]": "line 6.*second section",
    "Range1=1 3 Al:1\nRange2=2 4 Li:1": "line 7.*Li from 2.0 to 4.0.*Al from 1.0 to 3.0 Da in line 6",
    "Range1=1 9 Al:1\nRange2=2 4 Al:1": "line 7.*overlaps",
    "Range1=1 9 Al:1\nRange2=5 6 Al:1\nRange3=2 4 Al:1\nRange4=9 10 Al:1": r"line 8.*line 6 \(and so in line 7\)\.",
    "": "holds no range",
    "Number=0": "holds no range",
}


@pytest.mark.parametrize("lines", BAD)
def test_every_bad_line_is_named(tmp_path, lines):
    with pytest.raises(RangingError, match=BAD[lines]):
        read(tmp_path, HEAD + lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no range"),
        ("hello", "line 1.*before any section"),
        ("[Ions]\nIon1=Qq\n[Ranges]\nRange1=1 2 Al:1", "line 2.*unknown element 'Qq'"),
        ("[Ions]\nNumber=1\n[Ranges]\nRange1=1 2 Al:1", "line 2.*Number=1 but 0 ions"),
    ],
)
def test_what_else_is_wrong(tmp_path, text, message):
    with pytest.raises(RangingError, match=message):
        read(tmp_path, text)


def test_sizes_are_capped(tmp_path):
    with pytest.raises(RangingError, match="larger than 4 MB"):
        read(tmp_path, b" " * (4 << 20) + b"x")
    ions = [(a, b) for a in sorted(SYMBOLS)[:16] for b in sorted(SYMBOLS)[16:32]]
    lines = [f"Range{i}={i} {i}.5 {a}:1 {b}:1" for i, (a, b) in enumerate(ions)]
    assert len(read(tmp_path, "[Ranges]\n" + "\n".join(lines[:255])).species) == 256
    with pytest.raises(RangingError, match="names 256 species: at most 255"):
        read(tmp_path, "[Ranges]\n" + "\n".join(lines))


def test_missing_files_and_other_suffixes(tmp_path):
    with pytest.raises(RangingError, match=r"cannot be read"):
        read_ranges(tmp_path / "none.rrng")
    with pytest.raises(RangingError, match=r"suffix '.xml', which is not read. Expected one of .rrng, .rng, .env"):
        read_ranges(tmp_path / "a.xml")


def test_reading_is_fast(tmp_path):
    text = "[Ranges]\n" + "\n".join(f"Range{i}={i} {i}.5 Vol:1 Si:31 Color:FF0000" for i in range(1, 93))
    start = time.perf_counter()
    read(tmp_path, text)
    assert time.perf_counter() - start < 0.05
    hostile = "[Ranges]\nRange1=1 2 " + "Al:1 " * 200_000 + ":" * 200_000 + " Al:1"
    with pytest.raises(RangingError, match="unknown element ''"):
        read(tmp_path, hostile)
    assert time.perf_counter() - start < 2


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("any")
    for content in (data, b"[Ranges]\n" + data, b"[Ranges]\nRange1=1 2 " + data):
        try:
            assert read(folder, content).ranges
        except RangingError as error:
            assert "Expected" in str(error)


@st.composite
def tables(draw):
    edges = sorted(draw(st.sets(st.floats(0, 300), min_size=2, max_size=20)))
    ions = st.dictionaries(st.sampled_from(sorted(SYMBOLS)), st.integers(1, 9), min_size=1, max_size=3)
    volumes, colours = st.floats(0, 1), st.sampled_from(["", "00FF7F"])
    found, spelled = [], {}
    for low, high in zip(edges[::2], edges[1::2], strict=False):
        atoms = tuple(draw(ions).items())
        atoms = spelled.setdefault(frozenset(atoms), atoms)
        name = draw(st.sampled_from(["", "", "Hyd", "X23", "my_noise"]))
        found.append(Range(low, high, () if name else atoms, draw(volumes), draw(colours), name))
    return RangeTable(tuple(draw(st.permutations(found))))


@given(tables())
def test_round_trip(tmp_path_factory, table):
    path = tmp_path_factory.mktemp("ranges") / "a.rrng"
    write_rrng(path, table)
    assert read_ranges(path) == table


def test_real_files(shared_data):
    files = sorted((*shared_data.glob("ranges/*"), shared_data / "si" / "Si.RRNG"))
    tables = {path.name: read_ranges(path) for path in files if path.suffix.lower() == ".rrng"}
    assert {name: len(table.ranges) for name, table in tables.items()} == {
        "Mo_range.rrng": 46,
        "R18_58152-v02.RRNG": 14,
        "R31_06365-v02.rrng": 72,
        "Ranges_R45_2434-v01.rrng": 13,
        "Si.RRNG": 25,
        "TiAlN_film_cross-section_850C.rrng": 54,
    }
    assert tables["Si.RRNG"].species == ("unranged", "Si", "Cr", "Cu", "C", "O", "CrO", "CrO2", "Cr2O")
