"""RNG files: tables of ions and ranges, with and without the polyatomic extension, by old and new programs."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptstream.errors import RangingError
from aptstream.io import read_ranges
from aptstream.points import Range, RangeTable

FILE = """3 4
Aluminium
Al 0.20 1.00 1.00
Hydrogen
H 0.8 0.8 0
Magnesium
Mg
----------------- Al H Mg
. 13.40 13.90  1 0 0
.  0.90  1.30  0 1 0
. 13.95 14.10  1 1 0
. 40.00 41.00  1 0 2

--- polyatomic extension
1 1
AlH
AlH 1.00 0.00 0.50
----------------- AlH
. 13.95 14.10   1
"""
AL, H, ALH, ALMG = (("Al", 1),), (("H", 1),), (("Al", 1), ("H", 1)), (("Al", 1), ("Mg", 2))
RANGES = (
    Range(0.9, 1.3, H, colour="CCCC00"),
    Range(13.4, 13.9, AL, colour="33FFFF"),
    Range(13.95, 14.1, ALH, colour="FF0080"),
    Range(40, 41, ALMG),
)


def read(folder, text, name="a.rng"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode("latin-1"))
    return read_ranges(path)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "change",
    [
        ("", ""),
        (".", ","),
        ("Aluminium", "Alumin\xefum pur"),
        ("----- Al H Mg", "----- Aluminium H Mg"),
        ("3 4\n", "# by hand\n\n3   4\n\n"),
        ("--- polyatomic", "---  POLYATOMIC"),
    ],
)
def test_every_spelling_is_the_same_table(tmp_path, change, end):
    text = FILE.replace(*change) if change[0] != "." else FILE.replace("0.", "0,").replace("13.", "13,")
    table = read(tmp_path, text.replace("\n", end), "A.RNG")
    assert table.ranges == RANGES
    assert table.species == ("unranged", "Al", "H", "AlH", "AlMg2")


def test_a_molecule_is_called_what_the_extension_calls_it(tmp_path):
    assert read(tmp_path, FILE.replace("AlH 1.00", "HAl 1.00")).species[3] == "HAl"


def test_without_the_extension_only_its_colours_are_missing(tmp_path):
    table = read(tmp_path, FILE[: FILE.index("--- poly")])
    assert table.ranges == (*RANGES[:2], replace(RANGES[2], colour=""), RANGES[3])


def test_the_extension_names_what_the_first_table_leaves_open(tmp_path):
    table = read(tmp_path, FILE.replace(". 13.95 14.10  1 1 0", ". 13.95 14.10  0 0 0"))
    assert table.ranges == RANGES
    alone = FILE.replace("3 4\n", "3 3\n").replace(". 13.95 14.10  1 1 0\n", "")
    assert read(tmp_path, alone).ranges == RANGES


def test_ions_without_known_atoms_keep_their_name(tmp_path):
    text = "1 1\nAll\nAll 1.00 0.00 0.00\n-------------  a\n. 0 400  1\n\n"
    assert read(tmp_path, text).ranges == (Range(0, 400, (), colour="FF0000", name="All"),)


def test_columns_may_be_molecules_and_are_multiplied(tmp_path):
    text = "2 1\nCrO2\nCrO2 1 1 1\nO\nO 0 0 0\n--- CrO2 O\n. 1 2 2 1\n"
    assert read(tmp_path, text).ranges == (Range(1, 2, (("Cr", 2), ("O", 5))),)


BAD = {
    ("3 4\n", "3\n"): "line 1.*'3'.*two counts",
    ("3 4\n", "3 -4\n"): "line 1.*two counts",
    ("3 4\n", "999999999 999999999\n"): r"line 20.*symbol|line \d+.*999999999 ions|line 8.*table after 3",
    ("3 4\n", "2 4\n"): "line 6.*'Magnesium' behind 2 ions",
    ("3 4\n", "4 4\n"): "line 8.*the table after 3 ions.*4 ions, as line 1",
    ("3 4\n", "3 3\n"): r"line 12.*'\. 40\.00 41.*behind the 3 ranges",
    ("3 4\n", "3 5\n"): "line 14.*where a range should stand.*number of ranges",
    ("Al 0.20 1.00 1.00", "Al 0.20 1.00"): "line 3.*colour '0.20 1.00'",
    ("Al 0.20 1.00 1.00", "Al 0.20 1.00 255"): "line 3.*colour",
    ("Al 0.20 1.00 1.00", "unranged 1 1 1"): "line 3.*called 'unranged'",
    ("----- Al H Mg", "----- Al H"): "line 8.*2 columns for 3 ions",
    ("----- Al H Mg", "----- H Al Mg"): "line 8.*a column of H where the list above has Al",
    ("----- Al H Mg", "----- Al H Fe"): "line 8.*a column of Fe where the list above has Mg",
    ("----------------- Al H Mg", "Al H Mg"): "line 8.*'Al H Mg' behind 3 ions",
    (". 13.40 13.90  1 0 0", ". 13.90 13.40  1 0 0"): "line 9.*bounds 13.9 and 13.4",
    (". 13.40 13.90  1 0 0", ". 13.40 13.40  1 0 0"): "line 9.*bounds 13.4 and 13.4",
    (". 13.40 13.90  1 0 0", ". 13.40 nan  1 0 0"): "line 9.*'nan' for a bound",
    (". 13.40 13.90  1 0 0", ". 13.40 13.90  1 0"): "line 9.*2 counts for 3 ions",
    (". 13.40 13.90  1 0 0", ". 13.40 13.90  1 0 0 0"): "line 9.*4 counts for 3 ions",
    (". 13.40 13.90  1 0 0", ". 13.40 13.90  1 0 -1"): "line 9.*whole numbers",
    (". 13.40 13.90  1 0 0", ". 13.40 13.90  1000 0 0"): "line 9.*0 to 999",
    (". 13.40 13.90  1 0 0", ". 13.40 13.90  0 0 0"): "line 9.*without an ion",
    (". 13.40 13.90  1 0 0", ". 13.40 13.96  1 0 0"): "line 11.*AlH from 13.95 to 14.1 Da, which overlaps.*line 9",
    (". 13.40 13.90  1 0 0", "13.40 13.90  1 0 0"): "line 9.*a dot",
    ("AlH 1.00", "AlMg 1.00"): "line 19.*AlMg in the extension.*Expected AlH, as line 11",
    ("1 1\nAlH", "1 2\nAlH"): "line 19.*the end of the file.*2 ranges, as line 15 says, not 1",
    ("13.95 14.10   1\n", "13.95 14.10   1\nmore\n"): "line 20.*'more' behind the 1 ranges",
    ("--- polyatomic extension", "--- other extension"): "line 14.*other extension' behind the 4 ranges",
    (FILE, ""): "line 1.*the end of the file.*two counts",
    (FILE, "0 0\n---\n"): "holds no range",
    (FILE, "2 1\nA\nHyd\nB\nH\n--- Hyd H\n. 1 2 1 1"): "line 7.*Hyd beside other atoms.*Hyd alone",
}


@pytest.mark.parametrize("change", BAD)
def test_every_bad_line_is_named(tmp_path, change):
    text = FILE.replace(*change, 1) if change[1] else ""
    with pytest.raises(RangingError, match=BAD[change]):
        read(tmp_path, text)


def test_reading_is_fast(tmp_path):
    n = 92
    head = "\n".join(f"{name}\n{name} 1 0 0" for name in ("Si", "O"))
    rows = "\n".join(f". {i} {i}.5 31 {i}" for i in range(1, n + 1))
    text = f"2 {n}\n{head}\n--- Si O\n{rows}\n"
    start = time.process_time()
    assert len(read(tmp_path, text).ranges) == n
    assert time.process_time() - start < 0.05


def as_rng(table):
    """Write a table as an RNG file: the elements, a column each, and an extension for the coloured molecules."""
    elements = sorted({symbol for atoms in table.atoms.values() for symbol, _ in atoms})
    names = [ion for ion, atoms in table.atoms.items() if not atoms]
    columns = [*elements, *names]

    def section(ions, rows):
        colour = {r.ion: " ".join(f"{int(r.colour[i : i + 2], 16) / 255:.6f}" for i in (0, 2, 4)) for r in table.ranges}
        lines = [f"{len(ions)} {len(rows)}"]
        for ion in ions:
            lines += [f"long name of {ion}", f"{ion} {colour.get(ion, '')}"]
        return [*lines, f"----- {' '.join(ions)}", *rows]

    rows, molecules = [], [r for r in table.ranges if sum(n for _, n in r.atoms) > 1]
    for r in table.ranges:
        counts = [dict(r.atoms).get(column, int(column == r.name)) for column in columns]
        rows.append(f". {r.low_da!r} {r.high_da!r} {' '.join(map(str, counts))}")
    lines = section(columns, rows)
    if molecules:
        ions = list(dict.fromkeys(r.ion for r in molecules))
        rows = [f". {r.low_da!r} {r.high_da!r} {' '.join(str(int(ion == r.ion)) for ion in ions)}" for r in molecules]
        lines += ["", "--- polyatomic extension", *section(ions, rows)]
    return "\r\n".join(lines) + "\r\n"


@st.composite
def tables(draw):
    edges = sorted(draw(st.sets(st.floats(0, 300), min_size=2, max_size=20)))
    ions = st.dictionaries(st.sampled_from(["Al", "Cr", "O", "H", "C"]), st.integers(1, 9), min_size=1, max_size=3)
    found = []
    for low, high in zip(edges[::2], edges[1::2], strict=False):
        name = draw(st.sampled_from(["", "", "Hyd", "X23"]))
        atoms = () if name else tuple(sorted(draw(ions).items()))
        one = Range(low, high, atoms, name=name)
        # One colour an ion: the format has no other.
        found.append(replace(one, colour=f"{sum(map(ord, one.ion)) % 256:02X}80FF"))
    return RangeTable(tuple(found))


@given(tables())
def test_round_trip(tmp_path_factory, table):
    found = read(tmp_path_factory.mktemp("rng"), as_rng(table))
    assert found == table
    assert found.species == table.species


@given(st.data())
def test_mutated_files_are_read_or_refused(tmp_path_factory, data):
    lines = FILE.encode().split(b"\n")
    at = data.draw(st.integers(0, len(lines) - 1))
    what = data.draw(st.sampled_from(["drop", "double", "cut", "bytes", "word"]))
    if what == "drop":
        del lines[at]
    elif what == "double":
        lines.insert(at, lines[at])
    elif what == "cut":
        lines = lines[:at]
    elif what == "bytes":
        lines[at] += data.draw(st.binary(max_size=8))
    else:
        words = lines[at].split() or [b""]
        which = data.draw(st.integers(0, len(words) - 1))
        words[which] = data.draw(st.sampled_from([b"-1", b"1e9", b"nan", b"", b"9"]))
        lines[at] = b" ".join(words)
    try:
        assert read(tmp_path_factory.mktemp("any"), b"\n".join(lines)).ranges
    except RangingError as error:
        assert "Expected" in str(error)
