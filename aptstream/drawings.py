"""How figures are drawn from files of ours: one function a figure, each from what was given."""

from __future__ import annotations

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
    from aptstream.phases.phasemap import PhaseMap
    from aptstream.regions import Triple
    from aptstream.report.story import PoleStory
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
        from aptstream.runresult import store_of

        if kind_of(self.paths[0]) == POINTS:
            return open_store(self.paths[0])
        return store_of(Path(self.paths[0]), self.scan)

    @cached_property
    def scan(self) -> ScanStore:
        """The scan of a run."""
        return open_scan(Path(self.paths[0]) / "scan.zarr")

    @cached_property
    def grid(self) -> GridFile:
        """The answer of a run."""
        return open_grid(self.paths[0])

    @cached_property
    def phases(self) -> PhaseMap:
        """Where a run found particles, matrix, and the shell of 1 nm between them."""
        import numpy as np

        from aptstream.phases.phasemap import PhaseMap

        grid = self.grid
        return PhaseMap(grid.labels, np.isfinite(grid.order), grid.votes.origin_nm, 1.0)

    @property
    def spacing_nm(self) -> float:
        """Distance of the planes of a run, as its scan measured it, in nm."""
        return self.scan.planes.period_nm / self.scan.crystal.doubling

    @cached_property
    def story(self) -> PoleStory:
        """How the planes of a run were brought normal to z; of a store, or where a run did not, what can be found."""
        from aptstream.redraw import story_of, story_sought
        from aptstream.runresult import reconstruction_of

        if kind_of(self.paths[0]) == POINTS:
            return story_sought(self.store)
        original, decided = reconstruction_of(Path(self.paths[0]), self.store), self.grid.decisions
        search = decided.search if decided is not None else None
        crystal = self.scan.crystal
        return story_of(self.store, original, crystal, search) or story_sought(original, crystal)

    def model(self, place: int = 0) -> Model:
        """Return the model of this place, or the one that is used by default."""
        return load_model(self.paths[place]) if place < len(self.paths) else load_model()


def draw_specimen(given: Sources) -> Figure:
    """Draw the ions from two sides."""
    from aptstream.report.specimen import specimen_figure

    return specimen_figure(given.store)


def draw_pole_map(given: Sources) -> Figure:
    """Draw where ions hit, and where planes were seen."""
    from aptstream.report.pole_map import pole_map

    return pole_map(given.story)


def draw_pole_planes(given: Sources) -> Figure:
    """Draw planes before and after they were aligned."""
    from aptstream.report.plane_views import plane_views

    story = given.story
    if story.alignment is None or story.power is None:
        raise PlanError(f"There are no planes to draw. {story.search.verdict}")
    return plane_views(story.reconstruction, story.alignment, story.power, scaled=story.hkl is not None)


def draw_slice(given: Sources) -> Figure:
    """Draw a slice with planes."""
    from aptstream.report.specimen import lattice_slice

    is_run = kind_of(given.paths[0]) == "run"
    return lattice_slice(given.store, given.spacing_nm if is_run else given.model(1).crystal.plane_spacing_nm, given.at)


def draw_spectrum(given: Sources) -> Figure:
    """Draw the mass spectrum."""
    from aptstream.cloud.spectrum import mass_spectrum
    from aptstream.report.spectrum import spectrum_figure

    return spectrum_figure(mass_spectrum(given.store))


def draw_sdm(given: Sources) -> Figure:
    """Draw SDMs of matrix and particle."""
    from aptstream.report.sdm_pictures import sdm_examples

    return sdm_examples(given.store, given.scan.roles, given.grid, spacing_nm=given.spacing_nm)


def draw_voxel(given: Sources) -> Figure:
    """Draw the SDM of the cube round a place."""
    from aptstream.report.sdm_pictures import voxel_sdm

    if given.at is None:
        raise PlanError("The SDM of a voxel needs its place: give it with --at x,y,z in nm, such as --at 8.5,5,12.")
    return voxel_sdm(given.store, given.scan.roles, given.grid, given.at, spacing_nm=given.spacing_nm)


