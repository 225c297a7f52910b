"""Random changes of the colours of views: water, exposure, development and false colour."""

import torch
import torch.nn.functional as F
from torch import Tensor

from geoexplain.imagery.draws import smooth_field, uniform

HIDDEN = 8
"""Number of hidden units of the random network in `remap_colors`."""


def recolor_sea(rgb: Tensor, water: Tensor, generator: torch.Generator) -> Tensor:
    """Give the water of RGB (N, 3, S, S) a random colour from blue to green, lighter coasts and a rough floor.

    `water` is (N, 1, S, S), all values in [0, 1]; land does not change. Some renderings have a uniform sea, others and
    photographs do not, so the colour of water must not be a cue.
    """
    n, _, size, _ = rgb.shape
    color = torch.cat(
        [
            uniform(n, 0.0, 0.45, generator),
            uniform(n, 0.02, 0.65, generator),
            uniform(n, 0.05, 0.85, generator),
        ],
        dim=1,
    )
    dark = uniform(n, 0.05, 1.0, generator)
    reach = max(3, size // 10) | 1
    near_land = 1 - F.avg_pool2d(F.pad(water, [reach // 2] * 4, mode="replicate"), reach, stride=1)
    shelf = uniform(n, 0.0, 0.6, generator) * near_land.pow(uniform(n, 0.5, 2.0, generator))
    floor = uniform(n, 0.0, 0.5, generator) * smooth_field(n, size, generator)
    painted = (color * dark * (1 + floor) + shelf * (color + 0.1)).clamp(0, 1)
    return torch.lerp(rgb, painted, water)


def jitter_color(rgb: Tensor, generator: torch.Generator) -> Tensor:
    """Vary brightness, contrast, gamma, saturation and channel gains of RGB (N, 3, S, S); values may leave [0, 1]."""
    n = len(rgb)
    rgb = rgb.clamp(1e-4, 1).pow(uniform(n, 0.8, 1.25, generator))
    grey = rgb.mean(dim=1, keepdim=True)
    rgb = grey + (rgb - grey) * uniform(n, 0.5, 1.4, generator)
    mean = rgb.mean(dim=(1, 2, 3), keepdim=True)
    rgb = mean + (rgb - mean) * uniform(n, 0.8, 1.25, generator)
    gain = 1 + 0.1 * (2 * torch.rand(n, 3, 1, 1, generator=generator, device=rgb.device) - 1)
    return rgb * gain * uniform(n, 0.75, 1.2, generator)


def develop(rgb: Tensor, generator: torch.Generator) -> Tensor:
    """Change RGB (N, 3, S, S) in [0, 1] as strongly as different cameras and post-processing do.

    Gamma is from ½ to 2, contrast around the mean from 0.3 to 1.3, brightness from 0.35 to 1.3, saturation from 0 to
    1.5, and the gain of each channel from 0.75 to 1.25. The result is clipped to [0, 1].
    """
    n = len(rgb)
    rgb = rgb.clamp(1e-4, 1).pow(torch.exp2(uniform(n, -1.0, 1.0, generator)))
    grey = rgb.mean(dim=1, keepdim=True)
    rgb = grey + (rgb - grey) * uniform(n, 0.0, 1.5, generator)
    mean = rgb.mean(dim=(1, 2, 3), keepdim=True)
    rgb = mean + (rgb - mean) * uniform(n, 0.3, 1.3, generator)
    gain = 0.75 + 0.5 * torch.rand(n, 3, 1, 1, generator=generator, device=rgb.device)
    return (rgb * gain * uniform(n, 0.35, 1.3, generator)).clamp(0, 1)


def remap_colors(rgb: Tensor, generator: torch.Generator, strongest: float = 0.9) -> Tensor:
    """Blend RGB (N, 3, S, S) with a random smooth mapping of its colours, so that kinds of ground change their tone.

    The mapping is a random network: HIDDEN tanh units on the colour − 0.5 (weights with standard deviation 2.5, offsets
    with 1), then a linear layer (0.35). Each channel is scaled to a standard deviation of 0.18 around a random mean.
    The share of the mapped colours is `strongest` × u^1.5 for a uniform u.
    """
    n, device = len(rgb), rgb.device
    weights = 2.5 * torch.randn(n, HIDDEN, 3, generator=generator, device=device)
    offsets = torch.randn(n, HIDDEN, 1, generator=generator, device=device)
    out = 0.35 * torch.randn(n, 3, HIDDEN, generator=generator, device=device)
    mapped = out @ torch.tanh(torch.baddbmm(offsets, weights, rgb.flatten(2) - 0.5))  # (N, 3, S S)
    deviation, mean = torch.std_mean(mapped, dim=2, keepdim=True, correction=0)
    middle = 0.25 + 0.5 * torch.rand(n, 3, 1, generator=generator, device=device)
    mapped = ((mapped - mean) * (0.18 / deviation.clamp_min(1e-3)) + middle).clamp(0, 1)
    share = strongest * uniform(n, 0.0, 1.0, generator).pow(1.5)
    return torch.lerp(rgb, mapped.view_as(rgb), share)


def flatten_land(rgb: Tensor, water: Tensor, generator: torch.Generator) -> Tensor:
    """Reduce RGB (N, 3, S, S) to two random colours, for land and `water` (N, 1, S, S), with some relief left."""
    n, device = len(rgb), rgb.device
    land, sea = torch.rand(2, n, 3, 1, 1, generator=generator, device=device)
    relief = rgb.mean(dim=1, keepdim=True)
    relief = (relief - relief.mean(dim=(2, 3), keepdim=True)) * uniform(n, 0.0, 0.6, generator)
    return torch.lerp(land + relief, sea.expand_as(rgb), water).clamp(0, 1)
