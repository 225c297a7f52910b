"""The optimizer of a training run, the moving average of its weights, and mixed precision."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from geoexplain.training.settings import Training


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Apply weight decay to matrices and filters only: biases, norms and concentrations should not shrink to zero."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


def make_optimizer(network: nn.Module, settings: Training) -> torch.optim.Optimizer:
    """Return the optimizer that the settings name, over all parameters of a network."""
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
    """Update the moving average of a network's tensors, in place, with its `state` after `step` steps.

    With `decay` 0 the average is the state itself. Tensors of whole numbers are copied.
    """
    decay = min(decay, (1 + step) / (10 + step))  # so that the initial weights are forgotten quickly
    for key, value in state.items():
        if value.is_floating_point():
            average[key].lerp_(value.to(average[key].device), 1 - decay)
        else:
            average[key].copy_(value)


def mixed_precision(device: torch.device) -> AbstractContextManager[Any]:
    """Return autocast to bf16, if the device supports it. bf16 has the range of fp32, so the loss needs no scaling."""
    if device.type in {"cpu", "cuda"}:
        return torch.autocast(device.type, torch.bfloat16)
    return nullcontext()
