"""ePOS files: what is written comes back, what cannot be right is named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aptstream.errors import FileFormatError
from aptstream.io import open_ions, read_ions
from aptstream.io.decode import decode_epos
from aptstream.io.epos import EPOS, EPOS_COUNTS, EPOS_FIELDS, write_epos
from aptstream.io.ions import BLOCK_IONS, COLUMNS

BITS = hnp.arrays(np.uint32, st.tuples(st.integers(0, 40), st.just(11)))


@given(BITS)
def test_decoding_keeps_every_bit(bits):
    position, mass, others = decode_epos(bits.astype(">u4").view("u1").ravel())
    np.testing.assert_array_equal(position.view("u4"), bits[:, :3])
    np.testing.assert_array_equal(mass.view("u4"), bits[:, 3])
    np.testing.assert_array_equal(others, bits[:, 4:].T)


def test_decoding_refuses_parts_of_a_record():
    with pytest.raises(ValueError, match="44 per ion"):
        decode_epos(np.zeros(45, "u1"))


@given(values=hnp.arrays(np.float32, (9, 9), elements=st.floats(-1e6, 1e6, width=32)), block=st.integers(1, 10))
def test_round_trip_in_blocks_of_any_size(tmp_path_factory, values, block):
    path = tmp_path_factory.mktemp("epos") / "a.EPOS"
    ions = np.zeros(9, EPOS)
    for name, column in zip(EPOS_FIELDS, values.T, strict=True):
        ions[name] = column
    for k, name in enumerate(EPOS_COUNTS):
        ions[name] = 2**32 - 1 - k - np.arange(9)
    write_epos(path, [ions])
    file = open_ions(path)
    assert (file.kind, file.n_ions, set(file.columns)) == ("ePOS", 9, set(COLUMNS))
    blocks = list(file.blocks(rows=block))
    np.testing.assert_array_equal(np.concatenate([b.position for b in blocks]), values[:, :3])
    np.testing.assert_array_equal(np.concatenate([b.mass_to_charge for b in blocks]), values[:, 3])
    for name, dtype in COLUMNS.items():
        found = np.concatenate([b.columns[name] for b in blocks])
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, ions[name])


@pytest.mark.parametrize("size", [0, 1, 43, 45, 16 * 9])
def test_a_size_that_is_no_multiple_of_an_ion(tmp_path, size):
    path = tmp_path / "cut.epos"
    path.write_bytes(bytes(size))
    with pytest.raises(FileFormatError, match=r"cut\.epos is (empty|not complete.*Expected 44 bytes per ion)"):
        read_ions(path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("x", 1e38), ("mass_to_charge", np.nan), ("tof_ns", np.nan), ("det_y_mm", -np.inf), ("dc_v", 1e38)],
)
def test_a_number_that_cannot_be_right_is_named(tmp_path, name, value):
    ions = np.zeros(BLOCK_IONS + 9, EPOS)
    ions[name][BLOCK_IONS + 3] = value
    path = tmp_path / "bad.epos"
    path.write_bytes(ions.tobytes())
    said = {"mass_to_charge": "m/q"}.get(name, name)
    with pytest.raises(
        FileFormatError, match=f"{said} of ion {BLOCK_IONS + 3} .* is {np.float32(value):g}".replace("+", r"\+")
    ):
        read_ions(path)


def test_real_file(shared_data):
    path = shared_data / "si" / "Si_20k.epos"
    (block,) = open_ions(path).blocks()
    expected = np.fromfile(path, EPOS)
    for axis, name in enumerate("xyz"):
        np.testing.assert_array_equal(block.position[:, axis], expected[name])
    np.testing.assert_array_equal(block.mass_to_charge, expected["mass_to_charge"])
    for name in COLUMNS:
        np.testing.assert_array_equal(block.columns[name], expected[name])
