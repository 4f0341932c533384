"""Model files: they come back as they went out, and whatever is damaged is a `ModelError` that says what to do."""

import json
import zipfile
from dataclasses import fields, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from examples import examples
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from aptstream.crystal import Crystal
from aptstream.errors import ModelError
from aptstream.model import modelfile
from aptstream.model.modelfile import CubeJudge, Model, load_model, save_model, shipped_models
from aptstream.model.networks import CubeNet, ImageNet
from aptstream.model.presets import get_preset
from aptstream.sdm.window import SdmWindow

WHAT_TO_DO = "fetch it again or train it anew"
NET = CubeNet(filters=2, first_kernel=3, first_stride=2, second_kernel=3, pool=2, dropout=0.25, dense=2)


PICTURE_NET = ImageNet(filters=(2, 3), dense=4, divisor=255.0)


def judge(edge, window):
    rng = np.random.default_rng(edge)
    weights = tuple(rng.standard_normal(shape).astype("f4") for shape in NET.weight_shapes(window.shape))
    return CubeJudge(edge, window, NET, 40, b"\x1c\0\0\0TFL3" + rng.bytes(50), weights)


@pytest.fixture(scope="module")
def small():
    """A model of a few hundred bytes, whose networks nobody will run."""
    judges = (judge(3, SdmWindow("rhoz", 1.5, 8, 2.0, 3)), judge(2, SdmWindow("z", 1.0, 9, 3.0, 1)))
    history = {"seed": 3, "nested": {"versions": ["1", None]}}
    return Model("tiny", Crystal("L12", 0.357, (0, 0, 1)), judges, 0.4, 4, history, {"cubes_3nm": {"auc": 0.99}})


@pytest.fixture(scope="module")
def small_path(small, tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("model") / "tiny.aptmodel", small)


def assert_equal(found, expected):
    """All but path and digest, bit for bit."""
    for field in fields(Model):
        if field.name not in ("judges", "path", "digest"):
            assert getattr(found, field.name) == getattr(expected, field.name)
    assert len(found.judges) == len(expected.judges)
    for a, b in zip(found.judges, expected.judges, strict=True):
        assert replace(a, weights=()) == replace(b, weights=())
        assert [w.tobytes() for w in a.weights] == [w.tobytes() for w in b.weights]
        assert [(w.shape, w.dtype) for w in a.weights] == [(w.shape, w.dtype) for w in b.weights]


def npy(array):
    stream = BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.fixture
def refuse(tmp_path):
    """Write bytes, and check that loading them is refused with what was found and what to do."""

    def check(content, words="damaged"):
        path = tmp_path / "odd.aptmodel"
        path.write_bytes(content)
        with pytest.raises(ModelError, match=words) as error:
            load_model(path)
        assert WHAT_TO_DO in str(error.value)
        assert "odd.aptmodel" in str(error.value)

    return check


@pytest.fixture
def repacked(small_path):
    """Pack the small model's members again after `change` has altered them, by name."""

    def pack(change, **how):
        with zipfile.ZipFile(small_path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        change(members)
        stream = BytesIO()
        with zipfile.ZipFile(stream, "w", **how) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return stream.getvalue()

    return pack


@pytest.fixture
def described(repacked):
    """Pack the small model with another description."""

    def pack(change):
        def rewrite(members):
            stream = BytesIO(members["description.npy"])
            description = json.loads(np.load(stream).tobytes())
            description = change(description) or description
            members["description.npy"] = npy(np.frombuffer(json.dumps(description).encode(), np.uint8))

        return repacked(rewrite)

    return pack


def test_a_model_comes_back_as_it_went_out(small, small_path):
    assert_equal(load_model(small_path), small)
    assert load_model(str(small_path)).path == str(small_path)


def test_the_same_model_gives_the_same_bytes_and_digest(small, small_path, tmp_path):
    loaded = load_model(small_path)
    again = save_model(tmp_path / "again.aptmodel", loaded)
    assert again.read_bytes() == small_path.read_bytes()
    assert load_model(again).digest == loaded.digest
    other = save_model(tmp_path / "other.aptmodel", replace(small, cut=0.5))
    assert load_model(other).digest != loaded.digest


def test_a_judge_of_pictures_comes_back_with_its_form(small, tmp_path):
    window = SdmWindow("zx", 0.7, 8, 0.7, 16)
    weights = tuple(np.ones(shape, "f4") for shape in PICTURE_NET.weight_shapes((16, 16)))
    grey = CubeJudge(4, window, PICTURE_NET, 40, b"\x1c\0\0\0TFL3", weights, "grey")
    model = replace(small, judges=(grey, small.judges[1]))
    assert_equal(load_model(save_model(tmp_path / "grey.aptmodel", model)), model)


def test_a_file_that_names_neither_form_nor_kind_of_network_means_contrast(small, described, tmp_path):
    def forget(description):
        for described_judge in description["judges"]:
            assert described_judge.pop("form") == "contrast"
            assert described_judge["net"].pop("kind") == "cube"

    path = tmp_path / "old.aptmodel"
    path.write_bytes(described(forget))
    assert_equal(load_model(path), small)


def test_weights_in_column_order_come_back(small, tmp_path):
    first = replace(small.judges[0], weights=tuple(np.asfortranarray(w) for w in small.judges[0].weights))
    path = save_model(tmp_path / "f.aptmodel", replace(small, judges=(first, small.judges[1])))
    assert_equal(load_model(path), small)


def test_a_failed_save_leaves_what_was_there(small, small_path, tmp_path):
    path = tmp_path / "a.aptmodel"
    path.write_bytes(small_path.read_bytes())
    with pytest.raises(TypeError):
        save_model(path, replace(small, provenance={"odd": object()}))
    (tmp_path / "folder.aptmodel").mkdir()
    with pytest.raises(OSError):
        save_model(tmp_path / "folder.aptmodel", small)
    assert path.read_bytes() == small_path.read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.aptmodel", "folder.aptmodel"]


def test_a_judge_is_found_by_its_edge(small):
    assert small.judge(2) is small.judges[1]
    with pytest.raises(ModelError, match="3, 2 nm, not of 4 nm"):
        small.judge(4)


@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0, 1, exclude_max=True))
def test_a_file_cut_short_is_refused(small_path, refuse, share):
    content = small_path.read_bytes()
    refuse(content[: int(share * len(content))])


