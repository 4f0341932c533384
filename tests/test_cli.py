"""The command line: what it writes, what it says, and how it ends."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from aptstream import __version__
from aptstream.cli import app
from aptstream.cloud import open_store
from aptstream.io import read_ions, write_pos, write_rrng
from aptstream.model.modelfile import load_model
from aptstream.points import Range, RangeTable

ALLOY = ("--host", "Al", "--solute", "Li,Mg")
#: From the specimen's own coordinates to those of the file that is given to ``run``: whole nm, so cells stay the same.
SHIFT = np.array([-30, 12, -64], dtype="f4")


def call(*args):
    """Run a verb in this process."""
    return CliRunner().invoke(app, [str(arg) for arg in args])


def done(*args):
    """Run a verb that must succeed and return what it wrote to stdout."""
    result = call(*args)
    assert result.exit_code == 0, result.output
    return result.stdout


def contents(*folders):
    """Every file of some folders, byte for byte."""
    return {
        str(path): path.read_bytes() if path.is_file() else None for folder in folders for path in folder.rglob("*")
    }


@pytest.fixture(scope="module")
def specimen(specimen_files, tmp_path_factory):
    """The simulated specimen somewhere else in space, as files."""
    folder = tmp_path_factory.mktemp("input")
    position, mass = read_ions(specimen_files.pos)
    write_pos(folder / "specimen.pos", position + SHIFT, mass)
    shutil.copy(specimen_files.rrng, folder / "specimen.rrng")
    return folder


@pytest.fixture(scope="module")
def ran(specimen, tmp_path_factory):
    """An output folder of ``run``, and what the command said."""
    out = tmp_path_factory.mktemp("ran") / "out"
    given = (specimen / "specimen.pos", "--ranges", specimen / "specimen.rrng", *ALLOY, "--out", out)
    return out, call("run", *given, "--workers", 0, "--json", "-")


# What a run leaves and says


def test_a_run_says_one_json_object_on_stdout_and_the_rest_on_stderr(ran):
    out, result = ran
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert {
        *("n_ions", "n_cubes", "n_cubes_judged", "n_particles", "mean_radius_nm", "volume_fraction"),
        *("number_density_per_m3", "plane_signal", "answer", "seconds", "report"),
        *("n_false_expected", "false_volume_expected", "control_floor", "n_uncertain"),
        *("n_read", "n_ranged", "n_unranged", "n_rejected", "unranged_peak_da", "unranged_peak_share"),
        *("host", "solute", "roles_guessed"),
    } == set(answer)
    assert answer["n_read"] == answer["n_ranged"] + answer["n_unranged"] + answer["n_rejected"]
    assert (answer["host"], answer["solute"], answer["roles_guessed"]) == ("Al", "Li, Mg", False)
    assert answer["n_cubes"] == 15 * 15 * 17
    assert answer["n_particles"] > 3
    assert 1.5 < answer["mean_radius_nm"] < 3.5
    assert set(answer["seconds"]) == {"ingest", "scan", "find", "report"}
    assert all(seconds >= 0 for seconds in answer["seconds"].values())
    assert Path(answer["report"]) == out / "report.html"
    for word in ("model order", "host Al", "solute Li, Mg", "normal to z", "ingest", "scan", "report"):
        assert word in result.stderr


def test_a_run_writes_every_promised_file_and_nothing_half(ran):
    out, _ = ran
    names = {path.name for path in out.iterdir()}
    assert names == {"points.zarr", "scan.zarr", "grid.zarr", "grid.vti", "particles.csv", "report.html", "figures"}
    figures = {path.name for path in (out / "figures").iterdir()}
    stems = {"mass_spectrum", "cube_probabilities", "voxel_votes", "order_slices", "sizes"}
    assert figures == {f"{stem}.{suffix}" for stem in stems for suffix in ("png", "pdf")}
    assert (out / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert not list(out.rglob(".*"))


def test_the_table_of_particles_has_the_promised_columns_in_the_files_own_coordinates(ran, specimen):
    out, result = ran
    with (out / "particles.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    promised = ["id", "x_nm", "y_nm", "z_nm", "radius_nm", "n_voxels", "volume_nm3", "touches_edge", "uncertain"]
    assert [name for name in rows[0] if name in promised] == promised
    assert len(rows) == json.loads(result.stdout)["n_particles"]
    position, _ = read_ions(specimen / "specimen.pos")
    centre = np.array([[float(row[axis]) for axis in ("x_nm", "y_nm", "z_nm")] for row in rows])
    assert (centre > position.min(axis=0)).all()
    assert (centre < position.max(axis=0)).all()
    for row in rows:
        assert float(row["volume_nm3"]) == pytest.approx(int(row["n_voxels"]), abs=0.501)
        assert 4 / 3 * np.pi * float(row["radius_nm"]) ** 3 == pytest.approx(float(row["volume_nm3"]), rel=1e-2)


def test_particles_stand_where_they_were_simulated(ran, specimen_files):
    out, _ = ran
    truth = json.loads(specimen_files.truth.read_text())
    true = np.array(truth["centre_nm"]) + SHIFT
    with (out / "particles.csv").open(encoding="utf-8", newline="") as file:
        centre = np.array([[float(row[a]) for a in ("x_nm", "y_nm", "z_nm")] for row in csv.DictReader(file)])
    nearest = np.linalg.norm(centre[:, None] - true, axis=2).min(axis=1)
    # Whole particles lie within a voxel of their truth; those cut by a face of the box have another centre.
    assert np.median(nearest) < 1
    assert nearest.max() < 3


def test_the_grid_is_exported_with_the_promised_names(ran, tmp_path):
    out, _ = ran
    done("export", "grid", out, "--to", tmp_path / "a.npz")
    done("export", "grid", out / "grid.zarr", "--to", tmp_path / "b.npz")
    with np.load(tmp_path / "a.npz") as a, np.load(tmp_path / "b.npz") as b:
        assert {"order", "total", "count", "origin_nm", "voxel_nm"} <= set(a.files)
        assert a["order"].shape == a["total"].shape == a["count"].shape == (18, 18, 20)
        assert a["origin_nm"].tolist() == SHIFT.tolist()
        assert a["voxel_nm"] == 1
        assert a["total"].max() <= 64 >= a["count"].max() > 60
        np.testing.assert_array_equal(a["total"], b["total"])


def digest_of(path):
    """What ``info --digest`` says."""
    digest = done("info", "--digest", path)
    assert re.fullmatch(r"[0-9a-f]{64}\n", digest)
    return digest


def test_ingest_and_scan_one_by_one_give_the_same_digests_as_a_run(ran, specimen, tmp_path):
    points, scan = tmp_path / "points.zarr", tmp_path / "scan.zarr"
    done("ingest", specimen / "specimen.pos", "--ranges", specimen / "specimen.rrng", "--out", points)
    done("scan", points, *ALLOY, "--out", scan, "--workers", 0)
    assert digest_of(points) == digest_of(ran[0] / "points.zarr")
    assert digest_of(scan) == digest_of(ran[0] / "scan.zarr")


@pytest.mark.slow
def test_finding_particles_anew_gives_the_same_answer(ran, tmp_path):
    out, result = ran
    found = tmp_path / "found"
    answer, before = (
        json.loads(text)
        for text in (
            done("find", out / "points.zarr", out / "scan.zarr", "--out", found, "--json", "-"),
            result.stdout,
        )
    )
    for name in ("seconds", "report"):
        assert answer.pop(name) != before.pop(name)
    assert answer == before
    assert digest_of(found) == digest_of(out)
    assert (found / "particles.csv").read_bytes() == (out / "particles.csv").read_bytes()


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("points.zarr", ("point store", "specimen.pos", "Al", "Li", "Mg", "unranged", "sha256")),
        ("scan.zarr", ("scan", "4 nm cubes", "2 nm cubes", "invalid", "18 × 18 × 20")),
        ("grid.zarr", ("1 nm grid", "18 × 18 × 20", "particles")),
        (".", ("output folder of a run", "report.html")),
    ],
)
def test_info_describes_what_a_run_left(what, words, ran):
    text = done("info", ran[0] / what)
    for word in words:
        assert word in text
    assert json.loads(done("info", ran[0] / what, "--json", "-"))["kind"] in text


def test_info_describes_single_files_too(specimen, model):
    assert "ions (POS)" in done("info", specimen / "specimen.pos")
    assert "Al, Li, Mg" in done("info", specimen / "specimen.rrng")
    text = done("info", model.path)
    assert "L12 in FCC" in text
    assert text == done("model", "show", "cubes")
    assert done("model", "list") == "cubes\njoint\norder\n"
    for path in (specimen / "specimen.pos", specimen / "specimen.rrng", model.path):
        digest_of(path)


def test_json_goes_to_a_file_as_well(ran, tmp_path):
    assert done("info", ran[0], "--json", tmp_path / "facts.json") == ""
    assert json.loads((tmp_path / "facts.json").read_text())["voxels"] == "18 × 18 × 20"


def test_simulated_files_are_the_same_for_the_same_seed(tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        done("simulate", "--out", tmp_path / name, "--seed", seed, "--size-nm", 8, 8, 8, "--mean-radius-nm", 1)
    files = {name: [path.read_bytes() for path in sorted((tmp_path / name).iterdir())] for name in "abc"}
    assert len(files["a"]) == 4
    assert files["a"] == files["b"] != files["c"]


def test_any_material_is_simulated_with_its_truth(tmp_path):
    size = ("--size-nm", 12, 11, 13, "--mean-radius-nm", 1.5, "--volume-fraction", 0.05)
    for name, options, label, pole in (
        ("ni", ("--alloy", "Ni-Al", "--level", "hard", "--shape", "plate"), "L12", [0, 0, 1]),
        ("ti", ("--alloy", "Ti-Al", "--pole", "1,0,-1,0"), "D019", [1, 0, 0]),
        ("al", ("--structure", "D022", "--a-nm", 0.4, "--pole", "0,0,1", "--order", 0.5), "D022", [0, 0, 1]),
    ):
        said = done("simulate", "--out", tmp_path / name, *size, *options)
        truth = json.loads((tmp_path / name / "specimen.truth.json").read_text())
        n_ions = (tmp_path / name / "specimen.pos").stat().st_size // 16
        assert str(n_ions) in said
        assert truth["settings"]["crystal"]["label"] == label in said
        assert truth["settings"]["crystal"]["pole"] == pole
        assert len(truth["radius_nm"]) > 0
        assert truth["plate"] == [name == "ni"] * len(truth["radius_nm"])
    assert truth["settings"]["order"] == 0.5
    assert truth["settings"]["crystal"]["a_nm"] == 0.4


def test_ions_may_be_written_as_epos(tmp_path):
    for ions in ("pos", "epos"):
        done("simulate", "--out", tmp_path / ions, "--size-nm", 7, 7, 7, "--volume-fraction", 0, "--ions", ions)
    assert {path.suffix for path in (tmp_path / "epos").iterdir()} == {".epos", ".rrng", ".json", ".npz"}
    sizes = [(tmp_path / ions / f"specimen.{ions}").stat().st_size for ions in ("pos", "epos")]
    assert sizes[0] // 16 == sizes[1] // 44 > 5000


def test_the_version_is_told():
    assert done("--version") == f"{__version__}\n"


# Bad input


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, model):
    """Files that are wrong in one way each."""
    folder = tmp_path_factory.mktemp("bad")
    rng = np.random.default_rng(1)
    position, mass = rng.random((2000, 3), dtype="f4") * 8, rng.choice([13.5, 7.0], 2000).astype("f4")
    write_pos(folder / "good.pos", position, mass)
    write_pos(folder / "small.pos", position[position.max(axis=1) < 3], mass[position.max(axis=1) < 3])
    good = (folder / "good.pos").read_bytes()
    (folder / "cut.pos").write_bytes(good[:-5])
    (folder / "empty.pos").write_bytes(b"")
    for name, value in (("nan", np.nan), ("infinite", np.inf), ("huge", 1e30)):
        numbers = np.frombuffer(good, ">f4").copy()
        numbers[41] = value
        (folder / f"{name}.pos").write_bytes(numbers.tobytes())
    (folder / "table.txt").write_text("x y z\n")
    al, li = (("Al", 1),), (("Li", 1),)
    write_rrng(folder / "good.rrng", RangeTable((Range(13.2, 13.8, al), Range(6.7, 7.3, li))))
    write_rrng(folder / "far.rrng", RangeTable((Range(80, 81, al), Range(90, 91, li))))
    (folder / "none.rrng").write_text("[Ions]\nNumber=1\nIon1=Al\n[Ranges]\nNumber=0\n")
    (folder / "empty.rrng").write_bytes(b"")
    (folder / "junk.aptmodel").write_text("hello")
    shipped = Path(model.path).read_bytes()
    (folder / "cut.aptmodel").write_bytes(shipped[: len(shipped) // 2])
    flipped = bytearray(shipped)
    flipped[len(flipped) // 2] ^= 1
    (folder / "flipped.aptmodel").write_bytes(flipped)
    return folder


GOOD = {"file": "good.pos", "--ranges": "good.rrng", "--host": "Al", "--solute": "Li"}
BAD = {
    "a POS file that ends within an ion": (
        {"file": "cut.pos"},
        r"cut\.pos is not complete: it has 31995 bytes.*Expected 16 bytes per ion.*export it again",
    ),
    "an empty POS file": ({"file": "empty.pos"}, r"empty\.pos is not complete: it is empty.*Expected.*again"),
    "a missing POS file": ({"file": "missing.pos"}, r"no POS file .*missing\.pos.*Expected.*check"),
    "a file of no known kind": (
        {"file": "order.aptmodel"},
        r"order\.aptmodel has the suffix '\.aptmodel'.*Expected one of \.pos.*export",
    ),
    "a table without m/q": ({"file": "table.txt"}, r"Line 1 .*table\.txt does not hold four numbers.*Expected x, y, z"),
    "a coordinate that is NaN": (
        {"file": "nan.pos"},
        r"nan\.pos .* y of ion 10 .* is nan nm.*Expected.*export it again",
    ),
    "an infinite coordinate": ({"file": "infinite.pos"}, r"y of ion 10 .* is inf nm.*Expected finite"),
    "an absurd coordinate": ({"file": "huge.pos"}, r"y of ion 10 .*1e\+30.*Expected.*at most 1e6"),
    "a specimen smaller than a cube": ({"file": "small.pos"}, r"3 x 3 x 3 nm.*too small.*At least 4 nm.*in nm\?"),
    "ranges without a range": ({"--ranges": "none.rrng"}, r"none\.rrng holds no range.*Expected.*check"),
    "an empty range file": ({"--ranges": "empty.rrng"}, r"empty\.rrng holds no range.*Expected.*check"),
    "a missing range file": ({"--ranges": "missing.rrng"}, r"missing\.rrng cannot be read.*Expected the path"),
    "a range file of an unknown kind": ({"--ranges": "table.txt"}, r"suffix '\.txt'.*Expected one of \.rrng.*export"),
    "ranges that range nothing": (
        {"--ranges": "far.rrng"},
        r"none of the 2000 ions of good\.pos.*from 7 to 13\.5 Da, the ranges from 80 to 91 Da.*Expected.*check",
    ),
    "a host that is not in the ranges": ({"--host": "Ni"}, r"Species Ni not among.*Found: Al, Li.*Choose"),
    "a solute that is not in the ranges": ({"--solute": "Li,Sc"}, r"Species Sc not among.*Found: Al, Li.*Choose"),
    "no solute": ({"--solute": " ,"}, r"at least one host and one solute.*found host Al and solute none"),
    "a species in both roles": ({"--solute": "Al"}, r"each named once.*found host Al and solute Al"),
    "a missing model file": ({"--model": "missing.aptmodel"}, r"missing\.aptmodel cannot be read.*Check the path"),
    "a model that is not shipped": ({"--model": "nonsense"}, r"no shipped model 'nonsense'; shipped: cubes.*Give"),
    "a model file that is none": ({"--model": "junk.aptmodel"}, r"junk\.aptmodel is damaged.*Expected.*fetch it again"),
    "a model file cut short": ({"--model": "cut.aptmodel"}, r"cut\.aptmodel is damaged.*Expected.*fetch it again"),
    "a model file with a flipped bit": (
        {"--model": "flipped.aptmodel"},
        r"flipped\.aptmodel is damaged.*Expected.*again",
    ),
    "an output folder in use": ({"--out": "."}, r"in use: it holds files.*Expected a new or empty folder.*Nothing"),
    "an output folder that is a file": ({"--out": "good.pos"}, r"good\.pos is a file.*Nothing was changed"),
    "an output folder below a file": ({"--out": "good.pos/out"}, r"good\.pos/out cannot be made.*Give a path"),
}


def arguments(inputs, changes):
    """The command line of a run in which some arguments are wrong."""
    chosen = {**GOOD, **changes}
    words = [inputs / chosen.pop("file")]
    for option, value in chosen.items():
        is_path = option in ("--ranges", "--out") or value.endswith(".aptmodel")
        words += [option, inputs / value if is_path else value]
    return words


def assert_one_message(result, message):
    """One clear message on stderr, no traceback, an empty stdout."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.stderr
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("error:"))
    assert re.search(message, line), line
    assert line.endswith((".", "?")), line
    assert result.stderr.rstrip().endswith(line), "the message is the last thing said"


