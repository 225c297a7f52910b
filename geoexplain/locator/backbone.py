"""timm networks as a stem, a list of stages of blocks, and a head: the form in which they can be explained."""

from collections.abc import Sequence
from typing import Any

import timm
import torch.nn.functional as F
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn

from geoexplain.errors import CheckpointError
from geoexplain.images import Preprocess

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
"""The residual networks that torchvision and timm build alike."""


class Backbone(nn.Module):
    """A convolutional network cut at every block.

    stem          (N, 3, H, W) → first activation
    stages        ModuleList of ModuleLists of blocks, run in turn; a stage ends where timm's stage ends
    head          last block's output → (N, feature_dim, h, w), averaged over h × w to the features
    feature_dim   D, the number of features
    architecture  timm's name of the network
    bn_eps, padding_for_px  as for `create_backbone`
    """

    bn_eps: float | None = None
    padding_for_px: int | None = None

    def __init__(self, stem: nn.Module, stages: nn.ModuleList, head: nn.Module, feature_dim: int, architecture: str):
        super().__init__()
        self.stem, self.stages, self.head = stem, stages, head
        self.feature_dim, self.architecture = feature_dim, architecture

    @property
    def blocks(self) -> list[nn.Module]:
        """All blocks in order, whatever their stage."""
        return [block for stage in self.stages for block in stage.children()]

    @property
    def stage_lengths(self) -> list[int]:
        """How many blocks each stage has."""
        return [len(list(stage.children())) for stage in self.stages]

    def pool(self, x: Tensor) -> Tensor:
        """Output of the last block (N, C, h, w) → features (N, D)."""
        return self.head(x).mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) → features (N, D)."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.pool(x)

    def staged(self, x: Tensor, stages: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
        """Features (N, D), and the outputs (N, C_s, h_s, w_s) of some stages, counted from 1, in the order given."""
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
    """An untrained backbone by its timm name: an EfficientNet, or one of RESNETS.

    bn_eps          constant of the batch normalisation; None is the architecture's own
    padding_for_px  freezes TensorFlow's "same" padding, which depends on the size of the input, at what it is for
                    square images of this side, as `efficientnet_pytorch` does; None pads for every input anew

    Raises CheckpointError for another name.
    """
    if architecture not in RESNETS and architecture not in timm.list_models("*efficientnet*"):
        raise CheckpointError(
            f"expected the name of a timm EfficientNet such as 'efficientnet_b0', or {', '.join(RESNETS)}, "
            f"got {architecture[:100]!r}: timm.list_models('*efficientnet*') lists them."
        )
    network: Any = timm.create_model(architecture, pretrained=False, num_classes=0)
    if bn_eps is not None:  # not all of timm's networks take it as an option
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = bn_eps
    if padding_for_px is not None:
        freeze_same_padding(network, padding_for_px)
    backbone = cut(network, architecture)
    backbone.bn_eps, backbone.padding_for_px = bn_eps, padding_for_px
    return backbone


def stage_channels(backbone: Backbone) -> list[int]:
    """How many channels the output of each stage of a network has, as it is built, read off its last convolution."""
    # By the attribute: timm's conditional convolutions are no Conv2d.
    layers = [[module for module in stage.modules() if hasattr(module, "out_channels")] for stage in backbone.stages]
    return [int(convolutions[-1].out_channels) for convolutions in layers]  # type: ignore[arg-type]


def preprocess_for(architecture: str, size_px: int) -> Preprocess:
    """How a timm network wants its input, by its name: the mean and deviation that its ImageNet weights know."""
    config: Any = timm.get_pretrained_cfg(architecture, allow_unregistered=False)
    return Preprocess(size_px=size_px, mean=tuple(config.mean), std=tuple(config.std))


def cut(network: Any, architecture: str) -> Backbone:
    """A timm EfficientNet or ResNet, cut at every block; the parts are the network's own."""
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
    """A convolution behind a fixed padding that need not be the same on both sides.

    Takes over the weights of `convolution`; `before` and `after` are the pixels added above and below, left and right.
    """

    def __init__(self, convolution: nn.Conv2d, before: int, after: int):
        super().__init__(
            convolution.in_channels,
            convolution.out_channels,
            convolution.kernel_size,  # type: ignore[arg-type]
            convolution.stride,  # type: ignore[arg-type]
            groups=convolution.groups,
            bias=convolution.bias is not None,
            device="meta",  # the weights are taken over in the next lines
        )
        self.weight, self.bias = convolution.weight, convolution.bias
        self.around = (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', H', W')."""
        return super().forward(F.pad(x, self.around))


def freeze_same_padding(network: nn.Module, size_px: int) -> None:
    """Replace every "same" convolution of a network, in the order they run, by one padded as for `size_px` inputs.

    Such a convolution of stride s turns n pixels into ⌈n / s⌉ and pads (⌈n / s⌉ − 1) s + k − n, the odd one after.
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
    """Put a module in evaluation mode and let none of its parameters ask for a gradient; returns the module."""
    return module.eval().requires_grad_(False)
