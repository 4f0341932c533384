"""Li et al. (2021) step by step: library, networks, tests, scan; each step once, and again only where it must be."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from aptstream import __version__
from aptstream.grid.answer import Cut
from aptstream.grid.files import open_grid
from aptstream.io.pictures import Pictures
from aptstream.io.replace import discard, replacing
from aptstream.model.fitting import Curves
from aptstream.model.modelfile import Model, load_model, save_model
from aptstream.model.networks import ImageNet, start_tensorflow
from aptstream.model.presets import Preset, get_preset, make_library
from aptstream.model.training import TrainingOptions, hold_out, train, training_curves
from aptstream.reproduce.experiment import (
    IMAGES,
    TABLE,
    read_experiment,
    require_both_classes,
    simulate_experiment,
    take_experiment,
)
from aptstream.reproduce.judging import CUBES, hidden_tests, judge_pictures, picture_scores
from aptstream.reproduce.ledger import Record, Step, carry_out, claim
from aptstream.reproduce.recipe import DEPTHS, Recipe
from aptstream.reproduce.specimen import (
    FILES,
    composition_result,
    make_specimen,
    planes_result,
    published_grid,
    published_result,
    scan_specimen,
)
from aptstream.sdm.li2021 import EDGE_NM, VIEW, add_real_images
from aptstream.sdm.library import open_dictionary
from aptstream.workflow import Stages

#: The networks that judge pictures, by name: file, and what it learned.
NETWORKS = {"case 1": "case-1", "case 2": "case-2", "honest library": "matched"}
#: The scans: name of the output folder, and of the network; nothing for our default.
SCANS = {"li2021": "case-2", "matched": "matched", "order": None}
#: Pictures of each kind in the tests on blur.
N_HIDDEN = 1000
#: Specimens of the honest library, at least: a tenth of them is held out.
LEAST_SPECIMENS = 20


@dataclass(frozen=True)
class Tools:
    """What the work is done with; it does not change what is asked.

    Parameters
    ----------
    stages : Stages
        Told of every step.
    threads : int
        Threads of TensorFlow, and crystals made at the same time. Another number gives slightly other weights.
    n_workers : int
        Worker processes of the scans; 0 = none.
    """

    stages: Stages
    threads: int = 1
    n_workers: int = 0


@dataclass(frozen=True)
class Measured:
    """Pictures from an instrument, which take the place of the simulated ones.

    Parameters
    ----------
    pictures : Pictures
        In the publication's form.
    label : ndarray of float32, (n,)
        Ordered share of each; NaN where it is not known.

    Raises
    ------
    PlanError
        If they do not suffice for case 2.
    """

    pictures: Pictures
    label: np.ndarray[Any, np.dtype[np.float32]]

    def __post_init__(self) -> None:
        require_both_classes(self.label)

    @property
    def settings(self) -> dict[str, Any]:
        """What identifies them, as JSON values."""
        content = self.pictures.grey.tobytes() + self.label.tobytes()
        return {"n": len(self.pictures), "sha256": hashlib.sha256(content).hexdigest()}


@dataclass(frozen=True)
class Reproduction:
    """What was reproduced.

    Parameters
    ----------
    folder : Path
        Where the products are.
    recipe : Recipe
        The settings.
    records : dict of str to Record
        What each step left, by its name, in their order.
    threads : int
        Threads of this run.
    """

    folder: Path
    recipe: Recipe
    records: dict[str, Record] = field(default_factory=dict)
    threads: int = 1

    def model(self, name: str) -> Model:
        """Return one of the networks by the stem of its file."""
        return load_model(self.folder / "models" / f"{name}.aptmodel")

    def facts(self, step: str) -> dict[str, Any]:
        """Return what a step found out."""
        return self.records[step].facts


def reproduce_li2021(out: Path, recipe: Recipe, tools: Tools, measured: Measured | None = None) -> Reproduction:
    """Carry the publication's recipe out, step by step; what was done before is gone on from.

    Parameters
    ----------
    out : Path
        An existing folder, empty or of the same recipe.
    recipe : Recipe
        Sizes and seed.
    tools : Tools
        What the work is done with.
    measured : Measured, optional
        Pictures from an instrument, with labels.

    Returns
    -------
    Reproduction

    Raises
    ------
    MissingPackageError
        If TensorFlow is not installed; nothing was done then.
    ResumeError
        If the folder holds work with other settings.
    AptstreamError
        Whatever a step finds wrong; what is done stays.
    """
    _, threads = start_tensorflow(tools.threads)
    claim(out, recipe.as_dict() | {"experimental": measured.settings if measured is not None else None})
    for pattern in (".case-2-*", ".tests-*"):  # of a run that was killed; nobody else is at work here
        for left in out.glob(pattern):
            discard(left)
    records = {}
    for step in steps_of(recipe, tools, measured):
        records[step.name] = carry_out(step, out, tools.stages.begin)
    return Reproduction(out, recipe, records, threads)


def steps_of(recipe: Recipe, tools: Tools, measured: Measured | None = None) -> Iterator[Step]:
    """List the steps in their order, what tells most first."""
    work = _Work(recipe, tools, measured)
    li2021, matched = work.preset("li2021"), work.preset("li2021-matched")
    n_honest = max(recipe.n_images // CUBES, LEAST_SPECIMENS)
    yield work.library("dictionary", li2021, recipe.n_images)
    yield work.network("case-1", li2021, "dictionary")
    yield work.experiment()
    yield work.case_2(li2021)
    yield work.library("matched", matched, n_honest)
    yield work.network("network-matched", matched, "matched", "models/matched.aptmodel")
    yield work.tests()
    yield work.specimen()
    for name, network in SCANS.items():
        yield work.scan(name, network)
    yield work.results()
    yield work.library("part", li2021, recipe.n_for_depths)
    for depth in sorted(DEPTHS, reverse=True):
        yield work.depth(li2021, depth)
    for fold in range(recipe.folds):
        yield work.fold(li2021, fold)


@dataclass(frozen=True)
class _Work:
    """How the steps are made."""

    recipe: Recipe
    tools: Tools
    measured: Measured | None

    def preset(self, name: str) -> Preset:
        """Return a preset with the epochs that are asked for."""
        return replace(get_preset(name), epochs={EDGE_NM: self.recipe.epochs})

    def library(self, name: str, preset: Preset, size: int) -> Step:
        """Make a training library."""
        seed, product = self.recipe.seed, f"{name}.zarr"

        def make(folder: Path) -> dict[str, Any]:
            tools = {"threads": self.tools.threads, "progress": self.tools.stages}
            make_library(preset, folder / product, seed=seed, size=size, **tools)  # type: ignore[arg-type]
            samples, attributes = open_dictionary(folder / product)
            fraction = samples[EDGE_NM].fraction
            return {
                "n_images": len(fraction),
                "n_unordered": int((fraction == 0).sum()),
                "n_ordered": int((fraction >= 0.5).sum()),
                "n_specimens": attributes["n_specimens"],
            }

        words = {"dictionary": "library", "matched": "honest library", "part": "part of the library"}[name]
        return Step(name, words, (product,), make, {"preset": preset.name, "size": size, "seed": seed})

    def network(self, name: str, preset: Preset, library: str, product: str = "") -> Step:
        """Train a network on a library."""
        product = product or f"models/{name}.aptmodel"

        def make(folder: Path) -> dict[str, Any]:
            return self._trained(preset, folder / f"{library}.zarr", folder / product)

        words = f"network {name.removeprefix('network-')}"
        return Step(name, words, (product,), make, self._fit(preset), (library,))

    def _fit(self, preset: Preset) -> dict[str, Any]:
        return {
            "seed": self.recipe.seed,
            "epochs": self.recipe.epochs,
            "net": asdict(preset.net),
            "fit": asdict(preset.fit),
        }

    def _trained(self, preset: Preset, library: Path, out: Path) -> dict[str, Any]:
        options = TrainingOptions(threads=self.tools.threads)
        model = train(preset, library, seed=self.recipe.seed, options=options, progress=self.tools.stages)
        save_model(out, model)
        last = model.provenance["curves"][f"cubes_{EDGE_NM}nm"]["epochs"][-1]
        return {
            "n_parameters": _n_parameters(preset),
            "threads": model.provenance["threads"],
            "last_epoch": last,
            "held_out": model.scores[f"cubes_{EDGE_NM}nm"],
        }

    def depth(self, preset: Preset, depth: int) -> Step:
        """Train a network of another depth on a part of the library, for its losses."""
        other = replace(preset, net=ImageNet.of_depth(depth))
        options = TrainingOptions(threads=self.tools.threads)

        def make(folder: Path) -> dict[str, Any]:
            return self._curves(other, folder / "part.zarr", folder / product, options)

        product = f"depths/depth-{depth}.json"
        return Step(f"depth-{depth}", f"depth {depth}", (product,), make, self._fit(other), ("part",))

    def fold(self, preset: Preset, fold: int) -> Step:
        """Train one network of the cross-validation, for its losses."""
        n = self.recipe.folds
        product, options = f"folds/fold-{fold + 1}.json", TrainingOptions(n, threads=self.tools.threads)

        def make(folder: Path) -> dict[str, Any]:
            return self._curves(preset, folder / "dictionary.zarr", folder / product, options, fold)

        settings = self._fit(preset) | {"folds": n, "fold": fold}
        return Step(f"fold-{fold + 1}", f"fold {fold + 1} of {n}", (product,), make, settings, ("dictionary",))

    def _curves(
        self, preset: Preset, library: Path, out: Path, options: TrainingOptions, fold: int | None = None
    ) -> dict[str, Any]:
        """Train for losses alone, and write them."""
        seed, stages = self.recipe.seed, self.tools.stages
        curves: Curves = training_curves(preset, library, seed=seed, options=options, fold=fold, progress=stages)
        with replacing(out) as stream:
            stream.write((json.dumps(curves, indent=1) + "\n").encode())
        return {"epochs": curves, "n_parameters": _n_parameters(preset)}

    def experiment(self) -> Step:
        """Make or take the pictures of the experimental side."""
        products, measured = (f"experiment/{IMAGES}", f"experiment/{TABLE}"), self.measured

        def make(folder: Path) -> dict[str, Any]:
            if measured is not None:
                return take_experiment(folder / "experiment", measured.pictures, measured.label)
            return simulate_experiment(folder / "experiment", self.recipe.seed, load_model(), self.tools.stages)

        settings = {"seed": self.recipe.seed, "measured": measured.settings if measured is not None else None}
        return Step("experiment", "experimental side", products, make, settings)

    def case_2(self, preset: Preset) -> Step:
        """Train a network on the library and the learned pictures of the experimental side."""

        def make(folder: Path) -> dict[str, Any]:
            found = read_experiment(folder / "experiment")
            learned = found[found.learned]
            with tempfile.TemporaryDirectory(prefix=".case-2-", dir=folder) as name:
                more = Path(name, "more.zarr")
                add_real_images(
                    folder / "dictionary.zarr", learned.pictures.grey, learned.label, out=more, seed=self.recipe.seed
                )
                return self._trained(preset, more, folder / "models" / "case-2.aptmodel")

        needs = ("dictionary", "experiment")
        return Step("case-2", "network case-2", ("models/case-2.aptmodel",), make, self._fit(preset), needs)

    def tests(self) -> Step:
        """Test the networks on the experimental side, and on pictures whose blur does not tell."""

        def make(folder: Path) -> dict[str, Any]:
            models = {name: load_model(folder / "models" / f"{stem}.aptmodel") for name, stem in NETWORKS.items()}
            found = read_experiment(folder / "experiment")
            test = found[~found.learned]
            judgement = judge_pictures(test.pictures, models, test.label)
            if np.isfinite(test.ours).all():
                judgement = replace(judgement, p=judgement.p | {"ours": test.ours})
            facts: dict[str, Any] = {"experimental": judgement.as_json(), "twins": self._twins(folder)}
            n = min(N_HIDDEN, self.recipe.n_images)
            with tempfile.TemporaryDirectory(prefix=".tests-", dir=folder) as name:
                for kind, samples in hidden_tests(Path(name), n, self.recipe.seed):
                    scores = {of: picture_scores(model.judges[0], samples) for of, model in models.items()}
                    facts[kind] = scores
            return facts

        needs = ("dictionary", "case-1", "case-2", "network-matched", "experiment")
        return Step("tests", "tests", (), make, {"n": N_HIDDEN, "seed": self.recipe.seed}, needs)

    def _twins(self, folder: Path) -> dict[str, Any]:
        """Tell how many held-out pictures are of a crystal that training has seen."""
        samples = open_dictionary(folder / "dictionary.zarr")[0][EDGE_NM]
        training, held = hold_out(samples, get_preset("li2021").fit.split, self.recipe.seed)
        return {"n": len(held), "share": float(np.isin(held.specimen, training.specimen).mean())}

    def specimen(self) -> Step:
        """Simulate the specimen that is scanned."""
        seed, size = self.recipe.seed, self.recipe.size_nm

        def make(folder: Path) -> dict[str, Any]:
            return make_specimen(folder / "specimen", seed, size, self.tools.stages)

        products = tuple(f"specimen/{name}" for name in FILES)
        return Step("specimen", "specimen", products, make, {"seed": seed, "size_nm": list(size)})

    def scan(self, name: str, network: str | None) -> Step:
        """Scan the specimen with a network, or with our default."""
        # The publication's rule is cut from the same votes afterwards, edges and all; here the mean is cut.
        cut = Cut(62 / 64, "votes") if name == "li2021" else None

        def make(folder: Path) -> dict[str, Any]:
            model = load_model() if network is None else load_model(folder / "models" / f"{network}.aptmodel")
            tools = (self.tools.n_workers, self.tools.stages)
            return scan_specimen(folder / "specimen", model, cut, folder / "runs" / name, tools)

        trained = {"case-2": "case-2", "matched": "network-matched"}
        needs = ("specimen", *((trained[network],) if network is not None else ()))
        products = (f"runs/{name}", f"runs/{name}/scan.zarr", f"runs/{name}/points.zarr")
        return Step(f"scan-{name}", f"scan {name}", products, make, {"version": __version__}, needs)

    def results(self) -> Step:
        """Hold the publication's cut, the composition and the planes of both phases against the truth."""

        def make(folder: Path) -> dict[str, Any]:
            runs, specimen, stages = folder / "runs", folder / "specimen", self.tools.stages
            grids = {name: open_grid(runs / name) for name in SCANS}
            grids["li2021"] = published_grid(grids["li2021"])
            return {
                "published": published_result(runs / "li2021", specimen),
                "composition": composition_result(runs / "order", specimen, stages),
                "planes": {name: planes_result(runs / name, grid, stages) for name, grid in grids.items()},
            }

        return Step("results", "results", (), make, {}, ("specimen", *(f"scan-{name}" for name in SCANS)))


def _n_parameters(preset: Preset) -> int | None:
    """Count the weights of the network of a preset."""
    return preset.net.n_parameters(VIEW.shape) if isinstance(preset.net, ImageNet) else None
