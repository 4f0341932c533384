"""The contrast image against its formula, and what it must say of random and of ordered specimens."""

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from aptstream.errors import PlanError
from aptstream.points import PointCloud, Roles
from aptstream.sdm.count import SdmScan
from aptstream.sdm.image import (
    FORMS,
    View,
    contrast_images,
    grey_images,
    network_input,
    scan_images,
    standardised_images,
)
from aptstream.sdm.kernel import CellBox
from aptstream.sdm.window import Channels, SdmWindow


def naive_contrast(counts, n_host, n_solute):
    aa, ax, xx = counts.astype(np.float64)
    c = n_solute / max(n_host + n_solute, 1)
    k = (1 - c) ** 2 * xx - c * (1 - c) * ax + c**2 * aa
    v = (1 - c) ** 4 * xx + c**2 * (1 - c) ** 2 * ax + c**4 * aa
    return (k - k.mean(axis=0)) / np.sqrt(v.mean(axis=0) + 1)


@examples(40)
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


def scan_of(kind="z", columns=1, channels=None, n=3000):
    rng = np.random.default_rng(4)
    position = (rng.random((n, 3)) * (6, 5, 5)).astype("f4")
    cloud = PointCloud(position, np.ones(n, "f4"), rng.integers(1, 3, n).astype("u1"), ("unranged", "Al", "Li"))
    channels = channels or Channels.of_roles(Roles(("Al",), ("Li",)))
    window = SdmWindow(kind, 0.7, 20, 0.7, columns)
    return SdmScan(cloud, channels, window, box=CellBox((0, 0, 0), (0, 0, 0), (6, 5, 5)), edges=[4, 2])


@pytest.mark.parametrize("form", FORMS)
def test_a_scan_gives_the_images_of_its_counts(form):
    scan, n_batches = scan_of("zx", 30), 0
    for batch, images in scan_images(scan, form):
        n_batches += 1
        y, z = (s.start for s in batch.place[1:])
        first = batch.counts[0, 0]
        if form == "contrast":
            expected = naive_contrast(first, *(group[batch.place[0], y, z] for group in scan.n_ions(batch.edge)))
            np.testing.assert_allclose(images[0, 0], expected, atol=1e-3)
        elif form == "grey":
            full = np.concatenate([first[0, ::-1, ::-1], first[0]])
            np.testing.assert_allclose(images[0, 0], full * 255 / max(full.max(), 1), atol=0.51)
        else:
            mean = first.mean(axis=1, keepdims=True)
            expected = np.moveaxis((first - mean) / np.sqrt(mean + 1), 0, -1)
            expected = expected if form == "channels" else expected[..., 0]
            np.testing.assert_allclose(images[0, 0], expected, atol=1e-4)
        view = View(scan.window, form)
        assert images.shape == (*batch.counts.shape[:2], *view.shape)
        assert images.dtype == view.dtype
    assert n_batches == 3 + 5


@pytest.mark.parametrize("form", FORMS)
def test_only_the_channels_that_a_form_needs_have_to_be_counted(form):
    roles, every = Roles(("Al",), ("Li",)), scan_of("zx", 30)
    channels = View(every.window, form).channels(roles)
    few = scan_of("zx", 30, channels)
    assert channels.groups == (("Al",), ("Li",))
    assert len(channels.pairs) == (3 if form in ("contrast", "channels") else 1)
    np.testing.assert_array_equal(few.n_ions(4), every.n_ions(4))
    for (_, a), (_, b) in zip(scan_images(few, form), scan_images(every, form), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("scan", "form", "words"),
    [
        (scan_of(), "negative", "not known"),
        (scan_of(), "grey", "kind zx"),
        (scan_of(channels=Channels((("Al",),), ((0, 0),))), "contrast", "host-solute"),
        (scan_of(channels=Channels((("Al",),), ((0, 0),))), "channels", "host-solute"),
    ],
)
def test_a_form_that_does_not_fit_the_scan_is_refused(scan, form, words):
    with pytest.raises(PlanError, match=words):
        next(scan_images(scan, form))


def test_counts_of_another_shape_are_refused():
    counts = np.zeros((5, 3, 4, 2), "u4")
    for wrong, n in ((counts, [1]), (counts[:, :2], [1] * 5), (counts[0], [1] * 3)):
        with pytest.raises(PlanError, match="found"):
            contrast_images(wrong, n, n)
    with pytest.raises(PlanError, match="found"):
        standardised_images(counts[0])
    with pytest.raises(PlanError, match="found"):
        grey_images(counts)
    for form, few in (("contrast", counts[:, :2]), ("channels", counts[:, :1]), ("grey", counts[:, :2])):
        with pytest.raises(PlanError, match="needs counts"):
            network_input(few, form, [1] * 5, [1] * 5)
    with pytest.raises(PlanError, match="not known"):
        network_input(counts, "negative", [1] * 5, [1] * 5)
