"""Every real file against an independent reader, ifes-apt-tc-data-modeling, number by number.

It is slow to import and gives warnings: so it runs in a process of its own, and leaves what it read in a file.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from aptstream.io import open_ions, read_ions

pytestmark = pytest.mark.slow
FILES = ("si/Si.pos", "si/Si_20k.pos", "si/Si_20k.epos", "si/Si_20k.apt", "cocrni/cocrni_ordered.csv")
READ = """
import sys
import numpy as np
from ifes_apt_tc_data_modeling.apt.apt6_reader import ReadAptFileFormat
from ifes_apt_tc_data_modeling.csv.csv_reader import ReadCsvFileFormat
from ifes_apt_tc_data_modeling.epos.epos_reader import ReadEposFileFormat
from ifes_apt_tc_data_modeling.pos.pos_reader import ReadPosFileFormat

readers = {"pos": ReadPosFileFormat, "epos": ReadEposFileFormat, "apt": ReadAptFileFormat, "csv": ReadCsvFileFormat}
found = {}
for path in sys.argv[2:]:
    reader = readers[path.rsplit(".")[-1]](path)
    found[path] = np.column_stack(
        [reader.get_reconstructed_positions().magnitude, reader.get_mass_to_charge_state_ratio().magnitude]
    )
    if path.endswith("apt"):
        for name in ("tofc", "XDet_mm", "YDet_mm", "Multiplicity"):
            found[name] = reader.get_named_quantity(name).magnitude
np.savez(sys.argv[1], **found)
"""


@pytest.fixture(scope="module")
def oracle(shared_data, tmp_path_factory):
    """What the other reader finds: ions as (n, 4) by path, and columns of the APT file by section."""
    if importlib.util.find_spec("ifes_apt_tc_data_modeling") is None:
        pytest.skip("no other reader: install the extra 'dev'")
    found = tmp_path_factory.mktemp("oracle") / "found.npz"
    paths = [str((shared_data / name).resolve()) for name in FILES]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READ, str(found), *paths],
        capture_output=True,
        text=True,
        check=False,
        cwd=found.parent,  # it leaves a log where it runs
    )
    assert done.returncode == 0, done.stderr
    return dict(np.load(found))


@pytest.mark.parametrize("name", FILES)
def test_positions_and_mass_are_the_same_bit_for_bit(oracle, shared_data, name):
    path = shared_data / name
    position, mass = read_ions(path)
    found = np.column_stack([position, mass])
    expected = oracle[str(path.resolve())]
    if name.endswith("csv"):  # it takes the first ion for names
        found = found[1:]
    assert expected.dtype == np.float32
    np.testing.assert_array_equal(found.view("u4"), np.ascontiguousarray(expected).view("u4"))


def test_columns_are_the_same(oracle, shared_data):
    columns = open_ions(shared_data / "si" / "Si_20k.apt").read(0, 20_000).columns
    names = {"tof_ns": "tofc", "det_x_mm": "XDet_mm", "det_y_mm": "YDet_mm", "ions_per_pulse": "Multiplicity"}
    assert set(columns) == set(names)
    for name, section in names.items():
        np.testing.assert_array_equal(columns[name], oracle[section])
