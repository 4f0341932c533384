"""What is done of a scan stays done: whatever dies, the same call goes on and ends with the same bytes."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scantasks import N_DONE, N_TASKS, count_tasks, flip, mark_of, stop

from aptstream.cluster import local_client
from aptstream.errors import ResumeError, StoreError, WorkerError
from aptstream.io.lease import building_of
from aptstream.points import Roles
from aptstream.scan import discard_scan, ledger, open_scan, outcomes, run, run_scan
from aptstream.scan import plan as planning
from aptstream.scan.plan import plan_scan
from aptstream.scan.score import score_brick

pytestmark = pytest.mark.usefixtures("small_tasks", "known_scores")


def test_an_interrupted_scan_goes_on_where_it_was(stopped, ask, digest, tmp_path, monkeypatch):
    assert len(list((stopped / ledger.MARKS).iterdir())) == N_DONE
    judged = count_tasks(monkeypatch)
    told = []
    scan = ask(progress=lambda *state: told.append(state))
    assert len(judged) == N_TASKS - N_DONE
    assert told[0][0] == f"{N_DONE + 1}/{N_TASKS} tasks"
    assert told[-1][1] == told[-1][2]
    assert scan.digest() == digest
    assert [path.name for path in tmp_path.iterdir()] == ["scan.zarr"]
    assert sorted(path.name for path in scan.path.iterdir()) == sorted(
        ["zarr.json", "tasks.json", *(f"{name}_{edge}nm" for name in ("p", "n_ions") for edge in (4, 2))]
    )


def test_other_workers_on_resume_cut_it_as_it_was_begun(stopped, ask, digest, monkeypatch):
    monkeypatch.setattr(planning, "choose_task", lambda *_: (32, 32, 48))
    judged = count_tasks(monkeypatch)
    assert ask().digest() == digest
    assert len(judged) == N_TASKS - N_DONE


def test_nothing_is_left_of_a_scan_of_which_nothing_is_done(ask, tmp_path, monkeypatch):
    count_tasks(monkeypatch, lambda _: stop(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        ask()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "harm",
    [
        lambda folder: mark_of(folder, 1).write_bytes(b""),
        lambda folder: mark_of(folder, 1).write_text('{"sha256": 1}'),
        lambda folder: mark_of(folder, 1).write_text("[" * 900),
        lambda folder: mark_of(folder, 1).unlink(),
        lambda folder: flip(folder / "p_2nm" / f"c.{mark_of(folder, 1).name}"),
        lambda folder: (folder / "p_4nm" / f"c.{mark_of(folder, 1).name}").unlink(),
        lambda folder: (folder / "n_ions_4nm" / f"c.{mark_of(folder, 1).name}").write_bytes(b""),
        lambda folder: os.truncate(folder / "n_ions_2nm" / f"c.{mark_of(folder, 1).name}", 40),
        lambda folder: shutil.copy(
            folder / "p_2nm" / f"c.{mark_of(folder, 0).name}", folder / "p_2nm" / f"c.{mark_of(folder, 1).name}"
        ),
    ],
    ids=["empty mark", "wrong mark", "deep mark", "no mark", "flipped", "deleted", "emptied", "truncated", "exchanged"],
)
def test_a_task_whose_mark_and_chunks_disagree_is_done_again(harm, stopped, ask, digest, monkeypatch):
    harm(stopped)
    judged = count_tasks(monkeypatch)
    assert ask().digest() == digest
    assert len(judged) == N_TASKS - N_DONE + 1


def test_an_array_whose_description_was_lost_is_taken_up_again(stopped, ask, digest):
    (stopped / "p_4nm" / "zarr.json").write_text("{")
    assert ask().digest() == digest


def test_a_damaged_plan_is_named(stopped, ask):
    flip(stopped / ledger.PLAN)
    with pytest.raises(StoreError, match=r"plan\.json.*--fresh"):
        ask()


@pytest.mark.parametrize("change", ["roles", "model", "crystal", "version"])
def test_another_question_on_resume_is_refused_and_says_what_differs(
    change, stopped, ask, model, order_model, monkeypatch
):
    changes, message = {}, ""
    if change == "roles":
        changes, message = {"roles": Roles(("Al",), ("Li",))}, r"roles \(begun with .*Mg.*now"
    elif change == "model":
        changes, message = {"model": order_model}, "model digest"
    elif change == "crystal":
        other = replace(model.crystal, a_nm=0.404)
        changes, message = {"model": model.looking_for(other)}, "crystal"
    else:
        monkeypatch.setattr(ledger, "__version__", "9.9")
        message = r"version \(begun with .*now \"9\.9\"\)"
    before = sorted(path.name for path in (stopped / ledger.MARKS).iterdir())
    with pytest.raises(ResumeError, match=message):
        ask(**changes)
    assert sorted(path.name for path in (stopped / ledger.MARKS).iterdir()) == before


def test_discarding_makes_way_for_another_question(stopped, ask, tmp_path):
    discard_scan(tmp_path / "scan.zarr")
    assert list(tmp_path.iterdir()) == []
    ask(roles=Roles(("Al",), ("Li",)))


def test_a_complete_scan_is_returned_as_it_is(finished, ask, monkeypatch):
    first = open_scan(finished)
    times = {file: file.stat().st_mtime_ns for file in first.path.rglob("*")}
    judged = count_tasks(monkeypatch)
    assert ask().digest() == first.digest()
    assert judged == []
    assert {file: file.stat().st_mtime_ns for file in first.path.rglob("*")} == times
    with pytest.raises(ResumeError, match="roles"):
        ask(roles=Roles(("Al",), ("Li",)))


def test_a_task_that_always_fails_is_named_and_the_others_are_done(ask, tmp_path, digest, monkeypatch):
    with monkeypatch.context() as patch:
        count_tasks(patch, lambda n: stop(StoreError("the third is broken.")) if n == 3 else None)
        with pytest.raises(StoreError, match=r"1 of 4 tasks failed, first task 1\.0\.0, cells \(16, 0, 0\).*third is"):
            ask()
    assert len(list((building_of(tmp_path / "scan.zarr") / ledger.MARKS).iterdir())) == N_TASKS - 1
    judged = count_tasks(monkeypatch)
    assert ask().digest() == digest
    assert judged == [(16, 0, 0)]


def test_what_is_no_error_of_ours_is_told_as_that_of_a_worker_and_not_tried_for_ever(ask, monkeypatch):
    monkeypatch.setattr(run, "HOPELESS", 3)
    judged = count_tasks(monkeypatch, lambda _: stop(MemoryError("no room")))
    with pytest.raises(WorkerError, match=r"3 of 4 tasks failed.*no room"):
        ask()
    assert len(judged) == 3


def test_a_full_disk_stops_the_scan_and_keeps_what_is_done(ask, tmp_path, digest, monkeypatch):
    with monkeypatch.context() as patch:
        judged = count_tasks(patch, lambda n: stop(OSError(errno.ENOSPC, "No space left")) if n == 3 else None)
        with pytest.raises(StoreError, match=r"disk is full: \d+ MiB are free.*kept.*same command"):
            ask()
    assert len(judged) == 3
    assert ask().digest() == digest


def test_the_same_task_twice_gives_the_same_bytes(stopped, monkeypatch):
    monkeypatch.setattr(outcomes, "score_brick", score_brick)
    (index, _) = next(ledger.done_tasks(stopped, ledger.load_plan(stopped)[0]))
    plan = ledger.load_plan(stopped)[0]
    files = ledger.chunk_files(stopped, plan, index)
    before = [file.read_bytes() for file in files]
    outcomes.run_task(str(stopped), ledger.plan_digest(stopped), index)
    assert [file.read_bytes() for file in files] == before


def test_a_task_of_a_scan_that_was_begun_anew_does_nothing(stopped):
    with pytest.raises(StoreError, match="begun anew"):
        outcomes.run_task(str(stopped), "0" * 64, (0, 0, 0))


def test_links_in_place_of_chunks_and_marks_are_not_followed(stopped, tmp_path, ask, digest, monkeypatch):
    mark = mark_of(stopped, 0)
    chunk = stopped / "p_4nm" / f"c.{mark.name}"
    (tmp_path / "elsewhere").mkdir()
    shutil.move(chunk, tmp_path / "elsewhere" / "chunk")
    chunk.symlink_to(tmp_path / "elsewhere" / "chunk")
    judged = count_tasks(monkeypatch)
    assert ask().digest() == digest
    assert len(judged) == N_TASKS - N_DONE + 1


HOLD = """
import sys
from pathlib import Path
from aptstream.io.lease import leased
with leased(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(stopped, tmp_path):
    """Another process that holds the lease until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(stopped)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,  # not the checkout: its aptstream/ has no compiled modules
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_run_on_one_output_is_refused_until_the_first_one_dies(holder, ask, digest):
    with pytest.raises(StoreError, match=rf"Another run is writing .*process {holder.pid} on"):
        ask()
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert ask().digest() == digest


@pytest.mark.cluster
def test_workers_that_die_are_replaced_and_the_bytes_are_the_same(ask, specimen_scan, specimen_store):
    rng = np.random.default_rng(5)
    with local_client(2) as client:
        killed = []

        def kill_one(*_state):
            if len(killed) < 4 and rng.random() < 0.7:
                pids = list(client.run(os.getpid, on_error="ignore").values())
                killed.append(pids[0])
                os.kill(pids[0], signal.SIGKILL)

        scan = ask(store=specimen_store, client=client, progress=kill_one)
    assert killed
    assert scan.digest() == specimen_scan.digest()


@pytest.mark.cluster
def test_a_scan_given_up_on_workers_goes_on(ask, specimen_scan, specimen_store, tmp_path):
    def give_up(*_state):
        raise KeyboardInterrupt

    with local_client(2) as client, pytest.raises(KeyboardInterrupt):
        ask(store=specimen_store, client=client, progress=give_up)
    marks = list((building_of(tmp_path / "scan.zarr") / ledger.MARKS).iterdir())
    assert marks
    assert ask(store=specimen_store).digest() == specimen_scan.digest()


def test_tasks_carry_addresses_only(thin_store, model, roles, tmp_path):
    import pickle

    plan = plan_scan(thin_store, model, roles)
    assert len(pickle.dumps((outcomes.run_task, (str(tmp_path), "0" * 64, (1, 2, 3))))) < 1000
    assert plan.task((0, 0, 0)).low == (0, 0, 0)


def test_a_scan_that_cannot_get_its_name_is_kept_and_gets_it_later(ask, tmp_path, digest, monkeypatch):
    target = tmp_path / "scan.zarr"

    def in_the_way(n):
        if n == N_TASKS:
            target.mkdir()
            (target / "precious").touch()

    with monkeypatch.context() as patch:
        count_tasks(patch, in_the_way)
        with pytest.raises(StoreError, match=r"appeared at .*scan\.zarr meanwhile.*same command again"):
            ask()
    shutil.rmtree(target)
    judged = count_tasks(monkeypatch)
    assert ask().digest() == digest
    assert judged == []


@pytest.mark.usefixtures("stopped")
@pytest.mark.parametrize("step", ["open_scan", "_publish", "tidy"])
def test_a_kill_at_the_very_end_loses_nothing(step, ask, digest, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(run, step, lambda *_: stop(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            ask()
    judged = count_tasks(monkeypatch)
    assert ask().digest() == digest
    assert judged == []
    assert [path.name for path in tmp_path.iterdir()] == ["scan.zarr"]


def test_a_late_task_of_another_question_writes_nothing(stopped, monkeypatch):
    question = ledger.plan_digest(stopped)
    plan, _ = ledger.load_plan(stopped)
    score = outcomes.score_brick

    def begun_anew(*args):
        found = score(*args)
        ledger.save_plan(stopped, replace(plan, roles=Roles(("Al",), ("Li",))))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(outcomes, "score_brick", begun_anew)
        with pytest.raises(StoreError, match="begun anew"):
            outcomes.run_task(str(stopped), question, (1, 0, 1))
    assert not ledger.chunk_files(stopped, plan, (1, 0, 1))[0].exists()


def test_a_mark_of_another_question_is_not_believed(stopped, ask, digest, monkeypatch):
    mark = mark_of(stopped, 0)
    mark.write_text(mark.read_text().replace('"plan":"', '"plan":"0'))
    judged = count_tasks(monkeypatch)
    assert ask().digest() == digest
    assert len(judged) == N_TASKS - N_DONE + 1


def test_chunks_that_change_under_the_scan_are_noticed(ask, tmp_path, monkeypatch):
    folder = building_of(tmp_path / "scan.zarr")

    def exchange(n):
        if n == N_TASKS:
            shutil.copy(folder / "p_2nm" / "c.0.0.0", folder / "p_2nm" / "c.0.0.1")

    with monkeypatch.context() as patch:
        count_tasks(patch, exchange)
        with pytest.raises(StoreError, match="another digest than its mark"):
            ask()


def test_a_store_that_is_being_made_under_the_same_name_is_left_alone(ask, tmp_path):
    other = building_of(tmp_path / "scan.zarr") / "0123456789abcdef"
    other.mkdir(parents=True)
    (other / "log").write_text("precious")
    for act in (ask, lambda: discard_scan(tmp_path / "scan.zarr")):
        with pytest.raises(StoreError, match=r"holds 0123456789abcdef, which no scan"):
            act()
    assert (other / "log").read_text() == "precious"


def test_a_scan_is_not_written_to_a_url(thin_store, model, roles, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for out in ("s3://bucket/scan.zarr", Path("s3:/bucket/scan.zarr")):
        with pytest.raises(StoreError, match="on this disk only"):
            run_scan(thin_store, model, roles, out=out)
    assert list(tmp_path.iterdir()) == []
