"""Poles for tests: any tilt and dome, and ions that lie on their planes."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from aptstream.pole import Pole


def make_pole(tilt_deg=0.0, azimuth_deg=0.0, dome_nm=np.inf, *, drift=(0.0, 0.0), spacing_nm=0.2, **other):
    """A pole whose dome, round across the axis, follows it: the wave does not change along the axis but by `along`."""
    tilt, azimuth = np.radians([tilt_deg, azimuth_deg])
    normal = np.array([np.sin(tilt) * np.cos(azimuth), np.sin(tilt) * np.sin(azimuth), np.cos(tilt)])
    across = np.eye(2) / (spacing_nm * dome_nm) + np.array(other.pop("oval", ((0, 0), (0, 0)))) / spacing_nm
    to_axis = np.array([[1, 0, -drift[0]], [0, 1, -drift[1]]])
    bend = to_axis.T @ across @ to_axis
    bend[2] += np.array(other.pop("along", (0, 0, 0))) / spacing_nm
    bend[:2, 2] = bend[2, :2]
    rows = {
        "centre_nm": (3.0, -4.0, 30.0),
        "wave_per_nm": tuple((normal / spacing_nm).tolist()),
        "bend_per_nm2": tuple(map(tuple, bend.tolist())),
        "drift": tuple(drift),
        "radius_nm": 9.0,
        "depth_nm": (5.0, 55.0),
        "strength": 40.0,
        "n_regions": 60,
        "status": "found",
    }
    return Pole(**(rows | other))


def on_planes(pole, position, steps=80):
    """Move positions along the normal, each onto the next of the planes that the pole counts."""
    wanted = np.round(pole.planes(position))
    moved = np.array(position, dtype=np.float64)
    for _ in range(steps):
        moved += np.outer((wanted - pole.planes(moved)) * 0.5 * pole.spacing_nm, pole.direction)
    return moved


def inside(pole, rng, n, share=1.0):
    """Positions in the cylinder of a pole, or in an inner part of it."""
    z = rng.uniform(*pole.depth_nm, n)
    radius, angle = share * pole.radius_nm * np.sqrt(rng.uniform(0, 1, n)), rng.uniform(0, 2 * np.pi, n)
    axis = np.array([pole.on_axis_nm(height) for height in z.tolist()])
    return axis + np.column_stack([radius * np.cos(angle), radius * np.sin(angle), np.zeros(n)])


@st.composite
def poles(draw):
    """Tilts up to 40°, domes of 30 nm to flat, up or down, oval ones, axes that drift, waves that change."""
    number = st.floats(-1, 1)
    curve, skew = draw(number) / 30, [draw(number) / 300 for _ in range(3)]
    return make_pole(
        draw(st.floats(0, 40)),
        draw(st.floats(0, 360)),
        1 / curve if abs(curve) > 1e-9 else np.inf,
        drift=(draw(number) / 10, draw(number) / 10),
        spacing_nm=draw(st.floats(0.12, 0.3)),
        oval=((skew[0], skew[1]), (skew[1], skew[2])),
        along=tuple(draw(number) / 1000 for _ in range(3)),
    )
