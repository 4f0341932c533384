"""The report of a result drawn anew from what is stored: nothing is scanned, and every number is the same."""

from __future__ import annotations

from os import PathLike

import numpy as np

from aptstream.cloud.ranging import explain_roles
from aptstream.cloud.store import PointStore
from aptstream.crystal import Crystal
from aptstream.errors import StoreError
from aptstream.grid import compare_with_truth, find
from aptstream.grid.files import Decisions
from aptstream.io.lease import leased
from aptstream.model.modelfile import Model
from aptstream.pole import PoleSearch, alignment_of, find_poles, flatten
from aptstream.progress import Progress, silent
from aptstream.report.beside import read_sections, stamp_of
from aptstream.report.story import PoleStory
from aptstream.report.summary import Summary
from aptstream.report.write import write_report
from aptstream.runresult import open_result, reconstruction_of, require_same
from aptstream.simulate import read_truth
from aptstream.workflow import Quiet, Stages


def redraw_report(path: str | PathLike[str], *, model: Model | None = None, stages: Stages | None = None) -> Summary:
    """Draw page, figures and tables of a result anew.

    The particles are found again in the stored scan, by the rule that made them. What ``aptstream phases``,
    ``compare`` and ``check`` have left in the folder gets a section of the page.

    Parameters
    ----------
    path : path
        Output folder of ``aptstream run`` or ``demo``. Ions, scan and grid stay as they are.
    model : Model, optional
        The model of the run; the shipped one that made the scan where it is not given.
    stages : Stages, optional
        Told of every stage, as by `aptstream.workflow.analyse`.

    Returns
    -------
    Summary

    Raises
    ------
    StoreError
        If the folder holds no result, one whose parts do not belong together, or another process writes it.
    ModelError
        If the scan was made by a model that is not shipped and not given.
    """
    stages = Quiet() if stages is None else stages
    result = open_result(path, model)
    decided = result.grid.decisions or Decisions()  # older grids do not say
    original = reconstruction_of(result.folder, result.store)
    with leased(result.folder):
        stages.begin("find")
        answer = find(result.scan, result.store, result.model, stages, cut=result.grid.cut)
        require_same(answer, result)
        if len(answer.found) != int(result.grid.labels.max(initial=0)):
            raise StoreError(
                f"Found {len(answer.found)} particles in {result.folder}, expected the "
                f"{int(result.grid.labels.max(initial=0))} of its grid: this processor differs in last bits from the "
                f"one that made it. Run again here."
            )
        truths = sorted(result.folder.glob("*.truth.json"))
        truth = compare_with_truth(answer.found, read_truth(truths[0])) if len(truths) == 1 else None
        guess = explain_roles(original.species_counts(), original.ranges) if decided.roles_guessed else None
        story = story_of(result.store, original, result.scan.crystal, decided.search, progress=stages)
        beside = read_sections(result.folder, stamp_of(result.scan, result.grid))
        for note in (*beside.not_shown, *(note for section in beside.sections for note in section.warnings)):
            stages.note(note)
        stages.begin("report")
        summary = Summary(answer, result.scan, result.store, result.model, truth, guess, story)
        write_report(summary, result.folder, beside)
    return summary


def story_of(
    store: PointStore,
    original: PointStore,
    crystal: Crystal,
    search: PoleSearch | None = None,
    *,
    progress: Progress = silent,
) -> PoleStory | None:
    """Tell how the planes of a scanned specimen were brought normal to z.

    Parameters
    ----------
    store : PointStore
        The ions that were scanned.
    original : PointStore
        The reconstruction.
    crystal : Crystal
        What was looked for, with the pole along z.
    search : PoleSearch, optional
        What was found then; planes are searched for again where it is not given.
    progress : Progress
        Told of the stages of `find_poles`.

    Returns
    -------
    PoleStory or None
        None where nothing was aligned.

    Raises
    ------
    StoreError
        If a store is damaged.
    """
    alignment = alignment_of(store)
    if alignment is None:
        return None
    found = search if search is not None else find_poles(original, crystal, progress=progress)
    # planes that nobody could name keep their spacing
    named = bool(np.isclose(alignment.spacing_nm, crystal.plane_spacing_nm, rtol=1e-9))
    hkl = crystal.pole if named else None
    return PoleStory(original, found, crystal if named else None, alignment, hkl, alignment.pole.region)


def story_sought(store: PointStore, crystal: Crystal | None = None) -> PoleStory:
    """Search a reconstruction for planes, and flatten the best.

    Parameters
    ----------
    store : PointStore
        The reconstruction.
    crystal : Crystal, optional
        To name them.

    Returns
    -------
    PoleStory

    Raises
    ------
    PlanError
        If the specimen is too small or too thin.
    StoreError
        If the store is damaged.
    """
    search = find_poles(store, crystal)
    alignment = flatten(store, search.best) if search.best is not None else None
    return PoleStory(store, search, crystal, alignment)