@pytest.mark.parametrize("case", BAD)
def test_bad_input_ends_with_one_message_and_leaves_what_was_there(case, inputs, tmp_path):
    changes, message = BAD[case]
    before = contents(inputs)
    given = arguments(inputs, {"--out": str(tmp_path / "out"), **changes})
    assert_one_message(call("run", *given, "--workers", 0), message)
    assert contents(inputs) == before
    if case != "a specimen smaller than a cube":
        assert list(tmp_path.iterdir()) == []
    else:  # what is complete stays: the point store
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["points.zarr"]
        open_store(tmp_path / "out" / "points.zarr").verify()


def test_roles_that_nobody_chose_are_guessed_and_the_report_says_so(ran, specimen, tmp_path):
    out = tmp_path / "out"
    given = (specimen / "specimen.pos", "--ranges", specimen / "specimen.rrng", "--out", out)
    result = call("run", *given, "--workers", 0, "--json", "-")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert (answer["host"], answer["solute"], answer["roles_guessed"]) == ("Al", "Li, Mg", True)
    assert "host Al; solute Li, Mg (as one) — guessed: of all atoms" in result.stderr
    assert "give --host and --solute to choose" in " ".join(result.stderr.split())
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "guessed: of all atoms" in page
    n_read, n_ranged, n_unranged = (answer[name] for name in ("n_read", "n_ranged", "n_unranged"))
    assert f"<dd>{n_read:,} = {n_ranged:,} ranged + {n_unranged:,} unranged + 0 rejected</dd>" in page
    assert "guessed" not in (ran[0] / "report.html").read_text(encoding="utf-8")
    assert digest_of(out) == digest_of(ran[0])
    result = call("scan", out / "points.zarr", "--out", tmp_path / "scan.zarr", "--workers", 0)
    assert result.exit_code == 0, result.output
    assert "solute Li, Mg (as one) — guessed" in result.stderr
    assert digest_of(tmp_path / "scan.zarr") == digest_of(ran[0] / "scan.zarr")


