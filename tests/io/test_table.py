"""Text files: the kernel against Python's own floats, every dialect, and bad lines by their number."""

from __future__ import annotations

import pickle

import ionfiles
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aptstream.errors import FileFormatError
from aptstream.io import open_ions, read_ions, text

IONS = ionfiles.numbers(30)
FLOATS = hnp.arrays(np.float32, st.tuples(st.integers(1, 30), st.just(4)), elements=st.floats(-1e6, 1e6, width=32))


def written(tmp_path, content, name="a.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def refused(path, said):
    with pytest.raises(FileFormatError, match=said):
        read_ions(path)


def decimal(draw):
    """A decimal number as people and programs write it."""
    digits = draw(st.text("0123456789", min_size=1, max_size=30))
    point = draw(st.integers(0, len(digits)))
    number = draw(st.sampled_from(["", "-", "+"])) + digits[:point] + "." + digits[point:]
    number = number.removesuffix(".") if draw(st.booleans()) else number
    return number + draw(st.sampled_from(["", "", "", "e0", "E+3", "e-7", "e-30", "e25", "e-310", "e0005"]))


@given(st.composite(decimal)(), st.sampled_from(["\t", ";", " ", ","]))
def test_a_number_is_rounded_as_python_and_numpy_do(tmp_path_factory, number, separator):
    path = written(tmp_path_factory.mktemp("text"), separator.join(["1.5", number, "2", "3"]) + "\n")
    (found,) = open_ions(path).read(0, 1).position[:, 1]
    with np.errstate(over="ignore"):
        expected = np.float64(number).astype(np.float32)
    assert found.view("u4") == expected.view("u4"), number


@pytest.mark.parametrize(
    "number",
    [
        # Halfway cases, the borders of exact products, subnormal numbers, the largest, and beyond.
        *("9007199254740993", "9007199254740992.5", "1e22", "1e23", "4.9e-324", "2.4703282292062328e-324"),
        *("1.7976931348623157e308", "1e309", "16777217", "0.1", "123456789012345678901234567890e-20"),
        # Close to the middle of two float32, with more digits than a double holds exactly.
        *("164.53459930419921", "28.235283851623538", "327.91419982910159", "107.27904891967773"),
        *("8.5", "-0", "-0.0", "0e999999999999", "1e-99999999999999"),
    ],
)
def test_numbers_that_are_hard_to_round(tmp_path, number):
    (found,) = open_ions(written(tmp_path, f"0 0 0 {number}")).read(0, 1).mass_to_charge
    with np.errstate(over="ignore"):
        assert found.view("u4") == np.float64(number).astype(np.float32).view("u4")


@given(
    ions=FLOATS,
    dialect=st.sampled_from([(",", "."), (";", "."), (";", ","), ("\t", "."), ("\t", ","), (" ", "."), (" ", ",")]),
    end=st.sampled_from(["\n", "\r\n", "\n\n", "\n# note\n", "\r\n \t\r\n"]),
    block=st.integers(1, 40),
)
def test_every_dialect_comes_back(tmp_path_factory, ions, dialect, end, block):
    header = dialect[0].join(["x_nm", '"y"', "Z", "Mass/Charge" if dialect[0] == " " else "m/q (Da)"])
    header = header.replace("Mass/Charge", "mass_to_charge_ratio [Da]")
    content = b"\xef\xbb\xbf" + ionfiles.text(ions, *dialect, header, end)
    path = written(tmp_path_factory.mktemp("text"), content.removesuffix(b"\n"), "a.TXT")
    blocks = list(open_ions(path).blocks(rows=block))
    np.testing.assert_array_equal(np.concatenate([b.position for b in blocks]), ions[:, :3])
    np.testing.assert_array_equal(np.concatenate([b.mass_to_charge for b in blocks]), ions[:, 3])


@pytest.mark.parametrize("order", ["x;y;z;m", "m;z;y;x", "z;m;x;y"])
@pytest.mark.parametrize("comment", ["", "# made by hand\n#"])
def test_columns_stand_where_their_names_say(tmp_path, order, comment):
    names = {"x": "x (nm)", "y": "Y [nm]", "z": "z_nm", "m": "Mass to charge ratio (Da)"}
    axes = ["xyzm".index(name) for name in order.split(";")]
    header = comment + ";".join(names[name] for name in order.split(";")) + ";n\xb0;ion"
    lines = [";".join([*(repr(float(ion[axis])) for axis in axes), "7", "Al"]) for ion in IONS]
    file = open_ions(written(tmp_path, "\n".join([header, *lines]).encode("latin-1")))
    np.testing.assert_array_equal(file.read(0, 30).position, IONS[:, :3])
    np.testing.assert_array_equal(file.read(0, 30).mass_to_charge, IONS[:, 3])
    assert file.notes == ("Columns that are not read: 'n°, ion'.",)


def test_columns_without_names_are_read_in_order_and_noted(tmp_path):
    file = open_ions(written(tmp_path, "1 2 3 4 5 Al\n"))
    assert file.notes == ("Columns that are not read: '5, 6'.",)
    np.testing.assert_array_equal(file.read(0, 1).position, [[1, 2, 3]])


def test_any_run_of_ions_of_a_large_file(tmp_path, monkeypatch):
    """Comments and empty lines of any length between, pieces and index so small that runs straddle them."""
    monkeypatch.setattr(text, "_PIECE", 100)
    monkeypatch.setattr(text, "_STRIDE", 8)
    ions = ionfiles.numbers(300)
    rng = np.random.default_rng(3)
    lines, number = [], []
    for ion in ions:
        lines += ["#" * int(k) for k in rng.integers(0, 300, rng.integers(0, 3))]
        lines.append(" ".join(map(repr, ion.tolist())))
        number.append(len(lines))
    file = pickle.loads(pickle.dumps(open_ions(written(tmp_path, "\n".join(lines)))))
    assert file.n_ions == 300
    for start in range(0, 300, 7):
        stop = min(300, start + int(rng.integers(1, 50)))
        block = file.read(start, stop)
        np.testing.assert_array_equal(block.position, ions[start:stop, :3])
        np.testing.assert_array_equal(block.mass_to_charge, ions[start:stop, 3])
        assert file.locate(start) == f"line {number[start]}"


BAD = {
    "1,2,x,4": "holds no number in column 3: found '1,2,x,4'",
    "1,2,3": "has too few columns",
    "1,2,3,4,5": "has too many columns",
    "1,5,2,5,3,5,4,5": "has too many columns",
    "1,,3,4": "holds no number in column 2",
    "1,2,3,4e": "holds no number in column 4",
    "1,2,3,4 5": "has too many columns",
    "1,2,3,0x1F": "holds no number in column 4",
    "1,2,3," + "1" * 64: "holds no number in column 4",
    "1;2;3;4": "holds no number in column 1",
    "1,2,3,-": "holds no number in column 4",
    "1,2,nano,4": "holds no number in column 3",
    "1,2,3,4\r\r": "holds no number in column 4",
    '"1",2,3,4': "holds no number in column 1",
    "1,2,3,1e39": r"m/q of ion 20000 \(counted from 0, line 20014\) is inf Da",
    "1,-NaN,3,4": r"y of ion 20000 \(counted from 0, line 20014\) is nan nm",
    "inf,2,3,4": r"x of ion 20000 \(counted from 0, line 20014\) is inf nm",
    "1e38,2,3,4": r"x of ion 20000 \(counted from 0, line 20014\) is 1e\+38 nm",
}


@pytest.mark.parametrize("line", BAD)
def test_a_bad_line_is_named(tmp_path, line):
    good = ["1.5,2,3,4"] * 20000 + ["#"] * 13
    said = BAD[line] if "counted" in BAD[line] else f"Line 20014 of the text file a.csv {BAD[line]}"
    refused(written(tmp_path, "\n".join([*good, line, "1,2,3,4"])), said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is empty"),
        ("\n\n# nothing\n", "holds no ion"),
        ("x,y,z,m/q\n", "Line 1 .* does not hold four numbers: found 'x,y,z,m/q'"),
        ("x,y,z,m/q\nnm,nm,nm,Da\n1,2,3,4\n", "Line 2 .* does not hold four numbers"),
        ("a,b,c,d\n1,2,3,4\n", "Line 1 .* does not tell where x, y, z and m/q stand: found 'a,b,c,d'"),
        ("x,y,z,x,m\n1,2,3,4,5\n", "does not tell where"),
        ("x,y,z,m\n1,2,3,4,5\n", "above lines of 5 columns"),
        ("x (nm),y (nm),z (\xc5),m\n1,2,3,4\n", "gives z in a unit that is not read"),
        ("x,y,z,m (kg)\n1,2,3,4\n", "gives m/q in a unit that is not read"),
        ("# x (m) y z m\n1 2 3 4\n", "gives x in a unit that is not read"),
        ("1,5,2,5,3,5,27,0\n2,5,2,5,3,5,27,0\n", "can be read in two ways"),
        ("1 2 3\n", "Line 1 .* does not hold four numbers"),
        ("1 2 3 4\r5 6 7 8\r", "end with CR alone"),
        ("1 2 3 4\n5 6 7 8\r1 2 3 4\r", "Line 2 .* holds no number in column 4"),
        ("1 2 3 4\n\0", "is not plain text"),
        ("1,2,3,4\n" + "9" * 70000, "Line 2 .* is longer than 64 kB"),
        ("#" * 70000 + "\n1,2,3,4\n", "Line 1 .* is longer than 64 kB"),
        ("1,2,3,4\n" * 200000 + "#" * 70000 + "\n", "Line 200001 .* is longer than 64 kB"),
        ("x" * 70000, "Line 1 .* is longer than 64 kB"),
        ("# long\n" * 50000 + "1,2,3,4\n", "holds no ion in its first 256 kB"),
        (",".join(["1"] * 1500) + ",.5\n", "has 1501 columns"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path, content, said):
    refused(written(tmp_path, content.encode("latin-1")), said)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
def test_other_encodings_are_refused(tmp_path, encoding):
    refused(written(tmp_path, "1,2,3,4\n".encode(encoding)), "is not plain text")


def test_a_file_that_shrinks_after_it_was_opened(tmp_path):
    path = written(tmp_path, "1,2,3,4\n" * 9)
    file = open_ions(path)
    path.write_text("1,2,3,4\n" + "#" * 63 + "\n")
    with pytest.raises(FileFormatError, match="fewer lines than when it was opened"):
        file.read(0, 9)
    path.write_text("1,2,3,4\n")
    with pytest.raises(FileFormatError, match="before the end it had"):
        file.read(0, 9)


@pytest.mark.parametrize("name", ["ordered", "control"])
def test_real_files(shared_data, name):
    path = shared_data / "cocrni" / f"cocrni_{name}.csv"
    position, mass = read_ions(path)
    expected = np.array([line.split(",") for line in path.read_text().split()], "f8").astype("f4")
    np.testing.assert_array_equal(np.column_stack([position, mass]), expected)
    assert open_ions(path).notes == ()
