"""Grey pictures and their labels from elsewhere: a folder of PNG or a NumPy array, and a table beside them."""

from __future__ import annotations

import csv
import io
import struct
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite, prod
from pathlib import Path

import numpy as np
import numpy.typing as npt

from aptstream.errors import FileFormatError

#: Pictures in all, bytes of one PNG, and bytes of a table of labels that are read at most.
MOST_PICTURES, MOST_PNG_BYTES, MOST_LABEL_BYTES = 100_000, 4 << 20, 16 << 20
#: What NumPy raises at headers of arrays that are none.
_NO_HEADER = (
    *(ValueError, TypeError, EOFError, OSError, OverflowError, MemoryError, RecursionError, SyntaxError),
    tokenize.TokenError,
)
_PNG = b"\x89PNG\r\n\x1a\n"
#: Modes of Pillow that hold one grey value a pixel; and those whose three colours must be equal.
_GREY, _COLOURED = ("L", "I;16", "I;16B", "I"), ("RGB", "RGBA", "LA", "P", "PA", "1")

Grey = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Pictures:
    """Grey pictures, each scaled by its own maximum.

    Parameters
    ----------
    names : tuple of str
        Names of the files; of an array the places, from 0 on.
    grey : ndarray of uint8, (n, rows, columns)
        Pixels, 0–255.
    """

    names: tuple[str, ...]
    grey: Grey

    def __len__(self) -> int:
        return len(self.names)


def read_pictures(path: Path, shape: tuple[int, int]) -> Pictures:
    """Read all PNG files of a folder in the order of their names, or an array of pictures.

    Parameters
    ----------
    path : Path
        A folder, or a file that ends in ``.npy``: (n, rows, columns), or one picture (rows, columns), of numbers that
        are not negative.
    shape : tuple of int
        Rows and columns that a picture must have.

    Returns
    -------
    Pictures

    Raises
    ------
    FileFormatError
        If there are no pictures or too many, or one is damaged, of another size, in colour, transparent or black.
    FileNotFoundError
        If there is nothing at the path.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/two.npy", np.arange(8.0).reshape(2, 2, 2))
    ...     read_pictures(Path(folder, "two.npy"), (2, 2)).grey[0]
    array([[  0,  85],
           [170, 255]], dtype=uint8)
    """
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() == ".png" and file.is_file())
        if not 1 <= len(files) <= MOST_PICTURES:
            raise FileFormatError(
                f"The folder {path} holds {len(files)} files that end in .png, expected 1 to {MOST_PICTURES:,}: give "
                f"the folder of the pictures themselves, or an array (.npy)."
            )
        return Pictures(tuple(file.name for file in files), np.stack([_read_png(file, shape) for file in files]))
    if not path.exists():
        raise FileNotFoundError(2, "There is no such file or folder of pictures", str(path))
    if path.suffix.lower() == ".png":
        return Pictures((path.name,), _read_png(path, shape)[None])
    if path.suffix.lower() != ".npy":
        raise FileFormatError(
            f"{path} holds no pictures: expected a folder of PNG files, or an array that ends in .npy."
        )
    array = _read_array(path, shape)
    every = np.empty(array.shape, dtype=np.uint8)
    for k, picture in enumerate(array):
        every[k] = _scaled(picture, f"Picture {k} of {path}")
    return Pictures(tuple(map(str, range(len(every)))), every)


def _read_array(path: Path, shape: tuple[int, int]) -> npt.NDArray[np.generic]:
    """Map an array into memory: what its header promises must stand in the file before anything is read."""
    try:
        array: npt.NDArray[np.generic] = np.lib.format.open_memmap(path, mode="r")
    except _NO_HEADER as error:
        raise FileFormatError(
            f"{path} is no readable array: {error}. Expected what numpy.save writes of numbers (no objects)."
        ) from error
    if array.shape == shape:
        array = array[None]
    if (
        array.ndim != 3
        or array.shape[1:] != shape
        or not 1 <= len(array) <= MOST_PICTURES
        or array.dtype.kind not in "uif"
    ):
        raise FileFormatError(
            f"{path} holds an array {array.shape} of {array.dtype}, expected pictures (n, {shape[0]}, {shape[1]}) of "
            f"real numbers, 1 to {MOST_PICTURES:,} of them."
        )
    return np.asarray(array)


def _read_png(path: Path, shape: tuple[int, int]) -> Grey:
    """Read one PNG; its size is looked at before anything is decoded."""
    size = path.stat().st_size
    if size > MOST_PNG_BYTES:
        raise FileFormatError(
            f"{path} has {size:,} bytes: a picture of {_words(shape)} has {MOST_PNG_BYTES:,} at most."
        )
    content = path.read_bytes()[:MOST_PNG_BYTES]
    if content[:8] != _PNG or len(content) < 33 or content[12:16] != b"IHDR":
        raise FileFormatError(f"{path} is no PNG file: it begins with {content[:8]!r}. Save the picture as PNG.")
    columns, rows = struct.unpack(">II", content[16:24])
    if (rows, columns) != shape:
        raise FileFormatError(
            f"{path} has {_words((rows, columns))}, expected {_words(shape)}. Resize it, with axes, labels and margins "
            f"cut away first."
        )
    return _scaled(_decoded(path, content, prod(shape)), str(path))


