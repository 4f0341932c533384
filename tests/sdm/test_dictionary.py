"""The training library: reproducible, labelled by geometry, and quiet about what is not ordered."""

import hashlib
import json

import numpy as np
import pytest

from aptstream.crystal import Crystal
from aptstream.errors import StoreError
from aptstream.points import Roles
from aptstream.regions import Box
from aptstream.sdm import dictionary
from aptstream.sdm.count import count_sdm
from aptstream.sdm.dictionary import draw_settings, make_dictionary, open_dictionary, sample_cubes
from aptstream.sdm.image import contrast_images
from aptstream.sdm.window import Channels, SdmWindow
from aptstream.simulate import Settings, simulate_specimen, voxel_fraction

L12 = Crystal("L12", 0.405)
WINDOWS = {4: SdmWindow("rhoz", 1.5, 15, 2.0, 3), 2: SdmWindow("z", 1.5, 20, 3.0, 1)}
EDGE_NM, CUBES = 9, {4: 20, 2: 30}
EVERY_CUBE = {4: 10**6, 2: 10**6}


@pytest.fixture(scope="module", autouse=True)
def _small_specimens():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dictionary, "SPECIMEN_NM", EDGE_NM)
        patch.setattr(dictionary, "CUBES_PER_SPECIMEN", CUBES)
        yield


@pytest.fixture(scope="module")
def library(tmp_path_factory, _small_specimens):
    path = tmp_path_factory.mktemp("dictionary") / "d.zarr"
    return make_dictionary(path, crystal=L12, windows=WINDOWS, n_specimens=2, seed=5)


