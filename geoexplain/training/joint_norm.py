"""Batch normalisation over the batch of all processes, on any device.

torch's SyncBatchNorm works on GPUs only and does not support timm's fused normalisation and activation. Here a
differentiable all-reduce adds up the sums of all processes, so that values and gradients equal those of ordinary batch
normalisation on the joint batch (Ioffe & Szegedy 2015, alg. 1), even if the processes hold different numbers of images.
"""

from typing import Any

import torch
import torch.distributed as dist
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn

from geoexplain.errors import CheckpointError
from geoexplain.training.distributed import translate_process_errors


class TotalOverProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:  # noqa: ARG004 - backward needs nothing
        """Return the sum over all processes, of the same shape."""
        total = values.clone()
        with translate_process_errors():
            dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]  # noqa: ARG004
        """Sum the gradients over all processes, since every process's loss depends on the values of this one."""
        total = gradient.contiguous().clone()
        with translate_process_errors():
            dist.all_reduce(total)
        return total


def joint_batch_norm(module: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Normalize (N, C, H, W) by the mean and variance over all processes, as in training; update the statistics.

    A process may hold no image at all (N = 0), as long as some process has more than one value per channel.
    """
    values = x.float()
    count = torch.tensor([float(x.numel() // x.shape[1])], device=x.device)
    sums: Tensor = TotalOverProcesses.apply(torch.cat([values.sum(dim=(0, 2, 3)), count]))  # (C + 1,)
    total = sums[-1].detach()
    mean = sums[:-1] / total
    centred = values - mean.view(1, -1, 1, 1)
    # Sum squared deviations from the joint mean: E[x²] − E[x]² would cancel in fp32.
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
    """Make every batch normalisation of a network use all processes, in place; return their number.

    Weights and their names stay the same. Raises CheckpointError for an unsupported kind of batch normalisation.
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
