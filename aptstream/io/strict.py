"""What Zarr sees of one array: bytes that were looked for and found, never the silence that it reads as zeros."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TYPE_CHECKING, Any

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer, BufferPrototype

#: Gives bytes `start` to `stop` of a file of the array; a negative start counts from its end.
ReadFile = Callable[[str, int, int | None], bytes]


class StrictStore(Store):
    """A read-only Zarr store that holds one array.

    Parameters
    ----------
    metadata : bytes
        Its ``zarr.json``, which was checked: Zarr does not read the file again.
    read : callable
        Reads a chunk file, and raises where it is not whole.
    """

    supports_writes = False
    supports_deletes = False
    supports_listing = False

    def __init__(self, metadata: bytes, read: ReadFile) -> None:
        super().__init__(read_only=True)
        self._metadata, self._read = metadata, read

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Return bytes of a file; none only for what an array need not have."""
        if key == "zarr.json":
            return prototype.buffer.from_bytes(self._metadata)
        if not key.startswith("c."):
            return None
        start, stop = _span(byte_range)
        return prototype.buffer.from_bytes(await asyncio.to_thread(self._read, key, start, stop))

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return bytes of several files."""
        return list(await asyncio.gather(*(self.get(key, prototype, span) for key, span in key_ranges)))

    async def exists(self, key: str) -> bool:
        """Tell whether a file should be there."""
        return key == "zarr.json" or key.startswith("c.")

    async def set(self, key: str, value: Buffer) -> None:
        """Refuse to write."""
        self._check_writable()

    async def delete(self, key: str) -> None:
        """Refuse to delete."""
        self._check_writable()

    def list(self) -> AsyncIterator[str]:
        """Refuse to list: an array knows its chunks."""
        raise NotImplementedError

    def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Refuse to list."""
        raise NotImplementedError

    def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Refuse to list."""
        raise NotImplementedError


def _span(request: ByteRequest | None) -> tuple[int, int | None]:
    """Say which bytes are asked for, as a slice does."""
    if isinstance(request, RangeByteRequest):
        return request.start, request.end
    if isinstance(request, OffsetByteRequest):
        return request.offset, None
    if isinstance(request, SuffixByteRequest):
        return -request.suffix, None
    return 0, None


def open_strict(metadata: bytes, read: ReadFile) -> Any:
    """Open an array for reading.

    Parameters
    ----------
    metadata : bytes
        Its ``zarr.json``.
    read : callable
        Reads a chunk file, and raises where it is not whole.

    Returns
    -------
    zarr.Array
    """
    import zarr

    return zarr.open_array(StrictStore(metadata, read), mode="r", zarr_format=3)
