"""Fixtures for all rooms."""

from __future__ import annotations

import builtins
import gc
import os
import sys
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from examples import PLAIN, THOROUGH

# Speed of a machine says nothing about correctness.
hypothesis.settings.register_profile("plain", deadline=None, max_examples=PLAIN)
hypothesis.settings.register_profile("thorough", deadline=None, max_examples=THOROUGH)
hypothesis.settings.load_profile("plain")


def pytest_collection_finish() -> None:
    """Keep what was collected out of the garbage collector's way: it stays to the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _no_wait_for_the_disk():
    """A power cut is not tested, and thousands of small files would wait for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _descriptor: None)
        yield


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data, which is not part of the project; tests skip where it is missing."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("APTSTREAM_DATA", beside))
    if not (folder / "si" / "Si.pos").is_file():
        pytest.skip("no real data: set APTSTREAM_DATA to the folder that holds si/Si.pos")
    return folder


@pytest.fixture(scope="session")
def specimen_files(tmp_path_factory):
    """A simulated Al-Li-Mg specimen of 18 x 18 x 20 nm on disk: more than a brick of 16 nm on every axis."""
    from aptstream.simulate import Settings, draw_particles, simulate_specimen, write_specimen

    rng, settings = np.random.default_rng(7), Settings(size_nm=(18.0, 18.0, 20.0))
    particles = draw_particles(rng, settings.size_nm, volume_fraction=0.08, mean_nm=2.5, sd_nm=0.3)
    return write_specimen(simulate_specimen(rng, particles, settings), tmp_path_factory.mktemp("specimen"))


@pytest.fixture(scope="session")
def roles():
    """Species of the simulated specimen."""
    from aptstream.points import Roles

    return Roles(("Al",), ("Li", "Mg"))


@pytest.fixture(scope="session")
def model():
    """The shipped model."""
    from aptstream.model.modelfile import load_model

    return load_model("cubes")


@pytest.fixture(scope="session")
def specimen_store(specimen_files, tmp_path_factory):
    """Point store of the simulated specimen; not to be changed."""
    from aptstream.cloud import ingest

    out = tmp_path_factory.mktemp("store") / "points.zarr"
    return ingest(specimen_files.pos, ranges=specimen_files.rrng, out=out)


@pytest.fixture(scope="session")
def specimen_scan(specimen_store, model, roles, tmp_path_factory):
    """Scan of the simulated specimen; not to be changed."""
    from aptstream.scan import run_scan

    return run_scan(specimen_store, model, roles, out=tmp_path_factory.mktemp("scan") / "scan.zarr")


def one_layer(channels, weights, bias):
    """A grid net whose logit is a weighted sum of some channels of a voxel, by number, and a bias."""
    from aptstream.model.gridnet import GridNet, TrainedGridNet

    kernel = np.zeros((1, 1, 1, channels, 1), "f4")
    for channel, weight in weights.items():
        kernel[..., channel, 0] = weight
    mean, std = np.zeros(channels, "f4"), np.ones(channels, "f4")
    return TrainedGridNet(GridNet(channels, ((1, 1, 1),)), mean, std, (kernel, np.array([bias], "f4")))


@pytest.fixture(scope="session")
def refiner():
    """Nets in closed form: 24 · order − 4 at 1 nm, then 12 · order / S − 4 and 10 · order / S − 3.5."""
    from aptstream.model.refiner import N_FIRST, N_SECOND, Refiner

    first = one_layer(N_FIRST, {17: 24.0}, -4.0)
    second = (one_layer(N_SECOND, {18: 12.0}, -4.0), one_layer(N_SECOND, {18: 10.0}, -3.5))
    return Refiner((first,), second)


@pytest.fixture(scope="session")
def refined_model(model, refiner, tmp_path_factory):
    """The judges of the shipped model with the nets in closed form, from a file."""
    from dataclasses import replace

    from aptstream.model.modelfile import load_model, save_model

    path = tmp_path_factory.mktemp("refined") / "refined.aptmodel"
    return load_model(save_model(path, replace(model, name="refined", refiner=refiner)))


@pytest.fixture(scope="session")
def refined_scan(specimen_store, refined_model, roles, tmp_path_factory):
    """Scan of the simulated specimen with its order field, in eight tasks of a brick; not to be changed."""
    from aptstream.scan import plan, run_scan

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "choose_task", lambda *_: (16, 16, 16))
        return run_scan(specimen_store, refined_model, roles, out=tmp_path_factory.mktemp("scan") / "refined.zarr")


@pytest.fixture(scope="session")
def s3_bucket():
    """URL of a bucket on a real S3 server of this machine, found through the environment as users do it."""
    server_module = pytest.importorskip("moto.server", reason="moto comes with the extra 's3-test' only")
    pytest.importorskip("s3fs", reason="s3fs comes with the extra 'cloud' only")
    import fsspec

    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            patch.setenv(name, value)
        fsspec.filesystem("s3").mkdir("specimens")
        yield "s3://specimens"
        fsspec.get_filesystem_class("s3").clear_instance_cache()
    server.stop()


@pytest.fixture
def no_tensorflow(monkeypatch):
    """A Python in which TensorFlow is not installed."""
    real = builtins.__import__

    def refuse(name, *arguments, **keywords):
        if name.split(".")[0] in ("tensorflow", "keras"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", refuse)
    for name in [name for name in sys.modules if name.split(".")[0] in ("tensorflow", "keras")]:
        monkeypatch.delitem(sys.modules, name)
