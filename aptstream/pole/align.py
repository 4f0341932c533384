"""Align: from a point store and a pole to a point store in which the planes of the pole stand normal to z."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from aptstream.cloud.building import check_target
from aptstream.cloud.ingest import ingest
from aptstream.cloud.lattice import BRICK_NM, MARGIN_NM
from aptstream.cloud.store import PointStore
from aptstream.cloud.stored import stored_ions
from aptstream.errors import FileFormatError, PlanError
from aptstream.io.arrays import damaged
from aptstream.io.digest import canonical_json
from aptstream.io.ions import IonBlock, IonFile
from aptstream.pole.alignment import Alignment
from aptstream.pole.flatten import flatten
from aptstream.pole.pole import Pole
from aptstream.progress import Progress, silent
from aptstream.regions import Region

if TYPE_CHECKING:
    from distributed import Client

#: Ions of a store that are read at a time where a region is cut out: bounds the memory, and the list of pieces.
PIECE_ROWS = 1 << 18

_ATTRIBUTE = "alignment"


def align(
    store: PointStore,
    pole: Pole | Alignment,
    *,
    out: str | PathLike[str],
    region: Region | Literal["pole"] | None = None,
    client: Client | None = None,
    progress: Progress = silent,
) -> PointStore:
    """Write a store in which the planes of a pole stand normal to z, flat, and at the distance they should have.

    The new store says how its ions were moved, so that the place of each in the reconstruction can be told:
    ``alignment_of(store).inverse(position)``. It is rounded to float32, which is right to 1e-5 nm. As with `ingest`,
    memory stays bounded, and what was interrupted goes on when it is called again in the same way.

    Parameters
    ----------
    store : PointStore
        A reconstruction on this disk that was not aligned before.
    pole : Pole or Alignment
        The planes, which keep their own spacing; or a map, such as `flatten` makes of them and a crystal.
    out : path
        Folder to make; nothing may stand there. It appears complete or not at all.
    region : Region or "pole", optional
        Only ions inside, before they are moved, or only those where the pole is seen. All where it is not given.
    client : distributed.Client, optional
        Where to work; in this process where it is not given. The result is the same to the bit.
    progress : Progress
        Told of the stages ``flatten`` of a pole, ``cut`` where there is a region, ``read``, ``sort`` and ``write``, in
        ions.

    Returns
    -------
    PointStore
        With all columns of the ions.

    Raises
    ------
    PlanError
        If the store was aligned before, the planes fold, or no ion lies in the region.
    StoreError
        As `ingest`, and if the store does not lie on this disk.

    Examples
    --------
    >>> import tempfile
    >>> from aptstream.io import write_pos
    >>> from aptstream.points import Range, RangeTable
    >>> flat = ((0, 0, 0), (0, 0, 0), (0, 0, 0))
    >>> pole = Pole((0, 0, 5), (0, 4, 3), flat, (0, 0), 9, (0, 10), 40, 60, "found")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_pos(f"{folder}/a.pos", [[1, 4, 8], [2, 0, 5]], [27, 27])
    ...     table = RangeTable((Range(26, 28, (("Al", 1),)),))
    ...     store = ingest(f"{folder}/a.pos", ranges=table, out=f"{folder}/a.zarr")
    ...     aligned = align(store, pole, out=f"{folder}/b.zarr")
    ...     position = aligned.arrays["positions"][:]
    ...     (position.round(4) + 0).tolist(), alignment_of(aligned).inverse(position).round(4).tolist()
    ([[1.0, 0.0, 5.0], [2.0, 0.0, 0.0]], [[1.0, 4.0, 8.0], [2.0, 0.0, 5.0]])
    """
    check_target(Path(out).absolute())
    if alignment_of(store) is not None:
        raise PlanError(
            f"The store {store.address} is aligned already. Expected a reconstruction, from which every place can be "
            f"found again: align the store that it was made of."
        )
    alignment = pole if isinstance(pole, Alignment) else flatten(store, pole, progress=progress)
    cut = alignment.pole.region if region == "pole" else region
    file = stored_ions(store.path)
    pieces = Pieces.of(store, cut, progress) if cut is not None else Pieces.of_all(file.n_ions)
    if not pieces.n_ions:
        raise PlanError(
            f"No ion of {store.address} lies in {cut}. Expected a region of the reconstruction, before it is aligned: "
            f"its ions lie in {store.box}."
        )
    provenance = {
        _ATTRIBUTE: {
            "map": alignment.as_json(),
            "source_digest": store.attrs["content_digest"],
            "cut": cut and {"kind": type(cut).__name__, **_as_json(cut)},
            "recommended": _as_json(alignment.region),
        },
        "range_file": store.attrs.get("range_file"),
    }
    moved = replace(file, n_ions=pieces.n_ions, read=_ReadMoved(file, alignment, pieces), provenance=provenance)
    return ingest(moved, ranges=store.ranges, out=out, client=client, progress=progress)


def alignment_of(store: PointStore) -> Alignment | None:
    """Tell how the ions of a store were moved from the reconstruction.

    Parameters
    ----------
    store : PointStore
        From `align`, or any other.

    Returns
    -------
    Alignment or None
        The map from the reconstruction to the store; None where the store is a reconstruction itself.

    Raises
    ------
    StoreError
        If what the store says of it cannot be right.
    """
    found = store.attrs.get(_ATTRIBUTE)
    if found is None:
        return None
    try:
        return Alignment.from_json(found.get("map") if isinstance(found, dict) else found)
    except FileFormatError as error:
        raise damaged(store.address, f"its alignment cannot be read ({error})", "one that was written") from error


@dataclass(frozen=True)
class Pieces:
    """The ions of a store that lie in a region, piece by piece.

    Parameters
    ----------
    region : Region or None
        None for all.
    rows : tuple of (int, int)
        Rows of the store that are read at a time, half-open and ascending; only those with ions inside.
    before : tuple of int
        Ions inside that lie before each piece, and their number.
    """

    region: Region | None
    rows: tuple[tuple[int, int], ...]
    before: tuple[int, ...]

    @property
    def n_ions(self) -> int:
        """Ions inside."""
        return self.before[-1]

    @staticmethod
    def of_all(n_ions: int) -> Pieces:
        """Take all ions as they stand."""
        return Pieces(None, ((0, n_ions),), (0, n_ions))

    @staticmethod
    def of(store: PointStore, region: Region, progress: Progress = silent) -> Pieces:
        """Count the ions of a store in a region; only bricks that it touches are read."""
        rows, before = [], [0]
        for start, stop in _touched(store, region):
            for first in range(start, stop, PIECE_ROWS):
                last = min(first + PIECE_ROWS, stop)
                n_inside = int(region.contains(store.arrays["positions"][first:last]).sum())
                if n_inside:
                    rows.append((first, last))
                    before.append(before[-1] + n_inside)
                progress("cut", last, store.n_ions, "ions")
        progress("cut", store.n_ions, store.n_ions, "ions")
        return Pieces(region, tuple(rows), tuple(before))

    def within(self, start: int, stop: int) -> Iterator[tuple[tuple[int, int], slice]]:
        """Say where some ions stand, by their numbers: rows to read, and which of the ions inside to take of them."""
        first = int(np.searchsorted(self.before, start, side="right")) - 1
        for (low, high), before in zip(self.rows[first:], self.before[first:], strict=False):
            if before >= stop:
                return
            if self.region is None:
                yield (start, stop), slice(None)
            else:
                yield (low, high), slice(max(start - before, 0), stop - before)


@dataclass(frozen=True)
class _ReadMoved:
    """Reads ions of a store where an alignment brings them."""

    file: IonFile
    alignment: Alignment
    pieces: Pieces

    def __call__(self, start: int, stop: int) -> IonBlock:
        found = [self._take(rows, which) for rows, which in self.pieces.within(start, stop)]
        position = np.concatenate([block.position for block in found])
        mass = np.concatenate([block.mass_to_charge for block in found])
        columns = {name: np.concatenate([block.columns[name] for block in found]) for name in self.file.columns}
        return IonBlock(self.alignment.forward(position).astype(np.float32), mass, columns)

    def _take(self, rows: tuple[int, int], which: slice) -> IonBlock:
        """Read some rows, and take some of the ions inside."""
        block = self.file.read(*rows)
        chosen: slice | npt.NDArray[np.intp] = which
        if self.pieces.region is not None:
            chosen = np.flatnonzero(self.pieces.region.contains(block.position))[which]
        columns = {name: column[chosen] for name, column in block.columns.items()}
        return IonBlock(block.position[chosen], block.mass_to_charge[chosen], columns)


def _touched(store: PointStore, region: Region) -> Iterator[tuple[int, int]]:
    """Rows of the bricks that a region touches; those that follow one another together."""
    low = store.origin_nm + BRICK_NM * np.argwhere(np.ones(store.lattice.shape_bricks, bool))
    offsets = store.index.brick_offset
    touched = region.touches(low - MARGIN_NM, low + BRICK_NM + MARGIN_NM)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], touched, [False]]).astype(np.int8)))
    for first, last in edges.reshape(-1, 2).tolist():
        if offsets[last] > offsets[first]:
            yield int(offsets[first]), int(offsets[last])


def _as_json(region: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(canonical_json(asdict(region)))
    return found