def draw_votes(given: Sources) -> Figure:
    """Draw the votes with SDMs of zones."""
    from aptstream.report.zones import vote_zones

    return vote_zones(given.store, given.scan.roles, given.grid.votes)


def draw_cubes(given: Sources) -> Figure:
    """Draw the cubes' probabilities with SDMs of zones."""
    from aptstream.report.zones import cube_zones

    edge = max(given.scan.edges)
    return cube_zones(given.store, given.scan.roles, given.scan.p(edge), edge_nm=edge)


def draw_sums(given: Sources) -> Figure:
    """Draw the votes inside and near the edge."""
    from aptstream.report.figures import vote_histogram

    return vote_histogram(given.grid.votes)


def draw_order(given: Sources) -> Figure:
    """Draw slices through the order map."""
    from aptstream.report.slices import grid_slices

    grid = given.grid
    place = {"origin_nm": grid.votes.origin_nm, "voxel_nm": grid.votes.voxel_nm}
    return grid_slices(grid.order, grid.labels, **place, title_unit="expected ordered fraction")  # type: ignore[arg-type]


def draw_sizes(given: Sources) -> Figure:
    """Draw the size distribution."""
    import numpy as np

    from aptstream.grid.statistics import particle_statistics
    from aptstream.report.figures import size_distribution
    from aptstream.report.tables import listed_particles, read_particles

    found = listed_particles(read_particles(given.paths[0]), given.grid)
    # as in the report: the intervals are drawn from the same stream
    return size_distribution(particle_statistics(found, given.grid.order, np.random.default_rng(0)))


def draw_making(given: Sources) -> Figure:
    """Draw how training images are made."""
    from aptstream.report.making import dictionary_making

    return dictionary_making(seed=given.seed)


def draw_network(given: Sources) -> Figure:
    """Draw the layers of a network."""
    from aptstream.model.networks import ImageNet
    from aptstream.report.network import layers_of, layers_of_grid, network_figure

    if not given.paths or given.paths[0] == "li2021":
        return network_figure(layers_of(ImageNet(), (150, 150)), "li2021")
    model = given.model()
    if model.refiner is not None:
        return network_figure(layers_of_grid(model.refiner.first[0].net), f"{model.name}, a net on the 1 nm grid")
    judge = model.judges[0]
    return network_figure(layers_of(judge.net, judge.view.shape), f"{model.name}, cubes of {judge.edge_nm} nm")


def draw_training(given: Sources) -> Figure:
    """Draw loss by epoch."""
    from aptstream.report.history import training_history

    return training_history(given.model())


def draw_depth(given: Sources) -> Figure:
    """Draw loss by depth."""
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


def draw_test(given: Sources) -> Figure:
    """Draw test images and ROC."""
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


def draw_inside(given: Sources) -> Figure:
    """Draw feature maps and Grad-CAM."""
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


def draw_noise(given: Sources) -> Figure:
    """Draw the noise of images."""
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


def draw_phases(given: Sources) -> Figure:
    """Draw z-SDMs of both phases by species."""
    from aptstream.phases.species import OrderFrame, phase_sdms
    from aptstream.report.phases import zsdm_figure

    return zsdm_figure(phase_sdms(given.phases, given.store, OrderFrame.of(given.scan)))


def draw_planes(given: Sources) -> Figure:
    """Draw zx-SDMs of both phases by species."""
    from aptstream.phases.species import OrderFrame, phase_sdms
    from aptstream.report.phases import zxsdm_figure

    return zxsdm_figure(phase_sdms(given.phases, given.store, OrderFrame.of(given.scan)))


def draw_sites(given: Sources) -> Figure:
    """Draw which species sits with which plane."""
    from aptstream.phases.sites import site_occupancy
    from aptstream.phases.species import OrderFrame
    from aptstream.report.phases import sites_figure

    return sites_figure(site_occupancy(given.phases, given.store, OrderFrame.of(given.scan)))


def draw_compare(given: Sources) -> Figure:
    """Draw what the established methods see."""
    from aptstream.peers.opinions import Wanted, second_opinions
    from aptstream.report.peers import opinions_figure

    wanted = Wanted(crystal=given.scan.crystal)
    return opinions_figure(second_opinions(given.store, given.scan.roles, given.grid, wanted))