def content(folder):
    """Digest of every file by its place in the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_gives_the_same_bytes(library, tmp_path):
    again = make_dictionary(tmp_path / "again.zarr", crystal=L12, windows=WINDOWS, n_specimens=2, seed=5)
    other = make_dictionary(tmp_path / "other.zarr", crystal=L12, windows=WINDOWS, n_specimens=2, seed=6)
    assert content(again) == content(library)
    assert content(other) != content(library)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.zarr", "other.zarr"]


def test_a_longer_dictionary_begins_with_the_shorter_one(library, tmp_path):
    longer = make_dictionary(tmp_path / "d.zarr", crystal=L12, windows=WINDOWS, n_specimens=3, seed=5)
    short, long = open_dictionary(library)[0], open_dictionary(longer)[0]
    for edge, samples in short.items():
        np.testing.assert_array_equal(long[edge].image[: len(samples)], samples.image)


def test_what_was_made_is_what_is_opened(library):
    samples, attributes = open_dictionary(library)
    assert list(samples) == [4, 2]
    for edge, window in WINDOWS.items():
        of_edge = samples[edge]
        assert of_edge.image.shape == (2 * CUBES[edge], *window.shape)
        assert of_edge.image.dtype == of_edge.fraction.dtype == np.float32
        assert np.isfinite(of_edge.image).all()
        assert of_edge.image.any()
        assert ((of_edge.fraction >= 0) & (of_edge.fraction <= 1)).all()
        np.testing.assert_array_equal(of_edge.specimen, np.repeat([0, 1], CUBES[edge]))
    assert (attributes["seed"], attributes["n_specimens"]) == (5, 2)
    assert attributes["windows"] == {str(edge): window.as_dict() for edge, window in WINDOWS.items()}
    assert attributes["crystal"] == {"label": "L12", "a_nm": 0.405, "pole": [0, 1, 1], "c_over_a": None}
    assert [described["size_nm"] for described in attributes["specimens"]] == [[EDGE_NM] * 3] * 2


def cut_every_cube(monkeypatch, settings, seed=3):
    """All cubes of one specimen, and the specimen that they were cut from."""
    made = []

    def record(*arguments):
        made.append(simulate_specimen(*arguments))
        return made[-1]

    monkeypatch.setattr(dictionary, "CUBES_PER_SPECIMEN", EVERY_CUBE)
    monkeypatch.setattr(dictionary, "simulate_specimen", record)
    return sample_cubes(np.random.default_rng(seed), settings, WINDOWS), made[0]


@pytest.mark.parametrize("kind", ["ordered", "no-contrast", "weak"])
def test_a_label_is_the_ordered_share_of_its_cube(monkeypatch, kind):
    samples, specimen = cut_every_cube(monkeypatch, Settings(size_nm=(9, 9, 9), kind=kind))
    truth = voxel_fraction(specimen.ordered_particles, (9, 9, 9))
    for edge, of_edge in samples.items():
        corners = list(np.ndindex(*(10 - edge,) * 3))
        assert len(of_edge) == len(corners)
        expected = [truth[tuple(slice(c, c + edge) for c in corner)].mean() for corner in corners]
        np.testing.assert_allclose(of_edge.fraction, expected, atol=1e-6)
        assert of_edge.fraction.max() > 0.1


def test_an_image_is_that_of_its_cube_alone(monkeypatch):
    samples, specimen = cut_every_cube(monkeypatch, Settings(size_nm=(9, 9, 9)))
    cloud, roles = specimen.cloud, Roles(("Al",), ("Li", "Mg"))
    for edge, of_edge in samples.items():
        corners = list(np.ndindex(*(10 - edge,) * 3))
        for k in (0, 17, len(corners) - 1):
            cube = cloud[Box(corners[k], tuple(c + edge for c in corners[k])).contains(cloud.position)]
            solute = int((cube.species >= 2).sum())
            counts = count_sdm(cube, Channels.of_roles(roles), WINDOWS[edge])[None]
            image = contrast_images(counts, [int((cube.species == 1).sum())], [solute])[0]
            np.testing.assert_array_equal(of_edge.image[k], image)


@pytest.mark.parametrize("change", [{"kind": "clusters"}, {"shuffle": True}, {"kind": "weak", "shuffle": True}])
def test_clusters_and_shuffled_species_are_labelled_zero(monkeypatch, change):
    samples, specimen = cut_every_cube(monkeypatch, Settings(size_nm=(9, 9, 9), **change))
    assert len(specimen.particles) > 0
    for of_edge in samples.values():
        assert not of_edge.fraction.any()


def test_cubes_of_a_specimen_are_not_taken_twice():
    samples = sample_cubes(np.random.default_rng(1), Settings(size_nm=(9, 9, 9)), WINDOWS)
    for edge, of_edge in samples.items():
        assert len(of_edge) == CUBES[edge]
        assert len(np.unique(of_edge.image.reshape(len(of_edge), -1), axis=0)) == len(of_edge)


def test_drawn_settings_cover_every_kind_with_one_blur_for_both_phases():
    drawn = [draw_settings(np.random.default_rng(seed), L12) for seed in range(400)]
    kinds = [settings.kind for settings in drawn]
    for kind, share in {"ordered": 0.6, "clusters": 0.18, "no-contrast": 0.12, "weak": 0.1}.items():
        assert kinds.count(kind) == pytest.approx(400 * share, abs=5 * np.sqrt(400 * share * (1 - share)))
    assert 0 < sum(settings.shuffle for settings in drawn) < 80
    # One number each, wherever an ion lies: what a network could tell phases apart by is their order.
    for name, low, high in (("sigma_xy_nm", 0.2, 0.7), ("sigma_z_nm", 0.02, 0.06), ("efficiency", 0.35, 0.75)):
        values = np.array([getattr(settings, name) for settings in drawn])
        assert ((values >= low) & (values <= high)).all()
        assert values.max() - values.min() > 0.9 * (high - low)
    json.dumps([settings.alloy.fraction for settings in drawn])


def test_particles_never_need_more_solute_than_the_alloy_has(monkeypatch):
    monkeypatch.setattr(dictionary, "SPECIMEN_NM", 20)
    for seed, specimen in ((2, 61), (13, 161), *((seed, 0) for seed in range(40))):
        rng = np.random.default_rng(np.random.SeedSequence(seed).spawn(specimen + 1)[-1])
        settings = draw_settings(rng, L12)
        particles = dictionary._specimen_particles(rng, settings)
        solute = particles.volume_nm3.sum() / 20**3 * (0.25 * settings.occupancy + 0.75 * settings.antisite)
        assert solute <= sum(settings.alloy.fraction)


def test_an_existing_path_is_refused_and_left_alone(library, tmp_path):
    before = content(library)
    with pytest.raises(StoreError, match="exists"):
        make_dictionary(library, crystal=L12, windows=WINDOWS, n_specimens=2, seed=1)
    assert content(library) == before
    note = tmp_path / "note.txt"
    note.write_text("mine")
    with pytest.raises(StoreError, match="exists"):
        make_dictionary(note, crystal=L12, windows=WINDOWS, n_specimens=2, seed=1)
    assert note.read_text() == "mine"


def damage(folder, how):
    """Make a copy's folder something else than a dictionary of this version."""
    attributes = folder / "zarr.json"
    text = attributes.read_text()
    chunk = next(
        path
        for path in sorted((folder / "cubes_4nm" / "image").rglob("*"))
        if path.is_file() and path.name != "zarr.json"
    )
    if how == "no attributes":
        attributes.unlink()
    elif how == "attributes cut short":
        attributes.write_text(text[: len(text) // 2])
    elif how == "another version":
        attributes.write_text(text.replace('"format_version": 2', '"format_version": 1'))
    elif how == "another format":
        attributes.write_text(text.replace("aptstream-dictionary", "aptstream-points"))
    elif how == "no windows":
        attributes.write_text(text.replace('"windows"', '"window"'))
    elif how == "windows are a number":
        fields = json.loads(text)
        fields["attributes"]["windows"] = 4
        attributes.write_text(json.dumps(fields))
    elif how == "another edge":
        fields = json.loads(text)
        fields["attributes"]["windows"]["3"] = fields["attributes"]["windows"]["2"]
        fields.pop("consolidated_metadata", None)
        attributes.write_text(json.dumps(fields))
    elif how == "chunk of noise":
        chunk.write_bytes(np.random.default_rng(0).bytes(chunk.stat().st_size))
    elif how == "chunk cut short":
        chunk.write_bytes(chunk.read_bytes()[:10])


@pytest.mark.parametrize(
    "how",
    [
        "no attributes",
        "attributes cut short",
        "another version",
        "another format",
        "no windows",
        "windows are a number",
        "another edge",
        "chunk of noise",
        "chunk cut short",
    ],
)
def test_a_damaged_dictionary_is_refused_with_what_to_do(tmp_path, how):
    path = make_dictionary(tmp_path / "d.zarr", crystal=L12, windows=WINDOWS, n_specimens=1, seed=5)
    damage(path, how)
    with pytest.raises(StoreError, match="aptstream dictionary"):
        open_dictionary(path)


def test_something_else_is_no_dictionary(tmp_path):
    (tmp_path / "file.zarr").write_text("no store")
    (tmp_path / "folder.zarr").mkdir()
    for name in ("file.zarr", "folder.zarr", "missing.zarr"):
        with pytest.raises(StoreError, match="aptstream dictionary"):
            open_dictionary(tmp_path / name)


def test_progress_is_told_after_each_specimen(tmp_path):
    told = []
    make_dictionary(
        tmp_path / "d.zarr",
        crystal=L12,
        windows={2: WINDOWS[2]},
        n_specimens=2,
        seed=1,
        progress=lambda *arguments: told.append(arguments),
    )
    n = CUBES[2]
    assert told == [("dictionary", n, 2 * n, "images"), ("dictionary", 2 * n, 2 * n, "images")]