def _decoded(path: Path, content: bytes, n_pixels: int) -> npt.NDArray[np.generic]:
    """Decode a PNG whose size is right, and take its grey value."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
                image.load()
                mode, see_through = image.mode, "transparency" in image.info
                pixels = np.array(image if mode in _GREY else image.convert("RGBA"))
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, Warning, MemoryError, OverflowError) as error:
        raise FileFormatError(f"{path} is damaged: {error}. Save the picture anew.") from error
    if mode not in (*_GREY, *_COLOURED) or pixels.shape[0] * pixels.shape[1] != n_pixels:
        raise FileFormatError(f"{path} is of a kind {mode!r} that is not read: save it as a grey picture of 8 bits.")
    if mode in _GREY and not see_through:
        return pixels
    if mode in _GREY or (pixels[..., 3] != 255).any():
        raise FileFormatError(f"{path} is transparent in places: save it without transparency, on black.")
    if (pixels[..., :3] != pixels[..., :1]).any():
        raise FileFormatError(
            f"{path} is in colour, and colours of a map cannot be turned back into numbers of pairs: save it in grey, "
            f"black for none and white for the most."
        )
    return np.ascontiguousarray(pixels[..., 0])


def _scaled(picture: npt.NDArray[np.generic], name: str) -> Grey:
    """Scale a picture by its own maximum to 0–255."""
    values = picture.astype(np.float64)
    if not np.isfinite(values).all() or (values < 0).any():
        raise FileFormatError(
            f"{name} holds numbers below zero, or none at all: expected numbers of pairs, or grey values."
        )
    most = float(values.max())
    if most == 0:
        raise FileFormatError(f"{name} is black: nothing was counted, so there is nothing to judge. Leave it out.")
    grey: Grey = np.rint(values / most * 255).astype(np.uint8)
    return grey


def _words(shape: tuple[int, int]) -> str:
    return f"{shape[1]} × {shape[0]} pixels"


def read_labels(path: Path, names: tuple[str, ...]) -> npt.NDArray[np.float32]:
    r"""Read what is known of pictures: a table with a line for each, ``image,label``.

    Parameters
    ----------
    path : Path
        CSV with one header line that names at least these two columns. A label is an ordered fraction 0 … 1.
    names : tuple of str
        Pictures; a file may be named with or without its ending.

    Returns
    -------
    ndarray of float32, (n,)
        NaN for pictures without a line.

    Raises
    ------
    FileFormatError
        If the table is too large or no table, a line names no picture or one named before, or a label is no fraction.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "labels.csv").write_text("image,label\nb,1\na.png,0\n")
    ...     read_labels(Path(folder, "labels.csv"), ("a.png", "b.png", "c.png"))
    array([ 0.,  1., nan], dtype=float32)
    """
    place = {name: k for k, name in enumerate(names)}
    place |= {Path(name).stem: k for k, name in enumerate(names) if Path(name).stem not in place}
    found = np.full(len(names), np.nan, dtype=np.float32)
    for line, name, text in _rows(path):
        where = f"Line {line} of {path}"
        k = place.get(name)
        if k is None:
            raise FileFormatError(f"{where} names {name[:80]!r}, which is none of the {len(names)} pictures.")
        if not np.isnan(found[k]):
            raise FileFormatError(f"{where} names {name[:80]!r} again: expected one line for each picture.")
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not isfinite(value) or not 0 <= value <= 1:
            raise FileFormatError(
                f"{where} gives {name[:80]!r} the label {text[:40]!r}: expected a number, 0 (matrix) to 1 (ordered)."
            )
        found[k] = value
    return found


def _rows(path: Path) -> Iterator[tuple[int, str, str]]:
    """Read line by line: its number, picture and label."""
    size = path.stat().st_size
    if size > MOST_LABEL_BYTES:
        raise FileFormatError(f"{path} has {size:,} bytes: a table of labels has {MOST_LABEL_BYTES:,} at most.")
    try:
        reader = csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig")), strict=True)
        header = [cell.strip() for cell in next(reader, [])]
        if header.count("image") != 1 or header.count("label") != 1:
            raise FileFormatError(
                f"{path} begins with the columns {', '.join(header)[:80] or 'none'}: expected image and label, such as "
                f"'image,label' and then '07.png,1'."
            )
        columns = header.index("image"), header.index("label")
        for row in reader:
            if len(row) != len(header) and row:
                raise FileFormatError(
                    f"Line {reader.line_num} of {path} has {len(row)} columns, expected {len(header)} as in its header."
                )
            if row:
                yield reader.line_num, row[columns[0]].strip(), row[columns[1]].strip()
    except (UnicodeDecodeError, csv.Error) as error:
        raise FileFormatError(f"{path} is no table of labels: {error}. Expected CSV in UTF-8.") from error
