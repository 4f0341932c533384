"""The command line: one small function per verb, which reads a path, calls the library and shows the result.

Progress and messages go to stderr, results to stdout. Exit codes: 0 done, 1 failed with a message, 2 wrong usage,
130 interrupted.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated, Literal

import typer

from aptstream import __version__
from aptstream.cli_check import add_check_verbs
from aptstream.cli_cluster import Insecure, SchedulerAt, TlsCa, TlsCert, TlsKey, Workers, scheduler_of, workers_for
from aptstream.cli_compare import add_compare_verbs
from aptstream.cli_complete import complete_model
from aptstream.cli_figure import add_figure_verb
from aptstream.cli_model import add_verbs, model_app
from aptstream.cli_parts import (
    PLANES,
    CutAt,
    Host,
    JsonTo,
    LatticeParameter,
    ModelName,
    NeighboursOf,
    Pole,
    RuntimeName,
    Seed,
    Solute,
    Structure,
    cut_of,
    facts,
    in_a_folder,
    model_for,
    roles_of,
    stderr,
    stdout,
    tell,
    verb,
    wrote,
)
from aptstream.cli_phases import add_phase_verbs
from aptstream.cli_pole import AcceptCandidate, Normal, add_pole_verbs, wish_for
from aptstream.cli_ranges import add_range_verbs
from aptstream.cli_report import add_report_verb
from aptstream.cli_reproduce import ImagesFrom, LabelsFrom, ModelsFrom, add_reproduce_verbs, evaluate_images
from aptstream.cli_scan import add_scan_verbs
from aptstream.cli_simulate import simulate
from aptstream.cli_store import StoreName, add_store_verbs, kept_or_sent
from aptstream.display import StageDisplay, say_decisions, show_evaluation, show_summary

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="markdown")
_EXPORT = """Write a result in a form that other programs read.

