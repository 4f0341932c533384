"""A model file that lies, or is not one, is refused with what to do, before it takes memory or runs."""

import zipfile
from io import BytesIO

import numpy as np
import pytest
from modelfiles import npy

from aptstream.model import modelfile


def test_every_member_is_needed(small_path, repacked, refuse):
    with zipfile.ZipFile(small_path) as archive:
        names = archive.namelist()
    assert len(names) == 1 + 2 * 15
    for name in names:
        refuse(repacked(lambda members, name=name: members.pop(name)))


@pytest.mark.parametrize("version", [0, 2, "1", None, 1.5])
def test_another_version_is_refused(described, refuse, version):
    refuse(described(lambda d: d.update(format_version=version)), "version")


def test_another_format_is_refused(described, refuse):
    refuse(described(lambda d: d.update(format="aptstream-points")), "format")


ABSURD = [float("nan"), float("inf"), -1, -0.5, 0, 10**9, 10**400, 1e308, True, None, "4", [4], {}]
NUMBERS = [
    ("cut",),
    ("min_voxels",),
    ("crystal", "a_nm"),
    ("judges", 0, "edge_nm"),
    ("judges", 1, "min_ions"),
    ("judges", 0, "window", "half_z_nm"),
    ("judges", 0, "window", "half_lateral_nm"),
    ("judges", 0, "window", "bins_z"),
    ("judges", 1, "window", "bins_lateral"),
    ("judges", 0, "net", "filters"),
    ("judges", 0, "net", "first_stride"),
    ("judges", 1, "net", "pool"),
    ("judges", 1, "net", "dropout"),
]
#: Absurd elsewhere, but not here.
ALLOWED = {("cut",): [0], ("judges", 1, "net", "dropout"): [0]}
WHOLE = [place for place in NUMBERS if place[-1] in ("min_voxels", "edge_nm", "min_ions", "bins_z", "filters", "pool")]


def put(description, place, value):
    for step in place[:-1]:
        description = description[step]
    description[place[-1]] = value


@pytest.mark.parametrize("place", NUMBERS, ids=lambda place: ".".join(map(str, place)))
def test_absurd_numbers_are_refused(described, refuse, place):
    for value in ABSURD:
        if value not in ALLOWED.get(place, []) or isinstance(value, bool):
            refuse(described(lambda d, value=value: put(d, place, value)))


@pytest.mark.parametrize("place", WHOLE, ids=lambda place: ".".join(map(str, place)))
def test_broken_numbers_are_refused_where_whole_ones_belong(described, refuse, place):
    refuse(described(lambda d: put(d, place, 2.5)))
    refuse(described(lambda d: put(d, place, 8.0)))


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["crystal"].update(label="D022x"),
        lambda d: d["crystal"].update(label=["L12"]),
        lambda d: d["crystal"].update(pole=[0, 1]),
        lambda d: d["crystal"].update(pole=[0, 0, 0]),
        lambda d: d["crystal"].update(pole=[0, 1, True]),
        lambda d: d["crystal"].update(pole=[0, 1, 0.5]),
        lambda d: d["crystal"].update(pole=[0, 1, 10**30]),
        lambda d: d["crystal"].update(pole="011"),
        lambda d: d["crystal"].update(c_over_a="1"),
        lambda d: d["crystal"].update(c_over_a=-1.0),
        lambda d: d["judges"][0]["window"].update(kind="xyz"),
        lambda d: d["judges"][0]["window"].update(kind=[]),
        lambda d: d["judges"][0]["window"].update(more=1),
        lambda d: d["judges"][0]["window"].pop("bins_z"),
        lambda d: d["judges"][0]["net"].update(code="import os"),
        lambda d: d["judges"][0]["net"].update(filters=3),
        lambda d: d["judges"][0].update(net=[]),
        lambda d: d["judges"][0]["net"].update(kind="image"),
        lambda d: d["judges"][0]["net"].update(kind=["cube"]),
        lambda d: d["judges"][0].update(form="grey"),
        lambda d: d["judges"][0].update(form="channels"),
        lambda d: d["judges"][0].update(form=7),
        lambda d: d["judges"][0].update(window=None),
        lambda d: d["judges"].clear(),
        lambda d: d["judges"].reverse(),
        lambda d: d["judges"].append(d["judges"][1]),
        lambda d: d.update(judges="no list"),
        lambda d: d.update(judges=[None]),
        lambda d: d.update(crystal=7),
        lambda d: d.update(provenance=7),
        lambda d: d.update(scores="none"),
        lambda d: [d],
        lambda d: "a text",
        lambda d: 7,
    ],
)
def test_descriptions_that_make_no_sense_are_refused(described, refuse, change):
    refuse(described(change))


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"format":' * 50_000, b"1" * 10_000])
def test_descriptions_that_are_no_json_are_refused(repacked, refuse, text):
    refuse(repacked(lambda members: members.update({"description.npy": npy(np.frombuffer(text, np.uint8))})))


class Bomb:
    """What a pickle would run when it is read."""

    def __reduce__(self):
        return pytest.exit, ("a model file ran code",)


@pytest.mark.parametrize("name", ["description.npy", "cubes_2nm.weight_0.npy", "cubes_2nm.tflite.npy"])
def test_objects_are_never_unpickled(repacked, refuse, name):
    stream = BytesIO()
    np.save(stream, np.array([Bomb()], dtype=object), allow_pickle=True)
    refuse(repacked(lambda members: members.update({name: stream.getvalue()})))


@pytest.mark.parametrize("name", ["../evil.npy", "/evil.npy", "a/b.npy", "a\\..\\b.npy", "evil.py", "evil"])
def test_members_with_odd_names_are_refused(repacked, refuse, name):
    refuse(repacked(lambda members: members.update({name: npy(np.zeros(1, "f4"))})), "members that no model has")


def test_bombs_are_refused_before_they_are_unpacked(repacked, refuse, monkeypatch):
    many = repacked(lambda members: members.update({f"m{k}.npy": b"" for k in range(modelfile.MAX_MEMBERS)}))
    huge = repacked(
        lambda members: members.update({"bomb.npy": bytes(modelfile.MAX_FILE_BYTES + 1)}),
        compression=zipfile.ZIP_DEFLATED,
    )
    assert len(huge) < modelfile.MAX_FILE_BYTES // 100
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("it was unpacked"))
    refuse(many, "more than a model can need")
    refuse(huge, "more than a model can need")


def test_an_array_larger_than_its_member_is_refused_without_making_room_for_it(repacked, refuse):
    for shape in ((2**40,), (2**62, 4), (-5,), (0, -1)):
        stream = BytesIO()
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        content = stream.getvalue() + bytes(64)
        refuse(repacked(lambda members, content=content: members.update({"cubes_2nm.weight_1.npy": content})))


@pytest.mark.parametrize("weight", [np.zeros((3, 1, 2), "f8"), np.zeros((3, 1, 2), "i4"), np.zeros((1, 3, 2), "f4")])
def test_weights_of_another_kind_or_shape_are_refused(repacked, refuse, weight):
    refuse(repacked(lambda members: members.update({"cubes_2nm.weight_0.npy": npy(weight)})))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(repacked, refuse, method):
    refuse(repacked(lambda members: None, compression=method))


def test_what_is_no_flatbuffer_is_refused(repacked, refuse):
    content = npy(np.zeros(100, np.uint8))
    refuse(repacked(lambda members: members.update({"cubes_2nm.tflite.npy": content})), "flatbuffer")
