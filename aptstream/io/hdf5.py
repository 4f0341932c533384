"""The structure of HDF5 files: objects, links and attributes, as far as files of ions need it.

The HDF5 library trusts what it reads: damaged files send it into endless loops. Here every structure is read once,
inside the file, and all of them together may not be much longer than it. What is called "dense" (more than
eight links or attributes of the newest form) is not read. Source: HDF5 File Format Specification, version 3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

SIGNATURE = b"\x89HDF\r\n\x1a\n"
NOWHERE = 2**64 - 1
#: Messages of an object header.
SPACE, LINK_INFO, TYPE, LINK, EXTERNAL, LAYOUT, FILTERS, ATTRIBUTE, CONTINUED, SYMBOLS = (
    1,
    2,
    3,
    6,
    7,
    8,
    11,
    12,
    16,
    17,
)

_LONGEST = 1 << 22
_SHARED = 2


class DamagedError(Exception):
    """A structure is not what it should be; the message ends a sentence."""


class Message(NamedTuple):
    """A message of an object header."""

    kind: int
    content: bytes


class Link(NamedTuple):
    """A link of a group: where its object stands, or `NOWHERE` if it is soft or external."""

    name: str
    address: int


@dataclass
class Hdf5:
    """An open HDF5 file.

    Parameters
    ----------
    stream : binary file
        Open for reading.
    size : int
        Its bytes.
    """

    stream: BinaryIO
    size: int
    _seen: set[int] = field(default_factory=set)
    _taken: int = 0

    def take(self, address: int, length: int) -> bytes:
        """Read some bytes.

        Parameters
        ----------
        address, length : int
            First byte, and how many.

        Returns
        -------
        bytes

        Raises
        ------
        DamagedError
            If they lie outside the file, or more is read than a sound file can hold.
        """
        if not (0 <= address <= self.size - length and 0 <= length <= _LONGEST):
            raise DamagedError(f"refers to {length} bytes at byte {address} of {self.size}")
        self._taken += length
        if self._taken > 2 * self.size + (1 << 16):
            raise DamagedError("refers to the same bytes again and again")
        self.stream.seek(address)
        return self.stream.read(length)

    def once(self, address: int) -> int:
        """Pass an address on, unless it has been here before."""
        if address in self._seen:
            raise DamagedError(f"holds a circle through byte {address}")
        self._seen.add(address)
        return address

    def root(self) -> int:
        """Find the header of the root group.

        Returns
        -------
        int
            Its address.
        """
        head = self.take(0, min(96, self.size))
        version = head[8]
        at = {0: 24, 1: 28, 2: 12, 3: 12}.get(version)
        if at is None or tuple(head[13:15] if version < 2 else head[9:11]) != (8, 8):
            raise DamagedError(f"has a superblock of version {version} that is not known")
        base, _, end = struct.unpack_from("<QQQ", head, at)
        if base or end > self.size:
            raise DamagedError(f"begins at byte {base} and ends at byte {end} of {self.size}: it is not whole")
        (address,) = struct.unpack_from("<Q", head, at + (40 if version < 2 else 24))
        return int(address)

    def messages(self, address: int) -> list[Message]:
        """Read an object header.

        Parameters
        ----------
        address : int
            Where it stands.

        Returns
        -------
        list of Message
            Those that are shared with other objects have no content.
        """
        new = self.take(address, 4) == b"OHDR"
        if new:
            flags = self.take(address, 6)[5]
            at = address + 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
            width = 1 << (flags & 3)
            parts = [(at + width, int.from_bytes(self.take(at, width), "little"))]
            head = 6 if flags & 4 else 4
        else:
            if self.take(address, 1) != b"\1":
                raise DamagedError(f"holds no object at byte {address}")
            parts = [(address + 16, struct.unpack("<I", self.take(address + 8, 4))[0])]
            head = 8
        found: list[Message] = []
        while parts:
            begin, length = parts.pop(0)
            block = self.take(self.once(begin), length)
            for message in _split(block, new, head):
                if message.kind == CONTINUED:
                    where, size = struct.unpack_from("<QQ", message.content)
                    # The newer form has a signature before and a checksum behind.
                    parts.append((where + 4, size - 8) if new else (where, size))
                else:
                    found.append(message)
        return found

    def links(self, messages: list[Message]) -> list[Link]:
        """Read the links of a group.

        Parameters
        ----------
        messages : list of Message
            Its header.

        Returns
        -------
        list of Link
            Empty if it is no group.
        """
        found = [_read_link(message.content) for message in messages if message.kind == LINK]
        for message in messages:
            if message.kind == SYMBOLS:
                tree, heap = struct.unpack_from("<QQ", message.content)
                found += self._old_links(tree, heap)
            elif message.kind == LINK_INFO:
                at = 2 + (8 if message.content[1] & 1 else 0)
                if struct.unpack_from("<Q", message.content, at)[0] != NOWHERE:
                    raise DamagedError("holds a group with dense links, which are not read")
        return found

    def _old_links(self, tree: int, heap: int) -> Iterator[Link]:
        """Walk through the tree of a group of the older form."""
        if (head := self.take(heap, 32))[:4] != b"HEAP":
            raise DamagedError(f"holds no names at byte {heap}")
        length, _, data = struct.unpack_from("<QQQ", head, 8)
        names = self.take(data, length)
        for table in self.leaves(tree, 0, 8):
            (count,) = struct.unpack("<H", self.take(self.once(table.child) + 6, 2))
            entries = self.take(table.child + 8, 40 * count)
            for entry in range(count):
                name, address, cached = struct.unpack_from("<QQI", entries, 40 * entry)
                text = names[name : names.find(b"\0", name)]
                yield Link(text.decode("utf-8", "replace"), NOWHERE if cached == 2 else address)

    def leaves(self, address: int, kind: int, key_bytes: int) -> Iterator[Leaf]:
        """Walk through a B-tree of version 1.

        Parameters
        ----------
        address : int
            Its root.
        kind : int
            0 for links, 1 for chunks.
        key_bytes : int
            Length of a key.

        Yields
        ------
        Leaf
            What the nodes of the lowest level refer to.
        """
        nodes = [address]
        while nodes:
            at = self.once(nodes.pop())
            head = self.take(at, 8)
            if head[:5] != b"TREE" + bytes([kind]):
                raise DamagedError(f"holds no tree at byte {at}")
            level, count = struct.unpack_from("<BH", head, 5)
            step = key_bytes + 8
            block = self.take(at + 24, step * count)
            for begin in range(0, step * count, step):
                (child,) = struct.unpack_from("<Q", block, begin + key_bytes)
                if level:
                    nodes.append(child)
                else:
                    yield Leaf(block[begin : begin + key_bytes], child)

    def attribute(self, messages: list[Message], name: str) -> str | None:
        """Read an attribute that holds one text.

        Parameters
        ----------
        messages : list of Message
            Header of the object.
        name : str
            Its name.

        Returns
        -------
        str or None
            None if there is none of this name.
        """
        for message in messages:
            if message.kind == ATTRIBUTE:
                found, kind, value = _read_attribute(message.content)
                if found == name:
                    return self._text(kind, value)
        return None

    def _text(self, kind: bytes, value: bytes) -> str:
        """Decode a text of fixed or variable length."""
        form, (length,) = kind[0] & 15, struct.unpack_from("<I", kind, 4)
        if form == 9 and kind[1] & 15 == 1:
            length, heap, index = struct.unpack_from("<IQI", value)
            value = self._from_heap(heap, index)
        elif form != 3:
            raise DamagedError("holds a unit that is no text")
        return value[:length].split(b"\0", 1)[0].decode("utf-8", "replace").strip()

    def _from_heap(self, heap: int, index: int) -> bytes:
        """Look up an object of a global heap."""
        head = self.take(heap, 16)
        (length,) = struct.unpack_from("<Q", head, 8)
        if head[:4] != b"GCOL" or length < 16:
            raise DamagedError(f"holds no texts at byte {heap}")
        block = self.take(heap, length)
        at = 16
        while at + 16 <= len(block):
            number, size = struct.unpack_from("<HxxxxxxQ", block, at)
            if number == index and number:
                return block[at + 16 : at + 16 + size]
            at += 16 + (size + 7) // 8 * 8
        raise DamagedError(f"holds no text {index} at byte {heap}")


class Leaf(NamedTuple):
    """A key of a B-tree, and what it refers to."""

    key: bytes
    child: int


def _split(block: bytes, new: bool, head: int) -> Iterator[Message]:
    """Split a part of an object header into its messages."""
    at = 0
    while at + head <= len(block):
        kind, length, flags = struct.unpack_from("<BHB" if new else "<HHB", block, at)
        content = block[at + head : at + head + length]
        if len(content) < length:
            raise DamagedError("holds a header that is longer than its space")
        # What is shared stands elsewhere; nothing that is needed here is written so by any program we know.
        yield Message(kind, b"" if flags & _SHARED else content)
        at += head + length


def _read_link(content: bytes) -> Link:
    """Read a link of the newer form."""
    flags, at, kind = content[1], 2, 0
    if flags & 8:
        kind, at = content[at], at + 1
    at += (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
    width = 1 << (flags & 3)
    length, at = int.from_bytes(content[at : at + width], "little"), at + width
    name = content[at : at + length].decode("utf-8", "replace")
    return Link(name, NOWHERE if kind else struct.unpack_from("<Q", content, at + length)[0])


def _read_attribute(content: bytes) -> tuple[str, bytes, bytes]:
    """Return name, datatype and value of an attribute; an empty name where it has more than one value."""
    version = content[0] if content else 0
    if version not in (1, 2, 3) or (version > 1 and content[1]):
        return "", b"", b""
    lengths = struct.unpack_from("<HHH", content, 2)
    at, parts = 8 + (version == 3), []
    for length in lengths:
        parts.append(content[at : at + length])
        at += (length + 7) // 8 * 8 if version == 1 else length
    name, kind, space = parts
    if (
        len(space) < 2
        or space[1] > 1
        or (space[1] and struct.unpack_from("<Q", space, 8 if space[0] == 1 else 4)[0] != 1)
    ):
        return "", b"", b""
    return name.split(b"\0", 1)[0].decode("utf-8", "replace"), kind, content[at:]
