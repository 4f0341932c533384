"""The verbs that look after point stores: ``verify``, ``copy``, ``export ions``, ``ranges`` and ``surface``."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from aptstream.cli_parts import JsonTo, facts, in_a_folder, stderr, stdout, tell, verb, wrote
from aptstream.display import StageDisplay, write_json

if TYPE_CHECKING:
    from aptstream.cloud.export import Labels
    from aptstream.regions import Box, Sphere

StoreName = Annotated[str, typer.Argument(help="Point store, or its URL, such as s3://bucket/R5096.zarr.")]


def add_store_verbs(app: typer.Typer, export_app: typer.Typer) -> None:
    """Add the verbs of this module to the command line."""
    app.command()(verify)
    app.command()(copy)
    export_app.command("ions")(export_ions)
    export_app.command("ranges")(export_ranges)
    export_app.command("surface")(export_surface)


@contextmanager
def kept_or_sent(out: str, stages: StageDisplay) -> Iterator[Path]:
    """Give the folder where a point store is to be made; one meant for a URL is made here and sent there."""
    from aptstream.cloud.publish import check_target, publish
    from aptstream.cloud.store import open_store
    from aptstream.io.folder import is_url
    from aptstream.io.replace import discard

    if not is_url(out):
        yield Path(out)
        return
    check_target(out)
    # The same place for the same URL: so an ingest that was stopped goes on there.
    folder = Path(tempfile.gettempdir(), f"aptstream-{hashlib.sha256(out.encode()).hexdigest()[:16]}")
    folder.mkdir(mode=0o700, exist_ok=True)
    made = folder / "points.zarr"
    discard(made)  # what was complete and could not be sent is made again
    yield made
    stages.begin("copy")
    publish(open_store(made), out, progress=stages)
    discard(folder)


@verb
def verify(
    path: Annotated[str, typer.Argument(help="Point store or its URL, scan, grid, or output folder.")],
    json_to: JsonTo = None,
) -> None:
    """Read a store whole and check it.

    Every chunk is read, and every ion must lie in its cell and its range.

    Example: `aptstream verify R5096.zarr`
    """
    from aptstream.verification import verify as check

    with StageDisplay(stderr) as stages:
        stages.begin("verify")
        kind = check(path, stages)
    if json_to is not None:
        write_json({"path": path, "kind": kind, "whole": True}, json_to)
        return
    stdout.print(f"{path}: {kind} is whole", highlight=False, markup=False, soft_wrap=True)


@verb
def copy(
    store: StoreName,
    to: Annotated[str, typer.Argument(help="Path or URL of the copy; nothing may stand there.")],
    json_to: JsonTo = None,
) -> None:
    """Copy a point store to an object store, or from there.

    What was cut short is no store.

    Example: `aptstream copy R5096.zarr s3://bucket/R5096.zarr`
    """
    from aptstream.cloud import open_store
    from aptstream.cloud.publish import publish

    with StageDisplay(stderr) as stages:
        stages.begin("copy")
        publish(open_store(store), to, progress=stages)
    tell(facts(to), json_to)


@verb
def export_ions(
    store: StoreName,
    to: Annotated[Path, typer.Option(help="File to write: .pos, .epos, .csv, .vtp or .nxs.", callback=in_a_folder)],
    box: Annotated[str | None, typer.Option(help="Only ions in a box: x0,x1,y0,y1,z0,z1 in nm.")] = None,
    sphere: Annotated[str | None, typer.Option(help="Only ions in a sphere: x,y,z,radius in nm.")] = None,
    particles: Annotated[
        Path | None, typer.Option(help="Only ions in the particles of a run: its output folder, or its grid.zarr.")
    ] = None,
    indexed: Annotated[
        bool,
        typer.Option("--indexed", help="Write the number of its particle in the place of each m/q (.pos, .epos)."),
    ] = False,
    json_to: JsonTo = None,
) -> None:
    """Write ions for other programs, in stored order. CSV and VTK name the particle of each ion.

    Example: `aptstream export ions R5096/points.zarr --to particles.vtp --particles R5096`
    """
    from aptstream.cloud import open_store
    from aptstream.cloud.export import Selection
    from aptstream.cloud.export import export_ions as write_ions

    found = _labels(particles) if particles is not None else None
    selection = Selection(_region(box, sphere), found, "particle" if indexed else "ion")
    with StageDisplay(stderr) as stages:
        stages.begin("export")
        n_ions = write_ions(open_store(store), to, selection, progress=stages)
    wrote(to, json_to, n_ions=n_ions)


@verb
def export_ranges(
    store: StoreName,
    to: Annotated[Path, typer.Option(help="File to write (.rrng).", callback=in_a_folder)],
    json_to: JsonTo = None,
) -> None:
    """Write the ranges that a point store was made with.

    Example: `aptstream export ranges R5096.zarr --to R5096.rrng`
    """
    from aptstream.cloud import open_store
    from aptstream.io import write_rrng

    if to.suffix.lower() != ".rrng":
        raise typer.BadParameter(f"found {to.name}, expected a name that ends in .rrng", param_hint="--to")
    table = open_store(store).ranges
    write_rrng(to, table)
    wrote(to, json_to, n_ranges=len(table.ranges))


@verb
def export_surface(
    result: Annotated[Path, typer.Argument(help="Output folder of a run, or its grid.zarr.")],
    to: Annotated[Path, typer.Option(help="File to write: .vtp, .ply or .stl.", callback=in_a_folder)],
    json_to: JsonTo = None,
) -> None:
    """Write the surfaces of the particles as triangles, with number, radius and mean order of each particle.

    Example: `aptstream export surface R5096 --to surface.vtp`
    """
    from aptstream.grid import export_surface as write_surface

    with StageDisplay(stderr) as stages:
        stages.begin("surface")
        surface = write_surface(result, to)
    wrote(to, json_to, n_particles=len(surface), n_triangles=len(surface.faces))


def _region(box: str | None, sphere: str | None) -> Box | Sphere | None:
    """Read a region; at most one is given."""
    from aptstream.regions import Box, Sphere

    if box is not None and sphere is not None:
        raise typer.BadParameter("give --box or --sphere, not both", param_hint="--sphere")
    if box is not None:
        x0, x1, y0, y1, z0, z1 = _numbers(box, 6, "--box")
        try:
            return Box((x0, y0, z0), (x1, y1, z1))
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--box") from error
    if sphere is not None:
        x, y, z, radius = _numbers(sphere, 4, "--sphere")
        try:
            return Sphere((x, y, z), radius)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--sphere") from error
    return None


def _numbers(text: str, n: int, option: str) -> list[float]:
    """Read some numbers with commas between them."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if len(found) != n:
        raise typer.BadParameter(
            f"found {text!r}, expected {n} numbers in nm with commas between them", param_hint=option
        )
    return found


def _labels(run: Path) -> Labels:
    """Read the particles of a run."""
    from aptstream.cloud.export import Labels
    from aptstream.grid import open_grid

    grid = open_grid(run)
    return Labels(grid.labels, grid.votes.origin_nm, grid.votes.voxel_nm)
