"""The verbs that make and show models: ``dictionary``, ``train``, ``model``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aptstream.cli_complete import complete_model
from aptstream.cli_parts import JsonTo, Seed, facts, stderr, stdout, tell, verb
from aptstream.display import StageDisplay, write_json

_MODEL = """Show the models that come with aptstream, or a file of your own.

Example: `aptstream model show order`"""
model_app = typer.Typer(no_args_is_help=True, help=_MODEL)

Threads = Annotated[int, typer.Option("--threads", min=1, help="Threads to work with.")]


def add_verbs(app: typer.Typer) -> None:
    """Add the verbs of this module to the command line."""
    app.command()(dictionary)
    app.command()(train)


@verb
def dictionary(
    out: Annotated[Path, typer.Option(help="Training library to make.")],
    preset: Annotated[str, typer.Option(help="Preset whose images are made.")] = "cubes",
    specimens: Annotated[int | None, typer.Option(min=10, help="Simulated specimens to cut cubes from.")] = None,
    images: Annotated[int | None, typer.Option(min=10, help="Pictures of the preset li2021.")] = None,
    seed: Seed = 1,
    threads: Threads = 1,
    json_to: JsonTo = None,
) -> None:
    """Make a training library: labelled images of simulated cubes.

    Presets: `order` and `joint` (1 nm grid), `cubes`, `matched`, `li2021` (as published), `li2021-matched`.

    Example: `aptstream dictionary --specimens 200 --seed 1 --out dictionary.zarr`
    """
    from aptstream.model.presets import get_preset, make_library
    from aptstream.model.refiner_training import N_SPECIMENS, REFINERS
    from aptstream.sdm.orderlibrary import make_order_library

    if preset in REFINERS:
        if images is not None:
            raise typer.BadParameter(
                f"the size of a library for {preset} is given by --specimens", param_hint="--images"
            )
        with StageDisplay(stderr) as stages:
            stages.begin("dictionary")
            n = specimens or N_SPECIMENS
            make_order_library(out, n_specimens=n, seed=seed, threads=threads, progress=stages)
        tell(facts(out), json_to)
        return
    recipe = get_preset(preset)
    published = recipe.library == "li2021"
    if (specimens if published else images) is not None:
        wrong, right = ("--specimens", "--images") if published else ("--images", "--specimens")
        raise typer.BadParameter(f"the size of a library for {preset} is given by {right}", param_hint=wrong)
    size = images if published else specimens
    with StageDisplay(stderr) as stages:
        stages.begin("dictionary")
        make_library(recipe, out, seed=seed, size=size, threads=threads, progress=stages)
    tell(facts(out), json_to)


@verb
def train(
    library: Annotated[Path, typer.Argument(metavar="DICTIONARY", help="Training library.")],
    out: Annotated[Path, typer.Option(help="Model file to write (.aptmodel).")],
    preset: Annotated[str, typer.Option(help="What to train.")] = "cubes",
    seed: Seed = 1,
    folds: Annotated[int, typer.Option(min=0, help="Folds of cross-validation, such as 5; 0 = none.")] = 0,
    patience: Annotated[int, typer.Option(min=0, help="Stop after so many epochs without gain; 0 = never.")] = 0,
    split: Annotated[str | None, typer.Option(help="Keep together: specimen or image. Default: the preset's.")] = None,
    threads: Threads = 1,
    json_to: JsonTo = None,
) -> None:
    """Train the networks of a preset.

    Needs TensorFlow: `pip install 'aptstream[train]'`.

    Example: `aptstream train dictionary.zarr --seed 1 --out cubes.aptmodel`
    """
    from aptstream.model.modelfile import SUFFIX, save_model
    from aptstream.model.presets import get_preset
    from aptstream.model.refiner_training import REFINERS, train_order_model
    from aptstream.model.training import TrainingOptions
    from aptstream.model.training import train as fit

    if out.suffix != SUFFIX:
        raise typer.BadParameter(f"found {out.name}, expected a name that ends in {SUFFIX}", param_hint="--out")
    options = TrainingOptions(folds, patience, split, threads)  # type: ignore[arg-type]  # it checks the word
    if preset in REFINERS and options != TrainingOptions(threads=threads):
        raise typer.BadParameter(
            f"the preset {preset} is trained without folds, a tenth of the specimens held out: leave --folds, "
            f"--patience and --split out"
        )
    with StageDisplay(stderr) as stages:

        def told(stage: str, done: int, total: int, unit: str) -> None:
            stages(stage, done, total, unit)
            stderr.print(f"epoch {done} of {total}  {stage}", highlight=False, markup=False)

        stages.begin("train")
        if preset in REFINERS:
            model = train_order_model(preset, library, seed=seed, threads=threads, progress=told)
        else:
            model = fit(get_preset(preset), library, seed=seed, options=options, progress=told)
    save_model(out, model)
    tell(facts(out), json_to)


@model_app.command("list")
@verb
def model_list(json_to: JsonTo = None) -> None:
    """Name the models that come with aptstream.

    Example: `aptstream model list`
    """
    from aptstream.model.modelfile import shipped_models

    if json_to is not None:
        write_json({"models": list(shipped_models())}, json_to)
        return
    for name in shipped_models():
        stdout.print(name, highlight=False, markup=False)


@model_app.command("show")
@verb
def model_show(
    model: Annotated[str, typer.Argument(help="Name, or path of an .aptmodel file.", autocompletion=complete_model)],
    json_to: JsonTo = None,
) -> None:
    """Say what a model looks for, how it was made and what it scored.

    Example: `aptstream model show cubes`
    """
    from aptstream.inspection import describe_model
    from aptstream.model.modelfile import load_model

    tell(describe_model(load_model(model)), json_to)
