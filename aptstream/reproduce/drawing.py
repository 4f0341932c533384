"""The figures of a reproduction: those of the publication, drawn from what the steps left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aptstream import __version__
from aptstream.drawings import Sources
from aptstream.errors import AptstreamError
from aptstream.gallery import DRAWINGS, draw
from aptstream.grid.files import open_grid
from aptstream.phases.phasemap import PhaseMap
from aptstream.phases.species import OrderFrame, phase_sdms
from aptstream.report.history import loss_by_depth, training_history
from aptstream.report.phases import zsdm_figure
from aptstream.report.roc import image_probabilities
from aptstream.report.style import FORMS, PAGE_MM, blank, write_figure
from aptstream.reproduce.ledger import Step
from aptstream.reproduce.li2021 import SCANS, Reproduction
from aptstream.reproduce.recipe import DEPTHS
from aptstream.reproduce.specimen import open_run_store, published_grid
from aptstream.scan.results import open_scan

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from aptstream.report.roc import Judged


@dataclass(frozen=True)
class Drawn:
    """A figure that is to be drawn.

    Parameters
    ----------
    name, part, caption : str
        Name of its files, part of the page, and what it shows.
    draw : callable
        Figure of it.
    needs : tuple of str
        Steps that it is drawn from.
    """

    name: str
    part: str
    caption: str
    draw: Callable[[], Figure]
    needs: tuple[str, ...]

    def step(self) -> Step:
        """Return the step that writes it as PNG, PDF and SVG."""
        products = tuple(f"figures/{self.name}.{form}" for form in FORMS)
        return Step(
            f"figure-{self.name}",
            f"figure {self.name}",
            products,
            self._write,
            {"version": __version__},
            self.needs,
        )

    def _write(self, folder: Path) -> dict[str, Any]:
        try:
            figure, note = self.draw(), None
        except AptstreamError as error:  # such as no particle above the publication's cut: the page says so
            note = str(error)
            figure = blank(PAGE_MM, 20)
            figure.text(0.5, 0.5, f"Nothing to draw: {note}", ha="center", va="center", wrap=True)
        write_figure(figure, folder / "figures", self.name)
        return {"note": note}


def figures_of(done: Reproduction) -> list[Drawn]:
    """List all figures in the order of the page.

    Parameters
    ----------
    done : Reproduction
        All steps done.

    Returns
    -------
    list of Drawn
    """
    return [*_of_training(done), *_of_tests(done), *_of_scans(done)]


def _from_gallery(done: Reproduction, name: str, part: str, sources: tuple[str, ...], needs: tuple[str, ...]) -> Drawn:
    """Return a figure that `aptstream figure` draws too."""

    def drawn() -> Figure:
        return draw(name, Sources(sources, seed=done.recipe.seed))[0]

    return Drawn(name, part, DRAWINGS[name].caption, drawn, needs)


def _of_training(done: Reproduction) -> Iterator[Drawn]:
    part, folds = "library and network", tuple(f"fold-{k + 1}" for k in range(done.recipe.folds))
    yield _from_gallery(done, "making", part, (), ())
    yield _from_gallery(done, "network", part, ("li2021",), ())
    caption = DRAWINGS["training"].caption
    yield Drawn("training-case-1", part, f"Case 1. {caption}", partial(_history, done), ("case-1", *folds))
    case_2 = partial(lambda: training_history(done.model("case-2")))
    yield Drawn("training-case-2", part, f"Case 2. {caption}", case_2, ("case-2",))
    honest = partial(lambda: training_history(done.model("matched")))
    yield Drawn("training-honest", part, f"The same network, honest library. {caption}", honest, ("network-matched",))
    depths = tuple(f"depth-{depth}" for depth in DEPTHS)
    yield Drawn("depth", part, DRAWINGS["depth"].caption, partial(_depths, done), depths)


def _history(done: Reproduction) -> Figure:
    """Draw the losses of case 1, with those of the folds."""
    model, n = done.model("case-1"), done.recipe.folds
    folds = [done.facts(f"fold-{k + 1}")["epochs"] for k in range(n)]
    curves = {name: record | {"folds": folds} for name, record in model.provenance["curves"].items()}
    return training_history(replace(model, provenance=model.provenance | {"curves": curves}))


def _depths(done: Reproduction) -> Figure:
    last = {depth: done.facts(f"depth-{depth}")["epochs"][-1] for depth in DEPTHS}
    return loss_by_depth({depth: ([row["loss"]], [row["validation_loss"]]) for depth, row in last.items()})


def _of_tests(done: Reproduction) -> Iterator[Drawn]:
    part = "tests on images"
    yield Drawn("test", part, DRAWINGS["test"].caption, partial(_test, done), ("tests",))
    model, library, run = (
        str(done.folder / name) for name in ("models/case-2.aptmodel", "dictionary.zarr", "runs/li2021")
    )
    yield _from_gallery(done, "inside", part, (model,), ("case-2",))
    yield _from_gallery(done, "noise", part, (library, run), ("dictionary", "scan-li2021"))


def _test(done: Reproduction) -> Figure:
    """Draw the probabilities of the experimental images."""
    images = done.facts("tests")["experimental"]["images"]
    label = np.array([np.nan if row["label"] is None else row["label"] for row in images])
    known = np.isfinite(label)
    cases: dict[str, Judged] = {}
    for name in ("case 1", "case 2", "honest library"):
        cases[name] = np.array([row["p"][name] for row in images])[known], label[known]
    return image_probabilities(cases)


def _of_scans(done: Reproduction) -> Iterator[Drawn]:
    part, runs = "specimen with known truth", {name: str(done.folder / "runs" / name) for name in SCANS}
    for name in ("specimen", "slice"):
        yield _from_gallery(done, name, part, (runs["li2021"],), ("scan-li2021",))
    for name in ("cubes", "votes", "sums"):
        drawn = _from_gallery(done, name, part, (runs["li2021"],), ("scan-li2021",))
        yield replace(drawn, caption=f"Case 2. {drawn.caption}")
    for name in ("order", "sizes", "compare"):
        drawn = _from_gallery(done, name, part, (runs["order"],), ("scan-order",))
        yield replace(drawn, caption=f"Our default. {drawn.caption}")
    caption = DRAWINGS["phases"].caption
    published = partial(_published_phases, Path(runs["li2021"]))
    part = "planes of both phases"
    yield Drawn("phases-published", part, f"Sum of the votes at least 62. {caption}", published, ("scan-li2021",))
    own = _from_gallery(done, "phases", part, (runs["order"],), ("scan-order",))
    yield replace(own, caption=f"Our default. {caption}")


def _published_phases(run: Path) -> Figure:
    """Draw the z-SDMs of the voxels above and below the publication's cut."""
    grid, scan = published_grid(open_grid(run)), open_scan(run / "scan.zarr")
    phases = PhaseMap(grid.labels, np.isfinite(grid.order), grid.votes.origin_nm, 1.0)
    return zsdm_figure(phase_sdms(phases, open_run_store(run), OrderFrame.of(scan)))
