"""VTK poly data: real VTK reads what we write."""

from __future__ import annotations

import numpy as np
import pytest

from aptstream.io import vtp as module
from aptstream.io import write_vtp

NAMES = ("unranged", "Al", "H₂O <&>")


def blocks(sizes):
    rng = np.random.default_rng(3)
    for n in sizes:
        columns = {
            "species": rng.integers(0, 3, n).astype("u1"),
            "m/q <Da>": rng.random(n).astype(">f4"),
            "particle": rng.integers(-9, 9, n).astype("i4"),
        }
        yield rng.normal(size=(n, 3)).astype("f4"), columns


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [[1], [4, 1, 7], [100, 100]])
def test_vtk_reads_every_point(tmp_path, monkeypatch, sizes):
    pytest.importorskip("vtk", reason="VTK comes with the extra 'dev' only")
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkIOXML import vtkXMLPolyDataReader

    monkeypatch.setattr(module, "_STEP", 5)
    n = sum(sizes)
    write_vtp(tmp_path / "a.vtp", n, blocks(sizes), species_names=NAMES)
    reader = vtkXMLPolyDataReader()
    reader.SetFileName(str(tmp_path / "a.vtp"))
    reader.Update()
    points = reader.GetOutput()
    positions, columns = zip(*blocks(sizes), strict=True)
    np.testing.assert_array_equal(vtk_to_numpy(points.GetPoints().GetData()), np.concatenate(positions))
    for name in columns[0]:
        found = vtk_to_numpy(points.GetPointData().GetArray(name))
        np.testing.assert_array_equal(found, np.concatenate([part[name] for part in columns]))
    assert points.GetNumberOfVerts() == n
    np.testing.assert_array_equal(vtk_to_numpy(points.GetVerts().GetConnectivityArray()), np.arange(n))
    np.testing.assert_array_equal(vtk_to_numpy(points.GetVerts().GetOffsetsArray()), np.arange(n + 1))
    words = points.GetFieldData().GetAbstractArray("species_names")
    assert tuple(words.GetValue(i) for i in range(words.GetNumberOfValues())) == NAMES


def test_blocks_do_not_change_the_file(tmp_path):
    ((position, columns),) = blocks([12])
    write_vtp(tmp_path / "a.vtp", 12, [(position, columns)])
    parts = [slice(0, 5), slice(5, 6), slice(6, 12)]
    write_vtp(tmp_path / "b.vtp", 12, [(position[at], {name: x[at] for name, x in columns.items()}) for at in parts])
    assert (tmp_path / "a.vtp").read_bytes() == (tmp_path / "b.vtp").read_bytes()


@pytest.mark.parametrize(
    ("n", "make", "message"),
    [
        (0, lambda p, c: [], "at least 1"),
        (3, lambda p, c: [(p, c)], "promised 3 points, at least 1, found 2"),
        (1, lambda p, c: [(p, c)], "promised 1 points, found more"),
        (2, lambda p, c: [(p, {"a": np.zeros(2, complex)})], "real numbers"),
        (2, lambda p, c: [(p, {"offsets": c["a"]})], "real numbers"),
        (2, lambda p, c: [(p, {"a": np.zeros(3, "f4")})], "needs"),
        (2, lambda p, c: [(p[:1], {"a": c["a"][:1]}), (p[1:], {"a": np.zeros(1, "f8")})], "needs"),
        (2, lambda p, c: [(p[:, :2], c)], "needs"),
    ],
)
def test_refusals_leave_nothing(tmp_path, n, make, message):
    position, columns = np.zeros((2, 3), "f4"), {"a": np.zeros(2, "f4")}
    with pytest.raises(ValueError, match=message):
        write_vtp(tmp_path / "a.vtp", n, make(position, columns))
    assert list(tmp_path.iterdir()) == []
