"""What is done of a scan that is being made: its plan, and one mark for each task whose chunks are on disk.

The scan grows in a hidden folder beside its place. A mark holds the digest of what the task wrote, and is written after
it: a task is done if there is a mark *and* the chunks have that digest. A finished scan keeps all digests in one file,
so that damage can be found, and repaired task by task.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from aptstream import __version__
from aptstream.cloud.lattice import BRICK_CELLS
from aptstream.errors import ResumeError, StoreError
from aptstream.io.digest import canonical_json, content_digest
from aptstream.io.replace import replacing, sync
from aptstream.io.seal import sealed, unsealed
from aptstream.model.modelfile import parse_crystal
from aptstream.model.predict import choose_runtime
from aptstream.points import Roles
from aptstream.scan.plan import TASK_BRICKS, Cell, ScanPlan
from aptstream.scan.results import chunk_files, parse_planes, read_task

PLAN, MARKS, TASKS = "plan.json", "done", "tasks.json"
_LARGEST_FILE = 64 << 20
#: Where a plan is carried out; another place changes nothing.
_PLACES = ("store_path", "model_path")


def save_plan(folder: Path, plan: ScanPlan) -> str:
    """Write a plan where its tasks find it.

    Parameters
    ----------
    folder : Path
        Where the scan grows.
    plan : ScanPlan
        What is judged.

    Returns
    -------
    str
        SHA-256 of the plan.
    """
    content = sealed({"version": __version__, **asdict(plan)})
    with replacing(folder / PLAN) as stream:
        stream.write(canonical_json(content))
    return str(content["manifest_sha256"])


def load_plan(folder: Path) -> tuple[ScanPlan, str]:
    """Read the plan of a scan that is being made.

    Parameters
    ----------
    folder : Path
        Where it grows.

    Returns
    -------
    plan : ScanPlan
    version : str
        Version of the software that made it.

    Raises
    ------
    StoreError
        If there is none, or it is damaged.
    """
    content = _load(folder / PLAN)
    try:
        values: dict[str, Any] = {field.name: content[field.name] for field in fields(ScanPlan)}
        if not all(isinstance(values[name], str) for name in (*_PLACES, "store_digest", "model_digest")):
            raise ValueError("paths or digests are no texts")
        values["roles"] = Roles(*(tuple(map(str, content["roles"][role])) for role in ("host", "solute")))
        values["crystal"], values["planes"] = parse_crystal(content["crystal"]), parse_planes(content["planes"])
        values["shape"], values["task_cells"] = _cell(content["shape"]), _task_cells(content["task_cells"])
        values["edges"] = tuple(int(edge) for edge in content["edges"])
        values["field_halo"] = int(content["field_halo"])
        values["runtime"] = choose_runtime(str(content["runtime"]))
        return ScanPlan(**values), str(content["version"])
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise StoreError(f"The plan {folder / PLAN} is damaged ({error}). Start the scan anew with --fresh.") from error


def identity(plan: ScanPlan) -> str:
    """Hash what makes a plan the same wherever it is carried out."""
    content = {name: value for name, value in asdict(plan).items() if name not in _PLACES}
    return hashlib.sha256(canonical_json({"version": __version__, **content})).hexdigest()


def plan_digest(folder: Path) -> str:
    """Return the SHA-256 of the plan of a scan that is being made; empty where there is none."""
    try:
        return str(json.loads(_read(folder / PLAN))["manifest_sha256"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return ""


def require_same(begun: tuple[ScanPlan, str], plan: ScanPlan, folder: Path, way_out: str) -> None:
    """Refuse to go on with a scan that was made or begun in another way.

    Parameters
    ----------
    begun : tuple of (ScanPlan, str)
        Plan and version that it was begun with.
    plan : ScanPlan
        What is asked now.
    folder : Path
        Where it is.
    way_out : str
        What the user can do.

    Raises
    ------
    ResumeError
        Naming all that differs.
    """
    was, now = ({"version": version, **asdict(each)} for each, version in (begun, (plan, __version__)))
    different = [
        f"{name.replace('_', ' ')} (begun with {_short(was[name])}, now {_short(now[name])})"
        for name in now
        if name not in _PLACES and was[name] != now[name]
    ]
    if different:
        raise ResumeError(
            f"{folder} holds a scan that was begun otherwise; what differs: {'; '.join(different)}. {way_out}"
        )


def mark_done(folder: Path, plan: ScanPlan, index: Cell) -> None:
    """Bring the chunks of a task to disk, then its mark.

    Parameters
    ----------
    folder : Path
        Where the scan grows.
    plan : ScanPlan
        What is judged.
    index : tuple of int
        The task.
    """
    files = chunk_files(folder, plan, index)
    for path in (*files, *{file.parent for file in files}):
        sync(path)
    mark = {"plan": identity(plan), "sha256": task_digest(folder, plan, index)}
    with replacing(folder / MARKS / _name(index)) as stream:
        stream.write(canonical_json(mark))


def done_tasks(folder: Path, plan: ScanPlan) -> Iterator[tuple[Cell, bool]]:
    """Look at every mark, and at the chunks that it speaks of.

    Parameters
    ----------
    folder : Path
        Where the scan grows.
    plan : ScanPlan
        What is judged.

    Yields
    ------
    index : tuple of int
        A task that has a mark.
    whole : bool
        Whether its chunks are as the mark says.
    """
    for index in plan.indices():
        if _is_file(folder / MARKS / _name(index)):
            promised = _promised(folder, plan, index)
            yield index, promised is not None and promised == _digest_or_none(folder, plan, index)


def _promised(folder: Path, plan: ScanPlan, index: Cell) -> str | None:
    """Read the digest of a mark; nothing if the mark is damaged, or of another question."""
    try:
        with (folder / MARKS / _name(index)).open("rb") as stream:
            content = json.loads(stream.read(1000))
        return str(content["sha256"]) if content["plan"] == identity(plan) else None
    except (ValueError, LookupError, TypeError, RecursionError, OSError):
        return None


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def close_ledger(folder: Path, plan: ScanPlan) -> None:
    """Write the digests of all tasks into one file: with it the scan is complete.

    Parameters
    ----------
    folder : Path
        Where the scan grew.
    plan : ScanPlan
        What was judged.

    Raises
    ------
    StoreError
        If the chunks of a task are missing, damaged, or not what its mark says.
    """
    digests = {}
    for index in plan.indices():
        digests[_name(index)] = task_digest(folder, plan, index)
        if digests[_name(index)] != _promised(folder, plan, index):
            raise StoreError(
                f"Task {_name(index)} of {folder} is not as it was written: its chunks have another digest than its "
                f"mark. Does another program write there? Run the same command again: it does that task anew."
            )
    with replacing(folder / TASKS) as stream:
        stream.write(canonical_json(sealed({"task_cells": list(plan.task_cells), "sha256": digests})))


def tidy(folder: Path) -> None:
    """Remove from a complete scan what its making needed, and what interrupted writers left."""
    for file in (*(folder / MARKS).glob("*"), *folder.rglob("*.partial"), folder / PLAN):
        file.unlink(missing_ok=True)
    if (folder / MARKS).is_dir():
        (folder / MARKS).rmdir()


def task_cells_of(folder: Path) -> Cell:
    """Read how a finished scan was cut into tasks.

    Raises
    ------
    StoreError
        If that is not there any more.
    """
    content = _load(folder / TASKS)
    try:
        return _task_cells(content["task_cells"])
    except (LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise StoreError(f"{folder / TASKS} is damaged ({error}). Scan again.") from error


def damaged_tasks(folder: Path, plan: ScanPlan) -> list[Cell]:
    """Find the tasks of a finished scan whose chunks are not as they were written.

    Parameters
    ----------
    folder : Path
        The scan.
    plan : ScanPlan
        What was judged, cut as it was then.

    Returns
    -------
    list of tuple of int

    Raises
    ------
    StoreError
        If the list of digests is missing or damaged.
    """
    promised = _load(folder / TASKS).get("sha256")
    if not isinstance(promised, dict):
        raise StoreError(f"{folder / TASKS} is damaged: it holds no digests. Scan again.")
    found = ((index, _digest_or_none(folder, plan, index)) for index in plan.indices())
    return [index for index, digest in found if digest is None or promised.get(_name(index)) != digest]


def task_digest(folder: Path, plan: ScanPlan, index: Cell) -> str:
    """Hash what a task wrote, as it is read back from the disk.

    Raises
    ------
    StoreError
        If a chunk is missing or damaged.
    """
    return content_digest(read_task(folder, plan, index), {"task": list(index)})


def _digest_or_none(folder: Path, plan: ScanPlan, index: Cell) -> str | None:
    try:
        return task_digest(folder, plan, index)
    except StoreError:
        return None


def _load(file: Path) -> dict[str, Any]:
    """Read a sealed JSON file."""
    try:
        content = json.loads(_read(file))
    except (OSError, ValueError, RecursionError) as error:
        raise StoreError(f"{file} cannot be read ({error}). Start the scan anew with --fresh.") from error
    found = unsealed(content) if isinstance(content, dict) else None
    if found is None:
        raise StoreError(f"{file} is damaged: it is not what was written. Start the scan anew with --fresh.")
    return found


def _read(file: Path) -> bytes:
    """Read a file of the scan's own: no link, no device or pipe, and no more than it can hold."""
    if file.is_symlink() or not file.is_file():
        raise FileNotFoundError("it is missing, or no file of its own")
    with file.open("rb") as stream:
        data = stream.read(_LARGEST_FILE + 1)
    if len(data) > _LARGEST_FILE:
        raise ValueError("it is larger than 64 MiB")
    return data


def _name(index: Iterable[int]) -> str:
    return ".".join(map(str, index))


def _cell(values: Any) -> Cell:
    x, y, z = (int(v) for v in values)
    if min(x, y, z) < 1 or max(x, y, z) > np.iinfo(np.int32).max:
        raise ValueError(f"found {_short(values)}")
    return x, y, z


def _task_cells(values: Any) -> Cell:
    """Return the edges of a task from a file, if the planner can have made them: they are memory."""
    edges = _cell(values)
    if any(edge % BRICK_CELLS or edge > BRICK_CELLS * max(TASK_BRICKS) for edge in edges):
        raise ValueError(f"found tasks of {edges} cells, expected multiples of {BRICK_CELLS}")
    return edges


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= 60 else text[:57] + "…"
