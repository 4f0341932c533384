"""Figures draw whatever a run may give them, leave matplotlib alone, and render to the same bytes."""

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from aptstream.grid.precipitates import find_precipitates
from aptstream.grid.statistics import particle_statistics
from aptstream.grid.vote import VoxelGrid, vote
from aptstream.report.figures import (
    cube_probability_histogram,
    figure_bytes,
    grid_slices,
    save_figure,
    size_distribution,
    vote_histogram,
)
from aptstream.report.style import FORMS, figure_forms, label_decades

RNG = np.random.default_rng(5)
RADII = {
    "none": np.empty(0),
    "one": np.array([2.5]),
    "many": RNG.gamma(4, 0.6, 300),
    "huge": np.array([1.0, 14.0]),
}


def told(radii):
    """Statistics of whole particles with these radii, in a volume of 60³ nm."""
    order = np.zeros((60, 60, 60), "f4")
    none = find_precipitates(order, cut=0.5, min_voxels=1, origin_nm=(0, 0, 0))
    found = replace(
        none,
        centroid_nm=np.full((len(radii), 3), 30.0),
        n_voxels=np.ones(len(radii), dtype=np.int64),
        expected_nm3=4 / 3 * np.pi * radii**3,
    )
    return particle_statistics(found, order, np.random.default_rng(0))


ALL_NAN = np.full((6, 7, 8), np.nan, "f4")


def drawn(figure: Figure) -> Figure:
    """Render, so that warnings of the layout come to light too."""
    assert isinstance(figure, Figure)
    figure_bytes(figure, "png")
    return figure


def texts(figure: Figure) -> str:
    axes = [*figure.axes]
    words = [text.get_text() for ax in axes for text in ax.texts]
    words += [ax.get_title(loc="left") for ax in axes]
    legends = [*(ax.get_legend() for ax in axes), *figure.legends]
    return "\n".join(words + [text.get_text() for legend in legends if legend for text in legend.get_texts()])


@pytest.mark.parametrize(
    ("radii", "truth"),
    [*((radii, None) for radii in RADII.values()), *((RADII["many"], truth) for truth in RADII.values())]
    + [(radii, RADII["many"]) for radii in (RADII["none"], RADII["one"], RADII["huge"])],
)
def test_size_distribution(radii, truth):
    statistics = told(radii)
    figure = drawn(size_distribution(statistics, truth))
    assert ("No whole ordered particle" in texts(figure)) == (not radii.size)
    if radii.size:
        assert f"Found: {len(radii)} whole, mean {statistics.mean_radius_nm.value:.2f}" in texts(figure)
    if radii.size and truth is not None and truth.size:
        assert f"True: mean {truth.mean():.2f}" in texts(figure)


def test_every_radius_is_counted():
    statistics = told(RADII["many"])
    axes = size_distribution(statistics).axes[0]
    drawn_density = axes.patches[0].get_data().values.sum()
    assert drawn_density * 1e24 == pytest.approx(statistics.number_per_m3.value)


@pytest.mark.parametrize("p", [np.empty(0), ALL_NAN, np.array([1.0]), RNG.random(5000)], ids=len)
def test_cube_probability_histogram(p):
    figure = drawn(cube_probability_histogram(p, 1234, edge_nm=4))
    n_valid = f"{np.isfinite(p).sum():,}".replace(",", "\u2009")
    assert f"{n_valid} cubes of 4 nm edge; 1\u2009234 more had too few ions" in texts(figure)


@pytest.mark.parametrize(
    "p", [ALL_NAN, np.ones((9, 9, 9), "f4"), RNG.random((12, 8, 9), "f4")], ids=["nan", "ones", "many"]
)
def test_vote_histogram(p):
    grid = vote(p, 4, (0, 0, 0))
    figure = drawn(vote_histogram(grid))
    full = grid.count == 64
    assert f"{full.sum()} voxels covered by all 64 cubes" in texts(figure)
    assert f"published cut 62\n{(grid.total[full] >= 62).sum()} voxels above" in texts(figure)


def test_vote_histogram_of_other_cubes():
    one = np.ones((3, 3, 3))
    grid = VoxelGrid(8 * one.astype("f4"), 8 * one.astype("u2"), 2, (0, 0, 0))
    assert "published cut 7.75\n27 voxels above" in texts(drawn(vote_histogram(grid)))


