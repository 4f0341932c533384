"""Fixtures for all rooms."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
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
