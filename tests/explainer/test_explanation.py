"""Explanation: its maps equal those of the parts that it uses, and drawing them does not run the network."""

import numpy as np
import pytest
import torch
from PIL import Image

import geoexplain
from geoexplain.errors import DataError, ImageError
from geoexplain.explainer.combine import combine, upsample
from geoexplain.explainer.explanation import Explanation, explain, locate, target_cell
from geoexplain.explainer.table import stage_maps
from geoexplain.explainer.trace import trace
from geoexplain.geography.sphere import great_circle_km
from geoexplain.locator.model import GeoModel


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (9, 12, 3)).astype(np.uint8)
    return Image.fromarray(noise).resize((160, 120), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def explanation(model: GeoModel, picture: Image.Image) -> Explanation:
    return explain(picture, model, target=4)


def test_it_holds_the_input_and_the_prediction(model: GeoModel, picture: Image.Image, explanation: Explanation) -> None:
    assert explanation.size_hw == (64, 85)  # shorter side 64, 64 · 160 / 120 = 85.3
    assert explanation.tensor.shape == (1, 3, 64, 85)
    torch.testing.assert_close(explanation.tensor, model.preprocess.tensor(picture))
    np.testing.assert_array_equal(np.asarray(explanation.image), np.asarray(picture))
    assert explanation.target == 4


def test_the_prediction_does_not_depend_on_the_target(
    model: GeoModel, picture: Image.Image, explanation: Explanation
) -> None:
    located = locate(picture, model)
    np.testing.assert_allclose(explanation.prediction.probabilities, located.probabilities, atol=1e-6)
    assert explanation.prediction.cell == located.cell != 4
    assert explain(picture, model).target == located.cell


@pytest.mark.parametrize("method", ["grad-cam", "grad-cam++", "layer-cam"])
@pytest.mark.parametrize("level", ["stage", "block"])
def test_maps_are_those_of_the_trace(model: GeoModel, explanation: Explanation, method: str, level: str) -> None:
    expected = stage_maps(trace(model, explanation.tensor, 4, "probability"), method, level)
    result = explanation.maps(method, level)
    assert [m.index for m in result] == [m.index for m in expected]
    for mine, other in zip(result, expected, strict=True):
        np.testing.assert_allclose(mine.values, other.values, rtol=1e-4, atol=1e-6 * other.values.max())


def test_combi_cam_as_published_is_the_raw_sum_of_all_blocks(explanation: Explanation) -> None:
    maps = explanation.maps("grad-cam", "block")
    assert len(maps) == 16  # Tan & Le 2019: B0
    expected = sum(upsample(m.values, (64, 85)) for m in maps)
    heatmap = explanation.combi_cam()
    np.testing.assert_allclose(heatmap.values, expected, rtol=1e-5)
    assert heatmap.values.max() > 0
    assert (heatmap.how, heatmap.level, heatmap.method, heatmap.weights) == ("sum", "block", "grad-cam", (1.0,) * 16)


@pytest.mark.parametrize("how", ["sum", "max", "minmax", "tanh"])
def test_combi_cam_is_the_combination_of_its_maps(explanation: Explanation, how: str) -> None:
    weights = (0.0, 0.5, 1.0, 2.0, 0.0, 1.5, 1.0)
    expected = combine(explanation.maps("layer-cam", "stage"), weights, how, (64, 85))
    result = explanation.combi_cam(weights, method="layer-cam", level="stage", how=how)
    np.testing.assert_array_equal(result.values, expected.values)
    assert result.weights == weights


@pytest.mark.parametrize("method", ["grad-cam", "grad-cam++", "layer-cam"])
def test_a_method_alone_is_combi_cam_of_the_last_stage(explanation: Explanation, method: str) -> None:
    alone = explanation.heatmap(method)
    one_hot = explanation.combi_cam((0.0,) * 6 + (1.0,), method=method, level="stage")
    np.testing.assert_array_equal(alone.values, one_hot.values)
    np.testing.assert_array_equal(alone.values, upsample(explanation.maps(method, "stage")[-1].values, (64, 85)))
    assert alone.target == 4


def test_after_explaining_the_network_is_not_run_again(
    model: GeoModel, picture: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    explanation = explain(picture, model)

    def run_again(*args: object) -> None:
        raise AssertionError

    monkeypatch.setattr(torch.nn.Module, "__call__", run_again)
    monkeypatch.setattr(torch.autograd, "grad", run_again)
    explanation.combi_cam()
    explanation.combi_cam((1, 0, 1, 0, 1, 0, 1), level="stage", method="grad-cam++", how="tanh")
    explanation.heatmap("layer-cam")


def test_the_score_is_passed_on(model: GeoModel, picture: Image.Image) -> None:
    probability, logit = (explain(picture, model, target=2, score=score) for score in ("probability", "logit"))
    assert (probability.combi_cam().score, logit.combi_cam().score) == ("probability", "logit")
    assert not np.allclose(probability.combi_cam().values, logit.combi_cam().values)


def test_a_position_means_the_cell_that_holds_it(model: GeoModel, picture: Image.Image) -> None:
    for place in ((0.5, 1.0), (59.0, 149.0), (-60.0, -150.0), (-90.0, 0.0), (45.0, 180.0), (45.0, -180.0)):
        cell = target_cell(model, place)
        assert cell == great_circle_km(place, model.partition.centers_deg).argmin()
    assert target_cell(model, (59.0, 149.0)) == 11
    assert explain(picture, model, target=(59.0, 149.0)).target == 11
    assert target_cell(model, None) is None
    assert target_cell(model, 3) == 3


@pytest.mark.parametrize(
    "place", [(91.0, 0.0), (0.0, 181.0), (float("nan"), 0.0), (0.0, float("inf")), (1.0,), (1.0, 2.0, 3.0)]
)
def test_a_place_that_is_not_on_earth_is_refused(model: GeoModel, place: tuple) -> None:
    with pytest.raises(DataError, match="expected a target latitude"):
        target_cell(model, place)


def test_wrong_arguments_are_refused(model: GeoModel, picture: Image.Image, explanation: Explanation) -> None:
    with pytest.raises(DataError, match="from 0 to 11"):
        explain(picture, model, target=12)
    with pytest.raises(DataError, match="expected a score"):
        explain(picture, model, score="loss")
    with pytest.raises(ImageError):
        explain(b"no image", model)
    with pytest.raises(ImageError):
        locate(b"no image", model)
    with pytest.raises(DataError, match="expected a level"):
        explanation.maps("grad-cam", "layer")
    with pytest.raises(DataError, match="expected a method"):
        explanation.heatmap("grad-ca")
    with pytest.raises(DataError):
        explanation.heatmap("score-cam")  # needs the network
    with pytest.raises(DataError, match="expected 7 weights"):
        explanation.combi_cam((1.0,) * 16, level="stage")


def test_the_public_names_are_these() -> None:
    assert sorted(geoexplain.__all__) == [
        "CellGroup", "Contrast", "Explanation", "GeoModel", "Heatmap", "Prediction",
        "contrast", "explain", "load_model", "locate",
    ]  # fmt: skip
    assert geoexplain.explain is explain
    assert geoexplain.locate is locate
