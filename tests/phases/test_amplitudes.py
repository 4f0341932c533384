"""Waves of z-SDMs: closed forms, and errors that are as large as the scatter."""

from __future__ import annotations

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from aptstream.phases.amplitudes import Ruler, fit_spacing, fit_waves, flattened

OFFSET = np.arange(0.005, 2, 0.01)


def comb(spacing, sigma, alternation, level):
    """Pairs of planes `spacing` apart whose contents alternate by 1 ± alternation, blurred by sigma: the exact sum."""
    planes = np.arange(-30, 31)
    heights = np.exp(-((OFFSET[:, None] - planes * spacing) ** 2) / (2 * sigma**2))
    return level * (heights * (1 + alternation * (-1.0) ** planes)).sum(axis=1)


def hump(width, slope):
    return np.exp(-((OFFSET / width) ** 2)) * (1 - slope * OFFSET)


@given(
    alternation=st.sampled_from([1.0, 1 / 9, -1 / 3, 0.0]),
    sigma=st.floats(0.03, 0.06),
    width=st.floats(1.8, 9.0),
    slope=st.floats(0, 0.2),
    spacing=st.floats(0.14, 0.146),
)
@examples(40)
def test_the_alternation_of_blurred_planes_comes_back_whatever_the_envelope(alternation, sigma, width, slope, spacing):
    envelope = hump(width, slope)
    every = comb(spacing, sigma, 0.0, 40_000) * envelope
    some = comb(spacing, sigma, alternation, 10_000) * envelope
    parts = np.linspace(0.8, 1.2, 12)[:, None]
    ruler = Ruler(OFFSET, spacing, 2)
    waves = fit_waves((some * parts).astype(int), (every * parts).astype(int), ruler)
    assert waves.by_parts
    doubled = 2 * alternation * np.exp(-2 * (np.pi * sigma / (2 * spacing)) ** 2)
    single = 2 * np.exp(-2 * (np.pi * sigma / spacing) ** 2)
    assert waves.doubled.value == pytest.approx(doubled, abs=0.01)
    assert waves.single.value == pytest.approx(single, abs=0.01)
    assert waves.contrast is not None
    assert waves.contrast.value == pytest.approx(alternation, abs=0.02)
    assert waves.ratio == pytest.approx(doubled / single, rel=0.1, abs=0.02)
    found = fit_spacing((every * parts).astype(int), Ruler(OFFSET, 0.143, 2))
    assert found.value == pytest.approx(spacing, rel=5e-4)


def drawn(rng, alternation, n_parts, level):
    """Counts of one specimen."""
    every = comb(0.143, 0.045, 0.0, level) * hump(4, 0.1)
    share = 0.1 * (comb(0.143, 0.045, alternation, level) * hump(4, 0.1)) / every
    total = rng.poisson(every, (n_parts, len(OFFSET)))
    return rng.binomial(total, np.clip(share, 0, 1)), total


@pytest.mark.slow
@pytest.mark.parametrize("n_parts", [24, 4])
def test_errors_are_as_large_as_the_scatter(n_parts):
    rng, ruler = np.random.default_rng(4), Ruler(OFFSET, 0.143, 2)
    found = [fit_waves(*drawn(rng, 0.1, n_parts, 8000 / n_parts), ruler) for _ in range(40)]
    assert all(waves.by_parts is (n_parts >= 10) for waves in found)
    for name in ("single", "doubled", "contrast", "spacing_nm"):
        estimates = [getattr(waves, name) for waves in found]
        scatter = np.std([estimate.value for estimate in estimates], ddof=1)
        told = np.sqrt(np.mean([estimate.sigma**2 for estimate in estimates]))
        assert 0.6 < scatter / told < 1.4, name


def test_parts_that_differ_more_than_their_counts_make_the_error_larger():
    rng, ruler = np.random.default_rng(5), Ruler(OFFSET, 0.143, 2)
    same = fit_waves(*drawn(rng, 0.2, 24, 1000), ruler)
    parts = [drawn(rng, a, 1, 1000) for a in rng.choice([-0.2, 0.6], 24)]
    mixed = fit_waves(*(np.concatenate(some) for some in zip(*parts, strict=True)), ruler)
    assert mixed.doubled.sigma > 5 * same.doubled.sigma


def test_too_few_pairs_and_no_planes_say_nothing():
    ruler, rng = Ruler(OFFSET, 0.143, 2), np.random.default_rng(6)
    none = fit_waves(np.zeros((12, 200), int), np.full((12, 200), 100), ruler)
    assert (none.single, none.doubled, none.contrast, none.spacing_nm, none.ratio) == (None,) * 5
    flat = rng.poisson(500, (12, 200))
    waves = fit_waves(flat // 2, flat, ruler)
    assert waves.contrast is None
    assert waves.spacing_nm is None
    assert waves.ratio is None
    assert abs(waves.doubled.significance) < 4
    assert fit_spacing(flat, ruler) is None
    assert not flattened(np.zeros(200, int), ruler).any()
    assert flattened(flat.sum(axis=0), ruler).mean() == pytest.approx(1, abs=0.01)
