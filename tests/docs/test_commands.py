"""Every command of README and docs runs on a small specimen laid out under the names that they use."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
import typer
from commands import done, understood

from aptstream.cli import app

HOUSE = Path(__file__).resolve().parents[2]
PAGES = [HOUSE / "README.md", *sorted((HOUSE / "docs").glob("*.md"))]
BLOCK = re.compile(r"(?:^ *<!-- not run: (?P<why>[^>]+) -->\n)?^ *```(?P<kind>\w*)\n(?P<text>.*?)^ *```$", re.M | re.S)


class Block(NamedTuple):
    """A fenced block: why it cannot run here, its language, and its text."""

    why: str | None
    kind: str
    text: str


def blocks(page):
    """The fenced blocks of a page."""
    return [Block(*found.groups()) for found in BLOCK.finditer(page.read_text(encoding="utf-8"))]


def commands(text):
    """The words of the aptstream commands of a block, without comments."""
    lines = (line.strip().removeprefix("$ ") for line in text.splitlines())
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("aptstream ")]


def run_here(page, kind):
    """The texts of the blocks of one language that can run here."""
    return [block.text for block in blocks(page) if block.kind == kind and block.why is None]


def pages(chosen):
    """One test for each of these pages."""
    return pytest.mark.parametrize("page", chosen, ids=lambda page: page.name)


WITH_COMMANDS = [page for page in PAGES if any(commands(text) for text in run_here(page, ""))]
WITH_PYTHON = [page for page in PAGES if run_here(page, "python")]


@pages(PAGES)
def test_every_command_exists_with_its_options(page):
    root = typer.main.get_command(app)
    text = page.read_text(encoding="utf-8")
    inline = re.findall(r"(?<!`)`aptstream ([a-z][^`]*)`", text)
    fenced = [words for block in blocks(page) if block.kind == "" for words in commands(block.text)]
    for words in [*fenced, *(shlex.split(part) for part in inline)]:
        understood(root, words)


def test_pages_that_have_something_to_run_are_found():
    assert {"README.md", "tutorial.md", "compare.md", "phases.md"} <= {page.name for page in WITH_COMMANDS}
    assert {"README.md", "tutorial.md", "phases.md"} <= {page.name for page in WITH_PYTHON}


def test_a_command_that_does_not_exist_is_seen():
    (words,) = commands("  aptstream scan R5096.zarr --fresher  # a word\n")
    with pytest.raises(AssertionError, match="--fresher"):
        understood(typer.main.get_command(app), words)


@pytest.fixture(scope="session")
def specimen(tmp_path_factory):
    """A specimen under the names that the pages use."""
    folder = tmp_path_factory.mktemp("pages")
    done("simulate", "--size-nm", 24, 24, 30, "--seed", 2, "--out", folder / "s")
    for suffix in (".pos", ".rrng", ".truth.json"):
        shutil.copy(folder / "s" / f"specimen{suffix}", folder / f"R5096{suffix}")
    shutil.rmtree(folder / "s")
    done("ingest", folder / "R5096.pos", "--ranges", folder / "R5096.rrng", "--out", folder / "R5096.zarr")
    shutil.copytree(folder / "R5096.zarr", folder / "points.zarr")
    return folder


#: What stands on a page before: folders that an earlier command of the README made.
BEFORE = ["run R5096.pos --ranges R5096.rrng --host Al --solute Li,Mg --out R5096"]


@pytest.mark.slow
@pages(WITH_COMMANDS)
def test_every_command_runs_in_the_order_of_the_page(page, specimen, tmp_path, monkeypatch):
    wanted = [words for text in run_here(page, "") for words in commands(text)]
    here = tmp_path / "here"
    shutil.copytree(specimen, here)
    monkeypatch.chdir(here)
    made = {words[words.index("--out") + 1] for words in wanted if "--out" in words}
    if "R5096" not in made and any("R5096" in " ".join(words) for words in wanted):
        wanted[:0] = [shlex.split(command) for command in BEFORE]
    for words in wanted:
        words[:] = [word.replace("s3://bucket", "memory://bucket") for word in words]
        if "--workers" in words:  # what is meant for many cores runs here in this process
            words[words.index("--workers") + 1] = "0"
        elif words[0] in ("run", "demo", "scan", "pole"):
            words += ["--workers", "0"]
        done(*words)


#: What pages take from others, or from the reader.
FROM_ELSEWHERE = ("pandas",)


@pytest.mark.slow
@pages(WITH_PYTHON)
def test_the_python_of_a_page_runs_from_top_to_bottom(page, specimen, tmp_path, monkeypatch):
    parts = run_here(page, "python")
    for package in FROM_ELSEWHERE:
        if any(f"import {package}" in part for part in parts):
            pytest.importorskip(package, reason="comes with the extra 'docs' only")
    here = tmp_path / "here"
    shutil.copytree(specimen, here)
    monkeypatch.chdir(here)
    done(*shlex.split(BEFORE[0]), "--workers", 0)
    done("info", "R5096", "--json", "R5096-info.json")
    shutil.copytree("R5096", "demo")
    shutil.rmtree("R5096.zarr")
    import aptstream as apt

    store = apt.open_store("points.zarr")
    known = {
        "apt": apt,
        "store": store,
        "grid": apt.open_grid("R5096"),
        "positions": store.query(store.box).position[:9],
    }
    for part in parts:
        exec(compile(part.replace("s3://bucket", "memory://bucket"), page.name, "exec"), known)
