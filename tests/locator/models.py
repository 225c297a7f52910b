"""The smallest real model: timm's test EfficientNet, random weights, five cells."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from geoexplain.geography.partition import Partition
from geoexplain.images import Preprocess
from geoexplain.locator.backbone import create_backbone
from geoexplain.locator.checkpoints.native import describe, save_geoexplain
from geoexplain.locator.heads import VonMisesFisherHead
from geoexplain.locator.model import GeoModel, LocalizableRule

CENTERS = np.array([(10.0, 20.0), (-33.0, 151.0), (64.0, -22.0), (0.0, 180.0), (-90.0, 0.0)])
LABELS = ("Chad", "near Sydney, Australia", "Iceland", "Pacific", "South Pole")


def small_model(seed: int = 7) -> GeoModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = create_backbone("test_efficientnet")
        for module in backbone.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.num_batches_tracked.fill_(1234)
        head = VonMisesFisherHead(backbone.feature_dim, torch.from_numpy(CENTERS))
        head.mvmf.kappas.data.normal_(-8, 1)
        head.mixture_weights.weight.data *= 10
    return GeoModel(
        backbone,
        head,
        Partition("small", LABELS, CENTERS),
        Preprocess(size_px=64),
        name="small",
        title="Small <model>",
        purpose="For tests.",
        rule=LocalizableRule(scale_km=750, threshold=0.4),
        refine_km=300.0,
        device="cpu",
    )


def saved(model: GeoModel, folder: Path) -> Path:
    file = folder / "small.safetensors"
    save_geoexplain(model.network, describe(model), model.partition, file)
    return file
