"""All that a check says of a result, in one place: for the terminal, for the figures, and for machines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream.grid.precipitates import Precipitates
from aptstream.grid.statistics import particle_statistics
from aptstream.grid.trust import FalseFinds, RadiusClass, RecallClass
from aptstream.grid.twin import Conditions
from aptstream.model.bootstrap import Score
from aptstream.regions import Triple

Map = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Variant:
    """The result as it would be with something changed.

    Parameters
    ----------
    changed, to : str
        What was changed, and how.
    n : int
        Particles.
    mean_radius_nm, volume_fraction : float
        As in the report; NaN where there is none.
    """

    changed: str
    to: str
    n: int
    mean_radius_nm: float
    volume_fraction: float


def variant(changed: str, to: str, found: Precipitates, judged: Map) -> Variant:
    """Describe particles in three numbers.

    Parameters
    ----------
    changed, to : str
        What was changed, and how.
    found : Precipitates
        The particles.
    judged : ndarray of float32, (nx, ny, nz)
        NaN where nothing could be judged.

    Returns
    -------
    Variant
    """
    told = particle_statistics(found, judged, np.random.default_rng(0), n_draws=2)
    n_judged = int(np.isfinite(judged).sum())
    share = float(found.volume_nm3.sum()) / n_judged if n_judged else float("nan")
    return Variant(changed, to, len(found), told.mean_radius_nm.value, share)


@dataclass(frozen=True)
class ResultCheck:
    """How far a result can be trusted.

    Parameters
    ----------
    n_found : int
        Particles of the result.
    rule : str
        How they were made, in words.
    conditions : Conditions
        What the specimen is like, and so its twins.
    size_nm : tuple of float
        Size of the twins, and of the block of the specimen that was scanned again, in nm.
    false : tuple of FalseFinds
        By each control.
    recall : tuple of RecallClass
        By true radius, in twins with particles; empty where there are none.
    radii : tuple of RadiusClass
        By found radius: the correction.
    scores : dict of str to Score
        All scores of the twins; see `aptstream.grid.compare.particle_scores`.
    sensitivity : tuple of Variant
        The result with something changed.
    notes : tuple of str
        What was assumed, or could not be done.
    """

    n_found: int
    rule: str
    conditions: Conditions
    size_nm: Triple
    false: tuple[FalseFinds, ...]
    recall: tuple[RecallClass, ...]
    radii: tuple[RadiusClass, ...]
    scores: dict[str, Score] = field(default_factory=dict)
    sensitivity: tuple[Variant, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What it comes to, in a sentence or two."""
        shuffled, *_ = self.false
        number = shuffled.number
        said = [
            f"Of {self.n_found} particles, {number.value:.1f} (95%: {number.low:.1f}–{number.high:.1f}) are expected "
            f"to be false ({shuffled.control})."
        ]
        surely = next((k for k in range(len(self.recall)) if all(r.recall.value >= 0.5 for r in self.recall[k:])), None)
        if self.recall and surely is None:
            said.append("In twins of the specimen most particles are missed, whatever their radius.")
        if surely is not None:
            said.append(
                f"In twins of the specimen most are found from a radius of {self.recall[surely].low_nm:g} nm on."
            )
        bias = self.scores.get("radius_bias_nm")
        if bias is not None and np.isfinite(bias.value):
            ends = f" (95%: {bias.low:+.2f} to {bias.high:+.2f})" if np.isfinite(bias.low) else ""
            said.append(f"Found radii are off by {bias.value:+.2f} nm{ends} on average there.")
        return " ".join(said)

    def as_json(self) -> dict[str, Any]:
        """Return all numbers for machines, NaN and ∞ as null."""
        return {
            "n_particles": self.n_found,
            "rule": self.rule,
            "answer": self.sentence,
            "conditions": plain({**self.conditions.as_json(), "size_nm": list(self.size_nm)}),
            "false": [plain(vars(row)) for row in self.false],
            "recall_by_true_radius": [plain(vars(row)) for row in self.recall],
            "radius_by_found_radius": [plain(vars(row)) for row in self.radii],
            "twins": {name: score.as_json() for name, score in self.scores.items()},
            "sensitivity": [plain(vars(row)) for row in self.sensitivity],
            "notes": list(self.notes),
        }

    @property
    def flat(self) -> list[tuple[str, str, str, Any]]:
        """Every number on a row of its own: table, row, name, value; None where there is none."""
        rows: list[tuple[str, str, str, Any]] = []
        for table, content in self.as_json().items():
            named = content if isinstance(content, dict) else {"": content}
            if isinstance(content, list):
                named = {_row_name(row, k): row for k, row in enumerate(content)}
            for name, row in named.items():
                values = row if isinstance(row, dict) else {"value": row}
                rows += [(table, name, key, value) for key, value in _leaves(values)]
        return [row for row in rows if row[0] != "notes" and not isinstance(row[3], list)]


def _row_name(row: Any, k: int) -> str:
    """Name a row of a table by what it is about."""
    if not isinstance(row, dict):
        return str(k)
    if "low_nm" in row:
        return class_name(row["low_nm"], row["high_nm"])
    return ", ".join(str(row[key]) for key in ("control", "changed", "to") if key in row)


def class_name(low_nm: float, high_nm: float | None) -> str:
    """Name a class of radii, such as "1–1.5 nm" or "4 nm and more".

    Examples
    --------
    >>> class_name(1.0, 1.5), class_name(4.0, float("inf"))
    ('1–1.5 nm', '4 nm and more')
    """
    return f"{low_nm:g}–{high_nm:g} nm" if high_nm is not None and np.isfinite(high_nm) else f"{low_nm:g} nm and more"


def _leaves(values: dict[str, Any], before: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{before}{name}_")
        elif name not in ("control", "changed", "to"):
            yield before + name, value


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Turn what a row holds into JSON values, NaN and ∞ into null."""
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Score):
        return value.as_json()
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
