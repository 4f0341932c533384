"""What ``--help`` says: every verb fits a screen, shows an example that it understands, and can be completed."""

from __future__ import annotations

import json
import re
import shlex

import pytest
import typer
from commands import call, done, understood
from typer.testing import CliRunner

from aptstream.cli import app

LINES, COLUMNS = 42, 100
ROOT = typer.main.get_command(app)


def verbs(command, name=()):
    """Every verb and group of verbs by its words."""
    yield name, command
    for word, below in getattr(command, "commands", {}).items():
        yield from verbs(below, (*name, word))


ALL = dict(verbs(ROOT))
LEAVES = {name: command for name, command in ALL.items() if not hasattr(command, "commands")}
by_verb = pytest.mark.parametrize("words", ALL, ids=lambda words: " ".join(words) or "aptstream")
by_leaf = pytest.mark.parametrize("words", LEAVES, ids=" ".join)


def help_of(words):
    """What ``--help`` prints on a terminal of 100 columns."""
    width = {"COLUMNS": str(COLUMNS)}
    result = CliRunner().invoke(app, [*words, "--help"], env=width)
    assert result.exit_code == 0, result.output
    return result.stdout


@by_verb
def test_the_help_of_every_verb_fits_a_screen_and_shows_an_example(words):
    text = help_of(words)
    assert len(text.splitlines()) <= LINES, text
    assert max(map(len, text.splitlines())) <= COLUMNS
    assert "Example: aptstream" in text, text


@by_verb
def test_the_example_is_a_command_that_exists(words):
    command = ALL[words]
    told = command.callback.__doc__ if command.callback is not None and command.callback.__doc__ else command.help
    examples = re.findall(r"`aptstream ([^`]+)`", " ".join(told.split()))
    assert examples
    for example in examples:
        understood(ROOT, shlex.split(example))
    assert any(example.startswith(" ".join(words)) for example in examples)


def test_an_option_that_does_not_exist_is_seen():
    with pytest.raises(AssertionError, match="--fresher"):
        understood(ROOT, shlex.split("scan R5096.zarr --fresher"))


@by_leaf
def test_a_default_that_is_told_in_words_is_the_default(words):
    for option in LEAVES[words].params:
        told = re.search(
            r"Default: ([\d. ]+)\.$|(\S+) \(the default\)|Default: (order)\.", getattr(option, "help", "") or ""
        )
        if told:
            default = option.default if isinstance(option.default, tuple) else (option.default,)
            words_of = next(filter(None, told.groups())).split()
            assert words_of == [f"{part:g}" if isinstance(part, float | int) else part for part in default]


@by_leaf
def test_every_verb_gives_its_result_as_json_too(words):
    assert "--json" in {flag for option in LEAVES[words].params for flag in option.opts}


@pytest.mark.parametrize("words", [("run",), ("scan",), ("repair",)], ids=" ".join)
def test_the_help_names_the_options_of_a_scheduler(words):
    hidden = {flag for option in LEAVES[words].params if getattr(option, "hidden", False) for flag in option.opts}
    assert hidden == {"--tls-ca", "--tls-cert", "--tls-key", "--insecure"}
    text = help_of(words)
    assert all(flag in text for flag in (*hidden, "docs/cluster.md"))


def completed(line):
    """What bash offers after Tab at the end of a line."""
    words = line.split(" ")
    asked = {"_APTSTREAM_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    return CliRunner().invoke(app, [], prog_name="aptstream", env=asked).stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("aptstream sp", ["spectrum"]),
        ("aptstream rep", ["repair", "report", "reproduce"]),
        ("aptstream run --solu", ["--solute"]),
        ("aptstream figure pole", ["pole_map", "pole_planes"]),
        ("aptstream run a.pos --model or", ["order"]),
        ("aptstream scan R.zarr --model ot", ["other.aptmodel"]),
        ("aptstream check R --model ", ["cubes", "joint", "order", "folder", "other.aptmodel"]),
        ("aptstream model show cu", ["cubes"]),
        ("aptstream figure votes fol", ["folder"]),
        ("aptstream figure votes folder/", ["folder/particles.csv"]),
        ("aptstream figure votes nowhere/", []),
    ],
)
def test_the_shell_completes_verbs_options_figures_models_and_paths(line, offered, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    for name in ("other.aptmodel", "folder/particles.csv", ".hidden"):
        (tmp_path / name).touch()
    assert sorted(completed(line)) == sorted(offered)


def test_completion_can_be_installed():
    assert "--install-completion" in help_of(())


def said(*args):
    """The JSON that a verb prints, and nothing else."""
    return json.loads(done(*args, "--json", "-"))


def test_ranges_and_models_as_json(specimen_files, model):
    told = said("ranges", specimen_files.rrng)
    assert "Li" in told["ions"]
    assert all(one["low_da"] < one["high_da"] for one in told["ranges"])
    assert "order" in said("model", "list")["models"]
    assert said("model", "show", "cubes")["sha256"] == model.digest


def test_stores_as_json(specimen_files, specimen_store, tmp_path):
    n_ions = specimen_store.n_ions
    store = tmp_path / "points.zarr"
    assert said("ingest", specimen_files.pos, "--ranges", specimen_files.rrng, "--out", store)["ions"] == n_ions
    assert said("copy", store, tmp_path / "copy.zarr")["sha256"] == specimen_store.digest()
    assert said("verify", store) == {"path": str(store), "kind": "point store", "whole": True}
    assert said("spectrum", store)["unranged peaks"] == "none"
    answer = said("scan", store, "--host", "Al", "--solute", "Li,Mg", "--out", tmp_path / "s.zarr", "--dry-run")
    assert answer["ions"] == f"{n_ions:,}"


def test_a_repaired_scan_as_json(specimen_store, specimen_scan):
    told = said("repair", specimen_scan.path, specimen_store.path, "--model", "cubes", "--workers", 0)
    assert told == {"tasks_done_again": 0}


def test_a_simulation_as_json(tmp_path):
    told = said("simulate", "--size-nm", 8, 8, 8, "--volume-fraction", 0, "--out", tmp_path / "s")
    assert told["kind"] == "simulated specimen"
    assert told["ordered particles"] == 0


def test_a_file_for_json_is_written_and_the_table_is_not_shown(specimen_files, tmp_path):
    result = call("ranges", specimen_files.rrng, "--json", tmp_path / "r.json")
    assert (result.exit_code, result.stdout) == (0, "")
    assert json.loads((tmp_path / "r.json").read_text())["ranges"]
