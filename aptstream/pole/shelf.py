"""The ions round a candidate, on disk while its planes are followed: they are summed several times, and may be many."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from aptstream.cloud.store import PointStore
from aptstream.pole.halves import first_half
from aptstream.regions import Region

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Half = Literal["first", "other"]

_ROWS = 1 << 17  # ions in memory


@dataclass(frozen=True)
class Shelf:
    """Ions of a region in two halves.

    Parameters
    ----------
    low_nm, high_nm, middle_nm : ndarray of float64, (3,)
        Corners of the smallest box round all ions, and their mean.
    halves : dict of str to file
        Positions as float32, of those that are asked for planes and of those that are asked whether they are there.
    """

    low_nm: Floats
    high_nm: Floats
    middle_nm: Floats
    halves: dict[Half, BinaryIO]

    def blocks(self, *halves: Half) -> Iterator[Singles]:
        """Read ions of one or both halves, (n, 3); a block holds until the next is read."""
        room = np.empty((_ROWS, 3), np.float32)
        for half in halves:
            file = self.halves[half]
            file.seek(0)
            while size := file.readinto(room.view(np.uint8).data):  # type: ignore[attr-defined]
                yield room[: size // room.strides[0]]


@contextmanager
def shelve(store: PointStore, region: Region) -> Iterator[Shelf]:
    """Lay the ions of a region on a shelf, which is there until the block is left.

    Parameters
    ----------
    store : PointStore
        The ions.
    region : Box, Sphere, Cylinder or OrientedBox
        Which of them; it holds some.

    Yields
    ------
    Shelf

    Raises
    ------
    StoreError
        If a chunk is missing or damaged.
    """
    low, high, total, number = np.full(3, np.inf), np.full(3, -np.inf), np.zeros(3), 0
    with ExitStack() as files:
        first, other = (files.enter_context(tempfile.TemporaryFile(buffering=0)) for _ in range(2))
        for cloud in store.blocks(region, columns=()):
            position = cloud.position
            low, high = np.minimum(low, position.min(axis=0)), np.maximum(high, position.max(axis=0))
            total, number = total + position.sum(axis=0, dtype=np.float64), number + len(position)
            asked = first_half(position)
            first.write(position[asked].data)
            other.write(position[~asked].data)
        yield Shelf(low, high, total / number, {"first": first, "other": other})
