"""What objects show of themselves in a notebook: short tables with units, in which no text is markup."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np

from aptstream.grid.files import GridFile
from aptstream.grid.precipitates import find_precipitates
from aptstream.grid.vote import VoxelGrid, vote
from aptstream.showing import N_SHOWN, fact_table, row_table

EVIL = "<script>alert(1)</script>"


class Page(HTMLParser):
    """Tags and text of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.texts.append(data)


def shown(thing):
    """The texts of what an object shows; nothing but tables is in it."""
    page = Page(thing._repr_html_())
    assert set(page.tags) <= {"div", "b", "table", "tr", "th", "td"}
    assert page.tags.count("tr") <= 12
    return page.texts


def test_no_text_is_markup():
    for html in (fact_table(EVIL, {EVIL: EVIL}), row_table(EVIL, [EVIL], [[EVIL]])):
        page = Page(html)
        assert "script" not in page.tags
        assert page.texts == [EVIL] * 3


def test_a_store_shows_its_ions_and_where_they_are(specimen_store):
    texts = shown(specimen_store)
    assert f"{specimen_store.n_ions:,}" in texts
    assert {"x (nm)", "y (nm)", "z (nm)", str(specimen_store.address)} <= set(texts)


def test_a_scan_shows_what_was_looked_for(specimen_scan):
    texts = shown(specimen_scan)
    assert {"Al", "Li, Mg", "18 × 18 × 20"} <= set(texts)
    assert f"{specimen_scan.planes.period_nm:.4f}" in texts


def test_a_model_with_an_evil_name_shows_it_as_text(model):
    assert EVIL in shown(replace(model, name=EVIL))


def test_a_grid_and_its_votes_show_their_extent(specimen_scan):
    votes = VoxelGrid(np.zeros((4, 5, 6), "f4"), np.ones((4, 5, 6), "u2"), 4, (1.0, 2.0, -3.5))
    assert {"4 × 5 × 6", "1, 2, -3.5", "0 … 64"} <= set(shown(votes))
    order = np.full((4, 5, 6), np.nan, "f4")
    order[0] = 0.5
    labels = np.zeros((4, 5, 6), "i4")
    labels[0, 0, :2] = 1, 2
    assert {"30", "2", EVIL} <= set(shown(GridFile(votes, order, labels, EVIL)))
    lazy = vote(specimen_scan)
    assert "18 × 18 × 20" in shown(lazy)


def test_particles_show_the_largest_first_and_how_many_there_are():
    order = np.zeros((60, 4, 4), "f4")
    for number in range(12):
        order[5 * number : 5 * number + 4, 0, : 1 + (number == 7)] = 0.75
    found = find_precipitates(order, cut=0.5, min_voxels=1, origin_nm=(0.0, 0.0, 0.0))
    texts = shown(found)
    assert texts[0] == f"12 particles, the {N_SHOWN} largest"
    first = texts.index("at the edge") + 1
    assert texts[first : first + 4] == ["1", "37.0", "0.5", "1.0"]
    assert {"radius (nm)", "8.0", "0.75"} <= set(texts)
    assert shown(find_precipitates(order * 0, cut=0.5, min_voxels=1, origin_nm=(0.0, 0.0, 0.0)))[0] == "0 particles"
