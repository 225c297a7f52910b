"""Map the keys of a Backbone's state dict to those of other libraries."""

from geoexplain.locator.backbone import RESNETS, Backbone

EXPANDED = {
    "conv_pw": "_expand_conv",
    "bn1": "_bn0",
    "conv_dw": "_depthwise_conv",
    "bn2": "_bn1",
    "conv_pwl": "_project_conv",
    "bn3": "_bn2",
}
"""Modules of an inverted-residual block in timm → in `efficientnet_pytorch`."""

UNEXPANDED = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
"""The same for blocks without expansion, those of the first stage."""

SQUEEZE = {"se.conv_reduce": "_se_reduce", "se.conv_expand": "_se_expand"}


def efficientnet_pytorch_names(backbone: Backbone) -> dict[str, str]:
    """Return key of a Backbone's state dict → key of the same network in the package `efficientnet_pytorch`."""
    ends = {"stem.0": "_conv_stem", "stem.1": "_bn0", "head.0": "_conv_head", "head.1": "_bn1"}
    blocks = {}
    number = 0
    for stage, length in enumerate(backbone.stage_lengths):
        for block in range(length):
            blocks[f"stages.{stage}.{block}"] = f"_blocks.{number}"
            number += 1
    keys = list(backbone.state_dict())
    expanded = {key.partition(".conv_pwl")[0] for key in keys if ".conv_pwl" in key}
    names = {}
    for key in keys:
        module, _, leaf = key.rpartition(".")
        if module in ends:
            names[key] = f"{ends[module]}.{leaf}"
            continue
        owner = ".".join(module.split(".")[:3])
        part = module.removeprefix(f"{owner}.")
        parts = (EXPANDED if owner in expanded else UNEXPANDED) | SQUEEZE
        names[key] = f"{blocks[owner]}.{parts[part]}.{leaf}"
    return names


def torchvision_names(backbone: Backbone) -> dict[str, str]:
    """Return key of a Backbone's state dict → key of a Sequential of torchvision's ResNet's first eight modules."""
    first = {"stem.0": "0", "stem.1": "1"}
    names = {}
    for key in backbone.state_dict():
        kind, number, rest = key.split(".", 2)
        names[key] = f"{int(number) + 4}.{rest}" if kind == "stages" else f"{first[f'{kind}.{number}']}.{rest}"
    return names


def foreign_names(backbone: Backbone) -> dict[str, str]:
    """Return key of a Backbone's state dict → key in TIB's checkpoints."""
    names = torchvision_names if backbone.architecture in RESNETS else efficientnet_pytorch_names
    return names(backbone)


def timm_names(backbone: Backbone) -> dict[str, str]:
    """Return key of a Backbone's state dict → key of the timm network that it was split from."""
    residual = backbone.architecture in RESNETS
    stem = "conv1" if residual else "conv_stem"
    ends = {"stem.0": stem, "stem.1": "bn1", "head.0": "conv_head", "head.1": "bn2"}
    names = {}
    for key in backbone.state_dict():
        kind, number, rest = key.split(".", 2)
        stage = f"layer{int(number) + 1}" if residual else f"blocks.{number}"
        names[key] = f"{stage}.{rest}" if kind == "stages" else f"{ends[f'{kind}.{number}']}.{rest}"
    return names
