"""Scripts of the benchmark, found beside the sources; an installed package has none."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


def load(name):
    """Import a script of the benchmark under its own name, as it imports its neighbours."""
    if not (BENCH / f"{name}.py").is_file():
        pytest.skip("installed without sources")
    if str(BENCH) not in sys.path:
        sys.path.insert(0, str(BENCH))
    return importlib.import_module(name)


@pytest.fixture(scope="session")
def cases():
    """What the benchmark draws."""
    return load("cases")


@pytest.fixture(scope="session")
def specimens():
    """The generator of test specimens."""
    return load("specimens")


@pytest.fixture(scope="session")
def rivals():
    """The rival methods."""
    return load("rivals")


@pytest.fixture(scope="session")
def recognition():
    """The benchmark itself."""
    return load("bench_recognition")


@pytest.fixture(scope="session")
def bench_pole():
    """The benchmark of poles."""
    return load("bench_pole")


@pytest.fixture(scope="session")
def bench_particles():
    """The benchmark of what particles measure."""
    return load("bench_particles")


@pytest.fixture(scope="session")
def lines():
    """The form of all lines."""
    return load("lines")


@pytest.fixture(scope="session")
def history():
    """What was recorded, and how runs are held against it."""
    return load("history")


@pytest.fixture(scope="session")
def run_all():
    """What runs all benchmarks."""
    return load("run_all")


@pytest.fixture(scope="session")
def lineage():
    """The publication's way through a cube."""
    return load("lineage")
