"""POS files: what is written comes back, what cannot be right is named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aptstream.errors import FileFormatError
from aptstream.io import open_ions, read_ions, write_pos

NUMBERS = st.floats(-1e6, 1e6, width=32)
IONS = hnp.arrays(np.float32, st.tuples(st.integers(1, 50), st.just(4)), elements=st.floats(-1e6, 1e6, width=32))


@given(ions=IONS, block=st.integers(1, 60))
def test_round_trip_in_blocks_of_any_size(tmp_path_factory, ions, block):
    path = tmp_path_factory.mktemp("pos") / "a.pos"
    write_pos(path, ions[:, :3], ions[:, 3])
    assert path.read_bytes() == ions.astype(">f4").tobytes()
    position, mass = read_ions(path)
    np.testing.assert_array_equal(position.view("u4"), ions[:, :3].copy().view("u4"))
    np.testing.assert_array_equal(mass, ions[:, 3])
    blocks = list(open_ions(path).blocks(rows=block))
    assert max(map(len, blocks)) <= block
    np.testing.assert_array_equal(np.concatenate([b.position for b in blocks]), position)


@pytest.mark.parametrize("size", [0, 1, 15, 17, 1000003])
def test_a_size_that_is_no_multiple_of_an_ion(tmp_path, size):
    path = tmp_path / "cut.pos"
    path.write_bytes(bytes(size))
    with pytest.raises(FileFormatError, match=r"cut\.pos is not complete.*Expected 16 bytes per ion"):
        read_ions(path)


@pytest.mark.parametrize("column", range(4))
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e38, -1.0001e6])
def test_a_number_that_cannot_be_right_is_named(tmp_path, column, value):
    records = np.ones((300_000, 4), ">f4")
    records[271_828, column] = value
    path = tmp_path / "bad.pos"
    path.write_bytes(records.tobytes())
    name = ("x", "y", "z", "m/q")[column]
    message = f"{name} of ion 271828 .* is {np.float32(value):g}".replace("+", r"\+")
    with pytest.raises(FileFormatError, match=message):
        read_ions(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(FileFormatError, match="There is no POS file"):
        read_ions(tmp_path / "none.pos")
    (tmp_path / "folder.pos").mkdir()
    with pytest.raises(FileFormatError, match="There is no POS file"):
        read_ions(tmp_path / "folder.pos")


def test_a_file_that_shrinks_while_it_is_read(tmp_path):
    path = tmp_path / "a.pos"
    write_pos(path, np.ones((9, 3)), np.ones(9))
    file = open_ions(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(FileFormatError, match="ended 44 bytes before the end"):
        list(file.blocks())


@pytest.mark.parametrize("bad", [np.nan, 2e6])
def test_writing_refuses_and_leaves_the_old_file_alone(tmp_path, bad):
    path = tmp_path / "a.pos"
    path.write_bytes(b"precious")
    with pytest.raises(ValueError, match="finite numbers"):
        write_pos(path, [[0, 0, bad]], [1])
    with pytest.raises(ValueError, match="found others in the m/q"):
        write_pos(path, [[0, 0, 0]], [bad])
    with pytest.raises(ValueError, match=r"found \(0,\)"):
        write_pos(path, [], [])
    assert [p.name for p in tmp_path.iterdir()] == ["a.pos"]
    assert path.read_bytes() == b"precious"


def test_a_block_holds_an_ion(tmp_path):
    write_pos(tmp_path / "a.pos", [[0, 0, 0]], [1])
    with pytest.raises(ValueError, match="at least 1 ion"):
        next(open_ions(tmp_path / "a.pos").blocks(rows=0))


def test_real_file(shared_data):
    path = shared_data / "si" / "Si.pos"
    position, mass = read_ions(path)
    expected = np.fromfile(path, ">f4").reshape(-1, 4)
    np.testing.assert_array_equal(position, expected[:, :3])
    np.testing.assert_array_equal(mass, expected[:, 3])
