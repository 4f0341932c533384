"""Pairs inside each phase: streamed counts against all ions of the phase counted at once, to the integer."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations_with_replacement

import naive
import numpy as np
import pytest
from examples import examples
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from scipy import ndimage

from aptstream.cloud import ingest
from aptstream.errors import PlanError, StoreError
from aptstream.io import write_pos
from aptstream.phases import pairs as phasepairs
from aptstream.phases.pairs import Wanted, count_pairs
from aptstream.phases.phasemap import PhaseMap
from aptstream.points import PointCloud, Range, RangeTable
from aptstream.sdm.count import count_sdm
from aptstream.sdm.planes import Planes
from aptstream.sdm.window import Channels, SdmWindow

NAMES = ("Al", "Li", "Mg", "Cu", "Zn")
TABLE = RangeTable(tuple(Range(10 * k, 10 * k + 5, ((name, 1),)) for k, name in enumerate(NAMES, start=1)))
WINDOWS = (SdmWindow("z", 2.0, 50, 1.0, 1), SdmWindow("zx", 1.0, 10, 1.0, 12, y_limit_nm=1.0))
TILTED = Planes(0.2864, (0.05, -0.03))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Some bricks on every axis, negative coordinates, ions on faces of cells."""
    rng = np.random.default_rng(3)
    position = rng.uniform((-12, 3, -35), (9, 23, -14), (30_000, 3)).astype("f4")
    position[::5] = np.round(position[::5])
    mass = rng.choice([12, 22, 32, 42, 52, 99], len(position)).astype("f4")
    folder = tmp_path_factory.mktemp("pairs")
    write_pos(folder / "a.pos", position, mass)
    return ingest(folder / "a.pos", ranges=TABLE, out=folder / "a.zarr")


def phases_of(store, seed, shell_nm=0.0):
    blobs = ndimage.gaussian_filter(np.random.default_rng(seed).random(store.shape_cells), 1.5)
    labels, _ = ndimage.label(blobs > np.quantile(blobs, 0.7))
    judged = np.ones(store.shape_cells, bool)
    judged[:2] = False
    return PhaseMap(labels.astype("i4"), judged, store.origin_nm, shell_nm)


def at_once(store, phases, planes, number, species):
    """All ions of the phase in one list."""
    cloud = store.read((0, 0, 0), store.shape_cells)
    position = cloud.position.astype(np.float64)
    cell = np.floor(position - store.origin_nm).astype(int)
    inside = phases.phase[tuple(cell.T)] == number
    position[:, 2] -= position[:, :2] @ planes.slope
    level = PointCloud(position.astype("f4"), cloud.mass_to_charge, cloud.species, cloud.species_names)[inside]
    names = np.array(cloud.species_names)[level.species]
    found = []
    for a, b in combinations_with_replacement(species, 2):
        groups = ((a,),) if a == b else ((a,), (b,))
        channels = Channels(groups, ((0, len(groups) - 1),))
        found.append([count_sdm(level[np.isin(names, (a, b))], channels, window)[0] for window in WINDOWS])
    return found, [int((names == name).sum()) for name in species]


