"""Contrast of two cells: values by hand, comparison with autograd on the naive formula, and swapped cells."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import geoexplain
from geoexplain.errors import DataError
from geoexplain.explainer.cams import StageMap, score_cam
from geoexplain.explainer.combine import COMBINATIONS, combine, combine_pair, upsample
from geoexplain.explainer.contrast import Contrast, contrast
from geoexplain.explainer.explanation import Explanation, explain
from geoexplain.explainer.table import GRADIENT_CAM, kinds_of_family
from geoexplain.explainer.target import log_odds
from geoexplain.explainer.trace import trace
from geoexplain.locator.model import GeoModel
from tests.explainer.networks import image_tensor, plain_network

GRADIENT_METHODS = list(kinds_of_family(GRADIENT_CAM))
SIZE_HW = (48, 64)


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (9, 12, 3)).astype(np.uint8)
    return Image.fromarray(noise).resize((80, 60), Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def explanation(model: GeoModel, picture: Image.Image) -> Explanation:
    return explain(picture, model, target=4)


@pytest.fixture(scope="module")
def held(model: GeoModel, explanation: Explanation) -> Contrast:
    return contrast(explanation, model, 7)


def test_a_network_worked_out_by_hand() -> None:
    # One stage, which passes red and green through; features are their means; the logits are 4 red, 4 green, 8 red.
    network = plain_network([[[1, 0, 0], [0, 1, 0]]], head=[[4, 0], [0, 4], [8, 0]])
    pixels = torch.tensor([[[3.0, 1.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 7.0]], [[0.0, 0.0], [9.0, 0.0]]])
    result = trace(network, pixels[None], 0, against=1)
    assert result.logits.tolist() == [[4, 8, 8]]
    assert (result.target, result.score) == (0, "log-odds")
    (stage,) = result.stages
    # d(4 mean red − 4 mean green): 1 at every pixel of red, −1 at every one of green.
    assert stage.gradient.tolist() == [[[1, 1]] * 2, [[-1, -1]] * 2]
    explained = Explanation(Image.new("RGB", (2, 2)), pixels[None], explain_nothing(network), result)
    outcome = contrast(explained, network, 1)
    assert outcome.log_odds == pytest.approx(4 - 8)
    grad_cam = outcome.heatmap("grad-cam")
    # ReLU(red − green) for the first cell, ReLU(green − red) for the second: common parts cancel.
    assert grad_cam.here.values.tolist() == [[2, 1], [0, 0]]
    assert grad_cam.there.values.tolist() == [[0, 0], [0, 7]]
    assert grad_cam.values.tolist() == [[2, 1], [0, -7]]
    # LayerCAM treats each channel separately: red where there is red, green where there is green.
    assert outcome.heatmap("layer-cam").values.tolist() == [[3 - 1, 1], [0, -7]]
    # Against the third cell only red matters, and it is evidence against the first cell: g = −1.
    other = contrast(explained, network, 2).heatmap("grad-cam")
    assert other.values.tolist() == [[-3, -1], [0, 0]]


def explain_nothing(network: GeoModel) -> geoexplain.Prediction:
    return explain(Image.new("RGB", (8, 8)), network).prediction


def test_the_gradient_is_that_of_the_naive_formula(model: GeoModel) -> None:
    image = image_tensor(1, SIZE_HW)
    result = trace(model, image, 4, against=7)
    blocks = [block for stage in model.backbone.stages for block in stage]
    x = model.backbone.stem(image)
    kept = []
    for block in blocks:
        x = block(x.requires_grad_())
        kept.append(x)
    probabilities = model.head(model.backbone.pool(x)).double().softmax(-1)[0]
    expected = torch.autograd.grad(probabilities[4].log() - probabilities[7].log(), kept)
    for block, gradient in zip(result.blocks, expected, strict=True):
        torch.testing.assert_close(block.gradient, gradient[0], rtol=1e-4, atol=1e-5 * float(gradient.abs().max()))


def test_log_odds_are_the_difference_of_logits(model: GeoModel) -> None:
    image = image_tensor(2, SIZE_HW)
    result = trace(model, image, 3, against=8)
    by_logit = [trace(model, image, cell, "logit") for cell in (3, 8)]
    for block, one, other in zip(result.blocks, by_logit[0].blocks, by_logit[1].blocks, strict=True):
        expected = one.gradient - other.gradient
        torch.testing.assert_close(block.gradient, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    logits = torch.tensor([[1.5, -2.0, 900.0, -900.0]])  # a probability of e^−1800 rounds to 0, which has no logarithm
    assert log_odds(logits, 0, 1).item() == pytest.approx(3.5)
    assert log_odds(logits, 3, 2).item() == pytest.approx(-1800)


def test_log_odds_are_those_of_the_prediction(held: Contrast) -> None:
    shares = held.here.prediction.probabilities
    assert held.log_odds == pytest.approx(np.log(shares[4] / shares[7]), abs=1e-5)
    assert (held.target, held.against) == (4, 7)


@pytest.mark.parametrize("method", GRADIENT_METHODS)
def test_swapping_the_cells_swaps_the_maps(model: GeoModel, picture: Image.Image, held: Contrast, method: str) -> None:
    other_way = contrast(explain(picture, model, target=7), model, 4)
    assert other_way.log_odds == -held.log_odds
    weights = (0.0, 0.5, 1.0, 2.0, 0.0, 1.5, 1.0)
    for how in COMBINATIONS:
        one = held.combi_cam(weights, method=method, level="stage", how=how)
        for outcome in (other_way, held.swapped()):
            other = outcome.combi_cam(weights, method=method, level="stage", how=how)
            np.testing.assert_array_equal(other.here.values, one.there.values)
            np.testing.assert_array_equal(other.there.values, one.here.values)
            np.testing.assert_array_equal(other.values, -one.values)
        assert not one.flat


def test_grad_cam_of_both_cells_is_one_map_before_its_relu(held: Contrast) -> None:
    stage = held.here.trace.stages[-1]
    linear = torch.einsum("c,chw->hw", stage.gradient.mean((1, 2)), stage.activation)
    expected = upsample(linear.numpy(), held.here.size_hw)
    np.testing.assert_allclose(held.heatmap("grad-cam").values, expected, atol=1e-5 * np.abs(expected).max())


def test_one_forward_and_one_gradient_for_both_cells(
    model: GeoModel, explanation: Explanation, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[nn.Module] = []
    gradients = []
    modules = [model.backbone.stem, *model.backbone.blocks, model.backbone.head, model.head]
    hooks = [module.register_forward_hook(lambda m, i, o: calls.append(m)) for module in modules]
    real_grad = torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *a, **k: gradients.append(1) or real_grad(*a, **k))
    try:
        held = contrast(explanation, model, 0)
        assert calls == modules
        for method in GRADIENT_METHODS:
            held.heatmap(method)
            held.combi_cam(method=method)
            held.swapped().combi_cam(method=method, how="max")
    finally:
        for hook in hooks:
            hook.remove()
    assert calls == modules, "maps and weights must not run the network"
    assert len(gradients) == 1


@pytest.mark.parametrize("method", GRADIENT_METHODS)
def test_another_cell_to_compare_with_gives_another_map(
    model: GeoModel, explanation: Explanation, held: Contrast, method: str
) -> None:
    one, other = held.combi_cam(method=method), contrast(explanation, model, 1).combi_cam(method=method)
    assert np.abs(one.values - other.values).max() > 0.01 * np.abs(one.values).max()


def test_a_position_means_its_cell(model: GeoModel, explanation: Explanation) -> None:
    lat, lon = model.partition.centers_deg[9]
    assert contrast(explanation, model, (float(lat) + 0.5, float(lon) - 0.5)).against == 9


def test_maps_of_both_cells_are_divided_by_their_common_maximum() -> None:
    def stage_map(target: int, values: list[list[float]]) -> StageMap:
        return StageMap(np.float32(values), 1, "stage", "grad-cam", target, "log-odds", False)

    strong, faint = stage_map(0, [[4, 2], [0, 0]]), stage_map(1, [[0, 0], [0, 1]])
    here, there = combine_pair([strong], [faint], (1,), "max", (2, 2))
    assert here.values.tolist() == [[1, 0.5], [0, 0]]
    assert there.values.tolist() == [[0, 0], [0, 0.25]]
    assert (here.target, there.target, there.how) == (0, 1, "max")
    here, there = combine_pair([strong], [faint], (1,), "tanh", (2, 2))
    assert there.values[1, 1] == pytest.approx(np.tanh(2 * 0.25))


def test_raw_sums_are_those_of_each_cell_alone(held: Contrast) -> None:
    outcome = held.combi_cam((0.5,) * 16, method="layer-cam")
    for side, heatmap in ((held.here, outcome.here), (held.there, outcome.there)):
        alone = combine(side.maps("layer-cam", "block"), (0.5,) * 16, "sum", side.size_hw)
        np.testing.assert_array_equal(heatmap.values, alone.values)
        assert (heatmap.target, heatmap.score) == (side.target, "log-odds")


def test_cells_that_the_image_does_not_distinguish_have_a_flat_contrast() -> None:
    network = plain_network([[[1, 0, 0], [0, 1, 0]]], head=[[1, 1], [1, 1], [0, 1]])
    explained = explain(Image.effect_noise((8, 8), 60).convert("RGB"), network, target=0)
    for method in GRADIENT_METHODS:
        outcome = contrast(explained, network, 1).heatmap(method)
        assert outcome.flat
        assert not outcome.values.any()
        assert not contrast(explained, network, 2).heatmap(method).flat


@pytest.mark.parametrize(
    ("against", "sentence"),
    [
        (4, "expected two different cells to contrast, got cell 4 twice"),
        (12, "from 0 to 11, got 12"),
        (-1, "from 0 to 11, got -1"),
        ((91.0, 0.0), "expected a target latitude"),
        (None, "expected a cell to contrast the explained one with, got none"),
    ],
)
def test_wrong_cells_to_contrast_are_refused(
    model: GeoModel, explanation: Explanation, against: object, sentence: str
) -> None:
    with pytest.raises(DataError, match=sentence):
        contrast(explanation, model, against)  # type: ignore[arg-type]


def test_score_cam_has_no_contrast(model: GeoModel, held: Contrast) -> None:
    with pytest.raises(DataError, match="got 'log-odds'"):
        score_cam(model, held.here.tensor, held.here.trace, held.here.trace.stages[-1])
    with pytest.raises(DataError):
        held.heatmap("score-cam")
