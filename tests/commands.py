"""What tests of the command line share: how a verb is run, and what it must say when it cannot do its work."""

from __future__ import annotations

import re

import numpy as np
from typer.testing import CliRunner

from aptstream.cli import app

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


def digest_of(path):
    """What ``info --digest`` says."""
    digest = done("info", "--digest", path)
    assert re.fullmatch(r"[0-9a-f]{64}\n", digest)
    return digest


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


def understood(command, words):
    """Hold that a command takes these words: every verb exists, and every option is its own."""
    words = list(words)
    while hasattr(command, "commands"):
        assert words, "a group of verbs needs a verb"
        if words[0].startswith("-"):
            break
        command = command.commands[words.pop(0)]
    known = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)}
    given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert given <= {*known, "--help"}, f"not options of {command.name}: {given - known}"
