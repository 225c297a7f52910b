"""timm networks as a stem, a list of stages of blocks, and a head: the form in which they can be explained."""

from typing import Any

import timm
from torch import Tensor, nn

from geoexplain.errors import CheckpointError


class Backbone(nn.Module):
    """A convolutional network cut at every block.

    stem          (N, 3, H, W) → first activation
    stages        ModuleList of ModuleLists of blocks, run in turn; a stage ends where timm's stage ends
    head          last block's output → (N, feature_dim, h, w), averaged over h × w to the features
    feature_dim   D, the number of features
    architecture  timm's name of the network
    """

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


def create_backbone(architecture: str = "efficientnet_b0") -> Backbone:
    """An untrained backbone by its timm name; any timm EfficientNet will do.

    Raises CheckpointError for a name that is not an EfficientNet of timm.
    """
    if architecture not in timm.list_models("*efficientnet*"):
        raise CheckpointError(
            f"expected the name of a timm EfficientNet such as 'efficientnet_b0', got {architecture!r}: "
            "timm.list_models('*efficientnet*') lists them."
        )
    network: Any = timm.create_model(architecture, pretrained=False, num_classes=0)
    stem = nn.Sequential(network.conv_stem, network.bn1)
    stages = nn.ModuleList(nn.ModuleList(stage) for stage in network.blocks)
    head = nn.Sequential(network.conv_head, network.bn2)
    return Backbone(stem, stages, head, network.num_features, architecture)


def freeze(module: nn.Module) -> nn.Module:
    """Put a module in evaluation mode and let none of its parameters ask for a gradient; returns the module."""
    return module.eval().requires_grad_(False)
