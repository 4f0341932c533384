"""A scan that an enemy wrote, finished or half done, costs nobody memory, files elsewhere, or an endless wait."""

from __future__ import annotations

import json
import os
import shutil

import google_crc32c
import pytest
from examples import examples
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from scantasks import N_DONE, N_TASKS

from aptstream.errors import AptstreamError, StoreError
from aptstream.io.digest import canonical_json
from aptstream.io.seal import sealed, unsealed
from aptstream.report import write
from aptstream.scan import ledger, open_scan
from aptstream.scan import plan as planning
from aptstream.scan.plan import plan_scan
from aptstream.workflow import Conclusion, conclude

pytestmark = pytest.mark.usefixtures("known_scores")

HUGE = 1 << 40
AGAIN = examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
) | st.sampled_from(
    [10**400, [10**400] * 3, [0, 0, 0], [1, 1, 1], [1 << 31] * 3, [1 << 30] * 3, "../../etc", "4" * 5000]
)


@pytest.fixture(scope="module")
def plan(thin_store, model, roles):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(planning, "choose_task", lambda *_: (16, 16, 16))
        return plan_scan(thin_store, model, roles)


def edit_array(folder, name, **changes):
    file = folder / name / "zarr.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def edit_attributes(folder, **changes):
    file = folder / "zarr.json"
    group = json.loads(file.read_text())
    group["attributes"] = sealed({**unsealed(group["attributes"]), **changes})
    file.write_text(json.dumps(group))


def edit_sealed(file, **changes):
    file.write_bytes(canonical_json(sealed({**unsealed(json.loads(file.read_bytes())), **changes})))


def claim(file, n_bytes):
    """Let the chunk of a file promise to unpack to so many bytes, with right checksums."""
    content = bytearray(file.read_bytes())
    start, length = (int.from_bytes(content[at : at + 8], "little") for at in (len(content) - 20, len(content) - 12))
    content[start + 4 : start + 8] = n_bytes.to_bytes(4, "little")
    checksum = google_crc32c.value(bytes(content[start : start + length - 4]))
    content[start + length - 4 : start + length] = checksum.to_bytes(4, "little")
    file.write_bytes(content)


# Finished scans


@pytest.mark.parametrize("shape", [[1 << 31] * 3, [1 << 62] * 3, [18, 6, 1 << 40], [18, 6, 36]])
def test_a_shape_that_its_files_do_not_hold_is_refused(shape, finished):
    edit_attributes(finished, shape=shape)
    for name in ("p_4nm", "n_ions_4nm", "p_2nm", "n_ions_2nm"):
        edit_array(finished, name, shape=shape)
    with pytest.raises(StoreError, match="array 'p_4nm' lacks its chunk file"):
        open_scan(finished)


def test_chunks_beyond_all_memory_are_refused(finished):
    grid = {"name": "regular", "configuration": {"chunk_shape": [1 << 20] * 3}}
    edit_array(finished, "p_4nm", chunk_grid=grid)
    with pytest.raises(StoreError, match="at most 64 MiB"):
        open_scan(finished)


def test_a_chunk_that_would_unpack_to_a_gigabyte_is_refused_and_repaired(finished, mend, digest):
    claim(finished / "p_2nm" / "c.0.0.1", 1 << 30)
    with pytest.raises(StoreError, match="array 'p_2nm' has a chunk of another size"):
        open_scan(finished).p(2)
    assert mend() == 1
    assert open_scan(finished).digest() == digest


@pytest.mark.parametrize("name", ["p_4nm", "p_4nm/zarr.json", "p_4nm/c.0.0.0", "zarr.json"])
def test_links_out_of_a_finished_scan_are_not_followed(name, finished, tmp_path):
    shutil.move(finished / name, tmp_path / "elsewhere")
    (finished / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError):
        open_scan(finished)


@pytest.mark.parametrize("name", ["p_4nm", "zarr.json", ledger.TASKS, ledger.MARKS, ledger.PLAN])
def test_repair_writes_and_deletes_nothing_through_links(name, finished, mend, tmp_path):
    through_link(finished, name, mend, tmp_path / "elsewhere")


@pytest.mark.parametrize("name", ["p_4nm", ledger.PLAN, ledger.MARKS])
def test_going_on_writes_and_deletes_nothing_through_links(name, stopped, ask, tmp_path):
    through_link(stopped, name, ask, tmp_path / "elsewhere")


def through_link(folder, name, call, elsewhere):
    """Put a link in place of something, damage a chunk so that there is work, and see that nobody follows it."""
    if (folder / name).exists():
        shutil.move(folder / name, elsewhere)
    else:
        elsewhere.mkdir()
        (elsewhere / "precious").write_text("of somebody else")
    (folder / name).symlink_to(elsewhere)
    (folder / "p_2nm" / "c.0.0.0").unlink()
    before = contents(elsewhere)
    with pytest.raises(StoreError):
        call()
    assert contents(elsewhere) == before


def contents(path):
    return {str(p): p.read_bytes() if p.is_file() else None for p in (path, *path.rglob("*"))}


@pytest.mark.parametrize("name", ["p_4nm/c.0.0.1", "p_4nm/zarr.json"])
def test_repair_replaces_links_in_place_of_files(name, finished, mend, tmp_path, digest):
    shutil.move(finished / name, tmp_path / "elsewhere")
    before = contents(tmp_path / "elsewhere")
    (finished / name).symlink_to(tmp_path / "elsewhere")
    mend()
    assert not (finished / name).is_symlink()
    assert contents(tmp_path / "elsewhere") == before
    assert open_scan(finished).digest() == digest


