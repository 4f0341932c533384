"""A damaged scan is made whole again: what is damaged is judged anew, and nothing else."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from scantasks import count_tasks, flip

from aptstream.errors import ResumeError, StoreError
from aptstream.scan import ledger, open_scan, outcomes

pytestmark = pytest.mark.usefixtures("known_scores")


@pytest.mark.parametrize("names", [("p_4nm", "n_ions_2nm"), ("n_ions_4nm", "p_2nm")])
@pytest.mark.parametrize("harm", ["flipped", "truncated", "emptied", "deleted", "described otherwise"])
def test_repair_does_what_is_damaged_again_and_nothing_else(names, harm, finished, mend, digest, monkeypatch):
    for name, chunk in zip(names, ("c.0.0.1", "c.1.0.0"), strict=True):
        file = finished / name / chunk
        {
            "flipped": lambda file=file: flip(file, 0.4),
            "truncated": lambda file=file: os.truncate(file, 30),
            "emptied": lambda file=file: os.truncate(file, 0),
            "deleted": file.unlink,
            "described otherwise": lambda file=file: (file.parent / "zarr.json").write_text("{}"),
        }[harm]()
    judged = count_tasks(monkeypatch)
    n_again = mend()
    assert n_again == (0 if harm == "described otherwise" else 2)
    assert judged == [(0, 0, 16), (16, 0, 0)][:n_again]
    assert open_scan(finished).digest() == digest
    assert mend() == 0
    assert not {ledger.PLAN, ledger.MARKS, "lease.json"} & {path.name for path in finished.iterdir()}


def test_repair_refuses_other_ions_and_models(mend, order_model):
    with pytest.raises(ResumeError, match="model digest"):
        mend(order_model)


def test_repair_that_gives_other_numbers_says_so(finished, mend, monkeypatch):
    flip(finished / "p_4nm" / "c.0.0.0")
    score = outcomes.score_brick

    def otherwise(plan, task):
        found = score(plan, task)
        return replace(found, cubes={e: replace(c, p=c.p * np.float32(0.5)) for e, c in found.cubes.items()})

    monkeypatch.setattr(outcomes, "score_brick", otherwise)
    with pytest.raises(StoreError, match="came out otherwise"):
        mend()


def test_what_an_interrupted_repair_left_is_cleared(finished, mend):
    (finished / ledger.MARKS).mkdir()
    (finished / ledger.MARKS / "0.0.0").touch()
    (finished / ledger.PLAN).write_text("{}")
    assert mend() == 0
    assert not {ledger.PLAN, ledger.MARKS} & {path.name for path in finished.iterdir()}
