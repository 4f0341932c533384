"""The verb `simulate` of the command line: options in, files of a specimen with known truth out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from aptstream.cli_parts import JsonTo, pole_of, tell
from aptstream.display import StageDisplay
from aptstream.errors import PlanError

if TYPE_CHECKING:
    from aptstream.crystal import Crystal

_BYTES = {"pos": 16, "epos": 44}
#: Half axes of the shapes that have a name.
_SHAPES = {"sphere": (1.0, 1.0, 1.0), "needle": (1.0, 1.0, 3.0), "lens": (1.0, 1.0, 0.4), "plate": (1.0, 1.0, 0.25)}


def simulate(
    out: Annotated[Path, typer.Option(help="Folder to make.")],
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Seed of all randomness. Default: 1.", show_default=False)
    ] = 1,
    size_nm: Annotated[
        tuple[float, float, float], typer.Option(help="Of the specimen in nm. Default: 30 30 40.", show_default=False)
    ] = (30, 30, 40),
    volume_fraction: Annotated[
        float, typer.Option(min=0, max=0.5, help="Of the particles. Default: 0.08.", show_default=False)
    ] = 0.08,
    mean_radius_nm: Annotated[
        float, typer.Option(min=0.5, max=6, help="Of the particles, in nm. Default: 2.5.", show_default=False)
    ] = 2.5,
    shape: Annotated[
        str, typer.Option(help="sphere (the default), needle, lens or plate.", show_default=False)
    ] = "sphere",
    kind: Annotated[
        str, typer.Option(help="ordered (the default), clusters, no-contrast, weak.", show_default=False)
    ] = "ordered",
    order: Annotated[
        float, typer.Option(min=0, max=1, help="Order parameter of the particles. Default: 1.", show_default=False)
    ] = 1.0,
    level: Annotated[
        str, typer.Option(help="Blur and efficiency: good (the default) or hard.", show_default=False)
    ] = "good",
    alloy: Annotated[
        str, typer.Option(help="Al-Li-Mg (the default), Ni-Al, Fe-Al, Ti-Al or Cu-Au.", show_default=False)
    ] = "Al-Li-Mg",
    structure: Annotated[str | None, typer.Option(help="Ordered structure. Default: that of the alloy.")] = None,
    a_nm: Annotated[float | None, typer.Option(help="Lattice parameter of the matrix in nm.")] = None,
    pole: Annotated[str | None, typer.Option(help="Planes normal to z, such as 0,1,1 or 1,1,-2,0.")] = None,
    shuffle: Annotated[bool, typer.Option("--shuffle", help="Draw species anew: no order, no particles.")] = False,
    ions: Annotated[str, typer.Option(help="Format: pos (the default) or epos.", show_default=False)] = "pos",
    json_to: JsonTo = None,
) -> None:
    """Simulate a specimen and write its ions, its `.rrng` and its truth.

    Example: `aptstream simulate --seed 3 --alloy Ni-Al --level hard --out specimen`
    """
    import numpy as np

    from aptstream.simulate import (
        LEVELS,
        MATERIALS,
        Population,
        Settings,
        place_particles,
        plan_specimen,
        write_specimen,
    )
    from aptstream.workflow import output_folder

    for option, value, choices in (
        ("alloy", alloy, MATERIALS),
        ("level", level, LEVELS),
        ("shape", shape, _SHAPES),
        ("ions", ions, _BYTES),
    ):
        if value not in choices:
            raise PlanError(f"There is no {option} {value!r}: choose one of {', '.join(choices)}.")
    material = MATERIALS[alloy]
    crystal = _changed(material.crystal, structure, a_nm, None if pole is None else pole_of(pole))
    rng = np.random.default_rng(seed)
    settings = Settings(
        size_nm=size_nm,
        kind=kind,  # type: ignore[arg-type]  # checked by Settings
        alloy=material.alloy,
        crystal=crystal,
        order=order,
        shuffle=shuffle,
        **LEVELS[level],
    )
    population = Population(
        volume_fraction,
        mean_radius_nm,
        0.25 * mean_radius_nm,
        shape="plate" if shape == "plate" else "ellipsoid",
        axes=_SHAPES[shape],
    )
    with output_folder(out), StageDisplay(Console(stderr=True)) as stages:
        particles = place_particles(rng, size_nm, [population], n_variants=len(crystal.variants))
        plan = plan_specimen(rng, particles, settings)
        stages.begin("simulate")
        files = write_specimen(plan, out, ions="epos" if ions == "epos" else "pos", progress=stages)
    found = plan.ordered_particles
    facts = {
        "kind": "simulated specimen",
        "ions": files.pos.stat().st_size // _BYTES[ions],
        "structure": f"{crystal.label}, a = {crystal.a_nm:g} nm, ({' '.join(map(str, crystal.pole))}) normal to z",
        "ordered particles": len(found),
        "files": ", ".join(file.name for file in (files.pos, files.rrng, files.truth, files.voxels)),
    }
    tell(facts, json_to)


def _changed(crystal: Crystal, label: str | None, a_nm: float | None, pole: tuple[int, ...] | None) -> Crystal:
    """Put what was asked for in place of what the alloy has."""
    return replace(
        crystal,
        label=crystal.label if label is None else label,
        a_nm=crystal.a_nm if a_nm is None else a_nm,
        pole=crystal.pole if pole is None else pole,
    )
