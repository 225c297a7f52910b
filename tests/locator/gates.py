"""A model with a gate that is easy to compute by hand: it accepts red pictures."""

import numpy as np
import torch
from PIL import Image
from torch import nn

from geoexplain.images import Preprocess
from geoexplain.locator.backbone import Backbone
from geoexplain.locator.gate import Gate
from geoexplain.locator.heads import VonMisesFisherHead
from geoexplain.locator.model import GeoModel, LocalizableRule
from tests.explainer.networks import partition_of

RED, BLUE = (230, 20, 20), (20, 20, 230)


def flat_picture(color: tuple[int, int, int], size: tuple[int, int] = (40, 30)) -> Image.Image:
    return Image.new("RGB", size, color)


def red_gate() -> Gate:
    """Return a gate with the score logistic(4 × (mean of red − mean of blue)), both normalized."""
    weights = np.array([4, 0, -4, 0, 0, 0], dtype=np.float32)
    return Gate((1,), weights, 0.0, 0.5, "a red picture", "nothing", {})


def red_model(gate: Gate | None = None, *, cells: int = 6) -> GeoModel:
    """Return a model of three stages that pass the picture on, and a head that is certain of one cell."""
    stages = nn.ModuleList(nn.ModuleList([nn.Conv2d(3, 3, 1, bias=False)]) for _ in range(3))
    for stage in stages:
        stage[0].weight.data = torch.eye(3)[:, :, None, None]
    centers = partition_of(cells)
    head = VonMisesFisherHead(3, torch.from_numpy(centers.centers_deg))
    head.mixture_weights.weight.data.zero_()
    head.mixture_weights.bias.data = torch.tensor([20.0] + [0.0] * (cells - 1))
    return GeoModel(
        Backbone(nn.Identity(), stages, nn.Identity(), 3, "plain"),
        head,
        centers,
        Preprocess(size_px=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        name="red",
        title="Red pictures",
        purpose="Red pictures only.",
        rule=LocalizableRule(750, 0.5),
        device="cpu",
        gate=gate,
    )
