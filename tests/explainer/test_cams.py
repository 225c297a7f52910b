"""CAM methods, compared with maps worked out by hand."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from geoexplain.explainer.cams import StageMap, channel_masks, is_flat, score_weighted_cam
from geoexplain.explainer.table import EXPLANATIONS, GRADIENT_CAM, PERTURBATION_CAM, kinds_of_family
from geoexplain.explainer.trace import Stage

A = [[[1.0, 2.0], [3.0, 4.0]], [[1.0, -1.0], [-1.0, -1.0]]]
"""Channel sums 10 and -2."""


def stage(activation: list, gradient: list) -> Stage:
    return Stage(torch.tensor(activation), torch.tensor(gradient), "stage", 1)


def compute(method: str, gradient: list) -> list:
    return EXPLANATIONS[method].compute(stage(A, gradient)).tolist()


def test_grad_cam_weights_channels_by_the_mean_gradient() -> None:
    # Means 0.5 and -1: 0.5 * [[1, 2], [3, 4]] - [[1, -1], [-1, -1]] = [[-0.5, 2], [2.5, 3]].
    assert compute("grad-cam", [[[2.0, 0.0], [0.0, 0.0]], [[-4.0, 0.0], [0.0, 0.0]]]) == [[0.0, 2.0], [2.5, 3.0]]


def test_grad_cam_plus_plus_weights_positive_gradients_by_alpha() -> None:
    # Channel 1: g = 1 gives alpha = 1 / (2 + 10) twice, so w = 1/6; g = -3 and g = 0 add nothing.
    # Channel 2: g = 1 makes the denominator 2 - 2 = 0; g = 0.5 gives 0.25 / (0.5 - 0.25) = 1, so w = 0.5.
    values = compute("grad-cam++", [[[1.0, 1.0], [-3.0, 0.0]], [[1.0, 0.5], [0.0, 0.0]]])
    expected = [[1 / 6 + 1 / 2, 2 / 6 - 1 / 2], [3 / 6 - 1 / 2, 4 / 6 - 1 / 2]]
    np.testing.assert_allclose(values, np.maximum(expected, 0), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("magnitude", [1e-12, 1e-20])
def test_grad_cam_plus_plus_of_tiny_gradients_has_alpha_one_half(magnitude: float) -> None:
    # As g goes to 0 alpha goes to 1/2, so w = 4 g / 2; g cubed is far below the smallest float32.
    values = EXPLANATIONS["grad-cam++"].compute(stage([A[0]], [[[magnitude] * 2] * 2]))
    np.testing.assert_allclose(values / (2 * magnitude), A[0], rtol=1e-6)


def test_layer_cam_weights_each_position_by_its_own_positive_gradient() -> None:
    # [[1 * 1, 2 * 0], [3 * 0, 4 * 2]] + [[1 * 0, -1 * 1], [-1 * 0, -1 * 3]] = [[1, -1], [0, 5]].
    assert compute("layer-cam", [[[1.0, 0.0], [-5.0, 2.0]], [[-1.0, 1.0], [-2.0, 3.0]]]) == [[1.0, 0.0], [0.0, 5.0]]


@pytest.mark.parametrize("method", list(kinds_of_family(GRADIENT_CAM)))
def test_a_channel_without_gradient_adds_nothing(method: str) -> None:
    assert compute(method, [[[0.0] * 2] * 2] * 2) == [[0.0, 0.0], [0.0, 0.0]]


@pytest.mark.parametrize("method", list(kinds_of_family(GRADIENT_CAM)))
def test_a_mirrored_stage_gives_the_mirrored_map(method: str) -> None:
    generator = torch.Generator().manual_seed(3)
    activation, gradient = torch.randn(2, 8, 5, 7, generator=generator)
    # No negative sums, since near a zero denominator Grad-CAM++ depends on the order of summation.
    activation = activation.abs()
    straight = EXPLANATIONS[method].compute(Stage(activation, gradient, "block", 1))
    mirrored = EXPLANATIONS[method].compute(Stage(activation.flip(-1), gradient.flip(-1), "block", 1))
    assert straight.max() > 0
    torch.testing.assert_close(mirrored, straight.flip(-1), rtol=1e-5, atol=1e-6)


def scores_of_log_three_and_zero(activation: Tensor) -> Tensor:
    assert activation.shape == (2, 2, 2)
    return torch.tensor([math.log(3), 0.0])


def test_score_cam_softmax_over_channels() -> None:
    # Softmax of (ln 3, 0) = (3/4, 1/4): [[0.75 + 0.25, 1.5 - 0.25], [2.25 - 0.25, 3 - 0.25]].
    values = score_weighted_cam(torch.tensor(A), scores_of_log_three_and_zero)
    np.testing.assert_allclose(values, [[1.0, 1.25], [2.0, 2.75]], rtol=1e-6)


def test_score_cam_raw_probability_uses_no_softmax() -> None:
    values = score_weighted_cam(torch.tensor(A), lambda activation: torch.tensor([0.5, 0.25]), "raw probability")
    assert values.tolist() == [[0.75, 0.75], [1.25, 1.75]]


def test_masks_are_min_max_scaled_after_upsampling_with_the_corners_aligned() -> None:
    masks = channel_masks(torch.tensor([[[-1.0, 1.0], [1.0, 3.0]]]), (3, 3))
    assert masks.shape == (1, 1, 3, 3)
    np.testing.assert_allclose(masks[0, 0], [[0, 0.25, 0.5], [0.25, 0.5, 0.75], [0.5, 0.75, 1]], atol=1e-6)


def test_a_mask_is_scaled_after_upsampling() -> None:
    # Upsampling 4 columns to 3 misses the peak at column 1: samples at 0, 1.5, 3 are 0, 0.5, 0.
    masks = channel_masks(torch.tensor([[[0.0, 1.0, 0.0, 0.0]]]), (1, 3))
    np.testing.assert_allclose(masks[0, 0], [[0, 1, 0]], atol=1e-6)


@pytest.mark.parametrize("level", [0.0, 0.1, -7.3, 1e-20])
def test_a_constant_channel_masks_everything_out(level: float) -> None:
    assert not channel_masks(torch.full((1, 7, 7), level), (224, 224)).any()


def test_flat_means_constant_up_to_rounding() -> None:
    assert is_flat(np.zeros((2, 2), np.float32))
    assert is_flat(np.full((2, 2), 3.0, np.float32) + np.float32([[0, 1e-6], [0, 0]]))
    assert not is_flat(np.float32([[0, 0], [0, 1e-30]]))
    assert not is_flat(np.float32([[1, 1], [1, 1.001]]))


def test_every_method_names_itself_and_its_source() -> None:
    methods = kinds_of_family(GRADIENT_CAM, PERTURBATION_CAM)
    assert list(methods) == ["grad-cam", "grad-cam++", "layer-cam", "score-cam"]
    for name, method in methods.items():
        assert method.title.lower().replace("layercam", "layer-cam") == name
        assert "et al." in method.source


def test_stage_maps_compare_by_identity_so_that_arrays_need_no_truth_value() -> None:
    values = np.zeros((2, 2), np.float32)
    first, second = (StageMap(values, 1, "stage", "grad-cam", 0, "logit", True) for _ in range(2))
    assert first != second
    assert len({first, second}) == 2
