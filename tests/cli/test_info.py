"""What is said of files and folders: of ions, ranges, spectra, stores and models."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from commands import assert_one_message, call, digest_of, done

from aptstream import __version__
from aptstream.io import write_pos, write_rrng
from aptstream.points import Range, RangeTable


def test_the_version_is_told():
    assert done("--version") == f"{__version__}\n"


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


def test_info_says_something_of_any_file(ran, tmp_path):
    out, _ = ran
    for name, kind in (("particles.csv", "table"), ("grid.vti", "grid for ParaView"), ("report.html", "page")):
        facts = json.loads(done("info", out / name, "--json", "-"))
        assert facts["kind"] == kind
        assert facts["bytes"] == (out / name).stat().st_size
        assert facts["sha256"] == done("info", "--digest", out / name).strip()
    (tmp_path / "x.dat").write_bytes(b"1")
    assert "does not read" in done("info", tmp_path / "x.dat")


def test_json_goes_to_a_file_as_well(ran, tmp_path):
    assert done("info", ran[0], "--json", tmp_path / "facts.json") == ""
    assert json.loads((tmp_path / "facts.json").read_text())["voxels"] == "18 × 18 × 20"


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
