"""What every training run does alike: groups of parameters, the moving average, mixed precision, atomic files."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from geoexplain.errors import CheckpointError


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Weight decay for matrices and filters only: biases, norms and concentrations have no reason to be near zero."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]


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


def save_atomically(state: Mapping[str, Any], file: Path) -> None:
    """Write a checkpoint: a kill while writing must not cost the last good one. CheckpointError where it cannot be."""
    partial = file.with_suffix(".partial")
    try:
        torch.save(dict(state), partial)
        partial.replace(file)
    except (OSError, RuntimeError) as error:  # of a full disk torch makes a RuntimeError
        with suppress(OSError):
            partial.unlink()
        raise CheckpointError(
            f"{file}: expected to write a checkpoint, could not ({type(error).__name__}): make room on the disk, or "
            "choose a folder that may be written to, and go on with --resume."
        ) from error
