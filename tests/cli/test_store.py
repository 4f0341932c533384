"""The verbs that look after point stores: what they write, what they say, and how they end."""

from __future__ import annotations

import shutil
import tempfile

import fsspec
import numpy as np
import pytest
from typer.testing import CliRunner

from aptstream.cli import app
from aptstream.cloud import open_store
from aptstream.grid import export_surface, find, open_grid, save_grid
from aptstream.io import read_ions, read_ranges
from aptstream.regions import Box, Sphere


def call(*args):
    """Run a verb in this process; lines are not broken."""
    return CliRunner(env={"COLUMNS": "1000"}).invoke(app, [str(arg) for arg in args])


def done(*args):
    """Run a verb that must succeed and return what it wrote to stdout."""
    result = call(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def run_folder(specimen_store, specimen_scan, model, tmp_path_factory):
    """What a run leaves, without its report."""
    folder = tmp_path_factory.mktemp("run")
    shutil.copytree(specimen_store.path, folder / "points.zarr")
    shutil.copytree(specimen_scan.path, folder / "scan.zarr")
    save_grid(folder / "grid.zarr", find(specimen_scan, specimen_store, model))
    return folder


@pytest.mark.parametrize(
    ("name", "kind"),
    [("points.zarr", "point store"), ("scan.zarr", "scan"), ("grid.zarr", "1 nm grid"), ("", "output folder")],
)
def test_verify_says_what_is_whole_and_names_what_is_not(run_folder, name, kind, tmp_path):
    copy = shutil.copytree(run_folder, tmp_path / "copy")
    result = call("verify", copy / name)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{copy / name}: {kind}")
    assert "is whole" in result.stdout
    assert "verify" in result.stderr
    chunk = next((copy / (name or "scan.zarr")).glob("*/c.*"))
    content = bytearray(chunk.read_bytes())
    content[len(content) // 2] ^= 16
    chunk.write_bytes(content)
    result = call("verify", copy / name)
    assert result.exit_code == 1
    assert f"array '{chunk.parent.name}'" in result.stderr
    assert chunk.name in result.stderr
    assert result.stdout == ""


def test_verify_refuses_what_it_cannot_check(tmp_path, specimen_files):
    assert "cannot be verified" in call("verify", specimen_files.pos).stderr
    assert "no such file" in call("verify", tmp_path / "none").stderr
    assert call("verify", "memory://nothing/here.zarr").exit_code == 1


def test_copy_to_an_object_store_and_use_it_there(specimen_store, tmp_path):
    url = "memory://cli/a.zarr"
    assert specimen_store.attrs["content_digest"] in done("copy", specimen_store.path, url)
    assert f"{specimen_store.n_ions}" in done("info", url)
    assert done("info", url, "--digest").strip() == specimen_store.digest()
    assert "is whole" in done("verify", url)
    assert call("copy", specimen_store.path, url).exit_code == 1
    done("copy", url, tmp_path / "back.zarr")
    assert open_store(tmp_path / "back.zarr").digest() == specimen_store.digest()


def test_ingest_sends_a_store_to_a_url_and_leaves_nothing_here(specimen_files, specimen_store, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    url = "memory://cli/ingested.zarr"
    done("ingest", specimen_files.pos, "--ranges", specimen_files.rrng, "--out", url)
    assert open_store(url).digest() == specimen_store.digest()
    assert list(tmp_path.iterdir()) == []
    result = call("ingest", specimen_files.pos, "--ranges", specimen_files.rrng, "--out", url)
    assert result.exit_code == 1
    assert "Something stands at" in result.stderr


@pytest.mark.slow
def test_scan_and_find_take_a_url(specimen_store, specimen_scan, tmp_path):
    url = "memory://cli/scanned.zarr"
    done("copy", specimen_store.path, url)
    roles = ("--host", "Al", "--solute", "Li,Mg", "--model", "cubes", "--workers", 0)
    assert specimen_scan.digest() in done("scan", url, *roles, "--out", tmp_path / "scan.zarr")
    done("find", url, tmp_path / "scan.zarr", "--model", "cubes", "--out", tmp_path / "found")
    assert (tmp_path / "found" / "report.html").is_file()


@pytest.mark.parametrize(
    ("options", "region"),
    [
        ((), None),
        (("--box", "-3,9,2,12.5,4,16"), Box((-3, 2, 4), (9, 12.5, 16))),
        (("--sphere", "9,9,10,6.5"), Sphere((9, 9, 10), 6.5)),
    ],
)
def test_ions_are_exported(specimen_store, options, region, tmp_path):
    result = call("export", "ions", specimen_store.path, "--to", tmp_path / "a.pos", *options)
    assert result.exit_code == 0, result.output
    expected = specimen_store.query(region if region is not None else specimen_store.box)
    position, mass = read_ions(tmp_path / "a.pos")
    np.testing.assert_array_equal(position, expected.position)
    np.testing.assert_array_equal(mass, expected.mass_to_charge)
    assert f"wrote {len(mass):,} ions to" in result.stderr


def test_ions_of_particles_are_those_that_their_composition_counts(run_folder, specimen_store, tmp_path):
    to = tmp_path / "a.csv"
    done("export", "ions", run_folder / "points.zarr", "--to", to, "--particles", run_folder)
    labels = open_grid(run_folder).labels
    assert labels.max() >= 1
    heading, *rows = to.read_text().splitlines()
    assert heading == "x_nm,y_nm,z_nm,mass_to_charge_da,species,particle"
    found = np.bincount([int(row.split(",")[-1]) for row in rows], minlength=labels.max() + 1)
    counts = specimen_store.cell_counts()
    np.testing.assert_array_equal(found[1:], np.bincount(labels.ravel(), counts.ravel())[1:])


@pytest.fixture
def result(run_folder, tmp_path):
    """A folder with the grid and the table of a run; volumes in the table are no whole numbers."""
    folder = tmp_path / "result"
    shutil.copytree(run_folder / "grid.zarr", folder / "grid.zarr")
    n_voxels = np.bincount(open_grid(run_folder).labels.ravel())[1:]
    rows = [f"{number},{n},{n - 0.375:.3f}\n" for number, n in enumerate(n_voxels.tolist(), 1)]
    (folder / "particles.csv").write_text("id,n_voxels,volume_nm3\n" + "".join(rows))
    return folder


def test_surfaces_are_exported_with_the_volumes_of_the_table(result, tmp_path):
    n_voxels = np.bincount(open_grid(result).labels.ravel())[1:]
    told = call("export", "surface", result, "--to", tmp_path / "a.stl")
    assert told.exit_code == 0, told.output
    assert f"wrote {len(n_voxels)} particles" in told.stderr
    surface = export_surface(result / "grid.zarr", tmp_path / "a.vtp")
    np.testing.assert_allclose(surface.volume_nm3, n_voxels - 0.375, rtol=2e-3)
    assert b'Name="mean_order"' in (tmp_path / "a.vtp").read_bytes()
    assert (tmp_path / "a.stl").stat().st_size == 84 + 50 * len(surface.faces)


def test_surfaces_do_without_the_table_but_not_with_a_wrong_one(result, tmp_path):
    table = result / "particles.csv"
    rows = table.read_text().splitlines(keepends=True)
    table.unlink()
    surface = export_surface(result, tmp_path / "a.vtp")
    n_voxels = np.bincount(open_grid(result).labels.ravel())[1:]
    np.testing.assert_allclose(surface.volume_nm3, n_voxels, rtol=2e-3)
    for wrong in (rows[:-1], ["id\n"], ["\0"], [*rows, rows[-1]], [rows[0], *rows[1:] * 3000], [rows[0], "1,nan,1\n"]):
        table.write_text("".join(wrong))
        told = call("export", "surface", result, "--to", tmp_path / "b.vtp")
        assert told.exit_code == 1
        assert "does not belong to the grid beside it" in " ".join(told.stderr.split())
        assert not (tmp_path / "b.vtp").exists()


def test_the_ranges_come_back(specimen_store, tmp_path):
    done("export", "ranges", specimen_store.path, "--to", tmp_path / "a.rrng")
    assert read_ranges(tmp_path / "a.rrng") == specimen_store.ranges


@pytest.mark.parametrize(
    ("words", "exit_code", "message"),
    [
        (("ions", "STORE", "--to", "a.xyz"), 1, "which is not written"),
        (("ions", "STORE", "--to", "a.epos"), 1, "columns that the store"),
        (("ions", "STORE", "--to", "a.pos", "--box", "1,2,3"), 2, "expected 6 numbers"),
        (("ions", "STORE", "--to", "a.pos", "--box", "1,0,0,1,0,1"), 2, "low <= high"),
        (("ions", "STORE", "--to", "a.pos", "--sphere", "1,2,3,x"), 2, "expected 4 numbers"),
        (("ions", "STORE", "--to", "a.pos", "--sphere", "1,2,3,-1"), 2, "radius"),
        (("ions", "STORE", "--to", "a.pos", "--sphere", "1,2,3,4", "--box", "0,1,0,1,0,1"), 2, "not both"),
        (("ions", "STORE", "--to", "a.pos", "--box", "90,91,0,1,0,1"), 1, "No ion of"),
        (("ions", "STORE", "--to", "nowhere/a.pos"), 2, "there is no folder"),
        (("ions", "none.zarr", "--to", "a.pos"), 1, "There is no point store"),
        (("ions", "nosuch://none.zarr", "--to", "a.pos"), 1, "cannot be reached"),
        (("ranges", "STORE", "--to", "a.csv"), 2, "ends in .rrng"),
    ],
)
def test_what_cannot_be_exported_is_said(specimen_store, words, exit_code, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = call("export", *(specimen_store.path if word == "STORE" else word for word in words))
    assert result.exit_code == exit_code, result.output
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []


def test_info_tells_the_balance_and_the_columns(specimen_store):
    told = done("info", specimen_store.path)
    attrs = specimen_store.attrs
    balance = f"{attrs['n_read']:,} = {attrs['n_ranged']:,} ranged + {attrs['n_unranged']:,} unranged + 0 rejected"
    for words in (balance, "mass_to_charge", "bytes in", specimen_store.attrs["source"]["name"]):
        assert words in told


@pytest.fixture(autouse=True)
def empty_memory():
    """Nothing is left in memory between tests."""
    fsspec.filesystem("memory").store.clear()