def test_roles_that_cannot_be_guessed_are_refused_before_any_work(inputs, tmp_path):
    write_rrng(tmp_path / "one.rrng", RangeTable((Range(13.2, 13.8, (("Al", 1),)), Range(1, 2, (("H", 1),)))))
    given = (inputs / "good.pos", "--ranges", tmp_path / "one.rrng", "--out", tmp_path / "out")
    message = r"cannot be guessed: found ions of Al, H.*Choose --host and --solute from the species: Al, H\."
    assert_one_message(call("run", *given, "--workers", 0), message)
    assert not (tmp_path / "out").exists()


def test_ingest_accounts_for_every_ion(specimen, tmp_path):
    said = done("ingest", specimen / "specimen.pos", "--ranges", specimen / "specimen.rrng", "--out", tmp_path / "p")
    (row,) = (line for line in said.splitlines() if line.startswith("ions read"))
    n_read, n_ranged, n_unranged, n_rejected = (int(n.replace(",", "")) for n in re.findall(r"[\d,]+", row))
    assert n_read == n_ranged + n_unranged + n_rejected == (specimen / "specimen.pos").stat().st_size // 16
    assert n_unranged > 0 == n_rejected


def test_ranges_are_shown_checked_and_converted(tmp_path):
    ions = "3 4\nAluminium\nAl 0.2 1 1\nO\nO 0 0 1\nnoise\nHyd 1 1 1\n--- Al O Hyd\n"
    (tmp_path / "a.rng").write_text(ions + ". 1 3 0 0 1\n. 13 14 1 0 0\n. 15.9 16.1 0 1 0\n. 70 71 2 1 0\n")
    result = call("ranges", tmp_path / "a.rng", "--to", tmp_path / "a.rrng")
    assert result.exit_code == 0, result.output
    assert "4 ranges of 4 ions from 1 to 71 Da, without overlap" in result.stdout
    for words in (r"Al +13\.0000 +14\.0000 +■ 33FFFF", r"Al2O +70\.0000", r"Hyd +1\.0000"):
        assert re.search(words, result.stdout)
    assert "the atoms of Hyd are not known" in result.stderr
    assert done("ranges", tmp_path / "a.rrng") == result.stdout
    (tmp_path / "bad.rng").write_text(ions + ". 1 3 0 0 1\n. 2 14 1 0 0\n. 15.9 16.1 0 1 0\n. 16 71 2 1 0\n")
    message = r"bad\.rng is wrong in line 10: .*overlaps that of Hyd.*in line 9 \(and so in line 12\).*Correct the line"
    assert_one_message(call("ranges", tmp_path / "bad.rng"), message)


