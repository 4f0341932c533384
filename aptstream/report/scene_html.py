"""The part of the page that holds the 3D view: a picture, and what the script makes of it where it can."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from aptstream.report.scene import Scene
from aptstream.report.scene_pack import pack, ramp

KEYS = (
    "Drag to turn, with the right button or Shift to move; wheel or pinch to zoom; a click on a particle shows its "
    "row. Keys: arrows turn, with Shift they move; + and − zoom; 0 resets; N and P go from particle to particle; Esc "
    "lets go."
)
#: Share of the ions that are drawn at first, in percent: few enough to see the particles.
FIRST_SHARE = 25
#: The views that buttons offer: name on the button, what it is read out as.
LOOKS = (("x", "Look along x"), ("y", "Look along y"), ("z", "Look along z"), ("⟲", "Reset the view"))


@dataclass(frozen=True)
class View:
    """The 3D view of a page.

    Parameters
    ----------
    scene : Scene
        What it shows.
    still : bytes
        A picture of it, PNG: for browsers without WebGL.
    """

    scene: Scene
    still: bytes


def view_section(view: View | None) -> Iterator[str]:
    """Write the section, or nothing where there is no view.

    Parameters
    ----------
    view : View, optional
        What is shown.

    Yields
    ------
    str
        Lines of HTML. All names are escaped; none of them reaches the script as anything but text.
    """
    if view is None:
        return
    scene = view.scene
    source = f"data:image/png;base64,{base64.b64encode(view.still).decode()}"
    yield '<section class="view" aria-labelledby="view-title">'
    yield f'<h2 id="view-title">{"Particles" if scene.bodies else "Ions"} in 3D</h2>'
    yield f'<p class="still"><img src="{source}" alt="{escape(_described(scene))}"></p>'
    yield '<div class="stage" hidden>'
    yield '<div class="scene">'
    yield (
        f'<canvas class="solid" tabindex="0" role="img" aria-label="{escape(_described(scene))}" '
        f'aria-describedby="view-keys"></canvas>'
    )
    yield '<canvas class="words" aria-hidden="true"></canvas>'
    yield '<div class="looks" role="group" aria-label="Views">'
    for look, told in LOOKS:
        yield f'<button type="button" data-look="{look}" title="{told}" aria-label="{told}">{look}</button>'
    yield "</div>"
    yield "</div>"
    yield from _layers(scene)
    picked = "No particle chosen: click one, or a row of the table." if scene.bodies else "No particle can be drawn."
    yield f'<p class="picked" role="status">{picked}</p>'
    yield "</div>"
    if scene.note:
        yield f'<p class="note">{escape(scene.note)}</p>'
    yield f'<p class="note keys" id="view-keys" hidden>{escape(KEYS)}</p>'
    yield f'<script type="application/json" class="data">{pack(scene)}</script>'
    yield "</section>"


def _described(scene: Scene) -> str:
    """Say in words what the picture shows."""
    n = f"{len(scene.bodies):,} particle{'s' if len(scene.bodies) != 1 else ''}"
    size = " × ".join(f"{high - low:g}" for low, high in zip(scene.low_nm, scene.high_nm, strict=True))
    return f"{n} in a specimen of {size} nm, seen from the side, z upwards"


def _layers(scene: Scene) -> Iterator[str]:
    """Write what is switched on and off."""
    yield '<div class="layers">'
    if scene.bodies:
        yield "<fieldset><legend>Particles</legend>"
        yield _switch("particles", "surfaces", f"{len(scene.bodies):,}", shown=True)
        yield '<div class="by" role="radiogroup" aria-label="Colour of the particles">'
        yield _choice("radius", "radius", chosen=True)
        yield _choice("order", "mean order", chosen=False)
        yield "</div>"
        yield from _colour_bar(scene)
        yield "</fieldset>"
    if scene.ions:
        yield "<fieldset><legend>Ions</legend>"
        for number, layer in enumerate(scene.ions):
            circle = f'<circle cx="5" cy="5" r="4.5" fill="{escape(layer.colour)}"/>'
            dot = f'<svg class="dot" viewBox="0 0 10 10" aria-hidden="true">{circle}</svg>'
            count = f'<span data-count="{number}">{len(layer.position_nm):,}</span> of {layer.n_all:,}'
            yield _switch(f"ions-{number}", f"{dot}{escape(layer.name)}", count, shown=layer.shown)
        yield (
            f'<label class="many"><span>fewer</span><input type="range" min="2" max="100" value="{FIRST_SHARE}" '
            f'data-share aria-label="Share of the ions that are drawn, in percent"><span>more</span></label>'
        )
        yield "</fieldset>"
    yield '<fieldset class="frame"><legend>Frame</legend>'
    yield _switch("box", "box and axes", "", shown=True)
    yield "</fieldset>"
    yield "</div>"


def _switch(layer: str, words: str, beside: str, *, shown: bool) -> str:
    checked = " checked" if shown else ""
    box = f'<input type="checkbox" data-layer="{layer}"{checked}>'
    return f"<label>{box}<span>{words}</span> <small>{beside}</small></label>"


def _choice(value: str, words: str, *, chosen: bool) -> str:
    checked = " checked" if chosen else ""
    return f'<label><input type="radio" name="colour" value="{value}"{checked}><span>{words}</span></label>'


def _colour_bar(scene: Scene) -> Iterator[str]:
    """Write the colour bar twice, once for each quantity; the script shows the one that is meant."""
    values = {
        "radius": ("radius (nm)", [body.radius_nm for body in scene.bodies], ".1f"),
        "order": ("mean order", [body.mean_order for body in scene.bodies], ".2f"),
    }
    colours = ramp()
    cells = "".join(f'<rect x="{x}" width="1.1" height="1" fill="{fill}"/>' for x, fill in enumerate(colours))
    for name, (title, of, form) in values.items():
        low, high = min(of), max(of)
        ends = f"<span>{low:{form}}</span><span>{(low + high) / 2:{form}}</span><span>{high:{form}}</span>"
        hidden = "" if name == "radius" else " hidden"
        yield f'<div class="bar" data-bar="{name}"{hidden}>'
        told = f"{title}, from {low:{form}} to {high:{form}}"
        shape = f'viewBox="0 0 {len(colours)} 1" preserveAspectRatio="none"'
        yield f'<svg {shape} role="img" aria-label="{told}">{cells}</svg>'
        yield f'<div class="ends">{ends}</div><div class="of">{title}</div>'
        yield "</div>"
