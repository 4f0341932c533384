"""Second opinions: what agreement and disagreement mean, on particles of known kinds."""

from __future__ import annotations

import csv
import json

import matplotlib as mpl
import numpy as np
import pytest

from aptstream.errors import PlanError, RangingError, StoreError
from aptstream.grid.files import GridFile
from aptstream.grid.precipitates import find_precipitates
from aptstream.grid.vote import VoxelGrid
from aptstream.peers import Wanted, second_opinions
from aptstream.points import Roles
from aptstream.report.opinions import opinions_section
from aptstream.report.peers import opinions_figure, write_opinions

ROLES = Roles(("Al",), ("Li", "Mg"))
# Order and contrast, contrast alone, order alone.
BOTH, RICH, ORDERED = (6, 6, 6), (18, 6, 6), (6, 6, 17)


def grid_of(order, origin):
    found = find_precipitates(order, cut=0.5, min_voxels=1, origin_nm=origin)
    votes = VoxelGrid(order, np.ones(order.shape, "u2"), 4, origin)
    return GridFile(votes, order, found.labels, "")


@pytest.fixture(scope="module")
def three(store_of):
    rng = np.random.default_rng(3)
    position = rng.uniform(0, (24, 12, 23), (160_000, 3))

    def within(centre):
        return np.linalg.norm(position - centre, axis=1) < 3

    content = np.where(within(BOTH) | within(RICH), 0.3, 0.04)
    draw = rng.random(len(position))
    return store_of(position, np.where(draw < content, "Li", np.where(draw < 0.98, "Al", "Mg")))


@pytest.fixture(scope="module")
def grid(three):
    middle = np.moveaxis(np.indices(three.shape_cells), 0, -1) + 0.5
    order = np.zeros(three.shape_cells, "f4")
    for centre in (BOTH, ORDERED):
        order += 1 / (1 + np.exp((np.linalg.norm(middle - centre, axis=-1) - 3) / 0.4))
    return grid_of(order.astype("f4"), three.origin_nm)


@pytest.fixture(scope="module")
def opinions(three, grid):
    return second_opinions(three, ROLES, grid)


@pytest.mark.slow
def test_every_particle_is_told_to_be_what_it_is(opinions):
    centres = opinions.order.found.centroid_nm
    verdicts = dict(zip(["both" if c[2] < 12 else "ordered" for c in centres], opinions.order_verdicts, strict=True))
    assert verdicts == {"both": "both", "ordered": "order without contrast"}
    for opinion in opinions.others:
        assert len(opinion.found) == 2, opinion.method
        told = {c[0] < 12: v for c, v in zip(opinion.found.centroid_nm, opinions.verdicts(opinion), strict=True)}
        assert told == {True: "both", False: "contrast without order"}
    assert "1 are seen by composition too; 1 are order without contrast" in opinions.sentence
    assert "1 of 2 (DBSCAN)" in opinions.sentence


@pytest.mark.slow
def test_the_table_counts_what_is_in_the_volumes(opinions):
    order, *others = opinions.rows
    assert [row.method for row in others] == [
        *("isocomposition, 8 at.% Li", "isocomposition, tuned", "maximum separation", "DBSCAN")
    ]
    volume = 4 / 3 * np.pi * 27 / (24 * 12 * 23)
    assert order.volume_fraction == pytest.approx(2 * volume, rel=0.25)  # in voxels
    assert order.number_density_per_m3 == pytest.approx(2 / (24 * 12 * 23) * 1e27)
    assert (order.dice, order.n_without_order) == (None, None)
    for row in others:
        assert row.order_seen == 0.5
        assert row.n_without_order == 1
        assert 0.3 < row.dice < 0.65
        assert 0.25 < row.volume_ordered < 0.65
        assert row.mean_radius_nm == pytest.approx(3, abs=0.8)
        assert sum(row.at_percent.values()) == pytest.approx(100)
        assert row.at_percent["Li"] == pytest.approx(27, abs=9)


@pytest.mark.slow
def test_profiles_tell_the_phases_apart_where_there_is_contrast(opinions):
    across = opinions.profiles["isocomposition, tuned"].step
    assert across.inside_at_percent == pytest.approx(32, abs=2.5)
    assert across.outside_at_percent == pytest.approx(6, abs=0.5)
    # Half of the ordered particles have no contrast.
    assert opinions.profiles["order"].step.inside_at_percent == pytest.approx(19, abs=2)


