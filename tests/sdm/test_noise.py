"""Noise of pictures: known noise is found, whatever smooth or one-dimensional structure lies below it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptstream.errors import PlanError
from aptstream.sdm.noise import noise_variance

RNG = np.random.default_rng(3)
ROWS, COLUMNS = np.mgrid[:120, :150].astype(float)
BELOW = {
    "nothing": 0 * ROWS,
    "a slope": 3 * ROWS - 2 * COLUMNS + 7,
    "planes": 80 * np.cos(ROWS / 2.3),
    "columns": 80 * np.cos(COLUMNS / 2.3),
}


@pytest.mark.parametrize("below", BELOW.values(), ids=BELOW)
@pytest.mark.parametrize("sigma", [0.5, 4.0])
def test_known_noise_is_found(below, sigma):
    found = noise_variance(below + RNG.normal(0, sigma, (40, *below.shape)))
    assert found.shape == (40,)
    assert found.mean() == pytest.approx(sigma**2, rel=0.02)
    assert found.std() < 0.05 * sigma**2


@pytest.mark.parametrize("below", BELOW.values(), ids=BELOW)
def test_without_noise_there_is_none(below):
    np.testing.assert_allclose(noise_variance(below[None]), 0, atol=1e-18)


def test_it_is_the_published_sum():
    picture = RNG.integers(0, 256, (9, 11)).astype("u1")
    mask, total = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]]), 0.0
    for i in range(7):
        for j in range(9):
            total += abs((picture[i : i + 3, j : j + 3].astype(int) * mask).sum())
    sigma = np.sqrt(np.pi / 2) * total / (6 * 9 * 7)
    np.testing.assert_allclose(noise_variance(picture[None]), [sigma**2], rtol=1e-12)


@given(st.floats(0.01, 100), st.integers(0, 2**31))
def test_the_variance_scales_with_the_square(factor, seed):
    picture = np.random.default_rng(seed).random((2, 8, 8))
    np.testing.assert_allclose(noise_variance(factor * picture), factor**2 * noise_variance(picture), rtol=1e-9)
    np.testing.assert_allclose(noise_variance(picture.swapaxes(1, 2)), noise_variance(picture), rtol=1e-9)


@pytest.mark.parametrize("shape", [(5, 5), (1, 2, 9), (1, 9, 2), (1, 4, 4, 1)])
def test_other_arrays_are_refused(shape):
    with pytest.raises(PlanError, match="at least 3 × 3 pixels"):
        noise_variance(np.zeros(shape))
