"""The verbs that make models: from nothing to a scan with the publication's network, as a user types it."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from aptstream.cli import app
from aptstream.model.modelfile import load_model
from aptstream.scan import open_scan
from aptstream.sdm.library import open_dictionary


def done(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.parametrize(
    ("preset", "size", "n"), [("li2021", ("--images", 12), 12), ("matched", ("--specimens", 10), 270)]
)
def test_a_library_is_made_as_often_as_one_likes_with_any_threads(preset, size, n, tmp_path):
    for name, threads in (("one.zarr", 1), ("two.zarr", 2)):
        shown = done("dictionary", "--preset", preset, *size, "--threads", threads, "--out", tmp_path / name).stdout
        assert f"{n}" in shown
        assert len(open_dictionary(tmp_path / name)[0][4]) == n
    one, two = (done("info", "--digest", tmp_path / name).stdout for name in ("one.zarr", "two.zarr"))
    assert one == two


@pytest.mark.tf
@pytest.mark.slow
def test_the_publications_network_goes_from_its_library_to_a_scan(tmp_path):
    model, scan = tmp_path / "li2021.aptmodel", tmp_path / "scan.zarr"
    done("dictionary", "--preset", "li2021", "--images", 40, "--out", tmp_path / "d.zarr")
    result = done("train", tmp_path / "d.zarr", "--preset", "li2021", "--out", model)
    assert "epoch 7 of 7" in result.stderr
    assert "validation" in result.stderr
    assert "1,666,881 weights" in " ".join(done("model", "show", model).stdout.split())
    done("simulate", "--size-nm", 6, 6, 7, "--volume-fraction", 0, "--out", tmp_path / "s")
    files = tmp_path / "s" / "specimen.pos", "--ranges", tmp_path / "s" / "specimen.rrng"
    done("ingest", *files, "--out", tmp_path / "p.zarr")
    words = (tmp_path / "p.zarr", "--host", "Al", "--solute", "Li,Mg", "--model", model, "--workers", 0)
    done("scan", *words, "--out", scan)
    found = open_scan(scan)
    assert found.edges == (4,)
    assert ((found.p(4) >= 0) & (found.p(4) <= 1)).sum() == 3 * 3 * 4
    out = tmp_path / "found"
    told = done("find", tmp_path / "p.zarr", scan, "--model", model, "--out", out, "--json", "-").stdout
    assert json.loads(told)["n_particles"] >= 0
    assert load_model(model).cut == 62 / 64