class Silent:
    """Stages that say nothing."""

    def begin(self, stage):
        """Start."""

    def __call__(self, stage, done, total, unit):
        """Go on."""


def test_names_of_species_are_never_paths_nor_scripts(finished, thin_store, model, tmp_path, monkeypatch):
    monkeypatch.setattr(write, "figures", lambda _: {})
    edit_attributes(
        finished, host=["../../../Al", "Al"], solute=["/etc/passwd", "</script><script>alert(1)", "Li", "Mg"]
    )
    (tmp_path / "report").mkdir()
    conclude(Conclusion(open_scan(finished), thin_store, model), out=tmp_path / "report", stages=Silent())
    page = (tmp_path / "report" / "report.html").read_text()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report", "scan.zarr"]
    assert not any("passwd" in path.name for path in tmp_path.rglob("*"))


# The list of digests, the plan, and the marks


WRONG_CELLS = pytest.mark.parametrize(
    "cells", [[1, 1, 1], [0, 16, 16], [1 << 30] * 3, [16, 16, 80], [16, 16], "16", [1e300] * 3]
)


@WRONG_CELLS
def test_repair_refuses_tasks_that_no_planner_makes(cells, finished, mend):
    edit_sealed(finished / ledger.TASKS, task_cells=cells)
    with pytest.raises(StoreError, match=r"tasks\.json is damaged"):
        mend()


@WRONG_CELLS
def test_going_on_refuses_tasks_that_no_planner_makes(cells, stopped, ask):
    edit_sealed(stopped / ledger.PLAN, task_cells=cells)
    with pytest.raises(StoreError, match=r"plan\.json is damaged.*--fresh"):
        ask()


@given(data=st.data())
@AGAIN
def test_whatever_stands_in_a_plan_is_a_plan_or_named(data, stopped):
    content = unsealed(json.loads((stopped / ledger.PLAN).read_bytes()))
    keep = dict(content)
    content[data.draw(st.sampled_from(sorted(content)))] = data.draw(JSON)
    (stopped / "other").mkdir(exist_ok=True)
    (stopped / "other" / ledger.PLAN).write_bytes(canonical_json(sealed(content)))
    try:
        found, version = ledger.load_plan(stopped / "other")
    except AptstreamError:
        return
    assert max(found.task_cells) <= 64
    assert isinstance(version, str)
    if content == keep:
        assert found == ledger.load_plan(stopped)[0]


@given(data=st.data())
@AGAIN
def test_whatever_stands_in_the_list_of_digests_is_a_list_or_named(data, finished, plan):
    content = unsealed(json.loads((finished / ledger.TASKS).read_bytes()))
    content[data.draw(st.sampled_from([*sorted(content), "more"]))] = data.draw(JSON)
    (finished / "other").mkdir(exist_ok=True)
    (finished / "other" / ledger.TASKS).write_bytes(canonical_json(sealed(content)))
    try:
        cells, damaged = ledger.task_cells_of(finished / "other"), ledger.damaged_tasks(finished / "other", plan)
    except StoreError:
        return
    assert max(cells) <= 64
    assert len(damaged) == N_TASKS  # no array lies there


def test_the_paths_in_a_plan_lead_nowhere(stopped, ask, digest, tmp_path):
    edit_sealed(stopped / ledger.PLAN, store_path=str(tmp_path / "evil.zarr"), model_path="/dev/zero")
    assert ask().digest() == digest


def fill(file):
    file.touch()
    os.truncate(file, HUGE)  # a hole: no disk is used


WITHOUT_END = pytest.mark.parametrize(
    "harm", [fill, os.mkfifo, lambda file: file.write_text("[" * 1000), lambda file: file.write_text('{"a":' * 990)]
)


@WITHOUT_END
def test_a_list_of_digests_without_end_is_not_read(harm, finished, mend):
    (finished / ledger.TASKS).unlink()
    harm(finished / ledger.TASKS)
    with pytest.raises(StoreError, match=r"tasks\.json"):
        mend()


@WITHOUT_END
def test_a_mark_without_end_is_not_read(harm, stopped, ask, plan, digest):
    mark = next((stopped / ledger.MARKS).iterdir())
    mark.unlink()
    harm(mark)
    assert sum(whole for _, whole in ledger.done_tasks(stopped, plan)) == N_DONE - 1
    assert ask().digest() == digest


@pytest.mark.parametrize("harm", [fill, lambda file: file.write_text("[" * 5000)])
def test_a_plan_without_end_is_not_read(harm, stopped, ask):
    (stopped / ledger.PLAN).unlink()
    harm(stopped / ledger.PLAN)
    assert ledger.plan_digest(stopped) == ""
    with pytest.raises(StoreError, match=r"plan\.json.*--fresh"):
        ask()


def test_a_chunk_of_a_stopped_scan_that_would_unpack_to_a_gigabyte_is_made_again(stopped, ask, plan, digest):
    index = next(ledger.done_tasks(stopped, plan))[0]
    file = ledger.chunk_files(stopped, plan, index)[0]
    claim(file, 1 << 30)
    with pytest.raises(StoreError, match=r"another size: 1073741824 bytes instead of 16384"):
        ledger.read_task(stopped, plan, index)
    os.truncate(file, HUGE)
    with pytest.raises(StoreError, match=f"a file of {HUGE} bytes"):
        ledger.read_task(stopped, plan, index)
    assert ask().digest() == digest
