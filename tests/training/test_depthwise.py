"""The faster gradients are the gradients: against PyTorch's own, and end to end through a network."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from geoexplain.locator.backbone import create_backbone
from geoexplain.training.depthwise import DepthwiseConvolution, speed_up_depthwise


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(9, 10), (8, 7), (13, 12)])
def test_gradients_equal_those_of_conv2d(kernel: int, stride: int, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 6, *size, generator=generator, requires_grad=True)
    weight = torch.randn(6, 1, kernel, kernel, generator=generator, requires_grad=True)
    reference = F.conv2d(x, weight, None, stride, 0, 1, 6)
    upstream = torch.randn(reference.shape, generator=generator)
    output = DepthwiseConvolution.apply(x, weight, stride)
    assert torch.equal(output, reference)
    expected = torch.autograd.grad(reference, (x, weight), upstream)
    for ours, theirs in zip(torch.autograd.grad(output, (x, weight), upstream), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("architecture", ["efficientnet_lite0", "tf_efficientnet_lite0"])
@pytest.mark.parametrize("size_px", [32, 41])
def test_padded_as_the_architecture_pads(architecture: str, size_px: int) -> None:
    # symmetric, or TensorFlow's "same", which pads a strided convolution of an even input on one side only
    x = torch.randn(2, 3, size_px, size_px, generator=torch.Generator().manual_seed(0))
    outputs = []
    for fast in (False, True):
        torch.manual_seed(0)
        backbone = create_backbone(architecture).train()
        if fast:
            assert speed_up_depthwise(backbone) == 16
        with torch.autocast("cpu", torch.bfloat16):
            outputs.append(backbone(x).float())
    error = (outputs[1] - outputs[0]).norm() / outputs[0].norm()
    assert error < 0.02


@pytest.mark.parametrize("architecture", ["efficientnet_b0", "tf_efficientnet_lite0"])
def test_every_depthwise_convolution_of_efficientnet_is_found_and_keeps_its_name(architecture: str) -> None:
    backbone = create_backbone(architecture)
    names = list(backbone.state_dict())
    depthwise = [m for m in backbone.modules() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert speed_up_depthwise(backbone) == len(depthwise) == 16  # one per block
    assert list(backbone.state_dict()) == names
    assert speed_up_depthwise(backbone) == 0


def test_training_step_is_the_same_up_to_bf16_rounding() -> None:
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    def gradients(fast: bool) -> list[torch.Tensor]:
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.Conv2d(8, 8, 5, 2, 2, groups=8, bias=False), nn.Flatten()
        ).train()
        if fast:
            assert speed_up_depthwise(network) == 1
        with torch.autocast("cpu", torch.bfloat16):
            network(x).float().square().mean().backward()
        return [p.grad for p in network.parameters() if p.grad is not None]

    for ours, theirs in zip(gradients(fast=True), gradients(fast=False), strict=True):
        error = (ours - theirs).norm() / theirs.norm()
        assert error < 0.01


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
        {"kernel_size": 3, "padding": 0},
        {"kernel_size": 3, "padding": 2, "dilation": 2},
        {"kernel_size": 3, "padding": 1, "bias": True},
        {"kernel_size": 1, "stride": 2},
        {"kernel_size": (3, 5), "padding": (1, 2)},
        {"kernel_size": 3, "padding": 1, "stride": (1, 2)},
        {"kernel_size": 3, "padding": 1, "groups": 4},
    ],
)
def test_other_convolutions_are_left_alone(options: dict) -> None:
    convolution = nn.Conv2d(8, 8, **{"groups": 8, "bias": False, **options})
    assert speed_up_depthwise(convolution) == 0
    assert type(convolution) is nn.Conv2d


def test_without_bf16_nothing_changes() -> None:
    x = torch.randn(2, 8, 9, 9, generator=torch.Generator().manual_seed(0))
    convolution = nn.Conv2d(8, 8, 5, 2, 2, groups=8, bias=False)
    before = convolution(x)
    assert speed_up_depthwise(convolution) == 1
    assert torch.equal(convolution.train()(x), before)
    with torch.autocast("cpu", torch.bfloat16):
        plain = convolution.eval()(x)
    assert plain.grad_fn is not None
    assert "DepthwiseConvolution" not in type(plain.grad_fn).__name__
