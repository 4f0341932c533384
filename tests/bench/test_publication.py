"""The publication's way through a cube is the one that is described."""

from __future__ import annotations

import numpy as np


def test_the_loop_counts_every_ordered_pair_within_the_radius_once(lineage):
    ions = np.random.default_rng(3).uniform(0, 4, (150, 3))
    counts = lineage.loop_over_ions(ions)
    offset = (ions[:, None] - ions).reshape(-1, 3)
    length = np.linalg.norm(offset, axis=1)
    width = 2 * lineage.RADIUS_NM / lineage.BINS
    half = width * int(lineage.SHOWN_NM / width + 0.5)  # bins whose middle is shown
    assert counts.shape == (round(2 * half / width),) * 2
    shown = (length > 0) & (length <= lineage.RADIUS_NM) & (np.abs(offset[:, [0, 2]]) < half).all(axis=1)
    assert counts.sum() == shown.sum()
    assert np.array_equal(counts, counts[::-1, ::-1])
