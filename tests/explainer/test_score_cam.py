"""Score-CAM with the network: values by hand, counts of passes, memory, progress, cancelling."""

import math

import numpy as np
import pytest
import torch

from geoexplain.errors import DataError
from geoexplain.explainer.cams import BYTES_PER_PIXEL, LARGEST_CPU_CHUNK, ExplanationCancelledError, score_cam
from geoexplain.explainer.trace import trace
from tests.explainer.networks import image_tensor, plain_network

SIZE_HW = (64, 64)
ONE_IMAGE = BYTES_PER_PIXEL * 64 * 64


@pytest.fixture(scope="module")
def tensor():
    return image_tensor(1, SIZE_HW)


class Passes:
    """Record the size of every batch that runs through the model."""

    def __init__(self, model):
        self.batches: list[int] = []
        self.hook = model.backbone.stem.register_forward_hook(lambda m, i, o: self.batches.append(len(o)))


@pytest.fixture
def passes(model):
    recorded = Passes(model)
    yield recorded.batches
    recorded.hook.remove()


def hand_made():
    """Red and green pass through; the logits are (sum of red) ln 3 / 2 and 0. Green is flat, red has mask sum 2."""
    network = plain_network([[[1, 0, 0], [0, 1, 0]]], head=[[2 * math.log(3), 0], [0, 0]])
    pixels = torch.tensor([[[0.0, 1.0], [1.0, 2.0]], [[3.0, 3.0], [3.0, 3.0]], [[0.0, 0.0], [0.0, 0.0]]])
    return network, pixels[None]


def test_score_cam_worked_out_by_hand() -> None:
    # Masks: red / 2, whose product with red sums to (0 + 0.5 + 0.5 + 2) = 3; green is flat and masks everything out.
    # Mean red 3/4 times 2 ln 3 is 1.5 ln 3, so the softmax is 3^1.5 : 1 over red and green = 5.196 : 1.
    network, pixels = hand_made()
    result = trace(network, pixels, 0, "logit")
    stage_map = score_cam(network, pixels, result, result.stages[0])
    red = 3**1.5 / (3**1.5 + 1)
    np.testing.assert_allclose(stage_map.values, red * pixels[0, 0] + (1 - red) * 3, rtol=1e-5)
    assert (stage_map.method, stage_map.level, stage_map.index, stage_map.target) == ("score-cam", "stage", 1, 0)
    assert not stage_map.flat


def test_score_cam_of_the_probability_worked_out_by_hand() -> None:
    # p = 3^1.5 / (3^1.5 + 1) with the red mask, 1/2 with the empty one.
    network, pixels = hand_made()
    result = trace(network, pixels, 0, "probability")
    probability = 3**1.5 / (3**1.5 + 1)
    red = math.exp(probability) / (math.exp(probability) + math.exp(0.5))
    values = score_cam(network, pixels, result, result.stages[0]).values
    np.testing.assert_allclose(values, red * pixels[0, 0] + (1 - red) * 3, rtol=1e-5)


@pytest.mark.parametrize("score", ["probability", "logit"])
def test_raw_probability_weights_by_probability_for_any_score(score: str) -> None:
    network, pixels = hand_made()
    result = trace(network, pixels, 0, score)
    stage_map = score_cam(network, pixels, result, result.stages[0], weighting="raw probability")
    assert stage_map.score == "probability"
    np.testing.assert_allclose(stage_map.values, 3**1.5 / (3**1.5 + 1) * pixels[0, 0] + 0.5 * 3, rtol=1e-5)


def test_one_pass_per_channel_and_no_more(model, tensor, passes) -> None:
    result = trace(model, tensor)
    passes.clear()
    score_cam(model, tensor, result, result.stages[3], memory_bytes=10**12)
    assert passes == [LARGEST_CPU_CHUNK] * (80 // LARGEST_CPU_CHUNK)


@pytest.mark.parametrize(("memory_bytes", "batches"), [(0, [1] * 24), (7 * ONE_IMAGE, [7, 7, 7, 3])])
def test_chunks_keep_to_the_memory_and_change_nothing(model, tensor, passes, memory_bytes, batches) -> None:
    result = trace(model, tensor, score="logit")
    at_once = score_cam(model, tensor, result, result.stages[1]).values
    passes.clear()
    seen: list[tuple[int, int]] = []
    chunked = score_cam(
        model, tensor, result, result.stages[1], memory_bytes=memory_bytes, progress=lambda *step: seen.append(step)
    ).values
    assert passes == batches
    assert seen == [(done, 24) for done in np.cumsum(batches)]
    np.testing.assert_allclose(chunked, at_once, atol=1e-5 * at_once.max())


def test_it_stops_when_cancelled(model, tensor, passes) -> None:
    result = trace(model, tensor)
    passes.clear()
    with pytest.raises(ExplanationCancelledError, match="after 16 of 24 channels"):
        score_cam(
            model, tensor, result, result.stages[1], memory_bytes=8 * ONE_IMAGE, cancelled=lambda: len(passes) == 2
        )
    assert passes == [8, 8]


def test_an_unknown_weighting_is_refused_before_any_pass(model, tensor, passes) -> None:
    result = trace(model, tensor)
    passes.clear()
    with pytest.raises(DataError, match="'channel softmax', 'raw probability'"):
        score_cam(model, tensor, result, result.stages[0], weighting="softmax")
    assert passes == []
