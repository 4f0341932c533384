"""From a scan to particles: with nets on the 1 nm grid, without them, and with a cut given by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aptstream.errors import PlanError, StoreError
from aptstream.grid import answer as answers
from aptstream.grid import find, find_precipitates
from aptstream.grid.answer import Cut
from aptstream.grid.precipitates import BoundaryRule, expected_precipitates
from aptstream.grid.vote import vote


@pytest.fixture(scope="module")
def refined(refined_scan, specimen_store, refined_model):
    return find(refined_scan, specimen_store, refined_model)


def test_particles_are_made_of_the_nets_map_by_the_rule_that_the_answer_states(refined, refined_scan):
    votes = vote(refined_scan.p(2), 2, refined_scan.origin_nm)
    judged = np.isfinite(votes.mean)
    np.testing.assert_array_equal(np.isfinite(refined.order), judged)
    np.testing.assert_array_equal(refined.order[judged], refined.refined.p[judged])
    rule = BoundaryRule(peak=refined.control.floor)
    expected = expected_precipitates(refined.order, rule, origin_nm=refined_scan.origin_nm)
    np.testing.assert_array_equal(refined.found.labels, expected.labels)
    np.testing.assert_array_equal(refined.found.volume_nm3, expected.volume_nm3)
    assert f"one of them ≥ {refined.control.floor:g} (a floor from the control" in refined.rule
    assert "volume = sum of the order up to 2.5 nm" in refined.rule
    assert len(refined.found) > 3
    assert refined.volume_fraction == pytest.approx(expected.volume_nm3.sum() / judged.sum())


def test_the_votes_are_those_of_the_largest_cubes_with_nets_or_without(refined, specimen_scan, specimen_store, model):
    plain = find(specimen_scan, specimen_store, model)
    for name in ("total", "count"):
        np.testing.assert_array_equal(getattr(refined.votes, name), getattr(plain.votes, name))
    assert plain.refined is None
    assert plain.control is None
    np.testing.assert_array_equal(plain.order, vote(specimen_scan.p(2), 2, specimen_scan.origin_nm).mean)
    cut = find_precipitates(plain.order, cut=model.cut, min_voxels=model.min_voxels, origin_nm=specimen_scan.origin_nm)
    np.testing.assert_array_equal(plain.found.labels, cut.labels)
    assert plain.rule == f"voxels with order ≥ {model.cut:g} that share a face, at least {model.min_voxels} together"
    assert plain.found.expected_nm3 is None


@pytest.mark.parametrize(("cut", "words"), [(Cut(0.6), "order ≥ 0.6"), (Cut(0.5, "votes"), "mean vote ≥ 0.5")])
def test_a_fixed_cut_takes_the_place_of_the_rule(cut, words, refined, refined_scan, specimen_store, refined_model):
    found = find(refined_scan, specimen_store, refined_model, cut=cut)
    grid = refined.order if cut.of == "order" else refined.votes.mean
    mask = np.nan_to_num(grid) >= np.float32(cut.value)
    assert mask.any()
    np.testing.assert_array_equal(found.found.labels > 0, mask)
    np.testing.assert_array_equal(found.found.volume_nm3, found.found.n_voxels)
    assert found.rule == f"voxels with {words} that share a face"
    np.testing.assert_array_equal(found.order, grid)
    assert found.control is None, "it would speak of the model's own rule"


def test_ions_inside_are_counted_for_particles_of_every_rule(refined, specimen_store):
    counts = specimen_store.species_counts()
    for name, column in refined.found.ions.items():
        assert column.shape == (len(refined.found),)
        assert 0 <= column.sum() <= counts[name]
    assert refined.found.ions["Al"].min() > 0


def test_what_no_valid_cube_covers_is_not_judged(refined_scan, specimen_store, refined_model, refined, monkeypatch):
    read = type(refined_scan).p

    def with_a_hole(scan, edge, low=0, high=None):
        p = read(scan, edge)
        p[:9] = np.nan
        return p[low:high]

    monkeypatch.setattr(type(refined_scan), "p", with_a_hole)
    monkeypatch.setattr(answers, "shuffled_control", lambda *_: refined.control)
    found = find(refined_scan, specimen_store, refined_model)
    assert np.isnan(found.order[:9]).all()
    np.testing.assert_array_equal(found.order[9:], refined.order[9:])
    assert not found.found.labels[:9].any()
    assert found.n_judged == np.isfinite(found.order).sum() == 9 * 18 * 20
    # a particle that is cut by the hole touches the edge of what was judged
    at_hole = np.unique(found.found.labels[9])
    assert found.found.touches_edge[at_hole[at_hole > 0] - 1].all()
    assert found.volume_fraction == pytest.approx(found.found.volume_nm3.sum() / found.n_judged)


def test_progress_tells_of_the_control_before_the_composition(
    refined_scan, specimen_store, refined_model, refined, monkeypatch
):
    monkeypatch.setattr(answers, "refine", lambda *_: refined.refined)
    told = []
    find(refined_scan, specimen_store, refined_model, lambda stage, *_: told.append(stage))
    assert list(dict.fromkeys(told)) == ["control", "composition"]


@pytest.mark.parametrize("value", [0.0, -0.1, 1.01, float("nan"), float("inf")])
def test_a_cut_that_is_no_probability_is_refused(value):
    with pytest.raises(PlanError, match=r"A cut lies between 0 and 1, found .*62/64 of the votes"):
        Cut(value)


def test_a_scan_by_another_model_or_of_other_ions_is_refused(refined_scan, specimen_store, model, refined_model):
    with pytest.raises(StoreError, match="was made by another model"):
        find(refined_scan, specimen_store, model)
    with pytest.raises(StoreError, match="was made by another model"):
        find(refined_scan, specimen_store, replace(refined_model, digest="0" * 64))
