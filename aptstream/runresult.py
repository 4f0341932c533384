"""The output folder of a run, read again: ions, scan, grid and model, which belong together."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from aptstream.cloud.store import PointStore, open_store
from aptstream.errors import ModelError, PlanError, RangingError, StoreError
from aptstream.grid.answer import Answer
from aptstream.grid.files import GridFile, open_grid
from aptstream.model.modelfile import Model, load_model, shipped_models
from aptstream.scan import ScanStore, open_scan

#: How alike the voxels in particles must be that are found again (Dice): processors differ in last bits.
SAME = 0.99


@dataclass(frozen=True)
class RunResult:
    """A result of a run.

    Parameters
    ----------
    folder : Path
        Where it is.
    store : PointStore
        The ions that were scanned.
    scan : ScanStore
        Judgements of the cubes.
    grid : GridFile
        Maps and particles.
    model : Model
        What judged, looking for the crystal of the scan.
    """

    folder: Path
    store: PointStore
    scan: ScanStore
    grid: GridFile
    model: Model


def open_result(path: str | PathLike[str], model: Model | None = None) -> RunResult:
    """Read the parts of a result, and see that they belong together.

    Parameters
    ----------
    path : path
        Output folder of ``aptstream run`` or ``demo``.
    model : Model, optional
        The model of the run; the shipped one that made the scan where it is not given.

    Returns
    -------
    RunResult

    Raises
    ------
    StoreError
        If the folder holds no result, or one whose parts do not belong together.
    ModelError
        If the scan was made by a model that is not shipped and not given.
    """
    folder = Path(path)
    for name in ("scan.zarr", "grid.zarr"):
        if not (folder / name).is_dir():
            raise StoreError(
                f"{folder} holds no {name}: it is no result. Expected the output folder of aptstream run or demo."
            )
    scan, grid = open_scan(folder / "scan.zarr"), open_grid(folder / "grid.zarr")
    store = store_of(folder, scan)
    return RunResult(folder, store, scan, grid, _model_of(scan, model).looking_for(scan.crystal))


def require_judged(result: RunResult) -> None:
    """Refuse a result in which nothing was judged, or nothing can be.

    Parameters
    ----------
    result : RunResult
        From `open_result`.

    Raises
    ------
    PlanError
        If no planes are visible: then nothing was judged.
    RangingError
        If the specimen holds no ion of a host or solute species.
    """
    if not result.scan.planes.visible:
        raise PlanError(
            f"No lattice planes are visible in {result.folder}: nothing was judged, so there is nothing to check. The "
            f"report says what to look at."
        )
    counts = result.store.species_counts()
    for role, names in (("host", result.scan.roles.host), ("solute", result.scan.roles.solute)):
        if not sum(counts.get(name, 0) for name in names):
            raise RangingError(
                f"The specimen holds no ion of its {role} {', '.join(names)}: no order can be judged. Run again with "
                f"another --{role}."
            )


def store_of(result: Path, scan: ScanStore) -> PointStore:
    """Open the ions that a run scanned: the aligned ones where it aligned them.

    Parameters
    ----------
    result : Path
        Output folder of a run.
    scan : ScanStore
        Its scan.

    Returns
    -------
    PointStore

    Raises
    ------
    StoreError
        If neither store is the one that was scanned.
    """
    stores = [result / name for name in ("aligned.zarr", "points.zarr") if (result / name).exists()]
    for path in stores:
        store = open_store(path)
        if store.attrs["content_digest"] == scan.attrs["store_digest"]:
            return store
    found = ", ".join(path.name for path in stores) or "no store of ions"
    raise StoreError(
        f"The scan in {result} was made from ions that are not there: found {found}. Expected the output folder of "
        f"aptstream run as it was written: run again."
    )


def reconstruction_of(result: Path, store: PointStore) -> PointStore:
    """Open the ions as they were reconstructed.

    Parameters
    ----------
    result : Path
        Output folder of a run.
    store : PointStore
        The ions that it scanned, aligned or not.

    Returns
    -------
    PointStore

    Raises
    ------
    StoreError
        If they are not there.
    """
    alignment = store.attrs.get("alignment")
    if not isinstance(alignment, dict):
        return store
    original = open_store(result / "points.zarr")
    if original.attrs["content_digest"] != alignment.get("source_digest"):
        raise StoreError(
            f"The ions in {result} were aligned from others than those in points.zarr beside them. Expected the output "
            f"folder of aptstream run as it was written: run again."
        )
    return original


def _model_of(scan: ScanStore, model: Model | None) -> Model:
    """Find the model that made a scan."""
    digest = scan.attrs["model_digest"]
    tried = [model] if model is not None else [load_model(name) for name in shipped_models()]
    for one in tried:
        if one.digest == digest:
            return one
    names = ", ".join(one.name for one in tried)
    raise ModelError(
        f"The scan was made by another model ({digest[:12]}) than {names}: give the one that the run was made with, "
        f"with --model."
    )


def require_same(answer: Answer, result: RunResult) -> None:
    """Refuse a grid that the scan beside it does not give.

    Parameters
    ----------
    answer : Answer
        What is found in the scan now.
    result : RunResult
        Its grid says what was found then.

    Raises
    ------
    StoreError
        If the particles are others.
    """
    found, stored = answer.found.labels > 0, result.grid.labels > 0
    if found.shape == stored.shape:
        alike = 2 * int((found & stored).sum()) + (not found.any() and not stored.any())
        if alike >= SAME * max(int(found.sum()) + int(stored.sum()), 1):
            return
    raise StoreError(
        f"The grid in {result.folder} does not follow from the scan beside it: found {int(stored.sum())} voxels in "
        f"particles, expected {int(found.sum())}. Was it made by an older version, or with another model? Run "
        f"again."
    )
