"""One small needle for all tests of poles: its planes are searched once."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from aptstream.cloud import ingest
from aptstream.crystal import Crystal
from aptstream.io import write_pos
from aptstream.pole import find_poles
from aptstream.simulate import Cone, NeedleSettings, simulate_needle

AL = Crystal("L12", 0.405)
CONE = Cone(11.0, 2.0, 34.0)


@pytest.fixture(scope="session")
def searched(tmp_path_factory):
    """A needle with (001) planes tilted by 14°, its store, what was found, and what was told on the way."""
    settings = NeedleSettings(
        Crystal("L12", 0.405, (0, 0, 1)),
        tilt_deg=14,
        azimuth_deg=70,
        spin_deg=20,
        cone=CONE,
        dome_radius_nm=70,
        z_scale=1.02,
    )
    needle = simulate_needle(np.random.default_rng(5), settings)
    folder, told = tmp_path_factory.mktemp("needle"), []
    write_pos(folder / "ions.pos", needle.cloud.position, needle.cloud.mass_to_charge)
    store = ingest(folder / "ions.pos", ranges=settings.alloy.ranges, out=folder / "ions.zarr")
    search = find_poles(store, AL, progress=lambda stage, done, total, unit: told.append((stage, done, total)))
    return SimpleNamespace(needle=needle, store=store, search=search, told=told, pos=folder / "ions.pos")
