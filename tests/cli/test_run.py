"""What a run writes and says, alone and verb by verb."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from commands import ALLOY, SHIFT, call, digest_of, done

from aptstream.io import read_ions
from aptstream.model.modelfile import load_model


def test_a_run_says_one_json_object_on_stdout_and_the_rest_on_stderr(ran):
    out, result = ran
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert {
        *("n_ions", "n_cubes", "n_cubes_judged", "n_particles", "mean_radius_nm", "volume_fraction"),
        *("number_density_per_m3", "plane_signal", "answer", "seconds", "report"),
        *("n_false_expected", "false_volume_expected", "control_floor", "n_uncertain"),
        *(f"{name}_expected_{end}" for name in ("n_false", "false_volume") for end in ("low", "high")),
        *("n_read", "n_ranged", "n_unranged", "n_rejected", "unranged_peak_da", "unranged_peak_share"),
        *("host", "solute", "roles_guessed"),
        *("n_whole", "mean_nearest_nm"),
        *(f"{name}_{end}" for name in ("mean_radius_nm", "volume_fraction") for end in ("low", "high")),
        *(f"sd_radius_nm{end}" for end in ("", "_low", "_high")),
        *(f"{name}{end}" for name in ("number_density_1p5_per_m3",) for end in ("", "_low", "_high")),
        *(f"number_density_per_m3{end}" for end in ("_low", "_high")),
        *(
            f"{phase}_{e}{sd}_at_pct"
            for phase in ("particles", "matrix")
            for e in ("Al", "Li", "Mg")
            for sd in ("", "_sd")
        ),
    } == {name for name in answer if not name.startswith("lever_rule_")}
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
    stems = {"mass_spectrum", "cube_probabilities", "voxel_votes", "order_slices", "sizes", "particles_3d"}
    assert figures == {f"{stem}.{suffix}" for stem in stems for suffix in ("png", "pdf", "svg")}
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


def test_the_particle_table_is_exported_as_numbers(ran, tmp_path):
    out, _ = ran
    done("export", "particles", out, "--to", tmp_path / "p.h5")
    done("export", "particles", out / "particles.csv", "--to", tmp_path / "p.csv")
    assert (tmp_path / "p.csv").read_bytes() == (out / "particles.csv").read_bytes()
    with h5py.File(tmp_path / "p.h5") as file:
        assert set(file["particles"]) == set((out / "particles.csv").read_text().split("\n", 1)[0].split(","))
    refused = call("export", "particles", out / "points.zarr", "--to", tmp_path / "q.csv")
    assert refused.exit_code == 1
    assert "no particle table" in refused.stderr


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


@pytest.mark.slow
def test_roles_that_nobody_chose_are_guessed_and_the_report_says_so(ran, specimen, tmp_path, monkeypatch):
    monkeypatch.setattr("aptstream.report.write.figures", lambda _: {})  # they are looked at elsewhere
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
