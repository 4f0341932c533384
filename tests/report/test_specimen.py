"""Pictures of ions: every species in its colour, as many as stated, and planes where they are."""

import numpy as np
import pytest
from figure_checks import drawn, same_twice, titles

from aptstream.cloud import ingest
from aptstream.crystal import Crystal
from aptstream.errors import PlanError
from aptstream.io import write_pos
from aptstream.points import Range, RangeTable
from aptstream.report import specimen
from aptstream.report.colours import ion_colours
from aptstream.report.specimen import clearest_place, lattice_slice, specimen_figure

SPACING = Crystal("L12", 0.405).plane_spacing_nm


def test_specimen_from_two_sides(specimen_store):
    figure = drawn(specimen_figure(specimen_store))
    assert titles(figure)[:2] == ["a   Seen along y", "b   Seen along x"]
    counts, colours = specimen_store.species_counts(), ion_colours(specimen_store.ranges)
    low, high = specimen_store.box.low, specimen_store.box.high
    for axes, across in zip(figure.axes, (0, 1), strict=False):
        assert {line.get_color() for line in axes.lines} == set(colours.values())
        for line in axes.lines:
            x, z = line.get_data()
            assert low[across] <= x.min() < x.max() <= high[across]
            assert low[2] <= z.min() < z.max() <= high[2]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    for line, label in zip(figure.axes[0].lines, legend, strict=True):
        name, _, rest = label.partition(" (1 in ")
        assert len(line.get_xdata()) == -(-counts[name] // int(rest.rstrip(")") or 1))


def test_ions_are_thinned_over_blocks_as_over_one(specimen_store, monkeypatch):
    whole = specimen._thinned(specimen_store, {"Al": 7, "Li": 1})
    monkeypatch.setattr("aptstream.cloud.store.STREAM_ROWS", 1001)
    parts = specimen._thinned(specimen_store, {"Al": 7, "Li": 1})
    for name in whole:
        np.testing.assert_array_equal(whole[name], parts[name])


def test_a_slice_shows_planes(specimen_store):
    figure = drawn(lattice_slice(specimen_store, SPACING))
    assert figure.axes[1].get_title(loc="left") == f"b   Ticks: {SPACING:.4f} nm"
    ions = specimen_store.query(specimen._slice_box(clearest_place(specimen_store, SPACING)), columns=())
    assert sum(len(line.get_xdata()) for line in figure.axes[0].lines) == (ions.species > 0).sum()
    profile = figure.axes[1].patches[0].get_data()
    middle = (profile.edges[1:] + profile.edges[:-1]) / 2
    ticks = figure.axes[1].lines[0].get_ydata()
    near = np.abs(middle[:, None] - ticks).min(axis=1)
    assert profile.values[near < SPACING / 8].mean() > 1.5 * profile.values[near > 3 * SPACING / 8].mean()


def test_the_clearest_place_has_planes(tmp_path):
    rng = np.random.default_rng(2)
    position = rng.random((60_000, 3)) * (40, 20, 20)
    right = position[:, 0] > 30 - 5  # planes round the last quarter only
    position[right, 2] = np.round(position[right, 2] / 0.2) * 0.2
    write_pos(tmp_path / "half.pos", position.astype("f4"), np.full(len(position), 13.5, "f4"))
    table = RangeTable((Range(13, 14, (("Al", 1),)),))
    store = ingest(tmp_path / "half.pos", ranges=table, out=tmp_path / "half.zarr")
    assert clearest_place(store, 0.2)[0] == pytest.approx(30, abs=0.1)


def test_outside_there_is_nothing_to_show(specimen_store):
    with pytest.raises(PlanError, match="no ranged ions"):
        lattice_slice(specimen_store, SPACING, (500, 0, 0))


@pytest.mark.slow
def test_pictures_are_the_same_twice(specimen_store):
    same_twice(lambda: specimen_figure(specimen_store))
