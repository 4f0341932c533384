"""The command line: one small function per verb, which reads a path, calls the library and shows the result.

Progress and messages go to stderr, results to stdout. Exit codes: 0 done, 1 failed with a message, 2 wrong usage,
130 interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from aptstream import __version__
from aptstream.cli_model import add_verbs, model_app
from aptstream.cli_parts import (
    CutAt,
    LatticeParameter,
    Pole,
    Seed,
    Structure,
    cut_of,
    facts,
    model_for,
    stderr,
    stdout,
    verb,
)
from aptstream.cli_simulate import simulate
from aptstream.display import StageDisplay, say_decisions, show_evaluation, show_facts, show_summary, write_json

if TYPE_CHECKING:
    from distributed import Client

    from aptstream.points import Roles

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown")
export_app = typer.Typer(no_args_is_help=True, help="Write a result in a form that other programs read.")
app.add_typer(export_app, name="export")
app.add_typer(model_app, name="model")
add_verbs(app)


def _in_a_folder(path: Path | None) -> Path | None:
    """Refuse a file in a folder that is not there before the work starts, not after it."""
    if path is not None and not path.parent.is_dir():
        raise typer.BadParameter(f"{path}: there is no folder {path.parent}. Make it first, or give another name.")
    return path


Ranges = Annotated[Path, typer.Option("--ranges", help="Range file (.rrng).")]
Host = Annotated[str, typer.Option("--host", help="Species of the matrix, such as Al.")]
Solute = Annotated[str, typer.Option("--solute", help="Species that order, such as Li,Mg: they count as one.")]
ModelName = Annotated[str, typer.Option("--model", help="Name of a shipped model, or path of an .aptmodel file.")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=0, help="Worker processes; 0 = none. Default: one a core.")
]
JsonTo = Annotated[
    Path | None,
    typer.Option("--json", help="Write the numbers as JSON to this file; - for stdout.", callback=_in_a_folder),
]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Show the version and leave.")] = False) -> None:
    """Find coherent ordered nanoparticles in atom probe tomography data."""
    if version:
        stdout.print(__version__, highlight=False)
        raise typer.Exit


@app.command()
@verb
def demo(
    seed: Seed = 1,
    out: Annotated[Path | None, typer.Option(help="Output folder. Default: aptstream-demo, or the next free.")] = None,
    workers: Workers = None,
    json_to: JsonTo = None,
) -> None:
    """Simulate an Al-Li-Mg specimen with known δ′ particles, and find them again.

    Example: `aptstream demo --seed 2 --out demo2`
    """
    import numpy as np

    from aptstream.model.modelfile import load_model
    from aptstream.simulate import Settings, draw_particles, simulate_specimen, write_specimen
    from aptstream.workflow import Question, analyse, next_free, output_folder

    folder = out if out is not None else next_free("aptstream-demo")
    with output_folder(folder), StageDisplay(stderr) as stages:
        stages.begin("simulate")
        rng, settings = np.random.default_rng(seed), Settings()
        particles = draw_particles(rng, settings.size_nm, volume_fraction=0.08, n_small=6)
        specimen = simulate_specimen(rng, particles, settings)
        files = write_specimen(specimen, folder)
        roles = _roles(settings.alloy.host, ",".join(settings.alloy.solutes))
        question = Question(files.pos, files.rrng, roles, load_model(), specimen.ordered_particles)
        with _cluster(workers, stages) as client:
            summary = analyse(question, folder, client=client, stages=stages)
        stages.finish()
        show_summary(summary, folder, stages.seconds, json_to)


@app.command()
@verb
def run(
    file: Annotated[Path, typer.Argument(help="Ions (.pos).")],
    ranges: Ranges,
    host: Host,
    solute: Solute,
    out: Annotated[Path, typer.Option(help="Output folder; must not exist, or be empty.")],
    model: ModelName = "order",
    structure: Structure = None,
    a_nm: LatticeParameter = None,
    pole: Pole = None,
    cut: CutAt = None,
    workers: Workers = None,
    json_to: JsonTo = None,
) -> None:
    """Find ordered particles in a file of ions, and write a report.

    Example: `aptstream run R5096.pos --ranges R5096.rrng --host Al --solute Li,Mg --out R5096`
    """
    from aptstream.workflow import Question, analyse, check_question, output_folder

    chosen = model_for(model, structure, a_nm, pole)
    question = Question(file, ranges, _roles(host, solute), chosen, cut=cut_of(cut))
    check_question(question)
    with output_folder(out), StageDisplay(stderr) as stages:
        say_decisions(stderr, chosen, question.roles)
        with _cluster(workers, stages) as client:
            summary = analyse(question, out, client=client, stages=stages)
        stages.finish()
        show_summary(summary, out, stages.seconds, json_to)


@app.command()
@verb
def ingest(
    file: Annotated[Path, typer.Argument(help="Ions (.pos), or a point store to range anew.")],
    ranges: Ranges,
    out: Annotated[Path, typer.Option(help="Point store to make.")],
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out ions with numbers that cannot be right, and count them.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=0, help="Worker processes; 0 = none. Default: none below 256 MB, or one a core."),
    ] = None,
) -> None:
    """Read, range and sort ions into a point store; the same command goes on with one that was stopped.

    Example: `aptstream ingest R5096.pos --ranges R5096.rrng --out R5096.zarr`
    """
    from aptstream.cloud import ingest as make_store

    size = sum(part.stat().st_size for part in (file, *file.rglob("c.*")) if part.is_file())
    with StageDisplay(stderr) as stages, _cluster(0 if workers is None and size < 2**28 else workers, stages) as client:
        stages.begin("ingest")
        bad: Literal["refuse", "skip"] = "skip" if skip_bad else "refuse"
        make_store(file, ranges=ranges, out=out, on_bad=bad, client=client, progress=stages)
    show_facts(stdout, facts(out))


@app.command()
@verb
def scan(
    store: Annotated[Path, typer.Argument(help="Point store.")],
    host: Host,
    solute: Solute,
    out: Annotated[Path, typer.Option(help="Scan to make.")],
    model: ModelName = "order",
    structure: Structure = None,
    a_nm: LatticeParameter = None,
    pole: Pole = None,
    workers: Workers = None,
) -> None:
    """Judge all overlapping cubes of a point store.

    Example: `aptstream scan R5096.zarr --host Al --solute Li,Mg --out R5096-scan.zarr`
    """
    from aptstream.cloud import open_store
    from aptstream.scan import run_scan

    with StageDisplay(stderr) as stages:
        points, roles, judges = open_store(store), _roles(host, solute), model_for(model, structure, a_nm, pole)
        say_decisions(stderr, judges, roles)
        with _cluster(workers, stages) as client:
            stages.begin("scan")
            run_scan(points, judges, roles, out=out, client=client, progress=stages)
    show_facts(stdout, facts(out))


@app.command()
@verb
def find(
    store: Annotated[Path, typer.Argument(help="Point store that was scanned.")],
    scan_path: Annotated[Path, typer.Argument(metavar="SCAN", help="Its scan.")],
    out: Annotated[Path, typer.Option(help="Output folder; must not exist, or be empty.")],
    model: ModelName = "order",
    cut: CutAt = None,
    json_to: JsonTo = None,
) -> None:
    """Find the particles of a finished scan, and write a report.

    Example: `aptstream find R5096.zarr R5096-scan.zarr --out R5096`
    """
    from aptstream.cloud import open_store
    from aptstream.model.modelfile import load_model
    from aptstream.scan import open_scan
    from aptstream.workflow import Conclusion, conclude, output_folder

    with output_folder(out), StageDisplay(stderr) as stages:
        job = Conclusion(open_scan(scan_path), open_store(store), load_model(model), cut=cut_of(cut))
        summary = conclude(job, out=out, stages=stages)
        stages.finish()
        show_summary(summary, out, stages.seconds, json_to)


@app.command()
@verb
def info(
    path: Annotated[Path, typer.Argument(help="Any file or folder that aptstream reads or writes.")],
    digest: Annotated[bool, typer.Option("--digest", help="Print one sha256 over the content only.")] = False,
    json_to: JsonTo = None,
) -> None:
    """Say what a file or folder holds.

    Example: `aptstream info R5096/points.zarr --digest`
    """
    from aptstream.inspection import content_sha256

    if digest:
        print(content_sha256(path))
    elif json_to is not None:
        write_json(facts(path), json_to)
    else:
        show_facts(stdout, facts(path))


@export_app.command("grid")
@verb
def export_grid(
    path: Annotated[Path, typer.Argument(help="Output folder of a run, or its grid.zarr.")],
    to: Annotated[Path, typer.Option(help="File to write (.npz).", callback=_in_a_folder)],
) -> None:
    """Write the 1 nm grid as `.npz`: order, total, count, labels [ix, iy, iz], origin_nm, voxel_nm.

    Example: `aptstream export grid R5096 --to grid.npz`
    """
    from aptstream.grid import export_npz, open_grid

    if to.suffix != ".npz":
        raise typer.BadParameter(f"found {to.name}, expected a name that ends in .npz", param_hint="--to")
    export_npz(open_grid(path), to)
    stderr.print(f"wrote {to}")


app.command()(verb(simulate))


@app.command()
@verb
def evaluate(
    path: Annotated[Path, typer.Argument(help="Output folder of a run (or its grid), or a training library.")],
    truth: Annotated[
        Path | None, typer.Option(help="True particles of the specimen (.truth.json). Default: the one in the folder.")
    ] = None,
    model: Annotated[str, typer.Option("--model", help="Model whose networks judge a training library.")] = "order",
    seed: Seed = 1,
    json_to: JsonTo = None,
) -> None:
    """Say how right a result is, on a simulated specimen whose truth is known.

    Example: `aptstream simulate --seed 3 --out s`, `aptstream run s/specimen.pos --ranges s/specimen.rrng --host Al
    --solute Li,Mg --out result`, then `aptstream evaluate result --truth s/specimen.truth.json`
    """
    from aptstream.inspection import evaluation_of, is_library, library_scores

    if is_library(path):
        if truth is not None:
            raise typer.BadParameter("a training library holds its own truth: leave --truth out", param_hint="--truth")
        from aptstream.model.modelfile import load_model

        scores = library_scores(path, load_model(model))
        write_json(scores, json_to) if json_to is not None else show_facts(stdout, scores)
        return
    show_evaluation(stdout, evaluation_of(path, truth, seed), json_to)


def _roles(host: str, solute: str) -> Roles:
    """Split the lists of species."""
    from aptstream.points import Roles

    hosts, solutes = (tuple(name.strip() for name in names.split(",") if name.strip()) for names in (host, solute))
    return Roles(hosts, solutes)


@contextmanager
def _cluster(workers: int | None, stages: Any) -> Iterator[Client | None]:
    """Start worker processes on this machine, reachable from it only."""
    from aptstream.cluster import local_client, usable_cores

    n = usable_cores() if workers is None else workers
    if n == 0:
        yield None
        return
    stages.begin("workers")
    with local_client(n) as client:
        yield client


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
