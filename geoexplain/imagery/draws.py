"""Random numbers for each of n views, on the device of the generator."""

import torch
import torch.nn.functional as F
from torch import Tensor


def uniform(n: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Draw uniform numbers in [low, high): (n, 1, 1, 1)."""
    return low + (high - low) * torch.rand(n, 1, 1, 1, generator=generator, device=generator.device)


def chance(n: int, probability: float, generator: torch.Generator) -> Tensor:
    """Draw 1 with a probability, otherwise 0: (n, 1, 1, 1)."""
    return (torch.rand(n, 1, 1, 1, generator=generator, device=generator.device) < probability).float()


def smooth_field(n: int, size: int, generator: torch.Generator) -> Tensor:
    """Draw random fields (n, 1, S, S) of zero mean and at most unit variance: three octaves of interpolated noise."""
    field = torch.zeros(n, 1, size, size, device=generator.device)
    for cells, weight in ((4, 0.8), (9, 0.5), (20, 0.3)):
        noise = torch.randn(n, 1, cells, cells, generator=generator, device=generator.device)
        field += weight * F.interpolate(noise, size=(size, size), mode="bilinear", align_corners=True)
    return field
