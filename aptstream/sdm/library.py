"""Training libraries on disk: labelled images in Zarr, made of parts that can be made in any order.

Every part has a random stream of its own and the parts are written in their order: so the bytes depend on the recipe
and its seed, not on how many threads made them.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aptstream.crystal import Crystal
from aptstream.errors import AptstreamError, StoreError
from aptstream.io.arrays import CheckedArray, create_array
from aptstream.io.digest import Rows, content_digest
from aptstream.io.replace import discard
from aptstream.io.seal import load_sealed, sealed
from aptstream.progress import Progress, silent
from aptstream.sdm.image import Images, View
from aptstream.sdm.window import SdmWindow

FORMAT, FORMAT_VERSION = "aptstream-dictionary", 2
#: Size of a chunk of images, unpacked.
CHUNK_BYTES = 2 << 20

_FIELDS = ("image", "fraction", "specimen")


@dataclass(frozen=True)
class Samples:
    """Labelled images of cubes of one edge.

    Parameters
    ----------
    image : ndarray, (n, *shape)
        Network input: see `aptstream.sdm.image.View`.
    fraction : ndarray of float32, (n,)
        Share of the cube's volume that is ordered: the target.
    specimen : ndarray of int32, (n,)
        Which specimen a cube was cut from: splits go by specimen. Below zero for real images, of which training holds
        none out.
    """

    image: Images
    fraction: npt.NDArray[np.float32]
    specimen: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.fraction)

    def __getitem__(self, rows: npt.NDArray[Any]) -> Samples:
        """Return some of the images with their labels."""
        return Samples(self.image[rows], self.fraction[rows], self.specimen[rows])


@dataclass(frozen=True)
class Recipe:
    """How a training library is made.

    Parameters
    ----------
    name : str
        What kind of images these are.
    crystal : Crystal
        Ordered structure that is looked for.
    views : dict of int to View
        How the cubes of each edge in nm are shown.
    n_images : dict of int to int
        Images of each edge in all.
    n_parts : int
        Parts that it is made of.
    make : callable
        Part number → its images for each edge. It may be called in several threads at once.
    attributes : dict
        What else is to be remembered, as JSON values: at least ``n_specimens``.
    """

    name: str
    crystal: Crystal
    views: dict[int, View]
    n_images: dict[int, int]
    n_parts: int
    make: Callable[[int], dict[int, Samples]]
    attributes: dict[str, Any] = field(default_factory=dict)


def write_library(path: Path, recipe: Recipe, *, seed: int, threads: int = 1, progress: Progress = silent) -> Path:
    """Make a training library; the same recipe and seed give the same bytes.

    Parameters
    ----------
    path : Path
        Folder to write, which must not exist; it appears whole or not at all.
    recipe : Recipe
        What is made.
    seed : int
        The seed that the recipe was made with, which is recorded.
    threads : int
        Parts made at the same time.
    progress : Progress
        Called after each part, in images of all edges.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    StoreError
        If something exists at `path`.
    """
    import zarr

    if path.exists():
        raise StoreError(f"{path} exists. Give the dictionary another name, or remove it first.")
    building = path.with_name(f".{path.name}.building-{secrets.token_hex(4)}")
    attributes = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "recipe": recipe.name,
        "seed": seed,
        "crystal": asdict(recipe.crystal),
        "windows": {str(edge): view.window.as_dict() for edge, view in recipe.views.items()},
        "forms": {str(edge): view.form for edge, view in recipe.views.items()},
        "n_images": {str(edge): n for edge, n in recipe.n_images.items()},
        **recipe.attributes,
    }
    try:
        zarr.open_group(building, mode="w")
        writers = {edge: _Writer(building, edge, view, recipe.n_images[edge]) for edge, view in recipe.views.items()}
        done, total = 0, sum(recipe.n_images.values())
        for part in _in_order(recipe.make, recipe.n_parts, threads):
            for edge, samples in part.items():
                writers[edge].append(samples)
                done += len(samples)
            progress("dictionary", done, total, "images")
        for writer in writers.values():
            writer.finish()
        described = {**attributes, "content_digest": ""}
        described["content_digest"] = _digest(_arrays(building, described), described)
        group = zarr.open_group(building, mode="r+")
        group.attrs.update(sealed(described))
        building.rename(path)
    finally:
        discard(building)
    return path


def open_dictionary(path: Path) -> tuple[dict[int, Samples], dict[str, Any]]:
    """Read a training library.

    Parameters
    ----------
    path : Path
        What `write_library` wrote.

    Returns
    -------
    samples : dict of int to Samples
        For each cube edge in nm.
    attributes : dict
        Seed, windows, forms, crystal, and what the recipe remembers, such as the settings of every specimen.

    Raises
    ------
    StoreError
        If there is no dictionary of this version at `path`, or it is damaged.
    """
    try:
        attributes = load_sealed(path, kind=(FORMAT, FORMAT_VERSION), made_by="aptstream dictionary")
        arrays = _arrays(path, attributes)
        samples = {
            int(edge): Samples(*(arrays[f"cubes_{edge}nm/{name}"][:] for name in _FIELDS))
            for edge in attributes["windows"]
        }
    except (AptstreamError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreError(
            f"{path} is not a readable dictionary: {error}. Make one with: aptstream dictionary."
        ) from error
    return samples, attributes


def views_of(attributes: Mapping[str, Any]) -> dict[int, View]:
    """Return how the cubes of each edge are shown.

    Parameters
    ----------
    attributes : mapping
        What `open_dictionary` returned.

    Returns
    -------
    dict of int to View
    """
    return {
        int(edge): View(SdmWindow(**fields), attributes["forms"][edge])
        for edge, fields in attributes["windows"].items()
    }


def dictionary_digest(samples: Mapping[int, Samples], attributes: Mapping[str, Any]) -> str:
    """Hash what a training library means: its images, labels and windows.

    Parameters
    ----------
    samples, attributes : mapping
        What `open_dictionary` returned.

    Returns
    -------
    str
        SHA-256, 64 hexadecimal digits.
    """
    arrays = {f"cubes_{edge}nm/{name}": getattr(part, name) for edge, part in samples.items() for name in _FIELDS}
    return _digest(arrays, attributes)


def _digest(arrays: Mapping[str, Rows], attributes: Mapping[str, Any]) -> str:
    # The version of the container says nothing about the content.
    return content_digest(arrays, {"format": FORMAT, "windows": attributes["windows"]})


def _arrays(folder: Path, attributes: Mapping[str, Any]) -> dict[str, CheckedArray]:
    """Open all arrays of a library."""
    found = {}
    for edge, view in views_of(attributes).items():
        n = int(attributes["n_images"][str(edge)])
        for name, dtype, shape in _layout(view, n):
            store = folder / f"cubes_{edge}nm"
            found[f"cubes_{edge}nm/{name}"] = CheckedArray(store, name, shape=shape, dtype=dtype)
    return found


def _layout(view: View, n: int) -> list[tuple[str, str, tuple[int, ...]]]:
    """Name, type and shape of the arrays of one edge."""
    return [("image", view.dtype, (n, *view.shape)), ("fraction", "float32", (n,)), ("specimen", "int32", (n,))]


class _Writer:
    """Arrays of one edge, filled chunk by chunk."""

    def __init__(self, folder: Path, edge: int, view: View, n: int) -> None:
        import zarr

        store = folder / f"cubes_{edge}nm"
        zarr.open_group(store, mode="w")
        image_bytes = prod(view.shape) * np.dtype(view.dtype).itemsize
        self._rows = max(CHUNK_BYTES // image_bytes, 1)
        self._array = {
            name: create_array(store, name, shape=shape, dtype=dtype, chunk=(self._rows, *shape[1:]))
            for name, dtype, shape in _layout(view, n)
        }
        self._waiting: list[Samples] = []
        self._start, self._n = 0, n

    def append(self, samples: Samples) -> None:
        """Add images; whole chunks are written at once."""
        self._waiting.append(samples)
        if sum(map(len, self._waiting)) >= self._rows:
            self._write(whole_chunks=True)

    def finish(self) -> None:
        """Write the last, shorter chunk."""
        self._write(whole_chunks=False)
        if self._start != self._n:
            raise StoreError(f"A recipe promised {self._n} images and made {self._start}.")

    def _write(self, *, whole_chunks: bool) -> None:
        every = join(self._waiting) if self._waiting else None
        if every is None:
            return
        n = len(every) // self._rows * self._rows if whole_chunks else len(every)
        for start in range(0, n, self._rows):
            stop = min(start + self._rows, n)
            for name, array in self._array.items():
                array[self._start + start : self._start + stop] = getattr(every, name)[start:stop]
        self._start += n
        self._waiting = [every[np.arange(n, len(every))]] if n < len(every) else []


def join(parts: list[Samples]) -> Samples:
    """Put samples of one edge behind each other.

    Parameters
    ----------
    parts : list of Samples
        At least one.

    Returns
    -------
    Samples
    """
    return Samples(*(np.concatenate([getattr(part, name) for part in parts]) for name in _FIELDS))


def _in_order(make: Callable[[int], dict[int, Samples]], n_parts: int, threads: int) -> Iterator[dict[int, Samples]]:
    """Make parts, some ahead of the one that is asked for, and give them in their order."""
    if threads <= 1:
        yield from map(make, range(n_parts))
        return
    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[Future[dict[int, Samples]]] = deque()
        for k in range(n_parts):
            ahead.append(pool.submit(make, k))
            if len(ahead) > 2 * threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
