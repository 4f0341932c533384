"""`score_brick` against judging every cube on its own."""

from __future__ import annotations

import functools
from dataclasses import replace

import naive
import numpy as np
import pytest

from aptstream.cloud import ingest
from aptstream.errors import ModelError, StoreError
from aptstream.io import read_ions, write_pos
from aptstream.model.fitting import convert
from aptstream.model.modelfile import CubeJudge, load_model, save_model, stretched
from aptstream.model.networks import ImageNet
from aptstream.model.predict import Predictor
from aptstream.points import PointCloud
from aptstream.scan.plan import plan_scan
from aptstream.scan.score import score_brick
from aptstream.sdm.count import count_sdm
from aptstream.sdm.image import contrast_images, grey_images
from aptstream.sdm.window import Channels, SdmWindow
from aptstream.simulate import Alloy

TABLE = Alloy().ranges


@pytest.fixture(scope="module")
def store(specimen_files, tmp_path_factory):
    """A corner of the specimen, moved to odd coordinates, with a void in which cubes hold too few ions."""
    position, mass = read_ions(specimen_files.pos)
    inside = (position < (6, 7, 6)).all(axis=1) & ~(position < (2.5, 4, 6)).all(axis=1)
    folder = tmp_path_factory.mktemp("score")
    write_pos(folder / "a.pos", position[inside] + np.array([-3.3, 10.7, -7.9], "f4"), mass[inside])
    return ingest(folder / "a.pos", ranges=TABLE, out=folder / "a.zarr")


@pytest.fixture(scope="module")
def plan(store, model, roles):
    return plan_scan(store, model, roles)


@pytest.fixture(scope="module")
def scores(plan):
    (task,) = plan.tasks()
    return score_brick(plan, task).cubes


@functools.cache
def ions_and_cells(store):
    """All ions, and the cell that each of them lies in."""
    cloud = store.read((0, 0, 0), store.shape_cells)
    return cloud, np.floor(cloud.position.astype(np.float64) - store.origin_nm)


def ions_of(store, corner, edge) -> PointCloud:
    """Ions of one cube, by a mask over all."""
    cloud, cell = ions_and_cells(store)
    return cloud[((cell >= corner) & (cell < np.array(corner) + edge)).all(axis=1)]


@pytest.mark.parametrize("edge", [4, 2])
def test_every_cube_is_judged_as_if_it_were_alone(edge, store, plan, scores, model, roles):
    judge, role = stretched(model.judge(edge), plan.planes, model.crystal), roles.of(store.species_names)
    corners = list(np.ndindex(*(n - edge + 1 for n in store.shape_cells)))
    images, valid = [], []
    for corner in corners:
        cloud = ions_of(store, corner, edge)
        n_host, n_solute = (int((role[cloud.species] == r).sum()) for r in (0, 1))
        assert scores[edge].n_ions[corner] == n_host + n_solute
        if n_host + n_solute < judge.min_ions:
            assert np.isnan(scores[edge].p[corner])
            continue
        counts = count_sdm(cloud, Channels.of_roles(roles), judge.window, origin_nm=store.origin_nm)
        images.append(contrast_images(counts[None], [n_host], [n_solute])[0])
        valid.append(corner)
    assert 0 < len(valid) < len(corners), "the specimen must hold valid and invalid cubes"
    expected = Predictor(judge)(np.array(images))
    np.testing.assert_array_equal(scores[edge].p[tuple(np.array(valid).T)], expected)


def test_a_cube_is_judged_by_the_pairs_that_plain_loops_count(store, plan, scores, model, roles):
    judge, role = stretched(model.judge(2), plan.planes, model.crystal), roles.of(store.species_names)
    corner = tuple(map(int, np.argwhere(np.isfinite(scores[2].p))[0]))
    cloud = ions_of(store, corner, 2)
    channels = Channels.of_roles(roles)
    group = channels.group_of(store.species_names)[cloud.species]
    counts = naive.sdm(cloud.position, group, judge.window, channels, store.origin_nm).astype(np.float64)
    c = (role[cloud.species] == 1).sum() / (role[cloud.species] != 2).sum()
    host_host, host_solute, solute_solute = counts
    contrast = (1 - c) ** 2 * solute_solute - c * (1 - c) * host_solute + c**2 * host_host
    noise = (1 - c) ** 4 * solute_solute + c**2 * (1 - c) ** 2 * host_solute + c**4 * host_host
    image = (contrast - contrast.mean(axis=0)) / np.sqrt(noise.mean(axis=0) + 1)
    # float32 against float64 in the image: p agrees to a few units in its last digits.
    assert scores[2].p[corner] == pytest.approx(Predictor(judge)(image[None].astype("f4"))[0], rel=1e-4)


