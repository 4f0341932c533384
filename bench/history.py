"""The plain history of all figures, one line of `lines.py` a line, and how a run is held against it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

FILE = Path(__file__).with_name("history.jsonl")
#: A ratio within these bounds of the last one is the same: so much do two runs differ.
SAME = (0.8, 1.25)
#: A ratio below this share of the recorded one has fallen.
LEAST = 0.5

Line = dict[str, Any]
Claim = tuple[str, str, str, str]


@dataclass(frozen=True)
class Change:
    """A claim, its ratio now, and the last one that was recorded for the same options and instructions, if any."""

    name: str
    rival: str
    now: float
    last: float | None
    timed: bool

    @property
    def verdict(self) -> str:
        """How it has changed."""
        if not self.last:
            return "new"
        change = self.now / self.last
        words = ("slower", "faster") if self.timed else ("worse", "better")
        return words[0] if change < SAME[0] else words[1] if change > SAME[1] else "same"


def load(path: Path = FILE) -> list[Line]:
    """Read all lines, oldest first; none where there is no history yet."""
    if not path.exists():
        return []
    return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]


def append(lines: Iterable[Line], path: Path = FILE) -> None:
    """Add lines."""
    with path.open("a", encoding="utf-8") as stream:
        stream.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def claim(line: Line) -> Claim:
    """Tell what lines must share for their ratios to be comparable; processors may differ, instructions may not."""
    return line["name"], line["rival"], line["options"], line["machine"]["instructions"]


def ratios(lines: Iterable[Line]) -> dict[Claim, list[float]]:
    """Collect the ratios of every claim, oldest first."""
    found: dict[Claim, list[float]] = {}
    for line in lines:
        if line.get("ratio") is not None:
            found.setdefault(claim(line), []).append(line["ratio"])
    return found


def changes(now: Sequence[Line], history: Iterable[Line]) -> list[Change]:
    """Hold every ratio of a run against the last one recorded."""
    before, by_claim = ratios(history), {claim(line): line for line in now if line.get("ratio") is not None}
    return [
        Change(line["name"], line["rival"], line["ratio"], before.get(one, [None])[-1], timed(line))
        for one, line in by_claim.items()
    ]


def better(first: Sequence[Line], second: Sequence[Line]) -> list[Line]:
    """Take the better of two runs for every claim of the first."""
    other = {claim(line): line for line in second if line.get("ratio") is not None}
    pairs = [(line, other.get(claim(line), line)) for line in first if line.get("ratio") is not None]
    return [max(pair, key=lambda line: float(line["ratio"])) for pair in pairs]


def timed(line: Line) -> bool:
    """Whether a figure is a time or a rate."""
    return line["unit"].endswith(("(CPU)", "(wall)"))


def fallen(now: Sequence[Line], history: Iterable[Line]) -> list[str]:
    """Name every ratio that fell below half of what is recorded, the median of all entries: one lucky run is no bar."""
    before, told = ratios(history), []
    for one, (ratio, *_) in ratios(now).items():
        if one in before and ratio < LEAST * median(before[one]):
            told.append(f"{one[0]} against {one[1]}: ratio {ratio:.4g}, recorded {median(before[one]):.4g}")
    return told
