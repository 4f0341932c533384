"""A small model file, and ways to alter it."""

import json
import zipfile
from io import BytesIO

import numpy as np
import pytest
from modelfiles import WHAT_TO_DO, judge, npy

from aptstream.crystal import Crystal
from aptstream.errors import ModelError
from aptstream.model.modelfile import Model, load_model, save_model
from aptstream.sdm.window import SdmWindow


@pytest.fixture(scope="module")
def small():
    """A model of a few hundred bytes, whose networks nobody will run."""
    judges = (judge(3, SdmWindow("rhoz", 1.5, 8, 2.0, 3)), judge(2, SdmWindow("z", 1.0, 9, 3.0, 1)))
    history = {"seed": 3, "nested": {"versions": ["1", None]}}
    return Model("tiny", Crystal("L12", 0.357, (0, 0, 1)), judges, 0.4, 4, history, {"cubes_3nm": {"auc": 0.99}})


@pytest.fixture(scope="module")
def small_path(small, tmp_path_factory):
    return save_model(tmp_path_factory.mktemp("model") / "tiny.aptmodel", small)


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
