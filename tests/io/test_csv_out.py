"""CSV: what is written reads back exactly, and nothing in it needs a quote."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from examples import examples
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from aptstream.io import write_csv

FLOATS = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=20)


@given(FLOATS, st.integers(1, 20))
@examples(50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_numbers_come_back_to_the_bit(tmp_path, values, step):
    numbers = np.array(values, "f4")
    whole = np.arange(len(numbers), dtype="u4") * 99_999_999
    blocks = [{"a (nm)": numbers[at : at + step], "b": whole[at : at + step]} for at in range(0, len(numbers), step)]
    write_csv(tmp_path / "a.csv", blocks)
    with (tmp_path / "a.csv").open(newline="") as stream:
        heading, *rows = csv.reader(stream)
    assert heading == ["a (nm)", "b"]
    found = np.array([row[0] for row in rows]).astype("f4")
    np.testing.assert_array_equal(found.view("u4"), numbers.view("u4"))
    assert [int(row[1]) for row in rows] == whole.tolist()


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([], "at least one row"),
        ([{"a": np.zeros(2), "b": np.zeros(3)}], "one length"),
        ([{"a": np.zeros(2)}, {"b": np.zeros(2)}], "columns"),
        ([{"a,b": np.zeros(2)}], "plain words"),
        ([{"a": np.array(["Al", 'H"'])}], "plain words"),
        ([{"a": np.array(["Al\n"])}], "plain words"),
    ],
)
def test_refusals_leave_nothing(tmp_path, blocks, message):
    with pytest.raises(ValueError, match=message):
        write_csv(tmp_path / "a.csv", blocks)
    assert list(tmp_path.iterdir()) == []
