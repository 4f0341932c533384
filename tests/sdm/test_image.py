"""The contrast image against its formula, and what it must say of random and of ordered specimens."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aptstream.sdm.image import contrast_images


def naive_contrast(counts, n_host, n_solute):
    aa, ax, xx = counts.astype(np.float64)
    c = n_solute / max(n_host + n_solute, 1)
    k = (1 - c) ** 2 * xx - c * (1 - c) * ax + c**2 * aa
    v = (1 - c) ** 4 * xx + c**2 * (1 - c) ** 2 * ax + c**4 * aa
    return (k - k.mean(axis=0)) / np.sqrt(v.mean(axis=0) + 1)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 30), st.integers(1, 8))
def test_contrast_follows_its_formula(seed, n, n_z, n_lateral):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, rng.choice([2, 100, 100_000]), (n, 3, n_z, n_lateral)).astype("u4")
    n_host, n_solute = rng.integers(0, 2000, (2, n))
    expected = [naive_contrast(*row) for row in zip(counts, n_host, n_solute, strict=True)]
    images = contrast_images(counts, n_host, n_solute)
    np.testing.assert_allclose(images, expected, rtol=1e-4, atol=2e-3 + 1e-6 * counts.max())


def test_no_cubes_and_no_solute_give_no_contrast():
    assert contrast_images(np.zeros((0, 3, 5, 2), "u4"), [], []).shape == (0, 5, 2)
    counts = np.zeros((1, 3, 5, 2), "u4")
    counts[:, 0] = 7
    assert not contrast_images(counts, [100], [0]).any()
