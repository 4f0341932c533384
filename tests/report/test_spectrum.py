"""The figure of the mass spectrum: every ion named once a run of ranges, unranged peaks marked, nothing left out."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from aptstream.cloud.spectrum import MassSpectrum
from aptstream.points import Range, RangeTable
from aptstream.report.colours import ELEMENT_COLOURS, ion_colours
from aptstream.report.spectrum import spectrum_figure
from aptstream.report.style import figure_bytes

AL, LI, CRO2 = (("Al", 1),), (("Li", 1),), (("Cr", 1), ("O", 2))
TABLE = RangeTable(
    (
        *(Range(13.2, 13.8, AL, colour="123456"), Range(26.8, 27.2, AL), Range(6.7, 7.3, LI)),
        *(Range(41.9, 42.2, CRO2), Range(44, 45, (), name="Hyd"), Range(300, 301, LI)),
    )
)


def spectrum_of(mass, table=TABLE, bin_da=0.01):
    mass = np.asarray(mass, float)
    unranged = ~np.any([(mass >= r.low_da) & (mass < r.high_da) for r in table.ranges], axis=0)
    edges = np.linspace(0, 400, round(400 / bin_da) + 1)
    counts, free = (np.histogram(m, edges)[0] for m in (mass, mass[unranged]))
    return MassSpectrum(bin_da, counts, free, int((mass >= 400).sum()), table)


def many(seed=1):
    rng = np.random.default_rng(seed)
    parts = [rng.normal(at, 0.02, n) for at, n in ((13.5, 9000), (27, 500), (7, 800), (42, 300), (44.5, 90))]
    return np.concatenate([*parts, rng.uniform(0, 399, 2000), rng.normal(18.02, 0.02, 700), [500.0]])


def drawn(figure):
    """Render, so that warnings of the layout come to light too."""
    assert isinstance(figure, Figure)
    assert len(figure_bytes(figure, "png")) > 1000
    return figure


def names(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_ions_are_named_in_the_order_of_their_peaks():
    figure = drawn(spectrum_figure(spectrum_of(many())))
    found = names(figure)
    peak = float(found.pop(2))
    assert peak == pytest.approx(18.02, abs=0.02)
    assert found == ["Li", "Al", "CrO₂", "Hyd"]
    (title,) = [text.get_text() for text in figure.texts]
    assert title.startswith("13\u2009391 ions, ")
    assert f"largest unranged peak at {peak:.2f} Da, 5.2 % of all ions" in title
    assert "ions beyond this axis" in title


def test_every_ion_on_the_axis_is_drawn_in_the_colour_of_its_range():
    mass = many()
    figure = spectrum_figure(spectrum_of(mass))
    axes = figure.axes[0]
    end = axes.get_xlim()[1]
    heights, colours = 0, set()
    for patch in axes.patches:
        if hasattr(patch, "get_data") and patch.get_fill():
            heights += np.nansum(patch.get_data().values)
            colours.add(tuple(round(255 * part) for part in patch.get_facecolor()[:3]))
    # Bins below the foot of the axis are not drawn: none of these holds more than a background ion or two.
    assert 0.98 * (mass < end).sum() < heights <= (mass < end).sum()
    assert 45 < end < 50
    assert {(0x12, 0x34, 0x56), (0xCC, 0x80, 0xFF), (0x8F, 0x8F, 0x8F)} <= colours


def test_names_do_not_overlap():
    rng = np.random.default_rng(2)
    symbols = sorted(ELEMENT_COLOURS)
    ranges = tuple(Range(10 + i / 2, 10.4 + i / 2, ((symbols[i % 40], 1),)) for i in range(70))
    mass = np.concatenate([rng.normal(10.2 + i / 2, 0.05, 100 + 20 * i) for i in range(70)])
    figure = drawn(spectrum_figure(spectrum_of(mass, RangeTable(ranges))))
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = sorted((text.get_window_extent(renderer) for text in figure.axes[0].texts), key=lambda box: box.x0)
    assert 50 <= len(boxes) <= 60
    width = figure.bbox.width
    assert all(box.x0 >= 0 and box.x1 <= width for box in boxes)
    assert all(b.x0 >= a.x1 - 0.5 for a, b in itertools.pairwise(boxes))


@pytest.mark.parametrize(
    ("mass", "bin_da"),
    [*((mass, 0.01) for mass in ([], [13.5], [500.0], [0.0], 9999 * [7.0], [399.999])), ([], 10), ([399.999], 10)],
)
def test_whatever_a_store_may_hold(mass, bin_da):
    drawn(spectrum_figure(spectrum_of(mass, bin_da=bin_da)))


def test_a_range_of_everything_does_not_hide_the_peaks():
    table = RangeTable((Range(0, 400, (), name="All"),))
    figure = spectrum_figure(spectrum_of(np.random.default_rng(1).normal(27, 0.05, 5000), table))
    assert figure.axes[0].get_xlim()[1] < 40


def test_colours_of_the_file_come_first_then_those_of_the_elements():
    assert ion_colours(TABLE) == {
        "Al": "#123456",
        "Li": "#" + ELEMENT_COLOURS["Li"].lower(),
        "CrO2": "#5599ee",
        "Hyd": "#8c6d5a",
    }
    rare = RangeTable(tuple(Range(i, i + 1, ((symbol, 1),)) for i, symbol in enumerate(("Pr", "Nd", "Sm"))))
    assert len(set(ion_colours(rare).values())) == 3


def test_matplotlib_draws_the_same_bytes_twice():
    spectrum = spectrum_of(many())
    assert figure_bytes(spectrum_figure(spectrum), "svg") == figure_bytes(spectrum_figure(spectrum), "svg")
