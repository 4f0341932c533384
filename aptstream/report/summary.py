"""The answer in words and numbers: one place, for the page, the terminal and machines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from aptstream.cloud.ranging import RolesGuess, balance
from aptstream.cloud.spectrum import MassSpectrum, Peak, mass_spectrum, unranged_peaks
from aptstream.cloud.store import PointStore
from aptstream.grid.answer import Answer
from aptstream.grid.compare import Comparison
from aptstream.grid.composition import Composition, of_counts
from aptstream.grid.control import Control
from aptstream.grid.precipitates import CERTAIN
from aptstream.grid.statistics import SURE_NM, lever_rule
from aptstream.model.bootstrap import COVERAGE, Score
from aptstream.model.modelfile import Model
from aptstream.report.story import PoleStory
from aptstream.scan.results import ScanStore
from aptstream.sdm.planes import Planes

#: Recall is stated for particles of at least this true radius.
RECALL_RADIUS_NM = 2.0

#: Warn of more unranged ions than this share of all, and of a single unranged peak that holds so many.
MANY_UNRANGED, LARGE_PEAK = 0.1, 0.005

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Summary:
    """What a report says.

    Parameters
    ----------
    answer : Answer
        Maps and particles.
    scan : ScanStore
        Judgements of the cubes.
    store : PointStore
        The ions.
    model : Model
        What judged them.
    truth : Comparison, optional
        For simulated specimens: how well the particles were found.
    guess : RolesGuess, optional
        Where nobody chose host and solute: why these.
    pole : PoleStory, optional
        Where planes were looked for: what was found, and what was made of it.
    """

    answer: Answer
    scan: ScanStore
    store: PointStore
    model: Model
    truth: Comparison | None = None
    guess: RolesGuess | None = None
    pole: PoleStory | None = None

    @cached_property
    def spectrum(self) -> MassSpectrum:
        """The mass spectrum."""
        return mass_spectrum(self.store)

    @cached_property
    def unranged_peaks(self) -> tuple[Peak, ...]:
        """Peaks that no range holds, largest first."""
        return unranged_peaks(self.spectrum)

    @property
    def planes(self) -> Planes:
        """The specimen's own planes."""
        return self.scan.planes

    @property
    def edge_nm(self) -> int:
        """Edge of the publication's cubes in nm."""
        return max(self.scan.edges)

    @property
    def n_cubes(self) -> int:
        """Cubes of that edge that fit into the volume."""
        return int(np.prod([n - self.edge_nm + 1 for n in self.scan.shape]))

    @property
    def n_valid(self) -> int:
        """Cubes of that edge with enough ions."""
        return int(np.isfinite(self.scan.p(self.edge_nm)).sum())

    @property
    def number_density_per_m3(self) -> float:
        """Particles in a m³, by those that lie wholly inside."""
        judged = self.answer.n_judged
        return self.answer.statistics.number_per_m3.value if judged else float("nan")

    @property
    def sentence(self) -> str:
        """The answer in one sentence."""
        found, name = self.answer.found, self.scan.crystal.label
        if not self.n_valid:
            least = self.model.judge(self.edge_nm).min_ions
            return (
                f"Nothing could be judged: no {self.edge_nm} nm cube holds the {least} ions of host and solute that a "
                f"judgement needs."
            )
        if not len(found):
            seen = "" if self.planes.visible else " No lattice planes are visible along z, so none could be seen."
            return f"No {name}-ordered particles were found.{seen}"
        told = self.answer.statistics
        plural = "s" if len(found) > 1 else ""
        control = self.answer.control
        false = f" ({control.expected_false(control.floor):.1f} of them false by the control)" if control else ""
        return (
            f"{len(found)} {name}-ordered particle{plural} found{false}: mean radius {_radius(told.mean_radius_nm)}, "
            f"volume fraction {_share(told.volume_fraction)}."
        )

    @property
    def warnings(self) -> list[str]:
        """What must be known before the answer is believed."""
        found = self.answer.found
        notes = []
        if not self.planes.visible:
            notes.append(self._no_planes)
        if len(found) and found.touches_edge.any():
            notes.append(
                f"{int(found.touches_edge.sum())} of {len(found)} particles touch the edge of the judged volume and "
                f"may be cut off: their radii are lower bounds."
            )
        invalid = 1 - self.n_valid / self.n_cubes
        if invalid > 0.01:
            notes.append(
                f"{invalid:.1%} of the {self.edge_nm} nm cubes hold too few ions to be judged; they count as invalid, "
                f"not as disordered."
            )
        control = self.answer.control
        if control is not None and control.floor > 0.5:
            notes.append(
                f"With its species shuffled this specimen still shows order in places: particles are only believed "
                f"where the probability of order reaches {control.floor:.2f}. Small ones may be missed."
            )
        if self.model.refiner is not None and self.model.refiner.reads_composition:
            notes.append(
                f"Model {self.model.name} looks at order and composition together: it is no detector of order alone. "
                f"Clusters rich in solute may count, and the shuffled control, which has none, does not tell."
            )
        if self.visible_variants < 1:
            notes.append(
                f"Along this pole only {self.visible_variants:.0%} of the variants of {self.scan.crystal.label} show "
                f"their order: the others cannot be found, and number and volume are too small by as much."
            )
        uncertain = int(found.uncertain.sum())
        if uncertain:
            notes.append(
                f"{uncertain} of {len(found)} particles are uncertain: the order nowhere in them reaches {CERTAIN:g}."
            )
        return [*notes, *(self.pole.warnings if self.pole is not None else []), *self._ranging_notes]

    @property
    def _ranging_notes(self) -> list[str]:
        """What must be known of ranges and roles."""
        notes = []
        unranged = balance(self.store).n_unranged / self.store.n_ions
        if unranged > MANY_UNRANGED:
            notes.append(f"{unranged:.1%} of the ions are unranged: check the range file against the mass spectrum.")
        if self.unranged_peaks and self.unranged_peaks[0].share > LARGE_PEAK:
            notes.append(f"No range holds the peak at {self.unranged_peaks[0]}: is an ion missing from the range file?")
        if self.guess is not None:
            notes.append(f"Host and solute were guessed ({self.guess.reason}): give --host and --solute to choose.")
        return notes

    @property
    def visible_variants(self) -> float:
        """Share of the variants of the structure that show their order along the pole."""
        amplitude = self.scan.crystal.variant_amplitude
        return float((amplitude > 0.5 * amplitude.max()).mean())

    @property
    def _no_planes(self) -> str:
        """What it means that no planes are visible."""
        planes, expected = self.planes, self.scan.crystal.plane_spacing_nm
        return (
            f"No lattice planes {expected:.4f} nm apart are visible normal to z (strongest signal "
            f"{planes.strength:.2f}, at {planes.strongest_nm:.4f} nm; chance gives 1). Order can only be seen where "
            f"planes are: this result does not say whether the alloy is ordered. Is z the pole axis within 3°, are "
            f"structure, lattice parameter and pole right, and is the depth scale right within 8 %?"
        )

    @property
    def control(self) -> str:
        """What the control with shuffled species found, in words."""
        control = self.answer.control
        if control is None:
            return "none: the model has no nets for the 1 nm grid, or no planes are visible"
        n = control.n_false(control.floor)
        return (
            f"species shuffled {control.n_shuffles} times: {n} particle{'s' * (n != 1)} in {control.n_voxels:,} nm³ "
            f"reach{'es' * (n == 1)} the floor of {control.floor:g}"
        )

    @property
    def numbers(self) -> list[tuple[str, str]]:
        """Labels and values with units."""
        counts, found = self.store.species_counts(), self.answer.found
        rows = [
            ("ions", f"{self.store.n_ions:,}"),
            ("unranged", f"{counts['unranged'] / self.store.n_ions:.2%}"),
            ("largest unranged peak", str(self.unranged_peaks[0]) if self.unranged_peaks else "none"),
            ("volume of all cells", f"{' × '.join(str(n) for n in self.scan.shape)} nm"),
            (f"{self.edge_nm} nm cubes judged", f"{self.n_valid:,} of {self.n_cubes:,}"),
            ("plane signal", f"{self.planes.strength:.1f} at {self.planes.strongest_nm:.4f} nm (chance: 1)"),
            ("particles", f"{len(found)}"),
        ]
        if self.answer.control is not None:
            rows += _false_particles(self.answer.control)
        if len(found):
            rows += self._of_particles
        if self.truth is not None:
            rows += [
                (f"recall, true radius ≥ {RECALL_RADIUS_NM:g} nm", f"{self.truth.recall(RECALL_RADIUS_NM):.3f}"),
                ("precision", f"{self.truth.precision:.3f}"),
                ("true mean radius", f"{self.truth.mean_radius_nm:.2f} nm"),
                ("true volume fraction", f"{self.truth.volume_fraction:.2%}"),
            ]
        return rows

    @property
    def _of_particles(self) -> list[tuple[str, str]]:
        """Statistics and compositions of the particles, with 95 % intervals and standard deviations."""
        told, measures = self.answer.statistics, self.answer.measures
        rows = [
            (f"mean radius of {told.n_whole} whole particle{'s' * (told.n_whole != 1)}", _radius(told.mean_radius_nm)),
            ("s.d. of their radii", _radius(told.sd_radius_nm)),
            ("volume fraction", _share(told.volume_fraction)),
            *((f"… by the lever rule for {e}", _share(score)) for e, score in self.lever.items()),
            ("number density", _density(told.number_per_m3)),
            (f"… of radius ≥ {SURE_NM:g} nm", _density(told.sure_number_per_m3)),
        ]
        if np.isfinite(measures.mean_nearest_nm):
            rows.append(("mean distance to the nearest", f"{measures.mean_nearest_nm:.1f} nm"))
        return [
            *rows,
            ("composition of the particles", measures.particles.text()),
            ("composition of the matrix", measures.matrix.text()),
        ]

    @property
    def _statistics_json(self) -> dict[str, float | int | str | None]:
        """Statistics and compositions for machines."""
        told, measures = self.answer.statistics, self.answer.measures
        scores = {
            "mean_radius_nm": told.mean_radius_nm,
            "sd_radius_nm": told.sd_radius_nm,
            "volume_fraction": told.volume_fraction,
            "number_density_per_m3": told.number_per_m3,
            "number_density_1p5_per_m3": told.sure_number_per_m3,
            **{f"lever_rule_{element}": score for element, score in self.lever.items()},
        }
        values: dict[str, float | int | str | None] = {"n_whole": told.n_whole}
        values["mean_nearest_nm"] = measures.mean_nearest_nm
        for name, score in scores.items():
            values |= {name: score.value, f"{name}_low": score.low, f"{name}_high": score.high}
        for phase, made in (("particles", measures.particles), ("matrix", measures.matrix)):
            for element, percent in made.percent.items():
                values |= {f"{phase}_{element}_at_pct": percent[0], f"{phase}_{element}_sd_at_pct": made.sd[element][0]}
        return {name: v if isinstance(v, int | str) or v is None else float(v) for name, v in values.items()}

    @property
    def whole(self) -> Composition:
        """Composition of all ions."""
        counts = self.store.species_counts()
        return of_counts(np.array([list(counts.values())]), tuple(counts), self.store.ranges)

    @property
    def lever(self) -> dict[str, Score]:
        """Share of the atoms in particles by the lever rule, for each element that tells."""
        return lever_rule(self.whole, self.answer.measures.particles, self.answer.measures.matrix)

    @property
    def radii(self) -> str:
        """How radii are made of volumes, and what is corrected."""
        if self.answer.found.expected_nm3 is not None:
            return (
                "of the sphere of equal volume; the volume is a sum of calibrated probabilities, and nothing is "
                "corrected: aptstream check says how far off such radii are here"
            )
        return (
            "of the sphere of as many voxels; such a cut makes particles too small or too large by up to the blur of "
            "the map, which is not corrected: aptstream check says by how much here"
        )

    def as_json(self) -> dict[str, float | int | str | None]:
        """Return the numbers for machines: plain names, NaN as null."""
        ions, peaks = balance(self.store), self.unranged_peaks
        values: dict[str, float | int | str | None] = {
            "n_ions": self.store.n_ions,
            "n_read": ions.n_read,
            "n_ranged": ions.n_ranged,
            "n_unranged": ions.n_unranged,
            "n_rejected": ions.n_rejected,
            "unranged_peak_da": peaks[0].mass_da if peaks else float("nan"),
            "unranged_peak_share": peaks[0].share if peaks else 0.0,
            "host": ", ".join(self.scan.roles.host),
            "solute": ", ".join(self.scan.roles.solute),
            "roles_guessed": self.guess is not None,
            "n_cubes": self.n_cubes,
            "n_cubes_judged": self.n_valid,
            "n_particles": len(self.answer.found),
            **self._statistics_json,
            "plane_signal": self.planes.strength,
            "answer": self.sentence,
        }
        control = self.answer.control
        if control is not None:
            for name, score in (
                ("n_false_expected", control.false_number(control.floor)),
                ("false_volume_expected", control.false_volume(control.floor)),
            ):
                values |= {name: score.value, f"{name}_low": score.low, f"{name}_high": score.high}
            values |= {
                "control_floor": control.floor,
                "n_uncertain": int(self.answer.found.uncertain.sum()),
            }
        if self.truth is not None:
            values |= {
                "recall": self.truth.recall(RECALL_RADIUS_NM),
                "recall_min_radius_nm": RECALL_RADIUS_NM,
                "precision": self.truth.precision,
                "truth_mean_radius_nm": self.truth.mean_radius_nm,
                "truth_volume_fraction": self.truth.volume_fraction,
            }
        if self.pole is not None:
            values |= self.pole.as_json()
        return {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in values.items()}


