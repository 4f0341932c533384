"""The verb `pole`, and the options with which `run` looks for planes."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from aptstream.cli_cluster import Workers, workers_for
from aptstream.cli_parts import PLANES, JsonTo, pole_of, stderr, tell, verb
from aptstream.cli_store import StoreName
from aptstream.display import StageDisplay

if TYPE_CHECKING:
    from aptstream.crystal import Crystal
    from aptstream.orientation import Wish
    from aptstream.pole import PoleSearch
    from aptstream.regions import Triple

Normal = Annotated[
    str | None,
    typer.Option(
        "--normal",
        help="Planes within 5° of a normal, such as 0,0.2,1.",
        rich_help_panel=PLANES,
    ),
]
AcceptCandidate = Annotated[
    bool,
    typer.Option("--accept-candidate", help="Go on with planes that are not confirmed.", rich_help_panel=PLANES),
]


def add_pole_verbs(app: typer.Typer) -> None:
    """Add the verbs of this module to the command line."""
    app.command()(verb(pole))


def pole(
    store: StoreName,
    crystal: Annotated[
        str | None, typer.Option("--crystal", help="Structure, such as FCC or L12, to name the planes.")
    ] = None,
    a_nm: Annotated[float | None, typer.Option("--a", help="Its lattice parameter in nm.")] = None,
    planes: Annotated[str | None, typer.Option("--pole", help="Only these planes, such as 0,1,1.")] = None,
    normal: Normal = None,
    accept_candidate: AcceptCandidate = False,
    out: Annotated[
        Path | None, typer.Option(help="Point store to make: its planes stand normal to z, flat, at their distance.")
    ] = None,
    region: Annotated[
        Literal["pole", "all"], typer.Option("--region", help="What to write there: where planes are seen, or all.")
    ] = "pole",
    figures: Annotated[Path | None, typer.Option(help="Folder for figures; made where it is not there.")] = None,
    workers: Workers = None,
    json_to: JsonTo = None,
) -> None:
    """Find the lattice planes of a reconstruction and name them.

    With --out they are turned normal to z and flattened too.

    Example: `aptstream pole R5096.zarr --crystal FCC --a 0.405 --out R5096-flat.zarr --figures R5096-poles`
    """
    from aptstream.cloud import open_store
    from aptstream.cloud.building import check_target
    from aptstream.orientation import Wish, choose
    from aptstream.pole import align, find_poles, flatten
    from aptstream.report.pole import pole_figures
    from aptstream.report.story import PoleStory

    what, direction = crystal_of(crystal, a_nm, planes), normal_of(normal)
    if out is not None:
        check_target(out)
    with StageDisplay(stderr) as stages, workers_for(stages, workers, None) as client:
        points = open_store(store)
        stages.begin("pole")
        search = find_poles(points, what, client=client, progress=stages)
        story = PoleStory(points, search, what)
        if out is not None:
            planes_of, named = choose(points, search, Wish(what, planes is not None, direction, accept_candidate))
            alignment = flatten(points, planes_of, named, progress=stages)
            stages.begin("align")
            cut: Literal["pole"] | None = "pole" if region == "pole" else None
            align(points, alignment, out=out, region=cut, client=client, progress=stages)
            hkl = None if named is None else named.pole
            story = replace(story, alignment=alignment, hkl=hkl, region=planes_of.region if cut else None)
        elif search.best is not None and figures is not None:
            story = replace(story, alignment=flatten(points, search.best, progress=stages))
        if figures is not None:
            stages.begin("figures")
            figures.mkdir(parents=True, exist_ok=True)
            pole_figures(story, figures)
        stages.finish()
    tell(search_words(search) if json_to is None else search_facts(search), json_to)


def crystal_of(structure: str | None, a_nm: float | None, pole: str | None) -> Crystal | None:
    """Make the crystal whose planes are to be named."""
    from aptstream.crystal import Crystal

    if structure is None and a_nm is None:
        if pole is not None:
            raise typer.BadParameter("to know planes by their indices, give --crystal and --a too", param_hint="--pole")
        return None
    if structure is None or a_nm is None:
        missing = "--crystal" if structure is None else "--a"
        raise typer.BadParameter("give both a structure and its lattice parameter in nm", param_hint=missing)
    return Crystal(structure, a_nm) if pole is None else Crystal(structure, a_nm, pole_of(pole))


def normal_of(text: str | None) -> Triple | None:
    """Read a direction, such as 0.1,0.2,1."""
    if text is None:
        return None
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError:
        x = y = z = 0.0
    if not (isfinite(x) and isfinite(y) and isfinite(z) and (x or y or z)):
        raise typer.BadParameter(
            f"found {text!r}, expected three numbers with commas between them, not all 0, such as 0.1,0.2,1",
            param_hint="--normal",
        )
    return x, y, z


def wish_for(crystal: Crystal, normal: str | None, *, align: bool, accept_candidate: bool, named: bool) -> Wish | None:
    """Say which planes a run is to bring normal to z, if any."""
    from aptstream.orientation import Wish

    direction = normal_of(normal)
    if not (align or direction is not None or accept_candidate):
        return None
    return Wish(crystal, named, direction, accept_candidate)


def search_words(search: PoleSearch) -> dict[str, str]:
    """Say what a search found, a sentence a pole."""
    words, identity = {"verdict": search.verdict}, search.identity
    if identity is not None:
        words["names"] = (
            f"right with {identity.posterior:.1%} if the crystal is; spacings are {identity.scale:.3f} × those found"
        )
    for number, found in enumerate(search.poles):
        name = f"{identity.name(number)} planes" if identity is not None else "planes"
        normal = ", ".join(f"{part:.3f}" for part in found.direction)
        start, end = (", ".join(f"{part:.1f}" for part in at) for at in (found.region.start, found.region.end))
        words[f"pole {number + 1}"] = (
            f"{name}, {found.status}: strength {found.strength:.0f} in {found.n_regions} regions; "
            f"{found.spacing_nm:.4f} nm apart; normal ({normal}), {found.tilt_deg:.1f}° from z; dome radius "
            f"{found.dome_radius_nm:.0f} nm; seen within {found.radius_nm:.0f} nm of the axis, ({start}) to ({end}) nm"
        )
    return words


def search_facts(search: PoleSearch) -> dict[str, Any]:
    """Say what a search found, one group of numbers a pole."""
    facts: dict[str, Any] = {"verdict": search.verdict}
    identity = search.identity
    if identity is not None:
        facts["probability of these names"] = round(identity.posterior, 3)
        facts["spacings of the crystal / found"] = round(identity.scale, 4)
    for number, found in enumerate(search.poles):
        name = f"pole {number + 1}"
        facts[name] = {
            "planes": identity.name(number) if identity is not None else "not named",
            "status": found.status,
            "strength": round(found.strength, 1),
            "regions": found.n_regions,
            "normal": [round(part, 4) for part in found.direction],
            "tilt_deg": round(found.tilt_deg, 2),
            "spacing_nm": round(found.spacing_nm, 5),
            "dome_radius_nm": round(found.dome_radius_nm, 1),
            "seen_within_nm": round(found.radius_nm, 1),
            "axis_from_nm": [round(part, 2) for part in found.region.start],
            "axis_to_nm": [round(part, 2) for part in found.region.end],
        }
    return facts
