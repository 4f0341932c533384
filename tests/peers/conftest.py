"""Stores of this room: ions put where a test wants them, and two bricks of random ones."""

from __future__ import annotations

import numpy as np
import pytest

from aptstream.points import Range, RangeTable

TABLE = RangeTable(
    (
        Range(26, 28, (("Al", 1),)),
        Range(6, 8, (("Li", 1),)),
        Range(11, 13, (("Mg", 1),)),
        Range(83, 85, (("Cr", 1), ("O", 2))),
    )
)
MASSES = {"Al": 27, "Li": 7, "Mg": 12, "CrO2": 84, "unranged": 99}


@pytest.fixture(scope="session")
def store_of(tmp_path_factory):
    """Make a store of given positions and names."""
    from aptstream.cloud import ingest
    from aptstream.io import write_pos

    def make(position, names):
        folder = tmp_path_factory.mktemp("ions")
        write_pos(folder / "a.pos", np.asarray(position, "f4"), [MASSES[name] for name in names])
        return ingest(folder / "a.pos", ranges=TABLE, out=folder / "a.zarr")

    return make


@pytest.fixture(scope="session")
def mixed_store(store_of):
    """More than a brick along x and z, negative coordinates, ions on faces of voxels, all kinds of ions."""
    rng = np.random.default_rng(11)
    position = rng.uniform((-11, 3, -21), (9, 11, -2), (30_000, 3)).astype("f4")
    position[::5] = np.round(position[::5])
    return store_of(position, rng.choice(list(MASSES), len(position), p=[0.5, 0.2, 0.1, 0.1, 0.1]))


@pytest.fixture(scope="session")
def truth(specimen_files, specimen_store):
    """Ordered fraction of each voxel of the simulated specimen."""
    from aptstream.grid.truth import true_volumes
    from aptstream.simulate import read_truth

    return true_volumes(read_truth(specimen_files.truth), specimen_store.shape_cells, specimen_store.origin_nm).total
