"""Random numbers per view, on the device of the views."""

import torch
import torch.nn.functional as F
from torch import Tensor


def uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Uniform in [low, high): (n, 1, 1, 1)."""
    return low + (high - low) * torch.rand(n, 1, 1, 1, generator=generator, device=generator.device)


def chance(n: int, probability: float, generator: torch.Generator) -> Tensor:
    """1 with a probability, otherwise 0: (n, 1, 1, 1)."""
    return (torch.rand(n, 1, 1, 1, generator=generator, device=generator.device) < probability).float()


def smooth_field(n: int, size: int, generator: torch.Generator) -> Tensor:
    """Random fields (N, 1, S, S) of zero mean and at most unit variance: three octaves of bilinearly enlarged noise."""
    field = torch.zeros(n, 1, size, size, device=generator.device)
    for cells, weight in ((4, 0.8), (9, 0.5), (20, 0.3)):
        noise = torch.randn(n, 1, cells, cells, generator=generator, device=generator.device)
        field += weight * F.interpolate(noise, size=(size, size), mode="bilinear", align_corners=True)
    return field
