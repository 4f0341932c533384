"""The main job: from a file of ions to a report, in the stages of the house and in no other way."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from aptstream.cloud import ingest
from aptstream.cloud.building import building_of
from aptstream.cloud.store import PointStore
from aptstream.errors import StoreError
from aptstream.grid import compare_with_truth, find
from aptstream.grid.answer import Cut
from aptstream.io import read_ranges
from aptstream.io.ions import open_ions
from aptstream.model.modelfile import Model
from aptstream.points import Roles
from aptstream.progress import Progress
from aptstream.report import Summary, report
from aptstream.scan import ScanStore, run_scan
from aptstream.scan.plan import check_crystal
from aptstream.simulate import Particles

if TYPE_CHECKING:
    from distributed import Client


class Stages(Progress, Protocol):
    """Progress that also knows of whole stages."""

    def begin(self, stage: str) -> None:
        """Start a stage."""


@dataclass(frozen=True)
class Question:
    """What is to be found out about a file.

    Parameters
    ----------
    ions, ranges : Path
        The file of ions and the range file.
    roles : Roles
        Host and solute species.
    model : Model
        What judges.
    truth : Particles, optional
        For simulated specimens: what is really there.
    cut : Cut, optional
        A fixed cut in place of the model's rule.
    """

    ions: Path
    ranges: Path
    roles: Roles
    model: Model
    truth: Particles | None = None
    cut: Cut | None = None


@dataclass(frozen=True)
class Conclusion:
    """A finished scan that particles are to be found in.

    Parameters
    ----------
    scan : ScanStore
        Judgements of the cubes.
    store : PointStore
        The ions that were scanned.
    model : Model
        The model that judged them.
    truth : Particles, optional
        For simulated specimens: what is really there.
    cut : Cut, optional
        A fixed cut in place of the model's rule.
    """

    scan: ScanStore
    store: PointStore
    model: Model
    truth: Particles | None = None
    cut: Cut | None = None


def next_free(name: str) -> Path:
    """Return the name, or the name with the next free number."""
    candidate, number = Path(name), 1
    while candidate.exists():
        number += 1
        candidate = Path(f"{name}-{number}")
    return candidate


def check_question(question: Question) -> None:
    """Find what is wrong with a question before any work starts.

    Parameters
    ----------
    question : Question
        File, ranges and roles.

    Raises
    ------
    FileFormatError
        If the file of ions is of another kind, missing, empty or truncated.
    PlanError
        If the order of the crystal does not show along its pole.
    RangingError
        If the range file is wrong, or a role names a species that it has not.
    """
    check_crystal(question.model.crystal)
    question.roles.of(read_ranges(question.ranges).species)
    open_ions(question.ions)


@contextmanager
def output_folder(path: Path) -> Iterator[Path]:
    """Make an output folder; if what follows fails before anything complete stands in it, it is removed.

    Parameters
    ----------
    path : Path
        Must not exist, or be empty but for an ingest that was stopped.

    Yields
    ------
    Path

    Raises
    ------
    StoreError
        If something stands there, or it cannot be made.
    """
    if path.exists() and not path.is_dir():
        raise StoreError(f"The output folder {path} is a file: give another name with --out. Nothing was changed.")
    try:
        if path.exists() and any(part != building_of(path / "points.zarr") for part in path.iterdir()):
            raise StoreError(
                f"The output folder {path} is in use: it holds files. Expected a new or empty folder: give another one "
                f"with --out. Nothing in it was changed.{_unfinished(path)}"
            )
        made = not path.exists()
        path.mkdir(parents=True, exist_ok=True)
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(
            f"The output folder {path} cannot be made: {error.strerror or error}. Give a path with --out where you may "
            f"write."
        ) from error
    try:
        yield path
    finally:
        if made and path.exists() and not any(path.iterdir()):
            shutil.rmtree(path)


def _unfinished(path: Path) -> str:
    """Say what to do with a run that did not end."""
    if (path / "points.zarr").is_dir() and not (path / "report.html").exists():
        return (
            f" It holds the ions of a run that did not end: go on with aptstream scan {path / 'points.zarr'}, "
            f"or remove the folder."
        )
    return ""


def analyse(question: Question, out: Path, *, client: Client | None, stages: Stages) -> Summary:
    """Ingest, scan, find, report.

    Parameters
    ----------
    question : Question
        File, ranges, roles and model.
    out : Path
        An existing folder: ``points.zarr``, ``scan.zarr`` and the report are written into it.
    client : distributed.Client, optional
        Where to ingest and scan; in this process where it is not given.
    stages : Stages
        Told of every stage.

    Returns
    -------
    Summary

    Raises
    ------
    AptstreamError
        Whatever a stage finds wrong; what is complete stays.
    """
    stages.begin("ingest")
    store = ingest(question.ions, ranges=question.ranges, out=out / "points.zarr", client=client, progress=stages)
    stages.begin("scan")
    scan = run_scan(store, question.model, question.roles, out=out / "scan.zarr", client=client, progress=stages)
    return conclude(Conclusion(scan, store, question.model, question.truth, question.cut), out=out, stages=stages)


def conclude(job: Conclusion, *, out: Path, stages: Stages) -> Summary:
    """Find the particles of a finished scan and write the report.

    Parameters
    ----------
    job : Conclusion
        Scan, store and model.
    out : Path
        An existing folder.
    stages : Stages
        Told of every stage.

    Returns
    -------
    Summary

    Raises
    ------
    StoreError
        If scan, store and model do not belong together, or the folder holds a grid already.
    """
    stages.begin("find")
    answer = find(job.scan, job.store, job.model, stages, cut=job.cut)
    comparison = compare_with_truth(answer.found, job.truth) if job.truth is not None else None
    stages.begin("report")
    summary = Summary(answer, job.scan, job.store, job.model, comparison)
    report(summary, out)
    return summary
