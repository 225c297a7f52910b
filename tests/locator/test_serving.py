"""The optimised network equals the trained one: same numbers, same gradients, less memory."""

import pytest
import torch
from torch import Tensor, nn

from geoexplain.locator.backbone import Backbone, create_backbone, freeze
from geoexplain.locator.serving import FrozenConv2d, serving_backbone

NETWORKS = [
    ("test_efficientnet", None),
    ("efficientnet_b0", None),
    ("tf_efficientnet_b0", 96),
    ("tf_efficientnet_b0", None),
    ("resnet18", None),
    ("resnet50", None),
]


def trained(architecture: str, padding_for_px: int | None = None) -> Backbone:
    """Return a frozen backbone whose batch normalization has non-trivial statistics."""
    torch.manual_seed(0)
    backbone = create_backbone(architecture, padding_for_px=padding_for_px)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
    freeze(backbone)
    return backbone


def traced(backbone: Backbone, x: Tensor) -> tuple[list[Tensor], list[Tensor], int]:
    """Return the outputs of all blocks, their gradients, and the bytes stored for these besides weights."""
    kept: dict[int, int] = {}
    weights = {value.untyped_storage().data_ptr() for value in backbone.state_dict().values()}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        outputs = [backbone.stem(x).requires_grad_()]
        for block in backbone.blocks:
            outputs.append(block(outputs[-1]))
        features = backbone.pool(outputs[-1])
    gradients = torch.autograd.grad((features * torch.linspace(-1, 1, features.shape[1])).sum(), outputs)
    return outputs, list(gradients), sum(kept.values())


@pytest.mark.parametrize(("architecture", "padding_for_px"), NETWORKS)
def test_every_activation_and_gradient_is_that_of_the_trained_network(
    architecture: str, padding_for_px: int | None
) -> None:
    backbone = trained(architecture, padding_for_px)
    x = torch.randn(1, 3, 96, 128)
    expected_outputs, expected_gradients, expected_bytes = traced(backbone, x)
    outputs, gradients, kept_bytes = traced(serving_backbone(backbone), x)
    for found, expected in zip(outputs + gradients, expected_outputs + expected_gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=2e-5 * float(expected.detach().abs().max()))
    assert kept_bytes < 0.7 * expected_bytes


def test_no_batch_normalisation_is_left_and_the_trained_network_is_as_it_was() -> None:
    backbone = trained("test_efficientnet")
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    served = serving_backbone(backbone)
    assert not any(isinstance(module, nn.BatchNorm2d | nn.Conv2d) for module in served.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())
    assert served.stage_lengths == backbone.stage_lengths


def test_hooks_of_the_trained_network_do_not_run_in_the_optimized_one() -> None:
    backbone = trained("test_efficientnet")
    served = serving_backbone(backbone)
    heard = []
    for module in backbone.modules():
        if list(module.children()):
            module.register_forward_hook(lambda *_: heard.append(1))
    served(torch.randn(1, 3, 64, 64))
    assert not heard


def test_a_frozen_convolution_s_gradient_by_finite_differences() -> None:
    for convolution in (nn.Conv2d(4, 6, 3, 2, 1, groups=2), nn.Conv2d(4, 2, (1, 3), padding=(0, 2), dilation=(1, 2))):
        frozen = FrozenConv2d(convolution.double())
        x = torch.randn(2, 4, 5, 6, dtype=torch.double, requires_grad=True)
        assert torch.autograd.gradcheck(frozen, (x,))
        torch.testing.assert_close(frozen(x), convolution(x))