def test_a_range_file_of_any_format_gives_the_same_store(specimen, tmp_path):
    peaks = (("Al", 13.49), ("Li", 7.02), ("Mg", 11.99))
    columns = ("1 0 0", "0 1 0", "0 0 1")
    rows = [f". {m - 0.3!r} {m + 0.3!r} {column}" for (_, m), column in zip(peaks, columns, strict=True)]
    head = [line for name, _ in peaks for line in (name, name)]
    (tmp_path / "a.rng").write_text("\n".join(["3 3", *head, "--- Al Li Mg", *rows]))
    env = ["Rev_2.0", "3 3", "Al", "Li", "Mg", *(f"{name} {m - 0.3!r} {m + 0.3!r}" for name, m in peaks)]
    (tmp_path / "a.env").write_text("\n".join(env))
    digests = set()
    for ranges in (specimen / "specimen.rrng", tmp_path / "a.rng", tmp_path / "a.env"):
        done("ingest", specimen / "specimen.pos", "--ranges", ranges, "--out", tmp_path / f"{ranges.suffix[1:]}.zarr")
        digests.add(digest_of(tmp_path / f"{ranges.suffix[1:]}.zarr"))
    assert len(digests) == 1


def test_the_mass_spectrum_is_drawn_and_its_unranged_peaks_named(tmp_path):
    rng = np.random.default_rng(1)
    mass = np.concatenate([rng.normal(13.5, 0.02, 4000), rng.normal(7, 0.02, 500), rng.normal(18.02, 0.02, 500)])
    write_pos(tmp_path / "a.pos", rng.random((5000, 3)) * 5, mass)
    write_rrng(tmp_path / "a.rrng", RangeTable((Range(13.2, 13.8, (("Al", 1),)), Range(6.7, 7.3, (("Li", 1),)))))
    done("ingest", tmp_path / "a.pos", "--ranges", tmp_path / "a.rrng", "--out", tmp_path / "points.zarr")
    said = done("spectrum", tmp_path / "points.zarr")
    assert "5,000 = 4,500 ranged + 500 unranged + 0 rejected" in said
    assert re.search(r"unranged peak 1 +18\.0\d Da, (9\.\d|10) % of all ions", said)
    for name, begin in (("a.png", b"\x89PNG"), ("a.pdf", b"%PDF"), ("a.svg", b"<?xml"), ("a.csv", b"low_da,ions,")):
        done("spectrum", tmp_path, "--to", tmp_path / name)  # the folder of a run holds such a store
        assert (tmp_path / name).read_bytes().startswith(begin)
    table = np.loadtxt(tmp_path / "a.csv", delimiter=",", skiprows=1)
    assert table.shape == (40_000, 3)
    assert table[:, 1:].sum(axis=0).tolist() == [5000, 500]
    assert table[table[:, 2] > 0, 0].min() == pytest.approx(18, abs=0.2)


