"""Steps of long work: each leaves products and a sealed record, and is skipped where both are whole and still belong.

A record says which settings and which products of other steps it was made from. What belongs to other settings, or is
damaged, is made again; what is whole is not.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from aptstream import __version__
from aptstream.errors import AptstreamError, ResumeError, StoreError
from aptstream.inspection import content_sha256
from aptstream.io.lease import LEASE
from aptstream.io.replace import discard, replacing
from aptstream.io.seal import sealed, unsealed

#: Folder of the records, and the file of the settings.
RECORDS, SETTINGS = "steps", "settings.json"
#: Nothing of ours is larger.
MOST_BYTES = 16 << 20

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Step:
    """One step.

    Parameters
    ----------
    name : str
        Its name, which its record has too.
    words : str
        What it does, for people.
    products : tuple of str
        What it leaves, relative to the folder: files, or folders that `aptstream.inspection.content_sha256` reads.
    make : callable
        Folder → what was found out on the way, as JSON values. Products of before are removed first.
    settings : mapping
        What its products depend on, as JSON values.
    needs : tuple of str
        Steps whose products it reads.
    """

    name: str
    words: str
    products: tuple[str, ...]
    make: Callable[[Path], dict[str, Any]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Record:
    """What a step left.

    Parameters
    ----------
    belongs_to : dict
        Settings, and products of other steps, that it was made from.
    products : dict of str to str
        SHA-256 of each product.
    seconds, cpu_seconds : float
        Wall time, and CPU time of this process and those that it started and ended, in s.
    facts : dict
        What was found out.
    version : str
        Of aptstream.
    """

    belongs_to: dict[str, Any]
    products: dict[str, str]
    seconds: float
    cpu_seconds: float
    facts: dict[str, Any] = field(default_factory=dict)
    version: str = __version__


def require_free(folder: Path) -> None:
    """Refuse a folder that holds something else than work of ours; one that is missing is made.

    Parameters
    ----------
    folder : Path
        The output folder.

    Raises
    ------
    StoreError
        If it is a file, or holds other things.
    """
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"The output folder {folder} is a file: give another name with --out.")
    if folder.exists() and not (folder / SETTINGS).is_file() and any(entry.name != LEASE for entry in folder.iterdir()):
        raise StoreError(
            f"The output folder {folder} is in use: it holds files, and no {SETTINGS} of a reproduction. Give a new or "
            f"empty folder with --out. Nothing in it was changed."
        )
    folder.mkdir(parents=True, exist_ok=True)


def claim(folder: Path, settings: Mapping[str, Any]) -> None:
    """Write the settings of the work down, or see that they are those of before.

    Parameters
    ----------
    folder : Path
        An existing folder.
    settings : mapping
        JSON values.

    Raises
    ------
    ResumeError
        If the folder holds work with other settings.
    """
    path, wanted = folder / SETTINGS, json.loads(json.dumps(dict(settings)))
    if not path.exists():
        _write(path, wanted)
        return
    found = _read(path)
    if found is None:
        raise ResumeError(f"{path} is damaged: give another folder with --out, or remove {folder}.")
    other = [
        f"{name} {found.get(name)} (now {wanted.get(name)})"
        for name in {**found, **wanted}
        if _differ(found, wanted, name)
    ]
    if other:
        raise ResumeError(
            f"{folder} holds work with other settings: found {', '.join(other)}. Give the settings of then to go on, "
            f"or another folder with --out."
        )


def _differ(found: dict[str, Any], wanted: dict[str, Any], name: str) -> bool:
    return bool(found.get(name) != wanted.get(name))


def carry_out(step: Step, folder: Path, begin: Callable[[str], None]) -> Record:
    """Do a step, or skip it where its products are whole and belong to the same settings.

    Parameters
    ----------
    step : Step
        What to do.
    folder : Path
        Where; the steps that it needs are done.
    begin : callable
        Told what is done, unless it is skipped.

    Returns
    -------
    Record
        What it left.

    Raises
    ------
    AptstreamError
        Whatever the step finds wrong; nothing of it counts as done then.
    """
    wanted = {"settings": json.loads(json.dumps(dict(step.settings))), "needs": _needs(step, folder)}
    record = read_record(folder, step.name)
    if record is not None and record.belongs_to == wanted and _whole(folder, record, step.products):
        logger.info("%s: done before", step.words)
        return record
    if record is not None:
        why = "its products are damaged" if record.belongs_to == wanted else "it belongs to other settings or products"
        logger.info("%s is done again: %s", step.words, why)
        _path(folder, step.name).unlink(missing_ok=True)
    begin(step.words)
    for product in step.products:
        _remove(folder / product)
        (folder / product).parent.mkdir(parents=True, exist_ok=True)
    start, cpu = time.perf_counter(), _cpu_seconds()
    facts = without_nan(step.make(folder))
    seconds, cpu = time.perf_counter() - start, _cpu_seconds() - cpu
    digests = {product: content_sha256(folder / product) for product in step.products}
    record = Record(wanted, digests, round(seconds, 3), round(cpu, 3), facts)
    write_record(folder, step.name, record)
    return record


def read_record(folder: Path, name: str) -> Record | None:
    """Read the record of a step.

    Parameters
    ----------
    folder : Path
        Folder of the work.
    name : str
        Of the step.

    Returns
    -------
    Record or None
        Nothing where there is none, or it is damaged.
    """
    fields = _read(_path(folder, name))
    try:
        return Record(**fields) if fields is not None else None
    except TypeError:
        return None


def write_record(folder: Path, name: str, record: Record) -> None:
    """Write the record of a step; it appears whole or not at all."""
    (folder / RECORDS).mkdir(exist_ok=True)
    _write(_path(folder, name), dict(vars(record)))


def without_nan(value: Any) -> Any:
    """Put None in the place of numbers that are none, at any depth of JSON values.

    Parameters
    ----------
    value : object
        Dictionaries, lists, numbers, strings.

    Returns
    -------
    object

    Examples
    --------
    >>> without_nan({"a": [1.5, float("nan")]})
    {'a': [1.5, None]}
    """
    if isinstance(value, dict):
        return {name: without_nan(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(one) for one in value]
    return None if isinstance(value, float) and not isfinite(value) else value


def _path(folder: Path, name: str) -> Path:
    return folder / RECORDS / f"{name}.json"


def _needs(step: Step, folder: Path) -> dict[str, dict[str, str]]:
    """Digests of the products that a step reads."""
    found = {}
    for name in step.needs:
        record = read_record(folder, name)
        if record is None:
            raise ResumeError(f"The step {name} is to be done before {step.name}, and left no record in {folder}.")
        found[name] = record.products or {"facts": _digest(record.facts)}
    return found


def _digest(facts: dict[str, Any]) -> str:
    """Name what a step found out by its content."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _whole(folder: Path, record: Record, products: tuple[str, ...]) -> bool:
    """Tell whether all products are there as they were written."""
    try:
        return record.products == {product: content_sha256(folder / product) for product in products}
    except (AptstreamError, OSError):
        return False


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        discard(path)
    else:
        path.unlink(missing_ok=True)


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _write(path: Path, fields: dict[str, Any]) -> None:
    with replacing(path) as stream:
        stream.write((json.dumps(sealed(fields), indent=1, ensure_ascii=False) + "\n").encode())


def _read(path: Path) -> dict[str, Any] | None:
    """Read a sealed file; nothing where there is none, or it is damaged."""
    try:
        with path.open("rb") as stream:
            text = stream.read(MOST_BYTES + 1)
        return unsealed(json.loads(text)) if len(text) <= MOST_BYTES else None
    except (OSError, ValueError, RecursionError, AttributeError):
        return None