@given(seed=st.integers(0, 2**32), n=st.integers(1, 5), limit=st.sampled_from([92_681, 700]))
@examples(8, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_pair_of_a_phase_is_counted_once_although_bricks_and_tiles_are_cut(store, seed, n, limit):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(phasepairs, "MAX_IONS_PER_CUBE", limit)  # few at once: tiles are cut further
        phases = phases_of(store, seed)
        found = count_pairs(store, phases, TILTED, Wanted(NAMES[:n], WINDOWS, 10**9))
    for number, counts in found.items():
        expected, n_ions = at_once(store, phases, TILTED, number, NAMES[:n])
        assert counts.share == 1
        assert counts.n_ions.tolist() == n_ions
        for k, pair in enumerate(counts.pairs):
            for window in range(2):
                np.testing.assert_array_equal(counts.maps[window][:, k].sum(axis=0), expected[k][window], str(pair))


def test_the_definition_itself_on_few_ions(tmp_path):
    rng = np.random.default_rng(5)
    position = rng.uniform((6.5, 6.5, 14.5), (9.5, 9.5, 17.5), (120, 3)).astype("f4")  # round a corner of tiles
    position[0], position[1] = (0, 0, 0), (19, 19, 33)
    write_pos(tmp_path / "a.pos", position, rng.choice([12, 22], 120).astype("f4"))
    store = ingest(tmp_path / "a.pos", ranges=TABLE, out=tmp_path / "a.zarr")
    phases = PhaseMap(np.zeros(store.shape_cells, "i4"), np.ones(store.shape_cells, bool), store.origin_nm)
    found = count_pairs(store, phases, Planes(0.2864), Wanted(("Al", "Li"), WINDOWS, 10**9))[2]
    cloud = store.read((0, 0, 0), store.shape_cells)
    channels = Channels((("Al",), ("Li",)), ((0, 0), (0, 1), (1, 1)))
    group = cloud.species.astype(int) - 1
    for window, maps in zip(WINDOWS, found.maps, strict=True):
        np.testing.assert_array_equal(maps.sum(axis=0), naive.sdm(cloud.position, group, window, channels))


def test_a_sample_is_even_always_the_same_and_says_how_much_it_is(store):
    phases = PhaseMap(np.zeros(store.shape_cells, "i4"), np.ones(store.shape_cells, bool), store.origin_nm)
    wanted = Wanted(("Al", "Li"), WINDOWS, store.n_ions // 3)
    first, again = (count_pairs(store, phases, TILTED, wanted)[2] for _ in range(2))
    np.testing.assert_array_equal(first.maps[0], again.maps[0])
    assert 0.1 < first.share < 0.6
    every = count_pairs(store, phases, TILTED, replace(wanted, most_ions=10**9))[2]
    per_ion = [counts.maps[0].sum() / counts.n_ions.sum() for counts in (first, every)]
    assert per_ion[0] == pytest.approx(per_ion[1], rel=0.1)


def test_groups_of_species_are_the_sum_of_their_pairs(store):
    phases = phases_of(store, 2)
    counts = count_pairs(store, phases, TILTED, Wanted(("Al", "Li", "Mg"), WINDOWS, 10**9))[2]
    solutes = counts.of(("Li", "Mg"), ("Li", "Mg"))
    parts = counts.of(("Li",), ("Li",)) + counts.of(("Li",), ("Mg",)) + counts.of(("Mg",), ("Mg",))
    np.testing.assert_array_equal(solutes, parts)
    np.testing.assert_array_equal(counts.of(("Mg",), ("Li",)), counts.of(("Li",), ("Mg",)))
    np.testing.assert_array_equal(counts.of(counts.species, counts.species), counts.maps[0].sum(axis=1))


@given(seed=st.integers(0, 2**32), shell_nm=st.floats(0, 4))
@examples(10)
def test_the_matrix_keeps_away_from_particles(seed, shell_nm):
    rng = np.random.default_rng(seed)
    labels = (rng.random((70, 6, 5)) < 0.01).astype("i4")
    judged = rng.random(labels.shape) < 0.9
    phase = PhaseMap(labels, judged, (0, 0, 0), shell_nm).phase
    particles = np.argwhere(labels)
    for place in np.ndindex(labels.shape):
        apart = np.sqrt(((particles - place) ** 2).sum(axis=1)).min(initial=np.inf)
        expected = 1 if labels[place] else 2 if judged[place] and apart > shell_nm + 0.5 else 0
        assert phase[place] == expected


def test_a_grid_of_another_store_is_refused(store):
    labels = np.zeros((4, 4, 4), "i4")
    with pytest.raises(StoreError, match="do not belong together"):
        count_pairs(store, PhaseMap(labels, labels == 0, (0, 0, 0)), TILTED, Wanted(("Al",), WINDOWS, 1000))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"judged": np.ones((3, 3, 4), bool)}, "one grid"),
        ({"shell_nm": -1.0}, "0 to 20 nm"),
        ({"labels": np.full((3, 3, 3), -1, "i4")}, "numbered from 1"),
    ],
)
def test_a_wrong_map_is_refused_in_words(change, words):
    right = {"labels": np.zeros((3, 3, 3), "i4"), "judged": np.ones((3, 3, 3), bool), "origin_nm": (0, 0, 0)}
    with pytest.raises(PlanError, match=words):
        PhaseMap(**(right | change))
