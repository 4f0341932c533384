"""Specimens are simulated as files, of any material, and the same for the same seed."""

from __future__ import annotations

import json

from commands import done


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