@pytest.mark.parametrize("missing", ["--ranges", "--host", "--solute", "--out"])
def test_a_missing_option_is_wrong_usage(missing, inputs, tmp_path):
    given = {"--ranges": inputs / "good.rrng", "--host": "Al", "--solute": "Li", "--out": tmp_path / "out"}
    del given[missing]
    result = call("run", inputs / "good.pos", *(word for pair in given.items() for word in pair))
    assert result.exit_code == 2
    assert missing in result.stderr
    assert "Traceback" not in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "exit_code", "message"),
    [
        (("ingest", "good.pos", "--ranges", "good.rrng", "--out", "good.rrng"), 1, r"stands at .*good\.rrng"),
        (("ingest", "good.pos", "--ranges", "good.rrng", "--out", "no/such/a.zarr"), 1, r"no folder .*no/such"),
        (("scan", "missing.zarr", *ALLOY, "--out", "s.zarr"), 1, r"no point store .*missing\.zarr"),
        (("find", "missing.zarr", "missing.zarr", "--out", "f"), 1, r"no scan at .*missing\.zarr"),
        (("info", "missing"), 1, r"no such file or folder .*missing"),
        (("info", "cut.pos"), 1, r"cut\.pos is not complete"),
        (("info", "."), 1, r"a folder without a zarr\.json"),
        (("info", "--digest", "."), 1, r"a folder without a zarr\.json"),
        (("export", "grid", "missing", "--to", "g.npz"), 1, r"no grid at .*missing"),
        (("export", "grid", "missing", "--to", "g.txt"), 2, r"ends in \.npz"),
        (("simulate", "--out", "s", "--size-nm", "-1", "5", "5"), 1, r"size.*found.*-1"),
        (("simulate", "--out", "s", "--size-nm", "nan", "5", "5"), 1, r"size.*found.*nan"),
        (("simulate", "--out", "good.pos"), 1, r"good\.pos is a file"),
        (("simulate", "--out", "s", "--alloy", "Unobtainium"), 1, r"no alloy 'Unobtainium'.*choose one of.*Ni-Al"),
        (("simulate", "--out", "s", "--level", "easy"), 1, r"no level 'easy'.*good, hard"),
        (("simulate", "--out", "s", "--kind", "other"), 1, r"no kind .*'other'.*clusters"),
        (("simulate", "--out", "s", "--shape", "cube"), 1, r"no shape 'cube'"),
        (("simulate", "--out", "s", "--ions", "apt"), 1, r"no ions 'apt'.*pos, epos"),
        (("simulate", "--out", "s", "--structure", "A15"), 1, r"'A15' is not known.*D019"),
        (("simulate", "--out", "s", "--pole", "0,x"), 2, r"--pole.*found '0,x'"),
        (("simulate", "--out", "s", "--pole", "1,0,-1,0"), 1, r"three indices"),
        (("simulate", "--out", "s", "--structure", "B2", "--volume-fraction", "0.3"), 1, r"of the volume take.*Choose"),
        (("dictionary", "--out", "d.zarr", "--preset", "nonsense"), 1, r"no preset 'nonsense'"),
        (("dictionary", "--out", "good.pos"), 1, r"good\.pos exists"),
        (("dictionary", "--out", "d.zarr", "--preset", "li2021", "--specimens", "20"), 2, r"given by --images"),
        (("dictionary", "--out", "d.zarr", "--preset", "matched", "--images", "20"), 2, r"given by --specimens"),
        (("train", "missing.zarr", "--out", "m.txt"), 2, r"ends in \.aptmodel"),
        (("train", "missing.zarr", "--out", "m.aptmodel", "--folds", "1"), 1, r"folds.*found"),
        (("train", "missing.zarr", "--out", "m.aptmodel", "--split", "half"), 1, r"specimen or image, found 'half'"),
        (("model", "show", "nonsense"), 1, r"no shipped model"),
        (("ranges", "missing.rng"), 1, r"missing\.rng cannot be read"),
        (("ranges", "table.txt"), 1, r"suffix '\.txt'.*one of \.rrng, \.rng, \.env"),
        (("ranges", "good.rrng", "--to", "a.rng"), 2, r"ends in \.rrng"),
        (("spectrum", "missing.zarr"), 1, r"no point store missing\.zarr"),
        (("spectrum", "missing.zarr", "--to", "a.jpg"), 2, r"ends in one of \.png"),
        (("nonsense",), 2, r"No such command 'nonsense'"),
        (("run", "good.pos", "--workers", "-1"), 2, r"--workers"),
    ],
)
def test_every_verb_refuses_what_it_cannot_do(words, exit_code, message, inputs, monkeypatch):
    monkeypatch.chdir(inputs)
    before = contents(inputs)
    result = call(*words)
    assert result.exit_code == exit_code, result.output
    assert "Traceback" not in result.output
    assert result.stdout == ""
    assert re.search(message, " ".join(result.stderr.replace("│", " ").split())), result.stderr
    assert contents(inputs) == before