Example: `aptstream export particles R5096 --to particles.parquet`"""
export_app = typer.Typer(no_args_is_help=True, help=_EXPORT)
app.add_typer(export_app, name="export")
app.add_typer(model_app, name="model")


Ranges = Annotated[Path, typer.Option("--ranges", help="Range file (.rrng, .rng, .env).")]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Show the version and leave.")] = False) -> None:
    """Find coherent ordered nanoparticles in atom probe tomography data.

    Example: `aptstream demo`, or `aptstream run --help` for data of your own
    """
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
    from aptstream.simulate import Settings, draw_particles, read_truth, simulate_specimen, write_specimen
    from aptstream.workflow import Question, analyse, next_free, output_folder

    folder = out if out is not None else next_free("aptstream-demo")
    with output_folder(folder), StageDisplay(stderr) as stages:
        stages.begin("simulate")
        rng, settings = np.random.default_rng(seed), Settings()
        particles = draw_particles(rng, settings.size_nm, volume_fraction=0.08, n_small=6)
        specimen = simulate_specimen(rng, particles, settings)
        files = write_specimen(specimen, folder)
        roles = roles_of(settings.alloy.host, ",".join(settings.alloy.solutes))
        truth = read_truth(files.truth)  # as a report that is drawn anew reads it
        question = Question(files.pos, files.rrng, roles, load_model(), truth)
        with workers_for(stages, workers, None) as client:
            summary = analyse(question, folder, client=client, stages=stages)
        stages.finish()
        show_summary(summary, folder, stages.seconds, json_to)


@app.command()
@verb
def run(
    file: Annotated[Path, typer.Argument(help="Ions (.pos, .epos, .apt, .csv, .nxs).")],
    ranges: Ranges,
    out: Annotated[Path, typer.Option(help="Output folder; new, empty, or of a run that was stopped.")],
    host: Host = None,
    solute: Solute = None,
    model: ModelName = "order",
    structure: Structure = None,
    a_nm: LatticeParameter = None,
    pole: Pole = None,
    align: Annotated[
        bool | None,
        typer.Option(
            "--align/--no-align",
            help="Turn planes normal to z. Default: if they are not.",
            rich_help_panel=PLANES,
        ),
    ] = None,
    normal: Normal = None,
    accept_candidate: AcceptCandidate = False,
    cut: CutAt = None,
    neighbours: NeighboursOf = 6,
    runtime: RuntimeName = None,
    workers: Workers = None,
    scheduler: SchedulerAt = None,
    tls_ca: TlsCa = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    insecure: Insecure = False,
    json_to: JsonTo = None,
) -> None:
    """Find ordered particles in a file of ions, and write a report.

    Example: `aptstream run R5096.pos --ranges R5096.rrng --host Al --solute Li,Mg --out R5096`
    """
    from aptstream.workflow import Question, analyse, check_question, output_folder

    elsewhere = scheduler_of(scheduler, tls_ca, tls_cert, tls_key, insecure=insecure)
    chosen = model_for(model, structure, a_nm, pole, runtime=runtime)
    given = structure is not None or a_nm is not None or pole is not None
    looks = align if align is not None else given
    wish = wish_for(chosen.crystal, normal, align=looks, accept_candidate=accept_candidate, named=pole is not None)
    question = Question(file, ranges, roles_of(host, solute), chosen, cut=cut_of(cut, neighbours), wish=wish)
    check_question(question)
    with output_folder(out), StageDisplay(stderr) as stages:
        say_decisions(stderr, chosen, question.roles)
        with workers_for(stages, workers, elsewhere) as client:
            summary = analyse(question, out, client=client, stages=stages)
        stages.finish()
        show_summary(summary, out, stages.seconds, json_to)


@app.command()
@verb
def ingest(
    file: Annotated[Path, typer.Argument(help="Ions (.pos, .epos, .apt, .csv, .nxs), or a point store to range anew.")],
    ranges: Ranges,
    out: Annotated[str, typer.Option(help="Point store to make, or its URL, such as s3://bucket/R5096.zarr.")],
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out ions with numbers that cannot be right, and count them.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=0, help="Worker processes; 0 = none. Default: none below 256 MB, or one a core."),
    ] = None,
    json_to: JsonTo = None,
) -> None:
    """Read, range and sort ions into a point store.

    The same command goes on with what was stopped.

    Example: `aptstream ingest R5096.pos --ranges R5096.rrng --out R5096.zarr`
    """
    from aptstream.cloud import ingest as make_store

    size = sum(part.stat().st_size for part in (file, *file.rglob("c.*")) if part.is_file())
    n = 0 if workers is None and size < 2**28 else workers
    with StageDisplay(stderr) as stages, workers_for(stages, n, None) as client:
        stages.begin("ingest")
        bad: Literal["refuse", "skip"] = "skip" if skip_bad else "refuse"
        with kept_or_sent(out, stages) as folder:
            make_store(file, ranges=ranges, out=folder, on_bad=bad, client=client, progress=stages)
    tell(facts(out), json_to)


@app.command()
@verb
def find(
    store: StoreName,
    scan_path: Annotated[Path, typer.Argument(metavar="SCAN", help="Its scan.")],
    out: Annotated[Path, typer.Option(help="Output folder; must not exist, or be empty.")],
    model: ModelName = "order",
    cut: CutAt = None,
    neighbours: NeighboursOf = 6,
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
        job = Conclusion(open_scan(scan_path), open_store(store), load_model(model), cut=cut_of(cut, neighbours))
        summary = conclude(job, out=out, stages=stages)
        stages.finish()
        show_summary(summary, out, stages.seconds, json_to)


@app.command()
@verb
def info(
    path: Annotated[
        str, typer.Argument(help="Any file or folder that aptstream reads or writes, or the URL of a point store.")
    ],
    digest: Annotated[bool, typer.Option("--digest", help="Print one sha256 over the content only.")] = False,
    json_to: JsonTo = None,
) -> None:
    """Say what a file or folder holds.

    Example: `aptstream info R5096/points.zarr --digest`
    """
    from aptstream.inspection import content_sha256

    if digest:
        print(content_sha256(path))
    else:
        tell(facts(path), json_to)


@export_app.command("particles")
@verb
def export_particles(
    path: Annotated[Path, typer.Argument(help="Output folder of a run, or its particles.csv.")],
    to: Annotated[Path, typer.Option(help="File to write (.csv, .parquet, .h5).", callback=in_a_folder)],
    json_to: JsonTo = None,
) -> None:
    """Write the particle table: one column a measure, named with its unit.

    Example: `aptstream export particles R5096 --to particles.parquet`
    """
    from aptstream.report.tables import read_particles, write_particles

    table = read_particles(path)
    write_particles(to, table)
    wrote(to, json_to, n_particles=len(table.rows))


@export_app.command("grid")
@verb
def export_grid(
    path: Annotated[Path, typer.Argument(help="Output folder of a run, or its grid.zarr.")],
    to: Annotated[Path, typer.Option(help="File to write (.npz).", callback=in_a_folder)],
    json_to: JsonTo = None,
) -> None:
    """Write the 1 nm grid as NumPy arrays.

    They are order, total, count, labels [ix, iy, iz], origin_nm, voxel_nm.

    Example: `aptstream export grid R5096 --to grid.npz`
    """
    from aptstream.grid import export_npz, open_grid

    if to.suffix != ".npz":
        raise typer.BadParameter(f"found {to.name}, expected a name that ends in .npz", param_hint="--to")
    grid = open_grid(path)
    export_npz(grid, to)
    wrote(to, json_to, n_voxels=grid.order.size)


app.command()(verb(simulate))


@app.command()
@verb
def evaluate(
    path: Annotated[
        Path | None, typer.Argument(help="Output folder of a run (or its grid), or a training library.")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="True particles of the specimen (.truth.json). Default: the one in the folder.")
    ] = None,
    images: ImagesFrom = None,
    labels: LabelsFrom = None,
    models: ModelsFrom = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", help="Model whose networks judge a training library, or images.", autocompletion=complete_model
        ),
    ] = None,
    seed: Seed = 1,
    json_to: JsonTo = None,
) -> None:
    """Say how right a result is, on a simulated specimen whose truth is known.

    Or what networks say of images from an instrument.

    Example: `aptstream evaluate result --truth specimen/specimen.truth.json`, or
    `aptstream evaluate --images measured --labels labels.csv`
    """
    from aptstream.inspection import evaluation_of, is_library, library_scores

    if (path is None) == (images is None):
        raise typer.BadParameter("give either a result or library, or measured images with --images")
    if images is not None:
        if truth is not None:
            raise typer.BadParameter("belongs to a result: leave it out with --images", param_hint="--truth")
        evaluate_images(images, labels, models, model, json_to)
        return
    if path is None or labels is not None or models is not None:
        raise typer.BadParameter("--labels and --models belong to measured images: give --images too")
    if is_library(path):
        if truth is not None:
            raise typer.BadParameter("a training library holds its own truth: leave --truth out", param_hint="--truth")
        from aptstream.model.modelfile import load_model

        tell(library_scores(path, load_model(model or "order")), json_to)
        return
    show_evaluation(stdout, evaluation_of(path, truth, seed), json_to)


add_pole_verbs(app)
add_scan_verbs(app)
add_phase_verbs(app)
add_compare_verbs(app)
add_check_verbs(app)
add_report_verb(app)
add_figure_verb(app)
add_range_verbs(app)
add_reproduce_verbs(app)
add_store_verbs(app, export_app)
add_verbs(app)


def main() -> None:
    """Run the command line; a batch system that ends it is answered like Ctrl-C."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    app()


if __name__ == "__main__":
    main()
