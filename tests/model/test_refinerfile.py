"""Nets on the 1 nm grid in a model file: they come back to the bit, and whatever is damaged is a `ModelError`."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from aptstream.crystal import Crystal
from aptstream.errors import ModelError
from aptstream.model.gridnet import LAYERS, GridNet, TrainedGridNet
from aptstream.model.modelfile import load_model, save_model
from aptstream.model.refiner import MAX_NETS, N_FIRST, N_JOINT, N_SECOND, Refiner

WHAT_TO_DO = "fetch it again or train it anew"


def random_net(channels, layers, seed):
    rng, net = np.random.default_rng(seed), GridNet(channels, layers)
    weights = tuple(rng.standard_normal(shape).astype("f4") for shape in net.weight_shapes())
    mean, std = rng.normal(0, 5, channels).astype("f4"), rng.uniform(0.1, 9, channels).astype("f4")
    return TrainedGridNet(net, mean, std, weights)


def nets_of(refiner):
    """All that a refiner holds, to be compared bit for bit."""
    nets = (*refiner.first, *refiner.second)
    return [(net.net, [a.tobytes() for a in (net.mean, net.std, *net.weights)]) for net in nets]


@pytest.fixture
def changed(refined_model, tmp_path):
    """Load the refined model after its description, or its arrays by name, have been changed."""

    def load(describe=None, **arrays):
        with zipfile.ZipFile(refined_model.path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        description = json.loads(np.load(BytesIO(members["description.npy"])).tobytes())
        if describe is not None:
            describe(description)
        arrays = {"description": np.frombuffer(json.dumps(description).encode(), np.uint8), **arrays}
        for name, array in arrays.items():
            stream = BytesIO()
            if array is None:
                del members[f"{name}.npy"]
                continue
            np.save(stream, array)
            members[f"{name}.npy"] = stream.getvalue()
        path = tmp_path / "odd.aptmodel"
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return load_model(path)

    return load


@pytest.fixture
def refused(changed):
    """The change is refused, and the message says what to do."""

    def check(words, describe=None, **arrays):
        with pytest.raises(ModelError, match=words) as error:
            changed(describe, **arrays)
        assert WHAT_TO_DO in str(error.value)
        assert "odd.aptmodel" in str(error.value)

    return check


@pytest.mark.parametrize("channels", [N_SECOND, N_JOINT])
def test_nets_come_back_as_they_went_out(channels, model, tmp_path):
    first = (random_net(N_FIRST, LAYERS, 1), random_net(N_FIRST, ((3, 2, 5), (1, 1, 1)), 2))
    refiner = Refiner(first, (random_net(channels, LAYERS, 3),))
    loaded = load_model(save_model(tmp_path / "m.aptmodel", replace(model, refiner=refiner)))
    assert nets_of(loaded.refiner) == nets_of(refiner)
    assert loaded.refiner.reads_composition == (channels == N_JOINT)
    assert loaded.refiner.reach == refiner.reach
    again = save_model(tmp_path / "again.aptmodel", loaded)
    assert again.read_bytes() == (tmp_path / "m.aptmodel").read_bytes()


def test_as_many_nets_as_a_pass_may_have_come_back_and_one_more_is_refused(model, tmp_path):
    nets = tuple(random_net(N_FIRST, LAYERS, k) for k in range(MAX_NETS))
    more = tuple(random_net(N_SECOND, LAYERS, k) for k in range(MAX_NETS))
    full = Refiner(nets, more)
    loaded = load_model(save_model(tmp_path / "m.aptmodel", replace(model, refiner=full)))
    assert nets_of(loaded.refiner) == nets_of(full)
    with pytest.raises(ModelError, match="at most 16 nets, found 17 and 16"):
        replace(full, first=(*nets, nets[0]))


def test_a_net_more_is_refused(refused):
    def more(description):
        description["refiner"]["first"] *= MAX_NETS + 1

    def none(description):
        description["refiner"]["second"].clear()

    refused(f"a pass of 17 nets, expected 1–{MAX_NETS}", more)
    refused("a pass of 0 nets", none)


def test_files_from_before_there_were_such_nets_are_read(changed, refined_model):
    old = changed(lambda description: description.pop("refiner"))
    assert old.refiner is None
    assert [judge.edge_nm for judge in old.judges] == [judge.edge_nm for judge in refined_model.judges]
    assert changed(lambda description: description.update(refiner=None)).refiner is None
    assert load_model("cubes").refiner is None


def test_every_array_is_needed(refused, refined_model):
    with zipfile.ZipFile(refined_model.path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
    ours = [name for name in names if name.startswith(("first_", "second_"))]
    assert len(ours) == 3 * 4
    for name in ours:
        refused(f"'{name}'", **{name: None})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["first_0.weight_0", "second_1.weight_1", "first_0.mean", "second_0.std"])
def test_numbers_that_are_not_finite_are_refused(name, value, refused, refined_model):
    with zipfile.ZipFile(refined_model.path) as archive:
        array = np.load(BytesIO(archive.read(f"{name}.npy"))).copy()
    array.flat[-1] = value
    refused("finite numbers of the type float32", **{name: array})


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("first_0.mean", np.zeros(N_FIRST + 1, "f4")),
        ("first_0.mean", np.zeros((N_FIRST, 1), "f4")),
        ("first_0.weight_0", np.zeros((1, 1, 1, 1, N_FIRST), "f4")),
        ("first_0.weight_0", np.zeros((3, 3, 3, N_FIRST, 1), "f4")),
        ("second_0.weight_1", np.zeros(2, "f4")),
        ("second_0.std", np.zeros(N_SECOND, "f4")),
        ("second_0.std", np.full(N_SECOND, -1, "f4")),
        ("second_1.mean", np.zeros(N_SECOND, "u1")),
        ("second_1.mean", np.zeros(N_SECOND, "f8")),
        ("second_1.weight_0", np.zeros((1, 1, 1, N_SECOND, 1), "i4")),
    ],
)
def test_arrays_of_another_kind_or_shape_are_refused(name, array, refused):
    refused("shapes|float32|array of|positive", **{name: array})


def put(what, key, value):
    """Change the first net of a pass."""
    return lambda description: description["refiner"][what][0].update({key: value})


@pytest.mark.parametrize("value", [26, 28, 0, -1, 10**9, 27.0, True, None, "27", [27], {}])
def test_other_channels_are_refused(value, refused):
    refused("damaged", put("first", "channels", value))


@pytest.mark.parametrize(
    "value",
    [
        [],
        [[1, 1, 1]] * 17,
        [[5, 1, 1]],
        [[1, 0, 1]],
        [[1, 1, 2]],
        [[1, 1]],
        [[1, 1, 10**9], [1, 1, 1]],
        [[1, 1, 1.0]],
        [[True, 1, 1]],
        [1, 1, 1],
        [None],
        None,
        "layers",
        ["abc"],
        {"a": 1},
        7,
    ],
)
def test_layers_that_make_no_sense_are_refused(value, refused):
    refused("damaged", put("second", "layers", value))


@pytest.mark.parametrize(
    "value", [7, "nets", [], [1], {}, {"first": []}, {"first": None, "second": None}, {"first": [7], "second": [7]}]
)
def test_descriptions_that_make_no_sense_are_refused(value, refused):
    refused("damaged", lambda description: description.update(refiner=value))


def test_passes_that_are_exchanged_are_refused(refused):
    def exchange(description):
        nets = description["refiner"]
        nets["first"], nets["second"] = nets["second"], nets["first"]

    refused("damaged", exchange)


def test_a_flipped_bit_in_a_weight_is_noticed(refined_model, tmp_path):
    content = bytearray(Path(refined_model.path).read_bytes())
    with zipfile.ZipFile(refined_model.path) as archive:
        info = archive.getinfo("second_1.weight_0.npy")
    content[info.header_offset + 30 + len(info.filename) + info.compress_size // 2] ^= 4
    path = tmp_path / "flipped.aptmodel"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=WHAT_TO_DO):
        load_model(path)


def test_a_model_looks_for_another_crystal_and_keeps_the_rest(refined_model):
    crystal = Crystal("L12", 0.357, (0, 0, 1))
    other = refined_model.looking_for(crystal)
    assert other.crystal == crystal
    assert replace(other, crystal=refined_model.crystal, judges=refined_model.judges) == refined_model
    for judge, own in zip(other.judges, refined_model.judges, strict=True):
        stretch = crystal.period_nm / refined_model.crystal.period_nm
        assert judge.window.half_z_nm == pytest.approx(own.window.half_z_nm * stretch)
        assert replace(judge, window=own.window) == own
    assert refined_model.crystal != crystal, "the model itself stays as it is"