def test_a_scan_of_another_kind_of_store_names_both_kinds(ran, tmp_path):
    out, _ = ran
    before = contents(out)
    assert_one_message(
        call("find", out / "points.zarr", out / "grid.zarr", "--out", tmp_path / "f"),
        r"grid\.zarr is of another kind: found 'aptstream-grid'.*expected 'aptstream-scan'.*Give",
    )
    assert_one_message(
        call("scan", out / "points.zarr", "--host", "Al", "--solute", "Li", "--out", out / "scan.zarr", "--workers", 0),
        r"scan\.zarr holds a scan that was begun otherwise; what differs: .*Give another name",
    )
    assert contents(out) == before
    assert list(tmp_path.iterdir()) == []


def test_an_unexpected_error_is_not_hidden(inputs, monkeypatch):
    def broken(*_args, **_kwargs):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("aptstream.inspection.describe", broken)
    assert isinstance(call("info", inputs / "good.pos").exception, ZeroDivisionError)


# A run that is interrupted


def interrupt(specimen, tmp_path, *, workers):
    """Start a run of a long specimen, press Ctrl-C while it scans, and return how it ended."""
    position, mass = read_ions(specimen / "specimen.pos")
    copies = [position + np.array([20 * i, 20 * j, 0], dtype="f4") for i in range(5) for j in range(3)]
    write_pos(tmp_path / "long.pos", np.concatenate(copies), np.tile(mass, len(copies)))
    out = tmp_path / "out"
    words = ["run", tmp_path / "long.pos", "--ranges", specimen / "specimen.rrng", *ALLOY, "--out", out]
    run = subprocess.Popen(
        [sys.executable, "-m", "aptstream.cli", *map(str, words), "--workers", str(workers)],
        cwd=tmp_path,  # not the checkout: its aptstream/ has no compiled modules
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        while run.poll() is None and not list(out.glob(".scan.zarr.building/done/*")):
            time.sleep(0.01)
        assert run.poll() is None, f"the run ended before it could be interrupted: {run.communicate()}"
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to all processes of the session
        stdout, stderr = run.communicate()
    finally:
        run.kill()
    return run.returncode, stdout, stderr, out


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.cluster)])
def test_ctrl_c_ends_a_scan_with_a_message_and_no_half_written_scan(workers, specimen, tmp_path):
    code, stdout, stderr, out = interrupt(specimen, tmp_path, workers=workers)
    assert code == 130, stderr
    assert stdout == ""
    assert "Traceback" not in stderr
    assert "interrupted: what was done is kept. To go on: " in stderr
    assert f"--out {out} --workers {workers}" in " ".join(stderr.split())
    assert sorted(path.name for path in out.iterdir()) == [".scan.zarr.building", "points.zarr"]
    open_store(out / "points.zarr").verify()


