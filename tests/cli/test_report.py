"""The verb `report`: a result drawn anew is the same to the byte, and shows what was found beside it."""

from __future__ import annotations

import json
import shutil

import pytest
from commands import assert_one_message, call, contents, done

from aptstream.grid import find, open_grid, save_grid
from aptstream.io.lease import leased
from aptstream.runresult import open_result


@pytest.fixture(scope="module")
def copy(ran, tmp_path_factory):
    """A run whose page, tables and figures were lost, drawn anew, and what the verb said."""
    out = shutil.copytree(ran[0], tmp_path_factory.mktemp("report") / "out")
    for name in ("report.html", "particles.csv", "grid.vti"):
        (out / name).unlink()
    shutil.rmtree(out / "figures")
    return out, call("report", out, "--json", "-")


@pytest.mark.slow
def test_everything_is_the_same_to_the_byte(ran, copy):
    out, result = copy
    assert result.exit_code == 0, result.output
    again, before = json.loads(result.stdout), json.loads(ran[1].stdout)
    assert set(again["seconds"]) == {"find", "report"}
    for name in ("seconds", "report"):
        assert again.pop(name) != before.pop(name)
    assert again == before
    first, second = (
        {path.split("/out/")[1]: data for path, data in contents(folder).items()} for folder in (ran[0], out)
    )
    assert first == second


@pytest.mark.slow
def test_what_was_found_beside_it_is_on_the_page(copy):
    out, _ = copy
    done("phases", out, "--pairs", "Al-Al,Li-Li")
    said = call("report", out)
    assert said.exit_code == 0
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "<h2>Particles and matrix, species by species</h2>" in page
    assert "The wave of order stands out in the particles by" in page
    assert page.count("data:image/png") == 4  # three figures, and the picture of the view in 3D
    (out / "check").mkdir()
    told = call("report", out)
    assert "aptstream check left was made by an older version" in told.stderr
    assert "aptstream check left was made by an older version" in (out / "report.html").read_text(encoding="utf-8")
    (out / "check").rmdir()


@pytest.mark.slow
def test_a_verb_says_how_its_result_comes_onto_the_page(copy):
    said = done("phases", copy[0], "--pairs", "Al-Al")
    assert f"aptstream report {copy[0]}" in said.splitlines()[-1]


def test_a_result_that_another_process_writes_is_left_alone(ran, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("points.zarr", "scan.zarr", "grid.zarr"):
        (out / name).symlink_to(ran[0] / name)
    with leased(out):
        assert_one_message(call("report", out), "Another run is writing")
    assert not (out / "report.html").exists()


def test_what_is_no_result_is_refused(tmp_path):
    assert_one_message(call("report", tmp_path), r"holds no scan\.zarr: it is no result")


@pytest.mark.slow
def test_a_grid_that_does_not_say_what_was_decided_is_drawn_all_the_same(ran, tmp_path):
    out = shutil.copytree(ran[0], tmp_path / "out")
    result = open_result(out)
    shutil.rmtree(out / "grid.zarr")
    save_grid(out / "grid.zarr", find(result.scan, result.store, result.model))
    assert open_grid(out).decisions is None
    done("report", out)
    for name in ("particles.csv", "report.html"):
        assert (out / name).read_bytes() == (ran[0] / name).read_bytes()
