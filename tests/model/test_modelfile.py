"""Model files: they come back as they went out, and whatever is damaged is a `ModelError` that says what to do."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from examples import examples
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from modelfiles import WHAT_TO_DO

from aptstream.crystal import Crystal
from aptstream.errors import ModelError
from aptstream.model import modelfile
from aptstream.model.modelfile import CubeJudge, Model, load_model, save_model, shipped_models
from aptstream.model.networks import ImageNet
from aptstream.model.presets import get_preset
from aptstream.sdm.window import SdmWindow

PICTURE_NET = ImageNet(filters=(2, 3), dense=4, divisor=255.0)


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


def test_files_from_before_axial_ratios_are_read(described, small, tmp_path):
    path = tmp_path / "old.aptmodel"
    path.write_bytes(described(lambda d: d["crystal"].pop("c_over_a")))
    assert load_model(path).crystal == small.crystal


def test_an_axial_ratio_is_kept(small, tmp_path):
    hexagonal = replace(small, crystal=Crystal("D019", 0.321, (1, 1, -2, 0), 1.624))
    assert load_model(save_model(tmp_path / "m.aptmodel", hexagonal)).crystal == hexagonal.crystal


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
