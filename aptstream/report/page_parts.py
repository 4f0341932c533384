"""Style and script of the page, read from the files beside this one; the page's security policy names their hashes."""

from __future__ import annotations

from importlib.resources import files


def _read(*names: str) -> str:
    folder = files("aptstream.report")
    return "\n" + "\n".join(folder.joinpath(name).read_text(encoding="utf-8") for name in names)


STYLE = _read("page.css", "view3d.css")
SCRIPT = _read("table.js", "view3d.js")
