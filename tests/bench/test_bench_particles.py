"""The benchmark of sizes, numbers and compositions on a few smaller windows."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.mark.slow
@pytest.mark.parametrize("level", ["good", "hard"])
def test_sizes_and_compositions_are_right_and_their_intervals_hold_the_truth(level, bench_particles):
    works = [bench_particles.Work(level, 6000 + k, (26.0, 26.0, 32.0)) for k in range(4)]
    row = bench_particles.errors(level, [bench_particles.measure(work) for work in works])
    assert row["n_particles"] >= 20
    assert abs(row["radius_bias_nm"]) <= 0.1
    assert row["radius_rmse_nm"] <= 0.2
    assert abs(row["volume_fraction_error"]) <= 0.12
    assert abs(row["composition_bias_at_pct"]) <= 0.8
    assert row["composition_rmse_at_pct"] <= 2.0
    assert row["composition_bias_of_the_ions_inside_at_pct"] < -1.5, "what the line through the voxels is for"
    assert row["held_all"] >= 0.85


def test_windows_hold_as_many_particles_as_the_alloy_on_average(specimens, bench_particles):
    rng, size = np.random.default_rng(3), np.array([30.0, 30.0, 40.0])
    number, share = [], []
    for _ in range(60):
        centre, radius = specimens.scatter(rng, bench_particles.POPULATION, size)
        inside = ((centre >= 0) & (centre < size)).all(axis=1)
        number.append((inside & (radius >= 1.5)).sum() / size.prod())
        share.append((4 / 3 * np.pi * radius[inside] ** 3).sum() / size.prod())
    for drawn, parent in ((number, bench_particles.parent_number()), (share, bench_particles.FRACTION)):
        assert np.mean(drawn) == pytest.approx(parent, abs=4 * np.std(drawn) / len(drawn) ** 0.5)
