"""The scatter log: the ions of a source block by block, those of every block gathered by brick.

Two files. ``log`` has room for every block at its place; ``index`` says where the bricks of a block begin and holds a
checksum of each. A block counts when its entry in the index is whole and its ions agree with it.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from aptstream.errors import StoreError
from aptstream.io.decode import BinnedIons

#: Written at a time: of much more, Linux takes several times as long for every byte.
_WRITE_BYTES = 1 << 17

WordArray = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class IonLog:
    """The scatter log of an ingest; holds no open file, several processes may write different blocks.

    Parameters
    ----------
    folder : Path
        Where its files are.
    n_blocks, block_ions : int
        Blocks, and room for ions in each.
    n_bricks : int
        Bricks of the lattice.
    n_words : int
        Words of four bytes that an ion takes.
    """

    folder: Path
    n_blocks: int
    block_ions: int
    n_bricks: int
    n_words: int

    @property
    def entry_bytes(self) -> int:
        """Length of an entry in the index: first row of every brick, number of rows, checksums, its own checksum."""
        return 4 * (2 * self.n_bricks + 2)

    def create(self) -> None:
        """Make the files where they are not there yet."""
        for name in ("log", "index"):
            os.close(os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))

    def write(self, number: int, ions: BinnedIons) -> None:
        """Write a block: the ions first, then the entry that vouches for them.

        Parameters
        ----------
        number : int
            Which block.
        ions : BinnedIons
            Its ions.
        """
        with self._open("log", "r+b") as stream:
            _write_at(stream, ions.row, 4 * self.n_words * self.block_ions * number)
        checksum = np.zeros(self.n_bricks, np.uint32)
        for brick in np.flatnonzero(np.diff(ions.offset)):
            checksum[brick] = zlib.crc32(ions.row[ions.offset[brick] : ions.offset[brick + 1]].data)
        entry = np.concatenate([ions.offset, checksum])
        whole = np.append(entry, np.uint32(zlib.crc32(entry.data)))
        with self._open("index", "r+b") as stream:
            _write_at(stream, whole, self.entry_bytes * number)

    def n_rows(self, number: int) -> int | None:
        """Tell how many ions of a block are there.

        Parameters
        ----------
        number : int
            Which block.

        Returns
        -------
        int or None
            None where the block was not written, or not as its checksums say.
        """
        entry = np.empty(2 * self.n_bricks + 2, np.uint32)
        with self._open("index", "rb") as stream:
            if not _read_at(stream, entry, self.entry_bytes * number) or zlib.crc32(entry[:-1].data) != entry[-1]:
                return None
        offset, checksum = entry[: self.n_bricks + 1], entry[self.n_bricks + 1 : -1]
        if offset[-1] > self.block_ions or (offset[1:] < offset[:-1]).any():
            return None
        row = np.empty((int(offset[-1]), self.n_words), np.uint32)
        with self._open("log", "rb") as stream:
            if not _read_at(stream, row, 4 * self.n_words * self.block_ions * number):
                return None
        for brick in np.flatnonzero(offset[1:] > offset[:-1]):
            if zlib.crc32(row[offset[brick] : offset[brick + 1]].data) != checksum[brick]:
                return None
        return len(row)

    def counts(self) -> npt.NDArray[np.int64]:
        """Count the ions of every brick.

        Returns
        -------
        ndarray of int64, (n_bricks,)
        """
        total = np.zeros(self.n_bricks, np.int64)
        offset = np.empty(self.n_bricks + 1, np.uint32)
        with self._open("index", "rb") as stream:
            for number in range(self.n_blocks):
                if not _read_at(stream, offset, self.entry_bytes * number):
                    raise self._damaged()
                total += np.diff(offset)
        return total

    def bricks(self, first: int, last: int) -> Iterator[tuple[int, WordArray]]:
        """Read the ions of some bricks, brick by brick.

        Parameters
        ----------
        first, last : int
            First brick, and the one behind the last.

        Yields
        ------
        number : int
            Which brick; those without ions are left out.
        row : ndarray of uint32, (n, n_words)
            Its ions in the order of the source.

        Raises
        ------
        StoreError
            If a checksum does not hold.
        """
        runs = self._runs(first, last)
        with self._open("log", "rb") as stream:
            for number in sorted(runs):
                row = np.empty((sum(stop - start for start, stop, _ in runs[number]), self.n_words), np.uint32)
                at = 0
                for start, stop, checksum in runs[number]:
                    part = row[at : at + stop - start]
                    if not _read_at(stream, part, 4 * self.n_words * start) or zlib.crc32(part.data) != checksum:
                        raise self._damaged()
                    at += stop - start
                yield number, row

    def _runs(self, first: int, last: int) -> dict[int, list[tuple[int, int, int]]]:
        """Find the rows of the log that hold each brick, in the order of blocks, with their checksums."""
        found: dict[int, list[tuple[int, int, int]]] = {}
        offset, checksum = np.empty(last - first + 1, np.uint32), np.empty(last - first, np.uint32)
        with self._open("index", "rb") as stream:
            for number in range(self.n_blocks):
                entry = self.entry_bytes * number
                whole = _read_at(stream, offset, entry + 4 * first)
                whole &= _read_at(stream, checksum, entry + 4 * (self.n_bricks + 1 + first))
                if not whole or offset[-1] > self.block_ions or (offset[1:] < offset[:-1]).any():
                    raise self._damaged()
                base = self.block_ions * number
                for brick in np.flatnonzero(offset[1:] > offset[:-1]).tolist():
                    run = (base + int(offset[brick]), base + int(offset[brick + 1]), int(checksum[brick]))
                    found.setdefault(first + brick, []).append(run)
        return found

    def _open(self, name: str, mode: str) -> BinaryIO:
        # Never created here: a task that comes too late must not bring back a log that was given up.
        return (self.folder / name).open(mode, buffering=0)  # type: ignore[return-value]

    def _damaged(self) -> StoreError:
        return StoreError(
            f"The intermediate file {self.folder / 'log'} does not hold what was written to it: the disk lost or "
            f"changed some of it. Expected its checksums to hold: check the disk, then give the same command again, "
            f"which redoes what is damaged."
        )


def _write_at(stream: BinaryIO, words: WordArray, at: int) -> None:
    """Write all of an array; the system may take less than it is given."""
    left = np.ascontiguousarray(words).data.cast("B") if words.size else memoryview(b"")
    stream.seek(at)
    while left:
        left = left[stream.write(left[:_WRITE_BYTES]) :]


def _read_at(stream: BinaryIO, words: WordArray, at: int) -> bool:
    """Fill an array; tell whether there was enough."""
    left = words.data.cast("B") if words.size else memoryview(b"")
    stream.seek(at)
    while left:
        n = stream.readinto(left)  # type: ignore[attr-defined]
        if not n:
            return False
        left = left[n:]
    return True
