"""What training on views begins with: ImageNet's weights, or those of a network that knows the same cells."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from geoexplain.errors import CheckpointError
from geoexplain.locator.backbone import Backbone
from geoexplain.locator.checkpoints.certh import renamed_tensors
from geoexplain.locator.checkpoints.foreign_names import efficientnet_pytorch_names, timm_names
from geoexplain.locator.checkpoints.imagenet import read_weights
from geoexplain.locator.checkpoints.layout import check_finite
from geoexplain.locator.checkpoints.torchfile import state_dict
from geoexplain.locator.heads import VonMisesFisherHead

CLASSIFIERS = ("classifier.", "fc.", "_fc.")
"""What the layer after the features is called in timm and in `efficientnet_pytorch`."""


def begin_with(backbone: Backbone, head: VonMisesFisherHead, file: Path) -> bool:
    """Fill a backbone, in place, with the weights of a file; return whether the head was filled, too.

    The file is a .safetensors or one of `torch.save`, with the names of timm or of the package `efficientnet_pytorch`.
    Its last layer becomes the head's where it has as many outputs as there are cells, and is left out otherwise.

    Raises CheckpointError when the file is missing, damaged, or of another network.
    """
    if not file.is_file():
        raise CheckpointError(f"--start: expected a file of weights at {file}, found none: check the path.")
    found = state_dict(file.name, read_weights(file))
    foreign = any(key.startswith("_blocks.") for key in found)
    names = efficientnet_pytorch_names(backbone) if foreign else timm_names(backbone)
    tensors = renamed_tensors(file.name, found, backbone, names, leave_out=CLASSIFIERS)
    last = _last_layer(file.name, found, head.mixture_weights)
    backbone.load_state_dict({key: _as_float(value) for key, value in tensors.items()})
    if last:
        head.mixture_weights.load_state_dict(last)
    return bool(last)


def _last_layer(file: str, found: Mapping[str, Tensor], layer: nn.Linear) -> dict[str, Tensor]:
    """What a file has for a layer; empty where it has nothing of its shape."""
    for prefix in CLASSIFIERS:
        keys = {"weight": f"{prefix}weight", "bias": f"{prefix}bias"}
        if all(key in found and found[key].shape == getattr(layer, own).shape for own, key in keys.items()):
            check_finite(file, {key: found[key] for key in keys.values()})
            return {own: _as_float(found[key]) for own, key in keys.items()}
    return {}


def _as_float(value: Tensor) -> Tensor:
    return value.float() if value.is_floating_point() else value
