"""What a model scores on a library of images, against definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptstream.errors import ModelError
from aptstream.model.evaluate import auc, evaluate, score
from aptstream.model.modelfile import load_model
from aptstream.model.predict import Predictor
from aptstream.model.presets import get_preset
from aptstream.sdm.dictionary import Samples, make_dictionary
from aptstream.sdm.window import SdmWindow


@given(
    st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), max_size=12),
    st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), max_size=12),
)
def test_auc_is_the_share_of_pairs_in_the_right_order(positive, negative):
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    expected = sum(pairs) / len(pairs) if pairs else np.nan
    assert auc(np.array(positive), np.array(negative)) == pytest.approx(expected, nan_ok=True)


def test_scores_are_those_of_their_definition():
    judge = load_model("cubes").judge(2)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((300, *judge.window.shape)).astype("f4")
    fraction = rng.choice([0.0, 0.2, 0.6, 1.0], 300).astype("f4")
    p = Predictor(judge)(images).astype(float)
    found = score(judge, Samples(images, fraction, np.zeros(300, dtype="i4")))
    high, none = p[fraction >= 0.5], p[fraction == 0]
    assert found["auc"] == pytest.approx((high[:, None] > none).mean(), abs=1e-5)
    assert found["mean_error"] == pytest.approx((p - fraction).mean(), abs=1e-5)
    assert found["rmse"] == pytest.approx(np.sqrt(((p - fraction) ** 2).mean()), abs=1e-5)
    assert found["n"] == 300


@pytest.mark.slow
def test_the_shipped_model_scores_as_recorded_on_cubes_of_another_seed(tmp_path):
    preset, model = get_preset("cubes"), load_model("cubes")
    make_dictionary(tmp_path / "d.zarr", crystal=preset.crystal, windows=preset.windows, n_specimens=12, seed=77)
    found = evaluate(model, tmp_path / "d.zarr")
    assert set(found) == {4, 2}
    for edge, recorded in ((4, model.scores["cubes_4nm"]), (2, model.scores["cubes_2nm"])):
        # twelve specimens scatter: what they are made of decides more than the network
        assert found[edge]["auc"] > 0.95
        assert found[edge]["rmse"] < 2 * recorded["rmse"]


def test_a_dictionary_of_other_windows_cannot_score_a_model(tmp_path, monkeypatch):
    model = load_model("cubes")
    windows = {4: SdmWindow("z", 1.0, 5, 1.0, 1)}
    monkeypatch.setattr("aptstream.sdm.dictionary.SPECIMEN_NM", 9)
    make_dictionary(tmp_path / "d.zarr", crystal=model.crystal, windows=windows, n_specimens=1, seed=1)
    with pytest.raises(ModelError, match="other windows"):
        evaluate(model, tmp_path / "d.zarr")
