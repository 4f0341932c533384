"""The particle table as a file: fixed columns, plain numbers, whole or not at all."""

import csv

import h5py
import numpy as np
import pytest

from aptstream.errors import FileFormatError
from aptstream.grid.composition import Composition
from aptstream.grid.measures import Measures
from aptstream.grid.precipitates import Precipitates
from aptstream.report.tables import particle_table, particles_csv, read_particles, write_particles

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
    particles_csv(path, particle_table(particles(n)))
    header, *rows = read(path)
    assert header == COLUMNS
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
        ]
        assert rows[0] == expected
    assert b"\r" not in path.read_bytes()


def test_uncounted_ions_are_empty():
    table = particle_table(particles(2, ions=False))
    assert table.columns == tuple(COLUMNS)
    assert [row[-1] for row in table.rows] == ["", ""]


def measured(n):
    """What particles measure: numbers that tell their column, and nothing where it is undefined."""
    column = np.arange(1.0, n + 1)
    made = Composition({"Al": 70 + column, "Li": np.full(n, np.nan)}, {"Al": column / 10, "Li": np.full(n, np.nan)})
    axes = np.tile(np.eye(3), (n, 1, 1))
    return Measures(column / 100, column, column[:, None] + [3, 2, 1], axes, column + 5, made, made, made, made, 0.3)


def test_measures_are_columns_with_units():
    table = particle_table(particles(2), measured(2))
    row = dict(zip(table.columns, table.rows[1], strict=True))
    assert {name: row[name] for name in row if name not in COLUMNS} == {
        "radius_sd_nm": "0.020",
        "guinier_nm": "2.000",
        "semi_axis_a_nm": "5.000",
        "semi_axis_b_nm": "4.000",
        "semi_axis_c_nm": "3.000",
        "nearest_nm": "7.000",
        **{f"Al{of}_at_pct": "72.000" for of in ("", "_inside")},
        **{f"Al{of}_sd_at_pct": "0.200" for of in ("", "_inside")},
        **{f"Li{of}{sd}_at_pct": "" for of in ("", "_inside") for sd in ("", "_sd")},
    }


@pytest.mark.parametrize("end", [".csv", ".parquet", ".h5"])
@pytest.mark.parametrize("n", [0, 3])
def test_every_form_reads_back_in_the_libraries_that_users_have(tmp_path, n, end):
    table = particle_table(particles(n), measured(n))
    path = tmp_path / f"p{end}"
    write_particles(path, table)
    if end == ".csv":
        assert read_particles(path) == table
        return
    if end == ".parquet":
        parquet = pytest.importorskip("pyarrow.parquet").read_table(path)
        got = {name: parquet[name].to_numpy() for name in parquet.column_names}
    else:
        with h5py.File(path) as file:
            got = {name: file["particles"][name][()] for name in file["particles"]}
    assert set(got) == set(table.columns)
    for name, values in table.values.items():
        np.testing.assert_array_equal(got[name], values)
        assert got[name].dtype == values.dtype
    if n:
        kinds = {name: values.dtype.kind for name, values in table.values.items()}
        assert (kinds["id"], kinds["touches_edge"], kinds["radius_nm"]) == ("i", "b", "f")


def test_another_ending_is_refused_and_nothing_written(tmp_path):
    with pytest.raises(FileFormatError, match=r"found p.xlsx|Found p.xlsx"):
        write_particles(tmp_path / "p.xlsx", particle_table(particles(1)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "id,x\n1\n", "id,x_nm\n1,2\n3,abc\n"])
def test_what_is_no_particle_table_is_refused(tmp_path, text):
    (tmp_path / "particles.csv").write_text(text)
    with pytest.raises(FileFormatError, match="no particle table"):
        read_particles(tmp_path)
    with pytest.raises(FileFormatError, match="no particle table"):
        read_particles(tmp_path / "missing")


def test_particles_of_an_aligned_specimen_say_where_they_were_before():
    table = particle_table(particles(2), before_nm=np.array([[1.0, 2, 3], [4, 5, 6.5]]))
    assert table.columns[-3:] == ("reconstruction_x_nm", "reconstruction_y_nm", "reconstruction_z_nm")
    assert [row[-3:] for row in table.rows] == [("1.000", "2.000", "3.000"), ("4.000", "5.000", "6.500")]
