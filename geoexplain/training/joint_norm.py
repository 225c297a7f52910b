"""Batch normalisation over the batch of all processes, on any device.

torch's SyncBatchNorm is for GPUs only and does not know timm's fused normalisation and activation. Here the sums are
added up over the processes with an all-reduce that has a gradient, so that values and gradients are those of ordinary
batch normalisation on the joined batch (Ioffe & Szegedy 2015, alg. 1), however unevenly it is shared out.
"""

from typing import Any

import torch
import torch.distributed as dist
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn

from geoexplain.errors import CheckpointError
from geoexplain.training.distributed import told_when_another_ended


class TotalOverProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:  # noqa: ARG004 - nothing is kept
        """Any tensor → the sum, of the same shape."""
        total = values.clone()
        with told_when_another_ended():
            dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]  # noqa: ARG004
        """Gradient of the sum in this process → gradient of the values: what all processes' losses ask of them."""
        total = gradient.contiguous().clone()
        with told_when_another_ended():
            dist.all_reduce(total)
        return total


def joint_batch_norm(module: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Training-mode normalisation (N, C, H, W) by the mean and variance over all processes; updates the statistics.

    A process may hold no photo at all (N = 0), as long as one of them has more than one value per channel.
    """
    values = x.float()
    count = torch.tensor([float(x.numel() // x.shape[1])], device=x.device)
    sums: Tensor = TotalOverProcesses.apply(torch.cat([values.sum(dim=(0, 2, 3)), count]))  # (C + 1,)
    total = sums[-1].detach()
    mean = sums[:-1] / total
    centred = values - mean.view(1, -1, 1, 1)
    # The deviations from the joined mean: sums of squares alone would cancel in fp32.
    variance: Tensor = TotalOverProcesses.apply(centred.square().sum(dim=(0, 2, 3))) / total
    if module.track_running_stats:
        _track(module, mean.detach(), variance.detach() * total / (total - 1).clamp_min(1))
    result = centred * torch.rsqrt(variance + module.eps).view(1, -1, 1, 1)
    if module.affine:
        result = result * module.weight.view(1, -1, 1, 1) + module.bias.view(1, -1, 1, 1)
    return result.to(x.dtype)


@torch.no_grad()
def _track(module: nn.BatchNorm2d, mean: Tensor, variance: Tensor) -> None:
    assert module.num_batches_tracked is not None
    module.num_batches_tracked += 1
    share = 1 / float(module.num_batches_tracked) if module.momentum is None else module.momentum
    assert module.running_mean is not None
    assert module.running_var is not None
    module.running_mean.lerp_(mean, share)
    module.running_var.lerp_(variance, share)


class _JointBatchNorm(nn.BatchNorm2d):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name in nn.BatchNorm2d
        return joint_batch_norm(self, input) if self.training else super().forward(input)


class _JointBatchNormAct(BatchNormAct2d):
    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.drop(joint_batch_norm(self, x))) if self.training else super().forward(x)


JOINT: dict[type, type] = {nn.BatchNorm2d: _JointBatchNorm, BatchNormAct2d: _JointBatchNormAct}


def join_batch_norms(network: nn.Module) -> int:
    """Let every batch normalisation of a network be over all processes, in place; return how many there are.

    Weights and their names stay. Raises CheckpointError for a kind of batch normalisation that is not known here.
    """
    changed = 0
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            if type(module) not in JOINT:
                raise CheckpointError(
                    f"several processes: expected batch normalisation as in EfficientNets and ResNets, got "
                    f"{type(module).__name__}: choose another architecture, or train in one process."
                )
            module.__class__ = JOINT[type(module)]
            changed += 1
    return changed
