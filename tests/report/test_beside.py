"""What verbs leave beside a result: it comes back as it was, only onto the page it belongs to, and is not trusted."""

from __future__ import annotations

import hashlib
import json

import pytest

from aptstream.report.beside import SECTION, Beside, read_sections, save_section
from aptstream.report.html import Page, Section, render
from aptstream.report.style import blank, save_figure
from aptstream.report.tables import ParticleTable

EVIL = "<script>alert('1')</script>\"&"
STAMP = {"scan_sha256": "a" * 64, "grid_sha256": "b" * 64}
SECTIONS = {
    "phases": Section("Both", f"It is {EVIL}.", {EVIL: EVIL}, table=ParticleTable((EVIL, "σ"), ((EVIL, "3.1"),))),
    "check": Section("Trust", "It can be trusted.", warnings=[EVIL]),
}


@pytest.fixture
def result(tmp_path):
    """A result with two sections, one of them with two figures."""
    for verb, section in SECTIONS.items():
        (tmp_path / verb).mkdir()
        save_figure(blank(40, 30), tmp_path / verb / "one")
        save_figure(blank(183, 160), tmp_path / verb / "figures" / "two")
        captions = {"one.png": EVIL, "figures/two.png": "Two. More."} if verb == "phases" else {}
        save_section(tmp_path / verb, section, captions=captions, stamp=STAMP)
    return tmp_path


def test_sections_come_back_in_the_order_of_the_page(result):
    found = read_sections(result, STAMP)
    assert found.not_shown == ()
    phases, check = found.sections
    assert (phases.title, phases.sentence, phases.facts) == ("Both", f"It is {EVIL}.", {EVIL: EVIL})
    assert phases.table == SECTIONS["phases"].table
    assert [caption for caption, _ in phases.figures] == [EVIL, "Two. More."]
    assert [data for _, data in phases.figures] == [
        (result / "phases" / name).read_bytes() for name in ("one.png", "figures/two.png")
    ]
    assert list(check.warnings) == [EVIL]


def test_their_texts_are_text_and_their_warnings_stand_on_top(result):
    page = render(Page("R", "S.", sections=read_sections(result, STAMP).sections))
    assert "<script>alert" not in page
    assert page.index('class="warnings"') < page.index("<h2>Both</h2>") < page.index("<h2>Trust</h2>")
    assert '<td class="text">&lt;script&gt;' in page
    assert "<td>3.1</td>" in page
    assert page.index('<figure class="narrow">') < page.index('<figure class="wide">')


def test_nothing_beside_a_result_is_nothing(tmp_path):
    assert read_sections(tmp_path, STAMP) == Beside()


@pytest.mark.parametrize("stamp", [{**STAMP, "grid_sha256": "c" * 64}, {}])
def test_what_belongs_to_another_result_is_named_and_not_shown(result, stamp):
    found = read_sections(result, stamp)
    assert found.sections == ()
    assert [note.split(" is not shown")[0] for note in found.not_shown] == [
        f"What aptstream {verb} left belongs to another result and" for verb in SECTIONS
    ]


def test_a_folder_of_an_older_version_is_named(result):
    (result / "check" / SECTION).unlink()
    found = read_sections(result, STAMP)
    assert len(found.sections) == 1
    assert found.not_shown == (
        "What aptstream check left was made by an older version and is not shown. Run aptstream check again to see it "
        "here.",
    )


def told(result):
    return json.loads((result / "phases" / SECTION).read_text(encoding="utf-8"))


def changed(result, value):
    """Write another JSON value in the place of the section."""
    (result / "phases" / SECTION).write_text(json.dumps(value), encoding="utf-8")
    found = read_sections(result, STAMP)
    assert [section.title for section in found.sections] == ["Trust"]
    (note,) = found.not_shown
    return note


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"version": 2},
        {"version": True},
        {"of": None},
        {"title": 7},
        {"sentence": "x" * 2001},
        {"warnings": "w"},
        {"warnings": ["w"] * 201},
        {"facts": []},
        {"facts": {"a": None}},
        {"table": {"columns": ["a"], "rows": [["1", "2"]]}},
        {"table": {"columns": ["a"]}},
        {"table": {"columns": [["a"]], "rows": []}},
        {"figures": [{}]},
        {"surprise": 1},
        {"sentence": "\ud800"},
        {"warnings": ["\x1b[2J"]},
    ],
)
def test_members_that_cannot_be_right_are_refused(result, change):
    assert "phases left is damaged" in changed(result, {**told(result), **change})


@pytest.mark.parametrize("value", [None, 7, [], "section", {}])
def test_other_json_is_refused(result, value):
    assert "phases left is damaged" in changed(result, value)


@pytest.mark.parametrize(
    "name",
    ["../check/one.png", "/etc/passwd", "one.pdf", "figures/../one.png", "none.png", "a/b/one.png", "one.png\n", 3],
)
def test_only_figures_of_the_folder_are_read(result, name):
    section = told(result)
    section["figures"][0]["file"] = name
    assert "phases left is damaged" in changed(result, section)


def test_a_figure_that_was_changed_linked_or_made_huge_is_refused(result):
    section, file = told(result), result / "phases" / "one.png"
    whole = file.read_bytes()
    start = dict(section["figures"][0], sha256=hashlib.sha256(whole[:8]).hexdigest())
    file.write_bytes(whole[:8])
    assert "is not the one that was written" in changed(result, {**section, "figures": [start]})
    for data in (whole[:-1], b"<svg>" + whole, whole + bytes(5 << 20)):
        file.write_bytes(data)
        assert "is not the one that was written" in changed(result, section)
    file.unlink()
    (result / "elsewhere.png").write_bytes(whole)
    file.symlink_to(result / "elsewhere.png")
    assert "one.png is missing" in changed(result, section)


def test_a_section_that_is_no_json_or_huge_is_refused(result):
    file = result / "phases" / SECTION
    for text in ("{", "[" * 100_000, " " * (1 << 20) + "{}"):
        file.write_text(text)
        assert "phases left is damaged" in read_sections(result, STAMP).not_shown[0]
