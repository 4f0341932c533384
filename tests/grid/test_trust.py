"""The tables of a check: false particles, recall and bias by class, the rule of a result on other maps."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from aptstream.grid.answer import Cut
from aptstream.grid.compare import compare_with_truth
from aptstream.grid.control import Control
from aptstream.grid.precipitates import BoundaryRule, expected_precipitates, find_precipitates
from aptstream.grid.trust import CLASSES_NM, Rule, false_finds, radius_classes, recall_classes, rule_of, share_of
from aptstream.grid.twin import Conditions
from aptstream.grid.verdict import ResultCheck, class_name, variant
from aptstream.model.bootstrap import Score
from aptstream.report.check import check_csv, reliability_figure, sensitivity_figure, write_check
from aptstream.report.trust import check_section
from aptstream.simulate import Particles, voxel_fraction

ORIGIN = (0.0, 0.0, 0.0)
CONDITIONS = Conditions(33.0, 0.55, 0.02, 0.03, 0.3, 0.4, 0.01, 0.11, 0.25, 0.9, ("assumed",))


@pytest.fixture(scope="module")
def comparison():
    """Three true particles, one of them missed, and one that is false."""
    truth = Particles(np.array([[7.0, 7, 7], [20, 7, 7], [7, 20, 7]]), np.array([2.2, 2.4, 1.2]), np.zeros(3, int))
    order = voxel_fraction(truth[:2], (28, 28, 14))
    order[20:22, 20:22, 4:6] = 1
    return compare_with_truth(find_precipitates(order, cut=0.5, min_voxels=1, origin_nm=ORIGIN), truth)


def test_recall_and_bias_are_told_by_the_true_radius(comparison):
    rows = recall_classes(comparison)
    assert [(row.low_nm, row.high_nm, row.recall.n, row.recall.value) for row in rows] == [
        (1, 1.5, 1, 0),
        (2, 2.5, 2, 1),
    ]
    missed, seen = rows
    assert missed.n_paired == 0
    assert np.isnan([missed.bias_nm, missed.sd_nm]).all()
    off = comparison.found_radius_nm[comparison.partner[:2]] - [2.2, 2.4]
    assert (seen.bias_nm, seen.sd_nm) == (pytest.approx(off.mean()), pytest.approx(off.std(ddof=1)))


def test_the_true_radius_is_told_by_the_found_one(comparison):
    rows = radius_classes(comparison)
    assert sum(row.n for row in rows) == 2
    (false,) = (row for row in rows if row.n_false)
    assert (false.low_nm, false.n) == (1.0, 0)
    assert np.isnan(false.true_nm)
    true = sum(row.true_nm * row.n for row in rows if row.n)
    assert true == pytest.approx(2.2 + 2.4)
    for row in rows:
        assert row.n == 0 or row.low_nm <= row.found_nm < row.high_nm


@given(st.data())
def test_every_particle_is_in_one_class(data):
    n = data.draw(st.integers(1, 12))
    radius = np.array(data.draw(st.lists(st.floats(0.5, 5), min_size=n, max_size=n)))
    centre = np.column_stack([8 + 14.0 * np.arange(n), np.full(n, 8.0), np.full(n, 8.0)])
    truth = Particles(centre, radius, np.zeros(n, int))
    order = voxel_fraction(truth, (14 * n + 2, 16, 16), sub=2)
    c = compare_with_truth(find_precipitates(order, cut=0.5, min_voxels=1, origin_nm=ORIGIN), truth)
    rows, found = recall_classes(c), radius_classes(c)
    assert sum(row.recall.n for row in rows) == n
    assert sum(round(row.recall.value * row.recall.n) for row in rows) == c.found.sum()
    assert sum(row.n_paired for row in rows) == sum(row.n for row in found) == ((c.partner >= 0) & c.whole).sum()
    assert sum(row.n_false for row in found) == (~c.correct).sum()


@given(n=st.integers(1, 30), share=st.floats(0.01, 0.99))
def test_the_interval_of_a_share_holds_the_truth_as_often_as_it_says(n, share):
    held = 0.0
    for k in range(n + 1):
        score = share_of(np.arange(n) < k)
        held += stats.binom.pmf(k, n, share) * (score.low <= share <= score.high)
    assert held >= 0.95 - 1e-9


def test_false_finds_are_scaled_to_the_specimen():
    found = false_finds("matrix", np.array([3.0, 5.0, 1.0]), n_voxels=30_000, n_judged=300_000)
    assert (found.number.value, found.number.n) == (30.0, 3)
    assert (found.number.low, found.number.high) == (pytest.approx(6.187, abs=1e-3), pytest.approx(87.67, abs=0.01))
    assert found.volume.value == pytest.approx(9 / 30_000)
    nothing = false_finds("matrix", np.zeros(0), n_voxels=0, n_judged=0)
    assert (nothing.number.value, nothing.number.high) == (0, 0)


def test_a_rule_makes_the_same_particles_as_the_functions_that_it_stands_for(specimen_scan, model):
    from aptstream.grid.answer import maps_of

    votes, order, _ = maps_of(specimen_scan, model)
    origin = specimen_scan.origin_nm
    for rule, expected in (
        (Rule(Cut(0.4), 3), find_precipitates(order, cut=0.4, min_voxels=3, origin_nm=origin)),
        (
            Rule(Cut(0.4, neighbours=26)),
            find_precipitates(order, cut=0.4, min_voxels=1, origin_nm=origin, neighbours=26),
        ),
        (Rule(BoundaryRule(peak=0.7)), expected_precipitates(order, BoundaryRule(peak=0.7), origin_nm=origin)),
    ):
        assert not rule.of_votes
        np.testing.assert_array_equal(rule.particles(order, origin).labels, expected.labels)
    assert Rule(Cut(0.9, "votes")).of_votes
    assert len(Rule(Cut(1.0, "votes")).particles(votes.mean, origin)) == 0


def test_the_rule_of_an_answer_is_its_cut_or_its_floor_or_that_of_the_model(specimen_scan, specimen_store, model):
    from aptstream.grid import find

    plain = find(specimen_scan, specimen_store, model)
    assert rule_of(plain, model) == Rule(Cut(model.cut), model.min_voxels)
    control = Control(5, 1000, np.zeros(0), np.zeros(0))
    assert rule_of(replace(plain, control=control), model) == Rule(BoundaryRule(peak=0.4))
    assert rule_of(replace(plain, cut=Cut(0.7), control=control), model) == Rule(Cut(0.7))


def test_a_map_without_particles_or_judgement_has_no_radius_and_no_share():
    nothing = np.zeros((5, 5, 5), "f4")
    none = variant("cut", "order ≥ 0.5", Rule(Cut(0.5)).particles(nothing, ORIGIN), nothing)
    assert (none.n, none.volume_fraction) == (0, 0.0)
    assert np.isnan(none.mean_radius_nm)
    blind = np.full((5, 5, 5), np.nan, "f4")
    assert np.isnan(variant("cut", "", Rule(Cut(0.5)).particles(blind, ORIGIN), blind).volume_fraction)
    everything = np.ones((5, 5, 5), "f4")
    whole = variant("cut", "", Rule(Cut(0.5)).particles(everything, ORIGIN), everything)
    assert (whole.n, whole.volume_fraction) == (1, 1.0)


def check_of(comparison=None):
    nothing, some = np.zeros((5, 5, 5), "f4"), np.zeros((5, 5, 5), "f4")
    some[2, 2, 2] = 1
    return ResultCheck(
        n_found=3,
        rule="voxels with order ≥ 0.5",
        conditions=CONDITIONS,
        size_nm=(30.0, 30.0, 40.0),
        false=tuple(
            false_finds(name, volumes, n_voxels=1000, n_judged=1000)
            for name, volumes in (("species shuffled 5 times", np.ones(2)), ("matrix", np.zeros(0)))
        ),
        recall=recall_classes(comparison) if comparison is not None else (),
        radii=radius_classes(comparison) if comparison is not None else (),
        sensitivity=tuple(
            variant("cut", f"order ≥ {cut}", Rule(Cut(cut)).particles(map_, ORIGIN), map_)
            for cut, map_ in ((0.3, some), (0.9, nothing))
        ),
        notes=("something was assumed",),
    )


def test_no_table_holds_a_nan(comparison):
    for check in (check_of(comparison), check_of()):
        text = json.dumps(check.as_json(), allow_nan=False)
        assert "something was assumed" in text
        table = check_csv(check)
        assert "nan" not in table.lower()
        assert "inf" not in table.lower()
        assert {line.count(",") for line in table.splitlines() if '"' not in line} == {3}
        names = [row[:3] for row in check.flat]
        assert len(set(names)) == len(names), "every number has a name of its own"
    assert ("radius_by_found_radius", "1–1.5 nm", "true_nm", None) in check_of(comparison).flat
    assert ("sensitivity", "cut, order ≥ 0.9", "mean_radius_nm", None) in check_of().flat


def test_classes_have_names():
    assert [class_name(*ends) for ends in ((0.0, 0.5), (3.0, 4.0), (4.0, float("inf")), (4.0, None))] == [
        "0–0.5 nm",
        "3–4 nm",
        "4 nm and more",
        "4 nm and more",
    ]
    assert sorted(CLASSES_NM) == list(CLASSES_NM)


@pytest.mark.slow
def test_a_check_is_written_and_written_again(comparison, tmp_path):
    for check in (check_of(), check_of(comparison)):
        out = write_check(check, tmp_path)
    assert {path.name for path in out.iterdir()} == {
        *("check.json", "check.csv"),
        *(f"{name}.{end}" for name in ("reliability", "sensitivity") for end in ("png", "pdf", "svg")),
    }
    assert json.loads((out / "check.json").read_text()) == check_of(comparison).as_json()
    recall, _, false = reliability_figure(check_of(comparison)).axes
    assert [tick.get_text() for tick in recall.get_xticklabels()] == ["1–1.5", "2–2.5"]
    assert [tick.get_text() for tick in false.get_yticklabels()] == ["species shuffled 5 times", "matrix"]
    assert len(sensitivity_figure(check_of()).axes) == 3
    assert "No twin with particles" in {text.get_text() for text in reliability_figure(check_of()).axes[0].texts}


def test_the_page_is_told_of_errors_that_are_large_and_sure(comparison):
    told = check_section(check_of(comparison))
    assert told.sentence == check_of(comparison).sentence
    many = "The check expects 2.0 of 3 particles to be false."
    assert list(told.warnings) == [many, "something was assumed"]
    assert [row[0] for row in told.table.rows] == ["1–1.5 nm", "2–2.5 nm"]
    assert {len(row) for row in told.table.rows} == {len(told.table.columns)}
    bias, volume = Score(0.3, 0.2, 0.4, 9), Score(-0.2, -0.3, -0.15, 9)
    foretold = replace(check_of(), n_found=30, scores={"radius_bias_nm": bias, "volume_fraction_error": volume})
    assert list(check_section(foretold).warnings)[:2] == [
        "In simulated twins of the specimen radii come out off by 0.30 (0.20 … 0.40) nm.",
        "In simulated twins of the specimen volume fractions come out off by -20 (-30 … -15) %.",
    ]
    small, unsure = Score(0.05, 0.04, 0.06, 9), Score(-0.2, -0.5, 0.1, 9)
    nothing = replace(foretold, scores={"radius_bias_nm": small, "volume_fraction_error": unsure})
    assert list(check_section(nothing).warnings) == ["something was assumed"]


def test_a_sentence_says_what_it_comes_to(comparison):
    assert (
        check_of().sentence == "Of 3 particles, 2.0 (95%: 0.2–7.2) are expected to be false (species shuffled 5 times)."
    )
    assert "most are found from a radius of 2 nm on" in check_of(comparison).sentence
    missed = replace(comparison, found=np.zeros(3, bool))
    assert "most particles are missed" in check_of(missed).sentence
