"""An ingest that is stopped at any point leaves no store, and the same command goes on to the same result."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from aptstream.cloud import arrange, gather, ingest, open_store
from aptstream.cloud.building import Layout
from aptstream.cloud.log import IonLog
from aptstream.errors import FileFormatError, StoreError
from aptstream.io import digest
from aptstream.io.pos import write_pos_blocks
from aptstream.points import Range, RangeTable

module = sys.modules["aptstream.cloud.ingest"]
REAL_LAYOUT, REAL_RUN_ROWS = module.LAYOUT, digest.RUN_ROWS
TABLE = RangeTable((Range(26, 28, (("Al", 1),)), Range(6, 8, (("Li", 1),))))
OTHER = RangeTable((Range(26, 28, (("Al", 1),)),))
N = 4000


#: How often progress is told of four blocks, twice, and five runs.
N_TOLD = 4 + 4 + 5


@pytest.fixture(autouse=True, scope="module")
def _small_parts():
    """Four blocks, five runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "LAYOUT", Layout(1000, 200, 2, 2))
        patch.setattr(digest, "RUN_ROWS", 800)
        yield


@pytest.fixture
def source(tmp_path):
    write_ions(tmp_path / "a.pos", N)
    return tmp_path / "a.pos"


@pytest.fixture(scope="module")
def expected(tmp_path_factory, _small_parts):
    """The digest of an ingest that nothing stopped."""
    folder = tmp_path_factory.mktemp("expected")
    write_ions(folder / "a.pos", N)
    return ingest(folder / "a.pos", ranges=TABLE, out=folder / "a.zarr").digest()


def write_ions(path, n):
    rng = np.random.default_rng(4)
    sizes = [min(n - start, 1 << 20) for start in range(0, n, 1 << 20)]
    corner = np.array([20, 20, max(7, n / 600_000)])  # few bricks, none of them absurdly dense
    write_pos_blocks(path, ((rng.uniform(-corner, corner, (k, 3)), rng.choice([7.0, 27, 50], k)) for k in sizes))


def building(out):
    return out.with_name(f".{out.name}.building")


def stopped(source, out, error, at, ranges=TABLE):
    """Ingest, and raise an error when progress is told for the nth time."""
    told = []

    def progress(*state):
        told.append(state)
        if len(told) == at:
            raise error

    with pytest.raises((type(error), StoreError)) as caught:
        ingest(source, ranges=ranges, out=out, progress=progress)
    assert not out.exists()
    assert f"What was done is kept in {building(out)}: the same command goes on" in "".join(caught.value.__notes__)
    return str(caught.value)


def finish(source, out, expected):
    store = ingest(source, ranges=TABLE, out=out)
    assert store.attrs["content_digest"] == expected
    store.verify()
    assert not building(out).exists()


@pytest.mark.parametrize("at", [1, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, 4, 5, 9, 11)), 8, N_TOLD])
def test_an_interruption_at_any_point_is_taken_up(source, tmp_path, expected, at):
    out = tmp_path / "a.zarr"
    stopped(source, out, KeyboardInterrupt(), at)
    finish(source, out, expected)


@pytest.mark.parametrize(
    ("where", "step", "nth"),
    [
        (IonLog, "write", 3),
        pytest.param(gather, "bin_ions", 1, marks=pytest.mark.slow),
        (arrange, "create_array", 1),
        pytest.param(arrange, "create_array", 3, marks=pytest.mark.slow),
        (arrange, "write_rows", 5),
        pytest.param(arrange, "sort_brick", 5, marks=pytest.mark.slow),
        (module, "complete", 1),
        pytest.param(module, "content_digest", 1, marks=pytest.mark.slow),
        pytest.param(module, "_sync_tree", 1, marks=pytest.mark.slow),
        (module, "_write_group", 1),
        (module, "open_store", 1),
    ],
)
def test_a_full_disk_at_any_step_is_taken_up(source, tmp_path, expected, where, step, nth):
    calls, original = [], getattr(where, step)

    def fail(*args, **kwargs):
        calls.append(step)
        if len(calls) == nth:
            raise OSError(28, "No space left on device")
        return original(*args, **kwargs)

    out = tmp_path / "a.zarr"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(where, step, fail)
        try:
            ingest(source, ranges=TABLE, out=out)
        except StoreError as error:
            assert "No space left on device" in str(error)
            assert "the same command goes on" in error.__notes__[0]
        except OSError:
            assert step == "open_store"  # the store is there already
    if not out.exists():
        finish(source, out, expected)
    assert open_store(out).digest() == expected
    assert not building(out).exists()


