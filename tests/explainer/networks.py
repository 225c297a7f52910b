"""Networks whose activations do not vanish, small enough to explain in milliseconds or to work out by hand."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geoexplain.geography.partition import Partition
from geoexplain.images import Preprocess
from geoexplain.locator.backbone import Backbone, create_backbone
from geoexplain.locator.heads import VonMisesFisherHead
from geoexplain.locator.model import GeoModel


def partition_of(cells: int) -> Partition:
    longitudes = np.linspace(-150, 150, cells)
    centers = np.stack([np.linspace(-60, 60, cells), longitudes], axis=-1)
    return Partition("test cells", tuple(f"cell {i}" for i in range(cells)), centers)


def model_of(
    stem: nn.Module, stages: Sequence[Sequence[nn.Module]], head: nn.Module, classifier: nn.Linear
) -> GeoModel:
    blocks = nn.ModuleList(nn.ModuleList(stage) for stage in stages)
    backbone = Backbone(stem, blocks, head, classifier.in_features, "test network")
    cells = partition_of(classifier.out_features)
    return GeoModel(backbone, classifier, cells, Preprocess(size_px=8), name="test", device="cpu")


def plain_network(
    kernels: Sequence[Sequence | Tensor], head: Sequence | Tensor, *, rectified: bool = False
) -> GeoModel:
    """Build a network of one convolution without bias per stage; a kernel is (out, in), 1 × 1, or (out, in, 3, 3)."""
    stages = []
    for values in kernels:
        kernel = torch.as_tensor(values, dtype=torch.float32)
        if kernel.dim() == 2:
            kernel = kernel[:, :, None, None]
        convolution = nn.Conv2d(kernel.shape[1], kernel.shape[0], kernel.shape[2], padding="same", bias=False)
        convolution.weight.data = kernel
        stages.append([nn.Sequential(convolution, nn.ReLU()) if rectified else convolution])
    weights = torch.as_tensor(head, dtype=torch.float32)
    classifier = nn.Linear(weights.shape[1], weights.shape[0], bias=False)
    classifier.weight.data = weights
    return model_of(nn.Identity(), stages, nn.Identity(), classifier)


TINY = "test_efficientnet"
"""Five stages of one block each, an eighth of the time of EfficientNet-B0, for tests that do not depend on blocks."""


def random_model(cells: int = 12, *, head_gain: float = 20.0, architecture: str = "efficientnet_b0") -> GeoModel:
    """Build a backbone and von Mises–Fisher head with random weights, the same at every call.

    Its batch normalisation holds the statistics of its own inputs, so that activations are of order 1.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        backbone = create_backbone(architecture)
        normalisations = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
        for module in normalisations:
            module.momentum = None
        with torch.no_grad():
            backbone.train()(torch.cat([image_tensor(100 + i, (96, 128)) for i in range(16)]))
        cell_centers = partition_of(cells)
        head = VonMisesFisherHead(backbone.feature_dim, torch.from_numpy(cell_centers.centers_deg))
        head.mixture_weights.weight.data *= head_gain
    return GeoModel(
        backbone, head, cell_centers, Preprocess(size_px=64), name="random", title="Random weights", device="cpu"
    )


def image_tensor(seed: int, size_hw: tuple[int, int]) -> Tensor:
    """Return a smooth random image (1, 3, H, W), normalised."""
    generator = torch.Generator().manual_seed(seed)
    coarse = 2 * torch.randn(1, 3, 6, 6, generator=generator)
    return F.interpolate(coarse, size_hw, mode="bicubic", align_corners=False)
