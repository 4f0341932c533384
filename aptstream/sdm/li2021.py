"""The publication's training library: grey Al–Al maps of pure FCC and pure L1₂ crystals with the noise of its Table 1.

It is kept for comparison. Its two classes are blurred differently (σz 0.010–0.038 and 0.030–0.054 nm), so sharpness
alone tells most of them apart, and near-twins stand on both sides of a split by image: a library without these leaks
is `aptstream.sdm.matched`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import rotate

from aptstream.crystal import Crystal
from aptstream.errors import PlanError
from aptstream.points import PointCloud
from aptstream.progress import Progress, silent
from aptstream.sdm.count import count_sdm
from aptstream.sdm.image import View, network_input
from aptstream.sdm.library import Recipe, Samples, open_dictionary, views_of, write_library
from aptstream.sdm.window import Channels, SdmWindow

#: Al–Al pairs at most 1.5 nm apart, offsets of ±0.7 nm on both axes, pictures of 150 × 150 pixels.
VIEW = View(SdmWindow("zx", half_z_nm=0.7, bins_z=75, half_lateral_nm=0.7, bins_lateral=150, radius_nm=1.5), "grey")
#: Cubes that a network trained on these pictures judges: their edge in nm.
EDGE_NM = 4
#: Cells of the crystal library on each axis.
CELLS = 13
CRYSTAL = Crystal("L12", 0.405)
#: The publication made 84 pictures of 12 real ones: each as it is, and turned six times.
REAL_COPIES = 7
N_IMAGES = 18_416
#: Attributes that `write_library` makes anew.
REMADE = ("recipe", "seed", "n_images", "content_digest")

Pictures = npt.NDArray[np.uint8]


def _steps(first: float, last: float, step: float) -> tuple[float, ...]:
    return tuple(float(v) for v in np.round(np.arange(first, last + step / 2, step), 6))


@dataclass(frozen=True)
class NoiseTable:
    """Table 1 of the publication: which crystals are made, and how many pictures of each class.

    Parameters
    ----------
    sigma_xy_nm : tuple of float
        Lateral blur in nm, in both classes.
    sigma_z_fcc_nm, sigma_z_l12_nm : tuple of float
        Blur along z in nm of FCC and of L1₂: they overlap in part only.
    efficiency : tuple of float
        Detected share of the atoms, ascending. The detected atoms are prefixes of one shuffle of a crystal, as in the
        publication's programs.
    rotation_deg : float
        Largest angle by which pictures are turned.
    n_fcc, n_l12 : int
        Pictures of each class, those that were turned included.

    Examples
    --------
    >>> NoiseTable().n_base
    (1380, 1196)
    """

    sigma_xy_nm: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8)
    sigma_z_fcc_nm: tuple[float, ...] = _steps(0.010, 0.038, 0.002)
    sigma_z_l12_nm: tuple[float, ...] = _steps(0.030, 0.054, 0.002)
    efficiency: tuple[float, ...] = _steps(0.35, 0.79, 0.02)
    rotation_deg: float = 1.0
    n_fcc: int = 9866
    n_l12: int = 8550

    @property
    def sigma_z_nm(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Blur along z in nm of the two classes: FCC, L1₂."""
        return self.sigma_z_fcc_nm, self.sigma_z_l12_nm

    @property
    def n_base(self) -> tuple[int, int]:
        """Pictures of each class before any is turned."""
        fcc, l12 = (len(self.sigma_xy_nm) * len(sigma) * len(self.efficiency) for sigma in self.sigma_z_nm)
        return fcc, l12

    def swapped(self) -> NoiseTable:
        """Return the table with the two ranges of σz exchanged: a judge of order does not care, one of blur errs."""
        return replace(self, sigma_z_fcc_nm=self.sigma_z_l12_nm, sigma_z_l12_nm=self.sigma_z_fcc_nm)

    def of_size(self, n_images: int) -> NoiseTable:
        """Return the table with another number of pictures, in the same proportion of the classes.

        Parameters
        ----------
        n_images : int
            Pictures of both classes.

        Returns
        -------
        NoiseTable

        Raises
        ------
        PlanError
            If there are too few for both classes.
        """
        n_fcc = round(n_images * self.n_fcc / (self.n_fcc + self.n_l12))
        if min(n_fcc, n_images - n_fcc) < 1:
            raise PlanError(f"A library of two classes needs at least two pictures, found {n_images}.")
        return replace(self, n_fcc=n_fcc, n_l12=n_images - n_fcc)