@pytest.mark.tf
def test_the_publications_network_judges_grey_pictures_of_cubes(store, model, roles, tmp_path):
    window, net = SdmWindow("zx", 0.7, 75, 0.7, 150, radius_nm=1.5), ImageNet()
    network = net.build((150, 150))
    weights = tuple(np.asarray(w) for w in network.get_weights())
    judge = CubeJudge(4, window, net, 400, convert(network, net, (150, 150)), weights, "grey")
    path = save_model(tmp_path / "li2021.aptmodel", replace(model, judges=(judge,)))
    plan = plan_scan(store, load_model(path), roles)
    found = score_brick(plan, plan.task((0, 0, 0))).cubes[4]
    corner = tuple(map(int, np.argwhere(np.isfinite(found.p))[-1]))
    cloud = ions_of(store, corner, 4)
    counts = count_sdm(cloud, Channels((roles.host,), ((0, 0),)), window, origin_nm=store.origin_nm)
    expected = network.predict(grey_images(counts).astype("f4"), verbose=0)[0, 0]
    assert found.p[corner] == pytest.approx(1 / (1 + np.exp(-expected)), abs=1e-5)
    role = roles.of(store.species_names)[cloud.species]
    assert found.n_ions[corner] == (role < 2).sum() >= 400


@pytest.mark.parametrize("edge", [4, 2])
def test_cubes_that_reach_beyond_the_volume_are_invalid_and_empty(edge, store, scores):
    outside = np.ones(store.shape_cells, dtype=bool)
    outside[tuple(slice(n - edge + 1) for n in store.shape_cells)] = False
    assert outside.any()
    assert np.isnan(scores[edge].p[outside]).all()
    assert (scores[edge].n_ions[outside] == 0).all()


@pytest.mark.parametrize("edge", [4, 2])
def test_judgements_are_fractions_of_the_right_types(edge, scores):
    p = scores[edge].p[np.isfinite(scores[edge].p)]
    assert ((p >= 0) & (p <= 1)).all()
    assert (scores[edge].p.dtype, scores[edge].n_ions.dtype) == (np.float32, np.uint32)


def test_a_task_at_the_rim_where_no_cube_fits_is_all_invalid(specimen_store, model, roles):
    plan = replace(plan_scan(specimen_store, model, roles), task_cells=(16, 16, 16))
    task = plan.task((1, 0, 0))  # cells 16 and 17 of 18: no 4 nm cube begins there, but 2 nm cubes do
    scores = score_brick(plan, task).cubes
    assert np.isnan(scores[4].p).all()
    assert np.isfinite(scores[2].p).any()


@pytest.mark.parametrize("more", [0, 1])
def test_a_cube_with_just_enough_ions_is_judged_and_with_one_less_is_not(more, store, scores, model, roles, tmp_path):
    counts = np.sort(scores[2].n_ions[scores[2].n_ions > 0])
    n = int(counts[len(counts) // 2])
    judges = tuple(replace(judge, min_ions=n + more) for judge in model.judges)
    path = save_model(tmp_path / "m.aptmodel", replace(model, judges=judges))
    plan = plan_scan(store, load_model(path), roles)
    found = score_brick(plan, plan.task((0, 0, 0))).cubes[2]
    assert (found.n_ions == n).any()
    np.testing.assert_array_equal(np.isfinite(found.p), found.n_ions >= n + more)


def test_a_model_file_that_changed_after_planning_is_refused(store, model, roles, tmp_path):
    path = save_model(tmp_path / "m.aptmodel", model)
    plan = plan_scan(store, load_model(path), roles)
    save_model(path, replace(model, cut=0.7))
    with pytest.raises(ModelError, match="has changed since the scan was planned"):
        score_brick(plan, plan.task((0, 0, 0)))


def test_a_point_store_that_changed_after_planning_is_refused(plan, specimen_store):
    changed = replace(plan, store_path=str(specimen_store.path))
    with pytest.raises(StoreError, match="has changed since the scan was planned"):
        score_brick(changed, changed.task((0, 0, 0)))


def test_a_model_file_that_vanished_after_planning_is_named(plan, tmp_path):
    gone = replace(plan, model_path=str(tmp_path / "gone.aptmodel"))
    with pytest.raises(ModelError, match=r"gone\.aptmodel"):
        score_brick(gone, gone.task((0, 0, 0)))
