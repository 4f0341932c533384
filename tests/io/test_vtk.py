"""VTK image data: real VTK reads what we write."""

from __future__ import annotations

import numpy as np
import pytest

from aptstream.io import write_vti


@pytest.mark.slow
def test_vtk_reads_every_voxel_where_it_belongs(tmp_path):
    pytest.importorskip("vtk", reason="VTK comes with the extra 'dev' only")
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkIOXML import vtkXMLImageDataReader

    rng = np.random.default_rng(1)
    shape = (3, 4, 5)
    grids = {
        "mean <&\"'>": rng.random(shape).astype(">f4"),
        "total": rng.random(shape),
        "count": rng.integers(0, 65, shape).astype("u1"),
        "label": np.asfortranarray(rng.integers(-9, 9, shape).astype("i8")),
        "inside": rng.random(shape) < 0.5,
    }
    path = tmp_path / "grid.vti"
    write_vti(path, grids, origin_nm=(0.5, -2, -75), voxel_nm=(1, 1, 0.5))
    reader = vtkXMLImageDataReader()
    reader.SetFileName(str(path))
    reader.Update()
    image = reader.GetOutput()
    assert image.GetDimensions() == (4, 5, 6)
    assert (image.GetOrigin(), image.GetSpacing()) == ((0.5, -2.0, -75.0), (1.0, 1.0, 0.5))
    assert image.GetCellData().GetScalars().GetName() == "mean <&\"'>"
    for name, grid in grids.items():
        found = vtk_to_numpy(image.GetCellData().GetArray(name)).reshape(shape, order="F")
        np.testing.assert_array_equal(found, grid)


def test_data_stand_x_fastest_behind_their_length(tmp_path):
    grid = np.arange(6, dtype="u2").reshape(1, 2, 3)
    write_vti(tmp_path / "a.vti", {"a": grid}, origin_nm=(0, 0, 0), voxel_nm=1)
    data = (tmp_path / "a.vti").read_bytes()
    start = data.index(b"\n_") + 2
    assert data[start : start + 8] == (12).to_bytes(8, "little")
    np.testing.assert_array_equal(np.frombuffer(data[start + 8 : start + 20], "<u2"), [0, 3, 1, 4, 2, 5])


@pytest.mark.parametrize(
    ("grids", "message"),
    [
        ({}, "one shape"),
        ({"a": np.zeros((2, 2))}, "one shape"),
        ({"a": np.zeros((2, 2, 0))}, "one shape"),
        ({"a": np.zeros((2, 2, 2)), "b": np.zeros((2, 2, 3))}, "one shape"),
        ({"a": np.zeros((2, 2, 2), complex)}, "real numbers"),
    ],
)
def test_refusals_leave_nothing(tmp_path, grids, message):
    with pytest.raises(ValueError, match=message):
        write_vti(tmp_path / "a.vti", grids, origin_nm=(0, 0, 0), voxel_nm=1)
    with pytest.raises(ValueError, match="voxels above 0"):
        write_vti(tmp_path / "a.vti", {"a": np.zeros((2, 2, 2))}, origin_nm=(0, 0, 0), voxel_nm=0)
    assert list(tmp_path.iterdir()) == []
