"""Load timm networks with ImageNet weights, as a start for training."""

from pathlib import Path
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from geoexplain.errors import CheckpointError
from geoexplain.locator.backbone import Backbone, create_backbone, split_network
from geoexplain.locator.checkpoints.certh import renamed_tensors
from geoexplain.locator.checkpoints.foreign_names import timm_names
from geoexplain.locator.checkpoints.torchfile import read_torch_file, state_dict

CLASSIFIERS = ("classifier.", "fc.")
"""Prefixes of the ImageNet classifier's keys, which are left out."""


def imagenet_backbone(architecture: str, file: Path | None = None) -> Backbone:
    """Create a backbone by its timm name, with ImageNet weights and without its classifier.

    file  timm's weights, a .safetensors file or one of `torch.save`; None lets timm download them from their publisher,
          or take them from its cache. This is the only download in this module.

    Raises CheckpointError for another name, for weights that cannot be downloaded, or for a file that does not fit.
    """
    if file is not None:
        with torch.device("meta"):
            backbone = create_backbone(architecture)
        state = state_dict(file.name, read_weights(file))
        tensors = renamed_tensors(file.name, state, backbone, timm_names(backbone), leave_out=CLASSIFIERS)
        own = {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}
        backbone.load_state_dict(own, assign=True)
        return backbone
    create_backbone(architecture)  # raises for other names before anything is downloaded
    try:
        network = timm.create_model(architecture, pretrained=True, num_classes=0)
    except Exception as error:  # noqa: BLE001 - no internet, no weights, a full disk: a dozen kinds of exception
        raise CheckpointError(
            f"{architecture}: expected timm's ImageNet weights, could not get them ({type(error).__name__}): "
            "check the connection, or give their file."
        ) from None
    return split_network(network, architecture)


def read_weights(file: Path) -> Any:
    """Read a .safetensors file or one of `torch.save`; raise CheckpointError if it cannot be read."""
    if file.suffix != ".safetensors":
        return read_torch_file(file)
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{file.name}: expected a safetensors file, could not read it ({str(error)[:200]}): get the file again."
        ) from None