@pytest.mark.parametrize(
    ("shape", "fill"),
    [
        *(((1, 1, 1), fill) for fill in (0.0, 1.0, np.nan)),
        ((1, 30, 2), 0.0),
        ((20, 21, 300), 1.0),
        ((200, 3, 4), np.nan),
    ],
)
def test_grid_slices_of_any_shape(shape, fill):
    values, labels = np.full(shape, fill, "f4"), np.zeros(shape, "i4")
    figure = drawn(grid_slices(values, labels, origin_nm=(-3, 0, 7), voxel_nm=0.5, title_unit="Order"))
    assert len(figure.axes) == 4
    assert ("not judged" in texts(figure)) == bool(np.isnan(fill))
    assert "particle" not in texts(figure)
    assert figure.get_size_inches()[0] <= 183 / 25.4 + 1e-9


def test_grid_slices_pass_through_the_largest_particle():
    labels = np.zeros((10, 12, 14), "i4")
    labels[0, 0, 0] = 1
    labels[6:9, 2:5, 10:13] = 2
    figure = drawn(
        grid_slices((labels > 0).astype("f4"), labels, origin_nm=(-10, 0, 100), voxel_nm=2, title_unit="Order")
    )
    titles = [ax.get_title(loc="left") for ax in figure.axes[:3]]
    assert titles == ["y = 7 nm", "x = 5 nm", "z = 123 nm"]
    (outline,) = figure.axes[0].patches
    corners = outline.get_path().get_extents().get_points()
    np.testing.assert_allclose(corners, [[2, 120], [8, 126]])  # xz panel: the particle's outer faces in nm
    assert "particle" in texts(figure)


def test_grid_slices_show_the_right_values():
    values = RNG.random((4, 5, 6))
    figure = grid_slices(values, np.zeros(values.shape, int), origin_nm=(0, 0, 0), voxel_nm=1, title_unit="Order")
    for ax, plane in zip(figure.axes, (values[:, 2, :], values[2, :, :], values[:, :, 3]), strict=False):
        np.testing.assert_array_equal(np.asarray(ax.images[0].get_array()), plane.T)
        assert ax.get_aspect() == 1


def test_unequal_grids_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 2, 2\) and \(2, 2, 3\)"):
        grid_slices(
            np.zeros((2, 2, 2)),
            np.zeros((2, 2, 3), int),
            origin_nm=(0, 0, 0),
            voxel_nm=1,
            title_unit="Order",
        )


def test_saved_twice_is_the_same(tmp_path):
    first = save_figure(size_distribution(told(RADII["many"])), tmp_path / "a" / "sizes.v1")
    second = save_figure(size_distribution(told(RADII["many"])), tmp_path / "b" / "sizes.v1")
    assert first == second
    assert {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()} == {
        f"sizes.v1.{form}": first[form] for form in ("png", "pdf", "svg")
    }
    assert not any(b"CreationDate" in data for data in first.values())


def test_matplotlib_is_left_as_found():
    before = dict(mpl.rcParams)
    drawn(size_distribution(told(RADII["one"])))
    assert dict(mpl.rcParams) == before


def test_axes_are_arranged_once_for_all_forms_and_anew_for_the_next_call():
    figure = size_distribution(told(RADII["many"]))
    layout, (axes,) = figure.get_layout_engine(), figure.axes
    png, _, svg = figure_forms(figure, FORMS)
    assert figure.get_layout_engine() is layout
    narrow = axes.get_position().width
    assert png == figure_bytes(size_distribution(told(RADII["many"])), "png")
    assert svg.startswith(b"<?xml")
    axes.set_ylabel("two\nlines")
    figure_bytes(figure, "svg")
    assert axes.get_position().width < narrow


@pytest.mark.parametrize(("value", "text"), [(1, "10⁰"), (1000, "10³"), (1e12, "10¹²"), (0.01, "10⁻²")])
def test_decades_are_plain_text(value, text):
    axes = Figure().add_subplot()
    axes.set_yscale("log")
    label_decades(axes.yaxis)
    assert axes.yaxis.get_major_formatter()(value) == text
    assert not any(axes.yaxis.get_minor_formatter().format_ticks([2 * value, 3 * value]))