@examples(400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_changes_nothing(small, small_path, tmp_path, share, change):
    content = bytearray(small_path.read_bytes())
    content[int(share * len(content))] ^= change
    path = tmp_path / "odd.aptmodel"
    path.write_bytes(content)
    try:
        found = load_model(path)
    except ModelError as error:
        assert WHAT_TO_DO in str(error)
    else:
        assert_equal(found, small)  # the byte was a time stamp or the like
        assert found.digest != load_model(small_path).digest


@examples(100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_noise_is_refused(refuse, content):
    refuse(content)
    refuse(b"PK\x03\x04" + content)


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


def test_files_from_before_axial_ratios_are_read(described, small, tmp_path):
    path = tmp_path / "old.aptmodel"
    path.write_bytes(described(lambda d: d["crystal"].pop("c_over_a")))
    assert load_model(path).crystal == small.crystal


def test_an_axial_ratio_is_kept(small, tmp_path):
    hexagonal = replace(small, crystal=Crystal("D019", 0.321, (1, 1, -2, 0), 1.624))
    assert load_model(save_model(tmp_path / "m.aptmodel", hexagonal)).crystal == hexagonal.crystal


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


def test_a_file_too_large_is_not_read(tmp_path):
    path = tmp_path / "large.aptmodel"
    with path.open("wb") as stream:
        stream.truncate(modelfile.MAX_FILE_BYTES + 1)
    with pytest.raises(ModelError, match="at most"):
        load_model(path)


def test_missing_files_and_names_are_refused_with_what_there_is(tmp_path):
    with pytest.raises(ModelError, match="Check the path"):
        load_model(tmp_path / "none.aptmodel")
    (tmp_path / "folder.aptmodel").mkdir()
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(tmp_path / "folder.aptmodel")
    for name in ("cube", "../cubes", "", "model.npz", "cubes/"):
        with pytest.raises(ModelError, match=r"shipped: .*cubes"):
            load_model(name)


def test_a_file_that_was_replaced_is_read_anew(small, tmp_path):
    path = save_model(tmp_path / "a.aptmodel", small)
    assert load_model(path).cut == small.cut
    save_model(path, replace(small, cut=0.75))
    assert load_model(path).cut == 0.75


def test_the_shipped_models_are_small_and_say_where_they_come_from():
    assert shipped_models() == ["cubes", "joint", "order"]
    models = [load_model(name) for name in shipped_models()]
    assert sum(Path(model.path).stat().st_size for model in models) < 3_000_000
    for model in models:
        assert Path(model.path).parent.name == "data"
        assert len(model.digest) == 64
        assert model.provenance["command"].startswith(f"aptstream dictionary --preset {model.name} ")
        assert f"--seed {model.provenance['seed']}" in model.provenance["command"]
    cubes, joint, order = models
    assert cubes.refiner is None
    assert [m.refiner.reads_composition for m in (joint, order)] == [True, False]
    assert [m.provenance["cubes"] for m in (joint, order)] == [cubes.digest] * 2
    model, preset = cubes, get_preset("cubes")
    assert set(model.provenance["dictionary"]) >= {"seed", "n_specimens"}
    assert set(model.provenance["versions"]) >= {"aptstream", "python", "tensorflow", "keras", "numpy"}
    assert (model.name, model.crystal, model.cut, model.min_voxels) == (
        preset.name,
        preset.crystal,
        preset.cut,
        preset.min_voxels,
    )
    assert {j.edge_nm: j.window for j in model.judges} == preset.windows
    for j in model.judges:
        scores = model.scores[f"cubes_{j.edge_nm}nm"]
        assert scores["n"] >= 1000
        assert 0.95 < scores["auc"] <= 1
        assert 0 < scores["rmse"] < 0.2
        assert abs(scores["mean_error"]) < 0.02
        assert all(np.isfinite(w).all() for w in j.weights)
