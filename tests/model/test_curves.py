"""Voxel scores against their definitions written out voxel by voxel, and against closed forms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from aptstream.errors import PlanError
from aptstream.model.bootstrap import Score, draw_weights, ratio, with_interval
from aptstream.model.calibration import reliability, uncertainty
from aptstream.model.curves import Ranking, auc, dice_ceiling, judge_voxels, pool_voxels, voxel_scores

#: Few values, so that ties are common.
SCORES = hnp.arrays(np.float64, 12, elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0, np.nan]))
SHARES = hnp.arrays(np.float64, 12, elements=st.sampled_from([0.0, 0.0, 0.3, 0.5, 1.0]))


def voxels_of(score, truth, called=None):
    shape = (len(score), 1, 1)
    called = np.zeros(shape, bool) if called is None else np.reshape(called, shape)
    return judge_voxels(np.reshape(score, shape), np.reshape(truth, shape), called)


@given(score=SCORES, truth=SHARES)
def test_area_and_average_precision_follow_their_definition(score, truth):
    curve = Ranking(voxels_of(score, truth)).curve()
    value = np.where(np.isnan(score), -1, score)
    ordered, disordered = value[truth >= 0.5], value[truth == 0]
    pairs = [float(a > b) + 0.5 * float(a == b) for a in ordered for b in disordered]
    assert curve.auc == pytest.approx(np.mean(pairs) if pairs else np.nan, nan_ok=True)
    expected, before = 0.0, 0.0
    for cut in sorted(set(value), reverse=True):
        true, false = (ordered >= cut).sum(), (disordered >= cut).sum()
        if len(ordered) and true + false:
            expected += (true / len(ordered) - before) * true / (true + false)
            before = true / len(ordered)
    assert curve.average_precision == pytest.approx(expected if len(ordered) else np.nan, nan_ok=True)


@given(score=SCORES, truth=SHARES)
def test_best_dice_is_the_best_of_all_cuts_and_below_the_ceiling(score, truth):
    dice, cut = Ranking(voxels_of(score, truth)).best_dice()
    if not truth.any():
        assert np.isnan(dice)
        assert np.isnan(dice_ceiling(truth))
        return
    value = np.where(np.isnan(score), -np.inf, score)
    masks = {c: value >= c for c in value}
    every = {c: 2 * truth[m].sum() / (m.sum() + truth.sum()) for c, m in masks.items()}
    assert dice == pytest.approx(max(every.values()))
    assert every[cut] == pytest.approx(dice)
    assert dice <= dice_ceiling(truth) + 1e-12


@given(truth=hnp.arrays(np.float64, 7, elements=st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0])))
def test_no_mask_at_all_beats_the_ceiling_of_dice(truth):
    masks = (np.array(m) for m in itertools.product([False, True], repeat=7))
    best = max((2 * truth[m].sum() / (m.sum() + truth.sum()) for m in masks if truth.any()), default=np.nan)
    assert dice_ceiling(truth) == pytest.approx(best, nan_ok=True)


@given(score=SCORES, truth=SHARES, weight=hnp.arrays(np.int64, 12, elements=st.integers(0, 3)))
def test_a_weight_is_the_same_as_that_many_copies(score, truth, weight):
    copied = Ranking(voxels_of(np.repeat(score, weight), np.repeat(truth, weight)))
    weighted = Ranking(voxels_of(score, truth))
    number = weight.astype(np.float64)
    for once, copies in (
        (weighted.curve(number).auc, copied.curve().auc),
        (weighted.curve(number).average_precision, copied.curve().average_precision),
        (weighted.best_dice(number)[0], copied.best_dice()[0]),
    ):
        assert once == pytest.approx(copies, nan_ok=True)


def test_the_rank_statistic_and_the_curve_agree():
    rng = np.random.default_rng(0)
    truth = (rng.random(3000) < 0.2) * 1.0
    score = truth + rng.standard_normal(3000)
    curve = Ranking(voxels_of(score, truth)).curve()
    assert curve.auc == pytest.approx(auc(score[truth > 0], score[truth == 0]))
    # two unit Gaussians one apart: AUC = Φ(1/√2)
    assert curve.auc == pytest.approx(0.760, abs=0.04)


def test_a_perfect_map_scores_one_and_chance_scores_the_share():
    rng = np.random.default_rng(1)
    truth = (rng.random(20_000) < 0.3) * 1.0
    perfect = Ranking(voxels_of(truth, truth)).curve()
    assert (perfect.auc, perfect.average_precision) == (1.0, 1.0)
    chance = Ranking(voxels_of(rng.random(20_000), truth)).curve()
    assert chance.auc == pytest.approx(0.5, abs=0.02)
    assert chance.average_precision == pytest.approx(0.3, abs=0.02)


def test_curves_rise_from_the_strictest_cut_to_everything():
    rng = np.random.default_rng(2)
    curve = Ranking(voxels_of(rng.random(500), (rng.random(500) < 0.3) * 1.0)).curve()
    for rate in (curve.recall, curve.false_positive_rate):
        assert (np.diff(rate) >= 0).all()
        assert rate[-1] == 1
    assert (np.diff(curve.cut) < 0).all()


@given(truth=SHARES, called=hnp.arrays(bool, 12), score=SCORES)
@examples(30)  # each draws an interval
def test_scores_of_what_was_called_follow_their_definition(truth, called, score):
    scores = voxel_scores(voxels_of(score, truth, called), np.random.default_rng(0), n_draws=20)
    if truth.any():
        assert scores["dice"].value == pytest.approx(2 * truth[called].sum() / (called.sum() + truth.sum()))
        assert scores["dice"].value <= scores["dice_ceiling"].value + 1e-12
    else:
        assert np.isnan(scores["dice"].value)
    assert scores["false_volume"].value == pytest.approx((called & (truth == 0)).mean())


@pytest.mark.slow
def test_an_interval_holds_the_score_of_other_specimens_as_often_as_it_says():
    # Each specimen: 40 blocks whose error is shared by all voxels of a block. The spread over specimens is known by
    # drawing many; an interval from single voxels would be far too narrow.
    rng = np.random.default_rng(3)

    def specimen():
        truth = np.zeros((10, 10, 100))
        truth[:, :, ::10] = 1.0
        shared = np.repeat(np.repeat(np.repeat(rng.standard_normal((2, 2, 20)), 5, 0), 5, 1), 5, 2)
        score = truth + 1.5 * shared + 0.5 * rng.standard_normal(truth.shape)
        return judge_voxels(score, truth, score > 0.5)

    centre = np.mean([Ranking(specimen()).curve().auc for _ in range(100)])
    intervals = [voxel_scores(specimen(), rng, n_draws=100)["auc"] for _ in range(40)]
    held = np.mean([score.low <= centre <= score.high for score in intervals])
    assert held >= 0.8  # 0.95 is meant; forty intervals scatter by 0.035


def test_pooled_specimens_keep_their_blocks_apart():
    rng = np.random.default_rng(4)
    parts = [judge_voxels(rng.random((6, 5, 5)), (rng.random((6, 5, 5)) < 0.5) * 1.0, rng.random((6, 5, 5)) < 0.5)] * 2
    pooled = pool_voxels(parts)
    assert (len(pooled), pooled.n_blocks) == (300, 4)
    assert np.bincount(pooled.block).tolist() == [125, 25, 125, 25]
    one, two = (voxel_scores(v, rng, n_draws=5) for v in (parts[0], pooled))
    assert all(one[name].value == pytest.approx(two[name].value) for name in one)


@pytest.mark.parametrize("block", [1, 2, 5, 100])
def test_blocks_tile_the_grid(block):
    shape = (7, 4, 11)
    voxels = judge_voxels(np.zeros(shape), np.zeros(shape), np.zeros(shape, bool), block_voxels=block)
    ids = voxels.block.reshape(shape)
    for a, b in itertools.combinations(np.ndindex(*shape), 2):
        assert (ids[a] == ids[b]) == all(i // block == j // block for i, j in zip(a, b, strict=True))


def test_nothing_ordered_has_no_score_but_a_false_volume():
    called = np.zeros(10, bool)
    called[:2] = True
    scores = voxel_scores(voxels_of(np.linspace(0, 1, 10), np.zeros(10), called), np.random.default_rng(0))
    assert all(np.isnan(scores[name].value) for name in ("auc", "average_precision", "dice", "best_dice"))
    assert scores["false_volume"].value == pytest.approx(0.2)


def test_grids_that_do_not_belong_together_are_refused():
    grid = np.zeros((2, 2, 2))
    with pytest.raises(PlanError, match="one grid"):
        judge_voxels(grid, np.zeros((2, 2, 3)), grid > 0)
    with pytest.raises(PlanError, match="between 0 and 1"):
        judge_voxels(grid, grid + 1.5, grid > 0)
    with pytest.raises(PlanError, match="between 0 and 1"):
        judge_voxels(grid, grid * np.nan, grid > 0)


def test_a_probability_that_means_what_it_says_has_no_calibration_error():
    p = np.repeat([0.05, 0.35, 0.95], 1000)
    found = reliability(voxels_of(p, p))
    assert found.expected_error == pytest.approx(0, abs=1e-12)
    assert found.n.tolist() == [1000, 0, 0, 1000, 0, 0, 0, 0, 0, 1000]
    assert np.isnan(found.mean_p[1])
    shifted = reliability(voxels_of(p, np.minimum(p + 0.05, 1)))
    assert shifted.expected_error == pytest.approx(0.05)


@given(score=SCORES, truth=SHARES)
def test_reliability_loses_no_voxel(score, truth):
    found = reliability(voxels_of(score, truth))
    assert found.n.sum() == 12
    assert np.nansum(found.n * found.mean_truth) == pytest.approx(truth.sum())
    assert np.nansum(found.n * found.mean_p) == pytest.approx(np.nansum(score))


def test_doubt_that_ranks_errors_is_told_from_doubt_that_does_not():
    rng = np.random.default_rng(5)
    p = rng.random(40_000)
    honest = uncertainty(voxels_of(p, (rng.random(40_000) < p) * 1.0))
    assert list(honest.error_by_quarter) == sorted(honest.error_by_quarter)
    # m = min(p, 1 − p) is even on (0, ½): wrong voxels have density 8m, right ones 8/3 (1 − m), so that
    # P(m wrong > m right) = ∫ 8m · 8/3 (m − m²/2) dm = 13/18.
    assert honest.auc_of_wrong == pytest.approx(13 / 18, abs=0.02)
    blind = uncertainty(voxels_of(p, (rng.random(40_000) < 0.5) * 1.0))
    assert blind.auc_of_wrong == pytest.approx(0.5, abs=0.02)


def test_calibration_asks_for_probabilities():
    with pytest.raises(PlanError, match=r"runs from -1 to 3.*probabilities"):
        reliability(voxels_of([-1.0, 3.0], [0.0, 1.0]))


def test_a_ratio_has_the_interval_of_its_binomial():
    found = np.repeat([1.0, 0.0], [80, 20])
    score = ratio(found, np.ones(100), draw_weights(100, np.random.default_rng(6), n_draws=4000), n=100)
    assert score.value == 0.8
    # σ = √(0.8·0.2/100) = 0.04
    assert (score.high - score.low) / (2 * 1.96) == pytest.approx(0.04, rel=0.1)


def test_scores_of_nothing_are_null_for_machines():
    none = ratio(np.zeros(0), np.zeros(0), draw_weights(0, np.random.default_rng(0)), n=0)
    assert none.as_json() == {"value": None, "low": None, "high": None, "n": 0}
    assert draw_weights(1, np.random.default_rng(0)).shape == (0, 1)
    alone = with_interval(0.5, np.full(4, 0.5), 1)
    assert alone.value == 0.5
    assert np.isnan(alone.low)
    assert Score(0.5, 0.25, 0.75, 3).as_json() == {"value": 0.5, "low": 0.25, "high": 0.75, "n": 3}
