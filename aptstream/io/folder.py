"""Folders on this disk or in an object store: the few things that our Zarr groups need of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from aptstream.errors import MissingPackageError, StoreError
from aptstream.io.replace import replacing

#: Size that stands for a symbolic link, which is no file of the folder's own.
LINK = -1


class Folder(Protocol):
    """Where the files of a Zarr group lie; keys are names with ``/`` between them."""

    @property
    def address(self) -> str:
        """What opens it again, in any process: an absolute path or a URL."""

    def exists(self) -> bool:
        """Tell whether anything is there."""

    def sizes(self, name: str = "") -> dict[str, int]:
        """List the files of a folder in it, and their bytes; `LINK` for a symbolic link.

        Raises
        ------
        OSError
            If it cannot be listed.
        """

    def read(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Read some bytes of a file, fewer where it ends early.

        Raises
        ------
        FileNotFoundError
            If there is no such file of the folder's own.
        OSError
            If it cannot be read.
        """

    def write(self, key: str, blocks: Iterable[bytes]) -> None:
        """Write a file.

        Raises
        ------
        OSError
            If it cannot be written.
        """


def is_url(address: str | PathLike[str]) -> bool:
    """Tell a URL from a path.

    Parameters
    ----------
    address : str or path
        Such as ``"s3://bucket/specimen.zarr"``.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_url("s3://bucket/specimen.zarr"), is_url("specimen.zarr"), is_url(Path("specimen.zarr"))
    (True, False, False)
    """
    return isinstance(address, str) and "://" in address


def local_path(path: str | PathLike[str]) -> Path:
    """Return a path on this disk, or refuse a URL.

    Parameters
    ----------
    path : path
        Where something is to be written that cannot be written elsewhere.

    Returns
    -------
    Path

    Raises
    ------
    StoreError
        If it is a URL, also one that was made a path, such as ``s3:/bucket``.

    Examples
    --------
    >>> local_path("R5096").name
    'R5096'
    """
    found = Path(path)
    if is_url(str(path)) or (found.parts and found.parts[0].endswith(":")):
        raise StoreError(
            f"{path} is a URL: scans and reports are written on this disk only. Give the path of a local folder; point "
            f"stores can be sent elsewhere with aptstream copy."
        )
    return found


def folder_of(address: str | PathLike[str] | Folder) -> Folder:
    """Find the folder at an address; nothing is read yet.

    Parameters
    ----------
    address : path or str
        A path, or any URL that fsspec knows, such as ``s3://…``, ``memory://…`` or ``file:///…``.

    Returns
    -------
    Folder
    """
    if not isinstance(address, str | PathLike):
        return address
    if not is_url(address):
        return LocalFolder(Path(address))
    parts = urlsplit(str(address))
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return LocalFolder(Path(unquote(parts.path)))
    return RemoteFolder(str(address).rstrip("/"))


@dataclass(frozen=True)
class LocalFolder:
    """A folder on this disk, read without following symbolic links.

    Parameters
    ----------
    path : Path
        The folder.
    """

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def address(self) -> str:
        """Absolute path."""
        return str(self.path.absolute())

    def exists(self) -> bool:
        """Tell whether the folder is there."""
        return self.path.is_dir()

    def sizes(self, name: str = "") -> dict[str, int]:
        """List files and their bytes; see `Folder.sizes`."""
        found = {}
        with os.scandir(self.path / name) as entries:
            for entry in entries:
                if entry.is_symlink():
                    found[entry.name] = LINK
                elif entry.is_file(follow_symlinks=False):
                    found[entry.name] = entry.stat(follow_symlinks=False).st_size
        return found

    def read(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Read some bytes of a file; see `Folder.read`."""
        file = self.path / key
        inner = file.parent if file.parent != self.path else file
        if file.is_symlink() or inner.is_symlink() or not file.is_file():
            raise FileNotFoundError(2, "There is no such file", str(file))
        with file.open("rb") as stream:
            stream.seek(start)
            return stream.read(-1 if stop is None else max(stop - start, 0))

    def write(self, key: str, blocks: Iterable[bytes]) -> None:
        """Write a file, whole or not at all; see `Folder.write`."""
        file = self.path / key
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as stream:
            for block in blocks:
                stream.write(block)


@dataclass(frozen=True)
class RemoteFolder:
    """A folder in an object store, or whatever else fsspec reaches.

    Parameters
    ----------
    address : str
        Its URL, without a slash at the end. Credentials come from where fsspec and its packages look for them.
    """

    address: str

    def __str__(self) -> str:
        return self.address

    def exists(self) -> bool:
        """Tell whether anything lies under the URL."""
        try:
            return bool(self._list(""))
        except FileNotFoundError:
            return False

    def sizes(self, name: str = "") -> dict[str, int]:
        """List files and their bytes; see `Folder.sizes`."""
        return {
            entry["name"].rstrip("/").rpartition("/")[2]: int(entry["size"])
            for entry in self._list(name)
            if entry["type"] == "file"
        }

    def read(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Read some bytes of a file; see `Folder.read`."""
        with self._reaching() as (files, root):
            return bytes(files.cat_file(f"{root}/{key}", start=start or None, end=stop))

    def write(self, key: str, blocks: Iterable[bytes]) -> None:
        """Write a file; see `Folder.write`."""
        with self._reaching() as (files, root), files.open(f"{root}/{key}", "wb") as stream:
            for block in blocks:
                stream.write(block)

    def _list(self, name: str) -> list[dict[str, Any]]:
        with self._reaching() as (files, root):
            # Another process may have written since this one looked last.
            files.invalidate_cache()
            found: list[dict[str, Any]] = files.ls(f"{root}/{name}".rstrip("/"), detail=True)
            return found

    @contextmanager
    def _reaching(self) -> Iterator[tuple[Any, str]]:
        """Give the file system and the path in it; turn what its packages raise into errors for users."""
        import fsspec

        try:
            files, root = fsspec.core.url_to_fs(self.address)
            yield files, root.rstrip("/")
        except FileNotFoundError:
            raise
        except ImportError as error:
            raise MissingPackageError(
                f"{self.address} needs a package that is not installed: {error}. For S3 install aptstream with its "
                f"extra: pip install 'aptstream[cloud]'."
            ) from error
        except Exception as error:  # every kind of store has errors of its own
            raise StoreError(
                f"{self.address} cannot be reached: {type(error).__name__}: {error}. Expected a URL that fsspec knows, "
                f"such as s3://bucket/name.zarr: check the address, the network, and the credentials in the "
                f"environment or in fsspec's configuration."
            ) from error
