"""Training library: contrast images of cubes cut from specimens whose truth is known.

Both phases of a specimen share one blur, efficiency and background: a network can only learn order, not sharpness. A
quarter of the specimens hold what must not be called order: clusters without order, or shuffled species.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from math import prod
from pathlib import Path

import numpy as np

from aptstream.crystal import Crystal
from aptstream.points import Roles
from aptstream.progress import Progress, silent
from aptstream.sdm.count import SdmScan
from aptstream.sdm.image import View, network_input
from aptstream.sdm.kernel import CellBox
from aptstream.sdm.library import FORMAT, Recipe, Samples, dictionary_digest, open_dictionary, write_library
from aptstream.sdm.window import SdmWindow
from aptstream.simulate import Alloy, Particles, Settings, draw_particles, simulate_specimen, voxel_fraction

__all__ = ["FORMAT", "Samples", "dictionary_digest", "draw_settings", "make_dictionary", "open_dictionary"]
#: Edge of the specimens that cubes are cut from, in nm.
SPECIMEN_NM = 20
#: Cubes taken from a specimen: more of the small ones, of which a specimen holds more independent ones.
CUBES_PER_SPECIMEN = {4: 600, 2: 1200}


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
    return drawn[fits]


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
        view = View(window)
        scan = SdmScan(specimen.cloud, view.channels(roles), window, box=box, edges=[edge])
        n_host, n_solute = scan.n_ions(edge)
        fraction = np.lib.stride_tricks.sliding_window_view(truth, (edge,) * 3).mean(axis=(3, 4, 5))
        n = _cubes_of(edge, settings.size_nm)
        chosen = np.zeros(fraction.size, dtype=bool)
        chosen[rng.choice(fraction.size, n, replace=False)] = True
        chosen = chosen.reshape(fraction.shape)
        images, labels = [], []
        for batch in scan:
            take = chosen[batch.place]
            hosts, solutes = n_host[batch.place][take], n_solute[batch.place][take]
            images.append(network_input(batch.counts[take], view.form, hosts, solutes))
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
    """Make a training library of large specimens; the same seed gives the same bytes.

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
    streams = np.random.SeedSequence(seed).spawn(n_specimens)
    drawn = [np.random.default_rng(stream) for stream in streams]
    settings = [draw_settings(rng, crystal) for rng in drawn]

    def make(k: int) -> dict[int, Samples]:
        cut = sample_cubes(drawn[k], settings[k], windows)
        return {edge: Samples(s.image, s.fraction, s.specimen + np.int32(k)) for edge, s in cut.items()}

    cubes = {edge: _cubes_of(edge, (SPECIMEN_NM,) * 3) for edge in windows}
    recipe = Recipe(
        name="specimens",
        crystal=crystal,
        views={edge: View(window) for edge, window in windows.items()},
        n_images={edge: n * n_specimens for edge, n in cubes.items()},
        n_parts=n_specimens,
        make=make,
        attributes={"n_specimens": n_specimens, "specimens": json.loads(json.dumps([asdict(s) for s in settings]))},
    )
    return write_library(path, recipe, seed=seed, progress=progress)


def _cubes_of(edge: int, size_nm: tuple[float, ...]) -> int:
    """Cubes of an edge that are taken from a specimen."""
    return min(CUBES_PER_SPECIMEN.get(edge, 600), prod(int(size) - edge + 1 for size in size_nm))
