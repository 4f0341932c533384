"""A thin specimen in four tasks, its scan, and one that was begun; copies of them for tests that do harm."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from scantasks import N_DONE, PLANES, SCORES, count_tasks, stop

from aptstream.cloud import ingest
from aptstream.io.lease import building_of
from aptstream.model.modelfile import load_model
from aptstream.scan import open_scan, outcomes, repair_scan, run_scan
from aptstream.scan import plan as planning
from aptstream.simulate import Settings, draw_particles, simulate_specimen, write_specimen


@pytest.fixture
def small_tasks(monkeypatch):
    """Tasks of one brick, as soon as a scan is planned."""
    monkeypatch.setattr(planning, "choose_task", lambda *_: (16, 16, 16))


@pytest.fixture
def known_scores(monkeypatch):
    """Tasks are judged, and planes measured, once for all tests that ask for the same."""
    monkeypatch.setattr(outcomes, "score_brick", SCORES)
    monkeypatch.setattr(planning, "measure_planes", PLANES)


@pytest.fixture(scope="session")
def order_model():
    """Another model than that of the scans."""
    return load_model("order")


@pytest.fixture(scope="session")
def thin_store(tmp_path_factory):
    """Point store of 18 x 6 x 20 nm, more than a brick along x and z; not to be changed."""
    rng, settings = np.random.default_rng(7), Settings(size_nm=(18.0, 6.0, 20.0))
    particles = draw_particles(rng, settings.size_nm, volume_fraction=0.08, mean_nm=2.0, sd_nm=0.3)
    folder = tmp_path_factory.mktemp("thin")
    files = write_specimen(simulate_specimen(rng, particles, settings), folder)
    return ingest(files.pos, ranges=files.rrng, out=folder / "points.zarr")


@pytest.fixture(scope="session")
def made(thin_store, model, roles, tmp_path_factory):
    """A scan that was interrupted when some tasks were done, and a finished one; not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "choose_task", lambda *_: (16, 16, 16))
        run_scan(thin_store, model, roles, out=folder / "whole.zarr")
        count_tasks(patch, lambda n: stop(KeyboardInterrupt) if n > N_DONE else None)
        with pytest.raises(KeyboardInterrupt):
            run_scan(thin_store, model, roles, out=folder / "scan.zarr")
    return folder


@pytest.fixture(scope="session")
def digest(made):
    """What every scan of the thin specimen has in common."""
    scan = open_scan(made / "whole.zarr")
    assert np.isfinite(scan.p(4)).any()
    return scan.digest()


@pytest.fixture
def finished(made, tmp_path):
    """A finished scan to do harm to."""
    return shutil.copytree(made / "whole.zarr", tmp_path / "scan.zarr")


@pytest.fixture
def stopped(made, tmp_path):
    """An interrupted scan to do harm to."""
    return shutil.copytree(building_of(made / "scan.zarr"), building_of(tmp_path / "scan.zarr"))


@pytest.fixture
def ask(thin_store, model, roles, tmp_path):
    """Scan into one place; what is begun there is gone on with."""

    def scan(**changes):
        question = {"store": thin_store, "model": model, "roles": roles, **changes}
        store, judges, who = (question.pop(name) for name in ("store", "model", "roles"))
        return run_scan(store, judges, who, out=tmp_path / "scan.zarr", **question)

    return scan


@pytest.fixture
def mend(finished, thin_store, model):
    """Repair the finished scan."""
    return lambda judges=model: repair_scan(finished, thin_store, judges)
