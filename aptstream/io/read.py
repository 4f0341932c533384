"""Bytes of a file and their number, or an error that says what is missing."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from aptstream.errors import FileFormatError


def file_size(path: str | PathLike[str], kind: str) -> int:
    """Tell how many bytes a file holds.

    Parameters
    ----------
    path : path
        File to look at.
    kind : str
        What it should be, such as ``"APT file"``.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    FileFormatError
        If there is no such file, or it is empty.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a").write_bytes(b"abc")
    ...     file_size(f"{folder}/a", "file")
    3
    """
    file = Path(path)
    if not file.is_file():
        raise FileFormatError(f"There is no {kind} {file}. Expected the path of a file: check its name.")
    size = file.stat().st_size
    if not size:
        raise FileFormatError(f"The {kind} {file.name} is empty. Expected ions: copy or export it again.")
    return size


def read_bytes(path: str | PathLike[str], start: int, size: int) -> bytes:
    """Read a run of bytes.

    Parameters
    ----------
    path : path
        File to read.
    start, size : int
        First byte, and how many.

    Returns
    -------
    bytes
        Exactly `size` of them.

    Raises
    ------
    FileFormatError
        If the file cannot be read, or ends too early.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a").write_bytes(b"abcdef")
    ...     read_bytes(f"{folder}/a", 2, 3)
    b'cde'
    """
    file = Path(path)
    try:
        with file.open("rb", buffering=0) as stream:
            stream.seek(start)
            parts, missing = [], size
            # The system may give less than it is asked for, but never nothing before the end.
            while missing and (part := stream.read(missing)):
                parts.append(part)
                missing -= len(part)
    except OSError as error:
        raise FileFormatError(
            f"The file {file} cannot be read: {error.strerror}. Expected a file that you may read."
        ) from error
    if missing:
        raise FileFormatError(
            f"The file {file.name} ended {missing} bytes before the end it had when it was opened. "
            f"Expected a file that nobody changes meanwhile: read it again when it is complete."
        )
    return parts[0] if len(parts) == 1 else b"".join(parts)
