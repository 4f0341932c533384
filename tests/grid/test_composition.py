"""Compositions with errors, and the composition at full order, against atoms counted one by one and drawn anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from aptstream.grid.composition import at_full_order, composition, of_counts, overall_percent
from aptstream.grid.contents import BLURS_NM, Contents, blurred_laterally
from aptstream.points import Range, RangeTable

TABLE = RangeTable((Range(26, 28, (("Al", 1),)), Range(6, 8, (("Li", 1),)), Range(83, 85, (("Cr", 1), ("O", 2)))))
NAMES = ("unranged", "Al", "Li", "CrO2")


def test_molecular_ions_count_as_their_atoms_and_unranged_ones_not_at_all():
    percent = overall_percent({"unranged": 1000, "Al": 6, "Li": 3, "CrO2": 3}, TABLE)
    assert percent == pytest.approx({"Al": 600 / 18, "Li": 300 / 18, "Cr": 300 / 18, "O": 600 / 18})


def test_ions_without_known_atoms_are_in_no_composition():
    table = RangeTable((*TABLE.ranges, Range(1, 2, (), name="Hyd")))
    percent = overall_percent({"unranged": 5, "Al": 30, "Li": 10, "CrO2": 0, "Hyd": 96}, table)
    assert percent == {"Al": 75.0, "Li": 25.0, "Cr": 0.0, "O": 0.0}
    assert overall_percent({"Hyd": 96}, RangeTable((Range(1, 2, (), name="Hyd"),))) == {}


@given(st.lists(st.tuples(*4 * [st.integers(0, 10**9)]), min_size=1, max_size=5))
def test_at_percent_sums_to_a_hundred_or_is_undefined(rows):
    made = of_counts(np.array(rows, dtype=np.int64), NAMES, TABLE)
    total = np.sum(list(made.percent.values()), axis=0)
    few = np.array([sum(row[1:]) < 10 for row in rows])
    assert np.isnan(total[few]).all()
    np.testing.assert_allclose(total[~few], 100)


@given(seed=st.integers(0, 2**32), share=st.tuples(*3 * [st.floats(0.05, 1)]), n=st.integers(200, 2000))
@examples(10)
def test_errors_are_the_scatter_of_drawn_ions(seed, share, n):
    share = np.array(share) / sum(share)
    draws = np.random.default_rng(seed).multinomial(n, share, 4000)
    made = of_counts(np.insert(draws, 0, 0, axis=1), NAMES, TABLE)
    expected = composition(np.insert(share, 0, 0)[None], np.array([float(n)]), NAMES, TABLE)
    for element, percent in made.percent.items():
        assert percent.std() == pytest.approx(expected.sd[element][0], rel=0.1)


def empty(n):
    """Sums of n particles that nothing was added to."""
    counts, n_blurs = np.zeros((n, 4), dtype=np.int64), len(BLURS_NM)
    return Contents(
        inside=counts,
        near=counts,
        matrix=np.zeros(4, dtype=np.int64),
        first=np.zeros((n, 3)),
        second=np.zeros((n, 3, 3)),
        voxel_variance=np.zeros(n),
        ordered=np.zeros((n_blurs, n, 4)),
        ordered_squared=np.zeros((n_blurs, n)),
    )


def drawn(rng, *, blur_nm=0.0, n_particles=30, rich=0.25, poor=0.05, per_voxel=60):
    """Sums over spheres of 2 nm in boxes of 13³ voxels; the composition is blurred, the ordered share is not."""
    axis = np.arange(13) + 0.5
    near, ordered, squared = [], [], []
    fine = (axis[:, None] + (np.arange(5) - 2) / 5).ravel()
    places = np.stack(np.meshgrid(fine, fine, fine, indexing="ij"), axis=-1)
    for _ in range(n_particles):
        inside = ((places - (6.5 + rng.uniform(-0.5, 0.5, 3))) ** 2).sum(axis=-1) < 4
        share = inside.reshape(13, 5, 13, 5, 13, 5).mean(axis=(1, 3, 5)).astype(np.float32)
        solute = poor + (rich - poor) * blurred_laterally(share, blur_nm).astype(float)
        n = rng.poisson(per_voxel, share.shape)
        li = rng.binomial(n, solute)
        ions = np.stack([np.zeros_like(n), n - li, li, np.zeros_like(n)], axis=-1).reshape(-1, 4)
        maps = [blurred_laterally(share, blur).ravel().astype(float) for blur in BLURS_NM]
        near.append(ions.sum(axis=0))
        ordered.append([ions.T @ s for s in maps])
        squared.append([ions.sum(axis=1) @ s**2 for s in maps])
    ordered, squared = np.array(ordered).transpose(1, 0, 2), np.array(squared).T
    return replace(empty(n_particles), near=np.array(near), ordered=ordered, ordered_squared=squared)


@pytest.mark.parametrize("blur_nm", [0.0, 0.5, 0.85])
def test_composition_at_full_order_is_free_of_the_matrix_at_the_face(blur_nm):
    each, together, blur = at_full_order(drawn(np.random.default_rng(2), blur_nm=blur_nm), NAMES, TABLE)
    assert abs(blur - blur_nm) <= 0.2
    assert together.percent["Li"][0] == pytest.approx(25, abs=4 * together.sd["Li"][0])
    assert together.sd["Li"][0] < 0.5
    z = (each.percent["Li"] - 25) / each.sd["Li"]
    assert 0.7 < z.std() < 1.4
    assert np.abs(z.mean()) < 0.75


def test_what_does_not_differ_from_the_matrix_has_its_composition():
    each, together, _ = at_full_order(drawn(np.random.default_rng(3), rich=0.12, poor=0.12), NAMES, TABLE)
    assert together.percent["Li"][0] == pytest.approx(12, abs=4 * together.sd["Li"][0])
    assert together.percent["Cr"][0] == 0
    assert np.isfinite(each.percent["Al"]).all()


def test_particles_that_fill_everything_have_the_composition_of_their_ions():
    """Where the ordered share is 1 everywhere no line can be laid: the ions themselves tell."""
    n = np.array([[7, 60, 20, 0]])
    ordered = np.repeat(n[None], len(BLURS_NM), 0).astype(float)
    contents = replace(empty(1), near=n, ordered=ordered, ordered_squared=np.full((len(BLURS_NM), 1), 80.0))
    each, together, _ = at_full_order(contents, NAMES, TABLE)
    assert each.percent["Li"][0] == together.percent["Li"][0] == 25
    assert each.sd["Li"][0] == pytest.approx(100 * (0.25 * 0.75 / 80) ** 0.5)


def test_no_particle_has_no_composition():
    each, together, _ = at_full_order(empty(0), NAMES, TABLE)
    assert len(each.percent["Li"]) == 0
    assert np.isnan(together.percent["Li"][0])
    assert together.text() == "no ion of known atoms"
