"""Split timm networks into a stem, stages of blocks, and a head, so that every block can be explained."""

from collections.abc import Sequence
from typing import Any

import timm
import torch.nn.functional as F
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn

from geoexplain.errors import CheckpointError
from geoexplain.images import Preprocess

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
"""ResNets with the same layers in torchvision and timm."""


class Backbone(nn.Module):
    """A convolutional network split into its blocks.

    stem          (N, 3, H, W) → first activation
    stages        ModuleList of ModuleLists of blocks, run in order; the stages are those of timm
    head          output of the last block → (N, feature_dim, h, w), whose mean over h × w is the features
    feature_dim   D, the number of features
    architecture  timm's name of the network
    bn_eps, padding_for_px  see `create_backbone`
    """

    bn_eps: float | None = None
    padding_for_px: int | None = None

    def __init__(self, stem: nn.Module, stages: nn.ModuleList, head: nn.Module, feature_dim: int, architecture: str):
        super().__init__()
        self.stem, self.stages, self.head = stem, stages, head
        self.feature_dim, self.architecture = feature_dim, architecture

    @property
    def blocks(self) -> list[nn.Module]:
        """All blocks of all stages, in order."""
        return [block for stage in self.stages for block in stage.children()]

    @property
    def stage_lengths(self) -> list[int]:
        """Number of blocks of each stage."""
        return [len(list(stage.children())) for stage in self.stages]

    def pool(self, x: Tensor) -> Tensor:
        """Compute features (N, D) from the output of the last block (N, C, h, w)."""
        return self.head(x).mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Compute features (N, D) of normalized images (N, 3, H, W)."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.pool(x)

    def forward_stages(self, x: Tensor, stages: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        """Compute features (N, D), and the outputs (N, C_s, h_s, w_s) of `stages`, counted from 1, in that order."""
        x = self.stem(x)
        outputs = {}
        for number, stage in enumerate(self.stages, 1):
            for block in stage.children():
                x = block(x)
            if number in stages:
                outputs[number] = x
        return self.pool(x), [outputs[number] for number in stages]


def create_backbone(
    architecture: str = "efficientnet_b0", *, bn_eps: float | None = None, padding_for_px: int | None = None
) -> Backbone:
    """Create an untrained backbone by its timm name: an EfficientNet, or one of RESNETS.

    bn_eps          epsilon of the batch normalization; None is the architecture's default
    padding_for_px  fixes TensorFlow's "same" padding, which depends on the size of the input, to that of square images
                    of this side, as `efficientnet_pytorch` does; None computes it for every input

    Raises CheckpointError for another name.
    """
    if architecture not in RESNETS and architecture not in timm.list_models("*efficientnet*"):
        raise CheckpointError(
            f"expected the name of a timm EfficientNet such as 'efficientnet_b0', or {', '.join(RESNETS)}, "
            f"got {architecture[:100]!r}: timm.list_models('*efficientnet*') lists them."
        )
    network: Any = timm.create_model(architecture, pretrained=False, num_classes=0)
    if bn_eps is not None:  # some timm networks do not accept it as an option
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = bn_eps
    if padding_for_px is not None:
        freeze_same_padding(network, padding_for_px)
    backbone = split_network(network, architecture)
    backbone.bn_eps, backbone.padding_for_px = bn_eps, padding_for_px
    return backbone


def stage_channels(backbone: Backbone) -> list[int]:
    """Return the number of channels of the output of each stage: those of the stage's last convolution."""
    # Convolutions are recognised by this attribute, since timm's conditional convolutions are not of type Conv2d.
    layers = [[module for module in stage.modules() if hasattr(module, "out_channels")] for stage in backbone.stages]
    return [int(convolutions[-1].out_channels) for convolutions in layers]  # type: ignore[arg-type]


def preprocess_for(architecture: str, size_px: int) -> Preprocess:
    """Return the preprocessing of a timm network, with the mean and standard deviation of its ImageNet weights."""
    config: Any = timm.get_pretrained_cfg(architecture, allow_unregistered=False)
    return Preprocess(size_px=size_px, mean=tuple(config.mean), std=tuple(config.std))


def split_network(network: Any, architecture: str) -> Backbone:
    """Split a timm EfficientNet or ResNet into a Backbone; modules are shared with `network`."""
    if architecture in RESNETS:
        stem = nn.Sequential(network.conv1, network.bn1, network.act1, network.maxpool)
        layers = (network.layer1, network.layer2, network.layer3, network.layer4)
        stages = nn.ModuleList(nn.ModuleList(layer) for layer in layers)
        return Backbone(stem, stages, nn.Identity(), network.num_features, architecture)
    stem = nn.Sequential(network.conv_stem, network.bn1)
    stages = nn.ModuleList(nn.ModuleList(stage) for stage in network.blocks)
    head = nn.Sequential(network.conv_head, network.bn2)
    return Backbone(stem, stages, head, network.num_features, architecture)


class PaddedConv2d(nn.Conv2d):
    """A convolution with a fixed padding that may differ between the two sides.

    It shares the weights of `convolution`. `before` pixels are added above and to the left, `after` below and to the
    right.
    """

    def __init__(self, convolution: nn.Conv2d, before: int, after: int):
        super().__init__(
            convolution.in_channels,
            convolution.out_channels,
            convolution.kernel_size,  # type: ignore[arg-type]
            convolution.stride,  # type: ignore[arg-type]
            groups=convolution.groups,
            bias=convolution.bias is not None,
            device="meta",  # the next lines set the weights
        )
        self.weight, self.bias = convolution.weight, convolution.bias
        self.around = (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H', W')."""
        return super().forward(F.pad(x, self.around))


def freeze_same_padding(network: nn.Module, size_px: int) -> None:
    """Replace every "same" convolution of a network, in order, by one with the fixed padding for `size_px` inputs.

    With stride s and kernel size k, such a convolution maps n pixels to ⌈n / s⌉ and pads (⌈n / s⌉ − 1) s + k − n, the
    odd one at the end.
    """
    strided = [name for name, module in network.named_modules() if isinstance(module, Conv2dSame)]
    for name in strided:
        convolution: Any = network.get_submodule(name)
        (kernel, _), (stride, _) = convolution.kernel_size, convolution.stride
        out_px = -(-size_px // stride)
        padding = max((out_px - 1) * stride + kernel - size_px, 0)
        parent = network.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], PaddedConv2d(convolution, padding // 2, padding - padding // 2))
        size_px = out_px


def freeze(module: nn.Module) -> nn.Module:
    """Put a module in evaluation mode and disable the gradients of its parameters; return the module."""
    return module.eval().requires_grad_(False)
