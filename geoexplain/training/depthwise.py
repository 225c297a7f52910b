"""Depthwise convolutions with faster gradients, for training on a CPU.

With bf16 tensors, oneDNN (PyTorch 2.14) takes 5 to 50 times longer than needed for two gradients that an EfficientNet
computes often: that of the input at stride 2, and that of the weights of 5×5 filters. Both are computed here as sums of
smaller convolutions, which are fast. `python -m benchmarks.bench_training` measures how much faster a training step
becomes.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn

LARGEST_FAST = 3
"""Largest filter side, in taps, for which oneDNN computes the gradient of the weights fast."""


class DepthwiseConvolution(torch.autograd.Function):
    """A depthwise convolution of a padded input, without bias, with faster gradients."""

    @staticmethod
    def forward(ctx: Any, padded: Tensor, weight: Tensor, stride: int) -> Tensor:
        """Convolve images (N, C, H, W) with weights (C, 1, k, k); return (N, C, ⌊(H − k) / stride⌋ + 1, likewise)."""
        ctx.save_for_backward(padded, weight)
        ctx.stride = stride
        return F.conv2d(padded, weight, None, stride, 0, 1, weight.shape[0])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        """Return the gradients of the padded input and of the weights, given that of the output."""
        padded, weight = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        return (
            _input_gradient(gradient, padded, weight, ctx.stride),
            _weight_gradient(gradient, padded, weight, ctx.stride),
            None,
        )


def _input_gradient(gradient: Tensor, padded: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Compute the gradient on each of the stride² lattices of input pixels with a small convolution of its taps."""
    k, channels = weight.shape[-1], weight.shape[0]
    if stride == 1:
        return F.conv2d(gradient, weight.flip(2, 3), None, 1, k - 1, 1, channels)
    result = torch.zeros_like(padded)
    for row in range(stride):
        for column in range(stride):
            taps = weight[:, :, row::stride, column::stride]
            part = F.conv2d(gradient, taps.flip(2, 3), None, 1, (taps.shape[2] - 1, taps.shape[3] - 1), 1, channels)
            lattice = result[:, :, row::stride, column::stride]
            height, width = min(lattice.shape[2], part.shape[2]), min(lattice.shape[3], part.shape[3])
            lattice[:, :, :height, :width] = part[:, :, :height, :width]
    return result


def _weight_gradient(gradient: Tensor, padded: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Compute the gradient of up to 3×3 taps at a time, on the lattice of pixels that these taps read."""
    k = weight.shape[-1]
    if k <= LARGEST_FAST:
        return _plain_weight_gradient(gradient, padded, weight, stride)
    result = torch.empty_like(weight)
    height, width = gradient.shape[2:]
    for rows in _groups(k, stride):
        for columns in _groups(k, stride):
            seen = padded[:, :, rows.start :: stride, columns.start :: stride]
            taps = weight[:, :, rows, columns]
            seen = seen[:, :, : height + taps.shape[2] - 1, : width + taps.shape[3] - 1]
            seen = seen.contiguous(memory_format=torch.channels_last)
            result[:, :, rows, columns] = _plain_weight_gradient(gradient, seen, taps, 1)
    return result


def _groups(k: int, stride: int) -> Iterator[slice]:
    """Yield slices of k taps: every stride-th tap, or neighbours at stride 1; at most LARGEST_FAST each for k ≤ 6."""
    if stride > 1:
        yield from (slice(first, None, stride) for first in range(stride))
    else:
        size = math.ceil(k / math.ceil(k / LARGEST_FAST))
        yield from (slice(first, min(first + size, k)) for first in range(0, k, size))


def _plain_weight_gradient(gradient: Tensor, padded: Tensor, weight: Tensor, stride: int) -> Tensor:
    _, result, _ = torch.ops.aten.convolution_backward(
        gradient,
        padded,
        weight,
        None,
        [stride, stride],
        [0, 0],
        [1, 1],
        False,
        [0, 0],
        weight.shape[0],
        [False, True, False],
    )
    return result


class _FastDepthwise(nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name in nn.Conv2d
        if not (self.training and torch.is_autocast_enabled("cpu")):
            return super().forward(input)
        k, stride = self.kernel_size[0], self.stride[0]
        return _fast(input, self.weight, stride, [(k // 2, k // 2), (k // 2, k // 2)])


class _FastDepthwiseSame(Conv2dSame):
    def forward(self, x: Tensor) -> Tensor:
        if not (self.training and torch.is_autocast_enabled("cpu")):
            return super().forward(x)
        k, stride = self.kernel_size[0], self.stride[0]
        total = [max((math.ceil(size / stride) - 1) * stride + k - size, 0) for size in x.shape[2:]]
        return _fast(x, self.weight, stride, [(one // 2, one - one // 2) for one in total])


def _fast(x: Tensor, weight: Tensor, stride: int, padding: list[tuple[int, int]]) -> Tensor:
    """Pad and convolve; `padding` is (top, bottom) and (left, right) in px."""
    dtype = torch.get_autocast_dtype("cpu")
    (top, bottom), (left, right) = padding
    padded = F.pad(x.to(dtype), (left, right, top, bottom))
    return DepthwiseConvolution.apply(padded, weight.to(dtype), stride)


def speed_up_depthwise(network: nn.Module) -> int:
    """Give every depthwise convolution of a network the faster gradients, in place; return their number.

    The faster gradients are used only in training under bf16 autocast on a CPU. Weights and their names stay the same.
    """
    changed = 0
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels == module.out_channels > 1:
            k, plain = module.kernel_size[0], type(module) is nn.Conv2d
            square = module.kernel_size == (k, k) and module.stride == (module.stride[0],) * 2 and module.stride[0] <= k
            if not (square and module.bias is None and module.dilation == (1, 1)):
                continue
            if plain and module.padding == (k // 2, k // 2) and module.padding_mode == "zeros":
                module.__class__ = _FastDepthwise
                changed += 1
            elif type(module) is Conv2dSame:
                module.__class__ = _FastDepthwiseSame
                changed += 1
    return changed
