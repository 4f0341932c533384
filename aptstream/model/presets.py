"""Presets: what a model is made of before it is trained, and the library that it is trained on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aptstream.crystal import Crystal
from aptstream.errors import ModelError, PlanError
from aptstream.model.networks import CubeNet, ImageNet, Net
from aptstream.progress import Progress, silent
from aptstream.sdm import li2021
from aptstream.sdm.dictionary import make_dictionary
from aptstream.sdm.image import Form, View
from aptstream.sdm.matched import MatchedRecipe, make_matched
from aptstream.sdm.window import SdmWindow

Library = Literal["specimens", "matched", "li2021"]
Split = Literal["specimen", "image"]
SPLITS: tuple[Split, ...] = ("specimen", "image")
#: Specimens of a library where no number is given.
SPECIMENS = {"specimens": 200, "matched": 2000}


@dataclass(frozen=True)
class Fit:
    """How a network is fitted.

    Parameters
    ----------
    optimiser : {"adamw", "rmsprop"}
        AdamW whose learning rate falls as a cosine to zero, or RMSprop with a constant one.
    learning_rate, weight_decay : float
        Of the optimiser; RMSprop takes no decay.
    batch : int
        Images in a step.
    split : {"specimen", "image"}
        What is kept together when images are held out or put into folds: all images of a specimen, or nothing.
    """

    optimiser: Literal["adamw", "rmsprop"] = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    batch: int = 128
    split: Split = "specimen"


@dataclass(frozen=True)
class Preset:
    """Recipe of a model.

    Parameters
    ----------
    name : str
        Name of the model.
    crystal : Crystal
        Ordered structure that is looked for; the matrix is its parent.
    windows : dict of int to SdmWindow
        SDM window for each cube edge in nm, in descending edge.
    net : CubeNet or ImageNet
        Architecture of the networks.
    epochs : dict of int to int
        Passes over the dictionary for each edge.
    min_ions_per_nm3 : float
        Cubes with a lower density of host and solute ions are invalid.
    cut : float
        Voxels whose mean probability in the map of the smallest cubes reaches this belong to particles.
    min_voxels : int
        Smaller particles are dropped.
    form : {"contrast", "standardised", "channels", "grey"}
        What the networks read of an SDM: see `aptstream.sdm.image.View`.
    library : {"specimens", "matched", "li2021"}
        What they are trained on: cubes of large specimens, of small ones, or the publication's pictures.
    fit : Fit
        How they are fitted.
    """

    name: str
    crystal: Crystal
    windows: dict[int, SdmWindow]
    net: Net
    epochs: dict[int, int]
    min_ions_per_nm3: float
    cut: float
    min_voxels: int
    form: Form = "contrast"
    library: Library = "specimens"
    fit: Fit = Fit()

    @property
    def views(self) -> dict[int, View]:
        """How cubes of each edge in nm are shown."""
        return {edge: View(window, self.form) for edge, window in self.windows.items()}


_RHOZ = SdmWindow("rhoz", half_z_nm=1.5, bins_z=75, half_lateral_nm=2.0, bins_lateral=10)
_LI2021 = {
    "crystal": li2021.CRYSTAL,
    "windows": {li2021.EDGE_NM: li2021.VIEW.window},
    "net": ImageNet(),
    "epochs": {li2021.EDGE_NM: 7},
    "min_ions_per_nm3": 6.25,
    "form": li2021.VIEW.form,
}

PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            name="cubes",
            crystal=Crystal("L12", 0.405),
            windows={4: _RHOZ, 2: SdmWindow("z", half_z_nm=1.5, bins_z=75, half_lateral_nm=3.0, bins_lateral=1)},
            net=CubeNet(),
            epochs={4: 6, 2: 4},
            min_ions_per_nm3=6.25,
            cut=0.4,
            min_voxels=4,
        ),
        Preset(
            name="matched",
            crystal=Crystal("L12", 0.405),
            windows={4: _RHOZ},
            net=CubeNet(),
            epochs={4: 6},
            min_ions_per_nm3=6.25,
            cut=0.5,
            min_voxels=4,
            library="matched",
        ),
        # The publication as published: 62 of 64 votes, particles of any size, folds of single pictures.
        Preset(
            name="li2021",
            cut=62 / 64,
            min_voxels=1,
            library="li2021",
            fit=Fit("rmsprop", learning_rate=1e-3, weight_decay=0.0, batch=32, split="image"),
            **_LI2021,  # type: ignore[arg-type]
        ),
        # Its network, trained honestly: the answer is an ordered fraction, so half of it is cut.
        Preset(
            name="li2021-matched",
            cut=0.5,
            min_voxels=4,
            library="matched",
            fit=Fit("rmsprop", learning_rate=1e-3, weight_decay=0.0, batch=32),
            **_LI2021,  # type: ignore[arg-type]
        ),
    )
}


def get_preset(name: str) -> Preset:
    """Return a preset by name.

    Parameters
    ----------
    name : str
        Key of `PRESETS`.

    Returns
    -------
    Preset

    Raises
    ------
    ModelError
        If there is none of that name.
    """
    if name not in PRESETS:
        raise ModelError(f"There is no preset {name!r}: choose one of {', '.join(PRESETS)}.")
    return PRESETS[name]


def make_library(
    preset: Preset, path: Path, *, seed: int, size: int | None = None, threads: int = 1, progress: Progress = silent
) -> Path:
    """Make the training library of a preset.

    Parameters
    ----------
    preset : Preset
        Its views and kind of library.
    path : Path
        Folder to write, which must not exist.
    seed : int
        Seed of all randomness.
    size : int, optional
        Simulated specimens; for the publication's library, pictures. Where it is not given: 200 large specimens, 2 000
        small ones (54 000 cubes of 4 nm), or the published 18 416 pictures.
    threads : int
        Parts made at the same time; large specimens are made one after the other. It does not change the result.
    progress : Progress
        Told of the images that are done.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    StoreError
        If something exists at `path`.
    PlanError
        If the size is impossible.

    Examples
    --------
    >>> import tempfile
    >>> from aptstream.sdm.library import open_dictionary
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = make_library(get_preset("matched"), Path(folder, "dictionary.zarr"), seed=1, size=2)
    ...     open_dictionary(path)[0][4].image.shape
    (54, 75, 10)
    """
    if size is not None and size < 1:
        raise PlanError(f"A library needs a size of at least 1, found {size}.")
    if preset.library == "li2021":
        n_images = size if size is not None else li2021.N_IMAGES
        return li2021.make_li2021(path, seed=seed, n_images=n_images, threads=threads, progress=progress)
    n = size if size is not None else SPECIMENS[preset.library]
    if preset.library == "matched":
        recipe = MatchedRecipe(preset.crystal, preset.views, n)
        return make_matched(path, recipe, seed=seed, threads=threads, progress=progress)
    return make_dictionary(
        path, crystal=preset.crystal, windows=preset.windows, n_specimens=n, seed=seed, progress=progress
    )
