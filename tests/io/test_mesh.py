"""Triangle meshes: VTK and independent readers get back what was written."""

import numpy as np
import pytest

from aptstream.errors import FileFormatError
from aptstream.io import mesh, write_mesh

VERTICES = np.array([[0, 0, 0], [2, 0, 0], [0, 3, 0], [0, 0, 4.5]], "f4")
FACES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]], "i4")
COLUMNS = {"particle": np.array([7, 7, 8, 8], "i4"), "radius_nm": np.array([1.5, 1.5, 2, 2], ">f4")}


def written(path, columns=COLUMNS):
    write_mesh(path, VERTICES, FACES, columns)
    return path


def polydata(reader, path):
    reader.SetFileName(str(path))
    reader.Update()
    return reader.GetOutput()


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["vtp", "ply", "stl"])
def test_vtk_reads_every_triangle(tmp_path, suffix):
    pytest.importorskip("vtk", reason="VTK comes with the extra 'dev' only")
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkIOGeometry import vtkSTLReader
    from vtkmodules.vtkIOPLY import vtkPLYReader
    from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

    reader = {"vtp": vtkXMLPolyDataReader, "ply": vtkPLYReader, "stl": vtkSTLReader}[suffix]()
    found = polydata(reader, written(tmp_path / f"a.{suffix}"))
    points = vtk_to_numpy(found.GetPoints().GetData())
    faces = vtk_to_numpy(found.GetPolys().GetConnectivityArray()).reshape(-1, 3)
    np.testing.assert_array_equal(points[faces], VERTICES[FACES])
    if suffix == "vtp":
        for name, column in COLUMNS.items():
            np.testing.assert_array_equal(vtk_to_numpy(found.GetCellData().GetArray(name)), column)


def test_stl_faces_look_outwards(tmp_path, monkeypatch):
    monkeypatch.setattr(mesh, "_STEP", 3)
    data = written(tmp_path / "a.stl").read_bytes()
    assert int.from_bytes(data[80:84], "little") == 4
    rows = np.frombuffer(data[84:], [("normal", "<f4", 3), ("corner", "<f4", (3, 3)), ("attribute", "<u2")])
    np.testing.assert_array_equal(rows["corner"], VERTICES[FACES])
    outwards = rows["corner"].mean(axis=1) - VERTICES.mean(axis=0)
    assert ((rows["normal"] * outwards).sum(axis=1) > 0).all()
    np.testing.assert_allclose(np.linalg.norm(rows["normal"], axis=1), 1, rtol=1e-6)


def test_ply_holds_the_columns(tmp_path, monkeypatch):
    monkeypatch.setattr(mesh, "_STEP", 3)
    head, data = written(tmp_path / "a.ply").read_bytes().split(b"end_header\n", 1)
    assert b"element face 4\nproperty list uchar int vertex_indices\nproperty int particle\n" in head
    assert data[:48] == VERTICES.tobytes()
    rows = np.frombuffer(data[48:], [("n", "u1"), ("vertex", "<i4", 3), ("particle", "<i4"), ("radius", "<f4")])
    np.testing.assert_array_equal(rows["vertex"], FACES)
    np.testing.assert_array_equal(rows["particle"], COLUMNS["particle"])
    np.testing.assert_array_equal(rows["radius"], COLUMNS["radius_nm"])


@pytest.mark.parametrize(
    ("name", "faces", "columns", "error", "message"),
    [
        ("a.obj", FACES, {}, FileFormatError, r"'\.obj', which is not written.*\.vtp"),
        ("a.vtp", FACES, {"a": np.zeros(3)}, ValueError, "columns of length m"),
        ("a.vtp", FACES[:, :2], {}, ValueError, "faces"),
        ("a.vtp", FACES + 1, {}, ValueError, "4 vertices has a triangle with vertex 4"),
        ("a.vtp", FACES, {"a": np.zeros(4, complex)}, ValueError, "real numbers"),
        ("a.ply", FACES, {"a": np.zeros(4, "i8")}, ValueError, "real numbers"),
    ],
)
def test_refusals_leave_nothing(tmp_path, name, faces, columns, error, message):
    with pytest.raises(error, match=message):
        write_mesh(tmp_path / name, VERTICES, faces, columns)
    assert list(tmp_path.iterdir()) == []
