"""`aptstream pole`, and `run` on a needle whose planes are tilted."""

from __future__ import annotations

import json

import numpy as np
import pytest
from commands import call

from aptstream.cloud import ingest, open_store
from aptstream.io import write_pos, write_rrng
from aptstream.pole import alignment_of
from aptstream.simulate import simulate_structureless

AL = ("--crystal", "L12", "--a", 0.405)


@pytest.fixture(scope="module")
def looked(searched, tmp_path_factory):
    """What `aptstream pole` says of the needle, and what it writes."""
    folder = tmp_path_factory.mktemp("looked")
    given = (*AL, "--out", folder / "flat.zarr", "--figures", folder / "figures", "--json", "-", "--workers", 0)
    return folder, call("pole", searched.store.path, *given)


@pytest.mark.slow
def test_the_verb_says_what_was_found(searched, looked):
    _, done = looked
    assert done.exit_code == 0, done.stderr
    said, (pole,) = json.loads(done.stdout), searched.search.poles
    assert said["verdict"] == searched.search.verdict
    assert sorted(said["pole 1"]["planes"]) == sorted("(0 0 1)")
    assert said["pole 1"]["tilt_deg"] == round(pole.tilt_deg, 2)
    assert said["pole 1"]["status"] == "found"


@pytest.mark.slow
def test_the_verb_writes_the_region_with_its_planes_flat(searched, looked):
    folder, _ = looked
    flat = open_store(folder / "flat.zarr")
    assert alignment_of(flat).pole == searched.search.poles[0]
    assert alignment_of(flat).spacing_nm == pytest.approx(0.2025)
    assert flat.n_ions < searched.store.n_ions
    assert {path.name for path in (folder / "figures").glob("*.png")} == {"pole_map.png", "pole_planes.png"}


@pytest.mark.slow
def test_the_verb_does_not_write_over_anything(searched, looked):
    folder, _ = looked
    again = call("pole", searched.store.path, *AL, "--out", folder / "flat.zarr")
    assert again.exit_code == 1
    assert "flat.zarr" in again.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("--crystal", "FCC"), "lattice parameter"),
        (("--a", "0.405"), "structure"),
        (("--pole", "0,1,1"), "--crystal"),
        (("--normal", "up"), "three numbers"),
        (("--normal", "0,0,0"), "three numbers"),
        (("--crystal", "FCC", "--a", "40"), "between 0.1 and 2 nm"),
        (("--crystal", "XYZ", "--a", "0.4"), "'XYZ' is not known"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(given, said, searched):
    done = call("pole", searched.store.path, *given)
    assert done.exit_code in (1, 2)
    assert said in " ".join(done.stderr.replace("│", " ").split())


@pytest.mark.slow
def test_a_run_finds_turns_and_scans_and_its_page_says_so(searched, tmp_path):
    write_rrng(tmp_path / "ions.rrng", searched.needle.settings.alloy.ranges)
    alloy = ("--ranges", tmp_path / "ions.rrng", "--host", "Al", "--solute", "Li,Mg", "--workers", 0)
    done = call("run", searched.pos, *alloy, "--structure", "L12", "--a", 0.405, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert "planes, found with strength" in done.stderr
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "(0 0 1)" in page or "(1 0 0)" in page or "(0 1 0)" in page
    again = call("report", tmp_path / "out", "--json", tmp_path / "again.json")
    assert again.exit_code == 0, again.stderr
    assert (tmp_path / "out" / "report.html").read_text(encoding="utf-8") == page
    before = {path.name: path.read_bytes() for path in (tmp_path / "out" / "figures").glob("pole_*")}
    for name in ("pole_map", "pole_planes"):
        drawn = call("figure", name, tmp_path / "out", "--out", tmp_path / "figures")
        assert drawn.exit_code == 0, drawn.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "figures").iterdir()} == before
    as_it_is = call("run", searched.pos, *alloy, "--a", 0.405, "--no-align", "--out", tmp_path / "as-it-is")
    assert as_it_is.exit_code == 0, as_it_is.stderr
    assert not (tmp_path / "as-it-is" / "aligned.zarr").exists()


@pytest.mark.slow
def test_a_run_stops_where_there_are_no_planes(searched, tmp_path):
    specimen = simulate_structureless(np.random.default_rng(8), searched.needle.settings.cone)
    write_pos(tmp_path / "ions.pos", specimen.cloud.position, specimen.cloud.mass_to_charge)
    ranges = searched.needle.settings.alloy.ranges
    write_rrng(tmp_path / "ions.rrng", ranges)
    ingest(tmp_path / "ions.pos", ranges=ranges, out=tmp_path / "ions.zarr")
    alloy = ("--ranges", tmp_path / "ions.rrng", "--host", "Al", "--solute", "Li,Mg", "--workers", 0)
    done = call("run", tmp_path / "ions.pos", *alloy, "--a", 0.405, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "No planes were found" in done.stderr
    assert "--no-align" in done.stderr
    drawn = call("figure", "pole_planes", tmp_path / "ions.zarr", "--out", tmp_path / "a.png")
    assert drawn.exit_code == 1
    assert "There are no planes to draw. No planes were found" in drawn.stderr
    assert call("figure", "pole_map", tmp_path / "ions.zarr", "--out", tmp_path / "a.png").exit_code == 0
    looked = call("pole", tmp_path / "ions.zarr", "--workers", 0)
    assert looked.exit_code == 0
    assert "No planes were found" in " ".join(looked.stdout.split())
