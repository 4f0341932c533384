"""The verb `phases`: what it writes, what it says, and what it refuses."""

from __future__ import annotations

import csv
import json
import shutil

import pytest
from commands import call, done


@pytest.fixture(scope="module")
def shown(ran, tmp_path_factory):
    """What the verb wrote and said about the shared run."""
    out = tmp_path_factory.mktemp("phases") / "phases"
    return out, call("phases", ran[0], "--out", out)


def refuse(value):
    raise AssertionError(f"{value} in JSON")


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_table_says_where_the_period_doubles(shown):
    out, result = shown
    assert result.exit_code == 0, result.output
    for word in ("particles", "matrix", "Al–Al", "Li–Mg", "planes of the solute", "order parameter S ="):
        assert word in result.stdout
    assert {"phases", "sites", "figures"} <= set(result.stderr.split())
    stems = {"phase_zsdm", "phase_zxsdm", "sites"}
    figures = {f"{stem}.{form}" for stem in stems for form in ("png", "pdf", "svg")}
    assert {path.name for path in out.iterdir()} == figures | {
        *("phases.csv", "phases.json", "sites.csv", "particle_order.csv", "section.json")
    }
    rows = {(row["phase"], row["pair"]): row for row in rows_of(out / "phases.csv")}
    assert float(rows["particles", "Li–Li"]["doubled_significance"]) > 8
    assert float(rows["particles", "Al–Li"]["doubled_amplitude"]) < 0
    assert abs(float(rows["matrix", "Al–Al"]["doubled_significance"])) < 4.5
    assert float(rows["matrix", "Al–Al"]["spacing_nm"]) == pytest.approx(0.1432, rel=0.01)
    shares = {row["species"]: float(row["on_solute_planes"]) for row in rows_of(out / "sites.csv")}
    assert shares["Al"] < 0.5 < shares["Li"]


@pytest.mark.slow
def test_no_table_holds_what_is_no_number(shown):
    out, _ = shown
    numbers = json.loads((out / "phases.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert set(numbers["phases"]) == {"particles", "matrix"}
    assert len(numbers["particles"]) == len(rows_of(out / "particle_order.csv"))
    for name in ("phases", "sites", "particle_order"):
        for row in rows_of(out / f"{name}.csv"):
            assert not {"nan", "inf", "-inf", "None"} & set(row.values())


@pytest.mark.slow
def test_json_alone_goes_to_stdout_and_pairs_can_be_chosen(ran, tmp_path):
    given = ("phases", ran[0], "--out", tmp_path / "p", "--pairs", "Li-Li,Al-Li+Mg", "--shell", "2", "--json", "-")
    numbers = json.loads(done(*given), parse_constant=refuse)
    assert list(numbers["phases"]["matrix"]["pairs"]) == ["Li–Li", "Al–Li+Mg"]
    assert numbers["shell_nm"] == 2
    assert numbers == json.loads((tmp_path / "p" / "phases.json").read_text(encoding="utf-8"))


def test_a_sample_is_told(ran, tmp_path):
    result = call("phases", ran[0], "--out", tmp_path / "p", "--pairs", "Al-Al", "--most-ions", 20_000)
    assert result.exit_code == 0, result.output
    assert "%)" in result.stdout
    numbers = json.loads((tmp_path / "p" / "phases.json").read_text(encoding="utf-8"))
    assert 0 < numbers["phases"]["matrix"]["share_counted"] < 1


def test_what_is_wrong_is_said_in_words_and_nothing_is_written(ran, inputs, tmp_path):
    out, _ = ran
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    target = ("--out", tmp_path / "p")
    for given, words in (
        ((out, "--pairs", "Al-Cu"), "Cu"),
        ((out, "--pairs", "Al"), "dash between"),
        ((out, "--shell", "-1"), "0 to 20 nm"),
        ((out, "--shell", "20"), "no matrix"),
        ((tmp_path, *target), "no grid"),
    ):
        result = call("phases", *given, *target[: 2 if target[0] not in given else 0])
        assert result.exit_code in (1, 2), words
        assert words in " ".join(result.stderr.replace("│", " ").split())
    shutil.rmtree(copy / "points.zarr")
    assert "no store of ions" in call("phases", copy, *target).stderr
    done("ingest", inputs / "good.pos", "--ranges", inputs / "good.rrng", "--out", copy / "points.zarr")
    assert "made from ions that are not there" in call("phases", copy, *target).stderr
    shutil.rmtree(copy / "scan.zarr")
    assert "no scan" in call("phases", copy, *target).stderr
    assert not (tmp_path / "p").exists()


@pytest.mark.slow
def test_a_cut_that_keeps_nothing_leaves_no_particles(ran, tmp_path):
    out, empty = ran[0], tmp_path / "empty"
    done("find", out / "points.zarr", out / "scan.zarr", "--out", empty, "--cut", "64/64")
    for name in ("points.zarr", "scan.zarr"):
        shutil.copytree(out / name, empty / name)
    result = call("phases", empty)
    assert result.exit_code == 1
    assert "There are no particles" in result.stderr
