"""What cannot be a window, a set of channels or a box of cells is refused in words."""

import pytest

from aptstream.errors import PlanError
from aptstream.sdm.kernel import CellBox
from aptstream.sdm.window import Channels, SdmWindow


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (("xy", 1, 10, 1, 10), "not known"),
        (("rhoz", 1, 10, 1, 16), "1–15 columns"),
        (("z", 0, 10, 1, 1), "half-widths"),
        (("z", float("nan"), 10, 1, 1), "half-widths"),
        (("zx", 1, 0, 1, 10), "1–1024 rows"),
        (("zx", 1, 10, 1, 20, -1.0), "Limits"),
        (("zx", 1, 10, 1, 10, None, 1.5), "equal width"),
        (("zx", 1, 500, 1, 1000, None, 1.5), "256 bins"),
        (("zx", 1, 75.5, 1, 10), "1–1024 rows"),
    ],
)
def test_impossible_windows_are_refused(fields, words):
    with pytest.raises(PlanError, match=words):
        SdmWindow(*fields)


@pytest.mark.parametrize(
    ("groups", "pairs"),
    [
        ((), ((0, 0),)),
        ((("Al",), ("Al",)), ((0, 0),)),
        ((("Al",), ()), ((0, 0),)),
        ((("Al",),), ()),
        ((("Al",),), ((0, 1),)),
        ((("Al",), ("Li",)), ((0, 1), (1, 0))),
        (tuple((name,) for name in "ABCDE"), ((0, 0),)),
    ],
)
def test_impossible_channels_are_refused(groups, pairs):
    with pytest.raises(PlanError):
        Channels(groups, pairs)


@pytest.mark.parametrize(
    "fields",
    [
        ((0, 0, 0), (0, 0, 0), (4, 4, 0)),
        ((0, 0, 0), (0, 0, 0), (4, 4, 4.5)),
        ((0, 0, 0), (0, 0, 0), (4, 4, 4), 0.0),
        ((0, 0, 0), (0, 0, 0), (4, 4, 4), -1.0),
        ((0, 0, 0), (0, 0, 0), (4, 4, 4), float("nan")),
        ((0, 0, float("inf")), (0, 0, 0), (4, 4, 4)),
    ],
)
def test_impossible_boxes_are_refused(fields):
    with pytest.raises(PlanError, match="A box"):
        CellBox(*fields)
