"""The benchmark of poles on twenty smaller needles."""

from __future__ import annotations

import pytest

from aptstream.simulate import Cone


@pytest.mark.slow
def test_poles_of_needles_are_found_and_none_where_there_is_no_lattice(bench_pole, monkeypatch):
    monkeypatch.setattr(bench_pole, "CONE", Cone(12.0, 3.0, 40.0))
    drawn = bench_pole.points(20, seed=1)
    rows = [bench_pole.look(seed, point) for seed, point in drawn]
    sharp = [row for row in rows if row["sigma_nm"] <= 0.045]
    assert len(sharp) >= 8
    assert sum(row["success"] for row in sharp) >= len(sharp) - 1, sharp
    assert not any(row["false"] for row in rows), rows
    assert not any(bench_pole.structureless(number)["found"] for number in range(4))
