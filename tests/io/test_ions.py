"""What files of ions have in common, whatever their format."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import ionfiles
import numpy as np
import pytest

from aptstream.io import open_ions, read_ions

IONS = ionfiles.numbers(500)


@pytest.mark.parametrize("suffix", ionfiles.VALID)
def test_any_run_of_ions_from_a_copy_and_from_several_threads(tmp_path, suffix):
    path = tmp_path / f"A.B{suffix.upper()}"
    path.write_bytes(ionfiles.VALID[suffix](IONS))
    file = pickle.loads(pickle.dumps(open_ions(path)))
    assert file.n_ions == 500
    runs = np.sort(np.random.default_rng(3).integers(0, 501, (60, 2)), axis=1).tolist()
    with ThreadPoolExecutor(4) as pool:
        blocks = list(pool.map(lambda run: file.read(*run), runs))
    for (start, stop), block in zip(runs, blocks, strict=True):
        assert block.position.dtype == block.mass_to_charge.dtype == np.float32
        np.testing.assert_array_equal(block.position, IONS[start:stop, :3])
        np.testing.assert_array_equal(block.mass_to_charge, IONS[start:stop, 3])
        assert set(block.columns) == set(file.columns)
        assert all(len(column) == stop - start for column in block.columns.values())


@pytest.mark.parametrize("suffix", ionfiles.VALID)
def test_a_whole_file(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(ionfiles.VALID[suffix](IONS))
    position, mass = read_ions(path)
    np.testing.assert_array_equal(np.column_stack([position, mass]), IONS)
