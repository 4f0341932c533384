"""Damaged files of every format: an error of ours or a result, in bounded memory, whatever happened to the bytes."""

from __future__ import annotations

import contextlib
import tracemalloc

import ionfiles
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptstream.errors import FileFormatError
from aptstream.io import open_ions

IONS = ionfiles.numbers(40)
VALID = {suffix: make(IONS) for suffix, make in ionfiles.VALID.items()}
#: What a number in a header or a line may become.
WORDS = [
    *(n.to_bytes(8, "little") for n in (0, 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1)),
    *(np.array([value], f"{order}f4").tobytes() for value in (np.nan, np.inf, -np.inf, 1e38) for order in "<>"),
    *(b"nan", b"1e38", b"-1e999", b"1,5", b";", b"\t", b"\r\n", b"\n#", b"\xb5", b"\xef\xbb\xbf", b"\0", b"9" * 70),
]


def read(path):
    """Read in blocks; return whether the file was accepted."""
    with contextlib.suppress(FileFormatError):
        file = open_ions(path)
        n_ions = 0
        for block in file.blocks(rows=1000):
            n_ions += len(block)
            assert np.isfinite(block.position).all()
            assert np.isfinite(block.mass_to_charge).all()
        assert n_ions == file.n_ions
        return True
    return False


@st.composite
def damages(draw, content):
    """A file after one to four accidents."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        what = draw(st.sampled_from(["cut", "insert", "write", "flip", "repeat", "remove"]))
        length = draw(st.integers(1, max(1, len(data) // 3)))
        if what == "cut":
            del data[at:]
        elif what == "insert":
            data[at:at] = draw(st.sampled_from(WORDS) | st.binary(max_size=9))
        elif what == "write":
            word = draw(st.sampled_from(WORDS))
            data[at : at + len(word)] = word
        elif what == "flip" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif what == "repeat":
            data[at:at] = data[at : at + length]
        elif what == "remove":
            del data[at : at + length]
    return bytes(data)


@pytest.mark.parametrize("suffix", VALID)
@given(data=st.data())
def test_only_our_error_comes_out(tmp_path_factory, suffix, data):
    path = tmp_path_factory.getbasetemp() / f"damaged{suffix}"
    path.write_bytes(data.draw(damages(VALID[suffix])))
    tracemalloc.start()
    try:
        read(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Beside the file itself: modules that are imported for the first time, and a piece of text.
    assert peak < 10 * path.stat().st_size + (8 << 20)


@pytest.mark.parametrize("suffix", VALID)
def test_every_cut(tmp_path, suffix):
    path = tmp_path / f"cut{suffix}"
    whole = VALID[suffix]
    path.write_bytes(whole)
    assert read(path)
    lines = suffix in (".csv", ".txt")
    for end in range(0, len(whole), max(1, len(whole) // 200)):
        path.write_bytes(whole[:end])
        # Without a header, a cut at the end of an ion leaves a shorter file that is whole.
        whole_ions = {".pos": 16, ".epos": 44}.get(suffix)
        may_pass = lines or (whole_ions and end % whole_ions == 0)
        assert may_pass or not read(path), end


@pytest.mark.parametrize("suffix", [*VALID, ".tsv", ".hdf5"])
def test_empty_files(tmp_path, suffix):
    path = tmp_path / f"empty{suffix.upper()}"
    path.write_bytes(b"")
    with pytest.raises(FileFormatError, match="is empty"):
        open_ions(path)
    with pytest.raises(FileFormatError, match="There is no"):
        open_ions(tmp_path / f"none{suffix}")


def test_an_unknown_suffix_lists_all(tmp_path):
    expected = r"Expected one of \.pos, \.epos, \.apt, \.csv, \.txt, \.tsv, \.nxs, \.h5, \.hdf5:"
    with pytest.raises(FileFormatError, match=expected):
        open_ions(tmp_path / "a.ato")


def damaged_link():
    """A link whose name is said to be longer than any number of bytes."""
    content = bytearray(ionfiles.nxapm(IONS, "latest"))
    at = content.index(b"\x06entry1")
    content[at - 2 if content[at - 1] == 1 else at - 1] |= 3
    return bytes(content)


def circle_of_texts():
    """A heap of texts in which every object has no length: the HDF5 library never comes back from it."""
    content = bytearray(ionfiles.nxapm(IONS))
    at = content.index(b"GCOL")
    content[at + 16 : at + 18] = b"\7\0"
    content[at + 24 : at + 32] = bytes(8)
    return bytes(content)


FOUND = {"damaged link": damaged_link, "circle of texts": circle_of_texts}


@pytest.mark.parametrize("case", FOUND)
def test_what_the_fuzzer_found(tmp_path, case):
    path = tmp_path / "found.nxs"
    path.write_bytes(FOUND[case]())
    with pytest.raises(FileFormatError, match="cannot be read: it"):
        list(open_ions(path).blocks())
