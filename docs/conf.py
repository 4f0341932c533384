"""How Sphinx makes the pages: ``sphinx-build -W docs site``."""

from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

from sphinx.application import Sphinx

import aptstream

project = "aptstream"
version = release = aptstream.__version__
copyright = "the authors of aptstream"  # noqa: A001  (Sphinx wants this name)
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"aptstream {version}"
default_role = "literal"
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
autodoc_typehints = "none"  # the docstrings tell types with shapes and units

#: What the rooms are for, in the order in which ions go through them.
ROOMS = {
    "crystal": "Crystals",
    "io": "Files of ions and ranges",
    "points": "Ions and ranges in memory",
    "regions": "Regions",
    "cloud": "The point store",
    "pole": "Poles and planes",
    "simulate": "Specimens with known truth",
    "sdm": "Spatial distribution maps",
    "model": "Models",
    "scan": "Scans",
    "grid": "Votes, order and particles",
    "phases": "Sites and phases",
    "peers": "Other methods beside it",
    "report": "Report and figures",
    "reproduce": "Images from an instrument, judged by networks of the publication",
    "checking": "Checks of a result",
    "cluster": "Workers",
    "errors": "Errors",
}


def write_reference(_app: object) -> None:
    """Write a page with every public name, grouped by room, so that none is forgotten."""
    by_room: dict[str, list[str]] = {room: [] for room in ROOMS}
    for name, home in aptstream._HOME.items():
        by_room.setdefault(home.removeprefix("aptstream.").split(".")[0], []).append(name)
    lines = ["API reference", "=============", "", "Every name is in the package: ``import aptstream as apt``.", ""]
    for room, names in by_room.items():
        title = ROOMS.get(room, room)
        lines += [title, "-" * len(title), ""]
        for name in sorted(names):
            thing = getattr(importlib.import_module(aptstream._HOME[name]), aptstream._NAME_AT_HOME.get(name, name))
            kind = (
                "autoexception" if name.endswith("Error") else "autoclass" if inspect.isclass(thing) else "autofunction"
            )
            lines += [f".. {kind}:: {thing.__module__}.{thing.__qualname__}"]
            lines += ["   :members:", ""] if kind == "autoclass" else [""]
    page = Path(__file__).with_name("api.rst")
    text = "\n".join(lines)
    if not page.is_file() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


def plain_text(_app: object, _kind: str, _name: str, _thing: object, _options: object, lines: list[str]) -> None:
    """Keep bars as bars, and list the sources of a docstring: their numbers would clash on the common page."""
    for number, line in enumerate(lines):
        text = line if line.lstrip().startswith(">>>") else re.sub(r"\[(\d)\]_", r"[\1]", line.replace("|", r"\|"))
        lines[number] = re.sub(r"^(\s*)\.\. \[\d\] ", r"\1-  ", re.sub(r"(`[^`]+`)(?=[³²])", r"\1\\", text))


def to_pages(_app: object, _name: str, content: list[str]) -> None:
    """Point links that leave this folder, as they stand for readers of the sources, to pages of the site."""
    content[0] = content[0].replace("](../bench/README.md", "](measured.md").replace("](../README.md", "](index.md")


def setup(app: Sphinx) -> None:
    """Have the reference written before pages are read."""
    app.connect("builder-inited", write_reference)
    app.connect("autodoc-process-docstring", plain_text, priority=900)
    app.connect("source-read", to_pages)
    app.connect("include-read", lambda app, _path, parent, content: to_pages(app, parent, content))
