"""Fixtures for all rooms."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import numpy as np
import pytest

# Speed of a machine says nothing about correctness.
hypothesis.settings.register_profile("aptstream", deadline=None)
hypothesis.settings.load_profile("aptstream")


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
