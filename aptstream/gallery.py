"""Every figure by its name: what it is drawn from, and what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aptstream.errors import PlanError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from aptstream.drawings import Sources


@dataclass(frozen=True)
class Drawing:
    """A figure that can be drawn from files.

    Parameters
    ----------
    takes : str
        What it is drawn from: names in capitals, those that may be left out in brackets.
    shows : str
        A few words.
    caption : str
        For a paper: what is drawn, and in which units.
    """

    takes: str
    shows: str
    caption: str

    @property
    def n_sources(self) -> tuple[int, int]:
        """Fewest and most sources that it takes."""
        words = self.takes.split()
        fewest = sum(not word.startswith("[") for word in words)
        return fewest, 99 if self.takes.endswith(("…", "…]")) else len(words)


def draw(name: str, sources: Sources) -> tuple[Figure, str]:
    """Draw a figure by its name.

    Parameters
    ----------
    name : str
        Key of `DRAWINGS`.
    sources : Sources
        What it is drawn from.

    Returns
    -------
    matplotlib.figure.Figure
    str
        Its caption.

    Raises
    ------
    PlanError
        If there is no such figure, or too few or too many sources are given.
    AptstreamError
        If a source cannot be read, or holds nothing that can be shown.
    """
    if name not in DRAWINGS:
        raise PlanError(f"There is no figure {name!r}: choose one of {', '.join(DRAWINGS)}.")
    drawing = DRAWINGS[name]
    fewest, most = drawing.n_sources
    if not fewest <= len(sources.paths) <= most:
        raise PlanError(
            f"The figure {name} is drawn from {drawing.takes or 'nothing'}, found {len(sources.paths)} sources."
        )
    from aptstream import drawings  # only here: the shell asks for names, and wants them at once

    drawn: Figure = getattr(drawings, f"draw_{name}")(sources)
    return drawn, drawing.caption


DRAWINGS = {
    "specimen": Drawing(
        "RUN|STORE",
        "ions from two sides, hit density (Fig. 1a–c)",
        "Ions of a specimen by species, seen along y (a) and x (b), in nm; c: ions by place, smoothed, median 1.",
    ),
    "pole_map": Drawing(
        "RUN|STORE",
        "desorption map, and directions of planes",
        "a: desorption map, ions by place on the detector, smoothed, median 1; b: directions of the strongest waves "
        "and of the poles in stereographic projection, z of the reconstruction in the middle, rings every 10°.",
    ),
    "pole_planes": Drawing(
        "RUN|STORE",
        "planes before and after they were aligned",
        "Planes of a pole before (a) and after (b) they were aligned, in nm, seen from the side and stretched along "
        "the normal; c: their power along the axis (chance: 1); d: distances along z of ions above each other.",
    ),
    "slice": Drawing(
        "RUN|STORE [MODEL]",
        "a thin slice with lattice planes (Fig. 1d)",
        "Ions of a slice 10 × 4 × 3 nm, z stretched; b: ions by height; ticks: planes at the spacing of the crystal.",
    ),
    "spectrum": Drawing(
        "RUN|STORE",
        "the mass spectrum with its ranges",
        "Mass spectrum in Da, with the ranges in their colours and the largest peaks in no range.",
    ),
    "sdm": Drawing(
        "RUN",
        "SDMs of matrix and particle (Fig. 1e, f)",
        "zx-SDM (host–host pairs up to 1.5 nm apart) and z-SDMs (pairs up to 0.5 nm apart across) of a 4 nm cube in "
        "the matrix and of one in the largest particle; lines: planes, every second one solid.",
    ),
    "making": Drawing(
        "",
        "how training images are made (Fig. 2)",
        "Making of a training image, FCC above and L1₂ below: sites, shifts, detection, map of the Al–Al pairs.",
    ),
    "network": Drawing(
        "[MODEL]",
        "the layers of a network (Fig. 3a)",
        "Layers of a network: shape of each result, what the layer does, and its number of parameters.",
    ),
    "training": Drawing(
        "[MODEL]",
        "loss by epoch, with folds (Fig. 3b, S2)",
        "Loss (binary cross-entropy) by epoch; thin: each fold of a cross-validation.",
    ),
    "depth": Drawing(
        "MODEL…",
        "final loss by number of convolutions (Fig. 3c)",
        "Loss (binary cross-entropy) after the last epoch by the number of convolutions; dashes: each fold.",
    ),
    "test": Drawing(
        "LIBRARY MODEL…",
        "probabilities of test images, and ROC (Fig. 4)",
        "Probability of order of every test image, and ROC curve with the area under it.",
    ),
    "votes": Drawing(
        "RUN",
        "votes, with SDMs of zones (Fig. 5)",
        "Voxels by the sum of the probabilities of the cubes that cover them, and zx-SDMs of the cubes round voxels "
        "of three zones (host–host pairs, each map to its own largest).",
    ),
    "sums": Drawing(
        "RUN",
        "votes inside and near the edge",
        "Voxels by the sum (inside) or mean (edge) of the probabilities of the cubes that cover them; dashed: cut.",
    ),
    "cubes": Drawing(
        "RUN",
        "cube probabilities, with SDMs (Fig. S3)",
        "Cubes by their probability of order, and zx-SDMs of cubes of four zones (each map to its own largest).",
    ),
    "phases": Drawing(
        "RUN",
        "z-SDMs of both phases by species (Fig. 6b, c)",
        "z-SDMs of the ions in particles and in the matrix by pairs of species; a shell of 1 nm is left out.",
    ),
    "planes": Drawing(
        "RUN",
        "zx-SDMs of both phases by species",
        "zx-SDMs of the ions in particles and in the matrix by pairs of species; a shell of 1 nm is left out.",
    ),
    "sites": Drawing(
        "RUN",
        "which species sits with which plane",
        "Where the species sit in the particles: shares of the planes, and order by species.",
    ),
    "compare": Drawing(
        "RUN",
        "isocomposition and other methods (Fig. 6d)",
        "The specimen seen by the established methods beside the ordered particles: maps, sizes, shares, proxigrams.",
    ),
    "order": Drawing(
        "RUN",
        "three slices through the order map",
        "Slices through the order map, 1 nm voxels; outlined: particles.",
    ),
    "sizes": Drawing(
        "RUN",
        "size distribution (Fig. S4)",
        "Particles in a m³ by radius in nm, each weighted by the room that its size leaves; lines: 95 % intervals.",
    ),
    "inside": Drawing(
        "MODEL [LIBRARY]",
        "feature maps and Grad-CAM (Fig. 7); TensorFlow",
        "Maps of each convolution, dark to light by themselves, and Grad-CAM over the image.",
    ),
    "noise": Drawing(
        "LIBRARY [RUN]",
        "noise of simulated and real images (Fig. S1)",
        "Noise variance of grey pictures by Immerkær's estimate, in squared grey levels, as densities.",
    ),
    "voxel": Drawing(
        "RUN",
        "SDM round one place, give --at (Fig. S5)",
        "zx-SDM and z-SDMs of the cube of 4 nm round one voxel, with the votes that the voxel got.",
    ),
}