# Worker processes, real data, and the demonstration


@pytest.mark.cluster
def test_the_digests_of_a_run_do_not_depend_on_the_workers(ran, specimen, tmp_path):
    given = (specimen / "specimen.pos", "--ranges", specimen / "specimen.rrng", *ALLOY)
    for workers in (1, 2):
        out = tmp_path / str(workers)
        answer = json.loads(done("run", *given, "--out", out, "--workers", workers, "--json", "-"))
        assert answer["n_particles"] == json.loads(ran[1].stdout)["n_particles"]
        for what in ("points.zarr", "scan.zarr", "grid.zarr"):
            assert digest_of(out / what) == digest_of(ran[0] / what)


@pytest.mark.slow
@pytest.mark.cluster
def test_silicon_without_visible_planes_has_no_particles_and_the_report_says_why(shared_data, tmp_path):
    si = shared_data / "si"
    given = (si / "Si.pos", "--ranges", si / "Si.RRNG", "--host", "Si", "--solute", "Cr", "--out", tmp_path / "si")
    result = call("run", *given, "--workers", 2, "--json", "-")
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert (answer["n_ions"], answer["n_particles"], answer["mean_radius_nm"]) == (945_211, 0, None)
    assert "No lattice planes are visible" in answer["answer"]
    assert "No lattice planes are visible" in (tmp_path / "si" / "report.html").read_text(encoding="utf-8")
    header, *rows = (tmp_path / "si" / "particles.csv").read_text(encoding="utf-8").splitlines()
    assert header.startswith("id,x_nm,y_nm,z_nm")
    assert rows == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_demonstration_finds_what_it_hid(seed, tmp_path):
    answer = json.loads(done("demo", "--seed", seed, "--out", tmp_path / "demo", "--workers", 0, "--json", "-"))
    assert answer["recall_min_radius_nm"] == 2.0
    assert answer["precision"] >= 0.95
    assert answer["recall"] >= 0.9
    assert answer["mean_radius_nm"] == pytest.approx(answer["truth_mean_radius_nm"], rel=0.1)
    assert answer["volume_fraction"] == pytest.approx(answer["truth_volume_fraction"], rel=0.1)
    assert {"simulate", "ingest", "scan", "find", "report"} <= set(answer["seconds"])
    assert {path.suffix for path in (tmp_path / "demo").iterdir() if path.is_file()} >= {
        ".pos",
        ".rrng",
        ".html",
        ".csv",
    }
    assert load_model().digest[:12] in (tmp_path / "demo" / "report.html").read_text(encoding="utf-8")