@dataclass(frozen=True)
class _Part:
    """One crystal of the library and the pictures that are made of it."""

    phase: int
    sigma_xy_nm: float
    sigma_z_nm: float
    copies: npt.NDArray[np.int64]


def crystal_sites(phase: int) -> npt.NDArray[np.float32]:
    """Al sites of the crystal library: 13³ cells, their outer faces included, turned until the pole is along z.

    Parameters
    ----------
    phase : int
        0 for FCC, where every site is Al (9 842 of them), 1 for L1₂ (7 098).

    Returns
    -------
    ndarray of float32, (n, 3)
        Positions in nm around the middle.

    Examples
    --------
    >>> [len(crystal_sites(phase)) for phase in (0, 1)]
    [9842, 7098]
    """
    structure = CRYSTAL.structure
    cells = np.stack(np.meshgrid(*[np.arange(CELLS + 1)] * 3, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    sites = cells + np.array(structure.sites)
    is_al = np.broadcast_to(np.array(structure.roles) == 0, sites.shape[:2])
    wanted = (sites <= CELLS).all(axis=-1) & (is_al if phase else True)
    centred: npt.NDArray[np.float32] = ((sites[wanted] - CELLS / 2) * CRYSTAL.a_nm @ CRYSTAL.frame.T).astype("f4")
    return centred


def rotate_pictures(pictures: Pictures, angle_deg: npt.ArrayLike) -> Pictures:
    """Turn grey pictures about their middle, and scale each by its own maximum again.

    Parameters
    ----------
    pictures : ndarray of uint8, (n, rows, columns)
        Grey pictures.
    angle_deg : array_like, (n,)
        Angles in degrees, anticlockwise.

    Returns
    -------
    ndarray of uint8, (n, rows, columns)
        Interpolated linearly; what was outside repeats the edge.

    Examples
    --------
    >>> picture = np.zeros((1, 5, 5), "u1")
    >>> picture[0, 2] = 255
    >>> rotate_pictures(picture, [90])[0, :, 2]
    array([255, 255, 255, 255, 255], dtype=uint8)
    """
    out = np.empty_like(pictures)
    for k, (picture, angle) in enumerate(zip(pictures, np.asarray(angle_deg, dtype=np.float64), strict=True)):
        turned = rotate(picture.astype(np.float32), angle, reshape=False, order=1, mode="nearest")
        out[k] = np.rint(turned * (255 / max(float(turned.max()), 1)))
    return out


def _parts(table: NoiseTable, rng: np.random.Generator) -> list[_Part]:
    """Crystals in random order, and how many pictures are made of each at each efficiency: one as it is, others turned.

    A smaller library takes as many fewer combinations of Table 1, each turned as often as in the whole one.
    """
    parts = []
    whole = NoiseTable()
    sizes = zip((whole.n_fcc, whole.n_l12), (table.n_fcc, table.n_l12), table.n_base, strict=True)
    for phase, (n_whole, n, n_base) in enumerate(sizes):
        n_taken = min(max(round(n * n_base / n_whole), 1), n_base, n)
        copies = np.zeros(n_base, dtype=np.int64)
        taken = rng.permutation(n_base)[:n_taken]
        copies[taken] = n // n_taken
        copies[taken[: n % n_taken]] += 1
        shape = (len(table.sigma_xy_nm), len(table.sigma_z_nm[phase]), len(table.efficiency))
        for (i, j), row in zip(np.ndindex(shape[:2]), copies.reshape(-1, shape[2]), strict=True):
            if row.any():
                parts.append(_Part(phase, table.sigma_xy_nm[i], table.sigma_z_nm[phase][j], row))
    return [parts[k] for k in rng.permutation(len(parts))]


def blurred(
    sites: npt.NDArray[np.float32], sigma_nm: tuple[float, float], rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Shift sites at random, by so much across and along z, and put them in random order: its prefixes are detected.

    Parameters
    ----------
    sites : ndarray of float32, (n, 3)
        Positions in nm.
    sigma_nm : tuple of (float, float)
        Standard deviations across and along z in nm.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    ndarray of float32, (n, 3)
    """
    blur = np.array([sigma_nm[0], sigma_nm[0], sigma_nm[1]], dtype=np.float32)
    position = sites + rng.standard_normal(sites.shape, dtype=np.float32) * blur
    return position[rng.permutation(len(position))]


def picture_of(seen: npt.NDArray[np.float32], low: npt.NDArray[np.float32]) -> Pictures:
    """Count the map of detected Al atoms and make it grey, (1, 150, 150); `low` is the corner of the whole crystal."""
    cloud = PointCloud(seen, np.zeros(len(seen), np.float32), np.ones(len(seen), np.uint8), ("unranged", "Al"))
    origin = tuple(map(float, low))
    counts = count_sdm(cloud, Channels((("Al",),), ((0, 0),)), VIEW.window, origin_nm=origin)  # type: ignore[arg-type]
    return network_input(counts[None], VIEW.form, [len(seen)], [0])


def _make_pictures(part: _Part, table: NoiseTable, rng: np.random.Generator) -> Pictures:
    """Blur one crystal, detect nested shares of it, count, and turn the pictures."""
    position = blurred(crystal_sites(part.phase), (part.sigma_xy_nm, part.sigma_z_nm), rng)
    low = position.min(axis=0)
    pictures = []
    for efficiency, copies in zip(table.efficiency, part.copies, strict=True):
        if copies:
            base = picture_of(position[: round(efficiency * len(position))], low)
            angles = rng.uniform(-table.rotation_deg, table.rotation_deg, copies - 1)
            pictures += [base, rotate_pictures(np.repeat(base, copies - 1, axis=0), angles)]
    return np.concatenate(pictures)


def make_li2021(
    path: Path,
    *,
    seed: int,
    n_images: int = N_IMAGES,
    table: NoiseTable | None = None,
    threads: int = 1,
    progress: Progress = silent,
) -> Path:
    """Make the publication's training library; the same seed gives the same bytes.

    Crystals of 13³ cells, FCC of pure Al and the Al sites of L1₂, blurred by Table 1; Al–Al pairs within 1.5 nm,
    offsets of ±0.7 nm; grey pictures of 150 × 150 pixels, each scaled by its own maximum; 1 380 + 1 196 of them, and
    the same turned by up to ±1° until there are 9 866 + 8 550. The label is 0 for FCC and 1 for L1₂.
    `Samples.specimen` is the crystal that a picture was made of, so that a split by specimen keeps near-twins together;
    the publication splits by picture.

    One step differs: the publication counts in bins of 0.015 nm over ±1.5 nm, crops the 93 bins of ±0.7 nm and resizes
    them to 150 pixels, which smooths. Here the 150 bins of ±0.7 nm (0.0093 nm) are counted directly, as in a scan: the
    planes are as wide, and a pixel holds 2.6 times fewer pairs, uncorrelated with its neighbours.

    Parameters
    ----------
    path : Path
        Folder to write, which must not exist.
    seed : int
        Seed of all randomness; every crystal has a stream of its own.
    n_images : int
        Pictures in all; a smaller library takes as many fewer combinations of Table 1.
    table : NoiseTable, optional
        Another table; its own numbers of pictures are not used.
    threads : int
        Crystals made at the same time.
    progress : Progress
        Called after each crystal.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    StoreError
        If something exists at `path`.
    PlanError
        If there are too few pictures for both classes.

    References
    ----------
    .. [1] Li et al., npj Comput. Mater. 7, 8 (2021), Methods and Table 1.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     samples, _ = open_dictionary(make_li2021(Path(folder, "dictionary.zarr"), seed=1, n_images=4))
    >>> samples[4].image.shape, sorted(samples[4].fraction.tolist())
    ((4, 150, 150), [0.0, 0.0, 1.0, 1.0])
    """
    wanted = (table or NoiseTable()).of_size(n_images)
    parts = _parts(wanted, np.random.default_rng(seed))

    def make(k: int) -> dict[int, Samples]:
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(k,)))
        pictures, part = _make_pictures(parts[k], wanted, rng), parts[k]
        n = len(pictures)
        return {EDGE_NM: Samples(pictures, np.full(n, part.phase, np.float32), np.full(n, k, np.int32))}

    attributes: dict[str, Any] = {"n_specimens": len(parts), "table": asdict(wanted)}
    recipe = Recipe("li2021", CRYSTAL, {EDGE_NM: VIEW}, {EDGE_NM: n_images}, len(parts), make, attributes)
    return write_library(path, recipe, seed=seed, threads=threads, progress=progress)


def add_real_images(
    dictionary: Path, pictures: Pictures, labels: npt.ArrayLike, *, out: Path, seed: int, edge_nm: int = EDGE_NM
) -> Path:
    """Add real pictures to a training library, each as it is and turned six times, as in the publication's case 2.

    Parameters
    ----------
    dictionary : Path
        A library of grey pictures; it is not changed.
    pictures : ndarray of uint8, (n, rows, columns)
        Real maps in the form of the library, such as `aptstream.grey_images` makes.
    labels : array_like, (n,)
        Ordered fraction of each, 0 … 1.
    out : Path
        Library to write, which must not exist: the real pictures stand behind the others. Those of one real picture
        share a number below zero in `Samples.specimen`, so a split by specimen never parts them and holds none out.
    seed : int
        Seed of the angles.
    edge_nm : int
        Cube edge in nm that they belong to.

    Returns
    -------
    Path
        The new library.

    Raises
    ------
    StoreError
        If the dictionary cannot be read, or something exists at `out`.
    PlanError
        If the pictures are not such as the dictionary holds, or the labels no fractions.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     simulated, more = Path(folder, "simulated.zarr"), Path(folder, "more.zarr")
    ...     _ = make_li2021(simulated, seed=1, n_images=4)
    ...     real = np.full((2, 150, 150), 255, "u1")
    ...     samples, _ = open_dictionary(add_real_images(simulated, real, [0, 0], out=more, seed=1))
    >>> len(samples[4])
    18
    """
    samples, attributes = open_dictionary(dictionary)
    views = views_of(attributes)
    label = np.asarray(labels, dtype=np.float32)
    found = (pictures.dtype.name, pictures.shape[1:])
    expected = (views[edge_nm].dtype, views[edge_nm].shape) if edge_nm in views else None
    if expected is None or expected[0] != "uint8" or found != expected:
        held = ", ".join(f"{view.form} images {view.shape} of {edge} nm cubes" for edge, view in views.items())
        raise PlanError(
            f"Real pictures of {found[0]} {found[1]} for {edge_nm} nm cubes do not fit the dictionary {dictionary}, "
            f"which holds {held}: give grey pictures (uint8) to a dictionary of grey pictures of the same shape."
        )
    if label.shape != pictures.shape[:1] or not ((label >= 0) & (label <= 1)).all():
        raise PlanError(f"Each of the {len(pictures)} pictures needs a label from 0 to 1, found {label.shape}.")
    turned = np.repeat(pictures, REAL_COPIES, axis=0)
    moved = np.arange(len(turned)) % REAL_COPIES > 0
    angles = np.random.default_rng(seed).uniform(-1, 1, int(moved.sum()))
    turned[moved] = rotate_pictures(turned[moved], angles)
    n_before = int(attributes.get("n_real", 0))
    number = np.repeat(-1 - n_before - np.arange(len(pictures), dtype=np.int32), REAL_COPIES)
    real = Samples(turned, np.repeat(label, REAL_COPIES), number)
    n_images = {edge: len(part) + (len(real) if edge == edge_nm else 0) for edge, part in samples.items()}
    kept = {name: value for name, value in attributes.items() if name not in REMADE}
    kept["n_real"] = n_before + len(pictures)
    crystal = Crystal(
        attributes["crystal"]["label"], attributes["crystal"]["a_nm"], tuple(attributes["crystal"]["pole"])
    )
    recipe = Recipe(
        attributes["recipe"], crystal, views, n_images, 2, lambda k: {edge_nm: real} if k else samples, kept
    )
    return write_library(out, recipe, seed=int(attributes["seed"]), progress=silent)
