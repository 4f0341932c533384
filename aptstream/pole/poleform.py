"""Poles, and whole searches for them, as JSON values, which are not trusted when they come back."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import Any

import numpy as np

from aptstream.errors import FileFormatError, PlanError
from aptstream.pole.find import PoleSearch
from aptstream.pole.identify import Identity
from aptstream.pole.members import count, items, members, number, numbers
from aptstream.pole.pole import Pole
from aptstream.pole.search import Candidate

_FORMAT, _VERSION = "aptstream-pole-search", 1
_NAMES = ("format", "version", "poles", "candidates", "best_strength", "identity")
_OF_CANDIDATE = ("strength", "wave_per_nm", "curvature_per_nm", "x_nm", "y_nm", "n_regions")
_OF_IDENTITY = ("families", "posterior", "scale", "orientation")


def pole_as_json(pole: Pole) -> dict[str, Any]:
    """Return a pole as JSON values.

    Parameters
    ----------
    pole : Pole
        The planes.

    Returns
    -------
    dict
    """
    return {name: _plain(value) for name, value in asdict(pole).items()}


def pole_from_json(found: object) -> Pole:
    """Make a pole of JSON values.

    Parameters
    ----------
    found : JSON value
        As `pole_as_json` returns them.

    Returns
    -------
    Pole

    Raises
    ------
    TypeError, PlanError
        If they are anything else.
    """
    names = [field.name for field in fields(Pole)]
    centre, wave, bend, drift, radius, depth, strength, n_regions, status = members(found, names)
    if status not in ("found", "candidate"):
        raise TypeError(f"{ascii(status)[:80]} for a status")
    rows = tuple(numbers(row, 3) for row in items(bend, 3))
    place = (numbers(centre, 3), numbers(wave, 3), rows, numbers(drift, 2), number(radius), numbers(depth, 2))
    return Pole(*place, number(strength), count(n_regions), status)  # type: ignore[arg-type]


def search_as_json(search: PoleSearch) -> dict[str, Any]:
    """Return what a search for poles found as JSON values, from which `search_from_json` makes it again.

    Parameters
    ----------
    search : PoleSearch
        What was found.

    Returns
    -------
    dict
    """
    named = search.identity
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "poles": [pole_as_json(pole) for pole in search.poles],
        "candidates": [
            {name: _plain(getattr(candidate, name)) for name in _OF_CANDIDATE} for candidate in search.candidates
        ],
        "best_strength": float(search.best_strength),
        "identity": None if named is None else {name: _plain(getattr(named, name)) for name in _OF_IDENTITY},
    }


def search_from_json(found: object) -> PoleSearch:
    """Make a search for poles from JSON values, which are not trusted.

    Parameters
    ----------
    found : JSON value
        As `search_as_json` returns them.

    Returns
    -------
    PoleSearch

    Raises
    ------
    FileFormatError
        If they are anything else.
    """
    try:
        kind, version, poles, candidates, best, identity = members(found, _NAMES)
        if (kind, version) != (_FORMAT, _VERSION) or type(version) is not int:
            raise TypeError(f"format {ascii(kind)[:80]} version {ascii(version)[:80]}")
        if not (isinstance(poles, list) and isinstance(candidates, list)):
            raise TypeError("no lists of poles and candidates")
        seen = tuple(pole_from_json(pole) for pole in poles)
        named = None if identity is None else _identity(identity, len(seen))
        return PoleSearch(seen, tuple(map(_candidate, candidates)), number(best), named)
    except (TypeError, ValueError, OverflowError, PlanError) as error:
        raise FileFormatError(
            f"A search for poles cannot be right: {error}. Expected what aptstream writes of one, version {_VERSION}: "
            f"search again."
        ) from error


def _candidate(found: object) -> Candidate:
    strength, wave, curvature, x, y, n_regions = members(found, _OF_CANDIDATE)
    vector = np.array(numbers(wave, 3))
    if not vector.any():
        raise TypeError("a wave vector of length 0")
    return Candidate(number(strength), vector, number(curvature), number(x), number(y), count(n_regions))


def _identity(found: object, n_poles: int) -> Identity:
    families, posterior, scale, orientation = members(found, _OF_IDENTITY)
    named: list[tuple[int, int, int]] = []
    for family in items(families, n_poles):
        h, k, m = items(family, 3)
        if not all(type(index) is int and abs(index) < 100 for index in (h, k, m)) or not (h or k or m):
            raise TypeError(f"{ascii(family)[:80]} for Miller indices")
        named.append((h, k, m))
    turn = None if orientation is None else np.array([numbers(row, 3) for row in items(orientation, 3)])
    if turn is not None and not np.allclose(turn @ turn.T, np.eye(3), atol=1e-6):
        raise TypeError("an orientation that is no rotation")
    return Identity(tuple(named), number(posterior), number(scale), turn)


def _plain(value: Any) -> Any:
    """Turn numbers and arrays of any type into those of JSON."""
    if isinstance(value, np.ndarray):
        value = tuple(value.tolist())
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if value is None or isinstance(value, str):
        return value
    return int(value) if isinstance(value, int | np.integer) else float(value)
