"""Training library: contrast images of cubes cut from specimens whose truth is known.

Both phases of a specimen share one blur, efficiency and background: a network can only learn order, not sharpness. A
quarter of the specimens hold what must not be called order: clusters without order, or shuffled species.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from aptstream.crystal import Crystal
from aptstream.errors import StoreError
from aptstream.io.digest import content_digest
from aptstream.points import Roles
from aptstream.progress import Progress, silent
from aptstream.sdm.count import SdmScan
from aptstream.sdm.image import contrast_images
from aptstream.sdm.kernel import CellBox
from aptstream.sdm.window import Channels, SdmWindow
from aptstream.simulate import Alloy, Particles, Settings, draw_particles, simulate_specimen, voxel_fraction

FORMAT, FORMAT_VERSION = "aptstream-dictionary", 1
#: Edge of the specimens that cubes are cut from, in nm.
SPECIMEN_NM = 20
#: Cubes taken from a specimen: more of the small ones, of which a specimen holds more independent ones.
CUBES_PER_SPECIMEN = {4: 600, 2: 1200}

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Samples:
    """Labelled contrast images of cubes of one edge.

    Parameters
    ----------
    image : ndarray of float32, (n, bins_z, bins_lateral)
        Network input.
    fraction : ndarray of float32, (n,)
        Share of the cube's volume that is ordered: the target.
    specimen : ndarray of int32, (n,)
        Which specimen a cube was cut from: splits go by specimen.
    """

    image: Floats
    fraction: Floats
    specimen: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.fraction)


def draw_settings(rng: np.random.Generator, crystal: Crystal) -> Settings:
    """Draw the settings of a training specimen, wider than any specimen is expected to be.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    crystal : Crystal
        Ordered structure of the particles.

    Returns
    -------
    Settings
    """
    solute, first = rng.uniform(0.06, 0.2), rng.uniform(0.3, 0.95)
    kinds = ("ordered", "clusters", "no-contrast", "weak")
    return Settings(
        size_nm=(SPECIMEN_NM,) * 3,
        kind=str(rng.choice(kinds, p=(0.6, 0.18, 0.12, 0.1))),  # type: ignore[arg-type]
        alloy=Alloy(fraction=(solute * first, solute * (1 - first)), share=(first, 1 - first)),
        crystal=crystal,
        occupancy=rng.uniform(0.6, 1.0),
        antisite=rng.uniform(0.0, 0.06),
        sigma_xy_nm=rng.uniform(0.2, 0.7),
        sigma_z_nm=float(np.exp(rng.uniform(np.log(0.02), np.log(0.06)))),
        efficiency=rng.uniform(0.35, 0.75),
        background=rng.uniform(0.005, 0.08),
        tilt_deg=1.0,
        bow_deg=1.0,
        stretch=0.01,
        density_wave=rng.uniform(0.0, 0.25),
        shuffle=bool(rng.random() < 0.08),
    )


def _specimen_particles(rng: np.random.Generator, settings: Settings) -> Particles:
    """Particles of a training specimen, as many as its solute allows."""
    most = 0.8 * sum(settings.alloy.fraction) / (0.25 * settings.occupancy + 0.75 * settings.antisite)
    fraction = min(rng.uniform(0.0, 0.25), most)
    mean = rng.uniform(1.2, 3.5)
    drawn = draw_particles(
        rng,
        settings.size_nm,
        volume_fraction=fraction,
        mean_nm=mean,
        sd_nm=mean * rng.uniform(0.1, 0.4),
        n_small=int(rng.integers(0, 6)),
    )
    # The last sphere drawn may have been one too many: leave the smallest out where the solute does not suffice.
    fits = np.cumsum(drawn.volume_nm3) < most / 0.8 * np.prod(settings.size_nm)
    return Particles(drawn.centre_nm[fits], drawn.radius_nm[fits], drawn.variant[fits])


def sample_cubes(rng: np.random.Generator, settings: Settings, windows: Mapping[int, SdmWindow]) -> dict[int, Samples]:
    """Simulate one specimen and cut labelled cubes from it.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    settings : Settings
        The specimen.
    windows : mapping of int to SdmWindow
        Window of the SDMs for each cube edge in nm.

    Returns
    -------
    dict of int to Samples
        For each edge; `specimen` is 0.
    """
    specimen = simulate_specimen(rng, _specimen_particles(rng, settings), settings)
    x, y, z = (int(v) for v in settings.size_nm)
    truth = voxel_fraction(specimen.ordered_particles, (x, y, z))
    roles = Roles((settings.alloy.host,), settings.alloy.solutes)
    found = {}
    for edge, window in windows.items():
        box = CellBox((0, 0, 0), (0, 0, 0), (x, y, z))
        scan = SdmScan(specimen.cloud, Channels.of_roles(roles), window, box=box, edges=[edge])
        n_host, n_solute = scan.n_ions(edge)
        fraction = np.lib.stride_tricks.sliding_window_view(truth, (edge,) * 3).mean(axis=(3, 4, 5))
        n = min(CUBES_PER_SPECIMEN.get(edge, 600), fraction.size)
        chosen = np.zeros(fraction.size, dtype=bool)
        chosen[rng.choice(fraction.size, n, replace=False)] = True
        chosen = chosen.reshape(fraction.shape)
        images, labels = [], []
        for batch in scan:
            take = chosen[batch.place]
            hosts, solutes = n_host[batch.place][take], n_solute[batch.place][take]
            images.append(contrast_images(batch.counts[take], hosts, solutes))
            labels.append(fraction[batch.place][take])
        found[edge] = Samples(
            np.concatenate(images), np.concatenate(labels).astype(np.float32), np.zeros(n, dtype=np.int32)
        )
    return found


def make_dictionary(
    path: Path,
    *,
    crystal: Crystal,
    windows: Mapping[int, SdmWindow],
    n_specimens: int,
    seed: int,
    progress: Progress = silent,
) -> Path:
    """Make a training library; the same seed gives the same bytes.

    Parameters
    ----------
    path : Path
        Folder to write, which must not exist.
    crystal : Crystal
        Ordered structure of the particles.
    windows : mapping of int to SdmWindow
        Window of the SDMs for each cube edge in nm.
    n_specimens : int
        How many specimens to cut cubes from.
    seed : int
        Seed of all randomness; every specimen has a stream of its own.
    progress : Progress
        Called after each specimen.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    StoreError
        If something exists at `path`.
    """
    if path.exists():
        raise StoreError(f"{path} exists. Give the dictionary another name, or remove it first.")
    samples: dict[int, list[Samples]] = {edge: [] for edge in windows}
    described = []
    for k, stream in enumerate(np.random.SeedSequence(seed).spawn(n_specimens)):
        rng = np.random.default_rng(stream)
        settings = draw_settings(rng, crystal)
        described.append(asdict(settings))
        for edge, cut in sample_cubes(rng, settings, windows).items():
            samples[edge].append(Samples(cut.image, cut.fraction, cut.specimen + np.int32(k)))
        progress("dictionary", k + 1, n_specimens, "specimens")
    temporary = path.with_name(f".{path.name}.building-{secrets.token_hex(4)}")
    try:
        group = zarr.open_group(temporary, mode="w")
        for edge, parts in samples.items():
            for name in ("image", "fraction", "specimen"):
                group.create_array(
                    f"cubes_{edge}nm/{name}", data=np.concatenate([getattr(part, name) for part in parts])
                )
        group.attrs.update(
            {
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "seed": seed,
                "n_specimens": n_specimens,
                "crystal": asdict(crystal),
                "windows": {str(edge): window.as_dict() for edge, window in windows.items()},
                "specimens": json.loads(json.dumps(described)),
            }
        )
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return path


def open_dictionary(path: Path) -> tuple[dict[int, Samples], dict[str, Any]]:
    """Read a training library.

    Parameters
    ----------
    path : Path
        What `make_dictionary` wrote.

    Returns
    -------
    samples : dict of int to Samples
        For each cube edge in nm.
    attributes : dict
        Seed, windows, crystals and the settings of every specimen.

    Raises
    ------
    StoreError
        If there is no dictionary of this version at `path`.
    """
    try:
        group = zarr.open_group(path, mode="r")
        attributes: dict[str, Any] = dict(group.attrs)
        found = (attributes.get("format"), attributes.get("format_version"))
        if found != (FORMAT, FORMAT_VERSION):
            raise ValueError(f"format {found}, expected {(FORMAT, FORMAT_VERSION)}")
        samples = {
            int(edge): Samples(*(np.asarray(group[f"cubes_{edge}nm/{n}"]) for n in ("image", "fraction", "specimen")))
            for edge in attributes["windows"]
        }
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:  # a damaged chunk is a RuntimeError
        raise StoreError(
            f"{path} is not a readable dictionary: {error}. Make one with: aptstream dictionary."
        ) from error
    return samples, attributes


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
    fields = ("image", "fraction", "specimen")
    arrays = {f"cubes_{edge}nm/{name}": getattr(part, name) for edge, part in samples.items() for name in fields}
    return content_digest(arrays, {"format": FORMAT, "windows": attributes["windows"]})