@pytest.mark.slow
def test_a_cut_of_ones_own_takes_the_place_of_the_publications(three, grid):
    own = second_opinions(three, ROLES, grid, Wanted(solute_at_percent=15))
    assert own.others[0].method == "isocomposition, 15 at.% Li + Mg"
    with pytest.raises(PlanError, match="keeps no voxel"):
        second_opinions(three, ROLES, grid, Wanted(solute_at_percent=90))


@pytest.mark.slow
def test_a_surface_that_the_publication_would_draw_in_vain_is_a_note(store_of):
    rng = np.random.default_rng(4)
    position = rng.uniform(0, 12, (40_000, 3))
    store = store_of(position, np.where(rng.random(40_000) < 0.3, "Li", "Al"))
    told = second_opinions(store, Roles(("Al",), ("Li",)), grid_of(np.zeros(store.shape_cells, "f4"), (0, 0, 0)))
    row = told.rows[1]
    assert row.method == "isocomposition, 8 at.% Li"
    assert "keeps every voxel" in row.note
    assert row.n_particles is None
    assert told.rows[0].mean_radius_nm is None
    assert told.sentence.startswith("Of 0 ordered particles 0")


@pytest.mark.slow
def test_the_page_is_told_of_order_without_contrast(opinions):
    told = opinions_section(opinions)
    n, unseen = len(opinions.order_verdicts), opinions.order_verdicts.count("order without contrast")
    assert told.sentence == opinions.sentence
    assert told.warnings[0].startswith(f"{unseen} of {n} ordered particles are order without contrast")
    assert [row[0] for row in told.table.rows] == [row.method for row in opinions.rows]
    assert {len(row) for row in told.table.rows} == {len(told.table.columns)}


@pytest.mark.slow
def test_everything_is_written_without_a_number_that_is_none(opinions, tmp_path):
    write_opinions(opinions, tmp_path / "compare")
    names = {str(path.relative_to(tmp_path / "compare")) for path in (tmp_path / "compare").rglob("*.*")}
    figures = {f"figures/compare.{form}" for form in ("png", "pdf", "svg")}
    assert names == {"compare.csv", "compare.json", "verdicts.csv", *figures}
    for name in ("compare.csv", "compare.json", "verdicts.csv"):
        assert "nan" not in (tmp_path / "compare" / name).read_text().lower()
    with (tmp_path / "compare" / "compare.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    assert table[0]["dice_with_order"] == ""
    assert float(table[2]["Li_at_pct"]) == pytest.approx(opinions.rows[2].at_percent["Li"], rel=1e-5)
    facts = json.loads((tmp_path / "compare" / "compare.json").read_text())
    assert [row["method"] for row in facts["methods"]] == [row.method for row in opinions.rows]
    verdicts = (tmp_path / "compare" / "verdicts.csv").read_text().splitlines()
    assert len(verdicts) == 1 + sum(row.n_particles for row in opinions.rows)


def test_a_figure_is_drawn_of_nothing_too(store_of):
    before = dict(mpl.rcParams)
    rng = np.random.default_rng(5)
    store = store_of(rng.uniform(0, 9, (20_000, 3)), np.where(rng.random(20_000) < 0.1, "Mg", "Al"))
    order = np.full(store.shape_cells, np.nan, "f4")
    nothing = second_opinions(store, Roles(("Al",), ("Mg",)), grid_of(order, (0, 0, 0)))
    assert nothing.judged.any()
    assert nothing.others[0].method == "isocomposition, tuned"
    figure = opinions_figure(nothing)
    assert [axes.get_title(loc="left") for axes in figure.axes[-3:]] == [
        *("b   sizes, colours as in a and c", "c   agreement with order", "d   across the surfaces of")
    ]
    assert dict(mpl.rcParams) == before


def test_what_cannot_be_compared_is_said(three, mixed_store, grid):
    with pytest.raises(StoreError, match="do not belong together"):
        second_opinions(mixed_store, ROLES, grid)
    with pytest.raises(RangingError, match="Cu not among"):
        second_opinions(three, Roles(("Al",), ("Cu",)), grid)
    with pytest.raises(PlanError, match="length of 0 to 20 nm"):
        second_opinions(three, ROLES, grid, Wanted(delocalisation_nm=-1))
