"""The network that training begins with: random weights, those of a file, or those of a geoexplain model."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from geoexplain.errors import CheckpointError
from geoexplain.geography.partitioning import Partitioning
from geoexplain.locator.backbone import Backbone, create_backbone
from geoexplain.locator.checkpoints.certh import renamed_tensors
from geoexplain.locator.checkpoints.foreign_names import efficientnet_pytorch_names, timm_names
from geoexplain.locator.checkpoints.imagenet import read_weights
from geoexplain.locator.checkpoints.layout import check_finite
from geoexplain.locator.checkpoints.torchfile import state_dict
from geoexplain.locator.heads import VonMisesFisherHead
from geoexplain.locator.model import Network
from geoexplain.locator.zoo import load_model
from geoexplain.training.heads import build_network
from geoexplain.training.settings import Training

CLASSIFIERS = ("classifier.", "fc.", "_fc.")
"""Prefixes of the classification layer in timm and in `efficientnet_pytorch`."""


def begin(
    settings: Training,
    partitioning: Partitioning,
    *,
    weights: Path | None = None,
    with_head: bool = False,
    model: str | None = None,
) -> tuple[Network, Training]:
    """Return the network that training begins with, and the settings with its architecture.

    weights    a file as for `begin_with`; None: random weights
    with_head  whether the last layer of `weights` is used, too, if it fits
    model      name or path of a geoexplain model; its head is used, too, if it is of the same kind over the same cells

    Raises CheckpointError for a file that is missing or does not fit.
    """
    torch.manual_seed(settings.seed)
    if model is not None:
        known = load_model(model, "cpu")
        backbone = known.network.backbone
        settings = replace(settings, architecture=backbone.architecture, padding_for_px=backbone.padding_for_px)
        network = build_network(backbone, settings.head, partitioning)
        if _same_cells(known.head, network.head, known.partition.centers_deg, partitioning):
            network.head.load_state_dict(known.head.state_dict())
        return network, settings
    backbone = create_backbone(settings.architecture, padding_for_px=settings.padding_for_px)
    network = build_network(backbone, settings.head, partitioning)
    if weights is not None:
        begin_with(backbone, network.head if with_head else None, weights)
    return network, settings


def _same_cells(known: nn.Module, wanted: nn.Module, centers_deg: np.ndarray, partitioning: Partitioning) -> bool:
    shapes, own = ({key: value.shape for key, value in head.state_dict().items()} for head in (known, wanted))
    if shapes != own:
        return False
    return bool(np.allclose(centers_deg, partitioning.levels[0].centers_deg, atol=1e-5))


def begin_with(backbone: Backbone, head: nn.Module | None, file: Path) -> bool:
    """Load the weights of a file into a backbone, in place; return whether the head was loaded, too.

    The file is a .safetensors or one of `torch.save`, with the names of timm or of the package `efficientnet_pytorch`.
    Its last layer is loaded into a mixture head if it has one output per cell, and is ignored otherwise.

    Raises CheckpointError if the file is missing, damaged, or of another network.
    """
    if not file.is_file():
        raise CheckpointError(f"expected a file of weights at {file}, found none: check the path.")
    loaded = state_dict(file.name, read_weights(file))
    foreign = any(key.startswith("_blocks.") for key in loaded)
    names = efficientnet_pytorch_names(backbone) if foreign else timm_names(backbone)
    tensors = renamed_tensors(file.name, loaded, backbone, names, leave_out=CLASSIFIERS)
    layer = head.mixture_weights if isinstance(head, VonMisesFisherHead) else None
    last = {} if layer is None else _last_layer(file.name, loaded, layer)
    backbone.load_state_dict({key: _as_float(value) for key, value in tensors.items()})
    if layer is not None and last:
        layer.load_state_dict(last)
    return bool(last)


def _last_layer(file: str, loaded: Mapping[str, Tensor], layer: nn.Linear) -> dict[str, Tensor]:
    """Return the tensors of a file for a layer; empty if the file has none of its shape."""
    for prefix in CLASSIFIERS:
        keys = {"weight": f"{prefix}weight", "bias": f"{prefix}bias"}
        if all(key in loaded and loaded[key].shape == getattr(layer, own).shape for own, key in keys.items()):
            check_finite(file, {key: loaded[key] for key in keys.values()})
            return {own: _as_float(loaded[key]) for own, key in keys.items()}
    return {}


def _as_float(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value
