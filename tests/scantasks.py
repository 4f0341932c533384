"""Tasks of a scan: counted, stopped, and their files damaged."""

from __future__ import annotations

from functools import cache

from aptstream.scan import ledger, outcomes
from aptstream.scan.plan import measure_planes
from aptstream.scan.score import score_brick

#: Tasks of the thin specimen, and those of them that are done of its begun scan.
N_TASKS, N_DONE = 4, 2
#: The same, computed once: what a task gives and how the planes lie does not change, as test_run and test_resume show.
SCORES, PLANES = cache(score_brick), cache(measure_planes)


def stop(error):
    raise error


def count_tasks(monkeypatch, before=lambda _number: None):
    """Call something with its number before each task is judged; return the list of those that were."""
    judged, score = [], outcomes.score_brick

    def counted(plan, task):
        judged.append(task.low)
        before(len(judged))
        return score(plan, task)

    monkeypatch.setattr(outcomes, "score_brick", counted)
    return judged


def mark_of(folder, number):
    return sorted((folder / ledger.MARKS).iterdir())[number]


def flip(file, share=0.5):
    content = bytearray(file.read_bytes())
    content[int(share * len(content))] ^= 0x10
    file.write_bytes(content)
