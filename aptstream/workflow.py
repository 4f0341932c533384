"""The main job: from a file of ions to a report, in the stages of the house and in no other way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from aptstream.cloud import ingest
from aptstream.cloud.ranging import RolesGuess, explain_roles
from aptstream.cloud.store import PointStore, open_store
from aptstream.errors import ResumeError, StoreError
from aptstream.grid import compare_with_truth, find
from aptstream.grid.answer import Cut
from aptstream.io import read_ranges
from aptstream.io.digest import file_sha256
from aptstream.io.folder import local_path
from aptstream.io.ions import open_ions
from aptstream.io.lease import LEASE, building_of, leased
from aptstream.io.replace import discard
from aptstream.model.modelfile import Model
from aptstream.orientation import Wish, orient
from aptstream.points import Roles
from aptstream.progress import Progress
from aptstream.report import Summary, report
from aptstream.report.story import PoleStory
from aptstream.scan import ScanStore, run_scan
from aptstream.scan.plan import check_crystal
from aptstream.simulate import Particles

if TYPE_CHECKING:
    from distributed import Client


#: What a run makes beside the ions, in its order; the page comes last.
_MADE = (
    "aligned.zarr",
    ".aligned.zarr.building",
    "scan.zarr",
    ".scan.zarr.building",
    "grid.zarr",
    "grid.vti",
    "particles.csv",
    "figures",
)


class Stages(Progress, Protocol):
    """Progress that also knows of whole stages."""

    def begin(self, stage: str) -> None:
        """Start a stage."""

    def note(self, text: str) -> None:
        """Say what was decided on the way."""


class Quiet:
    """Stages that nobody looks at."""

    def begin(self, stage: str) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def __call__(self, stage: str, done: int, total: int, unit: str) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Question:
    """What is to be found out about a file.

    Parameters
    ----------
    ions, ranges : Path
        The file of ions and the range file.
    roles : Roles or None
        Host and solute species; guessed once the ions are known where they are not given.
    model : Model
        What judges.
    truth : Particles, optional
        For simulated specimens: what is really there.
    cut : Cut, optional
        A fixed cut in place of the model's rule.
    wish : Wish, optional
        Planes that are to be brought normal to z first; the specimen is scanned as it is where there is none.
    """

    ions: Path
    ranges: Path
    roles: Roles | None
    model: Model
    truth: Particles | None = None
    cut: Cut | None = None
    wish: Wish | None = None


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
    guess : RolesGuess, optional
        Where the roles of the scan were guessed: why so.
    story : PoleStory, optional
        Where planes were looked for: what was found, and how the ions were moved.
    """

    scan: ScanStore
    store: PointStore
    model: Model
    truth: Particles | None = None
    cut: Cut | None = None
    guess: RolesGuess | None = None
    story: PoleStory | None = None


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
        If the range file is wrong, a role names a species that it has not, or no roles can be guessed from it.
    """
    check_crystal(question.model.crystal)
    table = read_ranges(question.ranges)
    if question.roles is None:
        explain_roles(dict.fromkeys(table.species, 1), table)
    else:
        question.roles.of(table.species)
    open_ions(question.ions)


@contextmanager
def output_folder(path: Path) -> Iterator[Path]:
    """Make an output folder, or take up that of a run that was stopped, for this process alone.

    One that is still empty at the end is removed again.

    Parameters
    ----------
    path : Path
        Must not exist, be empty, or hold a run that did not end.

    Yields
    ------
    Path

    Raises
    ------
    StoreError
        If something stands there, another run is writing it, or it cannot be made.
    """
    local_path(path)
    if path.exists() and not path.is_dir():
        raise StoreError(f"The output folder {path} is a file: give another name with --out. Nothing was changed.")
    made = not path.exists()
    with ExitStack() as held:
        try:
            _require_free(path)
            path.mkdir(parents=True, exist_ok=True)
            held.callback(_remove_if_empty, path if made else None)
            held.enter_context(leased(path))
            _require_free(path)  # another run may just have ended
        except StoreError:
            raise
        except OSError as error:
            raise StoreError(
                f"The output folder {path} cannot be made: {error.strerror or error}. Give a path with --out where you "
                f"may write."
            ) from error
        yield path


def _require_free(path: Path) -> None:
    """Refuse a folder that holds something else than a run that did not end."""
    if path.exists() and any(entry.name != LEASE for entry in path.iterdir()) and not is_unfinished(path):
        raise StoreError(
            f"The output folder {path} is in use: it holds files. Expected a new or empty folder, or one of a run "
            f"that was stopped: give another one with --out. Nothing in it was changed."
        )


def _remove_if_empty(path: Path | None) -> None:
    """Remove a folder that this run has made and put nothing into."""
    if path is not None and path.exists() and not any(path.iterdir()):
        path.rmdir()


def is_unfinished(path: Path) -> bool:
    """Tell whether a folder holds a run that did not end, and nothing else.

    Parameters
    ----------
    path : Path
        The folder.

    Returns
    -------
    bool
    """
    names = {entry.name for entry in path.iterdir()}
    begun = {"points.zarr", building_of(path / "points.zarr").name}
    return bool(names & begun) and "report.html" not in names and names <= {*begun, *_MADE, LEASE}


def _ions(question: Question, target: Path, client: Client | None, stages: Stages) -> PointStore:
    """Take in the ions, or those that an earlier run of the same question has taken in."""
    if not target.exists():
        return ingest(question.ions, ranges=question.ranges, out=target, client=client, progress=stages)
    store, ranges = open_store(target), read_ranges(question.ranges)
    same_file = store.attrs["source"]["sha256"] == file_sha256(question.ions)
    if not same_file or store.ranges != ranges:
        what = "ranges" if same_file else "ions"
        raise ResumeError(
            f"{target.parent} holds a run that was begun with other {what}: found those of "
            f"{store.attrs['source']['name']}, expected {question.ions.name} with the same ranges. Give another --out, "
            f"or remove that folder."
        )
    stages.note("going on: the ions were taken in before")
    return store


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
    store = _ions(question, out / "points.zarr", client, stages)
    roles, guess = question.roles, None
    if roles is None:
        guess = explain_roles(store.species_counts(), store.ranges)
        roles = guess.roles
        stages.note(str(guess))
    model, story = question.model, None
    if question.wish is not None:
        stages.begin("align")
        oriented = orient(store, question.wish, out / "aligned.zarr", client=client, progress=stages)
        stages.note(str(oriented))
        store, story = oriented.store, oriented.story
        if oriented.crystal is not None:
            model = model.looking_for(oriented.crystal)
    stages.begin("scan")
    scan = run_scan(store, model, roles, out=out / "scan.zarr", client=client, progress=stages)
    discard(out / "grid.zarr")  # of a run that was stopped before its page was written
    job = Conclusion(scan, store, model, question.truth, question.cut, guess, story)
    return conclude(job, out=out, stages=stages)


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
    summary = Summary(answer, job.scan, job.store, job.model, comparison, job.guess, job.story)
    report(summary, out)
    return summary
