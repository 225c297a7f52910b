"""Several cells explained as one: properties of the sum of their probabilities."""

import numpy as np
import pytest
import torch

import geoexplain
from geoexplain.errors import DataError
from geoexplain.explainer.attribution import integrated_gradients
from geoexplain.explainer.cams import score_cam
from geoexplain.explainer.metrics import deletion
from geoexplain.explainer.subject import prepare_subject
from geoexplain.explainer.target import CellGroup, target_score, target_text
from geoexplain.explainer.trace import trace
from tests.explainer.drawn import baseline
from tests.explainer.networks import image_tensor, plain_network, random_model

LOGITS = torch.tensor([[0.0, np.log(2.0), np.log(5.0)]], dtype=torch.float64)  # shares 1/8, 2/8, 5/8


@pytest.fixture(scope="module")
def model() -> geoexplain.GeoModel:
    return random_model()


@pytest.fixture(scope="module")
def tensor() -> torch.Tensor:
    return image_tensor(3, (64, 64))


def gradients(model, tensor, target, score):
    return [block.gradient.double() for block in trace(model, tensor, target, score).blocks]


def test_scores_by_hand() -> None:
    group = CellGroup("here", (2, 0))
    assert target_score(LOGITS, group, "probability").item() == pytest.approx(6 / 8)
    # log(e^0 + e^log 5) = log 6: one class with that logit next to log 2 has 6 / 8.
    assert target_score(LOGITS, group, "logit").item() == pytest.approx(np.log(6))


def test_a_group_worked_out_by_hand() -> None:
    # One channel, passed through; the logits are 0, log 2 and log 5 at a feature of 1, and grow as 0, 1 and 3 with it.
    network = plain_network([[[1, 0, 0]]], head=[[0], [1], [3]])
    network.head.bias = torch.nn.Parameter(torch.tensor([0, np.log(2) - 1, np.log(5) - 3], dtype=torch.float32))
    result = trace(network, torch.ones(1, 3, 1, 1), CellGroup("here", (1, 2)), "probability")
    # d(p1 + p2) = p1 (1 − m) + p2 (3 − m) with m = 2/8 · 1 + 5/8 · 3 = 17/8
    assert result.blocks[0].gradient.item() == pytest.approx(2 / 8 * (1 - 17 / 8) + 5 / 8 * (3 - 17 / 8))
    assert (result.target, result.explained) == (2, CellGroup("here", (1, 2)))


def test_the_gradient_of_a_sum_is_the_sum_of_gradients(model, tensor) -> None:
    group = CellGroup("three", (1, 4, 7))
    single = [gradients(model, tensor, cell, "probability") for cell in group.cells]
    for together, *apart in zip(gradients(model, tensor, group, "probability"), *single, strict=True):
        torch.testing.assert_close(together, sum(apart), rtol=1e-4, atol=1e-4 * together.abs().max().item())


def test_the_rest_of_the_world_explains_the_opposite(model, tensor) -> None:
    some, rest = CellGroup("some", (0, 3)), CellGroup("rest", tuple({*range(12)} - {0, 3}))
    for one, other in zip(*(gradients(model, tensor, group, "probability") for group in (some, rest)), strict=True):
        torch.testing.assert_close(one, -other, rtol=1e-3, atol=1e-4 * one.abs().max().item())


def test_a_group_of_one_is_the_cell(model, tensor) -> None:
    for score in ("probability", "logit"):
        for alone, grouped in zip(
            gradients(model, tensor, 5, score), gradients(model, tensor, CellGroup("five", (5,)), score), strict=True
        ):
            torch.testing.assert_close(alone, grouped, rtol=1e-5, atol=0)


def test_score_cam_and_faithfulness_use_the_sum(model, tensor) -> None:
    group = CellGroup("two", (2, 9))
    result = trace(model, tensor, group, "probability")
    shares = torch.softmax(result.logits.double(), dim=-1)[0]
    looked_at = prepare_subject(model, tensor, result.explained)
    assert looked_at.probability == pytest.approx(float(shares[2] + shares[9]), rel=1e-3)
    heatmap = score_cam(model, tensor, result, result.stages[-1], weighting="raw probability")
    apart = [
        score_cam(model, tensor, alone := trace(model, tensor, cell), alone.stages[-1], weighting="raw probability")
        for cell in group.cells
    ]
    assert heatmap.target == group
    # The weights are raw probabilities, so the maps add up where each is positive before the ReLU.
    assert (heatmap.values <= apart[0].values + apart[1].values + 1e-5).all()
    curve = deletion(looked_at, baseline("random", tensor, group), 4)
    assert curve.probabilities[0] == looked_at.probability
    with pytest.raises(DataError, match="expected a heatmap of two, got one of cell 2"):
        deletion(looked_at, baseline("random", tensor, 2), 4)


def test_explain_takes_a_group(model) -> None:
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    group = CellGroup("two", (2, 9))
    explanation = geoexplain.explain(image, model, target=group)
    assert explanation.target == max(group.cells, key=lambda cell: explanation.prediction.probabilities[cell])
    assert explanation.combi_cam().target == explanation.heatmap("layer-cam").target == group


def test_integrated_gradients_of_a_group_add_up_to_its_score() -> None:
    network = plain_network([[[1, 0, 0]]], head=[[0], [1], [3]])
    group = CellGroup("here", (1, 2))
    result = integrated_gradients(network, torch.ones(1, 3, 2, 2), group, "logit", steps=64)
    # log(e^x + e^3x) at 1 minus at 0
    assert result.score_change == pytest.approx(np.log(np.e + np.e**3) - np.log(2), rel=1e-5)
    assert result.values.sum() == pytest.approx(result.score_change, rel=1e-3)
    assert result.target == group


def test_errors(model, tensor) -> None:
    for cells in ((), (1, 1)):
        with pytest.raises(DataError, match="at least one cell, each once"):
            CellGroup("Nowhere", cells)
    for cells in ((-1, 3), (3, 12)):
        with pytest.raises(DataError, match="Elsewhere: expected cells from 0 to 11"):
            trace(model, tensor, CellGroup("Elsewhere", cells))
    assert CellGroup("Jordan", (7, 3)) == CellGroup("Jordan", (3, 7))
    assert target_text(CellGroup("Jordan", (3,))) == "Jordan"
    assert target_text(1, ("a", "b")) == "cell 1 (b)"
