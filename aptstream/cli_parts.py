"""What the modules of the command line share: where they write, how errors end, and common options."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, ParamSpec

import typer
from rich.console import Console
from rich.markup import escape

from aptstream.cli_complete import complete_model
from aptstream.display import show_facts, write_json
from aptstream.errors import AptstreamError

if TYPE_CHECKING:
    from aptstream.grid.answer import Cut
    from aptstream.model.modelfile import Model
    from aptstream.points import Roles

stderr, stdout = Console(stderr=True), Console()
Arguments = ParamSpec("Arguments")

Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of all randomness.")]
#: The panel of a verb's help that holds what is said of the crystal.
PLANES = "Crystal and planes"

Structure = Annotated[
    str | None,
    typer.Option("--structure", help="Such as L12. Default: the model's.", rich_help_panel=PLANES),
]
LatticeParameter = Annotated[
    float | None, typer.Option("--a", help="Lattice parameter in nm. Default: the model's.", rich_help_panel=PLANES)
]
Pole = Annotated[
    str | None, typer.Option("--pole", help="Along z, such as 0,0,1. Default: the model's.", rich_help_panel=PLANES)
]
Host = Annotated[str | None, typer.Option("--host", help="Species of the matrix, such as Al. Default: guessed.")]
Solute = Annotated[
    str | None, typer.Option("--solute", help="Species that order, such as Li,Mg (as one). Default: guessed.")
]
ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        help="order, cubes, joint, or an .aptmodel file. Default: order.",
        show_default=False,
        autocompletion=complete_model,
    ),
]
ModelOfRun = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="The model of the run. Default: the shipped one that made the scan.",
        autocompletion=complete_model,
    ),
]
RuntimeName = Annotated[
    str | None, typer.Option("--runtime", help="For networks: litert or tensorflow. Default: by the machine.")
]
CutAt = Annotated[str | None, typer.Option("--cut", help="Fixed cut: 62/64 of the votes, or 0.5 of the order.")]
NeighboursOf = Annotated[
    int, typer.Option("--neighbours", help="With --cut: faces (6), edges (18) or corners (26).", show_default=False)
]


#: Verbs that go on where they were stopped.
RESUMABLE = ("run", "ingest", "scan", "repair", "reproduce")


def verb(function: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Turn the errors that a user can mend into a message and an exit code."""

    @wraps(function)
    def guarded(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except AptstreamError as error:
            stderr.print(f"[bold red]error:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
            _say_notes(error)
            raise typer.Exit(1) from error
        except OSError as error:
            where = f" ({error.filename})" if error.filename else ""
            stderr.print(f"[bold red]error:[/] {escape(str(error.strerror or error) + where)}", soft_wrap=True)
            raise typer.Exit(1) from error
        except KeyboardInterrupt as error:
            stderr.print(escape(_after_interruption(function.__name__)), highlight=False, soft_wrap=True)
            raise typer.Exit(130) from error

    return guarded


def _after_interruption(name: str) -> str:
    """Say what an interruption left, and how to go on."""
    if name in RESUMABLE:
        command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
        return f"interrupted: what was done is kept. To go on: {command}"
    return "interrupted: nothing half-written was left."


def in_a_folder(path: Path | None) -> Path | None:
    """Refuse a file in a folder that is not there before the work starts, not after it."""
    if path is not None and not path.parent.is_dir():
        raise typer.BadParameter(f"{path}: there is no folder {path.parent}. Make it first, or give another name.")
    return path


JsonTo = Annotated[
    Path | None,
    typer.Option("--json", help="Write the numbers as JSON to this file; - for stdout.", callback=in_a_folder),
]


def tell(result: dict[str, Any], json_to: Path | None) -> None:
    """Show what a verb found as a table, or write it as JSON and show nothing."""
    write_json(result, json_to) if json_to is not None else show_facts(stdout, result)


def say_page(result: Path, folder: Path) -> None:
    """Say how what a verb wrote beside a result comes onto its page."""
    from aptstream.report.beside import VERBS

    if folder in [result / name for name in VERBS]:
        told = f"to see it on the page: aptstream report {shlex.quote(str(result))}"
        stdout.print(told, highlight=False, markup=False, soft_wrap=True)


def wrote(to: Path, json_to: Path | None, **numbers: int) -> None:
    """Say that a file was written, and how much of what is in it."""
    if json_to is not None:
        write_json({"file": str(to), **numbers}, json_to)
    if json_to is None or str(json_to) != "-":
        counts = ", ".join(f"{n:,} {what.removeprefix('n_')}" for what, n in numbers.items())
        told = f"wrote {counts} to {to}" if counts else f"wrote {to}"
        stderr.print(told, highlight=False, markup=False, soft_wrap=True)


def _say_notes(error: BaseException) -> None:
    """Say what was added to an error on its way, such as how to go on."""
    for note in getattr(error, "__notes__", ()):
        stderr.print(f"note: {escape(note)}", highlight=False, soft_wrap=True)


def facts(path: str | Path) -> dict[str, Any]:
    """Say what a file or folder of ours holds."""
    from aptstream.inspection import describe

    return describe(path)


def pole_of(text: str) -> tuple[int, ...]:
    """Read the indices of a pole, such as 0,1,1."""
    try:
        return tuple(int(index) for index in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(
            f"found {text!r}, expected whole numbers with commas between them, such as 0,1,1", param_hint="--pole"
        ) from error


def model_for(
    name: str, structure: str | None, a_nm: float | None, pole: str | None, *, runtime: str | None = None
) -> Model:
    """Load a model, and let it look for another crystal and run elsewhere where that is asked for."""
    from aptstream.crystal import Crystal
    from aptstream.model.modelfile import load_model
    from aptstream.model.predict import choose_runtime

    model = load_model(name)
    if runtime is not None:
        model = replace(model, runtime=choose_runtime(runtime))
    if structure is None and a_nm is None and pole is None:
        return model
    own = model.crystal
    if structure is not None and a_nm is None and _parent(structure) not in (own.structure.parent, None):
        raise typer.BadParameter(
            f"{structure} does not lie on the lattice that the model knows, {own.structure.parent} with a = "
            f"{own.a_nm:g} nm: give the lattice parameter too",
            param_hint="--a",
        )
    indices = pole_of(pole) if pole is not None else own.pole
    ratio = own.c_over_a if structure in (None, own.label) else None  # the axial ratio belongs to the structure
    return model.looking_for(Crystal(structure or own.label, a_nm if a_nm is not None else own.a_nm, indices, ratio))


def _parent(structure: str) -> str | None:
    """Name the parent lattice of a structure; nothing where there is no such structure, which `Crystal` tells."""
    from aptstream.crystal import STRUCTURES

    return STRUCTURES[structure].parent if structure in STRUCTURES else None


def cut_of(text: str | None, neighbours: int) -> Cut | None:
    """Read a cut: 0.5 of the order, or 62/64 of the votes; and which voxels it connects."""
    from aptstream.errors import PlanError
    from aptstream.grid.answer import Cut

    connects: dict[int, Literal[6, 18, 26]] = {6: 6, 18: 18, 26: 26}
    if neighbours not in connects:
        raise typer.BadParameter(f"found {neighbours}, expected 6, 18 or 26", param_hint="--neighbours")
    if text is None:
        if neighbours != min(connects):
            raise typer.BadParameter("belongs to a fixed cut: give --cut too", param_hint="--neighbours")
        return None
    part, slash, whole = text.partition("/")
    try:
        if slash:
            return Cut(float(part) / float(whole), "votes", connects[neighbours])
        return Cut(float(part), neighbours=connects[neighbours])
    except (ValueError, ZeroDivisionError, PlanError) as error:
        raise typer.BadParameter(
            f"found {text!r}, expected a probability such as 0.5 for the order, or 62/64 for the votes",
            param_hint="--cut",
        ) from error


def roles_of(host: str | None, solute: str | None) -> Roles | None:
    """Split the lists of species; nothing where they are to be guessed."""
    from aptstream.points import Roles

    if host is None and solute is None:
        return None
    if host is None or solute is None:
        missing = "--host" if host is None else "--solute"
        raise typer.BadParameter("give both host and solute, or neither to have them guessed", param_hint=missing)
    hosts, solutes = (tuple(name.strip() for name in names.split(",") if name.strip()) for names in (host, solute))
    return Roles(hosts, solutes)
