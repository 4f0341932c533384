"""Every figure by its name: what it is drawn from, what it shows, and how it is drawn from files of ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from aptstream.cloud import PointStore, open_store
from aptstream.errors import ModelError, PlanError
from aptstream.grid.files import GridFile, open_grid
from aptstream.inspection import POINTS, kind_of
from aptstream.model.modelfile import Model, load_model
from aptstream.scan.results import ScanStore, open_scan
from aptstream.sdm.dictionary import open_dictionary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from aptstream.model.explain import Towards
    from aptstream.regions import Triple
    from aptstream.sdm.image import Images

#: Simulated images of each structure, at most, whose noise is compared; cubes of a specimen as many.
MOST_IMAGES = 2000


@dataclass(frozen=True)
class Sources:
    """What a figure is to be drawn from.

    Parameters
    ----------
    paths : tuple of str
        Output folders, stores, libraries or models, in the order that the figure wants.
    at : tuple of float, optional
        A place in the specimen in nm.
    seed : int
        Seed of what is drawn at random.
    """

    paths: tuple[str, ...] = ()
    at: Triple | None = None
    seed: int = 1

    @cached_property
    def store(self) -> PointStore:
        """The ions: of a point store, or those that a run scanned."""
        if kind_of(self.paths[0]) == POINTS:
            return open_store(self.paths[0])
        path = Path(self.paths[0])
        aligned = path / "aligned.zarr"
        return open_store(aligned if aligned.is_dir() else path / "points.zarr")

    @cached_property
    def scan(self) -> ScanStore:
        """The scan of a run."""
        return open_scan(Path(self.paths[0]) / "scan.zarr")

    @cached_property
    def grid(self) -> GridFile:
        """The answer of a run."""
        return open_grid(self.paths[0])

    @property
    def spacing_nm(self) -> float:
        """Distance of the planes of a run, as its scan measured it, in nm."""
        return self.scan.planes.period_nm / self.scan.crystal.doubling

    def model(self, place: int = 0) -> Model:
        """Return the model of this place, or the one that is used by default."""
        return load_model(self.paths[place]) if place < len(self.paths) else load_model()


@dataclass(frozen=True)
class Drawing:
    """A figure that can be drawn from files.

    Parameters
    ----------
    takes : str
        What it is drawn from: names in capitals, those that may be left out in brackets.
    shows : str
        A few words.
    draw : callable
        Sources → figure.
    caption : str
        For a paper: what is drawn, and in which units.
    """

    takes: str
    shows: str
    draw: Callable[[Sources], Figure]
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
    return drawing.draw(sources), drawing.caption


def _specimen(given: Sources) -> Figure:
    from aptstream.report.specimen import specimen_figure

    return specimen_figure(given.store)


def _slice(given: Sources) -> Figure:
    from aptstream.report.specimen import lattice_slice

    is_run = kind_of(given.paths[0]) == "run"
    return lattice_slice(given.store, given.spacing_nm if is_run else given.model(1).crystal.plane_spacing_nm, given.at)


def _spectrum(given: Sources) -> Figure:
    from aptstream.cloud.spectrum import mass_spectrum
    from aptstream.report.spectrum import spectrum_figure

    return spectrum_figure(mass_spectrum(given.store))


def _sdm(given: Sources) -> Figure:
    from aptstream.report.sdm_pictures import sdm_examples

    return sdm_examples(given.store, given.scan.roles, given.grid, spacing_nm=given.spacing_nm)


def _voxel(given: Sources) -> Figure:
    from aptstream.report.sdm_pictures import voxel_sdm

    if given.at is None:
        raise PlanError("The SDM of a voxel needs its place: give it with --at x,y,z in nm, such as --at 8.5,5,12.")
    return voxel_sdm(given.store, given.scan.roles, given.grid, given.at, spacing_nm=given.spacing_nm)


def _votes(given: Sources) -> Figure:
    from aptstream.report.zones import vote_zones

    return vote_zones(given.store, given.scan.roles, given.grid.votes)


def _cubes(given: Sources) -> Figure:
    from aptstream.report.zones import cube_zones

    edge = max(given.scan.edges)
    return cube_zones(given.store, given.scan.roles, given.scan.p(edge), edge_nm=edge)


def _sums(given: Sources) -> Figure:
    from aptstream.report.figures import vote_histogram

    return vote_histogram(given.grid.votes)


def _order(given: Sources) -> Figure:
    from aptstream.report.slices import grid_slices

    grid = given.grid
    place = {"origin_nm": grid.votes.origin_nm, "voxel_nm": grid.votes.voxel_nm}
    return grid_slices(grid.order, grid.labels, **place, title_unit="expected ordered fraction")  # type: ignore[arg-type]


def _sizes(given: Sources) -> Figure:
    import numpy as np

    from aptstream.grid.statistics import particle_statistics
    from aptstream.report.figures import size_distribution
    from aptstream.report.tables import listed_particles, read_particles

    found = listed_particles(read_particles(given.paths[0]), given.grid)
    # as in the report: the intervals are drawn from the same stream
    return size_distribution(particle_statistics(found, given.grid.order, np.random.default_rng(0)))


def _making(given: Sources) -> Figure:
    from aptstream.report.making import dictionary_making

    return dictionary_making(seed=given.seed)


def _network(given: Sources) -> Figure:
    from aptstream.model.networks import ImageNet
    from aptstream.report.network import layers_of, layers_of_grid, network_figure

    if not given.paths or given.paths[0] == "li2021":
        return network_figure(layers_of(ImageNet(), (150, 150)), "li2021")
    model = given.model()
    if model.refiner is not None:
        return network_figure(layers_of_grid(model.refiner.first[0].net), f"{model.name}, a net on the 1 nm grid")
    judge = model.judges[0]
    return network_figure(layers_of(judge.net, judge.view.shape), f"{model.name}, cubes of {judge.edge_nm} nm")


def _training(given: Sources) -> Figure:
    from aptstream.report.history import training_history

    return training_history(given.model())


def _depth(given: Sources) -> Figure:
    from aptstream.model.networks import ImageNet
    from aptstream.report.history import final_losses, loss_by_depth

    losses = {}
    for place in range(len(given.paths)):
        model = given.model(place)
        net = model.judges[0].net
        depth = len(net.filters) if isinstance(net, ImageNet) else 2
        if depth in losses:
            raise ModelError(f"Two models have {depth} convolutions: give one of each depth.")
        losses[depth] = final_losses(model)
    return loss_by_depth(losses)


def _test(given: Sources) -> Figure:
    from aptstream.model.evaluate import fitting_samples
    from aptstream.model.predict import Predictor
    from aptstream.report.roc import image_probabilities

    cases = {}
    for place in range(1, max(len(given.paths), 2)):
        model = given.model(place)
        judge = model.judges[0]
        samples = fitting_samples(model, Path(given.paths[0]))[judge.edge_nm]
        name = model.name if model.name not in cases else f"{model.name}, {place}"
        cases[name] = (Predictor(judge)(samples.image), samples.fraction)
    return image_probabilities(cases)


def _inside(given: Sources) -> Figure:
    import numpy as np

    from aptstream.model.evaluate import fitting_samples
    from aptstream.report.inside import inside_network
    from aptstream.sdm.li2021 import VIEW, blurred, crystal_sites, picture_of

    model = given.model()
    judge = model.judges[0]
    images: dict[str, tuple[Images, Towards]] = {}
    if len(given.paths) > 1:
        samples = fitting_samples(model, Path(given.paths[1]))[judge.edge_nm]
        low, high = int(samples.fraction.argmin()), int(samples.fraction.argmax())
        images[f"Ordered fraction {samples.fraction[low]:.2f}"] = samples.image[low], "matrix"
        images[f"Ordered fraction {samples.fraction[high]:.2f}"] = samples.image[high], "order"
    elif judge.view == VIEW:
        for phase, (name, towards) in enumerate((("FCC", "matrix"), ("L1₂", "order"))):
            shifted = blurred(crystal_sites(phase), (0.2, 0.03), np.random.default_rng((given.seed, phase)))
            image = picture_of(shifted[: round(0.57 * len(shifted))], shifted.min(axis=0))[0]
            images[name] = image, towards  # type: ignore[assignment]  # one of the two words
    else:
        raise PlanError(
            f"To look inside model {model.name!r}, give a library with images that it reads too: "
            f"aptstream dictionary --preset {model.name}."
        )
    return inside_network(judge, images)


def _noise(given: Sources) -> Figure:
    import numpy as np

    from aptstream.report.noise import noise_density
    from aptstream.report.sdm_pictures import grey_cubes

    samples, _ = open_dictionary(Path(given.paths[0]))
    images = next(iter(samples.values())).image
    if images.dtype != np.uint8:
        raise PlanError(f"{given.paths[0]} holds no grey pictures: make some with dictionary --preset li2021.")
    rng = np.random.default_rng(given.seed)
    sets = {"simulated": images[np.sort(rng.permutation(len(images))[:MOST_IMAGES])]}
    if len(given.paths) > 1:
        run = Sources(given.paths[1:])
        sets["specimen"] = grey_cubes(run.store, run.scan, rng, n_most=MOST_IMAGES)
    return noise_density(sets)


DRAWINGS = {
    "specimen": Drawing(
        *("RUN|STORE", "ions from two sides, and where they hit (Fig. 1a–c)", _specimen),
        "Ions of a specimen by species, seen along y (a) and x (b), in nm; c: ions by place, smoothed, median 1.",
    ),
    "slice": Drawing(
        *("RUN|STORE [MODEL]", "a thin slice with lattice planes (Fig. 1d)", _slice),
        "Ions of a slice 10 × 4 × 3 nm, z stretched; b: ions by height; ticks: planes at the spacing of the crystal.",
    ),
    "spectrum": Drawing(
        *("RUN|STORE", "the mass spectrum with its ranges", _spectrum),
        "Mass spectrum in Da, with the ranges in their colours and the largest peaks in no range.",
    ),
    "sdm": Drawing(
        *("RUN", "SDMs of matrix and particle (Fig. 1e, f)", _sdm),
        "zx-SDM (host–host pairs up to 1.5 nm apart) and z-SDMs (pairs up to 0.5 nm apart across) of a 4 nm cube in "
        "the matrix and of one in the largest particle; lines: planes, every second one solid.",
    ),
    "making": Drawing(
        *("", "how training images are made (Fig. 2)", _making),
        "Making of a training image, FCC above and L1₂ below: sites, shifts, detection, map of the Al–Al pairs.",
    ),
    "network": Drawing(
        *("[MODEL]", "the layers of a network (Fig. 3a)", _network),
        "Layers of a network: shape of each result, what the layer does, and its number of parameters.",
    ),
    "training": Drawing(
        *("[MODEL]", "loss by epoch, with folds (Fig. 3b, S2)", _training),
        "Loss (binary cross-entropy) by epoch; thin: each fold of a cross-validation.",
    ),
    "depth": Drawing(
        *("MODEL…", "final loss by number of convolutions (Fig. 3c)", _depth),
        "Loss (binary cross-entropy) after the last epoch by the number of convolutions; dashes: each fold.",
    ),
    "test": Drawing(
        *("LIBRARY MODEL…", "probabilities of test images, and ROC (Fig. 4)", _test),
        "Probability of order of every test image, and ROC curve with the area under it.",
    ),
    "votes": Drawing(
        *("RUN", "votes, with SDMs of zones (Fig. 5)", _votes),
        "Voxels by the sum of the probabilities of the cubes that cover them, and zx-SDMs of the cubes round voxels "
        "of three zones (host–host pairs, each map to its own largest).",
    ),
    "sums": Drawing(
        *("RUN", "votes inside and near the edge", _sums),
        "Voxels by the sum (inside) or mean (edge) of the probabilities of the cubes that cover them; dashed: cut.",
    ),
    "cubes": Drawing(
        *("RUN", "cube probabilities, with SDMs (Fig. S3)", _cubes),
        "Cubes by their probability of order, and zx-SDMs of cubes of four zones (each map to its own largest).",
    ),
    "order": Drawing(
        *("RUN", "three slices through the order map", _order),
        "Slices through the order map, 1 nm voxels; outlined: particles.",
    ),
    "sizes": Drawing(
        *("RUN", "size distribution (Fig. S4)", _sizes),
        "Particles in a m³ by radius in nm, each weighted by the room that its size leaves; lines: 95 % intervals.",
    ),
    "inside": Drawing(
        *("MODEL [LIBRARY]", "feature maps and Grad-CAM (Fig. 7); TensorFlow", _inside),
        "Maps of each convolution, dark to light by themselves, and Grad-CAM over the image.",
    ),
    "noise": Drawing(
        *("LIBRARY [RUN]", "noise of simulated and measured images (Fig. S1)", _noise),
        "Noise variance of grey pictures by Immerkær's estimate, in squared grey levels, as densities.",
    ),
    "voxel": Drawing(
        *("RUN", "SDM round one place, give --at (Fig. S5)", _voxel),
        "zx-SDM and z-SDMs of the cube of 4 nm round one voxel, with the votes that the voxel got.",
    ),
}
