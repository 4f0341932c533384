"""What a report says of the control, of uncertain particles, and of volumes that are sums of probabilities."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from aptstream.crystal import Crystal
from aptstream.grid import find
from aptstream.grid.control import Control
from aptstream.grid.precipitates import CERTAIN
from aptstream.model.bootstrap import Score
from aptstream.report import Summary


@pytest.fixture(scope="module")
def summary(refined_scan, specimen_store, refined_model):
    answer = find(refined_scan, specimen_store, refined_model)
    return Summary(answer, refined_scan, specimen_store, refined_model)


def with_control(summary, *particles, n_voxels=100_000):
    """The summary with another control: peak and volume of each false particle."""
    peak, volume = np.array(particles, dtype=float).reshape(-1, 2).T
    control = Control(5, n_voxels, peak, volume, n_judged=summary.answer.n_judged)
    return replace(summary, answer=replace(summary.answer, control=control))


def row(summary, label):
    return dict(summary.numbers).get(label)


def note(summary, word):
    (found,) = [text for text in summary.warnings if word in text] or [None]
    return found


def test_false_particles_are_scaled_from_the_control_to_the_specimen(summary):
    judged = summary.answer.n_judged
    loud = with_control(summary, (0.45, 30.0), (0.5, 20.0), (0.6, 1.0), (0.97, 1.5), n_voxels=10 * judged)
    assert loud.answer.control.floor == 0.51
    volume = loud.answer.control.false_volume(0.51)
    assert row(loud, "false particles to expect") == "0.2 (95%: 0.0–0.7)"
    assert row(loud, "… of the volume") == f"{25 / judged:.3f} % (95%: 0.000–{100 * volume.high:.3f})"
    assert loud.control == f"species shuffled 5 times: 2 particles in {10 * judged:,} nm³ reach the floor of 0.51"
    assert loud.as_json()["n_false_expected"] == pytest.approx(0.2)
    assert loud.as_json()["false_volume_expected"] == pytest.approx(0.25 / judged)
    told = loud.as_json()
    assert (told["n_false_expected_low"], told["false_volume_expected_high"]) == (
        pytest.approx(0.2422 / 10, rel=1e-3),
        pytest.approx(volume.high),
    )
    none = with_control(summary, n_voxels=5 * judged)
    assert row(none, "false particles to expect") == "0.0 (95%: 0.0–0.7)"
    assert row(none, "… of the volume").startswith("0.000 % (95%: 0.000–0.0")


def test_without_a_control_nothing_is_said_of_false_particles(summary):
    plain = replace(summary, answer=replace(summary.answer, control=None))
    assert row(plain, "false particles to expect") is None
    assert "n_false_expected" not in plain.as_json()
    assert note(plain, "shuffled") is None


@pytest.mark.parametrize(("peak", "said"), [(0.45, None), (0.49, None), (0.55, "0.56"), (0.8, "0.81")])
def test_a_high_floor_is_a_warning(peak, said, summary):
    found = note(with_control(summary, (peak, 1000.0)), "shuffled this specimen still shows order")
    assert (found is None) == (said is None)
    if said:
        assert f"reaches {said}. Small ones may be missed" in found


def test_particles_that_are_nowhere_certain_are_counted(summary):
    found = summary.answer.found
    peak = np.full(len(found), 0.99)
    sure = replace(summary, answer=replace(summary.answer, found=replace(found, peak=peak)))
    assert note(sure, "uncertain") is None
    peak = peak.copy()
    peak[:2] = CERTAIN - 0.01
    some = replace(summary, answer=replace(summary.answer, found=replace(found, peak=peak)))
    assert note(some, "uncertain") == (
        f"2 of {len(found)} particles are uncertain: the order nowhere in them reaches {CERTAIN:g}."
    )


def test_radii_and_fractions_follow_from_the_sums_of_probabilities(summary):
    found = summary.answer.found
    told = summary.answer.statistics
    mean = told.mean_radius_nm
    assert told.n_whole == 1
    stated = f"{mean.value:.2f} nm"
    assert row(summary, "mean radius of 1 whole particle") == stated
    fraction = found.expected_nm3.sum() / summary.answer.n_judged
    assert row(summary, "volume fraction").startswith(f"{100 * fraction:.2f} % (95%: ")
    assert f"mean radius {stated}, volume fraction {100 * fraction:.2f} % (95%: " in summary.sentence
    drawn = replace(told, mean_radius_nm=Score(2.5, 2.25, 2.75, 9))
    several = replace(summary, answer=replace(summary.answer, statistics=drawn))
    assert "mean radius 2.50 nm (95%: 2.25–2.75)" in several.sentence
    assert summary.as_json()["volume_fraction"] == pytest.approx(fraction)
    assert summary.as_json()["volume_fraction_low"] < fraction < summary.as_json()["volume_fraction_high"]
    assert row(summary, "composition of the matrix") == summary.answer.measures.matrix.text()


def test_the_lever_rule_agrees_with_the_volume(summary):
    """Compositions know nothing of the particles' volumes, apart from where their faces are."""
    lever = summary.lever["Li"]
    assert lever.low - 0.02 < summary.answer.volume_fraction < lever.high + 0.02
    assert row(summary, "… by the lever rule for Li").startswith(f"{100 * lever.value:.2f} %")


