"""JSON values that are not trusted: taken apart only where they have the members, lengths and numbers they should."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: Larger numbers than this are damage: no coordinate in nm is.
LARGEST = 1e6


def members(found: object, names: Sequence[str]) -> list[Any]:
    """Return the members of an object that has exactly these.

    Raises
    ------
    TypeError
        If it is none, or has others.
    """
    if not isinstance(found, Mapping) or set(found) != set(names):
        raise TypeError(f"{ascii(found)[:80]} instead of an object of {', '.join(names)}")
    return [found[name] for name in names]


def number(found: object) -> float:
    """Return a number between -1e6 and 1e6; other values raise TypeError."""
    if not isinstance(found, int | float) or isinstance(found, bool) or not abs(found) <= LARGEST:
        raise TypeError(f"{ascii(found)[:80]} for a number of at most 1e6")
    return float(found)


def numbers(found: object, n: int) -> tuple[Any, ...]:
    """Return a list of n such numbers; other values raise TypeError."""
    return tuple(map(number, items(found, n)))


def items(found: object, n: int) -> list[Any]:
    """Return a list of n values; other values raise TypeError."""
    if not isinstance(found, list) or len(found) != n:
        raise TypeError(f"{ascii(found)[:80]} instead of a list of {n}")
    return found


def count(found: object) -> int:
    """Return a whole number from 0 to 1e6; other values raise TypeError."""
    if type(found) is not int or not 0 <= found <= LARGEST:
        raise TypeError(f"{ascii(found)[:80]} for a count")
    return found