def test_a_json_file_in_a_folder_that_is_not_there_is_refused_before_the_work(specimen, tmp_path):
    given = (specimen / "specimen.pos", "--ranges", specimen / "specimen.rrng", *ALLOY, "--out", tmp_path / "out")
    result = call("run", *given, "--workers", 0, "--json", tmp_path / "missing" / "x.json")
    assert result.exit_code == 2
    assert "there is no folder" in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


def test_a_run_that_did_not_end_goes_on_and_gives_the_same(ran, specimen, tmp_path):
    whole, _ = ran
    out = tmp_path / "out"
    out.mkdir()
    shutil.copytree(whole / "points.zarr", out / "points.zarr")
    shutil.copytree(whole / "grid.zarr", out / "grid.zarr")  # its page was never written
    given = (specimen / "specimen.pos", "--ranges", specimen / "specimen.rrng", *ALLOY, "--out", out, "--workers", 0)
    result = call("run", *given)
    assert result.exit_code == 0, result.output
    assert "the ions were taken in before" in result.stderr
    for name in ("points.zarr", "grid.zarr"):
        assert call("info", out / name, "--digest").stdout == call("info", whole / name, "--digest").stdout
    assert_one_message(call("run", *given), r"in use: it holds files")


def test_a_run_does_not_go_on_with_other_ions(ran, specimen, tmp_path):
    whole, _ = ran
    out = tmp_path / "out"
    out.mkdir()
    shutil.copytree(whole / "points.zarr", out / "points.zarr")
    position, mass = read_ions(specimen / "specimen.pos")
    write_pos(tmp_path / "other.pos", position[::-1], mass[::-1])
    given = ("--ranges", specimen / "specimen.rrng", *ALLOY, "--out", out, "--workers", 0)
    assert_one_message(call("run", tmp_path / "other.pos", *given), r"begun with other ions: .*Give another --out")


def test_info_says_something_of_any_file(ran, tmp_path):
    out, _ = ran
    for name, kind in (("particles.csv", "table"), ("grid.vti", "grid for ParaView"), ("report.html", "page")):
        facts = json.loads(done("info", out / name, "--json", "-"))
        assert facts["kind"] == kind
        assert facts["bytes"] == (out / name).stat().st_size
        assert facts["sha256"] == done("info", "--digest", out / name).strip()
    (tmp_path / "x.dat").write_bytes(b"1")
    assert "does not read" in done("info", tmp_path / "x.dat")