def test_the_planes_are_measured_along_the_slope_of_the_scan(summary, refined_scan):
    assert summary.planes.visible
    assert summary.planes.strength > 10
    spacing = refined_scan.planes.period_nm / refined_scan.crystal.doubling
    assert summary.planes.strongest_nm == pytest.approx(spacing, rel=0.01)
    strength = f"{summary.planes.strength:.1f} at {summary.planes.strongest_nm:.4f} nm (chance: 1)"
    assert row(summary, "plane signal") == strength


@pytest.mark.parametrize(
    ("crystal", "share"),
    [
        (Crystal("L12", 0.405), 1),
        (Crystal("L10", 0.386, (0, 0, 1)), 1 / 3),
        (Crystal("D022", 0.4, (0, 0, 1)), 1 / 3),
        (Crystal("B2", 0.289, (0, 0, 1)), 1),
    ],
)
def test_variants_that_the_pole_hides_are_told(crystal, share, summary):
    elsewhere = SimpleNamespace(**{name: getattr(summary.scan, name) for name in ("planes", "edges", "shape", "p")})
    elsewhere.crystal = crystal
    other = replace(summary, scan=elsewhere)
    assert other.visible_variants == pytest.approx(share)
    assert (note(other, "variants") is None) == (share == 1)


def with_unranged(summary, share, peak_share=0.0):
    """The summary of a store of which a share of the ions is unranged, some of them in a peak at 18.02 Da."""
    from aptstream.cloud.spectrum import MassSpectrum, Peak

    n = 100_000
    counts = np.zeros(40_000, np.int64)
    counts[1349], counts[3000] = n - round(share * n), round(share * n)
    free = np.where(np.arange(len(counts)) == 3000, counts, 0)
    attrs = {"n_read": n + 7, "n_ranged": n - int(free.sum()), "n_unranged": int(free.sum()), "n_rejected": 7}
    real = summary.store
    store = SimpleNamespace(n_ions=n, attrs=attrs, ranges=real.ranges, species_counts=real.species_counts)
    other = replace(summary, store=store)
    vars(other)["spectrum"] = MassSpectrum(0.01, counts, free, 0, real.ranges)
    vars(other)["unranged_peaks"] = (Peak(18.02, round(peak_share * n), peak_share),) if peak_share else ()
    return other


@pytest.mark.parametrize(("share", "said"), [(0.099, None), (0.101, "10.1% of the ions are unranged")])
def test_many_unranged_ions_are_a_warning(share, said, summary):
    found = note(with_unranged(summary, share), "are unranged")
    assert (found is None) == (said is None)
    if said:
        assert found.startswith(said)


@pytest.mark.parametrize(("share", "said"), [(0.0, "none"), (0.004, "18.02 Da, 0.40 %"), (0.012, "18.02 Da, 1.2 %")])
def test_the_largest_unranged_peak_is_always_told_and_a_large_one_a_warning(share, said, summary):
    other = with_unranged(summary, 0.02, share)
    assert row(other, "largest unranged peak").startswith(said)
    found = note(other, "No range holds")
    assert (found is None) == (share < 0.005)
    if found:
        assert found == "No range holds the peak at 18.02 Da, 1.2 % of all ions: is an ion missing from the range file?"
    assert other.as_json()["unranged_peak_share"] == share
    assert other.as_json()["unranged_peak_da"] == (18.02 if share else None)


def test_every_ion_is_accounted_for(summary):
    answer = with_unranged(summary, 0.25).as_json()
    assert [answer[f"n_{name}"] for name in ("read", "ranged", "unranged", "rejected")] == [100_007, 75_000, 25_000, 7]


def test_guessed_roles_are_a_note_and_chosen_ones_are_not(summary):
    from aptstream.cloud.ranging import explain_roles

    assert note(summary, "guessed") is None
    assert summary.as_json()["roles_guessed"] is False
    guess = explain_roles(summary.store.species_counts(), summary.store.ranges)
    other = replace(summary, guess=guess)
    assert note(other, "guessed") == (
        f"Host and solute were guessed ({guess.reason}): give --host and --solute to choose."
    )
    assert other.as_json()["roles_guessed"] is True
