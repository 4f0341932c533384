"""The mass spectrum against a loop over all ions, and its unranged peaks against ones that were put there."""

from __future__ import annotations

import numpy as np
import pytest
from examples import examples
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from aptstream.cloud import ingest
from aptstream.cloud import store as store_module
from aptstream.cloud.spectrum import MassSpectrum, mass_spectrum, unranged_peaks
from aptstream.errors import PlanError
from aptstream.io import write_pos
from aptstream.points import Range, RangeTable

TABLE = RangeTable((Range(13.2, 13.8, (("Al", 1),)), Range(6.7, 7.3, (("Li", 1),)), Range(83, 85.005, (("CrO", 1),))))


def store_of(folder, mass):
    mass = np.asarray(mass, "f4")
    write_pos(folder / "a.pos", np.zeros((len(mass), 3)), mass)
    return ingest(folder / "a.pos", ranges=TABLE, out=folder / "a.zarr")


@given(st.lists(st.floats(0, 500, width=32), min_size=1, max_size=60), st.sampled_from([0.01, 0.05, 1, 10]))
@examples(25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_ion_is_counted_once(tmp_path_factory, monkeypatch, mass, bin_da):
    monkeypatch.setattr(store_module, "STREAM_ROWS", 7)
    mass = [*mass, 13.5]
    store = store_of(tmp_path_factory.mktemp("spectrum"), mass)
    told = []
    spectrum = mass_spectrum(store, bin_da, progress=lambda *state: told.append(state))
    counts, unranged, outside = np.zeros(round(400 / bin_da), int), np.zeros(round(400 / bin_da), int), 0
    for m in np.asarray(mass, "f4").astype("f8").tolist():
        place = int(np.floor(m / bin_da))
        if place < len(counts):
            counts[place] += 1
            unranged[place] += not any(r.low_da <= m < r.high_da for r in TABLE.ranges)
        else:
            outside += 1
    np.testing.assert_array_equal(spectrum.counts, counts)
    np.testing.assert_array_equal(spectrum.unranged, unranged)
    assert spectrum.n_outside == outside
    assert spectrum.n_ions == len(mass)
    assert told[-1] == ("spectrum", len(mass), len(mass), "ions")


def test_negative_masses_lie_outside(tmp_path):
    spectrum = mass_spectrum(store_of(tmp_path, [-1, -0.001, 0, 13.5]))
    assert (spectrum.n_outside, spectrum.counts[0]) == (2, 1)


@pytest.mark.parametrize("bin_da", [0, -1, 1e-9, 11, np.nan])
def test_bins_have_a_sensible_width(tmp_path, bin_da):
    with pytest.raises(PlanError, match=r"bins of 0\.001 to 10 Da, found"):
        mass_spectrum(store_of(tmp_path, [13.5]), bin_da)


def spectrum_of(*parts, seed=1, n_noise=40_000, tail=60_000):
    """Peaks (m/q, ions, width) on a falling background, beside an Al peak with a long tail out of its range."""
    rng = np.random.default_rng(seed)
    masses = [rng.exponential(120, n_noise), 13.49 + rng.exponential(0.3, tail)]
    masses += [rng.normal(at, width, n) for at, n, width in parts]
    mass = np.concatenate(masses)
    mass = mass[(mass >= 0) & (mass < 400)]
    unranged = ~np.any([(mass >= r.low_da) & (mass < r.high_da) for r in TABLE.ranges], axis=0)
    edges = np.arange(40_001) / 100
    counts, free = (np.histogram(m, edges)[0] for m in (mass, mass[unranged]))
    return MassSpectrum(0.01, counts, free, 0, TABLE)


@pytest.mark.parametrize("width", [0.005, 0.02, 0.1])
@pytest.mark.parametrize("seed", [1, 2])
def test_peaks_that_were_put_there_are_found_and_measured(width, seed):
    spectrum = spectrum_of((18.02, 4000, width), (30.97, 9000, width), (7.0, 50_000, width), seed=seed)
    first, second, *more = unranged_peaks(spectrum)
    assert (first.mass_da, second.mass_da) == pytest.approx((30.97, 18.02), abs=max(0.03, width))
    assert (first.n_ions, second.n_ions) == pytest.approx((9000, 4000), rel=0.15)
    assert first.share == pytest.approx(first.n_ions / spectrum.n_ions)
    assert not [peak for peak in more if peak.share > 1e-3]


@pytest.mark.parametrize("seed", range(5))
def test_background_and_tails_of_ranged_peaks_are_no_peaks(seed):
    assert unranged_peaks(spectrum_of((7.0, 80_000, 0.02), seed=seed)) == ()


def test_a_peak_cut_by_a_range_is_a_tail():
    assert unranged_peaks(spectrum_of((13.7, 50_000, 0.2), n_noise=0, tail=0)) == ()


def test_an_empty_spectrum_has_no_peaks():
    none = np.zeros(40_000, np.int64)
    assert unranged_peaks(MassSpectrum(0.01, none, none, 5, TABLE)) == ()


@pytest.mark.parametrize(("share", "said"), [(0.5, "50 %"), (0.0123, "1.2 %"), (0.00123, "0.12 %")])
def test_a_peak_is_told_in_words(share, said):
    from aptstream.cloud.spectrum import Peak

    assert str(Peak(18.0249, 5, share)) == f"18.02 Da, {said} of all ions"


def test_what_lies_under_a_peak_is_not_part_of_it():
    counts = np.full(40_000, 5000)
    counts[1795:1806] += (600 * np.exp(-0.5 * (np.arange(-5, 6) / 2) ** 2)).astype(int)
    (peak,) = unranged_peaks(MassSpectrum(0.01, counts, np.where(np.arange(40_000) < 2000, counts, 0), 0, TABLE))
    assert peak.mass_da == pytest.approx(18.005, abs=0.011)
    assert peak.n_ions == pytest.approx(counts[1795:1806].sum() - 11 * 5000, rel=0.15)


@pytest.mark.parametrize(("bounds", "cut"), [((18.12, 19), 362), ((17, 18.13), 362)])
def test_a_flank_that_a_bound_cuts_within_a_bin_is_no_peak(bounds, cut):
    # The bin of the bound holds fewer unranged ions than its neighbour: seen alone it would be the far side of a peak.
    unranged = np.zeros(8000, np.int64)
    side = range(cut - 3, cut) if bounds[0] > 18 else range(cut + 3, cut, -1)
    unranged[list(side)] = 50, 400, 3000
    unranged[cut] = 900
    table = RangeTable((Range(*bounds, (("O", 1),)),))
    assert unranged_peaks(MassSpectrum(0.05, 2 * unranged, unranged, 0, table)) == ()
