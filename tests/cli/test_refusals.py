"""What a command cannot do ends with one message, and leaves what was there."""

from __future__ import annotations

import re

import pytest
from commands import ALLOY, assert_one_message, call, contents

from aptstream.cloud import open_store
from aptstream.io import write_rrng
from aptstream.points import Range, RangeTable

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


def test_roles_that_cannot_be_guessed_are_refused_before_any_work(inputs, tmp_path):
    write_rrng(tmp_path / "one.rrng", RangeTable((Range(13.2, 13.8, (("Al", 1),)), Range(1, 2, (("H", 1),)))))
    given = (inputs / "good.pos", "--ranges", tmp_path / "one.rrng", "--out", tmp_path / "out")
    message = r"cannot be guessed: found ions of Al, H.*Choose --host and --solute from the species: Al, H\."
    assert_one_message(call("run", *given, "--workers", 0), message)
    assert not (tmp_path / "out").exists()


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


def test_a_json_file_in_a_folder_that_is_not_there_is_refused_before_the_work(specimen, tmp_path):
    given = (specimen / "specimen.pos", "--ranges", specimen / "specimen.rrng", *ALLOY, "--out", tmp_path / "out")
    result = call("run", *given, "--workers", 0, "--json", tmp_path / "missing" / "x.json")
    assert result.exit_code == 2
    assert "there is no folder" in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


def test_an_unexpected_error_is_not_hidden(inputs, monkeypatch):
    def broken(*_args, **_kwargs):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("aptstream.inspection.describe", broken)
    assert isinstance(call("info", inputs / "good.pos").exception, ZeroDivisionError)
