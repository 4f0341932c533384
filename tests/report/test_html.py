"""The page: everything escaped, nothing loaded, strict policy, small. What a browser says: `test_browser.py`."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from aptstream.report.figures import cube_probability_histogram, figure_bytes
from aptstream.report.html import MOST_ROWS, Page, render, write_page
from aptstream.report.tables import ParticleTable

EVIL = "<script>alert('1')</script>\"&"
PNG = figure_bytes(cube_probability_histogram(np.array([0.1, 0.2]), 0, edge_nm=4), "png")
SVG = figure_bytes(cube_probability_histogram(np.array([0.1, 0.2]), 0, edge_nm=4), "svg")


def full_page(n_rows: int = 3) -> Page:
    rows = tuple((str(i), f"{(i * 7) % 11 - 5}.000", str(i), EVIL) for i in range(1, n_rows + 1))
    return Page(
        title=EVIL,
        sentence=f"Three particles {EVIL}.",
        warnings=[EVIL],
        numbers=[(EVIL, "2.5 nm " + EVIL)],
        figures=[("Sizes. " + EVIL, SVG), (EVIL, PNG)],
        particles=ParticleTable(("id", "x_nm", "n_voxels", EVIL + "_at_pct"), rows),
        settings={EVIL: EVIL},
        provenance={"file": EVIL},
    )


def test_rows_say_their_particle():
    rows = [attributes for tag, attributes in Collector(render(full_page())).tags if tag == "tr"]
    assert [row.get("data-particle") for row in rows] == [None, "3", "2", "1"]
    bare = Page("R", "S.", particles=ParticleTable(("x_nm",), (("1",),)))
    assert "data-particle" not in render(bare).split("<script>")[0].split("</style>")[1]


class Collector(HTMLParser):
    """Gathers tags with their attributes, and the text of the table's cells."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "td":
            self.cells.append("")

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "td" and data.strip():
            self.cells[-1] += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.tags)


def test_names_are_text():
    page = render(full_page())
    assert "<script>alert" not in page
    seen = Collector(page)
    assert seen.count("script") == 1
    assert EVIL in seen.cells
    assert not any(name.startswith("on") for _, attributes in seen.tags for name in attributes)


def test_nothing_is_loaded_from_outside():
    page = render(full_page())
    assert "http://" not in page
    assert "https://" not in page
    for tag, attributes in Collector(page).tags:
        for name in ("src", "href"):
            assert attributes.get(name, "data:").startswith("data:"), tag
    assert "url(" not in page
    assert "@import" not in page


def test_policy_is_strict():
    metas = [attributes for tag, attributes in Collector(render(full_page())).tags if tag == "meta"]
    (policy,) = [m["content"] for m in metas if m.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert re.fullmatch(r"'sha256-[\w+/]{43}='", rules["script-src"])
    assert re.fullmatch(r"'sha256-[\w+/]{43}='", rules["style-src"])
    assert "unsafe" not in policy


def test_figures_have_texts():
    images = [attributes for tag, attributes in Collector(render(full_page())).tags if tag == "img"]
    assert images[0]["alt"] == "Figure 1: Sizes"
    assert [image["src"].split(";")[0] for image in images] == ["data:image/svg+xml", "data:image/png"]


def test_what_only_the_file_has_is_not_on_the_page():
    columns = ("id", "n_voxels", "radius_sd_nm", "guinier_nm", "Li_at_pct", "Li_sd_at_pct", "Li_inside_at_pct")
    table = ParticleTable(columns, (("1", "9", "0.05", "1.77", "19.5", "1.25", "17.75"),))
    page = render(replace(full_page(), particles=table))
    assert Collector(page).cells == ["1", "9", "0.05", "19.5", "1.25"]
    for heading in ("± (nm)", "Li (at.%)", "± (at.%)"):
        assert f">{heading}</th>" in page


def test_intervals_stand_below_their_numbers():
    page = render(replace(full_page(), numbers=[("number", "1.29 (95%: 0.86–1.88) × 10²⁴ m⁻³"), ("x", EVIL)]))
    told = "1.29 × 10²⁴ m⁻³".replace(" ", "\N{NO-BREAK SPACE}")
    assert f"<dd>{told} <small>95%: 0.86–1.88</small></dd>" in page
    assert "<script>alert" not in page


def test_only_the_largest_particles_are_shown():
    page = render(full_page(MOST_ROWS + 20))
    cells = Collector(page).cells
    assert cells[2] == str(MOST_ROWS + 20)
    assert len(cells) == 4 * MOST_ROWS
    assert (
        f"The {MOST_ROWS} largest of {MOST_ROWS + 20} particles; all of them, with more columns, are in particles.csv."
        in page
    )


def test_empty_page_says_its_sentence():
    page = render(Page("Si", "No ordered particles were found."))
    assert "No ordered particles were found." in page
    assert Collector(page).count("table") == 0


def test_page_stays_small(tmp_path):
    huge = PNG + bytes(7_000_000)
    path = tmp_path / "report.html"
    write_page(path, Page("R", "S.", figures=[("A", huge), ("B", huge), ("C", PNG)]))
    page = path.read_text(encoding="utf-8")
    assert path.stat().st_size < 15e6
    assert "folder of figures: figure 2." in page
    assert "Figure 3." in page
    assert "Figure 2." not in page


def test_unknown_image_leaves_the_old_page(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("precious")
    with pytest.raises(ValueError, match="SVG or PNG, found that figure 1 begins with b'GIF89a'"):
        write_page(path, Page("R", "S.", figures=[("A", b"GIF89a")]))
    assert path.read_text() == "precious"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