def test_nothing_is_done_twice(source, tmp_path, expected, monkeypatch):
    out, written, looked = tmp_path / "a.zarr", [], []
    write_rows, write, look = arrange.write_rows, IonLog.write, gather.check_ions
    monkeypatch.setattr(arrange, "write_rows", lambda *args: (written.append(args[1:3]), write_rows(*args)))
    monkeypatch.setattr(IonLog, "write", lambda self, *args: (written.append(args[0]), write(self, *args)))
    monkeypatch.setattr(gather, "check_ions", lambda *args: (looked.append(1), look(*args))[1])
    for at in range(1, N_TOLD - 2):  # the first pass is remembered when it is complete, and then told of once
        stopped(source, out, KeyboardInterrupt(), at)
    finish(source, out, expected)
    assert len(written) == len(set(written))
    assert len(looked) == 1 + 2 + 3 + 4 + 4


def parts_of(out):
    (folder,) = (path for path in building(out).iterdir() if path.is_dir())
    return folder


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("log", 16_000),
        ("index", 200),
        ("cells", 16_388 * 4 + 100),
        ("run-000001.json", 10),
        ("store/species/c.1", 50),
        ("store/positions/c.3.0", 200),
        *((name, None) for name in ("log", "index", "cells", "run-000002.json", "store/mass_to_charge/c.1")),
    ],
)
def test_damage_between_two_runs_is_noticed_and_redone(source, tmp_path, expected, name, place):
    out = tmp_path / "a.zarr"
    stopped(source, out, KeyboardInterrupt(), N_TOLD)  # all is written, but nothing complete
    file = parts_of(out) / name
    data = bytearray(file.read_bytes())
    if place is not None:
        data[place] ^= 4
        file.write_bytes(data)
    elif name in ("log", "index", "cells"):
        file.write_bytes(data[: len(data) // 3])
    else:
        file.unlink()
    finish(source, out, expected)


def test_damage_within_a_run_is_named_and_redone(source, tmp_path, expected):
    out = tmp_path / "a.zarr"

    def damage(stage, done, total, unit):
        if (stage, done) == ("sort", total):
            log = parts_of(out) / "log"
            data = bytearray(log.read_bytes())
            data[20_000] ^= 1
            log.write_bytes(data)

    with pytest.raises(StoreError, match="does not hold what was written to it"):
        ingest(source, ranges=TABLE, out=out, progress=damage)
    finish(source, out, expected)


@pytest.mark.parametrize("what", ["ranges", "source", "layout"])
def test_another_plan_starts_over_and_says_so(source, tmp_path, expected, caplog, monkeypatch, what):
    out = tmp_path / "a.zarr"
    other = source.with_name("b.pos")
    write_ions(other, 3000)
    if what == "layout":
        monkeypatch.setattr(module, "LAYOUT", Layout(700, 200, 2, 2))
    stopped(other if what == "source" else source, out, OSError(5, "Input/output error"), 9, OTHER)
    monkeypatch.setattr(module, "LAYOUT", Layout(1000, 200, 2, 2))
    assert not caplog.text
    finish(source, out, expected)
    assert "starting over" in caplog.text


def test_what_was_done_goes_when_the_input_turns_out_bad(source, tmp_path):
    out = tmp_path / "a.zarr"
    stopped(source, out, KeyboardInterrupt(), 2)
    record = np.fromfile(source, ">f4")
    record[5] = np.nan
    record.tofile(source)
    with pytest.raises(FileFormatError, match="y of ion 1"):
        ingest(source, ranges=TABLE, out=out)
    assert not building(out).exists()


def test_two_at_a_time_are_refused(source, tmp_path, expected):
    out, refused = tmp_path / "a.zarr", []

    def meddle(stage, done, total, unit):
        with pytest.raises(StoreError, match=r"Another run is writing .*a\.zarr"):
            ingest(source, ranges=OTHER, out=out)
        refused.append(stage)

    assert ingest(source, ranges=TABLE, out=out, progress=meddle).digest() == expected
    assert len(refused) == N_TOLD


@pytest.mark.parametrize("kind", ["file", "link", "foreign"])
def test_a_building_that_is_not_ours_is_left_alone(source, tmp_path, kind):
    place = building(tmp_path / "a.zarr")
    if kind == "file":
        place.write_text("precious")
    elif kind == "link":
        (tmp_path / "elsewhere").mkdir()
        place.symlink_to(tmp_path / "elsewhere")
    else:
        place.mkdir()
        (place / "thesis.txt").write_text("precious")
    with pytest.raises(StoreError, match="remove"):
        ingest(source, ranges=TABLE, out=tmp_path / "a.zarr")
    assert not (tmp_path / "a.zarr").exists()
    assert {"file": place, "link": tmp_path / "elsewhere", "foreign": place / "thesis.txt"}[kind].exists()


SCRIPT = """
import pathlib, resource, sys
import aptstream
from aptstream.points import Range, RangeTable
if sys.argv[3] != "0":
    resource.setrlimit(resource.RLIMIT_FSIZE, 2 * (int(sys.argv[3]),))
TABLE = RangeTable((Range(26, 28, (("Al", 1),)), Range(6, 8, (("Li", 1),))))
store = aptstream.ingest(sys.argv[1], ranges=TABLE, out=sys.argv[2])
print(store.attrs["content_digest"])
status = pathlib.Path("/proc/self/status")  # ru_maxrss knows of the parent too
print(status.read_text().split("VmHWM:")[1].split()[0] if status.exists() else 0)
"""


def start(source, out, limit=0):
    """Ingest in a process of its own, with the real sizes of parts."""
    command = [sys.executable, "-c", SCRIPT, str(source), str(out), str(limit)]
    # Not in the checkout: its aptstream/ has no compiled modules.
    folder = Path(out).parent
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)


def done(process):
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out.split()


def test_a_limit_on_files_is_an_error_and_taken_up(source, tmp_path, monkeypatch):
    process = start(source, tmp_path / "a.zarr", 40_000)
    _, err = process.communicate()
    assert process.returncode == 1
    assert "StoreError: The store" in err
    assert "File too large" in err
    assert "the same command goes on" in err
    monkeypatch.setattr(module, "LAYOUT", REAL_LAYOUT)
    monkeypatch.setattr(digest, "RUN_ROWS", REAL_RUN_ROWS)
    first = ingest(source, ranges=TABLE, out=tmp_path / "b.zarr").digest()
    finish(source, tmp_path / "a.zarr", first)


@pytest.mark.slow
def test_kills_at_random_points_do_not_show(tmp_path):
    write_ions(tmp_path / "a.pos", 5_000_000)
    out = tmp_path / "a.zarr"
    begin = time.monotonic()
    first = done(start(tmp_path / "a.pos", tmp_path / "b.zarr"))[0]
    seconds, kills, rng = time.monotonic() - begin, 0, random.Random()
    for _ in range(12):
        process = start(tmp_path / "a.pos", out)
        try:
            process.wait(rng.uniform(0.2, 1.2) * seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            kills += 1
            if out.exists():  # killed behind the end
                assert open_store(out).attrs["content_digest"] == first
                shutil.rmtree(out)
        else:
            assert done(process)[0] == first
            shutil.rmtree(out)
    assert kills
    assert done(start(tmp_path / "a.pos", out))[0] == first


@pytest.mark.slow
def test_a_full_disk_is_taken_up_when_there_is_room(tmp_path):
    write_ions(tmp_path / "a.pos", 2_000_000)
    first = done(start(tmp_path / "a.pos", tmp_path / "b.zarr"))[0]
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=62m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        (disk / "ballast").write_bytes(bytes(12 << 20))
        refused = start(tmp_path / "a.pos", disk / "a.zarr").communicate()[1]
        assert "has 0.05 GB free. Expected 0.06 GB" in refused
        (disk / "ballast").unlink()
        process = start(tmp_path / "a.pos", disk / "a.zarr")
        while process.poll() is None and not list(disk.glob(".a.zarr.building/*/index")):
            time.sleep(0.01)
        (disk / "ballast").write_bytes(bytes(20 << 20))
        assert "No space left on device" in process.communicate()[1]
        assert not (disk / "a.zarr").exists()
        assert (disk / "ballast").stat().st_size == 20 << 20
        (disk / "ballast").unlink()
        assert done(start(tmp_path / "a.pos", disk / "a.zarr"))[0] == first
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path):
    peaks = []
    for n in (4_000_000, 16_000_000):
        write_ions(tmp_path / "a.pos", n)
        peaks.append(int(done(start(tmp_path / "a.pos", tmp_path / f"{n}.zarr"))[1]) / 1024)
    if not peaks[0]:
        pytest.skip("this system does not tell the peak of a process alone")
    assert max(peaks) < 512
    assert peaks[1] < peaks[0] + 64
