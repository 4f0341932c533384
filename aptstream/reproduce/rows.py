"""Line by line: what the publication states, what its recipe gives here, what ours gives, and why they differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from aptstream.model.modelfile import load_model
from aptstream.reproduce.ledger import Record
from aptstream.reproduce.li2021 import Reproduction
from aptstream.reproduce.recipe import DEPTHS
from aptstream.sdm.li2021 import N_IMAGES, NoiseTable

#: Headings of the table.
COLUMNS = ("part", "quantity", "publication", "its recipe here", "honest library", "our default", "remark")
NONE = "–"
#: Losses below this are as good as none.
VANISHING = 1e-3
_CASES = ("case 1", "case 2", "honest library")
_BLUR = (
    ("table_1", "right on new crystals of its own library", "Nothing of these crystals was learned."),
    (
        "table_1_swapped_sigma_z",
        "right with the σz ranges of the classes exchanged",
        "Its classes differ in blur (σz 0.010–0.038 and 0.030–0.054 nm): the network judges sharpness. One that judges "
        "order does not care.",
    ),
    ("honest", "right on honest cubes | AUC", "Both phases share one range of blur; a cube may hold both."),
)
_SHARES = (
    ("found of true radius ≥ 1.5 nm", "recall_1.5"),
    ("found of 1–1.5 nm", "recall_1_1.5"),
    ("found of 0.5–1 nm", "recall_0.5_1"),
    ("right, of those found", "precision"),
)


@dataclass(frozen=True)
class Row:
    """One line of the table; ``–`` where there is nothing.

    Parameters
    ----------
    part, quantity : str
        Which part of the recipe, and what is stated.
    published, rerun, honest, ours, remark : str
        Numbers with their units, and what fails where and why.
    """

    part: str
    quantity: str
    published: str = NONE
    rerun: str = NONE
    honest: str = NONE
    ours: str = NONE
    remark: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """The line in the order of `COLUMNS`."""
        return (self.part, self.quantity, self.published, self.rerun, self.honest, self.ours, self.remark)


def _row(head: tuple[str, str, str], cells: Sequence[str], remark: str = "") -> Row:
    """Make a line of part, quantity, publication and its cells; those that are left out hold nothing."""
    rerun, honest, ours = (*cells, NONE, NONE, NONE)[:3]
    return Row(*head, rerun, honest, ours, remark)


def table_rows(done: Reproduction) -> list[Row]:
    """Write the table.

    Parameters
    ----------
    done : Reproduction
        All steps done.

    Returns
    -------
    list of Row
    """
    return [*_training(done), *_tests(done), *_particles(done), *_planes(done)]


def _training(done: Reproduction) -> Iterator[Row]:
    part, facts, honest = "library and network", done.facts("dictionary"), done.facts("matched")
    networks = [done.records[name] for name in ("case-1", "network-matched")]
    base = "{} + {}".format(*NoiseTable().n_base)
    made = f"{facts['n_unordered']} + {facts['n_ordered']}"
    made += f", turned from {base}" if done.recipe.n_images == N_IMAGES else " of the same table"
    yield _row(
        (part, "images, FCC + L1₂", f"9866 + 8550, turned from {base}"),
        (made, f"{honest['n_images']} cubes of {honest['n_specimens']} specimens"),
        "Honest cubes: one range of blur for both phases, mixtures, antisites, clusters, background.",
    )
    seconds = [f"{done.records[name].seconds:.0f} s" for name in ("dictionary", "matched")]
    yield _row((part, "making the images", "not stated"), seconds, f"{done.threads} threads.")
    counts = [str(record.facts["n_parameters"]) for record in networks]
    yield _row((part, "weights of the network", "1666881"), [*counts, f"{sum(_weights())} of {len(_weights())} nets"])
    yield _row(
        (part, f"training, {done.recipe.epochs} epochs", "14 min, 8 cores (7 epochs)"),
        [_minutes(record) for record in networks],
        f"{networks[0].facts['threads']} threads.",
    )
    losses = [_losses(done.facts(name)["last_epoch"]) for name in ("case-1", "case-2", "network-matched")]
    yield _row(
        (part, "final loss, training | held out", NONE),
        (f"{losses[0]} (case 2: {losses[1]})", losses[2]),
        _easy(done) + "Honest labels are fractions, whose least cross-entropy is not zero.",
    )
    folds = [done.facts(f"fold-{k + 1}")["epochs"][-1] for k in range(done.recipe.folds)]
    if folds:
        of_folds = sorted(row["validation_loss"] for row in folds)
        worst = min(row["validation_accuracy"] for row in folds)
        text = f"loss {_power(of_folds[0])} … {_power(of_folds[-1])}, each at least {_percent(worst)} right"
        yield _row((part, f"cross-validation, {len(folds)} folds", "5 folds, similar losses"), [text])
    of_depths = [done.facts(f"depth-{depth}")["epochs"][-1]["validation_loss"] for depth in DEPTHS]
    yield _row(
        (part, "held-out loss with 1, 2, 3, 4, 5 convolutions", "least with 4 (Fig. 3c)"),
        [", ".join(_power(loss) for loss in of_depths)],
        f"Each on {done.facts('part')['n_images']} images.",
    )


def _easy(done: Reproduction) -> str:
    """Say why a loss vanishes, where it does."""
    learned = done.facts("case-1")["last_epoch"]["loss"] < VANISHING
    return "The task of its own library is so easy that the loss vanishes: see blur. " if learned else ""


def _tests(done: Reproduction) -> Iterator[Row]:
    part, tests = "tests on images", done.facts("tests")
    held = [_percent(done.facts(name)["held_out"]["accuracy"]) for name in ("case-1", "case-2", "network-matched")]
    yield _row(
        (part, "right on its own held-out tenth", "100 % (both cases)"),
        (f"{held[0]} (case 2: {held[1]})", held[2]),
        f"{_percent(tests['twins']['share'])} of the recipe's held-out images show a crystal that was learned: its "
        f"split goes by image. Honest cubes are split by specimen.",
    )
    for kind, words, remark in _BLUR:
        text = {name: _percent(tests[kind][name]["accuracy"]) for name in _CASES}
        if kind == "honest":
            text = {name: f"{text[name]} | {_three(tests[kind][name]['auc'])}" for name in _CASES}
        yield _row(
            (part, words, NONE), (f"{text['case 1']} (case 2: {text['case 2']})", text["honest library"]), remark
        )
    found = tests["experimental"]
    models, n = found["models"], found["n_matrix"] + found["n_ordered"]
    kind = "simulated" if done.facts("experiment")["simulated"] else "measured"
    auc = {name: _three(row["auc"]) for name, row in models.items()}
    for name, value in (("case 1", "0.963 (48 images)"), ("case 2", "0.995 (48 images)")):
        yield _row(
            (part, f"AUC on {n} {kind} experimental images, {name}", value),
            (auc[name], auc["honest library"], auc.get("ours", NONE)),
            f"It calls {models[name]['n_ordered']} of {found['n']} ordered; {found['n_ordered']} are.",
        )
    right = {name: _percent(_right(found["images"], name)) for name in models}
    yield _row(
        (part, f"right on the same {n} images (p ≥ 0.5 is ordered)", NONE),
        (f"{right['case 1']} (case 2: {right['case 2']})", right["honest library"], right.get("ours", NONE)),
        "The area under the ROC curve asks for the order of the probabilities only, not whether they mean what they "
        "say.",
    )


def _right(images: list[dict[str, Any]], name: str) -> float:
    """Share of the images of both classes on the right side of 1/2."""
    known = [row for row in images if row["label"] is not None and (row["label"] == 0 or row["label"] >= 0.5)]
    right = [bool(row["p"][name] >= 0.5) == bool(row["label"] >= 0.5) for row in known]
    return sum(right) / len(right)


def _particles(done: Reproduction) -> Iterator[Row]:
    part, results = "specimen with known truth", done.facts("results")
    scans = [done.records[f"scan-{name}"] for name in ("li2021", "matched", "order")]
    yield _row((part, "cubes of 4 nm at 1 nm stride", "98175"), [str(scan.facts["n_cubes"]) for scan in scans])
    yield _row(
        (part, "from file to report", "not stated"),
        [_minutes(scan) for scan in scans],
        "The publication's way, written anew, takes 3 h of CPU for 98 175 cubes (bench_publication.py).",
    )
    rerun, ours = results["published"], scans[2].facts
    three = (rerun, scans[1].facts, ours)
    yield _row(
        (part, f"particles ({ours['n_true']} are there)", NONE),
        [str(row["n_found"]) for row in three],
        "The recipe cuts the sum of 64 votes at 62: nearly all 64 cubes round a voxel must be called ordered.",
    )
    yield _row(
        (part, f"mean radius ± s.d. (truth {_radius(ours, 'true')})", "2.54 ± 1.03 nm"),
        [_radius(row, "found") for row in three],
        "The publication's is of another, measured specimen, whose truth is not known.",
    )
    yield _row(
        (part, "smallest radius found", "0.5 nm"),
        [_nm(row["found_radius_least_nm"]) for row in three],
        "One voxel above a cut has a radius of 0.6 nm, whatever is there: recall by radius says what is seen.",
    )
    for words, name in _SHARES:
        yield _row((part, words, NONE), [_percent(row[name]) for row in three])
    error = [_signed(row["volume_fraction_error"]) for row in three]
    yield _row((part, "volume fraction, found / true − 1", NONE), error)
    bias = [NONE if row["radius_bias_nm"] is None else f"{row['radius_bias_nm']:+.2f} nm" for row in three]
    yield _row((part, "radius, mean error", NONE), bias)
    yield _row((part, "AUC of the 1 nm voxels", NONE), [_three(row["auc"]) for row in three])
    yield _row(
        (part, "voxels that can never reach the cut", NONE),
        (_percent(rerun["never"]), _percent(0.0), _percent(0.0)),
        f"Near a face fewer than 62 cubes cover a voxel; {_percent(rerun['ordered_never'])} of the ordered volume lies "
        f"there. We cut means.",
    )
    yield _row(
        (part, "sums ≤ 2 | ≥ 62 of 64, away from faces", "peaks near 0 and 64"),
        [f"{_percent(rerun['low'])} | {_percent(rerun['high'])}"],
        f"{_percent(ours['true_volume_fraction'])} of the volume is ordered.",
    )
    iso = results["composition"]
    yield _row(
        (part, "surface of 8 at.% Li: mean radius ± s.d.", "2.59 ± 0.9 nm"),
        [_radius(iso, "found")],
        f"{iso['n_found']} regions, {_percent(iso['precision'])} of them right, volume "
        f"{_signed(iso['volume_fraction_error'])}. It sees composition, not order.",
    )


def _planes(done: Reproduction) -> Iterator[Row]:
    planes = done.facts("results")["planes"]
    for pair in ("Al–Al", "Li–Li"):
        for phase, published in (("particles", "doubled"), ("matrix", "single only")):
            yield _row(
                ("planes of both phases", f"{pair} z-SDM of the {phase}: doubled period", published),
                [_doubled(planes[name], phase, pair) for name in ("li2021", "matched", "order")],
                "Amplitude in units of the mean ± standard error.",
            )


def _doubled(found: dict[str, Any], phase: str, pair: str) -> str:
    if phase not in found:
        return "no such phase"
    value = found[phase].get(pair, {}).get("doubled")
    return NONE if value is None else f"{value[0]:.3f} ± {value[1]:.3f}"


def _weights() -> list[int]:
    """Count the weights of each net of the default."""
    model = load_model()
    counts = [sum(weight.size for weight in judge.weights) for judge in model.judges]
    nets = (*model.refiner.first, *model.refiner.second) if model.refiner is not None else ()
    return counts + [sum(weight.size for weight in net.weights) for net in nets]


def _losses(row: dict[str, float]) -> str:
    return " | ".join(_power(row[name]) for name in ("loss", "validation_loss") if row.get(name) is not None)


def _minutes(record: Record) -> str:
    """Write the time of a step: on the clock, and of computing where other work may have had the cores too."""
    return f"{record.seconds / 60:.1f} min, CPU {record.cpu_seconds / 60:.1f} min"


def _power(value: float) -> str:
    """Write a loss: what the last digit that is recorded cannot tell from none is called so."""
    return "≤ 10⁻⁶" if value <= 1e-6 else f"{value:.2g}"


def _percent(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.{1 if value < 0.9995 else 0}f} %"


def _signed(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:+.0f} %"


def _three(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"


def _nm(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f} nm"


def _radius(row: dict[str, Any], which: str) -> str:
    mean, sd = row[f"{which}_radius_nm"], row[f"{which}_radius_sd_nm"]
    return NONE if mean is None else f"{mean:.2f} ± {sd:.2f} nm"
