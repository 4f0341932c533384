"""The verb ``reproduce``, and what ``evaluate`` does with images from an instrument."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from aptstream.cli_cluster import Workers
from aptstream.cli_parts import JsonTo, Seed, stderr, stdout, verb
from aptstream.display import StageDisplay, write_json

if TYPE_CHECKING:
    from aptstream.model.modelfile import Model
    from aptstream.reproduce.judging import Judgement
    from aptstream.reproduce.li2021 import Measured

#: Publications that can be reproduced.
PUBLICATIONS = ("li2021",)
ImagesFrom = Annotated[
    Path | None,
    typer.Option("--images", help="Folder of PNG, or .npy: grey zx-SDMs, 150 × 150 pixels over ±0.7 nm."),
]
LabelsFrom = Annotated[
    Path | None, typer.Option("--labels", help="CSV with columns image,label; 0 = matrix, 1 = ordered.")
]
ModelsFrom = Annotated[
    Path | None, typer.Option("--models", help="Folder of aptstream reproduce: its networks judge, not those shipped.")
]


def add_reproduce_verbs(app: typer.Typer) -> None:
    """Add the verb of this module to the command line."""
    app.command()(reproduce)


@verb
def reproduce(
    publication: Annotated[str, typer.Argument(help="Which one: li2021.")],
    out: Annotated[Path, typer.Option(help="Output folder; the same command goes on in it.")],
    images: Annotated[
        int, typer.Option(min=200, help="Of the training library. Default: 18416.", show_default=False)
    ] = 18416,
    epochs: Annotated[int, typer.Option(min=1, help="Of training. Default: 7.", show_default=False)] = 7,
    folds: Annotated[
        int, typer.Option(min=0, help="Of cross-validation; 0 = none. Default: 5.", show_default=False)
    ] = 5,
    size_nm: Annotated[
        tuple[float, float, float],
        typer.Option(help="Of the scanned specimen in nm. Default: 38 54 58.", show_default=False),
    ] = (38, 54, 58),
    experimental: Annotated[
        Path | None, typer.Option(help="Measured images (folder of PNG, or .npy) for the experimental side.")
    ] = None,
    labels: LabelsFrom = None,
    seed: Seed = 1,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Threads to train with. Default: one a core.")
    ] = None,
    workers: Workers = None,
    json_to: JsonTo = None,
) -> None:
    """Carry a publication's recipe out step by step, beside ours.

    Li et al., npj Comput. Mater. 7, 8 (2021). Leaves a page, a table, figures and models. Takes hours of computing
    time; what is done is kept. Needs TensorFlow: `pip install 'aptstream[train]'`.

    Example: `aptstream reproduce li2021 --out reproduction`
    """
    from aptstream.cluster import usable_cores
    from aptstream.io.lease import leased
    from aptstream.model.networks import require_tensorflow
    from aptstream.reproduce.ledger import require_free
    from aptstream.reproduce.li2021 import Tools, reproduce_li2021
    from aptstream.reproduce.page import PAGE, write_reproduction
    from aptstream.reproduce.recipe import Recipe

    if publication not in PUBLICATIONS:
        raise typer.BadParameter(f"found {publication!r}, expected one of {', '.join(PUBLICATIONS)}")
    if labels is not None and experimental is None:
        raise typer.BadParameter("belongs to measured images: give --experimental too", param_hint="--labels")
    require_tensorflow()
    recipe = Recipe(images, epochs, folds, seed, size_nm)
    measured = _measured(experimental, labels)
    cores = usable_cores()
    require_free(out)
    with leased(out), StageDisplay(stderr) as stages:
        tools = Tools(stages, threads or cores, cores if workers is None else workers)
        stderr.print(
            f"about {recipe.cpu_minutes:.0f} minutes of computing time on one core, less what is done already; stop "
            f"with Ctrl-C at any time, and give the same command again to go on",
            highlight=False,
        )
        done = reproduce_li2021(out, recipe, tools, measured)
        numbers = write_reproduction(done, tools)
        stages.finish()
    if json_to is not None:
        write_json(numbers, json_to)
    if json_to is None or str(json_to) != "-":
        _show_table(numbers["table"])
        stdout.print(f"page: {escape(str(out / PAGE))}", highlight=False, soft_wrap=True)


def _measured(path: Path | None, labels: Path | None) -> Measured | None:
    """Read measured images, where there are any."""
    if path is None:
        return None
    from aptstream.io.pictures import read_pictures
    from aptstream.reproduce.experiment import labels_of
    from aptstream.reproduce.li2021 import Measured
    from aptstream.sdm.li2021 import VIEW

    rows, columns = VIEW.shape
    pictures = read_pictures(path, (rows, columns))
    return Measured(pictures, labels_of(labels, pictures))


def _show_table(rows: list[dict[str, str]]) -> None:
    """Show the table without its remarks, which stand on the page."""
    part = ""
    shown = Table(box=None, pad_edge=False, header_style="dim")
    names = [name for name in rows[0] if name not in ("part", "remark")]
    for name in names:
        shown.add_column(name, overflow="fold")
    for row in rows:
        if row["part"] != part:
            part = row["part"]
            shown.add_row(f"[bold]{escape(part)}[/]")
        shown.add_row(*(escape(row[name]) for name in names))
    stdout.print(shown)


def evaluate_images(
    images: Path, labels: Path | None, models: Path | None, model: str | None, json_to: Path | None
) -> None:
    """Say what networks make of images from an instrument.

    Parameters
    ----------
    images : Path
        Folder of PNG, or array.
    labels : Path, optional
        What is known of them.
    models : Path, optional
        Folder of ``aptstream reproduce``.
    model : str, optional
        A model file in its place.
    json_to : Path, optional
        Where to write the numbers as JSON.
    """
    from aptstream.io.pictures import read_pictures
    from aptstream.reproduce.experiment import labels_of
    from aptstream.reproduce.judging import judge_pictures
    from aptstream.sdm.li2021 import VIEW

    networks = _networks(models, model)
    rows, columns = VIEW.shape
    pictures = read_pictures(images, (rows, columns))
    judgement = judge_pictures(pictures, networks, labels_of(labels, pictures))
    if json_to is not None:
        write_json(judgement.as_json(), json_to)
        return
    _show_judgement(judgement)


def _networks(models: Path | None, model: str | None) -> dict[str, Model]:
    """Load the networks of a reproduction, one of a file, or those that come with aptstream."""
    from aptstream.errors import ModelError
    from aptstream.model.modelfile import load_model
    from aptstream.reproduce.li2021 import NETWORKS
    from aptstream.reproduce.shipped import shipped_networks

    if models is not None and model is not None:
        raise typer.BadParameter(
            "give the folder of aptstream reproduce, or --model with one file", param_hint="--models"
        )
    if model is not None:
        loaded = load_model(model)
        return {loaded.name: loaded}
    if models is None:
        return shipped_networks()
    folder = models / "models"
    found = {name: folder / f"{stem}.aptmodel" for name, stem in NETWORKS.items()}
    there = {name: load_model(path) for name, path in found.items() if path.is_file()}
    if not there:
        raise ModelError(
            f"{models} holds no networks that judge images: expected {', '.join(path.name for path in found.values())} "
            f"in {folder}. Make them with: aptstream reproduce li2021 --out {models}."
        )
    for name in found.keys() - there.keys():
        stderr.print(f"note: the network {name} is not trained yet in {models}", highlight=False, markup=False)
    return there


def _show_judgement(judgement: Judgement) -> None:
    """Show one line an image, and the area under the ROC curve where labels are known."""
    from math import isfinite

    shown = Table(box=None, pad_edge=False, header_style="dim")
    shown.add_column("image", overflow="fold")
    shown.add_column("label", justify="right")
    for name in judgement.p:
        shown.add_column(name, justify="right")
    for k, (name, label) in enumerate(zip(judgement.names, judgement.label.tolist(), strict=True)):
        known = f"{label:g}" if isfinite(label) else ""
        shown.add_row(escape(name), known, *(f"{p[k]:.3g}" for p in judgement.p.values()))
    stdout.print(shown)
    counts = ", ".join(f"{name} {int((p >= 0.5).sum())}" for name, p in judgement.p.items())
    stdout.print(f"called ordered, of {len(judgement.names)}: {escape(counts)}", highlight=False)
    n_matrix, n_ordered = judgement.n_classes
    if n_matrix and n_ordered:
        areas = ", ".join(f"{name} {judgement.auc(name):.3f}" for name in judgement.p)
        stdout.print(
            f"AUC of {n_ordered} images at least half ordered against {n_matrix} without order: {escape(areas)}",
            highlight=False,
        )
