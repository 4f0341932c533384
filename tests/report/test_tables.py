"""The particle table as a file: fixed columns, plain numbers, whole or not at all."""

import csv

import numpy as np
import pytest

from aptstream.grid.precipitates import Precipitates
from aptstream.report.tables import particle_table, particles_csv

COLUMNS = [
    "id",
    "x_nm",
    "y_nm",
    "z_nm",
    "radius_nm",
    "n_voxels",
    "volume_nm3",
    "mean_order",
    "touches_edge",
    "uncertain",
    "n_ions",
]


def particles(n: int, ions: bool = True) -> Precipitates:
    sizes = np.arange(1, n + 1)
    counts = {"Al": 30 * sizes, "Li": 9 * sizes} if ions else {}
    return Precipitates(
        np.zeros((2, 2, 2), "i4"),
        (0, 0, 0),
        0.5,
        np.arange(3.0 * n).reshape(n, 3) - 2,
        sizes,
        np.full(n, 0.75),
        sizes % 2 == 0,
        counts,
    )


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("n", [0, 1, 700])
def test_columns_and_rows(tmp_path, n):
    path = tmp_path / "particles.csv"
    particles_csv(path, particle_table(particles(n), {"Al": np.full(n, 76.25), "Li": np.full(n, np.nan)}))
    header, *rows = read(path)
    assert header == [*COLUMNS, "Al_at_pct", "Li_at_pct"]
    assert [row[0] for row in rows] == [str(i) for i in range(1, n + 1)]
    if rows:
        expected = [
            "1",
            "-2.000",
            "-1.000",
            "0.000",
            "0.310",
            "1",
            "0.125",
            "0.7500",
            "false",
            "false",
            "39",
            "76.250",
            "",
        ]
        assert rows[0] == expected
    assert b"\r" not in path.read_bytes()


def test_uncounted_ions_are_empty():
    table = particle_table(particles(2, ions=False), {})
    assert table.columns == tuple(COLUMNS)
    assert [row[-1] for row in table.rows] == ["", ""]


def test_a_wrong_composition_is_refused():
    with pytest.raises(ValueError, match="Li for each of the 2 particles, found 3"):
        particle_table(particles(2), {"Li": np.zeros(3)})


def test_particles_of_an_aligned_specimen_say_where_they_were_before():
    table = particle_table(particles(2), {}, before_nm=np.array([[1.0, 2, 3], [4, 5, 6.5]]))
    assert table.columns[-3:] == ("reconstruction_x_nm", "reconstruction_y_nm", "reconstruction_z_nm")
    assert [row[-3:] for row in table.rows] == [("1.000", "2.000", "3.000"), ("4.000", "5.000", "6.500")]