def _interval(score: Score, write: Callable[[float], str]) -> str:
    """Write the ends of an interval; nothing where it has none."""
    return f" ({COVERAGE:.0%}: {write(score.low)}–{write(score.high)})" if np.isfinite(score.low + score.high) else ""


def _radius(score: Score) -> str:
    """Write a radius with its interval, such as 2.19 nm (95%: 1.98–2.40)."""
    if not np.isfinite(score.value):
        return "unknown"
    return f"{score.value:.2f} nm{_interval(score, '{:.2f}'.format)}"


def _share(score: Score) -> str:
    """Write a share with its interval, such as 6.98 % (95%: 5.1–9.7)."""
    return f"{100 * score.value:.2f} %{_interval(score, lambda share: f'{100 * share:.1f}')}"


def _density(score: Score) -> str:
    """Write particles in a m³ with their interval, such as 1.25 (95%: 0.91–1.68) × 10²⁴ m⁻³."""
    if not score.value:
        return "0 m⁻³"
    power = int(np.floor(np.log10(score.value)))
    scaled = _interval(score, lambda number: f"{number / 10**power:.2f}")
    return f"{score.value / 10**power:.2f}{scaled} × 10{str(power).translate(_RAISED)} m⁻³"


def _false_particles(control: Control) -> list[tuple[str, str]]:
    """Say what the control with shuffled species lets one expect."""
    number, volume = control.false_number(control.floor), control.false_volume(control.floor)
    of_number, of_volume = (_interval(number, "{:.1f}".format), _interval(volume, lambda v: f"{100 * v:.3f}"))
    return [
        ("false particles to expect", f"{number.value:.1f}{of_number}"),
        ("… of the volume", f"{100 * volume.value:.3f} %{of_volume}"),
    ]
