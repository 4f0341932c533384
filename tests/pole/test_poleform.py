"""A search for poles as JSON: it comes back to the bit, and nothing else is taken for one."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from domed import make_pole, poles
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from aptstream.errors import FileFormatError
from aptstream.pole import PoleSearch
from aptstream.pole.identify import Identity
from aptstream.pole.poleform import search_as_json, search_from_json
from aptstream.pole.search import Candidate


def a_search(*found, seed=1):
    """A search with columns of any numbers."""
    rng = np.random.default_rng(seed)
    columns = tuple(
        Candidate(np.float32(k + 0.1), rng.uniform(1, 6, 3), -1 / 110, float(k), 0.5, np.int64(9)) for k in range(4)
    )
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    named = Identity(((0, 1, np.int64(1)),) * len(found), np.float64(0.98), 1.02, turn if len(found) > 1 else None)
    return PoleSearch(found, columns, 7.5, named if found else None)


@given(st.lists(poles(), max_size=3), st.integers(0, 99))
@examples(20)
def test_it_comes_back_to_the_bit(found, seed):
    search = a_search(*found, seed=seed)
    written = json.loads(json.dumps(search_as_json(search), allow_nan=False))
    again = search_from_json(written)
    assert (again.poles, again.best_strength, again.verdict) == (search.poles, search.best_strength, search.verdict)
    for one, other in zip(again.candidates, search.candidates, strict=True):
        np.testing.assert_array_equal(one.wave_per_nm, other.wave_per_nm)
        assert replace(one, wave_per_nm=None) == replace(other, wave_per_nm=None)
    if search.identity is not None:
        assert again.identity.families == search.identity.families
        if search.identity.orientation is not None:
            np.testing.assert_array_equal(again.identity.orientation, search.identity.orientation)
    assert search_as_json(again) == written


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("version",), 2),
        (("version",), True),
        (("poles",), None),
        (("poles", 0, "status"), "sure"),
        (("poles", 0, "wave_per_nm"), [0, 0, -1]),
        (("candidates",), {}),
        (("candidates", 1, "wave_per_nm"), [0, 0, 0]),
        (("candidates", 1, "strength"), math.nan),
        (("candidates", 1, "n_regions"), -1),
        (("best_strength",), "9"),
        (("identity", "families"), [[0, 1, 1]]),
        (("identity", "families", 0), [0, 0, 0]),
        (("identity", "families", 0), [0, 1, 1.0]),
        (("identity", "families", 0), [0, 1, 100]),
        (("identity", "orientation"), [[1, 0, 0], [0, 1, 0], [0, 0, 2]]),
        (("identity", "posterior"), None),
        (("surprise",), 1),
    ],
)
def test_wrong_members_are_refused(path, value):
    hit = written = copy.deepcopy(search_as_json(a_search(make_pole(20, 10, 60), make_pole(5, 40, 60))))
    for key in path[:-1]:
        hit = hit[key]
    hit[path[-1]] = value
    with pytest.raises(FileFormatError, match="A search for poles cannot be right"):
        search_from_json(written)
