"""The optimizer of a training run, the moving average of its weights, and mixed precision."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from geoexplain.training.settings import Training


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices and filters only: biases, norms and concentrations have no reason to be near zero."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def make_optimizer(network: nn.Module, settings: Training) -> torch.optim.Optimizer:
    """The optimizer of the settings over all parameters of a network."""
    decay = settings.weight_decay
    groups: Any = parameter_groups(network, decay)
    if settings.decay_all:
        groups = [{"params": list(network.parameters()), "weight_decay": decay}]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=settings.momentum)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.optimizer]
    return kind(groups, lr=settings.learning_rate)


@torch.no_grad()
def update_average(average: dict[str, Tensor], state: Mapping[str, Tensor], decay: float, step: int) -> None:
    """Move the average of a network's tensors towards its `state` after `step` steps; `decay` 0 is the state itself."""
    decay = min(decay, (1 + step) / (10 + step))  # early weights are forgotten faster than they are outgrown
    for key, value in state.items():
        if value.is_floating_point():
            average[key].lerp_(value.to(average[key].device), 1 - decay)
        else:
            average[key].copy_(value)


def mixed_precision(device: torch.device) -> AbstractContextManager[Any]:
    """bf16 where autocast knows the device, whose range is that of fp32, so that no loss has to be scaled."""
    if device.type in {"cpu", "cuda"}:
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
