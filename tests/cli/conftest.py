"""A specimen as files, what a run leaves of it, and files that are wrong."""

from __future__ import annotations

import functools
import shutil
from pathlib import Path

import numpy as np
import pytest
import typer.testing
from commands import ALLOY, SHIFT, call

from aptstream.io import read_ions, write_pos, write_rrng
from aptstream.points import Range, RangeTable


@pytest.fixture(autouse=True, scope="session")
def _built_once():
    """Typer builds the whole command line anew for every call in a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", functools.cache(typer.main.get_command))
        yield


@pytest.fixture(scope="session")
def specimen(specimen_files, tmp_path_factory):
    """The simulated specimen somewhere else in space, as files."""
    folder = tmp_path_factory.mktemp("input")
    position, mass = read_ions(specimen_files.pos)
    write_pos(folder / "specimen.pos", position + SHIFT, mass)
    shutil.copy(specimen_files.rrng, folder / "specimen.rrng")
    return folder


@pytest.fixture(scope="session")
def ran(specimen, tmp_path_factory):
    """An output folder of ``run``, and what the command said."""
    out = tmp_path_factory.mktemp("ran") / "out"
    given = (specimen / "specimen.pos", "--ranges", specimen / "specimen.rrng", *ALLOY, "--out", out)
    return out, call("run", *given, "--workers", 0, "--json", "-")


@pytest.fixture(scope="session")
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
